/* AlterConfigs, IncrementalAlterConfigs, ListConfigResources as clients see them. The codes are
 * what Apache Kafka 4.3.1 answers to the same requests. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include "broker/overrides.h"

enum { SET, DELETE, APPEND, SUBTRACT };

struct edit {
    const char *name;
    int8_t op;
    const char *value;
};

static struct bytes text(const char *from)
{
    return from ? bytes_text(from) : bytes_of(NULL, 0);
}

/* One resource; edits end with a name of NULL. */
static int16_t alter_at(struct client *client, int16_t version, int8_t type, const char *name,
    const struct edit *edits, bool validate_only)
{
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_alter_configs_resource resource;
    struct incremental_alter_configs_request_alterable_config configs[8];
    codec_defaults(&incremental_alter_configs_request_message, &request);
    struct_defaults(&incremental_alter_configs_request_alter_configs_resource_table, &resource);
    resource.resource_type = type;
    resource.resource_name = bytes_text(name);
    resource.configs = configs;
    for (; edits->name; edits++)
        configs[resource.configs_count++] =
            (struct incremental_alter_configs_request_alterable_config){ text(edits->name),
                edits->op, text(edits->value) };
    request.resources = &resource;
    request.resources_count = 1;
    request.validate_only = validate_only;
    struct incremental_alter_configs_response *answer =
        client_call(client, API_INCREMENTAL_ALTER_CONFIGS, version, &request);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->responses_count, 1);
    cr_assert_eq(answer->responses[0].resource_type, type);
    cr_assert(bytes_equal_text(answer->responses[0].resource_name, name));
    cr_assert_eq(answer->responses[0].error_message.len > 0, answer->responses[0].error_code != 0);
    return answer->responses[0].error_code;
}

static int16_t alter(struct client *client, int8_t type, const char *name, const struct edit *edits)
{
    return alter_at(client, 1, type, name, edits, false);
}

#define EDITS(...) ((const struct edit[]){ __VA_ARGS__, { 0 } })

static int16_t set(
    struct client *client, int8_t type, const char *name, const char *key, const char *value)
{
    return alter(client, type, name, EDITS({ key, SET, value }));
}

/* AlterConfigs; keys and values in turn, NULL at the end. */
static int16_t replace(
    struct client *client, int8_t type, const char *name, const char *const *pairs)
{
    struct alter_configs_request request;
    struct alter_configs_request_resource resource;
    struct alter_configs_request_alterable_config configs[8];
    codec_defaults(&alter_configs_request_message, &request);
    struct_defaults(&alter_configs_request_resource_table, &resource);
    resource.resource_type = type;
    resource.resource_name = bytes_text(name);
    resource.configs = configs;
    for (; pairs && *pairs; pairs += 2)
        configs[resource.configs_count++] =
            (struct alter_configs_request_alterable_config){ text(pairs[0]), text(pairs[1]) };
    request.resources = &resource;
    request.resources_count = 1;
    struct alter_configs_response *answer = client_call(client, API_ALTER_CONFIGS, 2, &request);
    cr_assert_eq(answer->responses_count, 1);
    return answer->responses[0].error_code;
}

/* The row of one key, with synonyms; NULL: it is not told. */
static struct describe_configs_response_resource_result *describe(
    struct client *client, int8_t type, const char *name, const char *key)
{
    struct describe_configs_request request;
    struct describe_configs_request_resource resource;
    struct bytes key_name = bytes_text(key);
    codec_defaults(&describe_configs_request_message, &request);
    struct_defaults(&describe_configs_request_resource_table, &resource);
    resource.resource_type = type;
    resource.resource_name = bytes_text(name);
    resource.configuration_keys = &key_name;
    resource.configuration_keys_count = 1;
    request.resources = &resource;
    request.resources_count = 1;
    request.include_synonyms = true;
    struct describe_configs_response *answer =
        client_call(client, API_DESCRIBE_CONFIGS, 4, &request);
    cr_assert_eq(answer->results[0].error_code, 0);
    return answer->results[0].configs_count ? answer->results[0].configs : NULL;
}

static void is(struct client *client, int8_t type, const char *name, const char *key,
    const char *value, int8_t source)
{
    struct describe_configs_response_resource_result *row = describe(client, type, name, key);
    cr_assert_not_null(row, "%s", key);
    cr_assert(bytes_equal_text(row->value, value), "%s is %.*s, not %s", key, (int)row->value.len,
        row->value.data, value);
    cr_assert_eq(row->config_source, source, "%s: %d", key, row->config_source);
}

static void open(struct world *world)
{
    world_open(world, (const char *[]){ "node.id=1", NULL });
}

static const struct topic_config *config_of(struct world *world, const char *topic)
{
    return &storage_topic(world->broker->storage, bytes_text(topic))->config;
}

/* ---- what is refused ----------------------------------------------------------------------- */

static const struct {
    int8_t type;
    const char *name;
    struct edit edit;
    int16_t code;
} refusals[] = {
    { 2, "t", { "retention.ms", SET, "x" }, 40 },
    { 2, "t", { "retention.ms", SET, "-2" }, 40 },
    { 2, "t", { "retention.ms", SET, "" }, 40 },
    { 2, "t", { "retention.ms", SET, " 100 " }, 0 },
    { 2, "t", { "retention.ms", SET, NULL }, 42 },
    { 2, "t", { "retention.ms", DELETE, NULL }, 0 },
    { 2, "t", { "retention.ms", APPEND, "1" }, 40 },
    { 2, "t", { "retention.ms", 7, "1" }, 42 },
    { 2, "t", { "nope", SET, "1" }, 40 },
    { 2, "t", { "nope", DELETE, NULL }, 0 },
    { 2, "t", { "cleanup.policy", SET, "bad" }, 40 },
    { 2, "t", { "cleanup.policy", SUBTRACT, "nothere" }, 0 },
    { 2, "t", { "segment.bytes", SET, "1" }, 40 },
    { 2, "t", { "remote.storage.enable", SET, "true" }, 40 },
    { 2, "t", { "leader.replication.throttled.replicas", SET, "x" }, 40 },
    { 2, "t", { "leader.replication.throttled.replicas", SET, "*" }, 0 },
    { 2, "t", { "leader.replication.throttled.replicas", SET, "0:1, 1:1" }, 0 },
    { 2, "t", { "leader.replication.throttled.replicas", SET, "0:1:2" }, 40 },
    { 2, "t", { "min.insync.replicas", SET, "2" }, 0 },
    { 2, "missing", { "retention.ms", SET, "1" }, 3 },
    { 2, "a b", { "retention.ms", SET, "1" }, 17 },
    { 2, "", { "retention.ms", SET, "1" }, 42 },
    { 4, "1", { "log.retention.ms", SET, "x" }, 42 },
    { 4, "1", { "num.partitions", SET, "3" }, 42 },
    { 4, "", { "num.partitions", SET, "3" }, 42 },
    { 4, "", { "listeners", SET, "PLAINTEXT://:1" }, 42 },
    { 4, "9", { "log.retention.ms", SET, "2" }, 42 },
    { 4, "x", { "log.retention.ms", SET, "2" }, 42 },
    { 4, "1", { "log.retention.hours", SET, "2" }, 42 },
    { 4, "1", { "max.connections", SET, "-5" }, 42 },
    { 4, "1", { "no.such.key", SET, "5" }, 42 }, /* Kafka takes it */
    { 4, "1", { "log.cleanup.policy", APPEND, "compact" }, 0 },
    { 8, "1", { "root", SET, "BAD" }, 40 },
    { 8, "1", { "nope", SET, "DEBUG" }, 40 },
    { 8, "7", { "root", SET, "DEBUG" }, 42 },
    { 32, "g", { "consumer.session.timeout.ms", SET, "50" }, 40 },
    { 32, "g", { "consumer.session.timeout.ms", SET, "x" }, 40 },
    { 32, "g", { "consumer.session.timeout.ms", SET, "60001" }, 40 },
    { 32, "g", { "consumer.heartbeat.interval.ms", SET, "50000" }, 40 },
    { 32, "g", { "streams.num.standby.replicas", SET, "3" }, 40 },
    { 32, "g", { "streams.num.standby.replicas", SET, "2" }, 0 },
    { 32, "g", { "share.auto.offset.reset", SET, "foo" }, 40 },
    { 32, "g", { "share.auto.offset.reset", SET, "by_duration:PT2H" }, 0 },
    { 32, "g", { "nope", SET, "x" }, 40 },
    { 32, "", { "consumer.session.timeout.ms", SET, "50000" }, 42 },
    { 16, "m", { "interval.ms", SET, "1" }, 42 },
    { 16, "m", { "match", SET, "bad" }, 40 },
    { 16, "m", { "match", SET, "client_id=a.*,client_source_port=9" }, 0 },
    { 16, "m", { "nope", SET, "1" }, 42 },
    { 16, "", { "interval.ms", SET, "1000" }, 42 },
    { 3, "x", { "interval.ms", SET, "1000" }, 42 },
    { 0, "x", { "interval.ms", SET, "1000" }, 42 },
    { 99, "x", { "interval.ms", SET, "1000" }, 42 },
};

TEST(handle_alter_configs, what_is_wrong_has_kafkas_code)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        const struct edit edits[] = { refusals[i].edit, { 0 } };
        for (int16_t version = 0; version <= 1; version++) {
            int16_t code =
                alter_at(client, version, refusals[i].type, refusals[i].name, edits, true);
            cr_assert_eq(code, refusals[i].code, "row %zu, validated: %d", i, code);
        }
        int16_t code = alter(client, refusals[i].type, refusals[i].name, edits);
        cr_assert_eq(code, refusals[i].code, "row %zu: %d", i, code);
    }
    world_close(&world);
}

TEST(handle_alter_configs, values_must_go_together)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(
        alter(client, 2, "t",
            EDITS({ "max.compaction.lag.ms", SET, "5" }, { "min.compaction.lag.ms", SET, "10" })),
        KAFKA_ERROR_INVALID_CONFIG);
    cr_assert_eq(
        alter(client, 2, "t", EDITS({ "retention.ms", SET, "5" }, { "retention.ms", SET, "6" })),
        KAFKA_ERROR_INVALID_REQUEST);
    is(client, 2, "t", "retention.ms", "604800000", 5);
    world_close(&world);
}

TEST(handle_alter_configs, a_resource_may_come_once_and_each_has_its_own_error)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    static const char *const names[] = { "t", "u", "t", "v", "missing" };
    client_create_topic(client, "t", 1, NULL);
    client_create_topic(client, "u", 1, NULL);
    client_create_topic(client, "v", 1, NULL);
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_alter_configs_resource resources[5];
    struct incremental_alter_configs_request_alterable_config config = { bytes_text("retention.ms"),
        SET, bytes_text("5") },
                                                              bad = config;
    bad.value = bytes_text("x");
    codec_defaults(&incremental_alter_configs_request_message, &request);
    for (int i = 0; i < 5; i++)
        resources[i] = (struct incremental_alter_configs_request_alter_configs_resource){ 2,
            bytes_text(names[i]), i == 3 ? &bad : &config, 1 };
    request.resources = resources;
    request.resources_count = 5;
    struct incremental_alter_configs_response *answer =
        client_call(client, API_INCREMENTAL_ALTER_CONFIGS, 1, &request);
    static const int16_t codes[] = { 42, 0, 42, 40, 3 };
    for (int i = 0; i < 5; i++)
        cr_assert_eq(answer->responses[i].error_code, codes[i], "%d", i);
    is(client, 2, "t", "retention.ms", "604800000", 5);
    is(client, 2, "u", "retention.ms", "5", 1);
    is(client, 2, "v", "retention.ms", "604800000", 5);
    world_close(&world);
}

/* ---- topics -------------------------------------------------------------------------------- */

TEST(handle_alter_configs, a_topics_values_hold_at_once_and_after_a_crash)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, (const char *[]){ "retention.bytes=9", NULL });
    cr_assert_eq(alter_at(client, 1, 2, "t", EDITS({ "durability", SET, "fsync" }), true), 0);
    is(client, 2, "t", "durability", "acks", 5);
    cr_assert_eq(alter(client, 2, "t",
                     EDITS({ "durability", SET, "fsync" }, { "max.message.bytes", SET, "100" },
                         { "retention.bytes", DELETE, NULL })),
        0);
    is(client, 2, "t", "durability", "fsync", 1);
    is(client, 2, "t", "retention.bytes", "-1", 5);
    struct bytes batch = client_batch(client, CODEC_NONE, 0, 10);
    cr_assert_eq(client_produce(client, "t", 0, batch)->error_code, KAFKA_ERROR_MESSAGE_TOO_LARGE);
    world_crash(&world, true);
    world_start(&world, (const char *[]){ "node.id=1", NULL });
    client = client_connect(&world);
    is(client, 2, "t", "max.message.bytes", "100", 1);
    cr_assert_eq(config_of(&world, "t")->durability, DURABILITY_FSYNC);
    world_close(&world);
}

TEST(handle_alter_configs, lists_grow_and_shrink)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(alter(client, 2, "t", EDITS({ "cleanup.policy", APPEND, "compact" })), 0);
    cr_assert_eq(config_of(&world, "t")->cleanup_policy, CLEANUP_COMPACT | CLEANUP_DELETE);
    cr_assert_eq(alter(client, 2, "t", EDITS({ "cleanup.policy", APPEND, "compact" })), 0);
    struct topic *topic = storage_topic(world.broker->storage, bytes_text("t"));
    cr_assert_str_eq(topic->entries[0].value, "delete,compact");
    cr_assert_eq(alter(client, 2, "t", EDITS({ "cleanup.policy", SUBTRACT, "delete, other" })), 0);
    cr_assert_eq(config_of(&world, "t")->cleanup_policy, CLEANUP_COMPACT);
    world_close(&world);
}

TEST(handle_alter_configs, alter_configs_gives_all_values)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, (const char *[]){ "retention.bytes=9", NULL });
    cr_assert_eq(replace(client, 2, "t", (const char *[]){ "retention.ms", "5", NULL }), 0);
    is(client, 2, "t", "retention.ms", "5", 1);
    is(client, 2, "t", "retention.bytes", "-1", 5);
    cr_assert_eq(replace(client, 2, "t", (const char *[]){ "retention.ms", NULL, NULL }), 42);
    cr_assert_eq(replace(client, 2, "t", (const char *[]){ "nope", "1", NULL }), 40);
    cr_assert_eq(replace(client, 8, "1", (const char *[]){ "root", "DEBUG", NULL }), 42);
    is(client, 2, "t", "retention.ms", "5", 1);
    cr_assert_eq(replace(client, 2, "t", NULL), 0);
    is(client, 2, "t", "retention.ms", "604800000", 5);
    world_close(&world);
}

/* ---- brokers ------------------------------------------------------------------------------- */

TEST(handle_alter_configs, the_nearest_of_a_brokers_values_counts)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    client_create_topic(client, "own", 1, (const char *[]){ "retention.ms=1", NULL });
    cr_assert_eq(set(client, 4, "", "log.retention.ms", "6000"), 0);
    cr_assert_eq(set(client, 4, "", "log.segment.bytes", "20000000"), 0);
    is(client, 4, "1", "log.retention.ms", "6000", 3);
    cr_assert_eq(set(client, 4, "1", "log.retention.ms", "5000"), 0);
    for (int life = 0; life < 2; life++) {
        is(client, 4, "1", "log.retention.ms", "5000", 2);
        is(client, 4, "", "log.retention.ms", "6000", 3);
        cr_assert_null(describe(client, 4, "", "max.connections"));
        is(client, 2, "t", "retention.ms", "5000", 2);
        is(client, 2, "t", "segment.bytes", "20000000", 3);
        is(client, 2, "own", "retention.ms", "1", 1);
        cr_assert_eq(config_of(&world, "t")->retention_ms, 5000);
        cr_assert_eq(config_of(&world, "own")->retention_ms, 1);
        struct describe_configs_response_resource_result *row =
            describe(client, 2, "t", "retention.ms");
        cr_assert_eq(row->synonyms_count, 3);
        cr_assert(bytes_equal_text(row->synonyms[1].value, "6000"));
        cr_assert(bytes_equal_text(row->synonyms[2].name, "log.retention.hours"));
        cr_assert_eq(row->synonyms[2].source, 5);
        world_crash(&world, life == 0);
        world_start(&world, (const char *[]){ "node.id=1", NULL });
        client = client_connect(&world);
    }
    cr_assert_eq(alter(client, 4, "1", EDITS({ "log.retention.ms", DELETE, NULL })), 0);
    cr_assert_eq(config_of(&world, "t")->retention_ms, 6000);
    cr_assert_eq(alter(client, 4, "", EDITS({ "log.retention.ms", DELETE, NULL })), 0);
    is(client, 2, "t", "retention.ms", "604800000", 5);
    world_close(&world);
}

TEST(handle_alter_configs, a_brokers_key_has_effect_at_once)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct bytes batch = client_batch(client, CODEC_NONE, 0, 10);
    cr_assert_eq(set(client, 4, "", "message.max.bytes", "100"), 0);
    cr_assert_eq(client_produce(client, "t", 0, batch)->error_code, KAFKA_ERROR_MESSAGE_TOO_LARGE);
    cr_assert_eq(set(client, 4, "1", "message.max.bytes", "1000000"), 0);
    cr_assert_eq(client_produce(client, "t", 0, batch)->error_code, 0);
    cr_assert_eq(set(client, 4, "1", "max.connections", "7"), 0);
    cr_assert_eq(world.broker->config->connections_max, 7);
    cr_assert_eq(set(client, 4, "1", "producer.id.expiration.ms", "77"), 0);
    cr_assert_eq(world.broker->config->producer_id_expiration_ms, 77);
    cr_assert_eq(replace(client, 4, "1", NULL), 0);
    cr_assert_eq(world.broker->config->connections_max, INT32_MAX);
    cr_assert_eq(client_produce(client, "t", 0, batch)->error_code, KAFKA_ERROR_MESSAGE_TOO_LARGE);
    /* A topic that is made takes it over, and says so. */
    cr_assert_eq(set(client, 4, "", "log.cleanup.policy", "compact"), 0);
    client_create_topic(client, "u", 1, NULL);
    cr_assert_eq(config_of(&world, "u")->cleanup_policy, CLEANUP_COMPACT);
    is(client, 2, "u", "cleanup.policy", "compact", 3);
    world_close(&world);
}

TEST(handle_alter_configs, the_logger_has_a_level)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    is(client, 8, "1", "root", "INFO", 6);
    cr_assert_eq(alter_at(client, 1, 8, "1", EDITS({ "root", SET, "DEBUG" }), true), 0);
    is(client, 8, "1", "root", "INFO", 6);
    cr_assert_eq(set(client, 8, "1", "root", "ERROR"), 0);
    is(client, 8, "1", "root", "ERROR", 6);
    cr_assert_eq(set(client, 4, "1", "log.level", "debug"), 0);
    is(client, 8, "1", "root", "ERROR", 6);
    cr_assert_eq(alter(client, 8, "1", EDITS({ "root", DELETE, NULL })), 42);
    world_close(&world);
}

/* ---- groups and client metrics ------------------------------------------------------------- */

TEST(handle_alter_configs, groups_and_client_metrics_keep_their_values)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    is(client, 32, "g", "consumer.session.timeout.ms", "45000", 5);
    is(client, 32, "g", "share.isolation.level", "read_uncommitted", 5);
    is(client, 16, "m", "interval.ms", "300000", 5);
    cr_assert_eq(set(client, 32, "g", "consumer.session.timeout.ms", "50000"), 0);
    cr_assert_eq(set(client, 16, "m", "interval.ms", "1000"), 0);
    world_crash(&world, true);
    world_start(&world, (const char *[]){ "node.id=1", NULL });
    client = client_connect(&world);
    is(client, 32, "g", "consumer.session.timeout.ms", "50000", 8);
    is(client, 32, "h", "consumer.session.timeout.ms", "45000", 5);
    is(client, 16, "m", "interval.ms", "1000", 7);
    cr_assert_eq(describe(client, 32, "g", "consumer.session.timeout.ms")->synonyms_count, 2);
    struct bytes text = overrides_find(
        world.broker, RESOURCE_GROUP, bytes_text("g"), "consumer.session.timeout.ms");
    cr_assert(bytes_equal_text(text, "50000"));
    cr_assert_null(overrides_find(world.broker, RESOURCE_GROUP, bytes_text("g"), "x").data);
    world_close(&world);
}

static int32_t listed(struct client *client, int16_t version, int8_t type, const char *name)
{
    struct list_config_resources_request request;
    int32_t found = 0;
    codec_defaults(&list_config_resources_request_message, &request);
    request.resource_types = &type;
    request.resource_types_count = type ? 1 : 0;
    struct list_config_resources_response *answer =
        client_call(client, API_LIST_CONFIG_RESOURCES, version, &request);
    if (answer->error_code)
        return -answer->error_code;
    for (int32_t i = 0; i < answer->config_resources_count; i++) {
        cr_assert(type == 0 || answer->config_resources[i].resource_type == type);
        found += !name || bytes_equal_text(answer->config_resources[i].resource_name, name);
    }
    return found;
}

TEST(handle_alter_configs, resources_with_values_are_listed)
{
    struct world world;
    open(&world);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    cr_assert_eq(listed(client, 0, 0, NULL), 0);
    cr_assert_eq(set(client, 32, "g", "consumer.session.timeout.ms", "50000"), 0);
    cr_assert_eq(set(client, 16, "m", "interval.ms", "1000"), 0);
    cr_assert_eq(listed(client, 0, 0, NULL), 1);
    cr_assert_eq(listed(client, 0, 0, "m"), 1);
    cr_assert_eq(listed(client, 1, 0, NULL), 5);
    cr_assert_eq(listed(client, 1, 2, "t"), 1);
    cr_assert_eq(listed(client, 1, 4, "1"), 1);
    cr_assert_eq(listed(client, 1, 8, "1"), 1);
    cr_assert_eq(listed(client, 1, 32, "g"), 1);
    cr_assert_eq(listed(client, 1, 3, NULL), -KAFKA_ERROR_UNSUPPORTED_VERSION);
    cr_assert_eq(alter(client, 32, "g", EDITS({ "consumer.session.timeout.ms", DELETE, NULL })), 0);
    cr_assert_eq(listed(client, 1, 32, NULL), 0);
    world_close(&world);
}
