/*
 * sim_mutants - is every barrier needed, and looked at?
 *
 *     sim_mutants [--seconds=N] [--list] [NAME...]
 *
 * storage/ is built here so that one of its barriers (storage/barriers.h) can fall at a time. For
 * each (or those named) a child process runs seeds of the campaigns of sim_storage and
 * sim_compaction until the oracle, a CHECK or a signal ends it: caught, if the same seed finds
 * nothing while all barriers stand. So with the unit tests mutant_* beside this program. Tried are,
 * in this order: the seed or the unit that a hint names; the first FIRST_SEEDS; every unit; the
 * seeds that follow, for N seconds (default 120). A barrier that nothing missed survived. Ends with
 * `caught N of N barriers`; exit 1 when one survived.
 *
 * A hint spares a long search and proves nothing: one that finds nothing any more costs the search,
 * and "(hint?)" says that another one is due.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "storage/barriers.h"
#include "tests/sim/campaign.h"
#include "tests/sim/compaction_world.h"

enum { OPERATIONS = 1000, FIRST_SEEDS = 24 };

static const struct {
    const char *name, *text;
} barriers[] = {
#define BARRIER_ROW(name, text) { #name, text },
    BARRIERS(BARRIER_ROW)
#undef BARRIER_ROW
};

static const char *const units[] = { "mutant_wal", "mutant_wal_damage", "mutant_verify" };
enum { NO_UNIT, WAL, WAL_DAMAGE, VERIFY }; /* of them, counted from 1 */

static const struct hint {
    uint64_t seed; /* 0: none */
    size_t unit;
} hints[BARRIER_COUNT] = {
    [BARRIER_WAL_SYNC_FAILS] = { .seed = 70 },
    [BARRIER_WAL_MARK] = { .unit = WAL },
    [BARRIER_WAL_PREPARE_ZEROS] = { .unit = WAL_DAMAGE },
    [BARRIER_WAL_OPEN_DIR_SYNC] = { .unit = WAL },
    [BARRIER_WAL_REWRITE] = { .seed = 453 },
    [BARRIER_WAL_CREATE_DIR_SYNC] = { .seed = 210 },
    [BARRIER_WAL_HOLES] = { .unit = WAL_DAMAGE },
    [BARRIER_WAL_FILE_HEAD_CRC] = { .unit = WAL_DAMAGE },
    [BARRIER_WAL_HEAD_CRC] = { .unit = WAL_DAMAGE },
    [BARRIER_WAL_CHAIN] = { .unit = WAL },
    [BARRIER_WAL_PAYLOAD_CRC] = { .seed = 68 },
    [BARRIER_WAL_RESUME_FITS] = { .unit = WAL_DAMAGE },
    [BARRIER_WAL_DAMAGE] = { .unit = WAL },
    [BARRIER_WAL_SEARCH] = { .unit = WAL },
    [BARRIER_WAL_BOUNDARY] = { .unit = WAL_DAMAGE },
    [BARRIER_SLOT_IN_TURN] = { .seed = 21 },
    [BARRIER_SLOT_REWRITE] = { .seed = 685 },
    [BARRIER_SLOT_HEAD_CRC] = { .unit = VERIFY },
    [BARRIER_SLOT_FAILS] = { .seed = 22 },
    [BARRIER_RECYCLE_AFTER_SLOT] = { .seed = 22 },
    [BARRIER_READ_EPOCH] = { .seed = 95 },
    [BARRIER_CLEAN_CHECK] = { .seed = 111 },
    [BARRIER_MADE_DIR_SYNC] = { .seed = 333 },
    [BARRIER_FORMAT_REWRITE] = { .seed = 24 },
};

/* Shared with the child. */
struct report {
    uint64_t seed;    /* that runs */
    uint64_t reached; /* how often the barrier was asked for */
};

static int fallen = -1;
static struct report *report;

bool barrier_stands(enum barrier barrier)
{
    if ((int)barrier != fallen)
        return true;
    report->reached++;
    return false;
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Which seeds, and for how long. */
struct range {
    uint64_t first, count, seconds;
};

static void child(int barrier, const struct range *range)
{
    struct totals totals = { 0 };
    struct compaction_totals compaction = { 0 };
    struct campaign campaign = { .operations = OPERATIONS };
    fallen = barrier;
    if (barrier >= 0) {
        (void)freopen("/dev/null", "w", stdout);
        (void)freopen("/dev/null", "w", stderr);
        struct rlimit none = { 0 };
        (void)setrlimit(RLIMIT_CORE, &none);
    }
    (void)alarm((unsigned)range->seconds + 20); /* a mutant may run in circles */
    double until = now_s() + (double)range->seconds;
    for (uint64_t i = 0; i < range->count && now_s() < until; i++) {
        uint64_t seed = report->seed = range->first + i;
        (void)campaign_run(&campaign, seed, &totals);
        (void)compaction_run(seed, OPERATIONS, false, &compaction);
    }
    _exit(0);
}

/* Did the run end badly? */
static bool run_child(int barrier, const struct range *range, char *how, size_t size)
{
    report->seed = 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    if (pid == 0)
        child(barrier, range);
    int status;
    (void)waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        (void)snprintf(how, size, "signal %d", WTERMSIG(status));
    else
        (void)snprintf(how, size, "%s", WEXITSTATUS(status) ? "oracle" : "");
    return WIFSIGNALED(status) || WEXITSTATUS(status);
}

/* ... and the same seed well, with all standing? That is what the barrier is for. */
static bool misses(size_t barrier, const struct range *range, char *how, size_t size)
{
    char why[32];
    if (!run_child((int)barrier, range, how, size))
        return false;
    uint64_t seed = report->seed, reached = report->reached;
    struct range same = { .first = seed, .count = 1, .seconds = range->seconds };
    bool broken = run_child(-1, &same, why, sizeof(why));
    report->seed = seed;
    report->reached = reached;
    if (broken)
        printf("with all barriers standing, seed %" PRIu64 " fails (%s)\n", seed, why);
    return !broken;
}

/* NULL: all stand. */
static bool unit_fails(const char *program, const char *unit, const char *fallen_name)
{
    const char *slash = strrchr(program, '/');
    int len = slash ? (int)(slash - program) : 1;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%.*s/%s", len, slash ? program : ".", unit);
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)freopen("/dev/null", "w", stdout);
        (void)freopen("/dev/null", "w", stderr);
        (void)unsetenv("MILLRACE_FALLEN");
        if (fallen_name)
            (void)setenv("MILLRACE_FALLEN", fallen_name, 1);
        (void)alarm(60);
        (void)execl(path, path, "--jobs", "1", (char *)NULL);
        _exit(0); /* not there: it catches nothing */
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    return pid > 0 && status != 0;
}

/* Does unit `i` pass, but not without the barrier? */
static bool unit_misses(const char *program, size_t i, size_t barrier)
{
    static enum { UNKNOWN, PASSES, FAILS } alone[ARRAY_COUNT(units)]; /* asked once */
    if (alone[i] == UNKNOWN) {
        alone[i] = unit_fails(program, units[i], NULL) ? FAILS : PASSES;
        if (alone[i] == FAILS)
            printf("with all barriers standing, %s fails\n", units[i]);
    }
    return alone[i] == PASSES && unit_fails(program, units[i], barriers[barrier].name);
}

static bool is_named(int argc, char **argv, const char *name)
{
    bool any = false, named = false;
    for (int i = 1; i < argc; i++) {
        any |= argv[i][0] != '-';
        named |= strcmp(argv[i], name) == 0;
    }
    return named || !any;
}

/* Which unit misses it? 0: none. */
static size_t try_units(const char *program, size_t barrier)
{
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (unit_misses(program, i, barrier))
            return i + 1;
    }
    return NO_UNIT;
}

/* Who caught it, in `how`; false: nobody. */
static bool search(const char *program, size_t barrier, uint64_t seconds, char *how, size_t size)
{
    const struct hint *hint = &hints[barrier];
    const struct range hinted = { hint->seed, 1, seconds };
    const struct range near = { 1, FIRST_SEEDS, seconds };
    const struct range far = { FIRST_SEEDS + 1, UINT64_MAX, seconds };
    size_t unit =
        hint->unit && unit_misses(program, hint->unit - 1, barrier) ? hint->unit : NO_UNIT;
    if (!unit && hint->seed && misses(barrier, &hinted, how, size))
        return true;
    bool caught = !unit && misses(barrier, &near, how, size);
    if (!unit && !caught)
        unit = try_units(program, barrier);
    if (unit) {
        report->reached = 1;
        (void)snprintf(how, size, "%s%s", units[unit - 1], unit == hint->unit ? "" : " (hint?)");
        return true;
    }
    if (!caught && !misses(barrier, &far, how, size))
        return false;
    size_t len = strlen(how);
    bool is_far = report->seed > FIRST_SEEDS || hint->seed || hint->unit;
    (void)snprintf(how + len, size - len, "%s", is_far ? " (hint?)" : "");
    return true;
}

static bool try_barrier(const char *program, size_t i, uint64_t seconds)
{
    char how[64];
    double began = now_s();
    *report = (struct report){ 0 };
    bool caught = search(program, i, seconds, how, sizeof(how));
    printf("%-24s %-9s %s", barriers[i].name, caught ? "caught" : "SURVIVED",
        caught ? how : barriers[i].text);
    if (report->seed)
        printf(", seed %" PRIu64, report->seed);
    printf(", %.1f s%s\n", now_s() - began, report->reached ? "" : " (never reached)");
    return caught;
}

int main(int argc, char **argv)
{
    uint64_t seconds = 120;
    bool list = false;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seconds=", 10) == 0)
            seconds = strtoull(argv[i] + 10, NULL, 10);
        list |= strcmp(argv[i], "--list") == 0;
    }
    for (size_t i = 0; list && i < ARRAY_COUNT(barriers); i++)
        printf("%-24s %s\n", barriers[i].name, barriers[i].text);
    if (list)
        return 0;
    report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        return 2;
    size_t count = 0, caught = 0;
    for (size_t i = 0; i < ARRAY_COUNT(barriers); i++) {
        if (!is_named(argc, argv, barriers[i].name))
            continue;
        count++;
        caught += try_barrier(argv[0], i, seconds);
    }
    printf("caught %zu of %zu barriers\n", caught, count);
    return caught == count && count > 0 ? 0 : 1;
}
