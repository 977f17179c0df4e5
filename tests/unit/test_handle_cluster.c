/* What administrators and their tools ask of the one node: replicas, directories, features, the
 * quorum, producers, topics by the page. The answers are those of Apache Kafka 4.3.1 with one
 * broker. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

static const char *const node[] = { "node.id=1", NULL };

/* ---- replicas ------------------------------------------------------------------------------ */

TEST(handle_cluster, no_leader_needs_to_be_elected)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    int32_t partitions[] = { 0, 7 };
    struct elect_leaders_request request;
    struct elect_leaders_request_topic_partitions topics[] = {
        { bytes_text("t"), partitions, 2 },
        { bytes_text("none"), partitions, 1 },
    };
    client_create_topic(client, "t", 1, NULL);
    codec_defaults(&elect_leaders_request_message, &request);
    request.topic_partitions = topics;
    request.topic_partitions_count = 2;
    for (int16_t version = 0; version <= 2; version++) {
        for (request.election_type = 0; request.election_type <= (version ? 2 : 0);
             request.election_type++) {
            struct elect_leaders_response *answer =
                client_call(client, API_ELECT_LEADERS, version, &request);
            bool bad = request.election_type == 2;
            cr_assert_eq(answer->error_code, bad ? KAFKA_ERROR_INVALID_REQUEST : 0);
            struct elect_leaders_response_partition_result *rows =
                answer->replica_election_results[0].partition_result;
            cr_assert_eq(rows[0].error_code,
                bad ? KAFKA_ERROR_INVALID_REQUEST : KAFKA_ERROR_ELECTION_NOT_NEEDED);
            cr_assert_eq(rows[1].error_code,
                bad ? KAFKA_ERROR_INVALID_REQUEST : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
        }
    }
    request.election_type = 0;
    request.topic_partitions_count = -1;
    struct elect_leaders_response *answer = client_call(client, API_ELECT_LEADERS, 2, &request);
    cr_assert_eq(answer->replica_election_results_count, 1);
    cr_assert_eq(answer->replica_election_results[0].partition_result_count, 0);
    world_close(&world);
}

static int16_t reassign(
    struct client *client, const char *topic, int32_t partition, int32_t *replicas, int32_t count)
{
    struct alter_partition_reassignments_request request;
    struct alter_partition_reassignments_request_reassignable_partition part = { partition,
        replicas, count };
    struct alter_partition_reassignments_request_reassignable_topic wanted = { bytes_text(topic),
        &part, 1 };
    codec_defaults(&alter_partition_reassignments_request_message, &request);
    request.topics = &wanted;
    request.topics_count = 1;
    struct alter_partition_reassignments_response *answer =
        client_call(client, API_ALTER_PARTITION_REASSIGNMENTS, 1, &request);
    cr_assert_eq(answer->error_code, 0);
    cr_assert_null(answer->error_message.data);
    return answer->responses[0].partitions[0].error_code;
}

TEST(handle_cluster, partitions_can_be_assigned_to_this_node_only)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    int32_t self[] = { 1, 1 }, other[] = { 2 }, both[] = { 1, 2 };
    cr_assert_eq(reassign(client, "t", 0, self, 1), 0);
    cr_assert_eq(reassign(client, "t", 0, self, 2), KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT);
    cr_assert_eq(reassign(client, "t", 0, other, 1), KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT);
    cr_assert_eq(reassign(client, "t", 0, both, 2), KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT);
    cr_assert_eq(reassign(client, "t", 0, self, 0), KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT);
    cr_assert_eq(reassign(client, "t", 0, NULL, -1), KAFKA_ERROR_NO_REASSIGNMENT_IN_PROGRESS);
    cr_assert_eq(reassign(client, "t", 9, NULL, -1), KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(reassign(client, "none", 0, self, 1), KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    struct list_partition_reassignments_request request;
    codec_defaults(&list_partition_reassignments_request_message, &request);
    struct list_partition_reassignments_response *answer =
        client_call(client, API_LIST_PARTITION_REASSIGNMENTS, 0, &request);
    cr_assert_eq(answer->error_code, 0);
    cr_assert_eq(answer->topics_count, 0);
    world_close(&world);
}

static int16_t move(struct client *client, const char *dir, const char *topic, int32_t partition)
{
    struct alter_replica_log_dirs_request request;
    struct alter_replica_log_dirs_request_alter_replica_log_dir_topic wanted = { bytes_text(topic),
        &partition, 1 };
    struct alter_replica_log_dirs_request_alter_replica_log_dir to = { bytes_text(dir), &wanted,
        1 };
    codec_defaults(&alter_replica_log_dirs_request_message, &request);
    request.dirs = &to;
    request.dirs_count = 1;
    struct alter_replica_log_dirs_response *answer =
        client_call(client, API_ALTER_REPLICA_LOG_DIRS, 2, &request);
    cr_assert_eq(answer->results_count, 1);
    return answer->results[0].partitions[0].error_code;
}

TEST(handle_cluster, replicas_stay_in_the_only_directory)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(move(client, "/data", "t", 0), 0);
    cr_assert_eq(move(client, "/data", "t", 1), KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(move(client, "/other", "t", 0), KAFKA_ERROR_LOG_DIR_NOT_FOUND);
    world_close(&world);
}

TEST(handle_cluster, the_directory_tells_the_size_of_what_lies_there)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    int32_t partitions[] = { 1, 5, 1 };
    struct describe_log_dirs_request request;
    struct describe_log_dirs_request_describable_log_dir_topic topics[] = {
        { bytes_text("t"), partitions, 3 },
        { bytes_text("none"), partitions, 1 },
        { bytes_text("t"), partitions, 1 },
    };
    client_create_topic(client, "t", 2, NULL);
    client_create_topic(client, "u", 1, NULL);
    struct bytes batch = client_batch(client, CODEC_NONE, 0, 10);
    cr_assert_eq(client_produce(client, "t", 1, batch)->error_code, 0);
    codec_defaults(&describe_log_dirs_request_message, &request);
    request.topics = topics;
    request.topics_count = 3;
    for (int16_t version = 1; version <= 5; version++) {
        struct describe_log_dirs_response *answer =
            client_call(client, API_DESCRIBE_LOG_DIRS, version, &request);
        cr_assert_eq(answer->error_code, 0);
        cr_assert_eq(answer->results_count, 1);
        cr_assert(bytes_equal_text(answer->results->log_dir, "/data"));
        cr_assert_eq(answer->results->topics_count, 1);
        cr_assert_eq(answer->results->topics->partitions_count, 1);
        cr_assert_eq(answer->results->topics->partitions->partition_index, 1);
        cr_assert_eq(answer->results->topics->partitions->partition_size, (int64_t)batch.len);
        cr_assert_eq(answer->results->total_bytes > 0, version >= 4);
        cr_assert_eq(answer->results->usable_bytes > 0, version >= 4);
    }
    request.topics_count = -1;
    struct describe_log_dirs_response *answer =
        client_call(client, API_DESCRIBE_LOG_DIRS, 4, &request);
    cr_assert_eq(answer->results->topics_count, 2);
    cr_assert_eq(answer->results->topics[0].partitions_count, 2);
    (void)client_send(client, API_DESCRIBE_LOG_DIRS, 4, &request);
    client_close(client);
    world_close(&world);
}

/* ---- features and the quorum --------------------------------------------------------------- */

static int16_t update_feature(struct client *client, int16_t version, const char *name, int16_t to)
{
    struct update_features_request request;
    struct update_features_request_feature_update_key key;
    codec_defaults(&update_features_request_message, &request);
    struct_defaults(&update_features_request_feature_update_key_table, &key);
    key.feature = bytes_text(name);
    key.max_version_level = to;
    request.feature_updates = &key;
    request.feature_updates_count = 1;
    struct update_features_response *answer =
        client_call(client, API_UPDATE_FEATURES, version, &request);
    cr_assert_eq(answer->error_message.len > 0, answer->error_code != 0);
    cr_assert_eq(answer->results_count, version <= 1 && !answer->error_code);
    return answer->error_code;
}

TEST(handle_cluster, features_have_the_level_they_have)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    for (int16_t version = 0; version <= 2; version++) {
        cr_assert_eq(update_feature(client, version, "metadata.version", 30), 0);
        cr_assert_eq(update_feature(client, version, "metadata.version", 31),
            KAFKA_ERROR_INVALID_UPDATE_VERSION);
        cr_assert_eq(update_feature(client, version, "metadata.version", 25),
            KAFKA_ERROR_INVALID_UPDATE_VERSION);
        cr_assert_eq(
            update_feature(client, version, "nope", 1), KAFKA_ERROR_INVALID_UPDATE_VERSION);
    }
    struct api_versions_request request;
    codec_defaults(&api_versions_request_message, &request);
    request.client_software_name = request.client_software_version = bytes_text("x");
    for (int16_t version = 0; version <= 4; version++) {
        struct api_versions_response *answer =
            client_call(client, API_API_VERSIONS, version, &request);
        cr_assert_eq(answer->supported_features_count, version < 3 ? 0 : version == 3 ? 1 : 7);
        cr_assert_eq(answer->finalized_features_epoch < 0, version < 3);
        bool found = false;
        for (int32_t i = 0; i < answer->finalized_features_count; i++)
            found |= bytes_equal_text(answer->finalized_features[i].name, "metadata.version") &&
                     answer->finalized_features[i].max_version_level == 30;
        cr_assert_eq(found, version >= 3);
    }
    world_close(&world);
}

TEST(handle_cluster, the_quorum_is_this_node)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    struct describe_quorum_request request;
    struct describe_quorum_request_partition_data parts[] = { { 0 }, { 1 } };
    struct describe_quorum_request_topic_data topics[] = {
        { bytes_text("__cluster_metadata"), parts, 2 },
        { bytes_text("t"), parts, 1 },
    };
    client_create_topic(client, "t", 1, NULL);
    codec_defaults(&describe_quorum_request_message, &request);
    request.topics = topics;
    request.topics_count = 2;
    for (int16_t version = 0; version <= 2; version++) {
        struct describe_quorum_response *answer =
            client_call(client, API_DESCRIBE_QUORUM, version, &request);
        cr_assert_eq(answer->error_code, 0);
        struct describe_quorum_response_partition_data *rows = answer->topics[0].partitions;
        cr_assert_eq(rows[0].error_code, 0);
        cr_assert_eq(rows[0].leader_id, 1);
        cr_assert_eq(rows[0].current_voters_count, 1);
        cr_assert_eq(rows[0].current_voters->replica_id, 1);
        cr_assert_gt(rows[0].high_watermark, 0);
        cr_assert_eq(rows[1].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
        cr_assert_eq(
            answer->topics[1].partitions[0].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
        cr_assert_eq(answer->nodes_count, version == 2);
    }
    world_close(&world);
}

/* ---- producers ----------------------------------------------------------------------------- */

TEST(handle_cluster, a_partition_tells_who_writes_to_it)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    int32_t partitions[] = { 0, 5 };
    struct describe_producers_request request;
    struct describe_producers_request_topic_request topics[] = {
        { bytes_text("t"), partitions, 2 },
        { bytes_text("none"), partitions, 1 },
        { bytes_text("a b"), partitions, 1 },
    };
    client_create_topic(client, "t", 1, NULL);
    struct bytes batch = client_batch(client, CODEC_NONE, 0, 10);
    uint8_t *bytes = client_alloc(client, batch.len);
    memcpy(bytes, batch.data, batch.len);
    be_put64(bytes + BATCH_AT_PRODUCER_ID, 77);
    be_put16(bytes + BATCH_AT_PRODUCER_ID + 8, 3);
    be_put32(bytes + BATCH_AT_PRODUCER_ID + 10, 40);
    batch_set_crc(bytes);
    cr_assert_eq(client_produce(client, "t", 0, bytes_of(bytes, batch.len))->error_code, 0);
    codec_defaults(&describe_producers_request_message, &request);
    request.topics = topics;
    request.topics_count = 3;
    struct describe_producers_response *answer =
        client_call(client, API_DESCRIBE_PRODUCERS, 0, &request);
    const struct describe_producers_response_partition_response *row = answer->topics[0].partitions;
    cr_assert_eq(row->error_code, 0);
    cr_assert_eq(row->active_producers_count, 1);
    cr_assert_eq(row->active_producers->producer_id, 77);
    cr_assert_eq(row->active_producers->producer_epoch, 3);
    cr_assert_eq(row->active_producers->last_sequence, 49);
    cr_assert_eq(row->active_producers->last_timestamp, 1009);
    cr_assert_eq(row->active_producers->coordinator_epoch, -1);
    cr_assert_eq(row->active_producers->current_txn_start_offset, -1);
    cr_assert_eq(row[1].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(answer->topics[1].partitions->error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(answer->topics[2].partitions->error_code, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    world_close(&world);
}

/* ---- topics by the page -------------------------------------------------------------------- */

struct pages {
    struct describe_topic_partitions_request request;
    struct describe_topic_partitions_request_topic_request topics[8];
    struct describe_topic_partitions_request_cursor cursor;
};

static struct describe_topic_partitions_response *page(
    struct client *client, struct pages *pages, const char *const *names, int32_t limit)
{
    codec_defaults(&describe_topic_partitions_request_message, &pages->request);
    for (; *names; names++)
        pages->topics[pages->request.topics_count++].name = bytes_text(*names);
    pages->request.topics = pages->topics;
    pages->request.response_partition_limit = limit;
    if (pages->cursor.topic_name.data)
        pages->request.cursor = &pages->cursor;
    return client_call(client, API_DESCRIBE_TOPIC_PARTITIONS, 0, &pages->request);
}

TEST(handle_cluster, topics_come_in_order_each_once)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    struct pages pages = { 0 };
    client_create_topic(client, "u", 2, NULL);
    struct describe_topic_partitions_response *answer =
        page(client, &pages, (const char *[]){ "u", "none", "a b", "u", NULL }, 2000);
    cr_assert_eq(answer->topics_count, 3);
    cr_assert(bytes_equal_text(answer->topics[0].name, "a b"));
    cr_assert_eq(answer->topics[0].error_code, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    cr_assert_eq(answer->topics[1].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(answer->topics[2].error_code, 0);
    cr_assert(uuid_equal(answer->topics[2].topic_id, client_topic_id(client, "u")));
    cr_assert_eq(answer->topics[2].partitions_count, 2);
    cr_assert_eq(answer->topics[2].partitions[1].partition_index, 1);
    cr_assert_eq(answer->topics[2].partitions[1].leader_id, 1);
    cr_assert_eq(answer->topics[2].partitions[1].replica_nodes[0], 1);
    cr_assert_eq(answer->topics[2].partitions[1].eligible_leader_replicas_count, 0);
    cr_assert_null(answer->next_cursor);
    world_close(&world);
}

TEST(handle_cluster, pages_follow_one_another)
{
    struct world world;
    world_open(&world, (const char *[]){ "max.request.partition.size.limit=3", NULL });
    struct client *client = client_connect(&world);
    static const char *const none[] = { NULL };
    static const char *const named[] = { "c", "b", "a", NULL };
    client_create_topic(client, "a", 2, NULL);
    client_create_topic(client, "b", 4, NULL);
    client_create_topic(client, "c", 1, NULL);
    for (int32_t limit = 0; limit <= 5; limit++) {
        for (int all = 0; all < 2; all++) {
            struct pages pages = { 0 };
            char seen[32] = "";
            for (int round = 0; round < 10; round++) {
                struct describe_topic_partitions_response *answer =
                    page(client, &pages, all ? none : named, limit);
                int32_t count = 0;
                for (int32_t t = 0; t < answer->topics_count; t++) {
                    cr_assert_gt(answer->topics[t].partitions_count, 0);
                    cr_assert_eq(answer->topics[t].error_code, 0);
                    for (int32_t p = 0; p < answer->topics[t].partitions_count; p++, count++) {
                        size_t len = strlen(seen);
                        seen[len] = (char)answer->topics[t].name.data[0];
                        seen[len + 1] =
                            (char)('0' + answer->topics[t].partitions[p].partition_index);
                        seen[len + 2] = 0;
                    }
                }
                cr_assert_leq(count, limit < 1 ? 1 : limit > 3 ? 3 : limit);
                if (!answer->next_cursor)
                    break;
                pages.cursor.topic_name = answer->next_cursor->topic_name;
                pages.cursor.partition_index = answer->next_cursor->partition_index;
            }
            cr_assert_str_eq(seen, "a0a1b0b1b2b3c0");
        }
    }
    world_close(&world);
}

TEST(handle_cluster, a_cursor_must_point_at_what_was_asked_for)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    static const char *const named[] = { "u", "v", NULL };
    client_create_topic(client, "u", 2, NULL);
    static const struct {
        const char *name;
        int32_t partition;
    } bad[] = { { "zz", 0 }, { "uu", 0 }, { "u", -1 } };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct pages pages = { .cursor = { bytes_text(bad[i].name), bad[i].partition } };
        struct describe_topic_partitions_response *answer = page(client, &pages, named, 10);
        cr_assert_eq(answer->topics_count, 2);
        for (int t = 0; t < 2; t++)
            cr_assert_eq(answer->topics[t].error_code, KAFKA_ERROR_INVALID_REQUEST);
    }
    struct pages pages = { .cursor = { bytes_text("u"), 9 } };
    struct describe_topic_partitions_response *answer = page(client, &pages, named, 10);
    cr_assert_eq(answer->topics[0].error_code, 0);
    cr_assert_eq(answer->topics[0].partitions_count, 0);
    world_close(&world);
}

/* ---- security ------------------------------------------------------------------------------ */

TEST(handle_cluster, a_client_that_logs_in_hears_that_nobody_does)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    struct sasl_handshake_request request;
    struct sasl_authenticate_request token;
    codec_defaults(&sasl_handshake_request_message, &request);
    codec_defaults(&sasl_authenticate_request_message, &token);
    request.mechanism = bytes_text("PLAIN");
    token.auth_bytes = bytes_text("token");
    for (int16_t version = 0; version <= 1; version++) {
        struct sasl_handshake_response *answer =
            client_call(client, API_SASL_HANDSHAKE, version, &request);
        cr_assert_eq(answer->error_code, KAFKA_ERROR_ILLEGAL_SASL_STATE);
        cr_assert_eq(answer->mechanisms_count, 0);
    }
    for (int16_t version = 0; version <= 2; version++) {
        struct sasl_authenticate_response *answer =
            client_call(client, API_SASL_AUTHENTICATE, version, &token);
        cr_assert_eq(answer->error_code, KAFKA_ERROR_ILLEGAL_SASL_STATE);
        cr_assert_gt(answer->error_message.len, 0);
        cr_assert_eq(answer->auth_bytes.len, 0);
    }
    world_close(&world);
}

TEST(handle_cluster, without_an_authorizer_there_are_no_rules)
{
    struct world world;
    world_open(&world, node);
    struct client *client = client_connect(&world);
    struct describe_acls_request request;
    struct create_acls_request_acl_creation rules[2];
    struct create_acls_request create;
    struct delete_acls_request_filter filters[2];
    struct delete_acls_request drop;
    codec_defaults(&describe_acls_request_message, &request);
    codec_defaults(&create_acls_request_message, &create);
    codec_defaults(&delete_acls_request_message, &drop);
    for (int i = 0; i < 2; i++) {
        struct_defaults(&create_acls_request_acl_creation_table, &rules[i]);
        struct_defaults(&delete_acls_request_filter_table, &filters[i]);
    }
    create.creations = rules;
    drop.filters = filters;
    create.creations_count = drop.filters_count = 2;
    for (int16_t version = 1; version <= 3; version++) {
        struct describe_acls_response *told =
            client_call(client, API_DESCRIBE_ACLS, version, &request);
        cr_assert_eq(told->error_code, KAFKA_ERROR_SECURITY_DISABLED);
        cr_assert_eq(told->resources_count, 0);
        struct create_acls_response *made = client_call(client, API_CREATE_ACLS, version, &create);
        cr_assert_eq(made->results_count, 2);
        cr_assert_eq(made->results[1].error_code, KAFKA_ERROR_SECURITY_DISABLED);
        struct delete_acls_response *gone = client_call(client, API_DELETE_ACLS, version, &drop);
        cr_assert_eq(gone->filter_results_count, 2);
        cr_assert_eq(gone->filter_results[1].error_code, KAFKA_ERROR_SECURITY_DISABLED);
        cr_assert_eq(gone->filter_results[1].matching_acls_count, 0);
    }
    world_close(&world);
}
