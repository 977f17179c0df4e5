/*
 * varint.h - the variable-length integers inside records: zig-zag, least significant seven bits
 * first (protocol buffers' sint32 and sint64).
 *
 * Reading: at most 5 bytes for 32 bits and 10 for 64; bits beyond the type are an error, so every
 * reader of the same bytes sees the same number. A number written longer than need be is accepted,
 * as Kafka does. Writing: the shortest form.
 */
#ifndef PROTOCOL_VARINT_H
#define PROTOCOL_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/check.h"

enum { VARINT_SIZE_MAX = 5, VARLONG_SIZE_MAX = 10 };

static inline uint64_t varint_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static inline int64_t varint_unzigzag(uint64_t raw)
{
    return (int64_t)(raw >> 1 ^ -(raw & 1));
}

/* Reads an unsigned number of up to `bits` bits from [at, end). The place behind it; NULL if it is
 * cut, too long or too big. */
const uint8_t *varint_read_raw(const uint8_t *at, const uint8_t *end, int bits, uint64_t *ret);

/* Nearly all numbers in records take one byte or two, and the same place takes the same number of
 * bytes in record after record: these branches are foreseen, and nothing waits for a length. */
static inline bool varint_read_bits(const uint8_t **at, const uint8_t *end, int bits, int64_t *ret)
{
    const uint8_t *from = *at;
    uint64_t raw;
    if (from < end && from[0] < 0x80) {
        raw = from[0];
        *at = from + 1;
    } else if (end - from >= 2 && from[1] < 0x80) {
        raw = (uint64_t)(from[0] & 0x7f) | (uint64_t)from[1] << 7;
        *at = from + 2;
    } else {
        uint64_t longer; /* of its own: `raw` shall stay in a register */
        from = varint_read_raw(from, end, bits, &longer);
        if (!from)
            return false;
        raw = longer;
        *at = from;
    }
    *ret = varint_unzigzag(raw);
    return true;
}

/* The readers in use: false, and nothing changed, if the bytes are no such number. */
static inline bool varint_read(const uint8_t **at, const uint8_t *end, int32_t *ret)
{
    int64_t value;
    if (!varint_read_bits(at, end, 32, &value))
        return false;
    *ret = (int32_t)value;
    return true;
}

static inline bool varlong_read(const uint8_t **at, const uint8_t *end, int64_t *ret)
{
    return varint_read_bits(at, end, 64, ret);
}

/* Bytes that varint_write takes for `value`; 32-bit values take at most VARINT_SIZE_MAX. */
static inline size_t varint_size(int64_t value)
{
    uint64_t raw = varint_zigzag(value) | 1;
    return (size_t)(70 - __builtin_clzll(raw)) / 7;
}

/* Writes 1 to VARLONG_SIZE_MAX bytes at `to` and returns the place behind them. */
static inline uint8_t *varint_write(uint8_t *to, int64_t value)
{
    uint64_t raw = varint_zigzag(value);
    for (; raw >= 0x80; raw >>= 7)
        *to++ = (uint8_t)(raw | 0x80);
    *to++ = (uint8_t)raw;
    return to;
}

#endif
