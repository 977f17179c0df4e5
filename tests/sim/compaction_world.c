/* See compaction_world.h. */
#include "tests/sim/compaction_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/batch.h"
#include "protocol/record.h"
#include "tests/sim/life.h"
#include "tests/sim/reading.h"

enum {
    KEYS_FEW = 12,
    KEYS_MANY = 150, /* more than the smallest map takes */
    BATCH_RECORDS_MAX = 5,
    GHOSTS_MAX = 8,
    RAISES_MAX = 64,
    STUCK_STEPS = 200000,
    RETENTION_MS = 5000, /* of tombstones */
    DELETION_MS = 8000,  /* of segments, where the policy says delete, too */
    PLAIN_ID = 9000,
    TRANSACTIONAL_ID = 9001,
};

enum item_kind { ITEM_PLAIN, ITEM_TRANSACTIONAL, ITEM_COMMIT, ITEM_ABORT };

/* One record of the history; its place is its offset. */
struct item {
    enum item_kind kind;
    int key;
    uint64_t value; /* 0: a tombstone */
    int64_t at_ms;
    bool ends_batch, acked, durable;
    /* filled for a check */
    bool aborted, undecided, present;
};

/* Histories that a recovery cut short; as long as nobody was told anything they may come back. */
struct ghost {
    struct item *items;
    size_t count;
};

struct flight {
    struct unit unit;
    struct world *world;
    size_t first, end; /* of the items; equal: a raise */
    int64_t raise;
};

struct world {
    struct sim sim;
    struct storage *storage;
    struct storage_config config;
    struct random random;
    struct item *items;
    size_t count, capacity;
    struct ghost ghosts[GHOSTS_MAX];
    size_t ghost_count;
    int64_t raises[RAISES_MAX];
    bool raise_acked[RAISES_MAX];
    size_t raise_count;
    struct flight **flights;
    size_t flight_count, flight_capacity;
    int keys;
    bool created; /* the topic is there for ever */
    bool failed, closed;
    bool unseen;            /* ... in this life: the cleaner may meet it first */
    bool damaging, damaged; /* a bit of a segment flips once; it did */
    bool blind;             /* damage hides which of two histories it is */
    bool deleting;          /* cleanup.policy is compact,delete */
    uint64_t seed, sync_errors;
    struct compaction_totals *totals;
};

static void fail(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3) NORETURN;

static void fail(struct world *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "seed %" PRIu64 ", %zu records, %.3f ms: ", w->seed, w->count,
        (double)w->sim.now_ns / 1e6);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static bool is_over(const struct world *w)
{
    return w->failed || w->sim.dead;
}

static struct log *log_of(struct world *w)
{
    struct topic *topic = storage_topic(w->storage, bytes_text("c"));
    return topic ? topic_log(topic, 0) : NULL;
}

/* ---- commits ------------------------------------------------------------------------------- */

static void flight_forget(struct world *w, struct flight *flight)
{
    size_t i = 0;
    while (w->flights[i] != flight)
        i++;
    memmove(
        &w->flights[i], &w->flights[i + 1], (w->flight_count - i - 1) * sizeof(struct flight *));
    w->flight_count--;
    unit_done(&flight->unit);
    mem_free(flight);
}

static void raise_acked(struct world *w, int64_t offset)
{
    for (size_t i = 0; i < w->raise_count; i++)
        if (w->raises[i] == offset)
            w->raise_acked[i] = true;
}

static void flight_done(struct unit *unit)
{
    struct flight *flight = container_of(unit, struct flight, unit);
    struct world *w = flight->world;
    for (size_t i = flight->first; i < flight->end; i++)
        w->items[i].acked = true;
    if (flight->first == flight->end)
        raise_acked(w, flight->raise);
    flight_forget(w, flight);
}

static struct flight *flight_begin(struct world *w)
{
    static const int16_t acks[] = { -1, 1, 0 };
    struct flight *flight = mem_zalloc(1, sizeof(*flight));
    flight->world = w;
    unit_init(&flight->unit, flight_done);
    flight->unit.acks = acks[random_below(&w->random, 3)];
    mem_grow(w->flights, &w->flight_capacity, w->flight_count + 1);
    w->flights[w->flight_count++] = flight;
    return flight;
}

static bool flight_commit(struct world *w, struct flight *flight)
{
    int status = log_commit(w->storage, &flight->unit);
    if (status == 0) {
        w->totals->commits++;
        return true;
    }
    if (status != -EAGAIN && status != -ENOSPC && status != -EIO)
        fail(w, "log_commit: %s", strerror(-status));
    flight_forget(w, flight);
    return false;
}

/* Has the transaction of the history's end no marker yet? */
static bool transaction_is_open(const struct world *w)
{
    for (size_t i = w->count; i-- > 0;) {
        if (w->items[i].kind == ITEM_COMMIT || w->items[i].kind == ITEM_ABORT)
            return false;
        if (w->items[i].kind == ITEM_TRANSACTIONAL)
            return true;
    }
    return false;
}

static int32_t sequence_of(const struct world *w, enum item_kind kind)
{
    int32_t next = 0;
    for (size_t i = 0; i < w->count; i++)
        next += w->items[i].kind == kind;
    return next;
}

static struct batch_options options_of(const struct world *w, enum item_kind kind)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.producer_id = kind == ITEM_PLAIN ? PLAIN_ID : TRANSACTIONAL_ID;
    options.producer_epoch = 0;
    options.base_sequence = sequence_of(w, kind);
    if (kind == ITEM_TRANSACTIONAL)
        options.attributes = BATCH_ATTRIBUTE_TRANSACTIONAL;
    return options;
}

static struct item item_draw(struct world *w, enum item_kind kind)
{
    bool tombstone = random_chance(&w->random, 1, 6);
    return (struct item){ .kind = kind,
        .key = (int)random_below(&w->random, (uint64_t)w->keys),
        .value = tombstone ? 0 : 1 + random_u64(&w->random) / 2,
        .at_ms = clock_wall_ms(&w->sim.clock) };
}

static void batch_build(struct world *w, const struct item *items, size_t count,
    const struct batch_options *options, struct out *out)
{
    struct batch_builder builder = { 0 };
    struct compressor compressor;
    uint8_t value[1500];
    char key[16];
    compressor_init(&compressor);
    batch_builder_begin(&builder, options);
    for (size_t i = 0; i < count; i++) {
        int len = snprintf(key, sizeof(key), "key%d", items[i].key);
        size_t size = 8 + random_below(&w->random, sizeof(value) - 8);
        memset(value, 'v', size);
        le_put64(value, items[i].value);
        struct record_view record = { .timestamp = items[i].at_ms,
            .key = bytes_of(key, (size_t)len),
            .value = items[i].value ? bytes_of(value, size) : bytes_of(NULL, 0) };
        CHECK(batch_builder_append(&builder, &record) == 0);
    }
    CHECK(batch_builder_finish(&builder, &compressor, out) == 0);
    batch_builder_done(&builder);
    compressor_done(&compressor);
}

static void items_add(
    struct world *w, struct flight *flight, const struct item *items, size_t count)
{
    mem_grow(w->items, &w->capacity, w->count + count);
    flight->first = w->count;
    for (size_t i = 0; i < count; i++) {
        w->items[w->count] = items[i];
        w->items[w->count].ends_batch = i + 1 == count;
        w->items[w->count++].durable = flight->unit.durable;
    }
    flight->end = w->count;
}

static void do_append(struct world *w, struct log *log)
{
    static const enum codec codecs[] = { CODEC_NONE, CODEC_NONE, CODEC_LZ4, CODEC_ZSTD,
        CODEC_SNAPPY, CODEC_GZIP };
    struct item items[BATCH_RECORDS_MAX];
    size_t count = 1 + random_below(&w->random, BATCH_RECORDS_MAX);
    enum item_kind kind = random_chance(&w->random, 1, 3) ? ITEM_TRANSACTIONAL : ITEM_PLAIN;
    for (size_t i = 0; i < count; i++)
        items[i] = item_draw(w, kind);
    struct batch_options options = options_of(w, kind);
    struct out batch = { 0 };
    options.codec = codecs[random_below(&w->random, ARRAY_COUNT(codecs))];
    batch_build(w, items, count, &options, &batch);
    struct bytes bytes = bytes_of(batch.data, batch.len);
    int64_t base, append_ms;
    uint64_t lsn;
    enum producer_verdict verdict = log_check_producer(log, bytes, &base, &append_ms, &lsn);
    if (verdict != PRODUCER_OK)
        fail(w, "producer %" PRId64 ": sequence %d is refused (%d)", options.producer_id,
            options.base_sequence, (int)verdict);
    struct flight *flight = flight_begin(w);
    unit_append(&flight->unit, log, bytes);
    if (flight_commit(w, flight))
        items_add(w, flight, items, count);
    out_done(&batch);
}

static void do_marker(struct world *w, struct log *log)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    bool commit = random_chance(&w->random, 1, 2);
    struct item item = { .kind = commit ? ITEM_COMMIT : ITEM_ABORT,
        .at_ms = clock_wall_ms(&w->sim.clock) };
    struct out batch = { 0 };
    options.producer_id = TRANSACTIONAL_ID;
    options.producer_epoch = 0;
    control_build(&batch, &options, commit, 0, item.at_ms);
    struct flight *flight = flight_begin(w);
    unit_append(&flight->unit, log, bytes_of(batch.data, batch.len));
    if (flight_commit(w, flight))
        items_add(w, flight, &item, 1);
    out_done(&batch);
}

static void do_raise(struct world *w, struct log *log)
{
    int64_t span = log->high_watermark - log->start_offset;
    if (span < 20 || w->raise_count == RAISES_MAX)
        return;
    int64_t offset = log->start_offset + 1 + (int64_t)random_below(&w->random, (uint64_t)span / 4);
    struct flight *flight = flight_begin(w);
    flight->raise = offset;
    if (unit_raise_start(&flight->unit, log, offset) < 0)
        fail(w, "start offset %" PRId64 " is refused", offset);
    if (!flight_commit(w, flight))
        return;
    w->raises[w->raise_count] = offset;
    w->raise_acked[w->raise_count++] = false;
    w->totals->raises++;
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool reading_turn(void *context)
{
    struct world *w = context;
    if (is_over(w))
        return false;
    storage_turn(w->storage);
    if (!sim_step(&w->sim))
        fail(w, "a cold read never ends");
    return true;
}

/* The caller's buffer, or NULL: an injected error, or the life is over. */
static struct buffer *read_at(struct world *w, struct log *log, int64_t from, size_t max)
{
    struct buffer *buffer;
    int status = reading_run(w->storage, log, from, max, reading_turn, w, &buffer);
    if (status == -ETIMEDOUT)
        fail(w, "a cold read never ends");
    if (status == -ECANCELED)
        return NULL;
    w->totals->reads++;
    if (status == -EIO && (w->sim.counts.read_errors || w->sim.dead))
        return NULL;
    if (status == -EBADMSG && w->damaged) {
        w->totals->damage_seen++;
        return NULL;
    }
    if (status < 0)
        fail(w, "read at %" PRId64 ": %s", from, strerror(-status));
    if (!buffer)
        fail(w, "nothing at %" PRId64 ", visible is %" PRId64, from, log->high_watermark);
    return buffer;
}

static void record_check(
    struct world *w, const struct batch_view *batch, const struct record_view *record)
{
    if (record->offset < 0 || (size_t)record->offset >= w->count)
        fail(w, "a record at %" PRId64 " that was never written", record->offset);
    struct item *item = &w->items[record->offset];
    char key[16];
    (void)snprintf(key, sizeof(key), "key%d", item->key);
    for (size_t i = 8; i < record->value.len && !batch_is_control(batch); i++)
        if (record->value.data[i] != 'v')
            fail(w, "the record at %" PRId64 " holds what was never written", record->offset);
    bool control = item->kind == ITEM_COMMIT || item->kind == ITEM_ABORT;
    uint64_t value = record->value.len >= 8 ? le_get64(record->value.data) : 0;
    if (control != batch_is_control(batch))
        fail(w, "the record at %" PRId64 " is %sa marker", record->offset, control ? "not " : "");
    if (!control && (!bytes_equal_text(record->key, key) || value != item->value ||
                        record->timestamp != item->at_ms))
        fail(w, "the record at %" PRId64 " is not what was written", record->offset);
    /* As the answer to a fetch is made: when the read is done. */
    struct log *log = log_of(w);
    if (item->aborted && record->offset < log->last_stable_offset &&
        !log_is_aborted(log, TRANSACTIONAL_ID, record->offset))
        fail(w, "the aborted record at %" PRId64 " is shown to everybody", record->offset);
    item->present = true;
}

/* Takes note of what a run of batches holds; the offset behind it. */
static int64_t batches_note(struct world *w, struct bytes run, int64_t from)
{
    struct compressor compressor;
    int64_t next = -1;
    compressor_init(&compressor);
    while (run.len) {
        struct batch_view batch;
        struct bytes records;
        struct record_reader reader;
        struct record_view record;
        if (batch_next(&run, &batch) != BATCH_OK || batch_check(&batch) != BATCH_OK ||
            batch_records(&batch, &compressor, 1 << 20, &records) < 0)
            fail(w, "a damaged batch was served at %" PRId64, from);
        if (batch.base_offset < next)
            fail(w, "offsets go back from %" PRId64 " to %" PRId64, next, batch.base_offset);
        record_reader_init(&reader, &batch, records);
        while (record_next(&reader, &record))
            record_check(w, &batch, &record);
        if (record_reader_end(&reader) < 0)
            fail(w, "damaged records were served at %" PRId64, from);
        next = batch_last_offset(&batch) + 1;
    }
    compressor_done(&compressor);
    return next;
}

/* ---- the rules ----------------------------------------------------------------------------- */

static void items_prepare(struct world *w)
{
    enum item_kind end = ITEM_PLAIN; /* of the transaction, seen from behind */
    for (size_t i = w->count; i-- > 0;) {
        struct item *item = &w->items[i];
        item->present = false;
        if (item->kind == ITEM_COMMIT || item->kind == ITEM_ABORT)
            end = item->kind;
        item->aborted = item->kind == ITEM_TRANSACTIONAL && end == ITEM_ABORT;
        item->undecided = item->kind == ITEM_TRANSACTIONAL && end == ITEM_PLAIN;
    }
}

/* A marker may only go behind its data. */
static void marker_check(struct world *w, int64_t start, int64_t at)
{
    for (int64_t i = at; i-- > start;) {
        const struct item *item = &w->items[i];
        if (item->kind == ITEM_COMMIT || item->kind == ITEM_ABORT)
            break;
        if (item->kind == ITEM_TRANSACTIONAL && item->present)
            fail(w, "the marker at %" PRId64 " is gone, its data at %" PRId64 " is there", at, i);
    }
    w->totals->gone_markers++;
}

struct newest {
    bool there;  /* a newer record of the key was seen */
    bool erased; /* the newest is a tombstone and gone */
};

static void item_check(struct world *w, int64_t at, struct newest *newest)
{
    const struct item *item = &w->items[at];
    bool old = clock_wall_ms(&w->sim.clock) >= item->at_ms + RETENTION_MS;
    if (item->aborted) {
        w->totals->gone_aborted += !item->present;
        return;
    }
    if (!item->present && !newest->there && (item->value || !old || item->undecided))
        fail(w, "the newest record of key %d at %" PRId64 " is gone", item->key, at);
    if (item->present && newest->erased)
        fail(w, "key %d is deleted, and its value at %" PRId64 " is back", item->key, at);
    if (!item->present && !newest->there) {
        newest->erased = true;
        w->totals->gone_tombstones++;
    } else if (!item->present) {
        w->totals->gone_records++;
    }
    newest->there |= !item->undecided;
}

static void rules_check(struct world *w, int64_t start, int64_t end)
{
    struct newest newest[KEYS_MANY] = { 0 };
    for (int64_t at = end; at-- > start;) {
        const struct item *item = &w->items[at];
        if (item->kind != ITEM_COMMIT && item->kind != ITEM_ABORT)
            item_check(w, at, &newest[item->key]);
        else if (!item->present)
            marker_check(w, start, at);
    }
}

/* Everything that a reader from the beginning finds. */
static void scan(struct world *w)
{
    struct log *log = log_of(w);
    if (!log || is_over(w) || w->blind)
        return;
    items_prepare(w);
    int64_t at = log->start_offset, end = log->high_watermark;
    while (at < end) {
        if (at < log->start_offset) /* nobody else raises it meanwhile, but one may take effect */
            at = log->start_offset;
        struct buffer *buffer = read_at(w, log, at, 1 + random_below(&w->random, 30000));
        if (!buffer)
            return;
        at = batches_note(w, bytes_of(buffer->data, buffer->len), at);
        buffer_unref(buffer);
    }
    if ((size_t)end > w->count)
        fail(w, "visible is %" PRId64 ", written %zu", end, w->count);
    rules_check(w, log->start_offset, end);
    w->totals->scans++;
}

static void do_read(struct world *w, struct log *log)
{
    if (log->high_watermark == log->start_offset || w->blind)
        return;
    int64_t from = random_between(&w->random, log->start_offset, log->high_watermark - 1);
    items_prepare(w);
    struct buffer *buffer = read_at(w, log, from, 1 + random_below(&w->random, 20000));
    if (!buffer)
        return;
    int64_t next = batches_note(w, bytes_of(buffer->data, buffer->len), from);
    buffer_unref(buffer);
    if (next <= from)
        fail(w, "read at %" PRId64 " gave only older batches", from);
}

/* ---- lives --------------------------------------------------------------------------------- */

static void on_failed(void *context, int status, const char *what)
{
    struct world *w = context;
    (void)status;
    (void)what;
    w->failed = true;
    w->totals->stops++;
}

static void stats_add(struct world *w)
{
    struct storage_stats now = storage_stats(w->storage);
    counts_add(&w->totals->storage, &now, sizeof(now));
}

static bool sync_failed(struct world *w)
{
    bool failed = w->sim.counts.sync_errors > w->sync_errors;
    w->sync_errors = w->sim.counts.sync_errors;
    return failed;
}

/* True: what only a power cut may take may be gone. */
static bool life_open(struct world *w)
{
    bool power = false;
    struct storage_hooks hooks = { .context = w, .failed = on_failed };
    /* Somebody changed the broker's setting: a replay rolls elsewhere than the life before. */
    w->config.defaults.segment_bytes = random_between(&w->random, 3000, 12000);
    for (int tries = 0;; tries++) {
        if (tries < 6 && random_chance(&w->random, 1, 3))
            w->sim.crash_after = (int64_t)random_below(&w->random, 60);
        w->failed = false;
        int status = storage_open(&w->storage, &w->config, &w->sim.doors, &hooks);
        if (status == 0)
            break;
        if (!w->sim.dead && status != -EIO && status != -ENOSPC)
            fail(w, "storage_open: %s", strerror(-status));
        if (tries > 200)
            fail(w, "storage_open fails for ever: %s", strerror(-status));
        w->totals->recovery_crashes++;
        power |= life_fall(&w->sim, &w->random);
    }
    w->sim.crash_after = -1;
    return power | sync_failed(w);
}

static void topic_make(struct world *w)
{
    char keys[3][32] = { "cleanup.policy", "delete.retention.ms", "min.cleanable.dirty.ratio" };
    char values[3][16] = { "compact", "5000", "0.2" };
    if (w->deleting)
        (void)snprintf(values[0], sizeof(values[0]), "compact,delete");
    struct topic_config_entry entries[3];
    struct uuid id;
    for (int i = 0; i < 3; i++)
        entries[i] = (struct topic_config_entry){ keys[i], values[i] };
    struct unit unit;
    random_bytes(&w->random, id.b, sizeof(id.b));
    unit_init(&unit, unit_done);
    int status = unit_create_topic(&unit, w->storage, bytes_text("c"), &id, 1, entries, 3);
    if (status < 0)
        fail(w, "unit_create_topic: %s", strerror(-status));
    if (log_commit(w->storage, &unit) < 0) {
        unit_done(&unit);
        return;
    }
    struct topic *topic = storage_topic(w->storage, bytes_text("c"));
    for (int i = 0; !is_over(w) && !storage_is_durable(w->storage, topic->lsn); i++) {
        storage_turn(w->storage);
        if (i > STUCK_STEPS || !sim_step(&w->sim))
            fail(w, "making the topic never ends");
    }
    w->created = !is_over(w);
    if (!w->created)
        unit_done(&unit);
}

static void ghosts_clear(struct world *w)
{
    while (w->ghost_count)
        mem_free(w->ghosts[--w->ghost_count].items);
}

static void ghost_add(struct world *w)
{
    if (w->ghost_count == GHOSTS_MAX)
        return;
    struct ghost *ghost = &w->ghosts[w->ghost_count++];
    ghost->count = w->count;
    ghost->items = mem_zalloc(w->count, sizeof(struct item));
    memcpy(ghost->items, w->items, w->count * sizeof(struct item));
}

/* Does the log's end fit this history? The scan then looks at the rest. */
static bool ends_at(const struct item *items, size_t count, int64_t end)
{
    return (size_t)end <= count && (end == 0 || items[end - 1].ends_batch);
}

/* Is the log's newest batch that of this history? */
static bool tail_fits(struct world *w, struct log *log, const struct item *items, size_t count)
{
    int64_t end = log->end_offset;
    if (!ends_at(items, count, end))
        return false;
    if (end == log->start_offset)
        return true;
    struct buffer *buffer = read_at(w, log, end - 1, 1);
    if (!buffer)
        return true; /* not to be told: the next life looks again */
    struct batch_view batch;
    struct bytes run = bytes_of(buffer->data, buffer->len), records;
    struct compressor compressor;
    struct record_reader reader;
    struct record_view record;
    bool fits = true;
    compressor_init(&compressor);
    CHECK(batch_next(&run, &batch) == BATCH_OK);
    CHECK(batch_records(&batch, &compressor, 1 << 20, &records) == 0);
    record_reader_init(&reader, &batch, records);
    while (!batch_is_control(&batch) && record_next(&reader, &record)) {
        uint64_t value = record.value.len >= 8 ? le_get64(record.value.data) : 0;
        fits &=
            items[record.offset].value == value && items[record.offset].at_ms == record.timestamp;
    }
    compressor_done(&compressor);
    buffer_unref(buffer);
    return fits;
}

/* The history is what the log holds: what did not survive leaves it. */
static void history_settle(struct world *w, struct log *log, size_t least)
{
    w->blind |= w->damaged && w->ghost_count > 0;
    if (!w->blind && !tail_fits(w, log, w->items, w->count)) {
        size_t i = 0;
        while (i < w->ghost_count && !tail_fits(w, log, w->ghosts[i].items, w->ghosts[i].count))
            i++;
        if (i == w->ghost_count)
            fail(w, "the log ends at %" PRId64 ", which is no prefix of what was written",
                log->end_offset);
        mem_grow(w->items, &w->capacity, w->ghosts[i].count);
        w->count = w->ghosts[i].count;
        memcpy(w->items, w->ghosts[i].items, w->count * sizeof(struct item));
    }
    if ((size_t)log->end_offset < least)
        fail(w, "the log ends at %" PRId64 ", %zu records were promised", log->end_offset, least);
    if ((size_t)log->end_offset < w->count)
        ghost_add(w);
    w->totals->lost += w->count - (size_t)log->end_offset;
    w->count = (size_t)log->end_offset;
    for (size_t i = 0; i < w->count; i++)
        w->items[i].acked = w->items[i].durable = true;
}

static bool known_raise(const struct world *w, int64_t offset)
{
    for (size_t i = 0; i < w->raise_count; i++)
        if (w->raises[i] == offset)
            return true;
    return offset == 0;
}

/* Retention may have taken it: all of it is older than retention.ms. */
static bool is_old(struct world *w, int64_t from, int64_t to)
{
    for (int64_t at = from; at < to; at++)
        if (w->items[at].at_ms + DELETION_MS > clock_wall_ms(&w->sim.clock))
            return false;
    w->totals->expired += (uint64_t)(to - from);
    return true;
}

static void start_check(struct world *w, struct log *log)
{
    int64_t least = 0;
    bool known = known_raise(w, log->start_offset);
    for (size_t i = 0; i < w->raise_count; i++)
        if (w->raise_acked[i] && w->raises[i] > least)
            least = w->raises[i];
    if (!known && w->deleting)
        known = is_old(w, least, log->start_offset);
    if (!known || log->start_offset < least)
        fail(w, "the log starts at %" PRId64 ", at least %" PRId64 " was promised",
            log->start_offset, least);
    raise_acked(w, log->start_offset);
    if (!known_raise(w, log->start_offset) && w->raise_count < RAISES_MAX) {
        w->raises[w->raise_count] = log->start_offset;
        w->raise_acked[w->raise_count++] = true;
    }
}

/* The last batch of a producer again. */
static void duplicate_check(struct world *w, struct log *log, enum item_kind kind)
{
    size_t end = w->count, first;
    while (end > 0 && !(w->items[end - 1].kind == kind))
        end--;
    if (end == 0)
        return;
    for (first = end - 1;
         first > 0 && w->items[first - 1].kind == kind && !w->items[first - 1].ends_batch; first--)
        continue;
    struct batch_options options = options_of(w, kind);
    options.base_sequence -= (int32_t)(end - first);
    struct out batch = { 0 };
    int64_t base = -1, append_ms;
    uint64_t lsn;
    batch_build(w, w->items + first, end - first, &options, &batch);
    enum producer_verdict verdict =
        log_check_producer(log, bytes_of(batch.data, batch.len), &base, &append_ms, &lsn);
    out_done(&batch);
    if (verdict != PRODUCER_DUPLICATE || base != (int64_t)first)
        fail(w, "the batch at %zu is not known as a duplicate (%d, %" PRId64 ")", first,
            (int)verdict, base);
}

static void life_check(struct world *w, size_t least, size_t least_power)
{
    if (life_open(w))
        least = least_power;
    struct log *log = log_of(w);
    if (!log && (w->created || least > 0))
        fail(w, "the topic is gone");
    if (!log) {
        w->count = 0;
        return;
    }
    history_settle(w, log, least);
    start_check(w, log);
    duplicate_check(w, log, ITEM_PLAIN);
    duplicate_check(w, log, ITEM_TRANSACTIONAL);
    if (!w->unseen)
        scan(w);
    w->unseen = false;
}

static size_t survivors(struct world *w, bool power)
{
    struct log *log = log_of(w);
    int64_t shown = log ? log->high_watermark : 0;
    size_t least = 0;
    for (size_t i = 0; i < w->count; i++)
        if ((w->items[i].acked || (int64_t)i < shown) && (w->items[i].durable || !power))
            least = i + 1;
    return least;
}

struct pick {
    struct random *random;
    char path[128];
    uint64_t size, seen;
};

static void pick_file(void *context, const char *path, uint64_t size)
{
    struct pick *pick = context;
    size_t len = strlen(path);
    if (!strstr(path, "/c-0/") || strcmp(path + len - 4, ".log") != 0 || size == 0)
        return;
    if (random_below(pick->random, ++pick->seen) > 0)
        return;
    (void)snprintf(pick->path, sizeof(pick->path), "%s", path);
    pick->size = size;
}

/* One bit of one segment is another one, for good. */
static void damage(struct world *w)
{
    struct pick pick = { .random = &w->random };
    sim_each_file(&w->sim, pick_file, &pick);
    if (pick.seen == 0)
        return;
    uint64_t at = random_below(&w->random, pick.size);
    w->damaged =
        sim_flip(&w->sim, pick.path, at, (uint8_t)(1u << random_below(&w->random, 8))) == 0;
    w->totals->flips += w->damaged;
    w->unseen = w->damaged;
}

static void life_end(struct world *w, bool power)
{
    stats_add(w);
    if (power)
        sim_power(&w->sim);
    else
        sim_kill(&w->sim);
    storage_destroy(w->storage);
    w->storage = NULL;
    while (w->flight_count)
        flight_forget(w, w->flights[0]);
    sim_restart(&w->sim);
    if (w->damaging && !w->damaged && random_chance(&w->random, 1, 3))
        damage(w);
}

static void life_crash(struct world *w)
{
    bool power = random_chance(&w->random, 1, 2);
    if (life_told(w->storage))
        ghosts_clear(w);
    size_t least_power = survivors(w, true);
    size_t least = power || sync_failed(w) ? least_power : survivors(w, false);
    if (w->sim.verbose)
        (void)fprintf(stderr, "[%10.3f ms] %s: %zu records, at least %zu stay\n",
            (double)w->sim.now_ns / 1e6, power ? "power cut" : "kill -9", w->count, least);
    *(power ? &w->totals->powers : &w->totals->kills) += 1;
    life_end(w, power);
    life_check(w, least, least_power);
}

static void on_closed(void *context, int status)
{
    struct world *w = context;
    if (status < 0 && status != -ENOSPC && !is_over(w))
        fail(w, "storage_close: %s", strerror(-status));
    w->closed = true;
}

static void life_close(struct world *w)
{
    w->closed = false;
    storage_close(w->storage, on_closed, w);
    for (int i = 0; !w->closed && !is_over(w); i++) {
        storage_turn(w->storage);
        if (i > STUCK_STEPS || !sim_step(&w->sim))
            fail(w, "storage_close never ends");
    }
    if (!w->closed) {
        life_crash(w);
        return;
    }
    w->totals->closes++;
    ghosts_clear(w);
    life_end(w, false);
    life_check(w, w->count, w->count);
}

/* ---- the run ------------------------------------------------------------------------------- */

static void faults_draw(struct world *w)
{
    struct sim_faults *faults = &w->sim.faults;
    struct random *r = &w->random;
    faults->latency_max_ns = random_chance(r, 1, 2) ? 200000 : 20000000;
    faults->fua = random_chance(r, 1, 2);
    faults->no_direct = random_chance(r, 1, 4);
    faults->no_fallocate = random_chance(r, 1, 4);
    faults->cold_read = random_chance(r, 1, 2) ? 3000 : 0;
    faults->read_error = random_chance(r, 1, 8) ? 10 : 0;
    faults->write_error = random_chance(r, 1, 8) ? 5 : 0;
    faults->sync_error = random_chance(r, 1, 8) ? 5 : 0;
    faults->no_space = random_chance(r, 1, 8) ? 20 : 0;
}

static void step_random(struct world *w)
{
    uint64_t dice = random_below(&w->random, 1000);
    struct log *log = log_of(w);
    if (!w->created && !log)
        topic_make(w);
    else if (dice < 550)
        do_append(w, log);
    else if (dice < 552)
        do_raise(w, log);
    else if (dice < 620 && transaction_is_open(w))
        do_marker(w, log);
    else if (dice < 700)
        do_read(w, log);
    else if (dice < 702)
        scan(w);
    else if (dice < 960)
        sim_run_until(&w->sim, w->sim.now_ns + (int64_t)random_below(&w->random, 3000000));
    else
        sim_run_until(&w->sim, w->sim.now_ns + (int64_t)random_below(&w->random, 2000000000));
    if (!is_over(w))
        storage_turn(w->storage);
}

static void world_begin(
    struct world *w, uint64_t seed, bool verbose, struct compaction_totals *totals)
{
    *w = (struct world){ .seed = seed, .totals = totals, .random = random_seeded(seed ^ 0xc0de) };
    sim_init(&w->sim, seed);
    w->sim.verbose = verbose;
    w->keys = seed % 3 == 0 ? KEYS_MANY : KEYS_FEW;
    w->damaging = seed % 8 == 7;
    w->deleting = seed % 8 == 5;
    w->config = storage_config_default();
    w->config.dir = "/data";
    w->config.wal_file_bytes = 64 * 1024;
    w->config.wal_files_max = 4;
    w->config.checkpoint_ms = 2000;
    w->config.disk_free_min = 1;
    w->config.defaults.index_interval_bytes = 1024;
    w->config.defaults.file_delete_delay_ms = seed % 4 == 0 ? 3000 : 0;
    w->config.defaults.retention_ms = DELETION_MS;
    w->config.retention_check_ms = 700;
    w->config.cleaner.backoff_ms = 500;
    w->config.cleaner.dedupe_bytes = 0; /* the smallest map */
    w->config.cleaner.bytes_per_second = seed % 5 == 0 ? 100000 : 0;
    (void)life_open(w);
}

uint64_t compaction_run(
    uint64_t seed, size_t operations, bool verbose, struct compaction_totals *totals)
{
    struct world w;
    world_begin(&w, seed, verbose, totals);
    topic_make(&w);
    faults_draw(&w);
    for (size_t i = 0; i < operations; i++) {
        if (!is_over(&w))
            step_random(&w);
        totals->operations++;
        if (random_chance(&w.random, 1, 300))
            w.sim.crash_after = (int64_t)random_below(&w.random, 60);
        if (is_over(&w) || random_chance(&w.random, 1, 250))
            life_crash(&w);
        else if (random_chance(&w.random, 1, 500))
            life_close(&w);
    }
    w.sim.faults = (struct sim_faults){ .latency_max_ns = 1000 };
    life_crash(&w);
    life_end(&w, false);
    uint64_t trace = sim_trace_hash(&w.sim);
    counts_add(&totals->sim, &w.sim.counts, sizeof(w.sim.counts));
    ghosts_clear(&w);
    mem_free(w.items);
    mem_free(w.flights);
    sim_done(&w.sim);
    return trace;
}
