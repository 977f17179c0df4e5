/*
 * murmur2.h - the hash by which Kafka's Java client chooses a partition for a key.
 *
 * librdkafka calls it "murmur2"; its own default is another ("consistent_random": crc32).
 */
#ifndef PROTOCOL_MURMUR2_H
#define PROTOCOL_MURMUR2_H

#include <stdint.h>

#include "protocol/base/bytes.h"

/* MurmurHash2, 32 bits, seed 0x9747b28c. */
uint32_t murmur2(struct bytes key);

/* The partition of a (non-null) key among `count` > 0 of them: the hash without its sign bit,
 * modulo. */
static inline int32_t murmur2_partition(struct bytes key, int32_t count)
{
    return (int32_t)((murmur2(key) & INT32_MAX) % (uint32_t)count);
}

#endif
