/*
 * See transaction.h.
 *
 * Happy path, version 2:      init → EMPTY, epoch 0      add → ONGOING      end → COMPLETE_COMMIT,
 * epoch 1, markers of epoch 1      add → ONGOING      ...
 *
 * Who may speak. Every event but the end of time names a producer id and an epoch. Another producer
 * id is INVALID_PRODUCER_ID_MAPPING, another epoch PRODUCER_FENCED; and that is all the fencing
 * there is: a zombie is one whose epoch was raised without it being told.
 *
 * Retries. An answer may get lost after its step was made. An init is known again by last_epoch, an
 * end of version 2 by the epoch before the present one (or, when the epochs ran out, by the id
 * before it). An end of version 1 leaves no trace, so the state decides.
 */
#include "broker/transaction.h"

#include <errno.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "storage/cursor.h"

enum { TRANSACTION_FORMAT = 1, PART_SIZE = 20 };

const char *transaction_state_name(enum transaction_state state)
{
    static const char *const names[] = { "Empty", "Ongoing", "PrepareCommit", "PrepareAbort",
        "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence" };
    CHECK((size_t)state < ARRAY_COUNT(names));
    return names[state];
}

void transaction_init(struct transaction *transaction, struct bytes id)
{
    *transaction = (struct transaction){
        .id = mem_strndup((const char *)id.data, id.len),
        .now = {
            .state = TRANSACTION_EMPTY,
            .producer_id = -1,
            .previous_producer_id = -1,
            .epoch = -1,
            .last_epoch = -1,
            .start_ms = -1,
        },
    };
}

void transaction_done(struct transaction *transaction)
{
    mem_free(transaction->id);
    mem_free(transaction->parts);
    *transaction = (struct transaction){ 0 };
}

/* ---- parts --------------------------------------------------------------------------------- */

static int compare_parts(const struct transaction_part *a, const struct transaction_part *b)
{
    int order = memcmp(a->topic_id.b, b->topic_id.b, sizeof(a->topic_id.b));
    if (order != 0)
        return order;
    return (a->partition > b->partition) - (a->partition < b->partition);
}

/* The place of the first part that is not before it. */
static size_t part_place(const struct transaction *transaction, const struct transaction_part *part)
{
    size_t low = 0, high = transaction->part_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_parts(&transaction->parts[middle], part) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool transaction_has(const struct transaction *transaction, const struct transaction_part *part)
{
    size_t at = part_place(transaction, part);
    return at < transaction->part_count && compare_parts(&transaction->parts[at], part) == 0;
}

static bool has_all(const struct transaction *transaction, const struct transaction_event *event)
{
    for (size_t i = 0; i < event->part_count; i++)
        if (!transaction_has(transaction, &event->parts[i]))
            return false;
    return true;
}

static void part_add(struct transaction *transaction, const struct transaction_part *part)
{
    size_t at = part_place(transaction, part);
    if (transaction_has(transaction, part))
        return;
    mem_grow(transaction->parts, &transaction->part_capacity, transaction->part_count + 1);
    memmove(transaction->parts + at + 1, transaction->parts + at,
        (transaction->part_count - at) * sizeof(*transaction->parts));
    transaction->parts[at] = *part;
    transaction->part_count++;
}

/* ---- the steps ----------------------------------------------------------------------------- */

static bool epoch_exhausted(int16_t epoch)
{
    return epoch >= TRANSACTION_EPOCH_MAX;
}

bool transaction_wants_id(const struct transaction *transaction)
{
    return transaction->now.epoch < 0 || epoch_exhausted(transaction->now.epoch);
}

static void refuse(struct transaction_effects *effects, int16_t error)
{
    effects->error = error;
    effects->producer_id = -1;
    effects->epoch = -1;
}

/* NONE, nothing changes: what it is now is the answer. */
static void repeat(const struct transaction *transaction, struct transaction_effects *effects)
{
    effects->producer_id = transaction->now.producer_id;
    effects->epoch = transaction->now.epoch;
}

static void change(const struct transaction *transaction, struct transaction_effects *effects,
    enum transaction_state state, int64_t now_ms)
{
    effects->changed = true;
    effects->next.state = state;
    effects->next.previous_producer_id = transaction->now.producer_id;
    effects->next.update_ms = now_ms;
    effects->producer_id = effects->next.producer_id;
    effects->epoch = effects->next.epoch;
}

/* The end itself. Version 2 raises the epoch. */
static void complete(const struct transaction *transaction, const struct transaction_event *event,
    enum transaction_protocol protocol, bool committed, int64_t now_ms,
    struct transaction_effects *effects)
{
    const struct transaction_fields *now = &transaction->now;
    struct transaction_fields *next = &effects->next;
    effects->marker = committed ? TRANSACTION_COMMIT_MARKER : TRANSACTION_ABORT_MARKER;
    effects->marker_epoch = now->epoch;
    if (protocol == TRANSACTION_V2) {
        /* Only an abort finds an epoch that cannot be raised any more. */
        effects->marker_epoch = now->epoch < INT16_MAX ? (int16_t)(now->epoch + 1) : INT16_MAX;
        next->last_epoch = now->epoch;
        next->epoch = effects->marker_epoch;
        if (epoch_exhausted(now->epoch)) {
            CHECK(event->fresh_id >= 0);
            next->producer_id = event->fresh_id;
            next->epoch = 0;
        }
    }
    if (now->state != TRANSACTION_ONGOING)
        next->start_ms = now_ms;
    change(transaction, effects,
        committed ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT, now_ms);
}

/* Is this who had the id, as far as the epoch does not matter? */
static bool init_knows(const struct transaction *transaction, const struct transaction_event *event)
{
    const struct transaction_fields *now = &transaction->now;
    return now->epoch < 0 || event->producer_id == now->producer_id ||
           (event->producer_id == now->previous_producer_id && epoch_exhausted(event->epoch));
}

static void init(const struct transaction *transaction, const struct transaction_event *event,
    int64_t now_ms, struct transaction_effects *effects)
{
    const struct transaction_fields *now = &transaction->now;
    struct transaction_fields *next = &effects->next;
    bool says = event->producer_id >= 0;
    if (says && !init_knows(transaction, event)) {
        refuse(effects, KAFKA_ERROR_PRODUCER_FENCED);
        return;
    }
    if (now->state == TRANSACTION_ONGOING) {
        /* The epoch of this abort is told to nobody: the retry raises it again. */
        complete(transaction, event, TRANSACTION_V2, false, now_ms, effects);
        refuse(effects, KAFKA_ERROR_CONCURRENT_TRANSACTIONS);
        return;
    }
    if (now->epoch < 0) {
        next->producer_id = event->fresh_id;
        next->epoch = 0;
        next->last_epoch = -1;
    } else if (epoch_exhausted(now->epoch) && (!says || event->epoch == now->epoch)) {
        next->producer_id = event->fresh_id;
        next->epoch = 0;
        next->last_epoch = says ? now->epoch : -1;
    } else if (!says || event->epoch == now->epoch) {
        next->epoch = (int16_t)(now->epoch + 1);
        next->last_epoch = says ? now->epoch : -1;
    } else if (event->epoch != now->last_epoch) {
        refuse(effects, KAFKA_ERROR_PRODUCER_FENCED);
        return;
    } /* else it is a retry: nobody else came since, or last_epoch were -1 */
    next->timeout_ms = event->timeout_ms;
    next->start_ms = -1;
    change(transaction, effects, TRANSACTION_EMPTY, now_ms);
}

static void add(const struct transaction *transaction, const struct transaction_event *event,
    int64_t now_ms, struct transaction_effects *effects)
{
    const struct transaction_fields *now = &transaction->now;
    if (now->producer_id != event->producer_id) {
        refuse(effects, KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING);
    } else if (now->epoch != event->epoch) {
        refuse(effects, KAFKA_ERROR_PRODUCER_FENCED);
    } else if (event->kind == TRANSACTION_VERIFY) {
        if (has_all(transaction, event))
            repeat(transaction, effects);
        else
            refuse(effects, KAFKA_ERROR_TRANSACTION_ABORTABLE);
    } else if (now->state == TRANSACTION_ONGOING && has_all(transaction, event)) {
        repeat(transaction, effects);
    } else {
        if (now->state != TRANSACTION_ONGOING)
            effects->next.start_ms = now_ms;
        change(transaction, effects, TRANSACTION_ONGOING, now_ms);
    }
}

/* Version 1: the same end again is fine, another is not, and none without a beginning. */
static void end_v1(const struct transaction *transaction, const struct transaction_event *event,
    int64_t now_ms, struct transaction_effects *effects)
{
    const struct transaction_fields *now = &transaction->now;
    enum transaction_state same =
        event->committed ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT;
    if (now->producer_id != event->producer_id)
        refuse(effects, KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING);
    else if (now->epoch != event->epoch)
        refuse(effects, KAFKA_ERROR_PRODUCER_FENCED);
    else if (now->state == TRANSACTION_ONGOING)
        complete(transaction, event, TRANSACTION_V1, event->committed, now_ms, effects);
    else if (now->state == same)
        repeat(transaction, effects);
    else
        refuse(effects, KAFKA_ERROR_INVALID_TXN_STATE);
}

/*
 * Version 2. A retry comes with the epoch before the present one:
 *
 *                    abort            commit
 *                    retry   present  retry   present
 *   EMPTY            fenced  ends     fenced  -
 *   COMPLETE_ABORT   again   ends     -       -
 *   COMPLETE_COMMIT  -       ends     again   -         (-: INVALID_TXN_STATE)
 *
 * An abort without a beginning raises the epoch all the same: batches may be under way.
 */
static void end_v2(const struct transaction *transaction, const struct transaction_event *event,
    int64_t now_ms, struct transaction_effects *effects)
{
    const struct transaction_fields *now = &transaction->now;
    bool over =
        now->state == TRANSACTION_COMPLETE_COMMIT || now->state == TRANSACTION_COMPLETE_ABORT;
    bool rotated = now->previous_producer_id == event->producer_id && now->epoch == 0 &&
                   event->epoch == TRANSACTION_EPOCH_MAX;
    /* The epoch was raised by an end, not by an init of somebody else. */
    bool raised = now->epoch == event->epoch + 1 && now->last_epoch == event->epoch;
    bool retry = over && (rotated || raised);
    bool same =
        now->state == (event->committed ? TRANSACTION_COMPLETE_COMMIT : TRANSACTION_COMPLETE_ABORT);
    if (now->producer_id != event->producer_id && !rotated)
        refuse(effects, KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING);
    else if (!retry && now->epoch != event->epoch)
        refuse(effects, KAFKA_ERROR_PRODUCER_FENCED);
    else if (retry && same)
        repeat(transaction, effects);
    else if (!retry && (now->state == TRANSACTION_ONGOING || !event->committed))
        complete(transaction, event, TRANSACTION_V2, event->committed, now_ms, effects);
    else
        refuse(effects, KAFKA_ERROR_INVALID_TXN_STATE);
}

void transaction_step(const struct transaction *transaction, const struct transaction_event *event,
    int64_t now_ms, struct transaction_effects *ret)
{
    *ret = (struct transaction_effects){ .next = transaction->now };
    switch (event->kind) {
    case TRANSACTION_INIT: init(transaction, event, now_ms, ret); break;
    case TRANSACTION_ADD:
    case TRANSACTION_VERIFY: add(transaction, event, now_ms, ret); break;
    case TRANSACTION_END:
        if (event->protocol == TRANSACTION_V2)
            end_v2(transaction, event, now_ms, ret);
        else
            end_v1(transaction, event, now_ms, ret);
        break;
    case TRANSACTION_LATE:
        if (transaction->now.state == TRANSACTION_ONGOING)
            complete(transaction, event, TRANSACTION_V2, false, now_ms, ret);
        break;
    }
}

void transaction_become(struct transaction *transaction, const struct transaction_event *event,
    const struct transaction_effects *effects)
{
    CHECK(effects->changed);
    transaction->now = effects->next;
    if (transaction->now.state != TRANSACTION_ONGOING) {
        mem_free(transaction->parts);
        transaction->parts = NULL;
        transaction->part_count = transaction->part_capacity = 0;
        return;
    }
    for (size_t i = 0; i < event->part_count; i++)
        part_add(transaction, &event->parts[i]);
}

/* ---- the durable form ---------------------------------------------------------------------- */

static void part_encode(const struct transaction_part *part, struct out *out, uint32_t *count)
{
    out_bytes(out, part->topic_id.b, sizeof(part->topic_id.b));
    out_u32(out, (uint32_t)part->partition);
    ++*count;
}

void transaction_encode(const struct transaction *transaction,
    const struct transaction_event *event, const struct transaction_effects *effects,
    struct out *out)
{
    const struct transaction_fields *fields = effects ? &effects->next : &transaction->now;
    uint32_t count = 0;
    out_u8(out, TRANSACTION_FORMAT);
    out_u8(out, (uint8_t)fields->state);
    out_u64(out, (uint64_t)fields->producer_id);
    out_u64(out, (uint64_t)fields->previous_producer_id);
    out_u16(out, (uint16_t)fields->epoch);
    out_u16(out, (uint16_t)fields->last_epoch);
    out_u32(out, (uint32_t)fields->timeout_ms);
    out_u64(out, (uint64_t)fields->start_ms);
    out_u64(out, (uint64_t)fields->update_ms);
    size_t count_at = out->len;
    out_u32(out, 0);
    if (fields->state == TRANSACTION_ONGOING) {
        for (size_t i = 0; i < transaction->part_count; i++)
            part_encode(&transaction->parts[i], out, &count);
        for (size_t i = 0; effects && i < event->part_count; i++)
            if (!transaction_has(transaction, &event->parts[i]))
                part_encode(&event->parts[i], out, &count);
    }
    le_put32(out->data + count_at, count);
}

int transaction_decode(struct transaction *transaction, struct bytes data)
{
    struct cursor cursor = cursor_of(data);
    struct transaction_fields *now = &transaction->now;
    uint8_t format = cursor_u8(&cursor), state = cursor_u8(&cursor);
    now->producer_id = cursor_i64(&cursor);
    now->previous_producer_id = cursor_i64(&cursor);
    now->epoch = (int16_t)cursor_u16(&cursor);
    now->last_epoch = (int16_t)cursor_u16(&cursor);
    now->timeout_ms = cursor_i32(&cursor);
    now->start_ms = cursor_i64(&cursor);
    now->update_ms = cursor_i64(&cursor);
    for (uint32_t count = cursor_count(&cursor, PART_SIZE); count; count--) {
        struct transaction_part part;
        struct bytes id = cursor_bytes(&cursor, sizeof(part.topic_id.b));
        if (!id.data)
            return -EBADMSG;
        memcpy(part.topic_id.b, id.data, sizeof(part.topic_id.b));
        part.partition = cursor_i32(&cursor);
        part_add(transaction, &part);
    }
    bool known = state == TRANSACTION_EMPTY || state == TRANSACTION_ONGOING ||
                 state == TRANSACTION_COMPLETE_COMMIT || state == TRANSACTION_COMPLETE_ABORT;
    if (cursor.bad || cursor.left || format != TRANSACTION_FORMAT || !known ||
        now->producer_id < 0 || now->epoch < 0 || now->timeout_ms < 0)
        return -EBADMSG;
    now->state = state;
    return 0;
}
