/* See campaign.h. Chances are chosen so that most seeds meet most things, and some seeds nothing
 * but crashes: a fault that hides another one has no place in every seed. */
#include "tests/sim/campaign.h"

#include "tests/sim/seeds.h"

enum { BIRTHS = 4 }; /* a seed */

static void faults_draw(struct world *w)
{
    struct sim_faults *faults = &w->sim.faults;
    struct random *r = &w->random;
    *faults = (struct sim_faults){
        .latency_max_ns = random_chance(r, 1, 2) ? 200000 : 20000000,
        .fua = random_chance(r, 1, 2),
        .no_direct = random_chance(r, 1, 4),
        .no_fallocate = random_chance(r, 1, 4),
        .cold_read = random_chance(r, 1, 2) ? 3000 : 0,
        .read_error = random_chance(r, 1, 5) ? 20 : 0,
        .write_error = random_chance(r, 1, 5) ? 5 : 0,
        .sync_error = random_chance(r, 1, 4) ? 20 : 0,
        .sync_no_space = random_chance(r, 1, 8) ? 10 : 0,
        .dir_error = random_chance(r, 1, 8) ? 20 : 0,
        .no_space = random_chance(r, 1, 5) ? 20 : 0,
        .spike = random_chance(r, 1, 5) ? 20 : 0,
        .capacity = random_chance(r, 1, 8) ? 400000 + random_below(r, 200000) : 0,
    };
}

/* Now and then one kind of error falls like rain. */
static void storm_draw(struct world *w)
{
    struct sim_faults *faults = &w->sim.faults;
    switch (random_below(&w->random, 32)) {
    case 0: faults->sync_error = 150; break;
    case 1: faults->write_error = 100; break;
    case 2: faults->spike = 1000; break;
    case 3: faults->no_space = 300; break;
    default: break;
    }
}

static void time_pass(struct world *w, uint64_t longest_ns)
{
    bool late = random_chance(&w->random, 1, 8);
    world_run_until(w, w->sim.now_ns + (int64_t)random_below(&w->random, longest_ns), late);
}

static void clock_jump(struct world *w)
{
    static const int64_t day_ms = INT64_C(86400000);
    int64_t most = random_chance(&w->random, 1, 2) ? 1000 : 3650 * day_ms;
    sim_jump(&w->sim, random_between(&w->random, -most, most));
}

/* Deleted and made again at once, every other time: the names are the same. */
static void topic_change(struct world *w)
{
    int slot = (int)random_below(&w->random, SLOTS);
    bool there = log_of(w, slot, 0) != NULL;
    do_topic(w, slot);
    if (there && !log_of(w, slot, 0) && random_chance(&w->random, 1, 2))
        do_topic(w, slot);
}

static void step_random(struct world *w)
{
    uint64_t dice = random_below(&w->random, 1000);
    if (dice < 500)
        do_append(w);
    else if (dice < 570)
        do_put(w);
    else if (dice < 580)
        topic_change(w);
    else if (dice < 588)
        do_raise(w);
    else if (dice < 590)
        clock_jump(w);
    else if (dice < 700)
        do_read(w);
    else
        time_pass(w, dice < 980 ? 3000000 : 2000000000);
    if (!w->failed && !w->sim.dead)
        storage_turn(w->storage);
}

static void operation(struct world *w)
{
    step_random(w);
    w->totals->operations++;
    if (random_chance(&w->random, 1, 300))
        w->sim.crash_after = (int64_t)random_below(&w->random, 40);
    if (w->failed || w->sim.dead || random_chance(&w->random, 1, 200))
        life_crash(w, random_chance(&w->random, 1, 2), true);
    else if (random_chance(&w->random, 1, 500))
        life_close(w);
    else if (random_chance(&w->random, 1, 1000))
        life_damage(w);
}

/* A directory's first hours: ends of life inside its making and soon after it. */
static void birth(const struct campaign *campaign, uint64_t seed, struct totals *totals)
{
    struct world w;
    world_begin(&w, seed, totals);
    w.sim.verbose = campaign->verbose;
    faults_draw(&w);
    w.sim.faults.capacity = 0;
    w.sim.faults.skip_sync = campaign->lie == LIE_SYNC;
    w.sim.faults.skip_sync_dir = campaign->lie == LIE_SYNC_DIR;
    w.sim.faults.skip_durable = campaign->lie == LIE_DURABLE;
    w.young = true;
    (void)life_open(&w);
    for (int life = 0; life < 3; life++) {
        for (int i = (int)random_below(&w.random, 12); i > 0 && !w.failed && !w.sim.dead; i--) {
            if (random_chance(&w.random, 1, 3))
                topic_change(&w);
            else if (random_chance(&w.random, 1, 2))
                do_append(&w);
            else
                do_put(&w);
            storage_turn(w.storage);
            time_pass(&w, 100000000);
            totals->operations++;
        }
        life_crash(&w, random_chance(&w.random, 2, 3), true);
    }
    w.sim.faults = (struct sim_faults){ .latency_max_ns = 1000 };
    life_crash(&w, true, true);
    totals->births++;
    world_end(&w);
}

uint64_t campaign_run(const struct campaign *campaign, uint64_t seed, struct totals *totals)
{
    for (uint64_t i = 0; i < BIRTHS; i++)
        birth(campaign, seed ^ (i + 1) << 40, totals);

    struct world w;
    world_begin(&w, seed, totals);
    w.sim.verbose = campaign->verbose;
    w.config.sync_files_max = seed % 4 == 3 ? 1 : 32;
    w.config.segment_files_max = seed % 8 == 5 ? 1 : 1000;
    (void)life_open(&w);
    faults_draw(&w);
    storm_draw(&w);
    w.sim.faults.skip_sync = campaign->lie == LIE_SYNC;
    w.sim.faults.skip_sync_dir = campaign->lie == LIE_SYNC_DIR;
    w.sim.faults.skip_durable = campaign->lie == LIE_DURABLE;
    for (int i = 0; i < SLOTS; i++)
        do_topic(&w, i);
    for (size_t i = 0; i < campaign->operations; i++)
        operation(&w);
    w.sim.faults = (struct sim_faults){ .latency_max_ns = 1000 };
    life_crash(&w, true, true);
    uint64_t trace = sim_trace_hash(&w.sim);
    world_end(&w);
    return trace;
}

int campaign_rows(const struct totals *t, bool must)
{
    const struct seeds_row rows[] = {
        { "commits", t->commits },
        { "directories made", t->births },
        { "topics with flush.* alone", t->flushes },
        { "reads", t->reads },
        { "ring full", t->full },
        { "kills", t->kills },
        { "power cuts", t->powers },
        { "clean stops", t->closes },
        { "crashes in recovery", t->recovery_crashes },
        { "fail-stops", t->failures_stopped },
        { "commits lost unpromised", t->lost_commits },
        { "commits kept unacknowledged", t->kept_unacked },
        { "starts raised", t->raises },
        { "duplicates checked", t->duplicates_checked },
        { "wal wraps", t->storage.wal_wraps },
        { "wal files recycled", t->storage.wal_files_recycled },
        { "write-backs", t->storage.writebacks },
        { "segment rolls", t->storage.rolls },
        { "segments sealed", t->storage.seals },
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
        { "no space at write-back", t->sim.sync_no_space },
        { "no room to start", t->freed },
        { "directory sync errors", t->sim.dir_errors },
        { "latency spikes", t->sim.spikes },
        { "clock jumps", t->sim.clock_jumps },
        { "bits flipped", t->flips },
        { "writes misdirected", t->misdirected },
        { "writes lost", t->zeroed },
        { "files deleted", t->deleted },
        { "damage refused at start", t->damage_refused },
        { "damage told", t->damage_named },
        { "damage of no use", t->damage_harmless },
    };
    return seeds_rows(rows, ARRAY_COUNT(rows), must);
}
