/*
 * A producer.
 *
 * It has some lanes, each a partition with the batches ("parcels") that are not acknowledged yet:
 *
 *     lane    | flying ... | waiting ... |        in the order of their sequences
 *
 * A request takes the first waiting parcel of one or several lanes. Idempotent producers keep a
 * parcel until it is acknowledged: when a request is lost or refused in a way that passes, the lane
 * lets what flies come down and then sends all again, in order. What was acknowledged is sent again
 * now and then, and must be told the same offset; a sequence with a gap must be refused.
 *
 * When acknowledged batches may have been lost (a power cut, and a durability that allows it), the
 * broker may refuse the next sequence; then the producer asks for a new id and begins anew.
 */
#include <inttypes.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "tests/sim/roles.h"

enum {
    LANES_MAX = 3,
    FLYING_MAX = 5,   /* of a lane: what the broker remembers */
    WAITING_MAX = 12, /* of a lane */
    CALLS_MAX = 6,
    VERSION_WITH_IDS = 13,
    VERSION_WITH_ZSTD = 7,
    GAP = 3,
};

struct parcel {
    struct list link;
    uint32_t number;
    struct out data;
    int32_t sequence, count;
    uint32_t tries;
    bool flying, failed, zstd;
};

struct lane {
    int slot;
    int32_t partition;
    struct uuid topic; /* of a topic that comes and goes; else zero */
    struct list parcels;
    uint32_t waiting, flying;
    int32_t next_sequence;
    bool acked;          /* the broker knows the id: a second parcel may fly */
    bool drain;          /* something failed: nothing new until all has come down */
    bool gone;           /* the topic was deleted */
    bool ready;          /* there is a topic to send to */
    struct parcel *last; /* the last acknowledged, to be sent again */
};

struct sim_producer {
    struct client client; /* first */
    int16_t acks;
    bool idempotent, asking, renew;
    int64_t id;
    int16_t epoch;
    uint64_t powers; /* when the id was given */
    struct lane lanes[LANES_MAX];
    int lane_count;
};

enum purpose { NORMAL, AGAIN, WITH_GAP };

struct produce_call {
    struct call call; /* first */
    enum purpose purpose;
    int count;
    struct produce_part {
        struct lane *lane;
        struct parcel *parcel;
        uint32_t number;
        struct uuid topic;
    } parts[LANES_MAX];
};

static struct sim_producer *producer_of(struct client *client)
{
    return container_of(client, struct sim_producer, client);
}

/* ---- parcels ---- */

static void parcel_free(struct parcel *parcel)
{
    if (!parcel)
        return;
    out_done(&parcel->data);
    mem_free(parcel);
}

static void parcel_drop(struct lane *lane, struct parcel *parcel)
{
    list_remove(&parcel->link);
    if (parcel->flying)
        lane->flying--;
    else
        lane->waiting--;
    parcel_free(parcel);
}

static void parcel_land(struct lane *lane, struct parcel *parcel)
{
    parcel->flying = false;
    lane->flying--;
    lane->waiting++;
}

static void lane_clear(struct lane *lane)
{
    list_foreach_safe (node, following, &lane->parcels)
        parcel_drop(lane, list_entry(node, struct parcel, link));
    parcel_free(lane->last);
    lane->last = NULL;
    lane->acked = lane->drain = lane->gone = false;
}

static struct parcel *parcel_build(struct sim_producer *producer, struct lane *lane, int32_t gap)
{
    struct world *w = producer->client.world;
    struct parcel *parcel = mem_zalloc(1, sizeof(*parcel));
    bool large = lane->slot == SLOT_STAMPED && w->config.wal_file_bytes > (1 << 20) &&
                 world_chance(w, 1, 10);
    struct batch_wish wish = { .slot = lane->slot,
        .partition = lane->partition,
        .topic = lane->topic,
        .acks = producer->acks,
        .codec = world_chance(w, 1, 2) ? CODEC_NONE : (enum codec)random_below(&w->random, 5),
        .producer_id = producer->idempotent ? producer->id : -1,
        .producer_epoch = producer->idempotent ? producer->epoch : -1,
        .sequence = lane->next_sequence + gap,
        .count = (int32_t)world_pick(w, 1, large ? 60 : 6),
        .value_max = large ? 20000 : 1200 };
    parcel->number = ledger_build(w, &wish, &parcel->data);
    parcel->sequence = wish.sequence;
    parcel->count = wish.count;
    parcel->zstd = wish.codec == CODEC_ZSTD;
    list_init(&parcel->link);
    w->totals->large_batches += parcel->data.len > (64 << 10);
    return parcel;
}

/* The one to be sent next, or NULL. */
static struct parcel *lane_next(struct sim_producer *producer, struct lane *lane)
{
    uint32_t most = !producer->idempotent ? FLYING_MAX * 2 : lane->acked ? FLYING_MAX : 1;
    if (lane->drain && lane->flying == 0)
        lane->drain = false;
    if (!lane->ready || lane->drain || lane->flying >= most)
        return NULL;
    list_foreach (node, &lane->parcels) {
        struct parcel *parcel = list_entry(node, struct parcel, link);
        if (!parcel->flying)
            return parcel;
    }
    return NULL;
}

/* ---- answers ---- */

static bool passes(struct world *w, int16_t error)
{
    const struct sim_counts *counts = &w->sim.counts;
    bool disk = counts->no_space || counts->write_errors || counts->sync_errors;
    return (error == KAFKA_ERROR_KAFKA_STORAGE_ERROR && disk) ||
           (error == KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER && w->stopping);
}

static void part_acked(
    struct sim_producer *producer, struct produce_call *call, int i, int64_t base_offset)
{
    struct world *w = producer->client.world;
    struct produce_part *part = &call->parts[i];
    struct lane *lane = part->lane;
    const struct uuid none = { { 0 } };
    struct ledger_topic *topic = uuid_equal(part->topic, none) ? w->ledger.newest[lane->slot]
                                                               : ledger_topic(w, &part->topic);
    if (call->purpose == WITH_GAP)
        world_fail(w, "%s: a gap of sequences was accepted (batch %" PRIu32 " at %" PRId64 ")",
            producer->client.name, part->number, base_offset);
    ledger_acked(w, part->number, topic, base_offset);
    if (call->purpose == AGAIN) {
        w->totals->duplicates++;
        return;
    }
    list_foreach (node, &lane->parcels) {
        struct parcel *parcel = list_entry(node, struct parcel, link);
        if (parcel == part->parcel)
            break;
        if (producer->idempotent && !parcel->flying &&
            !ledger_may_lose(w, lane->slot, producer->acks))
            world_fail(w, "%s: sequence %" PRId32 " was accepted, %" PRId32 " before it was not",
                producer->client.name, part->parcel->sequence, parcel->sequence);
    }
    lane->acked = true;
    parcel_free(lane->last);
    lane->last = part->parcel;
    list_remove(&part->parcel->link);
    lane->flying--;
    part->parcel->flying = false;
}

static void part_refused(
    struct sim_producer *producer, struct produce_call *call, int i, int16_t error)
{
    struct world *w = producer->client.world;
    struct produce_part *part = &call->parts[i];
    struct lane *lane = part->lane;
    bool gone =
        error == KAFKA_ERROR_UNKNOWN_TOPIC_ID || error == KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    bool out_of_order = error == KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    if (gone && uuid_zero(part->topic))
        ledger_miss(w, w->ledger.newest[lane->slot], call->call.sent);
    else if (gone)
        ledger_miss(w, ledger_topic(w, &part->topic), call->call.sent);
    if (call->purpose == WITH_GAP && out_of_order) {
        w->totals->gaps_refused++;
        ledger_refused(w, part->number);
    }
    bool lost = out_of_order && ledger_may_lose(w, lane->slot, producer->acks) &&
                w->ledger.powers > producer->powers;
    bool follows = out_of_order && (lane->drain || call->purpose == WITH_GAP);
    if (!gone && !passes(w, error) && !lost && !follows)
        world_fail(w, "%s: %s-%" PRId32 " refuses batch %" PRIu32 " (sequence %" PRId32 "): %s",
            producer->client.name, slots[lane->slot].name, lane->partition, part->number,
            part->parcel ? part->parcel->sequence : -1, error_name(error));
    if (call->purpose != NORMAL)
        return;
    if (part->parcel->tries == 1 && !producer->idempotent)
        ledger_refused(w, part->number);
    if (!producer->idempotent) {
        parcel_drop(lane, part->parcel);
    } else {
        parcel_land(lane, part->parcel);
        lane->drain = true;
        producer->renew |= lost && !follows;
    }
    lane->gone |= gone;
}

static void part_lost(struct sim_producer *producer, struct produce_part *part)
{
    if (!part->parcel)
        return;
    if (producer->idempotent)
        parcel_land(part->lane, part->parcel);
    else
        parcel_drop(part->lane, part->parcel);
}

static void call_free(struct call *call)
{
    mem_free(container_of(call, struct produce_call, call));
}

static void check_rows(struct sim_producer *producer, const struct produce_call *call,
    const struct produce_response *answer)
{
    struct world *w = producer->client.world;
    bool good = answer->responses_count == call->count;
    for (int i = 0; good && i < call->count; i++) {
        const struct produce_response_topic_produce_response *topic = &answer->responses[i];
        const struct lane *lane = call->parts[i].lane;
        good = topic->partition_responses_count == 1 &&
               topic->partition_responses[0].index == lane->partition &&
               (call->call.version >= VERSION_WITH_IDS ||
                   bytes_equal_text(topic->name, slots[lane->slot].name));
    }
    if (!good)
        world_fail(
            w, "%s: the answer to Produce has other rows than the request", producer->client.name);
}

static void produced(struct client *client, struct call *base, void *body)
{
    struct sim_producer *producer = producer_of(client);
    struct produce_call *call = container_of(base, struct produce_call, call);
    const struct produce_response *answer = body;
    if (answer)
        check_rows(producer, call, answer);
    for (int i = 0; i < call->count; i++) {
        if (!answer) {
            part_lost(producer, &call->parts[i]);
            continue;
        }
        const struct produce_response_partition_produce_response *row =
            &answer->responses[i].partition_responses[0];
        if (row->error_code)
            part_refused(producer, call, i, row->error_code);
        else
            part_acked(producer, call, i, row->base_offset);
    }
    call_free(base);
}

/* ---- requests ---- */

/* Fills and sends. All parts have a parcel. */
static void produce_send(
    struct sim_producer *producer, struct produce_call *call, struct parcel *const *parcels)
{
    struct world *w = producer->client.world;
    int16_t min = 0;
    for (int i = 0; i < call->count; i++) {
        if (!uuid_zero(call->parts[i].topic) && min < VERSION_WITH_IDS)
            min = VERSION_WITH_IDS;
        if (parcels[i]->zstd && min < VERSION_WITH_ZSTD)
            min = VERSION_WITH_ZSTD;
    }
    int16_t version = client_version(&producer->client, API_PRODUCE, min);
    struct produce_request request;
    codec_defaults(&produce_request_message, &request);
    request.acks = producer->acks;
    request.timeout_ms = 30000;
    request.topic_data_count = call->count;
    request.topic_data = scratch_array(w, &produce_request_topic_produce_data_table, call->count);
    for (int i = 0; i < call->count; i++) {
        struct produce_part *part = &call->parts[i];
        struct produce_request_topic_produce_data *topic = &request.topic_data[i];
        if (version >= VERSION_WITH_IDS && uuid_zero(part->topic))
            part->topic = w->ledger.newest[part->lane->slot]->id;
        topic->name = bytes_text(slots[part->lane->slot].name);
        topic->topic_id = part->topic;
        topic->partition_data_count = 1;
        topic->partition_data = scratch_array(w, &produce_request_partition_produce_data_table, 1);
        topic->partition_data->index = part->lane->partition;
        topic->partition_data->records =
            (struct records){ .data = parcels[i]->data.data, .len = parcels[i]->data.len };
    }
    call->call.answered = produced;
    for (int i = 0; i < call->count; i++)
        world_say(w, "    batch %" PRIu32 " sequence %" PRId32 " to %s-%" PRId32,
            call->parts[i].number, parcels[i]->sequence, slots[call->parts[i].lane->slot].name,
            call->parts[i].lane->partition);
    for (int i = 0; i < call->count; i++)
        ledger_sent(w, call->parts[i].number);
    client_send(
        &producer->client, &call->call, API_PRODUCE, version, &request, producer->acks == 0);
}

static void send_next(struct sim_producer *producer)
{
    struct world *w = producer->client.world;
    struct produce_call *call = mem_zalloc(1, sizeof(*call));
    struct parcel *parcels[LANES_MAX];
    int first = (int)random_below(&w->random, (uint64_t)producer->lane_count);
    for (int i = 0; i < producer->lane_count; i++) {
        struct lane *lane = &producer->lanes[(first + i) % producer->lane_count];
        struct parcel *parcel = lane_next(producer, lane);
        if (!parcel || (call->count && world_chance(w, 1, 2)))
            continue;
        parcels[call->count] = parcel;
        call->parts[call->count++] = (struct produce_part){
            .lane = lane, .parcel = parcel, .number = parcel->number, .topic = lane->topic
        };
        w->totals->retries += parcel->tries > 0;
        parcel->tries++;
        parcel->flying = true;
        lane->waiting--;
        lane->flying++;
    }
    if (call->count == 0) {
        mem_free(call);
        return;
    }
    /* Without acks nobody will tell of them, and the call is gone behind the send. */
    int count = call->count;
    struct produce_part parts[LANES_MAX];
    memcpy(parts, call->parts, sizeof(parts));
    produce_send(producer, call, parcels);
    for (int i = 0; producer->acks == 0 && i < count; i++)
        parcel_drop(parts[i].lane, parts[i].parcel);
}

/* What was acknowledged, or a gap; only when nothing of the lane flies. */
static void send_probe(struct sim_producer *producer)
{
    struct world *w = producer->client.world;
    struct lane *lane = &producer->lanes[random_below(&w->random, (uint64_t)producer->lane_count)];
    bool again = world_chance(w, 1, 2);
    if (!lane->last || lane->flying || lane->waiting || lane->slot >= SLOT_STABLE_COUNT ||
        ledger_may_lose(w, lane->slot, producer->acks))
        return;
    struct parcel *parcel = again ? lane->last : parcel_build(producer, lane, GAP);
    struct produce_call *call = mem_zalloc(1, sizeof(*call));
    call->purpose = again ? AGAIN : WITH_GAP;
    call->count = 1;
    call->parts[0] = (struct produce_part){ .lane = lane, .number = parcel->number };
    produce_send(producer, call, &parcel);
    if (!again)
        parcel_free(parcel);
}

static void id_given(struct client *client, struct call *call, void *body)
{
    struct sim_producer *producer = producer_of(client);
    struct world *w = client->world;
    const struct init_producer_id_response *answer = body;
    producer->asking = false;
    if (answer && !answer->error_code) {
        ledger_producer_id(w, answer->producer_id);
        producer->id = answer->producer_id;
        producer->epoch = answer->producer_epoch;
        producer->powers = w->ledger.powers;
    } else if (answer && !passes(w, answer->error_code)) {
        world_fail(w, "%s: no producer id: %s", client->name, error_name(answer->error_code));
    }
    mem_free(call);
}

static void ask_id(struct sim_producer *producer)
{
    struct init_producer_id_request request;
    struct call *call = mem_zalloc(1, sizeof(*call));
    codec_defaults(&init_producer_id_request_message, &request);
    request.transactional_id = (struct bytes){ 0 };
    request.transaction_timeout_ms = 60000;
    call->answered = id_given;
    producer->asking = true;
    int16_t version = (int16_t)world_pick(producer->client.world, 0, 5);
    client_send(&producer->client, call, API_INIT_PRODUCER_ID, version, &request, false);
}

/* ---- what it does ---- */

/* A lane of a topic that went away looks for the next of that name. */
static void lane_choose(struct world *w, struct lane *lane)
{
    struct ledger_topic *topic = w->ledger.newest[lane->slot];
    bool there = topic && topic->known;
    if (lane->slot < SLOT_STABLE_COUNT) {
        lane->ready = there;
        return;
    }
    if (lane->gone && lane->flying == 0) {
        lane_clear(lane);
        lane->topic = (struct uuid){ { 0 } };
    }
    if (there && uuid_zero(lane->topic) && !topic->gone && !topic->delete_sent)
        lane->topic = topic->id;
    lane->ready = !uuid_zero(lane->topic) && !lane->gone;
}

/* The broker does not know our sequences any more: all anew, once everything has come down. */
static void begin_anew(struct sim_producer *producer)
{
    for (int i = 0; i < producer->lane_count; i++) {
        if (producer->lanes[i].flying)
            return;
    }
    for (int i = 0; i < producer->lane_count; i++) {
        lane_clear(&producer->lanes[i]);
        producer->lanes[i].next_sequence = 0;
    }
    producer->id = -1;
    producer->renew = false;
}

static void build_some(struct sim_producer *producer)
{
    struct world *w = producer->client.world;
    for (int i = 0; i < producer->lane_count; i++) {
        struct lane *lane = &producer->lanes[i];
        if (!lane->ready || lane->waiting >= WAITING_MAX || world_chance(w, 1, 2))
            continue;
        struct parcel *parcel = parcel_build(producer, lane, 0);
        list_append(&lane->parcels, &parcel->link);
        lane->waiting++;
        lane->next_sequence += parcel->count;
    }
}

static bool is_busy(const struct sim_producer *producer)
{
    return producer->client.call_count >= CALLS_MAX || producer->client.up.len > (256 << 10);
}

static void step(struct client *client)
{
    struct sim_producer *producer = producer_of(client);
    struct world *w = client->world;
    client_again(client, w->calm ? 20 : 60);
    /* Without acks that is how it hears of an error; and who has nothing to say is silent. */
    client->may_be_closed = producer->acks == 0 || (w->calm && client->call_count == 0);
    if (w->quiet || is_busy(producer) || !client_connect(client))
        return;
    if (producer->renew) {
        begin_anew(producer);
        return;
    }
    if (producer->idempotent && producer->id < 0) {
        if (!producer->asking)
            ask_id(producer);
        return;
    }
    for (int i = 0; i < producer->lane_count; i++)
        lane_choose(w, &producer->lanes[i]);
    if (!w->calm)
        build_some(producer);
    for (int i = (int)world_pick(w, 1, 3); i > 0 && !is_busy(producer); i--)
        send_next(producer);
    if (producer->idempotent && !w->calm && world_chance(w, 1, 6))
        send_probe(producer);
}

static void lost(struct client *client)
{
    producer_of(client)->asking = false;
}

static void destroy(struct client *client)
{
    struct sim_producer *producer = producer_of(client);
    for (int i = 0; i < producer->lane_count; i++)
        lane_clear(&producer->lanes[i]);
    client_done(client);
    mem_free(producer);
}

size_t sim_producer_pending(const struct client *client)
{
    const struct sim_producer *producer = container_of_const(client, struct sim_producer, client);
    size_t pending = 0;
    for (int i = 0; i < producer->lane_count; i++)
        pending += producer->lanes[i].waiting + producer->lanes[i].flying;
    return pending;
}

/* No two lanes of one producer are the same partition. */
static void lane_init(struct sim_producer *producer, struct lane *lane)
{
    struct world *w = producer->client.world;
    bool taken;
    list_init(&lane->parcels);
    do {
        lane->slot = (int)random_below(&w->random, SLOT_CHURN_B + 1);
        lane->partition = (int32_t)random_below(&w->random, (uint64_t)slots[lane->slot].partitions);
        taken = false;
        for (const struct lane *other = producer->lanes; other < lane; other++)
            taken |= other->slot == lane->slot && other->partition == lane->partition;
    } while (taken);
}

struct client *sim_producer_create(struct world *world, int index)
{
    struct sim_producer *producer = mem_zalloc(1, sizeof(*producer));
    client_init(&producer->client, world, "producer", index);
    producer->idempotent = index % 2 == 0;
    producer->acks = -1;
    if (!producer->idempotent)
        producer->acks = (int16_t)world_pick(world, -1, 1);
    producer->id = -1;
    producer->lane_count = (int)world_pick(world, 1, LANES_MAX);
    for (int i = 0; i < producer->lane_count; i++)
        lane_init(producer, &producer->lanes[i]);
    producer->client.step = step;
    producer->client.lost = lost;
    producer->client.destroy = destroy;
    return &producer->client;
}
