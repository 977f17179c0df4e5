/*
 * sim_exhaustive - small workloads, every crash point, every subset of what a power cut may lose.
 *
 *     sim_exhaustive [--seconds=N] [--length=N | WORKLOAD...]
 *
 * Runs the workloads of the table below (--length: after them all of up to N operations of
 * `letters`; WORKLOAD: these) over topics that are there already. At each event (an asynchronous op
 * or job ends, a timer fires), and inside each job before each blocking call, the power goes. What
 * is not synced or in flight - sectors of 512 bytes that differ from the medium, sizes, names - is
 * kept or lost in every combination. Where more than DECISIONS_MAX things are open it can't be
 * every one: none, all, each alone kept and lost, and drawn ones, WIDE_STATES in all; such points
 * are counted and told.
 *
 * Each state is recovered and held against the oracle of history.h, one in three after further
 * crashes inside the recovery. Two states of which the next life can't tell the difference - same
 * names and bytes on disk, same history behind them, same promises - are one: it is looked at once.
 *
 * A failure prints the workload, which alone replays it. Ends with the number of states; with
 * --seconds, where the time was over before the last workload was, it says that, too.
 */
#include <ctype.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "protocol/base/mem.h"
#include "tests/sim/history.h"

enum { DECISIONS_MAX = 14, WIDE_STATES = 4096, SETTLE_MS = 6000 };
enum { LENGTH_MAX = 6 };
enum { FILE_SIZE = 64 * 1024, FILE_REST = 5000 };

static const struct {
    const char *letters, *text;
} workloads[] = {
    { "AAA", "one log, durable" },
    { "OOA", "what is not durable before what is" },
    { "oouA", "... in one write" },
    { "UPU", "units across two logs, and a put between" },
    { "aupA", "... all in one write" },
    { "ACAC", "checkpoints: both slots, and the first again" },
    { "OPCPC", "a state that changes between them" },
    { "DODOD", "a topic that goes, comes and goes" },
    { "RAC", "rolls, written back and synced" },
    { "RCDRC", "segments that are deleted, and made again" },
    { "ORCORC", "rolls, twice" },
    { "AUOPCR", "one of each" },
    { "UPDAUC", "... without rolls" },
    { "FAAUC", "over the end of a file of the write-ahead log" },
    { "FaoupC", "... in one write" },
    { "FOCAC", "... and that file is recycled" },
};

static const char letters[] = "AOUPCRD"; /* what they do: operate */

struct set {
    uint64_t *keys; /* 0: free */
    size_t count, capacity;
};

struct search {
    uint64_t asked, workloads, points, wide, states, verified;
    uint32_t widest;
    struct set seen;
    struct totals totals;
    double until_s; /* 0: none */
};

struct run {
    struct world w;
    struct search *search;
    const char *workload;
    int64_t call; /* the power goes before that one; -1: at each event */
    int64_t events;
};

/* False: it is there already. */
static bool set_add(struct set *set, uint64_t key)
{
    if (set->count * 2 >= set->capacity) {
        struct set old = *set;
        *set = (struct set){ .capacity = old.capacity ? old.capacity * 2 : 1 << 16 };
        set->keys = mem_zalloc(set->capacity, sizeof(*set->keys));
        for (size_t i = 0; i < old.capacity; i++) {
            if (old.keys[i])
                (void)set_add(set, old.keys[i]);
        }
        mem_free(old.keys);
    }
    key += key == 0;
    size_t at = key & (set->capacity - 1);
    for (; set->keys[at]; at = (at + 1) & (set->capacity - 1)) {
        if (set->keys[at] == key)
            return false;
    }
    set->keys[at] = key;
    set->count++;
    return true;
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool is_over(const struct search *search)
{
    return search->until_s > 0 && now_s() > search->until_s;
}

/* ---- states -------------------------------------------------------------------------------- */

static uint64_t pattern_of(uint64_t i, uint32_t decisions)
{
    if (decisions <= DECISIONS_MAX)
        return i;
    if (i < 2)
        return i ? UINT64_MAX : 0;
    uint64_t one = UINT64_C(1) << ((i - 2) % 64);
    if (i < 2 + 128)
        return i < 2 + 64 ? one : ~one;
    struct random random = random_seeded(i);
    return random_u64(&random);
}

static void state_verify(const struct run *run, const struct sim_image *disk, size_t least,
    uint64_t pattern, uint64_t key)
{
    struct world w;
    char label[160];
    (void)snprintf(label, sizeof(label),
        "workload %s, %s %" PRId64 ", pattern %#" PRIx64 " (sim_exhaustive %s)", run->workload,
        run->call < 0 ? "event" : "call", run->call < 0 ? run->events : run->call, pattern,
        run->workload);
    world_branch(&w, &run->w, disk, key);
    w.label = label;
    w.calm = key % 3 != 0;
    life_check(&w, least, least, true);
    world_end(&w);
}

/* Every subset of what is open now. */
static void point_try(struct run *run)
{
    struct search *search = run->search;
    struct world *w = &run->w;
    life_note(w);
    size_t least = survivors_least(w, true);
    uint64_t facts = world_hash(w) + least;
    struct sim_image *still = sim_still(&w->sim);
    uint32_t open = 0, decisions;
    uint64_t states = 1;
    for (uint64_t i = 0; i < states && !is_over(search); i++) {
        uint64_t pattern = pattern_of(i, open);
        struct sim_image *disk = sim_cut(&w->sim, still, pattern, &decisions);
        if (i == 0) { /* pattern 0 has told how many there are */
            open = decisions;
            states = open > DECISIONS_MAX ? WIDE_STATES : UINT64_C(1) << open;
            search->wide += open > DECISIONS_MAX;
            search->widest = open > search->widest ? open : search->widest;
        }
        uint64_t parts[] = { sim_image_hash(disk), facts };
        uint64_t key = XXH3_64bits(parts, sizeof(parts));
        search->states++;
        if (set_add(&search->seen, key)) {
            search->verified++;
            state_verify(run, disk, least, pattern, key);
        }
        sim_image_free(disk);
    }
    sim_image_free(still);
    search->points++;
}

/* ---- workloads ----------------------------------------------------------------------------- */

static void run_time(struct run *run, int64_t ms)
{
    struct world *w = &run->w;
    int64_t until_ns = w->sim.now_ns + ms * CLOCK_NS_PER_MS;
    while (!w->sim.dead && sim_next_ns(&w->sim) <= until_ns) {
        if (run->call < 0)
            point_try(run);
        run->events++;
        (void)sim_step(&w->sim);
        if (!w->sim.dead)
            storage_turn(w->storage);
    }
    if (!w->sim.dead)
        w->sim.now_ns = until_ns;
}

/* A small letter: the next operation does not wait for this one. */
static void operate(struct run *run, char letter)
{
    struct world *w = &run->w;
    int one[][2] = { { SLOT_FSYNC, 0 } }, loose[][2] = { { SLOT_OS, 0 } };
    int two[][2] = { { SLOT_FSYNC, 0 }, { SLOT_OS, 1 } };
    switch (toupper(letter)) {
    case 'A': do_append_to(w, one, 1, -1); break;  /* a batch, durable */
    case 'O': do_append_to(w, loose, 1, 1); break; /* a batch, not durable */
    case 'U': do_append_to(w, two, 2, -1); break;  /* a unit of two batches */
    case 'P': do_put(w); break;
    case 'R': /* batches that fill a segment, so the log rolls */
        for (int i = 0; i < 3; i++)
            do_append_to(w, loose, 1, 1);
        break;
    case 'D': do_topic(w, SLOT_OS); break; /* deletes the topic, or makes it again */
    default: break;                        /* 'C': time for a checkpoint */
    }
    if (islower(letter))
        return;
    storage_turn(w->storage);
    run_time(run, letter == 'C' ? SETTLE_MS : 1);
}

/* A file of the write-ahead log, but for some hundred bytes. */
static void fill(struct world *w)
{
    int loose[][2] = { { SLOT_OS, 0 } };
    uint64_t rest = FILE_SIZE;
    while (rest > FILE_REST) {
        w->small = rest < FILE_SIZE * 5 / 8;
        do_append_to(w, loose, 1, 1);
        CHECK(w->flight_count > 0);
        rest = FILE_SIZE - w->flights[w->flight_count - 1]->unit.end_lsn % FILE_SIZE;
        storage_turn(w->storage);
        world_run_until(w, w->sim.now_ns + 10 * CLOCK_NS_PER_MS, false);
    }
    w->small = true;
}

/* Before that call the power goes, or (-1) in branches of this run at each event. False: the
 * workload was over before it. */
static bool run_workload(struct search *search, const char *workload, int64_t call)
{
    struct run run = { .search = search, .workload = workload, .call = call };
    struct world *w = &run.w;
    world_begin(w, 1, &search->totals);
    w->config.defaults.segment_bytes = 512;
    w->sim.faults.latency_max_ns = 100000;
    w->calm = w->small = true;
    (void)life_open(w);
    do_topic(w, SLOT_FSYNC);
    do_topic(w, SLOT_OS);
    world_run_until(w, SETTLE_MS * CLOCK_NS_PER_MS, false);
    if (*workload == 'F')
        fill(w);
    w->sim.crash_after = call;
    for (const char *at = workload + (*workload == 'F'); *at && !w->sim.dead; at++)
        operate(&run, *at);
    if (!w->sim.dead)
        run_time(&run, SETTLE_MS);
    bool cut = w->sim.dead;
    if (cut)
        point_try(&run);
    world_end(w);
    return cut;
}

static void workload_try(struct search *search, const char *workload, bool tell)
{
    uint64_t points = search->points, states = search->states, verified = search->verified;
    uint64_t wide = search->wide;
    search->asked++;
    if (is_over(search))
        return;
    (void)run_workload(search, workload, -1);
    for (int64_t call = 0; !is_over(search) && run_workload(search, workload, call); call++)
        continue;
    search->workloads += !is_over(search);
    if (!tell)
        return;
    printf("%-8s %3" PRIu64 " crash points (%" PRIu64 " wide), %8" PRIu64 " states, %8" PRIu64
           " new%s\n",
        workload, search->points - points, search->wide - wide, search->states - states,
        search->verified - verified, is_over(search) ? ": the time is over" : "");
    (void)fflush(stdout);
}

/* All that begin with the first `len` letters, which were tried. */
static void workloads_try(struct search *search, char *workload, size_t len, size_t max)
{
    for (const char *letter = letters; *letter && len < max; letter++) {
        workload[len] = *letter;
        workload[len + 1] = '\0';
        workload_try(search, workload, false);
        workloads_try(search, workload, len + 1, max);
    }
}

static void tell(const struct search *search)
{
    printf("%" PRIu64 " of %" PRIu64 " workloads, %" PRIu64 " crash points (%" PRIu64
           " with more than %d decisions, at most %u, and %d subsets each), %" PRIu64
           " states, %" PRIu64 " different, each recovered and checked, with %" PRIu64
           " crashes inside recoveries%s\n",
        search->workloads, search->asked, search->points, search->wide, DECISIONS_MAX,
        search->widest, WIDE_STATES, search->states, search->verified,
        search->totals.recovery_crashes,
        search->workloads < search->asked ? "; THE TIME WAS OVER BEFORE THE END" : "");
}

/* Does operate know all of them? */
static bool workload_known(const char *workload)
{
    const char *at = workload + (*workload == 'F');
    while (*at && strchr(letters, toupper(*at)))
        at++;
    if (*at)
        (void)fprintf(stderr, "no workload: %s (an F, then letters of %s)\n", workload, letters);
    return *at == '\0';
}

int main(int argc, char **argv)
{
    struct search search = { 0 };
    char workload[LENGTH_MAX + 1] = "";
    bool named = false;
    size_t max = 0;
    /* Disks come and go: keep their pages. */
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seconds=", 10) == 0)
            search.until_s = now_s() + strtod(argv[i] + 10, NULL);
        else if (strncmp(argv[i], "--length=", 9) == 0)
            max = strtoul(argv[i] + 9, NULL, 10);
        named |= argv[i][0] != '-';
    }
    for (int i = 1; named && i < argc; i++) {
        if (argv[i][0] == '-')
            continue;
        if (!workload_known(argv[i]))
            return 2;
        workload_try(&search, argv[i], true);
    }
    for (size_t i = 0; !named && i < ARRAY_COUNT(workloads); i++)
        workload_try(&search, workloads[i].letters, true);
    workloads_try(&search, workload, 0, max < LENGTH_MAX ? max : LENGTH_MAX);
    mem_free(search.seen.keys);
    tell(&search);
    return search.verified > 0 ? 0 : 1;
}
