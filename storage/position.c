/*
 * See position.h. One move, in this order, so that everybody sees what those before it did:
 *
 *   1. every log whose next batches are as safe as promised gets its new high watermark
 *   2. logs changed by a put that is durable now join those to be woken
 *   3. the waiters of the logs are woken, each at most once
 *   4. units that reached their level are done; then whoever waits for an lsn
 *   5. the rest of storage goes on: write-back, checkpoint, removals
 *
 * Only logs and units that change are touched: two heaps of logs by the position that their next
 * batch waits for, two lists of units (they end in lsn order).
 */
#include "storage/position.h"

#include "storage/barriers.h"
#include "storage/owner.h"

void position_init(struct storage *storage)
{
    list_init(&storage->units_written);
    list_init(&storage->units_durable);
    list_init(&storage->waiters);
    list_init(&storage->wakes);
    list_init(&storage->notices);
}

static void lists_detach(struct list *head)
{
    while (list_pop(head))
        continue;
}

void position_done(struct storage *storage)
{
    timer_cancel(storage->doors->timers, &storage->ready_timer);
    lists_detach(&storage->units_written);
    lists_detach(&storage->units_durable);
    lists_detach(&storage->waiters);
}

/* ---- logs ---------------------------------------------------------------------------------- */

void position_await(struct log *log)
{
    struct log_body *body = log->body;
    struct storage *storage = body->storage;
    const struct ring_entry *entry = log_entry(log, body->visible);
    body->visible_heap = entry->durable ? &storage->await_durable : &storage->await_written;
    heap_insert(body->visible_heap, &body->visible_node, (int64_t)entry->end_lsn);
}

void position_forget(struct log *log)
{
    struct log_body *body = log->body;
    if (body->visible_heap)
        heap_remove(body->visible_heap, &body->visible_node);
    body->visible_heap = NULL;
    list_remove(&body->wake_link);
    list_remove(&body->notice_link);
}

void position_wake(struct log *log)
{
    struct log_body *body = log->body;
    if (list_empty(&body->wake_link))
        list_append(&body->storage->wakes, &body->wake_link);
}

void position_notice(struct log *log, uint64_t lsn)
{
    struct log_body *body = log->body;
    list_remove(&body->notice_link);
    body->notice_lsn = lsn;
    list_append(&body->storage->notices, &body->notice_link);
}

static bool entry_reached(const struct ring_entry *entry, uint64_t written, uint64_t durable)
{
    return entry->end_lsn <= (entry->durable && BARRIER(VISIBLE_DURABLE) ? durable : written);
}

static void log_advance(struct log *log, uint64_t written, uint64_t durable)
{
    struct log_body *body = log->body;
    int64_t visible_offset = log->high_watermark;
    while (body->visible < body->count) {
        const struct ring_entry *entry = log_entry(log, body->visible);
        if (!entry_reached(entry, written, durable))
            break;
        visible_offset = entry->base_offset + entry->last_offset_delta + 1;
        body->visible++;
    }
    if (body->visible < body->count)
        position_await(log);
    log_set_high_watermark(log, visible_offset);
    log_trim(log);
}

static void logs_advance(struct heap *heap, uint64_t reached, uint64_t written, uint64_t durable)
{
    for (struct heap_node *node; (node = heap_first(heap)) && (uint64_t)node->key <= reached;) {
        struct log_body *body = container_of(node, struct log_body, visible_node);
        heap_remove(heap, node);
        body->visible_heap = NULL;
        log_advance(body->log, written, durable);
    }
}

static void notices_take(struct storage *storage, uint64_t durable)
{
    for (struct list *node; (node = list_first(&storage->notices));) {
        struct log_body *body = list_entry(node, struct log_body, notice_link);
        if (body->notice_lsn > durable)
            break;
        list_remove(node);
        position_wake(body->log);
    }
}

void log_wake(struct log *log)
{
    struct list now;
    list_init(&now);
    list_splice(&now, &log->waiters);
    for (struct list *node; (node = list_pop(&now));) {
        struct log_waiter *waiter = list_entry(node, struct log_waiter, link);
        list_append(&log->waiters, node);
        waiter->wake(waiter, log);
    }
}

void log_wait(struct log *log, struct log_waiter *waiter)
{
    list_append(&log->waiters, &waiter->link);
}

void log_wait_cancel(struct log_waiter *waiter)
{
    list_remove(&waiter->link);
}

/* ---- units --------------------------------------------------------------------------------- */

void position_await_unit(struct storage *storage, struct unit *unit)
{
    list_append(unit->durable ? &storage->units_durable : &storage->units_written, &unit->link);
    for (size_t i = 0; i < unit->append_count; i++)
        log_use(unit->appends[i].log);
}

static void units_finish(struct list *units, uint64_t reached)
{
    for (struct list *node; (node = list_first(units));) {
        struct unit *unit = list_entry(node, struct unit, link);
        if (unit->end_lsn > reached)
            break;
        list_remove(node);
        /* Topics are freed by storage_turn at the earliest, so done may still look at its logs. */
        for (size_t i = 0; i < unit->append_count; i++)
            log_unuse(unit->appends[i].log);
        unit->done(unit);
    }
}

/* ---- waiters for an lsn -------------------------------------------------------------------- */

bool storage_is_durable(const struct storage *storage, uint64_t lsn)
{
    return lsn <= wal_durable(storage->wal);
}

uint64_t storage_appended(const struct storage *storage)
{
    return wal_appended(storage->wal);
}

static void ready_fired(struct timer *timer)
{
    position_turn(container_of(timer, struct storage, ready_timer));
}

void storage_wait(struct storage *storage, struct storage_waiter *waiter)
{
    struct list *at = &storage->waiters;
    while (at->prev != &storage->waiters &&
           list_entry(at->prev, struct storage_waiter, link)->lsn > waiter->lsn)
        at = at->prev;
    list_insert_before(at, &waiter->link);
    if (!storage_is_durable(storage, waiter->lsn)) {
        wal_want_durable(storage->wal, waiter->lsn);
        return;
    }
    /* Done runs at the end of this turn, or by the timer if this turn is over already. */
    storage->ready_timer.fire = ready_fired;
    timer_set(
        storage->doors->timers, &storage->ready_timer, clock_monotonic_ns(storage->doors->clock));
}

void storage_wait_cancel(struct storage_waiter *waiter)
{
    list_remove(&waiter->link);
}

void position_turn(struct storage *storage)
{
    if (storage->failed || list_empty(&storage->waiters))
        return;
    /* Those that come while these are told wait for the next turn. */
    struct list ready;
    list_init(&ready);
    uint64_t durable = wal_durable(storage->wal);
    for (struct list *node; (node = list_first(&storage->waiters));) {
        if (list_entry(node, struct storage_waiter, link)->lsn > durable)
            break;
        list_remove(node);
        list_append(&ready, node);
    }
    for (struct list *node; (node = list_pop(&ready));) {
        struct storage_waiter *waiter = list_entry(node, struct storage_waiter, link);
        waiter->done(waiter);
    }
}

/* ---- the move ------------------------------------------------------------------------------ */

void position_moved(struct storage *storage)
{
    if (storage->failed || storage->recovering)
        return;
    uint64_t durable = wal_durable(storage->wal);
    uint64_t written = wal_written(storage->wal);
    logs_advance(
        &storage->await_durable, BARRIER(VISIBLE_DURABLE) ? durable : written, written, durable);
    logs_advance(&storage->await_written, written, written, durable);
    notices_take(storage, durable);
    for (struct list *node; (node = list_pop(&storage->wakes));)
        log_wake(list_entry(node, struct log_body, wake_link)->log);
    units_finish(&storage->units_durable, BARRIER(UNITS_DURABLE) ? durable : written);
    units_finish(&storage->units_written, written);
    position_turn(storage);
    writeback_step(storage);
    checkpoint_step(storage);
    removals_step(storage);
    storage_close_step(storage);
}
