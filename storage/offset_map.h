/*
 * offset_map.h - which is the newest record of each key: what a compaction knows of the part of a
 * log that is new. A fixed piece of memory; nothing of a key is kept but 128 bits of its hash.
 *
 * Two keys with one hash would erase each other's records. By chance that does not happen; on
 * purpose it must not: the hash (XXH3-128) is keyed with a secret that each run draws afresh.
 */
#ifndef STORAGE_OFFSET_MAP_H
#define STORAGE_OFFSET_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

enum {
    OFFSET_MAP_SECRET = 192, /* bytes */
    OFFSET_MAP_SLOT = 24,    /* bytes a key takes; a tenth of the slots stays free */
    OFFSET_MAP_KEYS_MIN = 64,
};

struct offset_map {
    struct offset_map_slot *slots;
    size_t slot_count, keys, keys_max;
    uint8_t secret[OFFSET_MAP_SECRET];
};

/* Room for `keys` keys, or for as many as fit into `bytes_max` (at least OFFSET_MAP_KEYS_MIN).
 * -ENOMEM. The secret is the caller's to draw. */
int offset_map_init(struct offset_map *map, uint64_t keys, uint64_t bytes_max,
    const uint8_t secret[OFFSET_MAP_SECRET]) MUST_CHECK;
/* Accepts a zeroed one. */
void offset_map_done(struct offset_map *map);
/* Forgets all keys; another secret. */
void offset_map_clear(struct offset_map *map, const uint8_t secret[OFFSET_MAP_SECRET]);
/* The newest record of `key` is at `offset` (≥ 0). False: the key is new and there is no room. */
bool offset_map_put(struct offset_map *map, struct bytes key, int64_t offset) MUST_CHECK;
/* -1: the key was not put. */
int64_t offset_map_get(const struct offset_map *map, struct bytes key);

#endif
