/*
 * sim_storage - storage in the simulated world, with an oracle.
 *
 *     sim_storage [FIRST-SEED [COUNT [OPERATIONS]]] [--seconds=N] [--twice] [--verbose]
 * [--lie=WHAT]
 *
 * Random commits and reads, time, faults and ends of lives (kill -9, power cut, clean stop, also
 * inside recovery) against the oracle of history.h; every fault class of storage.md 3.1 and 3.2.
 *
 * --seconds=N: from FIRST-SEED on until N seconds are over; FIRST-SEED 0 takes one from the clock.
 * --lie=sync, sync_dir, durable: the disk only says that it synced. The oracle must see it: tests
 * run these and expect a failure.
 * --twice: each seed twice; the same trace must come out.
 *
 * A failing run prints its seed, what it saw, and the command that replays it, and exits with 1.
 * The counts at the end prove that things happened; a zero fails.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/campaign.h"

struct arguments {
    struct campaign campaign;
    uint64_t first, count, seconds;
    bool twice;
};

static bool argument_read(struct arguments *arguments, const char *text)
{
    if (strcmp(text, "--twice") == 0)
        arguments->twice = true;
    else if (strcmp(text, "--verbose") == 0)
        arguments->campaign.verbose = true;
    else if (strcmp(text, "--lie=sync") == 0)
        arguments->campaign.lie = LIE_SYNC;
    else if (strcmp(text, "--lie=sync_dir") == 0)
        arguments->campaign.lie = LIE_SYNC_DIR;
    else if (strcmp(text, "--lie=durable") == 0)
        arguments->campaign.lie = LIE_DURABLE;
    else if (strncmp(text, "--seconds=", 10) == 0)
        arguments->seconds = strtoull(text + 10, NULL, 10);
    else
        return false;
    return true;
}

static uint64_t now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static bool run_seed(const struct arguments *arguments, uint64_t seed, struct totals *totals)
{
    struct campaign again = arguments->campaign;
    again.verbose = false;
    uint64_t first = campaign_run(&arguments->campaign, seed, totals);
    if (!arguments->twice || campaign_run(&again, seed, totals) == first)
        return true;
    (void)fprintf(stderr, "seed %" PRIu64 ": two runs, two traces\n", seed);
    return false;
}

int main(int argc, char **argv)
{
    struct arguments arguments = { .campaign.operations = 1000, .first = 1, .count = 200 };
    uint64_t *numbers[] = { &arguments.first, &arguments.count, NULL };
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        if (argument_read(&arguments, argv[i]))
            continue;
        uint64_t number = strtoull(argv[i], NULL, 10);
        if (count < 2)
            *numbers[count++] = number;
        else
            arguments.campaign.operations = number;
    }
    if (arguments.first == 0)
        arguments.first = (uint64_t)time(NULL) * 100000;
    if (arguments.seconds)
        printf("seeds from %" PRIu64 " on, for %" PRIu64 " s; replay one: %s SEED 1 %zu\n",
            arguments.first, arguments.seconds, argv[0], arguments.campaign.operations);
    (void)fflush(stdout);
    struct totals totals = { 0 };
    uint64_t until_s = now_s() + arguments.seconds, seed = arguments.first;
    while (arguments.seconds ? now_s() < until_s : seed < arguments.first + arguments.count) {
        if (!run_seed(&arguments, seed++, &totals))
            return 1;
    }
    /* A handful of seeds can't meet everything. */
    int zeros = campaign_print(&totals, totals.seeds >= 500);
    printf("%" PRIu64 " passed, %d failed\n", totals.seeds, zeros ? 1 : 0);
    return zeros ? 1 : 0;
}
