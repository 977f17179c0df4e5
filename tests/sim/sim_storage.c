/*
 * sim_storage - storage in the simulated world, with an oracle.
 *
 *     sim_storage [FIRST-SEED [COUNT [OPERATIONS]]] [--lie=WHAT] and the options of seeds.h
 *
 * Random commits and reads, time, faults and ends of lives (kill -9, power cut, clean stop, also
 * inside recovery) against the oracle of history.h; every fault class of storage.md 3.1 and 3.2.
 *
 * --lie=sync, sync_dir, durable: the disk only says that it synced. The oracle must see it: tests
 * run these and expect a failure.
 *
 * A failing run prints its seed, what it saw, and the command that replays it, and exits with 1.
 * The counts at the end prove that things happened; a zero fails.
 */
#include <string.h>

#include "tests/sim/campaign.h"
#include "tests/sim/seeds.h"

struct simulation {
    enum lie lie;
    struct totals totals;
};

static bool option(void *context, const char *argument)
{
    static const char *const lies[] = { [LIE_SYNC] = "--lie=sync",
        [LIE_SYNC_DIR] = "--lie=sync_dir",
        [LIE_DURABLE] = "--lie=durable" };
    struct simulation *simulation = context;
    for (enum lie lie = LIE_SYNC; lie <= LIE_DURABLE; lie++) {
        if (strcmp(argument, lies[lie]) == 0)
            simulation->lie = lie;
    }
    return simulation->lie != LIE_NONE;
}

static uint64_t run(void *context, uint64_t seed, uint64_t operations, bool verbose)
{
    struct simulation *simulation = context;
    struct campaign campaign = { operations, verbose, simulation->lie };
    return campaign_run(&campaign, seed, &simulation->totals);
}

static uint64_t happened(const void *context)
{
    const struct simulation *simulation = context;
    return simulation->totals.operations;
}

static int tables(const void *context, bool must)
{
    const struct simulation *simulation = context;
    return campaign_rows(&simulation->totals, must);
}

int main(int argc, char **argv)
{
    struct simulation simulation = { 0 };
    struct seeds seeds = { 1, 200, 1000, "operations", 500, run, happened, tables, option,
        &simulation };
    return seeds_run(&seeds, argc, argv);
}
