/*
 * handle_delete_groups.c - DeleteGroups (0-2) and OffsetDelete (0): a group without members goes
 * with all its offsets, or some of its offsets go.
 *
 *   checked → one unit with everything that goes → answer when it is durable
 *
 * OffsetDelete spares topics that a member is subscribed to (KIP-496), which only groups of
 * consumers say; any other group must have no members. What a transaction that is still open would
 * commit of the partition goes, too. If the ring is full the request is parked
 * and checked anew.
 */
#include <errno.h>
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/commit.h"
#include "broker/coordinator.h"
#include "broker/handle_groups.h"
#include "broker/names.h"
#include "broker/transaction_coordinator.h"
#include "protocol/error.h"
#include "protocol/messages.h"

static void cancel(struct request *request)
{
    commit_forget(request->state);
}

static void committed(struct request *request)
{
    request->state = NULL;
    request_finish(request);
}

/* What could not be committed. */
static int16_t code_of(int status)
{
    return status == -EMSGSIZE ? KAFKA_ERROR_POLICY_VIOLATION
                               : KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
}

/* ---- DeleteGroups -------------------------------------------------------------------------- */

static int16_t group_delete(struct request *request, struct commit *commit, struct bytes id)
{
    struct coordinator *coordinator = request->broker->coordinator;
    struct group *group = group_to_tell(request, id);
    if (!group)
        return KAFKA_ERROR_GROUP_ID_NOT_FOUND;
    if (!group->operations->is_empty(group))
        return KAFKA_ERROR_NON_EMPTY_GROUP;
    coordinator_delete_group(coordinator, &commit->unit, group);
    return 0;
}

static void groups_attempt(struct request *request)
{
    struct delete_groups_response *answer = request->answer;
    struct coordinator *coordinator = request->broker->coordinator;
    struct commit *commit = commit_create(request, committed);
    for (int32_t i = 0; i < answer->results_count; i++)
        answer->results[i].error_code = group_delete(request, commit, answer->results[i].group_id);
    request->state = NULL;
    if (commit->unit.put_count == 0) {
        commit_drop(commit);
        request_finish(request);
        return;
    }
    int status = commit_run(commit);
    if (status == -EAGAIN) {
        request_park(request, groups_attempt);
        return;
    }
    for (int32_t i = 0; i < answer->results_count; i++) {
        struct delete_groups_response_deletable_group_result *row = &answer->results[i];
        if (row->error_code)
            continue;
        if (status)
            row->error_code = code_of(status);
        else
            coordinator_drop_group(coordinator, row->group_id);
    }
    if (status)
        request_finish(request);
    else
        request->state = commit;
}

void handle_delete_groups(struct request *request)
{
    const struct delete_groups_request *body = request->body;
    struct delete_groups_response *answer = request->answer;
    struct name_set seen;
    int32_t number;
    answer->results = answer_array(
        request, &delete_groups_response_deletable_group_result_table, body->groups_names_count);
    if (!answer->results)
        return;
    if (name_set_init(&seen, &request->arena, (size_t)body->groups_names_count,
            random_u64(request->broker->doors->random), false)) {
        request_fail(request, "the request names too many groups");
        return;
    }
    for (int32_t i = 0; i < body->groups_names_count; i++)
        if (name_set_add(&seen, body->groups_names[i], i, &number, NULL))
            answer->results[answer->results_count++].group_id = body->groups_names[i];
    request->cancel = cancel;
    groups_attempt(request);
}

/* ---- OffsetDelete -------------------------------------------------------------------------- */

/* One topic of the request. */
static void topic_delete(struct request *request, struct commit *commit, const struct group *group,
    struct offset_delete_response_topic *rows)
{
    struct topic *topic = answer_topic(request, rows->name, NULL);
    bool wanted = topic && group_is_subscribed(group, rows->name);
    for (int32_t p = 0; p < rows->partitions_count; p++) {
        struct offset_delete_response_partition *row = &rows->partitions[p];
        if (!topic || !topic_log(topic, row->partition_index)) {
            row->error_code = KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
        } else if (wanted) {
            row->error_code = KAFKA_ERROR_GROUP_SUBSCRIBED_TO_TOPIC;
        } else {
            row->error_code = 0;
            coordinator_put_offset(
                &commit->unit, bytes_text(group->id), &topic->id, row->partition_index, NULL);
            transaction_coordinator_drop_offset(request->broker->transactions, &commit->unit,
                bytes_text(group->id), &topic->id, row->partition_index);
        }
    }
}

static int16_t group_fault(struct request *request, const struct group *group)
{
    const struct offset_delete_request *body = request->body;
    if (!group_id_valid(body->group_id))
        return KAFKA_ERROR_INVALID_GROUP_ID;
    if (!group || group->operations->kind == GROUP_SHARE)
        return KAFKA_ERROR_GROUP_ID_NOT_FOUND;
    bool consumers = strcmp(group->operations->protocol_type(group), "consumer") == 0;
    return group->operations->is_empty(group) || consumers ? 0 : KAFKA_ERROR_NON_EMPTY_GROUP;
}

/* The whole is refused: no rows. */
static void offsets_refuse(struct request *request, int16_t code)
{
    struct offset_delete_response *answer = request->answer;
    answer->error_code = code;
    answer->topics_count = 0;
    request_finish(request);
}

static void offsets_attempt(struct request *request)
{
    const struct offset_delete_request *body = request->body;
    struct offset_delete_response *answer = request->answer;
    struct group *group = group_to_tell(request, body->group_id);
    int16_t fault = group_fault(request, group);
    request->state = NULL;
    if (fault) {
        offsets_refuse(request, fault);
        return;
    }
    struct commit *commit = commit_create(request, committed);
    for (int32_t t = 0; t < answer->topics_count; t++)
        topic_delete(request, commit, group, &answer->topics[t]);
    if (commit->unit.put_count == 0) {
        commit_drop(commit);
        request_finish(request);
        return;
    }
    int status = commit_run(commit);
    if (!status)
        request->state = commit;
    else if (status == -EAGAIN)
        request_park(request, offsets_attempt);
    else
        offsets_refuse(request, code_of(status));
}

void handle_offset_delete(struct request *request)
{
    const struct offset_delete_request *body = request->body;
    struct offset_delete_response *answer = request->answer;
    answer->topics = answer_array(request, &offset_delete_response_topic_table, body->topics_count);
    if (!answer->topics)
        return;
    answer->topics_count = body->topics_count;
    for (int32_t t = 0; t < body->topics_count; t++) {
        struct offset_delete_response_topic *rows = &answer->topics[t];
        rows->name = body->topics[t].name;
        rows->partitions_count = body->topics[t].partitions_count;
        rows->partitions =
            answer_array(request, &offset_delete_response_partition_table, rows->partitions_count);
        if (!rows->partitions)
            return;
        for (int32_t p = 0; p < rows->partitions_count; p++)
            rows->partitions[p].partition_index = body->topics[t].partitions[p].partition_index;
    }
    request->cancel = cancel;
    offsets_attempt(request);
}
