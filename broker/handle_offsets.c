/*
 * handle_offsets.c - ListOffsets (1-11) and OffsetForLeaderEpoch (2-4): where in a log something
 * is.
 *
 * ListOffsets asks by a time, or by one of these:
 *
 *     -1  latest: the high watermark, or the last stable offset for read_committed
 *     -2  earliest: the log start offset
 *     -3  the record of the greatest timestamp (7+)
 *     -4  earliest local (8+): the same as earliest, for there is no remote storage
 *     -5  last tiered (9+), -6 earliest pending upload (11+): none, for the same reason
 *
 * and any other negative number, or one of a later version, is UNSUPPORTED_VERSION. A time finds
 * the first record at or after it that the consumer may see; that reads, decompresses, and may have
 * to wait for the disk. So the partitions are walked in order with a few lookups under way at a
 * time:
 *
 *     walk ──lookup starts──▶ ... ──done──▶ walk ──all walked, none under way──▶ finish
 *
 * When the request is cancelled its lookups are taken back from the storage.
 *
 * OffsetForLeaderEpoch (KIP-320) tells consumers where the log of an epoch ended, so that they
 * notice a truncation.
 */
#include <errno.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/names.h"
#include "broker/partition.h"
#include "protocol/base/mem.h"
#include "protocol/messages.h"

enum {
    LOOKUPS_MAX = 8, /* of one request, under way at a time */

    AT_LATEST = -1,
    AT_EARLIEST = -2,
    AT_MAX_TIMESTAMP = -3,
    AT_EARLIEST_LOCAL = -4,
    AT_LATEST_TIERED = -5,
    AT_EARLIEST_PENDING_UPLOAD = -6,
};

/* The version that knows each, by -1 - timestamp. */
static const int16_t first_versions[] = { 1, 1, 7, 8, 9, 11 };

struct walk {
    struct request *request;
    struct list lookups; /* under way */
    int32_t under_way;
    int32_t topic, partition; /* where to go on */
};

struct lookup {
    struct log_find_time find;
    struct list link; /* in walk->lookups */
    struct walk *walk;
    struct list_offsets_response_partition_response *row;
    int64_t visible_end; /* where this client's records end */
};

static void walk_on(struct walk *walk);

static void row_found(struct lookup *lookup, int status)
{
    struct list_offsets_response_partition_response *row = lookup->row;
    row->error_code = request_error_of(status);
    /* The greatest time of all records may be one that this client does not see yet: then none is
     * told, as Kafka does. */
    if (status || lookup->find.offset >= lookup->visible_end)
        return;
    row->timestamp = lookup->find.timestamp_ms;
    row->offset = lookup->find.offset;
    row->leader_epoch = lookup->find.offset < 0 ? -1 : lookup->find.leader_epoch;
}

static void lookup_done(struct log_find_time *find, int status)
{
    struct lookup *lookup = container_of(find, struct lookup, find);
    struct walk *walk = lookup->walk;
    row_found(lookup, status);
    list_remove(&lookup->link);
    walk->under_way--;
    mem_free(lookup);
    walk_on(walk);
}

static void offsets_cancel(struct request *request)
{
    struct walk *walk = request->state;
    list_foreach_safe (node, next, &walk->lookups) {
        struct lookup *lookup = list_entry(node, struct lookup, link);
        log_find_cancel(&lookup->find);
        list_remove(node);
        mem_free(lookup);
    }
}

static void lookup_start(struct walk *walk, struct log *log, int64_t timestamp,
    struct list_offsets_response_partition_response *row)
{
    const struct list_offsets_request *body = walk->request->body;
    struct lookup *lookup = mem_zalloc(1, sizeof(*lookup));
    bool max = timestamp == AT_MAX_TIMESTAMP;
    lookup->visible_end = partition_visible_end(log, body->isolation_level);
    lookup->find = (struct log_find_time){ .log = log,
        .target_ms = timestamp,
        .max = max,
        .end_offset = max ? log->high_watermark : lookup->visible_end,
        .done = lookup_done };
    lookup->walk = walk;
    lookup->row = row;
    list_init(&lookup->link);
    int error = log_find_time(walk->request->broker->storage, &lookup->find);
    if (error == -EINPROGRESS) {
        list_append(&walk->lookups, &lookup->link);
        walk->under_way++;
        return;
    }
    row_found(lookup, error);
    mem_free(lookup);
}

static void partition_answer(struct walk *walk, struct log *log,
    const struct list_offsets_request_partition *asked,
    struct list_offsets_response_partition_response *row)
{
    const struct list_offsets_request *body = walk->request->body;
    int64_t at = asked->timestamp;
    if (at < 0 && (-1 - at >= (int64_t)ARRAY_COUNT(first_versions) ||
                      walk->request->version < first_versions[-1 - at]))
        row->error_code = KAFKA_ERROR_UNSUPPORTED_VERSION;
    else
        row->error_code = partition_check_epoch(log, asked->current_leader_epoch);
    if (row->error_code)
        return;
    if (at >= 0 || at == AT_MAX_TIMESTAMP) {
        lookup_start(walk, log, at, row);
    } else if (at == AT_LATEST) {
        row->offset = partition_visible_end(log, body->isolation_level);
        row->leader_epoch = log->leader_epoch;
    } else if (at == AT_EARLIEST || at == AT_EARLIEST_LOCAL) {
        row->offset = log->start_offset;
        row->leader_epoch = log->start_offset < log->end_offset
                                ? log_epoch_at(log, log->start_offset)
                                : log->leader_epoch;
    }
}

/* One row. */
static void walk_step(struct walk *walk)
{
    const struct list_offsets_request *body = walk->request->body;
    struct list_offsets_response *answer = walk->request->answer;
    const struct list_offsets_request_topic *topic = &body->topics[walk->topic];
    struct list_offsets_response_partition_response *row =
        &answer->topics[walk->topic].partitions[walk->partition];
    const struct list_offsets_request_partition *asked = &topic->partitions[walk->partition];
    if (!row->error_code) {
        struct topic *known = answer_topic(walk->request, topic->name, NULL);
        struct log *log = known ? topic_log(known, asked->partition_index) : NULL;
        if (log)
            partition_answer(walk, log, asked, row);
        else
            row->error_code = KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    walk->partition++;
}

static void walk_on(struct walk *walk)
{
    const struct list_offsets_request *body = walk->request->body;
    while (walk->topic < body->topics_count && walk->under_way < LOOKUPS_MAX) {
        if (walk->partition < body->topics[walk->topic].partitions_count) {
            walk_step(walk);
        } else {
            walk->topic++;
            walk->partition = 0;
        }
    }
    if (walk->topic == body->topics_count && walk->under_way == 0)
        request_finish(walk->request);
}

/* A partition that comes twice is refused wherever it stands. False: the request has failed. */
static bool refuse_twice(struct request *request, int64_t count)
{
    const struct list_offsets_request *body = request->body;
    struct list_offsets_response *answer = request->answer;
    struct name_set seen;
    struct log **logs = request_alloc(request, (size_t)count * sizeof(struct log *));
    struct list_offsets_response_partition_response **rows =
        request_alloc(request, (size_t)count * sizeof(*rows));
    if (!logs || !rows)
        return false;
    if (name_set_init(&seen, &request->arena, (size_t)count,
            random_u64(request->broker->doors->random), false)) {
        request_fail(request, "the request names too many partitions");
        return false;
    }
    int32_t next = 0, before;
    for (int32_t t = 0; t < body->topics_count; t++) {
        const struct topic *topic = storage_topic(request->broker->storage, body->topics[t].name);
        for (int32_t p = 0; topic && p < body->topics[t].partitions_count; p++) {
            rows[next] = &answer->topics[t].partitions[p];
            logs[next] = topic_log(topic, body->topics[t].partitions[p].partition_index);
            if (logs[next] && !name_set_add(&seen, bytes_of(&logs[next], sizeof(logs[next])), next,
                                  &before, NULL))
                rows[next]->error_code = rows[before]->error_code = KAFKA_ERROR_INVALID_REQUEST;
            next++;
        }
    }
    return true;
}

void handle_list_offsets(struct request *request)
{
    const struct list_offsets_request *body = request->body;
    struct list_offsets_response *answer = request->answer;
    struct walk *walk = request_alloc(request, sizeof(*walk));
    answer->topics =
        answer_array(request, &list_offsets_response_topic_response_table, body->topics_count);
    if (!walk || !answer->topics)
        return;
    answer->topics_count = body->topics_count;
    int64_t count = 0;
    for (int32_t t = 0; t < body->topics_count; t++) {
        struct list_offsets_response_topic_response *topic = &answer->topics[t];
        topic->name = body->topics[t].name;
        topic->partitions = answer_array(request, &list_offsets_response_partition_response_table,
            body->topics[t].partitions_count);
        if (!topic->partitions)
            return;
        topic->partitions_count = body->topics[t].partitions_count;
        for (int32_t p = 0; p < topic->partitions_count; p++)
            topic->partitions[p].partition_index = body->topics[t].partitions[p].partition_index;
        count += topic->partitions_count;
    }
    if (!refuse_twice(request, count))
        return;
    walk->request = request;
    list_init(&walk->lookups);
    request->state = walk;
    request->cancel = offsets_cancel;
    walk_on(walk);
}

/* ---- OffsetForLeaderEpoch ------------------------------------------------------------------ */

static void epoch_answer(struct request *request, struct topic *topic,
    const struct offset_for_leader_epoch_request_offset_for_leader_partition *asked,
    struct offset_for_leader_epoch_response_epoch_end_offset *row)
{
    struct log *log = topic ? topic_log(topic, asked->partition) : NULL;
    row->partition = asked->partition;
    row->error_code = log ? partition_check_epoch(log, asked->current_leader_epoch)
                          : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!row->error_code)
        log_epoch_end(log, asked->leader_epoch, &row->leader_epoch, &row->end_offset);
}

void handle_offset_for_leader_epoch(struct request *request)
{
    const struct offset_for_leader_epoch_request *body = request->body;
    struct offset_for_leader_epoch_response *answer = request->answer;
    answer->topics = answer_array(request,
        &offset_for_leader_epoch_response_offset_for_leader_topic_result_table, body->topics_count);
    if (!answer->topics)
        return;
    answer->topics_count = body->topics_count;
    for (int32_t t = 0; t < body->topics_count; t++) {
        struct offset_for_leader_epoch_response_offset_for_leader_topic_result *rows =
            &answer->topics[t];
        struct topic *topic = answer_topic(request, body->topics[t].topic, NULL);
        rows->topic = body->topics[t].topic;
        rows->partitions_count = body->topics[t].partitions_count;
        rows->partitions = answer_array(request,
            &offset_for_leader_epoch_response_epoch_end_offset_table, rows->partitions_count);
        if (!rows->partitions)
            return;
        for (int32_t p = 0; p < rows->partitions_count; p++)
            epoch_answer(request, topic, &body->topics[t].partitions[p], &rows->partitions[p]);
    }
    request_finish(request);
}
