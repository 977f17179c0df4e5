/*
 * A group of the consumer protocol, step by step.
 *
 * Happy path of a heartbeat
 *  - the member is found or made, and its epoch checked (member_find).
 *  - what it says is taken over (member_update); a new subscription, or topics that changed
 *    (topics_refresh), raise the group epoch.
 *  - if the assignment is older than that and it is time, everybody's target is made anew (assign).
 *  - the member goes one step towards its target (reconcile): give up, or advance and get what
 *    nobody else still has.
 *  - what changed is kept, then told.
 *
 * Failure modes
 *  - a member is silent for its session, or does not give up in its rebalance timeout: it is
 *    removed, and what it had is free.
 *  - the state cannot be kept: the member hears so and comes again. Memory stays ahead of the disk
 *    and is written with the next change; nothing was told (what it was to be told is `untold`),
 *    and members repeat what is not answered (the previous epoch is good as long as they own no
 *    more than they were told).
 *
 * Invariants: a partition is in `assigned` or `revoking` of at most one member; epochs only grow; a
 * member's epoch is never above the assignment epoch.
 */
#include "broker/consumer_group.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"

#define NS_PER_MS INT64_C(1000000)

static const struct group_operations operations;

/* ---- small parts ---- */

struct consumer_group *consumer_group_of(struct group *group)
{
    return group->operations == &operations ? container_of(group, struct consumer_group, base)
                                            : NULL;
}

static struct consumer_group *own(const struct group *base)
{
    return container_of((struct group *)(uintptr_t)base, struct consumer_group, base);
}

static struct consumer_settings settings_of(const struct consumer_group *group)
{
    struct consumer_settings settings;
    group->effects->settings(group->effects->context, &group->base, &settings);
    return settings;
}

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* Takes over what was said; null: as before. True: it is another. */
static bool text_update(char **to, struct bytes text)
{
    if (!text.data || (*to && bytes_equal_text(text, *to)))
        return false;
    mem_free(*to);
    *to = mem_strndup((const char *)text.data, text.len);
    return true;
}

/* ---- members ---- */

void consumer_member_count_bytes(struct consumer_member *member)
{
    size_t size = sizeof(*member) + text_size(member->id) + text_size(member->instance_id) +
                  text_size(member->rack_id) + text_size(member->client_id) +
                  text_size(member->client_host) + text_size(member->regex) +
                  text_size(member->assignor) + name_list_size(&member->names);
    size += (member->assigned.capacity + member->revoking.capacity + member->target.capacity) *
            sizeof(struct partition_id);
    for (size_t i = 0; member->classic && i < member->classic->protocol_count; i++)
        size += sizeof(struct classic_protocol) + text_size(member->classic->protocols[i].name) +
                member->classic->protocols[i].metadata.len;
    member->group->base.owner->bytes += size - member->bytes;
    member->bytes = size;
}

struct consumer_member *consumer_group_member(
    const struct consumer_group *group, struct bytes member_id)
{
    struct tree_node *node = tree_find(&group->by_id, &member_id);
    return node ? container_of(node, struct consumer_member, by_id) : NULL;
}

static int compare_ids(const void *key, const struct tree_node *node)
{
    const struct bytes *id = key;
    return bytes_compare(
        *id, bytes_text(container_of_const(node, struct consumer_member, by_id)->id));
}

struct consumer_member *consumer_group_instance(
    const struct consumer_group *group, struct bytes instance_id)
{
    list_foreach (node, &group->members) {
        struct consumer_member *member = list_entry(node, struct consumer_member, link);
        if (instance_id.data && member->instance_id &&
            bytes_equal_text(instance_id, member->instance_id))
            return member;
    }
    return NULL;
}

struct consumer_member *consumer_group_add(struct consumer_group *group, struct bytes member_id)
{
    CHECK(!consumer_group_member(group, member_id));
    struct consumer_member *member = mem_zalloc(1, sizeof(*member));
    member->group = group;
    member->id = mem_strndup((const char *)member_id.data, member_id.len);
    member->client_id = mem_strdup("");
    member->client_host = mem_strdup("");
    member->rebalance_timeout_ms = -1;
    member->changed = true;
    list_append(&group->members, &member->link);
    tree_insert(&group->by_id, &member_id, &member->by_id);
    group->member_count++;
    consumer_member_count_bytes(member);
    /* It is back before its row was gone. */
    list_foreach_safe (node, following, &group->gone) {
        struct consumer_gone *gone = list_entry(node, struct consumer_gone, link);
        if (strcmp(gone->id, member->id) != 0)
            continue;
        list_remove(node);
        mem_free(gone->id);
        mem_free(gone);
    }
    return member;
}

void consumer_member_classic_free(struct consumer_member *member)
{
    struct consumer_classic *classic = member->classic;
    if (!classic)
        return;
    for (size_t i = 0; i < classic->protocol_count; i++) {
        mem_free(classic->protocols[i].name);
        mem_free((void *)(uintptr_t)classic->protocols[i].metadata.data);
    }
    mem_free(classic->protocols);
    mem_free(classic);
    member->classic = NULL;
}

void consumer_member_done(struct consumer_member *member)
{
    consumer_member_classic_free(member);
    name_list_done(&member->names);
    partition_set_done(&member->assigned);
    partition_set_done(&member->revoking);
    partition_set_done(&member->target);
    mem_free(member->id);
    mem_free(member->instance_id);
    mem_free(member->rack_id);
    mem_free(member->client_id);
    mem_free(member->client_host);
    mem_free(member->regex);
    mem_free(member->assignor);
}

static void member_destroy(struct consumer_member *member)
{
    struct heap *deadlines = &member->group->base.deadlines;
    heap_remove(deadlines, &member->session);
    heap_remove(deadlines, &member->rebalance);
    heap_remove(deadlines, &member->classic_step);
    struct bytes id = bytes_text(member->id);
    list_remove(&member->link);
    (void)tree_remove(&member->group->by_id, &id);
    member->group->member_count--;
    member->group->base.owner->bytes -= member->bytes;
    consumer_member_done(member);
    mem_free(member);
}

void consumer_group_remove(struct consumer_member *member)
{
    struct consumer_gone *gone = mem_zalloc(1, sizeof(*gone));
    gone->id = mem_strdup(member->id);
    list_append(&member->group->gone, &gone->link);
    member_destroy(member);
}

struct consumer_member *consumer_group_replace(struct consumer_member *old, struct bytes id)
{
    struct consumer_member *member = consumer_group_add(old->group, id);
    member->instance_id = old->instance_id;
    member->rack_id = old->rack_id;
    member->regex = old->regex;
    member->assignor = old->assignor;
    old->instance_id = old->rack_id = old->regex = old->assignor = NULL;
    member->rebalance_timeout_ms = old->rebalance_timeout_ms;
    name_list_copy(&member->names, &old->names);
    member->state = old->state;
    member->epoch = old->classic ? old->epoch : 0;
    member->previous_epoch = 0;
    partition_set_move(&member->assigned, &old->assigned);
    partition_set_move(&member->revoking, &old->revoking);
    partition_set_move(&member->target, &old->target);
    consumer_group_remove(old);
    return member;
}

void consumer_member_heard(struct consumer_member *member, int64_t now)
{
    int64_t timeout_ms = member->classic ? member->classic->session_timeout_ms
                                         : settings_of(member->group).session_timeout_ms;
    group_deadline_set(&member->group->base, &member->session, now + timeout_ms * NS_PER_MS);
}

/* ---- what members are subscribed to ---- */

static void regex_look_up(struct consumer_group *group, struct consumer_regex *regex)
{
    regex_resolve(bytes_text(regex->regex), group->effects->topics, &regex->names);
    size_t size = sizeof(*regex) + text_size(regex->regex) + name_list_size(&regex->names);
    group->base.owner->bytes += size - regex->bytes;
    regex->bytes = size;
}

static struct consumer_regex *regex_of(struct consumer_group *group, const char *text)
{
    list_foreach (node, &group->regexes) {
        struct consumer_regex *regex = list_entry(node, struct consumer_regex, link);
        if (strcmp(regex->regex, text) == 0)
            return regex;
    }
    struct consumer_regex *regex = mem_zalloc(1, sizeof(*regex));
    regex->regex = mem_strdup(text);
    regex_look_up(group, regex);
    list_append(&group->regexes, &regex->link);
    return regex;
}

static void regex_drop(struct consumer_group *group, struct consumer_regex *regex)
{
    group->base.owner->bytes -= regex->bytes;
    list_remove(&regex->link);
    name_list_done(&regex->names);
    mem_free(regex->regex);
    mem_free(regex);
}

static bool regex_is_used(const struct consumer_group *group, const char *text)
{
    list_foreach (node, &group->members) {
        const struct consumer_member *member = list_entry(node, struct consumer_member, link);
        if (member->regex && strcmp(member->regex, text) == 0)
            return true;
    }
    return false;
}

/* Those that no member has any more go; the others are looked up again if the topics changed. */
static void regexes_refresh(struct consumer_group *group, bool topics_changed)
{
    list_foreach_safe (node, following, &group->regexes) {
        struct consumer_regex *regex = list_entry(node, struct consumer_regex, link);
        if (!regex_is_used(group, regex->regex))
            regex_drop(group, regex);
        else if (topics_changed)
            regex_look_up(group, regex);
    }
}

static void member_topics(const struct consumer_member *member, struct topic_list *topics)
{
    const struct topic_view *view = member->group->effects->topics;
    topic_list_add(topics, &member->names, view);
    if (member->regex && member->regex[0])
        topic_list_add(topics, &regex_of(member->group, member->regex)->names, view);
}

/* Whether what the members are subscribed to is another than at the last look. */
static bool topics_refresh(struct consumer_group *group, bool subscriptions_changed)
{
    const struct topic_view *view = group->effects->topics;
    uint64_t version = view->version(view->context);
    if (version == group->topics_version && !subscriptions_changed)
        return false;
    regexes_refresh(group, version != group->topics_version);
    group->topics_version = version;
    struct topic_list topics = { 0 };
    list_foreach (node, &group->members)
        member_topics(list_entry(node, struct consumer_member, link), &topics);
    topic_list_sort(&topics);
    uint64_t hash = topic_list_hash(&topics);
    topic_list_done(&topics);
    if (hash == group->topics_hash)
        return false;
    group->topics_hash = hash;
    group->changed = true;
    return true;
}

void consumer_group_know_topics(struct consumer_group *group)
{
    (void)topics_refresh(group, true);
}

static void epoch_bump(struct consumer_group *group)
{
    group->epoch++;
    group->changed = true;
}

/* ---- the assignment ---- */

/* Each member votes for the one it names; the first of the settings if nobody does. */
static const struct assignor *assignor_choose(const struct consumer_group *group)
{
    struct consumer_settings settings = settings_of(group);
    const struct assignor *best = NULL;
    size_t best_votes = 0;
    for (size_t i = 0; i < settings.assignor_count; i++) {
        const struct assignor *assignor = assignor_find(bytes_text(settings.assignors[i]));
        size_t votes = 0;
        list_foreach (node, &group->members) {
            const struct consumer_member *member = list_entry(node, struct consumer_member, link);
            votes += member->assignor && strcmp(member->assignor, settings.assignors[i]) == 0;
        }
        if (assignor && (!best || votes > best_votes)) {
            best = assignor;
            best_votes = votes;
        }
    }
    return best ? best : assignor_find(bytes_text("uniform"));
}

const char *consumer_group_assignor(const struct consumer_group *group)
{
    return assignor_choose(group)->name;
}

/* A partition that stays with its owner keeps the epoch at which it was handed out; the target's
 * epochs mean nothing. */
static void assign(struct consumer_group *group, int64_t now)
{
    struct assignor_member *members = mem_zalloc(group->member_count, sizeof(*members));
    size_t count = 0;
    list_foreach (node, &group->members) {
        struct consumer_member *member = list_entry(node, struct consumer_member, link);
        struct assignor_member *to = &members[count++];
        *to = (struct assignor_member){ member->id, member->instance_id, { 0 }, &member->target,
            { 0 } };
        member_topics(member, &to->topics);
        topic_list_sort(&to->topics);
    }
    assignor_choose(group)->assign(members, count);
    count = 0;
    list_foreach (node, &group->members) {
        struct consumer_member *member = list_entry(node, struct consumer_member, link);
        struct assignor_member *from = &members[count++];
        if (!partition_set_equal(&member->target, &from->result)) {
            partition_set_move(&member->target, &from->result);
            member->changed = true;
            consumer_member_count_bytes(member);
        }
        partition_set_done(&from->result);
        topic_list_done(&from->topics);
    }
    mem_free(members);
    group->assignment_epoch = group->epoch;
    group->assigned_at = now;
    group->assigned_once = true;
    group->changed = true;
}

/* Not more often than group.consumer.assignment.interval.ms: what happened meanwhile is in the next
 * one. The first one is at once. */
static bool assign_is_due(const struct consumer_group *group, int64_t now)
{
    if (group->epoch <= group->assignment_epoch)
        return false;
    return !group->assigned_once || group->assignment_epoch == 0 ||
           now - group->assigned_at >= settings_of(group).assignment_interval_ms * NS_PER_MS;
}

/* ---- reconciliation ---- */

static bool is_free(const struct consumer_member *member, const struct partition_id *partition)
{
    list_foreach (node, &member->group->members) {
        const struct consumer_member *other = list_entry(node, struct consumer_member, link);
        if (other != member &&
            (partition_set_find(&other->assigned, &partition->topic, partition->index) ||
                partition_set_find(&other->revoking, &partition->topic, partition->index)))
            return false;
    }
    return true;
}

static void epoch_set(struct consumer_member *member, int32_t epoch)
{
    if (!member->untold)
        member->previous_epoch = member->epoch;
    member->epoch = epoch;
}

/* What it is to get and does not have, by whether somebody else still has it. True: somebody. */
static bool pending_split(const struct consumer_member *member, const struct partition_set *target,
    struct partition_set *ret_free)
{
    bool waits = false;
    for (size_t i = 0; i < target->count; i++) {
        const struct partition_id *item = &target->items[i];
        if (partition_set_find(&member->assigned, &item->topic, item->index))
            continue;
        if (is_free(member, item))
            partition_set_add(ret_free, &item->topic, item->index, member->group->assignment_epoch);
        else
            waits = true;
    }
    partition_set_sort(ret_free);
    return waits;
}

/* The target without topics that it does not want any more. */
static void target_wanted(const struct consumer_member *member, struct partition_set *ret_target)
{
    struct topic_list topics = { 0 };
    member_topics(member, &topics);
    topic_list_sort(&topics);
    for (size_t i = 0; i < member->target.count; i++) {
        const struct partition_id *item = &member->target.items[i];
        if (topic_list_find(&topics, &item->topic))
            partition_set_add(ret_target, &item->topic, item->index, 0);
    }
    topic_list_done(&topics);
}

bool consumer_member_waits(const struct consumer_member *member)
{
    struct partition_set target = { 0 }, free = { 0 };
    target_wanted(member, &target);
    bool waits = pending_split(member, &target, &free) && free.count == 0;
    partition_set_done(&target);
    partition_set_done(&free);
    return waits;
}

/* One step towards the target, from `epoch` with what is assigned now. */
static void advance(
    struct consumer_member *member, int32_t epoch, const struct partition_set *owned)
{
    struct partition_set target = { 0 }, revoking = { 0 }, free = { 0 };
    target_wanted(member, &target);
    partition_set_copy(&revoking, &member->assigned);
    partition_set_subtract(&revoking, &target);
    partition_set_keep(&member->assigned, &target);
    partition_set_union(&revoking, &member->revoking); /* not given up yet */
    if (revoking.count && (!owned || partition_set_meets(owned, &revoking))) {
        member->state = CONSUMER_UNREVOKED;
        epoch_set(member, epoch);
        partition_set_move(&member->revoking, &revoking);
    } else {
        bool waits = pending_split(member, &target, &free);
        partition_set_union(&member->assigned, &free);
        partition_set_clear(&member->revoking);
        member->state = waits ? CONSUMER_UNRELEASED : CONSUMER_STABLE;
        epoch_set(member, member->group->assignment_epoch);
    }
    partition_set_done(&target);
    partition_set_done(&revoking);
    partition_set_done(&free);
    member->changed = true;
    consumer_member_count_bytes(member);
}

static void reconcile(struct consumer_member *member, bool subscription_changed,
    const struct partition_set *owned, int64_t now)
{
    struct consumer_group *group = member->group;
    bool there = member->state == CONSUMER_STABLE && member->epoch == group->assignment_epoch;
    if (there && !subscription_changed)
        return;
    if (member->state == CONSUMER_UNREVOKED && !subscription_changed &&
        (!owned || partition_set_meets(owned, &member->revoking)))
        return;
    if (member->state == CONSUMER_UNREVOKED && !subscription_changed) {
        partition_set_clear(&member->revoking);
        advance(member, member->epoch + 1, owned);
    } else if (member->state != CONSUMER_UNRELEASED || subscription_changed ||
               member->epoch != group->assignment_epoch || !consumer_member_waits(member)) {
        advance(member, member->epoch, owned);
    }
    /* Who gave up in time has all of it again for what it is told to give up next. */
    if (member->state != CONSUMER_UNREVOKED)
        group_deadline_clear(&group->base, &member->rebalance);
    else
        group_deadline_set(
            &group->base, &member->rebalance, now + member->rebalance_timeout_ms * NS_PER_MS);
}

int16_t consumer_group_follow(struct consumer_group *group, struct consumer_member *member,
    bool bump, bool subscription_changed, const struct partition_set *owned, int64_t now)
{
    /* Looked at in any case: the hash is what the next look compares with. */
    bool topics_changed = topics_refresh(group, bump || subscription_changed);
    if (bump || topics_changed)
        epoch_bump(group);
    if (member && assign_is_due(group, now))
        assign(group, now);
    if (member)
        reconcile(member, subscription_changed, owned, now);
    return group_persist(&group->base);
}

static bool is_to_settle(const struct consumer_group *group)
{
    list_foreach (node, &group->members)
        if (!list_entry(node, struct consumer_member, link)->classic)
            return false;
    return group->member_count && settings_of(group).downgrade;
}

int16_t consumer_group_take_out(struct consumer_member *member, int64_t now)
{
    struct consumer_group *group = member->group;
    group->replaced = false;
    consumer_group_remove(member);
    /* The classic group that takes its place goes on from this epoch. */
    return is_to_settle(group) ? KAFKA_ERROR_NONE
                               : consumer_group_follow(group, NULL, true, false, NULL, now);
}

/* ---- heartbeats ---- */

static void answer_error(struct consumer_answer *answer, int16_t error, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void answer_error(struct consumer_answer *answer, int16_t error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(answer->message, sizeof(answer->message), format, arguments);
    va_end(arguments);
    answer->error = error;
}

/* Text of a client in a message: not all of it. */
#define TEXT(text) (int)((text).len < 80 ? (text).len : 80), (const char *)(text).data

static bool epoch_check(const struct consumer_member *member, const struct consumer_heartbeat *beat,
    struct consumer_answer *answer)
{
    static const char format[] = "The consumer group member has a %s member epoch (%d) than the "
                                 "one known by the group coordinator (%d). The member must abandon "
                                 "all its partitions and rejoin.";
    if (beat->epoch == CONSUMER_EPOCH_JOIN || beat->epoch == member->epoch)
        return true;
    if (beat->epoch > member->epoch) {
        answer_error(
            answer, KAFKA_ERROR_FENCED_MEMBER_EPOCH, format, "greater", beat->epoch, member->epoch);
        return false;
    }
    /* The answer with the newer epoch may have been lost, or was an error. */
    if (beat->epoch == member->previous_epoch &&
        (member->untold || (beat->owned && partition_set_covers(&member->assigned, beat->owned))))
        return true;
    answer_error(
        answer, KAFKA_ERROR_FENCED_MEMBER_EPOCH, format, "smaller", beat->epoch, member->epoch);
    return false;
}

/* NULL: the answer says why. */
static struct consumer_member *dynamic_find(struct consumer_group *group,
    const struct consumer_heartbeat *beat, struct bytes id, struct consumer_answer *answer)
{
    struct consumer_member *member = consumer_group_member(group, id);
    if (member)
        return epoch_check(member, beat, answer) ? member : NULL;
    if (beat->epoch == CONSUMER_EPOCH_JOIN)
        return consumer_group_add(group, id);
    answer_error(answer, KAFKA_ERROR_UNKNOWN_MEMBER_ID, "Member %.*s is not a member of group %s.",
        TEXT(id), group->base.id);
    return NULL;
}

static struct consumer_member *static_find(struct consumer_group *group,
    const struct consumer_heartbeat *beat, struct bytes id, struct consumer_answer *answer)
{
    struct consumer_member *member = consumer_group_instance(group, beat->instance_id);
    bool same = member && bytes_equal_text(id, member->id);
    if (beat->epoch != CONSUMER_EPOCH_JOIN) {
        if (!member)
            answer_error(answer, KAFKA_ERROR_UNKNOWN_MEMBER_ID, "Instance id %.*s is unknown.",
                TEXT(beat->instance_id));
        else if (!same)
            answer_error(answer, KAFKA_ERROR_FENCED_INSTANCE_ID,
                "Static member %.*s with instance id %.*s was fenced by member %s.", TEXT(id),
                TEXT(beat->instance_id), member->id);
        return same && epoch_check(member, beat, answer) ? member : NULL;
    }
    if (!member) {
        member = consumer_group_member(group, id);
        return member ? member : consumer_group_add(group, id);
    }
    if (same)
        return member;
    if (!member->classic && member->epoch != CONSUMER_EPOCH_LEAVE_STATIC) {
        answer_error(answer, KAFKA_ERROR_UNRELEASED_INSTANCE_ID,
            "Static member %.*s with instance id %.*s cannot join the group because the instance "
            "id is owned by %s member.",
            TEXT(id), TEXT(beat->instance_id), member->id);
        return NULL;
    }
    if (consumer_group_member(group, id)) {
        answer_error(answer, KAFKA_ERROR_FENCED_INSTANCE_ID, "Member %.*s has another instance id.",
            TEXT(id));
        return NULL;
    }
    return consumer_group_replace(member, id);
}

/* Takes over what the heartbeat says. True: it wants other topics than before. */
static bool member_update(struct consumer_member *member, const struct consumer_heartbeat *beat)
{
    bool other = text_update(&member->instance_id, beat->instance_id);
    other |= text_update(&member->rack_id, beat->rack_id);
    other |= text_update(&member->assignor, beat->assignor);
    other |=
        text_update(&member->client_id, beat->client_id.data ? beat->client_id : bytes_of("", 0));
    other |= text_update(&member->client_host, bytes_text(beat->client_host));
    if (beat->rebalance_timeout_ms != -1 &&
        beat->rebalance_timeout_ms != member->rebalance_timeout_ms) {
        member->rebalance_timeout_ms = beat->rebalance_timeout_ms;
        other = true;
    }
    if (member->classic) {
        consumer_member_classic_free(member);
        heap_remove(&member->group->base.deadlines, &member->classic_step);
        other = true;
    }
    bool subscribed = text_update(&member->regex, beat->regex);
    if (beat->names && !name_list_is(&member->names, beat->names, beat->name_count)) {
        name_list_set(&member->names, beat->names, beat->name_count);
        subscribed = true;
    }
    member->changed |= other || subscribed;
    return subscribed;
}

static void answer_member(struct consumer_answer *answer, const struct consumer_member *member)
{
    answer->member_id = member->id;
    answer->epoch = member->epoch;
    answer->heartbeat_interval_ms = settings_of(member->group).heartbeat_interval_ms;
}

/* Room for what it says and for three sets of all partitions that it may be given. */
static bool room_for(const struct consumer_group *group, const struct consumer_heartbeat *beat)
{
    const struct topic_view *view = group->effects->topics;
    size_t size = sizeof(struct consumer_member) + GROUP_MEMBER_ID_SIZE;
    for (size_t i = 0; i < beat->name_count; i++) {
        struct topic_facts facts;
        size += sizeof(char *) + beat->names[i].len + 1;
        if (view->by_name(view->context, beat->names[i], &facts))
            size += 3 * sizeof(struct partition_id) * (size_t)facts.partition_count /
                    (group->member_count + 1);
    }
    return !group_is_full(&group->base, size);
}

static bool heartbeat_check(struct consumer_group *group, const struct consumer_heartbeat *beat,
    const struct consumer_settings *settings, struct consumer_answer *answer)
{
    char *why = NULL;
    bool known = beat->member_id.len && consumer_group_member(group, beat->member_id);
    if (group->member_count >= settings->members_max && !known) {
        answer_error(answer, KAFKA_ERROR_GROUP_MAX_SIZE_REACHED,
            "The consumer group has reached its maximum capacity of %zu members.",
            settings->members_max);
    } else if (!room_for(group, beat)) {
        answer_error(answer, KAFKA_ERROR_GROUP_MAX_SIZE_REACHED,
            "The groups take all the memory that they may.");
    } else if (beat->regex.len && regex_check(beat->regex, &why) < 0) {
        answer_error(answer, KAFKA_ERROR_INVALID_REGULAR_EXPRESSION,
            "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.", TEXT(beat->regex),
            why);
        mem_free(why);
    }
    return !answer->error;
}

static void leave(struct consumer_group *group, const struct consumer_heartbeat *beat, int64_t now,
    struct consumer_answer *answer)
{
    struct consumer_member *member = beat->instance_id.data
                                         ? consumer_group_instance(group, beat->instance_id)
                                         : consumer_group_member(group, beat->member_id);
    if (!member && beat->instance_id.data)
        answer_error(answer, KAFKA_ERROR_UNKNOWN_MEMBER_ID, "Instance id %.*s is unknown.",
            TEXT(beat->instance_id));
    else if (!member)
        answer_error(answer, KAFKA_ERROR_UNKNOWN_MEMBER_ID,
            "Member %.*s is not a member of group %s.", TEXT(beat->member_id), group->base.id);
    else if (!bytes_equal_text(beat->member_id, member->id))
        answer_error(answer, KAFKA_ERROR_FENCED_INSTANCE_ID,
            "Static member %.*s with instance id %.*s was fenced by member %s.",
            TEXT(beat->member_id), TEXT(beat->instance_id), member->id);
    if (answer->error)
        return;
    answer->epoch = beat->epoch;
    if (beat->epoch == CONSUMER_EPOCH_LEAVE_STATIC) {
        answer->member_id = member->id;
        member->epoch = CONSUMER_EPOCH_LEAVE_STATIC;
        partition_set_clear(&member->revoking); /* it reads nothing any more */
        member->state = CONSUMER_STABLE;
        group_deadline_clear(&group->base, &member->rebalance);
        member->changed = true;
        answer->error = group_persist(&group->base);
        return;
    }
    answer->error = consumer_group_take_out(member, now);
}

/* A member id for who did not bring one. */
static struct bytes id_of(
    struct consumer_group *group, const struct consumer_heartbeat *beat, char *buffer, size_t size)
{
    if (beat->member_id.len)
        return beat->member_id;
    group->base.owner->member_id(group->base.owner->context, bytes_of("", 0), buffer, size);
    return bytes_text(buffer[0] == '-' ? buffer + 1 : buffer);
}

void consumer_group_heartbeat(struct consumer_group *group, const struct consumer_heartbeat *beat,
    int64_t now, struct consumer_answer *ret_answer)
{
    struct consumer_settings settings = settings_of(group);
    char fresh[GROUP_MEMBER_ID_SIZE];
    struct partition_set before = { 0 };
    *ret_answer = (struct consumer_answer){ 0 };
    if (beat->epoch < 0) {
        leave(group, beat, now, ret_answer);
        return;
    }
    if (!heartbeat_check(group, beat, &settings, ret_answer))
        return;
    struct bytes id = id_of(group, beat, fresh, sizeof(fresh));
    size_t members_before = group->member_count;
    struct consumer_member *member = beat->instance_id.data
                                         ? static_find(group, beat, id, ret_answer)
                                         : dynamic_find(group, beat, id, ret_answer);
    if (!member)
        return;
    const int32_t epoch_before = member->epoch;
    partition_set_copy(&before, &member->assigned);
    bool subscribed = member_update(member, beat);
    bool bump = subscribed || group->member_count != members_before;
    consumer_member_count_bytes(member);
    /* One that left for a while is there again. */
    if (member->epoch == CONSUMER_EPOCH_LEAVE_STATIC)
        member->epoch = 0;
    int16_t error = consumer_group_follow(group, member, bump, subscribed, beat->owned, now);
    consumer_member_heard(member, now);
    bool full =
        beat->rebalance_timeout_ms != -1 && (beat->names || beat->regex.data) && beat->owned;
    bool changed = !partition_set_equal(&before, &member->assigned);
    bool told = beat->epoch == CONSUMER_EPOCH_JOIN || full || changed || member->untold;
    partition_set_done(&before);
    member->untold |= changed || member->epoch != epoch_before;
    if (error) {
        answer_error(ret_answer, error, "The group's state can't be kept at the moment.");
        return;
    }
    answer_member(ret_answer, member);
    member->untold = false;
    ret_answer->assigned = told ? &member->assigned : NULL;
}

/* ---- offsets ---- */

static int16_t behind(const struct consumer_member *member)
{
    return member->classic ? KAFKA_ERROR_ILLEGAL_GENERATION : KAFKA_ERROR_STALE_MEMBER_EPOCH;
}

static bool says_nobody(const struct group_offset_client *client)
{
    return client->epoch < 0 && client->member_id.len == 0 && !client->instance_id.data;
}

static int16_t consumer_check_commit(
    struct group *base, struct group_offset_client *client, int64_t now)
{
    struct consumer_group *group = own(base);
    (void)now;
    if (client->epoch < 0 && group->member_count == 0)
        return KAFKA_ERROR_NONE;
    if (client->transactional && says_nobody(client))
        return KAFKA_ERROR_NONE;
    const struct consumer_member *member = consumer_group_member(group, client->member_id);
    if (!member)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    if (!client->transactional && !member->classic && client->version < 9)
        return KAFKA_ERROR_UNSUPPORTED_VERSION;
    if (client->epoch == member->epoch)
        return KAFKA_ERROR_NONE;
    if (client->epoch > member->epoch || client->epoch < 0)
        return behind(member);
    client->by_partition = true; /* what it had at its epoch and still has it may commit */
    return KAFKA_ERROR_NONE;
}

static int16_t consumer_check_commit_partition(struct group *base,
    const struct group_offset_client *client, const struct uuid *topic, int32_t partition)
{
    const struct consumer_member *member = consumer_group_member(own(base), client->member_id);
    if (!member)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    const struct partition_id *item = partition_set_find(&member->assigned, topic, partition);
    if (!item)
        item = partition_set_find(&member->revoking, topic, partition);
    return item && client->epoch >= item->epoch ? KAFKA_ERROR_NONE : behind(member);
}

static int16_t consumer_check_fetch(struct group *base, const struct group_offset_client *client)
{
    if (client->epoch < 0 && !client->member_id.data)
        return KAFKA_ERROR_NONE;
    const struct consumer_member *member = consumer_group_member(own(base), client->member_id);
    if (!member)
        return KAFKA_ERROR_UNKNOWN_MEMBER_ID;
    if (client->epoch == member->epoch)
        return KAFKA_ERROR_NONE;
    return behind(member);
}

/* ---- time ---- */

static void consumer_expire(struct group *base, struct heap_node *node, int64_t now)
{
    struct consumer_group *group = own(base);
    list_foreach (at, &group->members) {
        struct consumer_member *member = list_entry(at, struct consumer_member, link);
        if (&member->session != node && &member->rebalance != node && &member->classic_step != node)
            continue;
        (void)consumer_group_take_out(member, now); /* nobody is told of it */
        return;
    }
}

static void consumer_settle(struct group *base, int64_t now)
{
    struct consumer_group *group = own(base);
    if (is_to_settle(group))
        group->effects->downgrade(group->effects->context, base, now);
}

/* ---- the table ---- */

const char *consumer_group_state_name(const struct consumer_group *group)
{
    if (group->member_count == 0)
        return "Empty";
    if (group->epoch > group->assignment_epoch)
        return "Assigning";
    list_foreach (node, &group->members) {
        const struct consumer_member *member = list_entry(node, struct consumer_member, link);
        if (member->state != CONSUMER_STABLE || member->epoch != group->assignment_epoch)
            return "Reconciling";
    }
    return "Stable";
}

static const char *consumer_state_name(const struct group *base)
{
    return consumer_group_state_name(own(base));
}

static const char *consumer_protocol_type(const struct group *base)
{
    (void)base;
    return "consumer";
}

static bool consumer_is_empty(const struct group *base)
{
    return own(base)->member_count == 0;
}

static void names_tell(
    const struct name_list *names, void (*each)(void *context, struct bytes topic), void *context)
{
    for (size_t i = 0; i < names->count; i++)
        each(context, bytes_text(names->names[i]));
}

static bool consumer_each_subscribed(
    const struct group *base, void (*each)(void *context, struct bytes topic), void *context)
{
    struct consumer_group *group = own(base);
    list_foreach (node, &group->members) {
        const struct consumer_member *member = list_entry(node, struct consumer_member, link);
        names_tell(&member->names, each, context);
        if (member->regex && member->regex[0])
            names_tell(&regex_of(group, member->regex)->names, each, context);
    }
    return true;
}

static enum group_retention consumer_retention(const struct group *base)
{
    (void)base;
    return GROUP_OFFSETS_BY_COMMIT;
}

struct consumer_group *consumer_group_create(
    struct bytes id, struct group_owner *owner, const struct consumer_effects *effects)
{
    struct consumer_group *group = mem_zalloc(1, sizeof(*group));
    group_init(&group->base, &operations, id, owner);
    owner->bytes += sizeof(*group) - sizeof(group->base);
    group->effects = effects;
    group->epoch = 1; /* as Kafka's: the first member makes it 2 */
    group->changed = true;
    list_init(&group->members);
    group->by_id.compare = compare_ids;
    list_init(&group->gone);
    list_init(&group->regexes);
    return group;
}

static void consumer_destroy(struct group *base)
{
    struct consumer_group *group = own(base);
    for (struct list *node; (node = list_first(&group->members));)
        member_destroy(list_entry(node, struct consumer_member, link));
    for (struct list *node; (node = list_first(&group->regexes));)
        regex_drop(group, list_entry(node, struct consumer_regex, link));
    for (struct list *node; (node = list_pop(&group->gone));) {
        struct consumer_gone *gone = list_entry(node, struct consumer_gone, link);
        mem_free(gone->id);
        mem_free(gone);
    }
    base->owner->bytes -= sizeof(*group) - sizeof(*base);
    group_done(base);
    mem_free(group);
}

static const struct group_operations operations = {
    .kind = GROUP_CONSUMER,
    .type_name = "consumer",
    .destroy = consumer_destroy,
    .state_name = consumer_state_name,
    .protocol_type = consumer_protocol_type,
    .is_empty = consumer_is_empty,
    .each_subscribed = consumer_each_subscribed,
    .retention = consumer_retention,
    .expire = consumer_expire,
    .settle = consumer_settle,
    .save = consumer_group_save,
    .saved = consumer_group_saved,
    .load = consumer_group_load,
    .load_member = consumer_group_load_member,
    .check_commit = consumer_check_commit,
    .check_commit_partition = consumer_check_commit_partition,
    .check_fetch = consumer_check_fetch,
    .join = consumer_group_join,
    .sync = consumer_group_sync,
    .heartbeat = consumer_group_classic_heartbeat,
    .leave = consumer_group_classic_leave,
    .forget_token = consumer_group_forget_token,
};
