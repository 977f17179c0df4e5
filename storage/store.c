/* See store.h. An entry and its key are one block; the value is a block of its own that is written
 * over in place when the new one fits. */
#include "storage/store.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"

struct place {
    uint16_t kind;
    struct bytes key;
};

static int compare(const void *key, const struct tree_node *node)
{
    const struct place *place = key;
    const struct store_entry *entry = container_of_const(node, struct store_entry, node);
    if (place->kind != entry->kind)
        return place->kind < entry->kind ? -1 : 1;
    return bytes_compare(place->key, bytes_of(entry->key, entry->key_len));
}

static struct store_entry *entry_of(struct tree_node *node)
{
    return node ? container_of(node, struct store_entry, node) : NULL;
}

void store_init(struct store *store)
{
    *store = (struct store){ .tree = { .compare = compare } };
}

static void entry_destroy(struct store *store, struct store_entry *entry)
{
    store->bytes -= entry->key_len + entry->value_len;
    mem_free(entry->value);
    mem_free(entry);
}

void store_done(struct store *store)
{
    for (struct tree_node *node; (node = tree_first(&store->tree));) {
        struct store_entry *entry = entry_of(node);
        struct place place = { entry->kind, store_entry_key(entry) };
        (void)tree_remove(&store->tree, &place);
        entry_destroy(store, entry);
    }
}

const struct store_entry *store_find(const struct store *store, uint16_t kind, struct bytes key)
{
    struct place place = { kind, key };
    return entry_of(tree_find(&store->tree, &place));
}

static const struct store_entry *of_kind(struct tree_node *node, uint16_t kind)
{
    const struct store_entry *entry = entry_of(node);
    return entry && entry->kind == kind ? entry : NULL;
}

const struct store_entry *store_at(const struct store *store, uint16_t kind, struct bytes key)
{
    struct place place = { kind, key };
    return of_kind(tree_at(&store->tree, &place), kind);
}

const struct store_entry *store_next(const struct store *store, uint16_t kind, struct bytes key)
{
    struct place place = { kind, key };
    return of_kind(tree_after(&store->tree, &place), kind);
}

static void entry_set(struct store *store, struct store_entry *entry, struct bytes value)
{
    if (value.len > entry->value_capacity) {
        uint8_t *room = mem_alloc(value.len);
        mem_free(entry->value);
        entry->value = room;
        entry->value_capacity = (uint32_t)value.len;
    }
    if (value.len)
        memmove(entry->value, value.data, value.len);
    store->bytes = store->bytes - entry->value_len + value.len;
    entry->value_len = (uint32_t)value.len;
}

static uint64_t entry_delete(struct store *store, const struct place *place, uint64_t lsn)
{
    struct store_entry *entry = entry_of(tree_remove(&store->tree, place));
    uint64_t before = entry ? entry->lsn : 0;
    if (entry)
        entry_destroy(store, entry);
    store->delete_lsn = lsn;
    if (entry && place->kind < STORE_KINDS)
        store->deletions[place->kind] = lsn;
    return before;
}

uint64_t store_put(
    struct store *store, uint16_t kind, struct bytes key, struct bytes value, uint64_t lsn)
{
    CHECK(key.len <= UINT32_MAX && value.len <= UINT32_MAX);
    struct place place = { kind, key };
    if (!value.data)
        return entry_delete(store, &place, lsn);
    struct store_entry *entry = entry_of(tree_find(&store->tree, &place));
    if (!entry) {
        entry = mem_alloc(sizeof(*entry) + key.len);
        *entry = (struct store_entry){ .kind = kind, .key_len = (uint32_t)key.len };
        if (key.len)
            memcpy(entry->key, key.data, key.len);
        store->bytes += key.len;
        /* Never NULL: an empty value is not an absent one. */
        entry->value = mem_alloc(value.len);
        entry->value_capacity = (uint32_t)value.len;
        tree_insert(&store->tree, &place, &entry->node);
    }
    entry_set(store, entry, value);
    uint64_t before = entry->lsn;
    entry->lsn = lsn;
    return before;
}

static void save_subtree(const struct tree_node *node, struct out *out)
{
    if (!node)
        return;
    save_subtree(node->left, out);
    const struct store_entry *entry = container_of_const(node, struct store_entry, node);
    out_u16(out, entry->kind);
    out_u64(out, entry->lsn);
    out_u32(out, entry->key_len);
    out_u32(out, entry->value_len);
    out_bytes(out, entry->key, entry->key_len);
    out_bytes(out, entry->value, entry->value_len);
    save_subtree(node->right, out);
}

void store_save(const struct store *store, struct out *out)
{
    out_u64(out, store->tree.count);
    save_subtree(store->tree.root, out);
    size_t count_at = out->len;
    uint16_t count = 0;
    out_u16(out, 0);
    for (int kind = 0; kind < STORE_KINDS; kind++) {
        if (!store->deletions[kind])
            continue;
        out_u16(out, (uint16_t)kind);
        out_u64(out, store->deletions[kind]);
        count++;
    }
    le_put16(out->data + count_at, count);
}

static void deletions_load(struct store *store, struct cursor *cursor, uint64_t end_lsn)
{
    for (uint16_t count = cursor_u16(cursor); count && !cursor->bad; count--) {
        uint16_t kind = cursor_u16(cursor);
        uint64_t lsn = cursor_u64(cursor);
        if (kind < STORE_KINDS && lsn <= end_lsn)
            store->deletions[kind] = lsn;
        else
            cursor->bad = true;
    }
}

int store_load(struct store *store, struct cursor *cursor, uint64_t end_lsn, bool without_lsn,
    int (*each)(void *context, uint16_t kind, struct bytes key, struct bytes value, uint64_t lsn),
    void *context)
{
    for (uint64_t count = cursor_u64(cursor); count && !cursor->bad; count--) {
        uint16_t kind = cursor_u16(cursor);
        uint64_t lsn = end_lsn >= count ? end_lsn - count + 1 : 0;
        if (!without_lsn)
            lsn = cursor_u64(cursor);
        uint32_t key_len = cursor_u32(cursor);
        uint32_t value_len = cursor_u32(cursor);
        struct bytes key = cursor_bytes(cursor, key_len);
        struct bytes value = cursor_bytes(cursor, value_len);
        if (cursor->bad || lsn > end_lsn)
            return -EUCLEAN;
        int status = each(context, kind, key, value, lsn);
        if (status < 0)
            return status;
    }
    if (!without_lsn)
        deletions_load(store, cursor, end_lsn);
    return cursor->bad ? -EUCLEAN : 0;
}
