/*
 * validation.h - preparing batches on the pool: those that are large or compress well would stop
 * the loop for too long.
 *
 * A job prepares all batches of one produce request. At most VALIDATION_JOBS_MAX run at a time,
 * each with a compressor of its own; a batch may decompress to VALIDATION_USUAL_MAX, and if that is
 * not enough its job runs again with VALIDATION_LARGE_MAX, one such job at a time. So the memory
 * that clients can make this take is bounded, and yet an unusual batch is served. Jobs end in any
 * order.
 */
#ifndef BROKER_VALIDATION_H
#define BROKER_VALIDATION_H

#include "broker/preparation.h"
#include "protocol/base/list.h"
#include "storage/work.h"

enum {
    VALIDATION_JOBS_MAX = 4,
    VALIDATION_INLINE_MAX = 1 << 20, /* decompressed bytes, on the loop */
    VALIDATION_USUAL_MAX = 8 << 20,  /* on the pool */
    VALIDATION_LARGE_MAX = 32 << 20, /* on the pool, alone */
};

struct validation;

/* Owned by the caller; untouched until done. */
struct validation_job {
    struct preparation *items; /* those that are not finished yet are prepared */
    size_t count;
    /* 0: all items are finished. -ECANCELED: the pool has ended before it ran. Later, on the loop.
     */
    void (*done)(struct validation_job *job, int status);

    /* validation.c's own */
    struct work_job work;
    struct list link;
    struct validation *validation;
    struct compressor *compressor;
    size_t decompressed_max;
};

struct validation *validation_create(struct work *work);
/* Ends all jobs, also those that the pool has (it must have dropped or finished them). NULL is
 * fine. */
void validation_destroy(struct validation *validation);
/* Prepares small batches at once; those that need the pool stay unfinished. True: all finished. */
bool validation_inline(
    struct validation *validation, struct preparation *items, size_t count) MUST_CHECK;
void validation_submit(struct validation *validation, struct validation_job *job);
/* True: it was still waiting and is given back; false: it runs, done will be called. */
bool validation_cancel(struct validation_job *job) MUST_CHECK;

#endif
