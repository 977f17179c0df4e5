/* CreateTopics, DeleteTopics, CreatePartitions as clients see them: protocol.md traps 65, 66. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include <stdio.h>

/* ---- CreateTopics -------------------------------------------------------------------------- */

struct creation_request {
    struct create_topics_request request;
    struct create_topics_request_creatable_topic topics[64];
};

static struct creation_request *creation(struct client *client)
{
    struct creation_request *creation = client_alloc(client, sizeof(*creation));
    codec_defaults(&create_topics_request_message, &creation->request);
    creation->request.topics = creation->topics;
    return creation;
}

static struct create_topics_request_creatable_topic *add(
    struct creation_request *creation, const char *name, int32_t partitions, int16_t replicas)
{
    struct create_topics_request_creatable_topic *topic =
        &creation->topics[creation->request.topics_count++];
    struct_defaults(&create_topics_request_creatable_topic_table, topic);
    topic->name = bytes_text(name);
    topic->num_partitions = partitions;
    topic->replication_factor = replicas;
    return topic;
}

static struct create_topics_request_creatable_topic_config *set(struct client *client,
    struct create_topics_request_creatable_topic *topic, const char *name, const char *value)
{
    if (!topic->configs)
        topic->configs = client_alloc(client, 8 * sizeof(*topic->configs));
    struct create_topics_request_creatable_topic_config *config =
        &topic->configs[topic->configs_count++];
    config->name = bytes_text(name);
    config->value = value ? bytes_text(value) : bytes_of(NULL, 0);
    return config;
}

static void assign(struct client *client, struct create_topics_request_creatable_topic *topic,
    int32_t partition, int32_t broker, int32_t count)
{
    if (!topic->assignments)
        topic->assignments = client_alloc(client, 8 * sizeof(*topic->assignments));
    struct create_topics_request_creatable_replica_assignment *assignment =
        &topic->assignments[topic->assignments_count++];
    assignment->partition_index = partition;
    assignment->broker_ids = client_alloc(client, 4 * sizeof(int32_t));
    assignment->broker_ids_count = count;
    for (int32_t i = 0; i < count; i++)
        assignment->broker_ids[i] = broker + i;
}

static struct create_topics_response *create(
    struct client *client, int16_t version, struct creation_request *creation)
{
    struct create_topics_response *answer =
        client_call(client, API_CREATE_TOPICS, version, &creation->request);
    cr_assert_not_null(answer);
    return answer;
}

static struct topic *find(struct world *world, const char *name)
{
    return storage_topic(world->broker->storage, bytes_text(name));
}

static bool mentions(struct bytes message, const char *word)
{
    return message.data && memmem(message.data, message.len, word, strlen(word));
}

TEST(handle_topics, creates_in_every_version)
{
    struct world world;
    world_open(&world, (const char *[]){ "num.partitions=4", NULL });
    struct client *client = client_connect(&world);
    for (int16_t version = 2; version <= 7; version++) {
        char name[8], plain[8];
        (void)snprintf(name, sizeof(name), "t%d", version);
        (void)snprintf(plain, sizeof(plain), "p%d", version);
        struct creation_request *request = creation(client);
        (void)set(client, add(request, name, 2, 1), "retention.ms", "5000");
        (void)add(request, plain, -1, -1);
        struct create_topics_response *answer = create(client, version, request);
        cr_assert_eq(answer->topics_count, 2);
        cr_assert(bytes_equal_text(answer->topics[0].name, name));
        for (int i = 0; i < 2; i++) {
            struct create_topics_response_creatable_topic_result *row = &answer->topics[i];
            cr_assert_eq(row->error_code, 0);
            cr_assert_null(row->error_message.data);
            cr_assert_eq(row->num_partitions, version < 5 ? -1 : i == 0 ? 2 : 4);
            cr_assert_eq(row->replication_factor, version < 5 ? -1 : 1);
            if (version >= 7)
                cr_assert(uuid_equal(row->topic_id, client_topic_id(client, i ? plain : name)));
        }
        cr_assert_eq(find(&world, name)->log_count, 2);
        cr_assert_eq(find(&world, name)->config.retention_ms, 5000);
        cr_assert_eq(find(&world, plain)->log_count, 4);
    }
    world_close(&world);
}

static const struct create_topics_response_creatable_topic_configs *config_of(
    const struct create_topics_response_creatable_topic_result *row, const char *name)
{
    for (int32_t i = 0; i < row->configs_count; i++)
        if (bytes_equal_text(row->configs[i].name, name))
            return &row->configs[i];
    cr_assert_fail("no %s", name);
    return NULL;
}

TEST(handle_topics, tells_the_values_in_force_from_version_5_on)
{
    struct world world;
    world_open(&world, (const char *[]){ "log.segment.bytes=2000000", NULL });
    struct client *client = client_connect(&world);
    struct creation_request *request = creation(client);
    struct create_topics_request_creatable_topic *topic = add(request, "t", 1, 1);
    (void)set(client, topic, "retention.ms", "1");
    (void)set(client, topic, "retention.ms", "5000"); /* the last one counts */
    struct create_topics_response *answer = create(client, 5, request);
    cr_assert_eq(answer->topics[0].error_code, 0);
    const struct create_topics_response_creatable_topic_configs *config =
        config_of(&answer->topics[0], "retention.ms");
    cr_assert(bytes_equal_text(config->value, "5000"));
    cr_assert_eq(config->config_source, 1);
    config = config_of(&answer->topics[0], "segment.bytes");
    cr_assert(bytes_equal_text(config->value, "2000000"));
    cr_assert_eq(config->config_source, 4);
    config = config_of(&answer->topics[0], "cleanup.policy");
    cr_assert(bytes_equal_text(config->value, "delete"));
    cr_assert_eq(config->config_source, 5);
    cr_assert_eq(find(&world, "t")->config.retention_ms, 5000);
    cr_assert_eq(find(&world, "t")->entry_count, 1);
    world_close(&world);
}

TEST(handle_topics, validate_only_checks_and_creates_nothing)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    struct creation_request *request = creation(client);
    (void)add(request, "t", 3, 1);
    (void)add(request, "u", 0, 1);
    request->request.validate_only = true;
    struct create_topics_response *answer = create(client, 7, request);
    cr_assert_eq(answer->topics[0].error_code, 0);
    cr_assert_eq(answer->topics[0].num_partitions, 3);
    cr_assert_eq(answer->topics[1].error_code, KAFKA_ERROR_INVALID_PARTITIONS);
    cr_assert_eq(storage_topic_count(world.broker->storage), 0);
    world_close(&world);
}

TEST(handle_topics, each_fault_has_its_code_and_the_others_are_created)
{
    struct world world;
    world_open(&world, (const char *[]){ "node.id=1", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "old.one", 1, NULL);
    struct creation_request *request = creation(client);
    struct {
        struct create_topics_request_creatable_topic *topic;
        int16_t code;
    } rows[32];
    int count = 0;
#define ROW(name, partitions, replicas, error)                                                     \
    (rows[count].code = (error), rows[count].topic = add(request, name, partitions, replicas),     \
        rows[count++].topic)
    ROW("fine", 1, 1, 0);
    ROW("old.one", 1, 1, KAFKA_ERROR_TOPIC_ALREADY_EXISTS);
    ROW("old_one", 1, 1, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    ROW("new_one", 1, 1, 0);
    ROW("new.one", 1, 1, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    ROW("a b", 1, 1, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    ROW("", 1, 1, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    ROW("..", 1, 1, KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    ROW("p0", 0, 1, KAFKA_ERROR_INVALID_PARTITIONS);
    ROW("p-2", -2, 1, KAFKA_ERROR_INVALID_PARTITIONS);
    ROW("r0", 1, 0, KAFKA_ERROR_INVALID_REPLICATION_FACTOR);
    ROW("r-2", 1, -2, KAFKA_ERROR_INVALID_REPLICATION_FACTOR);
    ROW("r2", 1, 2, KAFKA_ERROR_INVALID_REPLICATION_FACTOR);
    ROW("huge", 10001, 1, KAFKA_ERROR_POLICY_VIOLATION);
    (void)set(client, ROW("c1", 1, 1, KAFKA_ERROR_INVALID_CONFIG), "no.such.key", "1");
    (void)set(client, ROW("c2", 1, 1, KAFKA_ERROR_INVALID_CONFIG), "retention.ms", "soon");
    (void)set(client, ROW("c3", 1, 1, KAFKA_ERROR_INVALID_CONFIG), "retention.ms", NULL);
    struct create_topics_request_creatable_topic *topic = ROW("m1", -1, -1, 0);
    assign(client, topic, 1, 1, 1);
    assign(client, topic, 0, 1, 1);
    topic = ROW("m2", -1, -1, KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT);
    assign(client, topic, 0, 1, 1);
    assign(client, topic, 2, 1, 1);
    assign(client, ROW("m3", -1, -1, KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT), 0, 2, 1);
    assign(client, ROW("m4", -1, -1, KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT), 0, 1, 2);
    assign(client, ROW("m5", -1, -1, KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT), 0, 1, 0);
    assign(client, ROW("m6", 1, -1, KAFKA_ERROR_INVALID_REQUEST), 0, 1, 1);
    topic = ROW("m7", -1, -1, KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT);
    assign(client, topic, 0, 1, 1);
    assign(client, topic, 0, 1, 1);
    struct create_topics_response *answer = create(client, 7, request);
    cr_assert_eq(answer->topics_count, count);
    for (int i = 0; i < count; i++) {
        struct create_topics_response_creatable_topic_result *row = &answer->topics[i];
        cr_assert(bytes_equal(row->name, rows[i].topic->name));
        cr_assert_eq(row->error_code, rows[i].code, "%.*s: %s %.*s", (int)row->name.len,
            row->name.data, error_name(row->error_code), (int)row->error_message.len,
            row->error_message.data);
        cr_assert_eq(row->error_message.data == NULL, rows[i].code == 0);
        char name[256];
        (void)snprintf(name, sizeof(name), "%.*s", (int)row->name.len, row->name.data);
        if (rows[i].code != KAFKA_ERROR_TOPIC_ALREADY_EXISTS)
            cr_assert_eq(find(&world, name) != NULL, rows[i].code == 0, "%s", name);
    }
    cr_assert_eq(find(&world, "m1")->log_count, 2);
    cr_assert(mentions(answer->topics[2].error_message, "old.one"));
    cr_assert(mentions(answer->topics[14].error_message, "no.such.key"));
    cr_assert(mentions(answer->topics[15].error_message, "retention.ms"));
    world_close(&world);
}

TEST(handle_topics, a_name_that_comes_twice_is_refused_once)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    struct creation_request *request = creation(client);
    (void)add(request, "t", 1, 1);
    (void)add(request, "u", 1, 1);
    (void)add(request, "t", 2, 1);
    struct create_topics_response *answer = create(client, 7, request);
    cr_assert_eq(answer->topics_count, 2);
    cr_assert_eq(answer->topics[0].error_code, KAFKA_ERROR_INVALID_REQUEST);
    cr_assert_eq(answer->topics[1].error_code, 0);
    cr_assert_null(find(&world, "t"));
    cr_assert_not_null(find(&world, "u"));
    world_close(&world);
}

TEST(handle_topics, the_clamp_takes_any_replication_factor_as_one)
{
    struct world world;
    world_open(&world, (const char *[]){ "replication.factor.clamp=true", NULL });
    struct client *client = client_connect(&world);
    struct creation_request *request = creation(client);
    (void)add(request, "t", 1, 3);
    (void)add(request, "u", 1, 0);
    struct create_topics_response *answer = create(client, 7, request);
    cr_assert_eq(answer->topics[0].error_code, 0);
    cr_assert_eq(answer->topics[0].replication_factor, 1);
    cr_assert_eq(answer->topics[1].error_code, KAFKA_ERROR_INVALID_REPLICATION_FACTOR);
    world_close(&world);
}

TEST(handle_topics, what_was_answered_survives_a_power_cut)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    struct creation_request *request = creation(client);
    (void)set(client, add(request, "t", 5, 1), "retention.ms", "77");
    (void)create(client, 7, request);
    struct uuid id = client_topic_id(client, "t");
    world_crash(&world, true);
    world_start(&world, NULL);
    struct topic *topic = find(&world, "t");
    cr_assert_not_null(topic);
    cr_assert(uuid_equal(topic->id, id));
    cr_assert_eq(topic->log_count, 5);
    cr_assert_eq(topic->config.retention_ms, 77);
    world_close(&world);
}

TEST(handle_topics, a_client_that_leaves_before_the_answer_leaves_nothing_behind)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    struct creation_request *request = creation(client);
    (void)add(request, "t", 1, 1);
    (void)client_send(client, API_CREATE_TOPICS, 7, &request->request);
    for (int i = 0; i < 200 && !find(&world, "t"); i++)
        (void)world_step(&world);
    client_close(client);
    world_run(&world, 100);
    cr_assert_not_null(find(&world, "t"));
    world_close(&world);
}

/* ---- DeleteTopics -------------------------------------------------------------------------- */

static struct delete_topics_response *delete_named(
    struct client *client, int16_t version, const char *const *names)
{
    struct delete_topics_request request;
    struct bytes list[16];
    struct delete_topics_request_delete_topic_state states[16];
    codec_defaults(&delete_topics_request_message, &request);
    request.topic_names = list;
    request.topics = states;
    for (; *names; names++) {
        struct_defaults(
            &delete_topics_request_delete_topic_state_table, &states[request.topics_count]);
        states[request.topics_count++].name = bytes_text(*names);
        list[request.topic_names_count++] = bytes_text(*names);
    }
    struct delete_topics_response *answer =
        client_call(client, API_DELETE_TOPICS, version, &request);
    cr_assert_not_null(answer);
    return answer;
}

TEST(handle_topics, deletes_by_name_in_every_version)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    for (int16_t version = 1; version <= 6; version++) {
        client_create_topic(client, "t", 2, NULL);
        struct delete_topics_response *answer =
            delete_named(client, version, (const char *[]){ "t", "unknown", NULL });
        cr_assert_eq(answer->responses_count, 2);
        cr_assert_eq(answer->responses[0].error_code, 0);
        cr_assert(bytes_equal_text(answer->responses[0].name, "t"));
        cr_assert_eq(answer->responses[1].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
        cr_assert_null(find(&world, "t"));
    }
    world_close(&world);
}

TEST(handle_topics, deletes_by_id_in_version_6)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    client_create_topic(client, "both", 1, NULL);
    struct delete_topics_request request;
    struct delete_topics_request_delete_topic_state states[4];
    codec_defaults(&delete_topics_request_message, &request);
    request.topics = states;
    request.topics_count = 4;
    for (int i = 0; i < 4; i++)
        struct_defaults(&delete_topics_request_delete_topic_state_table, &states[i]);
    struct uuid id = client_topic_id(client, "t");
    states[0].topic_id = id;
    memset(&states[1].topic_id, 0x77, 16);
    states[2].name = bytes_text("both");
    states[2].topic_id = client_topic_id(client, "both");
    struct delete_topics_response *answer = client_call(client, API_DELETE_TOPICS, 6, &request);
    cr_assert_eq(answer->responses_count, 4);
    cr_assert_eq(answer->responses[0].error_code, 0);
    cr_assert(bytes_equal_text(answer->responses[0].name, "t"));
    cr_assert(uuid_equal(answer->responses[0].topic_id, id));
    cr_assert_eq(answer->responses[1].error_code, KAFKA_ERROR_UNKNOWN_TOPIC_ID);
    cr_assert_eq(answer->responses[2].error_code, KAFKA_ERROR_INVALID_REQUEST);
    cr_assert_eq(answer->responses[3].error_code, KAFKA_ERROR_INVALID_REQUEST);
    cr_assert_null(find(&world, "t"));
    cr_assert_not_null(find(&world, "both"));
    world_close(&world);
}

TEST(handle_topics, a_topic_that_is_to_be_deleted_twice_stays)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    client_create_topic(client, "u", 1, NULL);
    struct delete_topics_response *answer =
        delete_named(client, 5, (const char *[]){ "t", "u", "t", NULL });
    cr_assert_eq(answer->responses_count, 2);
    cr_assert_eq(answer->responses[0].error_code, KAFKA_ERROR_INVALID_REQUEST);
    cr_assert_eq(answer->responses[1].error_code, 0);
    cr_assert_not_null(find(&world, "t"));
    cr_assert_null(find(&world, "u"));
    world_close(&world);
}

TEST(handle_topics, a_deleted_topic_stays_deleted_after_a_power_cut_and_gets_a_new_id)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct uuid id = client_topic_id(client, "t");
    (void)delete_named(client, 6, (const char *[]){ "t", NULL });
    world_crash(&world, true);
    world_start(&world, NULL);
    cr_assert_null(find(&world, "t"));
    client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_not(uuid_equal(client_topic_id(client, "t"), id));
    world_close(&world);
}

TEST(handle_topics, deletion_can_be_switched_off)
{
    struct world world;
    world_open(&world, (const char *[]){ "delete.topic.enable=false", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(delete_named(client, 2, (const char *[]){ "t", NULL })->responses[0].error_code,
        KAFKA_ERROR_INVALID_REQUEST);
    cr_assert_eq(delete_named(client, 3, (const char *[]){ "t", NULL })->responses[0].error_code,
        KAFKA_ERROR_TOPIC_DELETION_DISABLED);
    cr_assert_not_null(find(&world, "t"));
    world_close(&world);
}

/* ---- CreatePartitions ---------------------------------------------------------------------- */

static struct create_partitions_response_topic_result *grow(struct client *client, int16_t version,
    const char *name, int32_t count, const int32_t *brokers, int32_t assigned, bool validate_only)
{
    struct create_partitions_request request;
    struct create_partitions_request_topic topic;
    struct create_partitions_request_assignment assignments[8];
    int32_t ids[8];
    codec_defaults(&create_partitions_request_message, &request);
    struct_defaults(&create_partitions_request_topic_table, &topic);
    topic.name = bytes_text(name);
    topic.count = count;
    topic.assignments = assignments;
    topic.assignments_count = assigned;
    for (int32_t i = 0; i < assigned; i++) {
        ids[i] = brokers[i];
        assignments[i] = (struct create_partitions_request_assignment){ &ids[i], 1 };
    }
    request.topics = &topic;
    request.topics_count = 1;
    request.validate_only = validate_only;
    struct create_partitions_response *answer =
        client_call(client, API_CREATE_PARTITIONS, version, &request);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->results_count, 1);
    return &answer->results[0];
}

TEST(handle_topics, partitions_are_added_in_every_version)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    for (int16_t version = 0; version <= 3; version++) {
        cr_assert_eq(grow(client, version, "t", 2 + version, NULL, -1, false)->error_code, 0);
        cr_assert_eq(find(&world, "t")->log_count, 2 + version);
    }
    world_crash(&world, true);
    world_start(&world, NULL);
    cr_assert_eq(find(&world, "t")->log_count, 5);
    world_close(&world);
}

TEST(handle_topics, partitions_that_cannot_be_added_are_refused)
{
    struct world world;
    world_open(&world, (const char *[]){ "node.id=1", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 3, NULL);
    const int32_t right[] = { 1, 1 }, wrong[] = { 1, 2 };
    cr_assert_eq(
        grow(client, 3, "t", 3, NULL, -1, false)->error_code, KAFKA_ERROR_INVALID_PARTITIONS);
    cr_assert_eq(grow(client, 3, "t", INT32_MIN, NULL, -1, false)->error_code,
        KAFKA_ERROR_INVALID_PARTITIONS);
    cr_assert_eq(
        grow(client, 3, "t", 20000, NULL, -1, false)->error_code, KAFKA_ERROR_INVALID_PARTITIONS);
    cr_assert_eq(grow(client, 3, "u", 3, NULL, -1, false)->error_code,
        KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(grow(client, 3, "t", 4, right, 2, false)->error_code,
        KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT);
    cr_assert_eq(grow(client, 3, "t", 5, wrong, 2, false)->error_code,
        KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT);
    cr_assert_eq(grow(client, 3, "t", 5, NULL, -1, true)->error_code, 0);
    cr_assert_eq(find(&world, "t")->log_count, 3);
    cr_assert_eq(grow(client, 3, "t", 5, right, 2, false)->error_code, 0);
    cr_assert_eq(find(&world, "t")->log_count, 5);
    world_close(&world);
}

TEST(handle_topics, partitions_that_are_to_be_added_twice_are_not)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    client_create_topic(client, "u", 1, NULL);
    struct create_partitions_request request;
    struct create_partitions_request_topic topics[3];
    codec_defaults(&create_partitions_request_message, &request);
    static const char *const names[] = { "t", "u", "t" };
    for (int i = 0; i < 3; i++) {
        struct_defaults(&create_partitions_request_topic_table, &topics[i]);
        topics[i].name = bytes_text(names[i]);
        topics[i].count = 2 + i;
        topics[i].assignments_count = -1;
    }
    request.topics = topics;
    request.topics_count = 3;
    struct create_partitions_response *answer =
        client_call(client, API_CREATE_PARTITIONS, 3, &request);
    cr_assert_eq(answer->results_count, 2);
    cr_assert_eq(answer->results[0].error_code, KAFKA_ERROR_INVALID_REQUEST);
    cr_assert_eq(answer->results[1].error_code, 0);
    cr_assert_eq(find(&world, "t")->log_count, 1);
    cr_assert_eq(find(&world, "u")->log_count, 3);
    world_close(&world);
}
