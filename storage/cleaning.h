/*
 * cleaning.h - one compaction of one log, the part that reads and writes files: in the pool, a
 * slice at a time. compaction.c decides what, when and what becomes of it. Inside storage/ only.
 *
 *   learn   the keys of [known_from, round_end), until the map is full
 *   pass    the segments of one group, through the sieve, into one new file
 *   seal    sync of that file, its footer beside it, and both names
 *
 * The new file has a name that no file ever had in this life (its generation), so nothing is
 * written over and nothing is renamed; until the log takes it in place of the group it is nobody's.
 */
#ifndef STORAGE_CLEANING_H
#define STORAGE_CLEANING_H

#include <stdbool.h>

#include "storage/disk.h"
#include "storage/footer.h"
#include "storage/scan.h"
#include "storage/segment.h"
#include "storage/sieve.h"
#include "storage/work.h"

enum {
    CLEANING_SLICE_BYTES = 1 << 20,   /* read in one job of the pool */
    CLEANING_CHUNK_BYTES = 256 << 10, /* read at once, and written at once */
};

enum cleaning_step { CLEANING_LEARN, CLEANING_PASS, CLEANING_SEAL };

/* A segment that is read; its claim as it was when the cleaning began. */
struct cleaning_source {
    struct segment *segment; /* the loop's; NULL: let go of */
    char *path;
    struct segment_claim claim;
};

struct cleaning {
    struct work_job work;
    struct disk *door;
    /* set by the loop while no job runs */
    enum cleaning_step step;
    struct sieve sieve;
    struct cleaning_source *sources;
    size_t source_count;
    size_t group_from, group_end; /* the group: sources[from, end) */
    size_t batch_max;             /* a larger batch is damage */
    char *path, *footer_path;     /* of the new file */
    char *directory;
    struct segment_claim claim; /* of the new segment; base offset and generation are given */
    struct footer footer;       /* its; begun, and before the seal given what was aborted */
    /* result of a job */
    bool over;        /* the step is done */
    bool sync_failed; /* status is a sync's */
    int status;
    uint64_t moved; /* bytes read and written by the job */
    bool made;      /* the new file is there */
    /* own */
    size_t at;           /* the source that is read */
    struct footer check; /* of it: must come out with its root */
    bool full;           /* the map is: the source is read to its end, for the check */
    struct source source;
    struct place place;
    struct out chunk; /* bytes of the source from chunk_at on */
    uint64_t chunk_at;
    struct out pending; /* bytes of the new file that are not in it yet */
    struct disk_file *to;
    uint64_t bytes_in, bytes_out; /* so far */
};

/* Frees and closes; sources must have been let go of. */
void cleaning_done(struct cleaning *cleaning);
/* The next job begins with this source. */
void cleaning_start(struct cleaning *cleaning, enum cleaning_step step, size_t source);
/* The pool's part. */
void cleaning_run(struct work_job *work);

#endif
