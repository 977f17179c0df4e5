/*
 * validation.c - see validation.h.
 *
 *     usual ──▶ running ──▶ done
 *                  │ a batch needs more than VALIDATION_USUAL_MAX
 *                  ▼
 *     large ──▶ running (one at a time) ──▶ done
 *
 * Compressors are made when first needed and kept, one for each job that may run.
 */
#include "broker/validation.h"

#include <errno.h>

#include "protocol/base/mem.h"

enum {
    INLINE_SIZE_MAX = 1 << 20,        /* of a batch that is not compressed */
    INLINE_COMPRESSED_MAX = 64 << 10, /* of one that is */
};

struct validation {
    struct work *work;
    struct compressor own; /* for the loop */
    struct compressor spare[VALIDATION_JOBS_MAX];
    bool taken[VALIDATION_JOBS_MAX];
    struct list usual, large, running;
    int running_count;
    bool large_runs;
};

struct validation *validation_create(struct work *work)
{
    struct validation *validation = mem_zalloc(1, sizeof(*validation));
    validation->work = work;
    compressor_init(&validation->own);
    for (int i = 0; i < VALIDATION_JOBS_MAX; i++)
        compressor_init(&validation->spare[i]);
    list_init(&validation->usual);
    list_init(&validation->large);
    list_init(&validation->running);
    return validation;
}

static void end_all(struct list *jobs)
{
    struct list *node;
    while ((node = list_pop(jobs))) {
        struct validation_job *job = list_entry(node, struct validation_job, link);
        job->done(job, -ECANCELED);
    }
}

void validation_destroy(struct validation *validation)
{
    if (!validation)
        return;
    end_all(&validation->usual);
    end_all(&validation->large);
    end_all(&validation->running);
    compressor_done(&validation->own);
    for (int i = 0; i < VALIDATION_JOBS_MAX; i++)
        compressor_done(&validation->spare[i]);
    mem_free(validation);
}

static bool is_small(const struct preparation *item)
{
    if (item->len <= INLINE_COMPRESSED_MAX)
        return true;
    struct batch_view view;
    if (item->len > INLINE_SIZE_MAX || item->codec > CODEC_NONE)
        return false;
    return batch_parse(bytes_of(item->data, item->len), &view) != BATCH_OK ||
           batch_codec(&view) == CODEC_NONE;
}

bool validation_inline(struct validation *validation, struct preparation *items, size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        if (items[i].finished)
            continue;
        if (!is_small(&items[i])) {
            all = false;
            continue;
        }
        items[i].rules.decompressed_max = VALIDATION_INLINE_MAX;
        preparation_run(&items[i], &validation->own);
        items[i].finished = items[i].outcome != BATCH_BOMB;
        all &= items[i].finished;
    }
    return all;
}

static void job_run(struct work_job *work)
{
    struct validation_job *job = container_of(work, struct validation_job, work);
    for (size_t i = 0; i < job->count; i++) {
        if (job->items[i].finished)
            continue;
        job->items[i].rules.decompressed_max = job->decompressed_max;
        preparation_run(&job->items[i], job->compressor);
        if (job->items[i].outcome == BATCH_BOMB && job->decompressed_max < VALIDATION_LARGE_MAX)
            job->items[i].finished = false;
    }
}

static void start_waiting(struct validation *validation);

static bool is_finished(const struct validation_job *job)
{
    for (size_t i = 0; i < job->count; i++)
        if (!job->items[i].finished)
            return false;
    return true;
}

static void job_done(struct work_job *work)
{
    struct validation_job *job = container_of(work, struct validation_job, work);
    struct validation *validation = job->validation;
    list_remove(&job->link);
    validation->taken[job->compressor - validation->spare] = false;
    validation->running_count--;
    if (job->decompressed_max == VALIDATION_LARGE_MAX)
        validation->large_runs = false;
    if (is_finished(job))
        job->done(job, 0);
    else
        list_append(&validation->large, &job->link);
    start_waiting(validation);
}

static void start(struct validation *validation, struct list *from, size_t decompressed_max)
{
    struct validation_job *job = list_entry(list_pop(from), struct validation_job, link);
    int slot = 0;
    while (validation->taken[slot])
        slot++;
    validation->taken[slot] = true;
    validation->running_count++;
    job->compressor = &validation->spare[slot];
    job->decompressed_max = decompressed_max;
    job->work.run = job_run;
    job->work.done = job_done;
    list_append(&validation->running, &job->link);
    work_submit(validation->work, &job->work);
}

static void start_waiting(struct validation *validation)
{
    if (!list_empty(&validation->large) && !validation->large_runs &&
        validation->running_count < VALIDATION_JOBS_MAX) {
        validation->large_runs = true;
        start(validation, &validation->large, VALIDATION_LARGE_MAX);
    }
    while (!list_empty(&validation->usual) && validation->running_count < VALIDATION_JOBS_MAX)
        start(validation, &validation->usual, VALIDATION_USUAL_MAX);
}

void validation_submit(struct validation *validation, struct validation_job *job)
{
    job->validation = validation;
    job->compressor = NULL;
    list_append(&validation->usual, &job->link);
    start_waiting(validation);
}

bool validation_cancel(struct validation_job *job)
{
    list_foreach (node, &job->validation->running)
        if (node == &job->link)
            return false;
    list_remove(&job->link);
    return true;
}
