/* See names.h. The set is a table with linear probing, at most half full. */
#include "broker/names.h"

#include <errno.h>
#include <xxhash.h>

struct name_entry {
    struct bytes key; /* data NULL: free */
    int32_t number;
};

enum { FOLD_MAX = TOPIC_NAME_LEN_MAX };

const char *topic_name_fault(struct bytes name)
{
    if (!name.data || name.len == 0)
        return "a topic name may not be empty";
    if (name.len > TOPIC_NAME_LEN_MAX)
        return "a topic name may have at most 249 characters";
    if (bytes_equal_text(name, ".") || bytes_equal_text(name, ".."))
        return "a topic name may not be \".\" or \"..\"";
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
        if (!good)
            return "a topic name may have only ASCII letters, digits, '.', '_' and '-'";
    }
    return NULL;
}

bool topic_name_is_internal(struct bytes name)
{
    return bytes_equal_text(name, "__consumer_offsets") ||
           bytes_equal_text(name, "__transaction_state") ||
           bytes_equal_text(name, "__share_group_state");
}

int name_set_init(
    struct name_set *set, struct arena *arena, size_t count_max, uint64_t seed, bool folded)
{
    size_t size = 8;
    while (size < 2 * count_max)
        size *= 2;
    *set = (struct name_set){ .mask = size - 1,
        .count_max = count_max,
        .seed = seed,
        .folded = folded,
        .entries = arena_alloc(arena, size * sizeof(*set->entries)) };
    return set->entries ? 0 : -ENOMEM;
}

static uint8_t fold(uint8_t c)
{
    return c == '.' ? '_' : c;
}

static size_t slot_of(const struct name_set *set, struct bytes key)
{
    if (!set->folded)
        return XXH3_64bits_withSeed(key.data, key.len, set->seed) & set->mask;
    uint8_t folded[FOLD_MAX];
    size_t len = key.len < FOLD_MAX ? key.len : FOLD_MAX;
    for (size_t i = 0; i < len; i++)
        folded[i] = fold(key.data[i]);
    return XXH3_64bits_withSeed(folded, len, set->seed) & set->mask;
}

static bool same(const struct name_set *set, struct bytes a, struct bytes b)
{
    if (!set->folded || a.len != b.len)
        return bytes_equal(a, b);
    for (size_t i = 0; i < a.len; i++)
        if (fold(a.data[i]) != fold(b.data[i]))
            return false;
    return true;
}

/* The entry of the key, or the free one where it belongs. */
static struct name_entry *entry_of(const struct name_set *set, struct bytes key)
{
    size_t slot = slot_of(set, key);
    while (set->entries[slot].key.data && !same(set, set->entries[slot].key, key))
        slot = (slot + 1) & set->mask;
    return &set->entries[slot];
}

bool name_set_add(struct name_set *set, struct bytes key, int32_t number, int32_t *ret_number,
    struct bytes *ret_key)
{
    CHECK(key.data);
    struct name_entry *entry = entry_of(set, key);
    if (entry->key.data) {
        *ret_number = entry->number;
        if (ret_key)
            *ret_key = entry->key;
        return false;
    }
    CHECK(set->count < set->count_max);
    set->count++;
    *entry = (struct name_entry){ key, number };
    return true;
}

int32_t name_set_find(const struct name_set *set, struct bytes key, struct bytes *ret_key)
{
    const struct name_entry *entry = entry_of(set, key);
    if (!entry->key.data)
        return -1;
    if (ret_key)
        *ret_key = entry->key;
    return entry->number;
}
