/* ListOffsets and OffsetForLeaderEpoch as clients see them: protocol.md traps 35, 46, 47. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include <stdio.h>

static struct log *log_of(struct world *world, const char *topic, int32_t partition)
{
    return topic_log(storage_topic(world->broker->storage, bytes_text(topic)), partition);
}

static struct list_offsets_request *ask(
    struct client *client, const char *topic, int32_t partition, int64_t timestamp)
{
    struct list_offsets_request *request = client_alloc(client, sizeof(*request));
    codec_defaults(&list_offsets_request_message, request);
    request->replica_id = -1;
    request->topics = client_alloc(client, sizeof(*request->topics));
    struct_defaults(&list_offsets_request_topic_table, request->topics);
    request->topics_count = 1;
    request->topics->name = bytes_text(topic);
    request->topics->partitions = client_alloc(client, sizeof(*request->topics->partitions));
    struct_defaults(&list_offsets_request_partition_table, request->topics->partitions);
    request->topics->partitions_count = 1;
    request->topics->partitions->partition_index = partition;
    request->topics->partitions->timestamp = timestamp;
    return request;
}

static struct list_offsets_response_partition_response *told(
    struct client *client, int16_t version, const struct list_offsets_request *request)
{
    struct list_offsets_response *answer = client_call(client, API_LIST_OFFSETS, version, request);
    cr_assert_not_null(answer);
    cr_assert(bytes_equal(answer->topics[0].name, request->topics->name));
    cr_assert_eq(answer->topics[0].partitions[0].partition_index,
        request->topics->partitions->partition_index);
    return &answer->topics[0].partitions[0];
}

/* Records at the times 1000, 1001, ... in batches of 10, each batch beginning again at 1000. */
static void fill(struct client *client, enum codec codec, int32_t batches)
{
    for (int32_t i = 0; i < batches; i++)
        cr_assert_eq(
            client_produce(client, "t", 0, client_batch(client, codec, 10 * i, 10))->error_code, 0);
}

TEST(handle_offsets, latest_and_earliest_in_every_version)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, CODEC_NONE, 2);
    for (int16_t version = 1; version <= 11; version++) {
        for (int8_t isolation = 0; isolation <= 1; isolation++) {
            struct list_offsets_request *request = ask(client, "t", 0, -1);
            request->isolation_level = isolation;
            struct list_offsets_response_partition_response *row = told(client, version, request);
            cr_assert_eq(row->error_code, 0);
            cr_assert_eq(row->offset, 20);
            cr_assert_eq(row->timestamp, -1);
            cr_assert_eq(
                row->leader_epoch, version < 4 ? -1 : log_of(&world, "t", 0)->leader_epoch);
        }
        struct list_offsets_response_partition_response *row =
            told(client, version, ask(client, "t", 0, -2));
        cr_assert_eq(row->error_code, 0);
        cr_assert_eq(row->offset, 0);
        cr_assert_eq(row->timestamp, -1);
    }
    world_close(&world);
}

TEST(handle_offsets, special_times_belong_to_versions)
{
    static const struct {
        int64_t timestamp;
        int16_t since;
        int64_t offset, told;
    } rows[] = { { -3, 7, 9, 1009 }, { -4, 8, 0, -1 }, { -5, 9, -1, -1 }, { -6, 11, -1, -1 },
        { -7, 12, -1, -1 }, { INT64_MIN, 12, -1, -1 } };
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, CODEC_NONE, 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (int16_t version = 1; version <= 11; version++) {
            struct list_offsets_response_partition_response *row =
                told(client, version, ask(client, "t", 0, rows[i].timestamp));
            if (version < rows[i].since) {
                cr_assert_eq(row->error_code, KAFKA_ERROR_UNSUPPORTED_VERSION);
                continue;
            }
            cr_assert_eq(row->error_code, 0);
            cr_assert_eq(row->offset, rows[i].offset);
            cr_assert_eq(row->timestamp, rows[i].told);
        }
    }
    world_close(&world);
}

TEST(handle_offsets, a_time_finds_the_first_record_at_or_after_it_inside_a_batch)
{
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct world world;
        world_open(&world, NULL);
        struct client *client = client_connect(&world);
        client_create_topic(client, "t", 1, NULL);
        fill(client, (enum codec)codec, 3);
        struct list_offsets_response_partition_response *row =
            told(client, 4, ask(client, "t", 0, 1004));
        cr_assert_eq(row->error_code, 0);
        cr_assert_eq(row->offset, 4);
        cr_assert_eq(row->timestamp, 1004);
        cr_assert_eq(row->leader_epoch, log_of(&world, "t", 0)->leader_epoch);
        cr_assert_eq(told(client, 4, ask(client, "t", 0, 0))->offset, 0);
        row = told(client, 4, ask(client, "t", 0, 1010));
        cr_assert_eq(row->error_code, 0);
        cr_assert_eq(row->offset, -1);
        cr_assert_eq(row->timestamp, -1);
        cr_assert_eq(row->leader_epoch, -1);
        world_close(&world);
    }
}

TEST(handle_offsets, an_empty_log_has_offset_0_and_no_times)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(told(client, 7, ask(client, "t", 0, -1))->offset, 0);
    cr_assert_eq(told(client, 7, ask(client, "t", 0, -2))->offset, 0);
    cr_assert_eq(told(client, 7, ask(client, "t", 0, -2))->leader_epoch,
        log_of(&world, "t", 0)->leader_epoch);
    cr_assert_eq(told(client, 7, ask(client, "t", 0, -3))->offset, -1);
    cr_assert_eq(told(client, 7, ask(client, "t", 0, 5))->offset, -1);
    world_close(&world);
}

TEST(handle_offsets, faults_of_a_partition_have_their_codes)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(told(client, 4, ask(client, "u", 0, -1))->error_code,
        KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(told(client, 4, ask(client, "t", 1, -1))->error_code,
        KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    struct list_offsets_request *request = ask(client, "t", 0, -1);
    request->topics->partitions->current_leader_epoch = log_of(&world, "t", 0)->leader_epoch + 1;
    cr_assert_eq(told(client, 4, request)->error_code, KAFKA_ERROR_UNKNOWN_LEADER_EPOCH);
    int32_t old = log_of(&world, "t", 0)->leader_epoch;
    world_crash(&world, true);
    world_start(&world, NULL);
    client = client_connect(&world);
    request = ask(client, "t", 0, -1);
    request->topics->partitions->current_leader_epoch = old;
    cr_assert_eq(told(client, 4, request)->error_code, KAFKA_ERROR_FENCED_LEADER_EPOCH);
    world_close(&world);
}

TEST(handle_offsets, a_partition_that_comes_twice_is_refused_both_times)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    struct list_offsets_request *request = ask(client, "t", 0, -1);
    struct list_offsets_request_partition partitions[3];
    for (int i = 0; i < 3; i++)
        partitions[i] = request->topics->partitions[0];
    partitions[1].partition_index = 1;
    request->topics->partitions = partitions;
    request->topics->partitions_count = 3;
    struct list_offsets_response *answer = client_call(client, API_LIST_OFFSETS, 5, request);
    cr_assert_eq(answer->topics[0].partitions[0].error_code, KAFKA_ERROR_INVALID_REQUEST);
    cr_assert_eq(answer->topics[0].partitions[1].error_code, 0);
    cr_assert_eq(answer->topics[0].partitions[2].error_code, KAFKA_ERROR_INVALID_REQUEST);
    world_close(&world);
}

/* More lookups than may be under way at a time, all of them cold. */
static struct list_offsets_request *many(struct client *client, int32_t count)
{
    struct list_offsets_request *request = ask(client, "t", 0, 1003);
    struct list_offsets_request_partition *partitions =
        client_alloc(client, (size_t)count * sizeof(*partitions));
    for (int32_t i = 0; i < count; i++) {
        partitions[i] = request->topics->partitions[0];
        partitions[i].partition_index = i;
    }
    request->topics->partitions = partitions;
    request->topics->partitions_count = count;
    return request;
}

static size_t jobs_pending(struct world *world)
{
    size_t count = 0;
    list_foreach (node, &world->sim.pending_jobs)
        count++;
    return count;
}

TEST(handle_offsets, times_are_looked_up_in_cold_segments)
{
    enum { COUNT = 20 };
    struct world world;
    sim_init(&world.sim, 7);
    world.sim.faults.latency_max_ns = 5 * CLOCK_NS_PER_MS;
    world_start(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", COUNT, NULL);
    for (int32_t p = 0; p < COUNT; p++)
        cr_assert_eq(
            client_produce(client, "t", p, client_batch(client, CODEC_ZSTD, 0, 10))->error_code, 0);
    world_run(&world, 60000);
    world.sim.faults.cold_read = 10000;
    uint64_t jobs = world.sim.counts.jobs;
    (void)client_send(client, API_LIST_OFFSETS, 5, many(client, COUNT));
    struct list_offsets_response *answer = NULL;
    size_t together = 0;
    while (!(answer = client_poll(client, API_LIST_OFFSETS, 5))) {
        (void)world_step(&world);
        if (jobs_pending(&world) > together)
            together = jobs_pending(&world);
    }
    cr_assert(together > 1 && together <= 8, "%zu", together);
    for (int32_t p = 0; p < COUNT; p++) {
        cr_assert_eq(answer->topics[0].partitions[p].error_code, 0);
        cr_assert_eq(answer->topics[0].partitions[p].offset, 3);
    }
    cr_assert(world.sim.counts.jobs >= jobs + COUNT, "nothing was cold: the test shows nothing");
    /* And a client that leaves in the middle of it. */
    (void)client_send(client, API_LIST_OFFSETS, 5, many(client, COUNT));
    (void)world_step(&world);
    client_close(client);
    world_run(&world, 1000);
    world_close(&world);
}

/* ---- OffsetForLeaderEpoch ------------------------------------------------------------------ */

static struct offset_for_leader_epoch_response_epoch_end_offset *epoch_end(
    struct client *client, int16_t version, int32_t partition, int32_t current, int32_t epoch)
{
    struct offset_for_leader_epoch_request request;
    struct offset_for_leader_epoch_request_offset_for_leader_topic topic;
    struct offset_for_leader_epoch_request_offset_for_leader_partition asked;
    codec_defaults(&offset_for_leader_epoch_request_message, &request);
    request.replica_id = -1;
    topic.topic = bytes_text("t");
    topic.partitions = &asked;
    topic.partitions_count = 1;
    asked = (struct offset_for_leader_epoch_request_offset_for_leader_partition){
        .partition = partition, .current_leader_epoch = current, .leader_epoch = epoch
    };
    request.topics = &topic;
    request.topics_count = 1;
    struct offset_for_leader_epoch_response *answer =
        client_call(client, API_OFFSET_FOR_LEADER_EPOCH, version, &request);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->topics[0].partitions[0].partition, partition);
    return &answer->topics[0].partitions[0];
}

TEST(handle_offsets, tells_where_the_log_of_an_epoch_ended)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    fill(client, CODEC_NONE, 2);
    int32_t first = log_of(&world, "t", 0)->leader_epoch;
    world_crash(&world, true);
    world_start(&world, NULL);
    client = client_connect(&world);
    fill(client, CODEC_NONE, 1);
    int32_t now = log_of(&world, "t", 0)->leader_epoch;
    cr_assert(now > first);
    for (int16_t version = 2; version <= 4; version++) {
        struct offset_for_leader_epoch_response_epoch_end_offset *row =
            epoch_end(client, version, 0, -1, now);
        cr_assert_eq(row->error_code, 0);
        cr_assert_eq(row->leader_epoch, now);
        cr_assert_eq(row->end_offset, 30);
        row = epoch_end(client, version, 0, now, first);
        cr_assert_eq(row->error_code, 0);
        cr_assert_eq(row->leader_epoch, first);
        cr_assert_eq(row->end_offset, 20);
        row = epoch_end(client, version, 0, now, now + 1);
        cr_assert_eq(row->error_code, 0);
        cr_assert_eq(row->leader_epoch, -1);
        cr_assert_eq(row->end_offset, -1);
        cr_assert_eq(epoch_end(client, version, 0, first, first)->error_code,
            KAFKA_ERROR_FENCED_LEADER_EPOCH);
        cr_assert_eq(epoch_end(client, version, 0, now + 1, first)->error_code,
            KAFKA_ERROR_UNKNOWN_LEADER_EPOCH);
        cr_assert_eq(epoch_end(client, version, 1, -1, first)->error_code,
            KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    }
    world_close(&world);
}
