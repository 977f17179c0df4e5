/*
 * A classic group, step by step.
 *
 * Happy path of a rebalance
 *  - a member joins: it is added and the group goes to PREPARING (group_join → rebalance_begin).
 *  - all members have joined, or the rebalance timeout is over: join_complete raises the
 * generation, chooses the protocol, answers every join; the leader's answer holds the members
 * (COMPLETING).
 *  - the leader's sync brings the assignments: they are persisted, then every waiting sync is
 * answered (STABLE).
 *
 * Failure modes
 *  - a member is not heard of within its session: it is removed and the others rebalance.
 *  - a member joins but never syncs: removed at the rebalance timeout.
 *  - persist fails: the waiting syncs hear the error and join again; nothing was told to anyone.
 *
 * Invariants: generation only grows; a token is answered at most once; a static instance id has at
 * most one member; every member of a STABLE group has an assignment (maybe empty).
 */
#include "broker/classic_group.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/consumer_protocol.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"

#define NS_PER_MS INT64_C(1000000)

/* A fresh member waits for the others of its first rebalance, however long: Kafka gives it five
 * minutes. */
#define FRESH_SESSION_NS (INT64_C(300) * 1000 * NS_PER_MS)

/* A join that came to nothing is tried again after this time at least, whatever time the members
 * gave each other: with none at all it would be due again at once, for ever. */
#define REJOIN_MIN_NS (100 * NS_PER_MS)

static void members_expire_unsynced(struct classic_group *group, int64_t now);
static void rebalance_begin(struct classic_group *group, int64_t now);
static void join_try_complete(struct classic_group *group, int64_t now);
static void join_complete(struct classic_group *group, int64_t now);

/* ---- small parts ---- */

const char *classic_state_name(enum classic_state state)
{
    static const char *const names[] = { "Empty", "PreparingRebalance", "CompletingRebalance",
        "Stable", "Dead" };
    return names[state];
}

static struct bytes text_of(const char *text)
{
    return text ? bytes_text(text) : (struct bytes){ 0 };
}

static char *text_copy(struct bytes text)
{
    return text.data ? mem_strndup((const char *)text.data, text.len) : NULL;
}

static struct bytes blob_copy(struct bytes blob)
{
    uint8_t *copy = mem_alloc(blob.len);
    if (blob.len)
        memcpy(copy, blob.data, blob.len);
    return bytes_of(copy, blob.len);
}

static void blob_free(struct bytes blob)
{
    mem_free((void *)(uintptr_t)blob.data);
}

static void text_set(char **to, char *text)
{
    mem_free(*to);
    *to = text;
}

static void member_heard(struct classic_member *member, int64_t now)
{
    group_deadline_set(&member->group->base, &member->deadline, now + member->session_timeout_ns);
}

/* ---- memory ---- */

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static void member_count_bytes(struct classic_member *member)
{
    size_t *bytes = &member->group->base.owner->bytes;
    size_t size = sizeof(*member) + text_size(member->id) + text_size(member->instance_id) +
                  text_size(member->client_id) + text_size(member->client_host) +
                  member->assignment.len;
    for (size_t i = 0; i < member->protocol_count; i++)
        size += sizeof(*member->protocols) + text_size(member->protocols[i].name) +
                member->protocols[i].metadata.len;
    *bytes += size - member->bytes;
    member->bytes = size;
}

static size_t pending_size(const struct classic_pending *pending)
{
    return sizeof(*pending) + text_size(pending->id);
}

/* Would this join make the groups larger than they may be? */
static bool join_is_too_much(const struct classic_group *group, const struct classic_join *join)
{
    const struct classic_member *member = classic_group_member(group, join->member_id);
    size_t size = sizeof(*member) + 2 * GROUP_MEMBER_ID_SIZE;
    for (size_t i = 0; i < join->protocol_count; i++)
        size += sizeof(*member->protocols) + join->protocols[i].name.len +
                join->protocols[i].metadata.len;
    size_t has = member ? member->bytes : 0;
    return size > has && group_is_full(&group->base, size - has);
}

/* ---- members ---- */

static void protocols_free(struct classic_member *member)
{
    for (size_t i = 0; i < member->protocol_count; i++) {
        mem_free(member->protocols[i].name);
        blob_free(member->protocols[i].metadata);
    }
    mem_free(member->protocols);
    member->protocols = NULL;
    member->protocol_count = 0;
}

static void protocols_set(struct classic_member *member, const struct classic_join *join)
{
    protocols_free(member);
    member->protocols = mem_zalloc(join->protocol_count, sizeof(*member->protocols));
    member->protocol_count = join->protocol_count;
    for (size_t i = 0; i < join->protocol_count; i++) {
        member->protocols[i].name = text_copy(join->protocols[i].name);
        member->protocols[i].metadata = blob_copy(join->protocols[i].metadata);
    }
    member_count_bytes(member);
}

static void member_destroy(struct classic_member *member)
{
    member->group->base.owner->bytes -= member->bytes;
    protocols_free(member);
    blob_free(member->assignment);
    mem_free(member->id);
    mem_free(member->instance_id);
    mem_free(member->client_id);
    mem_free(member->client_host);
    mem_free(member);
}

struct classic_member *classic_group_member(
    const struct classic_group *group, struct bytes member_id)
{
    struct tree_node *node = tree_find(&group->by_id, &member_id);
    return node ? container_of(node, struct classic_member, by_id) : NULL;
}

static int compare_ids(const void *key, const struct tree_node *node)
{
    const struct bytes *id = key;
    return bytes_compare(
        *id, bytes_text(container_of_const(node, struct classic_member, by_id)->id));
}

/* False: there is one of that id already, or it has none (only in a row that is damaged). */
static bool id_link(struct classic_group *group, struct classic_member *member)
{
    struct bytes id = text_of(member->id);
    if (!member->id || tree_find(&group->by_id, &id))
        return false;
    tree_insert(&group->by_id, &id, &member->by_id);
    return true;
}

static void id_unlink(struct classic_group *group, struct classic_member *member)
{
    struct bytes id = text_of(member->id);
    if (member->id && tree_find(&group->by_id, &id) == &member->by_id)
        (void)tree_remove(&group->by_id, &id);
}

static struct classic_member *instance_find(
    const struct classic_group *group, struct bytes instance_id)
{
    if (!instance_id.data)
        return NULL;
    list_foreach (node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        if (member->instance_id && bytes_equal_text(instance_id, member->instance_id))
            return member;
    }
    return NULL;
}

static struct classic_pending *pending_find(
    const struct classic_group *group, struct bytes member_id)
{
    list_foreach (node, &group->pending) {
        struct classic_pending *pending = list_entry(node, struct classic_pending, link);
        if (bytes_equal_text(member_id, pending->id))
            return pending;
    }
    return NULL;
}

static void pending_remove(struct classic_group *group, struct classic_pending *pending)
{
    group_deadline_clear(&group->base, &pending->deadline);
    list_remove(&pending->link);
    group->base.owner->bytes -= pending_size(pending);
    mem_free(pending->id);
    mem_free(pending);
}

struct bytes classic_member_metadata(const struct classic_member *member)
{
    const char *chosen = member->group->protocol_name;
    for (size_t i = 0; chosen && i < member->protocol_count; i++) {
        if (strcmp(member->protocols[i].name, chosen) == 0)
            return member->protocols[i].metadata;
    }
    return bytes_of("", 0);
}

/* ---- protocols ---- */

static bool member_supports(const struct classic_member *member, const char *name)
{
    for (size_t i = 0; i < member->protocol_count; i++) {
        if (strcmp(member->protocols[i].name, name) == 0)
            return true;
    }
    return false;
}

static bool all_support(const struct classic_group *group, const char *name)
{
    list_foreach (node, &group->members) {
        if (!member_supports(list_entry(node, struct classic_member, link), name))
            return false;
    }
    return true;
}

/* Can a member with these protocols join this group at all? */
static bool protocols_fit(const struct classic_group *group, const struct classic_join *join)
{
    if (!join->protocol_type.data || join->protocol_type.len == 0 || join->protocol_count == 0)
        return false;
    if (group->member_count == 0)
        return true;
    if (!group->protocol_type || !bytes_equal_text(join->protocol_type, group->protocol_type))
        return false;
    for (size_t i = 0; i < join->protocol_count; i++) {
        char *name = text_copy(join->protocols[i].name);
        bool fits = all_support(group, name);
        mem_free(name);
        if (fits)
            return true;
    }
    return false;
}

/* What all members support is among what the first one does. */
static struct classic_member *first_member(const struct classic_group *group)
{
    return list_entry(list_first(&group->members), struct classic_member, link);
}

static size_t votes_for(const struct classic_group *group, const bool *candidates, size_t candidate)
{
    const struct classic_member *first = first_member(group);
    size_t votes = 0;
    list_foreach (node, &group->members) {
        const struct classic_member *member = list_entry(node, struct classic_member, link);
        for (size_t i = 0, voted = 0; i < member->protocol_count && !voted; i++) {
            for (size_t k = 0; k < first->protocol_count && !voted; k++) {
                voted = candidates[k] &&
                        strcmp(first->protocols[k].name, member->protocols[i].name) == 0;
                votes += voted && k == candidate;
            }
        }
    }
    return votes;
}

/* Each member votes for its first protocol that all support; the first member's order breaks a tie.
 */
static const char *protocol_choose(const struct classic_group *group)
{
    const struct classic_member *first = first_member(group);
    bool *candidates = mem_zalloc(first->protocol_count, sizeof(*candidates));
    const char *best = NULL;
    size_t best_votes = 0;
    for (size_t i = 0; i < first->protocol_count; i++)
        candidates[i] = all_support(group, first->protocols[i].name);
    for (size_t i = 0; i < first->protocol_count; i++) {
        size_t votes = candidates[i] ? votes_for(group, candidates, i) : 0;
        if (votes > best_votes) {
            best = first->protocols[i].name;
            best_votes = votes;
        }
    }
    mem_free(candidates);
    return best;
}

static bool protocols_same(const struct classic_member *member, const struct classic_join *join)
{
    if (member->protocol_count != join->protocol_count)
        return false;
    for (size_t i = 0; i < join->protocol_count; i++) {
        if (!bytes_equal_text(join->protocols[i].name, member->protocols[i].name) ||
            !bytes_equal(join->protocols[i].metadata, member->protocols[i].metadata))
            return false;
    }
    return true;
}

/* ---- answers ---- */

static void join_refuse(
    struct classic_group *group, void *token, int16_t error, struct bytes member_id)
{
    char *id = member_id.data ? text_copy(member_id) : mem_strdup("");
    struct classic_join_answer answer = {
        .error = error, .generation = -1, .leader = "", .member_id = id
    };
    group->effects->join(group->effects->context, &group->base, token, &answer);
    mem_free(id);
}

static void join_answer(struct classic_group *group, struct classic_member *member)
{
    void *token = member->join_token;
    if (!token)
        return;
    member->join_token = NULL;
    struct classic_join_answer answer = {
        .generation = group->generation,
        .protocol_type = group->protocol_type,
        .protocol_name = group->protocol_name,
        .leader = group->leader ? group->leader : "",
        .member_id = member->id,
        .members = group->leader && strcmp(group->leader, member->id) == 0 ? group : NULL,
    };
    group->effects->join(group->effects->context, &group->base, token, &answer);
}

static void sync_answer(struct classic_group *group, struct classic_member *member, int16_t error)
{
    void *token = member->sync_token;
    if (!token)
        return;
    member->sync_token = NULL;
    struct classic_sync_answer answer = { .error = error };
    if (!error)
        answer = (struct classic_sync_answer){ KAFKA_ERROR_NONE, group->protocol_type,
            group->protocol_name, member->assignment };
    group->effects->sync(group->effects->context, &group->base, token, &answer);
}

/* Whoever waits for this member hears `error`; who is no member any more has no id either. */
static void member_refuse(struct classic_group *group, struct classic_member *member, int16_t error)
{
    if (member->join_token) {
        void *token = member->join_token;
        member->join_token = NULL;
        struct bytes id =
            error == KAFKA_ERROR_UNKNOWN_MEMBER_ID ? (struct bytes){ 0 } : text_of(member->id);
        join_refuse(group, token, error, id);
    }
    sync_answer(group, member, error);
}

/* ---- life ---- */

static const struct group_operations operations;

struct classic_group *classic_group_of(struct group *group)
{
    return group->operations == &operations ? container_of(group, struct classic_group, base)
                                            : NULL;
}

/* For the operations: the group is ours. */
static struct classic_group *own(struct group *group)
{
    return container_of(group, struct classic_group, base);
}

static const struct classic_group *own_const(const struct group *group)
{
    return own((struct group *)(uintptr_t)group);
}

struct classic_group *classic_group_create(struct bytes id, struct group_owner *owner,
    const struct classic_limits *limits, const struct classic_effects *effects)
{
    struct classic_group *group = mem_zalloc(1, sizeof(*group));
    group_init(&group->base, &operations, id, owner);
    owner->bytes += sizeof(*group) - sizeof(group->base);
    group->limits = limits;
    group->effects = effects;
    list_init(&group->members);
    list_init(&group->pending);
    group->by_id.compare = compare_ids;
    return group;
}

static void member_unlink(struct classic_group *group, struct classic_member *member)
{
    heap_remove(&group->base.deadlines, &member->deadline);
    list_remove(&member->link);
    id_unlink(group, member);
    group->member_count--;
}

static void classic_destroy(struct group *base)
{
    struct classic_group *group = own(base);
    for (struct list *node; (node = list_first(&group->members));) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        member_unlink(group, member);
        member_destroy(member);
    }
    for (struct list *node; (node = list_pop(&group->pending));) {
        struct classic_pending *pending = list_entry(node, struct classic_pending, link);
        group->base.owner->bytes -= pending_size(pending);
        mem_free(pending->id);
        mem_free(pending);
    }
    base->owner->bytes -= sizeof(*group) - sizeof(*base);
    group_done(base);
    mem_free(group->protocol_type);
    mem_free(group->protocol_name);
    mem_free(group->leader);
    mem_free(group);
}

/* ---- rebalance ---- */

static int64_t rebalance_timeout(const struct classic_group *group)
{
    int64_t longest = 0;
    list_foreach (node, &group->members) {
        const struct classic_member *member = list_entry(node, struct classic_member, link);
        if (member->rebalance_timeout_ns > longest)
            longest = member->rebalance_timeout_ns;
    }
    return longest;
}

static bool all_joined(const struct classic_group *group)
{
    list_foreach (node, &group->members) {
        if (!list_entry(node, struct classic_member, link)->joined)
            return false;
    }
    return list_empty(&group->pending);
}

static void rebalance_begin(struct classic_group *group, int64_t now)
{
    bool was_empty = group->state == CLASSIC_EMPTY;
    list_foreach (node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        if (group->state == CLASSIC_COMPLETING) {
            blob_free(member->assignment);
            member->assignment = (struct bytes){ 0 };
            member_count_bytes(member);
            /* Its session went on to count only when the join was answered. */
            if (member->sync_token)
                member_heard(member, now);
            sync_answer(group, member, KAFKA_ERROR_REBALANCE_IN_PROGRESS);
        }
    }
    group->state = CLASSIC_PREPARING;
    group->initial = was_empty;
    if (!was_empty) {
        group_deadline_set(&group->base, &group->timer, now + rebalance_timeout(group));
        join_try_complete(group, now);
        return;
    }
    int64_t delay = group->limits->initial_delay_ns, longest = rebalance_timeout(group);
    group->member_added = false;
    group->initial_remaining_ns = longest > delay ? longest - delay : 0;
    group_deadline_set(&group->base, &group->timer, now + (delay < longest ? delay : longest));
}

static void join_try_complete(struct classic_group *group, int64_t now)
{
    if (group->state == CLASSIC_PREPARING && !group->initial && all_joined(group))
        join_complete(group, now);
}

/* The initial delay is over: wait on while members keep coming, at most the rebalance timeout in
 * all. */
static void initial_expire(struct classic_group *group, int64_t now)
{
    if (!group->member_added || group->initial_remaining_ns == 0) {
        group->initial = false;
        join_complete(group, now);
        return;
    }
    int64_t delay = group->limits->initial_delay_ns;
    if (delay > group->initial_remaining_ns)
        delay = group->initial_remaining_ns;
    group->initial_remaining_ns -= delay;
    group->member_added = false;
    group_deadline_set(&group->base, &group->timer, now + delay);
}

static void member_drop(struct classic_group *group, struct classic_member *member, int16_t error)
{
    member_refuse(group, member, error);
    member_unlink(group, member);
    if (group->leader && strcmp(group->leader, member->id) == 0) {
        struct list *first = list_first(&group->members);
        text_set(&group->leader,
            first ? mem_strdup(list_entry(first, struct classic_member, link)->id) : NULL);
    }
    member_destroy(member);
}

/* Dynamic members that did not come are gone; static ones stay until their session ends. */
static void absentees_drop(struct classic_group *group)
{
    list_foreach_safe (node, following, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        if (!member->joined && !member->instance_id)
            member_drop(group, member, KAFKA_ERROR_UNKNOWN_MEMBER_ID);
    }
}

/* The leader must be somebody who has joined. False: nobody has. */
static bool leader_elect(struct classic_group *group)
{
    struct classic_member *leader =
        group->leader ? classic_group_member(group, text_of(group->leader)) : NULL;
    if (leader && leader->joined)
        return true;
    list_foreach (node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        if (member->joined) {
            text_set(&group->leader, mem_strdup(member->id));
            return true;
        }
    }
    return false;
}

static void group_become_empty(struct classic_group *group)
{
    group->generation++;
    group->state = CLASSIC_EMPTY;
    text_set(&group->protocol_name, NULL);
    text_set(&group->leader, NULL);
    (void)group_persist(&group->base); /* nobody is told of it */
}

/* The join came to nothing: there is time for another. */
static void join_wait_again(struct classic_group *group, int64_t now)
{
    int64_t wait = rebalance_timeout(group);
    group_deadline_set(
        &group->base, &group->timer, now + (wait > REJOIN_MIN_NS ? wait : REJOIN_MIN_NS));
}

/* The generation could not be made durable: everybody joins again. */
static void joins_refuse(struct classic_group *group, int16_t error, int64_t now)
{
    group->state = CLASSIC_PREPARING;
    list_foreach (node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        member->joined = false;
        member_refuse(group, member, error);
    }
    join_wait_again(group, now);
}

static void join_complete(struct classic_group *group, int64_t now)
{
    group_deadline_clear(&group->base, &group->timer);
    absentees_drop(group);
    if (group->member_count == 0) {
        group_become_empty(group);
        return;
    }
    if (!leader_elect(group)) {
        /* Only static members, and none of them came. */
        join_wait_again(group, now);
        return;
    }
    group->generation++;
    group->state = CLASSIC_COMPLETING;
    const char *chosen = protocol_choose(group);
    text_set(&group->protocol_name, chosen ? mem_strdup(chosen) : NULL);
    /* A generation is told only when it can't be given out again after a crash. */
    int16_t error = group_persist(&group->base);
    if (error) {
        joins_refuse(group, error, now);
        return;
    }
    list_foreach (node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        /* Also one whose connection was lost while it waited: its session counts from here. */
        if (member->joined)
            member_heard(member, now);
        member->synced = member->fresh = false;
        member->joined = false;
        join_answer(group, member);
    }
    group_deadline_set(&group->base, &group->timer, now + rebalance_timeout(group));
}

/* Members that joined and never synced hold everybody up. */
static void members_expire_unsynced(struct classic_group *group, int64_t now)
{
    bool dropped = false;
    list_foreach_safe (node, following, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        if (!member->synced && !member->sync_token) {
            member_drop(group, member, KAFKA_ERROR_UNKNOWN_MEMBER_ID);
            dropped = true;
        }
    }
    if (dropped)
        rebalance_begin(group, now);
}

/* Somebody is not there any more. */
static void rebalance_go_on(struct classic_group *group, int64_t now)
{
    if (group->state == CLASSIC_STABLE || group->state == CLASSIC_COMPLETING)
        rebalance_begin(group, now);
    else
        join_try_complete(group, now);
}

static void member_remove(struct classic_group *group, struct classic_member *member, int64_t now)
{
    member_drop(group, member, KAFKA_ERROR_UNKNOWN_MEMBER_ID);
    rebalance_go_on(group, now);
}

/* ---- join ---- */

static struct classic_member *member_add(struct classic_group *group,
    const struct classic_join *join, struct bytes id, void *token, int64_t now)
{
    struct classic_member *member = mem_zalloc(1, sizeof(*member));
    member->group = group;
    member->id = text_copy(id);
    member->instance_id = text_copy(join->instance_id);
    member->client_id = join->client_id.data ? text_copy(join->client_id) : mem_strdup("");
    member->client_host = mem_strdup(join->client_host);
    member->session_timeout_ns = join->session_timeout_ms * NS_PER_MS;
    member->rebalance_timeout_ns = join->rebalance_timeout_ms * NS_PER_MS;
    protocols_set(member, join);
    if (group->member_count == 0) {
        text_set(&group->protocol_type, text_copy(join->protocol_type));
        text_set(&group->leader, mem_strdup(member->id));
    }
    list_append(&group->members, &member->link);
    CHECK(id_link(group, member)); /* who is asked for is looked for first */
    group->member_count++;
    member->fresh = member->joined = true;
    member->join_token = token;
    if (group->state == CLASSIC_PREPARING)
        group->member_added = true;
    group_deadline_set(&group->base, &member->deadline, now + FRESH_SESSION_NS);
    return member;
}

static void rebalance_or_complete(struct classic_group *group, int64_t now)
{
    if (group->state == CLASSIC_PREPARING)
        join_try_complete(group, now);
    else
        rebalance_begin(group, now);
}

static void timeouts_set(struct classic_member *member, const struct classic_join *join)
{
    member->session_timeout_ns = join->session_timeout_ms * NS_PER_MS;
    member->rebalance_timeout_ns = join->rebalance_timeout_ms * NS_PER_MS;
}

static void member_rejoin(
    struct classic_member *member, const struct classic_join *join, void *token, int64_t now)
{
    struct classic_group *group = member->group;
    /* A second join of the same member (its connection was lost): the older one hears to try again.
     */
    if (member->join_token)
        member_refuse(group, member, KAFKA_ERROR_REBALANCE_IN_PROGRESS);
    protocols_set(member, join);
    timeouts_set(member, join);
    member_heard(member, now);
    member->join_token = token;
    member->joined = true;
    rebalance_or_complete(group, now);
    /* The rebalance began with this member already there. */
    join_try_complete(group, now);
}

/* A static member came back under its instance id: it gets a new member id, the old one is fenced.
 */
static void static_replace(
    struct classic_member *member, const struct classic_join *join, void *token, int64_t now)
{
    struct classic_group *group = member->group;
    char id[GROUP_MEMBER_ID_SIZE];
    group->base.owner->member_id(group->base.owner->context, join->instance_id, id, sizeof(id));
    member_refuse(group, member, KAFKA_ERROR_FENCED_INSTANCE_ID);
    bool leads = group->leader && strcmp(group->leader, member->id) == 0;
    char *old_id = member->id;
    id_unlink(group, member);
    member->id = mem_strdup(id);
    CHECK(id_link(group, member)); /* it is fresh */
    member_count_bytes(member);
    if (leads)
        text_set(&group->leader, mem_strdup(id));
    protocols_set(member, join);
    /* What it wants to read may have changed: that is for the leader to see. */
    const char *chosen = protocol_choose(group);
    bool same = chosen && group->protocol_name && strcmp(chosen, group->protocol_name) == 0;
    if (group->state != CLASSIC_STABLE || !same) {
        mem_free(old_id);
        member_rejoin(member, join, token, now);
        return;
    }
    timeouts_set(member, join);
    member_heard(member, now);
    int16_t error = group_persist(&group->base);
    if (error) {
        join_refuse(group, token, error, text_of(id));
        mem_free(old_id);
        return;
    }
    struct classic_join_answer answer = {
        .generation = group->generation,
        .protocol_type = group->protocol_type,
        .protocol_name = group->protocol_name,
        /* Older clients must not think they lead: they would assign anew. */
        .leader = leads && !join->can_skip_assignment ? old_id
                  : group->leader                     ? group->leader
                                                      : "",
        .member_id = member->id,
        .skip_assignment = leads && join->can_skip_assignment,
        .members = leads && join->can_skip_assignment ? group : NULL,
    };
    group->effects->join(group->effects->context, &group->base, token, &answer);
    mem_free(old_id);
}

static void join_unknown(
    struct classic_group *group, const struct classic_join *join, void *token, int64_t now)
{
    struct classic_member *member = instance_find(group, join->instance_id);
    if (member) {
        static_replace(member, join, token, now);
        return;
    }
    char id[GROUP_MEMBER_ID_SIZE];
    struct bytes prefix = join->instance_id.data ? join->instance_id
                          : join->client_id.data ? join->client_id
                                                 : bytes_of("", 0);
    group->base.owner->member_id(group->base.owner->context, prefix, id, sizeof(id));
    if (!join->require_member_id || join->instance_id.data) {
        (void)member_add(group, join, bytes_text(id), token, now);
        rebalance_or_complete(group, now);
        return;
    }
    struct classic_pending *pending = mem_zalloc(1, sizeof(*pending));
    pending->id = mem_strdup(id);
    group->base.owner->bytes += pending_size(pending);
    list_append(&group->pending, &pending->link);
    group_deadline_set(
        &group->base, &pending->deadline, now + join->session_timeout_ms * NS_PER_MS);
    join_refuse(group, token, KAFKA_ERROR_MEMBER_ID_REQUIRED, bytes_text(id));
}

/* NONE, or what is wrong with a member id (and instance id) that the client says it has. */
static int16_t member_check(struct classic_group *group, struct bytes member_id,
    struct bytes instance_id, struct classic_member **ret_member)
{
    struct classic_member *member = classic_group_member(group, member_id);
    if (instance_id.data) {
        struct classic_member *owner = instance_find(group, instance_id);
        if (!owner)
            return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
        if (owner != member)
            return KAFKA_ERROR_FENCED_INSTANCE_ID;
    }
    if (!member)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    *ret_member = member;
    return KAFKA_ERROR_NONE;
}

static void join_known(
    struct classic_group *group, const struct classic_join *join, void *token, int64_t now)
{
    struct classic_pending *pending = pending_find(group, join->member_id);
    if (pending) {
        pending_remove(group, pending);
        (void)member_add(group, join, join->member_id, token, now);
        rebalance_or_complete(group, now);
        return;
    }
    struct classic_member *member;
    int16_t error = member_check(group, join->member_id, join->instance_id, &member);
    if (error) {
        join_refuse(group, token, error, join->member_id);
        return;
    }
    bool leads = group->leader && strcmp(group->leader, member->id) == 0;
    bool current = protocols_same(member, join) && (group->state == CLASSIC_COMPLETING ||
                                                       (group->state == CLASSIC_STABLE && !leads));
    if (!current) {
        member_rejoin(member, join, token, now);
        return;
    }
    /* It missed the answer to its join: say it again. */
    member_heard(member, now);
    member->join_token = token;
    join_answer(group, member);
}

/* group.max.size. While a group rebalances those count who have joined, and who comes too late may
 * be one of the generation before: then it is out. */
static bool has_room(struct classic_group *group, const struct classic_join *join, int64_t now)
{
    struct classic_member *member = join->member_id.len
                                        ? classic_group_member(group, join->member_id)
                                        : instance_find(group, join->instance_id);
    if (group->state != CLASSIC_PREPARING)
        return member || group->member_count < group->limits->members_max;
    size_t joined = 0;
    list_foreach (node, &group->members)
        joined += list_entry(node, struct classic_member, link)->joined;
    if ((member && member->joined) || joined < group->limits->members_max)
        return true;
    if (member)
        member_remove(group, member, now);
    return false;
}

static void classic_join(
    struct group *base, const struct classic_join *join, void *token, int64_t now)
{
    struct classic_group *group = own(base);
    bool unknown = join->member_id.len == 0;
    if (join->session_timeout_ms < group->limits->session_min_ms ||
        join->session_timeout_ms > group->limits->session_max_ms) {
        join_refuse(group, token, KAFKA_ERROR_INVALID_SESSION_TIMEOUT, join->member_id);
        return;
    }
    if (join->protocol_count > CLASSIC_PROTOCOLS_MAX || !protocols_fit(group, join)) {
        join_refuse(group, token, KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL, join->member_id);
        return;
    }
    if (!has_room(group, join, now) || join_is_too_much(group, join)) {
        join_refuse(group, token, KAFKA_ERROR_GROUP_MAX_SIZE_REACHED, (struct bytes){ 0 });
        return;
    }
    if (unknown)
        join_unknown(group, join, token, now);
    else
        join_known(group, join, token, now);
}

/* ---- sync ---- */

static void assignments_take(struct classic_group *group, const struct classic_sync *sync)
{
    list_foreach (node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        struct bytes assignment = bytes_of("", 0);
        for (size_t i = 0; i < sync->assignment_count; i++) {
            if (bytes_equal_text(sync->assignments[i].member_id, member->id))
                assignment = sync->assignments[i].assignment;
        }
        blob_free(member->assignment);
        member->assignment = blob_copy(assignment);
        member_count_bytes(member);
    }
}

/* More than members could be told, or more than may be kept? */
static bool assignments_are_too_much(
    const struct classic_group *group, const struct classic_sync *sync)
{
    size_t size = 0;
    for (size_t i = 0; i < sync->assignment_count; i++)
        size += sync->assignments[i].assignment.len;
    return sync->assignment_count > 2 * group->member_count + 16 ||
           group_is_full(&group->base, size);
}

static void assignments_tell(struct classic_group *group, int64_t now)
{
    group->state = CLASSIC_STABLE;
    int16_t error = group_persist(&group->base);
    if (error) {
        group->state = CLASSIC_COMPLETING;
        list_foreach (node, &group->members)
            sync_answer(group, list_entry(node, struct classic_member, link), error);
        rebalance_begin(group, now);
        return;
    }
    group_deadline_clear(&group->base, &group->timer);
    list_foreach (node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        if (member->sync_token)
            member_heard(member, now);
        sync_answer(group, member, KAFKA_ERROR_NONE);
    }
    /* Those who still have to come find their assignment; the timer keeps them to it. */
    bool waiting = false;
    list_foreach (node, &group->members)
        waiting |= !list_entry(node, struct classic_member, link)->synced;
    if (waiting)
        group_deadline_set(&group->base, &group->timer, now + rebalance_timeout(group));
}

static int16_t sync_check(struct classic_group *group, const struct classic_sync *sync,
    struct classic_member **ret_member)
{
    int16_t error = member_check(group, sync->member_id, sync->instance_id, ret_member);
    if (error)
        return error;
    if (sync->generation != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    if ((sync->protocol_type.data &&
            (!group->protocol_type ||
                !bytes_equal_text(sync->protocol_type, group->protocol_type))) ||
        (sync->protocol_name.data && group->protocol_name &&
            !bytes_equal_text(sync->protocol_name, group->protocol_name)))
        return KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL;
    if (group->state == CLASSIC_PREPARING)
        return KAFKA_ERROR_REBALANCE_IN_PROGRESS;
    if (assignments_are_too_much(group, sync))
        return KAFKA_ERROR_GROUP_MAX_SIZE_REACHED;
    return group->state == CLASSIC_EMPTY ? KAFKA_ERROR_UNKNOWN_MEMBER_ID : KAFKA_ERROR_NONE;
}

static void classic_sync(
    struct group *base, const struct classic_sync *sync, void *token, int64_t now)
{
    struct classic_group *group = own(base);
    struct classic_member *member = NULL;
    int16_t error = sync_check(group, sync, &member);
    if (error) {
        struct classic_sync_answer answer = { .error = error };
        group->effects->sync(group->effects->context, &group->base, token, &answer);
        return;
    }
    sync_answer(group, member, KAFKA_ERROR_REBALANCE_IN_PROGRESS); /* an older sync of it, if any */
    member->sync_token = token;
    member->synced = true;
    member_heard(member, now);
    if (group->state == CLASSIC_STABLE) {
        sync_answer(group, member, KAFKA_ERROR_NONE);
        return;
    }
    if (group->leader && strcmp(group->leader, member->id) == 0) {
        assignments_take(group, sync);
        assignments_tell(group, now);
    }
}

/* ---- signs of life ---- */

static int16_t classic_heartbeat(struct group *base, struct bytes member_id,
    struct bytes instance_id, int32_t generation, int64_t now)
{
    struct classic_group *group = own(base);
    struct classic_member *member;
    int16_t error = member_check(group, member_id, instance_id, &member);
    if (error)
        return error;
    if (group->state == CLASSIC_EMPTY)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    if (generation != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    member_heard(member, now);
    return group->state == CLASSIC_PREPARING ? KAFKA_ERROR_REBALANCE_IN_PROGRESS : KAFKA_ERROR_NONE;
}

static int16_t classic_leave(
    struct group *base, struct bytes member_id, struct bytes instance_id, int64_t now)
{
    struct classic_group *group = own(base);
    struct classic_pending *pending = pending_find(group, member_id);
    (void)now; /* what follows is for classic_left: several may leave at once */
    if (pending && !instance_id.data) {
        pending_remove(group, pending);
        group->somebody_left = true; /* Kafka, too, rebalances then */
        return KAFKA_ERROR_NONE;
    }
    struct classic_member *member;
    if (instance_id.data && member_id.len == 0) {
        member = instance_find(group, instance_id); /* an admin takes a static member out */
        if (!member)
            return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    } else {
        int16_t error = member_check(group, member_id, instance_id, &member);
        if (error)
            return error;
    }
    member_drop(group, member, KAFKA_ERROR_UNKNOWN_MEMBER_ID);
    group->somebody_left = true;
    return KAFKA_ERROR_NONE;
}

static void classic_left(struct group *base, int64_t now)
{
    struct classic_group *group = own(base);
    if (group->somebody_left)
        rebalance_go_on(group, now);
    group->somebody_left = false;
}

/* A simple consumer (generation -1 and no member) may commit while nobody is a member. The producer
 * of a transaction need not be a member, and may commit while the group rebalances (KIP-447). */
static int16_t classic_check_commit(
    struct group *base, struct group_offset_client *client, int64_t now)
{
    struct classic_group *group = own(base);
    bool unnamed = client->member_id.len == 0 && !client->instance_id.data;
    if (client->epoch < 0 && group->state == CLASSIC_EMPTY)
        return KAFKA_ERROR_NONE; /* also a simple consumer that names itself */
    if (client->epoch < 0 && unnamed)
        return client->transactional ? KAFKA_ERROR_NONE : KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    struct classic_member *member;
    int16_t error = member_check(group, client->member_id, client->instance_id, &member);
    if (error)
        return error;
    if (client->epoch != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    member_heard(member, now);
    return group->state == CLASSIC_COMPLETING && !client->transactional
               ? KAFKA_ERROR_REBALANCE_IN_PROGRESS
               : KAFKA_ERROR_NONE;
}

static void classic_forget_token(struct group *base, const void *token)
{
    struct classic_group *group = own(base);
    list_foreach (node, &group->members) {
        struct classic_member *member = list_entry(node, struct classic_member, link);
        if (member->join_token == token)
            member->join_token = NULL;
        if (member->sync_token == token)
            member->sync_token = NULL;
    }
}

/* ---- time ---- */

static void timer_expire(struct classic_group *group, int64_t now)
{
    if (group->state == CLASSIC_PREPARING && group->initial) {
        initial_expire(group, now);
    } else if (group->state == CLASSIC_PREPARING) {
        join_complete(group, now);
    } else if (group->state == CLASSIC_COMPLETING || group->state == CLASSIC_STABLE) {
        members_expire_unsynced(group, now);
    }
}

static void member_expire(struct classic_group *group, struct classic_member *member, int64_t now)
{
    /* Who waits for us is alive as far as we can know. */
    if (!member->fresh && (member->join_token || member->sync_token)) {
        member_heard(member, now);
        return;
    }
    member_remove(group, member, now);
}

static void classic_expire(struct group *base, struct heap_node *node, int64_t now)
{
    struct classic_group *group = own(base);
    if (node == &group->timer) {
        timer_expire(group, now);
        return;
    }
    list_foreach (at, &group->members) {
        struct classic_member *member = list_entry(at, struct classic_member, link);
        if (&member->deadline == node) {
            member_expire(group, member, now);
            return;
        }
    }
    list_foreach (at, &group->pending) {
        struct classic_pending *pending = list_entry(at, struct classic_pending, link);
        if (&pending->deadline == node) {
            pending_remove(group, pending);
            join_try_complete(group, now);
            return;
        }
    }
}

/* ---- from and to another kind ---- */

void classic_group_release(struct classic_group *group)
{
    list_foreach (node, &group->members)
        member_refuse(group, list_entry(node, struct classic_member, link),
            KAFKA_ERROR_REBALANCE_IN_PROGRESS);
}

void classic_group_adopt(struct classic_group *group, const struct classic_join *join,
    struct bytes assignment, int64_t now)
{
    struct classic_member *member = member_add(group, join, join->member_id, NULL, now);
    member->fresh = member->joined = false;
    member->synced = true;
    member->assignment = blob_copy(assignment);
    member_count_bytes(member);
    member_heard(member, now);
}

void classic_group_adopted(
    struct classic_group *group, int32_t generation, bool rebalance, int64_t now)
{
    const char *chosen = group->member_count ? protocol_choose(group) : NULL;
    group->generation = generation;
    text_set(&group->protocol_name, chosen ? mem_strdup(chosen) : NULL);
    group->state = CLASSIC_STABLE;
    if (rebalance)
        rebalance_begin(group, now);
}

/* ---- the durable form ----
 *
 *   u8 GROUP_CLASSIC, which is also the format | u8 state | i32 generation | i64 state_since_ms |
 * text protocol_type, protocol_name, leader | u32 members each: text id, instance_id, client_id,
 * client_host | i64 session, rebalance (ns) | u32 protocols, each: text name, blob metadata | blob
 * assignment text, blob: u32 len (0xffffffff: null), bytes.        All little-endian.
 */
static void put_member(struct out *out, const struct classic_member *member)
{
    group_put_blob(out, text_of(member->id));
    group_put_blob(out, text_of(member->instance_id));
    group_put_blob(out, text_of(member->client_id));
    group_put_blob(out, text_of(member->client_host));
    out_u64(out, (uint64_t)member->session_timeout_ns);
    out_u64(out, (uint64_t)member->rebalance_timeout_ns);
    out_u32(out, (uint32_t)member->protocol_count);
    for (size_t i = 0; i < member->protocol_count; i++) {
        group_put_blob(out, text_of(member->protocols[i].name));
        group_put_blob(out, member->protocols[i].metadata);
    }
    group_put_blob(out, member->assignment);
}

static void encode(const struct classic_group *group, struct out *out)
{
    out_u8(out, GROUP_CLASSIC);
    out_u8(out, (uint8_t)group->state);
    out_u32(out, (uint32_t)group->generation);
    out_u64(out, (uint64_t)group->base.state_since_ms);
    group_put_blob(out, text_of(group->protocol_type));
    group_put_blob(out, text_of(group->protocol_name));
    group_put_blob(out, text_of(group->leader));
    out_u32(out, (uint32_t)group->member_count);
    list_foreach (node, &group->members)
        put_member(out, list_entry(node, struct classic_member, link));
}

static void classic_save(struct group *base, const struct group_rows *rows, bool all)
{
    struct out out = { 0 };
    (void)all; /* one row has it all */
    encode(own(base), &out);
    rows->put_group(rows->context, bytes_of(out.data, out.len));
    out_done(&out);
}

static void take_member(struct classic_group *group, struct cursor *cursor, int64_t now)
{
    struct classic_member *member = mem_zalloc(1, sizeof(*member));
    member->group = group;
    member->id = group_take_text(cursor);
    member->instance_id = group_take_text(cursor);
    member->client_id = group_take_text(cursor);
    member->client_host = group_take_text(cursor);
    member->session_timeout_ns = cursor_i64(cursor);
    member->rebalance_timeout_ns = cursor_i64(cursor);
    uint32_t count = cursor_u32(cursor);
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        member->protocols = mem_realloc(member->protocols, (i + 1) * sizeof(*member->protocols));
        struct bytes name = group_take_blob(cursor), metadata = group_take_blob(cursor);
        member->protocols[i].name = mem_strndup(name.data ? (const char *)name.data : "", name.len);
        member->protocols[i].metadata = blob_copy(metadata);
        member->protocol_count = i + 1;
    }
    struct bytes assignment = group_take_blob(cursor);
    member->assignment = assignment.data ? blob_copy(assignment) : assignment;
    cursor->bad |= !member->id || !member->client_id || !member->client_host;
    member->synced = true;
    member_count_bytes(member);
    list_append(&group->members, &member->link);
    cursor->bad |= !id_link(group, member);
    group->member_count++;
    if (!cursor->bad)
        member_heard(member, now);
}

int classic_row_parse(struct bytes data, struct classic_row *ret)
{
    struct cursor cursor = cursor_of(data);
    if (cursor_u8(&cursor) != GROUP_CLASSIC)
        return -EBADMSG;
    (void)cursor_u8(&cursor); /* the state */
    ret->generation = cursor_i32(&cursor);
    ret->state_since_ms = cursor_i64(&cursor);
    ret->protocol_type = group_take_blob(&cursor);
    ret->protocol_name = group_take_blob(&cursor);
    ret->leader = group_take_blob(&cursor);
    ret->member_count = cursor_u32(&cursor);
    ret->members = cursor;
    return cursor.bad ? -EBADMSG : 0;
}

bool classic_row_next(struct classic_row *row, struct classic_row_member *ret)
{
    struct cursor *cursor = &row->members;
    if (!row->member_count)
        return false;
    row->member_count--;
    *ret = (struct classic_row_member){ 0 };
    ret->id = group_take_blob(cursor);
    ret->instance_id = group_take_blob(cursor);
    ret->client_id = group_take_blob(cursor);
    ret->client_host = group_take_blob(cursor);
    ret->session_timeout_ns = cursor_i64(cursor);
    ret->rebalance_timeout_ns = cursor_i64(cursor);
    uint32_t count = cursor_u32(cursor);
    for (uint32_t i = 0; i < count && !cursor->bad; i++) {
        struct bytes name = group_take_blob(cursor), metadata = group_take_blob(cursor);
        if (row->protocol_name.data && bytes_equal(name, row->protocol_name))
            ret->metadata = metadata;
    }
    ret->assignment = group_take_blob(cursor);
    return !cursor->bad;
}

static int classic_load(struct group *base, struct bytes data, int64_t now)
{
    struct classic_group *group = own(base);
    struct cursor cursor = cursor_of(data);
    uint8_t kind = cursor_u8(&cursor), state = cursor_u8(&cursor);
    if (kind != GROUP_CLASSIC)
        return -EBADMSG;
    group->generation = cursor_i32(&cursor);
    group->base.state_since_ms = cursor_i64(&cursor);
    text_set(&group->protocol_type, group_take_text(&cursor));
    text_set(&group->protocol_name, group_take_text(&cursor));
    text_set(&group->leader, group_take_text(&cursor));
    uint32_t count = cursor_u32(&cursor);
    for (uint32_t i = 0; i < count && !cursor.bad; i++)
        take_member(group, &cursor, now);
    if (cursor.bad || cursor.left)
        return -EBADMSG;
    group->state = group->member_count ? CLASSIC_STABLE : CLASSIC_EMPTY;
    if (group->member_count && state != CLASSIC_STABLE) {
        /* Stopped between a join and the leader's sync: the members join once more. */
        group->state = CLASSIC_PREPARING;
        group_deadline_set(&group->base, &group->timer, now + rebalance_timeout(group));
    }
    return 0;
}

static int classic_load_member(struct group *base, struct bytes id, struct bytes row, int64_t now)
{
    (void)base;
    (void)id;
    (void)row;
    (void)now;
    return -EBADMSG; /* members stand in the group's row */
}

/* ---- the table ---- */

static const char *classic_state_of(const struct group *base)
{
    return classic_state_name(own_const(base)->state);
}

static const char *classic_protocol_type(const struct group *base)
{
    const char *type = own_const(base)->protocol_type;
    return type ? type : "";
}

/* While no protocol is chosen all may want anything. */
static bool classic_each_subscribed(
    const struct group *base, void (*each)(void *context, struct bytes topic), void *context)
{
    const struct classic_group *group = own_const(base);
    if (group->state != CLASSIC_EMPTY && !group->protocol_name)
        return false;
    list_foreach (node, &group->members) {
        const struct classic_member *member = list_entry(node, struct classic_member, link);
        struct consumer_subscription subscription;
        if (consumer_subscription_read(&subscription, classic_member_metadata(member)) < 0)
            return false;
        for (int32_t i = 0; i < subscription.body.topics_count; i++)
            each(context, subscription.body.topics[i]);
        consumer_subscription_done(&subscription);
    }
    return true;
}

/* As Kafka 4.3: a group that never had members has the time of each commit only; while members
 * rebalance, or are no consumers, nobody knows what they read. */
static enum group_retention classic_retention(const struct group *base)
{
    const struct classic_group *group = own_const(base);
    if (!group->protocol_type)
        return GROUP_OFFSETS_BY_COMMIT;
    if (group->state == CLASSIC_EMPTY)
        return GROUP_OFFSETS_BY_STATE;
    return group->state == CLASSIC_STABLE && strcmp(group->protocol_type, "consumer") == 0
               ? GROUP_OFFSETS_BY_COMMIT
               : GROUP_KEEPS_OFFSETS;
}

static bool classic_is_empty(const struct group *base)
{
    return own_const(base)->state == CLASSIC_EMPTY;
}

static const struct group_operations operations = {
    .kind = GROUP_CLASSIC,
    .type_name = "classic",
    .destroy = classic_destroy,
    .state_name = classic_state_of,
    .protocol_type = classic_protocol_type,
    .is_empty = classic_is_empty,
    .each_subscribed = classic_each_subscribed,
    .retention = classic_retention,
    .expire = classic_expire,
    .save = classic_save,
    .load = classic_load,
    .load_member = classic_load_member,
    .check_commit = classic_check_commit,
    .join = classic_join,
    .sync = classic_sync,
    .heartbeat = classic_heartbeat,
    .leave = classic_leave,
    .left = classic_left,
    .forget_token = classic_forget_token,
};
