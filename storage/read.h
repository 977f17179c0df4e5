/*
 * read.h - what reading (read.c) and looking up times (find.c) share. Inside storage/ only.
 *
 * A visit is a use of one segment's file: on the loop as long as nothing must be waited for and
 * everything was verified before, else as a job of the pool, which opens the file, loads the footer
 * or builds the missing index, and verifies what it reads.
 */
#ifndef STORAGE_READ_H
#define STORAGE_READ_H

#include <stdbool.h>

#include "protocol/base/list.h"
#include "storage/footer.h"
#include "storage/index.h"
#include "storage/scan.h"
#include "storage/verify.h"
#include "storage/work.h"

struct log;
struct segment;
struct storage;

struct visit {
    struct work_job work;
    struct list link; /* storage->visits */
    struct storage *storage;
    struct disk *disk;
    struct log *log;
    struct segment *segment; /* NULL: no file is needed */
    struct source source;    /* its limit: verified from `place` on */
    struct place place;
    struct verifier verifier;
    struct epoch_start *epochs;
    struct proof known;   /* damages that were known before */
    struct damage damage; /* begins at the limit; end_position 0: none is known */
    uint64_t fresh_from;
    uint64_t root;
    char *footer_path; /* the segment has a root, and its footer is not loaded */
    struct footer footer;
    bool footer_there, footer_lost, distrusted;
    bool build;   /* the place must come from an index that is not there: build it */
    bool by_time; /* the place sought is that of `time`, else of `offset` */
    int64_t offset, time;
    uint32_t step; /* of the index */
    char *path;    /* the file must be opened */
    bool opened, built;
    bool hint;     /* what was read is the segment's to know: place and ... */
    uint64_t took; /* ... how many bytes before it */
    struct index index;
    int status;
    /* In the pool, when file and place are there. */
    int (*run)(struct visit *visit);
    /* On the loop; the segment may be dropped by now. The visit is freed behind it. */
    void (*done)(struct visit *visit);
    void (*forget)(struct visit *visit); /* storage is destroyed: frees what the visit is part of */
};

void read_init(struct storage *storage);
/* The pool has nothing in flight any more. */
void read_done(struct storage *storage);
bool read_idle(const struct storage *storage);

/* Where to start in the segment's file to find `offset`, from hint and index; false: the index does
 * not know. */
bool visit_place(const struct segment *segment, int64_t offset, struct place *ret);
bool visit_place_time(const struct segment *segment, int64_t time, struct place *ret);
/* The segment's file as it is now. */
struct source visit_source(const struct segment *segment, bool nowait);
/* In a visit's run: as source_locate, source_walk and source_take at visit->place, verifying what
 * they need. A location behind damage is found; a walk or take that meets damage is -EBADMSG. */
int visit_locate(struct visit *visit, int64_t offset) MUST_CHECK;
int visit_walk(struct visit *visit,
    bool (*each)(void *context, const struct place *place, const struct batch_view *view),
    void *context) MUST_CHECK;
int visit_take(struct visit *visit, const struct take *take, struct buffer **ret) MUST_CHECK;
/* What a verifier found is the segment's to know; damage that is new is said. */
void segment_merge_proof(struct segment *segment, const struct proof *proof);
/* For a verifier: which leader epochs wrote the segment's offsets. Fresh memory. */
struct epoch_start *segment_epochs(const struct segment *segment, size_t *ret_count);
/* Hands the visit to the pool: log, segment, run, done, forget and what is sought are filled. */
void visit_submit(struct visit *visit);

#endif
