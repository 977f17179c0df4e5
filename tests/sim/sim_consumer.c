/*
 * A consumer.
 *
 * It has some cursors, each a place in some log. It fetches from several of them at once, with long
 * polls and small and large limits, by name and by id, with and without leader epochs, and lets the
 * ledger look at everything it is shown. Between them it asks for offsets by time and for the ends
 * of epochs.
 */
#include <inttypes.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/sim/roles.h"
#include "tests/sim/sim_metadata.h"

enum {
    CURSORS = 4,
    CALLS_MAX = 3,
    FETCH_WITH_EPOCHS = 9,
    FETCH_WITH_LAST_EPOCH = 12,
    FETCH_WITH_IDS = 13,
    EPOCH_OF_NOBODY = 1000,
    AT_LATEST = -1,
    AT_EARLIEST = -2,
    AT_MAX_TIMESTAMP = -3,
};

struct cursor_place {
    struct ledger_log *log; /* NULL: look for one */
    int64_t offset;
    int32_t last_epoch; /* of the record before; -1: not known */
};

struct sim_consumer {
    struct client client; /* first */
    struct cursor_place cursors[CURSORS];
};

struct fetch_part {
    struct cursor_place *cursor;
    struct cursor_place at;
    int64_t visible, start; /* known at the request */
    int32_t epoch, asked_epoch;
    bool with_last_epoch;
};

struct fetch_call {
    struct call call; /* first */
    int32_t max_wait_ms, min_bytes;
    int count;
    bool nothing_new; /* all parts were at the end */
    struct fetch_part parts[CURSORS];
};

static struct sim_consumer *consumer_of(struct client *client)
{
    return container_of(client, struct sim_consumer, client);
}

/* ---- places ---- */

/* Some log that is there, or NULL. */
static struct ledger_log *some_log(struct world *w, int slot_end)
{
    int slot = (int)random_below(&w->random, (uint64_t)slot_end);
    struct ledger_topic *topic = w->ledger.newest[slot];
    if (!topic || !topic->known || topic->gone || topic->partitions == 0)
        return NULL;
    return &topic->logs[random_below(&w->random, (uint64_t)topic->partitions)];
}

static void seat(struct world *w, struct cursor_place *cursor)
{
    cursor->log = some_log(w, SLOT_COUNT);
    cursor->last_epoch = -1;
    if (!cursor->log)
        return;
    int64_t start = cursor->log->start, end = cursor->log->visible;
    bool inside = end > start && world_chance(w, 2, 3);
    cursor->offset = inside ? world_pick(w, start, end - 1) : end;
    if (world_chance(w, 1, 30))
        cursor->offset += 100000;
}

/* ---- answers to Fetch ---- */

static bool is_sure(const struct entry *entry, uint64_t sent)
{
    return entry && !entry->unsure && entry->known < sent;
}

static void part_diverges(struct client *client, const struct fetch_call *call,
    struct fetch_part *part, const struct fetch_response_epoch_end_offset *told)
{
    struct world *w = client->world;
    const struct entry *entry = ledger_entry(part->at.log, part->at.offset - 1);
    if (!part->with_last_epoch ||
        (is_sure(entry, call->call.sent) && entry->epoch == part->at.last_epoch))
        world_fail(w, "%s: %s diverges at %" PRId64 ", but nothing was lost", client->name,
            ledger_name(part->at.log), told->end_offset);
    w->totals->divergences++;
    part->cursor->offset = told->end_offset;
    part->cursor->last_epoch = -1;
}

static void part_refused(
    struct client *client, const struct fetch_call *call, struct fetch_part *part, int16_t error)
{
    struct world *w = client->world;
    struct ledger_log *log = part->at.log;
    bool wrong = false;
    switch (error) {
    case KAFKA_ERROR_OFFSET_OUT_OF_RANGE:
        wrong = log->topic->slot == SLOT_SHORT ? part->at.offset == part->visible
                                               : part->at.offset <= part->visible;
        w->totals->out_of_range++;
        break;
    case KAFKA_ERROR_FENCED_LEADER_EPOCH:
        wrong = part->asked_epoch < 0;
        w->totals->fenced++;
        break;
    case KAFKA_ERROR_UNKNOWN_LEADER_EPOCH: wrong = part->asked_epoch < EPOCH_OF_NOBODY; break;
    case KAFKA_ERROR_UNKNOWN_TOPIC_ID:
    case KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION: ledger_miss(w, log->topic, call->call.sent); break;
    case KAFKA_ERROR_KAFKA_STORAGE_ERROR: wrong = !w->sim.counts.read_errors && !w->sim.dead; break;
    default: wrong = true;
    }
    if (wrong)
        world_fail(w, "%s: fetch of %s at %" PRId64 " (visible is %" PRId64 "): %s", client->name,
            ledger_name(log), part->at.offset, part->visible, error_name(error));
    part->cursor->log = NULL;
}

/* How many bytes were shown. */
static size_t part_shown(
    struct client *client, struct fetch_part *part, const struct fetch_response_partition_data *row)
{
    struct world *w = client->world;
    struct ledger_log *log = part->at.log;
    struct bytes run = records_bytes(row->records);
    int64_t next = -1;
    while (run.len) {
        struct batch_view batch;
        if (batch_next(&run, &batch) != BATCH_OK)
            world_fail(w, "%s: %s serves no batch at %" PRId64, client->name, ledger_name(log),
                next < 0 ? part->at.offset : next);
        if (next < 0
                ? batch.base_offset > part->at.offset || batch_last_offset(&batch) < part->at.offset
                : batch.base_offset != next)
            world_fail(w, "%s: %s asked for %" PRId64 ", served %" PRId64, client->name,
                ledger_name(log), next < 0 ? part->at.offset : next, batch.base_offset);
        ledger_shown(w, log, &batch);
        next = batch_last_offset(&batch) + 1;
        part->cursor->last_epoch = batch.leader_epoch;
    }
    if (next > row->high_watermark)
        world_fail(w, "%s: %s shows up to %" PRId64 ", the high watermark is %" PRId64,
            client->name, ledger_name(log), next, row->high_watermark);
    if (next >= 0)
        part->cursor->offset = next;
    return row->records.len;
}

static size_t part_fetched(struct client *client, const struct fetch_call *call,
    struct fetch_part *part, const struct fetch_response_partition_data *row)
{
    struct world *w = client->world;
    struct ledger_log *log = part->at.log;
    if (row->partition_index != log->partition)
        world_fail(w, "%s: Fetch answers for another partition", client->name);
    if (row->error_code) {
        part_refused(client, call, part, row->error_code);
        return 0;
    }
    if (part->asked_epoch >= 0 &&
        (part->asked_epoch < part->epoch || part->asked_epoch >= EPOCH_OF_NOBODY))
        world_fail(w, "%s: %s served leader epoch %" PRId32 ", it is at least %" PRId32,
            client->name, ledger_name(log), part->asked_epoch, part->epoch);
    ledger_visible(w, log, part->visible, row->high_watermark);
    if (row->last_stable_offset != row->high_watermark)
        world_fail(w, "%s: %s: last stable offset %" PRId64 ", high watermark %" PRId64,
            client->name, ledger_name(log), row->last_stable_offset, row->high_watermark);
    if (call->call.version >= 5)
        ledger_start(w, log, part->start, row->log_start_offset);
    if (row->diverging_epoch.end_offset >= 0) {
        part_diverges(client, call, part, &row->diverging_epoch);
        return 0;
    }
    return part_shown(client, part, row);
}

/* Too early, or empty-handed? */
static void check_wait(struct client *client, const struct fetch_call *call, size_t total)
{
    struct world *w = client->world;
    int64_t waited = w->sim.now_ns - call->call.sent_ns;
    if (total > 0) {
        w->totals->polls_woken += call->nothing_new;
        return;
    }
    for (int i = 0; i < call->count; i++) {
        if (call->parts[i].at.offset >= call->parts[i].visible)
            continue;
        w->totals->polls_starved++;
        if (w->answers_short_ns < call->call.sent_ns)
            world_fail(w, "%s: nothing of %s at %" PRId64 ", visible is %" PRId64, client->name,
                ledger_name(call->parts[i].at.log), call->parts[i].at.offset,
                call->parts[i].visible);
    }
    if (call->min_bytes > 0 && waited < call->max_wait_ms * CLOCK_NS_PER_MS && !w->stopping)
        world_fail(w, "%s: a fetch came back with nothing after %" PRId64 " of %" PRId32 " ms",
            client->name, waited / CLOCK_NS_PER_MS, call->max_wait_ms);
    w->totals->polls_expired += waited >= call->max_wait_ms * CLOCK_NS_PER_MS;
}

static void fetched(struct client *client, struct call *base, void *body)
{
    struct fetch_call *call = container_of(base, struct fetch_call, call);
    const struct fetch_response *answer = body;
    struct world *w = client->world;
    size_t total = 0;
    bool moved = false;
    if (!answer) {
        mem_free(call);
        return;
    }
    if (answer->error_code || answer->session_id || answer->responses_count != call->count)
        world_fail(w, "%s: the answer to Fetch: %s, %" PRId32 " rows of %d", client->name,
            error_name(answer->error_code), answer->responses_count, call->count);
    for (int i = 0; i < call->count; i++) {
        const struct fetch_response_fetchable_topic_response *topic = &answer->responses[i];
        if (topic->partitions_count != 1)
            world_fail(w, "%s: the answer to Fetch has other rows", client->name);
        struct cursor_place *cursor = call->parts[i].cursor;
        total += part_fetched(client, call, &call->parts[i], &topic->partitions[0]);
        moved |= topic->partitions[0].error_code || !cursor->log ||
                 topic->partitions[0].diverging_epoch.end_offset >= 0;
    }
    if (!moved)
        check_wait(client, call, total);
    w->totals->fetches++;
    mem_free(call);
}

/* ---- Fetch ---- */

static void part_fill(struct world *w, struct fetch_part *part, struct cursor_place *cursor)
{
    struct ledger_log *log = cursor->log;
    *part = (struct fetch_part){ .cursor = cursor,
        .at = *cursor,
        .visible = log->visible,
        .start = log->start,
        .epoch = log->epoch,
        .asked_epoch = -1 };
    if (world_chance(w, 1, 3))
        part->asked_epoch = log->epoch;
    if (log->epoch > 0 && world_chance(w, 1, 40))
        part->asked_epoch = log->epoch - 1;
    if (world_chance(w, 1, 60))
        part->asked_epoch = EPOCH_OF_NOBODY;
    part->with_last_epoch = cursor->last_epoch >= 0 && world_chance(w, 1, 2);
}

static void fetch_send(struct sim_consumer *consumer, struct fetch_call *call, int16_t version)
{
    struct world *w = consumer->client.world;
    struct fetch_request request;
    codec_defaults(&fetch_request_message, &request);
    request.max_wait_ms = call->max_wait_ms;
    request.min_bytes = call->min_bytes;
    request.max_bytes = world_chance(w, 1, 2) ? 1 << 20 : (int32_t)world_pick(w, 0, 5000);
    request.isolation_level = (int8_t)random_below(&w->random, 2);
    request.topics_count = call->count;
    request.topics = scratch_array(w, &fetch_request_topic_table, call->count);
    for (int i = 0; i < call->count; i++) {
        struct fetch_part *part = &call->parts[i];
        struct fetch_request_topic *topic = &request.topics[i];
        if (version < FETCH_WITH_EPOCHS)
            part->asked_epoch = -1;
        part->with_last_epoch &= version >= FETCH_WITH_LAST_EPOCH;
        topic->topic = bytes_text(slots[part->at.log->topic->slot].name);
        topic->topic_id = part->at.log->topic->id;
        topic->partitions_count = 1;
        topic->partitions = scratch_array(w, &fetch_request_partition_table, 1);
        topic->partitions->partition = part->at.log->partition;
        topic->partitions->current_leader_epoch = part->asked_epoch;
        topic->partitions->fetch_offset = part->at.offset;
        if (part->with_last_epoch)
            topic->partitions->last_fetched_epoch = part->at.last_epoch;
        topic->partitions->partition_max_bytes =
            world_chance(w, 1, 2) ? 1 << 20 : (int32_t)world_pick(w, 0, 3000);
    }
    call->call.answered = fetched;
    client_send(&consumer->client, &call->call, API_FETCH, version, &request, false);
}

static void fetch_some(struct sim_consumer *consumer)
{
    struct world *w = consumer->client.world;
    struct fetch_call *call = mem_zalloc(1, sizeof(*call));
    int16_t min = 4;
    call->nothing_new = true;
    for (int i = 0; i < CURSORS; i++) {
        struct cursor_place *cursor = &consumer->cursors[i];
        if (!cursor->log || cursor->log->topic->gone || world_chance(w, 1, 12))
            seat(w, cursor);
        if (!cursor->log || world_chance(w, 1, 3))
            continue;
        struct fetch_part *part = &call->parts[call->count++];
        part_fill(w, part, cursor);
        call->nothing_new &= part->at.offset >= part->visible;
        if (cursor->log->topic->slot >= SLOT_STABLE_COUNT)
            min = FETCH_WITH_IDS;
    }
    if (call->count == 0) {
        mem_free(call);
        return;
    }
    call->max_wait_ms = (int32_t)(world_chance(w, 1, 3) ? 0 : world_pick(w, 1, 3000));
    call->min_bytes = (int32_t)(world_chance(w, 2, 3) ? 1 : world_pick(w, 0, 20000));
    fetch_send(consumer, call, client_version(&consumer->client, API_FETCH, min));
}

/* ---- ListOffsets ---- */

struct list_call {
    struct call call; /* first */
    struct ledger_log *log;
    int64_t asked, visible, start;
};

/* All records of the log that were known to be visible, by offset, against the answer. */
static void check_time(struct client *client, const struct list_call *call,
    const struct list_offsets_response_partition_response *row)
{
    struct world *w = client->world;
    const struct ledger_log *log = call->log;
    bool max = call->asked == AT_MAX_TIMESTAMP;
    for (size_t i = 0; i < log->count; i++) {
        const struct entry *entry = &log->entries[i];
        const struct note *note = ledger_note(w, entry->number);
        int64_t end = entry->base + entry->count;
        if (!is_sure(entry, call->call.sent) || end > call->visible || entry->base < call->start)
            continue;
        if (row->offset >= entry->base && row->offset < end &&
            row->timestamp != note->timestamp + (row->offset - entry->base))
            world_fail(w, "%s: the record at %" PRId64 " of %s has another time", client->name,
                row->offset, ledger_name(log));
        int64_t newest = note->timestamp + entry->count - 1;
        bool missed = max ? newest > row->timestamp
                          : newest >= call->asked && (row->offset < 0 || row->offset >= end);
        if (missed)
            world_fail(w,
                "%s: time %" PRId64 " of %s is told at offset %" PRId64
                ", but the batch at %" PRId64 " has it",
                client->name, call->asked, ledger_name(log), row->offset, entry->base);
    }
    if (!max && row->offset >= 0 && row->timestamp < call->asked)
        world_fail(w, "%s: asked for time %" PRId64 ", told a record of %" PRId64, client->name,
            call->asked, row->timestamp);
}

static void listed(struct client *client, struct call *base, void *body)
{
    struct list_call *call = container_of(base, struct list_call, call);
    struct world *w = client->world;
    const struct list_offsets_response *answer = body;
    if (!answer) {
        mem_free(call);
        return;
    }
    if (answer->topics_count != 1 || answer->topics[0].partitions_count != 1)
        world_fail(w, "%s: the answer to ListOffsets has other rows", client->name);
    const struct list_offsets_response_partition_response *row = &answer->topics[0].partitions[0];
    if (row->error_code) {
        if (row->error_code != KAFKA_ERROR_KAFKA_STORAGE_ERROR || !w->sim.counts.read_errors)
            world_fail(w, "%s: ListOffsets of %s at %" PRId64 ": %s", client->name,
                ledger_name(call->log), call->asked, error_name(row->error_code));
    } else if (call->asked == AT_LATEST) {
        ledger_visible(w, call->log, call->visible, row->offset);
    } else if (call->asked == AT_EARLIEST) {
        ledger_start(w, call->log, call->start, row->offset);
    } else if (call->log->topic->slot != SLOT_STAMPED && call->log->topic->slot != SLOT_SHORT) {
        check_time(client, call, row);
    }
    w->totals->list_offsets++;
    mem_free(call);
}

static void list_some(struct sim_consumer *consumer)
{
    struct world *w = consumer->client.world;
    struct ledger_log *log = some_log(w, SLOT_STABLE_COUNT);
    if (!log)
        return;
    struct list_call *call = mem_zalloc(1, sizeof(*call));
    call->log = log;
    call->visible = log->visible;
    call->start = log->start;
    call->asked = world_pick(w, AT_MAX_TIMESTAMP, AT_LATEST);
    if (world_chance(w, 1, 2))
        call->asked = world_pick(w, w->sim.wall_start_ms, clock_wall_ms(&w->sim.clock) + 10);
    int16_t version = client_version(
        &consumer->client, API_LIST_OFFSETS, call->asked == AT_MAX_TIMESTAMP ? 7 : 1);
    struct list_offsets_request request;
    codec_defaults(&list_offsets_request_message, &request);
    request.replica_id = -1;
    request.topics_count = 1;
    request.topics = scratch_array(w, &list_offsets_request_topic_table, 1);
    request.topics->name = bytes_text(slots[log->topic->slot].name);
    request.topics->partitions_count = 1;
    request.topics->partitions = scratch_array(w, &list_offsets_request_partition_table, 1);
    request.topics->partitions->partition_index = log->partition;
    request.topics->partitions->timestamp = call->asked;
    call->call.answered = listed;
    client_send(&consumer->client, &call->call, API_LIST_OFFSETS, version, &request, false);
}

/* ---- OffsetForLeaderEpoch ---- */

struct epoch_call {
    struct call call; /* first */
    struct ledger_log *log;
    int32_t asked;
};

static void epoch_told(struct client *client, struct call *base, void *body)
{
    struct epoch_call *call = container_of(base, struct epoch_call, call);
    struct world *w = client->world;
    const struct offset_for_leader_epoch_response *answer = body;
    if (!answer) {
        mem_free(call);
        return;
    }
    if (answer->topics_count != 1 || answer->topics[0].partitions_count != 1 ||
        answer->topics[0].partitions[0].error_code)
        world_fail(w, "%s: OffsetForLeaderEpoch is refused", client->name);
    int64_t told = answer->topics[0].partitions[0].end_offset;
    int32_t epoch = answer->topics[0].partitions[0].leader_epoch;
    for (size_t i = 0; i < call->log->count; i++) {
        const struct entry *entry = &call->log->entries[i];
        if (!is_sure(entry, base->sent) || entry->epoch < 0)
            continue;
        bool early = entry->epoch <= call->asked && told >= 0 && told < entry->base + entry->count;
        bool late = entry->epoch > call->asked && told > entry->base;
        if (late && epoch == call->asked && call->log->topic->slot == SLOT_SHORT) {
            ledger_start(
                w, call->log, 0, told); /* the epoch is gone: it ends where the log begins */
            break;
        }
        if (early || late)
            world_fail(w,
                "%s: epoch %" PRId32 " of %s ends at %" PRId64 ", but %" PRId64
                " is of epoch %" PRId32,
                client->name, call->asked, ledger_name(call->log), told, entry->base, entry->epoch);
        if (entry->epoch == call->asked && epoch != call->asked)
            world_fail(w, "%s: epoch %" PRId32 " of %s is not known (%" PRId32 ")", client->name,
                call->asked, ledger_name(call->log), epoch);
    }
    w->totals->epoch_lookups++;
    mem_free(call);
}

static void ask_epoch(struct sim_consumer *consumer)
{
    struct world *w = consumer->client.world;
    struct ledger_log *log = some_log(w, SLOT_STABLE_COUNT);
    if (!log)
        return;
    struct epoch_call *call = mem_zalloc(1, sizeof(*call));
    call->log = log;
    call->asked = (int32_t)world_pick(w, 0, log->epoch);
    struct offset_for_leader_epoch_request request;
    codec_defaults(&offset_for_leader_epoch_request_message, &request);
    request.replica_id = -1;
    request.topics_count = 1;
    request.topics =
        scratch_array(w, &offset_for_leader_epoch_request_offset_for_leader_topic_table, 1);
    request.topics->topic = bytes_text(slots[log->topic->slot].name);
    request.topics->partitions_count = 1;
    request.topics->partitions =
        scratch_array(w, &offset_for_leader_epoch_request_offset_for_leader_partition_table, 1);
    request.topics->partitions->partition = log->partition;
    request.topics->partitions->leader_epoch = call->asked;
    call->call.answered = epoch_told;
    int16_t version = client_version(&consumer->client, API_OFFSET_FOR_LEADER_EPOCH, 2);
    client_send(
        &consumer->client, &call->call, API_OFFSET_FOR_LEADER_EPOCH, version, &request, false);
}

/* ---- what it does ---- */

static void step(struct client *client)
{
    struct sim_consumer *consumer = consumer_of(client);
    struct world *w = client->world;
    client_again(client, 60);
    if (w->calm || client->call_count >= CALLS_MAX || !client_connect(client))
        return;
    if (world_chance(w, 1, 20))
        sim_metadata_ask(client, (int)random_below(&w->random, SLOT_COUNT), false);
    else if (world_chance(w, 1, 6))
        list_some(consumer);
    else if (world_chance(w, 1, 8))
        ask_epoch(consumer);
    else
        fetch_some(consumer);
}

static void lost(struct client *client)
{
    (void)client;
}

static void destroy(struct client *client)
{
    client_done(client);
    mem_free(consumer_of(client));
}

struct client *sim_consumer_create(struct world *world, int index)
{
    struct sim_consumer *consumer = mem_zalloc(1, sizeof(*consumer));
    client_init(&consumer->client, world, "consumer", index);
    consumer->client.step = step;
    consumer->client.lost = lost;
    consumer->client.destroy = destroy;
    return &consumer->client;
}
