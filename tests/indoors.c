/* See indoors.h. */
#include "tests/indoors.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "protocol/base/mem.h"
#include "protocol/header.h"

static void say(void *context, enum log_level level, const char *line)
{
    struct indoors *world = context;
    out_printf(&world->said, "%s\n", line);
    if (world->sim.verbose)
        (void)fprintf(stderr, "%d %s\n", (int)level, line);
}

static void failed(void *context, int status, const char *what)
{
    (void)context;
    cr_assert_fail("%s: %d", what, status);
}

void indoors_open(struct indoors *world, const char *properties)
{
    struct config_report report = { 0 };
    struct config_place place = { .home = "/home" };
    *world = (struct indoors){ 0 };
    sim_init(&world->sim, 1);
    world->sim.doors.say = say;
    world->sim.doors.say_context = world;
    workers_inline_init(&world->workers, &world->sim.work);
    list_init(&world->clients);
    broker_config_init(&world->config);
    broker_config_set_properties(&world->config, "test", bytes_text("log.dirs=/data\n"), &report);
    broker_config_set_properties(&world->config, "test", bytes_text(properties), &report);
    broker_config_finish(&world->config, &place, &report);
    cr_assert_eq(report.errors.len, 0, "%.*s", (int)report.errors.len, (char *)report.errors.data);
    config_report_done(&report);
    int status = broker_open(
        &world->broker, &world->config, &world->sim.doors, &world->workers.workers, failed, world);
    cr_assert_eq(status, 0, "broker_open: %d", status);
}

static void closed(void *context, int status)
{
    struct indoors *world = context;
    cr_assert_eq(status, 0);
    world->closed = true;
}

void indoors_close(struct indoors *world)
{
    while (!list_empty(&world->clients))
        indoors_leave(list_entry(world->clients.next, struct indoors_client, link));
    cr_assert_eq(world->broker->memory.frames, 0);
    cr_assert_eq(world->broker->memory.requests, 0);
    cr_assert_eq(world->broker->memory.answers, 0);
    cr_assert_eq(world->broker->connection_count, 0);
    broker_close(world->broker, closed, world);
    for (int i = 0; i < 100000 && !world->closed; i++) {
        indoors_turn(world);
        (void)sim_step(&world->sim);
    }
    cr_assert(world->closed);
    broker_destroy(world->broker);
    broker_config_done(&world->config);
    out_done(&world->said);
    sim_done(&world->sim);
}

static void take_output(struct indoors_client *client)
{
    struct iovec iov[3];
    size_t budget = client->read_max;
    int count;
    while (client->connection && budget > 0 &&
           (count = connection_output(client->connection, iov, 3)) > 0) {
        size_t len = 0;
        for (int i = 0; i < count && len < budget; i++) {
            size_t part = iov[i].iov_len < budget - len ? iov[i].iov_len : budget - len;
            out_bytes(&client->received, iov[i].iov_base, part);
            len += part;
        }
        budget -= len;
        connection_sent(client->connection, len);
    }
}

static void drop_connection(struct indoors_client *client)
{
    if (client->connection)
        connection_destroy(client->connection);
    client->connection = NULL;
}

static void give_input(struct indoors_client *client)
{
    size_t taken;
    if (!client->connection || client->waiting.len == 0)
        return;
    int status =
        connection_input(client->connection, client->waiting.data, client->waiting.len, &taken);
    memmove(client->waiting.data, client->waiting.data + taken, client->waiting.len - taken);
    client->waiting.len -= taken;
    if (status)
        drop_connection(client);
}

void indoors_turn(struct indoors *world)
{
    list_foreach (node, &world->clients)
        give_input(list_entry(node, struct indoors_client, link));
    do {
        broker_turn(world->broker);
        list_foreach (node, &world->clients)
            take_output(list_entry(node, struct indoors_client, link));
    } while (!list_empty(&world->broker->ready));
    world->sim.disk.table->flush(&world->sim.disk);
}

void indoors_pass(struct indoors *world, int64_t ms)
{
    int64_t until = world->sim.now_ns + ms * CLOCK_NS_PER_MS;
    indoors_turn(world);
    while (sim_next_ns(&world->sim) <= until) {
        (void)sim_step(&world->sim);
        indoors_turn(world);
    }
    sim_run_until(&world->sim, until);
    indoors_turn(world);
}

/* ---- clients ---- */

static void wants_output(struct transport *transport)
{
    (void)transport; /* taken in each turn */
}

static void set_paused(struct transport *transport, bool paused)
{
    struct indoors_client *client = container_of(transport, struct indoors_client, transport);
    cr_assert_neq(client->paused, paused);
    client->paused = paused;
}

static void close_client(struct transport *transport)
{
    drop_connection(container_of(transport, struct indoors_client, transport));
}

struct indoors_client *indoors_connect(struct indoors *world)
{
    struct indoors_client *client = mem_zalloc(1, sizeof(*client));
    client->world = world;
    client->read_max = SIZE_MAX;
    client->transport = (struct transport){ wants_output, set_paused, close_client };
    client->endpoint = (struct endpoint){ "PLAINTEXT", bytes_text("broker.test"), 9092 };
    list_append(&world->clients, &client->link);
    client->connection = connection_create(
        world->broker, &client->transport, &client->endpoint, "10.0.0.1:1234", "/10.0.0.1");
    return client;
}

void indoors_leave(struct indoors_client *client)
{
    drop_connection(client);
    list_remove(&client->link);
    out_done(&client->received);
    out_done(&client->waiting);
    mem_free(client);
}

void indoors_send(struct indoors_client *client, const void *data, size_t len)
{
    out_bytes(&client->waiting, data, len);
    give_input(client);
}

void indoors_request(struct indoors_client *client, int16_t key, int16_t version,
    int32_t correlation_id, const void *body)
{
    struct out out = { 0 };
    cr_assert_eq(request_encode(
                     api_schema_find(key), version, correlation_id, bytes_text("test"), body, &out),
        0);
    indoors_send(client, out.data, out.len);
    out_done(&out);
}

/* The size of the whole answer in front, with its prefix; 0: none yet. */
static size_t front(const struct indoors_client *client)
{
    if (client->received.len < 4)
        return 0;
    size_t size = 4 + (size_t)be_get32(client->received.data);
    return client->received.len >= size ? size : 0;
}

static void drop_front(struct indoors_client *client, size_t size)
{
    memmove(client->received.data, client->received.data + size, client->received.len - size);
    client->received.len -= size;
}

void *indoors_answer(struct indoors_client *client, int16_t key, int16_t version,
    int32_t *ret_correlation_id, struct arena *arena)
{
    const struct api_schema *api = api_schema_find(key);
    struct response_header header;
    size_t size = front(client);
    if (size == 0)
        return NULL;
    /* The body borrows, so the bytes move into the arena. */
    uint8_t *copy = arena_copy(arena, client->received.data + 4, size - 4);
    void *body = arena_alloc(arena, api->response->body->size);
    cr_assert(copy && body);
    struct reader reader = reader_of(bytes_of(copy, size - 4));
    cr_assert_eq(response_header_decode(api, version, &reader, &header), 0);
    cr_assert_eq(codec_decode(api->response, version, &reader, arena, body), 0);
    cr_assert_eq(reader_left(&reader), 0);
    drop_front(client, size);
    *ret_correlation_id = header.correlation_id;
    return body;
}

int32_t indoors_next(struct indoors_client *client)
{
    size_t size = front(client);
    if (size == 0)
        return -1;
    int32_t correlation_id = (int32_t)be_get32(client->received.data + 4);
    drop_front(client, size);
    return correlation_id;
}
