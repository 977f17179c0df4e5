/*
 * See compaction.h.
 *
 *   look ─▶ learn ─▶ pass ─▶ seal ─▶ commit ─▶ (next group: pass) ─▶ (known_to < round end: learn)
 *            └──────── pool ────────┘   └ a unit                  └▶ look
 *
 * Happy path
 *  1. look: the dirtiest log that is dirty enough; its segments up to the round's end are held
 *  2. learn: keys of the dirty part; if the map gets full the rest waits for another round, which
 *     follows at once
 *  3. for each group of segments below known_to, oldest first: pass, seal, commit. The last one
 *     moves the first dirty offset
 *
 * Between two slices of a step everything may have happened on the loop. If a held segment was
 * dropped (retention, DeleteRecords), the topic deleted or its policy changed, or storage closes,
 * the round ends there: what was committed stays, the new file of a group that was not is removed.
 *
 * Oldest first matters: a tombstone falls in its own group, when older values of its key are gone
 * from the groups before.
 */
#include "storage/compaction.h"

#include <errno.h>
#include <inttypes.h>

#include "protocol/base/mem.h"
#include "storage/barriers.h"
#include "storage/cleaning.h"
#include "storage/owner.h"

enum { PUT_FORMAT = 1, NS_PER_S = 1000000000 };

struct cleaning_round {
    struct cleaning cleaning;
    struct storage *storage;
    struct log *log;
    bool running;    /* in the pool */
    bool paused;     /* until the timer fires */
    bool committing; /* the group's unit is to be committed, or is */
    int64_t slice_at_ns;
    uint64_t bytes_in, bytes_out; /* of its groups so far */
};

/* ---- which log ----------------------------------------------------------------------------- */

/* What of a log a round would be about. */
struct range {
    int64_t from, to;      /* dirty */
    uint64_t clean, dirty; /* bytes */
    size_t segments;       /* those that end at or below `to` */
    bool overdue;          /* holds what is older than max.compaction.lag.ms */
};

static int64_t largest_timestamp(const struct segment_claim *claim)
{
    return claim->max_timestamp >= 0 ? claim->max_timestamp : claim->append_ms;
}

/* May the segment be replaced, for now? */
static bool is_settled(const struct storage *storage, const struct segment *segment)
{
    return segment->sealed && segment->created && segment->written == segment->claim.size &&
           (segment->claim.flags & SEGMENT_ROOTED) &&
           (segment->sealed_lsn <= storage->checkpoint.lsn || !BARRIER(CLEAN_SETTLED));
}

static bool is_young(const struct log *log, const struct segment *segment, int64_t now_ms)
{
    int64_t lag_ms = log->topic->config.min_compaction_lag_ms;
    return lag_ms > 0 && largest_timestamp(&segment->claim) > now_ms - lag_ms;
}

static struct range range_of(const struct log *log, int64_t now_ms)
{
    const struct log_body *body = log->body;
    const struct storage *storage = body->storage;
    int64_t old_ms = now_ms - log->topic->config.max_compaction_lag_ms;
    int64_t from = body->first_dirty > log->start_offset ? body->first_dirty : log->start_offset;
    struct range range = { .from = from, .to = from };
    for (size_t i = 0; i + 1 < body->segment_count; i++) {
        const struct segment *segment = body->segments[i];
        bool dirty = segment->claim.end_offset > from;
        if ((BARRIER(CLEAN_STABLE) && segment->claim.end_offset > log->last_stable_offset) ||
            !is_settled(storage, segment) || (dirty && is_young(log, segment, now_ms)))
            break;
        range.segments = i + 1;
        if (!dirty) {
            range.clean += segment->claim.size;
            continue;
        }
        range.dirty += segment->claim.size;
        range.to = segment->claim.end_offset;
        range.overdue |=
            segment->claim.first_timestamp > 0 && segment->claim.first_timestamp < old_ms;
    }
    return range;
}

static bool may_be_cleaned(const struct log *log)
{
    const struct log_body *body = log->body;
    return (log->topic->config.cleanup_policy & CLEANUP_COMPACT) && !log->topic->deleted &&
           !body->damaged && !body->uncleanable && list_empty(&body->scrub_link) &&
           !body->scrubbing;
}

static void uncleanable_say(struct log *log, const char *why)
{
    struct storage *storage = log->body->storage;
    log->body->uncleanable = true;
    storage->stats.logs_uncleanable++;
    doors_say(storage->doors, LOG_ERROR,
        "%s-%" PRId32 " can't be compacted (uncleanable until the next start): %s",
        log->topic->name, log->partition, why);
}

/* Has a reader or the sealing found damage? */
static bool is_damaged(const struct log *log)
{
    for (size_t i = 0; i < log->body->segment_count; i++) {
        const struct segment *segment = log->body->segments[i];
        if (segment->unsealable || segment->distrusted || segment->proof.damage_count > 0)
            return true;
    }
    return false;
}

static double dirty_ratio(const struct range *range)
{
    return range->dirty ? (double)range->dirty / (double)(range->clean + range->dirty) : 0;
}

static struct log *dirtiest(const struct storage *storage, struct range *ret)
{
    struct log *found = NULL;
    int64_t now_ms = clock_wall_ms(storage->doors->clock);
    uint32_t id = 0;
    for (struct tree_node *node; (node = tree_after(&storage->logs, &id));) {
        struct log_body *body = container_of(node, struct log_body, by_id);
        id = body->id;
        if (!may_be_cleaned(body->log))
            continue;
        if (is_damaged(body->log)) {
            uncleanable_say(body->log, "it is damaged");
            continue;
        }
        struct range range = range_of(body->log, now_ms);
        double ratio = dirty_ratio(&range);
        if (range.dirty == 0 ||
            (!range.overdue && ratio <= body->log->topic->config.min_cleanable_dirty_ratio))
            continue;
        if (!found || ratio > dirty_ratio(ret)) {
            found = body->log;
            *ret = range;
        }
    }
    return found;
}

/* ---- life of a round ----------------------------------------------------------------------- */

static void source_release(struct cleaning_source *source)
{
    struct segment *segment = source->segment;
    source->segment = NULL;
    if (!segment)
        return;
    segment->users--;
    log_release_segment(segment);
}

static void round_free(struct cleaning_round *round)
{
    struct cleaning *cleaning = &round->cleaning;
    round->storage->compaction.round = NULL;
    for (size_t i = 0; i < cleaning->source_count; i++)
        source_release(&cleaning->sources[i]);
    cleaning_done(cleaning);
    log_unuse(round->log);
    mem_free(round);
}

static void producer_add(void *context, int64_t id, int16_t epoch, int64_t last_offset)
{
    struct sieve *sieve = context;
    sieve->producers[sieve->producer_count++] =
        (struct sieve_producer){ .id = id, .last_offset = last_offset, .epoch = epoch };
}

static void producers_take(struct sieve *sieve, const struct log *log)
{
    if (!log->producers || log->producers->tree.count == 0)
        return;
    sieve->producers = mem_zalloc(log->producers->tree.count, sizeof(*sieve->producers));
    producers_each(log->producers, producer_add, sieve);
}

static bool aborted_add(void *context, const struct aborted_transaction *aborted)
{
    struct sieve *sieve = context;
    mem_grow(sieve->aborted, &sieve->aborted_capacity, sieve->aborted_count + 1);
    sieve->aborted[sieve->aborted_count++] =
        (struct sieve_aborted){ aborted->producer_id, aborted->first_offset, aborted->last_offset };
    return true;
}

static void sources_take(struct cleaning *cleaning, const struct log *log, size_t count)
{
    cleaning->sources = mem_zalloc(count, sizeof(*cleaning->sources));
    for (size_t i = 0; i < count; i++) {
        struct segment *segment = log->body->segments[i];
        struct cleaning_source *source = &cleaning->sources[cleaning->source_count++];
        source->segment = segment;
        source->claim = segment->claim;
        source->path = segment_path(segment);
        segment->users++;
    }
}

/* The first source that is dirty. */
static size_t first_dirty(const struct cleaning *cleaning)
{
    size_t at = 0;
    while (cleaning->sources[at].claim.end_offset <= cleaning->sieve.known_from)
        at++;
    return at;
}

static size_t batch_max(struct storage *storage, const struct log *log)
{
    size_t unit = storage_unit_max(storage);
    size_t message = (size_t)log->topic->config.max_message_bytes;
    /* Compressed anew a batch may have grown; limits may have been higher once. */
    return 2 * (unit > message ? unit : message);
}

static int round_begin(struct storage *storage, struct log *log, const struct range *range)
{
    uint8_t secret[OFFSET_MAP_SECRET];
    struct cleaning_round *round = mem_zalloc(1, sizeof(*round));
    struct cleaning *cleaning = &round->cleaning;
    struct sieve *sieve = &cleaning->sieve;
    round->storage = storage;
    round->log = log;
    log_use(log);
    storage->compaction.round = round;
    cleaning->door = storage->doors->disk;
    cleaning->batch_max = batch_max(storage, log);
    sieve->now_ms = clock_wall_ms(storage->doors->clock);
    sieve->delete_retention_ms = log->topic->config.delete_retention_ms;
    sieve->known_from = sieve->known_to = range->from;
    sieve->round_end = range->to;
    compressor_init(&sieve->compressor);
    sources_take(cleaning, log, range->segments);
    producers_take(sieve, log);
    log_each_aborted(log, log->start_offset, range->to, aborted_add, sieve);
    sieve_sort(sieve);
    random_bytes(storage->doors->random, secret, sizeof(secret));
    int status = offset_map_init(&sieve->map, (uint64_t)(range->to - range->from),
        storage->config.cleaner.dedupe_bytes, secret);
    if (status < 0) {
        round_free(round);
        return status;
    }
    cleaning_start(cleaning, CLEANING_LEARN, first_dirty(cleaning));
    return 0;
}

/* ---- ends ---------------------------------------------------------------------------------- */

/* The file that was made for a group and is nobody's. */
static void file_discard(struct cleaning_round *round)
{
    struct cleaning *cleaning = &round->cleaning;
    if (!cleaning->made)
        return;
    cleaning->made = false;
    if (round->log->topic->deleted) /* goes with its directory */
        return;
    struct segment *segment = segment_create(round->log, &cleaning->claim);
    segment->created = segment->dropped = true;
    removals_add_segment(round->storage, segment, 0);
}

static void look_later(struct storage *storage)
{
    if (storage->closing || storage->failed)
        return;
    timer_set(storage->doors->timers, &storage->compaction.timer,
        clock_after_ms(
            clock_monotonic_ns(storage->doors->clock), storage->config.cleaner.backoff_ms));
}

static void round_stop(struct cleaning_round *round)
{
    struct storage *storage = round->storage;
    file_discard(round);
    timer_cancel(storage->doors->timers, &storage->compaction.timer);
    round_free(round);
    look_later(storage);
    removals_step(storage);
    storage_close_step(storage);
}

/* The log is done for now; another one may be dirty. */
static void round_over(struct cleaning_round *round)
{
    struct storage *storage = round->storage;
    storage->stats.compaction_rounds++;
    doors_say(storage->doors, LOG_DEBUG,
        "%s-%" PRId32 ": compacted up to offset %" PRId64 ": %" PRIu64 " bytes became %" PRIu64,
        round->log->topic->name, round->log->partition, round->cleaning.sieve.known_to,
        round->bytes_in, round->bytes_out);
    round_free(round);
    storage->compaction.due = true;
}

static void round_fail(struct cleaning_round *round, int status)
{
    struct storage *storage = round->storage;
    struct log *log = round->log;
    if (round->cleaning.sync_failed) {
        storage_fail(storage, status, "syncing a compacted segment");
        return;
    }
    if (writeback_is_passing(status)) {
        doors_say(storage->doors, LOG_WARNING, "%s-%" PRId32 ": not compacted now: %s",
            log->topic->name, log->partition, strerrordesc_np(-status));
    } else {
        uncleanable_say(log, status == -EBADMSG ? "a damaged batch" : strerrordesc_np(-status));
    }
    round_stop(round);
}

static bool must_stop(const struct cleaning_round *round)
{
    const struct log *log = round->log;
    if (round->storage->closing || log->topic->deleted ||
        !(log->topic->config.cleanup_policy & CLEANUP_COMPACT))
        return true;
    for (size_t i = 0; i < round->cleaning.source_count; i++) {
        const struct segment *segment = round->cleaning.sources[i].segment;
        if (segment && segment->dropped)
            return true;
    }
    return false;
}

/* ---- groups -------------------------------------------------------------------------------- */

/* Sources from `from` on that fit into one segment. */
static size_t group_end(const struct cleaning_round *round, size_t from)
{
    const struct cleaning *cleaning = &round->cleaning;
    const struct cleaning_source *first = &cleaning->sources[from];
    uint64_t size = first->claim.size;
    uint64_t max = (uint64_t)round->log->topic->config.segment_bytes;
    size_t end = from + 1;
    for (; end < cleaning->source_count; end++) {
        const struct segment_claim *claim = &cleaning->sources[end].claim;
        if (size + claim->size > max ||
            claim->end_offset - 1 - first->claim.base_offset > INT32_MAX ||
            claim->base_offset >= cleaning->sieve.known_to)
            break;
        size += claim->size;
    }
    return end;
}

static bool is_last_group(const struct cleaning *cleaning)
{
    return cleaning->group_end == cleaning->source_count ||
           cleaning->sources[cleaning->group_end].claim.base_offset >= cleaning->sieve.known_to;
}

static void group_begin(struct cleaning_round *round, size_t from)
{
    struct cleaning *cleaning = &round->cleaning;
    cleaning->group_from = from;
    cleaning->group_end = group_end(round, from);
    const struct cleaning_source *last = &cleaning->sources[cleaning->group_end - 1];
    cleaning->claim = (struct segment_claim){
        .base_offset = cleaning->sources[from].claim.base_offset,
        .end_offset = cleaning->sources[from].claim.base_offset,
        .first_timestamp = -1,
        .max_timestamp = -1,
        .max_timestamp_offset = -1,
        .append_ms = last->claim.append_ms,
        .generation = BARRIER(CLEAN_NAME_NEW) ? ++round->log->body->generation : 1,
    };
    cleaning->made = false;
    mem_free(cleaning->path);
    mem_free(cleaning->footer_path);
    mem_free(cleaning->directory);
    cleaning->path = segment_claim_path(round->log, &cleaning->claim);
    cleaning->footer_path = segment_claim_footer_path(round->log, &cleaning->claim);
    cleaning->directory = log_directory(round->log);
    footer_done(&cleaning->footer);
    footer_init(&cleaning->footer, cleaning->claim.base_offset, log_index_step(round->log));
    cleaning_start(cleaning, CLEANING_PASS, from);
}

/* The log has the new segment; what the cleaning knows of it is known. */
static void group_attach(struct cleaning_round *round)
{
    struct cleaning *cleaning = &round->cleaning;
    struct storage *storage = round->storage;
    if (cleaning->made) {
        struct segment *segment = log_segment(round->log, cleaning->claim.base_offset);
        CHECK(segment && segment->claim.generation == cleaning->claim.generation);
        segment->fresh_from = 0;
        segment->unchecked = false;
        residents_footer(&storage->residents, segment, &cleaning->footer);
        cleaning->made = false;
    }
    for (size_t i = cleaning->group_from; i < cleaning->group_end; i++)
        source_release(&cleaning->sources[i]);
    storage->stats.compactions++;
    storage->stats.compaction_bytes_in += cleaning->bytes_in;
    storage->stats.compaction_bytes_out += cleaning->bytes_out;
    storage->stats.compaction_records_dropped +=
        cleaning->sieve.counts.records_in - cleaning->sieve.counts.records_out;
    storage->stats.compaction_horizons += cleaning->sieve.counts.horizons;
    cleaning->sieve.counts = (struct sieve_counts){ 0 };
    round->bytes_in += cleaning->bytes_in;
    round->bytes_out += cleaning->bytes_out;
    cleaning->bytes_in = cleaning->bytes_out = 0;
}

/* The new round of the same log, for what the map had no room for. */
static void round_again(struct cleaning_round *round)
{
    struct storage *storage = round->storage;
    struct log *log = round->log;
    struct range range = range_of(log, clock_wall_ms(storage->doors->clock));
    storage->stats.compaction_full_maps++;
    round_over(round);
    if (range.dirty && may_be_cleaned(log) && round_begin(storage, log, &range) == 0)
        storage->compaction.due = false;
}

static void group_over(struct cleaning_round *round)
{
    struct cleaning *cleaning = &round->cleaning;
    round->committing = false;
    if (!is_last_group(cleaning))
        group_begin(round, cleaning->group_end);
    else if (cleaning->sieve.known_to < cleaning->sieve.round_end)
        round_again(round);
    else
        round_over(round);
}

/* ---- commit -------------------------------------------------------------------------------- */

static void unit_fill(struct unit *unit, const struct cleaning_round *round)
{
    const struct cleaning *cleaning = &round->cleaning;
    int64_t dirty = is_last_group(cleaning) ? cleaning->sieve.known_to : -1;
    uint8_t key[4];
    struct out value = { 0 };
    be_put32(key, round->log->body->id);
    out_u8(&value, PUT_FORMAT);
    out_u64(&value, (uint64_t)cleaning->sources[cleaning->group_from].claim.base_offset);
    out_u64(&value, (uint64_t)cleaning->sources[cleaning->group_end - 1].claim.end_offset);
    out_u64(&value, (uint64_t)dirty);
    out_u8(&value, cleaning->made);
    if (cleaning->made) {
        segment_claim_save(&cleaning->claim, &value);
        out_u32(&value, cleaning->claim.generation);
    }
    unit_put_any(unit, STORE_SEGMENTS, bytes_of(key, sizeof(key)), bytes_of(value.data, value.len))
        ->condition = PUT_LOG_THERE;
    out_done(&value);
}

static void unit_finished(struct unit *unit)
{
    struct storage *storage = container_of(unit, struct storage, compaction.unit);
    storage->compaction.committed = false;
    unit_done(unit);
    if (storage->compaction.round)
        group_over(storage->compaction.round);
    compaction_step(storage);
    storage_close_step(storage);
}

/* -EAGAIN: the ring is full; storage_turn tries again. */
static void commit(struct cleaning_round *round)
{
    struct storage *storage = round->storage;
    struct unit *unit = &storage->compaction.unit;
    unit_init(unit, unit_finished);
    unit_fill(unit, round);
    int status = log_commit(storage, unit);
    if (status == 0) {
        storage->compaction.committed = true;
        group_attach(round);
        return;
    }
    unit_done(unit);
    if (status != -EAGAIN && status != -ENOSPC)
        round_stop(round);
}

/* ---- the steps ----------------------------------------------------------------------------- */

/* What was aborted has its marker in the segment that tells of it. (Too many: whoever needs them
 * finds them with the log, where they count.) */
static bool footer_aborted_add(void *context, const struct aborted_transaction *aborted)
{
    struct cleaning *cleaning = context;
    if (aborted->last_offset < cleaning->claim.base_offset ||
        aborted->last_offset >= cleaning->claim.end_offset)
        return true;
    return footer_abort(&cleaning->footer, aborted) == 0;
}

static void step_over(struct cleaning_round *round)
{
    struct cleaning *cleaning = &round->cleaning;
    if (cleaning->step == CLEANING_LEARN) {
        sieve_rewind(&cleaning->sieve);
        group_begin(round, 0);
    } else if (cleaning->step == CLEANING_PASS && cleaning->made) {
        log_each_aborted(round->log, cleaning->claim.base_offset, cleaning->claim.end_offset,
            footer_aborted_add, cleaning);
        cleaning_start(cleaning, CLEANING_SEAL, cleaning->at);
    } else {
        round->committing = true;
    }
}

/* The time that the slice may take at the rate allowed is not over yet. */
static bool pace(struct cleaning_round *round)
{
    struct storage *storage = round->storage;
    double rate = storage->config.cleaner.bytes_per_second;
    double wait_ns = rate > 0 ? (double)round->cleaning.moved / rate * NS_PER_S : 0;
    if (wait_ns < (double)CLOCK_NS_PER_MS)
        return false;
    double day_ns = 86400.0 * NS_PER_S;
    int64_t until_ns = round->slice_at_ns + (int64_t)(wait_ns < day_ns ? wait_ns : day_ns);
    if (until_ns <= clock_monotonic_ns(storage->doors->clock))
        return false;
    round->paused = true;
    timer_set(storage->doors->timers, &storage->compaction.timer, until_ns);
    return true;
}

static void slice_done(struct work_job *work)
{
    struct cleaning *cleaning = container_of(work, struct cleaning, work);
    struct cleaning_round *round = container_of(cleaning, struct cleaning_round, cleaning);
    struct storage *storage = round->storage;
    round->running = false;
    if (cleaning->status < 0) {
        round_fail(round, cleaning->status);
    } else {
        if (cleaning->over)
            step_over(round);
        (void)pace(round);
    }
    compaction_step(storage);
}

static void slice_begin(struct cleaning_round *round)
{
    struct storage *storage = round->storage;
    round->running = true;
    round->slice_at_ns = clock_monotonic_ns(storage->doors->clock);
    round->cleaning.work.run = cleaning_run;
    round->cleaning.work.done = slice_done;
    work_submit(storage->doors->work, &round->cleaning.work);
}

static void look(struct storage *storage)
{
    struct range range = { 0 };
    storage->compaction.due = false;
    struct log *log = dirtiest(storage, &range);
    int status = log ? round_begin(storage, log, &range) : 0;
    if (status < 0)
        doors_say(storage->doors, LOG_WARNING, "%s-%" PRId32 ": not compacted now: %s",
            log->topic->name, log->partition, strerrordesc_np(-status));
    if (!log || status < 0)
        look_later(storage);
}

void compaction_step(struct storage *storage)
{
    struct compaction *compaction = &storage->compaction;
    if (storage->failed || storage->recovering || compaction->committed)
        return;
    if (compaction->due && !compaction->round && !storage->closing)
        look(storage);
    struct cleaning_round *round = compaction->round;
    if (!round || round->running)
        return;
    if (must_stop(round)) {
        round_stop(round);
        return;
    }
    if (round->committing)
        commit(round);
    else if (!round->paused)
        slice_begin(round);
}

bool compaction_idle(const struct storage *storage)
{
    return !storage->compaction.round && !storage->compaction.committed;
}

static void timer_fired(struct timer *timer)
{
    struct storage *storage = container_of(timer, struct storage, compaction.timer);
    if (storage->compaction.round)
        storage->compaction.round->paused = false;
    else
        storage->compaction.due = true;
    compaction_step(storage);
}

void compaction_start_timer(struct storage *storage)
{
    if (storage->config.cleaner.enable)
        look_later(storage);
}

void storage_set_cleaner(struct storage *storage, const struct cleaner_config *cleaner)
{
    bool enable = storage->config.cleaner.enable;
    storage->config.cleaner = *cleaner;
    storage->config.cleaner.enable = enable;
    if (enable && !storage->compaction.round)
        look_later(storage);
}

void compaction_init(struct storage *storage)
{
    storage->compaction.timer.fire = timer_fired;
    list_init(&storage->compaction.unit.link);
}

void compaction_done(struct storage *storage)
{
    timer_cancel(storage->doors->timers, &storage->compaction.timer);
    if (storage->compaction.round)
        round_free(storage->compaction.round);
    unit_done(&storage->compaction.unit);
}

/* ---- what was committed -------------------------------------------------------------------- */

int compaction_apply(struct storage *storage, struct bytes key, struct bytes value, uint64_t lsn)
{
    struct log *log = key.len == 4 ? topics_log_by_id(storage, be_get32(key.data)) : NULL;
    struct cursor cursor = cursor_of(value);
    struct segment_claim claim = { 0 };
    uint8_t format = cursor_u8(&cursor);
    int64_t from = cursor_i64(&cursor);
    int64_t to = cursor_i64(&cursor);
    int64_t dirty = cursor_i64(&cursor);
    uint8_t there = cursor_u8(&cursor);
    if (there) {
        claim = segment_claim_load(&cursor, true);
        claim.generation = cursor_u32(&cursor);
    }
    if (!log || format != PUT_FORMAT || cursor.bad || cursor.left || dirty > log->end_offset)
        return -EUCLEAN;
    int status = log_replace(log, from, to, there ? &claim : NULL, lsn);
    if (status < 0 || dirty < 0)
        return status;
    /* The data of aborted transactions below `dirty` is gone. A read that began before may still
     * hold some, so it is not before the next round's end that they are forgotten. */
    transactions_trim(log->body->transactions, log->body->first_dirty);
    log->body->first_dirty = dirty;
    return 0;
}

static void log_rows_save(const struct log_body *body, struct out *out)
{
    size_t count_at;
    uint32_t count = 0;
    out_u32(out, body->id);
    out_u64(out, (uint64_t)body->first_dirty);
    count_at = out->len;
    out_u32(out, 0);
    for (size_t i = 0; i < body->segment_count; i++) {
        const struct segment_claim *claim = &body->segments[i]->claim;
        if (claim->generation == 0)
            continue;
        out_u64(out, (uint64_t)claim->base_offset);
        out_u32(out, claim->generation);
        count++;
    }
    le_put32(out->data + count_at, count);
}

void compaction_save(const struct storage *storage, struct out *out)
{
    size_t count_at = out->len;
    uint32_t count = 0, id = 0;
    out_u32(out, 0);
    for (struct tree_node *node; (node = tree_after(&storage->logs, &id));) {
        const struct log_body *body = container_of(node, struct log_body, by_id);
        id = body->id;
        if (body->generation == 0 && body->first_dirty == 0)
            continue;
        log_rows_save(body, out);
        count++;
    }
    if (count)
        le_put32(out->data + count_at, count);
    else
        out->len = count_at;
}

static void log_rows_load(struct storage *storage, struct cursor *cursor)
{
    struct log *log = topics_log_by_id(storage, cursor_u32(cursor));
    int64_t dirty = cursor_i64(cursor);
    cursor->bad |= !log || dirty < 0;
    for (uint32_t count = cursor_count(cursor, 12); count && !cursor->bad; count--) {
        int64_t base = cursor_i64(cursor);
        uint32_t generation = cursor_u32(cursor);
        struct segment *segment = cursor->bad ? NULL : log_segment(log, base);
        cursor->bad |= !segment || segment->claim.base_offset != base || generation == 0;
        if (cursor->bad)
            return;
        segment->claim.generation = generation;
        if (generation > log->body->generation)
            log->body->generation = generation;
    }
    if (!cursor->bad)
        log->body->first_dirty = dirty;
}

int compaction_load(struct storage *storage, struct cursor *cursor)
{
    if (cursor->left == 0) /* nothing was ever cleaned */
        return 0;
    for (uint32_t count = cursor_count(cursor, 16); count && !cursor->bad; count--)
        log_rows_load(storage, cursor);
    return cursor->bad ? -EUCLEAN : 0;
}
