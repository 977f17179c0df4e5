/*
 * sim_broker - a whole broker and its clients in the simulated world, with oracles.
 *
 *     sim_broker [FIRST-SEED [COUNT [STEPS]]] and the options of seeds.h
 *
 * For each seed: producers, consumers, group members and an admin work for STEPS steps of the world
 * while the network stalls and breaks, the disk fails, and the broker is killed, loses power, stops
 * and starts. Then faults end, and it is asked whether everybody comes to rest:
 *
 *   1. every request was answered or its connection closed, everything unacknowledged comes home,
 *      every group becomes stable
 *   2. a scan of all logs agrees with the ledger (ledger.h); nothing of the broker's memory is held
 *   3. the same after a clean stop, and after a power cut
 *
 * What must hold on the way is told in ledger.h and roster.h. A failing run prints its seed and the
 * end of its trace, and exits with 1. The counts at the end prove that things happened: from 50
 * seeds on a zero fails.
 */
#include <inttypes.h>

#include "protocol/base/mem.h"
#include "tests/sim/roles.h"
#include "tests/sim/seeds.h"

enum {
    PRODUCERS = 4,
    CONSUMERS = 3,
    MEMBERS = 9,
    SETTLE_MS_MAX = 240000,
    SETTLE_MS_STEP = 50,
    QUIET_MS = 30000,
};

struct cast {
    struct client *producers[PRODUCERS];
    struct client *scanner;
};

static struct cast cast_make(struct world *w)
{
    struct cast cast;
    w->roster.topics[0] = (struct roster_topic){ slots[SLOT_ACKED].name, .slot = SLOT_ACKED };
    w->roster.topics[1] = (struct roster_topic){ slots[SLOT_SYNCED].name, .slot = SLOT_SYNCED };
    (void)sim_admin_create(w, 0);
    for (int i = 0; i < PRODUCERS; i++)
        cast.producers[i] = sim_producer_create(w, i);
    for (int i = 0; i < CONSUMERS; i++)
        (void)sim_consumer_create(w, i);
    for (int i = 0; i < MEMBERS; i++)
        (void)sim_member_create(w, i,
            &(struct member_style){
                .group = i % 3, .seat = i, .pace_ms = 120, .session_ms = 3000, .fixed = i < 2 });
    cast.scanner = sim_scanner_create(w, 0);
    return cast;
}

/* ---- the busy part ---- */

static void trouble(struct world *w, const struct cast *cast)
{
    switch (random_below(&w->random, 40000)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: w->sim.crash_after = (int64_t)random_below(&w->random, 40); break;
    case 5:
    case 6:
    case 7: world_crash(w, false); break;
    case 8:
    case 9:
    case 10: world_crash(w, true); break;
    case 11:
    case 12: world_stop(w, false); break;
    case 13:
    case 14: world_stop(w, true); break;
    case 15:
    case 16:
    case 17:
    case 18:
    case 19:
    case 20: world_draw_faults(w); break;
    case 21:
    case 22:
    case 23:
        if (sim_scanner_done(cast->scanner))
            sim_scanner_begin(cast->scanner);
        break;
    default: break;
    }
}

/* ---- coming to rest ---- */

/* Why not everything has come to rest, or NULL. */
static const char *unsettled(struct world *w, const struct cast *cast)
{
    for (int i = 0; i < PRODUCERS; i++) {
        if (sim_producer_pending(cast->producers[i]))
            return "a producer has batches that are not acknowledged";
    }
    return sim_members_unsettled(w);
}

static void settle(struct world *w, const struct cast *cast)
{
    const char *why = "";
    for (int64_t ms = 0; ms < SETTLE_MS_MAX; ms += SETTLE_MS_STEP) {
        why = unsettled(w, cast);
        if (!why)
            return;
        world_pass(w, SETTLE_MS_STEP);
    }
    world_fail(w, "faults have ended, and yet: %s", why);
}

static void scan(struct world *w, const struct cast *cast)
{
    bool begun = false; /* one may be under way */
    for (int64_t ms = 0; ms < SETTLE_MS_MAX; ms += SETTLE_MS_STEP) {
        bool done = sim_scanner_done(cast->scanner);
        if (done && begun)
            return;
        if (done)
            sim_scanner_begin(cast->scanner);
        begun |= done;
        world_pass(w, SETTLE_MS_STEP);
    }
    world_fail(w, "the scan of all logs does not end");
}

/* Nobody begins anything: then nothing may be left. */
static void rest(struct world *w)
{
    w->quiet = true;
    world_pass(w, QUIET_MS);
    list_foreach (node, &w->clients) {
        struct client *client = list_entry(node, struct client, link);
        if (client->call_count) {
            const struct call *call = list_entry(list_first(&client->calls), struct call, link);
            world_fail(w, "%s: %s %d (%" PRId32 ") was never answered", client->name,
                call->schema->name, call->version, call->correlation);
        }
    }
    const struct broker_memory *memory = &w->broker->memory;
    if (memory->frames || memory->requests || memory->answers || w->sim.buffers.out)
        world_fail(w,
            "at rest, and %zu bytes of frames, %zu of requests, %zu of answers, %zu of "
            "buffers are held",
            memory->frames, memory->requests, memory->answers, w->sim.buffers.out);
    w->quiet = false;
}

static void finish(struct world *w, const struct cast *cast)
{
    world_say(w, "world: faults have ended");
    world_calm(w);
    settle(w, cast);
    scan(w, cast);
    rest(w);
    world_stop(w, world_chance(w, 1, 2));
    scan(w, cast);
    world_crash(w, true);
    settle(w, cast);
    scan(w, cast);
    rest(w);
    world_end(w, world_chance(w, 1, 2));
}

static uint64_t run(void *totals, uint64_t seed, uint64_t steps, bool verbose)
{
    struct world *w = mem_zalloc(1, sizeof(*w));
    world_init(w, seed, verbose, totals, (const char *[]){ NULL });
    struct cast cast = cast_make(w);
    for (uint64_t i = 0; i < steps; i++) {
        world_step(w);
        trouble(w, &cast);
    }
    finish(w, &cast);
    uint64_t trace = sim_trace_hash(&w->sim);
    world_done(w);
    mem_free(w);
    return trace;
}

/* ---- counts ---- */

static int client_rows(const struct totals *t, bool must)
{
    const struct seeds_row rows[] = {
        { "connections", t->connects },
        { "connections cut", t->resets },
        { "cut inside a request", t->half_requests },
        { "closed by the broker", t->broker_closes },
        { "answers not read for long", t->stalls },
        { "reading paused", t->pauses },
        { "ring full, parked", t->parks },
        { "requests", t->requests },
        { "answers", t->answers },
        { "batches acknowledged", t->batches_acked },
        { "batches refused", t->batches_refused },
        { "batches sent again", t->retries },
        { "duplicates answered", t->duplicates },
        { "gaps refused", t->gaps_refused },
        { "batches recoded", t->recoded },
        { "batches over 64 KiB", t->large_batches },
        { "lost without a promise", t->lost_unpromised },
        { "records compared", t->records_checked },
        { "logs scanned", t->scans },
        { "fetches", t->fetches },
        { "long polls woken", t->polls_woken },
        { "long polls expired", t->polls_expired },
        { "polls short of memory", t->polls_starved },
        { "offsets out of range", t->out_of_range },
        { "old leader epochs fenced", t->fenced },
        { "divergences told", t->divergences },
        { "offsets listed", t->list_offsets },
        { "ends of epochs", t->epoch_lookups },
        { "joins", t->joins },
        { "rebalances", t->rebalances },
        { "members expired", t->expired },
        { "members left", t->left },
        { "offsets committed", t->commits },
        { "commits refused", t->commits_refused },
        { "offsets fetched", t->offset_fetches },
        { "topics created", t->created },
        { "topics deleted", t->deleted },
        { "topics made by asking", t->auto_created },
        { "topics grown", t->grown },
        { "descriptions", t->described },
        { "values set at run time", t->settings_set },
        { "values told", t->settings_told },
    };
    return seeds_rows(rows, ARRAY_COUNT(rows), must);
}

static int machine_rows(const struct totals *t, bool must)
{
    const struct seeds_row rows[] = {
        { "kills", t->kills },
        { "power cuts", t->powers },
        { "clean stops", t->stops },
        { "crashes in recovery", t->recovery_crashes },
        { "fail-stops", t->fail_stops },
        { "wal wraps", t->storage.wal_wraps },
        { "wal files recycled", t->storage.wal_files_recycled },
        { "write-backs", t->storage.writebacks },
        { "segment rolls", t->storage.rolls },
        { "segments deleted", t->storage.segments_deleted },
        { "checkpoints", t->storage.checkpoints },
        { "ring reads", t->storage.reads_ring },
        { "warm reads", t->storage.reads_warm },
        { "cold reads", t->storage.reads_cold },
        { "records replayed", t->storage.replayed_records },
        { "sectors lost", t->sim.sectors_lost },
        { "names lost", t->sim.names_lost },
        { "torn writes", t->sim.torn_writes },
        { "read errors", t->sim.read_errors },
        { "write errors", t->sim.write_errors },
        { "sync errors", t->sim.sync_errors },
        { "no space", t->sim.no_space },
    };
    return seeds_rows(rows, ARRAY_COUNT(rows), must);
}

static int tables(const void *context, bool must)
{
    return client_rows(context, must) + machine_rows(context, must);
}

static uint64_t happened(const void *context)
{
    const struct totals *totals = context;
    return totals->steps;
}

int main(int argc, char **argv)
{
    struct totals totals = { 0 };
    struct seeds seeds = { 1, 50, 20000, "steps", 50, run, happened, tables, NULL, &totals };
    return seeds_run(&seeds, argc, argv);
}
