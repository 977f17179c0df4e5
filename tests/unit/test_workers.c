/* Threads of processors: order, ends told on the loop's thread, many at once. (bench_processors
 * runs them with ThreadSanitizer: Criterion does not start under it.) */
#include "processors/workers.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "protocol/base/check.h"
#include "tests/test.h"

enum { WORKERS = 4, JOBS = 200 };

struct loop {
    int wake; /* eventfd */
    struct workers *workers;
    pthread_t thread;
    int done;
};

static void wake(void *context)
{
    struct loop *loop = context;
    uint64_t one = 1;
    cr_assert_eq(write(loop->wake, &one, sizeof(one)), (ssize_t)sizeof(one));
}

static void begin(struct loop *loop)
{
    *loop = (struct loop){ .wake = eventfd(0, 0), .thread = pthread_self() };
    loop->workers = workers_threads_create(wake, loop);
}

/* As the broker's loop: waits to be woken, then polls. */
static void turn(struct loop *loop)
{
    struct pollfd ready = { .fd = loop->wake, .events = POLLIN };
    uint64_t count;
    cr_assert_eq(poll(&ready, 1, 10000), 1, "nobody woke the loop");
    cr_assert_eq(read(loop->wake, &count, sizeof(count)), (ssize_t)sizeof(count));
    workers_threads_poll(loop->workers);
}

static void end(struct loop *loop)
{
    workers_threads_destroy(loop->workers);
    (void)close(loop->wake);
}

/* Not atomic: jobs of one worker never overlap, and done comes after run. */
struct lane {
    struct work *worker;
    int ran, ended;
};

struct job {
    struct work_job job;
    struct loop *loop;
    struct lane *lane;
    int number;
    bool on_loop;
};

static void run(struct work_job *work)
{
    struct job *job = container_of(work, struct job, job);
    CHECK(job->lane->ran++ == job->number);
    job->on_loop = pthread_equal(pthread_self(), job->loop->thread);
}

static void done(struct work_job *work)
{
    struct job *job = container_of(work, struct job, job);
    cr_assert_not(job->on_loop, "a job ran on the loop");
    cr_assert(pthread_equal(pthread_self(), job->loop->thread));
    cr_assert_eq(job->lane->ended++, job->number);
    job->loop->done++;
}

TEST(workers, jobs_of_each_run_in_order_and_end_on_the_loop)
{
    static struct job jobs[WORKERS][JOBS];
    struct lane lanes[WORKERS] = { 0 };
    struct loop loop;
    begin(&loop);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(loop.workers->start(loop.workers, "a processor's name", &lanes[i].worker), 0);
    for (int j = 0; j < JOBS; j++) {
        for (int i = 0; i < WORKERS; i++) {
            jobs[i][j] = (struct job){
                .job = { .run = run, .done = done }, .loop = &loop, .lane = &lanes[i], .number = j
            };
            work_submit(lanes[i].worker, &jobs[i][j].job);
        }
    }
    while (loop.done < WORKERS * JOBS)
        turn(&loop);
    for (int i = 0; i < WORKERS; i++)
        loop.workers->stop(loop.workers, lanes[i].worker);
    end(&loop);
}

/* A job that is submitted again by its own end: what a step of a task does. */
static void again(struct work_job *work)
{
    struct job *job = container_of(work, struct job, job);
    job->number++;
    job->lane->ended++;
    if (++job->loop->done < JOBS)
        work_submit(job->lane->worker, &job->job);
}

TEST(workers, a_job_may_be_submitted_again_by_its_end)
{
    struct lane lane = { 0 };
    struct loop loop;
    begin(&loop);
    cr_assert_eq(loop.workers->start(loop.workers, "x", &lane.worker), 0);
    struct job job = { .job = { .run = run, .done = again }, .loop = &loop, .lane = &lane };
    work_submit(lane.worker, &job.job);
    while (loop.done < JOBS)
        turn(&loop);
    cr_assert_eq(lane.ran, JOBS);
    loop.workers->stop(loop.workers, lane.worker);
    end(&loop);
}
