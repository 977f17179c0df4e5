/* See work_uv.h. One allocation per job: libuv's request beside the pointer to ours. */
#include "broker/work_uv.h"

#include "protocol/base/check.h"
#include "protocol/base/mem.h"

struct task {
    uv_work_t request;
    struct work_uv *pool;
    struct work_job *job;
};

static void run(uv_work_t *request)
{
    struct task *task = container_of(request, struct task, request);
    task->job->run(task->job);
}

static void after(uv_work_t *request, int status)
{
    struct task *task = container_of(request, struct task, request);
    struct work_job *job = task->job;
    CHECK(status == 0); /* nobody cancels */
    task->pool->running--;
    mem_free(task);
    job->done(job);
}

static void submit(struct work *work, struct work_job *job)
{
    struct work_uv *pool = container_of(work, struct work_uv, work);
    struct task *task = mem_alloc(sizeof(*task));
    task->pool = pool;
    task->job = job;
    pool->running++;
    CHECK(uv_queue_work(pool->loop, &task->request, run, after) == 0);
}

void work_uv_init(struct work_uv *pool, uv_loop_t *loop)
{
    *pool = (struct work_uv){ .work = { .submit = submit }, .loop = loop };
}
