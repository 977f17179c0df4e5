/* Fetch as clients see it: protocol.md traps 35-46. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include <limits.h>
#include <stdio.h>

#include "broker/api.h"

static struct log *log_of(struct world *world, const char *topic, int32_t partition)
{
    return topic_log(storage_topic(world->broker->storage, bytes_text(topic)), partition);
}

/* How many batches and records came, each checked, in order from `offset` on. */
struct harvest {
    int32_t batches, records;
    int64_t next;
};

static struct harvest harvest(const struct fetch_response_partition_data *part, int64_t offset)
{
    struct harvest harvest = { .next = offset };
    struct bytes run = records_bytes(part->records);
    struct batch_view view;
    while (batch_next(&run, &view) == BATCH_OK) {
        cr_assert_eq(batch_check(&view), BATCH_OK);
        cr_assert(
            harvest.batches == 0 ? view.base_offset <= offset : view.base_offset == harvest.next);
        harvest.batches++;
        harvest.records += view.count;
        harvest.next = batch_last_offset(&view) + 1;
    }
    return harvest;
}

/* A fetch of several partitions of a topic, from offset 0, with the given limits. */
static struct fetch_request *fetch_many(struct client *client, const char *topic, int32_t count,
    int32_t max_bytes, int32_t partition_max_bytes)
{
    struct fetch_request *request = client_fetch_request(client, topic, 0, 0);
    struct fetch_request_partition *partitions =
        client_alloc(client, (size_t)count * sizeof(*partitions));
    for (int32_t i = 0; i < count; i++) {
        partitions[i] = request->topics->partitions[0];
        partitions[i].partition = i;
        partitions[i].partition_max_bytes = partition_max_bytes;
    }
    request->topics->partitions = partitions;
    request->topics->partitions_count = count;
    request->max_bytes = max_bytes;
    return request;
}

static void fill(struct client *client, const char *topic, int32_t partition, int32_t batches)
{
    for (int32_t i = 0; i < batches; i++) {
        struct bytes batch = client_batch(client, CODEC_NONE, 10 * i, 10);
        cr_assert_eq(client_produce(client, topic, partition, batch)->error_code, 0);
    }
}

/* ---- what is there ------------------------------------------------------------------------- */

TEST(handle_fetch, what_was_produced_comes_back_in_every_version)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, "t", 0, 3);
    for (int16_t version = 4; version <= 18; version++) {
        struct fetch_request *request = client_fetch_request(client, "t", 0, 0);
        struct fetch_response *answer = client_call(client, API_FETCH, version, request);
        cr_assert_eq(answer->throttle_time_ms, 0);
        cr_assert_eq(answer->error_code, 0);
        cr_assert_eq(answer->session_id, 0);
        cr_assert_eq(answer->node_endpoints_count, 0);
        cr_assert_eq(answer->responses_count, 1);
        if (version < 13)
            cr_assert(bytes_equal_text(answer->responses[0].topic, "t"));
        else
            cr_assert(uuid_equal(answer->responses[0].topic_id, client_topic_id(client, "t")));
        struct fetch_response_partition_data *part = &answer->responses[0].partitions[0];
        cr_assert_eq(part->error_code, 0);
        cr_assert_eq(part->high_watermark, 30);
        cr_assert_eq(part->last_stable_offset, 30);
        cr_assert_eq(part->log_start_offset, version < 5 ? -1 : 0);
        cr_assert_eq(part->preferred_read_replica, -1);
        cr_assert_eq(part->diverging_epoch.epoch, -1);
        cr_assert_eq(part->current_leader.leader_id, -1);
        cr_assert_eq(part->aborted_transactions_count, -1);
        struct harvest got = harvest(part, 0);
        cr_assert_eq(got.batches, 3);
        cr_assert_eq(got.records, 30);
    }
    world_close(&world);
}

TEST(handle_fetch, begins_with_the_batch_that_holds_the_offset)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, "t", 0, 3);
    struct harvest got =
        harvest(client_fetch(client, 12, client_fetch_request(client, "t", 0, 15)), 15);
    cr_assert_eq(got.batches, 2);
    cr_assert_eq(got.next, 30);
    world_close(&world);
}

TEST(handle_fetch, read_committed_gets_an_empty_list_of_aborted_transactions)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, "t", 0, 1);
    struct fetch_request *request = client_fetch_request(client, "t", 0, 0);
    request->isolation_level = 1;
    struct fetch_response_partition_data *part = client_fetch(client, 12, request);
    cr_assert_eq(part->aborted_transactions_count, 0);
    cr_assert_eq(harvest(part, 0).records, 10);
    world_close(&world);
}

/* ---- errors -------------------------------------------------------------------------------- */

static void refused(
    struct client *client, int16_t version, const struct fetch_request *request, int16_t code)
{
    int64_t began = world_now_ms(client->world);
    struct fetch_response_partition_data *part = client_fetch(client, version, request);
    cr_assert_eq(part->error_code, code, "%s", error_name(part->error_code));
    cr_assert_eq(part->high_watermark, -1);
    cr_assert_eq(part->last_stable_offset, -1);
    cr_assert_eq(part->log_start_offset, -1);
    cr_assert_not_null(part->records.data);
    cr_assert_eq(part->records.len, 0);
    cr_assert_eq(part->current_leader.leader_id, -1);
    bool missed =
        code == KAFKA_ERROR_UNKNOWN_TOPIC_ID || code == KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    cr_assert_eq(part->aborted_transactions_count, missed ? 0 : -1);
    cr_assert(world_now_ms(client->world) - began < 400, "an error does not wait");
}

TEST(handle_fetch, each_fault_of_a_partition_has_its_code)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, "t", 0, 1);
    refused(client, 12, client_fetch_request(client, "u", 0, 0),
        KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    refused(client, 13, client_fetch_request(client, "u", 0, 0), KAFKA_ERROR_UNKNOWN_TOPIC_ID);
    refused(client, 13, client_fetch_request(client, "t", 1, 0),
        KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    refused(client, 12, client_fetch_request(client, "t", 0, 11), KAFKA_ERROR_OFFSET_OUT_OF_RANGE);
    refused(client, 12, client_fetch_request(client, "t", 0, -1), KAFKA_ERROR_OFFSET_OUT_OF_RANGE);
    struct fetch_request *request = client_fetch_request(client, "t", 0, 0);
    request->topics->partitions->current_leader_epoch = log_of(&world, "t", 0)->leader_epoch + 1;
    refused(client, 12, request, KAFKA_ERROR_UNKNOWN_LEADER_EPOCH);
    request->topics->partitions->current_leader_epoch = log_of(&world, "t", 0)->leader_epoch;
    cr_assert_eq(client_fetch(client, 12, request)->error_code, 0);
    world_close(&world);
}

TEST(handle_fetch, a_broker_that_wants_a_copy_is_refused)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, "t", 0, 1);
    for (int16_t version = 4; version <= 18; version++) {
        for (int32_t replica = -2; replica <= 1; replica++) {
            struct fetch_request *request = client_fetch_request(client, "t", 0, 0);
            request->topics->topic_id = log_of(&world, "t", 0)->topic->id;
            request->replica_id = version < 15 ? replica : -1;
            request->replica_state.replica_id = version < 15 ? -1 : replica;
            struct fetch_response *answer = client_call(client, API_FETCH, version, request);
            struct fetch_response_partition_data *part = answer->responses->partitions;
            cr_assert_eq(part->error_code, replica < 0 ? 0 : KAFKA_ERROR_NOT_LEADER_OR_FOLLOWER);
            cr_assert_eq(harvest(part, 0).records, replica < 0 ? 10 : 0);
            cr_assert_eq(answer->node_endpoints_count, 0);
        }
    }
    world_close(&world);
}

TEST(handle_fetch, the_end_of_the_log_is_not_out_of_range)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, "t", 0, 1);
    struct fetch_request *request = client_fetch_request(client, "t", 0, 10);
    struct fetch_response_partition_data *part = client_fetch(client, 12, request);
    cr_assert_eq(part->error_code, 0);
    cr_assert_eq(part->high_watermark, 10);
    cr_assert_eq(part->records.len, 0);
    cr_assert_not_null(part->records.data);
    world_close(&world);
}

/* Raises the leader epoch: a broker that died begins a new one. */
static struct client *reborn(struct world *world)
{
    world_crash(world, true);
    world_start(world, NULL);
    return client_connect(world);
}

TEST(handle_fetch, an_old_leader_epoch_is_fenced_and_told_where_the_leader_is)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, "t", 0, 1);
    int32_t old = log_of(&world, "t", 0)->leader_epoch;
    client = reborn(&world);
    cr_assert(log_of(&world, "t", 0)->leader_epoch > old);
    struct fetch_request *request = client_fetch_request(client, "t", 0, 0);
    request->topics->partitions->current_leader_epoch = old;
    refused(client, 12, request, KAFKA_ERROR_FENCED_LEADER_EPOCH);
    struct fetch_response *answer = client_call(client, API_FETCH, 16, request);
    struct fetch_response_partition_data *part = &answer->responses[0].partitions[0];
    cr_assert_eq(part->error_code, KAFKA_ERROR_FENCED_LEADER_EPOCH);
    cr_assert_eq(part->current_leader.leader_id, world.config.node_id);
    cr_assert_eq(part->current_leader.leader_epoch, log_of(&world, "t", 0)->leader_epoch);
    cr_assert_eq(answer->node_endpoints_count, 1);
    cr_assert_eq(answer->node_endpoints[0].port, 9092);
    cr_assert(bytes_equal_text(answer->node_endpoints[0].host, "broker.test"));
    world_close(&world);
}

TEST(handle_fetch, a_client_that_read_another_history_is_told_where_they_part)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, "t", 0, 2);
    int32_t old = log_of(&world, "t", 0)->leader_epoch;
    client = reborn(&world);
    fill(client, "t", 0, 1);
    /* It read up to 25 in the old epoch; that one ended at 20. */
    struct fetch_request *request = client_fetch_request(client, "t", 0, 25);
    request->topics->partitions->last_fetched_epoch = old;
    struct fetch_response_partition_data *part = client_fetch(client, 12, request);
    cr_assert_eq(part->error_code, 0);
    cr_assert_eq(part->diverging_epoch.epoch, old);
    cr_assert_eq(part->diverging_epoch.end_offset, 20);
    cr_assert_eq(part->records.len, 0);
    cr_assert_eq(part->high_watermark, 30);
    /* Before that point all is well. */
    request->topics->partitions->fetch_offset = 20;
    part = client_fetch(client, 12, request);
    cr_assert_eq(part->diverging_epoch.epoch, -1);
    cr_assert_eq(harvest(part, 20).records, 10);
    /* An epoch that nobody knows cannot be compared. */
    request->topics->partitions->last_fetched_epoch = log_of(&world, "t", 0)->leader_epoch + 5;
    refused(client, 12, request, KAFKA_ERROR_OFFSET_OUT_OF_RANGE);
    world_close(&world);
}

/* ---- limits -------------------------------------------------------------------------------- */

TEST(handle_fetch, the_first_partition_with_data_gets_a_batch_however_small_the_limits)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 4, NULL);
    fill(client, "t", 1, 2);
    fill(client, "t", 2, 2);
    struct fetch_response *answer =
        client_call(client, API_FETCH, 12, fetch_many(client, "t", 4, 1, 1));
    struct fetch_response_partition_data *parts = answer->responses[0].partitions;
    cr_assert_eq(parts[0].records.len, 0);
    cr_assert_eq(harvest(&parts[1], 0).batches, 1);
    cr_assert_eq(parts[2].records.len, 0);
    cr_assert_eq(parts[3].records.len, 0);
    answer = client_call(client, API_FETCH, 12, fetch_many(client, "t", 4, 0, 0));
    cr_assert_eq(harvest(&answer->responses[0].partitions[1], 0).batches, 1);
    world_close(&world);
}

TEST(handle_fetch, the_order_of_the_request_is_the_order_of_service)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    fill(client, "t", 0, 2);
    fill(client, "t", 1, 2);
    struct fetch_request *request = fetch_many(client, "t", 2, 1, 1000000);
    request->topics->partitions[0].partition = 1;
    request->topics->partitions[1].partition = 0;
    struct fetch_response *answer = client_call(client, API_FETCH, 12, request);
    cr_assert_eq(answer->responses[0].partitions[0].partition_index, 1);
    cr_assert_eq(harvest(&answer->responses[0].partitions[0], 0).batches, 1);
    cr_assert_eq(answer->responses[0].partitions[1].records.len, 0);
    world_close(&world);
}

TEST(handle_fetch, limits_hold_for_each_partition_and_for_all)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 3, NULL);
    for (int32_t p = 0; p < 3; p++)
        fill(client, "t", p, 10);
    int32_t size = (int32_t)client_batch(client, CODEC_NONE, 10, 10).len;
    struct fetch_response *answer =
        client_call(client, API_FETCH, 12, fetch_many(client, "t", 3, INT_MAX, 4 * size));
    for (int32_t p = 0; p < 3; p++) {
        size_t len = answer->responses[0].partitions[p].records.len;
        cr_assert(len <= (size_t)(4 * size) && len > (size_t)(2 * size), "%zu", len);
    }
    answer = client_call(client, API_FETCH, 12, fetch_many(client, "t", 3, 5 * size, 4 * size));
    size_t total = 0;
    for (int32_t p = 0; p < 3; p++)
        total += answer->responses[0].partitions[p].records.len;
    cr_assert(total <= (size_t)(5 * size) && total > (size_t)(3 * size));
    cr_assert_eq(answer->responses[0].partitions[2].records.len, 0);
    world_close(&world);
}

TEST(handle_fetch, the_brokers_own_limit_is_kept)
{
    struct world world;
    world_open(&world, (const char *[]){ "fetch.max.bytes=1024", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    fill(client, "t", 0, 20);
    fill(client, "t", 1, 20);
    struct fetch_response *answer =
        client_call(client, API_FETCH, 12, fetch_many(client, "t", 2, INT_MAX, INT_MAX));
    cr_assert(answer->responses[0].partitions[0].records.len > 0);
    cr_assert(answer->responses[0].partitions[0].records.len <= 1024);
    world_close(&world);
}

/* ---- waiting ------------------------------------------------------------------------------- */

static int32_t size_of_batch(struct client *client)
{
    return (int32_t)client_batch(client, CODEC_NONE, 0, 10).len;
}

TEST(handle_fetch, an_empty_log_is_waited_for_until_the_time_is_up)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct fetch_request *request = client_fetch_request(client, "t", 0, 0);
    int64_t began = world_now_ms(&world);
    struct fetch_response_partition_data *part = client_fetch(client, 12, request);
    cr_assert_eq(part->error_code, 0);
    cr_assert_eq(part->records.len, 0);
    cr_assert_eq(world_now_ms(&world) - began, 500);
    request->max_wait_ms = 0;
    began = world_now_ms(&world);
    (void)client_fetch(client, 12, request);
    cr_assert_eq(world_now_ms(&world), began);
    request->max_wait_ms = 500;
    request->min_bytes = 0;
    (void)client_fetch(client, 12, request);
    cr_assert_eq(world_now_ms(&world), began);
    world_close(&world);
}

TEST(handle_fetch, a_produce_wakes_the_wait)
{
    struct world world;
    world_open(&world, NULL);
    struct client *reader = client_connect(&world), *writer = client_connect(&world);
    client_create_topic(writer, "t", 2, NULL);
    struct fetch_request *request = fetch_many(reader, "t", 2, INT_MAX, INT_MAX);
    request->max_wait_ms = 60000;
    (void)client_send(reader, API_FETCH, 12, request);
    world_run(&world, 100);
    cr_assert_null(client_poll(reader, API_FETCH, 12));
    int64_t began = world_now_ms(&world);
    fill(writer, "t", 1, 1);
    struct fetch_response *answer = client_receive(reader, API_FETCH, 12);
    cr_assert(world_now_ms(&world) - began < 100);
    cr_assert_eq(answer->responses[0].partitions[0].records.len, 0);
    cr_assert_eq(harvest(&answer->responses[0].partitions[1], 0).records, 10);
    world_close(&world);
}

TEST(handle_fetch, min_bytes_are_counted_over_all_partitions)
{
    struct world world;
    world_open(&world, NULL);
    struct client *reader = client_connect(&world), *writer = client_connect(&world);
    client_create_topic(writer, "t", 3, NULL);
    fill(writer, "t", 0, 1);
    struct fetch_request *request = fetch_many(reader, "t", 3, INT_MAX, INT_MAX);
    request->max_wait_ms = 60000;
    request->min_bytes = 3 * size_of_batch(writer);
    (void)client_send(reader, API_FETCH, 12, request);
    world_run(&world, 100);
    cr_assert_null(client_poll(reader, API_FETCH, 12));
    fill(writer, "t", 1, 1);
    world_run(&world, 100);
    cr_assert_null(client_poll(reader, API_FETCH, 12));
    fill(writer, "t", 2, 1);
    world_run(&world, 100);
    struct fetch_response *answer = client_poll(reader, API_FETCH, 12);
    cr_assert_not_null(answer);
    for (int32_t p = 0; p < 3; p++)
        cr_assert_eq(harvest(&answer->responses[0].partitions[p], 0).records, 10);
    world_close(&world);
}

TEST(handle_fetch, the_log_is_not_read_again_for_each_record_that_comes)
{
    enum { COUNT = 40 };
    struct world world;
    world_open(&world, NULL);
    struct client *reader = client_connect(&world), *writer = client_connect(&world);
    client_create_topic(writer, "t", 1, NULL);
    struct fetch_request *request = client_fetch_request(reader, "t", 0, 0);
    request->max_wait_ms = 60000;
    request->min_bytes = COUNT * (size_of_batch(writer) + 1);
    (void)client_send(reader, API_FETCH, 12, request);
    world_run(&world, 100);
    struct storage_stats before = storage_stats(world.broker->storage);
    fill(writer, "t", 0, COUNT);
    struct storage_stats after = storage_stats(world.broker->storage);
    cr_assert(after.reads_ring - before.reads_ring <= 3, "%d reads",
        (int)(after.reads_ring - before.reads_ring));
    fill(writer, "t", 0, 2);
    struct fetch_response *answer = client_receive(reader, API_FETCH, 12);
    cr_assert(answer->responses[0].partitions[0].records.len >= (size_t)request->min_bytes);
    world_close(&world);
}

/* Bytes that are in the log but not yet durable count when they become so. */
TEST(handle_fetch, what_was_in_flight_when_the_wait_began_ends_it)
{
    struct world world;
    world_open(&world, NULL);
    struct client *writer = client_connect(&world), *reader = client_connect(&world);
    client_create_topic(writer, "t", 1, NULL);
    struct bytes batch = client_batch(writer, CODEC_NONE, 0, 10);
    struct produce_request request;
    struct produce_request_topic_produce_data data;
    struct produce_request_partition_produce_data part;
    codec_defaults(&produce_request_message, &request);
    struct_defaults(&produce_request_topic_produce_data_table, &data);
    part = (struct produce_request_partition_produce_data){ .index = 0,
        .records = { .data = batch.data, .len = batch.len } };
    data.name = bytes_text("t");
    data.partition_data = &part;
    data.partition_data_count = 1;
    request.topic_data = &data;
    request.topic_data_count = 1;
    request.acks = -1;
    struct fetch_request *fetch = client_fetch_request(reader, "t", 0, 0);
    fetch->max_wait_ms = 60000;
    fetch->min_bytes = size_of_batch(writer) / 2;
    (void)client_send(writer, API_PRODUCE, 9, &request);
    (void)client_send(reader, API_FETCH, 12, fetch);
    world_run(&world, 1000);
    struct fetch_response *answer = client_poll(reader, API_FETCH, 12);
    cr_assert_not_null(answer);
    cr_assert_eq(harvest(&answer->responses[0].partitions[0], 0).records, 10);
    world_close(&world);
}

/* All memory for answers is taken, by clients that do not read, say. */
TEST(handle_fetch, without_memory_for_its_answer_it_waits_for_it)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    size_t room = (size_t)world.config.answers_bytes_max;
    client_create_topic(client, "t", 1, NULL);
    fill(client, "t", 0, 5);
    broker_answer_take(world.broker, room);
    struct fetch_request *request = client_fetch_request(client, "t", 0, 0);
    request->max_wait_ms = 1000;
    (void)client_send(client, API_FETCH, 12, request);
    world_run(&world, 500);
    cr_assert_null(client_poll(client, API_FETCH, 12));
    broker_answer_give(world.broker, room);
    world_run(&world, 1);
    struct fetch_response *answer = client_poll(client, API_FETCH, 12);
    cr_assert_not_null(answer);
    cr_assert_eq(harvest(&answer->responses[0].partitions[0], 0).batches, 5);
    cr_assert_eq(world.broker->memory.answers, 0, "all is given back");

    broker_answer_take(world.broker, room);
    (void)client_send(client, API_FETCH, 12, request);
    world_run(&world, 1100);
    answer = client_poll(client, API_FETCH, 12);
    cr_assert_not_null(answer, "the deadline holds all the same");
    cr_assert_eq(answer->responses[0].partitions[0].error_code, KAFKA_ERROR_NONE);
    cr_assert_eq(answer->responses[0].partitions[0].records.len, 0);
    broker_answer_give(world.broker, room);
    world_close(&world);
}

/* Three quarters are taken: what is left is for small answers to clients that read. */
TEST(handle_fetch, small_batches_come_when_memory_for_answers_is_short)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    size_t room = broker_answer_room(world.broker);
    cr_assert_lt(room, (size_t)world.config.answers_bytes_max);
    client_create_topic(client, "small", 1, NULL);
    client_create_topic(client, "large", 1, NULL);
    fill(client, "small", 0, 5);
    struct bytes large = client_batch(client, CODEC_NONE, 0, 4000);
    cr_assert_gt(large.len, ANSWER_SMALL_MAX);
    cr_assert_eq(client_produce(client, "large", 0, large)->error_code, KAFKA_ERROR_NONE);
    broker_answer_take(world.broker, room);
    struct fetch_request *request = client_fetch_request(client, "small", 0, 0);
    request->max_wait_ms = 1000;
    (void)client_send(client, API_FETCH, 12, request);
    world_run(&world, 10);
    struct fetch_response *answer = client_poll(client, API_FETCH, 12);
    cr_assert_not_null(answer, "at once");
    cr_assert_eq(harvest(&answer->responses[0].partitions[0], 0).batches, 5);

    request = client_fetch_request(client, "large", 0, 0);
    request->max_wait_ms = 1000;
    (void)client_send(client, API_FETCH, 12, request);
    world_run(&world, 500);
    cr_assert_null(client_poll(client, API_FETCH, 12));
    broker_answer_give(world.broker, room);
    world_run(&world, 10);
    answer = client_poll(client, API_FETCH, 12);
    cr_assert_not_null(answer);
    cr_assert_eq(harvest(&answer->responses[0].partitions[0], 0).records, 4000);
    world_close(&world);
}

TEST(handle_fetch, too_few_bytes_come_when_the_time_is_up)
{
    struct world world;
    world_open(&world, NULL);
    struct client *reader = client_connect(&world), *writer = client_connect(&world);
    client_create_topic(writer, "t", 1, NULL);
    struct fetch_request *request = client_fetch_request(reader, "t", 0, 0);
    request->min_bytes = 1000000;
    (void)client_send(reader, API_FETCH, 12, request);
    world_run(&world, 100);
    fill(writer, "t", 0, 2);
    struct fetch_response *answer = client_receive(reader, API_FETCH, 12);
    cr_assert_eq(harvest(&answer->responses[0].partitions[0], 0).records, 20);
    cr_assert(world_now_ms(&world) >= 500);
    world_close(&world);
}

TEST(handle_fetch, a_topic_that_is_deleted_ends_the_wait)
{
    struct world world;
    world_open(&world, NULL);
    struct client *reader = client_connect(&world), *writer = client_connect(&world);
    client_create_topic(writer, "t", 1, NULL);
    struct fetch_request *request = client_fetch_request(reader, "t", 0, 0);
    request->max_wait_ms = 60000;
    (void)client_send(reader, API_FETCH, 12, request);
    world_run(&world, 100);
    struct delete_topics_request deletion;
    struct bytes name = bytes_text("t");
    codec_defaults(&delete_topics_request_message, &deletion);
    deletion.topic_names = &name;
    deletion.topic_names_count = 1;
    (void)client_call(writer, API_DELETE_TOPICS, 1, &deletion);
    world_run(&world, 100);
    struct fetch_response *answer = client_poll(reader, API_FETCH, 12);
    cr_assert_not_null(answer);
    cr_assert_eq(
        answer->responses[0].partitions[0].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    world_close(&world);
}

TEST(handle_fetch, a_client_that_leaves_while_it_waits_leaves_nothing_behind)
{
    struct world world;
    world_open(&world, NULL);
    struct client *reader = client_connect(&world), *writer = client_connect(&world);
    client_create_topic(writer, "t", 2, NULL);
    struct fetch_request *request = fetch_many(reader, "t", 2, INT_MAX, INT_MAX);
    request->max_wait_ms = 60000;
    (void)client_send(reader, API_FETCH, 12, request);
    world_run(&world, 100);
    cr_assert_not(list_empty(&log_of(&world, "t", 0)->waiters));
    client_close(reader);
    cr_assert(list_empty(&log_of(&world, "t", 0)->waiters));
    fill(writer, "t", 0, 1);
    world_run(&world, 100000);
    world_close(&world);
}

TEST(handle_fetch, nothing_asked_for_is_answered_at_once)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    struct fetch_request *request = client_fetch_request(client, "t", 0, 0);
    request->topics_count = 0;
    struct fetch_response *answer = client_call(client, API_FETCH, 12, request);
    cr_assert_eq(answer->responses_count, 0);
    cr_assert_eq(world_now_ms(&world), 0);
    world_close(&world);
}

/* ---- cold bytes ---------------------------------------------------------------------------- */

/* Everything is in segment files, and a read that would wait says so: the pool reads. */
static void make_cold(struct world *world)
{
    world_run(world, 60000);
    world->sim.faults.cold_read = 10000;
}

TEST(handle_fetch, cold_partitions_are_read_side_by_side_within_the_limits)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world world;
        sim_init(&world.sim, seed);
        world.sim.faults.latency_max_ns = 5 * CLOCK_NS_PER_MS;
        world_start(&world, NULL);
        struct client *client = client_connect(&world);
        client_create_topic(client, "t", 5, NULL);
        for (int32_t p = 1; p < 5; p++)
            fill(client, "t", p, 10);
        int32_t size = size_of_batch(client);
        make_cold(&world);
        struct fetch_response *answer =
            client_call(client, API_FETCH, 12, fetch_many(client, "t", 5, INT_MAX, INT_MAX));
        for (int32_t p = 1; p < 5; p++)
            cr_assert_eq(harvest(&answer->responses[0].partitions[p], 0).records, 100);
        answer =
            client_call(client, API_FETCH, 12, fetch_many(client, "t", 5, 12 * size, 100 * size));
        size_t total = 0;
        for (int32_t p = 0; p < 5; p++)
            total += answer->responses[0].partitions[p].records.len;
        cr_assert(total > 0 && total <= (size_t)(12 * size));
        cr_assert(answer->responses[0].partitions[1].records.len > 0);
        answer = client_call(client, API_FETCH, 12, fetch_many(client, "t", 5, 1, 1));
        cr_assert_eq(harvest(&answer->responses[0].partitions[1], 0).batches, 1);
        cr_assert(world.sim.counts.cold_reads > 0, "nothing was cold: the test shows nothing");
        world_close(&world);
    }
}

TEST(handle_fetch, a_client_that_leaves_during_a_cold_read)
{
    struct world world;
    sim_init(&world.sim, 4);
    world.sim.faults.latency_max_ns = 50 * CLOCK_NS_PER_MS;
    world_start(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 3, NULL);
    for (int32_t p = 0; p < 3; p++)
        fill(client, "t", p, 5);
    make_cold(&world);
    (void)client_send(client, API_FETCH, 12, fetch_many(client, "t", 3, INT_MAX, INT_MAX));
    (void)world_step(&world);
    client_close(client);
    world_run(&world, 1000);
    world_close(&world);
}

TEST(handle_fetch, a_segment_that_cannot_be_read_is_an_error_of_its_partition_only)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    fill(client, "t", 0, 5);
    fill(client, "t", 1, 5);
    make_cold(&world);
    world.sim.faults.read_error = 10000;
    struct fetch_response *answer =
        client_call(client, API_FETCH, 12, fetch_many(client, "t", 2, INT_MAX, INT_MAX));
    for (int32_t p = 0; p < 2; p++)
        cr_assert_eq(
            answer->responses[0].partitions[p].error_code, KAFKA_ERROR_KAFKA_STORAGE_ERROR);
    world.sim.faults.read_error = 0;
    answer = client_call(client, API_FETCH, 12, fetch_many(client, "t", 2, INT_MAX, INT_MAX));
    for (int32_t p = 0; p < 2; p++)
        cr_assert_eq(harvest(&answer->responses[0].partitions[p], 0).records, 50);
    world_close(&world);
}

TEST(handle_fetch, a_damaged_partition_does_not_keep_the_next_from_its_batch)
{
    struct world world;
    sim_init(&world.sim, 4);
    world.sim.faults.latency_max_ns = 5 * CLOCK_NS_PER_MS;
    world_start(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    fill(client, "t", 0, 5);
    fill(client, "t", 1, 5);
    make_cold(&world);
    cr_assert_eq(sim_flip(&world.sim, "/data/t-0/00000000000000000000.log", BATCH_AT_MAGIC, 4), 0);
    struct fetch_response *answer =
        client_call(client, API_FETCH, 12, fetch_many(client, "t", 2, INT_MAX, 1));
    cr_assert_eq(answer->responses[0].partitions[0].error_code, KAFKA_ERROR_CORRUPT_MESSAGE);
    cr_assert_eq(harvest(&answer->responses[0].partitions[1], 0).batches, 1);
    world_close(&world);
}
