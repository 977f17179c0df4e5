/* DescribeConfigs as clients see it: protocol.md trap 67. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include "storage/topic_config.h"

static struct describe_configs_response_result *describe(struct client *client, int16_t version,
    int8_t type, const char *name, const char *const *keys, bool extras)
{
    struct describe_configs_request request;
    struct describe_configs_request_resource resource;
    struct bytes names[8];
    codec_defaults(&describe_configs_request_message, &request);
    struct_defaults(&describe_configs_request_resource_table, &resource);
    resource.resource_type = type;
    resource.resource_name = bytes_text(name);
    resource.configuration_keys = names;
    resource.configuration_keys_count = keys ? 0 : -1;
    for (; keys && *keys; keys++)
        names[resource.configuration_keys_count++] = bytes_text(*keys);
    request.resources = &resource;
    request.resources_count = 1;
    request.include_synonyms = request.include_documentation = extras;
    struct describe_configs_response *answer =
        client_call(client, API_DESCRIBE_CONFIGS, version, &request);
    cr_assert_not_null(answer);
    cr_assert_eq(answer->results_count, 1);
    cr_assert_eq(answer->results[0].resource_type, type);
    cr_assert(bytes_equal_text(answer->results[0].resource_name, name));
    return &answer->results[0];
}

static const struct describe_configs_response_resource_result *find(
    const struct describe_configs_response_result *result, const char *name)
{
    for (int32_t i = 0; i < result->configs_count; i++)
        if (bytes_equal_text(result->configs[i].name, name))
            return &result->configs[i];
    cr_assert_fail("no %s", name);
    return NULL;
}

TEST(handle_configs, a_topic_tells_every_key_its_source_and_the_chain_below)
{
    struct world world;
    world_open(
        &world, (const char *[]){ "log.retention.hours=2", "log.segment.bytes=2000000", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, (const char *[]){ "retention.ms=77", NULL });
    client_create_topic(client, "u", 1, NULL);
    size_t count;
    (void)topic_config_keys(&count);
    for (int16_t version = 1; version <= 4; version++) {
        struct describe_configs_response_result *result =
            describe(client, version, 2, "t", NULL, true);
        cr_assert_eq(result->error_code, 0);
        cr_assert_eq((size_t)result->configs_count, count);
        const struct describe_configs_response_resource_result *row = find(result, "retention.ms");
        cr_assert(bytes_equal_text(row->value, "77"));
        cr_assert_eq(row->config_source, 1);
        cr_assert_not(row->read_only);
        cr_assert_not(row->is_sensitive);
        /* Kafka does not name log.retention.hours where log.retention.ms has no value. */
        cr_assert_eq(row->synonyms_count, 1);
        cr_assert(bytes_equal_text(row->synonyms[0].name, "retention.ms"));
        cr_assert_eq(row->synonyms[0].source, 1);
        row = find(result, "segment.bytes");
        cr_assert(bytes_equal_text(row->value, "2000000"));
        cr_assert_eq(row->config_source, 4);
        cr_assert_eq(row->synonyms_count, 2);
        cr_assert(bytes_equal_text(row->synonyms[0].name, "log.segment.bytes"));
        cr_assert(bytes_equal_text(row->synonyms[1].value, "1073741824"));
        cr_assert_eq(row->synonyms[1].source, 5);
        row = find(result, "retention.ms");
        if (version >= 3) {
            cr_assert_eq(row->config_type, CONFIG_LONG);
            cr_assert_not_null(row->documentation.data);
        }
        row = find(describe(client, version, 2, "u", NULL, false), "retention.ms");
        cr_assert(bytes_equal_text(row->value, "7200000"));
        cr_assert_eq(row->config_source, 5);
        cr_assert_eq(row->synonyms_count, 0);
        cr_assert(version < 3 || !row->documentation.data);
        row = find(describe(client, version, 2, "u", NULL, true), "cleanup.policy");
        cr_assert(bytes_equal_text(row->value, "delete"));
        cr_assert_eq(row->config_source, 5);
        cr_assert_eq(row->synonyms_count, 1);
        cr_assert(bytes_equal_text(row->synonyms[0].name, "log.cleanup.policy"));
    }
    world_close(&world);
}

TEST(handle_configs, a_list_is_told_in_the_order_in_which_it_was_set)
{
    struct world world;
    world_open(&world, (const char *[]){ "log.cleanup.policy=delete,compact", NULL });
    struct client *client = client_connect(&world);
    client_create_topic(
        client, "t", 1, (const char *[]){ "cleanup.policy= delete,  compact,delete", NULL });
    client_create_topic(client, "u", 1, (const char *[]){ "cleanup.policy=compact,delete", NULL });
    client_create_topic(client, "v", 1, NULL);
    client_create_topic(client, "w", 1, (const char *[]){ "cleanup.policy=", NULL });
    static const char *const told[][2] = { { "t", "delete,compact" }, { "u", "compact,delete" },
        { "v", "delete,compact" }, { "w", "" } };
    for (size_t i = 0; i < ARRAY_COUNT(told); i++) {
        const struct describe_configs_response_resource_result *row =
            find(describe(client, 4, 2, told[i][0], NULL, false), "cleanup.policy");
        cr_assert(bytes_equal_text(row->value, told[i][1]), "%s: %.*s", told[i][0],
            (int)row->value.len, (const char *)row->value.data);
    }
    world_close(&world);
}

TEST(handle_configs, only_the_keys_asked_for_are_told)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", 1, NULL);
    struct describe_configs_response_result *result = describe(client, 4, 2, "t",
        (const char *[]){ "cleanup.policy", "no.such.key", "retention.ms", NULL }, false);
    cr_assert_eq(result->configs_count, 2);
    (void)find(result, "cleanup.policy");
    (void)find(result, "retention.ms");
    /* As Kafka: no key is every key. */
    size_t count;
    (void)topic_config_keys(&count);
    cr_assert_eq(
        describe(client, 4, 2, "t", (const char *[]){ NULL }, false)->configs_count, count);
    world_close(&world);
}

TEST(handle_configs, topics_that_cannot_be_are_told_apart_from_those_that_are_not)
{
    struct world world;
    world_open(&world, NULL);
    struct client *client = client_connect(&world);
    struct describe_configs_response_result *result = describe(client, 4, 2, "t", NULL, false);
    cr_assert_eq(result->error_code, KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(result->configs_count, 0);
    cr_assert_eq(describe(client, 4, 2, "a b", NULL, false)->error_code,
        KAFKA_ERROR_INVALID_TOPIC_EXCEPTION);
    world_close(&world);
}

TEST(handle_configs, the_broker_tells_every_key_and_which_are_read_only)
{
    struct world world;
    world_open(&world, (const char *[]){ "node.id=7", "num.partitions=5", NULL });
    struct client *client = client_connect(&world);
    struct describe_configs_response_result *result = describe(client, 4, 4, "7", NULL, true);
    size_t count;
    (void)config_keys(&count);
    cr_assert_eq(result->error_code, 0);
    cr_assert_eq((size_t)result->configs_count, count);
    const struct describe_configs_response_resource_result *row = find(result, "num.partitions");
    cr_assert(bytes_equal_text(row->value, "5"));
    cr_assert_eq(row->config_source, 4);
    cr_assert_eq(row->config_type, CONFIG_INT);
    cr_assert(row->read_only);
    cr_assert_eq(row->synonyms_count, 2);
    cr_assert(bytes_equal_text(row->synonyms[1].value, "1"));
    cr_assert_eq(row->synonyms[1].source, 5);
    cr_assert(bytes_equal_text(find(result, "broker.id")->value, "7"));
    row = find(result, "auto.create.topics.enable");
    cr_assert(bytes_equal_text(row->value, "true"));
    cr_assert_eq(row->config_source, 5);
    row = find(result, "ssl.keystore.password");
    cr_assert(row->is_sensitive);
    cr_assert_null(row->value.data);
    cr_assert_not(find(result, "log.retention.ms")->read_only);
    cr_assert_not(find(result, "max.connections")->read_only);
    cr_assert(find(result, "listeners")->read_only);
    cr_assert(find(result, "offsets.retention.minutes")->read_only);
    cr_assert(find(result, "offsets.retention.check.interval.ms")->read_only);
    cr_assert_eq(describe(client, 4, 4, "8", NULL, false)->error_code, KAFKA_ERROR_INVALID_REQUEST);
    result = describe(client, 4, 4, "", NULL, false);
    cr_assert_eq(result->error_code, 0);
    cr_assert_eq(result->configs_count, 0);
    world_close(&world);
}

TEST(handle_configs, other_resources_tell_their_keys_or_why_not)
{
    struct world world;
    world_open(&world, (const char *[]){ "node.id=7", NULL });
    struct client *client = client_connect(&world);
    static const struct {
        int8_t type;
        const char *name;
        int16_t code;
    } rows[] = { { 8, "7", 0 }, { 8, "6", KAFKA_ERROR_INVALID_REQUEST }, { 16, "m", 0 },
        { 16, "", KAFKA_ERROR_INVALID_REQUEST }, { 32, "g", 0 },
        { 32, "", KAFKA_ERROR_INVALID_REQUEST }, { 3, "x", KAFKA_ERROR_INVALID_REQUEST },
        { 0, "x", KAFKA_ERROR_INVALID_REQUEST }, { 127, "", KAFKA_ERROR_INVALID_REQUEST } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct describe_configs_response_result *result =
            describe(client, 4, rows[i].type, rows[i].name, NULL, false);
        cr_assert_eq(result->error_code, rows[i].code, "row %zu", i);
        cr_assert_eq(result->configs_count > 0, rows[i].code == 0, "row %zu", i);
        cr_assert_eq(result->error_message.len == 0, rows[i].code == 0);
    }
    world_close(&world);
}
