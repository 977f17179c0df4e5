/* See offset_map.h. Open addressing, the next slot after a taken one; at most nine in ten are
 * taken, so a search ends. A zeroed slot is free. */
#include "storage/offset_map.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "protocol/base/mem.h"

struct offset_map_slot {
    uint64_t low, high; /* of the hash */
    uint64_t taken;     /* offset + 1; 0: free */
};
_Static_assert(sizeof(struct offset_map_slot) == OFFSET_MAP_SLOT, "a key takes a slot");

int offset_map_init(struct offset_map *map, uint64_t keys, uint64_t bytes_max,
    const uint8_t secret[OFFSET_MAP_SECRET])
{
    uint64_t fits = bytes_max / OFFSET_MAP_SLOT / 10 * 9;
    if (keys > fits)
        keys = fits;
    if (keys < OFFSET_MAP_KEYS_MIN)
        keys = OFFSET_MAP_KEYS_MIN;
    if (keys > UINT32_MAX / 2)
        keys = UINT32_MAX / 2;
    *map = (struct offset_map){ 0 };
    map->keys_max = (size_t)keys;
    map->slot_count = map->keys_max / 9 * 10 + 10;
    map->slots = mem_try_alloc(map->slot_count * sizeof(*map->slots));
    if (!map->slots)
        return -ENOMEM;
    offset_map_clear(map, secret);
    return 0;
}

void offset_map_done(struct offset_map *map)
{
    mem_free(map->slots);
    *map = (struct offset_map){ 0 };
}

void offset_map_clear(struct offset_map *map, const uint8_t secret[OFFSET_MAP_SECRET])
{
    memset(map->slots, 0, map->slot_count * sizeof(*map->slots));
    memcpy(map->secret, secret, OFFSET_MAP_SECRET);
    map->keys = 0;
}

/* The key's slot, or the free one where it would be. */
static struct offset_map_slot *slot_of(
    const struct offset_map *map, struct bytes key, XXH128_hash_t *ret_hash)
{
    XXH128_hash_t hash =
        XXH3_128bits_withSecret(key.data, key.len, map->secret, sizeof(map->secret));
    size_t at = (size_t)((hash.high64 >> 32) * map->slot_count >> 32);
    struct offset_map_slot *slot = &map->slots[at];
    while (slot->taken && (slot->low != hash.low64 || slot->high != hash.high64)) {
        at = at + 1 < map->slot_count ? at + 1 : 0;
        slot = &map->slots[at];
    }
    *ret_hash = hash;
    return slot;
}

bool offset_map_put(struct offset_map *map, struct bytes key, int64_t offset)
{
    XXH128_hash_t hash;
    struct offset_map_slot *slot = slot_of(map, key, &hash);
    if (!slot->taken) {
        if (map->keys == map->keys_max)
            return false;
        map->keys++;
    }
    *slot = (struct offset_map_slot){ hash.low64, hash.high64, (uint64_t)offset + 1 };
    return true;
}

int64_t offset_map_get(const struct offset_map *map, struct bytes key)
{
    XXH128_hash_t hash;
    return (int64_t)slot_of(map, key, &hash)->taken - 1;
}
