/*
 * sim_mutants - is every barrier needed, and looked at?
 *
 *     sim_mutants [--seconds=N] [--list] [NAME...]
 *
 * storage/ is built here so that one of its barriers (storage/barriers.h) can fall at a time. For
 * each (or those named) a child process runs the campaigns of sim_storage and sim_compaction from
 * seed 1 on until the oracle, a CHECK or a signal ends it: caught. Where that finds nothing within
 * N seconds (default 120) the unit tests mutant_* beside this program are run, too. If they pass it
 * survived. First all stand, and the campaigns must find nothing. Ends with `caught N of N
 * barriers`; exit 1 when one survived.
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

enum { OPERATIONS = 1000, CONTROL_SEEDS = 100 };

static const struct {
    const char *name, *text;
} barriers[] = {
#define BARRIER_ROW(name, text) { #name, text },
    BARRIERS(BARRIER_ROW)
#undef BARRIER_ROW
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

static void child(int barrier, uint64_t seconds, uint64_t seeds)
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
    (void)alarm((unsigned)seconds + 20); /* a mutant may run in circles */
    double until = now_s() + (double)seconds;
    for (uint64_t seed = 1; seed <= seeds && now_s() < until; seed++) {
        report->seed = seed;
        (void)campaign_run(&campaign, seed, &totals);
        (void)compaction_run(seed, OPERATIONS, false, &compaction);
    }
    _exit(0);
}

/* Did the run end badly? */
static bool run_child(int barrier, uint64_t seconds, uint64_t seeds, char *how, size_t size)
{
    *report = (struct report){ 0 };
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    if (pid == 0)
        child(barrier, seconds, seeds);
    int status;
    (void)waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        (void)snprintf(how, size, "signal %d", WTERMSIG(status));
    else
        (void)snprintf(how, size, "%s", WEXITSTATUS(status) ? "oracle" : "");
    return WIFSIGNALED(status) || WEXITSTATUS(status);
}

static const char *const units[] = { "mutant_wal", "mutant_wal_damage", "mutant_verify" };

static bool run_unit(const char *program, const char *unit, const char *fallen_name)
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
        (void)setenv("MILLRACE_FALLEN", fallen_name, 1);
        (void)alarm(60);
        (void)execl(path, path, "--jobs", "1", (char *)NULL);
        _exit(0); /* not there: it catches nothing */
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    return pid > 0 && status != 0;
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

static bool try_barrier(const char *program, size_t i, uint64_t seconds)
{
    char how[32];
    double began = now_s();
    bool caught = run_child((int)i, seconds, UINT64_MAX, how, sizeof(how));
    for (size_t k = 0; !caught && k < ARRAY_COUNT(units); k++) {
        caught = run_unit(program, units[k], barriers[i].name);
        (void)snprintf(how, sizeof(how), "%s", units[k]);
    }
    printf("%-24s %-9s %s, seed %" PRIu64 ", %.1f s%s\n", barriers[i].name,
        caught ? "caught" : "SURVIVED", caught ? how : barriers[i].text, report->seed,
        now_s() - began, report->reached ? "" : " (never reached)");
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
    char how[32];
    if (run_child(-1, seconds, CONTROL_SEEDS, how, sizeof(how))) {
        printf("with all barriers standing, seed %" PRIu64 " fails already\n", report->seed);
        return 1;
    }
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
