/*
 * sim_compaction - a compacted topic against its oracle (compaction_world.h).
 *
 *     sim_compaction [FIRST-SEED [COUNT [OPERATIONS]]] [--twice] [--verbose]
 *
 * The counts at the end prove that things happened; a zero fails.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/compaction_world.h"

static int print_counts(const struct compaction_totals *t, bool must)
{
    const struct {
        const char *name;
        uint64_t count;
    } rows[] = {
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
    int zeros = 0;
    printf("%" PRIu64 " seeds, %" PRIu64 " operations\n", t->seeds, t->operations);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        bool zero = must && rows[i].count == 0;
        printf("  %-28s %12" PRIu64 "%s\n", rows[i].name, rows[i].count,
            zero ? "   NEVER HAPPENED" : "");
        zeros += zero;
    }
    return zeros;
}

int main(int argc, char **argv)
{
    bool twice = false, verbose = false;
    uint64_t numbers[3] = { 1, 100, 1000 };
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--twice") == 0)
            twice = true;
        else if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (count < 3)
            numbers[count++] = strtoull(argv[i], NULL, 10);
    }
    struct compaction_totals totals = { 0 };
    for (uint64_t seed = numbers[0]; seed < numbers[0] + numbers[1]; seed++) {
        uint64_t trace = compaction_run(seed, numbers[2], verbose, &totals);
        if (twice && compaction_run(seed, numbers[2], false, &totals) != trace) {
            (void)fprintf(stderr, "seed %" PRIu64 ": two runs, two traces\n", seed);
            return 1;
        }
    }
    int zeros = print_counts(&totals, numbers[1] >= 100);
    printf("%" PRIu64 " passed, %d failed\n", totals.seeds, zeros ? 1 : 0);
    return zeros ? 1 : 0;
}
