/*
 * cursor.h - reading our own little-endian formats from bytes that a disk may have damaged.
 *
 * The error is sticky: read everything, then ask `bad` once. After an error numbers are 0 and runs
 * are null. Nothing beyond the bytes is ever touched.
 */
#ifndef STORAGE_CURSOR_H
#define STORAGE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"

struct cursor {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static inline struct cursor cursor_of(struct bytes bytes)
{
    return (struct cursor){ .at = bytes.data, .left = bytes.len };
}

static inline struct bytes cursor_bytes(struct cursor *cursor, size_t len)
{
    if (cursor->bad || cursor->left < len) {
        cursor->bad = true;
        return (struct bytes){ 0 };
    }
    struct bytes run = bytes_of(cursor->at, len);
    cursor->at += len;
    cursor->left -= len;
    return run;
}

#define CURSOR_DEFINE_INT(bits)                                                                    \
    static inline uint##bits##_t cursor_u##bits(struct cursor *cursor)                             \
    {                                                                                              \
        struct bytes run = cursor_bytes(cursor, bits / 8);                                         \
        return run.data ? le_get##bits(run.data) : 0;                                              \
    }                                                                                              \
    static inline void out_u##bits(struct out *out, uint##bits##_t value)                          \
    {                                                                                              \
        le_put##bits(out_add(out, bits / 8), value);                                               \
    }
CURSOR_DEFINE_INT(16)
CURSOR_DEFINE_INT(32)
CURSOR_DEFINE_INT(64)

static inline uint8_t cursor_u8(struct cursor *cursor)
{
    struct bytes run = cursor_bytes(cursor, 1);
    return run.data ? run.data[0] : 0;
}
static inline int64_t cursor_i64(struct cursor *cursor)
{
    return (int64_t)cursor_u64(cursor);
}
static inline int32_t cursor_i32(struct cursor *cursor)
{
    return (int32_t)cursor_u32(cursor);
}
/* A count of things of at least `size` bytes each: bad if they can't be there. */
static inline uint32_t cursor_count(struct cursor *cursor, size_t size)
{
    uint32_t count = cursor_u32(cursor);
    if (count > cursor->left / size) {
        cursor->bad = true;
        return 0;
    }
    return count;
}

static inline void out_u8(struct out *out, uint8_t value)
{
    *out_add(out, 1) = value;
}

#endif
