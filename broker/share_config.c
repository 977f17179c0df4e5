/* See share_config.h. */
#include "broker/share_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/overrides.h"
#include "broker/partition.h"

static struct bytes text_of(struct broker *broker, struct bytes group, const char *name)
{
    struct bytes text = overrides_find(broker, RESOURCE_GROUP, group, name);
    return text.data ? text : bytes_of(NULL, 0);
}

static int64_t number_of(struct bytes text)
{
    char copy[24] = { 0 };
    if (text.len < sizeof(copy))
        memcpy(copy, text.data, text.len);
    return strtoll(copy, NULL, 10);
}

/* The broker's bound, group.share.min|max.REST. */
static int64_t bound_of(struct broker *broker, const char *bound, const char *rest)
{
    char name[96];
    (void)snprintf(name, sizeof(name), "group.share.%s.%s", bound, rest);
    const struct config_key *key = config_key_find(bytes_text(name));
    return key ? number_of(bytes_text(broker_config_value(broker->config, key, NULL))) : 0;
}

static int32_t number(
    struct broker *broker, struct bytes group, const char *name, int32_t of_broker)
{
    struct bytes text = text_of(broker, group, name);
    const char *rest = name + strlen("share.");
    if (!text.data)
        return of_broker;
    int64_t value = number_of(text);
    int64_t low = bound_of(broker, "min", rest), high = bound_of(broker, "max", rest);
    value = value > high ? high : value;
    return (int32_t)(value < low ? low : value);
}

int32_t share_config_lock_ms(struct broker *broker, struct bytes group)
{
    return number(broker, group, "share.record.lock.duration.ms",
        broker->config->group_share_record_lock_duration_ms);
}

struct share_limits share_config_limits(struct broker *broker, struct bytes group)
{
    const struct broker_config *config = broker->config;
    return (struct share_limits){
        .records_max = number(broker, group, "share.partition.max.record.locks",
            config->group_share_partition_max_record_locks),
        .delivery_max = number(
            broker, group, "share.delivery.count.limit", config->group_share_delivery_count_limit),
        .lock_ns = (int64_t)share_config_lock_ms(broker, group) * CLOCK_NS_PER_MS,
    };
}

int32_t share_config_heartbeat_ms(struct broker *broker, struct bytes group)
{
    return number(broker, group, "share.heartbeat.interval.ms",
        broker->config->group_share_heartbeat_interval_ms);
}

int32_t share_config_session_ms(struct broker *broker, struct bytes group)
{
    return number(
        broker, group, "share.session.timeout.ms", broker->config->group_share_session_timeout_ms);
}

int8_t share_config_isolation(struct broker *broker, struct bytes group)
{
    bool committed =
        bytes_equal_text(text_of(broker, group, "share.isolation.level"), "read_committed");
    return committed ? ISOLATION_READ_COMMITTED : ISOLATION_READ_UNCOMMITTED;
}

bool share_config_renews(struct broker *broker, struct bytes group)
{
    return !bytes_equal_text(text_of(broker, group, "share.renew.acknowledge.enable"), "false");
}

int64_t share_config_duration(struct bytes text)
{
    static const struct {
        char unit;
        bool of_day;
        double ms;
    } units[] = { { 'D', false, 86400e3 }, { 'H', true, 3600e3 }, { 'M', true, 60e3 },
        { 'S', true, 1e3 } };
    char copy[64] = { 0 }, *at = copy + 1;
    bool of_day = false;
    double sum = 0;
    if (text.len < 2 || text.len >= sizeof(copy) || text.data[0] != 'P')
        return 0;
    memcpy(copy, text.data, text.len);
    while (*at) {
        if (*at == 'T' && !of_day) {
            of_day = true;
            at++;
            continue;
        }
        char *end;
        double value = strtod(at, &end);
        if (end == at)
            return 0;
        for (size_t i = 0; i < ARRAY_COUNT(units); i++)
            if (units[i].unit == *end && units[i].of_day == of_day)
                sum += value * units[i].ms;
        at = *end ? end + 1 : end;
    }
    if (sum >= (double)(INT64_MAX / 4))
        return INT64_MAX / 4;
    return sum > 0 ? (int64_t)sum : 0;
}

enum share_reset share_config_reset(
    struct broker *broker, struct bytes group, int64_t *ret_duration_ms)
{
    static const char by_duration[] = "by_duration:";
    size_t len = strlen(by_duration);
    struct bytes text = text_of(broker, group, "share.auto.offset.reset");
    *ret_duration_ms = 0;
    if (bytes_equal_text(text, "earliest"))
        return SHARE_RESET_EARLIEST;
    if (text.len <= len || memcmp(text.data, by_duration, len) != 0)
        return SHARE_RESET_LATEST;
    *ret_duration_ms = share_config_duration(bytes_of(text.data + len, text.len - len));
    return SHARE_RESET_DURATION;
}
