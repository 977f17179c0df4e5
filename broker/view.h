/*
 * view.h - a topic that is computed: its records are made out of the store's entries when somebody
 * reads them. Nothing of it is on the disk, but for what the store keeps anyway.
 *
 * A partition is what compaction would leave of a log into which every change of its entries had
 * been written: each entry is one record, or some, just below the lsn of its newest change. So
 * offsets last, only grow and have holes; who has read up to the end is woken by each change and
 * sees it. A deletion shows as a tombstone until the broker stops, or VIEW_TOMBSTONES_MAX newer
 * ones came; afterwards as nothing. The end never goes back: at a start it lies at least at the
 * newest deletion that ever was (an empty batch leads over what is gone).
 *
 * What a record says is a kind's business: internal_topics.c.
 *
 * A record is shown as soon as it is in the store: answers wait for topic->lsn. One thread: the
 * loop.
 */
#ifndef BROKER_VIEW_H
#define BROKER_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/uuid.h"
#include "storage/storage.h"

enum {
    VIEW_TOMBSTONES_MAX = 10000,
    VIEW_TOMBSTONE_BYTES_MAX = 4 << 20, /* of their keys */
    VIEW_READ_MAX = 64 << 10,           /* of one read; but one record comes whole */
    VIEW_BATCH_MAX = 16 << 10,          /* but a record that is larger */
    VIEW_SCAN_MAX = 1024,               /* entries looked at in one go */
    VIEW_RECORDS_MAX = 16,              /* of one entry */
};

/* The records of one entry, in order. */
struct view_records {
    struct out bytes;
    size_t count;
    struct view_record {
        size_t key_at, key_len, value_at, value_len; /* in bytes */
        bool tombstone;
    } records[VIEW_RECORDS_MAX];
};

/* What to do with entries of one kind. Keys and values are as the store has them; what can't be
 * read is left out. */
struct view_kind {
    uint16_t kind; /* enum store_kind */
    /* What the partition is found by. Null: no key of this kind. */
    struct bytes (*id)(struct bytes key);
    /* Which of several forms the entry's records have now, as a bit. Bits add up as long as the
     * entry is there in this life, so that its key is enough for the tombstones of all that readers
     * may have seen. NULL: there is one form only. */
    uint16_t (*form)(void *context, struct bytes key, struct bytes value);
    /* Timestamp of the records. */
    int64_t (*time_ms)(void *context, struct bytes key, struct bytes value);
    /* Adds the entry's records; a null value: their tombstones, in all `forms`. At most
     * VIEW_RECORDS_MAX, and never more than 64, which an entry has room for in offsets. While the
     * entry stays as it is, records may come or go only in front of the others: the last one has
     * the last offset. */
    void (*write)(void *context, struct bytes key, struct bytes value, uint16_t forms,
        struct view_records *to);
};

struct view_settings {
    const char *name;
    int32_t partitions;
    const struct topic_config_entry *entries; /* of the topic's configuration */
    size_t entry_count;
    const struct view_kind *kinds;
    size_t kind_count;
    int32_t (*partition)(struct bytes id, int32_t partitions);
    void *context; /* of the kinds' functions */
};

struct view;

/* Looks through what the store holds; from then on view_change must be called. The topic shows in
 * the storage when there is, or ever was, something in it, or at view_show. The settings stay the
 * caller's and outlive the view. */
struct view *view_create(
    const struct view_settings *settings, struct doors *doors, struct storage *storage);
/* Before the storage; nobody reads any more. NULL is fine. */
void view_destroy(struct view *view);
/* NULL: there is another topic of this name, which was there before; said once. */
struct topic *view_show(struct view *view);
/* A change of the store, of whatever kind. */
void view_change(struct view *view, const struct store_change *change);
/* Once per turn: who waits for what has changed looks again. */
void view_turn(struct view *view);

/* For kinds. */
void view_record_add(struct view_records *to, struct bytes key, struct bytes value);

#endif
