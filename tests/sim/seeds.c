/* See seeds.h. The clock and the seed of a fresh range are all that a program takes from the real
 * world. A run that fails ends the process; the seeds before it were clean. */
#include "tests/sim/seeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SEEDS_A_SECOND = 100000 }; /* fresh ranges of different seconds share none */

int seeds_rows(const struct seeds_row *rows, size_t count, bool must)
{
    int zeros = 0;
    for (size_t i = 0; i < count; i++) {
        bool zero = must && rows[i].count == 0;
        printf("  %-28s %12" PRIu64 "%s\n", rows[i].name, rows[i].count,
            zero ? "   NEVER HAPPENED" : "");
        zeros += zero;
    }
    return zeros;
}

struct arguments {
    uint64_t seconds;
    bool twice, verbose, counted, fresh;
};

static bool number_read(const char *text, uint64_t *ret_number)
{
    char *end;
    *ret_number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

static bool argument_read(
    struct seeds *seeds, struct arguments *arguments, const char *text, int place)
{
    uint64_t *numbers[] = { &seeds->first, &seeds->count, &seeds->length };
    if (place == 0 && strcmp(text, "fresh") == 0)
        seeds->first = 0;
    else if (place > 2 || !number_read(text, numbers[place]))
        return false;
    arguments->fresh |= place == 0 && seeds->first == 0;
    arguments->counted |= place == 1;
    return true;
}

static bool arguments_read(struct seeds *seeds, struct arguments *arguments, int argc, char **argv)
{
    int place = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--twice") == 0) {
            arguments->twice = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            arguments->verbose = true;
        } else if (strncmp(argv[i], "--seconds=", 10) == 0) {
            if (!number_read(argv[i] + 10, &arguments->seconds))
                return false;
        } else if (argv[i][0] == '-') {
            if (!seeds->option || !seeds->option(seeds->context, argv[i]))
                return false;
        } else if (!argument_read(seeds, arguments, argv[i], place++)) {
            return false;
        }
    }
    return true;
}

static uint64_t now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static bool run_seed(const struct seeds *seeds, const struct arguments *arguments, uint64_t seed)
{
    uint64_t trace = seeds->run(seeds->context, seed, seeds->length, arguments->verbose);
    if (!arguments->twice ||
        seeds->run(seeds->context, seed, seeds->length, arguments->verbose) == trace)
        return true;
    (void)fprintf(stderr, "seed %" PRIu64 ": two runs, two traces\n", seed);
    return false;
}

int seeds_run(struct seeds *seeds, int argc, char **argv)
{
    struct arguments arguments = { 0 };
    if (!arguments_read(seeds, &arguments, argc, argv)) {
        (void)fprintf(stderr,
            "usage: %s [FIRST-SEED|fresh [COUNT [%s]]] [--seconds=N] [--twice] [--verbose]\n",
            argv[0], seeds->lengths);
        return 2;
    }
    if (arguments.fresh)
        seeds->first = (uint64_t)time(NULL) * SEEDS_A_SECOND;
    uint64_t count = arguments.seconds && !arguments.counted ? UINT64_MAX : seeds->count;
    uint64_t until_s = now_s() + arguments.seconds, done = 0;
    printf("seeds from %" PRIu64 "; one again: %s SEED 1 %" PRIu64 " --verbose\n", seeds->first,
        argv[0], seeds->length);
    (void)fflush(stdout);
    for (; done < count && (!arguments.seconds || now_s() < until_s); done++) {
        if (!run_seed(seeds, &arguments, seeds->first + done))
            return 1;
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " %s\n", done, seeds->happened(seeds->context),
        seeds->lengths);
    /* A handful of seeds can't meet everything; none at all proves nothing. */
    int zeros = seeds->tables(seeds->context, done >= seeds->for_counts);
    printf("%" PRIu64 " passed, %d failed\n", done, zeros ? 1 : 0);
    return zeros || done == 0 ? 1 : 0;
}
