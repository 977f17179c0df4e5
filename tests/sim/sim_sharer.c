/*
 * A member of a share group (KIP-932): heartbeats, and a share session of which one request is
 * under way at a time, a fetch or an acknowledgement.
 *
 * It accepts most of what it is given, with its next fetch or by itself; some it rejects, releases,
 * asks more time for, or keeps until its lock is over, and then perhaps says something all the
 * same. It dies, and comes back as itself or as another.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/share_partition.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/record.h"
#include "tests/sim/shelf.h"

enum { PACE_MS = 60, HEARTBEAT_MS = 700, HELD_MAX = 128, NEWEST = 2, LATE_MS = 6000 };

struct held {
    int part;
    int64_t offset;
    int64_t since_ns;
};

struct sharer {
    struct client client; /* first */
    int seat;
    char id[64];
    int32_t epoch; /* of the member; 0: it is to join */
    bool beating, busy;
    int64_t heartbeat_ns;
    int32_t session;            /* epoch of the next request */
    uint32_t parts;             /* that it is assigned, by bit */
    uint32_t named;             /* in the session */
    struct held held[HELD_MAX]; /* by part and offset */
    int held_count;
};

/* What was said of a record. */
struct said {
    int part;
    int64_t offset;
    int8_t answer;
    int64_t sure_ns; /* it holds it for sure until then; 0: not when this was sent */
};

struct sharer_call {
    struct call call; /* first */
    uint64_t life;
    uint32_t parts; /* that may be given; 0: it is no fetch */
    int32_t session;
    int said_count;
    struct said said[HELD_MAX];
};

static struct sharer *sharer_of(struct client *client)
{
    return container_of(client, struct sharer, client);
}

static struct shelf_counts *counts_of(const struct sharer *sharer)
{
    return shelf_of(sharer->client.world)->counts;
}

static struct sharer_call *call_make(
    void (*answered)(struct client *client, struct call *call, void *answer))
{
    struct sharer_call *call = mem_zalloc(1, sizeof(*call));
    call->call.answered = answered;
    return call;
}

/* ---- what it holds ---- */

static int compare(const struct held *held, int part, int64_t offset)
{
    if (held->part != part)
        return held->part < part ? -1 : 1;
    return held->offset < offset ? -1 : held->offset > offset;
}

static void hold(struct sharer *sharer, int part, int64_t offset)
{
    int at = 0;
    while (at < sharer->held_count && compare(&sharer->held[at], part, offset) < 0)
        at++;
    bool there = at < sharer->held_count && compare(&sharer->held[at], part, offset) == 0;
    if (!there && sharer->held_count == HELD_MAX)
        return; /* it forgets it, and the lock times out */
    if (!there) {
        memmove(&sharer->held[at + 1], &sharer->held[at],
            (size_t)(sharer->held_count - at) * sizeof(*sharer->held));
        sharer->held_count++;
    }
    sharer->held[at] = (struct held){ part, offset, sharer->client.world->sim.now_ns };
}

static void drop(struct sharer *sharer, int part, int64_t offset)
{
    int kept = 0;
    for (int i = 0; i < sharer->held_count; i++)
        if (compare(&sharer->held[i], part, offset) != 0)
            sharer->held[kept++] = sharer->held[i];
    sharer->held_count = kept;
}

/* The session is over: what it held is anybody's. */
static void session_over(struct sharer *sharer)
{
    shelf_of(sharer->client.world)->sessions[sharer->seat]++;
    counts_of(sharer)->sessions_lost += sharer->session > 0;
    sharer->held_count = 0;
    sharer->session = 0;
    sharer->named = 0;
}

/* ---- heartbeats ---- */

static void beaten(struct client *client, struct call *call, void *body)
{
    struct sharer *sharer = sharer_of(client);
    const struct share_group_heartbeat_response *answer = body;
    struct world *w = client->world;
    int16_t error = answer ? answer->error_code : KAFKA_ERROR_NONE;
    sharer->beating = false;
    switch (error) {
    case KAFKA_ERROR_NONE: break;
    case KAFKA_ERROR_UNKNOWN_MEMBER_ID:
    case KAFKA_ERROR_FENCED_MEMBER_EPOCH:
        counts_of(sharer)->expired++;
        sharer->epoch = 0;
        break;
    case KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE: break;
    default: world_fail(w, "%s: ShareGroupHeartbeat: %s", client->name, error_name(error));
    }
    if (answer && !error) {
        counts_of(sharer)->joins += sharer->epoch == 0;
        sharer->epoch = answer->member_epoch;
    }
    if (answer && !error && answer->assignment) {
        sharer->parts = 0;
        for (int32_t i = 0; i < answer->assignment->topic_partitions_count; i++) {
            const struct share_group_heartbeat_response_topic_partitions *row =
                &answer->assignment->topic_partitions[i];
            for (int32_t p = 0; p < row->partitions_count; p++) {
                int part = shelf_part_of(shelf_of(w), &row->topic_id, row->partitions[p]);
                if (part < 0)
                    world_fail(w, "%s: is assigned a partition of nobody's", client->name);
                sharer->parts |= 1u << part;
            }
        }
    }
    mem_free(container_of(call, struct sharer_call, call));
}

static void beat(struct sharer *sharer)
{
    struct world *w = sharer->client.world;
    struct share_group_heartbeat_request request;
    codec_defaults(&share_group_heartbeat_request_message, &request);
    if (!sharer->id[0])
        (void)snprintf(sharer->id, sizeof(sharer->id), "%s-%016" PRIx64, sharer->client.name,
            random_below(&w->random, UINT64_MAX));
    request.group_id = bytes_text(shelf_group);
    request.member_id = bytes_text(sharer->id);
    request.member_epoch = sharer->epoch;
    if (sharer->epoch == 0) {
        request.subscribed_topic_names =
            scratch_alloc(w, SHELF_TOPICS * sizeof(*request.subscribed_topic_names));
        request.subscribed_topic_names_count = SHELF_TOPICS;
        for (int t = 0; t < SHELF_TOPICS; t++)
            request.subscribed_topic_names[t] = bytes_text(shelf_topics[t]);
    }
    sharer->beating = true;
    sharer->heartbeat_ns = w->sim.now_ns + HEARTBEAT_MS * CLOCK_NS_PER_MS;
    client_send(
        &sharer->client, &call_make(beaten)->call, API_SHARE_GROUP_HEARTBEAT, 1, &request, false);
}

/* ---- what is said of records ---- */

static bool is_final(int8_t answer)
{
    return answer == SHARE_ACCEPT || answer == SHARE_REJECT;
}

/* In the order of held, as both messages have it: runs of one part. */
static int8_t choose(struct world *w, bool renews)
{
    if (renews)
        return SHARE_RENEW;
    uint64_t chance = w->calm ? 0 : random_below(&w->random, 100);
    return chance < 75 ? SHARE_ACCEPT : chance < 90 ? SHARE_RELEASE : SHARE_REJECT;
}

static void say_some(struct sharer *sharer, struct sharer_call *call, bool renews)
{
    struct world *w = sharer->client.world;
    for (int i = 0; i < sharer->held_count; i++) {
        const struct held *held = &sharer->held[i];
        bool late = w->sim.now_ns - held->since_ns > SHELF_LOCK_MS * CLOCK_NS_PER_MS;
        if (!w->calm && world_chance(w, late ? 5 : 1, late ? 6 : 3))
            continue;
        const struct item *item = shelf_item(shelf_of(w), held->part, held->offset);
        bool sure = shelf_holds(w, held->part, held->offset, sharer->seat);
        call->said[call->said_count++] =
            (struct said){ held->part, held->offset, choose(w, renews), sure ? item->sure_ns : 0 };
    }
    for (int i = 0; i < call->said_count; i++) {
        struct item *item = shelf_item(shelf_of(w), call->said[i].part, call->said[i].offset);
        item->saying += is_final(call->said[i].answer);
        if (call->said[i].answer == SHARE_RELEASE && item->seat == sharer->seat)
            item->seat = -1; /* from now on anybody may have it */
    }
}

/* Those that nobody counts on any more. */
static void forget_old(struct sharer *sharer)
{
    int kept = 0;
    int64_t now = sharer->client.world->sim.now_ns;
    for (int i = 0; i < sharer->held_count; i++)
        if (now - sharer->held[i].since_ns < LATE_MS * CLOCK_NS_PER_MS)
            sharer->held[kept++] = sharer->held[i];
    sharer->held_count = kept;
}

/* One record of an answer: error, or 0. */
static void said_told(
    struct sharer *sharer, const struct sharer_call *call, const struct said *said, int16_t error)
{
    struct world *w = sharer->client.world;
    struct shelf_counts *counts = counts_of(sharer);
    struct item *item = shelf_item(shelf_of(w), said->part, said->offset);
    item->saying -= is_final(said->answer);
    if (error == KAFKA_ERROR_NONE) {
        counts->accepted += said->answer == SHARE_ACCEPT;
        counts->rejected += said->answer == SHARE_REJECT;
        counts->released += said->answer == SHARE_RELEASE;
        counts->renewed += said->answer == SHARE_RENEW;
        if (said->answer == SHARE_RENEW) {
            /* What is done with is passed over: it must have been held all the time. */
            int64_t until = call->call.sent_ns + SHELF_LOCK_MS * CLOCK_NS_PER_MS;
            if (said->sure_ns > w->sim.now_ns && item->seat == sharer->seat &&
                until > item->sure_ns)
                item->sure_ns = until;
            return;
        }
        if (is_final(said->answer)) {
            item->fate = ITEM_DONE;
            item->done = item->done ? item->done : w->moment;
            item->seat = -1;
        }
        drop(sharer, said->part, said->offset);
    } else if (error == KAFKA_ERROR_INVALID_RECORD_STATE) {
        counts->refused_late++;
        drop(sharer, said->part, said->offset);
    } else if (error == KAFKA_ERROR_KAFKA_STORAGE_ERROR) {
        item->fate = is_final(said->answer) && !item->done ? ITEM_UNSURE : item->fate;
        item->seat = -1;
        drop(sharer, said->part, said->offset);
    } else {
        world_fail(w, "%s: an acknowledgement: %s", sharer->client.name, error_name(error));
    }
}

/* One part is refused or taken as a whole: if all were held from before to now, it is not. */
static void part_said(struct sharer *sharer, struct sharer_call *call, int part, int16_t error)
{
    struct world *w = sharer->client.world;
    bool sure = call->life == w->life, any = false;
    for (int i = 0; i < call->said_count; i++) {
        any |= call->said[i].part == part;
        sure &= call->said[i].part != part || call->said[i].sure_ns > w->sim.now_ns;
    }
    if (any && sure && error == KAFKA_ERROR_INVALID_RECORD_STATE)
        world_fail(w, "%s: what it said of records of part %d that it holds was refused",
            sharer->client.name, part);
    for (int i = 0; i < call->said_count; i++)
        if (call->said[i].part == part)
            said_told(sharer, call, &call->said[i], error);
    for (int i = 0; i < call->said_count; i++)
        if (call->said[i].part == part)
            call->said[i].part = -1; /* answered */
}

/* Whatever was not answered may have happened, or not. */
static void rest_unsure(struct sharer *sharer, struct sharer_call *call)
{
    struct world *w = sharer->client.world;
    for (int i = 0; i < call->said_count; i++) {
        if (call->said[i].part < 0)
            continue;
        struct item *item = shelf_item(shelf_of(w), call->said[i].part, call->said[i].offset);
        item->saying -= is_final(call->said[i].answer);
        if (is_final(call->said[i].answer) && item->fate == ITEM_OPEN) {
            counts_of(sharer)->unsure++;
            item->fate = ITEM_UNSURE;
        }
    }
}

/* True: the answer is to be read on. */
static bool heard(
    struct sharer *sharer, struct sharer_call *call, const void *answer, int16_t error)
{
    struct world *w = sharer->client.world;
    sharer->busy = false;
    if (!answer) {
        rest_unsure(sharer, call);
        return false;
    }
    if (error == KAFKA_ERROR_NONE) {
        counts_of(sharer)->sessions += call->session == 0;
        sharer->session = call->session + 1;
        return true;
    }
    if (error != KAFKA_ERROR_SHARE_SESSION_NOT_FOUND &&
        error != KAFKA_ERROR_INVALID_SHARE_SESSION_EPOCH &&
        error != KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE)
        world_fail(
            w, "%s: %s: %s", sharer->client.name, call->call.schema->name, error_name(error));
    rest_unsure(sharer, call);
    session_over(sharer);
    return false;
}

/* ---- ShareAcknowledge ---- */

static void acknowledged(struct client *client, struct call *base, void *body)
{
    struct sharer *sharer = sharer_of(client);
    struct sharer_call *call = container_of(base, struct sharer_call, call);
    const struct share_acknowledge_response *answer = body;
    bool fine = heard(sharer, call, answer, answer ? answer->error_code : 0);
    for (int32_t t = 0; fine && t < answer->responses_count; t++)
        for (int32_t p = 0; p < answer->responses[t].partitions_count; p++) {
            const struct share_acknowledge_response_partition_data *row =
                &answer->responses[t].partitions[p];
            part_said(sharer, call,
                shelf_part_of(
                    shelf_of(client->world), &answer->responses[t].topic_id, row->partition_index),
                row->error_code);
        }
    for (int i = 0; fine && i < call->said_count; i++)
        if (call->said[i].part >= 0)
            world_fail(client->world, "%s: ShareAcknowledge leaves out part %d", client->name,
                call->said[i].part);
    mem_free(call);
}

/* Offsets of one part that follow each other, with an answer for each. */
struct run {
    int64_t first, last;
    int8_t *answers;
    int32_t count;
};

/* In scratch; returns how many. */
static int32_t runs_of(
    struct world *w, const struct sharer_call *call, int part, struct run **ret_runs)
{
    struct run *runs = scratch_alloc(w, (size_t)call->said_count * sizeof(*runs));
    int32_t count = 0;
    for (int i = 0; i < call->said_count; i++) {
        const struct said *said = &call->said[i];
        if (said->part != part)
            continue;
        if (count == 0 || runs[count - 1].last + 1 != said->offset) {
            runs[count].first = said->offset;
            runs[count++].answers = scratch_alloc(w, (size_t)call->said_count);
        }
        struct run *run = &runs[count - 1];
        run->last = said->offset;
        run->answers[run->count++] = said->answer;
    }
    *ret_runs = runs;
    return count;
}

static void acknowledge_row(struct world *w, const struct sharer_call *call, int part,
    struct share_acknowledge_request_acknowledge_partition *row)
{
    struct run *runs;
    int32_t count = runs_of(w, call, part, &runs);
    row->partition_index = part % SHELF_PARTITIONS;
    row->acknowledgement_batches =
        scratch_array(w, &share_acknowledge_request_acknowledgement_batch_table, count);
    row->acknowledgement_batches_count = count;
    for (int32_t i = 0; i < count; i++)
        row->acknowledgement_batches[i] =
            (struct share_acknowledge_request_acknowledgement_batch){ runs[i].first, runs[i].last,
                runs[i].answers, runs[i].count };
}

static void fetch_row(struct world *w, const struct sharer_call *call, int part,
    struct share_fetch_request_fetch_partition *row)
{
    struct run *runs;
    int32_t count = runs_of(w, call, part, &runs);
    row->partition_index = part % SHELF_PARTITIONS;
    row->acknowledgement_batches =
        scratch_array(w, &share_fetch_request_acknowledgement_batch_table, count);
    row->acknowledgement_batches_count = count;
    for (int32_t i = 0; i < count; i++)
        row->acknowledgement_batches[i] =
            (struct share_fetch_request_acknowledgement_batch){ runs[i].first, runs[i].last,
                runs[i].answers, runs[i].count };
}

static void acknowledge(struct sharer *sharer)
{
    struct world *w = sharer->client.world;
    struct share_acknowledge_request request;
    struct sharer_call *call = call_make(acknowledged);
    codec_defaults(&share_acknowledge_request_message, &request);
    request.is_renew_ack = !w->calm && world_chance(w, 1, 8);
    say_some(sharer, call, request.is_renew_ack);
    if (call->said_count == 0) {
        mem_free(call);
        return;
    }
    request.group_id = bytes_text(shelf_group);
    request.member_id = bytes_text(sharer->id);
    request.share_session_epoch = call->session = sharer->session;
    request.topics =
        scratch_array(w, &share_acknowledge_request_acknowledge_topic_table, SHELF_PARTS);
    for (int t = 0; t < SHELF_TOPICS; t++) {
        struct share_acknowledge_request_acknowledge_topic *topic =
            &request.topics[request.topics_count];
        topic->topic_id = shelf_of(w)->ids[t];
        topic->partitions = scratch_array(
            w, &share_acknowledge_request_acknowledge_partition_table, SHELF_PARTITIONS);
        for (int32_t p = 0; p < SHELF_PARTITIONS; p++) {
            struct share_acknowledge_request_acknowledge_partition *row =
                &topic->partitions[topic->partitions_count];
            acknowledge_row(w, call, t * SHELF_PARTITIONS + p, row);
            topic->partitions_count += row->acknowledgement_batches_count > 0;
        }
        request.topics_count += topic->partitions_count > 0;
    }
    call->life = w->life;
    sharer->busy = true;
    client_send(&sharer->client, &call->call, API_SHARE_ACKNOWLEDGE,
        request.is_renew_ack ? NEWEST : client_version(&sharer->client, API_SHARE_ACKNOWLEDGE, 1),
        &request, false);
}

/* ---- ShareFetch ---- */

static int delivery_of(const struct share_fetch_response_partition_data *row, int64_t offset)
{
    for (int32_t i = 0; i < row->acquired_records_count; i++)
        if (row->acquired_records[i].first_offset <= offset &&
            offset <= row->acquired_records[i].last_offset)
            return row->acquired_records[i].delivery_count;
    return 0;
}

static int64_t acquired_count(const struct share_fetch_response_partition_data *row)
{
    int64_t count = 0;
    for (int32_t i = 0; i < row->acquired_records_count; i++)
        count += row->acquired_records[i].last_offset - row->acquired_records[i].first_offset + 1;
    return count;
}

static void take_row(struct sharer *sharer, const struct sharer_call *call, int part,
    const struct share_fetch_response_partition_data *row)
{
    struct world *w = sharer->client.world;
    struct bytes run = records_bytes(row->records);
    struct batch_view batch;
    int64_t left = acquired_count(row);
    while (run.len) {
        struct record_reader records;
        struct record_view record;
        if (batch_next(&run, &batch) != BATCH_OK)
            world_fail(
                w, "%s: part %d: %zu bytes that are no batch", sharer->client.name, part, run.len);
        record_reader_init(&records, &batch, batch.records);
        while (record_next(&records, &record)) {
            int delivery = delivery_of(row, record.offset);
            if (delivery == 0)
                continue;
            struct gift gift = { part, sharer->seat, delivery, record.offset,
                record.value.len >= 4 ? le_get32(record.value.data) : 0, call->call.sent,
                call->call.sent_ns };
            shelf_given(w, &gift);
            hold(sharer, part, record.offset);
            left--;
        }
    }
    if (left)
        world_fail(w, "%s: part %d: %" PRId64 " records were given and are not there",
            sharer->client.name, part, left);
}

static void row_told(struct sharer *sharer, struct sharer_call *call, const struct uuid *topic,
    const struct share_fetch_response_partition_data *row)
{
    struct world *w = sharer->client.world;
    int part = shelf_part_of(shelf_of(w), topic, row->partition_index);
    int16_t error = row->error_code;
    if (part < 0)
        world_fail(w, "%s: ShareFetch tells of a partition of nobody's", sharer->client.name);
    if (error && error != KAFKA_ERROR_KAFKA_STORAGE_ERROR &&
        error != KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE &&
        error != KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER)
        world_fail(w, "%s: part %d: %s", sharer->client.name, part, error_name(error));
    part_said(sharer, call, part, row->acknowledge_error_code);
    take_row(sharer, call, part, row);
}

static void fetched(struct client *client, struct call *base, void *body)
{
    struct sharer *sharer = sharer_of(client);
    struct sharer_call *call = container_of(base, struct sharer_call, call);
    struct shelf *shelf = shelf_of(client->world);
    const struct share_fetch_response *answer = body;
    bool fine = heard(sharer, call, answer, answer ? answer->error_code : 0);
    for (int part = 0; part < SHELF_PARTS; part++) {
        shelf->parts[part].flying -= call->parts >> part & 1;
        shelf->parts[part].lost += !answer && call->parts >> part & 1;
    }
    shelf->counts->lost_fetches += answer == NULL;
    for (int32_t t = 0; fine && t < answer->responses_count; t++)
        for (int32_t p = 0; p < answer->responses[t].partitions_count; p++)
            row_told(
                sharer, call, &answer->responses[t].topic_id, &answer->responses[t].partitions[p]);
    for (int i = 0; fine && i < call->said_count; i++)
        if (call->said[i].part >= 0)
            world_fail(client->world,
                "%s: ShareFetch leaves out part %d, of which it said something", client->name,
                call->said[i].part);
    mem_free(call);
}

static void name_parts(
    struct sharer *sharer, struct sharer_call *call, struct share_fetch_request *request)
{
    struct world *w = sharer->client.world;
    request->topics = scratch_array(w, &share_fetch_request_fetch_topic_table, SHELF_PARTS);
    request->forgotten_topics_data =
        scratch_array(w, &share_fetch_request_forgotten_topic_table, SHELF_PARTS);
    for (int part = 0; part < SHELF_PARTS; part++) {
        const struct uuid *id = &shelf_of(w)->ids[part / SHELF_PARTITIONS];
        struct share_fetch_request_fetch_topic *topic = &request->topics[request->topics_count];
        bool said = false;
        for (int i = 0; i < call->said_count; i++)
            said |= call->said[i].part == part;
        if (said || (sharer->parts & ~sharer->named) >> part & 1) {
            topic->topic_id = *id;
            topic->partitions = scratch_array(w, &share_fetch_request_fetch_partition_table, 1);
            topic->partitions_count = 1;
            fetch_row(w, call, part, topic->partitions);
            request->topics_count++;
        } else if ((sharer->named & ~sharer->parts) >> part & 1) {
            struct share_fetch_request_forgotten_topic *gone =
                &request->forgotten_topics_data[request->forgotten_topics_data_count++];
            gone->topic_id = *id;
            gone->partitions = scratch_alloc(w, sizeof(*gone->partitions));
            *gone->partitions = part % SHELF_PARTITIONS;
            gone->partitions_count = 1;
            sharer->named &= ~(1u << part);
        }
        if (said)
            sharer->named |= 1u << part; /* naming it brings it back */
    }
    sharer->named |= sharer->parts;
    call->parts = sharer->named;
}

static void fetch(struct sharer *sharer)
{
    struct world *w = sharer->client.world;
    struct share_fetch_request request;
    struct sharer_call *call = call_make(fetched);
    codec_defaults(&share_fetch_request_message, &request);
    if (sharer->session > 0)
        say_some(sharer, call, false);
    request.group_id = bytes_text(shelf_group);
    request.member_id = bytes_text(sharer->id);
    request.share_session_epoch = call->session = sharer->session;
    request.max_wait_ms = (int32_t)world_pick(w, 0, 300);
    request.min_bytes = 1;
    request.max_bytes = (int32_t)world_pick(w, 1, 20000);
    request.max_records = (int32_t)world_pick(w, 1, 20);
    request.batch_size = (int32_t)world_pick(w, 1, 20);
    request.share_acquire_mode = (int8_t)random_below(&w->random, 2);
    name_parts(sharer, call, &request);
    for (int part = 0; part < SHELF_PARTS; part++)
        shelf_of(w)->parts[part].flying += call->parts >> part & 1;
    call->life = w->life;
    sharer->busy = true;
    client_send(&sharer->client, &call->call, API_SHARE_FETCH,
        request.share_acquire_mode ? NEWEST : client_version(&sharer->client, API_SHARE_FETCH, 1),
        &request, false);
}

/* ---- what it does ---- */

static void die(struct sharer *sharer)
{
    struct world *w = sharer->client.world;
    world_say(w, "%s: dies", sharer->client.name);
    client_reset(&sharer->client);
    if (world_chance(w, 1, 2)) {
        sharer->id[0] = '\0';
        sharer->epoch = 0;
        sharer->parts = 0;
    }
    event_set(w, &sharer->client.act, world_pick(w, 10, 5000) * CLOCK_NS_PER_MS);
}

static void step(struct client *client)
{
    struct sharer *sharer = sharer_of(client);
    struct world *w = client->world;
    client_again(client, PACE_MS);
    if (w->quiet || !shelf_of(w)->ready || !client_connect(client))
        return;
    if (!w->calm && world_chance(w, 1, 300)) {
        die(sharer);
        return;
    }
    if (!sharer->beating && (sharer->epoch == 0 || w->sim.now_ns >= sharer->heartbeat_ns))
        beat(sharer);
    if (sharer->busy || sharer->epoch == 0)
        return;
    if (!w->calm && world_chance(w, 1, 60)) { /* it works on what it has */
        event_set(w, &client->act, world_pick(w, 100, 4000) * CLOCK_NS_PER_MS);
        return;
    }
    forget_old(sharer);
    if (sharer->session > 0 && sharer->held_count > 0 && world_chance(w, 1, 2))
        acknowledge(sharer);
    else if (sharer->parts | sharer->named)
        fetch(sharer);
}

static void lost(struct client *client)
{
    struct sharer *sharer = sharer_of(client);
    sharer->busy = sharer->beating = false;
    session_over(sharer);
}

static void destroy(struct client *client)
{
    client_done(client);
    mem_free(sharer_of(client));
}

struct client *sim_sharer_create(struct world *world, int seat)
{
    struct sharer *sharer = mem_zalloc(1, sizeof(*sharer));
    client_init(&sharer->client, world, "sharer", seat);
    sharer->seat = seat;
    shelf_of(world)->seats[seat] = &sharer->client;
    sharer->client.step = step;
    sharer->client.lost = lost;
    sharer->client.destroy = destroy;
    return &sharer->client;
}
