/*
 * work_uv.h - the real side of the work door: libuv's pool of threads.
 *
 * The pool is for slow work only (segment writes, cold reads, checkpoints); writes of the
 * write-ahead log have a way of their own (disk.h) and never queue behind it. Its size is
 * WORK_UV_THREADS for the whole process, set before the first job.
 */
#ifndef BROKER_WORK_UV_H
#define BROKER_WORK_UV_H

#include <uv.h>

#include "storage/work.h"

enum { WORK_UV_THREADS = 2 };

struct work_uv {
    struct work work; /* the door */
    uv_loop_t *loop;
    uint32_t running; /* submitted, done not yet called */
};

void work_uv_init(struct work_uv *pool, uv_loop_t *loop);

#endif
