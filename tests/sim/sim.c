/*
 * The world's engine: virtual time, jobs, and the ends of a life. The disk is disk_sim.c.
 *
 * Happy path
 *  - sim_step takes the earliest of {timer, asynchronous disk op, job} and moves the clock to it.
 * Equal times go in the order of their making, so a seed has one trace.
 *  - a job has two events: run (inline, atomic in virtual time) and done.
 * Invariant: nothing here reads the machine's time, random or memory addresses.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "tests/sim/disk_sim.h"

static int64_t sim_monotonic(struct clock *clock)
{
    return container_of(clock, struct sim, clock)->now_ns;
}

static int64_t sim_wall(struct clock *clock)
{
    struct sim *sim = container_of(clock, struct sim, clock);
    return sim->wall_start_ms + sim->now_ns / CLOCK_NS_PER_MS;
}

int64_t sim_latency(struct sim *sim)
{
    int64_t latency = 1 + (int64_t)random_below(&sim->random, (uint64_t)sim->faults.latency_max_ns);
    if (sim->faults.spike && random_chance(&sim->random, sim->faults.spike, 10000)) {
        sim->counts.spikes++;
        latency *= 100;
    }
    if (latency > sim->latency_worst_ns)
        sim->latency_worst_ns = latency;
    return latency;
}

struct pending_job {
    struct list link;
    struct work_job *job;
    int64_t at_ns;
    uint64_t id;
};

static void job_submit(struct work *work, struct work_job *job)
{
    struct sim *sim = container_of(work, struct sim, work);
    struct pending_job *pending = mem_zalloc(1, sizeof(*pending));
    pending->job = job;
    pending->at_ns = sim->now_ns + sim_latency(sim);
    pending->id = sim->next_id++;
    list_append(&sim->pending_jobs, &pending->link);
}

static void sim_say(void *context, enum log_level level, const char *line)
{
    struct sim *sim = context;
    sim->said[level]++;
    if (sim->verbose)
        (void)fprintf(stderr, "[%10.3f ms] %d %s\n", (double)sim->now_ns / 1e6, level, line);
}

void sim_init(struct sim *sim, uint64_t seed)
{
    *sim = (struct sim){
        .clock = { .monotonic_ns = sim_monotonic, .wall_ms = sim_wall },
        .work = { .submit = job_submit },
        .random = random_seeded(seed),
        .faults = { .latency_max_ns = 1000000 },
        .now_ns = 1,
        .wall_start_ms = INT64_C(1700000000000),
        .crash_after = -1,
        .trace = 0xcbf29ce484222325u,
    };
    list_init(&sim->files);
    list_init(&sim->names);
    list_init(&sim->pending_ops);
    list_init(&sim->pending_jobs);
    list_init(&sim->finished_jobs);
    buffer_pool_init(&sim->buffers, 8 << 20);
    disk_sim_init(sim);
    sim->doors = (struct doors){
        .disk = &sim->disk,
        .clock = &sim->clock,
        .work = &sim->work,
        .timers = &sim->timers,
        .random = &sim->random,
        .buffers = &sim->buffers,
        .say = sim_say,
        .say_context = sim,
    };
}

static void jobs_forget(struct list *jobs)
{
    for (struct list *node; (node = list_pop(jobs));)
        mem_free(list_entry(node, struct pending_job, link));
}

static void life_end(struct sim *sim)
{
    jobs_forget(&sim->pending_jobs);
    jobs_forget(&sim->finished_jobs);
    for (struct heap_node *node; (node = heap_first(&sim->timers.heap));)
        heap_remove(&sim->timers.heap, node);
    sim->dead = true;
}

void sim_done(struct sim *sim)
{
    life_end(sim);
    disk_sim_done(sim);
    timers_done(&sim->timers);
    buffer_pool_done(&sim->buffers);
}

static struct pending_job *earliest(const struct list *jobs)
{
    struct pending_job *best = NULL;
    list_foreach (node, jobs) {
        struct pending_job *job = list_entry(node, struct pending_job, link);
        if (!best || job->at_ns < best->at_ns || (job->at_ns == best->at_ns && job->id < best->id))
            best = job;
    }
    return best;
}

static int64_t job_time(const struct pending_job *job)
{
    return job ? job->at_ns : INT64_MAX;
}

int64_t sim_next_ns(const struct sim *sim)
{
    int64_t next = timers_next(&sim->timers);
    int64_t times[] = { disk_sim_next_ns(sim), job_time(earliest(&sim->pending_jobs)),
        job_time(earliest(&sim->finished_jobs)) };
    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        if (times[i] < next)
            next = times[i];
    }
    return next;
}

static void job_run(struct sim *sim, struct pending_job *pending)
{
    sim->counts.jobs++;
    pending->job->run(pending->job);
    list_remove(&pending->link);
    pending->at_ns = sim->now_ns + sim_latency(sim);
    list_append(&sim->finished_jobs, &pending->link);
}

static void job_finish(struct pending_job *pending)
{
    struct work_job *job = pending->job;
    list_remove(&pending->link);
    mem_free(pending);
    job->done(job);
}

bool sim_step(struct sim *sim)
{
    int64_t at = sim_next_ns(sim);
    if (at == INT64_MAX)
        return false;
    if (at > sim->now_ns)
        sim->now_ns = at;
    sim->counts.events++;
    sim_note(sim, &at, sizeof(at));
    struct pending_job *job = earliest(&sim->pending_jobs);
    struct pending_job *finished = earliest(&sim->finished_jobs);
    if (disk_sim_next_ns(sim) == at)
        disk_sim_finish_next(sim);
    else if (job_time(job) == at)
        job_run(sim, job);
    else if (job_time(finished) == at)
        job_finish(finished);
    else
        timers_run(&sim->timers, sim->now_ns);
    return true;
}

void sim_run_until(struct sim *sim, int64_t until_ns)
{
    while (sim_next_ns(sim) <= until_ns && sim_step(sim))
        continue;
    if (until_ns > sim->now_ns)
        sim->now_ns = until_ns;
}

void sim_kill(struct sim *sim)
{
    sim->counts.kills++;
    disk_sim_crash(sim, false);
    life_end(sim);
}

void sim_power(struct sim *sim)
{
    sim->counts.powers++;
    disk_sim_crash(sim, true);
    life_end(sim);
}

void sim_restart(struct sim *sim)
{
    /* What connections that end with the machine have still asked for: nobody does it. */
    jobs_forget(&sim->pending_jobs);
    jobs_forget(&sim->finished_jobs);
    CHECK(sim->open_files == 0);
    sim->dead = false;
    sim->crash_after = -1;
    sim->latency_worst_ns = 0;
}

void sim_jump(struct sim *sim, int64_t by_ms)
{
    sim->counts.clock_jumps++;
    sim->wall_start_ms += by_ms;
}

void sim_note(struct sim *sim, const void *data, size_t len)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < len; i++)
        sim->trace = (sim->trace ^ at[i]) * 0x100000001b3u;
}

uint64_t sim_trace_hash(const struct sim *sim)
{
    return sim->trace;
}
