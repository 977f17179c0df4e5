/*
 * OffsetCommit and OffsetFetch.
 *
 * Happy path of a commit: check the member, then one unit with a put for every partition that may
 * be committed; the answer leaves when the unit is durable. Offsets are kept by topic id, so a
 * topic that was deleted and made again starts without any.
 *
 * A fetch reads the store and waits until the newest offset that it tells is durable.
 *
 * Failure modes: the ring is full: the request is parked and does the whole commit again; the
 * connection goes while the unit is in flight: the commit stays valid, nobody is told.
 */
#include <errno.h>
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/coordinator.h"
#include "broker/handle_groups.h"
#include "broker/request.h"
#include "broker/transaction_coordinator.h"
#include "protocol/codec.h"
#include "protocol/error.h"
#include "protocol/messages.h"

/* ---- OffsetCommit ---- */

/* By name; from version 10 on by id. */
static const struct topic *topic_of(
    struct request *request, struct bytes name, const struct uuid *id)
{
    return answer_topic(request, request->version >= 10 ? bytes_of(NULL, 0) : name, id);
}

/* Who commits, and where it goes. */
struct commit_part {
    struct unit *unit;
    struct group *group;
    struct group_offset_client client;
};

/* What versions 2 to 4 may say, as a time; 0: nothing. */
static int64_t expire_time(int64_t now_ms, int64_t retention_ms)
{
    if (retention_ms == -1)
        return 0;
    if (now_ms < 0) /* a clock that was never set */
        now_ms = 0;
    if (retention_ms > INT64_MAX - now_ms)
        return INT64_MAX;
    return now_ms + retention_ms > 0 ? now_ms + retention_ms : 1;
}

static int16_t commit_partition(struct request *request, struct commit_part *part,
    const struct offset_commit_request_topic *topic,
    const struct offset_commit_request_partition *partition)
{
    const struct topic *known = topic_of(request, topic->name, &topic->topic_id);
    if (!known)
        return request->version >= 10 ? KAFKA_ERROR_UNKNOWN_TOPIC_ID
                                      : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!topic_log(known, partition->partition_index))
        return KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    if (partition->committed_metadata.len >
        (size_t)request->broker->config->offset_metadata_max_bytes)
        return KAFKA_ERROR_OFFSET_METADATA_TOO_LARGE;
    int16_t error = part->client.by_partition
                        ? part->group->operations->check_commit_partition(
                              part->group, &part->client, &known->id, partition->partition_index)
                        : KAFKA_ERROR_NONE;
    if (error)
        return error;
    const struct offset_commit_request *body = request->body;
    int64_t now_ms = clock_wall_ms(request->broker->doors->clock);
    struct committed_offset offset = {
        .offset = partition->committed_offset,
        .leader_epoch = partition->committed_leader_epoch,
        .commit_ms = now_ms,
        .expire_ms = expire_time(now_ms, body->retention_time_ms),
        .metadata =
            partition->committed_metadata.data ? partition->committed_metadata : bytes_of("", 0),
    };
    coordinator_put_offset(
        part->unit, bytes_text(part->group->id), &known->id, partition->partition_index, &offset);
    return KAFKA_ERROR_NONE;
}

/* The answer has the shape of the request; `error` for every partition, or each its own and into
 * the unit. */
static bool commit_fill(struct request *request, struct commit_part *part, int16_t error)
{
    const struct offset_commit_request *body = request->body;
    struct offset_commit_response *answer = request->answer;
    answer->topics =
        codec_array(&request->arena, &offset_commit_response_topic_table, body->topics_count);
    answer->topics_count = body->topics_count;
    for (int32_t t = 0; answer->topics && t < body->topics_count; t++) {
        const struct offset_commit_request_topic *topic = &body->topics[t];
        struct offset_commit_response_topic *to = &answer->topics[t];
        to->name = topic->name;
        to->topic_id = topic->topic_id;
        to->partitions = codec_array(
            &request->arena, &offset_commit_response_partition_table, topic->partitions_count);
        to->partitions_count = topic->partitions_count;
        if (!to->partitions && topic->partitions_count > 0)
            return false;
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            to->partitions[p].partition_index = topic->partitions[p].partition_index;
            to->partitions[p].error_code =
                error ? error : commit_partition(request, part, topic, &topic->partitions[p]);
        }
    }
    return answer->topics || body->topics_count <= 0;
}

static void commit_refuse(struct request *request, int16_t error)
{
    if (commit_fill(request, NULL, error))
        request_finish(request);
    else
        request_fail(request, "OffsetCommit: the answer is larger than a request may be");
}

static int16_t commit_check(struct request *request, struct commit_part *part)
{
    const struct offset_commit_request *body = request->body;
    struct coordinator *coordinator = request->broker->coordinator;
    part->group = coordinator_group(coordinator, body->group_id);
    part->client = (struct group_offset_client){ .member_id = body->member_id,
        .instance_id = body->group_instance_id,
        .epoch = body->generation_id_or_member_epoch,
        .version = request->version };
    if (!part->group) {
        /* A simple consumer's first commit makes its group. */
        if (part->client.epoch >= 0)
            return request->version < 9 ? KAFKA_ERROR_ILLEGAL_GENERATION
                                        : KAFKA_ERROR_GROUP_ID_NOT_FOUND;
        part->group = coordinator_group_make(coordinator, body->group_id, GROUP_CLASSIC);
        if (!part->group)
            return KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
    }
    return part->group->operations->check_commit(
        part->group, &part->client, clock_monotonic_ns(request->broker->doors->clock));
}

static void commit_cancel(struct request *request)
{
    coordinator_forget(request->broker->coordinator, request);
}

static void commit_durable(struct request *request)
{
    request->cancel = NULL;
    request_finish(request);
}

void handle_offset_commit(struct request *request)
{
    struct commit_part part = { 0 };
    int16_t error = commit_check(request, &part);
    if (error) {
        commit_refuse(request, error);
        return;
    }
    struct coordinator *coordinator = request->broker->coordinator;
    struct pending_commit *commit = coordinator_commit_begin(coordinator, request, commit_durable);
    struct unit *unit = part.unit = pending_commit_unit(commit);
    if (!commit_fill(request, &part, KAFKA_ERROR_NONE)) {
        coordinator_commit_abandon(commit);
        request_fail(request, "OffsetCommit: the answer is larger than a request may be");
        return;
    }
    if (unit->put_count == 0) {
        coordinator_commit_abandon(commit);
        request_finish(request);
        return;
    }
    request->cancel = commit_cancel;
    int status = coordinator_commit(coordinator, commit);
    if (status == 0)
        return;
    request->cancel = NULL;
    if (status == -EAGAIN) {
        coordinator_commit_abandon(commit);
        request_park(request, handle_offset_commit);
        return;
    }
    /* No room, or the broker stops: clients take the codes of topics as final here. */
    commit_refuse(request, status == -EMSGSIZE ? KAFKA_ERROR_INVALID_COMMIT_OFFSET_SIZE
                                               : KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE);
}

/* ---- OffsetFetch ----
 *
 * v1-7 ask for one group with topics by name, v8-9 for several groups, v10 by topic id. The structs
 * differ, what is told of a partition does not.
 */

struct told {
    int64_t offset;
    int32_t leader_epoch;
    struct bytes metadata;
};

/* False: the request has failed. */
static bool tell(struct request *request, struct bytes group, const struct uuid *id,
    int32_t partition, struct told *ret_told)
{
    struct committed_offset offset;
    uint64_t lsn;
    *ret_told = (struct told){ .offset = -1, .leader_epoch = -1, .metadata = bytes_of("", 0) };
    if (!id)
        return true;
    bool there =
        coordinator_get_offset(request->broker->coordinator, group, id, partition, &offset, &lsn);
    request_depends(request, lsn); /* also that it is not there any more */
    if (!there)
        return true;
    uint8_t *copy = request_alloc(request, offset.metadata.len ? offset.metadata.len : 1);
    if (!copy)
        return false;
    if (offset.metadata.len)
        memcpy(copy, offset.metadata.data, offset.metadata.len);
    *ret_told =
        (struct told){ offset.offset, offset.leader_epoch, bytes_of(copy, offset.metadata.len) };
    return true;
}

/* Gathers everything that a group committed, as topics with their partitions. */
struct collect {
    struct request *request;
    const struct topic *topic; /* of the newest entry */
    int32_t topic_count;
    struct offset_fetch_request_topics *topics; /* in the arena */
    bool counting, failed;
};

static void collect_one(void *context, const struct uuid *id, int32_t partition,
    const struct committed_offset *offset, uint64_t lsn)
{
    struct collect *collect = context;
    (void)offset;
    (void)lsn;
    const struct topic *topic = answer_topic(collect->request, bytes_of(NULL, 0), id);
    if (!topic || collect->failed)
        return; /* of a topic that was deleted */
    if (topic != collect->topic) {
        collect->topic = topic;
        collect->topic_count++;
        if (!collect->counting) {
            struct offset_fetch_request_topics *to = &collect->topics[collect->topic_count - 1];
            /* A copy: the answer waits, and the topic may be gone by then. */
            char *name = answer_strdup(collect->request, bytes_text(topic->name));
            to->name = name ? bytes_text(name) : (struct bytes){ 0 };
            to->topic_id = topic->id;
            to->partition_indexes = request_alloc(
                collect->request, (size_t)topic->log_count * sizeof(*to->partition_indexes));
            collect->failed = !name || !to->partition_indexes;
        }
    }
    if (collect->counting || collect->failed)
        return;
    struct offset_fetch_request_topics *to = &collect->topics[collect->topic_count - 1];
    if (to->partition_indexes_count < topic->log_count)
        to->partition_indexes[to->partition_indexes_count++] = partition;
}

/* The topics and partitions a group has offsets for; false: the request has failed. */
static bool collect_all(struct request *request, struct bytes group,
    struct offset_fetch_request_topics **ret_topics, int32_t *ret_count)
{
    struct coordinator *coordinator = request->broker->coordinator;
    struct collect collect = { .request = request, .counting = true };
    request_depends(request, store_deleted(request->broker->storage, STORE_OFFSET));
    coordinator_each_offset(coordinator, group, collect_one, &collect);
    collect.topics =
        request_alloc(request, (size_t)collect.topic_count * sizeof(*collect.topics) + 1);
    if (!collect.topics)
        return false;
    collect.counting = false;
    collect.topic = NULL;
    collect.topic_count = 0;
    coordinator_each_offset(coordinator, group, collect_one, &collect);
    *ret_topics = collect.topics;
    *ret_count = collect.topic_count;
    return !collect.failed;
}

static bool asks_stable(const struct request *request)
{
    return ((const struct offset_fetch_request *)request->body)->require_stable;
}

static bool fetch_topic_v8(struct request *request, struct bytes group,
    const struct offset_fetch_request_topics *topic, struct offset_fetch_response_topics *to)
{
    const struct topic *known = topic_of(request, topic->name, &topic->topic_id);
    const struct uuid *id = known ? &known->id : NULL;
    int16_t error = !id && request->version >= 10 ? KAFKA_ERROR_UNKNOWN_TOPIC_ID : 0;
    to->name = topic->name;
    to->topic_id = topic->topic_id;
    to->partitions = codec_array(
        &request->arena, &offset_fetch_response_partitions_table, topic->partition_indexes_count);
    if (!to->partitions && topic->partition_indexes_count > 0) {
        request_fail(request, "OffsetFetch: the answer is larger than a request may be");
        return false;
    }
    to->partitions_count = topic->partition_indexes_count;
    for (int32_t p = 0; p < topic->partition_indexes_count; p++) {
        struct told told;
        if (!tell(request, group, id, topic->partition_indexes[p], &told))
            return false;
        to->partitions[p].partition_index = topic->partition_indexes[p];
        to->partitions[p].committed_offset = told.offset;
        to->partitions[p].committed_leader_epoch = told.leader_epoch;
        to->partitions[p].metadata = told.metadata;
        to->partitions[p].error_code = error;
        if (!asks_stable(request) || !id ||
            !transaction_coordinator_offset_waits(
                request->broker->transactions, group, id, topic->partition_indexes[p]))
            continue;
        to->partitions[p].committed_offset = -1;
        to->partitions[p].committed_leader_epoch = -1;
        to->partitions[p].metadata = bytes_of("", 0);
        to->partitions[p].error_code = KAFKA_ERROR_UNSTABLE_OFFSET_COMMIT;
    }
    return true;
}

static int16_t fetch_check(struct request *request, const struct offset_fetch_request_group *from)
{
    struct group *group = coordinator_group(request->broker->coordinator, from->group_id);
    struct group_offset_client client = {
        .member_id = from->member_id, .epoch = from->member_epoch, .version = request->version
    };
    if (!group || !group->operations->check_fetch)
        return KAFKA_ERROR_NONE;
    request_depends(request, group->lsn);
    return group->operations->check_fetch(group, &client);
}

static bool fetch_group_v8(struct request *request, const struct offset_fetch_request_group *group,
    struct offset_fetch_response_group *to)
{
    struct offset_fetch_request_topics *topics = group->topics;
    int32_t count = group->topics_count;
    to->group_id = group->group_id;
    /* Kafka's classic groups do not ask who reads (v9+: KIP-848 clients say it), nor for a name. */
    to->error_code = fetch_check(request, group);
    if (to->error_code)
        return true;
    if (count < 0 && !collect_all(request, group->group_id, &topics, &count))
        return false;
    to->topics = codec_array(&request->arena, &offset_fetch_response_topics_table, count);
    if (!to->topics && count > 0) {
        request_fail(request, "OffsetFetch: the answer is larger than a request may be");
        return false;
    }
    to->topics_count = count;
    for (int32_t t = 0; t < count; t++) {
        if (!fetch_topic_v8(request, group->group_id, &topics[t], &to->topics[t]))
            return false;
    }
    return true;
}

static void fetch_v8(struct request *request)
{
    const struct offset_fetch_request *body = request->body;
    struct offset_fetch_response *answer = request->answer;
    answer->groups =
        codec_array(&request->arena, &offset_fetch_response_group_table, body->groups_count);
    if (!answer->groups && body->groups_count > 0) {
        request_fail(request, "OffsetFetch: the answer is larger than a request may be");
        return;
    }
    answer->groups_count = body->groups_count;
    for (int32_t g = 0; g < body->groups_count; g++) {
        if (!fetch_group_v8(request, &body->groups[g], &answer->groups[g]))
            return;
    }
    request_finish(request);
}

/* v1-7: one group; its answer is the v8 one in other structs. */
static bool fetch_translate(struct request *request, const struct offset_fetch_response_group *from)
{
    struct offset_fetch_response *answer = request->answer;
    answer->error_code = from->error_code;
    answer->topics =
        codec_array(&request->arena, &offset_fetch_response_topic_table, from->topics_count);
    if (!answer->topics && from->topics_count > 0)
        return false;
    answer->topics_count = from->topics_count;
    for (int32_t t = 0; t < from->topics_count; t++) {
        struct offset_fetch_response_topic *to = &answer->topics[t];
        const struct offset_fetch_response_topics *topic = &from->topics[t];
        to->name = topic->name;
        to->partitions = codec_array(
            &request->arena, &offset_fetch_response_partition_table, topic->partitions_count);
        if (!to->partitions && topic->partitions_count > 0)
            return false;
        to->partitions_count = topic->partitions_count;
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            to->partitions[p].partition_index = topic->partitions[p].partition_index;
            to->partitions[p].committed_offset = topic->partitions[p].committed_offset;
            to->partitions[p].committed_leader_epoch = topic->partitions[p].committed_leader_epoch;
            to->partitions[p].metadata = topic->partitions[p].metadata;
            to->partitions[p].error_code = topic->partitions[p].error_code;
        }
    }
    return true;
}

static void fetch_v1(struct request *request)
{
    const struct offset_fetch_request *body = request->body;
    struct offset_fetch_request_group group = {
        .group_id = body->group_id, .member_epoch = -1, .topics_count = body->topics_count
    };
    struct offset_fetch_response_group to = { .group_id = body->group_id };
    if (body->topics_count > 0) {
        group.topics = request_alloc(request, (size_t)body->topics_count * sizeof(*group.topics));
        if (!group.topics)
            return;
        for (int32_t t = 0; t < body->topics_count; t++) {
            group.topics[t].name = body->topics[t].name;
            group.topics[t].partition_indexes = body->topics[t].partition_indexes;
            group.topics[t].partition_indexes_count = body->topics[t].partition_indexes_count;
        }
    }
    if (!fetch_group_v8(request, &group, &to))
        return;
    if (fetch_translate(request, &to))
        request_finish(request);
    else
        request_fail(request, "OffsetFetch: the answer is larger than a request may be");
}

void handle_offset_fetch(struct request *request)
{
    if (request->version >= 8)
        fetch_v8(request);
    else
        fetch_v1(request);
}
