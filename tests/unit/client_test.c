/* See client_test.h. */
#include "tests/unit/client_test.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"

enum { ARENA_MAX = 512 << 20, STEPS_MAX = 2000000 };

static const struct endpoint endpoint = { "PLAINTEXT", { (const uint8_t *)"broker.test", 11 },
    9092 };

/* ---- the world ----------------------------------------------------------------------------- */

static void storage_failed(void *context, int status, const char *what)
{
    (void)context;
    cr_assert_fail("the storage failed: %s (%d)", what, status);
}

static void world_configure(struct world *world, const char *const *options)
{
    struct config_report report = { 0 };
    broker_config_init(&world->config);
    broker_config_set_option(&world->config, "log.dirs=/data", &report);
    for (; options && *options; options++)
        broker_config_set_option(&world->config, *options, &report);
    struct config_place place = { 0 };
    broker_config_finish(&world->config, &place, &report);
    cr_assert(report.errors.len == 0, "%.*s", (int)report.errors.len, report.errors.data);
    config_report_done(&report);
}

static void start(struct world *world, const char *const *options, bool accept_loss)
{
    list_init(&world->clients);
    workers_inline_init(&world->workers, &world->sim.work);
    world_configure(world, options);
    world->config.accept_loss = accept_loss;
    cr_assert_eq(broker_open(&world->broker, &world->config, &world->sim.doors,
                     &world->workers.workers, storage_failed, NULL),
        0, "the broker does not open");
    world->closed = false;
}

void world_start(struct world *world, const char *const *options)
{
    start(world, options, false);
}

void world_start_accepting_loss(struct world *world, const char *const *options)
{
    start(world, options, true);
}

void world_open(struct world *world, const char *const *options)
{
    sim_init(&world->sim, 1);
    world_start(world, options);
}

static void clients_close(struct world *world)
{
    struct list *node;
    while ((node = list_first(&world->clients)))
        client_close(list_entry(node, struct client, link));
}

static void stopped(void *context, int status)
{
    cr_assert_eq(status, 0);
    *(bool *)context = true;
}

void world_stop(struct world *world)
{
    bool done = false;
    clients_close(world);
    broker_close(world->broker, stopped, &done);
    for (int i = 0; !done && i < STEPS_MAX; i++)
        (void)world_step(world);
    cr_assert(done, "the broker does not stop");
    broker_destroy(world->broker);
    broker_config_done(&world->config);
    world->closed = true;
}

void world_crash(struct world *world, bool power)
{
    if (power)
        sim_power(&world->sim);
    else
        sim_kill(&world->sim);
    clients_close(world);
    broker_destroy(world->broker);
    broker_config_done(&world->config);
    sim_restart(&world->sim);
    world->closed = true;
}

void world_close(struct world *world)
{
    if (!world->closed)
        world_stop(world);
    sim_done(&world->sim);
}

static void clients_move(struct world *world);

static void world_turn(struct world *world)
{
    clients_move(world);
    broker_turn(world->broker);
    clients_move(world);
    world->sim.disk.table->flush(&world->sim.disk);
}

bool world_step(struct world *world)
{
    world_turn(world);
    return sim_step(&world->sim);
}

int64_t world_now_ms(struct world *world)
{
    return world->sim.now_ns / CLOCK_NS_PER_MS;
}

void world_run(struct world *world, int64_t ms)
{
    int64_t until = world->sim.now_ns + ms * CLOCK_NS_PER_MS;
    while (true) {
        world_turn(world);
        if (sim_next_ns(&world->sim) > until)
            break;
        (void)sim_step(&world->sim);
    }
    sim_run_until(&world->sim, until);
    world_turn(world);
}

/* ---- a client ------------------------------------------------------------------------------ */

static void nothing_wanted(struct transport *transport)
{
    (void)transport;
}

static void nothing_paused(struct transport *transport, bool paused)
{
    (void)transport;
    (void)paused;
}

static void connection_closed(struct transport *transport)
{
    struct client *client = container_of(transport, struct client, transport);
    connection_destroy(client->connection);
    client->connection = NULL;
}

struct client *client_connect(struct world *world)
{
    struct client *client = mem_zalloc(1, sizeof(*client));
    client->world = world;
    client->id = "test";
    client->next_correlation = 1;
    client->transport = (struct transport){
        .wants_output = nothing_wanted, .pause = nothing_paused, .close = connection_closed
    };
    arena_init(&client->arena, ARENA_MAX);
    list_append(&world->clients, &client->link);
    client->connection = connection_create(
        world->broker, &client->transport, &endpoint, "127.0.0.1:50000", "/127.0.0.1");
    return client;
}

void client_close(struct client *client)
{
    list_remove(&client->link);
    if (client->connection)
        connection_destroy(client->connection);
    arena_done(&client->arena);
    out_done(&client->unsent);
    out_done(&client->received);
    mem_free(client);
}

void *client_alloc(struct client *client, size_t size)
{
    void *piece = arena_alloc(&client->arena, size);
    cr_assert_not_null(piece);
    return piece;
}

static void drop_front(struct out *out, size_t len)
{
    memmove(out->data, out->data + len, out->len - len);
    out->len -= len;
}

static void client_move(struct client *client)
{
    struct iovec iov[8];
    size_t taken;
    if (client->connection && client->unsent.len) {
        int status =
            connection_input(client->connection, client->unsent.data, client->unsent.len, &taken);
        drop_front(&client->unsent, taken);
        if (status)
            client->unsent.len = 0;
    }
    while (client->connection) {
        int count = connection_output(client->connection, iov, 8);
        size_t len = 0;
        for (int i = 0; i < count; i++) {
            out_bytes(&client->received, iov[i].iov_base, iov[i].iov_len);
            len += iov[i].iov_len;
        }
        if (len == 0)
            return;
        connection_sent(client->connection, len);
    }
}

static void clients_move(struct world *world)
{
    list_foreach_safe (node, next, &world->clients)
        client_move(list_entry(node, struct client, link));
}

int32_t client_send(struct client *client, int16_t api, int16_t version, const void *request)
{
    const struct api_schema *schema = api_schema_find(api);
    int32_t correlation = client->next_correlation++;
    cr_assert_eq(request_encode(schema, version, correlation, bytes_text(client->id), request,
                     &client->unsent),
        0, "%s %d cannot be encoded", schema->name, version);
    return correlation;
}

void client_send_raw(struct client *client, const void *data, size_t len)
{
    be_put32(out_add(&client->unsent, 4), (uint32_t)len);
    out_bytes(&client->unsent, data, len);
}

void *client_poll(struct client *client, int16_t api, int16_t version)
{
    const struct api_schema *schema = api_schema_find(api);
    if (client->received.len < 4 || client->received.len - 4 < be_get32(client->received.data))
        return NULL;
    size_t len = be_get32(client->received.data);
    uint8_t *frame = client_alloc(client, len + 1);
    memcpy(frame, client->received.data + 4, len);
    drop_front(&client->received, 4 + len);
    struct reader reader = reader_of(bytes_of(frame, len));
    struct response_header header;
    void *answer = client_alloc(client, schema->response->body->size);
    cr_assert_eq(response_header_decode(schema, version, &reader, &header), 0);
    cr_assert_eq(codec_decode(schema->response, version, &reader, &client->arena, answer), 0,
        "the answer to %s %d cannot be decoded: %s", schema->name, version,
        reader.reason ? reader.reason : "?");
    cr_assert_eq(reader_left(&reader), 0, "bytes behind the answer to %s", schema->name);
    return answer;
}

void *client_receive(struct client *client, int16_t api, int16_t version)
{
    for (int i = 0; i < STEPS_MAX; i++) {
        world_turn(client->world);
        void *answer = client_poll(client, api, version);
        if (answer || !client->connection)
            return answer;
        cr_assert(sim_step(&client->world->sim),
            "nothing happens any more, and no answer to %s has come", api_schema_find(api)->name);
    }
    cr_assert_fail("no answer");
    return NULL;
}

void *client_call(struct client *client, int16_t api, int16_t version, const void *request)
{
    (void)client_send(client, api, version, request);
    return client_receive(client, api, version);
}

/* ---- things that many tests need ----------------------------------------------------------- */

void client_create_topic(
    struct client *client, const char *name, int32_t partitions, const char *const *configs)
{
    struct create_topics_request request;
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request_creatable_topic_config values[16];
    codec_defaults(&create_topics_request_message, &request);
    struct_defaults(&create_topics_request_creatable_topic_table, &topic);
    topic.name = bytes_text(name);
    topic.num_partitions = partitions;
    topic.replication_factor = -1;
    topic.configs = values;
    for (; configs && *configs; configs++) {
        const char *equals = strchr(*configs, '=');
        values[topic.configs_count].name = bytes_of(*configs, (size_t)(equals - *configs));
        values[topic.configs_count++].value = bytes_text(equals + 1);
    }
    request.topics = &topic;
    request.topics_count = 1;
    struct create_topics_response *answer = client_call(client, API_CREATE_TOPICS, 5, &request);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->topics[0].error_code, 0, "topic %s: %s %.*s", name,
        error_name(answer->topics[0].error_code), (int)answer->topics[0].error_message.len,
        answer->topics[0].error_message.data);
}

struct bytes client_batch(struct client *client, enum codec codec, int32_t first, int32_t count)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(codec);
    struct compressor compressor;
    struct out out = { 0 };
    compressor_init(&compressor);
    batch_builder_begin(&builder, &options);
    for (int32_t i = 0; i < count; i++) {
        char value[32];
        (void)snprintf(value, sizeof(value), "value-%d", first + i);
        struct record_view record = { .timestamp = 1000 + i, .value = bytes_text(value) };
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    }
    cr_assert_eq(batch_builder_finish(&builder, &compressor, &out), 0);
    uint8_t *copy = client_alloc(client, out.len);
    memcpy(copy, out.data, out.len);
    struct bytes batch = bytes_of(copy, out.len);
    out_done(&out);
    batch_builder_done(&builder);
    compressor_done(&compressor);
    return batch;
}

struct uuid client_topic_id(struct client *client, const char *topic)
{
    struct topic *found = storage_topic(client->world->broker->storage, bytes_text(topic));
    return found ? found->id : (struct uuid){ { 0 } };
}

struct produce_response_partition_produce_response *client_produce_at(struct client *client,
    int16_t version, int16_t acks, const char *topic, int32_t partition, struct bytes batch)
{
    struct produce_request request;
    struct produce_request_topic_produce_data data;
    struct produce_request_partition_produce_data part;
    codec_defaults(&produce_request_message, &request);
    struct_defaults(&produce_request_topic_produce_data_table, &data);
    struct_defaults(&produce_request_partition_produce_data_table, &part);
    part.index = partition;
    part.records = (struct records){ .data = batch.data, .len = batch.len };
    data.name = bytes_text(topic);
    data.topic_id = client_topic_id(client, topic);
    data.partition_data = &part;
    data.partition_data_count = 1;
    request.acks = acks;
    request.timeout_ms = 30000;
    request.topic_data = &data;
    request.topic_data_count = 1;
    (void)client_send(client, API_PRODUCE, version, &request);
    if (acks == 0)
        return NULL;
    struct produce_response *answer = client_receive(client, API_PRODUCE, version);
    return answer ? &answer->responses[0].partition_responses[0] : NULL;
}

struct produce_response_partition_produce_response *client_produce(
    struct client *client, const char *topic, int32_t partition, struct bytes batch)
{
    return client_produce_at(client, 8, -1, topic, partition, batch);
}

struct fetch_request *client_fetch_request(
    struct client *client, const char *topic, int32_t partition, int64_t offset)
{
    struct fetch_request *request = client_alloc(client, sizeof(*request));
    codec_defaults(&fetch_request_message, request);
    request->topics = client_alloc(client, sizeof(*request->topics));
    struct_defaults(&fetch_request_topic_table, request->topics);
    request->topics_count = 1;
    request->topics->topic = bytes_text(topic);
    request->topics->topic_id = client_topic_id(client, topic);
    request->topics->partitions = client_alloc(client, sizeof(*request->topics->partitions));
    struct_defaults(&fetch_request_partition_table, request->topics->partitions);
    request->topics->partitions_count = 1;
    request->topics->partitions->partition = partition;
    request->topics->partitions->fetch_offset = offset;
    request->topics->partitions->partition_max_bytes = 1 << 20;
    request->max_wait_ms = 500;
    request->min_bytes = 1;
    request->max_bytes = 50 << 20;
    return request;
}

struct fetch_response_partition_data *client_fetch(
    struct client *client, int16_t version, const struct fetch_request *request)
{
    struct fetch_response *answer = client_call(client, API_FETCH, version, request);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->error_code, 0);
    return &answer->responses[0].partitions[0];
}
