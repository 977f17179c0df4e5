/*
 * Whole frames. The requests were captured from kcat 1.7 / librdkafka 2.0.2; the responses are
 * written by hand.
 */
#include "protocol/header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/mem.h"
#include "tests/test.h"

struct captured {
    struct request_header header;
    const struct api_schema *api;
    struct arena arena;
    void *body;
    uint8_t wire[256];
};

static size_t parse_hex(const char *text, uint8_t *to, size_t size)
{
    size_t len = 0;
    for (; text[2 * len]; len++) {
        const char pair[] = { text[2 * len], text[2 * len + 1], 0 };
        cr_assert_lt(len, size);
        to[len] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return len;
}

/* Decodes a request (without its length); then encodes it and wants the same bytes. */
static const void *capture(struct captured *c, const char *hex)
{
    struct bytes wire = bytes_of(c->wire, parse_hex(hex, c->wire, sizeof(c->wire)));
    struct reader reader = reader_of(wire);
    struct out out = { 0 };
    cr_assert_eq(request_header_decode(&reader, &c->header), 0);
    cr_assert(bytes_equal_text(c->header.client_id, "rdkafka"));
    c->api = api_schema_find(c->header.request_api_key);
    c->body = mem_alloc(c->api->request->body->size);
    arena_init(&c->arena, 10000);
    int16_t version = c->header.request_api_version;
    cr_assert_eq(codec_decode(c->api->request, version, &reader, &c->arena, c->body), 0);
    cr_assert_eq(reader_left(&reader), 0);
    cr_assert_eq(request_encode(
                     c->api, version, c->header.correlation_id, c->header.client_id, c->body, &out),
        0);
    cr_assert_eq(be_get32(out.data), wire.len);
    cr_assert(bytes_equal(bytes_of(out.data + 4, out.len - 4), wire));
    out_done(&out);
    return c->body;
}

static void capture_done(struct captured *c)
{
    arena_done(&c->arena);
    mem_free(c->body);
}

TEST(header, captured_api_versions_3)
{
    struct captured c;
    const struct api_versions_request *body =
        capture(&c, "0012000300000001000772646b61666b61000b6c696272646b61666b6106322e302e3200");
    cr_assert_eq(c.header.request_api_key, API_API_VERSIONS);
    cr_assert_eq(c.header.request_api_version, 3);
    cr_assert_eq(c.header.correlation_id, 1);
    cr_assert(bytes_equal_text(body->client_software_name, "librdkafka"));
    cr_assert(bytes_equal_text(body->client_software_version, "2.0.2"));
    capture_done(&c);
}

TEST(header, captured_metadata_4)
{
    struct captured c;
    const struct metadata_request *body =
        capture(&c, "0003000400000002000772646b61666b610000000100017401");
    cr_assert_eq(body->topics_count, 1);
    cr_assert(bytes_equal_text(body->topics[0].name, "t"));
    cr_assert_eq(body->allow_auto_topic_creation, true);
    capture_done(&c);
}

TEST(header, captured_init_producer_id_4)
{
    struct captured c;
    const struct init_producer_id_request *body =
        capture(&c, "0016000400000003000772646b61666b610000ffffffffffffffffffffffffffff00");
    cr_assert_null(body->transactional_id.data);
    cr_assert_eq(body->transaction_timeout_ms, -1);
    cr_assert_eq(body->producer_id, -1);
    cr_assert_eq(body->producer_epoch, -1);
    capture_done(&c);
}

TEST(header, captured_produce_7)
{
    struct captured c;
    const struct produce_request *body = capture(&c,
        "0000000700000004000772646b61666b61ffffffff00007530000000010001740000000100000000"
        "0000004c00000000000000000000004000000000023df2c417000000000000000001a1fe18d15c00"
        "0001a1fe18d15c00000000000003e8000000000000000000011c000000066b65790a68656c6c6f00");
    cr_assert_null(body->transactional_id.data);
    cr_assert_eq(body->acks, -1);
    cr_assert_eq(body->timeout_ms, 30000);
    cr_assert_eq(body->topic_data_count, 1);
    cr_assert(bytes_equal_text(body->topic_data[0].name, "t"));
    cr_assert_eq(body->topic_data[0].partition_data_count, 1);
    struct records records = body->topic_data[0].partition_data[0].records;
    cr_assert_eq(records.len, 76);
    cr_assert_eq(records.data[16], 2, "magic");
    cr_assert(bytes_equal_text(bytes_of(records.data + 70, 5), "hello"));
    capture_done(&c);
}

TEST(header, captured_list_offsets_2)
{
    struct captured c;
    const struct list_offsets_request *body = capture(&c,
        "0002000200000004000772646b61666b61ffffffff01000000010001740000000100000000ffffff"
        "fffffffffe");
    cr_assert_eq(body->replica_id, -1);
    cr_assert_eq(body->isolation_level, 1);
    cr_assert_eq(body->topics[0].partitions[0].current_leader_epoch, -1, "absent in version 2");
    cr_assert_eq(body->topics[0].partitions[0].timestamp, -2);
    capture_done(&c);
}

TEST(header, captured_fetch_11)
{
    struct captured c;
    const struct fetch_request *body = capture(&c,
        "0001000b00000005000772646b61666b61ffffffff000001f400000001032000000100000000ffff"
        "ffff000000010001740000000100000000ffffffff0000000000000000ffffffffffffffff001000"
        "00000000000000");
    cr_assert_eq(body->max_wait_ms, 500);
    cr_assert_eq(body->min_bytes, 1);
    cr_assert_eq(body->max_bytes, 52428800);
    cr_assert_eq(body->isolation_level, 1);
    cr_assert_eq(body->session_epoch, -1);
    const struct fetch_request_partition *partition = &body->topics[0].partitions[0];
    cr_assert_eq(partition->current_leader_epoch, -1);
    cr_assert_eq(partition->fetch_offset, 0);
    cr_assert_eq(partition->partition_max_bytes, 1048576);
    cr_assert_eq(partition->high_watermark, INT64_MAX, "default of a tag of version 18");
    cr_assert_eq(body->forgotten_topics_data_count, 0);
    cr_assert(body->rack_id.data && body->rack_id.len == 0);
    capture_done(&c);
}

TEST(header, captured_find_coordinator_2)
{
    struct captured c;
    const struct find_coordinator_request *body =
        capture(&c, "000a000200000003000772646b61666b6100016700");
    cr_assert(bytes_equal_text(body->key, "g"));
    cr_assert_eq(body->key_type, 0);
    capture_done(&c);
}

TEST(header, captured_join_group_5)
{
    struct captured c;
    struct consumer_protocol_subscription subscription;
    const struct join_group_request *body = capture(&c,
        "000b000500000003000772646b61666b610001670000afc8000493e00000ffff0008636f6e73756d"
        "657200000002000572616e6765000000110001000000010001740000000000000000000a726f756e"
        "64726f62696e000000110001000000010001740000000000000000");
    cr_assert(bytes_equal_text(body->group_id, "g"));
    cr_assert_eq(body->session_timeout_ms, 45000);
    cr_assert_eq(body->rebalance_timeout_ms, 300000);
    cr_assert(bytes_equal_text(body->member_id, ""));
    cr_assert_null(body->group_instance_id.data);
    cr_assert(bytes_equal_text(body->protocol_type, "consumer"));
    cr_assert_eq(body->protocols_count, 2);
    cr_assert(bytes_equal_text(body->protocols[1].name, "roundrobin"));
    struct reader reader = reader_of(body->protocols[0].metadata);
    reader.at += 2; /* the blob's version, 1 */
    cr_assert_eq(
        codec_decode(&consumer_protocol_subscription_message, 1, &reader, &c.arena, &subscription),
        0);
    cr_assert_eq(reader_left(&reader), 0);
    cr_assert(bytes_equal_text(subscription.topics[0], "t"));
    cr_assert_eq(subscription.owned_partitions_count, 0);
    capture_done(&c);
}

/* ---- responses ---- */

/* `wire`: header and body. */
static void expect_response(
    const struct api_schema *api, int16_t version, const void *body, const void *wire, size_t len)
{
    struct out out = { 0 };
    cr_assert_eq(response_encode(api, version, 7, body, &out, NULL), 0);
    cr_assert_eq(be_get32(out.data), out.len - 4);
    const uint8_t *got = out.data + 4, *expected = wire;
    size_t same = 0, got_len = out.len - 4;
    while (same < got_len && same < len && got[same] == expected[same])
        same++;
    cr_assert(got_len == len && same == len, "%s v%d: %zu bytes, %zu expected, equal up to %zu",
        api->name, version, got_len, len, same);
    out_done(&out);
}

#define WIRE(text) text, sizeof(text) - 1

/* Header v0 in all its versions, though flexible from 3. */
TEST(header, response_api_versions)
{
    struct api_versions_response body;
    struct api_versions_response_api_version rows[] = { { 0, 0, 13 }, { 18, 0, 4 } };
    struct api_versions_response_finalized_feature_key feature = { bytes_text("group.version"), 1,
        1 };
    codec_defaults(&api_versions_response_message, &body);
    body.api_keys = rows;
    body.api_keys_count = 2;
    body.error_code = 35;
    const struct api_schema *api = api_schema_find(API_API_VERSIONS);
    expect_response(api, 0, &body, WIRE("\0\0\0\7\0\x23\0\0\0\2\0\0\0\0\0\x0d\0\x12\0\0\0\4"));
    body.finalized_features = &feature;
    body.finalized_features_count = 1;
    body.finalized_features_epoch = 2;
    expect_response(api, 3, &body,
        WIRE("\0\0\0\7\0\x23\3\0\0\0\0\0\x0d\0\0\x12\0\0\0\4\0\0\0\0\0"
             "\2\1\x08\0\0\0\0\0\0\0\2\2\x14\2\x0egroup.version\0\1\0\1\0"));
}

static struct metadata_response_partition partition_of(int32_t *brokers)
{
    struct metadata_response_partition p;
    struct_defaults(&metadata_response_partition_table, &p);
    p.leader_id = brokers[0];
    p.leader_epoch = 5;
    p.replica_nodes = p.isr_nodes = brokers;
    p.replica_nodes_count = p.isr_nodes_count = 1;
    return p;
}

TEST(header, response_metadata)
{
    int32_t broker_id = 1;
    struct metadata_response body;
    struct metadata_response_broker broker;
    struct metadata_response_topic topic;
    struct metadata_response_partition partition = partition_of(&broker_id);
    codec_defaults(&metadata_response_message, &body);
    struct_defaults(&metadata_response_broker_table, &broker);
    struct_defaults(&metadata_response_topic_table, &topic);
    broker.node_id = 1;
    broker.host = bytes_text("localhost");
    broker.port = 9092;
    topic.name = bytes_text("t");
    memcpy(topic.topic_id.b, "0123456789abcdef", 16);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    body.brokers = &broker;
    body.topics = &topic;
    body.brokers_count = body.topics_count = 1;
    body.cluster_id = bytes_text("c");
    body.controller_id = 1;
    const struct api_schema *api = api_schema_find(API_METADATA);
    expect_response(api, 0, &body,
        WIRE("\0\0\0\7\0\0\0\1\0\0\0\1\0\x09localhost\0\0\x23\x84"
             "\0\0\0\1\0\0\0\1t\0\0\0\1\0\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1"));
    expect_response(api, 12, &body,
        WIRE("\0\0\0\7\0\0\0\0\0\2\0\0\0\1\x0alocalhost\0\0\x23\x84\0\0\2c\0\0\0\1"
             "\2\0\0\2t"
             "0123456789abcdef"
             "\0\2\0\0\0\0\0\0\0\0\0\1\0\0\0\5\2\0\0\0\1\2\0\0\0\1\1\0\x80\0\0\0\0\0"));
}

TEST(header, response_produce)
{
    struct produce_response body;
    struct produce_response_topic_produce_response topic;
    struct produce_response_partition_produce_response partition;
    codec_defaults(&produce_response_message, &body);
    struct_defaults(&produce_response_topic_produce_response_table, &topic);
    struct_defaults(&produce_response_partition_produce_response_table, &partition);
    topic.name = bytes_text("t");
    topic.partition_responses = &partition;
    body.responses = &topic;
    topic.partition_responses_count = body.responses_count = 1;
    partition.base_offset = 5;
    partition.log_start_offset = 0;
    const struct api_schema *api = api_schema_find(API_PRODUCE);
    expect_response(api, 3, &body,
        WIRE("\0\0\0\7\0\0\0\1\0\1t\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\5"
             "\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"));
    partition.current_leader.leader_id = 2;
    expect_response(api, 10, &body,
        WIRE("\0\0\0\7\0\2\2t\2\0\0\0\0\0\0\0\0\0\0\0\0\0\5\xff\xff\xff\xff\xff\xff\xff"
             "\xff"
             "\0\0\0\0\0\0\0\0\1\0\1\0\x09\0\0\0\2\xff\xff\xff\xff\0\0\0\0\0\0\0"));
}

TEST(header, response_of_a_group_without_members)
{
    struct join_group_response body;
    codec_defaults(&join_group_response_message, &body);
    body.error_code = 79;
    body.member_id = bytes_text("m-1");
    const struct api_schema *api = api_schema_find(API_JOIN_GROUP);
    expect_response(api, 0, &body, WIRE("\0\0\0\7\0\x4f\xff\xff\xff\xff\0\0\0\0\0\3m-1\0\0\0\0"));
    body.protocol_name.data = NULL;
    expect_response(
        api, 9, &body, WIRE("\0\0\0\7\0\0\0\0\0\0\x4f\xff\xff\xff\xff\0\0\1\0\4m-1\1\0"));
}

/* The length counts record bytes that are sent from elsewhere. */
TEST(header, response_with_records_outside)
{
    struct fetch_response body;
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response_partition_data partition;
    struct out out = { 0 };
    struct externals externals = { 0 };
    int file = 0;
    codec_defaults(&fetch_response_message, &body);
    struct_defaults(&fetch_response_fetchable_topic_response_table, &topic);
    struct_defaults(&fetch_response_partition_data_table, &partition);
    topic.topic = bytes_text("t");
    topic.partitions = &partition;
    body.responses = &topic;
    topic.partitions_count = body.responses_count = 1;
    partition.records = (struct records){ .len = 1000, .source = &file };
    const struct api_schema *api = api_schema_find(API_FETCH);
    cr_assert_eq(response_encode(api, 4, 7, &body, &out, &externals), 0);
    cr_assert_eq(be_get32(out.data), out.len - 4 + 1000);
    cr_assert_eq(externals.items[0].position, out.len, "records end a partition of version 4");
    cr_assert_eq(be_get32(out.data + out.len - 4), 1000);
    size_t before = out.len;
    topic.topic.data = NULL;
    cr_assert_eq(response_encode(api, 4, 7, &body, &out, &externals), -EINVAL);
    cr_assert_eq(out.len, before);
    cr_assert_eq(externals.count, 1);
    partition.records.len = INT32_MAX;
    topic.topic = bytes_text("t");
    cr_assert_eq(response_encode(api, 4, 7, &body, &out, &externals), -EMSGSIZE);
    cr_assert_eq(out.len, before);
    cr_assert_eq(externals.count, 1);
    cr_assert_eq(externals.len, 1000);
    externals_done(&externals);
    out_done(&out);
}

/* ---- headers ---- */

TEST(header, versions_of_headers)
{
    static const struct {
        int16_t key, version, request, response;
    } rows[] = {
        { API_API_VERSIONS, 2, 1, 0 },
        { API_API_VERSIONS, 3, 2, 0 },
        { API_API_VERSIONS, 127, 2, 0 },
        { API_METADATA, 8, 1, 0 },
        { API_METADATA, 9, 2, 1 },
        { API_METADATA, -1, 1, 0 },
        { API_DESCRIBE_CLUSTER, 0, 2, 1 },
        { API_HEARTBEAT, 3, 1, 0 },
        { API_HEARTBEAT, 4, 2, 1 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct api_schema *api = api_schema_find(rows[i].key);
        cr_assert_eq(request_header_version(api, rows[i].version), rows[i].request, "row %zu", i);
        cr_assert_eq(response_header_version(api, rows[i].version), rows[i].response, "row %zu", i);
    }
}

static int header_status(const char *wire, size_t len, struct request_header *header)
{
    struct reader reader = reader_of(bytes_of(wire, len));
    return request_header_decode(&reader, header);
}

TEST(header, refuses_what_is_none)
{
    static const char good[] = "\0\3\0\1\0\0\0\5\0\2me";
    struct request_header header;
    cr_assert_eq(header_status(WIRE(good), &header), 0);
    cr_assert_eq(header.correlation_id, 5);
    for (size_t len = 0; len < sizeof(good) - 1; len++)
        cr_assert_eq(header_status(good, len, &header), -EBADMSG, "cut to %zu", len);
    cr_assert_eq(header_status(WIRE("\0\x07\0\1\0\0\0\5\0\2me"), &header), -ENOTSUP);
    cr_assert_eq(header.request_api_key, 7);
    cr_assert_eq(header.correlation_id, 5);
    cr_assert_eq(header_status(WIRE("\xff\xff\0\1\0\0\0\5\0\2me"), &header), -ENOTSUP);
    cr_assert_eq(header_status(WIRE("\0\3\0\1\0\0\0\5\xff\xff"), &header), 0);
    cr_assert_null(header.client_id.data);
}

TEST(header, api_rows)
{
    size_t unstable = 0;
    for (size_t i = 0; i < API_SCHEMA_COUNT; i++) {
        const struct api_schema *api = &api_schemas[i];
        cr_assert_eq(api_schema_find(api->key), api);
        cr_assert(i == 0 || api_schemas[i - 1].key < api->key);
        cr_assert_eq(api->served.min, api->request->versions.min);
        cr_assert_eq(api->served.max, api->response->versions.max);
        unstable += api->advertised.max < api->served.max;
    }
    const struct api_schema *produce = api_schema_find(API_PRODUCE);
    cr_assert_eq(produce->served.min, 3);
    cr_assert_eq(produce->advertised.min, 0, "older librdkafka stops compressing otherwise");
    cr_assert_eq(api_schema_find(API_INIT_PRODUCER_ID)->advertised.max, 5);
    cr_assert_eq(unstable, 1);
    cr_assert_null(api_schema_find(7));
    cr_assert_null(api_schema_find(-1));
}
