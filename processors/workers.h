/*
 * workers.h - the door to threads of processors: user code never runs on the loop.
 *
 * A worker is a `struct work` whose jobs run one after the other, in the order of submission. The
 * real side gives each a thread; the other side hands the jobs to a work door, so that tests and
 * the simulation decide when they run.
 */
#ifndef PROCESSORS_WORKERS_H
#define PROCESSORS_WORKERS_H

#include "protocol/base/check.h"
#include "storage/work.h"

struct workers {
    /* 0 or -errno. `name`: for tools that list threads; at most 15 characters are shown. */
    int (*start)(struct workers *workers, const char *name, struct work **ret_worker);
    /* No job of it is waiting or running. */
    void (*stop)(struct workers *workers, struct work *worker);
};

/* ---- the real side ---- */

/* `wake` is called from any thread when workers_threads_poll has something to do: it makes the loop
 * call that soon (uv_async_send). */
struct workers *workers_threads_create(void (*wake)(void *context), void *context);
/* On the loop: runs done of every finished job. */
void workers_threads_poll(struct workers *workers);
/* Every worker is stopped. Accepts NULL. */
void workers_threads_destroy(struct workers *workers);

/* ---- the other side ---- */

struct workers_inline {
    struct workers workers;
    struct work *work;
};
/* A worker is the work door itself; jobs of one task never overlap anyway. */
void workers_inline_init(struct workers_inline *workers, struct work *work);

#endif
