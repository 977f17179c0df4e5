/* See waits.h. */
#include "broker/waits.h"

#include "broker/partition.h"

static void finish(struct wait *wait)
{
    wait_end(wait);
    wait->over(wait);
}

static void log_moved(struct log_waiter *waiter, struct log *log)
{
    struct wait_log *entry = container_of(waiter, struct wait_log, waiter);
    struct wait *wait = entry->wait;
    int64_t end = partition_visible_end(log, wait->isolation);
    if (log->topic->deleted || log->start_offset > entry->offset ||
        entry->seen_size > log->size_bytes) {
        finish(wait);
        return;
    }
    if (end == entry->seen_end)
        return;
    wait->sum += log->size_bytes - entry->seen_size;
    entry->seen_size = log->size_bytes;
    /* The size of a computed log does not tell what came. */
    if (log->source || entry->unseen || wait->missing <= 1 || wait->sum >= wait->missing)
        finish(wait);
}

static void deadline(struct timer *timer)
{
    finish(container_of(timer, struct wait, timer));
}

void wait_begin(struct wait *wait, struct timers *timers, struct wait_log *logs, int8_t isolation,
    void (*over)(struct wait *wait))
{
    *wait = (struct wait){ .timers = timers, .logs = logs, .isolation = isolation, .over = over };
    wait->timer.fire = deadline;
}

void wait_add(struct wait *wait, struct log *log, int64_t offset)
{
    struct wait_log *entry = &wait->logs[wait->log_count++];
    *entry = (struct wait_log){ .wait = wait,
        .log = log,
        .offset = offset,
        .seen_end = partition_visible_end(log, wait->isolation),
        .seen_size = log->size_bytes };
    entry->unseen = log->end_offset > entry->seen_end;
    entry->waiter.wake = log_moved;
    list_init(&entry->waiter.link);
}

void wait_arm(struct wait *wait, uint64_t missing, int64_t deadline_ns)
{
    wait->missing = missing;
    for (size_t i = 0; i < wait->log_count; i++)
        log_wait(wait->logs[i].log, &wait->logs[i].waiter);
    timer_set(wait->timers, &wait->timer, deadline_ns);
}

void wait_end(struct wait *wait)
{
    if (!wait->timers)
        return;
    timer_cancel(wait->timers, &wait->timer);
    for (size_t i = 0; i < wait->log_count; i++)
        log_wait_cancel(&wait->logs[i].waiter);
    wait->log_count = 0;
}
