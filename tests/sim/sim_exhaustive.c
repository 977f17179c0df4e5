/*
 * sim_exhaustive - small workloads, every crash point, every subset of what a power cut may lose.
 *
 *     sim_exhaustive [LENGTH [WORKLOAD]]      default 2; WORKLOAD: letters of `letters` below
 *
 * For all workloads of up to LENGTH operations over topics that are there already: at each event
 * (an asynchronous op or job ends, a timer fires) and inside each job before each blocking call the
 * power goes. What is not synced - sectors that differ from the medium, sizes, names - is kept or
 * lost in every combination; where more than DECISIONS_MAX are open at a time, the rest of them is
 * drawn. Each state is recovered and held against the oracle of history.h, one in three after
 * further crashes inside the recovery. A failure prints what replays it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "tests/sim/history.h"

/* Append to one log (durable, not durable), to two logs, put, checkpoint, roll, delete a topic. */
static const char letters[] = "AOUPCRD";
enum { LENGTH_MAX = 6, DECISIONS_MAX = 14, SETTLE_MS = 6000 };

struct count {
    uint64_t workloads, points, states, wide;
    struct totals totals;
};

/* Where the power goes: after so many events, or before that blocking call; -1: not there. */
struct point {
    int64_t event, call;
};

struct run {
    struct world w;
    struct point point;
    int64_t events;
    bool cut;
};

static void run_time(struct run *run, int64_t ms)
{
    struct world *w = &run->w;
    int64_t until_ns = w->sim.now_ns + ms * CLOCK_NS_PER_MS;
    while (!run->cut && sim_next_ns(&w->sim) <= until_ns) {
        if (run->events == run->point.event) {
            run->cut = true;
            return;
        }
        run->events++;
        (void)sim_step(&w->sim);
        if (w->sim.dead)
            run->cut = true;
        else
            storage_turn(w->storage);
    }
    if (!run->cut)
        w->sim.now_ns = until_ns;
}

static void operate(struct run *run, char letter)
{
    struct world *w = &run->w;
    int one[][2] = { { SLOT_FSYNC, 0 } }, loose[][2] = { { SLOT_OS, 0 } };
    int two[][2] = { { SLOT_FSYNC, 0 }, { SLOT_OS, 1 } };
    switch (letter) {
    case 'A': do_append_to(w, one, 1, -1); break;
    case 'O': do_append_to(w, loose, 1, 1); break;
    case 'U': do_append_to(w, two, 2, -1); break;
    case 'P': do_put(w); break;
    case 'R': /* its batches fill a segment */
        for (int i = 0; i < 3; i++)
            do_append_to(w, loose, 1, 1);
        break;
    case 'D': do_topic(w, SLOT_OS); break;
    default: break;
    }
    storage_turn(w->storage);
    run_time(run, letter == 'C' ? SETTLE_MS : 1);
}

static void run_to(struct run *run, const char *workload, struct count *count)
{
    struct world *w = &run->w;
    *run = (struct run){ .point = run->point };
    world_begin(w, 1, &count->totals);
    w->config.defaults.segment_bytes = 512;
    w->sim.faults.latency_max_ns = 100000;
    w->calm = w->small = true;
    (void)life_open(w);
    do_topic(w, SLOT_FSYNC);
    do_topic(w, SLOT_OS);
    world_run_until(w, SETTLE_MS * CLOCK_NS_PER_MS, false);
    w->sim.crash_after = run->point.call;
    for (const char *at = workload; *at && !run->cut; at++)
        operate(run, *at);
    run_time(run, SETTLE_MS);
}

/* One state; the number of decisions that were open. */
static uint32_t state_try(
    const char *workload, struct point point, uint64_t pattern, struct count *count, bool *ret_over)
{
    struct run run = { .point = point };
    run_to(&run, workload, count);
    *ret_over = !run.cut;
    run.w.sim.pattern_on = true;
    run.w.sim.pattern = pattern;
    run.w.calm = pattern % 3 != 0;
    run.w.seed = pattern;
    run.w.random = random_seeded(pattern);
    life_crash(&run.w, true, false);
    uint32_t decisions = run.w.sim.decisions;
    count->states++;
    world_end(&run.w);
    return decisions;
}

/* Every subset at one point. True: the workload was over before it. */
static bool point_try(const char *workload, struct point point, struct count *count)
{
    bool over;
    uint32_t decisions = state_try(workload, point, 0, count, &over);
    count->wide += decisions > DECISIONS_MAX;
    count->points++;
    uint64_t states = UINT64_C(1) << (decisions < DECISIONS_MAX ? decisions : DECISIONS_MAX);
    for (uint64_t pattern = 1; !over && pattern < states; pattern++)
        (void)state_try(workload, point, pattern, count, &over);
    return over;
}

static void workload_try(const char *workload, struct count *count)
{
    count->workloads++;
    for (int64_t at = 0; !point_try(workload, (struct point){ at, -1 }, count); at++)
        continue;
    for (int64_t at = 0; !point_try(workload, (struct point){ -1, at }, count); at++)
        continue;
}

static void workloads_try(char *workload, size_t len, size_t max, struct count *count)
{
    if (len > 0) {
        (void)fprintf(stderr, "%s\r", workload);
        workload_try(workload, count);
    }
    for (const char *letter = letters; *letter && len < max; letter++) {
        workload[len] = *letter;
        workload[len + 1] = '\0';
        workloads_try(workload, len + 1, max, count);
        workload[len] = '\0';
    }
}

int main(int argc, char **argv)
{
    struct count count = { 0 };
    char workload[LENGTH_MAX + 1] = "";
    size_t max = argc > 1 ? strtoul(argv[1], NULL, 10) : 2;
    if (argc > 2)
        workload_try(argv[2], &count);
    else
        workloads_try(workload, 0, max < LENGTH_MAX ? max : LENGTH_MAX, &count);
    printf("%" PRIu64 " workloads, %" PRIu64 " crash points (%" PRIu64
           " with more than %d decisions), %" PRIu64 " states, %" PRIu64
           " of them with crashes inside the recovery\n",
        count.workloads, count.points, count.wide, DECISIONS_MAX, count.states,
        count.totals.recovery_crashes);
    return count.states > 0 ? 0 : 1;
}
