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
#include "broker/group.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"

#define NS_PER_MS INT64_C(1000000)

/* A fresh member waits for the others of its first rebalance, however long: Kafka gives it five
 * minutes. */
#define FRESH_SESSION_NS (INT64_C(300) * 1000 * NS_PER_MS)

static void members_expire_unsynced(struct group *group, int64_t now);
static void rebalance_begin(struct group *group, int64_t now);
static void join_try_complete(struct group *group, int64_t now);
static void join_complete(struct group *group, int64_t now);

/* ---- small parts ---- */

const char *group_state_name(enum group_state state)
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

static void deadline_set(struct group *group, struct heap_node *node, int64_t at)
{
    heap_remove(&group->deadlines, node);
    heap_insert(&group->deadlines, node, at);
    group->effects->schedule(group->effects->context, group);
}

static void deadline_clear(struct group *group, struct heap_node *node)
{
    heap_remove(&group->deadlines, node);
    group->effects->schedule(group->effects->context, group);
}

static void member_heard(struct group_member *member, int64_t now)
{
    deadline_set(member->group, &member->deadline, now + member->session_timeout_ns);
}

/* ---- memory ---- */

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static void member_count_bytes(struct group_member *member)
{
    size_t *bytes = member->group->limits->bytes;
    size_t size = sizeof(*member) + text_size(member->id) + text_size(member->instance_id) +
                  text_size(member->client_id) + text_size(member->client_host) +
                  member->assignment.len;
    for (size_t i = 0; i < member->protocol_count; i++)
        size += sizeof(*member->protocols) + text_size(member->protocols[i].name) +
                member->protocols[i].metadata.len;
    *bytes += size - member->bytes;
    member->bytes = size;
}

static size_t pending_size(const struct group_pending *pending)
{
    return sizeof(*pending) + text_size(pending->id);
}

static bool is_full(const struct group *group, size_t more)
{
    return *group->limits->bytes + more > group->limits->bytes_max;
}

/* Would this join make the groups larger than they may be? */
static bool join_is_too_much(const struct group *group, const struct group_join *join)
{
    const struct group_member *member = group_member(group, join->member_id);
    size_t size = sizeof(*member) + 2 * GROUP_MEMBER_ID_SIZE;
    for (size_t i = 0; i < join->protocol_count; i++)
        size += sizeof(*member->protocols) + join->protocols[i].name.len +
                join->protocols[i].metadata.len;
    size_t has = member ? member->bytes : 0;
    return size > has && is_full(group, size - has);
}

/* ---- members ---- */

static void protocols_free(struct group_member *member)
{
    for (size_t i = 0; i < member->protocol_count; i++) {
        mem_free(member->protocols[i].name);
        blob_free(member->protocols[i].metadata);
    }
    mem_free(member->protocols);
    member->protocols = NULL;
    member->protocol_count = 0;
}

static void protocols_set(struct group_member *member, const struct group_join *join)
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

static void member_destroy(struct group_member *member)
{
    *member->group->limits->bytes -= member->bytes;
    protocols_free(member);
    blob_free(member->assignment);
    mem_free(member->id);
    mem_free(member->instance_id);
    mem_free(member->client_id);
    mem_free(member->client_host);
    mem_free(member);
}

struct group_member *group_member(const struct group *group, struct bytes member_id)
{
    list_foreach (node, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        if (bytes_equal_text(member_id, member->id))
            return member;
    }
    return NULL;
}

static struct group_member *instance_find(const struct group *group, struct bytes instance_id)
{
    if (!instance_id.data)
        return NULL;
    list_foreach (node, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        if (member->instance_id && bytes_equal_text(instance_id, member->instance_id))
            return member;
    }
    return NULL;
}

static struct group_pending *pending_find(const struct group *group, struct bytes member_id)
{
    list_foreach (node, &group->pending) {
        struct group_pending *pending = list_entry(node, struct group_pending, link);
        if (bytes_equal_text(member_id, pending->id))
            return pending;
    }
    return NULL;
}

static void pending_remove(struct group *group, struct group_pending *pending)
{
    deadline_clear(group, &pending->deadline);
    list_remove(&pending->link);
    *group->limits->bytes -= pending_size(pending);
    mem_free(pending->id);
    mem_free(pending);
}

struct bytes group_member_metadata(const struct group_member *member)
{
    const char *chosen = member->group->protocol_name;
    for (size_t i = 0; chosen && i < member->protocol_count; i++) {
        if (strcmp(member->protocols[i].name, chosen) == 0)
            return member->protocols[i].metadata;
    }
    return bytes_of("", 0);
}

/* ---- protocols ---- */

static bool member_supports(const struct group_member *member, const char *name)
{
    for (size_t i = 0; i < member->protocol_count; i++) {
        if (strcmp(member->protocols[i].name, name) == 0)
            return true;
    }
    return false;
}

static bool all_support(const struct group *group, const char *name)
{
    list_foreach (node, &group->members) {
        if (!member_supports(list_entry(node, struct group_member, link), name))
            return false;
    }
    return true;
}

/* Can a member with these protocols join this group at all? */
static bool protocols_fit(const struct group *group, const struct group_join *join)
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
static struct group_member *first_member(const struct group *group)
{
    return list_entry(list_first(&group->members), struct group_member, link);
}

static size_t votes_for(const struct group *group, const bool *candidates, size_t candidate)
{
    const struct group_member *first = first_member(group);
    size_t votes = 0;
    list_foreach (node, &group->members) {
        const struct group_member *member = list_entry(node, struct group_member, link);
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
static const char *protocol_choose(const struct group *group)
{
    const struct group_member *first = first_member(group);
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

static bool protocols_same(const struct group_member *member, const struct group_join *join)
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

static void join_refuse(struct group *group, void *token, int16_t error, struct bytes member_id)
{
    char *id = member_id.data ? text_copy(member_id) : mem_strdup("");
    struct group_join_answer answer = {
        .error = error, .generation = -1, .leader = "", .member_id = id
    };
    group->effects->join(group->effects->context, group, token, &answer);
    mem_free(id);
}

static void join_answer(struct group *group, struct group_member *member)
{
    void *token = member->join_token;
    if (!token)
        return;
    member->join_token = NULL;
    struct group_join_answer answer = {
        .generation = group->generation,
        .protocol_type = group->protocol_type,
        .protocol_name = group->protocol_name,
        .leader = group->leader ? group->leader : "",
        .member_id = member->id,
        .with_members = group->leader && strcmp(group->leader, member->id) == 0,
    };
    group->effects->join(group->effects->context, group, token, &answer);
}

static void sync_answer(struct group *group, struct group_member *member, int16_t error)
{
    void *token = member->sync_token;
    if (!token)
        return;
    member->sync_token = NULL;
    struct bytes assignment = error ? (struct bytes){ 0 } : member->assignment;
    group->effects->sync(group->effects->context, group, token, error, assignment);
}

/* Whoever waits for this member hears `error`. */
static void member_refuse(struct group *group, struct group_member *member, int16_t error)
{
    if (member->join_token) {
        void *token = member->join_token;
        member->join_token = NULL;
        join_refuse(group, token, error, text_of(member->id));
    }
    sync_answer(group, member, error);
}

/* ---- life ---- */

struct group *group_create(
    struct bytes id, const struct group_limits *limits, const struct group_effects *effects)
{
    struct group *group = mem_zalloc(1, sizeof(*group));
    group->id = text_copy(id);
    group->limits = limits;
    group->effects = effects;
    list_init(&group->members);
    list_init(&group->pending);
    list_init(&group->link);
    list_init(&group->bucket);
    *limits->bytes += sizeof(*group) + text_size(group->id);
    return group;
}

static void member_unlink(struct group *group, struct group_member *member)
{
    heap_remove(&group->deadlines, &member->deadline);
    list_remove(&member->link);
    group->member_count--;
}

void group_destroy(struct group *group)
{
    for (struct list *node; (node = list_first(&group->members));) {
        struct group_member *member = list_entry(node, struct group_member, link);
        member_unlink(group, member);
        member_destroy(member);
    }
    for (struct list *node; (node = list_pop(&group->pending));) {
        struct group_pending *pending = list_entry(node, struct group_pending, link);
        *group->limits->bytes -= pending_size(pending);
        mem_free(pending->id);
        mem_free(pending);
    }
    *group->limits->bytes -= sizeof(*group) + text_size(group->id);
    heap_done(&group->deadlines);
    mem_free(group->protocol_type);
    mem_free(group->protocol_name);
    mem_free(group->leader);
    mem_free(group->id);
    mem_free(group);
}

/* ---- rebalance ---- */

static int64_t rebalance_timeout(const struct group *group)
{
    int64_t longest = 0;
    list_foreach (node, &group->members) {
        const struct group_member *member = list_entry(node, struct group_member, link);
        if (member->rebalance_timeout_ns > longest)
            longest = member->rebalance_timeout_ns;
    }
    return longest;
}

static bool all_joined(const struct group *group)
{
    list_foreach (node, &group->members) {
        if (!list_entry(node, struct group_member, link)->joined)
            return false;
    }
    return list_empty(&group->pending);
}

static void rebalance_begin(struct group *group, int64_t now)
{
    bool was_empty = group->state == GROUP_EMPTY;
    list_foreach (node, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        if (group->state == GROUP_COMPLETING) {
            blob_free(member->assignment);
            member->assignment = (struct bytes){ 0 };
            member_count_bytes(member);
            /* Its session went on to count only when the join was answered. */
            if (member->sync_token)
                member_heard(member, now);
            sync_answer(group, member, KAFKA_ERROR_REBALANCE_IN_PROGRESS);
        }
    }
    group->state = GROUP_PREPARING;
    group->initial = was_empty;
    if (!was_empty) {
        deadline_set(group, &group->timer, now + rebalance_timeout(group));
        join_try_complete(group, now);
        return;
    }
    int64_t delay = group->limits->initial_delay_ns, longest = rebalance_timeout(group);
    group->member_added = false;
    group->initial_remaining_ns = longest > delay ? longest - delay : 0;
    deadline_set(group, &group->timer, now + (delay < longest ? delay : longest));
}

static void join_try_complete(struct group *group, int64_t now)
{
    if (group->state == GROUP_PREPARING && !group->initial && all_joined(group))
        join_complete(group, now);
}

/* The initial delay is over: wait on while members keep coming, at most the rebalance timeout in
 * all. */
static void initial_expire(struct group *group, int64_t now)
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
    deadline_set(group, &group->timer, now + delay);
}

static void member_drop(struct group *group, struct group_member *member, int16_t error)
{
    member_refuse(group, member, error);
    member_unlink(group, member);
    if (group->leader && strcmp(group->leader, member->id) == 0) {
        struct list *first = list_first(&group->members);
        text_set(&group->leader,
            first ? mem_strdup(list_entry(first, struct group_member, link)->id) : NULL);
    }
    member_destroy(member);
}

/* Dynamic members that did not come are gone; static ones stay until their session ends. */
static void absentees_drop(struct group *group)
{
    list_foreach_safe (node, following, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        if (!member->joined && !member->instance_id)
            member_drop(group, member, KAFKA_ERROR_UNKNOWN_MEMBER_ID);
    }
}

/* The leader must be somebody who has joined. False: nobody has. */
static bool leader_elect(struct group *group)
{
    struct group_member *leader =
        group->leader ? group_member(group, text_of(group->leader)) : NULL;
    if (leader && leader->joined)
        return true;
    list_foreach (node, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        if (member->joined) {
            text_set(&group->leader, mem_strdup(member->id));
            return true;
        }
    }
    return false;
}

static void group_become_empty(struct group *group)
{
    group->generation++;
    group->state = GROUP_EMPTY;
    text_set(&group->protocol_name, NULL);
    text_set(&group->leader, NULL);
    (void)group->effects->persist(group->effects->context, group); /* nobody is told of it */
}

/* The generation could not be made durable: everybody joins again. */
static void joins_refuse(struct group *group, int16_t error, int64_t now)
{
    group->state = GROUP_PREPARING;
    list_foreach (node, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        member->joined = false;
        member_refuse(group, member, error);
    }
    deadline_set(group, &group->timer, now + rebalance_timeout(group));
}

static void join_complete(struct group *group, int64_t now)
{
    deadline_clear(group, &group->timer);
    absentees_drop(group);
    if (group->member_count == 0) {
        group_become_empty(group);
        return;
    }
    if (!leader_elect(group)) {
        /* Only static members, and none of them came: wait for them once more. */
        deadline_set(group, &group->timer, now + rebalance_timeout(group));
        return;
    }
    group->generation++;
    group->state = GROUP_COMPLETING;
    const char *chosen = protocol_choose(group);
    text_set(&group->protocol_name, chosen ? mem_strdup(chosen) : NULL);
    /* A generation is told only when it can't be given out again after a crash. */
    int16_t error = group->effects->persist(group->effects->context, group);
    if (error) {
        joins_refuse(group, error, now);
        return;
    }
    list_foreach (node, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        /* Also one whose connection was lost while it waited: its session counts from here. */
        if (member->joined)
            member_heard(member, now);
        member->synced = member->fresh = false;
        member->joined = false;
        join_answer(group, member);
    }
    deadline_set(group, &group->timer, now + rebalance_timeout(group));
}

/* Members that joined and never synced hold everybody up. */
static void members_expire_unsynced(struct group *group, int64_t now)
{
    bool dropped = false;
    list_foreach_safe (node, following, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        if (!member->synced && !member->sync_token) {
            member_drop(group, member, KAFKA_ERROR_UNKNOWN_MEMBER_ID);
            dropped = true;
        }
    }
    if (dropped)
        rebalance_begin(group, now);
}

static void member_remove(struct group *group, struct group_member *member, int64_t now)
{
    member_drop(group, member, KAFKA_ERROR_UNKNOWN_MEMBER_ID);
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING)
        rebalance_begin(group, now);
    else
        join_try_complete(group, now);
}

/* ---- join ---- */

static struct group_member *member_add(
    struct group *group, const struct group_join *join, struct bytes id, void *token, int64_t now)
{
    struct group_member *member = mem_zalloc(1, sizeof(*member));
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
    group->member_count++;
    member->fresh = member->joined = true;
    member->join_token = token;
    if (group->state == GROUP_PREPARING)
        group->member_added = true;
    deadline_set(group, &member->deadline, now + FRESH_SESSION_NS);
    return member;
}

static void rebalance_or_complete(struct group *group, int64_t now)
{
    if (group->state == GROUP_PREPARING)
        join_try_complete(group, now);
    else
        rebalance_begin(group, now);
}

static void member_rejoin(
    struct group_member *member, const struct group_join *join, void *token, int64_t now)
{
    struct group *group = member->group;
    /* A second join of the same member (its connection was lost): the older one hears to try again.
     */
    if (member->join_token)
        member_refuse(group, member, KAFKA_ERROR_REBALANCE_IN_PROGRESS);
    protocols_set(member, join);
    member->session_timeout_ns = join->session_timeout_ms * NS_PER_MS;
    member->rebalance_timeout_ns = join->rebalance_timeout_ms * NS_PER_MS;
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
    struct group_member *member, const struct group_join *join, void *token, int64_t now)
{
    struct group *group = member->group;
    char id[GROUP_MEMBER_ID_SIZE];
    group->effects->member_id(group->effects->context, join->instance_id, id, sizeof(id));
    member_refuse(group, member, KAFKA_ERROR_FENCED_INSTANCE_ID);
    bool leads = group->leader && strcmp(group->leader, member->id) == 0;
    char *old_id = member->id;
    member->id = mem_strdup(id);
    member_count_bytes(member);
    if (leads)
        text_set(&group->leader, mem_strdup(id));
    bool same = protocols_same(member, join);
    if (group->state != GROUP_STABLE || !same) {
        mem_free(old_id);
        member_rejoin(member, join, token, now);
        return;
    }
    member_heard(member, now);
    int16_t error = group->effects->persist(group->effects->context, group);
    if (error) {
        join_refuse(group, token, error, text_of(id));
        mem_free(old_id);
        return;
    }
    struct group_join_answer answer = {
        .generation = group->generation,
        .protocol_type = group->protocol_type,
        .protocol_name = group->protocol_name,
        /* Older clients must not think they lead: they would assign anew. */
        .leader = leads && !join->can_skip_assignment ? old_id
                  : group->leader                     ? group->leader
                                                      : "",
        .member_id = member->id,
        .skip_assignment = leads && join->can_skip_assignment,
        .with_members = leads && join->can_skip_assignment,
    };
    group->effects->join(group->effects->context, group, token, &answer);
    mem_free(old_id);
}

static void join_unknown(
    struct group *group, const struct group_join *join, void *token, int64_t now)
{
    struct group_member *member = instance_find(group, join->instance_id);
    if (member) {
        static_replace(member, join, token, now);
        return;
    }
    char id[GROUP_MEMBER_ID_SIZE];
    struct bytes prefix = join->instance_id.data ? join->instance_id
                          : join->client_id.data ? join->client_id
                                                 : bytes_of("", 0);
    group->effects->member_id(group->effects->context, prefix, id, sizeof(id));
    if (!join->require_member_id || join->instance_id.data) {
        (void)member_add(group, join, bytes_text(id), token, now);
        rebalance_or_complete(group, now);
        return;
    }
    struct group_pending *pending = mem_zalloc(1, sizeof(*pending));
    pending->id = mem_strdup(id);
    *group->limits->bytes += pending_size(pending);
    list_append(&group->pending, &pending->link);
    deadline_set(group, &pending->deadline, now + join->session_timeout_ms * NS_PER_MS);
    join_refuse(group, token, KAFKA_ERROR_MEMBER_ID_REQUIRED, bytes_text(id));
}

/* NONE, or what is wrong with a member id (and instance id) that the client says it has. */
static int16_t member_check(struct group *group, struct bytes member_id, struct bytes instance_id,
    struct group_member **ret_member)
{
    struct group_member *member = group_member(group, member_id);
    if (instance_id.data) {
        struct group_member *owner = instance_find(group, instance_id);
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

static void join_known(struct group *group, const struct group_join *join, void *token, int64_t now)
{
    struct group_pending *pending = pending_find(group, join->member_id);
    if (pending) {
        pending_remove(group, pending);
        (void)member_add(group, join, join->member_id, token, now);
        rebalance_or_complete(group, now);
        return;
    }
    struct group_member *member;
    int16_t error = member_check(group, join->member_id, join->instance_id, &member);
    if (error) {
        join_refuse(group, token, error, join->member_id);
        return;
    }
    bool leads = group->leader && strcmp(group->leader, member->id) == 0;
    bool current = protocols_same(member, join) &&
                   (group->state == GROUP_COMPLETING || (group->state == GROUP_STABLE && !leads));
    if (!current) {
        member_rejoin(member, join, token, now);
        return;
    }
    /* It missed the answer to its join: say it again. */
    member_heard(member, now);
    member->join_token = token;
    join_answer(group, member);
}

void group_join(struct group *group, const struct group_join *join, void *token, int64_t now)
{
    bool unknown = join->member_id.len == 0;
    if (join->session_timeout_ms < group->limits->session_min_ms ||
        join->session_timeout_ms > group->limits->session_max_ms) {
        join_refuse(group, token, KAFKA_ERROR_INVALID_SESSION_TIMEOUT, join->member_id);
        return;
    }
    if (join->protocol_count > GROUP_PROTOCOLS_MAX || !protocols_fit(group, join)) {
        join_refuse(group, token, KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL, join->member_id);
        return;
    }
    bool is_new =
        unknown ? !instance_find(group, join->instance_id) : !group_member(group, join->member_id);
    if ((is_new && group->member_count >= group->limits->members_max) ||
        join_is_too_much(group, join)) {
        join_refuse(group, token, KAFKA_ERROR_GROUP_MAX_SIZE_REACHED, join->member_id);
        return;
    }
    if (unknown)
        join_unknown(group, join, token, now);
    else
        join_known(group, join, token, now);
}

/* ---- sync ---- */

static void assignments_take(struct group *group, const struct group_sync *sync)
{
    list_foreach (node, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
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
static bool assignments_are_too_much(const struct group *group, const struct group_sync *sync)
{
    size_t size = 0;
    for (size_t i = 0; i < sync->assignment_count; i++)
        size += sync->assignments[i].assignment.len;
    return sync->assignment_count > 2 * group->member_count + 16 || is_full(group, size);
}

static void assignments_tell(struct group *group, int64_t now)
{
    group->state = GROUP_STABLE;
    int16_t error = group->effects->persist(group->effects->context, group);
    if (error) {
        group->state = GROUP_COMPLETING;
        list_foreach (node, &group->members)
            sync_answer(group, list_entry(node, struct group_member, link), error);
        rebalance_begin(group, now);
        return;
    }
    deadline_clear(group, &group->timer);
    list_foreach (node, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        if (member->sync_token)
            member_heard(member, now);
        sync_answer(group, member, KAFKA_ERROR_NONE);
    }
    /* Those who still have to come find their assignment; the timer keeps them to it. */
    bool waiting = false;
    list_foreach (node, &group->members)
        waiting |= !list_entry(node, struct group_member, link)->synced;
    if (waiting)
        deadline_set(group, &group->timer, now + rebalance_timeout(group));
}

static int16_t sync_check(
    struct group *group, const struct group_sync *sync, struct group_member **ret_member)
{
    int16_t error = member_check(group, sync->member_id, sync->instance_id, ret_member);
    if (error)
        return error;
    if (sync->generation != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    if ((sync->protocol_type.data &&
            (!group->protocol_type ||
                !bytes_equal_text(sync->protocol_type, group->protocol_type))) ||
        (sync->protocol_name.data &&
            (!group->protocol_name ||
                !bytes_equal_text(sync->protocol_name, group->protocol_name))))
        return KAFKA_ERROR_INCONSISTENT_GROUP_PROTOCOL;
    if (group->state == GROUP_PREPARING)
        return KAFKA_ERROR_REBALANCE_IN_PROGRESS;
    if (assignments_are_too_much(group, sync))
        return KAFKA_ERROR_GROUP_MAX_SIZE_REACHED;
    return group->state == GROUP_EMPTY ? KAFKA_ERROR_UNKNOWN_MEMBER_ID : KAFKA_ERROR_NONE;
}

void group_sync(struct group *group, const struct group_sync *sync, void *token, int64_t now)
{
    struct group_member *member = NULL;
    int16_t error = sync_check(group, sync, &member);
    if (error) {
        group->effects->sync(group->effects->context, group, token, error, (struct bytes){ 0 });
        return;
    }
    sync_answer(group, member, KAFKA_ERROR_REBALANCE_IN_PROGRESS); /* an older sync of it, if any */
    member->sync_token = token;
    member->synced = true;
    member_heard(member, now);
    if (group->state == GROUP_STABLE) {
        sync_answer(group, member, KAFKA_ERROR_NONE);
        return;
    }
    if (group->leader && strcmp(group->leader, member->id) == 0) {
        assignments_take(group, sync);
        assignments_tell(group, now);
    }
}

/* ---- signs of life ---- */

int16_t group_heartbeat(struct group *group, struct bytes member_id, struct bytes instance_id,
    int32_t generation, int64_t now)
{
    struct group_member *member;
    int16_t error = member_check(group, member_id, instance_id, &member);
    if (error)
        return error;
    if (group->state == GROUP_EMPTY)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    if (generation != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    member_heard(member, now);
    return group->state == GROUP_PREPARING ? KAFKA_ERROR_REBALANCE_IN_PROGRESS : KAFKA_ERROR_NONE;
}

int16_t group_leave(
    struct group *group, struct bytes member_id, struct bytes instance_id, int64_t now)
{
    struct group_pending *pending = pending_find(group, member_id);
    if (pending && !instance_id.data) {
        pending_remove(group, pending);
        join_try_complete(group, now);
        return KAFKA_ERROR_NONE;
    }
    struct group_member *member;
    if (instance_id.data && member_id.len == 0) {
        member = instance_find(group, instance_id); /* an admin takes a static member out */
        if (!member)
            return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    } else {
        int16_t error = member_check(group, member_id, instance_id, &member);
        if (error)
            return error;
    }
    member_remove(group, member, now);
    return KAFKA_ERROR_NONE;
}

int16_t group_check_commit(struct group *group, struct bytes member_id, struct bytes instance_id,
    int32_t generation, int64_t now)
{
    if (generation < 0 && member_id.len == 0 && !instance_id.data)
        return group->state == GROUP_EMPTY ? KAFKA_ERROR_NONE : KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    if (generation < 0 && group->state == GROUP_EMPTY)
        return KAFKA_ERROR_NONE; /* a simple consumer that names itself */
    struct group_member *member;
    int16_t error = member_check(group, member_id, instance_id, &member);
    if (error)
        return error;
    if (generation != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    member_heard(member, now);
    return group->state == GROUP_COMPLETING ? KAFKA_ERROR_REBALANCE_IN_PROGRESS : KAFKA_ERROR_NONE;
}

int16_t group_check_transactional_commit(struct group *group, struct bytes member_id,
    struct bytes instance_id, int32_t generation, int64_t now)
{
    if (generation < 0 && (group->state == GROUP_EMPTY || (!member_id.len && !instance_id.data)))
        return KAFKA_ERROR_NONE;
    struct group_member *member;
    int16_t error = member_check(group, member_id, instance_id, &member);
    if (error)
        return error;
    if (generation != group->generation)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    member_heard(member, now);
    return KAFKA_ERROR_NONE;
}

void group_forget_token(struct group *group, const void *token)
{
    list_foreach (node, &group->members) {
        struct group_member *member = list_entry(node, struct group_member, link);
        if (member->join_token == token)
            member->join_token = NULL;
        if (member->sync_token == token)
            member->sync_token = NULL;
    }
}

/* ---- time ---- */

int64_t group_next_deadline(const struct group *group)
{
    struct heap_node *node = heap_first(&group->deadlines);
    return node ? node->key : INT64_MAX;
}

static void timer_expire(struct group *group, int64_t now)
{
    if (group->state == GROUP_PREPARING && group->initial) {
        initial_expire(group, now);
    } else if (group->state == GROUP_PREPARING) {
        join_complete(group, now);
    } else if (group->state == GROUP_COMPLETING || group->state == GROUP_STABLE) {
        members_expire_unsynced(group, now);
    }
}

static void member_expire(struct group *group, struct group_member *member, int64_t now)
{
    /* Who waits for us is alive as far as we can know. */
    if (!member->fresh && (member->join_token || member->sync_token)) {
        member_heard(member, now);
        return;
    }
    member_remove(group, member, now);
}

static void deadline_expire(struct group *group, struct heap_node *node, int64_t now)
{
    if (node == &group->timer) {
        timer_expire(group, now);
        return;
    }
    list_foreach (at, &group->members) {
        struct group_member *member = list_entry(at, struct group_member, link);
        if (&member->deadline == node) {
            member_expire(group, member, now);
            return;
        }
    }
    list_foreach (at, &group->pending) {
        struct group_pending *pending = list_entry(at, struct group_pending, link);
        if (&pending->deadline == node) {
            pending_remove(group, pending);
            join_try_complete(group, now);
            return;
        }
    }
}

void group_tick(struct group *group, int64_t now)
{
    struct heap_node *node;
    while ((node = heap_first(&group->deadlines)) && node->key <= now) {
        heap_remove(&group->deadlines, node);
        deadline_expire(group, node, now);
    }
    group->effects->schedule(group->effects->context, group);
}

/* ---- the durable form ----
 *
 *   u8 format (1) | u8 state | i32 generation | i64 state_since_ms | text protocol_type,
 * protocol_name, leader | u32 members each: text id, instance_id, client_id, client_host | i64
 * session, rebalance (ns) | u32 protocols, each: text name, blob metadata | blob assignment text,
 * blob: u32 len (0xffffffff: null), bytes.        All little-endian.
 */
enum { GROUP_FORMAT = 1 };

static void put_blob(struct out *out, struct bytes blob)
{
    le_put32(out_add(out, 4), blob.data ? (uint32_t)blob.len : UINT32_MAX);
    if (blob.data)
        out_bytes(out, blob.data, blob.len);
}

static void put_member(struct out *out, const struct group_member *member)
{
    put_blob(out, text_of(member->id));
    put_blob(out, text_of(member->instance_id));
    put_blob(out, text_of(member->client_id));
    put_blob(out, text_of(member->client_host));
    le_put64(out_add(out, 8), (uint64_t)member->session_timeout_ns);
    le_put64(out_add(out, 8), (uint64_t)member->rebalance_timeout_ns);
    le_put32(out_add(out, 4), (uint32_t)member->protocol_count);
    for (size_t i = 0; i < member->protocol_count; i++) {
        put_blob(out, text_of(member->protocols[i].name));
        put_blob(out, member->protocols[i].metadata);
    }
    put_blob(out, member->assignment);
}

void group_encode(const struct group *group, struct out *out)
{
    *out_add(out, 1) = GROUP_FORMAT;
    *out_add(out, 1) = (uint8_t)group->state;
    le_put32(out_add(out, 4), (uint32_t)group->generation);
    le_put64(out_add(out, 8), (uint64_t)group->state_since_ms);
    put_blob(out, text_of(group->protocol_type));
    put_blob(out, text_of(group->protocol_name));
    put_blob(out, text_of(group->leader));
    le_put32(out_add(out, 4), (uint32_t)group->member_count);
    list_foreach (node, &group->members)
        put_member(out, list_entry(node, struct group_member, link));
}

/* A reader whose error sticks: after it everything reads as nothing. */
struct reader {
    struct bytes rest;
    bool bad;
};

static const uint8_t *take(struct reader *reader, size_t len)
{
    if (reader->bad || reader->rest.len < len) {
        reader->bad = true;
        return NULL;
    }
    const uint8_t *at = reader->rest.data;
    reader->rest.data += len;
    reader->rest.len -= len;
    return at;
}

static uint32_t take32(struct reader *reader)
{
    const uint8_t *at = take(reader, 4);
    return at ? le_get32(at) : 0;
}

static int64_t take64(struct reader *reader)
{
    const uint8_t *at = take(reader, 8);
    return at ? (int64_t)le_get64(at) : 0;
}

static struct bytes take_blob(struct reader *reader)
{
    uint32_t len = take32(reader);
    if (reader->bad || len == UINT32_MAX)
        return (struct bytes){ 0 };
    const uint8_t *at = take(reader, len);
    return at ? bytes_of(at, len) : (struct bytes){ 0 };
}

static char *take_text(struct reader *reader)
{
    return text_copy(take_blob(reader));
}

static void take_member(struct group *group, struct reader *reader, int64_t now)
{
    struct group_member *member = mem_zalloc(1, sizeof(*member));
    member->group = group;
    member->id = take_text(reader);
    member->instance_id = take_text(reader);
    member->client_id = take_text(reader);
    member->client_host = take_text(reader);
    member->session_timeout_ns = take64(reader);
    member->rebalance_timeout_ns = take64(reader);
    uint32_t count = take32(reader);
    for (uint32_t i = 0; i < count && !reader->bad; i++) {
        member->protocols = mem_realloc(member->protocols, (i + 1) * sizeof(*member->protocols));
        struct bytes name = take_blob(reader), metadata = take_blob(reader);
        member->protocols[i].name = mem_strndup(name.data ? (const char *)name.data : "", name.len);
        member->protocols[i].metadata = blob_copy(metadata);
        member->protocol_count = i + 1;
    }
    struct bytes assignment = take_blob(reader);
    member->assignment = assignment.data ? blob_copy(assignment) : assignment;
    reader->bad |= !member->id || !member->client_id || !member->client_host;
    member->synced = true;
    member_count_bytes(member);
    list_append(&group->members, &member->link);
    group->member_count++;
    if (!reader->bad)
        member_heard(member, now);
}

int group_decode(struct group *group, struct bytes data, int64_t now)
{
    struct reader reader = { .rest = data };
    const uint8_t *head = take(&reader, 2);
    if (!head || head[0] != GROUP_FORMAT)
        return -EBADMSG;
    group->generation = (int32_t)take32(&reader);
    group->state_since_ms = take64(&reader);
    text_set(&group->protocol_type, take_text(&reader));
    text_set(&group->protocol_name, take_text(&reader));
    text_set(&group->leader, take_text(&reader));
    uint32_t count = take32(&reader);
    for (uint32_t i = 0; i < count && !reader.bad; i++)
        take_member(group, &reader, now);
    if (reader.bad || reader.rest.len)
        return -EBADMSG;
    group->state = group->member_count ? GROUP_STABLE : GROUP_EMPTY;
    if (group->member_count && head[1] != GROUP_STABLE) {
        /* Stopped between a join and the leader's sync: the members join once more. */
        group->state = GROUP_PREPARING;
        deadline_set(group, &group->timer, now + rebalance_timeout(group));
    }
    return 0;
}
