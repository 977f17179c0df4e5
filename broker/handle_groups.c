/*
 * JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups, ListGroups, FindCoordinator.
 *
 * Happy path: translate the request into a step of its group (classic_group.h). Join and sync are
 * answered through handle_join_group_answer and handle_sync_group_answer, at once or later; the
 * request is the token. Every answer that tells a group's state waits until that state is durable
 * (group->lsn).
 *
 * Failure mode: the client goes away while it waits: its token is forgotten, the member lives on
 * until its session ends (a dropped connection is not a leave).
 */
#include "broker/handle_groups.h"
#include "broker/operations.h"

#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/coordinator.h"
#include "broker/request.h"
#include "broker/share_group.h"
#include "protocol/codec.h"
#include "protocol/error.h"
#include "protocol/messages.h"

static int64_t now_of(const struct request *request)
{
    return clock_monotonic_ns(request->broker->doors->clock);
}

bool group_text_blank(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] > ' ')
            return false;
    return text.data != NULL;
}

bool group_id_valid(struct bytes id)
{
    return id.data && id.len > 0 && !memchr(id.data, 0, id.len);
}

static bool instance_valid(struct bytes id)
{
    return !id.data || group_id_valid(id);
}

/* A copy that lives as long as the answer; null stays null. False: the request has failed. */
static bool keep(struct request *request, struct bytes from, struct bytes *to)
{
    if (!from.data) {
        *to = from;
        return true;
    }
    uint8_t *copy = request_alloc(request, from.len ? from.len : 1);
    if (!copy)
        return false;
    if (from.len)
        memcpy(copy, from.data, from.len);
    *to = bytes_of(copy, from.len);
    return true;
}

static bool keep_text(struct request *request, const char *from, struct bytes *to)
{
    return keep(request, from ? bytes_text(from) : (struct bytes){ 0 }, to);
}

/* Of a group that nobody has joined there is nothing but offsets. */
static void depends_on_absence(struct request *request)
{
    request_depends(request, store_deleted(request->broker->storage, STORE_GROUP));
    request_depends(request, store_deleted(request->broker->storage, STORE_OFFSET));
}

struct group *group_to_tell(struct request *request, struct bytes id)
{
    struct group *group = coordinator_group(request->broker->coordinator, id);
    if (group)
        request_depends(request, group->lsn);
    else
        depends_on_absence(request);
    return group;
}

static void forget(struct request *request)
{
    struct group *group = request->state;
    group->operations->forget_token(group, request);
}

/* ---- JoinGroup ---- */

static bool join_members(
    struct request *request, const struct classic_group *group, struct join_group_response *answer)
{
    answer->members = codec_array(
        &request->arena, &join_group_response_member_table, (int32_t)group->member_count);
    if (!answer->members) {
        request_fail(request, "JoinGroup: the answer is larger than a request may be");
        return false;
    }
    answer->members_count = (int32_t)group->member_count;
    struct join_group_response_member *to = answer->members;
    list_foreach (node, &group->members) {
        const struct classic_member *member = list_entry(node, struct classic_member, link);
        if (!keep_text(request, member->id, &to->member_id) ||
            !keep_text(request, member->instance_id, &to->group_instance_id) ||
            !keep(request, classic_member_metadata(member), &to->metadata))
            return false;
        to++;
    }
    return true;
}

void handle_join_group_answer(
    struct request *request, struct group *group, const struct classic_join_answer *from)
{
    struct join_group_response *answer = request->answer;
    request->cancel = NULL;
    answer->error_code = from->error;
    answer->generation_id = from->generation;
    answer->skip_assignment = from->skip_assignment;
    const char *protocol_name = from->protocol_name;
    /* Nullable only from v7 on. */
    if (!protocol_name && request->version < 7)
        protocol_name = "";
    if (!keep_text(request, from->protocol_type, &answer->protocol_type) ||
        !keep_text(request, protocol_name, &answer->protocol_name) ||
        !keep_text(request, from->leader, &answer->leader) ||
        !keep_text(request, from->member_id, &answer->member_id))
        return;
    if (from->members && !join_members(request, from->members, answer))
        return;
    if (!from->error)
        request_depends(request, group->lsn);
    request_finish(request);
}

static void join_refuse(struct request *request, int16_t error)
{
    const struct join_group_request *body = request->body;
    struct join_group_response *answer = request->answer;
    answer->error_code = error;
    answer->member_id = body->member_id;
    answer->protocol_name = request->version < 7 ? bytes_of("", 0) : (struct bytes){ 0 };
    request_finish(request);
}

void handle_join_group(struct request *request)
{
    const struct join_group_request *body = request->body;
    if (!group_id_valid(body->group_id)) {
        join_refuse(request, KAFKA_ERROR_INVALID_GROUP_ID);
        return;
    }
    if (!instance_valid(body->group_instance_id)) {
        join_refuse(request, KAFKA_ERROR_INVALID_REQUEST);
        return;
    }
    struct coordinator *coordinator = request->broker->coordinator;
    struct group *group = body->member_id.len
                              ? coordinator_group(coordinator, body->group_id)
                              : coordinator_group_make(coordinator, body->group_id, GROUP_CLASSIC);
    if (!group) {
        join_refuse(request, body->member_id.len ? KAFKA_ERROR_UNKNOWN_MEMBER_ID
                                                 : KAFKA_ERROR_GROUP_MAX_SIZE_REACHED);
        return;
    }
    struct classic_join_protocol *protocols =
        request_alloc(request, (size_t)body->protocols_count * sizeof(*protocols) + 1);
    if (!protocols)
        return;
    for (int32_t i = 0; i < body->protocols_count; i++)
        protocols[i] =
            (struct classic_join_protocol){ body->protocols[i].name, body->protocols[i].metadata };
    struct classic_join join = {
        .member_id = body->member_id,
        .instance_id = body->group_instance_id,
        .client_id = request->client_id,
        .client_host = request_client_host(request),
        .protocol_type = body->protocol_type,
        .protocols = protocols,
        .protocol_count = (size_t)body->protocols_count,
        .session_timeout_ms = body->session_timeout_ms,
        .rebalance_timeout_ms =
            request->version == 0 ? body->session_timeout_ms : body->rebalance_timeout_ms,
        .require_member_id = request->version >= 4,
        .can_skip_assignment = request->version >= 9,
    };
    if (!classic_group_of(group) && !share_group_of(group) && group->operations->is_empty(group)) {
        int16_t error = KAFKA_ERROR_UNKNOWN_MEMBER_ID;
        group = body->member_id.len ? NULL : coordinator_classic_group(coordinator, group, &error);
        if (!group) {
            join_refuse(request, error);
            return;
        }
    }
    if (!group->operations->join) {
        join_refuse(request, KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    request->state = group;
    request->cancel = forget;
    group->operations->join(group, &join, request, now_of(request));
    coordinator_settle(coordinator, group);
}

/* ---- SyncGroup ---- */

void handle_sync_group_answer(
    struct request *request, struct group *group, const struct classic_sync_answer *from)
{
    struct sync_group_response *answer = request->answer;
    request->cancel = NULL;
    answer->error_code = from->error;
    if (!keep(request, from->assignment.data ? from->assignment : bytes_of("", 0),
            &answer->assignment) ||
        !keep_text(request, from->protocol_type, &answer->protocol_type) ||
        !keep_text(request, from->protocol_name, &answer->protocol_name))
        return;
    if (!from->error)
        request_depends(request, group->lsn);
    request_finish(request);
}

static void sync_refuse(struct request *request, int16_t error)
{
    ((struct sync_group_response *)request->answer)->error_code = error;
    request_finish(request);
}

void handle_sync_group(struct request *request)
{
    const struct sync_group_request *body = request->body;
    if (!group_id_valid(body->group_id)) {
        sync_refuse(request, KAFKA_ERROR_INVALID_GROUP_ID);
        return;
    }
    /* v5 must say both, or the leader's assignments could be for another protocol (KIP-559). */
    if (request->version >= 5 && (!body->protocol_type.data || !body->protocol_name.data)) {
        sync_refuse(request, KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    struct group *group = coordinator_group(request->broker->coordinator, body->group_id);
    if (!group || !group->operations->sync) {
        sync_refuse(request, KAFKA_ERROR_UNKNOWN_MEMBER_ID);
        return;
    }
    struct classic_assignment *assignments =
        request_alloc(request, (size_t)body->assignments_count * sizeof(*assignments) + 1);
    if (!assignments)
        return;
    for (int32_t i = 0; i < body->assignments_count; i++)
        assignments[i] = (struct classic_assignment){ body->assignments[i].member_id,
            body->assignments[i].assignment };
    struct classic_sync sync = {
        .member_id = body->member_id,
        .instance_id = body->group_instance_id,
        .generation = body->generation_id,
        .protocol_type = body->protocol_type,
        .protocol_name = body->protocol_name,
        .assignments = assignments,
        .assignment_count = (size_t)body->assignments_count,
    };
    request->state = group;
    request->cancel = forget;
    group->operations->sync(group, &sync, request, now_of(request));
}

/* ---- Heartbeat, LeaveGroup ---- */

void handle_heartbeat(struct request *request)
{
    const struct heartbeat_request *body = request->body;
    struct heartbeat_response *answer = request->answer;
    struct group *group = NULL;
    if (!group_id_valid(body->group_id))
        answer->error_code = KAFKA_ERROR_INVALID_GROUP_ID;
    else if (!(group = coordinator_group(request->broker->coordinator, body->group_id)) ||
             !group->operations->heartbeat)
        answer->error_code = KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    else
        answer->error_code = group->operations->heartbeat(
            group, body->member_id, body->group_instance_id, body->generation_id, now_of(request));
    request_finish(request);
}

static int16_t leave_one(struct request *request, struct bytes group_id, struct bytes member_id,
    struct bytes instance_id)
{
    /* Each time anew: the group may become another when somebody leaves. */
    struct group *group = coordinator_group(request->broker->coordinator, group_id);
    if (!group || !group->operations->leave)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    int16_t error = group->operations->leave(group, member_id, instance_id, now_of(request));
    coordinator_settle(request->broker->coordinator, group);
    return error;
}

/* What follows when all of them have left. */
static void leave_ends(struct request *request, struct bytes group_id)
{
    struct group *group = coordinator_group(request->broker->coordinator, group_id);
    if (group && group->operations->left)
        group->operations->left(group, now_of(request));
}

void handle_leave_group(struct request *request)
{
    const struct leave_group_request *body = request->body;
    struct leave_group_response *answer = request->answer;
    if (!group_id_valid(body->group_id)) {
        answer->error_code = KAFKA_ERROR_INVALID_GROUP_ID;
        request_finish(request);
        return;
    }
    if (request->version < 3) {
        answer->error_code =
            leave_one(request, body->group_id, body->member_id, (struct bytes){ 0 });
        leave_ends(request, body->group_id);
        request_finish(request);
        return;
    }
    answer->members = codec_array(
        &request->arena, &leave_group_response_member_response_table, body->members_count);
    if (!answer->members && body->members_count > 0) {
        request_fail(request, "LeaveGroup: the answer is larger than a request may be");
        return;
    }
    answer->members_count = body->members_count;
    for (int32_t i = 0; i < body->members_count; i++) {
        answer->members[i].member_id = body->members[i].member_id;
        answer->members[i].group_instance_id = body->members[i].group_instance_id;
        answer->members[i].error_code = leave_one(request, body->group_id,
            body->members[i].member_id, body->members[i].group_instance_id);
    }
    leave_ends(request, body->group_id);
    request_finish(request);
}

/* ---- DescribeGroups, ListGroups ---- */

static bool describe_members(struct request *request, const struct classic_group *group,
    struct describe_groups_response_described_group *to)
{
    to->members = codec_array(&request->arena,
        &describe_groups_response_described_group_member_table, (int32_t)group->member_count);
    if (!to->members && group->member_count) {
        request_fail(request, "DescribeGroups: the answer is larger than a request may be");
        return false;
    }
    to->members_count = (int32_t)group->member_count;
    bool stable = group->state == CLASSIC_STABLE;
    struct describe_groups_response_described_group_member *one = to->members;
    list_foreach (node, &group->members) {
        const struct classic_member *member = list_entry(node, struct classic_member, link);
        struct bytes nothing = bytes_of("", 0);
        CHECK(one); /* member_count counts the list */
        /* Between two generations: that of the one before, as Kafka tells. */
        struct bytes assignment = member->assignment.data ? member->assignment : nothing;
        if (!keep_text(request, member->id, &one->member_id) ||
            !keep_text(request, member->instance_id, &one->group_instance_id) ||
            !keep_text(request, member->client_id, &one->client_id) ||
            !keep_text(request, member->client_host, &one->client_host) ||
            !keep(request, stable ? classic_member_metadata(member) : nothing,
                &one->member_metadata) ||
            !keep(request, assignment, &one->member_assignment))
            return false;
        one++;
    }
    return true;
}

static bool describe_one(
    struct request *request, struct bytes id, struct describe_groups_response_described_group *to)
{
    to->group_id = id;
    const struct describe_groups_request *body = request->body;
    struct group *base = group_to_tell(request, id);
    struct classic_group *group = base ? classic_group_of(base) : NULL;
    if (body->include_authorized_operations && (group || request->version < 6))
        to->authorized_operations = OPERATIONS_GROUP;
    if (!group) {
        to->group_state = bytes_text(classic_state_name(CLASSIC_DEAD));
        if (request->version >= 6) {
            to->error_code = KAFKA_ERROR_GROUP_ID_NOT_FOUND;
            to->error_message = bytes_text(
                base ? "The group is not a classic one." : "There is no group of this id.");
        }
        return true;
    }
    to->group_state = bytes_text(classic_state_name(group->state));
    const char *protocol =
        group->state == CLASSIC_STABLE && group->protocol_name ? group->protocol_name : "";
    return keep_text(
               request, group->protocol_type ? group->protocol_type : "", &to->protocol_type) &&
           keep_text(request, protocol, &to->protocol_data) && describe_members(request, group, to);
}

void handle_describe_groups(struct request *request)
{
    const struct describe_groups_request *body = request->body;
    struct describe_groups_response *answer = request->answer;
    const int32_t count = body->groups_count;
    answer->groups =
        codec_array(&request->arena, &describe_groups_response_described_group_table, count);
    if (!answer->groups && count > 0) {
        request_fail(request, "DescribeGroups: the answer is larger than a request may be");
        return;
    }
    answer->groups_count = count;
    for (int32_t i = 0; i < count; i++) {
        if (!describe_one(request, body->groups[i], &answer->groups[i]))
            return;
    }
    request_finish(request);
}

/* No filter matches everything; names are compared without regard to case, as Kafka does. */
static bool filter_matches(const struct bytes *filter, int32_t count, const char *name)
{
    for (int32_t i = 0; i < count; i++) {
        if (filter[i].len == strlen(name) &&
            strncasecmp((const char *)filter[i].data, name, filter[i].len) == 0)
            return true;
    }
    return count <= 0;
}

static bool listed(const struct list_groups_request *body, const struct group *group)
{
    return filter_matches(body->states_filter, body->states_filter_count,
               group->operations->state_name(group)) &&
           filter_matches(
               body->types_filter, body->types_filter_count, group->operations->type_name);
}

void handle_list_groups(struct request *request)
{
    const struct list_groups_request *body = request->body;
    struct list_groups_response *answer = request->answer;
    struct coordinator *coordinator = request->broker->coordinator;
    int32_t count = 0;
    depends_on_absence(request);
    for (struct group *g = NULL; (g = coordinator_group_next(coordinator, g));)
        count += listed(body, g);
    answer->groups = codec_array(&request->arena, &list_groups_response_listed_group_table, count);
    if (!answer->groups && count > 0) {
        request_fail(request, "ListGroups: the answer is larger than a request may be");
        return;
    }
    answer->groups_count = count;
    struct list_groups_response_listed_group *to = answer->groups;
    for (struct group *g = NULL; (g = coordinator_group_next(coordinator, g));) {
        if (!listed(body, g))
            continue;
        CHECK(to); /* counted above */
        request_depends(request, g->lsn);
        to->group_state = bytes_text(g->operations->state_name(g));
        to->group_type = bytes_text(g->operations->type_name);
        if (!keep_text(request, g->id, &to->group_id) ||
            !keep_text(request, g->operations->protocol_type(g), &to->protocol_type))
            return;
        to++;
    }
    request_finish(request);
}

/* ---- FindCoordinator: this node, for every group and transaction ---- */

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1 };

static int16_t find_check(int8_t key_type)
{
    /* Empty ids are for the other requests to refuse. Key type 2, of share groups' state, is asked
     * for between brokers only. */
    return key_type == KEY_GROUP || key_type == KEY_TRANSACTION ? KAFKA_ERROR_NONE
                                                                : KAFKA_ERROR_INVALID_REQUEST;
}

/* Without an error Kafka says "NONE", or since version 4 nothing. */
static struct bytes find_message(int16_t error, int16_t version)
{
    if (error)
        return bytes_text("This broker coordinates groups and transactions (key types 0 and 1).");
    return bytes_text(version < 4 ? "NONE" : "");
}

void handle_find_coordinator(struct request *request)
{
    const struct find_coordinator_request *body = request->body;
    struct find_coordinator_response *answer = request->answer;
    int32_t node_id = request->broker->config->node_id;
    if (request->version < 4) {
        int16_t error = find_check(body->key_type);
        answer->error_code = error;
        answer->error_message = find_message(error, request->version);
        answer->node_id = error ? -1 : node_id;
        answer->host = error ? bytes_of("", 0) : request_advertised_host(request);
        answer->port = error ? -1 : request_advertised_port(request);
        request_finish(request);
        return;
    }
    int32_t count = body->coordinator_keys_count;
    answer->coordinators =
        codec_array(&request->arena, &find_coordinator_response_coordinator_table, count);
    if (!answer->coordinators && count > 0) {
        request_fail(request, "FindCoordinator: the answer is larger than a request may be");
        return;
    }
    answer->coordinators_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct find_coordinator_response_coordinator *to = &answer->coordinators[i];
        int16_t error = find_check(body->key_type);
        to->key = body->coordinator_keys[i];
        to->error_code = error;
        to->error_message = find_message(error, request->version);
        to->node_id = error ? -1 : node_id;
        to->host = error ? bytes_of("", 0) : request_advertised_host(request);
        to->port = error ? -1 : request_advertised_port(request);
    }
    request_finish(request);
}
