/*
 * sim_transactions - a whole broker and transactional producers in the simulated world.
 *
 *     sim_transactions [FIRST-SEED [COUNT [STEPS]]] and the options of seeds.h
 *
 * For each seed: instances of producers that share transactional ids, of both versions of the
 * protocol, and a reader of committed data, while the network stalls and breaks, producers die or
 * fall asleep, the disk fails, and the broker is killed, loses power, stops and starts. Then faults
 * end, everything that is open ends by time, and the reader reads all again, also after a stop and
 * a power cut. What must hold is told in deals.h. A failing run prints its seed and the end of its
 * trace, and exits with 1; from 50 seeds on a count of zero fails, too.
 */
#include "protocol/base/mem.h"
#include "tests/sim/deals.h"
#include "tests/sim/seeds.h"

enum {
    TRANSACTORS = 6,
    SETTLE_MS_MAX = 240000,
    SETTLE_MS_STEP = 50,
    ASK_MS = 3000,
    THIN_MS = 50,
};

/* The world with what only this program knows of it. */
struct stage {
    struct world world; /* first */
    struct deals deals;
    struct client *transactors[TRANSACTORS];
    struct client *reader;
};

struct deals *deals_of(struct world *world)
{
    return &container_of(world, struct stage, world)->deals;
}

static void trouble(struct world *w)
{
    switch (random_below(&w->random, 20000)) {
    case 0:
    case 1:
    case 2: w->sim.crash_after = (int64_t)random_below(&w->random, 40); break;
    case 3:
    case 4:
    case 5: world_crash(w, false); break;
    case 6:
    case 7:
    case 8: world_crash(w, true); break;
    case 9: world_stop(w, false); break;
    case 10: world_stop(w, true); break;
    case 11:
    case 12: world_draw_faults(w); break;
    default: break;
    }
}

static bool is_settled(const struct stage *stage)
{
    for (int i = 0; i < TRANSACTORS; i++)
        if (sim_transactor_busy(stage->transactors[i]))
            return false;
    return sim_deal_reader_done(stage->reader);
}

static void settle(struct stage *stage)
{
    struct world *w = &stage->world;
    for (int64_t ms = 0; ms < SETTLE_MS_MAX; ms += SETTLE_MS_STEP) {
        if (is_settled(stage))
            return;
        world_pass(w, SETTLE_MS_STEP);
    }
    world_fail(w, "faults have ended, and yet a deal is open or something cannot be read");
}

/* All or nothing. */
static void check_deals(struct stage *stage)
{
    struct deals *deals = &stage->deals;
    for (size_t i = 0; i < deals->count; i++) {
        struct deal *deal = &deals->deals[i];
        bool all = true, nothing = true;
        for (int part = 0; part < DEAL_PARTS; part++) {
            all &= deal->seen[part] == deal->sent[part];
            nothing &= deal->seen[part] == 0;
        }
        bool fine = deal->fate == DEAL_COMMITTED     ? all
                    : deal->fate == DEAL_COMMIT_SENT ? all || nothing
                                                     : nothing;
        if (!fine)
            world_fail(&stage->world, "deal %zu (fate %d) was seen %s", i + 1, deal->fate,
                all       ? "though it was aborted"
                : nothing ? "not at all"
                          : "in part");
        if (deal->fate == DEAL_COMMIT_SENT) {
            deals->counts->resolved_all += all;
            deals->counts->resolved_nothing += !all;
            deal->fate = all ? DEAL_COMMITTED : DEAL_ABORTED;
        }
    }
}

static void read_all(struct stage *stage)
{
    stage->world.quiet = false;
    sim_deal_reader_again(stage->reader);
    settle(stage);
    check_deals(stage);
    /* The reader asks for offsets, and they must be those of what was seen. */
    stage->world.quiet = true;
    world_pass(&stage->world, ASK_MS);
}

static void finish(struct stage *stage)
{
    struct world *w = &stage->world;
    world_say(w, "world: faults have ended");
    world_calm(w);
    world_pass(w, THIN_MS); /* some producers die, and the broker with them */
    world_crash(w, world_chance(w, 1, 2));
    settle(stage); /* and what came after the reader's last look comes with the next */
    read_all(stage);
    world_stop(w, world_chance(w, 1, 2));
    read_all(stage);
    world_crash(w, true);
    read_all(stage);
    world_end(w, world_chance(w, 1, 2));
}

struct simulation {
    struct totals totals;
    struct deal_counts counts;
};

static uint64_t run(void *context, uint64_t seed, uint64_t steps, bool verbose)
{
    struct simulation *simulation = context;
    struct stage *stage = mem_zalloc(1, sizeof(*stage));
    struct world *w = &stage->world;
    stage->deals.counts = &simulation->counts;
    world_init(w, seed, verbose, &simulation->totals, (const char *[]){ NULL });
    for (int i = 0; i < TRANSACTORS; i++)
        stage->transactors[i] = sim_transactor_create(w, i);
    stage->reader = sim_deal_reader_create(w, 0);
    for (uint64_t i = 0; i < steps; i++) {
        world_step(w);
        trouble(w);
    }
    finish(stage);
    uint64_t trace = sim_trace_hash(&w->sim);
    world_done(w);
    mem_free(stage->deals.deals);
    for (int i = 0; i < DEAL_PARTS; i++)
        mem_free(stage->deals.sights[i]);
    mem_free(stage);
    return trace;
}

static int tables(const void *context, bool must)
{
    const struct simulation *simulation = context;
    const struct totals *t = &simulation->totals;
    const struct deal_counts *c = &simulation->counts;
    const struct seeds_row rows[] = {
        { "transactions begun", c->begun },
        { "commits acknowledged", c->committed },
        { "aborts acknowledged", c->aborted },
        { "left by a producer that died", c->left },
        { "left until their time is up", c->late },
        { "refused to the fenced", c->fenced },
        { "... that were zombies", c->zombies },
        { "requests sent again", c->retries },
        { "batches sent again", c->duplicates },
        { "answer lost, all was there", c->resolved_all },
        { "answer lost, nothing was", c->resolved_nothing },
        { "offsets put", c->offsets },
        { "offsets not stable", c->unstable },
        { "aborted batches passed over", c->aborted_skipped },
        { "reads", c->reads },
        { "connections cut", t->resets },
        { "kills", t->kills },
        { "power cuts", t->powers },
        { "clean stops", t->stops },
        { "crashes in recovery", t->recovery_crashes },
        { "checkpoints", t->storage.checkpoints },
        { "segment rolls", t->storage.rolls },
        { "cold reads", t->storage.reads_cold },
        { "records replayed", t->storage.replayed_records },
    };
    return seeds_rows(rows, ARRAY_COUNT(rows), must);
}

static uint64_t happened(const void *context)
{
    const struct simulation *simulation = context;
    return simulation->totals.steps;
}

int main(int argc, char **argv)
{
    struct simulation simulation = { 0 };
    struct seeds seeds = { 1, 50, 20000, "steps", 50, run, happened, tables, NULL, &simulation };
    return seeds_run(&seeds, argc, argv);
}
