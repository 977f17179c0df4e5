/*
 * seeds.h - the program around a simulation: which seeds it runs, for how long, and the table of
 * what happened in them. One for all of them:
 *
 *     PROGRAM [FIRST-SEED [COUNT [LENGTH]]] [--seconds=N] [--twice] [--verbose]
 *
 * FIRST-SEED `fresh` or 0: seeds that nobody has tried, by the clock; the first is printed.
 * --seconds=N: until N seconds are over (or COUNT seeds, if it was given).
 * --twice: each seed twice; the same trace must come out.
 */
#ifndef TESTS_SIM_SEEDS_H
#define TESTS_SIM_SEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How often something happened in all runs. */
struct seeds_row {
    const char *name;
    uint64_t count;
};

struct seeds {
    uint64_t first, count, length; /* what is run without arguments */
    const char *lengths;           /* "steps": what LENGTH counts */
    uint64_t for_counts;           /* from that many seeds on a zero in the table fails */
    /* Runs one seed: exits with 1, having told why, if something was wrong. Returns the hash of its
     * trace. */
    uint64_t (*run)(void *context, uint64_t seed, uint64_t length, bool verbose);
    /* How many things LENGTH asked for really happened. */
    uint64_t (*happened)(const void *context);
    /* All tables, by seeds_rows; returns how many zeros there were that must not be. */
    int (*tables)(const void *context, bool must);
    /* An argument of the program's own; NULL: it has none. False: unknown. */
    bool (*option)(void *context, const char *argument);
    void *context;
};

/* What main returns. */
int seeds_run(struct seeds *seeds, int argc, char **argv);
/* A line for each count. Returns how many are zero although they must not be. */
int seeds_rows(const struct seeds_row *rows, size_t count, bool must);

#endif
