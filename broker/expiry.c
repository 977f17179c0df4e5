/*
 * See expiry.h.
 *
 *                    the interval is over               no group is left
 *       WAITING ──────────────────────────▶ PASS ─────────────────────────▶ WAITING
 *                                          │    ▲
 *                                          └────┘ a piece, then a pause
 *
 * Happy path of a piece
 *  - the group that is due is looked through in the order of its keys, as far as the piece's visits
 *    reach: offsets that are too old are candidates.
 *  - candidates stay if a member reads their topic, or if an offset waits for them.
 *  - the others go in one unit; if nothing is left of the group and nobody is in it, so does the
 *    group, with that unit or one of its own.
 *  - a group that is larger than the piece goes on behind `after` in the next one.
 *
 * Failure modes
 *  - the ring is full: the same group is looked at once more a little later.
 *  - the unit is refused for another reason: it is said, and the next pass tries again.
 *  - wall time goes back: what was committed ahead of it stays for so much longer.
 *
 * Invariant: between a look at a group and its unit nothing happens, so what is borrowed from the
 * store is good until the commit, and nobody joins a group that goes.
 */
#include "broker/expiry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/coordinator.h"
#include "broker/transaction_coordinator.h"
#include "protocol/base/mem.h"

/* Too old, by its own time. */
struct candidate {
    struct bytes key;          /* of the store; sorted */
    const struct topic *topic; /* NULL: gone */
    bool stays;
};

/* A topic of candidates. */
struct candidate_topic {
    const struct topic *topic;
    bool subscribed;
};

struct expiry {
    struct broker *broker;
    struct timer timer;
    bool passing;
    struct out after;                 /* where the present group goes on, if it is of this group */
    size_t visits;                    /* left for the piece */
    size_t offsets_gone, groups_gone; /* in this pass */
    struct candidate candidates[EXPIRY_VISITS_MAX];
    struct candidate_topic topics[EXPIRY_VISITS_MAX];
};

/* At one group, in one piece. */
struct look {
    struct expiry *expiry;
    struct group *group;
    enum group_retention retention;
    int64_t now_ms;
    size_t count, topic_count; /* of candidates and their topics */
    size_t key_bytes;
    struct bytes last; /* key, of those seen */
    bool kept;         /* an offset stays */
    bool cut;          /* there is more */
    bool waited_for;   /* an offset waits for a transaction */
};

/* ---- which ones are too old ---------------------------------------------------------------- */

static bool is_expired(const struct look *look, const struct committed_offset *offset)
{
    const struct broker_config *config = look->expiry->broker->config;
    int64_t since_ms = offset->commit_ms;
    if (look->retention == GROUP_KEEPS_OFFSETS)
        return false;
    if (offset->expire_ms)
        return look->now_ms >= offset->expire_ms;
    if (look->retention == GROUP_OFFSETS_BY_STATE && look->group->state_since_ms > since_ms)
        since_ms = look->group->state_since_ms;
    return look->now_ms > since_ms && (uint64_t)look->now_ms - (uint64_t)since_ms >=
                                          (uint64_t)config->offsets_retention_minutes * 60000;
}

static bool look_at(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct look *look = context;
    struct expiry *expiry = look->expiry;
    struct coordinator_offset_place place;
    struct committed_offset offset;
    (void)lsn;
    look->cut = expiry->visits == 0 || look->key_bytes >= EXPIRY_UNIT_BYTES_MAX;
    if (look->cut)
        return false;
    expiry->visits--;
    look->last = key;
    bool good = coordinator_offset_place(key, &place) && coordinator_offset_decode(value, &offset);
    const struct topic *topic =
        good ? storage_topic_by_id(expiry->broker->storage, &place.topic) : NULL;
    if (!good || (topic && !is_expired(look, &offset))) {
        look->kept = true;
        return true;
    }
    look->key_bytes += key.len;
    expiry->candidates[look->count++] = (struct candidate){ .key = key, .topic = topic };
    return true;
}

/* ---- which of them stay -------------------------------------------------------------------- */

static int compare_topics(const void *a, const void *b)
{
    const struct candidate_topic *left = a, *right = b;
    return strcmp(left->topic->name, right->topic->name);
}

static int compare_name(const void *name, const void *at)
{
    const struct bytes *wanted = name;
    const struct candidate_topic *topic = at;
    return bytes_compare(*wanted, bytes_text(topic->topic->name));
}

static struct candidate_topic *topic_find(struct look *look, struct bytes name)
{
    return bsearch(&name, look->expiry->topics, look->topic_count, sizeof(*look->expiry->topics),
        compare_name);
}

static void topic_is_subscribed(void *context, struct bytes name)
{
    struct candidate_topic *topic = topic_find(context, name);
    if (topic)
        topic->subscribed = true;
}

/* Those whose topic a member reads stay. */
static void keep_subscribed(struct look *look)
{
    struct expiry *expiry = look->expiry;
    const struct group_operations *operations = look->group->operations;
    const struct topic *before = NULL;
    for (size_t i = 0; i < look->count; i++) {
        const struct topic *topic = expiry->candidates[i].topic;
        if (topic && topic != before) /* the keys of a topic stand together */
            expiry->topics[look->topic_count++] = (struct candidate_topic){ .topic = topic };
        before = topic;
    }
    if (!look->topic_count || !operations->each_subscribed)
        return;
    qsort(expiry->topics, look->topic_count, sizeof(*expiry->topics), compare_topics);
    bool known = operations->each_subscribed(look->group, topic_is_subscribed, look);
    for (size_t i = 0; i < look->count; i++) {
        struct candidate *candidate = &expiry->candidates[i];
        candidate->stays =
            candidate->topic &&
            (!known || topic_find(look, bytes_text(candidate->topic->name))->subscribed);
    }
}

static int compare_key(const void *key, const void *at)
{
    const struct bytes *wanted = key;
    const struct candidate *candidate = at;
    return bytes_compare(*wanted, candidate->key);
}

static void offset_waits(void *context, struct bytes key)
{
    struct look *look = context;
    struct candidate *candidate = bsearch(&key, look->expiry->candidates, look->count,
        sizeof(*look->expiry->candidates), compare_key);
    look->waited_for = true;
    if (candidate)
        candidate->stays = true;
}

static void keep_waited_for(struct look *look)
{
    struct expiry *expiry = look->expiry;
    size_t cost = transaction_coordinator_each_waiting(expiry->broker->transactions,
                      bytes_text(look->group->id), offset_waits, look) /
                  EXPIRY_TRANSACTIONS_PER_VISIT;
    expiry->visits -= cost < expiry->visits ? cost : expiry->visits;
}

/* ---- one group ----------------------------------------------------------------------------- */

/* Nobody is in it, nor said to come (KIP-394). */
static bool is_deserted(const struct group *group)
{
    return group->operations->is_empty(group) && group_next_deadline(group) == INT64_MAX;
}

/* Fills the unit. True: with the whole group. */
static bool unit_fill(struct look *look, struct unit *unit, bool whole)
{
    struct expiry *expiry = look->expiry;
    struct coordinator *coordinator = expiry->broker->coordinator;
    if (whole && !look->kept && !look->waited_for && is_deserted(look->group)) {
        coordinator_delete_group(coordinator, unit, look->group);
        return true;
    }
    for (size_t i = 0; i < look->count; i++)
        if (!expiry->candidates[i].stays)
            unit_put(unit, STORE_OFFSET, expiry->candidates[i].key, (struct bytes){ 0 });
    return false;
}

/* Commits what goes, if anything. *ret_gone: so did the group. */
static int clean(struct look *look, bool whole, bool *ret_gone)
{
    struct expiry *expiry = look->expiry;
    struct coordinator *coordinator = expiry->broker->coordinator;
    struct pending_commit *commit = coordinator_commit_begin(coordinator, NULL, NULL);
    bool goes = unit_fill(look, pending_commit_unit(commit), whole);
    *ret_gone = false;
    if (!pending_commit_unit(commit)->put_count) {
        coordinator_commit_abandon(commit);
        return 0;
    }
    int status = coordinator_commit(coordinator, commit);
    if (status == -EAGAIN)
        coordinator_commit_abandon(commit);
    if (status < 0)
        return status;
    for (size_t i = 0; i < look->count; i++)
        expiry->offsets_gone += !expiry->candidates[i].stays;
    expiry->groups_gone += goes;
    *ret_gone = goes;
    if (goes)
        coordinator_drop_group(coordinator, bytes_text(look->group->id));
    return 0;
}

static bool is_there(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    (void)key;
    (void)value;
    (void)lsn;
    *(bool *)context = true;
    return false;
}

static bool has_offsets(const struct expiry *expiry, struct bytes prefix)
{
    bool there = false;
    store_each(expiry->broker->storage, STORE_OFFSET, prefix, is_there, &there);
    return there;
}

/* The look is over and its group is still there: where to go on. */
static void go_on(struct look *look, struct bytes prefix, bool whole, const struct out *reached)
{
    struct expiry *expiry = look->expiry;
    if (look->cut && !reached->len)
        return; /* the piece was over before it */
    expiry->after.len = 0;
    if (look->cut) {
        out_bytes(&expiry->after, reached->data, reached->len);
        out_u8(&expiry->after, 0); /* the least key behind it */
        return;
    }
    /* Emptied piece by piece: one more look takes the group. */
    if (whole || !is_deserted(look->group) || has_offsets(expiry, prefix))
        coordinator_walk_on(expiry->broker->coordinator);
}

/* One look at the group that is due. 0: on with the piece. */
static int visit(struct expiry *expiry, struct group *group)
{
    struct broker *broker = expiry->broker;
    struct look look = { .expiry = expiry, .group = group };
    struct out prefix = { 0 }, reached = { 0 };
    bool gone;
    look.now_ms = clock_wall_ms(broker->doors->clock);
    look.retention = group->operations->retention(group);
    coordinator_offset_key(&prefix, bytes_text(group->id), NULL, 0);
    struct bytes all = bytes_of(prefix.data, prefix.len);
    struct bytes after = bytes_of(expiry->after.data, expiry->after.len);
    bool whole = !bytes_begin_with(after, all);
    store_each_from(broker->storage, STORE_OFFSET, all, whole ? all : after, look_at, &look);
    if (look.last.len)
        out_bytes(&reached, look.last.data, look.last.len);
    whole &= !look.cut;
    keep_subscribed(&look);
    keep_waited_for(&look);
    for (size_t i = 0; i < look.count; i++)
        look.kept |= expiry->candidates[i].stays;
    int status = clean(&look, whole, &gone);
    if (status < 0 && status != -EAGAIN && status != -ESHUTDOWN) {
        doors_say(broker->doors, LOG_ERROR, "group %s: its expired offsets can't be deleted: %s",
            group->id, strerrordesc_np(-status));
        status = 0;
    }
    if (status == 0 && !gone)
        go_on(&look, all, whole, &reached);
    out_done(&prefix);
    out_done(&reached);
    return status;
}

/* ---- passes -------------------------------------------------------------------------------- */

static void arm(struct expiry *expiry, int64_t after_ms)
{
    struct doors *doors = expiry->broker->doors;
    timer_set(
        doors->timers, &expiry->timer, clock_after_ms(clock_monotonic_ns(doors->clock), after_ms));
}

static void pass_end(struct expiry *expiry)
{
    if (expiry->offsets_gone || expiry->groups_gone)
        doors_say(expiry->broker->doors, LOG_INFO,
            "%zu committed offsets have expired; %zu groups without members and offsets are gone",
            expiry->offsets_gone, expiry->groups_gone);
    expiry->passing = false;
    expiry->after.len = 0;
    arm(expiry, expiry->broker->config->offsets_check_ms);
}

static void fired(struct timer *timer)
{
    struct expiry *expiry = container_of(timer, struct expiry, timer);
    struct coordinator *coordinator = expiry->broker->coordinator;
    struct group *group;
    int status = 0;
    if (!expiry->passing) {
        coordinator_walk_begin(coordinator);
        expiry->passing = true;
        expiry->offsets_gone = expiry->groups_gone = 0;
    }
    expiry->visits = EXPIRY_VISITS_MAX;
    while (status == 0 && expiry->visits && (group = coordinator_walk_group(coordinator))) {
        expiry->visits--;
        if (group->operations->retention)
            status = visit(expiry, group);
        else
            coordinator_walk_on(coordinator);
    }
    if (status == -EAGAIN)
        arm(expiry, EXPIRY_RETRY_MS);
    else if (status < 0 || !coordinator_walk_group(coordinator))
        pass_end(expiry);
    else
        arm(expiry, EXPIRY_PAUSE_MS);
}

struct expiry *expiry_create(struct broker *broker)
{
    struct expiry *expiry = mem_zalloc(1, sizeof(*expiry));
    expiry->broker = broker;
    expiry->timer.fire = fired;
    arm(expiry, broker->config->offsets_check_ms);
    return expiry;
}

void expiry_destroy(struct expiry *expiry)
{
    if (!expiry)
        return;
    timer_cancel(expiry->broker->doors->timers, &expiry->timer);
    out_done(&expiry->after);
    mem_free(expiry);
}
