/*
 * when.h - where reading starts: a word of the command line turned into an offset or a time.
 */
#ifndef CLIENT_WHEN_H
#define CLIENT_WHEN_H

#include <stdint.h>

#include "protocol/base/check.h"

enum when_kind {
    WHEN_BEGINNING,
    WHEN_END,
    WHEN_OFFSET, /* number: an offset */
    WHEN_TAIL,   /* number: so many records before the end of each partition */
    WHEN_TIME,   /* number: milliseconds since 1970 (UTC); the first record at or after it */
};

struct when {
    enum when_kind kind;
    int64_t number;
};

/* "beginning", "end", an offset "42", a tail "-5", a time: ISO 8601 ("2026-01-31", with "T12:30",
 * "T12:30:05.250", "Z" or "+02:00"; no zone means UTC), "@1767225600000" (unix milliseconds), or
 * before now: "-90s", "-10m", "-2h", "-1d". 0, or -EINVAL. */
int when_parse(const char *text, int64_t now_ms, struct when *ret) MUST_CHECK;
/* Only the ISO 8601 forms above. */
int when_parse_iso(const char *text, int64_t *ret_ms) MUST_CHECK;

#endif
