/*
 * real_doors.h - a storage behind the doors of a real machine, in a directory of its own, with a
 * loop: for benches.
 *
 *     struct real_doors real;
 *     real_doors_begin(&real, "/tmp");       // real.dir: fresh; real.data: below it, not made yet
 *     CHECK(storage_open(&storage, &config, &real.doors, &hooks) == 0);
 *     while (...)
 *         real_doors_turn(&real, storage);
 *     storage_destroy(storage);
 *     real_doors_end(&real);                 // removes the directory
 */
#ifndef TESTS_BENCH_REAL_DOORS_H
#define TESTS_BENCH_REAL_DOORS_H

#include "processors/processors.h"
#include "storage/storage.h"

struct real_doors {
    struct disk *disk; /* io_uring where there is one */
    struct clock clock;
    struct timers timers;
    struct random random;
    struct buffer_pool buffers;
    struct workers *workers;
    struct work *pool;
    int wake;
    struct doors doors;
    char *dir, *data;
};

void real_doors_begin(struct real_doors *real, const char *where);
void real_doors_end(struct real_doors *real);
/* One turn of the loop: what is due is done, or a second waited for something to be. */
void real_doors_turn(struct real_doors *real, struct storage *storage);
/* As storage_hooks.failed: says so, and ends the process. */
void real_doors_failed(void *context, int status, const char *what);

#endif
