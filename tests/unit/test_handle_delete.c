/* DeleteRecords, DeleteGroups, OffsetDelete as clients see them. The codes are what Apache Kafka
 * 4.3.1 answers to the same requests. */
#include "broker/internal_topics.h"
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include "broker/coordinator.h"

/* ---- DeleteRecords ------------------------------------------------------------------------- */

struct cut {
    const char *topic;
    int32_t partition;
    int64_t offset;
};

/* Each cut is a topic entry of its own. */
static struct delete_records_response *delete_records(
    struct client *client, int16_t version, const struct cut *cuts, int32_t count)
{
    struct delete_records_request request;
    struct delete_records_request_topic topics[8];
    struct delete_records_request_partition partitions[8];
    codec_defaults(&delete_records_request_message, &request);
    for (int32_t i = 0; i < count; i++) {
        partitions[i] =
            (struct delete_records_request_partition){ cuts[i].partition, cuts[i].offset };
        topics[i] =
            (struct delete_records_request_topic){ bytes_text(cuts[i].topic), &partitions[i], 1 };
    }
    request.topics = topics;
    request.topics_count = count;
    request.timeout_ms = 1000;
    struct delete_records_response *answer =
        client_call(client, API_DELETE_RECORDS, version, &request);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->topics_count, count);
    return answer;
}

static void cut(struct client *client, const char *topic, int32_t partition, int64_t offset,
    int16_t code, int64_t low_watermark)
{
    for (int16_t version = 0; version <= 2; version++) {
        struct cut one = { topic, partition, offset };
        struct delete_records_response *answer = delete_records(client, version, &one, 1);
        const struct delete_records_response_partition_result *row = answer->topics->partitions;
        cr_assert_eq(row->partition_index, partition);
        cr_assert_eq(row->error_code, code, "%s-%d at %d: %d", topic, partition, (int)offset,
            row->error_code);
        cr_assert_eq(row->low_watermark, low_watermark);
    }
}

static void fill(struct client *client, const char *topic)
{
    for (int32_t i = 0; i < 3; i++)
        cr_assert_eq(client_produce(client, topic, 0, client_batch(client, CODEC_NONE, 10 * i, 10))
                         ->error_code,
            0);
}

static int16_t fetch_code(struct client *client, const char *topic, int64_t offset)
{
    return client_fetch(client, 12, client_fetch_request(client, topic, 0, offset))->error_code;
}

TEST(handle_delete, records_below_an_offset_are_gone_for_good)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    fill(client, "t");
    cut(client, "t", 0, 15, 0, 15);
    cut(client, "t", 0, 3, 0, 15); /* below: nothing changes */
    cr_assert_eq(fetch_code(client, "t", 14), KAFKA_ERROR_OFFSET_OUT_OF_RANGE);
    cr_assert_eq(fetch_code(client, "t", 15), 0);
    world_crash(&world, true);
    world_start(&world, NULL);
    client = client_connect(&world);
    cr_assert_eq(fetch_code(client, "t", 14), KAFKA_ERROR_OFFSET_OUT_OF_RANGE);
    cut(client, "t", 0, -1, 0, 30);
    cr_assert_eq(fetch_code(client, "t", 30), 0);
    world_close(&world);
}

TEST(handle_delete, records_that_cannot_be_deleted_are_not)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    client_create_topic(client, "c", 1, (const char *[]){ "cleanup.policy=compact", NULL });
    client_create_topic(client, "cd", 1, (const char *[]){ "cleanup.policy=compact,delete", NULL });
    cr_assert(
        internal_topics_show(world.broker->internal_topics, bytes_text("__consumer_offsets")));
    fill(client, "t");
    cut(client, "t", 0, 31, KAFKA_ERROR_OFFSET_OUT_OF_RANGE, -1);
    cut(client, "t", 0, -2, KAFKA_ERROR_OFFSET_OUT_OF_RANGE, -1);
    cut(client, "t", 1, 0, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION, -1);
    cut(client, "none", 0, 0, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION, -1);
    cut(client, "c", 0, 0, KAFKA_ERROR_POLICY_VIOLATION, -1);
    cut(client, "cd", 0, 0, 0, 0);
    cut(client, "__consumer_offsets", 0, 0, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION, -1);
    cr_assert_eq(fetch_code(client, "t", 0), 0);
    world_close(&world);
}

TEST(handle_delete, of_a_partition_that_comes_twice_the_last_offset_counts)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    client_create_topic(client, "u", 1, NULL);
    fill(client, "t");
    fill(client, "u");
    struct cut cuts[] = { { "t", 0, 25 }, { "u", 0, 4 }, { "t", 0, 7 } };
    struct delete_records_response *answer = delete_records(client, 2, cuts, 3);
    cr_assert_eq(answer->topics[0].partitions[0].low_watermark, 7);
    cr_assert_eq(answer->topics[1].partitions[0].low_watermark, 4);
    cr_assert_eq(answer->topics[2].partitions_count, 0);
    world_close(&world);
}

/* ---- groups -------------------------------------------------------------------------------- */

static void commit(
    struct client *client, const char *group, const char *topic, int32_t partition, int64_t offset)
{
    struct offset_commit_request request;
    struct offset_commit_request_topic wanted;
    struct offset_commit_request_partition part;
    codec_defaults(&offset_commit_request_message, &request);
    struct_defaults(&offset_commit_request_topic_table, &wanted);
    struct_defaults(&offset_commit_request_partition_table, &part);
    part.partition_index = partition;
    part.committed_offset = offset;
    wanted.name = bytes_text(topic);
    wanted.partitions = &part;
    wanted.partitions_count = 1;
    request.group_id = bytes_text(group);
    request.generation_id_or_member_epoch = -1;
    request.topics = &wanted;
    request.topics_count = 1;
    struct offset_commit_response *answer = client_call(client, API_OFFSET_COMMIT, 8, &request);
    cr_assert_eq(answer->topics->partitions->error_code, 0);
}

static int64_t committed(struct world *world, const char *group, const char *topic, int32_t p)
{
    struct committed_offset offset;
    uint64_t lsn;
    const struct topic *found = storage_topic(world->broker->storage, bytes_text(topic));
    return coordinator_get_offset(
               world->broker->coordinator, bytes_text(group), &found->id, p, &offset, &lsn)
               ? offset.offset
               : -1;
}

/* Joins as the only member with a protocol "range", subscribed to `topic`; its member id, or NULL
 * to go without a subscription. */
static void join(
    struct client *client, const char *group, const char *protocol_type, const char *topic)
{
    struct join_group_request request;
    struct join_group_request_protocol protocol;
    struct out metadata = { 0 };
    struct consumer_protocol_subscription subscription;
    struct bytes name = bytes_text(topic);
    codec_defaults(&consumer_protocol_subscription_message, &subscription);
    subscription.topics = &name;
    subscription.topics_count = 1;
    be_put16(out_add(&metadata, 2), 1);
    cr_assert_eq(
        codec_encode(&consumer_protocol_subscription_message, 1, &subscription, &metadata, NULL),
        0);
    codec_defaults(&join_group_request_message, &request);
    protocol = (struct join_group_request_protocol){ bytes_text("range"),
        bytes_of(metadata.data, metadata.len) };
    request.group_id = bytes_text(group);
    request.session_timeout_ms = 30000;
    request.rebalance_timeout_ms = 30000;
    request.protocol_type = bytes_text(protocol_type);
    request.protocols = &protocol;
    request.protocols_count = 1;
    struct join_group_response *answer = client_call(client, API_JOIN_GROUP, 3, &request);
    cr_assert_eq(answer->error_code, 0);
    out_done(&metadata);
}

static int16_t delete_group(struct client *client, const char *name)
{
    struct delete_groups_request request;
    struct bytes names[] = { bytes_text(name), bytes_text("nobody"), bytes_text(name) };
    codec_defaults(&delete_groups_request_message, &request);
    request.groups_names = names;
    request.groups_names_count = 3;
    struct delete_groups_response *answer = client_call(client, API_DELETE_GROUPS, 2, &request);
    cr_assert_eq(answer->results_count, 2);
    cr_assert(bytes_equal_text(answer->results[0].group_id, name));
    cr_assert_eq(answer->results[1].error_code, KAFKA_ERROR_GROUP_ID_NOT_FOUND);
    return answer->results[0].error_code;
}

TEST(handle_delete, a_group_goes_with_its_offsets)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 3, NULL);
    commit(client, "g", "t", 0, 5);
    commit(client, "g", "t", 2, 6);
    commit(client, "gg", "t", 0, 7);
    cr_assert_eq(delete_group(client, ""), KAFKA_ERROR_GROUP_ID_NOT_FOUND);
    cr_assert_eq(delete_group(client, "g"), 0);
    for (int life = 0; life < 2; life++) {
        cr_assert_eq(committed(&world, "g", "t", 0), -1);
        cr_assert_eq(committed(&world, "g", "t", 2), -1);
        cr_assert_eq(committed(&world, "gg", "t", 0), 7);
        cr_assert_eq(delete_group(client, "g"), KAFKA_ERROR_GROUP_ID_NOT_FOUND);
        world_crash(&world, true);
        world_start(&world, NULL);
        client = client_connect(&world);
    }
    world_close(&world);
}

TEST(handle_delete, a_group_with_members_stays)
{
    struct world world;
    world_open(&world, (const char *[]){ "group.initial.rebalance.delay.ms=0", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    join(client, "g", "consumer", "t");
    cr_assert_eq(delete_group(client, "g"), KAFKA_ERROR_NON_EMPTY_GROUP);
    world_run(&world, 120000); /* its session ends */
    cr_assert_eq(delete_group(client, "g"), 0);
    world_close(&world);
}

/* What is not there (any more) is told only when that is durable: a crash would bring it back. */
TEST(handle_delete, a_deleted_offset_is_not_told_as_gone_before_it_is_for_good)
{
    struct world world;
    struct bytes name = bytes_text("g");
    world_open(&world, NULL);
    struct client *admin = client_connect(&world), *reader = client_connect(&world);
    client_create_topic(admin, "t", 1, NULL);
    for (int16_t version = 5; version <= 8; version += 3) {
        struct delete_groups_request request = { .groups_names = &name, .groups_names_count = 1 };
        struct offset_fetch_request fetch;
        struct offset_fetch_request_group group;
        commit(admin, "g", "t", 0, 5);
        codec_defaults(&offset_fetch_request_message, &fetch);
        struct_defaults(&offset_fetch_request_group_table, &group);
        fetch.group_id = group.group_id = name;
        fetch.groups = &group;
        fetch.groups_count = 1;
        fetch.topics_count = group.topics_count = -1; /* all */
        client_send(admin, API_DELETE_GROUPS, 2, &request);
        client_send(reader, API_OFFSET_FETCH, version, &fetch);
        struct offset_fetch_response *told = NULL;
        while (!(told = client_poll(reader, API_OFFSET_FETCH, version)))
            cr_assert(world_step(&world));
        cr_assert_eq(version < 8 ? told->topics_count : told->groups->topics_count, 0);
        struct delete_groups_response *deleted = client_poll(admin, API_DELETE_GROUPS, 2);
        cr_assert_not_null(deleted, "version %d tells it before the deletion is durable", version);
        cr_assert_eq(deleted->results->error_code, 0);
    }
    world_close(&world);
}

/* Asks for "g" while its deletion is on its way to the disk. Returns the answer, which came after
 * the deletion's. */
static const void *tell_of_deleted(
    struct client *admin, struct client *reader, int16_t api, int16_t version, const void *request)
{
    struct bytes name = bytes_text("g");
    struct delete_groups_request deletion = { .groups_names = &name, .groups_names_count = 1 };
    const void *told = NULL;
    commit(admin, "g", "t", 0, 5);
    client_send(admin, API_DELETE_GROUPS, 2, &deletion);
    client_send(reader, api, version, request);
    while (!(told = client_poll(reader, api, version)))
        cr_assert(world_step(reader->world));
    struct delete_groups_response *deleted = client_poll(admin, API_DELETE_GROUPS, 2);
    cr_assert_not_null(deleted, "API %d tells it before the deletion is durable", api);
    cr_assert_eq(deleted->results->error_code, 0);
    return told;
}

TEST(handle_delete, a_deleted_group_is_not_told_as_gone_before_it_is_for_good)
{
    struct world world;
    struct bytes name = bytes_text("g");
    struct list_groups_request list;
    struct describe_groups_request describe;
    struct consumer_group_describe_request consumers;
    struct share_group_describe_request shares;
    world_open(&world, NULL);
    struct client *admin = client_connect(&world), *reader = client_connect(&world);
    client_create_topic(admin, "t", 1, NULL);
    codec_defaults(&list_groups_request_message, &list);
    const struct list_groups_response *listed =
        tell_of_deleted(admin, reader, API_LIST_GROUPS, 4, &list);
    cr_assert_eq(listed->groups_count, 0);
    codec_defaults(&describe_groups_request_message, &describe);
    describe.groups = &name;
    describe.groups_count = 1;
    const struct describe_groups_response *described =
        tell_of_deleted(admin, reader, API_DESCRIBE_GROUPS, 5, &describe);
    cr_assert(bytes_equal_text(described->groups->group_state, "Dead"));
    codec_defaults(&consumer_group_describe_request_message, &consumers);
    consumers.group_ids = &name;
    consumers.group_ids_count = 1;
    const struct consumer_group_describe_response *consumer =
        tell_of_deleted(admin, reader, API_CONSUMER_GROUP_DESCRIBE, 0, &consumers);
    cr_assert_eq(consumer->groups->error_code, KAFKA_ERROR_GROUP_ID_NOT_FOUND);
    codec_defaults(&share_group_describe_request_message, &shares);
    shares.group_ids = &name;
    shares.group_ids_count = 1;
    const struct share_group_describe_response *share =
        tell_of_deleted(admin, reader, API_SHARE_GROUP_DESCRIBE, 1, &shares);
    cr_assert_eq(share->groups->error_code, KAFKA_ERROR_GROUP_ID_NOT_FOUND);
    world_close(&world);
}

/* The top-level code; of partitions 0, 1 and 9 of the topic, and 0 of a topic that is not there. */
static int16_t delete_offsets(
    struct client *client, const char *group, const char *topic, int16_t codes[4])
{
    struct offset_delete_request request;
    struct offset_delete_request_partition partitions[] = { { 0 }, { 1 }, { 9 } };
    struct offset_delete_request_topic topics[] = {
        { bytes_text(topic), partitions, 3 },
        { bytes_text("none"), partitions, 1 },
    };
    codec_defaults(&offset_delete_request_message, &request);
    request.group_id = bytes_text(group);
    request.topics = topics;
    request.topics_count = 2;
    struct offset_delete_response *answer = client_call(client, API_OFFSET_DELETE, 0, &request);
    if (answer->error_code) {
        cr_assert_eq(answer->topics_count, 0);
        return answer->error_code;
    }
    for (int i = 0; i < 3; i++)
        codes[i] = answer->topics[0].partitions[i].error_code;
    codes[3] = answer->topics[1].partitions[0].error_code;
    return 0;
}

TEST(handle_delete, offsets_go_unless_somebody_is_subscribed)
{
    struct world world;
    int16_t codes[4];
    world_open(&world, (const char *[]){ "group.initial.rebalance.delay.ms=0", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    client_create_topic(client, "u", 2, NULL);
    cr_assert_eq(delete_offsets(client, "g", "t", codes), KAFKA_ERROR_GROUP_ID_NOT_FOUND);
    cr_assert_eq(delete_offsets(client, "", "t", codes), KAFKA_ERROR_INVALID_GROUP_ID);
    commit(client, "g", "t", 0, 5);
    commit(client, "g", "u", 0, 6);
    join(client, "g", "consumer", "t");
    cr_assert_eq(delete_offsets(client, "g", "t", codes), 0);
    cr_assert_eq(codes[0], KAFKA_ERROR_GROUP_SUBSCRIBED_TO_TOPIC);
    cr_assert_eq(codes[2], KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(codes[3], KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(delete_offsets(client, "g", "u", codes), 0);
    cr_assert_eq(codes[0], 0);
    cr_assert_eq(codes[1], 0);
    cr_assert_eq(committed(&world, "g", "t", 0), 5);
    cr_assert_eq(committed(&world, "g", "u", 0), -1);
    join(client, "h", "connect", "t");
    cr_assert_eq(delete_offsets(client, "h", "t", codes), KAFKA_ERROR_NON_EMPTY_GROUP);
    world_close(&world);
}
