/*
 * handle_share_offsets.c - DescribeShareGroupOffsets (0-1), AlterShareGroupOffsets (0) and
 * DeleteShareGroupOffsets (0): where a share group is in each partition.
 *
 *   alter, delete: the group has no members → one unit with everything → answer when it is durable
 *
 * If the ring is full the request is parked and everything is looked at anew.
 */
#include <errno.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/commit.h"
#include "broker/coordinator.h"
#include "broker/handle_groups.h"
#include "broker/partition_set.h"
#include "broker/shares.h"
#include "protocol/codec.h"
#include "protocol/error.h"
#include "protocol/messages.h"

/* The share group, or NULL. */
static struct share_group *group_of(struct request *request, struct bytes id)
{
    struct share_group *group = share_group_of(coordinator_group(request->broker->coordinator, id));
    if (group)
        request_depends(request, group->base.lsn);
    return group;
}

/* ---- DescribeShareGroupOffsets -------------------------------------------------------------- */

static void partition_describe(struct request *request, struct bytes group,
    const struct topic *topic, struct describe_share_group_offsets_response_partition *row)
{
    const struct log *log = topic ? topic_log(topic, row->partition_index) : NULL;
    struct share_position position;
    row->start_offset = row->lag = -1;
    if (!log) {
        row->error_code = KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
        row->error_message = answer_error_text(row->error_code);
        return;
    }
    if (!shares_position(request->broker->shares, group, log, &position))
        return;
    request_depends(request, position.lsn);
    row->start_offset = position.start;
    row->lag = position.lag;
    row->leader_epoch = log->leader_epoch;
}

/* What the request names. False: the request has failed (so below). */
static bool topics_describe(struct request *request,
    const struct describe_share_group_offsets_request_group *from,
    struct describe_share_group_offsets_response_group *to)
{
    to->topics = answer_array(
        request, &describe_share_group_offsets_response_topic_table, from->topics_count);
    if (!to->topics)
        return false;
    for (int32_t t = 0; t < from->topics_count; t++) {
        struct describe_share_group_offsets_response_topic *rows = &to->topics[to->topics_count++];
        const struct describe_share_group_offsets_request_topic *named = &from->topics[t];
        const struct topic *topic = answer_topic(request, named->topic_name, NULL);
        rows->topic_name = named->topic_name;
        if (topic)
            rows->topic_id = topic->id;
        rows->partitions = answer_array(request,
            &describe_share_group_offsets_response_partition_table, named->partitions_count);
        if (!rows->partitions)
            return false;
        for (int32_t p = 0; p < named->partitions_count; p++) {
            struct describe_share_group_offsets_response_partition *row =
                &rows->partitions[rows->partitions_count++];
            row->partition_index = named->partitions[p];
            partition_describe(request, from->group_id, topic, row);
        }
    }
    return true;
}

static void place_add(void *context, const struct uuid *topic, int32_t index)
{
    partition_set_add(context, topic, index, 0);
}

/* The topics that members want, each once however many want it (as its partition 0). */
static void topics_gather(
    struct request *request, const struct share_group *group, struct partition_set *topics)
{
    list_foreach (node, &group->members) {
        const struct share_member *member = list_entry(node, struct share_member, link);
        for (size_t i = 0; i < member->topic_count; i++) {
            const struct topic *topic =
                storage_topic(request->broker->storage, bytes_text(member->topics[i]));
            if (topic)
                partition_set_add(topics, &topic->id, 0, 0);
        }
    }
    partition_set_sort(topics);
}

/* What the group has begun to read, and what its members want to. */
static void places_gather(
    struct request *request, const struct share_group *group, struct partition_set *places)
{
    struct partition_set topics = { 0 };
    topics_gather(request, group, &topics);
    for (size_t i = 0; i < topics.count; i++) {
        const struct uuid *id = &topics.items[i].topic;
        for (int32_t p = 0; p < storage_topic_by_id(request->broker->storage, id)->log_count; p++)
            partition_set_add(places, id, p, 0);
    }
    partition_set_done(&topics);
    shares_each(request->broker->shares, bytes_text(group->base.id), place_add, places);
    partition_set_sort(places);
}

/* False: the request has failed. */
static bool places_describe(struct request *request, const struct partition_set *places,
    struct describe_share_group_offsets_response_group *to)
{
    to->topics = answer_array(
        request, &describe_share_group_offsets_response_topic_table, (int32_t)places->count);
    struct describe_share_group_offsets_response_partition *rows = answer_array(
        request, &describe_share_group_offsets_response_partition_table, (int32_t)places->count);
    if (!to->topics || !rows)
        return false;
    for (size_t i = 0, run; i < places->count; i += run) {
        struct describe_share_group_offsets_response_topic *next = &to->topics[to->topics_count];
        const struct topic *topic =
            answer_topic(request, bytes_of(NULL, 0), &places->items[i].topic);
        run = partition_set_run(places, i);
        if (!topic)
            continue;
        const char *name = answer_strdup(request, bytes_text(topic->name));
        if (!name)
            return false;
        next->topic_name = bytes_text(name);
        next->topic_id = topic->id;
        next->partitions = &rows[i];
        next->partitions_count = (int32_t)run;
        to->topics_count++;
        for (size_t p = i; p < i + run; p++) {
            rows[p].partition_index = places->items[p].index;
            partition_describe(request, to->group_id, topic, &rows[p]);
        }
    }
    return true;
}

static bool all_describe(struct request *request, const struct share_group *group,
    struct describe_share_group_offsets_response_group *to)
{
    struct partition_set places = { 0 };
    places_gather(request, group, &places);
    bool described = places_describe(request, &places, to);
    partition_set_done(&places);
    return described;
}

void handle_describe_share_group_offsets(struct request *request)
{
    const struct describe_share_group_offsets_request *body = request->body;
    struct describe_share_group_offsets_response *answer = request->answer;
    answer->groups = answer_array(
        request, &describe_share_group_offsets_response_group_table, body->groups_count);
    if (!answer->groups)
        return;
    for (int32_t g = 0; g < body->groups_count; g++) {
        const struct describe_share_group_offsets_request_group *from = &body->groups[g];
        struct describe_share_group_offsets_response_group *to =
            &answer->groups[answer->groups_count++];
        to->group_id = from->group_id;
        const struct share_group *group = group_of(request, from->group_id);
        if (!from->topics && !group)
            continue; /* it has nothing; Kafka takes that for no error */
        if (!(from->topics ? topics_describe(request, from, to) : all_describe(request, group, to)))
            return;
    }
    request_finish(request);
}

/* ---- what AlterShareGroupOffsets and DeleteShareGroupOffsets share -------------------------- */

static void cancel(struct request *request)
{
    commit_forget(request->state);
}

static void committed(struct request *request)
{
    request->state = NULL;
    request_finish(request);
}

/* Makes the share group if there is none of any kind. A Kafka error. */
static int16_t group_make(struct request *request, struct bytes id)
{
    struct coordinator *coordinator = request->broker->coordinator;
    if (coordinator_group(coordinator, id))
        return KAFKA_ERROR_NONE;
    struct group *base = coordinator_group_make(coordinator, id, GROUP_SHARE);
    return base ? group_persist(base) : KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
}

/* Can the group's offsets be changed? False: the request is finished, and its answer says why. */
static bool group_check(struct request *request, struct bytes id, bool make, int16_t *answer_code,
    struct bytes *answer_message)
{
    *answer_code = !group_id_valid(id) ? KAFKA_ERROR_INVALID_GROUP_ID
                   : make              ? group_make(request, id)
                                       : KAFKA_ERROR_NONE;
    const struct share_group *group = *answer_code ? NULL : group_of(request, id);
    if (group && group->member_count == 0)
        return true;
    if (!*answer_code)
        *answer_code = group ? KAFKA_ERROR_NON_EMPTY_GROUP : KAFKA_ERROR_GROUP_ID_NOT_FOUND;
    *answer_message = answer_error_text(*answer_code);
    request_finish(request);
    return false;
}

/* Commits what stands in it. True: `*ret_lsn` was given to it and `committed` will run. False: the
 * request is finished, perhaps with an error and no rows, or parked. */
static bool commit_go(struct request *request, struct commit *commit,
    void (*attempt)(struct request *request), int16_t *answer_code, int32_t *answer_rows,
    uint64_t *ret_lsn)
{
    request->state = NULL;
    if (commit->unit.put_count == 0) {
        commit_drop(commit);
        request_finish(request);
        return false;
    }
    int status = commit_run(commit);
    if (status == -EAGAIN) {
        request_park(request, attempt);
        return false;
    }
    if (status) {
        *answer_code = KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
        *answer_rows = 0;
        request_finish(request);
        return false;
    }
    *ret_lsn = commit->unit.end_lsn;
    request->state = commit;
    return true;
}

/* ---- AlterShareGroupOffsets ----------------------------------------------------------------- */

static void alter_attempt(struct request *request)
{
    const struct alter_share_group_offsets_request *body = request->body;
    struct alter_share_group_offsets_response *answer = request->answer;
    struct commit *commit = commit_create(request, committed);
    uint64_t lsn;
    for (int32_t t = 0; t < body->topics_count; t++) {
        const struct topic *topic = answer_topic(request, body->topics[t].topic_name, NULL);
        if (topic)
            answer->responses[t].topic_id = topic->id;
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++) {
            struct alter_share_group_offsets_response_partition *row =
                &answer->responses[t].partitions[p];
            int64_t start = body->topics[t].partitions[p].start_offset;
            row->error_code = KAFKA_ERROR_NONE;
            if (!topic || !topic_log(topic, row->partition_index))
                row->error_code = KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
            else if (start < -1) /* -1: it begins anew, where the group's configuration says */
                row->error_code = KAFKA_ERROR_INVALID_REQUEST;
            else
                shares_move(&commit->unit, body->group_id, &topic->id, row->partition_index, start);
            if (row->error_code)
                row->error_message = answer_error_text(row->error_code);
        }
    }
    if (!commit_go(
            request, commit, alter_attempt, &answer->error_code, &answer->responses_count, &lsn))
        return;
    for (int32_t t = 0; t < body->topics_count; t++)
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++) {
            const struct alter_share_group_offsets_response_partition *row =
                &answer->responses[t].partitions[p];
            if (!row->error_code)
                shares_moved(request->broker->shares, body->group_id,
                    &answer->responses[t].topic_id, row->partition_index,
                    body->topics[t].partitions[p].start_offset, lsn);
        }
}

void handle_alter_share_group_offsets(struct request *request)
{
    const struct alter_share_group_offsets_request *body = request->body;
    struct alter_share_group_offsets_response *answer = request->answer;
    if (!group_check(request, body->group_id, true, &answer->error_code, &answer->error_message))
        return;
    answer->responses =
        answer_array(request, &alter_share_group_offsets_response_topic_table, body->topics_count);
    if (!answer->responses)
        return;
    for (int32_t t = 0; t < body->topics_count; t++) {
        struct alter_share_group_offsets_response_topic *rows =
            &answer->responses[answer->responses_count++];
        rows->topic_name = body->topics[t].topic_name;
        rows->partitions = answer_array(request,
            &alter_share_group_offsets_response_partition_table, body->topics[t].partitions_count);
        if (!rows->partitions)
            return;
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++)
            rows->partitions[rows->partitions_count++].partition_index =
                body->topics[t].partitions[p].partition_index;
    }
    request->cancel = cancel;
    alter_attempt(request);
}

/* ---- DeleteShareGroupOffsets ---------------------------------------------------------------- */

struct topic_forget {
    struct request *request;
    struct unit *unit;
    const struct uuid *topic;
    size_t count;
};

static void place_forget(void *context, const struct uuid *topic, int32_t index)
{
    struct topic_forget *forget = context;
    const struct delete_share_group_offsets_request *body = forget->request->body;
    if (!uuid_equal(*topic, *forget->topic))
        return;
    forget->count++;
    shares_move(forget->unit, body->group_id, topic, index, -1);
}

static void delete_attempt(struct request *request)
{
    const struct delete_share_group_offsets_request *body = request->body;
    struct delete_share_group_offsets_response *answer = request->answer;
    struct shares *shares = request->broker->shares;
    struct commit *commit = commit_create(request, committed);
    uint64_t lsn;
    for (int32_t t = 0; t < answer->responses_count; t++) {
        struct delete_share_group_offsets_response_topic *row = &answer->responses[t];
        const struct topic *topic = answer_topic(request, row->topic_name, NULL);
        struct topic_forget forget = { .request = request, .unit = &commit->unit };
        row->error_code = KAFKA_ERROR_NONE;
        if (topic) {
            forget.topic = &topic->id;
            shares_each(shares, body->group_id, place_forget, &forget);
        }
        if (forget.count > 0)
            row->topic_id = topic->id;
        if (forget.count == 0) {
            row->error_code = KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
            row->error_message = bytes_text("There is no offset information to delete.");
        }
    }
    if (!commit_go(
            request, commit, delete_attempt, &answer->error_code, &answer->responses_count, &lsn))
        return;
    for (int32_t t = 0; t < answer->responses_count; t++)
        if (!answer->responses[t].error_code)
            shares_forgot(shares, body->group_id, &answer->responses[t].topic_id, lsn);
}

void handle_delete_share_group_offsets(struct request *request)
{
    const struct delete_share_group_offsets_request *body = request->body;
    struct delete_share_group_offsets_response *answer = request->answer;
    if (!group_check(request, body->group_id, false, &answer->error_code, &answer->error_message))
        return;
    answer->responses =
        answer_array(request, &delete_share_group_offsets_response_topic_table, body->topics_count);
    if (!answer->responses)
        return;
    for (int32_t t = 0; t < body->topics_count; t++)
        answer->responses[answer->responses_count++].topic_name = body->topics[t].topic_name;
    request->cancel = cancel;
    delete_attempt(request);
}
