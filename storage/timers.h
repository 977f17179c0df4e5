/*
 * timers.h - deadlines on the monotonic clock, on our own heap.
 *
 * Production drives it with one libuv timer (timers_next tells when), the simulation with its
 * virtual clock. A timer is owned by its user; fire runs from timers_run only, after the timer left
 * the heap, so it may set itself again. Equal deadlines fire in the order they were set.
 */
#ifndef STORAGE_TIMERS_H
#define STORAGE_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/heap.h"

struct timer {
    struct heap_node node;
    void (*fire)(struct timer *timer);
};

struct timers {
    struct heap heap;
};

/* A zeroed struct timers is ready. */
void timers_done(struct timers *timers);
/* Moves the deadline if the timer is already set. timer->fire must be filled. */
void timer_set(struct timers *timers, struct timer *timer, int64_t at_ns);
/* Does nothing for a timer that is not set. */
void timer_cancel(struct timers *timers, struct timer *timer);
bool timer_is_set(const struct timer *timer);
/* Fires everything due at now_ns. */
void timers_run(struct timers *timers, int64_t now_ns);
/* The earliest deadline, or INT64_MAX. */
int64_t timers_next(const struct timers *timers);

#endif
