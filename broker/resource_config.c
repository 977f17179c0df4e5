/* See resource_config.h. Names, types and defaults are those of Kafka 4.3; the words are ours. */
#include "broker/resource_config.h"

#include <errno.h>
#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"

#define GROUP_NUMBER(key_name, low, high, words)                                                   \
    {                                                                                              \
        .name = key_name, .type = CONFIG_INT, .doc = words, .min = low, .max = high                \
    }
#define GROUP_TEXT(key_name, key_type, text, choices, words)                                       \
    {                                                                                              \
        .name = key_name, .type = CONFIG_##key_type, .default_text = text, .allowed = choices,     \
        .doc = words                                                                               \
    }

static const struct config_key group_keys[] = {
    GROUP_NUMBER("consumer.assignment.interval.ms", 0, INT32_MAX,
        "Least time between two assignments of a consumer group."),
    GROUP_NUMBER("consumer.heartbeat.interval.ms", 1, INT32_MAX,
        "How often members of a consumer group are told to send a heartbeat."),
    GROUP_NUMBER("consumer.session.timeout.ms", 1, INT32_MAX,
        "A member of a consumer group that is silent for this long is taken out."),
    GROUP_NUMBER("share.assignment.interval.ms", 0, INT32_MAX,
        "Least time between two assignments of a share group."),
    GROUP_TEXT("share.auto.offset.reset", STRING, "latest", NULL,
        "Where a share group begins: earliest, latest, or by_duration: and an ISO 8601 time."),
    GROUP_NUMBER("share.delivery.count.limit", 2, INT32_MAX,
        "How often a share group is given a record before it counts as one that cannot be read."),
    GROUP_NUMBER("share.heartbeat.interval.ms", 1, INT32_MAX,
        "How often members of a share group are told to send a heartbeat."),
    GROUP_TEXT("share.isolation.level", STRING, "read_uncommitted",
        "read_committed|read_uncommitted",
        "Whether a share group sees records of open or aborted transactions."),
    GROUP_NUMBER("share.partition.max.record.locks", 100, INT32_MAX,
        "Records of a partition that a share group may have under way."),
    GROUP_NUMBER("share.record.lock.duration.ms", 1000, INT32_MAX,
        "How long a member of a share group may keep a record."),
    GROUP_TEXT("share.renew.acknowledge.enable", BOOLEAN, "true", NULL,
        "Whether members of a share group may ask for more time."),
    GROUP_NUMBER("share.session.timeout.ms", 1, INT32_MAX,
        "A member of a share group that is silent for this long is taken out."),
    GROUP_NUMBER("streams.assignment.interval.ms", 0, INT32_MAX,
        "Least time between two assignments of a streams group."),
    GROUP_NUMBER("streams.heartbeat.interval.ms", 1, INT32_MAX,
        "How often members of a streams group are told to send a heartbeat."),
    GROUP_NUMBER("streams.initial.rebalance.delay.ms", 0, INT32_MAX,
        "How long the first assignment of an empty streams group waits for more members."),
    GROUP_NUMBER("streams.num.standby.replicas", 0, INT32_MAX,
        "Copies of state that a streams group keeps beside the one in use."),
    GROUP_NUMBER("streams.session.timeout.ms", 1, INT32_MAX,
        "A member of a streams group that is silent for this long is taken out."),
};

static const struct config_key metrics_keys[] = {
    { .name = "interval.ms",
        .type = CONFIG_INT,
        .default_text = "300000",
        .min = 100,
        .max = 3600000,
        .doc = "How often a client sends these metrics." },
    { .name = "match",
        .type = CONFIG_LIST,
        .default_text = "",
        .doc = "Which clients: a list of key=regular expression; the keys are client_id, "
               "client_instance_id, client_software_name, client_software_version, "
               "client_source_address, client_source_port." },
    { .name = "metrics",
        .type = CONFIG_LIST,
        .default_text = "",
        .doc = "Beginnings of the names of the metrics; * is all." },
};

const struct config_key *resource_keys(int8_t type, size_t *ret_count)
{
    *ret_count = type == RESOURCE_GROUP ? ARRAY_COUNT(group_keys) : ARRAY_COUNT(metrics_keys);
    return type == RESOURCE_GROUP ? group_keys : metrics_keys;
}

const struct config_key *resource_key_find(int8_t type, struct bytes name)
{
    size_t count;
    const struct config_key *keys = resource_keys(type, &count);
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_text(name, keys[i].name))
            return &keys[i];
    return NULL;
}

const struct config_key *resource_key_default(const struct config_key *key)
{
    char name[128];
    (void)snprintf(name, sizeof(name), "group.%s", key->name);
    return config_key_find(bytes_text(name));
}

/* group.KIND.BOUND.REST of the key KIND.REST, if the broker has it. */
static const struct config_key *bound_of(const struct config_key *key, const char *bound)
{
    char name[128];
    size_t kind = strcspn(key->name, ".");
    const char *rest = key->name + kind + 1;
    if (strncmp(rest, "num.", 4) == 0)
        rest += 4;
    (void)snprintf(name, sizeof(name), "group.%.*s.%s.%s", (int)kind, key->name, bound, rest);
    return config_key_find(bytes_text(name));
}

static int64_t number_of(const char *text)
{
    return strtoll(text, NULL, 10);
}

static int bounds_check(const struct broker_config *config, const struct config_key *key,
    int64_t number, struct out *why)
{
    const struct config_key *low = bound_of(key, "min"), *high = bound_of(key, "max");
    if (low && number < number_of(broker_config_value(config, low, NULL))) {
        out_printf(why, "%s must be greater than or equal to %s", key->name, low->name);
        return -EINVAL;
    }
    if (high && number > number_of(broker_config_value(config, high, NULL))) {
        out_printf(why, "%s must be less than or equal to %s", key->name, high->name);
        return -EINVAL;
    }
    return 0;
}

/* earliest, latest, by_duration:P... */
static int reset_check(const char *text, struct out *why)
{
    static const char pattern[] = "^by_duration:P([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9.]+S)?)?$";
    regex_t regex;
    if (strcmp(text, "earliest") == 0 || strcmp(text, "latest") == 0)
        return 0;
    CHECK(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) == 0);
    bool good = strlen(text) < 64 && regexec(&regex, text, 0, NULL, 0) == 0 &&
                text[strlen(text) - 1] != 'P' && text[strlen(text) - 1] != 'T';
    regfree(&regex);
    if (!good)
        out_text(
            why, "share.auto.offset.reset must be earliest, latest or by_duration:PnDTnHnMn.nS");
    return good ? 0 : -EINVAL;
}

/* A list of key=regular expression. */
static int match_check(const char *text, struct out *why)
{
    static const char *const keys[] = { "client_id", "client_instance_id", "client_software_name",
        "client_software_version", "client_source_address", "client_source_port" };
    while (*text) {
        text += strspn(text, " ,");
        size_t len = strcspn(text, ","), name = strcspn(text, "=,");
        bool known = name < len && name + 1 < len;
        bool found = false;
        for (size_t i = 0; known && i < ARRAY_COUNT(keys); i++)
            found |= strlen(keys[i]) == name && strncmp(keys[i], text, name) == 0;
        if (len && !found) {
            out_printf(why, "not a pattern that clients can match: %.*s",
                (int)(len < 100 ? len : 100), text);
            return -EINVAL;
        }
        text += len;
    }
    return 0;
}

int resource_value_check(const struct broker_config *config, const struct config_key *key,
    const char *text, struct out *why)
{
    if (strcmp(key->name, "share.auto.offset.reset") == 0)
        return reset_check(text, why);
    if (strcmp(key->name, "match") == 0)
        return match_check(text, why);
    if (key >= group_keys && key < group_keys + ARRAY_COUNT(group_keys) && key->type == CONFIG_INT)
        return bounds_check(config, key, number_of(text), why);
    return 0;
}

/* The number that holds for a group. */
static int64_t effective(
    const struct broker_config *config, const char *const *texts, const char *name)
{
    const struct config_key *key = resource_key_find(RESOURCE_GROUP, bytes_text(name));
    const char *own = texts[key - group_keys];
    return number_of(own ? own : broker_config_value(config, resource_key_default(key), NULL));
}

int resource_values_check(
    const struct broker_config *config, int8_t type, const char *const *texts, struct out *why)
{
    static const char *const kinds[] = { "consumer", "share", "streams" };
    for (size_t i = 0; type == RESOURCE_GROUP && i < ARRAY_COUNT(kinds); i++) {
        char session[64], heartbeat[64];
        (void)snprintf(session, sizeof(session), "%s.session.timeout.ms", kinds[i]);
        (void)snprintf(heartbeat, sizeof(heartbeat), "%s.heartbeat.interval.ms", kinds[i]);
        if (effective(config, texts, session) > effective(config, texts, heartbeat))
            continue;
        out_printf(why, "%s must be greater than %s", session, heartbeat);
        return -EINVAL;
    }
    return 0;
}
