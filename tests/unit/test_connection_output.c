/*
 * test_connection_output.c - answers with record bytes that are not copied: whatever the kernel
 * takes at a time, the stream is the same, and the buffers are held until then.
 */
#include "protocol/base/mem.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

enum { BATCHES = 40, REQUESTS = 3000, STEPS_MAX = 100000000 };

static const struct endpoint endpoint = { "PLAINTEXT", { (const uint8_t *)"broker.test", 11 },
    9092 };

/* A connection whose output is taken by hand. */
struct reader_client {
    struct world *world;
    struct transport transport;
    struct connection *connection;
    struct out requests; /* not yet taken */
    struct out stream;   /* all it was sent */
};

static void wants_output(struct transport *transport)
{
    (void)transport;
}

static void set_paused(struct transport *transport, bool paused)
{
    (void)transport;
    (void)paused;
}

static void close_reader(struct transport *transport)
{
    (void)transport;
    cr_assert_fail("closed by the broker");
}

static void reader_open(struct reader_client *reader, struct world *world)
{
    *reader = (struct reader_client){ .world = world };
    reader->transport = (struct transport){ wants_output, set_paused, close_reader };
    reader->connection = connection_create(world->broker, &reader->transport, &endpoint, "r", "/r");
}

static void reader_close(struct reader_client *reader)
{
    connection_destroy(reader->connection);
    out_done(&reader->requests);
    out_done(&reader->stream);
}

static void give(struct reader_client *reader)
{
    size_t taken = 0;
    if (reader->requests.len == 0)
        return;
    cr_assert_eq(
        connection_input(reader->connection, reader->requests.data, reader->requests.len, &taken),
        0);
    memmove(reader->requests.data, reader->requests.data + taken, reader->requests.len - taken);
    reader->requests.len -= taken;
}

/* At most `step` bytes of at most `iov_max` runs. False: there is nothing. */
static bool take(struct reader_client *reader, size_t step, int iov_max)
{
    struct iovec iov[8];
    int count = connection_output(reader->connection, iov, iov_max);
    size_t len = 0;
    for (int i = 0; i < count && len < step; i++) {
        size_t part = iov[i].iov_len < step - len ? iov[i].iov_len : step - len;
        out_bytes(&reader->stream, iov[i].iov_base, part);
        len += part;
    }
    connection_sent(reader->connection, len);
    return count > 0;
}

/* Asks `count` times for a few batches from different offsets; reads all the answers. */
static void fetch_all(
    struct reader_client *reader, struct client *client, int count, size_t step, int iov_max)
{
    const struct api_schema *schema = api_schema_find(API_FETCH);
    for (int i = 0; i < count; i++) {
        struct fetch_request *request = client_fetch_request(client, "t", 0, i % BATCHES);
        request->max_bytes = 300 * (i % 7 + 1);
        request->min_bytes = 0;
        request->max_wait_ms = 0;
        cr_assert_eq(request_encode(schema, 12, i, bytes_text("r"), request, &reader->requests), 0);
    }
    for (int64_t i = 0; i < STEPS_MAX; i++) {
        give(reader);
        bool more = take(reader, step, iov_max);
        (void)world_step(reader->world);
        if (!more && reader->requests.len == 0 && connection_idle(reader->connection) &&
            connection_output(reader->connection, NULL, 0) == 0)
            break;
    }
    cr_assert(connection_idle(reader->connection));
}

/* In segments, not in the ring: then every fetch finds the same. */
static void fill(struct client *client)
{
    client_create_topic(client, "t", 1, (const char *[]){ "retention.ms=-1", NULL });
    for (int i = 0; i < BATCHES; i++)
        (void)client_produce(client, "t", 0, client_batch(client, CODEC_NONE, i, 1 + i % 5));
    world_run(client->world, 60000);
}

static void all_answers_are_there(const struct out *stream, int count)
{
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        cr_assert_leq(at + 8, stream->len);
        cr_assert_eq(be_get32(stream->data + at + 4), i);
        at += 4 + be_get32(stream->data + at);
    }
    cr_assert_eq(at, stream->len);
}

TEST(connection_output, the_stream_does_not_depend_on_how_it_is_taken)
{
    static const size_t steps[] = { 1, 3, 100, 4099, 100000 };
    struct world world;
    world_open(&world, (const char *[]){ "connections.max.idle.ms=-1", NULL });
    struct client *client = client_connect(&world);
    fill(client);
    struct reader_client whole;
    reader_open(&whole, &world);
    fetch_all(&whole, client, 100, SIZE_MAX, 8);
    all_answers_are_there(&whole.stream, 100);
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        struct reader_client pieces;
        reader_open(&pieces, &world);
        fetch_all(&pieces, client, 100, steps[i], 1 + (int)i);
        cr_assert_eq(pieces.stream.len, whole.stream.len);
        cr_assert(memcmp(pieces.stream.data, whole.stream.data, whole.stream.len) == 0);
        reader_close(&pieces);
    }
    reader_close(&whole);
    world_close(&world);
}

/* Enough that what was sent is dropped from the front while more comes behind. */
TEST(connection_output, a_long_stream_to_a_slow_client)
{
    struct world world;
    world_open(&world, (const char *[]){ "connections.max.idle.ms=-1", NULL });
    struct client *client = client_connect(&world);
    fill(client);
    struct reader_client whole, slow;
    reader_open(&whole, &world);
    fetch_all(&whole, client, REQUESTS, SIZE_MAX, 8);
    reader_open(&slow, &world);
    fetch_all(&slow, client, REQUESTS, 777, 8);
    all_answers_are_there(&slow.stream, REQUESTS);
    cr_assert_eq(slow.stream.len, whole.stream.len);
    cr_assert(memcmp(slow.stream.data, whole.stream.data, whole.stream.len) == 0);
    cr_assert_eq(world.broker->memory.answers, 0);
    reader_close(&whole);
    reader_close(&slow);
    world_close(&world);
}

TEST(connection_output, goes_away_in_the_middle_of_an_answer)
{
    struct world world;
    world_open(&world, (const char *[]){ "connections.max.idle.ms=-1", NULL });
    struct client *client = client_connect(&world);
    fill(client);
    for (size_t sent = 0; sent < 3000; sent += 61) {
        struct reader_client reader;
        reader_open(&reader, &world);
        struct fetch_request *request = client_fetch_request(client, "t", 0, 0);
        request->max_bytes = 2000;
        cr_assert_eq(request_encode(api_schema_find(API_FETCH), 12, 1, bytes_text("r"), request,
                         &reader.requests),
            0);
        give(&reader);
        world_run(&world, 10);
        cr_assert(take(&reader, sent, 8));
        reader_close(&reader);
        cr_assert_eq(world.broker->memory.answers, 0);
    }
    world_close(&world);
}

/* One batch of `count` records to topic "t". */
static void send_produce(struct client *client, int32_t first, int32_t count)
{
    struct produce_request request;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data partition;
    codec_defaults(&produce_request_message, &request);
    struct_defaults(&produce_request_topic_produce_data_table, &topic);
    struct_defaults(&produce_request_partition_produce_data_table, &partition);
    struct bytes batch = client_batch(client, CODEC_NONE, first, count);
    partition.records = (struct records){ .data = batch.data, .len = batch.len };
    topic.name = bytes_text("t");
    topic.partition_data = &partition;
    topic.partition_data_count = 1;
    request.acks = -1;
    request.timeout_ms = 30000;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    (void)client_send(client, API_PRODUCE, 8, &request);
}

static int64_t receive_offset(struct client *client)
{
    struct produce_response *answer = client_receive(client, API_PRODUCE, 8);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->responses[0].partition_responses[0].error_code, 0);
    return answer->responses[0].partition_responses[0].base_offset;
}

/* A request that the ring has no room for holds back a smaller one behind it that would fit. */
TEST(connection_output, requests_wait_for_the_ring_in_order)
{
    enum { COUNT = 40, MANY = 5000 }; /* about 100 KB, and very little in between */
    struct world world;
    world_open(&world, (const char *[]){ "wal.file.bytes=1MiB", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    for (int i = 0; i < COUNT; i++)
        send_produce(client, 0, i % 2 ? 1 : MANY);
    for (int64_t i = 0, offset = 0; i < COUNT; i++) {
        cr_assert_eq(receive_offset(client), offset);
        offset += i % 2 ? 1 : MANY;
    }
    world_close(&world);
}

/* Who waits first goes on first, also when the room is not enough for all. */
TEST(connection_output, clients_wait_for_the_ring_in_order)
{
    enum { COUNT = 40, MANY = 8000 };
    struct world world;
    struct client *clients[COUNT];
    world_open(&world, (const char *[]){ "wal.file.bytes=1MiB", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    for (int i = 0; i < COUNT; i++) {
        clients[i] = client_connect(&world);
        send_produce(clients[i], 0, MANY);
    }
    for (int i = 0; i < COUNT; i++)
        cr_assert_eq(receive_offset(clients[i]), (int64_t)i * MANY);
    world_close(&world);
}
