/*
 * All groups of the broker.
 *
 * Happy path
 *  - a handler finds or makes the group and steps it (group.h); what follows comes back through the
 * effects: persist commits a unit with the group's put, join and sync finish the waiting request,
 * which leaves only when that unit is durable (request_depends on group->lsn).
 *  - the group's earliest deadline stands in one heap of groups; one timer of the loop runs for
 * all.
 *
 * Failure modes
 *  - the ring is full at persist: the group hears COORDINATOR_NOT_AVAILABLE, its members try again.
 *  - a stored group or offset cannot be read: it is said and left out; the rest is served.
 *
 * Invariant: nothing durable is told before it is durable.
 */
#include "broker/coordinator.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "broker/broker.h"
#include "broker/config.h"
#include "broker/config_table.h"
#include "broker/handle_groups.h"
#include "broker/overrides.h"
#include "broker/request.h"
#include "broker/shares.h"
#include "broker/transaction_coordinator.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "storage/storage.h"

enum { BUCKET_COUNT = 1024 };

struct coordinator {
    struct broker *broker;
    struct group_owner owner;
    struct classic_limits limits;
    struct classic_effects effects;
    struct topic_view topics;
    struct text_list assignors;
    struct consumer_effects consumer_effects;
    struct share_group_effects share_effects;
    struct list buckets[BUCKET_COUNT];
    struct list groups;
    size_t group_count;
    struct group *walk; /* where coordinator_walk_group stands; NULL: nowhere */
    struct heap wakes;  /* of groups by their earliest deadline */
    struct timer timer;
    struct list commits; /* struct pending_commit in flight */
};

/* ---- units in flight ---- */

struct pending_commit {
    struct unit unit;
    struct list link;
    struct request *request; /* NULL: nobody waits any more */
    void (*done)(struct request *request);
};

static void pending_commit_free(struct pending_commit *commit)
{
    list_remove(&commit->link);
    unit_done(&commit->unit);
    mem_free(commit);
}

static void pending_commit_durable(struct unit *unit)
{
    struct pending_commit *commit = container_of(unit, struct pending_commit, unit);
    struct request *request = commit->request;
    void (*done)(struct request *) = commit->done;
    pending_commit_free(commit);
    if (request && done)
        done(request);
}

struct pending_commit *coordinator_commit_begin(
    struct coordinator *coordinator, struct request *request, void (*done)(struct request *request))
{
    struct pending_commit *commit = mem_zalloc(1, sizeof(*commit));
    unit_init(&commit->unit, pending_commit_durable);
    commit->request = request;
    commit->done = done;
    list_append(&coordinator->commits, &commit->link);
    return commit;
}

struct unit *pending_commit_unit(struct pending_commit *commit)
{
    return &commit->unit;
}

int coordinator_commit(struct coordinator *coordinator, struct pending_commit *commit)
{
    int status = log_commit(coordinator->broker->storage, &commit->unit);
    if (status < 0 && status != -EAGAIN)
        pending_commit_free(commit);
    return status;
}

void coordinator_commit_abandon(struct pending_commit *commit)
{
    pending_commit_free(commit);
}

void coordinator_forget(struct coordinator *coordinator, const struct request *request)
{
    list_foreach (node, &coordinator->commits) {
        struct pending_commit *commit = list_entry(node, struct pending_commit, link);
        if (commit->request == request)
            commit->request = NULL;
    }
}

/* ---- effects ---- */

static void effect_join(
    void *context, struct group *group, void *token, const struct classic_join_answer *answer)
{
    (void)context;
    handle_join_group_answer(token, group, answer);
}

static void effect_sync(
    void *context, struct group *group, void *token, const struct classic_sync_answer *answer)
{
    (void)context;
    handle_sync_group_answer(token, group, answer);
}

/* Rows of a group on their way into a unit. */
struct rows {
    struct unit *unit;
    struct bytes group;
};

static void rows_put_group(void *context, struct bytes value)
{
    struct rows *rows = context;
    unit_put(rows->unit, STORE_GROUP, rows->group, value);
}

static void member_key(struct out *out, struct bytes group, struct bytes member_id)
{
    be_put16(out_add(out, 2), (uint16_t)group.len);
    out_bytes(out, group.data, group.len);
    out_bytes(out, member_id.data, member_id.len);
}

bool coordinator_member_place(
    struct bytes key, struct bytes *ret_group, struct bytes *ret_member_id)
{
    size_t group_len = key.len >= 2 ? be_get16(key.data) : 0;
    if (key.len < 2 || key.len - 2 <= group_len)
        return false;
    *ret_group = bytes_of(key.data + 2, group_len);
    *ret_member_id = bytes_of(key.data + 2 + group_len, key.len - 2 - group_len);
    return true;
}

static void rows_put_member(void *context, const char *member_id, struct bytes value)
{
    struct rows *rows = context;
    struct out key = { 0 };
    member_key(&key, rows->group, bytes_text(member_id));
    unit_put(rows->unit, STORE_GROUP_MEMBER, bytes_of(key.data, key.len), value);
    out_done(&key);
}

static bool member_delete(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    (void)value;
    (void)lsn;
    unit_put(context, STORE_GROUP_MEMBER, key, bytes_of(NULL, 0));
    return true;
}

static void members_delete(
    struct coordinator *coordinator, struct unit *unit, const struct group *group)
{
    struct out prefix = { 0 };
    member_key(&prefix, bytes_text(group->id), bytes_of("", 0));
    store_each(coordinator->broker->storage, STORE_GROUP_MEMBER, bytes_of(prefix.data, prefix.len),
        member_delete, unit);
    out_done(&prefix);
}

/* Also in place of whatever stands under this id (`all`). */
static int16_t rows_commit(struct coordinator *coordinator, struct group *group, bool all)
{
    struct pending_commit *commit = coordinator_commit_begin(coordinator, NULL, NULL);
    struct rows rows = { &commit->unit, bytes_text(group->id) };
    struct group_rows face = { &rows, rows_put_group, rows_put_member };
    group->state_since_ms = clock_wall_ms(coordinator->broker->doors->clock);
    if (all)
        members_delete(coordinator, &commit->unit, group);
    group->operations->save(group, &face, all);
    if (commit->unit.put_count == 0) {
        pending_commit_free(commit);
        return KAFKA_ERROR_NONE;
    }
    int status = coordinator_commit(coordinator, commit);
    if (status == 0) {
        group->lsn = commit->unit.end_lsn;
        if (group->operations->saved)
            group->operations->saved(group);
    } else if (status == -EAGAIN) {
        pending_commit_free(commit);
    }
    return status == 0 ? KAFKA_ERROR_NONE : KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
}

static int16_t owner_persist(void *context, struct group *group)
{
    return rows_commit(context, group, false);
}

static void timer_arm(struct coordinator *coordinator)
{
    struct heap_node *first = heap_first(&coordinator->wakes);
    struct timers *timers = coordinator->broker->doors->timers;
    if (first)
        timer_set(timers, &coordinator->timer, first->key);
    else
        timer_cancel(timers, &coordinator->timer);
}

static void owner_schedule(void *context, struct group *group)
{
    struct coordinator *coordinator = context;
    int64_t deadline = group_next_deadline(group);
    if (heap_node_in(&group->wake) && group->wake.key == deadline)
        return;
    heap_remove(&coordinator->wakes, &group->wake);
    if (deadline != INT64_MAX)
        heap_insert(&coordinator->wakes, &group->wake, deadline);
    timer_arm(coordinator);
}

static void timer_fire(struct timer *timer)
{
    struct coordinator *coordinator = container_of(timer, struct coordinator, timer);
    int64_t now = clock_monotonic_ns(coordinator->broker->doors->clock);
    struct heap_node *first;
    while ((first = heap_first(&coordinator->wakes)) && first->key <= now) {
        struct group *group = container_of(first, struct group, wake);
        group_tick(group, now);
        coordinator_settle(coordinator, group);
    }
    timer_arm(coordinator);
}

static void owner_member_id(void *context, struct bytes prefix, char *to, size_t size)
{
    struct coordinator *coordinator = context;
    uint8_t id[16];
    random_bytes(coordinator->broker->doors->random, id, sizeof(id));
    /* The prefix is a client's: cut so that the UUID always fits. */
    size_t prefix_len = prefix.len < size - 40 ? prefix.len : size - 40;
    int len =
        snprintf(to, size, "%.*s-", (int)prefix_len, prefix.len ? (const char *)prefix.data : "");
    for (size_t i = 0; i < sizeof(id); i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        len += snprintf(to + len, size - (size_t)len, dash ? "-%02x" : "%02x", id[i]);
    }
}

/* ---- groups ---- */

static struct list *bucket_of(struct coordinator *coordinator, struct bytes id)
{
    return &coordinator->buckets[XXH3_64bits(id.data, id.len) % BUCKET_COUNT];
}

struct group *coordinator_group(struct coordinator *coordinator, struct bytes id)
{
    list_foreach (node, bucket_of(coordinator, id)) {
        struct group *group = list_entry(node, struct group, bucket);
        if (bytes_equal_text(id, group->id))
            return group;
    }
    return NULL;
}

static struct group *make_classic(struct coordinator *coordinator, struct bytes id)
{
    return &classic_group_create(
        id, &coordinator->owner, &coordinator->limits, &coordinator->effects)
                ->base;
}

static struct group *make_consumer(struct coordinator *coordinator, struct bytes id)
{
    return &consumer_group_create(id, &coordinator->owner, &coordinator->consumer_effects)->base;
}

static struct group *make_share(struct coordinator *coordinator, struct bytes id)
{
    return &share_group_create(id, &coordinator->owner, &coordinator->share_effects)->base;
}

static const struct kind {
    enum group_kind kind;
    struct group *(*make)(struct coordinator *coordinator, struct bytes id);
} kinds[] = {
    { GROUP_CLASSIC, make_classic },
    { GROUP_CONSUMER, make_consumer },
    { GROUP_SHARE, make_share },
};

static const struct kind *kind_find(unsigned number)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if ((unsigned)kinds[i].kind == number)
            return &kinds[i];
    return NULL;
}

struct group *coordinator_group_make(
    struct coordinator *coordinator, struct bytes id, enum group_kind kind)
{
    struct group *group = coordinator_group(coordinator, id);
    if (group || coordinator->group_count >= COORDINATOR_GROUPS_MAX ||
        group_owner_is_full(&coordinator->owner, 0))
        return group;
    group = kind_find(kind)->make(coordinator, id);
    list_append(&coordinator->groups, &group->link);
    list_append(bucket_of(coordinator, id), &group->bucket);
    coordinator->group_count++;
    return group;
}

static void group_remove(struct coordinator *coordinator, struct group *group)
{
    if (coordinator->walk == group)
        coordinator->walk = coordinator_group_next(coordinator, group);
    heap_remove(&coordinator->wakes, &group->wake);
    list_remove(&group->link);
    list_remove(&group->bucket);
    coordinator->group_count--;
    group->operations->destroy(group);
}

struct group *coordinator_group_new(
    struct coordinator *coordinator, const struct group *like, enum group_kind kind)
{
    return kind_find(kind)->make(coordinator, bytes_text(like->id));
}

int16_t coordinator_group_replace(
    struct coordinator *coordinator, struct group *old, struct group *group)
{
    int16_t error = rows_commit(coordinator, group, true);
    if (error)
        return error;
    list_insert_before(&old->link, &group->link);
    list_insert_before(&old->bucket, &group->bucket);
    coordinator->group_count++;
    group_remove(coordinator, old);
    owner_schedule(coordinator, group);
    return KAFKA_ERROR_NONE;
}

void coordinator_group_discard(struct coordinator *coordinator, struct group *group)
{
    heap_remove(&coordinator->wakes, &group->wake);
    group->operations->destroy(group);
}

void coordinator_settle(struct coordinator *coordinator, struct group *group)
{
    if (group->operations->settle)
        group->operations->settle(group, clock_monotonic_ns(coordinator->broker->doors->clock));
}

struct group *coordinator_group_next(struct coordinator *coordinator, const struct group *after)
{
    struct list *next = after ? after->link.next : coordinator->groups.next;
    return next == &coordinator->groups ? NULL : list_entry(next, struct group, link);
}

void coordinator_walk_begin(struct coordinator *coordinator)
{
    coordinator->walk = coordinator_group_next(coordinator, NULL);
}

struct group *coordinator_walk_group(const struct coordinator *coordinator)
{
    return coordinator->walk;
}

void coordinator_walk_on(struct coordinator *coordinator)
{
    coordinator->walk = coordinator_group_next(coordinator, coordinator->walk);
}

/* ---- between the protocols ---- */

/* What is set on the group, or else holds for all. */
static int32_t setting(
    struct coordinator *coordinator, struct bytes group, const char *key, int32_t otherwise)
{
    struct bytes text = overrides_find(coordinator->broker, RESOURCE_GROUP, group, key);
    char digits[16];
    int64_t number;
    if (!text.data || text.len >= sizeof(digits))
        return otherwise;
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    return config_number(digits, 0, INT32_MAX, &number) == 0 ? (int32_t)number : otherwise;
}

void coordinator_consumer_settings(
    struct coordinator *coordinator, struct bytes id, struct consumer_settings *ret_settings)
{
    const struct broker_config *config = coordinator->broker->config;
    *ret_settings = (struct consumer_settings){
        .session_timeout_ms = setting(coordinator, id, "consumer.session.timeout.ms",
            config->group_consumer_session_timeout_ms),
        .heartbeat_interval_ms = setting(coordinator, id, "consumer.heartbeat.interval.ms",
            config->group_consumer_heartbeat_interval_ms),
        .assignment_interval_ms = setting(coordinator, id, "consumer.assignment.interval.ms",
            config->group_consumer_assignment_interval_ms),
        .classic_session_min_ms = coordinator->limits.session_min_ms,
        .classic_session_max_ms = coordinator->limits.session_max_ms,
        .members_max = (size_t)config->group_consumer_max_size,
        .assignors = (const char *const *)coordinator->assignors.items,
        .assignor_count = coordinator->assignors.count,
        .downgrade = config->group_consumer_downgrade,
        .classic_refused = !config->group_consumer_upgrade && !config->group_consumer_downgrade,
    };
}

static void effect_settings(
    void *context, const struct group *group, struct consumer_settings *ret_settings)
{
    coordinator_consumer_settings(context, bytes_text(group->id), ret_settings);
}

static void effect_downgrade(void *context, struct group *group, int64_t now)
{
    struct coordinator *coordinator = context;
    struct group *classic = coordinator_group_new(coordinator, group, GROUP_CLASSIC);
    consumer_group_to_classic(consumer_group_of(group), classic_group_of(classic), now);
    /* If it cannot be kept now, the next event tries again. */
    if (coordinator_group_replace(coordinator, group, classic))
        coordinator_group_discard(coordinator, classic);
}

/* The consumer group that takes the place of a classic one; NULL: it can't, or *ret_error. */
static struct group *upgrade(
    struct coordinator *coordinator, struct group *group, int64_t now, int16_t *ret_error)
{
    const struct broker_config *config = coordinator->broker->config;
    struct classic_group *classic = classic_group_of(group);
    bool empty = group->operations->is_empty(group);
    if (!classic ||
        (!empty && (!config->group_consumer_upgrade ||
                       !consumer_group_can_take(classic, (size_t)config->group_consumer_max_size))))
        return NULL;
    struct group *to = coordinator_group_new(coordinator, group, GROUP_CONSUMER);
    if (!empty)
        consumer_group_from_classic(consumer_group_of(to), classic, now);
    *ret_error = coordinator_group_replace(coordinator, group, to);
    if (!*ret_error)
        return to;
    coordinator_group_discard(coordinator, to);
    return NULL;
}

struct group *coordinator_classic_group(
    struct coordinator *coordinator, struct group *group, int16_t *ret_error)
{
    struct group *classic = coordinator_group_new(coordinator, group, GROUP_CLASSIC);
    *ret_error = coordinator_group_replace(coordinator, group, classic);
    if (!*ret_error)
        return classic;
    coordinator_group_discard(coordinator, classic);
    return NULL;
}

struct consumer_group *coordinator_consumer_group(
    struct coordinator *coordinator, struct bytes id, bool joins, int64_t now, int16_t *ret_error)
{
    struct group *group = joins ? coordinator_group_make(coordinator, id, GROUP_CONSUMER)
                                : coordinator_group(coordinator, id);
    *ret_error =
        joins && !group ? KAFKA_ERROR_GROUP_MAX_SIZE_REACHED : KAFKA_ERROR_GROUP_ID_NOT_FOUND;
    if (!group)
        return NULL;
    if (joins && !consumer_group_of(group))
        group = upgrade(coordinator, group, now, ret_error);
    return group ? consumer_group_of(group) : NULL;
}

/* ---- offsets ---- */

/* The value: i64 offset | i32 leader epoch | i64 commit ms | metadata. Before the metadata stands,
 * from format 5 of the directory on, with the top bit of the commit's time set: i64 expire ms;
 * and, from format 6 on, with the bit below it set: u64 placed lsn. */
enum { OFFSET_VALUE_SIZE = 20, OFFSET_EXPIRE_SIZE = 8, OFFSET_PLACED_SIZE = 8 };
#define OFFSET_EXPIRES (UINT64_C(1) << 63)
#define OFFSET_PLACED  (UINT64_C(1) << 62)

void coordinator_offset_key(
    struct out *out, struct bytes group, const struct uuid *topic, int32_t partition)
{
    be_put16(out_add(out, 2), (uint16_t)group.len);
    out_bytes(out, group.data, group.len);
    if (!topic)
        return; /* the prefix of the whole group */
    out_bytes(out, topic->b, sizeof(topic->b));
    be_put32(out_add(out, 4), (uint32_t)partition);
}

void coordinator_offset_value(struct out *value, const struct committed_offset *offset)
{
    le_put64(out_add(value, 8), (uint64_t)offset->offset);
    le_put32(out_add(value, 4), (uint32_t)offset->leader_epoch);
    uint64_t commit_ms = offset->commit_ms > 0 ? (uint64_t)offset->commit_ms : 0;
    le_put64(out_add(value, 8), commit_ms | (offset->expire_ms ? OFFSET_EXPIRES : 0) |
                                    (offset->placed_lsn ? OFFSET_PLACED : 0));
    if (offset->expire_ms)
        le_put64(out_add(value, OFFSET_EXPIRE_SIZE), (uint64_t)offset->expire_ms);
    if (offset->placed_lsn)
        le_put64(out_add(value, OFFSET_PLACED_SIZE), offset->placed_lsn);
    out_bytes(value, offset->metadata.data, offset->metadata.len);
}

bool coordinator_offset_place(struct bytes key, struct coordinator_offset_place *ret_place)
{
    size_t group_len = key.len >= 2 ? be_get16(key.data) : 0;
    if (key.len != 2 + group_len + sizeof(ret_place->topic.b) + 4)
        return false;
    const uint8_t *behind = key.data + 2 + group_len;
    ret_place->group = bytes_of(key.data + 2, group_len);
    memcpy(ret_place->topic.b, behind, sizeof(ret_place->topic.b));
    ret_place->partition = (int32_t)be_get32(behind + sizeof(ret_place->topic.b));
    return true;
}

void coordinator_put_offset(struct unit *unit, struct bytes group, const struct uuid *topic,
    int32_t partition, const struct committed_offset *offset)
{
    struct out key = { 0 }, value = { 0 };
    coordinator_offset_key(&key, group, topic, partition);
    if (!offset) {
        unit_put(unit, STORE_OFFSET, bytes_of(key.data, key.len), bytes_of(NULL, 0));
        out_done(&key);
        return;
    }
    coordinator_offset_value(&value, offset);
    unit_put(unit, STORE_OFFSET, bytes_of(key.data, key.len), bytes_of(value.data, value.len));
    out_done(&key);
    out_done(&value);
}

bool coordinator_offset_decode(struct bytes value, struct committed_offset *ret_offset)
{
    if (value.len < OFFSET_VALUE_SIZE)
        return false;
    uint64_t commit_ms = le_get64(value.data + 12);
    bool expires = commit_ms & OFFSET_EXPIRES, placed = commit_ms & OFFSET_PLACED;
    size_t placed_at = OFFSET_VALUE_SIZE + (expires ? OFFSET_EXPIRE_SIZE : 0);
    size_t size = placed_at + (placed ? OFFSET_PLACED_SIZE : 0);
    if (value.len < size)
        return false;
    *ret_offset = (struct committed_offset){
        .offset = (int64_t)le_get64(value.data),
        .leader_epoch = (int32_t)le_get32(value.data + 8),
        .commit_ms = (int64_t)(commit_ms & ~(OFFSET_EXPIRES | OFFSET_PLACED)),
        .expire_ms = expires ? (int64_t)le_get64(value.data + OFFSET_VALUE_SIZE) : 0,
        .placed_lsn = placed ? le_get64(value.data + placed_at) : 0,
        .metadata = bytes_of(value.data + size, value.len - size),
    };
    return true;
}

uint64_t coordinator_offset_order(struct bytes value, uint64_t lsn)
{
    struct committed_offset offset;
    bool placed = coordinator_offset_decode(value, &offset) && offset.placed_lsn;
    return placed ? offset.placed_lsn : lsn;
}

bool coordinator_get_offset(struct coordinator *coordinator, struct bytes group,
    const struct uuid *topic, int32_t partition, struct committed_offset *ret_offset,
    uint64_t *ret_lsn)
{
    struct out key = { 0 };
    struct bytes value;
    coordinator_offset_key(&key, group, topic, partition);
    bool there = store_get(coordinator->broker->storage, STORE_OFFSET, bytes_of(key.data, key.len),
                     &value, ret_lsn) &&
                 coordinator_offset_decode(value, ret_offset);
    out_done(&key);
    return there;
}

struct each_offset {
    size_t prefix_len;
    void (*each)(void *context, const struct uuid *topic, int32_t partition,
        const struct committed_offset *offset, uint64_t lsn);
    void *context;
};

static bool each_offset_visit(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct each_offset *visit = context;
    struct committed_offset offset;
    struct uuid topic;
    if (key.len != visit->prefix_len + sizeof(topic.b) + 4 ||
        !coordinator_offset_decode(value, &offset))
        return true;
    memcpy(topic.b, key.data + visit->prefix_len, sizeof(topic.b));
    int32_t partition = (int32_t)be_get32(key.data + visit->prefix_len + sizeof(topic.b));
    visit->each(visit->context, &topic, partition, &offset, lsn);
    return true;
}

void coordinator_each_offset(struct coordinator *coordinator, struct bytes group,
    void (*each)(void *context, const struct uuid *topic, int32_t partition,
        const struct committed_offset *offset, uint64_t lsn),
    void *context)
{
    struct out key = { 0 };
    coordinator_offset_key(&key, group, NULL, 0);
    struct each_offset visit = { .prefix_len = key.len, .each = each, .context = context };
    store_each(coordinator->broker->storage, STORE_OFFSET, bytes_of(key.data, key.len),
        each_offset_visit, &visit);
    out_done(&key);
}

struct offsets_deletion {
    struct unit *unit;
    struct bytes group;
};

static void offset_delete(void *context, const struct uuid *topic, int32_t partition,
    const struct committed_offset *offset, uint64_t lsn)
{
    struct offsets_deletion *deletion = context;
    (void)offset;
    (void)lsn;
    coordinator_put_offset(deletion->unit, deletion->group, topic, partition, NULL);
}

void coordinator_delete_group(
    struct coordinator *coordinator, struct unit *unit, const struct group *group)
{
    struct offsets_deletion deletion = { unit, bytes_text(group->id) };
    coordinator_each_offset(coordinator, deletion.group, offset_delete, &deletion);
    unit_put(unit, STORE_GROUP, deletion.group, bytes_of(NULL, 0));
    members_delete(coordinator, unit, group);
    shares_delete_group(coordinator->broker->shares, unit, deletion.group);
    transaction_coordinator_drop_offsets(coordinator->broker->transactions, unit, deletion.group);
}

void coordinator_drop_group(struct coordinator *coordinator, struct bytes id)
{
    struct group *group = coordinator_group(coordinator, id);
    shares_drop_group(coordinator->broker->shares, id);
    if (group)
        group_remove(coordinator, group);
}

/* ---- start and end ---- */

struct load_members {
    struct group *group;
    int64_t now;
    size_t prefix_len;
    int status;
};

static bool load_member(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct load_members *load = context;
    struct bytes id = bytes_of(key.data + load->prefix_len, key.len - load->prefix_len);
    if (lsn > load->group->lsn)
        load->group->lsn = lsn;
    load->status = load->group->operations->load_member(load->group, id, value, load->now);
    return load->status == 0;
}

static int load_rows(struct coordinator *coordinator, struct group *group, struct bytes row)
{
    struct load_members load = { .group = group,
        .now = clock_monotonic_ns(coordinator->broker->doors->clock) };
    load.status = group->operations->load(group, row, load.now);
    if (load.status < 0)
        return load.status;
    struct out prefix = { 0 };
    member_key(&prefix, bytes_text(group->id), bytes_of("", 0));
    load.prefix_len = prefix.len;
    store_each(coordinator->broker->storage, STORE_GROUP_MEMBER, bytes_of(prefix.data, prefix.len),
        load_member, &load);
    out_done(&prefix);
    if (load.status == 0 && group->operations->loaded)
        load.status = group->operations->loaded(group, load.now);
    return load.status;
}

static bool load_group(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct coordinator *coordinator = context;
    const struct kind *kind = value.len ? kind_find(value.data[0]) : NULL;
    struct group *group =
        coordinator_group_make(coordinator, key, kind ? kind->kind : GROUP_CLASSIC);
    if (!group)
        return false;
    group->lsn = lsn;
    if (!kind || load_rows(coordinator, group, value) < 0) {
        doors_say(coordinator->broker->doors, LOG_ERROR,
            "group %.*s: its stored state can't be read and is dropped; its members will join anew",
            (int)key.len, (const char *)key.data);
        group_remove(coordinator, group);
    }
    return true;
}

/* A group that only ever committed offsets (a simple consumer) exists through them. */
static bool load_offset(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    (void)value;
    (void)lsn;
    if (key.len < 2 || key.len < 2 + (size_t)be_get16(key.data))
        return true;
    return coordinator_group_make(
               context, bytes_of(key.data + 2, be_get16(key.data)), GROUP_CLASSIC) != NULL;
}

/* ---- after a loss ---- */

enum { LOWER_SAID_MAX = 100 }; /* lines; then only a count */

struct lowering {
    struct coordinator *coordinator;
    struct pending_commit *commit; /* NULL: nothing to lower so far */
    size_t count;
};

/* An offset behind the end of its log, whose last records are lost. */
static bool offset_lower(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct lowering *lowering = context;
    struct coordinator *coordinator = lowering->coordinator;
    struct storage *storage = coordinator->broker->storage;
    struct coordinator_offset_place place;
    struct committed_offset offset;
    (void)lsn;
    if (!coordinator_offset_place(key, &place) || !coordinator_offset_decode(value, &offset))
        return true;
    const struct topic *topic = storage_topic_by_id(storage, &place.topic);
    const struct log *log = topic ? topic_log(topic, place.partition) : NULL;
    if (!log || log->source || offset.offset <= log->end_offset)
        return true;
    if (!lowering->commit)
        lowering->commit = coordinator_commit_begin(coordinator, NULL, NULL);
    if (lowering->count++ < LOWER_SAID_MAX)
        doors_say(coordinator->broker->doors, LOG_WARNING,
            "group %.*s: its offset %" PRId64 " of %s-%" PRId32
            " lies behind the end of the log after a loss: lowered to %" PRId64,
            (int)place.group.len, (const char *)place.group.data, offset.offset, topic->name,
            place.partition, log->end_offset);
    offset.offset = log->end_offset;
    offset.leader_epoch = -1; /* that of the lost record means nothing here */
    coordinator_put_offset(
        &lowering->commit->unit, place.group, &place.topic, place.partition, &offset);
    return true;
}

/* Loss was accepted: a group that had read further goes on at the end, or it would miss what comes
 * until the log is as long again. Without that option nothing acknowledged to `fsync` is gone; in
 * other modes a power cut may take records, which consumers notice by the leader epoch (KIP-320).
 * Not done if the unit does not fit: then auto.offset.reset decides. */
static void offsets_lower(struct coordinator *coordinator)
{
    struct lowering lowering = { .coordinator = coordinator };
    store_each(
        coordinator->broker->storage, STORE_OFFSET, bytes_of("", 0), offset_lower, &lowering);
    if (!lowering.commit)
        return;
    int status = coordinator_commit(coordinator, lowering.commit);
    if (status == -EAGAIN)
        coordinator_commit_abandon(lowering.commit);
    doors_say(coordinator->broker->doors, LOG_WARNING,
        "%zu committed offsets lay behind the ends of their logs after a loss%s%s", lowering.count,
        status < 0 ? ", and stay as they are: " : ": lowered",
        status < 0 ? strerrordesc_np(-status) : "");
}

int coordinator_create(struct coordinator **ret_coordinator, struct broker *broker)
{
    struct coordinator *coordinator = mem_zalloc(1, sizeof(*coordinator));
    const struct broker_config *config = broker->config;
    coordinator->broker = broker;
    coordinator->owner = (struct group_owner){
        .context = coordinator,
        .persist = owner_persist,
        .schedule = owner_schedule,
        .member_id = owner_member_id,
        .bytes_max = SIZE_MAX, /* what was kept before is there, whatever the limit says now */
    };
    coordinator->limits = (struct classic_limits){
        .initial_delay_ns = config->group_initial_rebalance_delay_ms * CLOCK_NS_PER_MS,
        .session_min_ms = config->group_min_session_timeout_ms,
        .session_max_ms = config->group_max_session_timeout_ms,
        .members_max = (size_t)config->group_max_size,
    };
    coordinator->effects = (struct classic_effects){
        .context = coordinator, .join = effect_join, .sync = effect_sync
    };
    text_list_split(&coordinator->assignors, config->group_consumer_assignors);
    coordinator->topics = topic_view_of(broker->storage);
    coordinator->consumer_effects = (struct consumer_effects){
        .context = coordinator,
        .settings = effect_settings,
        .downgrade = effect_downgrade,
        .topics = &coordinator->topics,
        .classic = &coordinator->effects,
    };
    coordinator->share_effects = shares_group_effects(broker);
    coordinator->timer.fire = timer_fire;
    list_init(&coordinator->groups);
    list_init(&coordinator->commits);
    for (size_t i = 0; i < BUCKET_COUNT; i++)
        list_init(&coordinator->buckets[i]);
    store_each(broker->storage, STORE_GROUP, bytes_of("", 0), load_group, coordinator);
    store_each(broker->storage, STORE_OFFSET, bytes_of("", 0), load_offset, coordinator);
    if (config->accept_loss && storage_was_unclean(broker->storage))
        offsets_lower(coordinator);
    coordinator->owner.bytes_max = (size_t)config->groups_bytes_max;
    *ret_coordinator = coordinator;
    return 0;
}

void coordinator_destroy(struct coordinator *coordinator)
{
    if (!coordinator)
        return;
    timer_cancel(coordinator->broker->doors->timers, &coordinator->timer);
    for (struct list *node; (node = list_first(&coordinator->groups));)
        group_remove(coordinator, list_entry(node, struct group, link));
    for (struct list *node; (node = list_first(&coordinator->commits));)
        pending_commit_free(list_entry(node, struct pending_commit, link));
    heap_done(&coordinator->wakes);
    text_list_done(&coordinator->assignors);
    mem_free(coordinator);
}
