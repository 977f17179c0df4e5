/*
 * footer.h - what is known of a sealed segment, in a file beside it: "<20 digits>.idx".
 *
 *     0 magic "MILLRIDX"        40 records u64               80 root u64
 *     8 format u32              48 batches u64               88 index step u32
 *    12 size of an extent u32   56 min timestamp i64         92 count of index entries u32
 *    16 base offset i64         64 max timestamp i64         96 count of extents u32
 *    24 end offset i64          72 offset of the batch      100 count of aborted transactions u32
 *    32 size u64                   with the largest i64
 *   104 index entries: offset u32, position u32, largest timestamp before i64
 *       extents: the XXH3-64 of each 64 KiB of the segment file (the last one may be shorter)
 *       aborted: producer id i64, first offset i64, last offset i64, last stable offset i64
 *       the XXH3-64 of all that lies before
 *
 * All of it can be made again from the segment, so a footer that is missing or not whole is made
 * again and never trusted for what it says. What tells a damaged segment from a damaged footer is
 * the root: a hash over offsets, size and extents that the checkpoint carries, too
 * (segment_claim.root). Extents cover headers and records alike.
 *
 * A footer is filled batch by batch, in order, by whoever has the bytes of the segment in his hands
 * (seal.c reads them back, compaction writes them):
 *
 *     footer_init(&footer, base_offset, index_step);
 *     footer_batch(&footer, &view);           for each batch, then its bytes in any pieces:
 *     footer_bytes(&footer, data, len);
 *     footer_abort(&footer, &aborted);        in the order of last_offset
 *     footer_finish(&footer, end_offset);     now the root is there
 *     footer_write(...)
 *     footer_done(&footer);
 *
 * To change the format: raise FOOTER_FORMAT. A file of another format counts as missing.
 */
#ifndef STORAGE_FOOTER_H
#define STORAGE_FOOTER_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/batch.h"
#include "storage/disk.h"
#include "storage/index.h"
#include "storage/storage.h"

enum {
    FOOTER_FORMAT = 1,
    FOOTER_EXTENT = 64 * 1024,
    FOOTER_HEAD_SIZE = 104,
    FOOTER_ENTRY_SIZE = 16,
    FOOTER_ABORTED_SIZE = 32,
    FOOTER_ABORTED_MAX = 65536, /* of one segment; more: -E2BIG, and there is no footer */
};

struct footer {
    int64_t base_offset, end_offset;
    uint64_t size; /* of the segment file */
    uint64_t records, batches;
    int64_t min_timestamp, max_timestamp; /* of batches that have one; -1: none has */
    int64_t max_timestamp_offset;         /* base offset of the first batch with the largest */
    uint64_t root;
    struct index index; /* whole: from == 0 */
    uint64_t *extents;
    size_t extent_count, extent_capacity;
    struct aborted_transaction *aborted;
    size_t aborted_count, aborted_capacity;
    /* while it is filled */
    uint8_t *pending; /* the extent that is not full yet */
    size_t pending_len;
};

void footer_init(struct footer *footer, int64_t base_offset, uint32_t index_step);
/* Accepts a zeroed one. */
void footer_done(struct footer *footer);
/* The batch whose bytes come next. */
void footer_batch(struct footer *footer, const struct batch_view *batch);
void footer_bytes(struct footer *footer, const void *data, size_t len);
/* -E2BIG */
int footer_abort(struct footer *footer, const struct aborted_transaction *aborted) MUST_CHECK;
/* The segment ends here: every byte was given. */
void footer_finish(struct footer *footer, int64_t end_offset);

/* As bytes and back. -EBADMSG: these are not a whole footer of our format. */
void footer_encode(const struct footer *footer, struct out *out);
int footer_decode(struct bytes bytes, struct footer *ret) MUST_CHECK;

/* The hash of one extent (in the pool while a segment is read). */
uint64_t footer_extent(const void *data, size_t len);
static inline size_t footer_extent_count(uint64_t size)
{
    return (size_t)((size + FOOTER_EXTENT - 1) / FOOTER_EXTENT);
}

/* Blocking. Writes and syncs the file and, where `directory` is not NULL, its name; an error of a
 * sync is -EIO, whatever it said. */
int footer_write(struct disk *disk, const char *path, const char *directory,
    const struct footer *footer) MUST_CHECK;
/* Blocking. -ENOENT; -EBADMSG: not whole, or not of the segment that has these. */
int footer_read(struct disk *disk, const char *path, int64_t base_offset, uint64_t size,
    uint64_t root, struct footer *ret) MUST_CHECK;

#endif
