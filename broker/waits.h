/*
 * waits.h - waiting until enough bytes have become visible in several logs, or a deadline: a
 * delayed fetch, without polling.
 *
 * One waiter per log, and a running sum of the bytes appended since. The sum is an estimate, since
 * it counts bytes before they are visible: `over` means "look again", and whoever looked may wait
 * again. It never misses: what was invisible when the wait began makes it look at the next
 * movement.
 */
#ifndef BROKER_WAITS_H
#define BROKER_WAITS_H

#include "storage/storage.h"

struct wait;

struct wait_log {
    struct log_waiter waiter; /* on a log's list, or unlinked */
    struct wait *wait;
    struct log *log;
    int64_t offset;     /* what is waited for; below the log's start: look again */
    int64_t seen_end;   /* visible end when the wait began */
    uint64_t seen_size; /* of the log, counted into the sum already */
    bool unseen;        /* there were bytes behind seen_end */
};

struct wait {
    struct timers *timers;
    struct timer timer;
    struct wait_log *logs;
    size_t log_count;
    int8_t isolation;
    uint64_t missing, sum;           /* bytes */
    void (*over)(struct wait *wait); /* after the wait has ended itself */
};

/* `logs` has room for all that will be added. Zero logs: waits for the deadline only. */
void wait_begin(struct wait *wait, struct timers *timers, struct wait_log *logs, int8_t isolation,
    void (*over)(struct wait *wait));
void wait_add(struct wait *wait, struct log *log, int64_t offset);
/* From here on `over` may be called, later, once. */
void wait_arm(struct wait *wait, uint64_t missing, int64_t deadline_ns);
/* Takes everything back. Fine if it is not armed. */
void wait_end(struct wait *wait);

#endif
