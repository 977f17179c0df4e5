/* See offset_map.h. */
#include "storage/offset_map.h"

#include <stdio.h>

#include "protocol/base/random.h"
#include "tests/test.h"

static struct bytes key_of(int i, char *to, size_t size)
{
    int len = snprintf(to, size, "key-%d", i);
    return bytes_of(to, (size_t)len);
}

static void secret_draw(uint64_t seed, uint8_t *to)
{
    struct random random = random_seeded(seed);
    random_bytes(&random, to, OFFSET_MAP_SECRET);
}

TEST(offset_map, knows_the_newest_offset_of_each_key)
{
    struct offset_map map;
    uint8_t secret[OFFSET_MAP_SECRET];
    char text[32];
    secret_draw(1, secret);
    cr_assert_eq(offset_map_init(&map, 10000, 1 << 20, secret), 0);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 10000; i++)
            cr_assert(offset_map_put(&map, key_of(i, text, sizeof(text)), round * 100000 + i));
    cr_assert_eq(map.keys, 10000);
    for (int i = 0; i < 10000; i++)
        cr_assert_eq(offset_map_get(&map, key_of(i, text, sizeof(text))), 200000 + i);
    cr_assert_eq(offset_map_get(&map, key_of(10000, text, sizeof(text))), -1);
    cr_assert_eq(offset_map_get(&map, bytes_text("")), -1);
    cr_assert(!offset_map_put(&map, bytes_text(""), 0), "all its room is taken");
    offset_map_done(&map);
}

TEST(offset_map, the_empty_key_and_offset_0_are_like_others)
{
    struct offset_map map;
    uint8_t secret[OFFSET_MAP_SECRET];
    secret_draw(1, secret);
    cr_assert_eq(offset_map_init(&map, 10, 1 << 20, secret), 0);
    cr_assert(offset_map_put(&map, bytes_text(""), 0));
    cr_assert_eq(offset_map_get(&map, bytes_text("")), 0);
    cr_assert_eq(offset_map_get(&map, bytes_text("0")), -1);
    offset_map_done(&map);
}

TEST(offset_map, stays_within_its_memory_and_says_when_it_is_full)
{
    struct offset_map map;
    uint8_t secret[OFFSET_MAP_SECRET];
    char text[32];
    int count = 0;
    secret_draw(2, secret);
    cr_assert_eq(offset_map_init(&map, UINT64_MAX, 24000, secret), 0);
    cr_assert_leq(map.slot_count * OFFSET_MAP_SLOT, 24000 + 10 * OFFSET_MAP_SLOT);
    while (offset_map_put(&map, key_of(count, text, sizeof(text)), count))
        count++;
    cr_assert_eq(count, 900, "nine tenths of 1,000 slots");
    cr_assert(offset_map_put(&map, key_of(7, text, sizeof(text)), 5000), "a known key has room");
    cr_assert_eq(offset_map_get(&map, key_of(7, text, sizeof(text))), 5000);
    offset_map_clear(&map, secret);
    cr_assert_eq(offset_map_get(&map, key_of(7, text, sizeof(text))), -1);
    cr_assert(offset_map_put(&map, key_of(count, text, sizeof(text)), 1));
    offset_map_done(&map);
}

TEST(offset_map, has_room_for_something_whatever_it_is_given)
{
    struct offset_map map;
    uint8_t secret[OFFSET_MAP_SECRET];
    char text[32];
    secret_draw(3, secret);
    cr_assert_eq(offset_map_init(&map, 1, 0, secret), 0);
    for (int i = 0; i < OFFSET_MAP_KEYS_MIN; i++)
        cr_assert(offset_map_put(&map, key_of(i, text, sizeof(text)), i));
    cr_assert(!offset_map_put(&map, bytes_text("more"), 1));
    offset_map_done(&map);
}

/* Where a key lies depends on the secret: nobody outside can aim. */
TEST(offset_map, another_secret_gives_other_hashes)
{
    struct offset_map map[2];
    uint8_t secret[OFFSET_MAP_SECRET];
    for (uint64_t i = 0; i < 2; i++) {
        secret_draw(10 + i, secret);
        cr_assert_eq(offset_map_init(&map[i], 1, 0, secret), 0);
        cr_assert(offset_map_put(&map[i], bytes_text("a key"), 1));
    }
    cr_assert(memcmp(map[0].slots, map[1].slots, map[0].slot_count * OFFSET_MAP_SLOT) != 0);
    offset_map_done(&map[0]);
    offset_map_done(&map[1]);
}
