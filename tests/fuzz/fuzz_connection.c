/*
 * fuzz_connection.c - what any client may send, to a whole broker indoors.
 *
 * Input: pieces, each a control byte and what it asks for: bytes for one of four connections (raw,
 * or as a frame with a right length), a connection that goes away, virtual time that passes. After
 * it every share of memory must have been given back.
 */
#include <stdint.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/connection.h"
#include "processors/workers.h"
#include "protocol/base/mem.h"
#include "tests/sim/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 4 };

struct world;

struct client {
    struct transport transport;
    struct connection *connection;
};

struct world {
    struct sim sim;
    struct workers_inline workers;
    struct broker_config config;
    struct broker *broker;
    struct endpoint endpoint;
    struct client clients[CLIENTS];
    bool closed;
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

static void drop(struct client *client)
{
    if (client->connection)
        connection_destroy(client->connection);
    client->connection = NULL;
}

static void close_client(struct transport *transport)
{
    drop(container_of(transport, struct client, transport));
}

static void failed(void *context, int status, const char *what)
{
    (void)context;
    (void)what;
    CHECK(status == 0); /* the simulated disk has no faults here */
}

static void open_world(struct world *world)
{
    static const char text[] = "log.dirs=/data\nmemory.limit=64MiB\nwal.file.bytes=1MiB\n"
                               "group.initial.rebalance.delay.ms=10\n";
    struct config_report report = { 0 };
    struct config_place place = { .home = "/home" };
    *world = (struct world){ .endpoint = { "PLAINTEXT", bytes_text("b"), 9092 } };
    sim_init(&world->sim, 1);
    world->sim.doors.say = NULL;
    workers_inline_init(&world->workers, &world->sim.work);
    broker_config_init(&world->config);
    broker_config_set_properties(&world->config, "fuzz", bytes_text(text), &report);
    broker_config_finish(&world->config, &place, &report);
    CHECK(report.errors.len == 0);
    config_report_done(&report);
    CHECK(broker_open(&world->broker, &world->config, &world->sim.doors, &world->workers.workers,
              failed, world) == 0);
}

static void turn(struct world *world)
{
    do {
        broker_turn(world->broker);
        for (int i = 0; i < CLIENTS; i++) {
            struct iovec iov;
            while (world->clients[i].connection &&
                   connection_output(world->clients[i].connection, &iov, 1))
                connection_sent(world->clients[i].connection, iov.iov_len);
        }
    } while (!list_empty(&world->broker->ready));
    world->sim.disk.table->flush(&world->sim.disk);
}

static void pass(struct world *world, int64_t ms)
{
    int64_t until = world->sim.now_ns + ms * CLOCK_NS_PER_MS;
    turn(world);
    while (sim_next_ns(&world->sim) <= until) {
        (void)sim_step(&world->sim);
        turn(world);
    }
    sim_run_until(&world->sim, until);
    turn(world);
}

static void send_bytes(struct world *world, struct client *client, const uint8_t *data, size_t len)
{
    size_t taken;
    if (!client->connection) {
        client->transport = (struct transport){ wants_output, set_paused, close_client };
        client->connection =
            connection_create(world->broker, &client->transport, &world->endpoint, "c", "/c");
    }
    if (connection_input(client->connection, data, len, &taken))
        drop(client);
}

static void closed(void *context, int status)
{
    CHECK(status == 0);
    ((struct world *)context)->closed = true;
}

static void close_world(struct world *world)
{
    for (int i = 0; i < CLIENTS; i++)
        drop(&world->clients[i]);
    CHECK(world->broker->memory.frames == 0);
    CHECK(world->broker->memory.requests == 0);
    CHECK(world->broker->memory.answers == 0);
    broker_close(world->broker, closed, world);
    for (int i = 0; i < 1000000 && !world->closed; i++) {
        turn(world);
        (void)sim_step(&world->sim);
    }
    CHECK(world->closed);
    broker_destroy(world->broker);
    broker_config_done(&world->config);
    sim_done(&world->sim);
}

/* Control byte: two bits of client, two of what, four of detail. Returns the bytes it took. */
static size_t play(struct world *world, const uint8_t *data, size_t size)
{
    struct client *client = &world->clients[data[0] & 3];
    uint8_t what = data[0] >> 2 & 3, detail = data[0] >> 4;
    if (what == 0) {
        drop(client);
        return 1;
    }
    if (what == 1) {
        pass(world, (int64_t)1 << detail);
        return 1;
    }
    if (size < 3)
        return size;
    size_t len = be_get16(data + 1), left = size - 3;
    len = len < left ? len : left;
    if (what == 2) {
        uint8_t head[4];
        be_put32(head, (uint32_t)len);
        send_bytes(world, client, head, sizeof(head));
    }
    send_bytes(world, client, data + 3, len);
    turn(world);
    return 3 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *world = mem_alloc(sizeof(*world));
    open_world(world);
    while (size > 0) {
        size_t taken = play(world, data, size);
        data += taken;
        size -= taken;
    }
    pass(world, 100);
    close_world(world);
    mem_free(world);
    return 0;
}
