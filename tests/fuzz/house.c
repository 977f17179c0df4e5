/* See house.h. */
#include "tests/fuzz/house.h"

#include <stdio.h>

#include "broker/api.h"
#include "protocol/base/arena.h"
#include "protocol/base/mem.h"
#include "protocol/header.h"
#include "protocol/messages.h"

enum { ANSWER_ARENA_MAX = 64 << 20 };

/* A request that was sent whole. */
struct due {
    const struct api_schema *api; /* NULL: nobody can answer it */
    bool silent;                  /* a Produce without acks: it may be refused by a close only */
    int16_t version;
    int32_t correlation_id;
};

/* ---- what is due ---- */

static bool is_silent(struct bytes frame)
{
    struct request_header header;
    struct produce_request body;
    struct reader reader = reader_of(frame);
    struct arena arena;
    arena_init(&arena, ANSWER_ARENA_MAX);
    bool silent = request_header_decode(&reader, &header) == 0 &&
                  header.request_api_key == API_PRODUCE &&
                  codec_decode(&produce_request_message, header.request_api_version, &reader,
                      &arena, &body) == 0 &&
                  body.acks == 0;
    arena_done(&arena);
    return silent;
}

static void note_request(struct house_client *client, struct bytes frame)
{
    struct due due = { 0 };
    if (frame.len >= 8) {
        int16_t key = (int16_t)be_get16(frame.data), version = (int16_t)be_get16(frame.data + 2);
        if (api_find(key))
            due.api = api_schema_find(key);
        if (due.api && !versions_have(due.api->served, version))
            version = key == API_API_VERSIONS ? 0 : version;
        due.version = version;
        due.silent = is_silent(frame);
        due.correlation_id = (int32_t)be_get32(frame.data + 4);
    }
    out_bytes(&client->due, &due, sizeof(due));
}

static void drop_front(struct out *out, size_t len)
{
    out->len -= len;
    if (out->len > 0)
        memmove(out->data, out->data + len, out->len);
}

static void note_sent(struct house_client *client, const uint8_t *data, size_t len)
{
    struct out *sent = &client->sent;
    size_t at = 0;
    out_bytes(sent, data, len);
    while (sent->len - at >= 4 && sent->len - at - 4 >= be_get32(sent->data + at)) {
        size_t size = be_get32(sent->data + at);
        note_request(client, bytes_of(sent->data + at + 4, size));
        at += 4 + size;
    }
    drop_front(sent, at);
}

/* The request that this answer belongs to. */
static struct due take_due(struct house_client *client, int32_t correlation_id)
{
    while (client->due_first < client->due.len) {
        struct due due;
        memcpy(&due, client->due.data + client->due_first, sizeof(due));
        client->due_first += sizeof(due);
        CHECK(due.api); /* nobody can answer it, nor what came behind it */
        if (due.silent)
            continue;
        CHECK(due.correlation_id == correlation_id);
        return due;
    }
    check_failed(__FILE__, __LINE__, "an answer that nobody asked for");
}

static void hear(struct house_client *client, const uint8_t *data, size_t len)
{
    struct house *house = client->house;
    struct response_header header;
    struct arena arena;
    CHECK(len >= 4);
    struct due due = take_due(client, (int32_t)be_get32(data));
    arena_init(&arena, ANSWER_ARENA_MAX);
    void *body = arena_alloc(&arena, due.api->response->body->size);
    struct reader reader = reader_of(bytes_of(data, len));
    CHECK(response_header_decode(due.api, due.version, &reader, &header) == 0);
    CHECK(codec_decode(due.api->response, due.version, &reader, &arena, body) == 0);
    CHECK(reader_left(&reader) == 0);
    house->answers++;
    if (house->answered)
        house->answered(house->context, due.api, due.version, body);
    arena_done(&arena);
}

static void hear_all(struct house_client *client)
{
    struct out *received = &client->received;
    size_t at = 0;
    while (received->len - at >= 4 && received->len - at - 4 >= be_get32(received->data + at)) {
        size_t size = be_get32(received->data + at);
        hear(client, received->data + at + 4, size);
        at += 4 + size;
    }
    drop_front(received, at);
}

/* ---- clients ---- */

static void wants_output(struct transport *transport)
{
    (void)transport; /* taken in each turn */
}

static void set_paused(struct transport *transport, bool paused)
{
    container_of(transport, struct house_client, transport)->paused = paused;
}

static void forget(struct house_client *client)
{
    client->connection = NULL;
    client->waiting.len = client->sent.len = client->received.len = 0;
    client->due.len = client->due_first = 0;
    client->paused = false;
}

void house_drop(struct house_client *client)
{
    if (client->connection)
        connection_destroy(client->connection);
    forget(client);
}

static void close_client(struct transport *transport)
{
    house_drop(container_of(transport, struct house_client, transport));
}

bool house_is_open(const struct house_client *client)
{
    return client->connection != NULL;
}

static void give_input(struct house_client *client)
{
    size_t taken;
    if (!client->connection || client->waiting.len == 0)
        return;
    int status =
        connection_input(client->connection, client->waiting.data, client->waiting.len, &taken);
    if (status) {
        house_drop(client);
        return;
    }
    note_sent(client, client->waiting.data, taken);
    drop_front(&client->waiting, taken);
}

void house_send(struct house_client *client, const void *data, size_t len)
{
    struct house *house = client->house;
    if (!client->connection) {
        client->transport = (struct transport){ wants_output, set_paused, close_client };
        client->connection =
            connection_create(house->broker, &client->transport, &house->endpoint, "c", "/c");
    }
    out_bytes(&client->waiting, data, len);
    give_input(client);
}

static void take_output(struct house_client *client)
{
    struct iovec iov[3];
    int count;
    while (client->connection && (count = connection_output(client->connection, iov, 3)) > 0) {
        size_t len = 0;
        for (int i = 0; i < count; i++) {
            out_bytes(&client->received, iov[i].iov_base, iov[i].iov_len);
            len += iov[i].iov_len;
        }
        connection_sent(client->connection, len);
    }
    if (client->connection)
        hear_all(client);
}

/* ---- time ---- */

void house_turn(struct house *house)
{
    for (int i = 0; i < HOUSE_CLIENTS; i++)
        give_input(&house->clients[i]);
    do {
        broker_turn(house->broker);
        for (int i = 0; i < HOUSE_CLIENTS; i++)
            take_output(&house->clients[i]);
    } while (!list_empty(&house->broker->ready));
    house->sim.disk.table->flush(&house->sim.disk);
}

void house_pass(struct house *house, int64_t ms)
{
    int64_t until = house->sim.now_ns + ms * CLOCK_NS_PER_MS;
    house_turn(house);
    while (sim_next_ns(&house->sim) <= until) {
        (void)sim_step(&house->sim);
        house_turn(house);
    }
    sim_run_until(&house->sim, until);
    house_turn(house);
}

/* ---- life ---- */

static void failed(void *context, int status, const char *what)
{
    (void)context;
    (void)fprintf(stderr, "the log failed: %s: %d\n", what, status);
    CHECK(status == 0); /* the simulated disk has no faults here */
}

void house_start(struct house *house, const char *properties)
{
    struct config_report report = { 0 };
    struct config_place place = { .home = "/home" };
    broker_config_init(&house->config);
    broker_config_set_properties(&house->config, "house", bytes_text(properties), &report);
    broker_config_finish(&house->config, &place, &report);
    CHECK(report.errors.len == 0);
    config_report_done(&report);
    house->stopped = false;
    workers_inline_init(&house->workers, &house->sim.work);
    CHECK(broker_open(&house->broker, &house->config, &house->sim.doors, &house->workers.workers,
              failed, house) == 0);
}

void house_open(struct house *house, uint64_t seed, const char *properties)
{
    *house = (struct house){ .endpoint = { "PLAINTEXT", bytes_text("b"), 9092 } };
    sim_init(&house->sim, seed);
    house->sim.doors.say = NULL;
    for (int i = 0; i < HOUSE_CLIENTS; i++)
        house->clients[i].house = house;
    house_start(house, properties);
}

static void stopped(void *context, int status)
{
    CHECK(status == 0);
    ((struct house *)context)->stopped = true;
}

static void end_life(struct house *house)
{
    broker_destroy(house->broker);
    broker_config_done(&house->config);
    house->broker = NULL;
}

void house_stop(struct house *house)
{
    for (int i = 0; i < HOUSE_CLIENTS; i++)
        house_drop(&house->clients[i]);
    CHECK(house->broker->memory.frames == 0);
    CHECK(house->broker->memory.requests == 0);
    CHECK(house->broker->memory.answers == 0);
    broker_close(house->broker, stopped, house);
    for (int i = 0; i < 1000000 && !house->stopped; i++) {
        house_turn(house);
        (void)sim_step(&house->sim);
    }
    CHECK(house->stopped);
    end_life(house);
}

void house_crash(struct house *house, bool power)
{
    if (power)
        sim_power(&house->sim);
    else
        sim_kill(&house->sim);
    for (int i = 0; i < HOUSE_CLIENTS; i++)
        house_drop(&house->clients[i]);
    end_life(house);
    sim_restart(&house->sim);
}

void house_done(struct house *house)
{
    for (int i = 0; i < HOUSE_CLIENTS; i++) {
        out_done(&house->clients[i].waiting);
        out_done(&house->clients[i].sent);
        out_done(&house->clients[i].due);
        out_done(&house->clients[i].received);
    }
    sim_done(&house->sim);
}
