/*
 * handle_consumer_groups.c - ConsumerGroupHeartbeat and ConsumerGroupDescribe, versions 0 and 1
 * (KIP-848).
 *
 * Happy path: a heartbeat is checked, becomes a step of its group (consumer_group.h), and is
 * answered when the state that it tells is durable.
 *
 * Failure modes: a fault of the request, or of the group, is an error code with a sentence; the
 * ring is full: COORDINATOR_NOT_AVAILABLE, and the member comes again.
 */
#include <stdio.h>
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/coordinator.h"
#include "broker/handle_groups.h"
#include "broker/operations.h"
#include "broker/request.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/messages.h"

/* A copy that lives as long as the answer; null stays null. False: the request has failed. */
static bool keep_text(struct request *request, const char *from, struct bytes *ret_text)
{
    if (!from) {
        *ret_text = (struct bytes){ 0 };
        return true;
    }
    char *copy = answer_strdup(request, bytes_text(from));
    *ret_text = copy ? bytes_text(copy) : (struct bytes){ 0 };
    return copy != NULL;
}

/* ---- ConsumerGroupHeartbeat ---- */

static void refuse(struct request *request, int16_t error, struct bytes why)
{
    struct consumer_group_heartbeat_response *answer = request->answer;
    answer->error_code = error;
    answer->error_message = why;
    request_finish(request);
}

static bool has_nul(struct bytes text)
{
    return text.len && memchr(text.data, 0, text.len);
}

/* The sentence says what is wrong; NULL: nothing. */
static const char *fault_of(const struct request *request)
{
    const struct consumer_group_heartbeat_request *body = request->body;
    const int32_t epoch = body->member_epoch;
    bool joins = epoch == CONSUMER_EPOCH_JOIN;
    if ((request->version >= 1 || epoch > 0 || epoch == CONSUMER_EPOCH_LEAVE) &&
        group_text_blank(body->member_id))
        return "MemberId can't be empty.";
    if (group_text_blank(body->group_id))
        return "GroupId can't be empty.";
    if (group_text_blank(body->instance_id))
        return "InstanceId can't be empty.";
    if (group_text_blank(body->rack_id))
        return "RackId can't be empty.";
    if (joins && body->rebalance_timeout_ms == -1)
        return "RebalanceTimeoutMs must be provided in first request.";
    if (joins && body->topic_partitions_count != 0)
        return "TopicPartitions must be empty when (re-)joining.";
    if (joins && body->subscribed_topic_names_count < 0 && !body->subscribed_topic_regex.data)
        return "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when "
               "(re-)joining.";
    if (epoch == CONSUMER_EPOCH_LEAVE_STATIC && !body->instance_id.data)
        return "InstanceId can't be null.";
    if (epoch < CONSUMER_EPOCH_LEAVE_STATIC)
        return "MemberEpoch is invalid.";
    /* Ours: ids are kept as C texts, and member ids are keys of rows. */
    if (has_nul(body->group_id) || has_nul(body->member_id) || has_nul(body->instance_id) ||
        has_nul(body->rack_id) || has_nul(body->subscribed_topic_regex))
        return "Texts must not have a NUL in them.";
    if (body->member_id.len > CONSUMER_MEMBER_ID_LEN_MAX)
        return "MemberId is too long.";
    return NULL;
}

static bool assignor_is_allowed(
    const struct consumer_group_heartbeat_request *body, const struct consumer_settings *settings)
{
    for (size_t i = 0; i < settings->assignor_count; i++)
        if (bytes_equal_text(body->server_assignor, settings->assignors[i]))
            return true;
    return !body->server_assignor.data;
}

static void refuse_assignor(struct request *request)
{
    const struct consumer_group_heartbeat_request *body = request->body;
    struct consumer_settings settings;
    struct out names = { 0 };
    coordinator_consumer_settings(request->broker->coordinator, body->group_id, &settings);
    for (size_t i = 0; i < settings.assignor_count; i++)
        out_printf(&names, "%s%s", i ? ", " : "", settings.assignors[i]);
    out_bytes(&names, "", 1);
    struct bytes why =
        answer_text(request, "ServerAssignor %.*s is not supported. Supported assignors: %s.",
            (int)(body->server_assignor.len < 80 ? body->server_assignor.len : 80),
            (const char *)body->server_assignor.data, (const char *)names.data);
    out_done(&names);
    refuse(request, KAFKA_ERROR_UNSUPPORTED_ASSIGNOR, why);
}

static void owned_of(
    const struct consumer_group_heartbeat_request *body, struct partition_set *ret_owned)
{
    for (int32_t t = 0; t < body->topic_partitions_count; t++)
        for (int32_t p = 0; p < body->topic_partitions[t].partitions_count; p++)
            partition_set_add(ret_owned, &body->topic_partitions[t].topic_id,
                body->topic_partitions[t].partitions[p], 0);
    partition_set_sort(ret_owned);
}

static bool tell_assignment(struct request *request, const struct partition_set *assigned)
{
    struct consumer_group_heartbeat_response *answer = request->answer;
    int32_t topics = 0;
    for (size_t i = 0; i < assigned->count; i += partition_set_run(assigned, i))
        topics++;
    answer->assignment = request_alloc(request, sizeof(*answer->assignment));
    if (!answer->assignment)
        return false;
    answer->assignment->topic_partitions =
        answer_array(request, &consumer_group_heartbeat_response_topic_partitions_table, topics);
    if (!answer->assignment->topic_partitions)
        return false;
    answer->assignment->topic_partitions_count = topics;
    struct consumer_group_heartbeat_response_topic_partitions *to =
        answer->assignment->topic_partitions;
    for (size_t i = 0, run; i < assigned->count; i += run, to++) {
        run = partition_set_run(assigned, i);
        to->topic_id = assigned->items[i].topic;
        to->partitions = request_alloc(request, run * sizeof(*to->partitions));
        if (!to->partitions)
            return false;
        to->partitions_count = (int32_t)run;
        for (size_t p = 0; p < run; p++)
            to->partitions[p] = assigned->items[i + p].index;
    }
    return true;
}

/* False: the request has failed. */
static bool tell(
    struct request *request, struct consumer_group *group, const struct consumer_answer *from)
{
    struct consumer_group_heartbeat_response *answer = request->answer;
    answer->error_code = from->error;
    if (from->error) {
        answer->error_message = from->message[0] ? answer_text(request, "%s", from->message)
                                                 : answer_error_text(from->error);
        return true;
    }
    request_depends(request, group->base.lsn);
    answer->member_epoch = from->epoch;
    answer->heartbeat_interval_ms = from->heartbeat_interval_ms;
    if (from->member_id && !keep_text(request, from->member_id, &answer->member_id))
        return false;
    if (!from->member_id)
        answer->member_id = ((struct consumer_group_heartbeat_request *)request->body)->member_id;
    return !from->assigned || tell_assignment(request, from->assigned);
}

static void step(struct request *request, struct consumer_group *group, int64_t now)
{
    const struct consumer_group_heartbeat_request *body = request->body;
    struct coordinator *coordinator = request->broker->coordinator;
    struct partition_set owned = { 0 };
    struct consumer_answer answer;
    owned_of(body, &owned);
    struct consumer_heartbeat beat = {
        .member_id = body->member_id,
        .epoch = body->member_epoch,
        .instance_id = body->instance_id,
        .rack_id = body->rack_id,
        .client_id = request->client_id,
        .client_host = request_client_host(request),
        .rebalance_timeout_ms = body->rebalance_timeout_ms,
        .names = body->subscribed_topic_names_count >= 0 ? body->subscribed_topic_names : NULL,
        .name_count =
            body->subscribed_topic_names_count > 0 ? (size_t)body->subscribed_topic_names_count : 0,
        .regex = body->subscribed_topic_regex,
        .assignor = body->server_assignor,
        .owned = body->topic_partitions_count >= 0 ? &owned : NULL,
    };
    static const struct bytes none[1];
    if (body->subscribed_topic_names_count == 0)
        beat.names = none;
    consumer_group_heartbeat(group, &beat, now, &answer);
    partition_set_done(&owned);
    bool told = tell(request, group, &answer);
    /* One that was made for who may not join was never there. */
    if (answer.error && group->member_count == 0 && group->base.lsn == 0)
        coordinator_drop_group(coordinator, body->group_id);
    else
        coordinator_settle(coordinator, &group->base);
    if (told)
        request_finish(request);
}

void handle_consumer_group_heartbeat(struct request *request)
{
    const struct consumer_group_heartbeat_request *body = request->body;
    struct coordinator *coordinator = request->broker->coordinator;
    const int64_t now = clock_monotonic_ns(request->broker->doors->clock);
    struct consumer_settings settings;
    int16_t error;
    const char *fault = fault_of(request);
    if (fault) {
        refuse(request, KAFKA_ERROR_INVALID_REQUEST, bytes_text(fault));
        return;
    }
    coordinator_consumer_settings(coordinator, body->group_id, &settings);
    if (!assignor_is_allowed(body, &settings)) {
        refuse_assignor(request);
        return;
    }
    struct consumer_group *group = coordinator_consumer_group(
        coordinator, body->group_id, body->member_epoch == CONSUMER_EPOCH_JOIN, now, &error);
    if (group) {
        step(request, group, now);
        return;
    }
    int len = (int)(body->group_id.len < 80 ? body->group_id.len : 80);
    const char *id = (const char *)body->group_id.data;
    refuse(request, error,
        error != KAFKA_ERROR_GROUP_ID_NOT_FOUND ? answer_error_text(error)
        : coordinator_group(coordinator, body->group_id)
            ? answer_text(request, "Group %.*s is not a consumer group.", len, id)
            : answer_text(request, "Consumer group %.*s not found.", len, id));
}

/* ---- ConsumerGroupDescribe ---- */

/* Topics that were deleted are left out: they have no name. */
static bool describe_partitions(struct request *request, const struct consumer_group *group,
    const struct partition_set *set, struct consumer_group_describe_response_assignment *to)
{
    const struct topic_view *view = group->effects->topics;
    int32_t topics = 0;
    for (size_t i = 0; i < set->count; i += partition_set_run(set, i))
        topics++;
    to->topic_partitions =
        answer_array(request, &consumer_group_describe_response_topic_partitions_table, topics);
    if (!to->topic_partitions)
        return false;
    for (size_t i = 0, run; i < set->count; i += run) {
        struct topic_facts facts;
        run = partition_set_run(set, i);
        if (!view->by_id(view->context, &set->items[i].topic, &facts))
            continue;
        struct consumer_group_describe_response_topic_partitions *row =
            &to->topic_partitions[to->topic_partitions_count++];
        row->topic_id = facts.id;
        row->partitions = request_alloc(request, run * sizeof(*row->partitions));
        if (!row->partitions || !keep_text(request, facts.name, &row->topic_name))
            return false;
        row->partitions_count = (int32_t)run;
        for (size_t p = 0; p < run; p++)
            row->partitions[p] = set->items[i + p].index;
    }
    return true;
}

/* What it has to give up it still has. */
static bool describe_assigned(struct request *request, const struct consumer_member *member,
    struct consumer_group_describe_response_assignment *to)
{
    struct partition_set has = { 0 };
    partition_set_copy(&has, &member->assigned);
    partition_set_union(&has, &member->revoking);
    bool described = describe_partitions(request, member->group, &has, to);
    partition_set_done(&has);
    return described;
}

static bool describe_member(struct request *request, const struct consumer_member *member,
    struct consumer_group_describe_response_member *to)
{
    to->member_epoch = member->epoch;
    to->member_type = member->classic ? 0 : 1;
    to->subscribed_topic_names =
        request_alloc(request, member->names.count * sizeof(*to->subscribed_topic_names) + 1);
    if (!to->subscribed_topic_names)
        return false;
    to->subscribed_topic_names_count = (int32_t)member->names.count;
    for (size_t i = 0; i < member->names.count; i++)
        if (!keep_text(request, member->names.names[i], &to->subscribed_topic_names[i]))
            return false;
    return keep_text(request, member->id, &to->member_id) &&
           keep_text(request, member->instance_id, &to->instance_id) &&
           keep_text(request, member->rack_id, &to->rack_id) &&
           keep_text(request, member->client_id, &to->client_id) &&
           keep_text(request, member->client_host, &to->client_host) &&
           keep_text(request, member->regex ? member->regex : "", &to->subscribed_topic_regex) &&
           describe_assigned(request, member, &to->assignment) &&
           describe_partitions(request, member->group, &member->target, &to->target_assignment);
}

static bool describe_group(struct request *request, const struct consumer_group *group,
    struct consumer_group_describe_response_described_group *to)
{
    to->group_state = bytes_text(consumer_group_state_name(group));
    to->group_epoch = group->epoch;
    to->assignment_epoch = group->assignment_epoch;
    to->assignor_name = bytes_text(consumer_group_assignor(group));
    to->members = answer_array(
        request, &consumer_group_describe_response_member_table, (int32_t)group->member_count);
    if (!to->members)
        return false;
    to->members_count = (int32_t)group->member_count;
    struct consumer_group_describe_response_member *row = to->members;
    list_foreach (node, &group->members)
        if (!describe_member(request, list_entry(node, struct consumer_member, link), row++))
            return false;
    return true;
}

static bool describe_one(struct request *request, struct bytes id,
    struct consumer_group_describe_response_described_group *to)
{
    const struct consumer_group_describe_request *body = request->body;
    struct group *base = group_to_tell(request, id);
    struct consumer_group *group = base ? consumer_group_of(base) : NULL;
    int len = (int)(id.len < 80 ? id.len : 80);
    to->group_id = id;
    if (!group) {
        to->error_code = id.len ? KAFKA_ERROR_GROUP_ID_NOT_FOUND : KAFKA_ERROR_INVALID_GROUP_ID;
        if (id.len)
            to->error_message = answer_text(request,
                base ? "Group %.*s is not a consumer group." : "Group %.*s not found.", len,
                (const char *)id.data);
        return true;
    }
    if (body->include_authorized_operations)
        to->authorized_operations = OPERATIONS_GROUP;
    return describe_group(request, group, to);
}

void handle_consumer_group_describe(struct request *request)
{
    const struct consumer_group_describe_request *body = request->body;
    struct consumer_group_describe_response *answer = request->answer;
    answer->groups = answer_array(
        request, &consumer_group_describe_response_described_group_table, body->group_ids_count);
    if (!answer->groups)
        return;
    answer->groups_count = body->group_ids_count;
    for (int32_t i = 0; i < body->group_ids_count; i++)
        if (!describe_one(request, body->group_ids[i], &answer->groups[i]))
            return;
    request_finish(request);
}
