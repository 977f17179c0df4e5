/*
 * Members that speak the classic protocol in a group of the consumer protocol (KIP-848, online
 * migration): JoinGroup says what a heartbeat says, SyncGroup gets what the broker assigned, and a
 * heartbeat answers REBALANCE_IN_PROGRESS when there is something to come for.
 *
 * Happy path
 *  - a consumer of the new protocol joins a classic group: consumer_group_from_classic.
 *  - each classic member hears REBALANCE_IN_PROGRESS, joins with what it owns, syncs, and reads on.
 *  - the last consumer of the new protocol leaves: consumer_group_to_classic, and they rebalance
 *    among themselves.
 *
 * Failure modes: a member that is asked to join, or that joined and is to sync, and does not come
 * in its rebalance timeout is removed (classic_step).
 */
#include "broker/consumer_group.h"

#include <string.h>

#include "broker/consumer_protocol.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"

#define NS_PER_MS INT64_C(1000000)

static struct consumer_group *own(struct group *base)
{
    return container_of(base, struct consumer_group, base);
}

static void step_by(struct consumer_member *member, int64_t now)
{
    group_deadline_set(&member->group->base, &member->classic_step,
        now + member->rebalance_timeout_ms * NS_PER_MS);
}

static void text_set(char **to, struct bytes text)
{
    mem_free(*to);
    *to = text.data ? mem_strndup((const char *)text.data, text.len) : NULL;
}

/* ---- protocols ---- */

static bool supports(const struct consumer_classic *classic, struct bytes name)
{
    for (size_t i = 0; i < classic->protocol_count; i++)
        if (bytes_equal_text(name, classic->protocols[i].name))
            return true;
    return false;
}

static bool all_support(const struct consumer_group *group, struct bytes name)
{
    list_foreach (node, &group->members) {
        const struct consumer_member *member = list_entry(node, struct consumer_member, link);
        if (member->classic && !supports(member->classic, name))
            return false;
    }
    return true;
}

static bool protocols_fit(const struct consumer_group *group, const struct classic_join *join)
{
    if (!join->protocol_type.data || !bytes_equal_text(join->protocol_type, "consumer") ||
        join->protocol_count > CLASSIC_PROTOCOLS_MAX)
        return false;
    for (size_t i = 0; i < join->protocol_count; i++)
        if (all_support(group, join->protocols[i].name))
            return true;
    return false;
}

static void classic_set(struct consumer_member *member, const struct classic_join *join)
{
    consumer_member_classic_free(member);
    struct consumer_classic *classic = mem_zalloc(1, sizeof(*classic));
    classic->session_timeout_ms = join->session_timeout_ms;
    classic->protocols = mem_zalloc(join->protocol_count, sizeof(*classic->protocols));
    classic->protocol_count = join->protocol_count;
    for (size_t i = 0; i < join->protocol_count; i++) {
        struct bytes name = join->protocols[i].name, metadata = join->protocols[i].metadata;
        classic->protocols[i].name = mem_strndup((const char *)name.data, name.len);
        classic->protocols[i].metadata =
            bytes_of(mem_strndup((const char *)metadata.data, metadata.len), metadata.len);
    }
    member->classic = classic;
}

/* ---- join ---- */

static void join_refuse(
    struct consumer_group *group, void *token, int16_t error, struct bytes member_id)
{
    const struct classic_effects *effects = group->effects->classic;
    char *id = mem_strndup(member_id.len ? (const char *)member_id.data : "", member_id.len);
    struct classic_join_answer answer = {
        .error = error, .generation = -1, .leader = "", .member_id = id
    };
    effects->join(effects->context, &group->base, token, &answer);
    mem_free(id);
}

static int16_t join_check(const struct consumer_group *group, const struct classic_join *join)
{
    struct consumer_settings settings;
    group->effects->settings(group->effects->context, &group->base, &settings);
    size_t size = sizeof(struct consumer_member) + 2 * GROUP_MEMBER_ID_SIZE;
    for (size_t i = 0; i < join->protocol_count; i++)
        size += sizeof(struct classic_protocol) + join->protocols[i].name.len +
                2 * join->protocols[i].metadata.len;
    bool known = join->member_id.len && consumer_group_member(group, join->member_id);
    if (settings.classic_refused)
        return KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL;
    if (join->session_timeout_ms < settings.classic_session_min_ms ||
        join->session_timeout_ms > settings.classic_session_max_ms)
        return KAFKA_ERROR_INVALID_SESSION_TIMEOUT;
    if ((group->member_count >= settings.members_max && !known) ||
        group_is_full(&group->base, size))
        return KAFKA_ERROR_GROUP_MAX_SIZE_REACHED;
    /* Ids are kept as C texts, and are keys of rows. */
    if (join->member_id.len > CONSUMER_MEMBER_ID_LEN_MAX ||
        (join->member_id.len && memchr(join->member_id.data, 0, join->member_id.len)))
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    return protocols_fit(group, join) ? KAFKA_ERROR_NONE : KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL;
}

/* NULL: *ret_error. */
static struct consumer_member *join_member(struct consumer_group *group,
    const struct classic_join *join, struct bytes id, int16_t *ret_error)
{
    struct consumer_member *instance = consumer_group_instance(group, join->instance_id);
    struct consumer_member *member = consumer_group_member(group, id);
    *ret_error = KAFKA_ERROR_NONE;
    if (!join->instance_id.data)
        return member ? member : consumer_group_add(group, id);
    if (join->member_id.len == 0) {
        member = instance ? consumer_group_replace(instance, id) : consumer_group_add(group, id);
        text_set(&member->instance_id, join->instance_id);
        return member;
    }
    if (!instance)
        *ret_error = KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    else if (instance != member)
        *ret_error = KAFKA_ERROR_FENCED_INSTANCE_ID;
    return *ret_error ? NULL : member;
}

/* What the join says, taken over. True: it wants other topics than before. */
static bool member_update(struct consumer_member *member, const struct classic_join *join,
    const struct consumer_subscription *subscription)
{
    bool subscribed = member->regex && member->regex[0];
    text_set(&member->client_id, join->client_id.data ? join->client_id : bytes_of("", 0));
    text_set(&member->client_host, bytes_text(join->client_host));
    text_set(&member->rack_id, subscription->body.rack_id);
    text_set(&member->regex, (struct bytes){ 0 });
    text_set(&member->assignor, (struct bytes){ 0 });
    if (member->epoch == CONSUMER_EPOCH_LEAVE_STATIC)
        member->epoch = 0;
    member->rebalance_timeout_ms = join->rebalance_timeout_ms;
    size_t count = (size_t)subscription->body.topics_count;
    if (!name_list_is(&member->names, subscription->body.topics, count)) {
        name_list_set(&member->names, subscription->body.topics, count);
        subscribed = true;
    }
    classic_set(member, join);
    member->changed = true;
    consumer_member_count_bytes(member);
    return subscribed;
}

static void join_answer(struct consumer_member *member, void *token)
{
    const struct classic_effects *effects = member->group->effects->classic;
    struct classic_join_answer answer = {
        .generation = member->epoch,
        .protocol_type = "consumer",
        .protocol_name = member->classic->protocols[0].name,
        .leader = "",
        .member_id = member->id,
    };
    effects->join(effects->context, &member->group->base, token, &answer);
}

static void join_with(struct consumer_group *group, const struct classic_join *join,
    const struct consumer_subscription *subscription, void *token, int64_t now)
{
    char fresh[GROUP_MEMBER_ID_SIZE];
    struct partition_set owned = { 0 };
    struct bytes id = join->member_id, prefix = join->instance_id;
    int16_t error;
    if (id.len == 0) {
        if (!prefix.data)
            prefix = join->client_id.data ? join->client_id : bytes_of("", 0);
        group->base.owner->member_id(group->base.owner->context, prefix, fresh, sizeof(fresh));
        id = bytes_text(fresh);
        if (join->require_member_id && !join->instance_id.data) {
            join_refuse(group, token, KAFKA_ERROR_MEMBER_ID_REQUIRED, id);
            return;
        }
    }
    size_t members_before = group->member_count;
    const struct consumer_member *instance = consumer_group_instance(group, join->instance_id);
    bool replaces = instance && !instance->classic;
    struct consumer_member *member = join_member(group, join, id, &error);
    if (!member) {
        join_refuse(group, token, error, join->member_id);
        return;
    }
    bool bump = member_update(member, join, subscription);
    consumer_subscription_owned(subscription, group->effects->topics, &owned);
    error = consumer_group_follow(
        group, member, bump || group->member_count != members_before, bump, &owned, now);
    partition_set_done(&owned);
    consumer_member_heard(member, now);
    step_by(member, now);
    group->replaced = replaces && strcmp(consumer_group_state_name(group), "Stable") == 0;
    if (error)
        join_refuse(group, token, error, bytes_text(member->id));
    else
        join_answer(member, token);
}

void consumer_group_join(
    struct group *base, const struct classic_join *join, void *token, int64_t now)
{
    struct consumer_group *group = own(base);
    struct consumer_subscription subscription;
    int16_t error = join_check(group, join);
    if (!error && consumer_subscription_read(&subscription, join->protocols[0].metadata) < 0)
        error = KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL;
    if (error) {
        join_refuse(group, token, error, join->member_id);
        return;
    }
    join_with(group, join, &subscription, token, now);
    consumer_subscription_done(&subscription);
}

/* ---- sync, heartbeat, leave ---- */

static int16_t classic_find(struct consumer_group *group, struct bytes member_id,
    struct bytes instance_id, struct consumer_member **ret_member)
{
    struct consumer_member *member = consumer_group_member(group, member_id);
    if (instance_id.data) {
        struct consumer_member *instance = consumer_group_instance(group, instance_id);
        if (!instance)
            return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
        if (instance != member)
            return KAFKA_ERROR_FENCED_INSTANCE_ID;
    }
    if (!member || !member->classic)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    *ret_member = member;
    return KAFKA_ERROR_NONE;
}

/* It is to join again, and in time. */
static int16_t call_back(struct consumer_member *member, int64_t now)
{
    if (!heap_node_in(&member->classic_step))
        step_by(member, now);
    return KAFKA_ERROR_REBALANCE_IN_PROGRESS;
}

static int16_t sync_check(
    struct consumer_member *member, const struct classic_sync *sync, int64_t now)
{
    if (sync->generation != member->epoch)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    if ((sync->protocol_type.data && !bytes_equal_text(sync->protocol_type, "consumer")) ||
        (sync->protocol_name.data &&
            !bytes_equal_text(sync->protocol_name, member->classic->protocols[0].name)))
        return KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL;
    if (member->group->epoch > member->epoch && member->state != CONSUMER_UNREVOKED)
        return call_back(member, now);
    return KAFKA_ERROR_NONE;
}

void consumer_group_sync(
    struct group *base, const struct classic_sync *sync, void *token, int64_t now)
{
    struct consumer_group *group = own(base);
    const struct classic_effects *effects = group->effects->classic;
    struct consumer_member *member = NULL;
    struct classic_sync_answer answer = { 0 };
    struct consumer_subscription subscription;
    struct out assignment = { 0 };
    answer.error = classic_find(group, sync->member_id, sync->instance_id, &member);
    if (!answer.error)
        answer.error = sync_check(member, sync, now);
    if (!answer.error) {
        int16_t version = 0;
        if (consumer_subscription_read(&subscription, member->classic->protocols[0].metadata) ==
            0) {
            version = subscription.version;
            consumer_subscription_done(&subscription);
        }
        consumer_assignment_write(&assignment, version, &member->assigned, group->effects->topics);
        answer.protocol_type = "consumer";
        answer.protocol_name = member->classic->protocols[0].name;
        answer.assignment = bytes_of(assignment.data, assignment.len);
        group_deadline_clear(base, &member->classic_step);
        consumer_member_heard(member, now);
    }
    effects->sync(effects->context, base, token, &answer);
    out_done(&assignment);
}

int16_t consumer_group_classic_heartbeat(struct group *base, struct bytes member_id,
    struct bytes instance_id, int32_t generation, int64_t now)
{
    struct consumer_group *group = own(base);
    struct consumer_member *member;
    int16_t error = classic_find(group, member_id, instance_id, &member);
    if (error)
        return error;
    if (generation != member->epoch)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    consumer_member_heard(member, now);
    if (member->epoch < group->epoch || member->state == CONSUMER_UNREVOKED ||
        (member->state == CONSUMER_UNRELEASED && !consumer_member_waits(member)))
        return call_back(member, now);
    return KAFKA_ERROR_NONE;
}

int16_t consumer_group_classic_leave(
    struct group *base, struct bytes member_id, struct bytes instance_id, int64_t now)
{
    struct consumer_group *group = own(base);
    struct consumer_member *member = consumer_group_member(group, member_id);
    if (instance_id.data) {
        struct consumer_member *instance = consumer_group_instance(group, instance_id);
        if (member_id.len && instance && instance != member)
            return KAFKA_ERROR_FENCED_INSTANCE_ID;
        member = instance; /* an admin takes a static member out, whatever it speaks */
    } else if (member && !member->classic) {
        member = NULL;
    }
    if (!member)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    return consumer_group_take_out(member, now);
}

void consumer_group_forget_token(struct group *base, const void *token)
{
    (void)base; /* nobody waits in these */
    (void)token;
}

/* ---- between the protocols ---- */

bool consumer_group_can_take(const struct classic_group *classic, size_t members_max)
{
    struct consumer_subscription subscription;
    if (!classic->protocol_type || strcmp(classic->protocol_type, "consumer") != 0 ||
        classic->member_count > members_max)
        return false;
    list_foreach (node, &classic->members) {
        const struct classic_member *member = list_entry(node, struct classic_member, link);
        if (member->protocol_count == 0 ||
            consumer_subscription_read(&subscription, member->protocols[0].metadata) < 0)
            return false;
        consumer_subscription_done(&subscription);
    }
    return true;
}

static void take_over(
    struct consumer_group *group, const struct classic_member *from, int32_t generation)
{
    struct consumer_subscription subscription;
    struct consumer_member *member = consumer_group_add(group, bytes_text(from->id));
    struct classic_join_protocol *protocols = mem_zalloc(from->protocol_count, sizeof(*protocols));
    for (size_t i = 0; i < from->protocol_count; i++)
        protocols[i] = (struct classic_join_protocol){ bytes_text(from->protocols[i].name),
            from->protocols[i].metadata };
    struct classic_join join = {
        .client_id = bytes_text(from->client_id),
        .client_host = from->client_host,
        .protocols = protocols,
        .protocol_count = from->protocol_count,
        .session_timeout_ms = (int32_t)(from->session_timeout_ns / NS_PER_MS),
        .rebalance_timeout_ms = (int32_t)(from->rebalance_timeout_ns / NS_PER_MS),
    };
    if (from->instance_id)
        text_set(&member->instance_id, bytes_text(from->instance_id));
    CHECK(consumer_subscription_read(&subscription, from->protocols[0].metadata) == 0);
    (void)member_update(member, &join, &subscription);
    mem_free(protocols);
    consumer_subscription_done(&subscription);
    /* What cannot be read is nothing: it is given anew. */
    (void)consumer_assignment_read(from->assignment, group->effects->topics, &member->assigned);
    member->epoch = member->previous_epoch = generation;
}

/* Only what nobody has. */
static void hold(struct partition_set *to, struct partition_set *more, struct partition_set *seen)
{
    partition_set_subtract(more, seen);
    partition_set_union(seen, more);
    partition_set_union(to, more);
}

/* A partition of two members (a leader's mistake) is the first one's. Who joined and has not heard
 * yet what it was assigned since goes on with what it said it owns; what others were assigned, it
 * can't have. */
static void holdings_settle(struct consumer_group *group, const struct classic_group *classic)
{
    struct partition_set seen = { 0 }, more = { 0 };
    list_foreach (node, &group->members) {
        struct consumer_member *member = list_entry(node, struct consumer_member, link);
        partition_set_move(&more, &member->assigned);
        hold(&member->assigned, &more, &seen);
        partition_set_copy(&member->target, &member->assigned);
    }
    list_foreach (node, &classic->members) {
        const struct classic_member *from = list_entry(node, struct classic_member, link);
        struct consumer_member *member = consumer_group_member(group, bytes_text(from->id));
        struct consumer_subscription subscription;
        CHECK(consumer_subscription_read(&subscription, from->protocols[0].metadata) == 0);
        partition_set_clear(&more);
        consumer_subscription_owned(&subscription, group->effects->topics, &more);
        hold(&member->assigned, &more, &seen);
        consumer_subscription_done(&subscription);
        consumer_member_count_bytes(member);
    }
    partition_set_done(&seen);
    partition_set_done(&more);
}

void consumer_group_from_classic(
    struct consumer_group *group, struct classic_group *classic, int64_t now)
{
    group->epoch = group->assignment_epoch = classic->generation;
    list_foreach (node, &classic->members) {
        const struct classic_member *from = list_entry(node, struct classic_member, link);
        take_over(group, from, classic->generation);
    }
    holdings_settle(group, classic);
    consumer_group_know_topics(group);
    list_foreach (node, &group->members)
        consumer_member_heard(list_entry(node, struct consumer_member, link), now);
    classic_group_release(classic);
}

static void give_back(
    struct classic_group *classic, const struct consumer_member *from, int64_t now)
{
    struct classic_join_protocol *protocols =
        mem_zalloc(from->classic->protocol_count, sizeof(*protocols));
    struct consumer_subscription subscription;
    struct partition_set holds = { 0 };
    struct out assignment = { 0 };
    int16_t version = 0;
    for (size_t i = 0; i < from->classic->protocol_count; i++)
        protocols[i] = (struct classic_join_protocol){ bytes_text(from->classic->protocols[i].name),
            from->classic->protocols[i].metadata };
    struct classic_join join = {
        .member_id = bytes_text(from->id),
        .instance_id = from->instance_id ? bytes_text(from->instance_id) : (struct bytes){ 0 },
        .client_id = bytes_text(from->client_id),
        .client_host = from->client_host,
        .protocol_type = bytes_text("consumer"),
        .protocols = protocols,
        .protocol_count = from->classic->protocol_count,
        .session_timeout_ms = from->classic->session_timeout_ms,
        .rebalance_timeout_ms = from->rebalance_timeout_ms,
    };
    if (consumer_subscription_read(&subscription, protocols[0].metadata) == 0) {
        version = subscription.version;
        consumer_subscription_done(&subscription);
    }
    /* Also what it has not given up yet: if others come before it has joined, they must wait. */
    partition_set_copy(&holds, &from->assigned);
    partition_set_union(&holds, &from->revoking);
    consumer_assignment_write(&assignment, version, &holds, from->group->effects->topics);
    partition_set_done(&holds);
    classic_group_adopt(classic, &join, bytes_of(assignment.data, assignment.len), now);
    out_done(&assignment);
    mem_free(protocols);
}

void consumer_group_to_classic(
    struct consumer_group *group, struct classic_group *classic, int64_t now)
{
    list_foreach (node, &group->members)
        give_back(classic, list_entry(node, struct consumer_member, link), now);
    classic_group_adopted(classic, group->epoch, !group->replaced, now);
}
