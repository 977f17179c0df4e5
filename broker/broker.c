/*
 * See broker.h.
 *
 * Start: storage first (it recovers), then what lives in it. Stop: broker_close refuses new
 * requests and frames, waits for the storage's clean end, and then every answer that can still
 * leave is in its connection's output; whoever owns the sockets sends and destroys them, then
 * destroys the broker.
 *
 * A turn: parked requests go on in order if the ring has room; connections that wait for something
 * of their own, then those that wait for memory; then one commit.
 */
#include "broker/broker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "broker/commit.h"
#include "broker/connection_state.h"
#include "broker/coordinator.h"
#include "broker/expiry.h"
#include "broker/internal_topics.h"
#include "broker/overrides.h"
#include "broker/producer_ids.h"
#include "broker/shares.h"
#include "broker/transaction_coordinator.h"
#include "broker/validation.h"
#include "processors/processors.h"
#include "protocol/base/mem.h"

enum { COMPLAINTS_PER_SECOND = 5 };
static const int64_t second_ns = INT64_C(1000) * CLOCK_NS_PER_MS;

/* ---- lines about clients ---- */

static void say_unsaid(struct broker *broker)
{
    if (broker->complaints.unsaid)
        doors_say(broker->doors, LOG_WARNING, "and %u more lines about clients, not said",
            broker->complaints.unsaid);
    broker->complaints.unsaid = broker->complaints.said = 0;
}

void broker_complain(struct broker *broker, const char *format, ...)
{
    char line[512];
    va_list args;
    int64_t second = clock_monotonic_ns(broker->doors->clock) / second_ns;
    if (second != broker->complaints.second) {
        say_unsaid(broker);
        broker->complaints.second = second;
    }
    if (broker->complaints.said >= COMPLAINTS_PER_SECOND) {
        broker->complaints.unsaid++;
        return;
    }
    broker->complaints.said++;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    doors_say(broker->doors, LOG_WARNING, "%s", line);
}

/* ---- memory ---- */

static size_t answers_left(const struct broker *broker, size_t share)
{
    return broker->memory.answers < share ? share - broker->memory.answers : 0;
}

size_t broker_answer_room(const struct broker *broker)
{
    size_t share = (size_t)broker->config->answers_bytes_max;
    return answers_left(broker, share - share / 4);
}

size_t broker_answer_small_room(const struct broker *broker)
{
    size_t left = answers_left(broker, (size_t)broker->config->answers_bytes_max);
    return left < ANSWER_SMALL_MAX ? left : ANSWER_SMALL_MAX;
}

void broker_answer_take(struct broker *broker, size_t size)
{
    broker->memory.answers += size;
}

void broker_answer_give(struct broker *broker, size_t size)
{
    CHECK(size <= broker->memory.answers);
    broker->memory.answers -= size;
}

void broker_answer_wait(struct broker *broker, struct answer_waiter *waiter)
{
    list_append(&broker->hungry, &waiter->link);
}

static bool memory_short(const struct broker *broker)
{
    return !list_empty(&broker->starving) || broker_answer_room(broker) == 0;
}

static void watch_stalled(struct broker *broker)
{
    if (memory_short(broker) && !timer_is_set(&broker->stall))
        timer_set(broker->doors->timers, &broker->stall,
            clock_monotonic_ns(broker->doors->clock) + second_ns);
}

static void stall_fire(struct timer *timer)
{
    struct broker *broker = container_of(timer, struct broker, stall);
    int64_t now = clock_monotonic_ns(broker->doors->clock);
    if (!memory_short(broker))
        return;
    list_foreach (node, &broker->connections)
        connection_check_stalled(list_entry(node, struct connection, link), now);
    watch_stalled(broker);
}

/* ---- turn ---- */

static void go_on_ready(struct broker *broker)
{
    struct list *node;
    while ((node = list_first(&broker->ready)))
        connection_go_on(list_entry(node, struct connection, ready_link));
}

static void go_on_starving(struct broker *broker)
{
    struct list *node;
    while ((node = list_first(&broker->starving))) {
        struct connection *connection = list_entry(node, struct connection, starving_link);
        if (connection_starves(connection))
            return;
        connection_go_on(connection);
    }
}

/* Only those that wait now: who finds too little room waits again, for a later turn. */
static void go_on_hungry(struct broker *broker)
{
    struct list *last = broker->hungry.prev, *node;
    while (broker_answer_room(broker) > 0 && (node = list_pop(&broker->hungry))) {
        struct answer_waiter *waiter = list_entry(node, struct answer_waiter, link);
        waiter->room(waiter);
        if (node == last)
            return;
    }
}

void broker_turn(struct broker *broker)
{
    if (broker->space) {
        broker->space = false;
        requests_resume(broker);
        processors_space(broker->processors);
    }
    do {
        go_on_ready(broker);
        go_on_starving(broker);
        go_on_hungry(broker);
    } while (!list_empty(&broker->ready));
    internal_topics_turn(broker->internal_topics);
    watch_stalled(broker);
    storage_turn(broker->storage);
}

/* ---- life ---- */

static void storage_space(void *context)
{
    ((struct broker *)context)->space = true;
}

static void storage_changed(void *context, const struct store_change *change)
{
    struct broker *broker = context;
    if (broker->internal_topics) /* else it looks through all later */
        internal_topics_change(broker->internal_topics, change);
}

static void storage_failed(void *context, int status, const char *what)
{
    struct broker *broker = context;
    broker->hooks.failed(broker->hooks.context, status, what);
}

struct cleaner_config broker_cleaner(const struct broker_config *config)
{
    int64_t share = config->memory_limit / 8;
    int64_t bytes = config->cleaner_dedupe_bytes < share ? config->cleaner_dedupe_bytes : share;
    return (struct cleaner_config){ .enable = config->cleaner_enable,
        .backoff_ms = config->cleaner_backoff_ms,
        .dedupe_bytes = bytes > 0 ? (uint64_t)bytes : 0,
        .bytes_per_second = config->cleaner_bytes_per_second };
}

static struct storage_config storage_settings(const struct broker_config *config)
{
    struct storage_config settings = storage_config_default();
    settings.dir = config->log_dir;
    settings.wal_file_bytes = (uint32_t)config->wal_file_bytes;
    settings.wal_files_max = (uint32_t)config->wal_files_max;
    settings.writeback_age_ms = config->writeback_age_ms;
    settings.checkpoint_ms = config->checkpoint_ms;
    settings.interval_ms = config->durability_interval_ms;
    settings.interval_bytes = (uint64_t)config->durability_interval_bytes;
    settings.retention_check_ms = config->retention_check_ms;
    settings.producer_expire_ms = config->producer_id_expiration_ms;
    settings.producer_check_ms = config->producer_id_check_ms;
    settings.transactions_max = (uint32_t)config->transactions_max;
    settings.cleaner = broker_cleaner(config);
    if (config->disk_free_min_bytes >= 0)
        settings.disk_free_min = (uint64_t)config->disk_free_min_bytes;
    settings.defaults = config->topic_defaults;
    if (config->segment_files_max)
        settings.segment_files_max = config->segment_files_max;
    settings.accept_loss = config->accept_loss;
    return settings;
}

static int open_parts(struct broker *broker)
{
    struct storage_config settings = storage_settings(broker->config);
    struct storage_hooks hooks = {
        .context = broker,
        .space = storage_space,
        .failed = storage_failed,
        .changed = storage_changed,
    };
    int status = storage_open(&broker->storage, &settings, broker->doors, &hooks);
    if (status)
        return status;
    broker->internal_topics = internal_topics_create(broker);
    broker->overrides = overrides_create(broker);
    sessions_init(&broker->sessions, broker->doors->random,
        (size_t)broker->config->fetch_sessions_max, (size_t)broker->config->sessions_bytes_max);
    status = producer_ids_create(&broker->producer_ids, broker->storage);
    if (status)
        return status;
    broker->validation = validation_create(broker->doors->work);
    status = coordinator_create(&broker->coordinator, broker);
    if (status)
        return status;
    status = shares_create(&broker->shares, broker);
    if (status)
        return status;
    status = transaction_coordinator_create(&broker->transactions, broker);
    if (status)
        return status;
    broker->expiry = expiry_create(broker);
    struct processors_config processors = {
        .dir = broker->config->log_dir,
        .default_partitions = broker->config->num_partitions,
    };
    broker->processors =
        processors_create(&processors, broker->doors, broker->storage, broker->workers);
    processors_start(broker->processors);
    return 0;
}

int broker_open(struct broker **ret_broker, const struct broker_config *config, struct doors *doors,
    struct workers *workers, void (*failed)(void *context, int status, const char *what),
    void *context)
{
    struct broker *broker = mem_zalloc(1, sizeof(*broker));
    broker->doors = doors;
    broker->config = config;
    broker->workers = workers;
    broker->hooks = (struct broker_hooks){ .failed = failed, .context = context };
    list_init(&broker->connections);
    list_init(&broker->commits);
    list_init(&broker->ready);
    list_init(&broker->starving);
    list_init(&broker->parked);
    list_init(&broker->hungry);
    list_init(&broker->spare_requests);
    broker->stall.fire = stall_fire;
    int status = open_parts(broker);
    if (status) {
        broker_destroy(broker);
        return status;
    }
    *ret_broker = broker;
    return 0;
}

static void storage_closed(void *context, int status)
{
    struct broker *broker = context;
    broker->end.done(broker->end.context, broker->end.status ? broker->end.status : status);
}

static void processors_stopped(void *context, int status)
{
    struct broker *broker = context;
    broker->end.status = status;
    storage_close(broker->storage, storage_closed, broker);
}

void broker_close(struct broker *broker, void (*done)(void *context, int status), void *context)
{
    broker->stopping = true;
    shares_stop(broker->shares);
    broker->end = (struct broker_end){ .done = done, .context = context };
    processors_stop(broker->processors, processors_stopped, broker);
}

void broker_destroy(struct broker *broker)
{
    struct list *node;
    CHECK(list_empty(&broker->connections));
    CHECK(broker->memory.answers == 0);
    say_unsaid(broker);
    timer_cancel(broker->doors->timers, &broker->stall);
    processors_destroy(broker->processors);
    expiry_destroy(broker->expiry);
    if (broker->coordinator)
        coordinator_destroy(broker->coordinator);
    shares_destroy(broker->shares);
    validation_destroy(broker->validation);
    transaction_coordinator_destroy(broker->transactions);
    sessions_done(&broker->sessions);
    producer_ids_destroy(broker->producer_ids);
    commits_done(broker);
    overrides_destroy(broker->overrides);
    internal_topics_destroy(broker->internal_topics);
    if (broker->storage)
        storage_destroy(broker->storage);
    while ((node = list_pop(&broker->spare_requests))) {
        struct request *request = list_entry(node, struct request, link);
        arena_done(&request->arena);
        mem_free(request);
    }
    mem_free(broker);
}
