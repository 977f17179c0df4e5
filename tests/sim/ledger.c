/*
 * See ledger.h.
 *
 * A log is a list of entries by offset, with holes where nobody has looked yet.
 *
 *     | sure ... | unsure after a power cut ... |
 *                ^ the newest that must have survived
 *
 * An unsure entry becomes sure again when it is seen at its place (then so are those before it),
 * and is struck out, with all behind it, when something else is seen there.
 */
#include "tests/sim/ledger.h"

#include <inttypes.h>
#include <stdio.h>

#include "protocol/base/mem.h"
#include "protocol/record.h"
#include "tests/sim/world.h"

enum { MARK_SIZE = 6, RECORDS_SIZE_MAX = 32 << 20 };
/* durability.interval.ms is 50; a disk of the simulation takes at most 20 ms for anything. */
static const int64_t interval_slack_ns = INT64_C(1000) * CLOCK_NS_PER_MS;

const struct slot_info slots[SLOT_COUNT] = {
    [SLOT_ACKED] = { "acked", DURABILITY_ACKS, 3, { NULL } },
    [SLOT_SYNCED] = { "synced", DURABILITY_FSYNC, 2, { "durability", "fsync" } },
    [SLOT_FLUSHED] = { "flushed", DURABILITY_INTERVAL, 2, { "durability", "interval" } },
    [SLOT_LOOSE] = { "loose", DURABILITY_OS, 2, { "durability", "os" } },
    [SLOT_STAMPED] = { "stamped", DURABILITY_ACKS, 2,
        { "message.timestamp.type", "LogAppendTime", "compression.type", "gzip" } },
    [SLOT_SHORT] = { "short", DURABILITY_ACKS, 2,
        { "retention.bytes", "30000", "segment.ms", "20000" } },
    [SLOT_CHURN_A] = { "churn-a", DURABILITY_ACKS, 2, { NULL } },
    [SLOT_CHURN_B] = { "churn-b", DURABILITY_OS, 1, { "durability", "os" } },
    [SLOT_AUTO_A] = { "auto-a", DURABILITY_ACKS, 2, { NULL } },
    [SLOT_AUTO_B] = { "auto-b", DURABILITY_ACKS, 2, { NULL } },
};

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){ 0 };
    mem_grow(ledger->notes, &ledger->note_capacity, 1);
    ledger->notes[ledger->note_count++] = (struct note){ .refused = true }; /* no batch is 0 */
}

void ledger_done(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->topic_count; i++) {
        for (int p = 0; p < LEDGER_PARTITIONS_MAX; p++)
            mem_free(ledger->topics[i]->logs[p].entries);
        mem_free(ledger->topics[i]);
    }
    mem_free(ledger->topics);
    mem_free(ledger->producer_ids);
    mem_free(ledger->notes);
}

/* ---- topics ---- */

int ledger_slot(struct bytes name)
{
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        if (bytes_equal_text(name, slots[slot].name))
            return slot;
    }
    return SLOT_COUNT;
}

enum level ledger_level(int slot, int16_t acks)
{
    switch (slots[slot].durability) {
    case DURABILITY_ACKS: return acks == -1 ? LEVEL_DURABLE : LEVEL_INTERVAL;
    case DURABILITY_FSYNC: return LEVEL_DURABLE;
    case DURABILITY_INTERVAL: return LEVEL_INTERVAL;
    case DURABILITY_OS: return LEVEL_WRITTEN;
    }
    return LEVEL_WRITTEN;
}

bool ledger_may_lose(const struct world *world, int slot, int16_t acks)
{
    return world->ledger.powers > 0 && ledger_level(slot, acks) != LEVEL_DURABLE;
}

const char *ledger_name(const struct ledger_log *log)
{
    static char text[64];
    (void)snprintf(text, sizeof(text), "%s-%" PRId32, slots[log->topic->slot].name, log->partition);
    return text;
}

struct ledger_topic *ledger_topic(struct world *world, const struct uuid *id)
{
    struct ledger *ledger = &world->ledger;
    for (size_t i = ledger->topic_count; i-- > 0;) {
        if (uuid_equal(ledger->topics[i]->id, *id))
            return ledger->topics[i];
    }
    return NULL;
}

static struct ledger_topic *topic_add(struct world *world, int slot, const struct uuid *id)
{
    struct ledger *ledger = &world->ledger;
    struct ledger_topic *topic = mem_zalloc(1, sizeof(*topic)), *before = ledger->newest[slot];
    if (before && !before->delete_sent)
        world_fail(
            world, "topic %s has another id than before, and nobody deleted it", slots[slot].name);
    topic->id = *id;
    topic->slot = slot;
    for (int32_t p = 0; p < LEDGER_PARTITIONS_MAX; p++)
        topic->logs[p] = (struct ledger_log){ .topic = topic, .partition = p };
    topic->partitions_max = slots[slot].partitions;
    mem_grow(ledger->topics, &ledger->topic_capacity, ledger->topic_count + 1);
    ledger->topics[ledger->topic_count++] = topic;
    ledger->newest[slot] = topic;
    return topic;
}

struct ledger_topic *ledger_meet(
    struct world *world, int slot, const struct uuid *id, uint64_t sent)
{
    if (uuid_zero(*id))
        world_fail(world, "topic %s has no id", slots[slot].name);
    struct ledger_topic *topic = ledger_topic(world, id);
    if (!topic)
        topic = topic_add(world, slot, id);
    if (topic->slot != slot)
        world_fail(world, "topic %s has the id of %s", slots[slot].name, slots[topic->slot].name);
    if (topic->gone && topic->gone < sent)
        world_fail(
            world, "topic %s is back although it was told that it is gone", slots[slot].name);
    if (!topic->known) {
        topic->known = world->moment;
        ledger_durable(world, 0);
    }
    return topic;
}

void ledger_miss(struct world *world, struct ledger_topic *topic, uint64_t sent)
{
    if (!topic || !topic->known || topic->known > sent)
        return;
    if (!topic->delete_sent)
        world_fail(world, "topic %s is not there any more, and nobody deleted it",
            slots[topic->slot].name);
    if (!topic->gone)
        topic->gone = world->moment;
}

void ledger_partitions(
    struct world *world, struct ledger_topic *topic, int32_t floor, int32_t count)
{
    if (count < floor || count > topic->partitions_max)
        world_fail(world, "topic %s has %" PRId32 " partitions, should be %" PRId32 " to %" PRId32,
            slots[topic->slot].name, count, floor, topic->partitions_max);
    if (count > topic->partitions)
        topic->partitions = count;
}

void ledger_epoch(struct world *world, struct ledger_log *log, int32_t floor, int32_t epoch)
{
    if (epoch < floor)
        world_fail(
            world, "%s: leader epoch %" PRId32 " after %" PRId32, ledger_name(log), epoch, floor);
    if (epoch > log->epoch)
        log->epoch = epoch;
}

/* ---- what is in a batch ---- */

static uint64_t hash(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ at[i]) * 0x100000001b3u;
    return sum;
}

static uint64_t hash_run(uint64_t sum, struct bytes run)
{
    uint64_t len = run.data ? run.len : UINT64_MAX;
    sum = hash(sum, &len, sizeof(len));
    return run.len ? hash(sum, run.data, run.len) : sum;
}

static uint64_t hash_record(uint64_t sum, const struct record_view *record)
{
    sum = hash_run(sum, record->key);
    sum = hash_run(sum, record->value);
    sum = hash(sum, &record->header_count, sizeof(record->header_count));
    return record->headers.len ? hash(sum, record->headers.data, record->headers.len) : sum;
}

/* One record: its batch's number and its own first, then anything. */
static void record_fill(struct world *w, uint32_t number, int32_t index, size_t value_max,
    uint8_t *value, struct record_view *record, struct out *headers)
{
    size_t len = world_chance(w, 1, 8) ? random_below(&w->random, value_max)
                                       : random_below(&w->random, value_max / 8 + 1);
    be_put32(value, number);
    be_put16(value + 4, (uint16_t)index);
    /* Half of them compress well. */
    if (number % 2)
        random_bytes(&w->random, value + MARK_SIZE, len);
    else
        memset(value + MARK_SIZE, (int)(number % 251), len);
    record->value = bytes_of(value, MARK_SIZE + len);
    record->key = world_chance(w, 1, 2) ? (struct bytes){ 0 } : bytes_of(value, MARK_SIZE);
    headers->len = 0;
    if (world_chance(w, 1, 4))
        record_header_add(headers, bytes_text("h"), bytes_of(value, MARK_SIZE));
    record->header_count = headers->len ? 1 : 0;
    record->headers = bytes_of(headers->data, headers->len);
}

uint32_t ledger_build(struct world *world, const struct batch_wish *wish, struct out *out)
{
    struct ledger *ledger = &world->ledger;
    uint32_t number = (uint32_t)ledger->note_count;
    struct note note = { .slot = wish->slot,
        .partition = wish->partition,
        .topic = wish->topic,
        .producer_id = wish->producer_id,
        .sequence = wish->producer_id < 0 ? -1 : wish->sequence,
        .count = wish->count,
        .timestamp = clock_wall_ms(&world->sim.clock),
        .level = ledger_level(wish->slot, wish->acks) };
    struct batch_options options = batch_options_plain(wish->codec);
    struct batch_builder builder = { 0 };
    struct out headers = { 0 };
    uint8_t *value = mem_alloc(MARK_SIZE + wish->value_max);
    options.producer_id = wish->producer_id;
    options.producer_epoch = wish->producer_epoch;
    options.base_sequence = note.sequence;
    batch_builder_begin(&builder, &options);
    for (int32_t i = 0; i < wish->count; i++) {
        struct record_view record = { .timestamp = note.timestamp + i };
        record_fill(world, number, i, wish->value_max, value, &record, &headers);
        note.content = hash_record(note.content, &record);
        CHECK(batch_builder_append(&builder, &record) == 0);
    }
    CHECK(batch_builder_finish(&builder, &world->compressor, out) == 0);
    batch_builder_done(&builder);
    out_done(&headers);
    mem_free(value);
    mem_grow(ledger->notes, &ledger->note_capacity, ledger->note_count + 1);
    ledger->notes[ledger->note_count++] = note;
    return number;
}

struct note *ledger_note(struct world *world, uint32_t number)
{
    CHECK(number < world->ledger.note_count);
    return &world->ledger.notes[number];
}

void ledger_sent(struct world *world, uint32_t number)
{
    struct note *note = ledger_note(world, number);
    if (!note->sent)
        note->sent = world->moment;
}

/* ---- entries ---- */

static int64_t entry_end(const struct entry *entry)
{
    return entry->base + entry->count;
}

/* The first that ends above the offset. */
static size_t entry_index(const struct ledger_log *log, int64_t offset)
{
    size_t low = 0, high = log->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (entry_end(&log->entries[middle]) <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct entry *ledger_entry(struct ledger_log *log, int64_t offset)
{
    size_t i = entry_index(log, offset);
    return i < log->count && log->entries[i].base <= offset ? &log->entries[i] : NULL;
}

/* Batch `number` lies at [base, end), so entry `from` and what was behind it when the power went
 * are not there. What lies in the way must be such. */
static void entries_strike(
    struct world *world, struct ledger_log *log, size_t from, const struct entry *by)
{
    size_t kept = from;
    for (size_t i = from; i < log->count; i++) {
        const struct entry *entry = &log->entries[i];
        struct note *note = ledger_note(world, entry->number);
        if (!entry->unsure && entry->base < entry_end(by))
            world_fail(world,
                "%s: batch %" PRIu32 " at [%" PRId64 ", %" PRId64 ") (epoch %" PRId32
                ") is lost: batch %" PRIu32 " lies at %" PRId64,
                ledger_name(log), entry->number, entry->base, entry_end(entry), entry->epoch,
                by->number, by->base);
        if (!entry->unsure) {
            log->entries[kept++] = *entry;
            continue;
        }
        if (note->log == log && note->base == entry->base)
            note->log = NULL;
        world->totals->lost_unpromised++;
    }
    log->count = kept;
}

static void entries_insert(struct ledger_log *log, size_t at, const struct entry *entry)
{
    mem_grow(log->entries, &log->capacity, log->count + 1);
    memmove(&log->entries[at + 1], &log->entries[at], (log->count - at) * sizeof(*log->entries));
    log->entries[at] = *entry;
    log->count++;
}

/* The batch must not lie anywhere else. */
static void note_place(struct world *world, struct ledger_log *log, const struct entry *fresh)
{
    uint32_t number = fresh->number;
    int64_t base = fresh->base;
    struct note *note = ledger_note(world, number);
    if (note->slot != log->topic->slot || note->partition != log->partition ||
        (!uuid_zero(note->topic) && !uuid_equal(note->topic, log->topic->id)))
        world_fail(world, "batch %" PRIu32 " of %s-%" PRId32 " lies in %s", number,
            slots[note->slot].name, note->partition, ledger_name(log));
    if (note->refused)
        world_fail(world, "%s: batch %" PRIu32 " was refused, yet lies at %" PRId64,
            ledger_name(log), number, base);
    if (!note->sent)
        world_fail(world, "%s: batch %" PRIu32 " was never sent", ledger_name(log), number);
    if (note->log == log && note->base != base) {
        size_t other = entry_index(log, note->base);
        if (other < log->count && log->entries[other].number == number &&
            log->entries[other].unsure)
            entries_strike(world, log, other, fresh);
        else
            world_fail(world, "%s: batch %" PRIu32 " lies at %" PRId64 " and %" PRId64,
                ledger_name(log), number, note->base, base);
    }
    if (note->log && note->log != log && !note->log->topic->delete_sent)
        world_fail(world, "batch %" PRIu32 " lies in two logs", number);
    note->log = log;
    note->base = base;
}

static void check_neighbours(struct world *world, const struct ledger_log *log, size_t at)
{
    const struct entry *entry = &log->entries[at];
    const struct entry *before = at ? entry - 1 : NULL;
    const struct entry *after = at + 1 < log->count ? entry + 1 : NULL;
    if (entry->epoch < 0)
        return;
    if ((before && before->epoch > entry->epoch) ||
        (after && after->epoch >= 0 && after->epoch < entry->epoch))
        world_fail(world, "%s: leader epochs go back around offset %" PRId64, ledger_name(log),
            entry->base);
}

/* The same batch is seen at its place. After a power cut it is the old one, which proves that all
 * before it survived, or was sent and appended again. */
static void entry_confirm(struct world *world, struct ledger_log *log, size_t at, int32_t epoch)
{
    struct entry *entry = &log->entries[at];
    bool old = entry->unsure && epoch >= 0 && entry->epoch == epoch;
    if (epoch >= 0 && entry->epoch >= 0 && entry->epoch != epoch && !entry->unsure)
        world_fail(world, "%s: offset %" PRId64 " had epoch %" PRId32 ", now %" PRId32,
            ledger_name(log), entry->base, entry->epoch, epoch);
    if (epoch >= 0 || entry->unsure)
        entry->epoch = epoch;
    for (size_t i = old ? 0 : at; i <= at; i++) {
        log->entries[i].durable |= log->entries[i].unsure && old; /* it was recovered */
        log->entries[i].unsure = false;
    }
    check_neighbours(world, log, at);
}

/* Batch `number` lies at `base`. epoch -1: not told. */
static struct entry *entry_place(
    struct world *world, struct ledger_log *log, uint32_t number, int64_t base, int32_t epoch)
{
    struct entry fresh = { .base = base,
        .count = ledger_note(world, number)->count,
        .epoch = epoch,
        .number = number,
        .known = world->moment,
        .known_ns = world->sim.now_ns };
    note_place(world, log, &fresh);
    size_t at = entry_index(log, base);
    struct entry *old = at < log->count ? &log->entries[at] : NULL;
    if (old && old->base == base && old->number == number) {
        entry_confirm(world, log, at, epoch);
        return old;
    }
    if (old && old->base < entry_end(&fresh)) {
        if (old->base == base && epoch >= 0 && old->epoch >= epoch)
            world_fail(world, "%s: two batches at offset %" PRId64 " in leader epoch %" PRId32,
                ledger_name(log), base, epoch);
        entries_strike(world, log, at, &fresh);
    }
    entries_insert(log, at, &fresh);
    check_neighbours(world, log, at);
    return &log->entries[at];
}

void ledger_durable(struct world *world, uint64_t sent)
{
    if (sent > world->ledger.durable_moment)
        world->ledger.durable_moment = sent;
}

void ledger_producer_id(struct world *world, int64_t id)
{
    struct ledger *ledger = &world->ledger;
    for (size_t i = 0; i < ledger->producer_id_count; i++) {
        if (ledger->producer_ids[i] == id || id < 0)
            world_fail(world, "producer id %" PRId64 " was given out twice", id);
    }
    mem_grow(ledger->producer_ids, &ledger->producer_id_capacity, ledger->producer_id_count + 1);
    ledger->producer_ids[ledger->producer_id_count++] = id;
}

static void entry_promise(struct world *world, struct entry *entry)
{
    const struct note *note = ledger_note(world, entry->number);
    if (note->level != LEVEL_DURABLE || entry->durable)
        return;
    entry->durable = true;
    ledger_durable(world, note->sent);
}

void ledger_acked(
    struct world *world, uint32_t number, struct ledger_topic *topic, int64_t base_offset)
{
    const struct note *note = ledger_note(world, number);
    if (base_offset < 0)
        world_fail(world, "batch %" PRIu32 " was acknowledged without an offset", number);
    struct ledger_log *log = &topic->logs[note->partition];
    world_say(world, "    batch %" PRIu32 " lies at %s [%" PRId64 ", %" PRId64 ")", number,
        ledger_name(log), base_offset, base_offset + note->count);
    entry_promise(world, entry_place(world, log, number, base_offset, -1));
    world->totals->batches_acked++;
}

void ledger_refused(struct world *world, uint32_t number)
{
    struct note *note = ledger_note(world, number);
    if (note->log)
        world_fail(world, "batch %" PRIu32 " is refused, yet lies in %s at %" PRId64, number,
            ledger_name(note->log), note->base);
    note->refused = true;
    world->totals->batches_refused++;
}

/* ---- what consumers see ---- */

/* The number that its records tell, all of which are checked. */
static uint32_t batch_number(
    struct world *world, struct ledger_log *log, const struct batch_view *batch)
{
    struct record_reader reader;
    struct record_view record;
    struct bytes records;
    uint64_t content = 0;
    uint32_t number = 0;
    int32_t index = 0;
    bool stamped = log->topic->slot == SLOT_STAMPED;
    if (batch_check(batch) != BATCH_OK ||
        batch_records(batch, &world->compressor, RECORDS_SIZE_MAX, &records) != 0)
        world_fail(world, "%s: a damaged batch was served at %" PRId64, ledger_name(log),
            batch->base_offset);
    record_reader_init(&reader, batch, records);
    for (; record_next(&reader, &record); index++) {
        if (record.value.len < MARK_SIZE)
            world_fail(world, "%s: a record that nobody sent at %" PRId64, ledger_name(log),
                record.offset);
        uint32_t told = be_get32(record.value.data);
        number = index ? number : told;
        if (told != number || told >= world->ledger.note_count ||
            be_get16(record.value.data + 4) != index || record.offset != batch->base_offset + index)
            world_fail(world, "%s: a record that nobody sent at %" PRId64, ledger_name(log),
                record.offset);
        const struct note *note = ledger_note(world, number);
        if (stamped ? record.timestamp < note->timestamp
                    : record.timestamp != note->timestamp + index)
            world_fail(world, "%s: timestamp %" PRId64 " of the record at %" PRId64,
                ledger_name(log), record.timestamp, record.offset);
        content = hash_record(content, &record);
    }
    const struct note *note = ledger_note(world, number);
    if (record_reader_end(&reader) != 0 || index != note->count || content != note->content)
        world_fail(world, "%s: batch %" PRIu32 " at %" PRId64 " is not what was sent",
            ledger_name(log), number, batch->base_offset);
    world->totals->records_checked += (uint64_t)index;
    return number;
}

void ledger_shown(struct world *world, struct ledger_log *log, const struct batch_view *batch)
{
    uint32_t number = batch_number(world, log, batch);
    const struct note *note = ledger_note(world, number);
    if (note->producer_id != batch->producer_id || note->sequence != batch->base_sequence ||
        note->count - 1 != batch->last_offset_delta)
        world_fail(world, "%s: batch %" PRIu32 " at %" PRId64 ": its header is not what was sent",
            ledger_name(log), number, batch->base_offset);
    if (log->topic->slot == SLOT_STAMPED) {
        if (!batch_is_log_append_time(batch) || batch_codec(batch) != CODEC_GZIP)
            world_fail(world, "%s: batch %" PRIu32 " was not stamped and recoded", ledger_name(log),
                number);
        world->totals->recoded++;
    }
    struct entry *entry = entry_place(world, log, number, batch->base_offset, batch->leader_epoch);
    entry_promise(world, entry);
    if (entry_end(entry) > log->visible)
        log->visible = entry_end(entry);
}

void ledger_visible(struct world *world, struct ledger_log *log, int64_t floor, int64_t offset)
{
    if (offset < floor)
        world_fail(world, "%s: visible up to %" PRId64 " only, it was %" PRId64 " before",
            ledger_name(log), offset, floor);
    if (offset > log->visible)
        log->visible = offset;
}

void ledger_start(struct world *world, struct ledger_log *log, int64_t floor, int64_t offset)
{
    if (offset < floor || (offset > 0 && log->topic->slot != SLOT_SHORT))
        world_fail(
            world, "%s: begins at %" PRId64 ", it was %" PRId64, ledger_name(log), offset, floor);
    if (offset <= log->start)
        return;
    log->start = offset;
    size_t gone = entry_index(log, offset);
    memmove(log->entries, log->entries + gone, (log->count - gone) * sizeof(*log->entries));
    log->count -= gone;
}

/* The sequence that a producer must go on with; -1: met for the first time. */
struct sequel {
    int64_t producer_id;
    int32_t next;
};

static struct sequel *sequel_of(struct sequel *sequels, size_t *count, int64_t producer_id)
{
    for (size_t i = 0; i < *count; i++) {
        if (sequels[i].producer_id == producer_id)
            return &sequels[i];
    }
    sequels[*count] = (struct sequel){ producer_id, -1 };
    return &sequels[(*count)++];
}

void ledger_check(struct world *world, struct ledger_log *log, int64_t first, int64_t end)
{
    struct sequel *sequels = mem_zalloc(log->count + 1, sizeof(*sequels));
    size_t sequel_count = 0;
    int64_t next = first;
    for (size_t i = 0; i < log->count; i++) {
        const struct entry *entry = &log->entries[i];
        const struct note *note = ledger_note(world, entry->number);
        if (entry->base < first)
            continue;
        if (entry->base >= end)
            break;
        if (entry->base != next)
            world_fail(world, "%s: a hole from %" PRId64 " to %" PRId64, ledger_name(log), next,
                entry->base);
        next = entry_end(entry);
        if (note->producer_id < 0)
            continue;
        struct sequel *sequel = sequel_of(sequels, &sequel_count, note->producer_id);
        if (sequel->next >= 0 && note->sequence != sequel->next)
            world_fail(world,
                "%s: producer %" PRId64 " has sequence %" PRId32 " at %" PRId64
                ", should be %" PRId32,
                ledger_name(log), note->producer_id, note->sequence, entry->base, sequel->next);
        sequel->next = note->sequence + note->count;
    }
    if (next != end)
        world_fail(world, "%s: a hole from %" PRId64 " to %" PRId64, ledger_name(log), next, end);
    mem_free(sequels);
}

/* ---- ends of lives ---- */

static bool survives_power(const struct world *world, const struct entry *entry)
{
    const struct note *note = &world->ledger.notes[entry->number];
    return entry->durable || entry->known < world->ledger.durable_moment ||
           (note->level == LEVEL_INTERVAL &&
               world->sim.now_ns - entry->known_ns > interval_slack_ns);
}

static void log_power(struct ledger_log *log, const struct world *world)
{
    size_t sure = log->count;
    while (sure > 0 &&
           (log->entries[sure - 1].unsure || !survives_power(world, &log->entries[sure - 1])))
        sure--;
    for (size_t i = sure; i < log->count; i++)
        log->entries[i].unsure = true;
    log->lost = true;
    log->visible = sure ? entry_end(&log->entries[sure - 1]) : 0;
}

static void log_kill(struct ledger_log *log)
{
    size_t sure = log->count;
    while (sure > 0 && log->entries[sure - 1].unsure)
        sure--;
    /* What was acknowledged is visible from the start of the next life on. */
    if (sure && entry_end(&log->entries[sure - 1]) > log->visible)
        log->visible = entry_end(&log->entries[sure - 1]);
}

void ledger_crash(struct world *world, bool power)
{
    struct ledger *ledger = &world->ledger;
    ledger->powers += power;
    for (size_t i = 0; i < ledger->topic_count; i++) {
        for (int32_t p = 0; p < LEDGER_PARTITIONS_MAX; p++) {
            struct ledger_log *log = &ledger->topics[i]->logs[p];
            if (power)
                log_power(log, world);
            else
                log_kill(log);
            log->start = 0;
        }
    }
}

void ledger_settle(struct world *world)
{
    struct ledger *ledger = &world->ledger;
    for (size_t i = 0; i < ledger->topic_count; i++) {
        for (int32_t p = 0; p < LEDGER_PARTITIONS_MAX; p++) {
            struct ledger_log *log = &ledger->topics[i]->logs[p];
            for (size_t k = 0; k < log->count; k++)
                log->entries[k].durable |= !log->entries[k].unsure;
        }
    }
}
