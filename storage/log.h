/*
 * log.h - one partition's log from the inside: its segments, and what of it still lies in the
 * write-ahead ring.
 *
 * A batch has a segment and a position there from the moment it is appended; when its bytes are
 * copied to the file is another matter:
 *
 *     entries of the ring   [ written back, not yet visible | neither | not visible ... newest ]
 *                             head                ^ written          ^ visible      (two counters)
 *
 * The queue begins at the oldest entry that is either not visible or not written back. Both
 * counters only move forward, each at its own pace. Everything here is on the loop thread.
 */
#ifndef STORAGE_LOG_H
#define STORAGE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/heap.h"
#include "protocol/base/tree.h"
#include "protocol/batch.h"
#include "storage/cursor.h"
#include "storage/epochs.h"
#include "storage/segment.h"
#include "storage/storage.h"
#include "storage/transactions.h"

/* A batch in the ring. */
struct ring_entry {
    uint64_t lsn;     /* of its wal record */
    uint64_t end_lsn; /* of its unit */
    int64_t base_offset;
    uint32_t len;
    uint32_t last_offset_delta : 31;
    uint32_t durable : 1; /* visible when end_lsn is durable, not just written */
};

struct log_body {
    struct storage *storage;
    struct log *log;
    struct tree_node by_id;    /* storage->logs */
    uint32_t id;               /* never used again */
    struct segment **segments; /* oldest first; may be none */
    size_t segment_count, segment_capacity;
    struct epochs epochs;
    struct transactions *transactions; /* NULL: none yet */
    struct ring_entry *entries;        /* a circular queue; capacity is a power of two or 0 */
    uint32_t capacity, head, count;
    uint32_t written, visible; /* of `count`, from the head */
    /* By the first unwritten entry's lsn, in writeback.ready or .busy, or NULL. */
    struct heap *writeback_heap;
    struct heap_node writeback_node;
    /* By the first invisible entry's end_lsn, in await_written or await_durable, or NULL. */
    struct heap *visible_heap;
    struct heap_node visible_node;
    struct list wake_link;   /* storage->wakes */
    struct list notice_link; /* storage->notices */
    uint64_t notice_lsn;
    uint32_t users;           /* jobs, reads and removals that hold it */
    bool busy;                /* a job works on its files, or must be waited for */
    bool directory_made;      /* the directory is there */
    struct list scrub_link;   /* removals.scrubs: may have files that are no segment's */
    struct list blocked_link; /* waits for a directory of its name to be removed */
    int64_t first_dirty;      /* compaction got so far */
    uint32_t generation;      /* the highest that a segment of it had in this life */
    bool scrubbing;           /* the look through its directory is in the pool */
    bool uncleanable;         /* compaction met damage; until the next start */
    bool damaged;             /* refuses appends, and reads from damaged_offset on */
    bool complained;
    int64_t damaged_offset;
    struct replay_run *replay; /* recovery only: bytes on their way to the file */
};

struct log *log_create(
    struct storage *storage, struct topic *topic, int32_t partition, uint32_t id);
/* Nothing may use it any more. */
void log_destroy(struct log *log);
/* Bytes between the entries of its segments' indexes. */
uint32_t log_index_step(const struct log *log);
/* DIR/<topic>-<partition>, fresh memory. */
char *log_directory(const struct log *log);

/* Takes a place for the batch at the end of the log: rolls when due, and lets segment, index,
 * epochs and producers know. `batch` has its base offset. `lsn`: end of the unit. */
struct segment *log_place(struct log *log, const struct batch_view *batch, uint64_t lsn);
/* Remembers where in the ring the placed batch lies. */
void log_push(struct log *log, const struct ring_entry *entry);
/* The entry `index` places behind the head. */
const struct ring_entry *log_entry(const struct log *log, uint32_t index);
/* Place of the unwritten entry that contains `offset`, or count if it is none of them. */
uint32_t log_entry_find(const struct log *log, int64_t offset);
/* Forgets entries that are both visible and written back. */
void log_trim(struct log *log);

void log_set_high_watermark(struct log *log, int64_t offset);
/* Drops segments that end at or below `offset`; their files go when `lsn` is durable. */
void log_raise_start(struct log *log, int64_t offset, uint64_t lsn);
/* Puts `claim` (made by compaction; NULL: nothing) in place of the sealed segments that cover
 * exactly [from, to); their files go when `lsn` is durable. -EUCLEAN: there are none such. */
int log_replace(struct log *log, int64_t from, int64_t to, const struct segment_claim *claim,
    uint64_t lsn) MUST_CHECK;
/* The topic was deleted: no entries, no segments. */
void log_abandon(struct log *log, uint64_t lsn);
/* With no job on its files: entries that belong to no segment any more count as written back. */
void log_skip_dropped(struct log *log);
/* The segment that contains `offset` or, in a hole, the next above it; NULL: none. */
struct segment *log_segment(const struct log *log, int64_t offset);
/* The oldest segment with bytes that are not in its file, or NULL. */
struct segment *log_unwritten_segment(const struct log *log);
struct segment *log_active_segment(const struct log *log);
/* Appends a segment claim (recovery). -EUCLEAN if it does not follow. */
int log_add_claim(struct log *log, const struct segment_claim *claim) MUST_CHECK;
/* A job is done with it; a dropped segment that nobody uses is freed. */
void log_release_segment(struct segment *segment);

/* While a pool job changes the log's files: one at a time. At the end what was dropped meanwhile is
 * skipped. */
void log_set_busy(struct log *log, bool busy);
/* Keeps the log and its topic in memory; release lets go. */
void log_use(struct log *log);
void log_unuse(struct log *log);

#endif
