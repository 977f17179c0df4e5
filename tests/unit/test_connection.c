/*
 * test_connection.c - bytes → frames → requests → answers → bytes, with the real broker behind, in
 * virtual time.
 */
#include <stdio.h>

#include "broker/overrides.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/header.h"
#include "protocol/messages.h"
#include "tests/indoors.h"
#include "tests/messages.h"
#include "tests/test.h"

static struct api_versions_request api_versions_body(void)
{
    struct api_versions_request body;
    codec_defaults(&api_versions_request_message, &body);
    body.client_software_name = bytes_text("test");
    body.client_software_version = bytes_text("1.0");
    return body;
}

static void ask_versions(struct indoors_client *client, int16_t version, int32_t correlation_id)
{
    struct api_versions_request body = api_versions_body();
    indoors_request(client, API_API_VERSIONS, version, correlation_id, &body);
}

/* Joins a group by a version that waits for the group's first rebalance. */
static void ask_join(struct indoors_client *client, const char *group, int32_t correlation_id)
{
    struct join_group_request body;
    struct join_group_request_protocol protocol;
    codec_defaults(&join_group_request_message, &body);
    struct_defaults(&join_group_request_protocol_table, &protocol);
    protocol.name = bytes_text("range");
    protocol.metadata = bytes_text("x");
    body.group_id = bytes_text(group);
    body.session_timeout_ms = body.rebalance_timeout_ms = 60000;
    body.member_id = bytes_of("", 0);
    body.protocol_type = bytes_text("consumer");
    body.protocols = &protocol;
    body.protocols_count = 1;
    indoors_request(client, API_JOIN_GROUP, 3, correlation_id, &body);
}

static const char delay[] = "group.initial.rebalance.delay.ms=100\n";

/* ---- ApiVersions ---- */

TEST(connection, api_versions_of_every_version)
{
    struct indoors world;
    indoors_open(&world, "");
    struct indoors_client *client = indoors_connect(&world);
    for (int16_t version = 0; version <= 4; version++) {
        struct arena arena;
        int32_t correlation_id;
        arena_init(&arena, 100000);
        ask_versions(client, version, 7 + version);
        indoors_turn(&world);
        struct api_versions_response *answer =
            indoors_answer(client, API_API_VERSIONS, version, &correlation_id, &arena);
        cr_assert_not_null(answer);
        cr_assert_eq(correlation_id, 7 + version);
        cr_assert_eq(answer->error_code, 0);
        cr_assert_gt(answer->api_keys_count, 5);
        for (int i = 0; i < answer->api_keys_count; i++) {
            const struct api_schema *schema = api_schema_find(answer->api_keys[i].api_key);
            cr_assert_eq(answer->api_keys[i].min_version, schema->advertised.min);
            cr_assert_eq(answer->api_keys[i].max_version, schema->advertised.max);
        }
        arena_done(&arena);
    }
    indoors_close(&world);
}

/* KIP-511: version 0's form, UNSUPPORTED_VERSION, our range. */
TEST(connection, api_versions_of_an_unknown_version)
{
    static const int16_t versions[] = { 5, 99, 32767, -1 };
    struct indoors world;
    indoors_open(&world, "");
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
        /* Header v2, and a body that nobody knows. */
        uint8_t frame[] = { 0, 0, 0, 17, 0, 18, 0, 0, 0, 0, 0, 9, 0, 2, 'm', 'e', 0, 0xff, 0xff,
            0xff, 0xff };
        struct arena arena;
        int32_t correlation_id;
        struct indoors_client *client = indoors_connect(&world);
        be_put16(frame + 6, (uint16_t)versions[i]);
        arena_init(&arena, 100000);
        indoors_send(client, frame, sizeof(frame));
        indoors_turn(&world);
        struct api_versions_response *answer =
            indoors_answer(client, API_API_VERSIONS, 0, &correlation_id, &arena);
        cr_assert_not_null(answer, "version %d", versions[i]);
        cr_assert_eq(correlation_id, 9);
        cr_assert_eq(answer->error_code, KAFKA_ERROR_UNSUPPORTED_VERSION);
        cr_assert_eq(answer->api_keys_count, 1);
        cr_assert_eq(answer->api_keys[0].api_key, 18);
        cr_assert_eq(answer->api_keys[0].max_version, 4);
        arena_done(&arena);
        ask_versions(client, 4, 10);
        indoors_turn(&world);
        cr_assert_eq(indoors_next(client), 10);
    }
    indoors_close(&world);
}

TEST(connection, api_versions_wants_a_name)
{
    static const char *const bad[] = { "", "-a", "a-", ".", "a b", "a\xc3\xa9" };
    struct indoors world;
    indoors_open(&world, "");
    struct indoors_client *client = indoors_connect(&world);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct api_versions_request body = api_versions_body();
        struct arena arena;
        int32_t correlation_id;
        arena_init(&arena, 100000);
        body.client_software_name = bytes_text(bad[i]);
        indoors_request(client, API_API_VERSIONS, 3, 1, &body);
        indoors_turn(&world);
        struct api_versions_response *answer =
            indoors_answer(client, API_API_VERSIONS, 3, &correlation_id, &arena);
        cr_assert_not_null(answer);
        cr_assert_eq(answer->error_code, KAFKA_ERROR_INVALID_REQUEST, "'%s'", bad[i]);
        arena_done(&arena);
    }
    indoors_close(&world);
}

/* ---- frames ---- */

TEST(connection, split_at_every_byte)
{
    struct indoors world;
    struct out two = { 0 };
    struct api_versions_request body = api_versions_body();
    const struct api_schema *schema = api_schema_find(API_API_VERSIONS);
    indoors_open(&world, "");
    cr_assert_eq(request_encode(schema, 3, 1, bytes_text("me"), &body, &two), 0);
    cr_assert_eq(request_encode(schema, 0, 2, bytes_text("me"), &body, &two), 0);
    for (size_t at = 0; at <= two.len; at++) {
        struct indoors_client *client = indoors_connect(&world);
        indoors_send(client, two.data, at);
        indoors_turn(&world);
        indoors_send(client, two.data + at, two.len - at);
        indoors_turn(&world);
        cr_assert_eq(indoors_next(client), 1);
        cr_assert_eq(indoors_next(client), 2);
        cr_assert_eq(indoors_next(client), -1);
        indoors_leave(client);
    }
    struct indoors_client *client = indoors_connect(&world);
    for (size_t at = 0; at < two.len; at++) {
        indoors_send(client, two.data + at, 1);
        indoors_turn(&world);
    }
    cr_assert_eq(indoors_next(client), 1);
    cr_assert_eq(indoors_next(client), 2);
    out_done(&two);
    indoors_close(&world);
}

/* Closed, and a line that says why. */
static void expect_closed(struct indoors *world, const void *data, size_t len, const char *why)
{
    struct indoors_client *client = indoors_connect(world);
    indoors_pass(world, 1000); /* a second for each line */
    world->said.len = 0;
    indoors_send(client, data, len);
    indoors_turn(world);
    out_bytes(&world->said, "", 1);
    cr_assert_null(client->connection, "not closed: %s", why);
    cr_assert(strstr((const char *)world->said.data, why), "'%s' lacks '%s'",
        (const char *)world->said.data, why);
    indoors_leave(client);
}

TEST(connection, what_is_no_request_is_closed_with_a_reason)
{
    static const uint8_t tls[] = { 0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3 };
    static const uint8_t negative[] = { 0xff, 0xff, 0xff, 0xff };
    static const uint8_t giant[] = { 0x7f, 0xff, 0xff, 0xff };
    static const uint8_t empty[] = { 0, 0, 0, 0 };
    static const uint8_t key[] = { 0, 0, 0, 10, 0, 99, 0, 7, 0, 0, 0, 1, 0xff, 0xff };
    static const uint8_t version[] = { 0, 0, 0, 11, 0, 11, 0, 77, 0, 0, 0, 1, 0xff, 0xff, 0 };
    static const uint8_t header[] = { 0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0, 9 };
    static const uint8_t cut[] = { 0, 0, 0, 12, 0, 12, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 9 };
    struct indoors world;
    indoors_open(&world, "");
    expect_closed(&world, tls, sizeof(tls), "speaks TLS");
    expect_closed(&world, "GET / HTTP/1.1\r\n", 16, "speaks HTTP");
    expect_closed(&world, negative, sizeof(negative), "negative");
    expect_closed(&world, "SSH-2.0-OpenSSH", 15, "speaks no Kafka");
    expect_closed(&world, "*1\r\n$4\r\nPING", 13, "speaks no Kafka");
    expect_closed(
        &world, giant, sizeof(giant), "of 2147483647 bytes is larger than 33554432 bytes");
    expect_closed(&world, empty, sizeof(empty), "malformed request header");
    expect_closed(&world, key, sizeof(key), "API key 99 (version 7) is not offered");
    expect_closed(&world, version, sizeof(version), "JoinGroup version 77 is not served (0 to 9");
    expect_closed(&world, header, sizeof(header), "malformed request header");
    expect_closed(&world, cut, sizeof(cut), "malformed Heartbeat version 0, field GroupId");
    cr_assert_eq(world.broker->counters.bad_frames, 11);
    indoors_close(&world);
}

TEST(connection, lines_about_clients_are_few)
{
    struct indoors world;
    indoors_open(&world, "");
    indoors_pass(&world, 1000);
    world.said.len = 0;
    for (int i = 0; i < 100; i++) {
        struct indoors_client *client = indoors_connect(&world);
        indoors_send(client, "GET / HTTP/1.1\r\n", 16);
        indoors_leave(client);
    }
    size_t lines = 0;
    for (size_t i = 0; i < world.said.len; i++)
        lines += world.said.data[i] == '\n';
    cr_assert_leq(lines, 6);
    cr_assert_geq(lines, 1);
    indoors_close(&world);
}

/* ---- order and limits ---- */

TEST(connection, answers_leave_in_order)
{
    struct indoors world;
    indoors_open(&world, delay);
    struct indoors_client *client = indoors_connect(&world);
    ask_versions(client, 0, 1);
    ask_join(client, "g", 2);
    ask_versions(client, 0, 3);
    ask_versions(client, 3, 4);
    indoors_turn(&world);
    cr_assert_eq(indoors_next(client), 1);
    cr_assert_eq(indoors_next(client), -1, "the join has not ended");
    indoors_pass(&world, 200);
    cr_assert_eq(indoors_next(client), 2);
    cr_assert_eq(indoors_next(client), 3);
    cr_assert_eq(indoors_next(client), 4);
    indoors_close(&world);
}

TEST(connection, pipelined_requests_are_limited_and_all_answered)
{
    struct indoors world;
    indoors_open(&world, "group.initial.rebalance.delay.ms=100\n"
                         "connection.inflight.requests.max=10\n");
    struct indoors_client *client = indoors_connect(&world);
    for (int i = 0; i < 35; i++) {
        char group[20];
        (void)snprintf(group, sizeof(group), "g%d", i);
        ask_join(client, group, i);
        indoors_turn(&world);
    }
    cr_assert(client->paused);
    cr_assert_eq(world.broker->counters.requests, 10);
    for (int i = 0; i < 35; i++) {
        if (i % 10 == 0)
            indoors_pass(&world, 200);
        cr_assert_eq(indoors_next(client), i);
    }
    cr_assert_not(client->paused);
    indoors_close(&world);
}

TEST(connection, bytes_in_flight_are_limited)
{
    struct indoors world;
    indoors_open(&world, "group.initial.rebalance.delay.ms=100\n"
                         "connection.inflight.bytes.max=4096\n");
    struct indoors_client *client = indoors_connect(&world);
    char group[2001];
    memset(group, 'g', 2000);
    group[2000] = 0;
    for (int i = 0; i < 5; i++) {
        group[0] = (char)('a' + i);
        ask_join(client, group, i);
    }
    indoors_turn(&world);
    cr_assert_eq(world.broker->counters.requests, 2); /* the second passes the limit */
    indoors_pass(&world, 400);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(indoors_next(client), i);
    indoors_close(&world);
}

TEST(connection, a_client_that_does_not_read_is_not_handled_on)
{
    enum { COUNT = 40000 };
    struct indoors world;
    indoors_open(&world, "");
    struct indoors_client *client = indoors_connect(&world);
    client->read_max = 0;
    for (int i = 0; i < COUNT; i++) {
        ask_versions(client, 0, i);
        if (i % 1000 == 0)
            indoors_turn(&world);
    }
    indoors_turn(&world);
    cr_assert(client->paused);
    cr_assert_lt(world.broker->memory.answers, CONNECTION_OUTPUT_MAX + 10000);
    cr_assert_lt(world.broker->counters.requests, COUNT);
    client->read_max = 10007; /* an odd amount each turn */
    for (int i = 0; i < COUNT; i++) {
        int32_t next;
        while ((next = indoors_next(client)) == -1)
            indoors_turn(&world);
        cr_assert_eq(next, i);
    }
    indoors_close(&world);
}

TEST(connection, goes_away_while_its_requests_wait)
{
    struct indoors world;
    indoors_open(&world, delay);
    for (int i = 0; i < 3; i++) {
        struct indoors_client *client = indoors_connect(&world);
        ask_join(client, "g", 1);
        ask_join(client, "h", 2);
        ask_versions(client, 0, 3);
        indoors_turn(&world);
        indoors_leave(client);
    }
    indoors_pass(&world, 1000);
    indoors_close(&world);
}

TEST(connection, idle_ones_are_closed)
{
    struct indoors world;
    indoors_open(&world, "connections.max.idle.ms=1000\ngroup.initial.rebalance.delay.ms=5000\n");
    struct indoors_client *idle = indoors_connect(&world), *busy = indoors_connect(&world);
    struct indoors_client *waiting = indoors_connect(&world);
    ask_join(waiting, "g", 1);
    for (int i = 0; i < 4; i++) {
        ask_versions(busy, 0, i);
        indoors_pass(&world, 500);
    }
    cr_assert_null(idle->connection);
    cr_assert_not_null(busy->connection);
    cr_assert_not_null(waiting->connection);
    indoors_close(&world);
}

/* Bytes that come are no request: whoever sends them one by one is closed too. */
TEST(connection, the_first_request_has_a_deadline)
{
    struct indoors world;
    indoors_open(&world, "connections.first.request.max.ms=2000\n");
    struct indoors_client *silent = indoors_connect(&world), *slow = indoors_connect(&world);
    struct indoors_client *good = indoors_connect(&world);
    ask_versions(good, 0, 1);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(silent->connection != NULL, i < 4, "after %d ms", i * 500);
        cr_assert_eq(slow->connection != NULL, i < 4);
        indoors_send(slow, &"\0\0\0\x10\0\x12"[i], 1);
        indoors_pass(&world, 500);
    }
    cr_assert_not_null(good->connection, "after the first there is only connections.max.idle.ms");
    indoors_close(&world);
}

/* ---- memory ---- */

static void announce(struct indoors_client *client, uint32_t size)
{
    uint8_t head[5000];
    memset(head, 0, sizeof(head));
    be_put32(head, size);
    head[5] = 18;
    indoors_send(client, head, sizeof(head));
}

TEST(connection, large_requests_share_memory)
{
    enum { SIZE = 20 << 20 };
    struct indoors world;
    indoors_open(&world, "");
    struct indoors_client *first = indoors_connect(&world), *second = indoors_connect(&world);
    struct indoors_client *small = indoors_connect(&world);
    announce(first, SIZE);
    announce(second, SIZE);
    indoors_turn(&world);
    cr_assert_not(first->paused);
    cr_assert(second->paused);
    ask_versions(small, 0, 1);
    indoors_turn(&world);
    cr_assert_eq(indoors_next(small), 1);
    /* ApiVersions v0 of 20 MiB: what is behind its body does not matter to it. */
    uint8_t *rest = mem_zalloc(1, SIZE);
    indoors_send(first, rest, SIZE + 4 - 5000);
    indoors_turn(&world);
    cr_assert_eq(indoors_next(first), 0);
    cr_assert_not(second->paused);
    indoors_send(second, rest, SIZE + 4 - 5000);
    indoors_turn(&world);
    cr_assert_eq(indoors_next(second), 0);
    mem_free(rest);
    indoors_close(&world);
}

TEST(connection, who_holds_memory_and_stalls_is_closed_when_others_wait)
{
    enum { SIZE = 20 << 20 };
    struct indoors world;
    indoors_open(&world, "connections.first.request.max.ms=-1\n");
    struct indoors_client *first = indoors_connect(&world), *second = indoors_connect(&world);
    announce(first, SIZE);
    indoors_pass(&world, 60000);
    cr_assert_not_null(first->connection, "nobody waits, so nobody minds");
    announce(second, SIZE);
    indoors_pass(&world, 3000);
    cr_assert_null(first->connection);
    cr_assert_not_null(second->connection);
    cr_assert_not(second->paused);
    indoors_close(&world);
}

/* An empty name is two bytes of a frame and 32 of memory. */
TEST(connection, decoding_takes_a_bounded_amount_of_memory)
{
    enum { COUNT = 20000 };
    struct indoors world;
    struct out frame = { 0 };
    indoors_open(&world, "");
    struct indoors_client *client = indoors_connect(&world);
    indoors_pass(&world, 1000);
    be_put32(out_add(&frame, 4), 10 + 4 + 2 * COUNT);
    out_bytes(&frame, "\0\3\0\1\0\0\0\1\xff\xff", 10); /* Metadata version 1 */
    be_put32(out_add(&frame, 4), COUNT);
    memset(out_add(&frame, 2 * COUNT), 0, 2 * COUNT);
    world.said.len = 0;
    indoors_send(client, frame.data, frame.len);
    indoors_turn(&world);
    out_bytes(&world.said, "", 1);
    cr_assert_null(client->connection);
    cr_assert(strstr((const char *)world.said.data, "more elements than its size allows"), "%s",
        (const char *)world.said.data);
    out_done(&frame);
    indoors_close(&world);
}

/* One greedy client and many modest ones: at the share of memory the greedy one waits. */
TEST(connection, pipelines_share_memory_but_one_request_each_goes_on)
{
    enum { GREEDY = 60, MODEST = 10 };
    struct indoors world;
    indoors_open(&world, "group.initial.rebalance.delay.ms=1000\n");
    world.config.requests_bytes_max = 20000;
    overrides_changed(world.broker->overrides);
    struct indoors_client *greedy = indoors_connect(&world), *modest[MODEST];
    char group[20];
    for (int i = 0; i < GREEDY; i++) {
        (void)snprintf(group, sizeof(group), "g%d", i);
        ask_join(greedy, group, i);
    }
    indoors_turn(&world);
    uint64_t taken = world.broker->counters.requests;
    cr_assert_lt(taken, GREEDY);
    cr_assert_lt(world.broker->memory.requests, 22000);
    for (int i = 0; i < MODEST; i++) {
        modest[i] = indoors_connect(&world);
        (void)snprintf(group, sizeof(group), "m%d", i);
        ask_join(modest[i], group, i);
    }
    indoors_turn(&world);
    cr_assert_eq(world.broker->counters.requests, taken + MODEST);
    indoors_pass(&world, 10000);
    for (int i = 0; i < GREEDY; i++)
        cr_assert_eq(indoors_next(greedy), i);
    for (int i = 0; i < MODEST; i++)
        cr_assert_eq(indoors_next(modest[i]), i);
    indoors_close(&world);
}

/* At twice the share nobody gets anything, until something has left. */
TEST(connection, handling_stops_when_memory_is_used_up)
{
    enum { CLIENTS = 100 };
    struct indoors world;
    indoors_open(&world, "group.initial.rebalance.delay.ms=1000\n");
    world.config.requests_bytes_max = 10000;
    overrides_changed(world.broker->overrides);
    struct indoors_client *clients[CLIENTS];
    char group[20];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = indoors_connect(&world);
        (void)snprintf(group, sizeof(group), "g%d", i);
        ask_join(clients[i], group, i);
    }
    indoors_turn(&world);
    cr_assert_lt(world.broker->counters.requests, CLIENTS);
    cr_assert_lt(world.broker->memory.requests, 22000);
    indoors_pass(&world, 20000);
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_eq(indoors_next(clients[i]), i);
    indoors_close(&world);
}

/* A few bytes ask for all topics. Many connections do, and none of them reads. */
TEST(connection, long_answers_are_not_made_without_memory_for_them)
{
    enum { CLIENTS = 40, TOPICS = 200 };
    struct indoors world;
    struct arena arena;
    struct create_topics_request create;
    indoors_open(&world, "");
    arena_init(&arena, 1 << 20);
    codec_defaults(&create_topics_request_message, &create);
    create.topics = codec_array(&arena, &create_topics_request_creatable_topic_table, TOPICS);
    create.topics_count = TOPICS;
    for (int i = 0; i < TOPICS; i++) {
        char *name = arena_alloc(&arena, 16);
        (void)snprintf(name, 16, "t%d", i);
        create.topics[i].name = bytes_text(name);
        create.topics[i].num_partitions = 1;
        create.topics[i].replication_factor = 1;
    }
    struct indoors_client *first = indoors_connect(&world), *clients[CLIENTS];
    indoors_request(first, API_CREATE_TOPICS, 4, 1, &create);
    indoors_pass(&world, 1000);
    cr_assert_eq(indoors_next(first), 1);
    world.config.answers_bytes_max = 40000; /* an answer takes about 8,000 */
    overrides_changed(world.broker->overrides);
    struct metadata_request all;
    codec_defaults(&metadata_request_message, &all);
    all.topics_count = -1;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = indoors_connect(&world);
        clients[i]->read_max = 0;
        indoors_request(clients[i], API_METADATA, 4, i, &all);
        indoors_turn(&world);
    }
    cr_assert_gt(world.broker->memory.answers, 20000);
    cr_assert_lt(world.broker->memory.answers, 40000);
    ask_versions(first, 0, 2);
    indoors_turn(&world);
    cr_assert_eq(indoors_next(first), 2, "a short answer does not wait");
    struct end_txn_request end;
    codec_defaults(&end_txn_request_message, &end);
    end.transactional_id = bytes_text("x");
    indoors_request(first, API_END_TXN, 3, 3, &end);
    indoors_turn(&world);
    cr_assert_eq(indoors_next(first), 3, "nor does a transaction");
    for (int i = 0; i < CLIENTS; i++)
        clients[i]->read_max = SIZE_MAX;
    for (int i = 0; i < CLIENTS; i++)
        indoors_turn(&world);
    for (int i = 0; i < CLIENTS; i++)
        cr_assert_eq(indoors_next(clients[i]), i);
    arena_done(&arena);
    indoors_close(&world);
}

/* ---- bad input ---- */

static void feed_garbage(struct indoors *world, struct random *random, size_t size, bool framed)
{
    struct indoors_client *client = indoors_connect(world);
    uint8_t *data = mem_alloc(size + 4);
    random_bytes(random, data, size + 4);
    if (framed)
        be_put32(data, (uint32_t)size);
    if (framed && size >= 4 && random_chance(random, 1, 2)) {
        /* a key that is offered, a version that may be */
        be_put16(data + 4, (uint16_t)random_below(random, 61));
        be_put16(data + 6, (uint16_t)random_below(random, 14));
    }
    indoors_send(client, data, size + 4);
    indoors_turn(world);
    indoors_leave(client);
    mem_free(data);
}

TEST(connection, garbage_of_every_length)
{
    struct indoors world;
    struct random random = random_seeded(1);
    indoors_open(&world, "");
    for (size_t size = 0; size <= 4096; size++) {
        feed_garbage(&world, &random, size, true);
        feed_garbage(&world, &random, size, false);
    }
    for (int i = 0; i < 2000; i++)
        feed_garbage(&world, &random, random_below(&random, 1 << 20), true);
    struct indoors_client *client = indoors_connect(&world);
    ask_versions(client, 0, 1);
    indoors_turn(&world);
    cr_assert_eq(indoors_next(client), 1);
    indoors_close(&world);
}

/* A random request of any API and version, encoded. */
static void random_request(struct random *random, struct out *to)
{
    const struct api_schema *schema = &api_schemas[random_below(random, API_SCHEMA_COUNT)];
    int16_t version = (int16_t)random_between(random, schema->served.min, schema->served.max);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct filler filler = { .random = *random,
        .arena = &arena,
        .fill = random_chance(random, 1, 4) ? FILL_NULLS : FILL_RANDOM,
        .version = version };
    void *body = arena_alloc(&arena, schema->request->body->size);
    messages_fill(&filler, schema->request->body, body);
    *random = filler.random;
    cr_assert_eq(request_encode(schema, version, 1, bytes_text("me"), body, to), 0);
    arena_done(&arena);
}

/* What a client sends is cut anywhere, and the client is gone. */
TEST(connection, cut_requests_of_every_api)
{
    struct indoors world;
    struct random random = random_seeded(2);
    indoors_open(&world, delay);
    for (int i = 0; i < 2000; i++) {
        struct out frame = { 0 };
        struct indoors_client *client = indoors_connect(&world);
        random_request(&random, &frame);
        size_t cut = random_below(&random, frame.len) + 1;
        if (cut > 4 && random_chance(&random, 1, 2))
            be_put32(frame.data, (uint32_t)cut - 4); /* the frame is whole, the message is not */
        indoors_send(client, frame.data, cut);
        indoors_turn(&world);
        indoors_leave(client);
        out_done(&frame);
    }
    indoors_pass(&world, 60000);
    indoors_close(&world);
}

TEST(connection, flipped_bits_in_requests_of_every_api)
{
    struct indoors world;
    struct random random = random_seeded(3);
    indoors_open(&world, delay);
    for (int i = 0; i < 10000; i++) {
        struct out frame = { 0 };
        struct indoors_client *client = indoors_connect(&world);
        random_request(&random, &frame);
        for (uint64_t flips = random_below(&random, 4); flips > 0; flips--)
            frame.data[4 + random_below(&random, frame.len - 4)] ^=
                (uint8_t)(1 << random_below(&random, 8));
        indoors_send(client, frame.data, frame.len);
        indoors_turn(&world);
        if (random_chance(&random, 1, 10))
            indoors_pass(&world, 10);
        indoors_leave(client);
        out_done(&frame);
    }
    indoors_pass(&world, 600000);
    indoors_close(&world);
}
