/*
 * A transactional producer, one of several instances that share a transactional id.
 *
 *     TOPICS ──▶ INIT ──▶ ADD (version 1) ──▶ SEND ... ──▶ OFFSET ──▶ END ──▶ ADD ...
 *
 * One request at a time; one that was lost is sent again as it was, with the same sequences, as
 * clients do. Now and then an instance dies in the middle (and the next one under its id fences
 * what it left), or does nothing until its time is up. A commit is sent only when every batch was
 * acknowledged.
 */
#include <inttypes.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/record.h"
#include "tests/sim/deals.h"

const char *const deal_topics[DEAL_TOPICS] = { "ta", "tb", "tc" };

enum stage { AT_TOPICS, AT_INIT, AT_ADD, AT_SEND, AT_OFFSET, AT_END };
enum { IDS_LAST_VERSION = 12, RECORDS_MAX = 4 };

struct transactor {
    struct client client; /* first */
    int id;
    bool v2, waiting, commits;
    bool decided, dead; /* faults have ended; it is dead for good */
    enum stage stage;
    int64_t producer_id;
    int16_t epoch;
    bool bumps;      /* says who it is in InitProducerId */
    uint32_t deal;   /* number; 0: none */
    uint32_t parts;  /* bits: of this deal */
    uint32_t rounds; /* of batches still to be sent */
    uint32_t todo;   /* bits: parts of this round that are not acknowledged */
    uint32_t added;  /* bits: version 1 */
    bool group_added, tried_before;
    int32_t sequence[DEAL_PARTS], count[DEAL_PARTS]; /* next; records of the batch in `data` */
    struct out data[DEAL_PARTS];
};

static struct transactor *transactor_of(struct client *client)
{
    return container_of(client, struct transactor, client);
}

static struct deal *deal_of(const struct transactor *t)
{
    return &deals_of(t->client.world)->deals[t->deal - 1];
}

static struct deal_counts *counts_of(const struct transactor *t)
{
    return deals_of(t->client.world)->counts;
}

/* ---- what answers mean --------------------------------------------------------------------- */

static void give_up(struct transactor *t)
{
    if (t->deal && deal_of(t)->fate == DEAL_OPEN)
        deal_of(t)->fate = DEAL_ABORTED;
    t->deal = 0;
    t->stage = AT_INIT;
}

static bool passes(int16_t error)
{
    return error == KAFKA_ERROR_CONCURRENT_TRANSACTIONS ||
           error == KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE ||
           error == KAFKA_ERROR_KAFKA_STORAGE_ERROR ||
           error == KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER || error == KAFKA_ERROR_REQUEST_TIMED_OUT;
}

static bool is_fencing(int16_t error)
{
    return error == KAFKA_ERROR_INVALID_PRODUCER_EPOCH || error == KAFKA_ERROR_PRODUCER_FENCED ||
           error == KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING;
}

/* Was somebody else told to be the newest before this was sent? */
static bool was_fenced(const struct transactor *t, const struct call *call)
{
    const struct deals *deals = deals_of(t->client.world);
    return deals->newest[t->id].moment && deals->newest[t->id].moment < call->sent &&
           (deals->newest[t->id].producer_id != t->producer_id ||
               deals->newest[t->id].epoch > t->epoch);
}

/* True if it went well. Else it is tried again, or the deal is over. */
static bool is_fine(struct transactor *t, const struct call *call, int16_t error)
{
    struct world *w = t->client.world;
    if (error == 0) {
        if (was_fenced(t, call))
            world_fail(w, "%s: %s of a zombie (%" PRId64 "/%d) was accepted", t->client.name,
                call->schema->name, t->producer_id, t->epoch);
        return true;
    }
    if (passes(error))
        return false;
    if (is_fencing(error) || error == KAFKA_ERROR_INVALID_TXN_STATE ||
        error == KAFKA_ERROR_TRANSACTION_ABORTABLE) {
        counts_of(t)->fenced++;
        counts_of(t)->zombies += was_fenced(t, call);
        give_up(t);
        return false;
    }
    world_fail(w, "%s: %s: %s", t->client.name, call->schema->name, error_name(error));
}

/* The end of every `answered`: false if the connection was lost. */
static bool heard(struct transactor *t, const void *answer)
{
    t->waiting = false;
    if (!answer) {
        t->tried_before = true;
        counts_of(t)->retries++;
    }
    return answer;
}

static void ask(struct transactor *t, int16_t api, int16_t version, const void *request,
    void (*answered)(struct client *client, struct call *call, void *answer))
{
    struct call *call = mem_zalloc(1, sizeof(*call));
    call->answered = answered;
    t->waiting = true;
    client_send(&t->client, call, api, version, request, false);
}

static struct bytes id_of(const struct transactor *t)
{
    static const char *const ids[DEAL_IDS] = { "id-0", "id-1", "id-2" };
    return bytes_text(ids[t->id]);
}

static struct bytes group_of(const struct transactor *t)
{
    static const char *const groups[DEAL_IDS] = { "group-0", "group-1", "group-2" };
    return bytes_text(groups[t->id]);
}

/* ---- topics -------------------------------------------------------------------------------- */

static void topics_told(struct client *client, struct call *call, void *body)
{
    struct transactor *t = transactor_of(client);
    const struct metadata_response *answer = body;
    if (heard(t, answer)) {
        bool all = true;
        for (int32_t i = 0; i < answer->topics_count; i++)
            all &= !answer->topics[i].error_code &&
                   answer->topics[i].partitions_count == DEAL_PARTITIONS;
        if (all)
            t->stage = AT_INIT;
    }
    mem_free(call);
}

static void ask_topics(struct transactor *t)
{
    struct world *w = t->client.world;
    struct metadata_request request;
    codec_defaults(&metadata_request_message, &request);
    request.topics = scratch_array(w, &metadata_request_topic_table, DEAL_TOPICS);
    request.topics_count = DEAL_TOPICS;
    for (int i = 0; i < DEAL_TOPICS; i++)
        request.topics[i].name = bytes_text(deal_topics[i]);
    request.allow_auto_topic_creation = true;
    ask(t, API_METADATA, 9, &request, topics_told);
}

/* ---- init ---------------------------------------------------------------------------------- */

static void plan(struct transactor *t)
{
    struct world *w = t->client.world;
    struct deals *deals = deals_of(w);
    mem_grow(deals->deals, &deals->capacity, deals->count + 1);
    struct deal *deal = &deals->deals[deals->count++];
    *deal = (struct deal){ .id = t->id, .offset_partition = -1 };
    t->deal = (uint32_t)deals->count;
    t->parts = 0;
    for (int64_t i = world_pick(w, 1, 4); i > 0; i--)
        t->parts |= 1U << random_below(&w->random, DEAL_PARTS);
    if (world_chance(w, 1, 2))
        deal->offset_partition = (int)random_below(&w->random, DEAL_PARTITIONS);
    t->rounds = (uint32_t)world_pick(w, 1, 3);
    t->commits = world_chance(w, 3, 4);
    t->todo = t->added = 0;
    t->group_added = t->tried_before = false;
    t->stage = t->v2 ? AT_SEND : AT_ADD;
    deals->counts->begun++;
}

static void init_told(struct client *client, struct call *call, void *body)
{
    struct transactor *t = transactor_of(client);
    struct world *w = client->world;
    const struct init_producer_id_response *answer = body;
    bool bumped = t->bumps;
    t->bumps = false;
    if (heard(t, answer) && !answer->error_code) {
        struct deals *deals = deals_of(w);
        bool newer = answer->producer_id != t->producer_id || answer->producer_epoch > t->epoch;
        t->producer_id = answer->producer_id;
        t->epoch = answer->producer_epoch;
        if (deals->newest[t->id].producer_id != t->producer_id ||
            t->epoch > deals->newest[t->id].epoch) {
            deals->newest[t->id].producer_id = t->producer_id;
            deals->newest[t->id].epoch = t->epoch;
            deals->newest[t->id].moment = w->moment;
        }
        if (newer)
            memset(t->sequence, 0, sizeof(t->sequence));
        t->v2 = world_chance(w, 1, 2);
        plan(t);
    } else if (answer && !passes(answer->error_code) &&
               !(bumped && is_fencing(answer->error_code))) {
        world_fail(w, "%s: InitProducerId: %s", client->name, error_name(answer->error_code));
    }
    mem_free(call);
}

static void ask_init(struct transactor *t)
{
    struct world *w = t->client.world;
    struct init_producer_id_request request;
    codec_defaults(&init_producer_id_request_message, &request);
    request.transactional_id = id_of(t);
    request.transaction_timeout_ms = (int32_t)world_pick(w, 1000, 6000);
    t->bumps = t->producer_id >= 0 && world_chance(w, 1, 4);
    if (t->bumps) {
        request.producer_id = t->producer_id;
        request.producer_epoch = t->epoch;
    }
    ask(t, API_INIT_PRODUCER_ID, (int16_t)world_pick(w, t->bumps ? 3 : 0, 5), &request, init_told);
}

/* ---- add (version 1) ----------------------------------------------------------------------- */

static void parts_added(struct client *client, struct call *call, void *body)
{
    struct transactor *t = transactor_of(client);
    const struct add_partitions_to_txn_response *answer = body;
    if (heard(t, answer) &&
        is_fine(t, call,
            answer->results_by_topic_v3_and_below->results_by_partition->partition_error_code))
        t->added = t->parts;
    mem_free(call);
}

static void ask_add_parts(struct transactor *t)
{
    struct world *w = t->client.world;
    struct add_partitions_to_txn_request request;
    codec_defaults(&add_partitions_to_txn_request_message, &request);
    request.v3_and_below_transactional_id = id_of(t);
    request.v3_and_below_producer_id = t->producer_id;
    request.v3_and_below_producer_epoch = t->epoch;
    request.v3_and_below_topics =
        scratch_array(w, &add_partitions_to_txn_request_topic_table, DEAL_TOPICS);
    for (int topic = 0; topic < DEAL_TOPICS; topic++) {
        uint32_t bits = t->parts >> (topic * DEAL_PARTITIONS) & 3;
        if (!bits)
            continue;
        struct add_partitions_to_txn_request_topic *row =
            &request.v3_and_below_topics[request.v3_and_below_topics_count++];
        row->name = bytes_text(deal_topics[topic]);
        row->partitions = scratch_alloc(w, DEAL_PARTITIONS * sizeof(*row->partitions));
        for (int32_t p = 0; p < DEAL_PARTITIONS; p++)
            if (bits >> p & 1)
                row->partitions[row->partitions_count++] = p;
    }
    ask(t, API_ADD_PARTITIONS_TO_TXN, (int16_t)world_pick(w, 0, 3), &request, parts_added);
}

static void group_added(struct client *client, struct call *call, void *body)
{
    struct transactor *t = transactor_of(client);
    const struct add_offsets_to_txn_response *answer = body;
    if (heard(t, answer) && is_fine(t, call, answer->error_code))
        t->group_added = true;
    mem_free(call);
}

static void ask_add(struct transactor *t)
{
    struct add_offsets_to_txn_request request;
    if (!t->added) {
        ask_add_parts(t);
    } else if (deal_of(t)->offset_partition >= 0 && !t->group_added) {
        codec_defaults(&add_offsets_to_txn_request_message, &request);
        request.transactional_id = id_of(t);
        request.producer_id = t->producer_id;
        request.producer_epoch = t->epoch;
        request.group_id = group_of(t);
        ask(t, API_ADD_OFFSETS_TO_TXN, (int16_t)world_pick(t->client.world, 0, 4), &request,
            group_added);
    } else {
        t->stage = AT_SEND;
    }
}

/* ---- batches ------------------------------------------------------------------------------- */

/* Every record's value: deal, index of the batch in the part. */
static void build(struct transactor *t, int part)
{
    struct world *w = t->client.world;
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    uint8_t value[200] = { 0 };
    le_put32(value, t->deal);
    le_put32(value + 4, deal_of(t)->sent[part]++);
    options.producer_id = t->producer_id;
    options.producer_epoch = t->epoch;
    options.base_sequence = t->sequence[part];
    options.attributes = BATCH_ATTRIBUTE_TRANSACTIONAL;
    t->count[part] = (int32_t)world_pick(w, 1, RECORDS_MAX);
    batch_builder_begin(&builder, &options);
    for (int32_t i = 0; i < t->count[part]; i++) {
        struct record_view record = { .timestamp = clock_wall_ms(w->sim.doors.clock),
            .value = bytes_of(value, (size_t)world_pick(w, 8, sizeof(value))) };
        CHECK(batch_builder_append(&builder, &record) == 0);
    }
    t->data[part].len = 0;
    CHECK(batch_builder_finish(&builder, NULL, &t->data[part]) == 0);
    batch_builder_done(&builder);
}

static void batches_told(struct client *client, struct call *call, void *body)
{
    struct transactor *t = transactor_of(client);
    const struct produce_response *answer = body;
    if (heard(t, answer)) {
        counts_of(t)->duplicates += t->tried_before;
        for (int32_t i = 0; i < answer->responses_count && t->deal; i++) {
            int topic = 0;
            while (!bytes_equal_text(answer->responses[i].name, deal_topics[topic]))
                topic++;
            for (int32_t p = 0; p < answer->responses[i].partition_responses_count && t->deal;
                 p++) {
                const struct produce_response_partition_produce_response *row =
                    &answer->responses[i].partition_responses[p];
                int part = topic * DEAL_PARTITIONS + row->index;
                if (!is_fine(t, call, row->error_code))
                    continue;
                t->todo &= ~(1U << part);
                t->sequence[part] += t->count[part];
            }
        }
        t->tried_before = false;
    }
    mem_free(call);
}

static void ask_send(struct transactor *t)
{
    struct world *w = t->client.world;
    if (!t->todo && t->rounds == 0) {
        t->stage = AT_OFFSET;
        return;
    }
    if (!t->todo) {
        t->rounds--;
        t->todo = t->parts;
        for (int part = 0; part < DEAL_PARTS; part++)
            if (t->todo >> part & 1)
                build(t, part);
    }
    struct produce_request request;
    codec_defaults(&produce_request_message, &request);
    request.transactional_id = id_of(t);
    request.acks = -1;
    request.timeout_ms = 1000;
    request.topic_data = scratch_array(w, &produce_request_topic_produce_data_table, DEAL_TOPICS);
    for (int topic = 0; topic < DEAL_TOPICS; topic++) {
        uint32_t bits = t->todo >> (topic * DEAL_PARTITIONS) & 3;
        if (!bits)
            continue;
        struct produce_request_topic_produce_data *row =
            &request.topic_data[request.topic_data_count++];
        row->name = bytes_text(deal_topics[topic]);
        row->partition_data =
            scratch_array(w, &produce_request_partition_produce_data_table, DEAL_PARTITIONS);
        for (int32_t p = 0; p < DEAL_PARTITIONS; p++) {
            if (!(bits >> p & 1))
                continue;
            const struct out *data = &t->data[topic * DEAL_PARTITIONS + p];
            row->partition_data[row->partition_data_count++] =
                (struct produce_request_partition_produce_data){ .index = p,
                    .records = { .data = data->data, .len = data->len } };
        }
    }
    int16_t version = t->v2 ? IDS_LAST_VERSION : (int16_t)world_pick(w, 3, IDS_LAST_VERSION - 1);
    ask(t, API_PRODUCE, version, &request, batches_told);
}

/* ---- offset and end ------------------------------------------------------------------------ */

static void offset_told(struct client *client, struct call *call, void *body)
{
    struct transactor *t = transactor_of(client);
    const struct txn_offset_commit_response *answer = body;
    if (heard(t, answer) && is_fine(t, call, answer->topics->partitions->error_code)) {
        counts_of(t)->offsets++;
        t->stage = AT_END;
    }
    mem_free(call);
}

static void ask_offset(struct transactor *t)
{
    struct world *w = t->client.world;
    struct txn_offset_commit_request request;
    if (deal_of(t)->offset_partition < 0) {
        t->stage = AT_END;
        return;
    }
    codec_defaults(&txn_offset_commit_request_message, &request);
    request.transactional_id = id_of(t);
    request.group_id = group_of(t);
    request.producer_id = t->producer_id;
    request.producer_epoch = t->epoch;
    request.topics = scratch_array(w, &txn_offset_commit_request_topic_table, 1);
    request.topics_count = 1;
    request.topics->name = bytes_text(deal_topics[0]);
    request.topics->partitions = scratch_array(w, &txn_offset_commit_request_partition_table, 1);
    request.topics->partitions_count = 1;
    request.topics->partitions->partition_index = deal_of(t)->offset_partition;
    request.topics->partitions->committed_offset = t->deal;
    request.topics->partitions->committed_metadata = bytes_text("");
    ask(t, API_TXN_OFFSET_COMMIT, t->v2 ? 5 : (int16_t)world_pick(w, 0, 4), &request, offset_told);
}

static void end_told(struct client *client, struct call *call, void *body)
{
    struct transactor *t = transactor_of(client);
    const struct end_txn_response *answer = body;
    struct deal *deal = deal_of(t);
    if (heard(t, answer)) {
        /* Only an abort by time, or by another instance, can have come before a commit. */
        if (answer->error_code == KAFKA_ERROR_INVALID_TXN_STATE && t->v2)
            deal->fate = DEAL_ABORTED;
        if (is_fine(t, call, answer->error_code)) {
            deal->fate = t->commits ? DEAL_COMMITTED : DEAL_ABORTED;
            counts_of(t)->committed += t->commits;
            counts_of(t)->aborted += !t->commits;
            if (t->v2) {
                t->producer_id = answer->producer_id;
                t->epoch = answer->producer_epoch;
                memset(t->sequence, 0, sizeof(t->sequence));
            }
            t->deal = 0;
            if (client->world->calm)
                t->stage = AT_INIT;
            else
                plan(t);
        }
    }
    mem_free(call);
}

static void ask_end(struct transactor *t)
{
    struct world *w = t->client.world;
    struct end_txn_request request;
    codec_defaults(&end_txn_request_message, &request);
    request.transactional_id = id_of(t);
    request.producer_id = t->producer_id;
    request.producer_epoch = t->epoch;
    request.committed = t->commits;
    if (t->commits)
        deal_of(t)->fate = DEAL_COMMIT_SENT;
    ask(t, API_END_TXN, t->v2 ? 5 : (int16_t)world_pick(w, 0, 4), &request, end_told);
}

/* ---- the role ------------------------------------------------------------------------------ */

/* True: this step does nothing else. */
static bool misbehave(struct transactor *t)
{
    struct world *w = t->client.world;
    if (w->calm || !t->deal || !world_chance(w, 1, 40))
        return false;
    if (world_chance(w, 1, 2)) {
        counts_of(t)->late++;
        event_set(w, &t->client.act, world_pick(w, 3000, 15000) * CLOCK_NS_PER_MS);
        return true;
    }
    /* It dies; an instance begins that knows nothing of it. */
    counts_of(t)->left++;
    give_up(t);
    t->producer_id = -1;
    return true;
}

/* Faults have ended: some never come back, and what they left open ends by its time. */
static bool is_dead(struct transactor *t)
{
    struct world *w = t->client.world;
    if (!w->calm || t->decided)
        return t->dead;
    t->decided = true;
    t->dead = world_chance(w, 1, 3) && (!t->deal || deal_of(t)->fate == DEAL_OPEN);
    if (t->dead) {
        counts_of(t)->left += t->deal != 0;
        give_up(t);
        client_reset(&t->client);
    }
    return t->dead;
}

static void step(struct client *client)
{
    struct transactor *t = transactor_of(client);
    struct world *w = client->world;
    client_again(client, w->calm ? 20 : 60);
    client->may_be_closed = w->calm; /* it is silent for long */
    if (is_dead(t) || t->waiting || w->quiet || !client_connect(client))
        return;
    if (misbehave(t))
        return;
    switch (t->stage) {
    case AT_TOPICS: ask_topics(t); break;
    case AT_INIT:
        if (!w->calm)
            ask_init(t);
        break;
    case AT_ADD: ask_add(t); break;
    case AT_SEND: ask_send(t); break;
    case AT_OFFSET: ask_offset(t); break;
    case AT_END: ask_end(t); break;
    }
}

static void lost(struct client *client)
{
    (void)client;
}

static void destroy(struct client *client)
{
    struct transactor *t = transactor_of(client);
    for (int i = 0; i < DEAL_PARTS; i++)
        out_done(&t->data[i]);
    client_done(client);
    mem_free(t);
}

bool sim_transactor_busy(const struct client *client)
{
    const struct transactor *t = container_of_const(client, struct transactor, client);
    return t->deal || t->waiting;
}

struct client *sim_transactor_create(struct world *world, int index)
{
    struct transactor *t = mem_zalloc(1, sizeof(*t));
    client_init(&t->client, world, "transactor", index);
    t->id = index % DEAL_IDS;
    t->producer_id = -1;
    t->epoch = -1;
    t->client.step = step;
    t->client.lost = lost;
    t->client.destroy = destroy;
    return &t->client;
}
