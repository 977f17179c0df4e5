/*
 * storage_test.h - a storage on test doors, and short words for what tests do with it.
 *
 *     struct storage_test test;
 *     storage_test_begin(&test);
 *     struct log *log = storage_test_topic(&test, "t", 1);
 *     storage_test_append(&test, log, 3, -1);     // waits for its end
 *     storage_test_kill(&test);                    // and opens again
 *     ...
 *     storage_test_end(&test);
 */
#ifndef TESTS_UNIT_STORAGE_TEST_H
#define TESTS_UNIT_STORAGE_TEST_H

#include "storage/storage.h"
#include "tests/unit/doors_test.h"

struct storage_test {
    struct doors_test doors;
    struct storage_config config;
    struct storage *storage;
    uint64_t spaces;   /* calls of hooks.space */
    int failed;        /* status of hooks.failed */
    uint32_t size;     /* of a record's value; 100 */
    int64_t timestamp; /* of the next record; each is one more */
};

/* A unit that tells when it is done. */
struct unit_test {
    struct unit unit;
    bool done;
    int status; /* of log_commit */
};

/* Small limits, so that everything happens: ring and files of 256 KiB, 4 files. Not opened yet. */
void storage_test_setup(struct storage_test *test);
void storage_test_open(struct storage_test *test);
/* setup and open */
void storage_test_begin(struct storage_test *test);
/* closes if open, removes the directory */
void storage_test_end(struct storage_test *test);
/* Returns the status that close told. */
int storage_test_close(struct storage_test *test);
/* kill -9: destroyed without a word; not opened again. */
void storage_test_crash(struct storage_test *test);
void storage_test_kill(struct storage_test *test);   /* crash and open */
void storage_test_reopen(struct storage_test *test); /* close and open */
/* One turn and what came of it. */
void storage_test_turn(struct storage_test *test);
/* Turns until nothing moves any more. */
void storage_test_settle(struct storage_test *test);
/* Time passes, in steps, with turns. */
void storage_test_pass(struct storage_test *test, int64_t ms);
void storage_test_wait(struct storage_test *test, const bool *flag);

struct topic *storage_test_create(struct storage_test *test, const char *name, int32_t partitions,
    const char *key, const char *value);
struct log *storage_test_topic(struct storage_test *test, const char *name, int32_t partitions);
void storage_test_delete(struct storage_test *test, const char *name);
struct log *storage_test_log(struct storage_test *test, const char *name, int32_t partition);

/* A batch of `count` records, whose values say log and offset: "<topic>-<partition>@<offset>
 * xxx...". The caller frees it with out_done. */
struct out storage_test_batch(
    struct storage_test *test, const struct log *log, int64_t offset, int32_t count);
void unit_test_commit(struct storage_test *test, struct unit_test *unit);
void unit_test_end(struct unit_test *unit);
/* Appends one batch at the end; waits for done. Returns the status of log_commit. */
int storage_test_append(struct storage_test *test, struct log *log, int32_t count, int16_t acks);
/* Appends batches of 10 records until `bytes` are there; makes room as needed. */
void storage_test_fill(struct storage_test *test, struct log *log, uint64_t bytes);

/* Reads at most max_bytes from `offset` on, waits if it must; the buffer is the caller's. */
int storage_test_read(struct storage_test *test, struct log *log, int64_t offset, size_t max_bytes,
    struct buffer **ret);
/* Reads the log from its start to its high watermark and checks every record: offsets without a
 * gap, values that say log and offset. */
void storage_test_check(struct storage_test *test, struct log *log);
/* Finds, below the high watermark or another offset; waits if it must. */
int storage_test_find_below(struct storage_test *test, struct log *log, int64_t target_ms, bool max,
    int64_t end_offset, struct log_find_time *ret);
int storage_test_find(struct storage_test *test, struct log *log, int64_t target_ms, bool max,
    struct log_find_time *ret);

#endif
