/*
 * All transactional ids of the broker.
 *
 * Happy path
 *  - a handler steps the transaction: the effects become one unit (new state, markers, offsets),
 * which is in the ring when the step returns; the answer leaves when it is durable.
 *  - an ongoing transaction stands in a heap by the time at which it is too late; one timer of the
 * loop runs for all, and ends it by a step of its own.
 *  - an hourly pass (transaction.remove.expired...) deletes ids that nobody used for long.
 *
 * Failure modes
 *  - the ring is full: the handler parks; an end by time tries again a little later.
 *  - the disk is full: markers are appends, so an end is refused (the client tries again) until
 * there is room; the transaction stays open.
 *  - a partition of a transaction was deleted, or its log is damaged: the end goes without it, for
 * there is nobody left to read it there.
 *  - a stored transaction cannot be read: it is said and left out.
 *
 * Invariants: a step is committed and taken over in one go, so memory is never behind or ahead of
 * the store; a transaction never becomes larger than what one unit can end.
 */
#include "broker/transaction_coordinator.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "broker/broker.h"
#include "broker/config.h"
#include "broker/coordinator.h"
#include "broker/internal_topics.h"
#include "broker/producer_ids.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/record.h"
#include "storage/storage.h"

enum {
    BUCKET_COUNT = 1024,
    EXPIRED_AT_A_TIME = 500, /* ids deleted by one unit */
    RETRY_MS = 100,
    /* what the end of a part, or of an offset besides its bytes (twice, a put and a deletion), may
     * take of a unit */
    PART_COST = 256,
    OFFSET_COST = 256,
    STATE_COST = 1024,
};

struct transactional {
    struct transaction transaction;
    struct list link, bucket;
    struct list ongoing;
    struct heap_node late; /* while ongoing */
};

struct transaction_coordinator {
    struct broker *broker;
    struct list buckets[BUCKET_COUNT];
    struct list all, ongoing;
    size_t count, id_bytes, part_count; /* of all */
    struct heap late;
    struct timer late_timer, expiry_timer;
    struct list commits; /* struct step_commit in flight */
};

/* ---- finding ------------------------------------------------------------------------------- */

static struct list *bucket_of(struct transaction_coordinator *coordinator, struct bytes id)
{
    return &coordinator->buckets[XXH3_64bits(id.data, id.len) % BUCKET_COUNT];
}

struct transaction *transaction_coordinator_find(
    struct transaction_coordinator *coordinator, struct bytes id)
{
    list_foreach (node, bucket_of(coordinator, id)) {
        struct transactional *one = list_entry(node, struct transactional, bucket);
        if (bytes_equal_text(id, one->transaction.id))
            return &one->transaction;
    }
    return NULL;
}

struct transaction *transaction_coordinator_next(
    struct transaction_coordinator *coordinator, const struct transaction *after)
{
    struct list *next = coordinator->all.next;
    if (after)
        next = container_of_const(after, struct transactional, transaction)->link.next;
    return next == &coordinator->all ? NULL
                                     : &list_entry(next, struct transactional, link)->transaction;
}

static struct transactional *make(struct transaction_coordinator *coordinator, struct bytes id)
{
    struct transactional *one = mem_zalloc(1, sizeof(*one));
    transaction_init(&one->transaction, id);
    list_append(&coordinator->all, &one->link);
    list_append(bucket_of(coordinator, id), &one->bucket);
    list_init(&one->ongoing);
    coordinator->count++;
    coordinator->id_bytes += id.len;
    return one;
}

static void drop(struct transaction_coordinator *coordinator, struct transactional *one)
{
    heap_remove(&coordinator->late, &one->late);
    list_remove(&one->link);
    list_remove(&one->bucket);
    list_remove(&one->ongoing);
    coordinator->count--;
    coordinator->id_bytes -= strlen(one->transaction.id);
    coordinator->part_count -= one->transaction.part_count;
    transaction_done(&one->transaction);
    mem_free(one);
}

/* ---- time ---------------------------------------------------------------------------------- */

static int64_t monotonic_ns(const struct transaction_coordinator *coordinator)
{
    return clock_monotonic_ns(coordinator->broker->doors->clock);
}

static int64_t wall_ms(const struct transaction_coordinator *coordinator)
{
    return clock_wall_ms(coordinator->broker->doors->clock);
}

static void late_arm(struct transaction_coordinator *coordinator)
{
    struct timers *timers = coordinator->broker->doors->timers;
    const struct heap_node *first = heap_first(&coordinator->late);
    timer_cancel(timers, &coordinator->late_timer);
    if (first)
        timer_set(timers, &coordinator->late_timer, first->key);
}

/* The transaction went on, or ended. `left_ms` of its time are left if it begins here. */
static void follow(
    struct transaction_coordinator *coordinator, struct transactional *one, int64_t left_ms)
{
    bool ongoing = one->transaction.now.state == TRANSACTION_ONGOING;
    if (ongoing == heap_node_in(&one->late))
        return;
    if (ongoing) {
        list_append(&coordinator->ongoing, &one->ongoing);
        heap_insert(
            &coordinator->late, &one->late, monotonic_ns(coordinator) + left_ms * CLOCK_NS_PER_MS);
    } else {
        list_remove(&one->ongoing);
        heap_remove(&coordinator->late, &one->late);
    }
    late_arm(coordinator);
}

/* ---- units --------------------------------------------------------------------------------- */

struct step_commit {
    struct unit unit;
    struct list link;
};

static void step_commit_free(struct step_commit *commit)
{
    list_remove(&commit->link);
    unit_done(&commit->unit);
    mem_free(commit);
}

static void step_commit_done(struct unit *unit)
{
    step_commit_free(container_of(unit, struct step_commit, unit));
}

static struct step_commit *step_commit_begin(struct transaction_coordinator *coordinator)
{
    struct step_commit *commit = mem_zalloc(1, sizeof(*commit));
    unit_init(&commit->unit, step_commit_done);
    list_append(&coordinator->commits, &commit->link);
    return commit;
}

static struct bytes key_of(const struct transaction *transaction)
{
    return bytes_text(transaction->id);
}

static void put_state(const struct transaction *transaction, const struct transaction_event *event,
    const struct transaction_effects *effects, struct unit *unit)
{
    struct out value = { 0 };
    transaction_encode(transaction, event, effects, &value);
    unit_put(unit, STORE_TRANSACTION, key_of(transaction), bytes_of(value.data, value.len));
    out_done(&value);
}

static struct log *part_log(const struct storage *storage, const struct transaction_part *part)
{
    struct topic *topic = storage_topic_by_id(storage, &part->topic_id);
    return topic ? topic_log(topic, part->partition) : NULL;
}

/* The marker of every part; `marker` keeps the bytes until log_commit. */
static void append_markers(struct transaction_coordinator *coordinator,
    const struct transaction *transaction, const struct transaction_effects *effects,
    struct unit *unit, struct out *marker)
{
    CHECK(marker);
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.producer_id = transaction->now.producer_id;
    options.producer_epoch = effects->marker_epoch;
    control_build(marker, &options, effects->marker == TRANSACTION_COMMIT_MARKER,
        TRANSACTION_COORDINATOR_EPOCH, wall_ms(coordinator));
    for (size_t i = 0; i < transaction->part_count; i++) {
        struct log *log = part_log(coordinator->broker->storage, &transaction->parts[i]);
        if (log && log_takes_appends(log))
            unit_append(unit, log, bytes_of(marker->data, marker->len));
    }
}

/* ---- offsets that wait --------------------------------------------------------------------- */

enum { PRODUCER_KEY = 8 };

static void offset_key(struct out *key, int64_t producer_id)
{
    be_put64(out_add(key, PRODUCER_KEY), (uint64_t)producer_id);
}

static size_t offset_cost(size_t key_len, size_t value_len)
{
    return 2 * key_len + value_len + OFFSET_COST;
}

size_t transaction_put_offset(struct unit *unit, int64_t producer_id, struct bytes group,
    const struct uuid *topic, int32_t partition, const struct committed_offset *offset)
{
    struct out key = { 0 }, value = { 0 };
    offset_key(&key, producer_id);
    coordinator_offset_key(&key, group, topic, partition);
    coordinator_offset_value(&value, offset);
    unit_put(unit, STORE_TRANSACTION_OFFSET, bytes_of(key.data, key.len),
        bytes_of(value.data, value.len));
    size_t cost = offset_cost(key.len, value.len);
    out_done(&key);
    out_done(&value);
    return cost;
}

struct offset_walk {
    struct storage *storage;
    struct unit *unit; /* NULL: only the cost */
    bool committed;
    size_t cost;
};

/* Keeps the place that it had while it waited: of two transactions the one whose offset came later
 * counts, whichever ends first. */
static void offset_becomes(
    struct unit *unit, struct bytes committed_key, struct bytes value, uint64_t lsn)
{
    struct committed_offset offset;
    struct out placed = { 0 };
    if (!coordinator_offset_decode(value, &offset))
        return;
    offset.placed_lsn = lsn;
    coordinator_offset_value(&placed, &offset);
    unit_put(unit, STORE_OFFSET, committed_key, bytes_of(placed.data, placed.len));
    out_done(&placed);
}

/* The offset becomes the group's unless a later commit did, or the topic is gone; and waits no
 * more. */
static bool offset_end(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct offset_walk *walk = context;
    struct bytes committed_key = bytes_of(key.data + PRODUCER_KEY, key.len - PRODUCER_KEY);
    struct bytes present;
    struct coordinator_offset_place place;
    uint64_t present_lsn;
    walk->cost += offset_cost(key.len, value.len);
    if (!walk->unit)
        return true;
    bool later = store_get(walk->storage, STORE_OFFSET, committed_key, &present, &present_lsn) &&
                 coordinator_offset_order(present, present_lsn) > lsn;
    if (walk->committed && !later && coordinator_offset_place(committed_key, &place) &&
        storage_topic_by_id(walk->storage, &place.topic))
        offset_becomes(walk->unit, committed_key, value, lsn);
    unit_put(walk->unit, STORE_TRANSACTION_OFFSET, key, (struct bytes){ 0 });
    return true;
}

/* Ends the offsets that wait for the producer's transaction, in the unit. Returns their cost. */
static size_t offsets_end(struct transaction_coordinator *coordinator, int64_t producer_id,
    struct unit *unit, bool committed)
{
    struct offset_walk walk = { coordinator->broker->storage, unit, committed, 0 };
    struct out prefix = { 0 };
    offset_key(&prefix, producer_id);
    store_each(walk.storage, STORE_TRANSACTION_OFFSET, bytes_of(prefix.data, prefix.len),
        offset_end, &walk);
    out_done(&prefix);
    return walk.cost;
}

struct transaction_part transaction_offsets_part(struct bytes group)
{
    return (struct transaction_part){ .partition = internal_topic_partition(
                                          group, INTERNAL_TOPIC_PARTITIONS) };
}

bool transaction_coordinator_offset_waits(struct transaction_coordinator *coordinator,
    struct bytes group, const struct uuid *topic, int32_t partition)
{
    struct transaction_part part = transaction_offsets_part(group);
    struct out key = { 0 };
    bool waits = false;
    list_foreach (node, &coordinator->ongoing) {
        const struct transactional *one = list_entry(node, struct transactional, ongoing);
        struct bytes value;
        if (waits)
            break;
        if (!transaction_has(&one->transaction, &part))
            continue;
        key.len = 0;
        offset_key(&key, one->transaction.now.producer_id);
        coordinator_offset_key(&key, group, topic, partition);
        waits = store_get(coordinator->broker->storage, STORE_TRANSACTION_OFFSET,
            bytes_of(key.data, key.len), &value, NULL);
    }
    out_done(&key);
    return waits;
}

/* Of all open transactions the offsets that wait for the group; topic NULL: for all of it. */
static void each_waiting(struct transaction_coordinator *coordinator, struct bytes group,
    const struct uuid *topic, int32_t partition,
    bool (*each)(void *context, struct bytes key, struct bytes value, uint64_t lsn), void *context)
{
    struct transaction_part part = transaction_offsets_part(group);
    struct out prefix = { 0 };
    list_foreach (node, &coordinator->ongoing) {
        const struct transactional *one = list_entry(node, struct transactional, ongoing);
        if (!transaction_has(&one->transaction, &part))
            continue;
        prefix.len = 0;
        offset_key(&prefix, one->transaction.now.producer_id);
        coordinator_offset_key(&prefix, group, topic, partition);
        store_each(coordinator->broker->storage, STORE_TRANSACTION_OFFSET,
            bytes_of(prefix.data, prefix.len), each, context);
    }
    out_done(&prefix);
}

struct tell_waiting {
    void (*each)(void *context, struct bytes key);
    void *context;
};

static bool tell_waiting(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    const struct tell_waiting *tell = context;
    (void)value;
    (void)lsn;
    tell->each(tell->context, bytes_of(key.data + PRODUCER_KEY, key.len - PRODUCER_KEY));
    return true;
}

size_t transaction_coordinator_each_waiting(struct transaction_coordinator *coordinator,
    struct bytes group, void (*each)(void *context, struct bytes key), void *context)
{
    struct tell_waiting tell = { each, context };
    each_waiting(coordinator, group, NULL, 0, tell_waiting, &tell);
    return coordinator->late.count;
}

static bool offset_drop(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    (void)value;
    (void)lsn;
    unit_put(context, STORE_TRANSACTION_OFFSET, key, (struct bytes){ 0 });
    return true;
}

void transaction_coordinator_drop_offset(struct transaction_coordinator *coordinator,
    struct unit *unit, struct bytes group, const struct uuid *topic, int32_t partition)
{
    each_waiting(coordinator, group, topic, partition, offset_drop, unit);
}

void transaction_coordinator_drop_offsets(
    struct transaction_coordinator *coordinator, struct unit *unit, struct bytes group)
{
    each_waiting(coordinator, group, NULL, 0, offset_drop, unit);
}

/* ---- steps --------------------------------------------------------------------------------- */

/* Can one unit end it as it will be? */
static bool fits(struct transaction_coordinator *coordinator, const struct transaction *transaction,
    const struct transaction_event *event, size_t more)
{
    size_t max = storage_unit_max(coordinator->broker->storage);
    size_t parts = transaction->part_count + event->part_count;
    return parts < max / PART_COST &&
           coordinator->part_count + event->part_count <= TRANSACTION_PARTS_MAX &&
           STATE_COST + parts * PART_COST + more +
                   offsets_end(coordinator, transaction->now.producer_id, NULL, false) <=
               max;
}

/* The effects of the event, and what of them goes into the unit. */
static int fill(struct transaction_coordinator *coordinator, const struct transaction *transaction,
    const struct transaction_event *event, size_t more, struct unit *unit, struct out *marker,
    struct transaction_effects *effects)
{
    transaction_step(transaction, event, wall_ms(coordinator), effects);
    bool grows = event->kind == TRANSACTION_ADD && (effects->changed || more);
    if (!effects->error && grows && !fits(coordinator, transaction, event, more))
        return -E2BIG;
    if (!effects->changed)
        return 0;
    if (effects->marker != TRANSACTION_NO_MARKER) {
        append_markers(coordinator, transaction, effects, unit, marker);
        offsets_end(coordinator, transaction->now.producer_id, unit,
            effects->marker == TRANSACTION_COMMIT_MARKER);
    }
    put_state(transaction, event, effects, unit);
    return 0;
}

static void become(struct transaction_coordinator *coordinator, struct transactional *one,
    const struct transaction_event *event, const struct transaction_effects *effects)
{
    coordinator->part_count -= one->transaction.part_count;
    transaction_become(&one->transaction, event, effects);
    coordinator->part_count += one->transaction.part_count;
    follow(coordinator, one, one->transaction.now.timeout_ms);
}

static int commit_step(struct transaction_coordinator *coordinator, struct transactional *one,
    const struct transaction_event *event, struct transaction_effects *ret_effects)
{
    struct step_commit *commit = step_commit_begin(coordinator);
    struct out marker = { 0 };
    int status =
        fill(coordinator, &one->transaction, event, 0, &commit->unit, &marker, ret_effects);
    if (status == 0 && ret_effects->changed)
        status = log_commit(coordinator->broker->storage, &commit->unit);
    else
        ret_effects->changed = false;
    out_done(&marker);
    if (status < 0 || !ret_effects->changed)
        step_commit_free(commit);
    if (status == 0 && ret_effects->changed)
        become(coordinator, one, event, ret_effects);
    return status;
}

/* The newest position that tells of the transaction. */
static uint64_t lsn_of(const struct transaction_coordinator *coordinator, struct bytes id)
{
    struct bytes value;
    uint64_t lsn;
    (void)store_get(coordinator->broker->storage, STORE_TRANSACTION, id, &value, &lsn);
    return lsn;
}

static struct transactional *transactional_of(
    struct transaction_coordinator *coordinator, struct bytes id)
{
    struct transaction *transaction = transaction_coordinator_find(coordinator, id);
    return transaction ? container_of(transaction, struct transactional, transaction) : NULL;
}

/* A new producer id if the step may need one. */
static int take_id(struct transaction_coordinator *coordinator,
    const struct transaction *transaction, struct transaction_event *event)
{
    uint64_t lsn; /* before that of the step */
    event->fresh_id = -1;
    if (event->kind == TRANSACTION_ADD || event->kind == TRANSACTION_VERIFY ||
        !transaction_wants_id(transaction))
        return 0;
    return producer_ids_next(coordinator->broker->producer_ids, &event->fresh_id, &lsn);
}

int transaction_coordinator_step(struct transaction_coordinator *coordinator, struct bytes id,
    struct transaction_event *event, struct transaction_effects *ret_effects, uint64_t *ret_lsn)
{
    struct transactional *one = transactional_of(coordinator, id);
    *ret_lsn = 0;
    if (!one && event->kind != TRANSACTION_INIT) {
        *ret_effects = (struct transaction_effects){
            .error = KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING, .producer_id = -1, .epoch = -1
        };
        *ret_lsn = lsn_of(coordinator, id);
        return 0;
    }
    if (!one && (coordinator->count >= TRANSACTIONS_MAX ||
                    coordinator->id_bytes + id.len > TRANSACTION_ID_BYTES_MAX))
        return -E2BIG;
    if (!one)
        one = make(coordinator, id);
    int status = take_id(coordinator, &one->transaction, event);
    if (status == 0)
        status = commit_step(coordinator, one, event, ret_effects);
    if (one->transaction.now.epoch < 0) /* its first step was refused */
        drop(coordinator, one);
    *ret_lsn = lsn_of(coordinator, id);
    return status;
}

int transaction_coordinator_fill(struct transaction_coordinator *coordinator, struct bytes id,
    const struct transaction_event *event, size_t more, struct unit *unit,
    struct transaction_effects *ret_effects)
{
    const struct transaction *transaction = transaction_coordinator_find(coordinator, id);
    CHECK(event->kind == TRANSACTION_ADD || event->kind == TRANSACTION_VERIFY);
    if (transaction)
        return fill(coordinator, transaction, event, more, unit, NULL, ret_effects);
    *ret_effects = (struct transaction_effects){
        .error = KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING, .producer_id = -1, .epoch = -1
    };
    return 0;
}

void transaction_coordinator_apply(struct transaction_coordinator *coordinator, struct bytes id,
    const struct transaction_event *event, const struct transaction_effects *effects)
{
    struct transactional *one = transactional_of(coordinator, id);
    if (effects->changed && one)
        become(coordinator, one, event, effects);
}

/* ---- what time does ------------------------------------------------------------------------ */

static void end_late(struct transaction_coordinator *coordinator, struct transactional *one)
{
    struct transaction_event event = { .kind = TRANSACTION_LATE, .fresh_id = -1 };
    struct transaction_effects effects;
    int status = take_id(coordinator, &one->transaction, &event);
    if (status == 0)
        status = commit_step(coordinator, one, &event, &effects);
    if (status < 0) {
        heap_remove(&coordinator->late, &one->late);
        heap_insert(
            &coordinator->late, &one->late, monotonic_ns(coordinator) + RETRY_MS * CLOCK_NS_PER_MS);
        return;
    }
    doors_say(coordinator->broker->doors, LOG_INFO,
        "transaction %s took more than %d ms and was aborted", one->transaction.id,
        (int)one->transaction.now.timeout_ms);
}

static void late_fired(struct timer *timer)
{
    struct transaction_coordinator *coordinator =
        container_of(timer, struct transaction_coordinator, late_timer);
    int64_t now = monotonic_ns(coordinator);
    for (struct heap_node *first; (first = heap_first(&coordinator->late)) && first->key <= now;)
        end_late(coordinator, container_of(first, struct transactional, late));
    late_arm(coordinator);
}

static void expiry_arm(struct transaction_coordinator *coordinator, int64_t after_ms)
{
    timer_set(coordinator->broker->doors->timers, &coordinator->expiry_timer,
        monotonic_ns(coordinator) + after_ms * CLOCK_NS_PER_MS);
}

static bool is_expired(
    const struct transaction_coordinator *coordinator, const struct transactional *one)
{
    const struct transaction_fields *now = &one->transaction.now;
    return now->state != TRANSACTION_ONGOING &&
           wall_ms(coordinator) - now->update_ms >=
               coordinator->broker->config->transactional_id_expiration_ms;
}

/* The ids of one unit. */
struct expired {
    struct transactional *ones[EXPIRED_AT_A_TIME];
    size_t count;
};

static void expiry_fired(struct timer *timer)
{
    struct transaction_coordinator *coordinator =
        container_of(timer, struct transaction_coordinator, expiry_timer);
    struct step_commit *commit = step_commit_begin(coordinator);
    struct expired expired = { .count = 0 };
    list_foreach (node, &coordinator->all) {
        struct transactional *one = list_entry(node, struct transactional, link);
        if (expired.count == EXPIRED_AT_A_TIME)
            break;
        if (!is_expired(coordinator, one))
            continue;
        expired.ones[expired.count++] = one;
        unit_put(&commit->unit, STORE_TRANSACTION, key_of(&one->transaction), (struct bytes){ 0 });
    }
    int status = expired.count ? log_commit(coordinator->broker->storage, &commit->unit) : 0;
    if (status < 0 || expired.count == 0)
        step_commit_free(commit);
    for (size_t i = 0; status == 0 && i < expired.count; i++)
        drop(coordinator, expired.ones[i]);
    bool more = status < 0 || expired.count == EXPIRED_AT_A_TIME;
    expiry_arm(
        coordinator, more ? RETRY_MS : coordinator->broker->config->transaction_expiry_check_ms);
}

/* ---- start and end ------------------------------------------------------------------------- */

/* A clock that was set back must not give it more than its time, nor one set forward none. */
static int64_t left_ms(
    const struct transaction_coordinator *coordinator, const struct transaction_fields *now)
{
    int64_t used = wall_ms(coordinator) - now->start_ms;
    if (used < 0)
        used = 0;
    return used < now->timeout_ms ? now->timeout_ms - used : 0;
}

static bool load(void *context, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct transaction_coordinator *coordinator = context;
    struct transactional *one = make(coordinator, key);
    (void)lsn;
    if (transaction_decode(&one->transaction, value) < 0) {
        doors_say(coordinator->broker->doors, LOG_ERROR,
            "transactional id %.*s: its stored state can't be read and is left out", (int)key.len,
            (const char *)key.data);
        coordinator->part_count += one->transaction.part_count; /* what drop takes off */
        drop(coordinator, one);
        return true;
    }
    coordinator->part_count += one->transaction.part_count;
    follow(coordinator, one, left_ms(coordinator, &one->transaction.now));
    return true;
}

int transaction_coordinator_create(
    struct transaction_coordinator **ret_coordinator, struct broker *broker)
{
    struct transaction_coordinator *coordinator = mem_zalloc(1, sizeof(*coordinator));
    coordinator->broker = broker;
    coordinator->late_timer.fire = late_fired;
    coordinator->expiry_timer.fire = expiry_fired;
    list_init(&coordinator->all);
    list_init(&coordinator->ongoing);
    list_init(&coordinator->commits);
    for (size_t i = 0; i < BUCKET_COUNT; i++)
        list_init(&coordinator->buckets[i]);
    store_each(broker->storage, STORE_TRANSACTION, bytes_of("", 0), load, coordinator);
    expiry_arm(coordinator, broker->config->transaction_expiry_check_ms);
    *ret_coordinator = coordinator;
    return 0;
}

void transaction_coordinator_destroy(struct transaction_coordinator *coordinator)
{
    if (!coordinator)
        return;
    timer_cancel(coordinator->broker->doors->timers, &coordinator->late_timer);
    timer_cancel(coordinator->broker->doors->timers, &coordinator->expiry_timer);
    for (struct list *node; (node = list_first(&coordinator->all));)
        drop(coordinator, list_entry(node, struct transactional, link));
    for (struct list *node; (node = list_first(&coordinator->commits));)
        step_commit_free(list_entry(node, struct step_commit, link));
    heap_done(&coordinator->late);
    mem_free(coordinator);
}
