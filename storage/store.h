/*
 * store.h - the keyed store: small state in memory, ordered by (kind, key), each entry with the log
 * position of its newest change.
 *
 * It only remembers; that it is durable is the business of units and checkpoints. storage.h has the
 * face (store_get, store_each) for the rooms above.
 */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/tree.h"
#include "storage/cursor.h"

enum { STORE_KINDS = 64 }; /* whose deletions are remembered; enum store_kind stays below */

struct store {
    struct tree tree;
    size_t bytes;                    /* of keys and values */
    uint64_t delete_lsn;             /* of the newest deletion: what an absent key depends on */
    uint64_t deletions[STORE_KINDS]; /* of the newest of each kind; 0: none ever */
};

struct store_entry {
    struct tree_node node;
    uint64_t lsn;
    uint8_t *value;
    uint32_t value_len, value_capacity;
    uint32_t key_len;
    uint16_t kind;
    uint8_t key[];
};

void store_init(struct store *store);
void store_done(struct store *store);

static inline struct bytes store_entry_key(const struct store_entry *entry)
{
    return bytes_of(entry->key, entry->key_len);
}
static inline struct bytes store_entry_value(const struct store_entry *entry)
{
    return bytes_of(entry->value, entry->value_len);
}

/* NULL if absent. Valid until the next put. */
const struct store_entry *store_find(const struct store *store, uint16_t kind, struct bytes key);
/* The first entry of the kind with a key ≥ `key`, > `key`; NULL if there is none. */
const struct store_entry *store_at(const struct store *store, uint16_t kind, struct bytes key);
const struct store_entry *store_next(const struct store *store, uint16_t kind, struct bytes key);
/* Copies both. value.data NULL deletes. Returns the lsn of the entry that was there before, or 0.
 */
uint64_t store_put(
    struct store *store, uint16_t kind, struct bytes key, struct bytes value, uint64_t lsn);

/* Everything, in order, appended to `out`: count, then kind, lsn, key and value of each; then the
 * deletions: count u16, kind u16 and lsn u64 of each. */
void store_save(const struct store *store, struct out *out);
/* What store_save wrote, told one by one (so that storage's own kinds take effect); the deletions
 * are the store's at once. The first error of `each` ends it; -EUCLEAN for bytes that are no such
 * thing, or that tell of a change behind `end_lsn`, where they were saved. Bytes `without_lsn` are
 * of a format that did not have them: the entries share out the lsns up to end_lsn, in order. */
int store_load(struct store *store, struct cursor *cursor, uint64_t end_lsn, bool without_lsn,
    int (*each)(void *context, uint16_t kind, struct bytes key, struct bytes value, uint64_t lsn),
    void *context) MUST_CHECK;

#endif
