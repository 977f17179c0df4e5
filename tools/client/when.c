/*
 * when.c - dates by arithmetic (days since 1970 in the Gregorian calendar), not by the C library's
 * local time, so that the same word means the same everywhere.
 */
#include "tools/client/when.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Exactly `digits` decimal digits at *at, which moves behind them. */
static bool number(const char **at, int digits, int low, int high, int *ret)
{
    int value = 0;

    for (int i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        value = value * 10 + (**at - '0');
    }
    *ret = value;
    return value >= low && value <= high;
}

static bool skip(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static int month_days(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (leap && month == 2);
}

static int64_t days_since_1970(int year, int month, int day)
{
    int64_t years = year - 1;
    int64_t days = years * 365 + years / 4 - years / 100 + years / 400 - 719162;

    for (int m = 1; m < month; m++)
        days += month_days(year, m);
    return days + day - 1;
}

/* "", "Z", "+02:00", "-0530". */
static bool parse_zone(const char *at, int64_t *ret_ms)
{
    int hours = 0, minutes = 0;
    bool west = *at == '-';

    *ret_ms = 0;
    if (*at == '\0' || strcmp(at, "Z") == 0)
        return true;
    if (!skip(&at, west ? '-' : '+') || !number(&at, 2, 0, 23, &hours))
        return false;
    (void)skip(&at, ':');
    if (!number(&at, 2, 0, 59, &minutes) || *at)
        return false;
    *ret_ms = (hours * 60 + minutes) * INT64_C(60000) * (west ? -1 : 1);
    return true;
}

/* ".250" */
static bool parse_fraction(const char **at, int *ret_ms)
{
    int scale = 100, any = 0;

    *ret_ms = 0;
    if (!skip(at, '.'))
        return true;
    for (; **at >= '0' && **at <= '9'; (*at)++, any++, scale /= 10)
        *ret_ms += (**at - '0') * scale;
    return any > 0;
}

int when_parse_iso(const char *text, int64_t *ret_ms)
{
    const char *at = text;
    int year, month, day, hour = 0, minute = 0, second = 0, ms = 0;
    int64_t zone_ms = 0;

    if (!number(&at, 4, 1, 9999, &year) || !skip(&at, '-') || !number(&at, 2, 1, 12, &month) ||
        !skip(&at, '-') || !number(&at, 2, 1, month_days(year, month), &day))
        return -EINVAL;
    if (*at) {
        if ((!skip(&at, 'T') && !skip(&at, ' ')) || !number(&at, 2, 0, 23, &hour) ||
            !skip(&at, ':') || !number(&at, 2, 0, 59, &minute))
            return -EINVAL;
        if (skip(&at, ':') && (!number(&at, 2, 0, 59, &second) || !parse_fraction(&at, &ms)))
            return -EINVAL;
        if (!parse_zone(at, &zone_ms))
            return -EINVAL;
    }
    int64_t seconds = days_since_1970(year, month, day) * 86400 + hour * INT64_C(3600) +
                      minute * INT64_C(60) + second;
    *ret_ms = seconds * 1000 + ms - zone_ms;
    return 0;
}

static int parse_integer(const char *text, const char **ret_end, int64_t *ret)
{
    char *end;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    intmax_t value = strtoimax(text, &end, 10);
    if (errno)
        return -EINVAL;
    *ret_end = end;
    *ret = value;
    return 0;
}

/* What follows the minus: "5" or "10m". */
static int parse_before(const char *text, int64_t now_ms, struct when *ret)
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
    const char *end;
    int64_t value;

    if (parse_integer(text, &end, &value) < 0)
        return -EINVAL;
    if (*end == '\0') {
        *ret = (struct when){ WHEN_TAIL, value };
        return 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (*end != units[i].unit || end[1])
            continue;
        if (value > now_ms / units[i].ms)
            return -EINVAL;
        *ret = (struct when){ WHEN_TIME, now_ms - value * units[i].ms };
        return 0;
    }
    return -EINVAL;
}

int when_parse(const char *text, int64_t now_ms, struct when *ret)
{
    const char *end;
    int64_t value;

    if (strcmp(text, "beginning") == 0) {
        *ret = (struct when){ WHEN_BEGINNING, 0 };
        return 0;
    }
    if (strcmp(text, "end") == 0) {
        *ret = (struct when){ WHEN_END, 0 };
        return 0;
    }
    if (text[0] == '-')
        return parse_before(text + 1, now_ms, ret);
    bool unix_time = text[0] == '@';
    if (parse_integer(text + unix_time, &end, &value) == 0 && *end == '\0') {
        *ret = (struct when){ unix_time ? WHEN_TIME : WHEN_OFFSET, value };
        return 0;
    }
    if (when_parse_iso(text, &value) < 0)
        return -EINVAL;
    *ret = (struct when){ WHEN_TIME, value };
    return 0;
}
