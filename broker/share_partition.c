/*
 * See share_partition.h.
 *
 * Every change is the same three steps: cut the ranges at the borders of what changes, set the
 * state of those between (range_set keeps counts and locks), join what became equal (range_join,
 * which also moves `start` and forgets). The number of ranges is so at most twice the number of
 * records that are not DONE, and one; that number never grows above limits->records_max.
 *
 * Bounds from a client (acknowledgements) and from the disk (decode) are checked before anything
 * changes.
 */
#include "broker/share_partition.h"

#include <errno.h>

#include "protocol/base/mem.h"
#include "protocol/varint.h"

enum { ENCODING = 1, DELIVERY_MAX = UINT16_MAX };

/* ---- ranges -------------------------------------------------------------------------------- */

static int compare_first(const void *key, const struct tree_node *node)
{
    int64_t offset = *(const int64_t *)key;
    int64_t first = container_of_const(node, struct share_range, node)->first;
    return (offset > first) - (offset < first);
}

static struct share_range *range_of(struct tree_node *node)
{
    return node ? container_of(node, struct share_range, node) : NULL;
}

/* The one that contains the offset, which is between start and end. */
static struct share_range *range_at(const struct share_partition *partition, int64_t offset)
{
    return range_of(tree_floor(&partition->ranges, &offset));
}

struct share_range *share_partition_range_after(
    const struct share_partition *partition, const struct share_range *range)
{
    return range_of(
        range ? tree_after(&partition->ranges, &range->first) : tree_first(&partition->ranges));
}

static int64_t range_size(const struct share_range *range)
{
    return range->last - range->first + 1;
}

static void range_remove(struct share_partition *partition, struct share_range *range)
{
    heap_remove(&partition->locks, &range->lock);
    (void)tree_remove(&partition->ranges, &range->first);
    mem_free(range);
}

/* A new one at the end. */
static void range_append(struct share_partition *partition, int64_t last)
{
    struct share_range *range = mem_zalloc(1, sizeof(*range));
    range->first = partition->end;
    range->last = last;
    tree_insert(&partition->ranges, &range->first, &range->node);
    partition->counts[SHARE_AVAILABLE] += range_size(range);
    partition->end = last + 1;
}

/* A border in front of the offset. */
static void range_cut(struct share_partition *partition, int64_t offset)
{
    if (offset <= partition->start || offset >= partition->end)
        return;
    struct share_range *range = range_at(partition, offset);
    if (range->first == offset)
        return;
    struct share_range *rest = mem_zalloc(1, sizeof(*rest));
    rest->first = offset;
    rest->last = range->last;
    rest->owner = range->owner;
    rest->delivery = range->delivery;
    rest->state = range->state;
    range->last = offset - 1;
    tree_insert(&partition->ranges, &rest->first, &rest->node);
    if (heap_node_in(&range->lock))
        heap_insert(&partition->locks, &rest->lock, range->lock.key);
}

/* `deadline` is for SHARE_ACQUIRED. */
static void range_set(struct share_partition *partition, struct share_range *range,
    enum share_state state, uint64_t owner, int64_t deadline)
{
    partition->counts[range->state] -= range_size(range);
    partition->counts[state] += range_size(range);
    range->state = (uint8_t)state;
    range->owner = owner;
    if (state == SHARE_DONE)
        range->delivery = 0;
    heap_remove(&partition->locks, &range->lock);
    if (state == SHARE_ACQUIRED)
        heap_insert(&partition->locks, &range->lock, deadline);
}

static bool range_like(const struct share_range *a, const struct share_range *b)
{
    return a->state == b->state && a->owner == b->owner && a->delivery == b->delivery &&
           (a->state != SHARE_ACQUIRED || a->lock.key == b->lock.key);
}

/* What is DONE at the beginning is forgotten. */
static void start_move(struct share_partition *partition)
{
    struct share_range *range;
    while ((range = share_partition_range_after(partition, NULL)) && range->state == SHARE_DONE) {
        partition->start = range->last + 1;
        partition->counts[SHARE_DONE] -= range_size(range);
        range_remove(partition, range);
        partition->changed = true;
    }
}

/* Joins equal neighbours that touch [first, last], then moves `start`. */
static void range_join(struct share_partition *partition, int64_t first, int64_t last)
{
    int64_t from = first > partition->start ? first - 1 : partition->start;
    struct share_range *range = from < partition->end ? range_at(partition, from) : NULL, *next;
    while (
        range && range->first <= last && (next = share_partition_range_after(partition, range))) {
        if (!range_like(range, next)) {
            range = next;
            continue;
        }
        range->last = next->last;
        range_remove(partition, next);
    }
    start_move(partition);
}

/* ---- life ---------------------------------------------------------------------------------- */

void share_partition_init(struct share_partition *partition, int64_t start)
{
    *partition = (struct share_partition){
        .start = start, .end = start, .ranges = { .compare = compare_first }
    };
}

void share_partition_done(struct share_partition *partition)
{
    struct share_range *range;
    while (partition->ranges.compare && (range = share_partition_range_after(partition, NULL)))
        range_remove(partition, range);
    heap_done(&partition->locks);
}

void share_partition_reset(struct share_partition *partition, int64_t start)
{
    share_partition_done(partition);
    share_partition_init(partition, start);
    partition->changed = true;
}

/* ---- acquiring ----------------------------------------------------------------------------- */

int64_t share_partition_next(const struct share_partition *partition)
{
    struct share_range *range = NULL;
    if (partition->counts[SHARE_AVAILABLE] == 0)
        return partition->end;
    do
        range = share_partition_range_after(partition, range);
    while (range->state != SHARE_AVAILABLE);
    return range->first;
}

static int64_t room_of(const struct share_partition *partition, const struct share_limits *limits)
{
    return limits->records_max - partition->counts[SHARE_AVAILABLE] -
           partition->counts[SHARE_ACQUIRED];
}

bool share_partition_has_room(
    const struct share_partition *partition, const struct share_limits *limits)
{
    return partition->counts[SHARE_AVAILABLE] > 0 || room_of(partition, limits) > 0;
}

/* One acquire under way. */
struct acquiring {
    struct share_partition *partition;
    const struct share_want *want;
    const struct share_limits *limits;
    struct share_acquired_list *list;
    int64_t deadline, taken;
    bool full; /* no more, not even to the end of the span */
    bool open; /* the last row of the list may go on */
};

/* Nothing of this may be delivered; what somebody holds stays with them. */
static void nothing_at(struct acquiring *acquiring, int64_t first, int64_t last)
{
    struct share_partition *partition = acquiring->partition;
    if (first < partition->start)
        first = partition->start;
    if (first > last)
        return;
    if (last >= partition->end)
        range_append(partition, last);
    range_cut(partition, first);
    range_cut(partition, last + 1);
    for (struct share_range *range = range_at(partition, first); range && range->first <= last;
         range = share_partition_range_after(partition, range))
        if (range->state == SHARE_AVAILABLE) {
            range_set(partition, range, SHARE_DONE, 0, 0);
            partition->changed = true;
        }
    range_join(partition, first, last);
}

static void row_add(struct acquiring *acquiring, int64_t first, int64_t last, uint16_t delivery)
{
    struct share_acquired_list *list = acquiring->list;
    struct share_acquired *row = list->count ? &list->rows[list->count - 1] : NULL;
    acquiring->taken += last - first + 1;
    list->records += last - first + 1;
    if (row && acquiring->open && row->last + 1 == first && row->delivery == delivery) {
        row->last = last;
        return;
    }
    mem_grow(list->rows, &list->capacity, list->count + 1);
    list->rows[list->count++] = (struct share_acquired){ first, last, delivery };
    acquiring->open = true;
}

/* Its last delivery, where there were two before it: then it comes alone. */
static bool is_last(const struct acquiring *acquiring, const struct share_range *range)
{
    return range->delivery >= 2 && range->delivery + 1 >= acquiring->limits->delivery_max;
}

/* How many of the available records of the range, from its first on, may be had. */
static int64_t records_of(const struct acquiring *acquiring, const struct share_range *range)
{
    const struct share_want *want = acquiring->want;
    int64_t left = want->records_max - acquiring->taken;
    if (is_last(acquiring, range))
        return acquiring->taken == 0;
    return want->exact && left < range_size(range) ? left : range_size(range);
}

/* An available range, within the span: as much of it as may be had. */
static void range_acquire(struct acquiring *acquiring, struct share_range *range)
{
    struct share_partition *partition = acquiring->partition;
    bool alone = is_last(acquiring, range);
    if (range->delivery >= acquiring->limits->delivery_max) {
        range_set(partition, range, SHARE_DONE, 0, 0); /* the limit was lowered */
        partition->changed = true;
        return;
    }
    int64_t records = records_of(acquiring, range);
    if (records < range_size(range) || alone)
        acquiring->full = true;
    if (records == 0)
        return;
    range_cut(partition, range->first + records);
    range->delivery++;
    range_set(partition, range, SHARE_ACQUIRED, acquiring->want->owner, acquiring->deadline);
    row_add(acquiring, range->first, range->last, range->delivery);
}

/* Offsets behind `end` up to `last`, as many as may be locked, become available ones. */
static void end_move(struct acquiring *acquiring, int64_t last)
{
    struct share_partition *partition = acquiring->partition;
    int64_t room = room_of(partition, acquiring->limits);
    int64_t left = acquiring->want->records_max - acquiring->taken;
    if (acquiring->want->exact && left < room)
        room = left;
    if (room > last - partition->end)
        range_append(partition, last);
    else if (room > 0)
        range_append(partition, partition->end + room - 1);
}

/* Records of [first, last], until there are enough. */
static void span_acquire(struct acquiring *acquiring, int64_t first, int64_t last)
{
    struct share_partition *partition = acquiring->partition;
    if (first < partition->start)
        first = partition->start;
    int64_t at = first;
    while (at <= last && !acquiring->full) {
        if (at >= partition->end)
            end_move(acquiring, last);
        if (at >= partition->end) {
            acquiring->full = true;
            break;
        }
        range_cut(partition, at);
        range_cut(partition, last + 1);
        struct share_range *range = range_at(partition, at);
        at = range->last + 1;
        if (range->state == SHARE_AVAILABLE)
            range_acquire(acquiring, range);
    }
    if (first <= last)
        range_join(partition, first, last);
}

void share_partition_acquire(struct share_partition *partition, const struct share_want *want,
    const struct share_limits *limits, int64_t now, struct share_acquired_list *list)
{
    struct acquiring acquiring = { .partition = partition,
        .want = want,
        .limits = limits,
        .list = list,
        .deadline = now + limits->lock_ns };
    int64_t at = want->from;
    for (size_t i = 0; i < want->span_count; i++) {
        const struct share_span *span = &want->spans[i];
        if (acquiring.full || acquiring.taken >= want->records_max)
            return;
        nothing_at(&acquiring, at, span->first - 1);
        at = span->last + 1;
        if (span->nothing)
            nothing_at(&acquiring, span->first, span->last);
        else
            span_acquire(&acquiring, span->first, span->last);
        if (acquiring.open && want->batch_size > 0) {
            const struct share_acquired *row = &list->rows[list->count - 1];
            acquiring.open = row->last - row->first + 1 < want->batch_size;
        }
    }
}

/* ---- acknowledging ------------------------------------------------------------------------- */

static int8_t answer_at(const struct share_ack *ack, int64_t offset)
{
    return ack->answers[ack->answer_count == 1 ? 0 : offset - ack->first];
}

/* The last offset, at most `last`, that has the same answer as this one. */
static int64_t answer_end(const struct share_ack *ack, int64_t offset, int64_t last)
{
    int8_t answer = answer_at(ack, offset);
    if (ack->answer_count == 1)
        return last;
    while (offset < last && answer_at(ack, offset + 1) == answer)
        offset++;
    return offset;
}

static int ack_check_form(const struct share_partition *partition, const struct share_ack *ack)
{
    if (ack->first < 0 || ack->last < ack->first || ack->last >= partition->end)
        return -EINVAL;
    if (ack->answer_count != 1 && ack->answer_count != ack->last - ack->first + 1)
        return -EINVAL;
    for (int32_t i = 0; i < ack->answer_count; i++)
        if (ack->answers[i] < SHARE_GAP || ack->answers[i] > SHARE_RENEW)
            return -EINVAL;
    return 0;
}

/* Whether the owner may say this of these records. */
static int ack_check(
    const struct share_partition *partition, uint64_t owner, const struct share_ack *ack)
{
    int64_t at = ack->first < partition->start ? partition->start : ack->first;
    while (at <= ack->last) {
        struct share_range *range = range_at(partition, at);
        int64_t last = range->last < ack->last ? range->last : ack->last;
        while (at <= last) {
            bool gap = answer_at(ack, at) == SHARE_GAP && range->state == SHARE_DONE;
            if (!gap && (range->state != SHARE_ACQUIRED || range->owner != owner))
                return -EPERM;
            at = answer_end(ack, at, last) + 1;
        }
    }
    return 0;
}

/* Back among those to be had, unless it was delivered often enough. */
static void range_free(
    struct share_partition *partition, struct share_range *range, const struct share_limits *limits)
{
    bool again = range->delivery < limits->delivery_max;
    range_set(partition, range, again ? SHARE_AVAILABLE : SHARE_DONE, 0, 0);
    partition->changed = true;
}

static void range_answer(struct share_partition *partition, struct share_range *range,
    int8_t answer, const struct share_limits *limits, int64_t now)
{
    if (range->state != SHARE_ACQUIRED)
        return;
    switch (answer) {
    case SHARE_RELEASE: range_free(partition, range, limits); break;
    case SHARE_RENEW:
        range_set(partition, range, SHARE_ACQUIRED, range->owner, now + limits->lock_ns);
        break;
    default:
        range_set(partition, range, SHARE_DONE, 0, 0);
        partition->changed = true;
        break;
    }
}

static void ack_apply(struct share_partition *partition, const struct share_ack *ack,
    const struct share_limits *limits, int64_t now)
{
    int64_t first = ack->first < partition->start ? partition->start : ack->first;
    for (int64_t at = first, last; at <= ack->last; at = last + 1) {
        last = answer_end(ack, at, ack->last);
        range_cut(partition, at);
        range_cut(partition, last + 1);
        for (struct share_range *range = range_at(partition, at); range && range->first <= last;
             range = share_partition_range_after(partition, range))
            range_answer(partition, range, answer_at(ack, at), limits, now);
    }
    if (first <= ack->last)
        range_join(partition, first, ack->last);
}

int share_partition_acknowledge(struct share_partition *partition, uint64_t owner,
    const struct share_ack *acks, size_t ack_count, const struct share_limits *limits, int64_t now)
{
    int64_t behind = -1;
    int status = 0;
    bool twice = false;
    for (size_t i = 0; i < ack_count; i++) {
        status = acks[i].first < behind ? -EINVAL : ack_check_form(partition, &acks[i]);
        if (status)
            return status;
        twice |= acks[i].first == behind;
        behind = acks[i].last;
    }
    if (twice)
        return -EPERM; /* of what was given back by the one before it */
    for (size_t i = 0; i < ack_count && !status; i++)
        status = ack_check(partition, owner, &acks[i]);
    for (size_t i = 0; i < ack_count && !status; i++)
        ack_apply(partition, &acks[i], limits, now);
    return status;
}

/* ---- locks end ----------------------------------------------------------------------------- */

bool share_partition_release(
    struct share_partition *partition, uint64_t owner, const struct share_limits *limits)
{
    bool any = false;
    for (struct share_range *range = NULL;
         (range = share_partition_range_after(partition, range));) {
        if (range->state != SHARE_ACQUIRED || range->owner != owner)
            continue;
        range_free(partition, range, limits);
        any = true;
    }
    if (any)
        range_join(partition, partition->start, partition->end - 1);
    return any;
}

int64_t share_partition_deadline(const struct share_partition *partition)
{
    struct heap_node *first = heap_first(&partition->locks);
    return first ? first->key : INT64_MAX;
}

bool share_partition_tick(
    struct share_partition *partition, const struct share_limits *limits, int64_t now)
{
    struct heap_node *node;
    bool any = false;
    while ((node = heap_first(&partition->locks)) && node->key <= now) {
        range_free(partition, container_of(node, struct share_range, lock), limits);
        any = true;
    }
    if (any)
        range_join(partition, partition->start, partition->end - 1);
    return any;
}

/* ---- the log ------------------------------------------------------------------------------- */

bool share_partition_trim(struct share_partition *partition, int64_t log_start, int64_t log_end)
{
    int64_t start = partition->start, end = partition->end;
    struct share_range *range;
    if (partition->start >= log_start && partition->end <= log_end)
        return false;
    if (log_start >= end || start >= log_end) {
        share_partition_reset(partition, log_start >= end ? log_start : log_end);
        return true;
    }
    range_cut(partition, log_start);
    range_cut(partition, log_end);
    while ((range = share_partition_range_after(partition, NULL)) && range->first < log_start) {
        partition->counts[range->state] -= range_size(range);
        range_remove(partition, range);
    }
    while (partition->end > log_end) {
        range = range_at(partition, partition->end - 1);
        partition->end = range->first;
        partition->counts[range->state] -= range_size(range);
        range_remove(partition, range);
    }
    if (partition->start < log_start)
        partition->start = log_start;
    partition->changed = true;
    start_move(partition);
    return true;
}

int64_t share_partition_lag(const struct share_partition *partition, int64_t log_end)
{
    int64_t lag = log_end - partition->start - partition->counts[SHARE_DONE];
    return lag > 0 ? lag : 0;
}

/* ---- the durable form ---------------------------------------------------------------------- */

static void put_number(struct out *out, int64_t value)
{
    uint8_t *to = out_add(out, varint_size(value));
    (void)varint_write(to, value);
}

/* The same once it is written: who holds it is not. */
static bool stored_like(const struct share_range *a, const struct share_range *b)
{
    return (a->state == SHARE_DONE) == (b->state == SHARE_DONE) && a->delivery == b->delivery;
}

/* The last range of the run that is written as one with this. */
static const struct share_range *stored_run(
    const struct share_partition *partition, const struct share_range *range)
{
    const struct share_range *next;
    while ((next = share_partition_range_after(partition, range)) && stored_like(range, next))
        range = next;
    return range;
}

void share_partition_encode(const struct share_partition *partition, struct out *out)
{
    const struct share_range *range = NULL, *last;
    int64_t count = 0;
    while ((range = share_partition_range_after(partition, range))) {
        range = stored_run(partition, range);
        count++;
    }
    *out_add(out, 1) = ENCODING;
    put_number(out, partition->start);
    put_number(out, count);
    for (range = NULL; (range = share_partition_range_after(partition, range)); range = last) {
        last = stored_run(partition, range);
        put_number(out, last->last - range->first + 1);
        *out_add(out, 1) = range->state == SHARE_DONE;
        put_number(out, range->delivery);
    }
}

static int range_decode(struct share_partition *partition, const uint8_t **at, const uint8_t *end)
{
    int64_t length, delivery;
    if (!varlong_read(at, end, &length) || length <= 0 || length > INT64_MAX - partition->end)
        return -EBADMSG;
    if (*at == end || **at > 1)
        return -EBADMSG;
    bool done = *(*at)++ == 1;
    if (!varlong_read(at, end, &delivery) || delivery < 0 || delivery > DELIVERY_MAX ||
        (done && delivery))
        return -EBADMSG;
    int64_t first = partition->end;
    range_append(partition, partition->end + length - 1);
    struct share_range *range = range_at(partition, first);
    range->delivery = (uint16_t)delivery;
    if (done)
        range_set(partition, range, SHARE_DONE, 0, 0);
    return 0;
}

int share_partition_decode(struct share_partition *partition, struct bytes data)
{
    const uint8_t *at = data.data, *end = bytes_end(data);
    int64_t start, count;
    if (data.len < 1 || *at++ != ENCODING || !varlong_read(&at, end, &start) || start < 0 ||
        !varlong_read(&at, end, &count) || count < 0)
        return -EBADMSG;
    share_partition_done(partition);
    share_partition_init(partition, start);
    int status = 0;
    for (int64_t i = 0; i < count && !status; i++)
        status = range_decode(partition, &at, end);
    if (status == 0 && at != end)
        status = -EBADMSG;
    if (status)
        return status;
    if (partition->start < partition->end)
        range_join(partition, partition->start, partition->end - 1);
    partition->changed = false;
    return 0;
}

/* ---- what must hold ------------------------------------------------------------------------ */

void share_partition_check(const struct share_partition *partition)
{
    int64_t at = partition->start, counts[SHARE_STATE_COUNT] = { 0 };
    size_t locks = 0;
    const struct share_range *before = NULL;
    for (struct share_range *range = NULL;
         (range = share_partition_range_after(partition, range));) {
        CHECK(range->first == at && range->last >= at);
        CHECK(!before || !range_like(before, range));
        CHECK(before || range->state != SHARE_DONE);
        CHECK((range->state == SHARE_ACQUIRED) == (range->owner != 0));
        CHECK((range->state == SHARE_ACQUIRED) == heap_node_in(&range->lock));
        CHECK(range->state != SHARE_ACQUIRED || range->delivery > 0);
        counts[range->state] += range_size(range);
        locks += range->state == SHARE_ACQUIRED;
        at = range->last + 1;
        before = range;
    }
    CHECK(at == partition->end && locks == partition->locks.count);
    for (size_t i = 0; i < SHARE_STATE_COUNT; i++)
        CHECK(counts[i] == partition->counts[i]);
}
