/*
 * doors_test.h - doors for tests of storage and of what stands on it: a real directory, a clock
 * that stands still until it is moved, a pool that runs its jobs in this thread, and a disk that
 * can fail on purpose.
 *
 *     struct doors_test test;
 *     doors_test_begin(&test);                 // a fresh directory: test.dir does not exist yet
 *     ... storage_open(..., &test.doors, ...)
 *     doors_test_until(&test, turn, context, &flag);
 *     doors_test_end(&test);                   // removes the directory
 *
 * The disk is the plain one behind a wrapper that counts and injects; the simulated world of
 * tests/sim/sim.h is for crashes and for randomness.
 */
#ifndef TESTS_UNIT_DOORS_TEST_H
#define TESTS_UNIT_DOORS_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/doors.h"

enum disk_call {
    CALL_OPEN,
    CALL_MKDIR,
    CALL_READ,
    CALL_READ_NOWAIT,
    CALL_WRITE, /* writev */
    CALL_FALLOCATE,
    CALL_TRUNCATE,
    CALL_SYNC, /* sync and sync_dir */
    CALL_SYNC_ALL,
    CALL_REMOVE,
    CALL_SUBMIT, /* asynchronous: fails when it is done */
    CALL_COUNT
};

/* While `status` is set, calls of that kind whose path contains `path` (NULL: any) fail with it. */
struct disk_fault {
    int status;
    const char *path;
    uint32_t skip; /* so many succeed first */
};

struct doors_test {
    struct disk disk; /* the wrapper */
    struct disk *inner;
    struct disk_fault faults[CALL_COUNT];
    uint64_t calls[CALL_COUNT];
    struct list failing; /* asynchronous operations that fail with the next poll */
    uint32_t ops;        /* asynchronous operations in flight */
    bool forgetting;
    uint64_t free_bytes; /* what `space` says is available; UINT64_MAX: the truth */
    struct clock clock;
    int64_t now_ns, wall_ms;
    struct work work;
    struct list submitted, finished; /* jobs */
    bool hold_jobs;                  /* nothing in the pool moves */
    struct timers timers;
    struct random random;
    struct buffer_pool buffers;
    struct doors doors;
    char *base, *dir; /* dir lies in base */
    char *said;       /* everything that was said, a line each; "" at first */
    bool verbose;     /* and print it */
};

void doors_test_begin(struct doors_test *test);
/* Everything that used the doors is gone. */
void doors_test_end(struct doors_test *test);

/* Moves both clocks and fires what became due. */
void doors_test_pass(struct doors_test *test, int64_t ms);
/* Runs one step of what is in flight: asynchronous operations, jobs, ends of jobs, due timers. */
void doors_test_poll(struct doors_test *test);
/* Turns and polls until *flag, for at most 10 s of real time; false: it never came. */
bool doors_test_until(
    struct doors_test *test, void (*turn)(void *context), void *context, const bool *flag);
/* As a kill does: jobs in the pool are forgotten, and so are the ends of asynchronous operations
 * (which take place). Timers are dropped. */
void doors_test_forget(struct doors_test *test);
/* Was something said that contains `text`? */
bool doors_test_said(const struct doors_test *test, const char *text);

/* The whole file `name` below dir, as text for comparisons; NULL if there is none. mem_free it. */
uint8_t *doors_test_file(const struct doors_test *test, const char *name, size_t *ret_len);
/* Writes over bytes of a file, makes it longer or creates it. */
void doors_test_overwrite(
    const struct doors_test *test, const char *name, uint64_t at, const void *bytes, size_t len);
void doors_test_truncate(const struct doors_test *test, const char *name, uint64_t len);
bool doors_test_exists(const struct doors_test *test, const char *name);

#endif
