/*
 * scan.h - walking the batches of a segment file by their headers, on the loop (without waiting) or
 * in the pool. Inside storage/ only.
 *
 * Nothing read from a file is believed: a header that is not one, that goes beyond the bytes the
 * log claims, or whose offsets do not follow the one before, is -EBADMSG. Checksums are verify.h's:
 * a walk goes no farther than what was verified (`limit`).
 */
#ifndef STORAGE_SCAN_H
#define STORAGE_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/buffer.h"
#include "protocol/batch.h"
#include "storage/disk.h"

/* A segment file to be read; filled on the loop, used there or by one job. */
struct source {
    const struct disk_table *disk;
    struct disk_file *file;
    bool nowait;                     /* -EAGAIN instead of waiting for the device */
    bool dense;                      /* each batch begins at the offset behind the one before */
    uint64_t size;                   /* bytes that are in the file */
    uint64_t limit;                  /* verified up to here: -EAGAIN for what lies behind */
    int64_t base_offset, end_offset; /* the segment's */
};

/* Where a walk stands: at the batch that begins at `position`, whose base offset is at least
 * `offset`. */
struct place {
    uint64_t position;
    int64_t offset;
};

/* Is this the header of the next batch at `place`? */
bool source_is_sane(
    const struct source *source, const struct place *place, const struct batch_view *view);
/* Tells every batch from `place` on by its header, until `each` says false or the file ends; leaves
 * *place at the batch that was refused. */
int source_walk(const struct source *source, struct place *place,
    bool (*each)(void *context, const struct place *place, const struct batch_view *view),
    void *context) MUST_CHECK;
/* Moves *place to the batch that contains `offset` or is the first behind it; to the file's end if
 * there is none. -EAGAIN: as far as the limit. */
int source_locate(const struct source *source, struct place *place, int64_t offset) MUST_CHECK;

/* What to take from a place on. */
struct take {
    size_t max_bytes;
    bool at_least_one;
    int64_t below; /* only batches that end below this offset */
};
/* Whole batches into a fresh buffer; NULL if nothing fits. Moves *place behind them. -ENOMEM;
 * -EAGAIN: not even one lies before the limit. */
int source_take(const struct source *source, struct place *place, const struct take *take,
    struct buffer_pool *pool, struct buffer **ret) MUST_CHECK;

#endif
