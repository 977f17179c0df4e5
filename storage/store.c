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
    size_t shared = place->key.len < entry->key_len ? place->key.len : entry->key_len;
    int order = shared ? memcmp(place->key.data, entry->key, shared) : 0;
    if (order != 0)
        return order;
    return (place->key.len > entry->key_len) - (place->key.len < entry->key_len);
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

void store_put(
    struct store *store, uint16_t kind, struct bytes key, struct bytes value, uint64_t lsn)
{
    CHECK(key.len <= UINT32_MAX && value.len <= UINT32_MAX);
    struct place place = { kind, key };
    if (!value.data) {
        struct tree_node *node = tree_remove(&store->tree, &place);
        if (node)
            entry_destroy(store, entry_of(node));
        store->delete_lsn = lsn;
        return;
    }
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
    entry->lsn = lsn;
}

static void save_subtree(const struct tree_node *node, struct out *out)
{
    if (!node)
        return;
    save_subtree(node->left, out);
    const struct store_entry *entry = container_of_const(node, struct store_entry, node);
    out_u16(out, entry->kind);
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
}

int store_load(struct cursor *cursor,
    int (*each)(void *context, uint16_t kind, struct bytes key, struct bytes value), void *context)
{
    for (uint64_t count = cursor_u64(cursor); count && !cursor->bad; count--) {
        uint16_t kind = cursor_u16(cursor);
        uint32_t key_len = cursor_u32(cursor);
        uint32_t value_len = cursor_u32(cursor);
        struct bytes key = cursor_bytes(cursor, key_len);
        struct bytes value = cursor_bytes(cursor, value_len);
        if (cursor->bad)
            break;
        int status = each(context, kind, key, value);
        if (status < 0)
            return status;
    }
    return cursor->bad ? -EUCLEAN : 0;
}
