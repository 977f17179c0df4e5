/*
 * handle_delete_records.c - DeleteRecords, versions 0 to 2: the log start offset of partitions is
 * raised, and what lies below it is gone for every reader.
 *
 *   rows, each partition once (the last offset counts) → checked → one unit → answer when durable
 *
 * -1 means all that is visible (the high watermark). An offset below the log start changes nothing.
 * A topic that is compacted and not cut by age or size too takes no deletion: it would lose keys.
 * If the ring is full the request is parked and checked anew.
 */
#include <errno.h>
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/commit.h"
#include "broker/names.h"
#include "protocol/error.h"
#include "protocol/messages.h"

enum { OFFSET_ALL = -1 };

struct deletion {
    struct commit *commit;
    int64_t *offsets; /* asked for, by row */
    struct log **logs;
    size_t row_count;
};

static void delete_cancel(struct request *request)
{
    struct deletion *deletion = request->state;
    commit_forget(deletion->commit);
}

static void row_refuse(struct delete_records_response_partition_result *row, int16_t code)
{
    row->error_code = code;
    row->low_watermark = -1;
}

/* The log to cut and where, or an error in the row. */
static struct log *row_check(struct request *request, struct bytes name, int64_t *offset,
    struct delete_records_response_partition_result *row)
{
    struct topic *topic = answer_topic(request, name, NULL);
    struct log *log = topic ? topic_log(topic, row->partition_index) : NULL;
    if (!log) {
        row_refuse(row, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
        return NULL;
    }
    if (topic_name_is_internal(name)) {
        row_refuse(row, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
        return NULL;
    }
    if (topic->config.cleanup_policy == CLEANUP_COMPACT) {
        row_refuse(row, KAFKA_ERROR_POLICY_VIOLATION);
        return NULL;
    }
    if (*offset == OFFSET_ALL)
        *offset = log->high_watermark;
    if (*offset < 0 || *offset > log->high_watermark) {
        row_refuse(row, KAFKA_ERROR_OFFSET_OUT_OF_RANGE);
        return NULL;
    }
    row->error_code = 0;
    return log;
}

static void rows_each(struct request *request,
    void (*each)(struct request *request, size_t number, struct bytes name,
        struct delete_records_response_partition_result *row, int status),
    int status)
{
    struct delete_records_response *answer = request->answer;
    size_t number = 0;
    for (int32_t t = 0; t < answer->topics_count; t++)
        for (int32_t p = 0; p < answer->topics[t].partitions_count; p++)
            each(request, number++, answer->topics[t].name, &answer->topics[t].partitions[p],
                status);
}

static void row_begin(struct request *request, size_t number, struct bytes name,
    struct delete_records_response_partition_result *row, int status)
{
    struct deletion *deletion = request->state;
    int64_t offset = deletion->offsets[number];
    struct log *log = row_check(request, name, &offset, row);
    (void)status;
    deletion->logs[number] = log;
    if (!log || offset <= log->start_offset)
        return;
    status = unit_raise_start(&deletion->commit->unit, log, offset);
    if (status)
        row_refuse(row, request_error_of(status));
}

/* After the commit, while nothing else has happened. */
static void row_end(struct request *request, size_t number, struct bytes name,
    struct delete_records_response_partition_result *row, int status)
{
    const struct deletion *deletion = request->state;
    (void)name;
    if (row->error_code)
        return;
    if (status)
        row_refuse(
            row, status == -EMSGSIZE ? KAFKA_ERROR_POLICY_VIOLATION : request_error_of(status));
    else
        row->low_watermark = deletion->logs[number]->start_offset;
}

static void committed(struct request *request)
{
    struct deletion *deletion = request->state;
    deletion->commit = NULL;
    request_finish(request);
}

static void delete_attempt(struct request *request)
{
    struct deletion *deletion = request->state;
    struct commit *commit = deletion->commit = commit_create(request, committed);
    rows_each(request, row_begin, 0);
    bool any = commit->unit.put_count > 0;
    deletion->commit = NULL;
    int status = 0;
    if (any)
        status = commit_run(commit);
    else
        commit_drop(commit);
    if (status == -EAGAIN) {
        request_park(request, delete_attempt);
        return;
    }
    rows_each(request, row_end, status);
    if (any && !status)
        deletion->commit = commit;
    else
        request_finish(request);
}

/* A partition's number among the rows, by topic and partition. False: the request has failed. */
static bool row_key(
    struct request *request, struct bytes name, int32_t partition, struct bytes *ret_key)
{
    uint8_t *key = request_alloc(request, name.len + sizeof(partition));
    if (!key)
        return false;
    memcpy(key, &partition, sizeof(partition));
    if (name.len)
        memcpy(key + sizeof(partition), name.data, name.len);
    *ret_key = bytes_of(key, name.len + sizeof(partition));
    return true;
}

static bool topic_begin(struct request *request, struct name_set *seen, int32_t t)
{
    const struct delete_records_request *body = request->body;
    struct delete_records_response *answer = request->answer;
    struct deletion *deletion = request->state;
    const struct delete_records_request_topic *asked = &body->topics[t];
    struct delete_records_response_topic_result *rows = &answer->topics[t];
    rows->name = asked->name;
    rows->partitions = answer_array(
        request, &delete_records_response_partition_result_table, asked->partitions_count);
    if (!rows->partitions)
        return false;
    for (int32_t p = 0; p < asked->partitions_count; p++) {
        struct bytes key;
        int32_t number;
        if (!row_key(request, asked->name, asked->partitions[p].partition_index, &key))
            return false;
        if (name_set_add(seen, key, (int32_t)deletion->row_count, &number, NULL)) {
            number = (int32_t)deletion->row_count++;
            rows->partitions[rows->partitions_count++].partition_index =
                asked->partitions[p].partition_index;
        }
        deletion->offsets[number] = asked->partitions[p].offset;
    }
    return true;
}

void handle_delete_records(struct request *request)
{
    const struct delete_records_request *body = request->body;
    struct delete_records_response *answer = request->answer;
    struct deletion *deletion = request_alloc(request, sizeof(*deletion));
    struct name_set seen;
    size_t count = 0;
    for (int32_t t = 0; t < body->topics_count; t++)
        count += (size_t)body->topics[t].partitions_count;
    answer->topics =
        answer_array(request, &delete_records_response_topic_result_table, body->topics_count);
    if (!deletion || !answer->topics)
        return;
    deletion->offsets = request_alloc(request, count * sizeof(*deletion->offsets));
    if (!deletion->offsets)
        return;
    deletion->logs = request_alloc(request, count * sizeof(struct log *));
    if (!deletion->logs)
        return;
    if (name_set_init(
            &seen, &request->arena, count, random_u64(request->broker->doors->random), false)) {
        request_fail(request, "the request names too many partitions");
        return;
    }
    request->state = deletion;
    request->cancel = delete_cancel;
    answer->topics_count = body->topics_count;
    for (int32_t t = 0; t < body->topics_count; t++)
        if (!topic_begin(request, &seen, t))
            return;
    delete_attempt(request);
}
