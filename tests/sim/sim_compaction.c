/*
 * sim_compaction - a compacted topic against its oracle (compaction_world.h).
 *
 *     sim_compaction [FIRST-SEED [COUNT [OPERATIONS]]] and the options of seeds.h
 *
 * The counts at the end prove that things happened; a zero fails.
 */
#include "tests/sim/compaction_world.h"
#include "tests/sim/seeds.h"

static int tables(const void *context, bool must)
{
    const struct compaction_totals *t = context;
    const struct seeds_row rows[] = {
        { "commits", t->commits },
        { "scans", t->scans },
        { "reads", t->reads },
        { "kills", t->kills },
        { "power cuts", t->powers },
        { "clean stops", t->closes },
        { "crashes in recovery", t->recovery_crashes },
        { "fail-stops", t->stops },
        { "start offsets raised", t->raises },
        { "records lost unpromised", t->lost },
        { "segments rolled", t->storage.rolls },
        { "compactions", t->storage.compactions },
        { "rounds over", t->storage.compaction_rounds },
        { "full maps", t->storage.compaction_full_maps },
        { "delete horizons set", t->storage.compaction_horizons },
        { "records dropped", t->storage.compaction_records_dropped },
        { "old values seen gone", t->gone_records },
        { "tombstones seen gone", t->gone_tombstones },
        { "aborted data seen gone", t->gone_aborted },
        { "markers seen gone", t->gone_markers },
        { "records expired", t->expired },
        { "bits flipped", t->flips },
        { "damage met by readers", t->damage_seen },
        { "logs uncleanable", t->storage.logs_uncleanable },
        { "segment files removed", t->storage.segments_deleted },
        { "cold reads", t->storage.reads_cold },
        { "write errors", t->sim.write_errors },
        { "sync errors", t->sim.sync_errors },
        { "no space", t->sim.no_space },
    };
    return seeds_rows(rows, ARRAY_COUNT(rows), must);
}

static uint64_t run(void *context, uint64_t seed, uint64_t operations, bool verbose)
{
    return compaction_run(seed, operations, verbose, context);
}

static uint64_t happened(const void *context)
{
    const struct compaction_totals *totals = context;
    return totals->operations;
}

int main(int argc, char **argv)
{
    struct compaction_totals totals = { 0 };
    struct seeds seeds = { 1, 100, 1000, "operations", 100, run, happened, tables, NULL, &totals };
    return seeds_run(&seeds, argc, argv);
}
