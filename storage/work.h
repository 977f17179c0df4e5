/*
 * work.h - the door to the pool: a slow job is handed over, its end is told later on the loop.
 *
 * run is called on another thread (in the simulation: inline, at a time that the seed picks) and
 * may use blocking calls of the disk door; it touches nothing but what the job owns. done is called
 * on the loop thread, exactly once, never inside work_submit.
 */
#ifndef STORAGE_WORK_H
#define STORAGE_WORK_H

#include "protocol/base/list.h"

struct work_job {
    void (*run)(struct work_job *job);
    void (*done)(struct work_job *job);
    struct list link; /* the pool's own */
    void *pool;       /* the pool's own */
};

struct work {
    void (*submit)(struct work *work, struct work_job *job);
};

static inline void work_submit(struct work *work, struct work_job *job)
{
    work->submit(work, job);
}

#endif
