/*
 * Threads for processors. See workers.h.
 *
 *   loop:    submit ─▶ the worker's queue ─▶ its thread: run ─▶ the shared list of finished jobs
 *            done  ◀─ workers_threads_poll ◀─ wake ◀──────────────┘
 *
 * A job is owned by whoever holds it in a list; the two locks give what it touched a clear order
 * between the threads. Signals are left to the loop's thread.
 */
#include "processors/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/mem.h"

struct threads {
    struct workers workers;
    void (*wake)(void *context);
    void *context;
    pthread_mutex_t lock;
    struct list finished; /* under lock */
    uint32_t running;     /* workers that were not stopped */
};

struct worker {
    struct work work;
    struct threads *threads;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t something; /* a job, or the end */
    struct list queue;        /* under lock */
    bool ending;              /* under lock */
};

/* The next job, or NULL at the end. Waits. */
static struct work_job *next_job(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    while (list_empty(&worker->queue) && !worker->ending)
        (void)pthread_cond_wait(&worker->something, &worker->lock);
    struct list *node = list_pop(&worker->queue);
    (void)pthread_mutex_unlock(&worker->lock);
    return node ? list_entry(node, struct work_job, link) : NULL;
}

static void *run(void *context)
{
    struct worker *worker = context;
    struct threads *threads = worker->threads;
    for (struct work_job *job; (job = next_job(worker));) {
        job->run(job);
        (void)pthread_mutex_lock(&threads->lock);
        bool first = list_empty(&threads->finished);
        list_append(&threads->finished, &job->link);
        (void)pthread_mutex_unlock(&threads->lock);
        if (first)
            threads->wake(threads->context);
    }
    return NULL;
}

static void submit(struct work *work, struct work_job *job)
{
    struct worker *worker = container_of(work, struct worker, work);
    (void)pthread_mutex_lock(&worker->lock);
    list_append(&worker->queue, &job->link);
    (void)pthread_cond_signal(&worker->something);
    (void)pthread_mutex_unlock(&worker->lock);
}

static void worker_free(struct worker *worker)
{
    (void)pthread_cond_destroy(&worker->something);
    (void)pthread_mutex_destroy(&worker->lock);
    mem_free(worker);
}

static int threads_start(struct workers *workers, const char *name, struct work **ret_worker)
{
    struct threads *threads = container_of(workers, struct threads, workers);
    struct worker *worker = mem_zalloc(1, sizeof(*worker));
    worker->work.submit = submit;
    worker->threads = threads;
    (void)pthread_mutex_init(&worker->lock, NULL);
    (void)pthread_cond_init(&worker->something, NULL);
    list_init(&worker->queue);
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&worker->thread, NULL, run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status) {
        worker_free(worker);
        return -status;
    }
    char *shown = mem_printf("%.15s", name);
    (void)pthread_setname_np(worker->thread, shown); /* for people only */
    mem_free(shown);
    threads->running++;
    *ret_worker = &worker->work;
    return 0;
}

static void threads_stop(struct workers *workers, struct work *work)
{
    struct threads *threads = container_of(workers, struct threads, workers);
    struct worker *worker = container_of(work, struct worker, work);
    (void)pthread_mutex_lock(&worker->lock);
    CHECK(list_empty(&worker->queue));
    worker->ending = true;
    (void)pthread_cond_signal(&worker->something);
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_join(worker->thread, NULL);
    threads->running--;
    worker_free(worker);
}

struct workers *workers_threads_create(void (*wake)(void *context), void *context)
{
    struct threads *threads = mem_zalloc(1, sizeof(*threads));
    threads->workers = (struct workers){ threads_start, threads_stop };
    threads->wake = wake;
    threads->context = context;
    (void)pthread_mutex_init(&threads->lock, NULL);
    list_init(&threads->finished);
    return &threads->workers;
}

void workers_threads_poll(struct workers *workers)
{
    struct threads *threads = container_of(workers, struct threads, workers);
    struct list finished;
    list_init(&finished);
    (void)pthread_mutex_lock(&threads->lock);
    list_splice(&finished, &threads->finished);
    (void)pthread_mutex_unlock(&threads->lock);
    for (struct list *node; (node = list_pop(&finished));) {
        struct work_job *job = list_entry(node, struct work_job, link);
        job->done(job);
    }
}

void workers_threads_destroy(struct workers *workers)
{
    if (!workers)
        return;
    struct threads *threads = container_of(workers, struct threads, workers);
    CHECK(threads->running == 0 && list_empty(&threads->finished));
    (void)pthread_mutex_destroy(&threads->lock);
    mem_free(threads);
}

/* ---- the other side -------------------------------------------------------------------------- */

static int inline_start(struct workers *workers, const char *name, struct work **ret_worker)
{
    (void)name;
    *ret_worker = container_of(workers, struct workers_inline, workers)->work;
    return 0;
}

static void inline_stop(struct workers *workers, struct work *worker)
{
    (void)workers;
    (void)worker;
}

void workers_inline_init(struct workers_inline *workers, struct work *work)
{
    *workers = (struct workers_inline){ { inline_start, inline_stop }, work };
}
