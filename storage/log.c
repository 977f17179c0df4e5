/*
 * See log.h.
 *
 * Happy path of a batch: log_place gives it a segment and a position, log_push puts it at the end
 * of the ring queue; position.c moves `visible` and the high watermark, writeback.c moves `written`
 * and the segment's file; log_trim lets go of it when both have passed.
 *
 * A roll is decided from the batch and the segment alone (sizes, offsets, the records' timestamps),
 * never from the clock, so that a replay rolls where the first run did.
 *
 * Invariants: entries and segments ascend in offset; the unwritten entries are exactly the bytes
 * [written, size) of the segments, in order (but see log_skip_dropped); a segment that is not the
 * last is sealed.
 */
#include "storage/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/record.h"
#include "storage/owner.h"
#include "storage/position.h"

/* ---- life ---------------------------------------------------------------------------------- */

struct log *log_create(struct storage *storage, struct topic *topic, int32_t partition, uint32_t id)
{
    struct log *log = mem_zalloc(1, sizeof(*log));
    struct log_body *body = mem_zalloc(1, sizeof(*body));
    log->topic = topic;
    log->partition = partition;
    log->leader_epoch = (int32_t)storage->epoch;
    list_init(&log->waiters);
    log->body = body;
    body->storage = storage;
    body->log = log;
    body->id = id;
    list_init(&body->wake_link);
    list_init(&body->notice_link);
    list_init(&body->scrub_link);
    list_init(&body->blocked_link);
    tree_insert(&storage->logs, &id, &body->by_id);
    return log;
}

static void segment_end(struct segment *segment)
{
    struct storage *storage = segment->log->body->storage;
    residents_remove(&storage->residents, segment);
    list_remove(&segment->dirty);
    list_remove(&segment->seal);
    segment_destroy(segment);
}

void log_destroy(struct log *log)
{
    struct log_body *body = log->body;
    while (list_pop(&log->waiters))
        continue; /* their owners may cancel them later */
    if (log->source) {
        mem_free(log);
        return;
    }
    struct storage *storage = body->storage;
    (void)tree_remove(&storage->logs, &body->id);
    position_forget(log);
    list_remove(&body->scrub_link);
    list_remove(&body->blocked_link);
    writeback_forget(log);
    for (size_t i = 0; i < body->segment_count; i++) {
        body->segments[i]->users = 0;
        segment_end(body->segments[i]);
    }
    mem_free(body->segments);
    mem_free(body->entries);
    epochs_done(&body->epochs);
    transactions_destroy(body->transactions);
    producers_destroy(log->producers);
    mem_free(body);
    mem_free(log);
}

uint32_t log_index_step(const struct log *log)
{
    int64_t step = log->topic->config.index_interval_bytes;
    return step < INDEX_STEP_MAX ? (uint32_t)step : INDEX_STEP_MAX;
}

char *log_directory(const struct log *log)
{
    return mem_printf("%s/%s-%" PRId32, log->body->storage->dir, log->topic->name, log->partition);
}

void log_use(struct log *log)
{
    log->body->users++;
    log->topic->holds++;
}

void log_unuse(struct log *log)
{
    CHECK(log->body->users > 0 && log->topic->holds > 0);
    log->body->users--;
    log->topic->holds--;
}

void log_set_busy(struct log *log, bool busy)
{
    CHECK(log->body->busy != busy);
    log->body->busy = busy;
    if (busy) {
        log_use(log);
        writeback_requeue(log);
    } else {
        log_unuse(log);
        log_skip_dropped(log);
    }
}

/* ---- segments ------------------------------------------------------------------------------ */

struct segment *log_active_segment(const struct log *log)
{
    const struct log_body *body = log->body;
    return body->segment_count ? body->segments[body->segment_count - 1] : NULL;
}

struct segment *log_segment(const struct log *log, int64_t offset)
{
    const struct log_body *body = log->body;
    size_t low = 0, high = body->segment_count; /* those below low end at or before offset */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (body->segments[middle]->claim.end_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < body->segment_count ? body->segments[low] : NULL;
}

struct segment *log_unwritten_segment(const struct log *log)
{
    const struct log_body *body = log->body;
    size_t i = body->segment_count;
    while (i > 0 && body->segments[i - 1]->written < body->segments[i - 1]->claim.size)
        i--;
    return i < body->segment_count ? body->segments[i] : NULL;
}

/* The segment's bytes are all in its file. */
static void segment_is_there(struct segment *segment)
{
    segment->written = segment->allocated = segment->claim.size;
    segment->created = segment->unchecked = true;
    segment->log->size_bytes += segment->claim.size;
}

static struct segment *segment_push(struct log *log, const struct segment_claim *claim)
{
    struct log_body *body = log->body;
    struct segment *segment = segment_create(log, claim);
    if (body->segment_count == body->segment_capacity) {
        /* Most logs have one: no spare room before the second. */
        body->segment_capacity = body->segment_capacity ? body->segment_capacity * 2 : 1;
        body->segments =
            mem_realloc(body->segments, body->segment_capacity * sizeof(*body->segments));
    }
    body->segments[body->segment_count++] = segment;
    return segment;
}

int log_add_claim(struct log *log, const struct segment_claim *claim)
{
    struct segment *last = log_active_segment(log);
    if (claim->base_offset < 0 || claim->end_offset <= claim->base_offset ||
        claim->size < BATCH_HEADER_SIZE || claim->size > UINT32_MAX ||
        (last && claim->base_offset < last->claim.end_offset))
        return -EUCLEAN;
    if (last) {
        last->sealed = true;
        if (!segment_is_rooted(last))
            seals_add(log->body->storage, last);
    }
    struct segment *segment = segment_push(log, claim);
    segment_is_there(segment);
    log->body->directory_made = true;
    return 0;
}

/* A number that is the same whenever this segment is rolled, and differs between segments. */
static int64_t jitter(const struct log *log, const struct segment *segment, int64_t below)
{
    uint64_t x = ((uint64_t)log->body->id << 40) ^ (uint64_t)segment->claim.base_offset;
    x = (x ^ (x >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    return (int64_t)(x % (uint64_t)below);
}

static int64_t segment_age_max(const struct log *log, const struct segment *segment)
{
    const struct topic_config *config = &log->topic->config;
    int64_t max = config->segment_ms;
    if ((config->cleanup_policy & CLEANUP_COMPACT) && config->max_compaction_lag_ms < max)
        max = config->max_compaction_lag_ms;
    int64_t spread = config->segment_jitter_ms < max ? config->segment_jitter_ms : max;
    return spread > 0 ? max - jitter(log, segment, spread) : max;
}

static bool roll_due(
    const struct log *log, const struct segment *segment, const struct batch_view *batch)
{
    const struct topic_config *config = &log->topic->config;
    const struct segment_claim *claim = &segment->claim;
    if (segment->sealed)
        return true;
    if (claim->size + batch->size > (uint64_t)config->segment_bytes)
        return true;
    if (batch_last_offset(batch) - claim->base_offset > INT32_MAX)
        return true;
    /* What Kafka's offset index of 8 bytes an entry would have grown to. */
    if (config->index_interval_bytes > 0 && claim->size / (uint64_t)config->index_interval_bytes >=
                                                (uint64_t)config->segment_index_bytes / 8 + 1)
        return true;
    return claim->first_timestamp >= 0 && batch->max_timestamp > claim->first_timestamp &&
           batch->max_timestamp - claim->first_timestamp > segment_age_max(log, segment);
}

static struct segment *roll(struct log *log, int64_t base_offset)
{
    struct storage *storage = log->body->storage;
    struct segment *last = log_active_segment(log);
    if (last) {
        last->sealed = true;
        last->sealed_lsn =
            storage->recovering ? storage->checkpoint.lsn + 1 : wal_appended(storage->wal);
        seals_add(storage, last);
        storage->stats.rolls++;
        /* The checkpoint gives back what was reserved beyond the end. */
        if (last->allocated > last->claim.size && list_empty(&last->dirty))
            list_append(&storage->dirty, &last->dirty);
    }
    struct segment_claim claim = {
        .base_offset = base_offset,
        .end_offset = base_offset,
        .first_timestamp = -1,
        .max_timestamp = -1,
        .max_timestamp_offset = -1,
    };
    return segment_push(log, &claim);
}

/* A control batch ends the transaction of its producer, if it has one. */
static void note_marker(struct log *log, struct producer *producer, const struct batch_view *batch)
{
    struct control_marker marker;
    if (control_parse(batch, batch->records, &marker) < 0 ||
        (marker.type != CONTROL_COMMIT && marker.type != CONTROL_ABORT))
        return;
    producer->coordinator_epoch = marker.coordinator_epoch;
    if (!producer->open)
        return;
    transactions_end(log->body->transactions, producer->open, batch_last_offset(batch),
        marker.type == CONTROL_COMMIT);
    producer_set_open(producer, NULL);
}

static void note_producer(
    struct log *log, const struct batch_view *batch, uint64_t lsn, int64_t now_ms)
{
    struct log_body *body = log->body;
    if (!log->producers)
        log->producers = producers_create(&body->storage->producers);
    struct producer *producer = producers_note(log->producers, batch, lsn, now_ms);
    if (batch_is_control(batch)) {
        note_marker(log, producer, batch);
    } else if (batch_is_transactional(batch) && !producer->open) {
        if (!body->transactions)
            body->transactions = transactions_create(&body->storage->transactions);
        producer_set_open(producer,
            transactions_begin(body->transactions, batch->producer_id, batch->base_offset));
    }
}

struct segment *log_place(struct log *log, const struct batch_view *batch, uint64_t lsn)
{
    struct storage *storage = log->body->storage;
    struct segment *segment = log_active_segment(log);
    int64_t now_ms = clock_wall_ms(storage->doors->clock);
    if (!segment || roll_due(log, segment, batch))
        segment = roll(log, batch->base_offset);
    struct index_entry entry = {
        .offset = (uint32_t)(batch->base_offset - segment->claim.base_offset),
        .position = (uint32_t)segment->claim.size,
        .max_timestamp = segment->claim.max_timestamp,
    };
    residents_index(&storage->residents, segment, &entry);
    segment_claim_batch(&segment->claim, batch);
    segment->claim.append_ms = now_ms;
    log->end_offset = segment->claim.end_offset;
    log->size_bytes += batch->size;
    epochs_note(&log->body->epochs, batch->leader_epoch, batch->base_offset);
    if (batch->producer_id >= 0)
        note_producer(log, batch, lsn, now_ms);
    return segment;
}

/* ---- the ring's entries -------------------------------------------------------------------- */

const struct ring_entry *log_entry(const struct log *log, uint32_t index)
{
    const struct log_body *body = log->body;
    CHECK(index < body->count);
    return &body->entries[(body->head + index) & (body->capacity - 1)];
}

static void entries_grow(struct log_body *body)
{
    uint32_t capacity = body->capacity ? body->capacity * 2 : 4;
    struct ring_entry *entries = mem_alloc(capacity * sizeof(*entries));
    for (uint32_t i = 0; i < body->count; i++)
        entries[i] = body->entries[(body->head + i) & (body->capacity - 1)];
    mem_free(body->entries);
    body->entries = entries;
    body->capacity = capacity;
    body->head = 0;
}

void log_push(struct log *log, const struct ring_entry *entry)
{
    struct log_body *body = log->body;
    if (body->count == body->capacity)
        entries_grow(body);
    body->entries[(body->head + body->count) & (body->capacity - 1)] = *entry;
    body->count++;
    if (body->written == body->count - 1)
        writeback_requeue(log);
    if (body->visible == body->count - 1)
        position_await(log);
}

void log_trim(struct log *log)
{
    struct log_body *body = log->body;
    uint32_t done = body->written < body->visible ? body->written : body->visible;
    body->head = body->capacity ? (body->head + done) & (body->capacity - 1) : 0;
    body->count -= done;
    body->written -= done;
    body->visible -= done;
    if (body->count == 0 && body->capacity) {
        mem_free(body->entries);
        body->entries = NULL;
        body->capacity = body->head = 0;
    }
}

uint32_t log_entry_find(const struct log *log, int64_t offset)
{
    const struct log_body *body = log->body;
    uint32_t low = body->written, high = body->count; /* below low: base ≤ offset */
    if (low == high || log_entry(log, low)->base_offset > offset)
        return body->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (log_entry(log, middle)->base_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    const struct ring_entry *entry = log_entry(log, low - 1);
    return offset <= entry->base_offset + entry->last_offset_delta ? low - 1 : low;
}

/* ---- positions ----------------------------------------------------------------------------- */

/* The one place that says where the last stable offset is: at the first transaction whose end is
 * not visible, but not before the log's start (DeleteRecords may go into an open one). */
static void last_stable_update(struct log *log)
{
    struct transactions *transactions = log->body->transactions;
    if (transactions)
        transactions_show(transactions, log->high_watermark);
    int64_t offset = transactions_unstable(transactions);
    if (offset < log->start_offset)
        offset = log->start_offset;
    log->last_stable_offset = offset < log->high_watermark ? offset : log->high_watermark;
}

void log_set_high_watermark(struct log *log, int64_t offset)
{
    if (offset <= log->high_watermark)
        return;
    log->high_watermark = offset;
    last_stable_update(log);
    position_wake(log);
}

/* ---- the log's beginning and end of life --------------------------------------------------- */

void log_release_segment(struct segment *segment)
{
    if (segment->dropped && !segment->removing && segment->users == 0)
        segment_end(segment);
}

/* The segment leaves the log; `file`: its file is to be removed too. */
static void segment_drop(struct segment *segment, bool file, uint64_t lsn)
{
    struct log *log = segment->log;
    segment->dropped = true;
    log->size_bytes -= segment->claim.size;
    list_remove(&segment->dirty);
    list_remove(&segment->seal);
    if (file)
        removals_add_segment(log->body->storage, segment, lsn);
    else
        log_release_segment(segment);
}

/* Takes the first `count` segments off the log; `files`: their files are to be removed too. */
static void segments_drop(struct log *log, size_t count, bool files, uint64_t lsn)
{
    struct log_body *body = log->body;
    if (count > 0 || !files)
        body->storage->checkpoint.dropped_lsn = lsn;
    for (size_t i = 0; i < count; i++)
        segment_drop(body->segments[i], files, lsn);
    for (size_t i = count; i < body->segment_count; i++)
        body->segments[i - count] = body->segments[i];
    body->segment_count -= count;
    if (!body->busy)
        log_skip_dropped(log);
}

void log_skip_dropped(struct log *log)
{
    struct log_body *body = log->body;
    int64_t first = body->segment_count ? body->segments[0]->claim.base_offset : INT64_MAX;
    while (body->written < body->count && log_entry(log, body->written)->base_offset < first)
        body->written++;
    writeback_requeue(log);
    log_trim(log);
}

void log_raise_start(struct log *log, int64_t offset, uint64_t lsn)
{
    struct log_body *body = log->body;
    if (offset <= log->start_offset)
        return;
    log->start_offset = offset;
    if (log->end_offset < offset)
        log->end_offset = offset;
    epochs_trim(&body->epochs, offset);
    transactions_trim(body->transactions, offset);
    last_stable_update(log);
    size_t gone = 0;
    while (gone < body->segment_count && body->segments[gone]->claim.end_offset <= offset)
        gone++;
    body->storage->stats.segments_deleted += gone;
    segments_drop(log, gone, true, lsn);
    position_notice(log, lsn);
}

/* Places [first, end) of the segments that cover [from, to); false: there are none such, or the
 * active one is among them. */
static bool segments_covering(
    const struct log_body *body, int64_t from, int64_t to, size_t *ret_first, size_t *ret_end)
{
    size_t first = 0, end;
    while (first < body->segment_count && body->segments[first]->claim.base_offset < from)
        first++;
    for (end = first; end < body->segment_count; end++) {
        if (body->segments[end]->claim.end_offset >= to)
            break;
    }
    *ret_first = first;
    *ret_end = end + 1;
    return end + 1 < body->segment_count && body->segments[first]->claim.base_offset == from &&
           body->segments[end]->claim.end_offset == to;
}

static bool claim_replaces(const struct segment_claim *claim, int64_t from, int64_t to)
{
    return claim->base_offset == from && claim->end_offset > from && claim->end_offset <= to &&
           claim->size >= BATCH_HEADER_SIZE && claim->size <= UINT32_MAX && claim->generation > 0;
}

int log_replace(
    struct log *log, int64_t from, int64_t to, const struct segment_claim *claim, uint64_t lsn)
{
    struct log_body *body = log->body;
    size_t first, end;
    if (!segments_covering(body, from, to, &first, &end) ||
        (claim && !claim_replaces(claim, from, to)))
        return -EUCLEAN;
    body->storage->checkpoint.dropped_lsn = lsn;
    for (size_t i = first; i < end; i++)
        segment_drop(body->segments[i], true, lsn);
    if (claim) {
        struct segment *segment = segment_create(log, claim);
        segment_is_there(segment);
        segment->sealed = true;
        if (!segment_is_rooted(segment))
            seals_add(body->storage, segment);
        body->segments[first++] = segment;
        if (claim->generation > body->generation)
            body->generation = claim->generation;
    }
    memmove(&body->segments[first], &body->segments[end],
        (body->segment_count - end) * sizeof(struct segment *));
    body->segment_count -= end - first;
    return 0;
}

void log_abandon(struct log *log, uint64_t lsn)
{
    struct log_body *body = log->body;
    (void)tree_remove(&body->storage->logs, &body->id);
    position_forget(log);
    list_remove(&body->scrub_link);
    body->visible = body->count;
    removals_add_directory(body->storage, log, lsn);
    segments_drop(log, body->segment_count, false, lsn);
    position_notice(log, lsn);
}
