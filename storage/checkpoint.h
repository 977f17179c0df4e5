/*
 * checkpoint.h - a position of the write-ahead log below which it is not needed any more.
 *
 *   idle ─▶ writeback ─▶ sync ─▶ slot ─▶ idle
 *
 * At its start the whole state as of the position C is taken down in memory at once (it names sizes
 * of segments, which may still lie in the ring). Then everything below C goes to the segments, they
 * are synced, the state goes to the older slot, and the write-ahead log below C is recycled.
 * Inside storage/ only.
 */
#ifndef STORAGE_CHECKPOINT_H
#define STORAGE_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/list.h"
#include "storage/cursor.h"
#include "storage/timers.h"

struct storage;

enum checkpoint_state { CHECKPOINT_IDLE, CHECKPOINT_WRITEBACK, CHECKPOINT_SYNC, CHECKPOINT_SLOT };
enum { CHECKPOINT_JOBS_MAX = 2, CHECKPOINT_JOB_SEGMENTS = 16 };

struct checkpoint {
    enum checkpoint_state state;
    uint64_t generation; /* of the newest slot */
    uint64_t lsn;        /* of the newest slot */
    uint64_t next_lsn;   /* of the one that is being made */
    struct out slot;     /* its bytes */
    bool clean;          /* it ends with storage_close */
    bool changed;        /* something was appended since the last began */
    bool wanted;         /* now, not at the next timer */
    struct list todo;    /* struct segment to be synced */
    /* Of the newest change that dropped segments: what they held is neither written back nor synced
     * any more, so a slot that still has them must not be made before the change is durable. */
    uint64_t dropped_lsn;
    struct list jobs;
    uint32_t job_count;
    struct slot_job *slot_job;
    struct whole_job *whole_job; /* syncs the whole file system */
    struct timer timer;
};

void checkpoint_init(struct storage *storage);
void checkpoint_done(struct storage *storage);
/* After the start: begins to count time. */
void checkpoint_start_timer(struct storage *storage);
/* The write-ahead log is running out of files. */
void checkpoint_want(struct storage *storage);
/* Goes on as far as it can; begins one when due. */
void checkpoint_step(struct storage *storage);
/* The last one, of storage_close: no one may be on its way. */
void checkpoint_close(struct storage *storage);

/* The state as a slot's body, and back from one of that format. -EUCLEAN: the body is not one. */
void checkpoint_save(const struct storage *storage, struct out *out);
int checkpoint_load(struct storage *storage, struct bytes body, uint32_t format) MUST_CHECK;

#endif
