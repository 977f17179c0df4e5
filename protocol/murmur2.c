/* See murmur2.h. Four bytes at a time, little-endian; the last one to three separately. */
#include "protocol/murmur2.h"

#include "protocol/base/check.h"

uint32_t murmur2(struct bytes key)
{
    const uint32_t seed = 0x9747b28c, factor = 0x5bd1e995;
    const uint8_t *at = key.data;
    uint32_t hash = seed ^ (uint32_t)key.len;
    for (size_t left = key.len / 4; left > 0; left--, at += 4) {
        uint32_t word = le_get32(at) * factor;
        hash = hash * factor ^ (word ^ word >> 24) * factor;
    }
    switch (key.len & 3) {
    case 3: hash ^= (uint32_t)at[2] << 16; FALLTHROUGH;
    case 2: hash ^= (uint32_t)at[1] << 8; FALLTHROUGH;
    case 1: hash = (hash ^ at[0]) * factor; break;
    default: break;
    }
    hash = (hash ^ hash >> 13) * factor;
    return hash ^ hash >> 15;
}
