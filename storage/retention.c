/*
 * See retention.h. A pass goes over the logs in the order of their ids and commits a unit for every
 * few hundred that lose something; the next unit begins when that one is done, so a pass never
 * holds the loop for long nor fills the ring.
 *
 * As with Kafka the active segment is deleted too when all of it is too old; only what is visible
 * is deleted. Timestamps more than an hour ahead of the time of append do not count (a producer's
 * broken clock would keep the log for ever): then the time of append does.
 */
#include "storage/retention.h"

#include <errno.h>

#include "storage/owner.h"

static const int64_t future_max_ms = INT64_C(3600) * 1000;

static int64_t segment_time_ms(const struct segment_claim *claim)
{
    bool usable =
        claim->max_timestamp >= 0 && claim->max_timestamp <= claim->append_ms + future_max_ms;
    return usable ? claim->max_timestamp : claim->append_ms;
}

/* The offset before which the log is given up; start_offset: nothing. */
static int64_t retained_from(const struct log *log, int64_t now_ms)
{
    const struct topic_config *config = &log->topic->config;
    const struct log_body *body = log->body;
    int64_t from = log->start_offset;
    uint64_t size = log->size_bytes;
    if (!(config->cleanup_policy & CLEANUP_DELETE))
        return from;
    for (size_t i = 0; i < body->segment_count; i++) {
        const struct segment_claim *claim = &body->segments[i]->claim;
        bool old =
            config->retention_ms >= 0 && now_ms - segment_time_ms(claim) > config->retention_ms;
        bool much =
            config->retention_bytes >= 0 && size - claim->size >= (uint64_t)config->retention_bytes;
        if ((!old && !much) || claim->end_offset > log->high_watermark)
            break;
        size -= claim->size;
        from = claim->end_offset;
    }
    return from;
}

static void unit_finished(struct unit *unit)
{
    struct storage *storage = container_of(unit, struct storage, retention.unit);
    storage->retention.committed = false;
    unit_done(unit);
    retention_step(storage);
}

static struct log *next_log(const struct storage *storage)
{
    struct tree_node *node = tree_after(&storage->logs, &storage->retention.after);
    return node ? container_of(node, struct log_body, by_id)->log : NULL;
}

void retention_step(struct storage *storage)
{
    struct retention *retention = &storage->retention;
    if (!retention->running || retention->committed || storage->failed || storage->closing)
        return;
    int64_t now_ms = clock_wall_ms(storage->doors->clock);
    uint32_t began = retention->after;
    unit_init(&retention->unit, unit_finished);
    struct log *log = NULL;
    while (retention->unit.put_count < RETENTION_PUTS_MAX && (log = next_log(storage))) {
        int64_t from = retained_from(log, now_ms);
        retention->after = log->body->id;
        if (from > log->start_offset && unit_raise_start(&retention->unit, log, from) < 0)
            doors_say(storage->doors, LOG_ERROR, "retention: %s-%d: offset %lld is out of range",
                log->topic->name, log->partition, (long long)from);
    }
    retention->running = log != NULL;
    if (retention->unit.put_count == 0)
        return;
    int status = log_commit(storage, &retention->unit);
    retention->committed = status == 0;
    if (status < 0) { /* -EAGAIN: storage_turn tries again */
        unit_done(&retention->unit);
        retention->after = began;
        retention->running = true;
    }
}

static void arm(struct storage *storage, struct timer *timer, int64_t after_ms)
{
    timer_set(storage->doors->timers, timer,
        clock_after_ms(clock_monotonic_ns(storage->doors->clock), after_ms));
}

static void timer_fired(struct timer *timer)
{
    struct storage *storage = container_of(timer, struct storage, retention.timer);
    if (!storage->retention.running && !storage->retention.committed) {
        storage->retention.running = true;
        storage->retention.after = 0;
    }
    arm(storage, timer, storage->config.retention_check_ms);
    retention_step(storage);
}

static void producer_timer_fired(struct timer *timer)
{
    struct storage *storage = container_of(timer, struct storage, retention.producer_timer);
    producer_table_expire(&storage->producers, clock_wall_ms(storage->doors->clock));
    arm(storage, timer, storage->config.producer_check_ms);
}

void retention_start_timers(struct storage *storage)
{
    arm(storage, &storage->retention.timer, storage->config.retention_check_ms);
    arm(storage, &storage->retention.producer_timer, storage->config.producer_check_ms);
}

void retention_init(struct storage *storage)
{
    storage->retention.timer.fire = timer_fired;
    storage->retention.producer_timer.fire = producer_timer_fired;
}

void retention_done(struct storage *storage)
{
    timer_cancel(storage->doors->timers, &storage->retention.timer);
    timer_cancel(storage->doors->timers, &storage->retention.producer_timer);
    unit_done(&storage->retention.unit);
}
