/*
 * index.h - where in a segment an offset or a time is found, roughly: a sparse index in memory.
 *
 * An entry names the beginning of a batch. A lookup gives the last entry that is safe to start
 * from; the reader walks batch headers from there. Entries are `step` bytes of log apart at least;
 * when there are INDEX_ENTRIES_MAX of them every second goes and the step doubles, so an index
 * never takes more than 256 KiB whatever its segment's size.
 *
 * An index may begin in the middle of its segment (`from`, after a restart or after it was dropped
 * to save memory). Below that a lookup says so, and the reader builds what is missing from the
 * file.
 */
#ifndef STORAGE_INDEX_H
#define STORAGE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A lookup may be followed by a walk over a step's headers on the loop: whatever a topic's
 * index.interval.bytes says, its indexes are not sparser than INDEX_STEP_MAX. */
enum { INDEX_ENTRIES_MAX = 16384, INDEX_STEP_DEFAULT = 4096, INDEX_STEP_MAX = 65536 };

struct index_entry {
    uint32_t offset;       /* of the batch's base, relative to the segment's base */
    uint32_t position;     /* of the batch, in the file */
    int64_t max_timestamp; /* the largest of all batches before this one; INT64_MIN: none before */
};

struct index {
    struct index_entry *entries;
    size_t count, capacity;
    uint32_t step; /* bytes */
    uint32_t from; /* batches that begin below this position are unknown */
};

/* Allocates nothing yet. */
void index_init(struct index *index, uint32_t step, uint32_t from);
void index_done(struct index *index);
/* A batch; in ascending order. */
void index_note(struct index *index, const struct index_entry *batch);
/* The last entry with offset ≤ `offset`; NULL: below `from`, not known. */
const struct index_entry *index_floor(const struct index *index, uint32_t offset);
/* Place of the first entry that lies behind `position`; count: none does. */
size_t index_behind(const struct index *index, uint64_t position);
/* The last entry before which every timestamp is < `timestamp`; NULL: not known. */
const struct index_entry *index_floor_time(const struct index *index, int64_t timestamp);
/* Puts what `built` (from the beginning of the file) knows before what `index` knows; takes its
 * memory. Entries that both know are kept once. */
void index_prepend(struct index *index, struct index *built);
/* Forgets everything: nothing below `from` is known. */
void index_drop(struct index *index, uint32_t from);
static inline size_t index_bytes(const struct index *index)
{
    return index->capacity * sizeof(*index->entries);
}

#endif
