/*
 * handle_share_groups.c - ShareGroupHeartbeat (1) and ShareGroupDescribe (1): a request becomes a
 * step of its group (share_group.h); what is told waits until it is durable (group->lsn).
 */
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/coordinator.h"
#include "broker/handle_groups.h"
#include "broker/operations.h"
#include "broker/share_config.h"
#include "broker/shares.h"
#include "protocol/error.h"
#include "protocol/messages.h"

enum { MEMBER_ID_LEN_MAX = 36 }; /* that of a UUID */

static const char assignor[] = "simple";

/* ---- what somebody is assigned, by topic ---------------------------------------------------- */

/* Places of one topic stand together: the end of those that begin at `from`. */
static size_t topic_end(const struct share_member *member, size_t from)
{
    size_t end = from;
    while (end < member->place_count &&
           uuid_equal(member->places[end].topic, member->places[from].topic))
        end++;
    return end;
}

static int32_t topics_of(const struct share_member *member)
{
    int32_t count = 0;
    for (size_t i = 0; i < member->place_count; i = topic_end(member, i))
        count++;
    return count;
}

/* False: the request has failed (so below). */
static bool partitions_fill(struct request *request, const struct share_member *member, size_t from,
    int32_t **ret_partitions, int32_t *ret_count)
{
    size_t count = topic_end(member, from) - from;
    int32_t *partitions = request_alloc(request, count * sizeof(*partitions));
    if (!partitions)
        return false;
    for (size_t i = 0; i < count; i++)
        partitions[i] = member->places[from + i].partition;
    *ret_partitions = partitions;
    *ret_count = (int32_t)count;
    return true;
}

/* ---- ShareGroupHeartbeat -------------------------------------------------------------------- */

static bool assignment_fill(struct request *request, const struct share_member *member)
{
    struct share_group_heartbeat_response *answer = request->answer;
    struct share_group_heartbeat_response_assignment *assignment =
        answer_array(request, &share_group_heartbeat_response_assignment_table, 1);
    if (!assignment)
        return false;
    assignment->topic_partitions = answer_array(
        request, &share_group_heartbeat_response_topic_partitions_table, topics_of(member));
    if (!assignment->topic_partitions)
        return false;
    for (size_t i = 0; i < member->place_count; i = topic_end(member, i)) {
        struct share_group_heartbeat_response_topic_partitions *to =
            &assignment->topic_partitions[assignment->topic_partitions_count++];
        to->topic_id = member->places[i].topic;
        if (!partitions_fill(request, member, i, &to->partitions, &to->partitions_count))
            return false;
    }
    answer->assignment = assignment;
    return true;
}

static void heartbeat_refuse(struct request *request, int16_t code, struct bytes message)
{
    struct share_group_heartbeat_response *answer = request->answer;
    answer->error_code = code;
    answer->error_message = message.data ? message : answer_error_text(code);
    request_finish(request);
}

/* What is wrong with the form of the request; null: nothing. */
static struct bytes heartbeat_fault(const struct share_group_heartbeat_request *body)
{
    if (group_text_blank(body->group_id) || !group_id_valid(body->group_id))
        return bytes_text("GroupId can't be empty.");
    if (group_text_blank(body->member_id) || !group_id_valid(body->member_id))
        return bytes_text("MemberId can't be empty.");
    if (body->member_id.len > MEMBER_ID_LEN_MAX)
        return bytes_text("MemberId must be at most 36 characters.");
    if (body->member_epoch < SHARE_EPOCH_LEAVE)
        return bytes_text("MemberEpoch is invalid.");
    if (group_text_blank(body->rack_id))
        return bytes_text("RackId can't be empty.");
    if (body->member_epoch == SHARE_EPOCH_JOIN && body->subscribed_topic_names_count <= 0)
        return bytes_text("SubscribedTopicNames must be set in first request.");
    for (int32_t i = 0; i < body->subscribed_topic_names_count; i++)
        if (body->subscribed_topic_names[i].len > 0 &&
            memchr(body->subscribed_topic_names[i].data, 0, body->subscribed_topic_names[i].len))
            return bytes_text("SubscribedTopicNames holds a NUL.");
    return (struct bytes){ 0 };
}

/* NULL: refused. */
static struct share_group *heartbeat_group(struct request *request)
{
    const struct share_group_heartbeat_request *body = request->body;
    struct coordinator *coordinator = request->broker->coordinator;
    bool joins = body->member_epoch == SHARE_EPOCH_JOIN;
    struct group *base = joins ? coordinator_group_make(coordinator, body->group_id, GROUP_SHARE)
                               : coordinator_group(coordinator, body->group_id);
    struct share_group *group = share_group_of(base);
    if (!base)
        heartbeat_refuse(request,
            joins ? KAFKA_ERROR_GROUP_MAX_SIZE_REACHED : KAFKA_ERROR_GROUP_ID_NOT_FOUND,
            (struct bytes){ 0 });
    else if (!group)
        heartbeat_refuse(
            request, KAFKA_ERROR_GROUP_ID_NOT_FOUND, bytes_text("The group is not a share group."));
    return group;
}

void handle_share_group_heartbeat(struct request *request)
{
    const struct share_group_heartbeat_request *body = request->body;
    struct share_group_heartbeat_response *answer = request->answer;
    struct share_heartbeat_answer said;
    struct bytes fault = heartbeat_fault(body);
    if (fault.data) {
        heartbeat_refuse(request, KAFKA_ERROR_INVALID_REQUEST, fault);
        return;
    }
    struct share_group *group = heartbeat_group(request);
    if (!group)
        return;
    struct share_heartbeat heartbeat = { .member_id = body->member_id,
        .client_id = request->client_id,
        .rack = body->rack_id,
        .client_host = request_client_host(request),
        .epoch = body->member_epoch,
        .topics = body->subscribed_topic_names,
        .topic_count = body->subscribed_topic_names ? body->subscribed_topic_names_count : -1 };
    int64_t now = clock_monotonic_ns(request->broker->doors->clock);
    share_group_heartbeat(group, &heartbeat, now, &said);
    if (said.error) {
        heartbeat_refuse(request, said.error, (struct bytes){ 0 });
        return;
    }
    answer->member_id = body->member_id;
    answer->member_epoch = said.member ? said.member->epoch : SHARE_EPOCH_LEAVE;
    if (said.member)
        answer->heartbeat_interval_ms = share_config_heartbeat_ms(request->broker, body->group_id);
    if (said.member && said.places && !assignment_fill(request, said.member))
        return;
    request_depends(request, group->base.lsn);
    request_finish(request);
}

/* ---- ShareGroupDescribe --------------------------------------------------------------------- */

static bool member_describe(struct request *request, const struct share_member *member,
    struct share_group_describe_response_member *to)
{
    struct share_group_describe_response_assignment *assignment = &to->assignment;
    const char *host = answer_strdup(request, bytes_text(member->client_host));
    const char *client = answer_strdup(request, bytes_text(member->client_id));
    const char *id = answer_strdup(request, bytes_text(member->id));
    if (!host || !client || !id)
        return false;
    to->client_host = bytes_text(host);
    to->client_id = bytes_text(client);
    to->member_id = bytes_text(id);
    to->member_epoch = member->epoch;
    if (member->rack) {
        const char *rack = answer_strdup(request, bytes_text(member->rack));
        if (!rack)
            return false;
        to->rack_id = bytes_text(rack);
    }
    to->subscribed_topic_names =
        request_alloc(request, (member->topic_count + 1) * sizeof(struct bytes));
    assignment->topic_partitions = answer_array(
        request, &share_group_describe_response_topic_partitions_table, topics_of(member));
    if (!to->subscribed_topic_names || !assignment->topic_partitions)
        return false;
    for (size_t i = 0; i < member->topic_count; i++) {
        const char *name = answer_strdup(request, bytes_text(member->topics[i]));
        if (!name)
            return false;
        to->subscribed_topic_names[to->subscribed_topic_names_count++] = bytes_text(name);
    }
    for (size_t i = 0; i < member->place_count; i = topic_end(member, i)) {
        struct share_group_describe_response_topic_partitions *row =
            &assignment->topic_partitions[assignment->topic_partitions_count];
        const struct topic *topic =
            storage_topic_by_id(request->broker->storage, &member->places[i].topic);
        if (!topic)
            continue;
        row->topic_id = topic->id;
        const char *name = answer_strdup(request, bytes_text(topic->name));
        if (!name || !partitions_fill(request, member, i, &row->partitions, &row->partitions_count))
            return false;
        row->topic_name = bytes_text(name);
        assignment->topic_partitions_count++;
    }
    return true;
}

static bool group_describe(
    struct request *request, struct share_group_describe_response_described_group *to)
{
    const struct share_group_describe_request *body = request->body;
    struct group *base = group_to_tell(request, to->group_id);
    const struct share_group *group = share_group_of(base);
    if (!group_id_valid(to->group_id)) {
        to->error_code = KAFKA_ERROR_INVALID_GROUP_ID;
        return true;
    }
    if (body->include_authorized_operations)
        to->authorized_operations = OPERATIONS_GROUP;
    if (!group) {
        to->error_code = KAFKA_ERROR_GROUP_ID_NOT_FOUND;
        to->error_message = answer_text(request, "Group %.*s %s.", (int)to->group_id.len,
            (const char *)to->group_id.data, base ? "is not a share group" : "not found");
        return true;
    }
    to->group_state = bytes_text(base->operations->state_name(base));
    to->group_epoch = to->assignment_epoch = group->epoch;
    to->assignor_name = bytes_text(assignor);
    to->members = answer_array(
        request, &share_group_describe_response_member_table, (int32_t)group->member_count);
    if (!to->members)
        return false;
    list_foreach (node, &group->members)
        if (!member_describe(request, list_entry(node, struct share_member, link),
                &to->members[to->members_count++]))
            return false;
    return true;
}

void handle_share_group_describe(struct request *request)
{
    const struct share_group_describe_request *body = request->body;
    struct share_group_describe_response *answer = request->answer;
    answer->groups = answer_array(
        request, &share_group_describe_response_described_group_table, body->group_ids_count);
    if (!answer->groups)
        return;
    for (int32_t i = 0; i < body->group_ids_count; i++) {
        struct share_group_describe_response_described_group *to =
            &answer->groups[answer->groups_count++];
        to->group_id = body->group_ids[i];
        if (!group_describe(request, to))
            return;
    }
    request_finish(request);
}
