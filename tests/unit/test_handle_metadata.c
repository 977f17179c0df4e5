/* Metadata and DescribeCluster as clients see them: protocol.md traps 43, 46, 64, 65, 70. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include <limits.h>

static struct metadata_response *ask(
    struct client *client, int16_t version, const char *const *names, bool create)
{
    struct metadata_request request;
    codec_defaults(&metadata_request_message, &request);
    request.topics = client_alloc(client, 64 * sizeof(*request.topics));
    for (; names && *names; names++)
        request.topics[request.topics_count++].name = bytes_text(*names);
    if (!names)
        request.topics_count = -1;
    request.allow_auto_topic_creation = create;
    struct metadata_response *answer = client_call(client, API_METADATA, version, &request);
    cr_assert_not_null(answer);
    return answer;
}

TEST(handle_metadata, tells_this_node_as_broker_and_controller_in_every_version)
{
    struct world world;
    world_open(&world, (const char *[]){ "node.id=7", "broker.rack=r1", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 2, NULL);
    for (int16_t version = 0; version <= 13; version++) {
        struct metadata_response *answer =
            ask(client, version, (const char *[]){ "t", NULL }, false);
        cr_assert_eq(answer->brokers_count, 1);
        cr_assert_eq(answer->brokers[0].node_id, 7);
        cr_assert(bytes_equal_text(answer->brokers[0].host, "broker.test"));
        cr_assert_eq(answer->brokers[0].port, 9092);
        cr_assert(version < 1 || bytes_equal_text(answer->brokers[0].rack, "r1"));
        cr_assert_eq(answer->controller_id, version < 1 ? -1 : 7);
        cr_assert(version < 2 ||
                  bytes_equal_text(answer->cluster_id, storage_cluster_id(world.broker->storage)));
        cr_assert_eq(answer->topics_count, 1);
        cr_assert_eq(answer->topics[0].error_code, 0);
        cr_assert_eq(answer->topics[0].partitions_count, 2);
        for (int32_t i = 0; i < 2; i++) {
            struct metadata_response_partition *partition = &answer->topics[0].partitions[i];
            cr_assert_eq(partition->partition_index, i);
            cr_assert_eq(partition->leader_id, 7);
            cr_assert(version < 7 ? partition->leader_epoch == -1 : partition->leader_epoch >= 0);
            cr_assert_eq(partition->replica_nodes_count, 1);
            cr_assert_eq(partition->replica_nodes[0], 7);
            cr_assert_eq(partition->isr_nodes_count, 1);
            cr_assert_eq(partition->isr_nodes[0], 7);
            cr_assert_eq(partition->offline_replicas_count, 0);
        }
    }
    world_close(&world);
}

TEST(handle_metadata, null_means_all_and_empty_means_none_but_in_version_0)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "b", 1, NULL);
    client_create_topic(client, "a", 1, NULL);
    struct metadata_response *answer = ask(client, 1, NULL, true);
    cr_assert_eq(answer->topics_count, 2);
    cr_assert(bytes_equal_text(answer->topics[0].name, "a"));
    cr_assert(bytes_equal_text(answer->topics[1].name, "b"));
    cr_assert_eq(ask(client, 1, (const char *[]){ NULL }, true)->topics_count, 0);
    cr_assert_eq(ask(client, 13, (const char *[]){ NULL }, true)->topics_count, 0);
    cr_assert_eq(ask(client, 0, (const char *[]){ NULL }, true)->topics_count, 2);
    world_close(&world);
}

TEST(handle_metadata, an_unknown_topic_is_created_if_request_and_broker_allow_it)
{
    struct world world;
    world_open(&world, (const char *[]){ "num.partitions=3", NULL });
    struct client *client = client_connect(&world);
    struct metadata_response *answer = ask(client, 9, (const char *[]){ "new", NULL }, false);
    cr_assert_eq(answer->topics[0].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    answer = ask(client, 12, (const char *[]){ "new", "newer", NULL }, true);
    cr_assert_eq(answer->topics_count, 2);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(answer->topics[i].error_code, 0);
        cr_assert_eq(answer->topics[i].partitions_count, 3);
        cr_assert_not(uuid_zero(answer->topics[i].topic_id));
    }
    /* Versions below 4 cannot forbid it. */
    answer = ask(client, 3, (const char *[]){ "newest", NULL }, false);
    cr_assert_eq(answer->topics[0].error_code, 0);
    world_close(&world);
}

TEST(handle_metadata, nothing_is_created_with_auto_create_topics_off)
{
    struct world world;
    world_open(&world, (const char *[]){ "auto.create.topics.enable=false", NULL });
    struct client *client = client_connect(&world);
    struct metadata_response *answer = ask(client, 9, (const char *[]){ "new", NULL }, true);
    cr_assert_eq(answer->topics[0].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(storage_topic_count(world.broker->storage), 0);
    world_close(&world);
}

TEST(handle_metadata, an_answer_that_shows_a_new_topic_waits_until_it_is_durable)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    (void)ask(client, 9, (const char *[]){ "new", NULL }, true);
    world_crash(&world, true);
    world_start(&world, NULL);
    cr_assert_not_null(storage_topic(world.broker->storage, bytes_text("new")));
    world_close(&world);
}

TEST(handle_metadata, names_that_are_not_allowed_or_collide_are_not_created_internal_ones_show)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "a.b", 1, NULL);
    struct metadata_response *answer = ask(client, 9,
        (const char *[]){ "a_b", "x/y", "__consumer_offsets", "c.d", "c_d", NULL }, true);
    cr_assert_eq(answer->topics_count, 5);
    cr_assert_eq(answer->topics[0].error_code, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    cr_assert_eq(answer->topics[1].error_code, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    cr_assert_eq(answer->topics[2].error_code, 0);
    cr_assert(answer->topics[2].is_internal);
    cr_assert_eq(answer->topics[2].partitions_count, 50);
    cr_assert_eq(answer->topics[3].error_code, 0);
    cr_assert_eq(answer->topics[4].error_code, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    answer = ask(client, 9, (const char *[]){ "x/y", NULL }, false);
    cr_assert_eq(answer->topics[0].error_code, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    cr_assert_eq(storage_topic_count(world.broker->storage), 3);
    world_close(&world);
}

TEST(handle_metadata, a_name_that_comes_twice_is_answered_once)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    struct metadata_response *answer =
        ask(client, 9, (const char *[]){ "t", "t", "u", "t", NULL }, true);
    cr_assert_eq(answer->topics_count, 2);
    cr_assert_eq(answer->topics[0].error_code, 0);
    cr_assert_eq(answer->topics[1].error_code, 0);
    world_close(&world);
}

TEST(handle_metadata, topics_are_found_by_id_from_version_12_on)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct metadata_request request;
    struct metadata_request_topic topics[3];
    codec_defaults(&metadata_request_message, &request);
    request.topics = topics;
    request.topics_count = 3;
    for (int i = 0; i < 3; i++)
        struct_defaults(&metadata_request_topic_table, &topics[i]);
    topics[0].name = bytes_of(NULL, 0);
    topics[0].topic_id = client_topic_id(client, "t");
    topics[1].name = bytes_of(NULL, 0);
    memset(&topics[1].topic_id, 0x55, 16);
    topics[2] = topics[0];
    struct metadata_response *answer = client_call(client, API_METADATA, 12, &request);
    cr_assert_eq(answer->topics_count, 2);
    cr_assert(bytes_equal_text(answer->topics[0].name, "t"));
    cr_assert_eq(answer->topics[0].error_code, 0);
    cr_assert_null(answer->topics[1].name.data);
    cr_assert_eq(answer->topics[1].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_ID);
    cr_assert(uuid_equal(answer->topics[1].topic_id, topics[1].topic_id));
    cr_assert_eq(storage_topic_count(world.broker->storage), 1);
    /* Versions 10 and 11 have the fields but not the meaning. */
    answer = client_call(client, API_METADATA, 10, &request);
    cr_assert_eq(answer->topics[0].error_code, KAFKA_ERROR_INVALID_REQUEST);
    world_close(&world);
}

TEST(handle_metadata, authorized_operations_are_told_when_asked_for)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct metadata_response *answer = ask(client, 8, NULL, false);
    cr_assert_eq(answer->cluster_authorized_operations, INT_MIN);
    cr_assert_eq(answer->topics[0].topic_authorized_operations, INT_MIN);
    struct metadata_request request;
    codec_defaults(&metadata_request_message, &request);
    request.topics_count = -1;
    request.include_cluster_authorized_operations = true;
    request.include_topic_authorized_operations = true;
    answer = client_call(client, API_METADATA, 8, &request);
    /* As Apache Kafka 4.3 without an authorizer. */
    cr_assert_eq(answer->cluster_authorized_operations, 8096);
    cr_assert_eq(answer->topics[0].topic_authorized_operations, 3576);
    world_close(&world);
}

static struct describe_cluster_response *describe(
    struct client *client, int16_t version, int8_t endpoint_type, bool operations)
{
    struct describe_cluster_request request;
    codec_defaults(&describe_cluster_request_message, &request);
    request.endpoint_type = endpoint_type;
    request.include_cluster_authorized_operations = operations;
    return client_call(client, API_DESCRIBE_CLUSTER, version, &request);
}

TEST(handle_metadata, describe_cluster_tells_the_same_node)
{
    struct world world;
    world_open(&world, (const char *[]){ "node.id=7", NULL });
    struct client *client = client_connect(&world);
    for (int16_t version = 0; version <= 2; version++) {
        struct describe_cluster_response *answer = describe(client, version, 1, version == 1);
        cr_assert_eq(answer->error_code, 0);
        cr_assert_eq(answer->controller_id, 7);
        cr_assert_eq(answer->brokers_count, 1);
        cr_assert_eq(answer->brokers[0].broker_id, 7);
        cr_assert_eq(answer->brokers[0].port, 9092);
        cr_assert_not(answer->brokers[0].is_fenced);
        cr_assert(bytes_equal_text(answer->cluster_id, storage_cluster_id(world.broker->storage)));
        cr_assert_eq(answer->cluster_authorized_operations, version == 1 ? 8096 : INT_MIN);
    }
    cr_assert_eq(describe(client, 1, 2, false)->error_code, KAFKA_ERROR_MISMATCHED_ENDPOINT_TYPE);
    world_close(&world);
}
