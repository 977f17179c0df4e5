/*
 * world.h - a broker, its clients and the network between them, in one thread and virtual time.
 *
 * The world owns one simulated machine (sim.h) on which a broker lives one life after another, and
 * the clients, who live through all of them. Everything that happens is an event in virtual time:
 * of the machine (timer, disk, job), or of the clients and their network (struct event). The broker
 * gets a turn before time passes on.
 *
 * Everything is drawn from the seed; whatever goes wrong ends the process with the seed and the
 * newest lines of the trace.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "broker/broker.h"
#include "broker/connection.h"
#include "processors/workers.h"
#include "protocol/base/arena.h"
#include "protocol/compress.h"
#include "tests/sim/ledger.h"
#include "tests/sim/roster.h"
#include "tests/sim/sim.h"

enum { WORLD_LINES = 24, WORLD_LINE_SIZE = 160 };

/* What happened in all runs; a zero is a hole in the test. By name in sim_broker.c. */
struct totals {
    uint64_t steps;
    /* ends of lives */
    uint64_t kills, powers, stops, recovery_crashes, fail_stops;
    /* the network */
    uint64_t connects, resets, half_requests, stalls, broker_closes, parks, pauses;
    /* records */
    uint64_t requests, answers, batches_acked, batches_refused, records_checked, lost_unpromised;
    uint64_t retries, duplicates, gaps_refused, recoded, large_batches;
    uint64_t fetches, polls_woken, polls_expired, polls_starved, out_of_range, fenced, divergences;
    uint64_t list_offsets, epoch_lookups, scans;
    /* groups */
    uint64_t joins, rebalances, expired, left, commits, commits_refused, offset_fetches;
    uint64_t late, busy, retired, repeated, instances_fenced, generations_fenced, epochs_fenced,
        unreleased, revoked, resubscribed;
    uint64_t groups_deleted, deletions_refused, offsets_deleted, offsets_spared, upgrades,
        downgrades, led_by_broker, late_commits, late_beats;
    uint64_t offsets_expired, offsets_read, offsets_waited, groups_vanished, groups_ended;
    uint64_t deals_committed, deals_aborted, deals_fenced, deals_unsure, zombies, members_refused,
        offsets_unstable;
    /* topics */
    uint64_t created, deleted, auto_created, grown, described, settings_set, settings_told;
    struct storage_stats storage;
    struct sim_counts sim;
};

/* Something of the clients or the network that happens at a time. In its owner. */
struct event {
    struct heap_node node;
    void (*fire)(struct event *event);
};

struct world {
    struct sim sim;
    struct workers_inline workers;
    struct random random; /* of clients and network, apart from the sim's */
    struct broker_config config;
    struct broker *broker; /* NULL: not running */
    struct heap events;
    struct list clients; /* struct client */
    struct ledger ledger;
    struct roster roster;
    struct compressor compressor;
    struct arena scratch; /* of a request that is being built */
    struct totals *totals;
    uint64_t seed;
    uint64_t life;    /* of the broker, counted */
    uint64_t moment;  /* counts what clients send and hear: an order that everybody agrees on */
    bool calm;        /* faults have stopped; clients finish what they have begun */
    int64_t calm_ns;  /* since when */
    bool quiet;       /* clients begin nothing at all any more */
    bool wal_failed;  /* a real process aborts here */
    bool turn_is_due; /* something happened since the broker's last turn */
    bool was_parked;
    int64_t answers_short_ns; /* the last time that nothing was left for answers */
    bool stopping, stopped, stopped_clean;
    bool verbose;
    uint32_t line_count;
    char lines[WORLD_LINES][WORLD_LINE_SIZE];
};

/* Creates the machine, and opens the first broker on it. options: of its configuration, as on the
 * command line, up to a NULL; they win over the world's own. */
void world_init(struct world *world, uint64_t seed, bool verbose, struct totals *totals,
    const char *const *options);
/* After the last life has ended. */
void world_done(struct world *world);

/* ---- time ---- */

void event_set(struct world *world, struct event *event, int64_t after_ns);
void event_cancel(struct world *world, struct event *event);
/* Does the next thing. Ends the life if that killed it. */
void world_step(struct world *world);
/* Steps until that much virtual time has passed. */
void world_pass(struct world *world, int64_t ms);

/* Have faults stopped before this was sent? What was sent before may have met one. */
static inline bool world_was_calm(const struct world *world, int64_t sent_ns)
{
    return world->calm && sent_ns > world->calm_ns;
}

/* ---- lives ---- */

/* The process is killed, or the power goes, at this very point; then it starts again, perhaps
 * after crashes of its recovery. */
void world_crash(struct world *world, bool power);
/* A clean stop, and a start; `power`: the power goes once it has stopped. */
void world_stop(struct world *world, bool power);
/* After the last stop or crash: without a start. */
void world_end(struct world *world, bool power);
/* Draws which faults the disk has from now on. */
void world_draw_faults(struct world *world);
/* No more faults; clients come to rest. */
void world_calm(struct world *world);

/* ---- telling ---- */

/* One line of the trace; printed at once with --verbose, and the newest of them on a failure. */
void world_say(struct world *world, const char *format, ...) PRINTF_LIKE(2, 3);
/* The run has failed: prints the seed and the trace, exits with 1. */
void world_fail(struct world *world, const char *format, ...) PRINTF_LIKE(2, 3) NORETURN;

/* ---- chance ---- */

static inline bool world_chance(struct world *world, uint32_t one, uint32_t in)
{
    return random_chance(&world->random, one, in);
}
/* From low to high, both included. */
static inline int64_t world_pick(struct world *world, int64_t low, int64_t high)
{
    return random_between(&world->random, low, high);
}

#endif
