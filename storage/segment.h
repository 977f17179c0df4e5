/*
 * segment.h - one file of record batches, and which files are open.
 *
 *     DIR/<topic>-<partition>/<20 digits of the base offset>.log
 *     DIR/<topic>-<partition>/<20 digits of the base offset>.<generation>.log   made by compaction
 *     ... .idx instead of .log: its footer, when it is sealed
 *
 * A segment is a claim (offsets, sizes, times) that the checkpoint carries, and bytes: the first
 * `written` of its `size` bytes are in the file, the rest in the write-ahead ring. The file is made
 * by the first write-back. The claim is the truth: a file that is longer is cut, one that is
 * shorter was damaged.
 *
 * Open files and indexes are kept in order of use (struct residents) within two budgets; a file
 * with unsynced bytes stays open (an error of the kernel's own write-back must reach our sync).
 */
#ifndef STORAGE_SEGMENT_H
#define STORAGE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/list.h"
#include "storage/cursor.h"
#include "storage/disk.h"
#include "storage/index.h"
#include "storage/proof.h"

struct log;
struct batch_view;

enum segment_flag {
    SEGMENT_ROOTED = 1, /* root counts: whoever sets it has written and synced the footer */
    SEGMENT_SPARSE = 2, /* offsets may have holes between batches: compacted, or damaged before */
};

/* What a checkpoint says of a segment. */
struct segment_claim {
    int64_t base_offset;
    int64_t end_offset;           /* after its last batch */
    uint64_t size;                /* bytes, whether in the file yet or not */
    int64_t first_timestamp;      /* of the first batch that has one; -1: none */
    int64_t max_timestamp;        /* -1: none */
    int64_t max_timestamp_offset; /* base offset of the first batch with it */
    int64_t append_ms;            /* wall time of the newest append */
    uint64_t root;                /* footer.h; only with SEGMENT_ROOTED */
    uint32_t flags;
    uint32_t generation; /* 0: appended to; else made by compaction: part of the name */
};

/* A batch at its end: all but append_ms. */
void segment_claim_batch(struct segment_claim *claim, const struct batch_view *batch);
/* All but the generation, as checkpoints and compaction's puts hold it. */
void segment_claim_save(const struct segment_claim *claim, struct out *out);
/* `rooted`: with root and flags, which formats 1 and 2 had not. */
struct segment_claim segment_claim_load(struct cursor *cursor, bool rooted);
/* The paths of the file and of its footer; fresh memory. */
char *segment_claim_path(const struct log *log, const struct segment_claim *claim);
char *segment_claim_footer_path(const struct log *log, const struct segment_claim *claim);

struct segment {
    struct log *log;
    struct segment_claim claim;
    uint64_t written;
    uint64_t allocated;     /* blocks are reserved up to here */
    uint32_t allocate_step; /* of the last reservation */
    struct index index;
    struct disk_file *file; /* NULL: closed */
    struct list resident;   /* has an open file, an index or extents */
    struct list dirty;      /* in storage's list: has bytes that no sync has seen */
    bool name_dirty;        /* neither has its name */
    uint32_t users;         /* jobs that use the file */
    bool created;           /* the file is there */
    bool unchecked;         /* not opened for writing since the start: its length is not known */
    uint64_t found;         /* how long the replay found it */
    bool sealed;            /* nothing is appended any more */
    uint64_t sealed_lsn;    /* a checkpoint from here on names it as sealed */
    bool dropped;           /* no part of the log any more; freed with its last user */
    bool removing;          /* a removal owns it and frees it */
    bool complained;        /* one line about damage is enough */
    uint64_t fresh_from;    /* this process wrote what lies behind: no need to verify it */
    struct proof proof;
    uint64_t *extents;   /* of the footer, when it is loaded; then the index is whole, too */
    bool distrusted;     /* file and root differ, and the footer is lost: verified batch by batch */
    bool unsealable;     /* no footer can be made of it before the next start */
    struct list seal;    /* seals.todo */
    int64_t hint_offset; /* the batch that contains it begins at hint_position; -1: no hint */
    uint64_t hint_position;
};

struct segment *segment_create(struct log *log, const struct segment_claim *claim);
/* No users, no open file, in no list. */
void segment_destroy(struct segment *segment);
/* Verified from `position` up to here (position: not even one byte). */
uint64_t segment_reach(const struct segment *segment, uint64_t position);
/* What an index entry says of timestamps was verified. */
bool segment_knows_time(const struct segment *segment, const struct index_entry *entry);
static inline bool segment_is_rooted(const struct segment *segment)
{
    return (segment->claim.flags & SEGMENT_ROOTED) && !segment->distrusted;
}
/* Fresh memory: the file of batches, and the footer beside it. */
char *segment_path(const struct segment *segment);
char *segment_footer_path(const struct segment *segment);

/* Segments that have an open file or an index, by time of use. */
struct residents {
    struct list used; /* the longest unused first */
    const struct disk_table *disk;
    uint32_t files, files_max;
    uint32_t opening; /* files that jobs open to be kept */
    size_t index_bytes, index_bytes_max;
};

void residents_init(struct residents *residents, const struct disk_table *disk, uint32_t files_max,
    size_t index_bytes_max);
/* Used now. */
void residents_touch(struct residents *residents, struct segment *segment);
/* Takes the open file as the segment's, or closes it if there is one already or no need. */
void residents_adopt(struct residents *residents, struct segment *segment, struct disk_file *file);
/* Closes the file and forgets the index, if there are any. */
void residents_remove(struct residents *residents, struct segment *segment);
/* Closes and forgets what is beyond the budgets and not in use. */
void residents_trim(struct residents *residents);
/* A batch for the segment's index. */
void residents_index(
    struct residents *residents, struct segment *segment, const struct index_entry *batch);
/* An index built from the file, for the part that was missing. */
void residents_index_built(
    struct residents *residents, struct segment *segment, struct index *built);
/* What a footer knows, if that is not there yet: index and extents are taken out of it. */
struct footer;
void residents_footer(struct residents *residents, struct segment *segment, struct footer *footer);

#endif
