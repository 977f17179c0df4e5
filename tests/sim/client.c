/*
 * See client.h.
 *
 * Up: requests are appended to `up`; `deliver` hands a piece to the broker, after a while the next.
 * While the broker has paused the connection nothing is delivered. Down: `collect` takes a piece of
 * what the broker has to say; whole answers are decoded and told to their calls.
 *
 * A connection ends by the client (`cut`), by the broker (transport.close, or an error of
 * connection_input), or with the broker's life. Then calls and role are told by clients_forget:
 * never inside of the broker.
 */
#include "tests/sim/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "protocol/error.h"

enum { ARENA_MAX = 64 << 20, IOV_MAX_COUNT = 6 };
enum { CORRELATION_AT = 8 }; /* in a request: size 4, API 2, version 2 */
static const int64_t ms_ns = CLOCK_NS_PER_MS;

static const struct endpoint endpoint = { "PLAINTEXT", { (const uint8_t *)"broker.sim", 10 },
    9092 };

static int64_t lag(struct client *client)
{
    return 1 + (int64_t)random_below(&client->world->random, (uint64_t)client->lag_ns);
}

void *scratch_alloc(struct world *world, size_t size)
{
    void *piece = arena_alloc(&world->scratch, size ? size : 1);
    CHECK(piece);
    return piece;
}

void *scratch_array(struct world *world, const struct struct_table *table, int32_t count)
{
    void *array = codec_array(&world->scratch, table, count);
    CHECK(array);
    return array;
}

/* ---- the end of a connection ---- */

static void let_go(struct client *client)
{
    struct world *world = client->world;
    connection_destroy(client->connection);
    client->connection = NULL;
    event_cancel(world, &client->deliver);
    event_cancel(world, &client->collect);
    if (client->delivered < client->up.len && client->delivered > 0)
        world->totals->half_requests++;
}

void client_forget(struct client *client)
{
    if (client->connection)
        return;
    bool was_connected = client->connected;
    client->connected = false;
    event_cancel(client->world, &client->cut);
    out_done(&client->up);
    out_done(&client->down);
    client->delivered = 0;
    struct list *node;
    while ((node = list_pop(&client->calls))) {
        client->call_count--;
        struct call *call = list_entry(node, struct call, link);
        client->world->moment++;
        call->answered(client, call, NULL);
    }
    if (was_connected)
        client->lost(client);
}

static void cut_fire(struct event *event)
{
    struct client *client = container_of(event, struct client, cut);
    if (client->connection) {
        client->world->totals->resets++;
        world_say(client->world, "%s: cuts its connection", client->name);
        let_go(client);
    }
    client_forget(client);
}

void client_reset(struct client *client)
{
    event_set(client->world, &client->cut, 0);
}

/* The broker ended it; the client hears of it in a moment. */
static void closed(struct client *client)
{
    struct world *world = client->world;
    bool short_of_memory =
        !list_empty(&world->broker->starving) || broker_answer_room(world->broker) == 0;
    let_go(client);
    world->totals->broker_closes++;
    world_say(world, "%s: the broker closed its connection", client->name);
    if (!client->may_be_closed && !short_of_memory && !world->stopping && !world->sim.dead)
        world_fail(world, "%s: the broker closed its connection, and had no reason", client->name);
    event_set(world, &client->cut, 0);
}

/* ---- the network ---- */

/* A piece of what is there: some bytes, a part, or all. */
static size_t piece(struct world *world, size_t len)
{
    switch (random_below(&world->random, 8)) {
    case 0: return 1 + random_below(&world->random, len < 16 ? len : 16);
    case 1:
    case 2: return 1 + random_below(&world->random, len);
    default: return len;
    }
}

static void deliver_fire(struct event *event)
{
    struct client *client = container_of(event, struct client, deliver);
    struct world *world = client->world;
    size_t left = client->up.len - client->delivered, taken = 0;
    if (!client->connection || client->paused || left == 0)
        return;
    size_t len = piece(world, left);
    int status =
        connection_input(client->connection, client->up.data + client->delivered, len, &taken);
    sim_note(&world->sim, client->up.data + client->delivered, taken);
    client->delivered += taken;
    if (status) {
        closed(client);
        return;
    }
    if (client->delivered == client->up.len)
        client->delivered = client->up.len = 0;
    else if (!client->paused)
        event_set(world, &client->deliver, lag(client));
}

static void wants_output(struct transport *transport)
{
    struct client *client = container_of(transport, struct client, transport);
    event_set(client->world, &client->collect, lag(client));
}

static void pause(struct transport *transport, bool paused)
{
    struct client *client = container_of(transport, struct client, transport);
    client->paused = paused;
    client->world->totals->pauses += paused;
    if (!paused)
        event_set(client->world, &client->deliver, lag(client));
}

static void close_now(struct transport *transport)
{
    closed(container_of(transport, struct client, transport));
}

static void answer(struct client *client, struct bytes frame)
{
    struct world *world = client->world;
    struct list *first = list_pop(&client->calls);
    if (!first)
        world_fail(world, "%s: an answer to nothing", client->name);
    struct call *call = list_entry(first, struct call, link);
    struct reader reader = reader_of(frame);
    struct response_header header;
    void *body = arena_alloc(&client->arena, call->schema->response->body->size);
    client->call_count--;
    if (response_header_decode(call->schema, call->version, &reader, &header) ||
        codec_decode(call->schema->response, call->version, &reader, &client->arena, body) ||
        reader_left(&reader))
        world_fail(world, "%s: a malformed answer to %s %d: %s %s", client->name,
            call->schema->name, call->version, reader.field ? reader.field : "",
            reader.reason ? reader.reason : "");
    if (header.correlation_id != call->correlation)
        world_fail(world, "%s: answer %" PRId32 " where %" PRId32 " is due (%s)", client->name,
            header.correlation_id, call->correlation, call->schema->name);
    world->moment++;
    world->totals->answers++;
    call->answered(client, call, body);
    arena_reset(&client->arena);
}

static void understand(struct client *client)
{
    size_t at = 0;
    while (client->down.len - at >= 4) {
        size_t len = be_get32(client->down.data + at);
        if (client->down.len - at - 4 < len)
            break;
        answer(client, bytes_of(client->down.data + at + 4, len));
        at += 4 + len;
    }
    if (at == 0)
        return;
    memmove(client->down.data, client->down.data + at, client->down.len - at);
    client->down.len -= at;
}

/* Takes up to `most` bytes; how many there were. */
static size_t collect(struct client *client, size_t most)
{
    struct iovec iov[IOV_MAX_COUNT];
    int count = connection_output(client->connection, iov, IOV_MAX_COUNT);
    size_t taken = 0;
    for (int i = 0; i < count && taken < most; i++) {
        size_t len = iov[i].iov_len < most - taken ? iov[i].iov_len : most - taken;
        out_bytes(&client->down, iov[i].iov_base, len);
        sim_note(&client->world->sim, iov[i].iov_base, len);
        taken += len;
    }
    if (taken)
        connection_sent(client->connection, taken);
    return taken;
}

static void collect_fire(struct event *event)
{
    struct client *client = container_of(event, struct client, collect);
    struct world *world = client->world;
    if (!client->connection)
        return;
    if (!world->calm && !client->alone && world_chance(world, 1, 400)) {
        world->totals->stalls++;
        int64_t pause_ns = world_pick(world, 1, 20000) * ms_ns;
        client->stalled_ns = world->sim.now_ns + pause_ns;
        event_set(world, &client->collect, pause_ns);
        return;
    }
    if (collect(client, piece(world, 1 << 16)) == 0)
        return;
    event_set(world, &client->collect, lag(client));
    understand(client);
}

/* ---- requests ---- */

bool client_connect(struct client *client)
{
    struct world *world = client->world;
    if (client->connection)
        return true;
    if (!world->broker || world->stopping || heap_node_in(&client->cut.node))
        return false;
    world->totals->connects++;
    client->paused = false;
    client->connected = true;
    client->lag_ns = world_chance(world, 1, 12) ? 200 * ms_ns : ms_ns / 2;
    client->connection =
        connection_create(world->broker, &client->transport, &endpoint, client->name, "/127.0.0.1");
    if (!world->calm && !client->alone && world_chance(world, 1, 3))
        event_set(world, &client->cut, world_pick(world, 0, 6000) * ms_ns);
    return true;
}

static void call_begin(
    struct client *client, struct call *call, const struct api_schema *schema, int16_t version)
{
    struct world *world = client->world;
    call->schema = schema;
    call->version = version;
    call->correlation = client->next_correlation++;
    call->sent = ++world->moment;
    call->sent_ns = world->sim.now_ns;
    world->totals->requests++;
    world_say(
        world, "%s: %s %d (%" PRId32 ")", client->name, schema->name, version, call->correlation);
}

static void call_wait(struct client *client, struct call *call)
{
    list_append(&client->calls, &call->link);
    client->call_count++;
}

void client_send(struct client *client, struct call *call, int16_t api, int16_t version,
    const void *body, bool without_answer)
{
    struct world *world = client->world;
    CHECK(client->connection);
    call_begin(client, call, api_schema_find(api), version);
    client->newest = client->up.len;
    CHECK(request_encode(call->schema, version, call->correlation, bytes_text(client->name), body,
              &client->up) == 0);
    arena_reset(&world->scratch);
    if (without_answer)
        mem_free(call);
    else
        call_wait(client, call);
    if (!client->paused && !heap_node_in(&client->deliver.node))
        event_set(world, &client->deliver, lag(client));
}

void client_send_again(struct client *client, struct call *copy, const struct call *call)
{
    size_t at = client->newest, len = client->up.len - at;
    CHECK(call->correlation == client->next_correlation - 1);
    call_begin(client, copy, call->schema, call->version);
    uint8_t *to = out_add(&client->up, len);
    memcpy(to, client->up.data + at, len);
    be_put32(client->up.data + client->up.len - len + CORRELATION_AT, (uint32_t)copy->correlation);
    call_wait(client, copy);
}

int16_t client_version(struct client *client, int16_t api, int16_t min)
{
    struct versions served = api_schema_find(api)->served;
    return (int16_t)world_pick(client->world, min > served.min ? min : served.min, served.max);
}

void client_again(struct client *client, int64_t ms_max)
{
    event_set(client->world, &client->act,
        1 + (int64_t)random_below(&client->world->random, (uint64_t)(ms_max * ms_ns)));
}

void client_disconnect(struct client *client, bool drain)
{
    if (!client->connection)
        return;
    while (drain && collect(client, SIZE_MAX))
        continue;
    let_go(client);
    if (drain)
        understand(client);
}

/* ---- life ---- */

static void act_fire(struct event *event)
{
    struct client *client = container_of(event, struct client, act);
    client->step(client);
}

void client_init(struct client *client, struct world *world, const char *role, int index)
{
    client->world = world;
    client->role = role;
    client->index = index;
    (void)snprintf(client->name, sizeof(client->name), "%s-%d", role, index);
    client->transport =
        (struct transport){ .wants_output = wants_output, .pause = pause, .close = close_now };
    client->deliver.fire = deliver_fire;
    client->collect.fire = collect_fire;
    client->cut.fire = cut_fire;
    client->act.fire = act_fire;
    client->next_correlation = (int32_t)random_below(&world->random, INT32_MAX / 2);
    arena_init(&client->arena, ARENA_MAX);
    list_init(&client->calls);
    list_append(&world->clients, &client->link);
    client_again(client, 20);
}

void client_done(struct client *client)
{
    CHECK(!client->connection);
    event_cancel(client->world, &client->act);
    event_cancel(client->world, &client->cut);
    list_remove(&client->link);
    out_done(&client->up);
    out_done(&client->down);
    arena_done(&client->arena);
}
