/* Produce as clients see it: protocol.md traps 1-10, 14-18, 31. */
#include "broker/internal_topics.h"
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include <limits.h>
#include <stdio.h>

#include "broker/api.h"
#include "broker/validation.h"

static struct log *log_of(struct world *world, const char *topic, int32_t partition)
{
    return topic_log(storage_topic(world->broker->storage, bytes_text(topic)), partition);
}

/* A batch that may be changed; client_batch's memory is the client's. */
static uint8_t *writable(struct bytes batch)
{
    return (uint8_t *)(uintptr_t)batch.data;
}

/* Everything a batch can say, with records of `value_len` bytes of noise or of one letter. */
struct recipe {
    enum codec codec;
    int32_t count;
    size_t value_len;
    bool noise, keyed;
    int64_t timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t sequence;
    uint16_t attributes;
};

static struct recipe plain(int32_t count)
{
    return (struct recipe){ .count = count,
        .value_len = 10,
        .timestamp = 1000,
        .producer_id = -1,
        .producer_epoch = -1,
        .sequence = -1 };
}

static struct recipe idempotent(int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    struct recipe recipe = plain(count);
    recipe.producer_id = id;
    recipe.producer_epoch = epoch;
    recipe.sequence = sequence;
    return recipe;
}

static struct bytes cook(struct client *client, const struct recipe *recipe)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(recipe->codec);
    struct compressor compressor;
    struct out out = { 0 };
    uint8_t *value = client_alloc(client, recipe->value_len + 1);
    struct random random = random_seeded(5);
    options.producer_id = recipe->producer_id;
    options.producer_epoch = recipe->producer_epoch;
    options.base_sequence = recipe->sequence;
    options.attributes = recipe->attributes;
    compressor_init(&compressor);
    batch_builder_begin(&builder, &options);
    for (int32_t i = 0; i < recipe->count; i++) {
        memset(value, 'x', recipe->value_len);
        if (recipe->noise)
            random_bytes(&random, value, recipe->value_len);
        struct record_view record = { .timestamp = recipe->timestamp,
            .key = recipe->keyed ? bytes_text("k") : bytes_of(NULL, 0),
            .value = bytes_of(value, recipe->value_len) };
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

/* The stored batch at an offset, read the way a fetch does. */
static struct batch_view stored(struct client *client, const char *topic, int64_t offset)
{
    struct batch_view view;
    struct fetch_response_partition_data *part =
        client_fetch(client, 12, client_fetch_request(client, topic, 0, offset));
    cr_assert_eq(part->error_code, 0);
    cr_assert_eq(batch_parse(records_bytes(part->records), &view), BATCH_OK);
    cr_assert_eq(batch_check(&view), BATCH_OK);
    return view;
}

/* ---- the plain way ------------------------------------------------------------------------- */

TEST(handle_produce, tells_the_offset_in_every_version)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    int64_t next = 0;
    for (int16_t version = 3; version <= 13; version++) {
        struct produce_response_partition_produce_response *part = client_produce_at(
            client, version, -1, "t", 1, client_batch(client, CODEC_NONE, 0, version));
        cr_assert_eq(part->error_code, 0);
        cr_assert_eq(part->index, 1);
        cr_assert_eq(part->base_offset, next);
        cr_assert_eq(part->log_append_time_ms, -1);
        cr_assert_eq(part->log_start_offset, version < 5 ? -1 : 0);
        cr_assert_eq(part->record_errors_count, 0);
        cr_assert_null(part->error_message.data);
        next += version;
        cr_assert_eq(log_of(&world, "t", 1)->high_watermark, next);
    }
    world_close(&world);
}

TEST(handle_produce, several_partitions_of_a_request_each_get_an_answer)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "a", 2, NULL);
    client_create_topic(client, "b", 1, NULL);
    struct produce_request request;
    struct produce_request_topic_produce_data data[3];
    struct produce_request_partition_produce_data parts[3][3];
    codec_defaults(&produce_request_message, &request);
    request.acks = 1;
    request.topic_data = data;
    request.topic_data_count = 3;
    static const char *const names[] = { "a", "missing", "b" };
    for (int t = 0; t < 3; t++) {
        struct_defaults(&produce_request_topic_produce_data_table, &data[t]);
        data[t].name = bytes_text(names[t]);
        data[t].partition_data = parts[t];
        data[t].partition_data_count = 3;
        for (int p = 0; p < 3; p++) {
            struct bytes batch = client_batch(client, CODEC_NONE, 0, 1 + p);
            /* Partition 0 of "a" and "b" comes twice: both batches count, in this order. */
            parts[t][p] = (struct produce_request_partition_produce_data){ .index = p == 2 ? 0 : p,
                .records = { .data = batch.data, .len = batch.len } };
        }
    }
    struct produce_response *answer = client_call(client, API_PRODUCE, 9, &request);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->responses_count, 3);
    struct produce_response_partition_produce_response *rows =
        answer->responses[0].partition_responses;
    cr_assert(bytes_equal_text(answer->responses[0].name, "a"));
    cr_assert_eq(rows[0].error_code, 0);
    cr_assert_eq(rows[0].base_offset, 0);
    cr_assert_eq(rows[1].error_code, 0);
    cr_assert_eq(rows[1].base_offset, 0);
    cr_assert_eq(rows[2].error_code, 0);
    cr_assert_eq(rows[2].base_offset, 1);
    for (int p = 0; p < 3; p++)
        cr_assert_eq(answer->responses[1].partition_responses[p].error_code,
            KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    rows = answer->responses[2].partition_responses;
    cr_assert_eq(rows[0].error_code, 0);
    cr_assert_eq(rows[1].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(rows[1].base_offset, -1);
    cr_assert_eq(rows[2].base_offset, 1);
    cr_assert_eq(log_of(&world, "a", 0)->end_offset, 4);
    world_close(&world);
}

TEST(handle_produce, more_partitions_than_one_unit_holds)
{
    enum { COUNT = 150 };
    static struct produce_request_partition_produce_data parts[COUNT];
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", COUNT, NULL);
    struct bytes batch = client_batch(client, CODEC_NONE, 0, 3);
    struct produce_request request;
    struct produce_request_topic_produce_data data;
    codec_defaults(&produce_request_message, &request);
    struct_defaults(&produce_request_topic_produce_data_table, &data);
    data.name = bytes_text("t");
    data.partition_data = parts;
    data.partition_data_count = COUNT;
    request.acks = -1;
    request.topic_data = &data;
    request.topic_data_count = 1;
    for (int32_t i = 0; i < COUNT; i++)
        parts[i] = (struct produce_request_partition_produce_data){ .index = i,
            .records = { .data = batch.data, .len = batch.len } };
    for (int round = 0; round < 2; round++) {
        struct produce_response *answer = client_call(client, API_PRODUCE, 9, &request);
        for (int32_t i = 0; i < COUNT; i++) {
            cr_assert_eq(answer->responses[0].partition_responses[i].index, i);
            cr_assert_eq(answer->responses[0].partition_responses[i].error_code, 0);
            cr_assert_eq(answer->responses[0].partition_responses[i].base_offset, 3 * round);
        }
    }
    world_close(&world);
}

TEST(handle_produce, nothing_is_sent_back_without_acks_and_an_error_closes_the_connection)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    (void)client_produce_at(client, 8, 0, "t", 0, client_batch(client, CODEC_NONE, 0, 5));
    /* The next answer is that of the next request with acks. */
    struct produce_response_partition_produce_response *part =
        client_produce(client, "t", 0, client_batch(client, CODEC_NONE, 0, 1));
    cr_assert_eq(part->base_offset, 5);
    (void)client_produce_at(client, 8, 0, "t", 1, client_batch(client, CODEC_NONE, 0, 5));
    world_run(&world, 1000);
    cr_assert_null(client->connection);
    world_close(&world);
}

TEST(handle_produce, acks_other_than_all_one_and_none_are_refused)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(
        client_produce_at(client, 8, 2, "t", 0, client_batch(client, CODEC_NONE, 0, 1))->error_code,
        KAFKA_ERROR_INVALID_REQUIRED_ACKS);
    cr_assert_eq(client_produce_at(client, 8, -2, "t", 0, client_batch(client, CODEC_NONE, 0, 1))
                     ->error_code,
        KAFKA_ERROR_INVALID_REQUIRED_ACKS);
    cr_assert_eq(log_of(&world, "t", 0)->end_offset, 0);
    world_close(&world);
}

TEST(handle_produce, an_id_that_nobody_has_is_unknown_in_version_13)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    cr_assert_eq(
        client_produce_at(client, 13, -1, "none", 0, client_batch(client, CODEC_NONE, 0, 1))
            ->error_code,
        KAFKA_ERROR_UNKNOWN_TOPIC_ID);
    world_close(&world);
}

TEST(handle_produce, a_topic_is_never_made_by_producing_to_it)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    cr_assert_eq(client_produce(client, "t", 0, client_batch(client, CODEC_NONE, 0, 1))->error_code,
        KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(storage_topic_count(world.broker->storage), 0);
    world_close(&world);
}

TEST(handle_produce, min_insync_replicas_counts_at_most_the_one_replica)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, (const char *[]){ "min.insync.replicas=2", NULL });
    cr_assert_eq(
        client_produce(client, "t", 0, client_batch(client, CODEC_NONE, 0, 1))->error_code, 0);
    world_close(&world);
}

TEST(handle_produce, only_the_admin_client_writes_to_internal_topics)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "__share_group_state", 1, NULL);
    cr_assert_eq(
        client_produce(client, "__share_group_state", 0, client_batch(client, CODEC_NONE, 0, 1))
            ->error_code,
        KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    client->id = "__admin_client";
    cr_assert_eq(
        client_produce(client, "__share_group_state", 0, client_batch(client, CODEC_NONE, 0, 1))
            ->error_code,
        0);
    cr_assert(
        internal_topics_show(world.broker->internal_topics, bytes_text("__transaction_state")));
    cr_assert_eq(
        client_produce(client, "__transaction_state", 0, client_batch(client, CODEC_NONE, 0, 1))
            ->error_code,
        KAFKA_ERROR_INVALID_TOPIC_EXCEPTION, "nobody writes to what is computed");
    world_close(&world);
}

/* ---- what is refused ----------------------------------------------------------------------- */

/* Produces the bytes and expects the code and no growth of the log. */
static struct produce_response_partition_produce_response *refused(
    struct world *world, struct client *client, int16_t version, struct bytes batch, int16_t code)
{
    int64_t end = log_of(world, "t", 0)->end_offset;
    struct produce_response_partition_produce_response *part =
        client_produce_at(client, version, -1, "t", 0, batch);
    cr_assert_not_null(part);
    cr_assert_eq(
        part->error_code, code, "%s, not %s", error_name(part->error_code), error_name(code));
    cr_assert_eq(part->base_offset, -1);
    cr_assert_eq(log_of(world, "t", 0)->end_offset, end);
    return part;
}

static struct bytes twice(struct client *client, struct bytes batch)
{
    uint8_t *both = client_alloc(client, 2 * batch.len);
    memcpy(both, batch.data, batch.len);
    memcpy(both + batch.len, batch.data, batch.len);
    return bytes_of(both, 2 * batch.len);
}

TEST(handle_produce, bytes_that_are_not_one_good_batch_are_refused)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct bytes batch = client_batch(client, CODEC_NONE, 0, 3);
    (void)refused(&world, client, 8, bytes_of(NULL, 0), KAFKA_ERROR_INVALID_RECORD);
    (void)refused(&world, client, 8, bytes_of("", 0), KAFKA_ERROR_INVALID_RECORD);
    (void)refused(
        &world, client, 8, bytes_of(batch.data, batch.len - 1), KAFKA_ERROR_INVALID_RECORD);
    (void)refused(&world, client, 8, twice(client, batch), KAFKA_ERROR_INVALID_RECORD);
    batch = client_batch(client, CODEC_NONE, 0, 3);
    writable(batch)[batch.len - 1] ^= 1;
    (void)refused(&world, client, 8, batch, KAFKA_ERROR_CORRUPT_MESSAGE);
    batch = client_batch(client, CODEC_NONE, 0, 3);
    writable(batch)[BATCH_AT_MAGIC] = 1;
    (void)refused(&world, client, 8, batch, KAFKA_ERROR_INVALID_RECORD);
    batch = client_batch(client, CODEC_NONE, 0, 3);
    be_put64(writable(batch), 5);
    (void)refused(&world, client, 8, batch, KAFKA_ERROR_INVALID_RECORD);
    batch = client_batch(client, CODEC_NONE, 0, 3);
    be_put32(writable(batch) + BATCH_AT_COUNT, 2);
    batch_set_crc(writable(batch));
    (void)refused(&world, client, 8, batch, KAFKA_ERROR_INVALID_RECORD);
    batch = client_batch(client, CODEC_NONE, 0, 3);
    be_put64(writable(batch) + BATCH_AT_PRODUCER_ID, 5);
    batch_set_crc(writable(batch));
    (void)refused(&world, client, 8, batch, KAFKA_ERROR_INVALID_RECORD);
    batch = client_batch(client, CODEC_NONE, 0, 3);
    be_put16(writable(batch) + BATCH_AT_ATTRIBUTES, BATCH_ATTRIBUTE_CONTROL);
    batch_set_crc(writable(batch));
    (void)refused(&world, client, 8, batch, KAFKA_ERROR_INVALID_RECORD);
    batch = client_batch(client, CODEC_NONE, 0, 3);
    be_put16(writable(batch) + BATCH_AT_ATTRIBUTES, 6);
    batch_set_crc(writable(batch));
    (void)refused(&world, client, 8, batch, KAFKA_ERROR_UNSUPPORTED_COMPRESSION_TYPE);
    batch = client_batch(client, CODEC_GZIP, 0, 3);
    writable(batch)[BATCH_HEADER_SIZE + 12] ^= 0xff;
    batch_set_crc(writable(batch));
    (void)refused(&world, client, 8, batch, KAFKA_ERROR_INVALID_RECORD);
    world_close(&world);
}

TEST(handle_produce, zstd_needs_version_7)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    (void)refused(&world, client, 6, client_batch(client, CODEC_ZSTD, 0, 3),
        KAFKA_ERROR_UNSUPPORTED_COMPRESSION_TYPE);
    cr_assert_eq(client_produce_at(client, 7, -1, "t", 0, client_batch(client, CODEC_ZSTD, 0, 3))
                     ->error_code,
        0);
    world_close(&world);
}

TEST(handle_produce, a_batch_may_be_as_large_as_the_topic_says)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    struct recipe recipe = plain(1);
    recipe.value_len = 2000;
    struct bytes batch = cook(client, &recipe);
    char exact[40], less[40];
    (void)snprintf(exact, sizeof(exact), "max.message.bytes=%zu", batch.len);
    (void)snprintf(less, sizeof(less), "max.message.bytes=%zu", batch.len - 1);
    client_create_topic(client, "exact", 1, (const char *[]){ exact, NULL });
    client_create_topic(client, "t", 1, (const char *[]){ less, NULL });
    cr_assert_eq(client_produce(client, "exact", 0, batch)->error_code, 0);
    (void)refused(&world, client, 8, cook(client, &recipe), KAFKA_ERROR_MESSAGE_TOO_LARGE);
    world_close(&world);
}

TEST(handle_produce, a_batch_larger_than_a_segment_is_refused)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1,
        (const char *[]){ "segment.bytes=1048576", "max.message.bytes=3000000", NULL });
    struct recipe recipe = plain(1);
    recipe.value_len = 1200000;
    (void)refused(&world, client, 8, cook(client, &recipe), KAFKA_ERROR_RECORD_LIST_TOO_LARGE);
    world_close(&world);
}

TEST(handle_produce, a_compacted_topic_names_the_records_without_a_key)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, (const char *[]){ "cleanup.policy=compact", NULL });
    struct recipe recipe = plain(3);
    struct produce_response_partition_produce_response *part =
        refused(&world, client, 8, cook(client, &recipe), KAFKA_ERROR_INVALID_RECORD);
    cr_assert_eq(part->record_errors_count, 3);
    cr_assert_eq(part->record_errors[2].batch_index, 2);
    cr_assert(bytes_equal_text(part->record_errors[2].batch_index_error_message,
        "Compacted topic cannot accept message without key in topic partition t-0."));
    cr_assert_not_null(part->error_message.data);
    part = refused(&world, client, 7, cook(client, &recipe), KAFKA_ERROR_INVALID_RECORD);
    cr_assert_eq(part->record_errors_count, 0);
    recipe.keyed = true;
    cr_assert_eq(client_produce(client, "t", 0, cook(client, &recipe))->error_code, 0);
    world_close(&world);
}

TEST(handle_produce, timestamps_outside_the_range_are_refused)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1,
        (const char *[]){
            "message.timestamp.before.max.ms=1000", "message.timestamp.after.max.ms=1000", NULL });
    struct recipe recipe = plain(2);
    int64_t now = clock_wall_ms(world.sim.doors.clock);
    recipe.timestamp = now - 5000;
    struct produce_response_partition_produce_response *part =
        refused(&world, client, 9, cook(client, &recipe), KAFKA_ERROR_INVALID_TIMESTAMP);
    cr_assert_eq(part->record_errors_count, 2);
    cr_assert_eq(part->log_start_offset, 0);
    recipe.timestamp = now + 5000;
    (void)refused(&world, client, 9, cook(client, &recipe), KAFKA_ERROR_INVALID_TIMESTAMP);
    recipe.timestamp = now;
    cr_assert_eq(client_produce(client, "t", 0, cook(client, &recipe))->error_code, 0);
    recipe.timestamp = -1; /* none */
    cr_assert_eq(client_produce(client, "t", 0, cook(client, &recipe))->error_code, 0);
    world_close(&world);
}

TEST(handle_produce, an_hour_ahead_is_the_default_limit)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct recipe recipe = plain(1);
    recipe.timestamp = clock_wall_ms(world.sim.doors.clock) + 3700 * 1000;
    (void)refused(&world, client, 9, cook(client, &recipe), KAFKA_ERROR_INVALID_TIMESTAMP);
    recipe.timestamp -= 200 * 1000;
    cr_assert_eq(client_produce(client, "t", 0, cook(client, &recipe))->error_code, 0);
    world_close(&world);
}

TEST(handle_produce, a_transaction_without_its_id_is_refused)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct recipe recipe = idempotent(1, 0, 0, 1);
    recipe.attributes = BATCH_ATTRIBUTE_TRANSACTIONAL;
    (void)refused(&world, client, 9, cook(client, &recipe),
        KAFKA_ERROR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    world_close(&world);
}

/* ---- what is stored ------------------------------------------------------------------------ */

TEST(handle_produce, batches_are_stored_with_the_codec_they_came_with)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct bytes batch = client_batch(client, (enum codec)codec, 0, 10);
        cr_assert_eq(client_produce(client, "t", 0, batch)->base_offset, codec * 10);
        struct batch_view view = stored(client, "t", codec * 10);
        cr_assert_eq(batch_codec(&view), (enum codec)codec);
        cr_assert_eq(view.base_offset, codec * 10);
        cr_assert(view.leader_epoch >= 0);
        cr_assert_eq(view.count, 10);
        cr_assert_eq(view.max_timestamp, 1009);
    }
    world_close(&world);
}

TEST(handle_produce, a_topic_with_a_codec_of_its_own_recompresses)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    static const char *const names[] = { "uncompressed", "gzip", "snappy", "lz4", "zstd" };
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        char config[40];
        (void)snprintf(config, sizeof(config), "compression.type=%s", names[codec]);
        client_create_topic(client, names[codec], 1, (const char *[]){ config, NULL });
        for (int from = CODEC_NONE; from < CODEC_COUNT; from++) {
            int64_t offset = 10 * from;
            struct bytes batch = client_batch(client, (enum codec)from, 0, 10);
            cr_assert_eq(client_produce(client, names[codec], 0, batch)->base_offset, offset);
            struct batch_view view = stored(client, names[codec], offset);
            cr_assert_eq(batch_codec(&view), (enum codec)codec);
            cr_assert_eq(view.count, 10);
            cr_assert_eq(view.base_offset, offset);
        }
    }
    world_close(&world);
}

TEST(handle_produce, log_append_time_is_the_brokers)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(
        client, "t", 1, (const char *[]){ "message.timestamp.type=LogAppendTime", NULL });
    world_run(&world, 5000);
    int64_t now = clock_wall_ms(world.sim.doors.clock);
    struct produce_response_partition_produce_response *part =
        client_produce(client, "t", 0, client_batch(client, CODEC_LZ4, 0, 3));
    cr_assert_eq(part->error_code, 0);
    cr_assert(part->log_append_time_ms >= now && part->log_append_time_ms < now + 1000);
    struct batch_view view = stored(client, "t", 0);
    cr_assert(batch_is_log_append_time(&view));
    cr_assert_eq(view.max_timestamp, part->log_append_time_ms);
    world_close(&world);
}

TEST(handle_produce, a_wrong_max_timestamp_is_put_right)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct bytes batch = client_batch(client, CODEC_ZSTD, 0, 3);
    be_put64(writable(batch) + BATCH_AT_MAX_TIMESTAMP, 99);
    batch_set_crc(writable(batch));
    cr_assert_eq(client_produce(client, "t", 0, batch)->error_code, 0);
    cr_assert_eq(stored(client, "t", 0).max_timestamp, 1002);
    world_close(&world);
}

/* ---- idempotence --------------------------------------------------------------------------- */

static struct produce_response_partition_produce_response *send_sequence(
    struct client *client, int64_t id, int16_t epoch, int32_t sequence, int32_t count)
{
    struct recipe recipe = idempotent(id, epoch, sequence, count);
    return client_produce(client, "t", 0, cook(client, &recipe));
}

TEST(handle_produce, a_duplicate_is_answered_as_the_first_time)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    for (int32_t i = 0; i < 5; i++)
        cr_assert_eq(send_sequence(client, 9, 0, 10 * i, 10)->base_offset, 10 * i);
    for (int32_t i = 0; i < 5; i++) {
        struct produce_response_partition_produce_response *part =
            send_sequence(client, 9, 0, 10 * i, 10);
        cr_assert_eq(part->error_code, 0);
        cr_assert_eq(part->base_offset, 10 * i);
        cr_assert_eq(part->log_start_offset, 0);
    }
    cr_assert_eq(log_of(&world, "t", 0)->end_offset, 50);
    /* The sixth last is forgotten. */
    cr_assert_eq(send_sequence(client, 9, 0, 50, 10)->base_offset, 50);
    cr_assert_eq(
        send_sequence(client, 9, 0, 0, 10)->error_code, KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    world_close(&world);
}

TEST(handle_produce, two_batches_of_a_producer_for_one_partition_in_one_request)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct produce_request request;
    struct produce_request_topic_produce_data data;
    struct produce_request_partition_produce_data parts[2];
    codec_defaults(&produce_request_message, &request);
    struct_defaults(&produce_request_topic_produce_data_table, &data);
    for (int i = 0; i < 2; i++) {
        struct recipe recipe = idempotent(9, 0, 10 * i + 10, 10);
        struct bytes batch = cook(client, &recipe);
        parts[i] = (struct produce_request_partition_produce_data){ .index = 0,
            .records = { .data = batch.data, .len = batch.len } };
    }
    /* Something is known of the producer, so that each must be the next. */
    cr_assert_eq(send_sequence(client, 9, 0, 0, 10)->error_code, 0);
    data.name = bytes_text("t");
    data.partition_data = parts;
    data.partition_data_count = 2;
    request.topic_data = &data;
    request.topic_data_count = 1;
    request.acks = -1;
    for (int round = 0; round < 2; round++) {
        struct produce_response *answer = client_call(client, API_PRODUCE, 9, &request);
        for (int i = 0; i < 2; i++) {
            cr_assert_eq(answer->responses[0].partition_responses[i].error_code, 0);
            cr_assert_eq(answer->responses[0].partition_responses[i].base_offset, 10 * i + 10);
        }
    }
    cr_assert_eq(log_of(&world, "t", 0)->end_offset, 30);
    world_close(&world);
}

TEST(handle_produce, gaps_and_old_epochs_are_refused)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    /* Nothing is known of the producer: any sequence will do. */
    cr_assert_eq(send_sequence(client, 9, 1, 7, 3)->error_code, 0);
    cr_assert_eq(
        send_sequence(client, 9, 1, 11, 1)->error_code, KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    cr_assert_eq(
        send_sequence(client, 9, 1, 9, 1)->error_code, KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    cr_assert_eq(
        send_sequence(client, 9, 0, 10, 1)->error_code, KAFKA_ERROR_INVALID_PRODUCER_EPOCH);
    cr_assert_eq(
        send_sequence(client, 9, 2, 10, 1)->error_code, KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    cr_assert_eq(send_sequence(client, 9, 1, 10, 1)->error_code, 0);
    cr_assert_eq(send_sequence(client, 9, 1, 12, 1)->log_start_offset, 0);
    cr_assert_eq(
        send_sequence(client, 10, -2, 0, 1)->error_code, KAFKA_ERROR_INVALID_PRODUCER_EPOCH);
    cr_assert_eq(send_sequence(client, 9, 2, 0, 1)->error_code, 0);
    cr_assert_eq(log_of(&world, "t", 0)->end_offset, 5);
    world_close(&world);
}

TEST(handle_produce, the_sequence_goes_on_at_zero_after_the_largest)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(send_sequence(client, 9, 0, INT_MAX - 1, 1)->error_code, 0);
    cr_assert_eq(send_sequence(client, 9, 0, INT_MAX, 3)->error_code, 0); /* INT_MAX, 0, 1 */
    cr_assert_eq(send_sequence(client, 9, 0, 2, 1)->error_code, 0);
    cr_assert_eq(send_sequence(client, 9, 0, INT_MAX, 3)->base_offset, 1);
    world_close(&world);
}

TEST(handle_produce, duplicates_are_known_after_a_power_cut)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(send_sequence(client, 9, 0, 0, 10)->base_offset, 0);
    cr_assert_eq(send_sequence(client, 9, 0, 10, 10)->base_offset, 10);
    world_crash(&world, true);
    world_start(&world, NULL);
    client = client_connect(&world);
    cr_assert_eq(send_sequence(client, 9, 0, 10, 10)->base_offset, 10);
    cr_assert_eq(send_sequence(client, 9, 0, 20, 10)->base_offset, 20);
    world_close(&world);
}

TEST(handle_produce, a_duplicate_in_flight_is_not_answered_before_the_first_is_durable)
{
    struct world world;
    world_open(&world, NULL);
    struct client *one = client_connect(&world), *two = client_connect(&world);
    client_create_topic(one, "t", 1, NULL);
    struct produce_request request;
    struct produce_request_topic_produce_data data;
    struct produce_request_partition_produce_data part;
    struct recipe recipe = idempotent(9, 0, 0, 10);
    struct bytes batch = cook(one, &recipe);
    codec_defaults(&produce_request_message, &request);
    struct_defaults(&produce_request_topic_produce_data_table, &data);
    part.index = 0;
    part.records = (struct records){ .data = batch.data, .len = batch.len };
    data.name = bytes_text("t");
    data.partition_data = &part;
    data.partition_data_count = 1;
    request.topic_data = &data;
    request.topic_data_count = 1;
    request.acks = -1;
    (void)client_send(one, API_PRODUCE, 9, &request);
    (void)client_send(two, API_PRODUCE, 9, &request);
    struct produce_response *answer = client_receive(two, API_PRODUCE, 9);
    cr_assert_eq(answer->responses[0].partition_responses[0].error_code, 0);
    cr_assert_eq(answer->responses[0].partition_responses[0].base_offset, 0);
    world_crash(&world, true);
    world_start(&world, NULL);
    cr_assert_eq(log_of(&world, "t", 0)->end_offset, 10);
    world_close(&world);
}

/* ---- the pool and the ring ----------------------------------------------------------------- */

/* Requests on one connection: one that the pool takes long for, then small ones. */
TEST(handle_produce, the_order_of_a_connection_is_kept_whatever_the_pool_does)
{
    enum { COUNT = 12 };
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world world;
        sim_init(&world.sim, seed);
        world.sim.faults.latency_max_ns = 5 * CLOCK_NS_PER_MS;
        world_start(&world, NULL);
        struct client *client = client_connect(&world);
        client_create_topic(client, "t", 1, NULL);
        struct produce_request request;
        struct produce_request_topic_produce_data data;
        struct produce_request_partition_produce_data part;
        int32_t sequence = 0;
        for (int i = 0; i < COUNT; i++) {
            struct recipe recipe = idempotent(9, 0, sequence, i % 3 == 2 ? 2 : 100);
            recipe.codec = i % 3 == 2 ? CODEC_NONE : CODEC_ZSTD;
            recipe.noise = true;
            recipe.value_len = 1000;
            sequence += recipe.count;
            struct bytes batch = cook(client, &recipe);
            codec_defaults(&produce_request_message, &request);
            struct_defaults(&produce_request_topic_produce_data_table, &data);
            part.index = 0;
            part.records = (struct records){ .data = batch.data, .len = batch.len };
            data.name = bytes_text("t");
            data.partition_data = &part;
            data.partition_data_count = 1;
            request.topic_data = &data;
            request.topic_data_count = 1;
            request.acks = i % 4 == 1 ? 0 : -1;
            (void)client_send(client, API_PRODUCE, 9, &request);
        }
        for (int i = 0; i < COUNT; i++) {
            if (i % 4 == 1)
                continue;
            struct produce_response *answer = client_receive(client, API_PRODUCE, 9);
            cr_assert_not_null(answer);
            cr_assert_eq(answer->responses[0].partition_responses[0].error_code, 0,
                "seed %d, request %d: %s", (int)seed, i,
                error_name(answer->responses[0].partition_responses[0].error_code));
        }
        cr_assert_eq(log_of(&world, "t", 0)->end_offset, sequence);
        cr_assert(world.sim.counts.jobs > 0);
        world_close(&world);
    }
}

TEST(handle_produce, a_client_that_leaves_while_the_pool_has_its_batch)
{
    struct world world;
    sim_init(&world.sim, 3);
    world.sim.faults.latency_max_ns = 50 * CLOCK_NS_PER_MS;
    world_start(&world, NULL);
    struct client *client = client_connect(&world), *other = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct recipe recipe = plain(100);
    recipe.codec = CODEC_GZIP;
    recipe.noise = true;
    recipe.value_len = 1000;
    for (int i = 0; i < 10; i++) {
        struct bytes batch = cook(client, &recipe);
        (void)client_produce_at(client, 8, 0, "t", 0, batch);
    }
    (void)world_step(&world);
    client_close(client);
    cr_assert_eq(
        client_produce(other, "t", 0, client_batch(other, CODEC_NONE, 0, 1))->error_code, 0);
    world_run(&world, 1000);
    world_close(&world);
}

TEST(handle_produce, a_batch_that_decompresses_to_much_is_served_and_a_bomb_is_not)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct recipe recipe = plain(1);
    recipe.codec = CODEC_ZSTD;
    recipe.value_len = VALIDATION_INLINE_MAX + 1000;
    cr_assert_eq(client_produce(client, "t", 0, cook(client, &recipe))->error_code, 0);
    recipe.value_len = VALIDATION_USUAL_MAX + 1000;
    cr_assert_eq(client_produce(client, "t", 0, cook(client, &recipe))->error_code, 0);
    recipe.value_len = VALIDATION_LARGE_MAX + 1000;
    (void)refused(&world, client, 8, cook(client, &recipe), KAFKA_ERROR_MESSAGE_TOO_LARGE);
    world_close(&world);
}

TEST(handle_produce, a_full_ring_parks_requests_and_loses_none)
{
    enum { CLIENTS = 4, EACH = 60 };
    struct world world;
    sim_init(&world.sim, 9);
    world.sim.faults.latency_max_ns = 20 * CLOCK_NS_PER_MS;
    world_start(&world,
        (const char *[]){ "wal.file.bytes=1048576", "wal.files.max=2", "durability=fsync", NULL });
    struct client *clients[CLIENTS];
    int64_t total = 0;
    for (int c = 0; c < CLIENTS; c++)
        clients[c] = client_connect(&world);
    client_create_topic(clients[0], "t", CLIENTS, NULL);
    struct recipe recipe = plain(60);
    recipe.value_len = 1000;
    for (int i = 0; i < EACH; i++) {
        for (int c = 0; c < CLIENTS; c++) {
            struct produce_request request;
            struct produce_request_topic_produce_data data;
            struct produce_request_partition_produce_data part;
            struct bytes batch = cook(clients[c], &recipe);
            codec_defaults(&produce_request_message, &request);
            struct_defaults(&produce_request_topic_produce_data_table, &data);
            part.index = c;
            part.records = (struct records){ .data = batch.data, .len = batch.len };
            data.name = bytes_text("t");
            data.partition_data = &part;
            data.partition_data_count = 1;
            request.topic_data = &data;
            request.topic_data_count = 1;
            request.acks = -1;
            (void)client_send(clients[c], API_PRODUCE, 9, &request);
        }
    }
    bool parked = false;
    for (int i = 0; i < EACH; i++) {
        for (int c = 0; c < CLIENTS; c++) {
            parked |= !list_empty(&world.broker->parked);
            struct produce_response *answer = client_receive(clients[c], API_PRODUCE, 9);
            cr_assert_eq(answer->responses[0].partition_responses[0].error_code, 0);
            cr_assert_eq(answer->responses[0].partition_responses[0].base_offset, 60 * i);
            total += 60;
        }
    }
    cr_assert(parked, "the ring was never full: the test shows nothing");
    cr_assert_eq(total, CLIENTS * EACH * 60);
    world_close(&world);
}

TEST(handle_produce, a_full_disk_refuses_batches_with_a_code_that_is_tried_again)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(
        client_produce(client, "t", 0, client_batch(client, CODEC_NONE, 0, 1))->error_code, 0);
    world.sim.faults.capacity = 1;
    world_run(&world, 60000);
    cr_assert_eq(client_produce(client, "t", 0, client_batch(client, CODEC_NONE, 0, 1))->error_code,
        KAFKA_ERROR_KAFKA_STORAGE_ERROR);
    world.sim.faults.capacity = 0;
    world_run(&world, 60000);
    cr_assert_eq(
        client_produce(client, "t", 0, client_batch(client, CODEC_NONE, 0, 1))->error_code, 0);
    world_close(&world);
}
