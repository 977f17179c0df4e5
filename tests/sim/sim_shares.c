/*
 * sim_shares - a whole broker and a share group (KIP-932) in the simulated world, with an oracle.
 *
 *     sim_shares [FIRST-SEED [COUNT [STEPS]]] and the options of seeds.h
 *
 * For each seed: members of a share group who accept, reject, release and keep what they are given,
 * ask for more time, come late and die, while somebody produces and asks how far the group is, the
 * network stalls and breaks, the disk fails, and the broker is killed, loses power, stops and
 * starts. What must hold meanwhile is told in shelf.h. Then faults end, and within SETTLE_MS
 * everything that was produced has been accepted, rejected, or delivered as often as may be; which
 * stays so through a stop and a power cut.
 *
 * A failing run prints its seed and the end of its trace, and exits with 1; from FOR_COUNTS seeds
 * on a count of zero fails, too.
 */
#include "broker/resource_config.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/record.h"
#include "tests/sim/seeds.h"
#include "tests/sim/shelf.h"

enum {
    SETTLE_MS = 120000,
    SETTLE_STEP_MS = 50,
    STAY_MS = 5000,
    FOR_COUNTS = 40,
    RECORDS_MAX = 12,
    PARTS_TOLD_VERSION = 1,
    NAMES_LAST_VERSION = 12, /* of Produce and Metadata, which name topics */

};

struct stage {
    struct world world; /* first */
    struct shelf shelf;
    struct client *stocker;
};

struct shelf *shelf_of(struct world *world)
{
    return &container_of(world, struct stage, world)->shelf;
}

/* ---- who produces and asks ---- */

struct stocker {
    struct client client; /* first */
    bool busy, producing;
    struct out batch;
};

struct stock_call {
    struct call call; /* first */
    int part;
    uint32_t number;
    int32_t count;
};

static struct stocker *stocker_of(struct client *client)
{
    return container_of(client, struct stocker, client);
}

static struct stock_call *ask(struct stocker *stocker,
    void (*answered)(struct client *client, struct call *call, void *answer))
{
    struct stock_call *call = mem_zalloc(1, sizeof(*call));
    call->call.answered = answered;
    stocker->busy = true;
    return call;
}

static struct stock_call *heard(struct client *client, struct call *call)
{
    stocker_of(client)->busy = false;
    return container_of(call, struct stock_call, call);
}

static void topics_told(struct client *client, struct call *call, void *body)
{
    const struct metadata_response *answer = body;
    struct shelf *shelf = shelf_of(client->world);
    for (int32_t i = 0; answer && i < answer->topics_count; i++)
        for (int t = 0; t < SHELF_TOPICS; t++)
            if (!answer->topics[i].error_code &&
                bytes_equal_text(answer->topics[i].name, shelf_topics[t]))
                shelf->ids[t] = answer->topics[i].topic_id;
    mem_free(heard(client, call));
}

static void make_topics(struct stocker *stocker)
{
    struct world *w = stocker->client.world;
    struct metadata_request request;
    codec_defaults(&metadata_request_message, &request);
    request.topics = scratch_array(w, &metadata_request_topic_table, SHELF_TOPICS);
    request.topics_count = SHELF_TOPICS;
    for (int t = 0; t < SHELF_TOPICS; t++)
        request.topics[t].name = bytes_text(shelf_topics[t]);
    request.allow_auto_topic_creation = true;
    client_send(&stocker->client, &ask(stocker, topics_told)->call, API_METADATA,
        NAMES_LAST_VERSION, &request, false);
}

static void group_set(struct client *client, struct call *call, void *body)
{
    const struct incremental_alter_configs_response *answer = body;
    int16_t error = answer ? answer->responses[0].error_code : KAFKA_ERROR_NONE;
    if (error && error != KAFKA_ERROR_KAFKA_STORAGE_ERROR)
        world_fail(client->world, "the group's configuration: %s: %.*s", error_name(error),
            (int)answer->responses[0].error_message.len,
            (const char *)answer->responses[0].error_message.data);
    shelf_of(client->world)->ready = answer && !error;
    mem_free(heard(client, call));
}

/* It begins with the first record. */
static void set_group(struct stocker *stocker)
{
    struct world *w = stocker->client.world;
    struct incremental_alter_configs_request request;
    codec_defaults(&incremental_alter_configs_request_message, &request);
    request.resources_count = 1;
    request.resources =
        scratch_array(w, &incremental_alter_configs_request_alter_configs_resource_table, 1);
    request.resources->resource_type = RESOURCE_GROUP;
    request.resources->resource_name = bytes_text(shelf_group);
    request.resources->configs_count = 1;
    request.resources->configs =
        scratch_array(w, &incremental_alter_configs_request_alterable_config_table, 1);
    request.resources->configs->name = bytes_text("share.auto.offset.reset");
    request.resources->configs->value = bytes_text("earliest");
    client_send(&stocker->client, &ask(stocker, group_set)->call, API_INCREMENTAL_ALTER_CONFIGS,
        client_version(&stocker->client, API_INCREMENTAL_ALTER_CONFIGS, 0), &request, false);
}

static void produced(struct client *client, struct call *base, void *body)
{
    struct stock_call *call = heard(client, base);
    stocker_of(client)->producing = false;
    const struct produce_response *answer = body;
    if (answer) {
        const struct produce_response_partition_produce_response *row =
            answer->responses->partition_responses;
        if (!row->error_code)
            shelf_stocked(client->world, call->part, row->base_offset, call->number, call->count);
        else if (row->error_code != KAFKA_ERROR_KAFKA_STORAGE_ERROR &&
                 row->error_code != KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER)
            world_fail(
                client->world, "part %d: Produce: %s", call->part, error_name(row->error_code));
    }
    mem_free(call);
}

static void build(struct stocker *stocker, const struct stock_call *call)
{
    struct world *w = stocker->client.world;
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    batch_builder_begin(&builder, &options);
    for (int32_t i = 0; i < call->count; i++) {
        uint8_t value[64] = { 0 };
        le_put32(value, call->number + (uint32_t)i);
        struct record_view record = { .timestamp = clock_wall_ms(w->sim.doors.clock),
            .value = bytes_of(value, (size_t)world_pick(w, 4, sizeof(value))) };
        CHECK(batch_builder_append(&builder, &record) == 0);
    }
    stocker->batch.len = 0;
    CHECK(batch_builder_finish(&builder, NULL, &stocker->batch) == 0);
    batch_builder_done(&builder);
}

static void produce(struct stocker *stocker)
{
    struct world *w = stocker->client.world;
    struct produce_request request;
    struct stock_call *call = ask(stocker, produced);
    stocker->producing = true;
    call->part = (int)random_below(&w->random, SHELF_PARTS);
    call->count = (int32_t)world_pick(w, 1, RECORDS_MAX);
    call->number = shelf_of(w)->produced + 1;
    shelf_of(w)->produced += (uint32_t)call->count;
    build(stocker, call);
    codec_defaults(&produce_request_message, &request);
    request.acks = -1;
    request.timeout_ms = 1000;
    request.topic_data_count = 1;
    request.topic_data = scratch_array(w, &produce_request_topic_produce_data_table, 1);
    request.topic_data->name = bytes_text(shelf_topics[call->part / SHELF_PARTITIONS]);
    request.topic_data->partition_data_count = 1;
    request.topic_data->partition_data =
        scratch_array(w, &produce_request_partition_produce_data_table, 1);
    *request.topic_data->partition_data =
        (struct produce_request_partition_produce_data){ .index = call->part % SHELF_PARTITIONS,
            .records = { .data = stocker->batch.data, .len = stocker->batch.len } };
    client_send(&stocker->client, &call->call, API_PRODUCE,
        (int16_t)world_pick(w, 3, NAMES_LAST_VERSION), &request, false);
}

static void described(struct client *client, struct call *base, void *body)
{
    const struct describe_share_group_offsets_response *answer = body;
    struct world *w = client->world;
    const struct describe_share_group_offsets_response_group *group =
        answer ? answer->groups : NULL;
    int32_t topics = group && !group->error_code ? group->topics_count : 0;
    for (int32_t t = 0; t < topics; t++)
        for (int32_t p = 0; p < group->topics[t].partitions_count; p++) {
            const struct describe_share_group_offsets_response_partition *row =
                &group->topics[t].partitions[p];
            int part = shelf_part_of(shelf_of(w), &group->topics[t].topic_id, row->partition_index);
            if (part >= 0 && !row->error_code && row->start_offset >= 0)
                shelf_started(w, part, row->start_offset, row->lag, base->sent);
        }
    mem_free(heard(client, base));
}

static void describe(struct stocker *stocker)
{
    struct world *w = stocker->client.world;
    struct describe_share_group_offsets_request request;
    codec_defaults(&describe_share_group_offsets_request_message, &request);
    request.groups_count = 1;
    request.groups = scratch_array(w, &describe_share_group_offsets_request_group_table, 1);
    request.groups->group_id = bytes_text(shelf_group);
    request.groups->topics_count = -1;
    client_send(&stocker->client, &ask(stocker, described)->call, API_DESCRIBE_SHARE_GROUP_OFFSETS,
        PARTS_TOLD_VERSION, &request, false);
}

static void stocker_step(struct client *client)
{
    struct stocker *stocker = stocker_of(client);
    struct world *w = client->world;
    const struct shelf *shelf = shelf_of(w);
    client_again(client, 50);
    if (stocker->busy || w->quiet || !client_connect(client))
        return;
    if (uuid_zero(shelf->ids[0]) || uuid_zero(shelf->ids[1]))
        make_topics(stocker);
    else if (!shelf->ready)
        set_group(stocker);
    else if (!w->calm && world_chance(w, 1, 2))
        produce(stocker);
    else
        describe(stocker);
}

static void stocker_lost(struct client *client)
{
    stocker_of(client)->busy = false;
}

static void stocker_destroy(struct client *client)
{
    out_done(&stocker_of(client)->batch);
    client_done(client);
    mem_free(stocker_of(client));
}

static struct client *stocker_create(struct world *world)
{
    struct stocker *stocker = mem_zalloc(1, sizeof(*stocker));
    client_init(&stocker->client, world, "stocker", 0);
    stocker->client.step = stocker_step;
    stocker->client.lost = stocker_lost;
    stocker->client.destroy = stocker_destroy;
    return &stocker->client;
}

/* ---- the run ---- */

struct simulation {
    struct totals totals;
    struct shelf_counts counts;
};

static void trouble(struct world *w)
{
    switch (random_below(&w->random, 12000)) {
    case 0:
    case 1: w->sim.crash_after = (int64_t)random_below(&w->random, 40); break;
    case 2:
    case 3: world_crash(w, false); break;
    case 4:
    case 5: world_crash(w, true); break;
    case 6: world_stop(w, world_chance(w, 1, 2)); break;
    case 7:
    case 8: world_draw_faults(w); break;
    default: break;
    }
}

static void settle(struct world *w)
{
    const struct stage *stage = container_of(w, struct stage, world);
    for (int64_t ms = 0; ms < SETTLE_MS; ms += SETTLE_STEP_MS) {
        /* What it asked for before may still be on its way. */
        if (stage->shelf.ready && !stocker_of(stage->stocker)->producing && shelf_is_empty(w))
            return;
        world_pass(w, SETTLE_STEP_MS);
    }
    world_fail(w, "faults have ended %d ms ago, and yet records are left", SETTLE_MS);
}

/* Nothing comes back, nothing is missing. */
static void stay(struct world *w)
{
    uint64_t given = shelf_of(w)->counts->given;
    world_pass(w, STAY_MS);
    settle(w);
    if (shelf_of(w)->counts->given != given)
        world_fail(w, "all records were dealt with, and some are given again");
}

static void finish(struct world *w)
{
    world_say(w, "world: faults have ended");
    world_calm(w);
    settle(w);
    world_stop(w, world_chance(w, 1, 2));
    stay(w);
    world_crash(w, true);
    stay(w);
    world_end(w, world_chance(w, 1, 2));
}

static uint64_t run(void *context, uint64_t seed, uint64_t steps, bool verbose)
{
    struct simulation *simulation = context;
    struct stage *stage = mem_zalloc(1, sizeof(*stage));
    struct world *w = &stage->world;
    stage->shelf.counts = &simulation->counts;
    world_init(w, seed, verbose, &simulation->totals, (const char *[]){ NULL });
    stage->stocker = stocker_create(w);
    for (int seat = 0; seat < SHELF_SEATS; seat++)
        (void)sim_sharer_create(w, seat);
    for (uint64_t i = 0; i < steps; i++) {
        world_step(w);
        trouble(w);
    }
    finish(w);
    uint64_t trace = sim_trace_hash(&w->sim);
    world_done(w);
    shelf_done(&stage->shelf);
    mem_free(stage);
    return trace;
}

static int tables(const void *context, bool must)
{
    const struct simulation *simulation = context;
    const struct totals *t = &simulation->totals;
    const struct shelf_counts *c = &simulation->counts;
    const struct seeds_row rows[] = {
        { "joins", c->joins },
        { "members unknown by now", c->expired },
        { "sessions", c->sessions },
        { "sessions lost", c->sessions_lost },
        { "records produced", c->produced },
        { "records given", c->given },
        { "... once more", c->again },
        { "... after the broker died", c->redelivered_after_crash },
        { "... as often as may be", c->at_limit },
        { "locks that timed out", c->timed_out },
        { "accepted", c->accepted },
        { "rejected", c->rejected },
        { "released", c->released },
        { "renewed", c->renewed },
        { "said too late", c->refused_late },
        { "said, and the answer lost", c->unsure },
        { "fetches whose answer was lost", c->lost_fetches },
        { "starts told", c->starts },
        { "connections cut", t->resets },
        { "kills", t->kills },
        { "power cuts", t->powers },
        { "clean stops", t->stops },
        { "crashes in recovery", t->recovery_crashes },
        { "checkpoints", t->storage.checkpoints },
        { "records replayed", t->storage.replayed_records },
    };
    return seeds_rows(rows, ARRAY_COUNT(rows), must);
}

static uint64_t happened(const void *context)
{
    const struct simulation *simulation = context;
    return simulation->totals.steps;
}

int main(int argc, char **argv)
{
    struct simulation simulation = { 0 };
    struct seeds seeds = { 1, 40, 12000, "steps", FOR_COUNTS, run, happened, tables, NULL,
        &simulation };
    return seeds_run(&seeds, argc, argv);
}
