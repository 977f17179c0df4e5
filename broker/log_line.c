/* See log_line.h. The calendar is computed here: UTC needs no time zone's files. */
#include "broker/log_line.h"

#include <inttypes.h>
#include <stdio.h>

enum { MS_PER_DAY = 86400000 };

struct date {
    int64_t year;
    int month, day;
};

/* Days since 1970-01-01 in the Gregorian calendar; years begin in March here, so that the leap day
 * is the last. */
static struct date date_of(int64_t days)
{
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month = (int)((5 * day_of_year + 2) / 153);
    struct date date = {
        .year = year_of_era + era * 400,
        .month = month < 10 ? month + 3 : month - 9,
        .day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
    };
    if (date.month <= 2)
        date.year++;
    return date;
}

size_t log_line_format(
    char *to, size_t size, int64_t wall_ms, enum log_level level, const char *text)
{
    static const char *const names[] = { "ERROR", "WARN ", "INFO ", "DEBUG" };
    int64_t days = wall_ms / MS_PER_DAY, ms = wall_ms % MS_PER_DAY;
    if (ms < 0) {
        ms += MS_PER_DAY;
        days--;
    }
    struct date date = date_of(days);
    int len = snprintf(to, size, "%04" PRId64 "-%02d-%02dT%02d:%02d:%02d.%03dZ %s %s", date.year,
        date.month, date.day, (int)(ms / 3600000), (int)(ms / 60000 % 60), (int)(ms / 1000 % 60),
        (int)(ms % 1000), names[level], text);
    size_t used = len < 0 ? 0 : (size_t)len;
    if (used > size - 2)
        used = size - 2;
    for (size_t i = 0; i < used; i++) {
        unsigned char c = (unsigned char)to[i];
        if (c < 0x20 || c == 0x7f)
            to[i] = '?';
    }
    to[used] = '\n';
    to[used + 1] = 0;
    return used + 1;
}
