/*
 * handle_describe_log_dirs.c - DescribeLogDirs, versions 1 to 5: the one data directory, the size
 * of what lies in it, and from version 4 on how large its file system is and what of it is free.
 *
 * The file system may take its time (a network, a dying disk), so the pool asks it. Life of a
 * struct measure: until the pool is done; the request may go first.
 */
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/names.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/messages.h"

enum { FIRST_VERSION_OF_SPACE = 4 };

struct measure {
    struct work_job job;
    struct request *request; /* NULL: it went */
    struct disk *disk;
    char *dir;
    struct disk_space space;
    int status;
};

static void measure_run(struct work_job *job)
{
    struct measure *measure = container_of(job, struct measure, job);
    measure->status = measure->disk->table->space(measure->disk, measure->dir, &measure->space);
}

static void measure_done(struct work_job *job)
{
    struct measure *measure = container_of(job, struct measure, job);
    struct request *request = measure->request;
    if (request) {
        struct describe_log_dirs_response *answer = request->answer;
        if (!measure->status) {
            answer->results->total_bytes = (int64_t)measure->space.total;
            answer->results->usable_bytes = (int64_t)measure->space.available;
        }
        request_finish(request);
    }
    mem_free(measure->dir);
    mem_free(measure);
}

static void cancel(struct request *request)
{
    struct measure *measure = request->state;
    measure->request = NULL;
}

static void measure_begin(struct request *request)
{
    struct measure *measure = mem_zalloc(1, sizeof(*measure));
    measure->job.run = measure_run;
    measure->job.done = measure_done;
    measure->request = request;
    measure->disk = request->broker->doors->disk;
    measure->dir = mem_strdup(request->broker->config->log_dir);
    request->state = measure;
    request->cancel = cancel;
    work_submit(request->broker->doors->work, &measure->job);
}

/* ---- what lies there ----------------------------------------------------------------------- */

static void row_fill(struct describe_log_dirs_response_partition *row, const struct log *log)
{
    row->partition_index = log->partition;
    row->partition_size = (int64_t)log->size_bytes;
}

/* Room for `count` rows of a topic; NULL: the request has failed. */
static struct describe_log_dirs_response_topic *topic_begin(
    struct request *request, struct topic *topic, int32_t count)
{
    struct describe_log_dirs_response *answer = request->answer;
    struct describe_log_dirs_response_topic *rows =
        &answer->results->topics[answer->results->topics_count];
    char *name = answer_strdup(request, bytes_text(topic->name));
    rows->partitions = answer_array(request, &describe_log_dirs_response_partition_table, count);
    if (!name || !rows->partitions)
        return NULL;
    rows->name = bytes_text(name);
    answer->results->topics_count++;
    request_depends(request, topic->lsn);
    return rows;
}

/* False: the request has failed (so below). */
static bool all_fill(struct request *request)
{
    struct storage *storage = request->broker->storage;
    request_depends(request, storage_deletion_lsn(storage));
    for (struct topic *t = storage_topic_next(storage, NULL); t;
         t = storage_topic_next(storage, t)) {
        struct describe_log_dirs_response_topic *rows = topic_begin(request, t, t->log_count);
        if (!rows)
            return false;
        for (int32_t p = 0; p < t->log_count; p++)
            row_fill(&rows->partitions[rows->partitions_count++], t->logs[p]);
    }
    return true;
}

/* One topic that was asked for; its partitions, each once, if they are there. */
static bool topic_fill(struct request *request,
    const struct describe_log_dirs_request_describable_log_dir_topic *asked)
{
    struct topic *topic = answer_topic(request, asked->topic, NULL);
    struct describe_log_dirs_response_topic *rows = NULL;
    if (!topic)
        return true;
    bool *seen = request_alloc(request, (size_t)topic->log_count);
    if (!seen)
        return false;
    for (int32_t p = 0; p < asked->partitions_count; p++) {
        struct log *log = topic_log(topic, asked->partitions[p]);
        if (!log || seen[log->partition])
            continue;
        if (!rows)
            rows = topic_begin(request, topic, asked->partitions_count);
        if (!rows)
            return false;
        seen[log->partition] = true;
        row_fill(&rows->partitions[rows->partitions_count++], log);
    }
    return true;
}

void handle_describe_log_dirs(struct request *request)
{
    const struct describe_log_dirs_request *body = request->body;
    struct describe_log_dirs_response *answer = request->answer;
    struct name_set seen;
    int32_t number;
    bool all = body->topics_count < 0;
    int32_t count =
        all ? (int32_t)storage_topic_count(request->broker->storage) : body->topics_count;
    answer->results = answer_array(request, &describe_log_dirs_response_result_table, 1);
    if (!answer->results)
        return;
    answer->results_count = 1;
    answer->results->log_dir = bytes_text(request->broker->config->log_dir);
    answer->results->topics = answer_array(request, &describe_log_dirs_response_topic_table, count);
    if (!answer->results->topics || (all && !all_fill(request)))
        return;
    if (!all && name_set_init(&seen, &request->arena, (size_t)count,
                    random_u64(request->broker->doors->random), false)) {
        request_fail(request, "the request names too many topics");
        return;
    }
    for (int32_t t = 0; !all && t < count; t++)
        if (name_set_add(&seen, body->topics[t].topic, t, &number, NULL) &&
            !topic_fill(request, &body->topics[t]))
            return;
    if (request->version >= FIRST_VERSION_OF_SPACE)
        measure_begin(request);
    else
        request_finish(request);
}
