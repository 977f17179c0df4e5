/*
 * Keyed state. See keyed.h.
 *
 * Chained hashing of entries that never move; a value is a block of its own, so that a change swaps
 * one pointer and the journal keeps the old block until the unit's end. A deleted key stays as an
 * entry without a value until keyed_settle, since the journal may bring it back.
 *
 * Scans: a skip list through the same entries, built by the first scan and kept up from then on, so
 * that tables that are never scanned do not pay. An entry's height comes from its hash: the same
 * keys give the same list.
 */
#include "processors/keyed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct value {
    uint32_t len;
    uint8_t data[];
};

struct keyed_entry {
    struct keyed_entry *chain;
    struct keyed_entry **next; /* of the skip list: `height` links; NULL: not in it */
    uint64_t hash;
    struct value *value; /* NULL: deleted */
    uint32_t key_len;
    bool dirty;
    bool logged; /* the changelog has it (and no tombstone behind) */
    uint8_t key[];
};

enum { SLOTS_SMALLEST = 64, CHANGE_OVERHEAD = 24, ENTRY_OVERHEAD = 32 };

/* ---- entries --------------------------------------------------------------------------------- */

static struct value *value_copy(struct bytes value)
{
    if (!value.data)
        return NULL;
    struct value *copy = mem_alloc(sizeof(*copy) + value.len);
    copy->len = (uint32_t)value.len;
    if (value.len)
        memcpy(copy->data, value.data, value.len);
    return copy;
}

static size_t value_bytes(const struct value *value)
{
    return value ? sizeof(*value) + value->len + ENTRY_OVERHEAD / 2 : 0;
}

static struct bytes entry_key(const struct keyed_entry *entry)
{
    return bytes_of(entry->key, entry->key_len);
}

static struct bytes entry_value(const struct keyed_entry *entry)
{
    return entry->value ? bytes_of(entry->value->data, entry->value->len)
                        : (struct bytes){ NULL, 0 };
}

static size_t entry_bytes(const struct keyed_entry *entry)
{
    return sizeof(*entry) + entry->key_len + ENTRY_OVERHEAD;
}

static unsigned height_of(uint64_t hash)
{
    unsigned height = 1 + (unsigned)__builtin_ctzll(hash >> 32 | UINT64_C(1) << 32) / 2;
    return height < KEYED_LEVELS ? height : KEYED_LEVELS;
}

static void entry_free(struct keyed_entry *entry)
{
    mem_free(entry->next);
    mem_free(entry->value);
    mem_free(entry);
}

static struct keyed_entry **find(const struct keyed *keyed, struct bytes key, uint64_t hash)
{
    struct keyed_entry **at = &keyed->slots[hash & (keyed->slot_count - 1)];
    for (; *at; at = &(*at)->chain) {
        if ((*at)->hash == hash && bytes_equal(entry_key(*at), key))
            break;
    }
    return at;
}

static void grow(struct keyed *keyed)
{
    size_t count = keyed->slot_count ? keyed->slot_count * 2 : SLOTS_SMALLEST;
    struct keyed_entry **slots = mem_zalloc(count, sizeof(struct keyed_entry *));
    for (size_t i = 0; i < keyed->slot_count; i++) {
        for (struct keyed_entry *entry = keyed->slots[i], *following; entry; entry = following) {
            following = entry->chain;
            struct keyed_entry **at = &slots[entry->hash & (count - 1)];
            entry->chain = *at;
            *at = entry;
        }
    }
    mem_free(keyed->slots);
    keyed->bytes += (count - keyed->slot_count) * sizeof(struct keyed_entry *);
    keyed->slots = slots;
    keyed->slot_count = count;
}

/* ---- the skip list --------------------------------------------------------------------------- */

static int compare(struct bytes a, struct bytes b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.data, b.data, shared) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* On each level the link behind the last entry before `key`. */
static void list_seek(
    struct keyed *keyed, struct bytes key, struct keyed_entry **links[KEYED_LEVELS])
{
    struct keyed_entry **level = keyed->first;
    for (int i = KEYED_LEVELS - 1; i >= 0; i--) {
        while (level[i] && compare(entry_key(level[i]), key) < 0)
            level = level[i]->next;
        links[i] = &level[i];
    }
}

static void list_insert(struct keyed *keyed, struct keyed_entry *entry)
{
    struct keyed_entry **links[KEYED_LEVELS];
    unsigned height = height_of(entry->hash);
    list_seek(keyed, entry_key(entry), links);
    entry->next = mem_alloc(height * sizeof(struct keyed_entry *));
    for (unsigned i = 0; i < height; i++) {
        entry->next[i] = *links[i];
        *links[i] = entry;
    }
}

static void list_take(struct keyed *keyed, struct keyed_entry *entry)
{
    struct keyed_entry **links[KEYED_LEVELS];
    list_seek(keyed, entry_key(entry), links);
    for (unsigned i = 0; i < height_of(entry->hash); i++)
        *links[i] = entry->next[i];
}

static void order(struct keyed *keyed)
{
    keyed->ordered = true;
    for (size_t i = 0; i < keyed->slot_count; i++) {
        for (struct keyed_entry *entry = keyed->slots[i]; entry; entry = entry->chain)
            list_insert(keyed, entry);
    }
}

/* ---- the table ------------------------------------------------------------------------------- */

void keyed_init(struct keyed *keyed, struct journal *journal)
{
    *keyed = (struct keyed){ .journal = journal };
    grow(keyed);
}

void keyed_done(struct keyed *keyed)
{
    for (size_t i = 0; i < keyed->slot_count; i++) {
        for (struct keyed_entry *entry = keyed->slots[i], *following; entry; entry = following) {
            following = entry->chain;
            entry_free(entry);
        }
    }
    mem_free(keyed->slots);
    mem_free(keyed->dirty);
    *keyed = (struct keyed){ 0 };
}

struct bytes keyed_get(const struct keyed *keyed, struct bytes key)
{
    struct keyed_entry *entry = key.data ? *find(keyed, key, XXH3_64bits(key.data, key.len)) : NULL;
    return entry ? entry_value(entry) : (struct bytes){ NULL, 0 };
}

static struct keyed_entry *entry_of(struct keyed *keyed, struct bytes key)
{
    uint64_t hash = XXH3_64bits(key.data, key.len);
    struct keyed_entry *entry = *find(keyed, key, hash);
    if (entry)
        return entry;
    if (keyed->count >= keyed->slot_count)
        grow(keyed);
    entry = mem_alloc(sizeof(*entry) + key.len);
    *entry = (struct keyed_entry){ .hash = hash, .key_len = (uint32_t)key.len };
    if (key.len)
        memcpy(entry->key, key.data, key.len);
    *find(keyed, key, hash) = entry;
    keyed->count++;
    keyed->bytes += entry_bytes(entry);
    if (keyed->ordered)
        list_insert(keyed, entry);
    return entry;
}

static void entry_set(struct keyed *keyed, struct keyed_entry *entry, struct value *value)
{
    keyed->bytes += value_bytes(value);
    keyed->bytes -= value_bytes(entry->value);
    entry->value = value;
    keyed->generation++;
}

static void undo_put(struct undo *undo)
{
    struct keyed_entry *entry = undo->a.pointer;
    struct value *undone = entry->value;
    entry_set(undo->object, entry, undo->b.pointer);
    mem_free(undone);
}

static void keep_put(struct undo *undo)
{
    mem_free(undo->b.pointer);
}

static const struct undo_kind put_kind = { undo_put, keep_put };

int keyed_put(struct keyed *keyed, struct bytes key, struct bytes value)
{
    if (!key.data || key.len > KEYED_KEY_MAX || value.len > INT32_MAX)
        return -EINVAL;
    struct value *copy = value_copy(value); /* first: it may be a view of this very entry */
    struct keyed_entry *entry = entry_of(keyed, key);
    journal_add(keyed->journal, &put_kind, keyed, (union undo_value){ .pointer = entry },
        (union undo_value){ .pointer = entry->value });
    entry_set(keyed, entry, copy);
    if (!entry->dirty) {
        entry->dirty = true;
        mem_grow(keyed->dirty, &keyed->dirty_capacity, keyed->dirty_count + 1);
        keyed->dirty[keyed->dirty_count++] = entry;
        keyed->dirty_bytes += CHANGE_OVERHEAD + key.len;
    }
    keyed->dirty_bytes += value.len; /* an upper bound: a key put twice counts twice */
    return 0;
}

/* ---- scans ----------------------------------------------------------------------------------- */

void keyed_scan_begin(
    struct keyed_scan *scan, struct keyed *keyed, struct bytes low, struct bytes high)
{
    struct keyed_entry **links[KEYED_LEVELS];
    if (!keyed->ordered)
        order(keyed);
    list_seek(keyed, low.data ? low : bytes_of("", 0), links);
    *scan = (struct keyed_scan){ keyed, *links[0], high, keyed->generation };
}

bool keyed_scan_next(struct keyed_scan *scan, struct bytes *ret_key, struct bytes *ret_value)
{
    if (scan->generation != scan->keyed->generation)
        return false;
    while (scan->at && !scan->at->value)
        scan->at = scan->at->next[0];
    if (!scan->at || (scan->end.data && compare(entry_key(scan->at), scan->end) >= 0))
        return false;
    *ret_key = entry_key(scan->at);
    *ret_value = entry_value(scan->at);
    scan->at = scan->at->next[0];
    return true;
}

/* ---- changelog ------------------------------------------------------------------------------- */

void keyed_changes(const struct keyed *keyed,
    void (*each)(void *context, struct bytes key, struct bytes value), void *context)
{
    for (size_t i = 0; i < keyed->dirty_count; i++) {
        const struct keyed_entry *entry = keyed->dirty[i];
        if (entry->value || entry->logged)
            each(context, entry_key(entry), entry_value(entry));
    }
}

static void entry_remove(struct keyed *keyed, struct keyed_entry *entry)
{
    *find(keyed, entry_key(entry), entry->hash) = entry->chain;
    if (keyed->ordered)
        list_take(keyed, entry);
    keyed->count--;
    keyed->bytes -= entry_bytes(entry);
    keyed->generation++;
    entry_free(entry);
}

void keyed_settle(struct keyed *keyed)
{
    for (size_t i = 0; i < keyed->dirty_count; i++) {
        struct keyed_entry *entry = keyed->dirty[i];
        entry->dirty = false;
        entry->logged = entry->value != NULL;
        if (!entry->value)
            entry_remove(keyed, entry);
    }
    keyed->dirty_count = 0;
    keyed->dirty_bytes = 0;
}

int keyed_restore(struct keyed *keyed, struct bytes key, struct bytes value)
{
    if (!key.data || key.len > KEYED_KEY_MAX || value.len > INT32_MAX)
        return -EBADMSG;
    struct keyed_entry *entry = entry_of(keyed, key);
    struct value *old = entry->value;
    entry_set(keyed, entry, value_copy(value));
    mem_free(old);
    entry->logged = true;
    if (!entry->value)
        entry_remove(keyed, entry);
    return 0;
}
