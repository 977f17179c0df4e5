/*
 * writeback.h - copying batches from the write-ahead ring to their segments, and letting go of the
 * ring behind them. Inside storage/ only.
 *
 * When: the ring is half full, bytes are older than writeback_age_ms, or a checkpoint wants them.
 * How: the log with the oldest bytes first, in the pool, one job at a time per log, each job all
 * that its logs have, straight from ring memory (which stays put until wal_release).
 *
 * A full disk is no failure: the bytes stay in the write-ahead log, appends are refused (-ENOSPC),
 * every second one job tries again. Any other error is fail-stop: the bytes are safe in the
 * write-ahead log, a restart writes them again.
 */
#ifndef STORAGE_WRITEBACK_H
#define STORAGE_WRITEBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/heap.h"
#include "protocol/base/list.h"
#include "storage/timers.h"

struct log;
struct segment;
struct storage;

enum {
    WRITEBACK_JOBS_MAX = 2,                /* in the pool at once */
    WRITEBACK_RUNS_MAX = 32,               /* logs in one job */
    WRITEBACK_JOB_BYTES = 2 * 1024 * 1024, /* a job takes another log until it has this much */
    WRITEBACK_RUN_BATCHES = 1024,          /* batches of one log in one job (IOV_MAX) */
    WRITEBACK_MARKS = 16,                  /* resolution of the age: writeback_age_ms / 16 */
    WRITEBACK_RETRY_MS = 1000,
};

struct writeback_mark {
    uint64_t lsn; /* bytes from here on were appended at `at_ns` or later */
    int64_t at_ns;
};

struct writeback {
    struct heap ready, busy; /* struct log_body with unwritten entries, by the first one's lsn */
    struct list jobs;        /* in the pool */
    uint32_t job_count;
    struct writeback_mark marks[WRITEBACK_MARKS];
    uint32_t mark_count;
    uint64_t aged;       /* bytes below are older than the age */
    uint64_t wanted;     /* the checkpoint wants bytes below */
    bool pressed;        /* somebody waits for room in the ring */
    bool full;           /* the disk is: appends are refused */
    bool tell;           /* who waits for room in the ring asks again, to hear that */
    bool paused;         /* until the retry timer fires */
    bool no_fallocate;   /* the file system can't */
    int64_t space_at_ns; /* free space was looked at then */
    uint64_t space_left; /* bytes to be written until it is looked at again */
    uint64_t disk_free_min;
    struct timer age_timer, retry_timer;
};

void writeback_init(struct storage *storage);
void writeback_done(struct storage *storage);
/* Appends of this moment begin at `lsn`. */
void writeback_note(struct storage *storage, uint64_t lsn);
/* log_commit found the ring full. */
void writeback_pressed(struct storage *storage);
/* Everything below `lsn` is wanted in the segments. */
void writeback_want(struct storage *storage, uint64_t lsn);
/* All bytes below are in their segments. */
uint64_t writeback_position(const struct storage *storage);
/* Lets the ring go as far as that. */
void writeback_release(struct storage *storage);
/* Starts jobs as far as there is reason and room. */
void writeback_step(struct storage *storage);
/* Recovery: writes the next bytes of a segment at once, blocking. */
int writeback_now(struct segment *segment, struct bytes bytes) MUST_CHECK;
/* Recovery, behind the last of those: cuts files that are longer than their segments. */
int writeback_cut(struct storage *storage) MUST_CHECK;
/* The log's first unwritten entry or its being busy changed. */
void writeback_requeue(struct log *log);
/* The log leaves. */
void writeback_forget(struct log *log);
/* The disk has that much room, of which `min` is to stay free. */
void writeback_space(struct storage *storage, uint64_t available, uint64_t min);
/* The disk said -ENOSPC or so to somebody: refuse appends, look again every second. */
void writeback_disk_full(struct storage *storage, int status);
/* Errors that pass when somebody makes room. */
bool writeback_is_passing(int status);

#endif
