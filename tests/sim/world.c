/*
 * See world.h.
 *
 * Happy path of a step: the earliest of {event of clients or network, event of the machine}
 * happens; the broker gets its turn before time passes on, so what happens at one time shares a
 * commit.
 *
 * The end of a life: the machine dies (nothing of it happens any more), the connections go, the
 * broker is destroyed, the ledger learns what may be lost, the clients learn that their connection
 * is gone, and the next broker opens. Its recovery may die as well, several times.
 */
#include "tests/sim/world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/connection_state.h"
#include "protocol/base/mem.h"
#include "tests/sim/client.h"

enum {
    TICK_NS = 10000, /* events of clients share times, or no commit would have two units */
    SCRATCH_MAX = 64 << 20,
    OPEN_TRIES_MAX = 300,
    STOP_STEPS_MAX = 2000000,
};

/* ---- telling ---- */

void world_say(struct world *world, const char *format, ...)
{
    va_list args;
    char *line = world->lines[world->line_count++ % WORLD_LINES];
    int len = snprintf(line, WORLD_LINE_SIZE, "[%12.3f ms] ", (double)world->sim.now_ns / 1e6);
    va_start(args, format);
    (void)vsnprintf(line + len, (size_t)(WORLD_LINE_SIZE - len), format, args);
    va_end(args);
    if (world->verbose)
        (void)fprintf(stderr, "%s\n", line);
}

void world_fail(struct world *world, const char *format, ...)
{
    va_list args;
    uint32_t first = world->line_count > WORLD_LINES ? world->line_count - WORLD_LINES : 0;
    for (uint32_t i = first; i < world->line_count; i++)
        (void)fprintf(stderr, "  %s\n", world->lines[i % WORLD_LINES]);
    (void)fprintf(
        stderr, "seed %" PRIu64 ", %.3f ms: ", world->seed, (double)world->sim.now_ns / 1e6);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr); /* seeds.c told how to see all of the trace */
    exit(1);
}

/* ---- time ---- */

void event_set(struct world *world, struct event *event, int64_t after_ns)
{
    int64_t at = world->sim.now_ns + (after_ns > 0 ? after_ns : 0);
    heap_remove(&world->events, &event->node);
    heap_insert(&world->events, &event->node, (at + TICK_NS - 1) / TICK_NS * TICK_NS);
}

void event_cancel(struct world *world, struct event *event)
{
    heap_remove(&world->events, &event->node);
}

static int64_t next_event_ns(const struct world *world)
{
    struct heap_node *first = heap_first(&world->events);
    return first ? first->key : INT64_MAX;
}

static void check_limits(struct world *world)
{
    const struct broker *broker = world->broker;
    const struct broker_memory *memory = &broker->memory;
    size_t count = broker->connection_count + 1;
    /* A frame that is alone may be larger than its share; a batch goes even if there is no room. */
    size_t largest = (size_t)world->config.socket_request_max_bytes;
    if (memory->frames > (size_t)world->config.frames_bytes_max + largest ||
        memory->requests > (size_t)world->config.requests_bytes_max +
                               count * (size_t)world->config.request_arena_max_bytes ||
        memory->answers >
            (size_t)world->config.answers_bytes_max + 2 * largest + count * CONNECTION_OUTPUT_MAX)
        world_fail(world, "memory beyond its limits: frames %zu, requests %zu, answers %zu",
            memory->frames, memory->requests, memory->answers);
    if (broker_answer_room(broker) == 0)
        world->answers_short_ns = world->sim.now_ns;
    bool parked = !list_empty(&broker->parked);
    world->totals->parks += parked && !world->was_parked;
    world->was_parked = parked;
}

static void turn(struct world *world)
{
    world->turn_is_due = false;
    broker_turn(world->broker);
    world->sim.disk.table->flush(&world->sim.disk);
    check_limits(world);
}

static bool is_dying(const struct world *world)
{
    return world->sim.dead || world->wal_failed;
}

static void step_alive(struct world *world)
{
    int64_t event_ns = next_event_ns(world), sim_ns = sim_next_ns(&world->sim);
    int64_t next = event_ns < sim_ns ? event_ns : sim_ns;
    if (world->turn_is_due && next > world->sim.now_ns) {
        turn(world);
        return;
    }
    world->turn_is_due = true;
    if (event_ns > sim_ns) {
        (void)sim_step(&world->sim);
        return;
    }
    if (event_ns == INT64_MAX)
        world_fail(world, "nothing will ever happen again");
    struct heap_node *first = heap_first(&world->events);
    heap_remove(&world->events, first);
    if (event_ns > world->sim.now_ns)
        world->sim.now_ns = event_ns;
    struct event *event = container_of(first, struct event, node);
    event->fire(event);
}

void world_step(struct world *world)
{
    world->totals->steps++;
    step_alive(world);
    if (is_dying(world))
        world_crash(world, world_chance(world, 1, 2));
}

void world_pass(struct world *world, int64_t ms)
{
    int64_t until = world->sim.now_ns + ms * CLOCK_NS_PER_MS;
    while (world->sim.now_ns < until)
        world_step(world);
}

/* ---- lives ---- */

void world_draw_faults(struct world *world)
{
    struct sim_faults *faults = &world->sim.faults;
    faults->latency_max_ns = world_chance(world, 1, 2) ? 200000 : 20000000;
    faults->fua = world_chance(world, 1, 2);
    faults->no_direct = world_chance(world, 1, 4);
    faults->no_fallocate = world_chance(world, 1, 4);
    faults->cold_read = world_chance(world, 1, 2) ? 3000 : 0;
    faults->read_error = world_chance(world, 1, 6) ? 20 : 0;
    faults->write_error = world_chance(world, 1, 8) ? 10 : 0;
    faults->sync_error = world_chance(world, 1, 8) ? 30 : 0;
    faults->no_space = world_chance(world, 1, 5) ? 50 : 0;
}

void world_calm(struct world *world)
{
    world->calm = true;
    world->calm_ns = world->sim.now_ns;
    world->sim.crash_after = -1;
    world->sim.faults = (struct sim_faults){ .latency_max_ns = 200000 };
}

static void on_failed(void *context, int status, const char *what)
{
    struct world *world = context;
    world_say(world, "broker: the write-ahead log failed: %s (%s)", what, strerror(-status));
    world->wal_failed = true;
    world->totals->fail_stops++;
}

static void stats_add(struct world *world)
{
    struct storage_stats now = storage_stats(world->broker->storage);
    uint64_t *sum = (uint64_t *)&world->totals->storage;
    const uint64_t *add = (const uint64_t *)&now;
    for (size_t i = 0; i < sizeof(now) / sizeof(*add); i++)
        sum[i] += add[i];
}

static void life_open(struct world *world)
{
    for (int tries = 0;; tries++) {
        if (!world->calm && tries < 6 && world_chance(world, 1, 3))
            world->sim.crash_after = (int64_t)random_below(&world->random, 60);
        world->wal_failed = false;
        int status = broker_open(&world->broker, &world->config, &world->sim.doors,
            &world->workers.workers, on_failed, world);
        if (status == 0)
            break;
        if (!world->sim.dead && !(status == -EIO || status == -ENOSPC))
            world_fail(world, "broker_open: %s", strerror(-status));
        if (tries > OPEN_TRIES_MAX)
            world_fail(world, "broker_open fails for ever: %s", strerror(-status));
        world->totals->recovery_crashes++;
        bool kill = world_chance(world, 1, 2);
        if (kill)
            sim_kill(&world->sim);
        else
            sim_power(&world->sim);
        if (!kill || status == -EIO) /* perhaps of a sync */
            ledger_crash(world, true);
        sim_restart(&world->sim);
    }
    world->sim.crash_after = -1;
    world->life++;
    world->turn_is_due = true;
    world_say(world, "broker: opened");
    ledger_settle(world);
}

static void clients_disconnect(struct world *world, bool drain)
{
    list_foreach (node, &world->clients)
        client_disconnect(list_entry(node, struct client, link), drain);
}

static void clients_forget(struct world *world)
{
    list_foreach (node, &world->clients)
        client_forget(list_entry(node, struct client, link));
}

/* The machine is dead: frees the broker, and tells everybody. */
static void life_bury(struct world *world, bool power)
{
    clients_disconnect(world, false);
    stats_add(world);
    broker_destroy(world->broker);
    world->broker = NULL;
    world->stopping = false;
    /* A failed sync may take what was only written, as a power cut does. */
    ledger_crash(world, power || world->wal_failed);
    clients_forget(world);
    if (world->sim.buffers.out)
        world_fail(world, "%zu bytes of buffers outlive the broker", world->sim.buffers.out);
    sim_restart(&world->sim);
}

static void life_kill(struct world *world, bool power)
{
    world_say(world, "world: %s", power ? "the power goes" : "the broker is killed");
    if (power)
        sim_power(&world->sim);
    else
        sim_kill(&world->sim);
    *(power ? &world->totals->powers : &world->totals->kills) += 1;
    life_bury(world, power);
}

void world_crash(struct world *world, bool power)
{
    life_kill(world, power);
    life_open(world);
}

static void on_stopped(void *context, int status)
{
    struct world *world = context;
    /* Without room on the disk the last checkpoint may be impossible: then the stop is not clean.
     */
    if (status < 0 && status != -ENOSPC && !is_dying(world))
        world_fail(world, "broker_close: %s", strerror(-status));
    world->stopped = true;
    world->stopped_clean = status == 0;
}

static void life_stop(struct world *world, bool power)
{
    world_say(world, "world: the broker is told to stop");
    world->stopping = true;
    world->stopped = false;
    broker_close(world->broker, on_stopped, world);
    for (int i = 0; !world->stopped && !is_dying(world); i++) {
        if (i > STOP_STEPS_MAX)
            world_fail(world, "broker_close never ends");
        step_alive(world);
    }
    if (!world->stopped) {
        life_kill(world, power);
        return;
    }
    world->totals->stops++;
    world_say(world, "world: the broker has stopped%s", power ? ", then the power goes" : "");
    clients_disconnect(world, true);
    if (world->stopped_clean)
        ledger_settle(world);
    if (power)
        sim_power(&world->sim);
    else
        sim_kill(&world->sim);
    life_bury(world, power);
}

void world_stop(struct world *world, bool power)
{
    life_stop(world, power);
    life_open(world);
}

void world_end(struct world *world, bool power)
{
    life_stop(world, power);
}

/* ---- start and end ---- */

static void set(struct broker_config *config, const char *option)
{
    struct config_report report = { 0 };
    broker_config_set_option(config, option, &report);
    CHECK(report.errors.len == 0);
    config_report_done(&report);
}

static void configure(struct world *world, const char *const *options)
{
    struct broker_config *config = &world->config;
    struct config_report report = { 0 };
    struct config_place place = { 0 };
    broker_config_init(config);
    set(config, "log.dirs=/data");
    set(config, "num.partitions=2");
    set(config, "group.min.session.timeout.ms=1000");
    set(config, "group.initial.rebalance.delay.ms=100");
    set(config, "group.consumer.min.session.timeout.ms=1000");
    set(config, "group.consumer.session.timeout.ms=3000");
    set(config, "group.consumer.min.heartbeat.interval.ms=100");
    set(config, "group.consumer.heartbeat.interval.ms=700");
    set(config, "group.consumer.assignment.interval.ms=100");
    set(config, "group.share.record.lock.duration.ms=2000");
    set(config, "group.share.delivery.count.limit=5");
    set(config, "group.share.session.timeout.ms=3000");
    set(config, "group.share.heartbeat.interval.ms=700");
    set(config, "log.retention.check.interval.ms=2000");
    while (*options)
        set(config, *options++);
    broker_config_finish(config, &place, &report);
    CHECK(report.errors.len == 0);
    config_report_done(&report);
    /* Far below what a configuration may say. */
    config->wal_file_bytes = world_chance(world, 2, 3)   ? 64 << 10
                             : world_chance(world, 1, 2) ? 256 << 10
                                                         : 2 << 20;
    config->wal_files_max = 4;
    config->topic_defaults.segment_bytes = config->wal_file_bytes > 1 << 20 ? 300000 : 20000;
    config->writeback_age_ms = 200;
    config->checkpoint_ms = world_chance(world, 1, 2) ? 1000 : 5000;
    config->disk_free_min_bytes = 1;
    config->socket_request_max_bytes = 1 << 20;
    config->frames_bytes_max = world_chance(world, 1, 2) ? 64 << 10 : 4 << 20;
    config->requests_bytes_max = world_chance(world, 1, 2) ? 16 << 10 : 4 << 20;
    config->answers_bytes_max = world_chance(world, 1, 2) ? 64 << 10 : 8 << 20;
    config->inflight_requests_max = world_chance(world, 1, 2) ? 3 : 64;
}

void world_init(struct world *world, uint64_t seed, bool verbose, struct totals *totals,
    const char *const *options)
{
    memset(world, 0, sizeof(*world));
    world->seed = seed;
    world->verbose = verbose;
    world->totals = totals;
    world->random = random_seeded(seed ^ 0xb40ce4);
    list_init(&world->clients);
    arena_init(&world->scratch, SCRATCH_MAX);
    compressor_init(&world->compressor);
    ledger_init(&world->ledger);
    sim_init(&world->sim, seed);
    world->sim.verbose = verbose;
    workers_inline_init(&world->workers, &world->sim.work);
    configure(world, options);
    world_draw_faults(world);
    life_open(world);
}

void world_done(struct world *world)
{
    uint64_t *sum = (uint64_t *)&world->totals->sim;
    const uint64_t *add = (const uint64_t *)&world->sim.counts;
    for (size_t i = 0; i < sizeof(world->sim.counts) / sizeof(*add); i++)
        sum[i] += add[i];
    struct list *node;
    while ((node = list_first(&world->clients))) {
        struct client *client = list_entry(node, struct client, link);
        client->destroy(client);
    }
    heap_done(&world->events);
    ledger_done(&world->ledger);
    roster_done(&world->roster);
    compressor_done(&world->compressor);
    arena_done(&world->scratch);
    broker_config_done(&world->config);
    sim_done(&world->sim);
}
