/*
 * See shares.h.
 *
 * Happy path: a fetch uses a part; its first use loads it from the store or lets it begin, which is
 * written at once. What changes a partition ends in part_settle, which puts it among the dirty,
 * moves its place among the deadlines and wakes those who wait. shares_save writes all dirty ones,
 * a MiB to a unit; whoever tells of them waits for the units' lsn.
 *
 * Failure modes: the ring is full: they stay dirty, the request is parked, and the timer tries
 * again. A row that cannot be read is said, and the part begins at the log's start: what was
 * accepted may come again, nothing is lost. A topic that went: its rows go with it; a part that
 * is still named in memory is not written any more.
 *
 * Limits: sessions, partitions named, parts in memory, and ranges, which take at most the groups'
 * share of memory.limit; at that limit nothing more is acquired until something is acknowledged.
 */
#include "broker/shares.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/coordinator.h"
#include "broker/share_config.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"

enum { SAVE_BYTES = 1 << 20, RETRY_MS = 100 };

struct shares {
    struct broker *broker;
    struct tree sessions, parts;
    struct list session_list;
    size_t session_parts; /* that sessions name */
    uint64_t owners;      /* given out */
    struct list dirty;    /* struct share_part */
    struct list woken;    /* struct share_waiter */
    struct list commits;  /* struct share_commit in flight */
    struct heap wakes;    /* parts by the first of their locks' ends */
    struct timer timer, wake_timer;
    size_t ranges, ranges_max;
};

struct share_commit {
    struct unit unit;
    struct list link;
};

static void timer_arm(struct shares *shares);

static int64_t now_of(const struct shares *shares)
{
    return clock_monotonic_ns(shares->broker->doors->clock);
}

static int compare_part(const void *key, const struct tree_node *node)
{
    const struct share_part *part = container_of_const(node, struct share_part, node);
    return bytes_compare(*(const struct bytes *)key, bytes_of(part->key, part->key_len));
}

static int compare_session(const void *key, const struct tree_node *node)
{
    const struct share_session *session = container_of_const(node, struct share_session, node);
    return bytes_compare(*(const struct bytes *)key, bytes_of(session->key, session->key_len));
}

/* What cannot be kept now the timer tries again. */
static void save_or_later(struct shares *shares)
{
    if (shares_save(shares))
        timer_arm(shares);
}

/* ---- deadlines and waiters ------------------------------------------------------------------ */

static void timer_arm(struct shares *shares)
{
    struct heap_node *first = heap_first(&shares->wakes);
    struct timers *timers = shares->broker->doors->timers;
    int64_t at = first ? first->key : INT64_MAX;
    int64_t retry = now_of(shares) + RETRY_MS * CLOCK_NS_PER_MS;
    if (!list_empty(&shares->dirty) && !shares->broker->stopping && retry < at)
        at = retry;
    if (at == INT64_MAX)
        timer_cancel(timers, &shares->timer);
    else
        timer_set(timers, &shares->timer, at);
}

static void wake_fire(struct timer *timer)
{
    struct shares *shares = container_of(timer, struct shares, wake_timer);
    struct list woken;
    list_init(&woken);
    list_splice(&woken, &shares->woken);
    for (struct list *node; (node = list_pop(&woken));) {
        struct share_waiter *waiter = list_entry(node, struct share_waiter, link);
        waiter->wake(waiter);
    }
}

static void part_wake(struct share_part *part)
{
    struct shares *shares = part->shares;
    if (list_empty(&part->waiters))
        return;
    list_splice(&shares->woken, &part->waiters);
    timer_set(shares->broker->doors->timers, &shares->wake_timer, now_of(shares));
}

void share_part_wait(struct share_part *part, struct share_waiter *waiter)
{
    list_append(&part->waiters, &waiter->link);
}

/* ---- parts --------------------------------------------------------------------------------- */

static void part_free(struct share_part *part)
{
    struct shares *shares = part->shares;
    struct bytes key = bytes_of(part->key, part->key_len);
    if (part->finding)
        log_find_cancel(&part->find);
    (void)tree_remove(&shares->parts, &key);
    heap_remove(&shares->wakes, &part->wake);
    list_remove(&part->dirty);
    shares->ranges -= part->ranges;
    share_partition_done(&part->partition);
    mem_free(part);
}

/* After anything that changed the partition. The part may be gone when it returns. */
static void part_settle(struct share_part *part)
{
    struct shares *shares = part->shares;
    int64_t deadline = share_partition_deadline(&part->partition);
    shares->ranges += part->partition.ranges.count;
    shares->ranges -= part->ranges;
    part->ranges = part->partition.ranges.count;
    heap_remove(&shares->wakes, &part->wake);
    if (deadline != INT64_MAX)
        heap_insert(&shares->wakes, &part->wake, deadline);
    if (part->partition.changed && list_empty(&part->dirty))
        list_append(&shares->dirty, &part->dirty);
    if (part->uses == 0 && !part->finding && !part->partition.changed && deadline == INT64_MAX)
        part_free(part);
    timer_arm(shares);
}

static struct share_limits limits_of(const struct share_part *part)
{
    return share_config_limits(part->shares->broker, part->group);
}

static void part_tick(struct share_part *part)
{
    struct share_limits limits = limits_of(part);
    if (share_partition_tick(&part->partition, &limits, now_of(part->shares)))
        part_wake(part);
    part_settle(part);
}

static void timer_fire(struct timer *timer)
{
    struct shares *shares = container_of(timer, struct shares, timer);
    int64_t now = now_of(shares);
    struct heap_node *first;
    while ((first = heap_first(&shares->wakes)) && first->key <= now)
        part_tick(container_of(first, struct share_part, wake));
    save_or_later(shares); /* what could not be kept now is tried again */
    timer_arm(shares);
}

static struct share_part *part_find(
    const struct shares *shares, struct bytes group, const struct uuid *topic, int32_t index)
{
    struct out key = { 0 };
    coordinator_offset_key(&key, group, topic, index);
    struct bytes bytes = bytes_of(key.data, key.len);
    struct tree_node *node = tree_find(&shares->parts, &bytes);
    out_done(&key);
    return node ? container_of(node, struct share_part, node) : NULL;
}

static struct share_part *part_make(
    struct shares *shares, struct bytes group, const struct log *log)
{
    struct out key = { 0 };
    coordinator_offset_key(&key, group, &log->topic->id, log->partition);
    struct share_part *part = mem_zalloc(1, sizeof(*part) + key.len);
    part->key_len = key.len;
    memcpy(part->key, key.data, key.len);
    out_done(&key);
    part->group = bytes_of(part->key + 2, group.len);
    part->topic = log->topic->id;
    part->index = log->partition;
    part->shares = shares;
    list_init(&part->waiters);
    list_init(&part->dirty);
    share_partition_init(&part->partition, 0);
    struct bytes bytes = bytes_of(part->key, part->key_len);
    tree_insert(&shares->parts, &bytes, &part->node);
    return part;
}

/* ---- where a part begins -------------------------------------------------------------------- */

static void part_begin(struct share_part *part, int64_t start)
{
    share_partition_reset(&part->partition, start);
    part->ready = true;
    part_wake(part);
    part_settle(part);
    save_or_later(part->shares); /* -EAGAIN: the timer tries again */
}

static void find_done(struct log_find_time *find, int status)
{
    struct share_part *part = container_of(find, struct share_part, find);
    struct topic *topic = storage_topic_by_id(part->shares->broker->storage, &part->topic);
    struct log *log = topic ? topic_log(topic, part->index) : NULL;
    part->finding = false;
    if (!log) {
        part_settle(part); /* whoever uses it finds that out */
        return;
    }
    int64_t start = log->high_watermark;
    if (status)
        start = log->start_offset;
    else if (find->offset >= 0)
        start = find->offset;
    part_begin(part, start);
}

static void part_start(struct share_part *part, struct log *log)
{
    struct shares *shares = part->shares;
    struct broker *broker = shares->broker;
    int64_t duration_ms;
    switch (share_config_reset(broker, part->group, &duration_ms)) {
    case SHARE_RESET_EARLIEST: part_begin(part, log->start_offset); return;
    case SHARE_RESET_LATEST: part_begin(part, log->high_watermark); return;
    case SHARE_RESET_DURATION: break;
    }
    part->find = (struct log_find_time){ .log = log,
        .target_ms = clock_wall_ms(broker->doors->clock) - duration_ms,
        .end_offset = log->high_watermark,
        .done = find_done };
    int status = log_find_time(broker->storage, &part->find);
    part->finding = status == -EINPROGRESS;
    if (!part->finding)
        find_done(&part->find, status);
}

static void part_load(struct share_part *part, struct log *log, struct bytes row)
{
    struct shares *shares = part->shares;
    int status = share_partition_decode(&part->partition, row);
    if (status) {
        doors_say(shares->broker->doors, LOG_ERROR,
            "share group %.*s: what it has had of %s-%" PRId32
            " can't be read; it begins at the log's start again",
            (int)part->group.len, (const char *)part->group.data, log->topic->name, log->partition);
        part_begin(part, log->start_offset);
        return;
    }
    part->ready = true;
    part_settle(part);
}

struct share_part *share_part_use(struct shares *shares, struct bytes group, struct log *log)
{
    struct share_part *part = part_find(shares, group, &log->topic->id, log->partition);
    struct bytes row;
    if (!part) {
        if (shares->parts.count >= SHARES_PARTS_MAX)
            return NULL;
        part = part_make(shares, group, log);
        part->uses = 1;
        if (store_get(shares->broker->storage, STORE_SHARE, bytes_of(part->key, part->key_len),
                &row, &part->lsn))
            part_load(part, log, row);
        else
            part_start(part, log);
        return part;
    }
    part->uses++;
    if (!part->ready && !part->finding)
        part_start(part, log);
    return part;
}

void share_part_unuse(struct share_part *part)
{
    part->uses--;
    part_settle(part);
}

void share_part_refresh(struct share_part *part, const struct log *log)
{
    struct share_limits limits = limits_of(part);
    bool moved = share_partition_trim(&part->partition, log->start_offset, log->end_offset);
    moved |= share_partition_tick(&part->partition, &limits, now_of(part->shares));
    if (moved)
        part_wake(part);
    part_settle(part);
}

bool share_part_has_room(const struct share_part *part)
{
    struct share_limits limits = limits_of(part);
    const struct shares *shares = part->shares;
    return shares->ranges < shares->ranges_max &&
           share_partition_has_room(&part->partition, &limits);
}

void share_part_acquired(struct share_part *part)
{
    part_settle(part);
}

int16_t share_part_acknowledge(struct shares *shares, const struct share_session *session,
    const struct log *log, const struct share_ack *acks, size_t ack_count)
{
    struct share_part *part = part_find(shares, session->group, &log->topic->id, log->partition);
    if (!part || !part->ready)
        return KAFKA_ERROR_INVALID_RECORD_STATE;
    part->uses++;
    share_part_refresh(part, log);
    struct share_limits limits = limits_of(part);
    int status = share_partition_acknowledge(
        &part->partition, session->owner, acks, ack_count, &limits, now_of(shares));
    if (status == 0)
        part_wake(part);
    share_part_unuse(part);
    return status == 0         ? KAFKA_ERROR_NONE
           : status == -EINVAL ? KAFKA_ERROR_INVALID_REQUEST
                               : KAFKA_ERROR_INVALID_RECORD_STATE;
}

/* ---- durable ------------------------------------------------------------------------------- */

static void commit_free(struct share_commit *commit)
{
    list_remove(&commit->link);
    unit_done(&commit->unit);
    mem_free(commit);
}

static void commit_durable(struct unit *unit)
{
    commit_free(container_of(unit, struct share_commit, unit));
}

/* Some of the dirty ones, moved to `saved`, into the unit. */
static void unit_fill(struct shares *shares, struct unit *unit, struct list *saved)
{
    struct out value = { 0 };
    size_t bytes = 0;
    for (struct list *node; bytes < SAVE_BYTES && (node = list_pop(&shares->dirty));) {
        struct share_part *part = list_entry(node, struct share_part, dirty);
        list_append(saved, node);
        value.len = 0;
        share_partition_encode(&part->partition, &value);
        bytes += value.len;
        bool there = storage_topic_by_id(shares->broker->storage, &part->topic) != NULL;
        unit_put(unit, STORE_SHARE, bytes_of(part->key, part->key_len),
            there ? bytes_of(value.data, value.len) : bytes_of(NULL, 0));
    }
    out_done(&value);
}

static int save_some(struct shares *shares)
{
    struct share_commit *commit = mem_zalloc(1, sizeof(*commit));
    struct list saved;
    list_init(&saved);
    unit_init(&commit->unit, commit_durable);
    list_append(&shares->commits, &commit->link);
    unit_fill(shares, &commit->unit, &saved);
    int status = log_commit(shares->broker->storage, &commit->unit);
    uint64_t lsn = commit->unit.end_lsn;
    if (status) {
        commit_free(commit);
        list_splice(&shares->dirty, &saved);
        return status;
    }
    for (struct list *node; (node = list_pop(&saved));) {
        struct share_part *part = list_entry(node, struct share_part, dirty);
        if (part->lsn == 0)
            part_wake(part);
        part->lsn = lsn;
        part->partition.changed = false;
        part_settle(part);
    }
    return 0;
}

int shares_save(struct shares *shares)
{
    int status = 0;
    while (!list_empty(&shares->dirty) && !status)
        status = save_some(shares);
    timer_arm(shares);
    return status;
}

/* ---- sessions ------------------------------------------------------------------------------ */

static void session_key(struct out *key, struct bytes group, struct bytes member)
{
    be_put16(out_add(key, 2), (uint16_t)group.len);
    out_bytes(key, group.data, group.len);
    out_bytes(key, member.data, member.len);
}

struct share_session *share_session_find(
    const struct shares *shares, struct bytes group, struct bytes member)
{
    struct out key = { 0 };
    session_key(&key, group, member);
    struct bytes bytes = bytes_of(key.data, key.len);
    struct tree_node *node = tree_find(&shares->sessions, &bytes);
    out_done(&key);
    return node ? container_of(node, struct share_session, node) : NULL;
}

static void session_empty(struct shares *shares, struct share_session *session)
{
    for (struct list *node; (node = list_pop(&session->parts));)
        mem_free(list_entry(node, struct share_session_part, link));
    shares->session_parts -= session->part_count;
    session->part_count = 0;
}

struct share_session *share_session_open(
    struct shares *shares, struct bytes group, struct bytes member, struct connection *connection)
{
    struct share_session *session = share_session_find(shares, group, member);
    struct out key = { 0 };
    if (!session) {
        if (shares->sessions.count >=
            (size_t)shares->broker->config->group_share_max_share_sessions)
            return NULL;
        session_key(&key, group, member);
        session = mem_zalloc(1, sizeof(*session) + key.len);
        session->key_len = key.len;
        memcpy(session->key, key.data, key.len);
        out_done(&key);
        session->group = bytes_of(session->key + 2, group.len);
        session->member = bytes_of(session->key + 2 + group.len, member.len);
        session->owner = ++shares->owners;
        list_init(&session->parts);
        struct bytes bytes = bytes_of(session->key, session->key_len);
        tree_insert(&shares->sessions, &bytes, &session->node);
        list_append(&shares->session_list, &session->link);
    }
    session_empty(shares, session);
    session->connection = connection;
    session->epoch = 1;
    return session;
}

static void session_free(struct shares *shares, struct share_session *session)
{
    struct bytes key = bytes_of(session->key, session->key_len);
    session_empty(shares, session);
    (void)tree_remove(&shares->sessions, &key);
    list_remove(&session->link);
    mem_free(session);
}

/* The first part whose key is not before that of the group; NULL: none. */
static struct share_part *group_part_after(
    const struct shares *shares, struct bytes group, const struct share_part *after)
{
    struct out prefix = { 0 };
    coordinator_offset_key(&prefix, group, NULL, 0);
    struct bytes key =
        after ? bytes_of(after->key, after->key_len) : bytes_of(prefix.data, prefix.len);
    struct tree_node *node =
        after ? tree_after(&shares->parts, &key) : tree_at(&shares->parts, &key);
    struct share_part *part = node ? container_of(node, struct share_part, node) : NULL;
    if (part &&
        !bytes_begin_with(bytes_of(part->key, part->key_len), bytes_of(prefix.data, prefix.len)))
        part = NULL;
    out_done(&prefix);
    return part;
}

void share_session_close(struct shares *shares, struct share_session *session)
{
    struct share_part *part = group_part_after(shares, session->group, NULL), *next;
    struct share_limits limits = share_config_limits(shares->broker, session->group);
    for (; part; part = next) {
        next = group_part_after(shares, session->group, part);
        if (share_partition_release(&part->partition, session->owner, &limits))
            part_wake(part);
        part_settle(part);
    }
    session_free(shares, session);
    save_or_later(shares); /* the timer tries again */
}

void shares_connection_gone(struct shares *shares, const struct connection *connection)
{
    if (!shares)
        return;
    list_foreach_safe (node, following, &shares->session_list) {
        struct share_session *session = list_entry(node, struct share_session, link);
        if (session->connection == connection)
            share_session_close(shares, session);
    }
}

static struct share_session_part *part_named(
    const struct share_session *session, struct uuid topic, int32_t index)
{
    list_foreach (node, &session->parts) {
        struct share_session_part *part = list_entry(node, struct share_session_part, link);
        if (part->index == index && uuid_equal(part->topic, topic))
            return part;
    }
    return NULL;
}

bool share_session_add(
    struct shares *shares, struct share_session *session, struct uuid topic, int32_t index)
{
    if (part_named(session, topic, index))
        return true;
    if (shares->session_parts >= SHARES_SESSION_PARTS_MAX)
        return false;
    struct share_session_part *part = mem_zalloc(1, sizeof(*part));
    part->topic = topic;
    part->index = index;
    list_append(&session->parts, &part->link);
    session->part_count++;
    shares->session_parts++;
    return true;
}

void share_session_forget(
    struct shares *shares, struct share_session *session, struct uuid topic, int32_t index)
{
    struct share_session_part *part = part_named(session, topic, index);
    if (!part)
        return;
    list_remove(&part->link);
    mem_free(part);
    session->part_count--;
    shares->session_parts--;
}

void share_session_served(struct share_session *session, struct uuid topic, int32_t index)
{
    struct share_session_part *part = part_named(session, topic, index);
    if (!part)
        return;
    list_remove(&part->link);
    list_append(&session->parts, &part->link);
}

int32_t share_session_epoch_after(int32_t epoch)
{
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

/* ---- describe and change -------------------------------------------------------------------- */

bool shares_position(
    struct shares *shares, struct bytes group, const struct log *log, struct share_position *ret)
{
    const struct share_part *part = part_find(shares, group, &log->topic->id, log->partition);
    struct share_partition stored;
    struct out key = { 0 };
    struct bytes row;
    /* What could not be kept yet is not told: a crash would take it back. */
    if (part && part->ready && list_empty(&part->dirty)) {
        *ret = (struct share_position){ part->partition.start,
            share_partition_lag(&part->partition, log->high_watermark), part->lsn };
        return true;
    }
    coordinator_offset_key(&key, group, &log->topic->id, log->partition);
    bool there = store_get(
        shares->broker->storage, STORE_SHARE, bytes_of(key.data, key.len), &row, &ret->lsn);
    out_done(&key);
    if (!there)
        return false;
    share_partition_init(&stored, 0);
    bool good = share_partition_decode(&stored, row) == 0;
    (void)share_partition_trim(&stored, log->start_offset, log->end_offset);
    ret->start = stored.start;
    ret->lag = share_partition_lag(&stored, log->high_watermark);
    share_partition_done(&stored);
    return good;
}

struct each_row {
    size_t prefix_len;
    void (*each)(void *context, const struct uuid *topic, int32_t index);
    void *context;
};

static bool each_row(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct each_row *visit = context;
    struct uuid topic;
    (void)value;
    (void)lsn;
    if (key.len != visit->prefix_len + sizeof(topic.b) + 4)
        return true;
    memcpy(topic.b, key.data + visit->prefix_len, sizeof(topic.b));
    visit->each(
        visit->context, &topic, (int32_t)be_get32(key.data + visit->prefix_len + sizeof(topic.b)));
    return true;
}

void shares_each(struct shares *shares, struct bytes group,
    void (*each)(void *context, const struct uuid *topic, int32_t index), void *context)
{
    struct out prefix = { 0 };
    coordinator_offset_key(&prefix, group, NULL, 0);
    struct each_row visit = { prefix.len, each, context };
    store_each(
        shares->broker->storage, STORE_SHARE, bytes_of(prefix.data, prefix.len), each_row, &visit);
    out_done(&prefix);
}

void shares_move(
    struct unit *unit, struct bytes group, const struct uuid *topic, int32_t index, int64_t start)
{
    struct out key = { 0 }, value = { 0 };
    struct share_partition partition;
    coordinator_offset_key(&key, group, topic, index);
    share_partition_init(&partition, start);
    share_partition_encode(&partition, &value);
    share_partition_done(&partition);
    unit_put(unit, STORE_SHARE, bytes_of(key.data, key.len),
        start < 0 ? bytes_of(NULL, 0) : bytes_of(value.data, value.len));
    out_done(&key);
    out_done(&value);
}

void shares_moved(struct shares *shares, struct bytes group, const struct uuid *topic,
    int32_t index, int64_t start, uint64_t lsn)
{
    struct share_part *part = part_find(shares, group, topic, index);
    if (!part)
        return;
    if (part->finding)
        log_find_cancel(&part->find);
    part->finding = false;
    share_partition_reset(&part->partition, start < 0 ? 0 : start);
    part->partition.changed = false;
    list_remove(&part->dirty);
    part->ready = start >= 0; /* forgotten: the next use lets it begin */
    part->lsn = lsn;
    part_wake(part);
    part_settle(part);
}

void shares_forgot(
    struct shares *shares, struct bytes group, const struct uuid *topic, uint64_t lsn)
{
    struct share_part *part = group_part_after(shares, group, NULL), *next;
    for (; part; part = next) {
        next = group_part_after(shares, group, part);
        if (uuid_equal(part->topic, *topic))
            shares_moved(shares, part->group, topic, part->index, -1, lsn);
    }
}

/* ---- groups and topics that go -------------------------------------------------------------- */

static bool row_delete(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    (void)value;
    (void)lsn;
    unit_put(context, STORE_SHARE, key, bytes_of(NULL, 0));
    return true;
}

void shares_delete_group(struct shares *shares, struct unit *unit, struct bytes group)
{
    struct out prefix = { 0 };
    if (!shares)
        return;
    coordinator_offset_key(&prefix, group, NULL, 0);
    store_each(
        shares->broker->storage, STORE_SHARE, bytes_of(prefix.data, prefix.len), row_delete, unit);
    out_done(&prefix);
}

void shares_drop_group(struct shares *shares, struct bytes group)
{
    struct share_part *part, *next;
    if (!shares)
        return;
    list_foreach_safe (node, following, &shares->session_list) {
        struct share_session *session = list_entry(node, struct share_session, link);
        if (bytes_equal(session->group, group))
            session_free(shares, session);
    }
    for (part = group_part_after(shares, group, NULL); part; part = next) {
        next = group_part_after(shares, group, part);
        if (part->uses == 0)
            part_free(part);
        else /* a fetch under way; it begins anew if that looks again */
            shares_moved(shares, part->group, &part->topic, part->index, -1, part->lsn);
    }
}

struct topic_deletion {
    struct unit *unit;
    const struct uuid *topic;
};

static bool topic_row_delete(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct topic_deletion *deletion = context;
    size_t tail = sizeof(deletion->topic->b) + 4;
    if (key.len > tail && memcmp(key.data + key.len - tail, deletion->topic->b, tail - 4) == 0)
        return row_delete(deletion->unit, key, value, lsn);
    return true;
}

void shares_delete_topic(struct shares *shares, struct unit *unit, const struct uuid *topic)
{
    struct topic_deletion deletion = { unit, topic };
    store_each(shares->broker->storage, STORE_SHARE, bytes_of("", 0), topic_row_delete, &deletion);
}

/* ---- what groups ask ------------------------------------------------------------------------ */

static bool effect_topic(
    void *context, struct bytes name, struct uuid *ret_id, int32_t *ret_partitions)
{
    const struct broker *broker = context;
    const struct topic *topic = storage_topic(broker->storage, name);
    if (!topic)
        return false;
    *ret_id = topic->id;
    *ret_partitions = topic->log_count;
    return true;
}

static int64_t effect_session_ns(void *context, const struct group *group)
{
    return (int64_t)share_config_session_ms(context, bytes_text(group->id)) * CLOCK_NS_PER_MS;
}

static size_t effect_members_max(void *context)
{
    return (size_t)((const struct broker *)context)->config->group_share_max_size;
}

struct share_group_effects shares_group_effects(struct broker *broker)
{
    return (struct share_group_effects){ .context = broker,
        .topic = effect_topic,
        .session_ns = effect_session_ns,
        .members_max = effect_members_max };
}

/* ---- life ---------------------------------------------------------------------------------- */

int shares_create(struct shares **ret_shares, struct broker *broker)
{
    struct shares *shares = mem_zalloc(1, sizeof(*shares));
    shares->broker = broker;
    shares->parts.compare = compare_part;
    shares->sessions.compare = compare_session;
    shares->timer.fire = timer_fire;
    shares->wake_timer.fire = wake_fire;
    shares->ranges_max = (size_t)broker->config->groups_bytes_max / sizeof(struct share_range);
    list_init(&shares->session_list);
    list_init(&shares->dirty);
    list_init(&shares->woken);
    list_init(&shares->commits);
    *ret_shares = shares;
    return 0;
}

void shares_stop(struct shares *shares)
{
    struct tree_node *node = tree_first(&shares->parts);
    while (node) {
        struct share_part *part = container_of(node, struct share_part, node);
        struct bytes key = bytes_of(part->key, part->key_len);
        node = tree_after(&shares->parts, &key);
        part->partition.changed |= part->partition.counts[SHARE_ACQUIRED] > 0;
        part_settle(part);
    }
    save_or_later(shares); /* a full ring at the end: deliveries since the last write are lost */
}

void shares_destroy(struct shares *shares)
{
    struct tree_node *node;
    if (!shares)
        return;
    timer_cancel(shares->broker->doors->timers, &shares->timer);
    timer_cancel(shares->broker->doors->timers, &shares->wake_timer);
    for (struct list *session; (session = list_first(&shares->session_list));)
        session_free(shares, list_entry(session, struct share_session, link));
    while ((node = tree_first(&shares->parts)))
        part_free(container_of(node, struct share_part, node));
    for (struct list *commit; (commit = list_first(&shares->commits));)
        commit_free(list_entry(commit, struct share_commit, link));
    heap_done(&shares->wakes);
    mem_free(shares);
}
