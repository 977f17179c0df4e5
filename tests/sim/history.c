/* See history.h. */
#include "tests/sim/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "protocol/base/mem.h"
#include "protocol/batch.h"
#include "protocol/record.h"
#include "tests/sim/life.h"
#include "tests/sim/reading.h"

void fail(struct world *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (w->label)
        (void)fprintf(stderr, "%s\n", w->label);
    (void)fprintf(stderr, "seed %" PRIu64 ", %zu commits, %.3f ms: ", w->seed, w->op_count,
        (double)w->sim.now_ns / 1e6);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* ---- names ---- */

/* What a topic of the slot may be made with: all of a row promise the same. Topics made without a
 * word of `durability` are promised what Kafka's flush.messages and flush.ms are mapped to. */
enum { MANNERS = 4, SETTINGS_MAX = 2 };
static const struct setting {
    const char *name, *value;
} manners[SLOTS][MANNERS][SETTINGS_MAX] = {
    [SLOT_ACKS] = { { { "durability", "acks" } }, { { "flush.messages", "2" } }, { { NULL, NULL } },
        { { "durability", "acks" }, { "flush.messages", "1000" } } },
    [SLOT_FSYNC] = { { { "durability", "fsync" } }, { { "flush.messages", "1" } },
        { { "flush.messages", "1" }, { "flush.ms", "1000" } },
        { { "durability", "fsync" }, { "flush.ms", "0" } } },
    [SLOT_INTERVAL] = { { { "durability", "interval" } }, { { "flush.ms", "0" } },
        { { "flush.ms", "60000" }, { "flush.messages", "10" } },
        { { "durability", "interval" }, { "flush.messages", "1" } } },
    [SLOT_OS] = { { { "durability", "os" } }, { { "durability", "os" } },
        { { "durability", "os" }, { "flush.messages", "1" } },
        { { "durability", "os" }, { "flush.ms", "1" } } },
};

static struct bytes slot_name(int slot)
{
    static const char *const names[SLOTS] = { "ack-ed", "synced", "flushed", "loose" };
    return bytes_text(names[slot]);
}

static struct bytes key_name(int key)
{
    static const char *const names[KEYS] = { "k0", "k1", "k2", "k3", "k4", "k5" };
    return bytes_text(names[key]);
}

static int64_t producer_of(int slot, int partition)
{
    return 1000 + slot * PARTITIONS + partition;
}

/* ---- the history ---- */

static void state_apply(struct state *state, const struct op *op)
{
    switch (op->kind) {
    case OP_APPEND:
        for (int i = 0; i < op->part_count; i++)
            state->ends[op->parts[i].slot][op->parts[i].partition] =
                op->parts[i].base + op->parts[i].count;
        break;
    case OP_PUT: state->keys[op->key] = op->value; break;
    case OP_CREATE:
        state->present[op->slot] = true;
        state->ids[op->slot] = op->id;
        memset(state->ends[op->slot], 0, sizeof(state->ends[op->slot]));
        memset(state->starts[op->slot], 0, sizeof(state->starts[op->slot]));
        break;
    case OP_DELETE: state->present[op->slot] = false; break;
    case OP_RAISE:
        if (op->start > state->starts[op->slot][op->partition])
            state->starts[op->slot][op->partition] = op->start;
        break;
    }
}

struct state state_of(const struct world *w, size_t count)
{
    struct state state = { 0 };
    for (size_t i = 0; i < count; i++)
        state_apply(&state, &w->ops[i]);
    return state;
}

struct log *log_of(struct world *w, int slot, int partition)
{
    struct topic *topic = storage_topic(w->storage, slot_name(slot));
    return topic ? topic_log(topic, partition) : NULL;
}

bool state_matches(struct world *w, const struct state *state)
{
    for (int s = 0; s < SLOTS; s++) {
        struct topic *topic = storage_topic(w->storage, slot_name(s));
        if (!topic != !state->present[s])
            return false;
        if (!topic)
            continue;
        if (memcmp(topic->id.b, state->ids[s].b, sizeof(topic->id.b)) != 0)
            return false;
        for (int p = 0; p < PARTITIONS; p++) {
            if (topic_log(topic, p)->end_offset != state->ends[s][p] ||
                topic_log(topic, p)->start_offset != state->starts[s][p])
                return false;
        }
    }
    for (int k = 0; k < KEYS; k++) {
        struct bytes value;
        bool there = store_get(w->storage, STORE_TASK, key_name(k), &value, NULL);
        uint64_t have = there && value.len >= 8 ? le_get64(value.data) : 0;
        if (have != state->keys[k])
            return false;
    }
    return true;
}

/* ---- commits ---- */

static void flight_done(struct unit *unit)
{
    struct flight *flight = container_of(unit, struct flight, unit);
    struct world *w = flight->world;
    if (w->failed)
        fail(w, "commit %zu was acknowledged after the fail-stop", flight->op);
    w->ops[flight->op].acked = true;
    w->ops[flight->op].acked_ns = w->sim.now_ns;
    for (size_t i = 0; i < w->flight_count; i++) {
        if (w->flights[i] == flight) {
            memmove(&w->flights[i], &w->flights[i + 1],
                (w->flight_count - i - 1) * sizeof(struct flight *));
            w->flight_count--;
            break;
        }
    }
    unit_done(unit);
    mem_free(flight);
}

static struct flight *flight_begin(struct world *w)
{
    struct flight *flight = mem_zalloc(1, sizeof(*flight));
    flight->world = w;
    unit_init(&flight->unit, flight_done);
    return flight;
}

static void flight_drop(struct flight *flight)
{
    unit_done(&flight->unit);
    mem_free(flight);
}

/* True: the op is now part of the history. */
static bool flight_commit(struct world *w, struct flight *flight, struct op op)
{
    int status = log_commit(w->storage, &flight->unit);
    if (status == -EAGAIN)
        w->totals->full++;
    else if (status < 0)
        w->totals->refused++;
    if (status < 0) {
        if (status != -EAGAIN && status != -ENOSPC && status != -EIO && status != -ESHUTDOWN &&
            status != -EMSGSIZE)
            fail(w, "log_commit: %s", strerror(-status));
        flight_drop(flight);
        return false;
    }
    for (int i = 0; i < op.part_count; i++) {
        op.parts[i].base = flight->unit.appends[i].base_offset;
        op.parts[i].epoch = flight->unit.appends[i].log->leader_epoch;
    }
    op.durable = flight->unit.durable;
    op.durable |= op.kind != OP_APPEND;
    for (int i = 0; i < op.part_count; i++)
        op.durable |= op.parts[i].slot == SLOT_FSYNC ||
                      (op.parts[i].slot == SLOT_ACKS && flight->unit.acks == -1);
    for (int i = 0; i < op.part_count; i++)
        op.interval |= op.parts[i].slot == SLOT_INTERVAL ||
                       (op.parts[i].slot == SLOT_ACKS && flight->unit.acks != -1);
    flight->op = w->op_count;
    mem_grow(w->ops, &w->op_capacity, w->op_count + 1);
    w->ops[w->op_count++] = op;
    mem_grow(w->flights, &w->flight_capacity, w->flight_count + 1);
    w->flights[w->flight_count++] = flight;
    w->totals->commits++;
    return true;
}

static void build_batch(struct world *w, struct part *part, int64_t sequence, struct out *out)
{
    struct batch_options options = batch_options_plain(CODEC_NONE);
    options.producer_id = producer_of(part->slot, part->partition);
    options.producer_epoch = 0;
    options.base_sequence = (int32_t)sequence;
    struct batch_builder builder = { 0 };
    batch_builder_begin(&builder, &options);
    uint8_t value[6000];
    for (int32_t i = 0; i < part->count; i++) {
        size_t len = w->small                           ? random_below(&w->random, 20)
                     : random_chance(&w->random, 1, 10) ? random_below(&w->random, sizeof(value))
                                                        : random_below(&w->random, 200);
        random_bytes(&w->random, value, len);
        struct record_view record = { .timestamp = clock_wall_ms(&w->sim.clock),
            .value = bytes_of(value, len) };
        CHECK(batch_builder_append(&builder, &record) == 0);
    }
    CHECK(batch_builder_finish(&builder, NULL, out) == 0);
    batch_builder_done(&builder);
    struct batch_view view;
    CHECK(batch_parse(bytes_of(out->data, out->len), &view) == BATCH_OK);
    part->crc = view.crc;
}

void do_append_to(struct world *w, int (*logs)[2], int count, int16_t acks)
{
    struct op op = { .kind = OP_APPEND };
    struct flight *flight = flight_begin(w);
    struct out batches[PARTS_MAX] = { 0 };
    flight->unit.acks = acks;
    for (int i = 0; i < count; i++) {
        struct part *part = &op.parts[op.part_count];
        *part = (struct part){ .slot = logs[i][0],
            .partition = logs[i][1],
            .count = (int32_t)random_between(&w->random, 1, 5) };
        struct log *log = log_of(w, part->slot, part->partition);
        bool twice = false;
        for (int k = 0; k < op.part_count; k++)
            twice |= op.parts[k].slot == part->slot && op.parts[k].partition == part->partition;
        if (!log || twice)
            continue;
        /* One producer a log, so its next sequence is the next offset. */
        build_batch(w, part, log->end_offset, &batches[op.part_count]);
        struct bytes batch = bytes_of(batches[op.part_count].data, batches[op.part_count].len);
        int64_t base, append_ms;
        uint64_t lsn;
        if (log_check_producer(log, batch, &base, &append_ms, &lsn) != PRODUCER_OK)
            fail(w, "%s-%d: sequence %" PRId64 " is refused", log->topic->name, part->partition,
                log->end_offset);
        unit_append(&flight->unit, log, batch);
        op.part_count++;
    }
    if (op.part_count > 0)
        (void)flight_commit(w, flight, op);
    else
        flight_drop(flight);
    for (int i = 0; i < PARTS_MAX; i++)
        out_done(&batches[i]);
}

void do_append(struct world *w)
{
    int logs[PARTS_MAX][2];
    int count = random_chance(&w->random, 1, 3) ? (int)random_between(&w->random, 2, PARTS_MAX) : 1;
    static const int16_t acks[] = { -1, 1, 0 };
    for (int i = 0; i < count; i++) {
        logs[i][0] = (int)random_below(&w->random, SLOTS);
        logs[i][1] = (int)random_below(&w->random, PARTITIONS);
    }
    do_append_to(w, logs, count, acks[random_below(&w->random, 3)]);
}

void do_put(struct world *w)
{
    struct flight *flight = flight_begin(w);
    struct op op = { .kind = OP_PUT, .key = (int)random_below(&w->random, KEYS) };
    bool erase = random_chance(&w->random, 1, 4);
    op.value = erase ? 0 : 1 + random_u64(&w->random) / 2;
    uint8_t value[1000] = { 0 };
    if (random_chance(&w->random, 1, 2))
        random_bytes(&w->random, value, sizeof(value));
    le_put64(value, op.value);
    unit_put(&flight->unit, STORE_TASK, key_name(op.key),
        erase ? (struct bytes){ 0 } : bytes_of(value, 8 + random_below(&w->random, 900)));
    (void)flight_commit(w, flight, op);
}

void do_topic(struct world *w, int slot)
{
    struct op op = { .slot = slot };
    struct topic *topic = storage_topic(w->storage, slot_name(op.slot));
    struct flight *flight = flight_begin(w);
    int status;
    if (topic) {
        op.kind = OP_DELETE;
        status = unit_delete_topic(&flight->unit, w->storage, topic);
    } else {
        op.kind = OP_CREATE;
        random_bytes(&w->random, op.id.b, sizeof(op.id.b));
        const struct setting *settings = manners[op.slot][op.id.b[0] % MANNERS];
        struct topic_config_entry entries[SETTINGS_MAX];
        size_t count = 0;
        for (; count < SETTINGS_MAX && settings[count].name; count++) /* which only reads them */
            entries[count] = (struct topic_config_entry){ (char *)(uintptr_t)settings[count].name,
                (char *)(uintptr_t)settings[count].value };
        w->totals->flushes += count > 0 && strcmp(settings[0].name, "durability") != 0;
        status = unit_create_topic(
            &flight->unit, w->storage, slot_name(op.slot), &op.id, PARTITIONS, entries, count);
    }
    if (status < 0)
        fail(w, "topic %d: %s", op.slot, strerror(-status));
    if (flight_commit(w, flight, op))
        memset(w->epochs[op.slot], 0xff, sizeof(w->epochs[op.slot])); /* -1: none told */
}

void do_raise(struct world *w)
{
    struct op op = { .kind = OP_RAISE,
        .slot = (int)random_below(&w->random, SLOTS),
        .partition = (int)random_below(&w->random, PARTITIONS) };
    struct log *log = log_of(w, op.slot, op.partition);
    if (!log || log->high_watermark == 0)
        return;
    op.start = random_between(&w->random, log->start_offset, log->high_watermark);
    struct flight *flight = flight_begin(w);
    int status = unit_raise_start(&flight->unit, log, op.start);
    if (status < 0)
        fail(w, "start of slot %d-%d to %" PRId64 ": %s", op.slot, op.partition, op.start,
            strerror(-status));
    w->totals->raises += flight_commit(w, flight, op);
}

/* ---- reads ---- */

/* The part of the history that begins at this offset of the topic's present life. */
const struct part *part_at(
    const struct world *w, size_t count, int slot, int partition, int64_t offset)
{
    for (size_t i = count; i-- > 0;) {
        const struct op *op = &w->ops[i];
        if (op->kind == OP_CREATE && op->slot == slot)
            return NULL;
        for (int k = 0; op->kind == OP_APPEND && k < op->part_count; k++) {
            const struct part *part = &op->parts[k];
            if (part->slot == slot && part->partition == partition && part->base == offset)
                return part;
        }
    }
    return NULL;
}

static int64_t check_batches(
    struct world *w, struct bytes run, int slot, int partition, int64_t from, int64_t end)
{
    int64_t next = -1;
    while (run.len) {
        struct batch_view view;
        if (batch_next(&run, &view) != BATCH_OK || batch_check(&view) != BATCH_OK)
            fail(w, "slot %d-%d: a damaged batch was served at %" PRId64, slot, partition, from);
        if (next >= 0 && view.base_offset != next)
            fail(w, "slot %d-%d: a gap from %" PRId64 " to %" PRId64, slot, partition, next,
                view.base_offset);
        const struct part *part = part_at(w, w->op_count, slot, partition, view.base_offset);
        if (!part || part->crc != view.crc || part->count != view.count ||
            part->epoch != view.leader_epoch)
            fail(w,
                "slot %d-%d: the batch at %" PRId64
                " is not what was committed: crc %08x, %d records, epoch %d; was %08x, %d, %d",
                slot, partition, view.base_offset, view.crc, view.count, view.leader_epoch,
                part ? part->crc : 0, part ? part->count : 0, part ? part->epoch : -1);
        next = batch_last_offset(&view) + 1;
    }
    if (next > end)
        fail(w, "slot %d-%d: served up to %" PRId64 ", visible is %" PRId64, slot, partition, next,
            end);
    return next;
}

static bool reading_turn(void *context)
{
    struct world *w = context;
    if (w->sim.dead || w->failed)
        return false;
    storage_turn(w->storage);
    if (!sim_step(&w->sim))
        fail(w, "a cold read never ends");
    return true;
}

int64_t read_try(struct world *w, struct log *log, int slot, int64_t from, size_t max)
{
    int64_t end = log->high_watermark;
    int partition = log->partition;
    struct buffer *buffer;
    int status = reading_run(w->storage, log, from, max, reading_turn, w, &buffer);
    if (status == -ETIMEDOUT)
        fail(w, "a cold read never ends");
    if (status == -ECANCELED)
        return status;
    w->totals->reads++;
    if (status < 0)
        return status;
    if (!buffer) {
        if (from < end)
            fail(w, "slot %d-%d: nothing at %" PRId64 ", visible is %" PRId64, slot, partition,
                from, end);
        return from;
    }
    struct bytes run = bytes_of(buffer->data, buffer->len);
    int64_t next = check_batches(w, run, slot, partition, from, end);
    buffer_unref(buffer);
    if (next <= from)
        fail(w, "slot %d-%d: read at %" PRId64 " gave only older batches", slot, partition, from);
    return next;
}

/* Reads at `from`, checks, returns where it got to; -1: the read failed by an injected error. */
static int64_t read_and_check(struct world *w, struct log *log, int slot, int64_t from, size_t max)
{
    int partition = log->partition;
    int64_t next = read_try(w, log, slot, from, max);
    if (next >= 0)
        return next;
    int status = (int)next;
    if (status == -ECANCELED || status == -ENOENT)
        return -1; /* deleted meanwhile, or the end of the life */
    if (status == -EIO && (w->sim.counts.read_errors || w->sim.dead))
        return -1;
    if (status == -ERANGE && from < log->start_offset)
        return -1;
    fail(w, "slot %d-%d: read at %" PRId64 " of [%" PRId64 ", %" PRId64 "): %s", slot, partition,
        from, log->start_offset, log->high_watermark, strerror(-status));
}

void do_read(struct world *w)
{
    int slot = (int)random_below(&w->random, SLOTS);
    struct log *log = log_of(w, slot, (int)random_below(&w->random, PARTITIONS));
    if (!log || log->high_watermark == log->start_offset)
        return;
    int64_t from = random_between(&w->random, log->start_offset, log->high_watermark - 1);
    (void)read_and_check(w, log, slot, from, 1 + random_below(&w->random, 20000));
}

/* ---- lives ---- */

static void on_failed(void *context, int status, const char *what)
{
    struct world *w = context;
    (void)status;
    (void)what;
    w->failed = true;
    w->totals->failures_stopped++;
}

struct storage_hooks world_hooks(struct world *w)
{
    return (struct storage_hooks){ .context = w, .failed = on_failed };
}

void stats_add(struct world *w)
{
    struct storage_stats now = storage_stats(w->storage);
    counts_add(&w->totals->storage, &now, sizeof(now));
}

/* After that long what mode `interval` acknowledged is durable: the interval, a write in flight
 * when it ends, another write, a sync, and before each of these a loop that is late. */
static int64_t interval_longest_ns(const struct world *w)
{
    return w->config.interval_ms * CLOCK_NS_PER_MS + 4 * w->sim.latency_worst_ns + 4 * w->late_ns;
}

/* Everything that must have survived: one past the newest such commit. */
size_t survivors_least(struct world *w, bool power)
{
    size_t least = 0;
    for (size_t i = 0; i < w->op_count; i++) {
        const struct op *op = &w->ops[i];
        bool shown = false;
        for (int k = 0; op->kind == OP_APPEND && k < op->part_count; k++) {
            const struct part *part = &op->parts[k];
            struct log *log = log_of(w, part->slot, part->partition);
            shown |= log &&
                     part_at(w, w->op_count, part->slot, part->partition, part->base) == part &&
                     part->base < log->high_watermark;
        }
        w->ops[i].shown = shown;
        bool old =
            op->interval && op->acked && w->sim.now_ns - op->acked_ns > interval_longest_ns(w);
        if ((op->acked || shown) && (op->durable || old || !power))
            least = i + 1;
    }
    return least;
}

void flights_drop(struct world *w)
{
    for (size_t i = 0; i < w->flight_count; i++)
        flight_drop(w->flights[i]);
    w->flight_count = 0;
}

/* A failed sync may have lost what a power cut may lose: the process stops, and what the device
 * dropped is gone although the machine runs on. */
static bool sync_failed(struct world *w)
{
    uint64_t now = w->sim.counts.sync_errors + w->sim.counts.sync_no_space;
    bool failed = now > w->sync_errors;
    w->sync_errors = now;
    return failed;
}

/* True: the power went inside a recovery, or a sync failed there. */
bool life_open(struct world *w)
{
    bool power = false;
    struct storage_hooks hooks = world_hooks(w);
    for (int tries = 0;; tries++) {
        /* A crash inside recovery, now and then; several in a row happen too. */
        if (tries < 6 && !w->calm && random_chance(&w->random, w->young ? 2 : 1, 3))
            w->sim.crash_after = w->young ? 6 + (int64_t)random_below(&w->random, 20)
                                          : (int64_t)random_below(&w->random, 60);
        w->failed = false;
        int status = storage_open(&w->storage, &w->config, &w->sim.doors, &hooks);
        if (status == 0)
            break;
        if (status == -ENOSPC && w->sim.faults.capacity && !w->sim.dead) {
            w->sim.faults.capacity += 65536; /* somebody makes room */
            w->totals->freed++;
        }
        if (!w->sim.dead && !(status == -EIO || status == -ENOSPC))
            fail(w, "storage_open: %s", strerror(-status));
        if (tries > 200)
            fail(w, "storage_open fails for ever: %s", strerror(-status));
        w->totals->recovery_crashes++;
        power |= life_fall(&w->sim, &w->random);
    }
    w->sim.crash_after = -1;
    w->late_ns = 0;
    return power | sync_failed(w);
}

static void check_contents(struct world *w)
{
    for (int s = 0; s < SLOTS; s++) {
        for (int p = 0; p < PARTITIONS; p++) {
            struct log *log = log_of(w, s, p);
            int64_t at = log ? log->start_offset : 0;
            while (log && at < log->end_offset) {
                if (log->high_watermark != log->end_offset)
                    fail(w,
                        "slot %d-%d: start %" PRId64 ", high watermark %" PRId64 ", end %" PRId64
                        " after recovery",
                        s, p, log->start_offset, log->high_watermark, log->end_offset);
                int64_t next = read_and_check(w, log, s, at, 65536);
                if (w->failed || w->sim.dead)
                    return; /* the next life looks again */
                if (next < 0 && w->sim.faults.read_error == 0)
                    fail(w, "slot %d-%d: can't be read at %" PRId64, s, p, at);
                at = next < 0 ? at : next;
            }
        }
    }
}

static void check_producers(struct world *w)
{
    for (size_t i = w->op_count; i-- > 0;) {
        const struct op *op = &w->ops[i];
        for (int k = 0; op->kind == OP_APPEND && k < op->part_count; k++) {
            const struct part *part = &op->parts[k];
            struct log *log = log_of(w, part->slot, part->partition);
            if (!log || part->base + part->count != log->end_offset ||
                part_at(w, w->op_count, part->slot, part->partition, part->base) != part)
                continue;
            struct part again = *part;
            struct out batch = { 0 };
            build_batch(w, &again, part->base, &batch);
            int64_t base = -1, append_ms;
            uint64_t lsn;
            enum producer_verdict verdict =
                log_check_producer(log, bytes_of(batch.data, batch.len), &base, &append_ms, &lsn);
            out_done(&batch);
            if (verdict != PRODUCER_DUPLICATE || base != part->base)
                fail(w,
                    "slot %d-%d: the batch at %" PRId64 " is not known as a duplicate (%d, %" PRId64
                    ")",
                    part->slot, part->partition, part->base, (int)verdict, base);
            w->totals->duplicates_checked++;
        }
    }
}

/* What a client may have been told: an epoch is told only when its record is durable. */
static void epochs_note(struct world *w)
{
    for (int s = 0; s < SLOTS; s++) {
        for (int p = 0; p < PARTITIONS; p++) {
            struct log *log = log_of(w, s, p);
            if (log && storage_is_durable(w->storage, log->topic->lsn))
                w->epochs[s][p] = log->leader_epoch;
        }
    }
}

static void check_epochs(struct world *w, bool unclean)
{
    for (int s = 0; s < SLOTS; s++) {
        for (int p = 0; p < PARTITIONS; p++) {
            struct log *log = log_of(w, s, p);
            if (log && unclean && log->leader_epoch <= w->epochs[s][p] && w->epochs[s][p] >= 0)
                fail(w, "slot %d-%d: leader epoch %d after %d", s, p, log->leader_epoch,
                    w->epochs[s][p]);
            if (!log)
                w->epochs[s][p] = -1;
        }
    }
}

static void op_print(size_t index, const struct op *op)
{
    static const char *const kinds[] = { "append", "put", "create", "delete", "raise" };
    (void)fprintf(stderr, "  %4zu %s%s%s%s", index, kinds[op->kind], op->durable ? " durable" : "",
        op->acked ? " acked" : "", op->shown ? " shown" : "");
    if (op->kind == OP_CREATE || op->kind == OP_DELETE)
        (void)fprintf(stderr, " %d", op->slot);
    if (op->kind == OP_RAISE)
        (void)fprintf(stderr, " %d-%d to %" PRId64, op->slot, op->partition, op->start);
    for (int i = 0; i < op->part_count; i++)
        (void)fprintf(stderr, "  %d-%d@%" PRId64 "+%d", op->parts[i].slot, op->parts[i].partition,
            op->parts[i].base, op->parts[i].count);
    (void)fputc('\n', stderr);
}

/* What was acknowledged or shown and is lost: its offsets come again, in a greater leader epoch. */
static void check_lost(struct world *w, size_t kept)
{
    struct state state = state_of(w, kept);
    for (size_t i = kept; i < w->op_count; i++) {
        const struct op *op = &w->ops[i];
        bool told = op->kind == OP_APPEND && (op->acked || op->shown);
        for (int k = 0; told && k < op->part_count; k++) {
            const struct part *part = &op->parts[k];
            const struct log *log = log_of(w, part->slot, part->partition);
            if (log && part_at(w, w->op_count, part->slot, part->partition, part->base) == part &&
                state.ends[part->slot][part->partition] <= part->base &&
                log->leader_epoch <= part->epoch)
                fail(w,
                    "slot %d-%d: offset %" PRId64
                    " was told in leader epoch %d and is lost, and the epoch is %d",
                    part->slot, part->partition, part->base, part->epoch, log->leader_epoch);
        }
    }
}

static void ghosts_clear(struct world *w)
{
    while (w->ghost_count)
        mem_free(w->ghosts[--w->ghost_count].ops);
}

static void ghosts_add(struct world *w, size_t base)
{
    if (w->ghost_count == GHOSTS_MAX)
        return; /* and one of them coming back would be a false alarm, which nobody has seen */
    struct ghosts *ghosts = &w->ghosts[w->ghost_count++];
    ghosts->base = base;
    ghosts->count = w->op_count - base;
    ghosts->ops = mem_zalloc(ghosts->count, sizeof(*ghosts->ops));
    memcpy(ghosts->ops, w->ops + base, ghosts->count * sizeof(*ghosts->ops));
}

/* Nobody was told anything in the life that ended: did it leave what the recovery before it had not
 * found? Then that is the history. */
static bool ghosts_found(struct world *w, size_t least)
{
    for (size_t i = w->ghost_count; i-- > 0;) {
        const struct ghosts *ghosts = &w->ghosts[i];
        if (ghosts->base < least)
            continue;
        mem_grow(w->ops, &w->op_capacity, ghosts->base + ghosts->count);
        memcpy(w->ops + ghosts->base, ghosts->ops, ghosts->count * sizeof(*ghosts->ops));
        for (size_t k = ghosts->base + ghosts->count; k > ghosts->base; k--) {
            struct state state = state_of(w, k);
            if (!state_matches(w, &state))
                continue;
            w->op_count = k;
            w->totals->back += k - ghosts->base;
            return true;
        }
    }
    return false;
}

/* Opens again and compares with the history; what did not survive leaves it. */
void life_check(struct world *w, size_t least, size_t least_power, bool unclean)
{
    if (life_open(w))
        least = least_power;
    size_t k = w->op_count + 1;
    bool found = false;
    while (!found && k-- > least) {
        struct state state = state_of(w, k);
        found = state_matches(w, &state);
    }
    if (!found && ghosts_found(w, least)) {
        found = true;
        k = w->op_count;
    }
    if (!found) {
        struct state state = state_of(w, w->op_count);
        for (int s = 0; s < SLOTS; s++)
            for (int p = 0; p < PARTITIONS; p++) {
                struct log *log = log_of(w, s, p);
                (void)fprintf(stderr, "  slot %d-%d: history %d %" PRId64 ", there %" PRId64 "\n",
                    s, p, state.present[s], state.ends[s][p], log ? log->end_offset : -1);
            }
        for (int key = 0; key < KEYS; key++) {
            struct bytes value;
            bool there = store_get(w->storage, STORE_TASK, key_name(key), &value, NULL);
            (void)fprintf(stderr, "  key %d: history %" PRIu64 ", there %" PRIu64 "\n", key,
                state.keys[key], there ? le_get64(value.data) : 0);
        }
        for (size_t i = least > 8 ? least - 8 : 0; i < w->op_count; i++)
            op_print(i, &w->ops[i]);
        fail(w, "what is there is no prefix of the history of at least %zu commits", least);
    }
    check_lost(w, k);
    if (k < w->op_count)
        ghosts_add(w, k);
    for (size_t i = least; i < k; i++)
        w->totals->kept_unacked += !w->ops[i].acked;
    w->totals->lost_commits += w->op_count - k;
    w->op_count = k;
    /* What survived is history: from now on it must stay. */
    for (size_t i = 0; i < k; i++)
        w->ops[i].acked = w->ops[i].durable = true;
    /* A crash before the first record of a life is durable leaves what the stop before it left. */
    struct state stopped = state_of(w, w->stopped);
    if (unclean && !storage_was_unclean(w->storage) && !state_matches(w, &stopped))
        fail(
            w, "%zu commits since the last stop, and the start takes it for clean", k - w->stopped);
    /* A close that died may have come far enough; then a crash of this life leaves that. */
    if (!unclean && !storage_was_unclean(w->storage))
        w->stopped = k;
    check_epochs(w, storage_was_unclean(w->storage));
    check_producers(w);
    check_contents(w);
}

void life_drop(struct world *w, bool power)
{
    stats_add(w);
    if (power)
        sim_power(&w->sim);
    else
        sim_kill(&w->sim);
    storage_destroy(w->storage);
    w->storage = NULL;
    flights_drop(w);
    sim_restart(&w->sim);
}

void life_note(struct world *w)
{
    epochs_note(w);
    if (life_told(w->storage))
        ghosts_clear(w);
}

void life_crash(struct world *w, bool power, bool unclean)
{
    life_note(w);
    size_t least_power = survivors_least(w, true);
    size_t least = power || sync_failed(w) ? least_power : survivors_least(w, false);
    if (w->sim.verbose)
        (void)fprintf(stderr, "[%10.3f ms] %s: %zu commits, at least %zu stay\n",
            (double)w->sim.now_ns / 1e6, power ? "power cut" : "kill -9", w->op_count, least);
    *(power ? &w->totals->powers : &w->totals->kills) += 1;
    life_drop(w, power);
    life_check(w, least, least_power, unclean);
}

static void on_closed(void *context, int status)
{
    struct world *w = context;
    /* A disk without room may make the last checkpoint impossible: the stop is then not clean. */
    if (status < 0 && status != -ENOSPC && !w->failed && !w->sim.dead)
        fail(w, "storage_close: %s", strerror(-status));
    w->closed = true;
}

bool storage_stop(struct world *w)
{
    w->closed = false;
    storage_close(w->storage, on_closed, w);
    for (int i = 0; !w->closed && !w->failed && !w->sim.dead; i++) {
        storage_turn(w->storage);
        if (i > STUCK_STEPS || !sim_step(&w->sim))
            fail(w, "storage_close never ends");
    }
    if (!w->closed || w->failed)
        return false;
    if (w->flight_count)
        fail(w, "%zu units were not told before the close was", w->flight_count);
    w->totals->closes++;
    ghosts_clear(w);
    w->stopped = w->op_count;
    return true;
}

void life_close(struct world *w)
{
    if (!storage_stop(w)) {
        life_crash(w, random_chance(&w->random, 1, 2), false);
        return;
    }
    life_drop(w, false);
    life_check(w, w->op_count, w->op_count, false);
}

/* ---- the world ---- */

void world_run_until(struct world *w, int64_t until_ns, bool late)
{
    if (late && until_ns - w->sim.now_ns > w->late_ns)
        w->late_ns = until_ns - w->sim.now_ns;
    while (!w->failed && !w->sim.dead && sim_next_ns(&w->sim) <= until_ns) {
        (void)sim_step(&w->sim);
        if (!late && !w->failed && !w->sim.dead)
            storage_turn(w->storage);
    }
    /* The dead have no time: their promises are of when they died. */
    if (!w->failed && !w->sim.dead && until_ns > w->sim.now_ns)
        w->sim.now_ns = until_ns;
}

void world_begin(struct world *w, uint64_t seed, struct totals *totals)
{
    *w = (struct world){ .seed = seed, .totals = totals, .random = random_seeded(seed ^ 0x5eed) };
    sim_init(&w->sim, seed);
    w->config = storage_config_default();
    w->config.dir = "/data";
    w->config.wal_file_bytes = 64 * 1024;
    w->config.wal_files_max = 4;
    w->config.checkpoint_ms = 5000;
    w->config.disk_free_min = 1;
    /* Below what a topic may set: rolls shall happen. */
    w->config.defaults.segment_bytes = 16 * 1024;
    w->config.defaults.index_interval_bytes = 1024;
    w->config.defaults.retention_ms = -1; /* the clock jumps */
    w->config.defaults.file_delete_delay_ms = 500;
}

void world_branch(
    struct world *w, const struct world *from, const struct sim_image *disk, uint64_t seed)
{
    *w = (struct world){ .config = from->config,
        .random = random_seeded(seed),
        .op_count = from->op_count,
        .op_capacity = from->op_count,
        .stopped = from->stopped,
        .small = from->small,
        .seed = seed,
        .totals = from->totals };
    CHECK(from->ghost_count == 0);
    memcpy(w->epochs, from->epochs, sizeof(w->epochs));
    w->ops = mem_alloc(from->op_count * sizeof(*w->ops));
    memcpy(w->ops, from->ops, from->op_count * sizeof(*w->ops));
    sim_init(&w->sim, seed);
    w->sim.now_ns = from->sim.now_ns;
    w->sim.faults = from->sim.faults;
    w->sim.top_made = from->sim.top_made;
    sim_load(&w->sim, disk);
}

uint64_t world_hash(const struct world *w)
{
    struct out facts = { 0 };
    out_bytes(&facts, w->epochs, sizeof(w->epochs));
    out_bytes(&facts, &w->stopped, sizeof(w->stopped));
    for (size_t i = 0; i < w->op_count; i++) {
        const struct op *op = &w->ops[i];
        const int64_t parts[] = { op->kind, op->part_count, op->key, (int64_t)op->value, op->slot,
            op->partition, op->start, op->durable, op->interval, op->acked, op->shown };
        out_bytes(&facts, parts, sizeof(parts));
        out_bytes(&facts, op->id.b, sizeof(op->id.b));
        for (int k = 0; k < op->part_count; k++) {
            const struct part *part = &op->parts[k];
            const int64_t of[] = { part->slot, part->partition, part->base, part->count,
                part->epoch, part->crc };
            out_bytes(&facts, of, sizeof(of));
        }
    }
    uint64_t hash = XXH3_64bits(facts.data, facts.len);
    out_done(&facts);
    return hash;
}

void totals_add_sim(struct world *w)
{
    counts_add(&w->totals->sim, &w->sim.counts, sizeof(w->sim.counts));
}

void world_end(struct world *w)
{
    stats_add(w);
    sim_kill(&w->sim);
    storage_destroy(w->storage);
    flights_drop(w);
    sim_restart(&w->sim);
    totals_add_sim(w);
    ghosts_clear(w);
    mem_free(w->ops);
    mem_free(w->flights);
    sim_done(&w->sim);
}
