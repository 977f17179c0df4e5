/*
 * config_value.c - is this text a value of that key?
 *
 * Numbers may carry a unit where the key's name says what they count: KiB, MiB, GiB, TiB behind
 * bytes, s, min, h, d behind milliseconds. What is kept is the plain number, so everybody who reads
 * the value later, DescribeConfigs included, sees Kafka's form.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "broker/config_table.h"
#include "protocol/base/mem.h"

struct unit_name {
    const char *suffix;
    int64_t factor;
};

static const struct unit_name byte_units[] = {
    { "KiB", INT64_C(1) << 10 },
    { "MiB", INT64_C(1) << 20 },
    { "GiB", INT64_C(1) << 30 },
    { "TiB", INT64_C(1) << 40 },
    { NULL, 0 },
};

static const struct unit_name time_units[] = {
    { "ms", 1 },
    { "s", 1000 },
    { "min", INT64_C(60) * 1000 },
    { "h", INT64_C(3600) * 1000 },
    { "d", INT64_C(86400) * 1000 },
    { NULL, 0 },
};

static const struct unit_name *units_of(const char *name)
{
    static const struct unit_name none[] = { { NULL, 0 } };
    size_t len = strlen(name);
    if (len > 3 && strcmp(name + len - 3, ".ms") == 0)
        return time_units;
    if (strstr(name, ".bytes") || strcmp(name, "memory.limit") == 0)
        return byte_units;
    return none;
}

static int take_unit(const struct unit_name *units, const char *text, int64_t *number)
{
    while (*text == ' ')
        text++;
    if (!*text)
        return 0;
    for (; units->suffix; units++) {
        if (strcasecmp(units->suffix, text) == 0)
            return __builtin_mul_overflow(*number, units->factor, number) ? -EINVAL : 0;
    }
    return -EINVAL;
}

int config_number(const char *text, int64_t min, int64_t max, int64_t *ret_number)
{
    char *end;
    errno = 0;
    int64_t number = strtoimax(text, &end, 10);
    if (errno || end == text || *end || isspace((unsigned char)*text) || number < min ||
        number > max)
        return -EINVAL;
    *ret_number = number;
    return 0;
}

static int check_number(
    const struct config_key *key, const char *text, char **ret_text, struct out *why)
{
    const struct unit_name *units = units_of(key->name);
    int64_t min = key->min, max = key->max;
    char *end;
    errno = 0;
    int64_t number = strtoimax(text, &end, 10);
    bool bad = errno || end == text || take_unit(units, end, &number);
    if (!bad && number >= min && number <= max) {
        *ret_text = mem_printf("%" PRId64, number);
        return 0;
    }
    out_text(why, "not a whole number");
    if (min > INT32_MIN && max < INT32_MAX)
        out_printf(why, " from %" PRId64 " to %" PRId64, min, max);
    else if (min > INT32_MIN)
        out_printf(why, " of at least %" PRId64, min);
    else if (max <= INT32_MAX)
        out_text(why, " of 32 bits");
    if (max > INT32_MAX && max < INT64_MAX)
        out_printf(why, " and at most %" PRId64, max);
    if (units == byte_units)
        out_text(why, " (a unit may follow: KiB, MiB, GiB)");
    if (units == time_units)
        out_text(why, " (a unit may follow: ms, s, min, h, d)");
    return -EINVAL;
}

static int check_boolean(const char *text, char **ret_text, struct out *why)
{
    if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0) {
        *ret_text = mem_strdup(strcasecmp(text, "true") == 0 ? "true" : "false");
        return 0;
    }
    out_text(why, "not true or false");
    return -EINVAL;
}

static int check_double(const char *text, char **ret_text, struct out *why)
{
    char *end;
    (void)strtod(text, &end);
    if (end != text && !*end) {
        *ret_text = mem_strdup(text);
        return 0;
    }
    out_text(why, "not a number");
    return -EINVAL;
}

/* Kafka compares some of its choices with case and some without; we take both. */
static int check_choice(
    const struct config_key *key, const char *text, char **ret_text, struct out *why)
{
    const char *at = key->allowed;
    while (at) {
        size_t len = strcspn(at, "|");
        if (strlen(text) == len && strncasecmp(at, text, len) == 0) {
            *ret_text = mem_strndup(at, len);
            return 0;
        }
        at = at[len] ? at + len + 1 : NULL;
    }
    out_text(why, "not one of ");
    for (at = key->allowed; *at; at++)
        out_printf(why, *at == '|' ? ", " : "%c", *at);
    return -EINVAL;
}

static int check_typed(
    const struct config_key *key, const char *text, char **ret_text, struct out *why)
{
    switch (key->type) {
    case CONFIG_BOOLEAN: return check_boolean(text, ret_text, why);
    case CONFIG_INT:
    case CONFIG_SHORT:
    case CONFIG_LONG: return check_number(key, text, ret_text, why);
    case CONFIG_DOUBLE: return check_double(text, ret_text, why);
    case CONFIG_STRING:
    case CONFIG_LIST:
    case CONFIG_CLASS:
    case CONFIG_PASSWORD: break;
    }
    if (key->allowed)
        return check_choice(key, text, ret_text, why);
    *ret_text = mem_strdup(text);
    return 0;
}

/* What the topic's table says to it; that is the range that holds. */
static int check_topic(const struct config_key *key, const char *text, struct out *why)
{
    char error[200] = "";
    struct topic_config scratch = topic_config_default();
    int status = topic_config_set(
        &scratch, bytes_text(key->topic_key), bytes_text(text), error, sizeof(error));
    if (status == 0 || status == -ENOENT)
        return 0;
    out_text(why, error[0] ? error : "not a value of this key");
    return -EINVAL;
}

static int check_refused(const struct config_key *key, const char *text, struct out *why)
{
    const char *harmless = key->default_text ? key->default_text : "";
    if (!*text || strcasecmp(text, harmless) == 0)
        return 0;
    out_printf(why, "refused. %s", key->doc);
    return -EINVAL;
}

int config_value_check(
    const struct config_key *key, struct bytes value, char **ret_text, struct out *why)
{
    while (value.len && isspace(value.data[0]))
        value = bytes_of(value.data + 1, value.len - 1);
    while (value.len && isspace(value.data[value.len - 1]))
        value.len--;
    if (memchr(value.len ? (const char *)value.data : "", 0, value.len)) {
        out_text(why, "holds a NUL");
        return -EINVAL;
    }
    char *text = mem_strndup(value.len ? (const char *)value.data : "", value.len), *kept = NULL;
    int status = 0;
    if (key->effect == CONFIG_REFUSED)
        status = check_refused(key, text, why);
    if (!status)
        status = check_typed(key, text, &kept, why);
    if (!status && key->topic_key)
        status = check_topic(key, kept, why);
    mem_free(text);
    if (status)
        mem_free(kept);
    else
        *ret_text = kept;
    return status;
}
