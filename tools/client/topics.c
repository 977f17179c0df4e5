/*
 * topics.c - `millrace topics list|create|describe|delete`.
 *
 * Each command: reach the cluster, one admin or metadata request, one answer per topic. With
 * several topics, all are tried; the exit code tells whether every one went well.
 */
#include "tools/client/topics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/base/bytes.h"
#include "protocol/base/mem.h"
#include "tools/client/session.h"
#include "tools/table.h"

enum { ERROR_TEXT_SIZE = 512, WORDS_MAX = 10000 };

/* ---- list ----------------------------------------------------------------------------------- */

struct list_settings {
    struct common common;
    bool internal;
};

static const struct option list_options[] = {
    { 0, "internal", NULL, "also topics whose name begins with __", NULL, OPTION_SWITCH,
        offsetof(struct list_settings, internal), 0, 0 },
    { 0 },
};

static bool is_internal(const char *topic)
{
    return topic[0] == '_' && topic[1] == '_';
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct rd_kafka_metadata_topic *)a)->topic,
        ((const struct rd_kafka_metadata_topic *)b)->topic);
}

static int replicas(const struct rd_kafka_metadata_topic *topic)
{
    return topic->partition_cnt > 0 ? topic->partitions[0].replica_cnt : 0;
}

static void list_as_json(const struct rd_kafka_metadata *metadata, bool internal)
{
    json_t *list = json_array();

    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (internal || !is_internal(topic->topic))
            (void)json_array_append_new(
                list, json_pack("{s:s, s:i, s:i}", "name", topic->topic, "partitions",
                          topic->partition_cnt, "replication_factor", replicas(topic)));
    }
    print_json(json_pack("{s:o}", "topics", list));
}

static void list_as_table(const struct rd_kafka_metadata *metadata, bool internal)
{
    static const char *const heads[] = { "TOPIC", ">PARTITIONS", ">REPLICAS" };
    struct table table;

    table_init(&table, heads, ARRAY_COUNT(heads));
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (!internal && is_internal(topic->topic))
            continue;
        table_cell(&table, "%s", topic->topic);
        table_cell(&table, "%d", topic->partition_cnt);
        table_cell(&table, "%d", replicas(topic));
    }
    table_print(&table, stdout);
    table_done(&table);
}

static int topics_list(struct settings *base)
{
    struct list_settings *settings = container_of(base, struct list_settings, common.settings);
    const struct rd_kafka_metadata *metadata;
    struct session session;

    int code = session_start(&session, &settings->common);
    if (!code)
        code = session_metadata(&session, NULL, &metadata);
    if (!code) {
        qsort(metadata->topics, (size_t)metadata->topic_cnt, sizeof(*metadata->topics), by_name);
        if (settings->common.json)
            list_as_json(metadata, settings->internal);
        else
            list_as_table(metadata, settings->internal);
        rd_kafka_metadata_destroy(metadata);
    }
    session_close(&session);
    return code;
}

/* ---- what create and delete share: one result per topic ------------------------------------- */

struct outcome {
    rd_kafka_resp_err_t harmless; /* an error that --if-... makes none; NO_ERROR: none is */
    const char *done;             /* "created" */
    const char *harmless_text;    /* "exists already" */
};

static int tell_results(struct session *session, const struct outcome *outcome,
    const rd_kafka_topic_result_t **results, size_t count)
{
    json_t *list = json_array();
    int code = EXIT_DONE;

    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_topic_result_error(results[i]);
        const char *name = rd_kafka_topic_result_name(results[i]);
        bool harmless = error && error == outcome->harmless;
        if (error && !harmless) {
            char what[ERROR_TEXT_SIZE];
            (void)snprintf(what, sizeof(what), "topic %s", name);
            const char *text = rd_kafka_topic_result_error_string(results[i]);
            int failed = session_failed(session, what, error, text && *text ? text : NULL);
            code = code > failed ? code : failed;
        } else if (!session->common->json) {
            printf("%s: %s\n", name, harmless ? outcome->harmless_text : outcome->done);
        }
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "result",
                                              harmless ? "unchanged"
                                              : error  ? rd_kafka_err2name(error)
                                                       : outcome->done));
    }
    if (session->common->json)
        print_json(json_pack("{s:O}", "topics", list));
    json_decref(list);
    return code;
}

/* ---- create --------------------------------------------------------------------------------- */

struct create_settings {
    struct common common;
    int64_t partitions, replication_factor;
    struct texts configs;
    bool if_not_exists;
};

#define FIELD(member) offsetof(struct create_settings, member)
static const struct option create_options[] = {
    { 'p', "partitions", "N", "how many; -1: what the broker is set to", "-1", OPTION_INTEGER,
        FIELD(partitions), -1, 1000000 },
    { 'r', "replication-factor", "N", "copies of each; -1: what the broker is set to", "-1",
        OPTION_INTEGER, FIELD(replication_factor), -1, 32767 },
    { 'c', "config", "KEY=VALUE", "a topic setting, as retention.ms=86400000 (repeatable)", NULL,
        OPTION_TEXTS, FIELD(configs), 0, 0 },
    { 0, "if-not-exists", NULL, "a topic that exists already is no failure", NULL, OPTION_SWITCH,
        FIELD(if_not_exists), 0, 0 },
    { 0 },
};
#undef FIELD

static int set_configs(const struct create_settings *settings, rd_kafka_NewTopic_t *topic)
{
    for (size_t i = 0; i < settings->configs.count; i++) {
        const char *config = settings->configs.items[i], *equals = strchr(config, '=');
        if (!equals || equals == config) {
            command_error(&settings->common.settings, "--config wants KEY=VALUE, not '%s'", config);
            return EXIT_USAGE;
        }
        char *key = mem_strndup(config, (size_t)(equals - config));
        (void)rd_kafka_NewTopic_set_config(topic, key, equals + 1);
        mem_free(key);
    }
    return EXIT_DONE;
}

static int make_topics(const struct create_settings *settings, rd_kafka_NewTopic_t **topics)
{
    const struct texts *names = &settings->common.settings.words;
    char text[ERROR_TEXT_SIZE];

    for (size_t i = 0; i < names->count; i++) {
        topics[i] = rd_kafka_NewTopic_new(names->items[i], (int)settings->partitions,
            (int)settings->replication_factor, text, sizeof(text));
        if (!topics[i]) {
            command_error(&settings->common.settings, "topic '%s': %s", names->items[i], text);
            return EXIT_USAGE;
        }
        int code = set_configs(settings, topics[i]);
        if (code)
            return code;
    }
    return EXIT_DONE;
}

/* After the broker has said yes, wait until each topic has its leaders, so that the next command
 * works. */
static int await_leaders(
    struct session *session, const rd_kafka_topic_result_t **results, size_t count)
{
    int code = EXIT_DONE;

    for (size_t i = 0; i < count && !code; i++) {
        const struct rd_kafka_metadata *metadata;
        if (rd_kafka_topic_result_error(results[i]))
            continue;
        code = session_topic(session, rd_kafka_topic_result_name(results[i]), true, &metadata);
        if (!code)
            rd_kafka_metadata_destroy(metadata);
    }
    return code;
}

static int create_all(struct session *session, const struct create_settings *settings,
    rd_kafka_NewTopic_t **topics, size_t count)
{
    const struct outcome outcome = { settings->if_not_exists
                                         ? RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS
                                         : RD_KAFKA_RESP_ERR_NO_ERROR,
        "created", "exists already" };
    rd_kafka_AdminOptions_t *options =
        session_admin_options(session, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(session->rk);
    rd_kafka_event_t *event;

    rd_kafka_CreateTopics(session->rk, topics, count, options, queue);
    int code = session_await(session, queue, "create", &event);
    if (!code) {
        size_t result_count;
        const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
            rd_kafka_event_CreateTopics_result(event), &result_count);
        int waited = await_leaders(session, results, result_count);
        code = tell_results(session, &outcome, results, result_count);
        code = code ? code : waited;
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return code;
}

static int topics_create(struct settings *base)
{
    struct create_settings *settings = container_of(base, struct create_settings, common.settings);
    size_t count = base->words.count;
    rd_kafka_NewTopic_t **topics = mem_zalloc(count, sizeof(rd_kafka_NewTopic_t *));
    struct session session = { 0 };

    int code = make_topics(settings, topics);
    if (!code)
        code = session_start(&session, &settings->common);
    if (!code)
        code = create_all(&session, settings, topics, count);
    for (size_t i = 0; i < count; i++)
        if (topics[i])
            rd_kafka_NewTopic_destroy(topics[i]);
    mem_free(topics);
    session_close(&session);
    return code;
}

/* ---- delete --------------------------------------------------------------------------------- */

struct delete_settings {
    struct common common;
    bool if_exists;
};

static const struct option delete_options[] = {
    { 0, "if-exists", NULL, "a topic that is not there is no failure", NULL, OPTION_SWITCH,
        offsetof(struct delete_settings, if_exists), 0, 0 },
    { 0 },
};

static int delete_all(struct session *session, const struct delete_settings *settings,
    rd_kafka_DeleteTopic_t **topics, size_t count)
{
    const struct outcome outcome = { settings->if_exists ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
                                                         : RD_KAFKA_RESP_ERR_NO_ERROR,
        "deleted", "is not there" };
    rd_kafka_AdminOptions_t *options =
        session_admin_options(session, RD_KAFKA_ADMIN_OP_DELETETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(session->rk);
    rd_kafka_event_t *event;

    rd_kafka_DeleteTopics(session->rk, topics, count, options, queue);
    int code = session_await(session, queue, "delete", &event);
    if (!code) {
        size_t result_count;
        const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(
            rd_kafka_event_DeleteTopics_result(event), &result_count);
        code = tell_results(session, &outcome, results, result_count);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return code;
}

static int topics_delete(struct settings *base)
{
    struct delete_settings *settings = container_of(base, struct delete_settings, common.settings);
    size_t count = base->words.count;
    rd_kafka_DeleteTopic_t **topics = mem_zalloc(count, sizeof(rd_kafka_DeleteTopic_t *));
    struct session session;

    for (size_t i = 0; i < count; i++)
        topics[i] = rd_kafka_DeleteTopic_new(base->words.items[i]);
    int code = session_start(&session, &settings->common);
    if (!code)
        code = delete_all(&session, settings, topics, count);
    rd_kafka_DeleteTopic_destroy_array(topics, count);
    mem_free(topics);
    session_close(&session);
    return code;
}

/* ---- describe ------------------------------------------------------------------------------- */

struct description {
    const struct rd_kafka_metadata *metadata; /* of this one topic */
    int64_t *low, *high;                      /* per partition, in the order of the metadata */
    json_t *configs;                          /* {"key": "value"}: those that are not the default */
};

static void description_done(struct description *description)
{
    if (description->metadata)
        rd_kafka_metadata_destroy(description->metadata);
    mem_free(description->low);
    mem_free(description->high);
    json_decref(description->configs);
}

static int by_id(const void *a, const void *b)
{
    return ((const struct rd_kafka_metadata_partition *)a)->id -
           ((const struct rd_kafka_metadata_partition *)b)->id;
}

static int read_configs(rd_kafka_event_t *event, json_t *configs, const char **ret_problem)
{
    size_t count, entries_count;
    const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);

    if (count != 1 || rd_kafka_ConfigResource_error(resources[0])) {
        *ret_problem =
            count == 1 ? rd_kafka_ConfigResource_error_string(resources[0]) : "no answer";
        return EXIT_FAILED;
    }
    const rd_kafka_ConfigEntry_t **entries =
        rd_kafka_ConfigResource_configs(resources[0], &entries_count);
    for (size_t i = 0; i < entries_count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG)
            (void)json_object_set_new(configs, rd_kafka_ConfigEntry_name(entries[i]),
                value ? json_string(value) : json_null());
    }
    return EXIT_DONE;
}

static int describe_configs(struct session *session, const char *topic, json_t *configs)
{
    rd_kafka_AdminOptions_t *options =
        session_admin_options(session, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(session->rk);
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_event_t *event;

    rd_kafka_DescribeConfigs(session->rk, &resource, 1, options, queue);
    int code = session_await(session, queue, "describe configs", &event);
    if (!code) {
        const char *problem = NULL;
        code = read_configs(event, configs, &problem);
        if (code)
            command_error(&session->common->settings, "configs of %s: %s", topic, problem);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return code;
}

static int describe_one(struct session *session, const char *name, struct description *description)
{
    int code = session_topic(session, name, false, &description->metadata);

    if (code) {
        description->metadata = NULL;
        return code;
    }
    const struct rd_kafka_metadata_topic *topic = &description->metadata->topics[0];
    size_t count = (size_t)topic->partition_cnt;
    qsort(topic->partitions, count, sizeof(*topic->partitions), by_id);
    description->low = mem_zalloc(count + 1, sizeof(int64_t));
    description->high = mem_zalloc(count + 1, sizeof(int64_t));
    description->configs = json_object();
    for (size_t i = 0; i < count && !code; i++)
        code = session_range(
            session, name, topic->partitions[i].id, &description->low[i], &description->high[i]);
    return code ? code : describe_configs(session, name, description->configs);
}

static json_t *ids_as_json(const int32_t *ids, int count)
{
    json_t *array = json_array();

    for (int i = 0; i < count; i++)
        (void)json_array_append_new(array, json_integer(ids[i]));
    return array;
}

static json_t *description_as_json(const struct description *description)
{
    const struct rd_kafka_metadata_topic *topic = &description->metadata->topics[0];
    json_t *partitions = json_array();

    for (int i = 0; i < topic->partition_cnt; i++) {
        const struct rd_kafka_metadata_partition *p = &topic->partitions[i];
        (void)json_array_append_new(partitions,
            json_pack("{s:i, s:i, s:o, s:o, s:I, s:I}", "partition", p->id, "leader", p->leader,
                "replicas", ids_as_json(p->replicas, p->replica_cnt), "isr",
                ids_as_json(p->isrs, p->isr_cnt), "earliest", (json_int_t)description->low[i],
                "latest", (json_int_t)description->high[i]));
    }
    return json_pack("{s:s, s:o, s:O}", "name", topic->topic, "partitions", partitions, "configs",
        description->configs);
}

static void ids_as_text(const int32_t *ids, int count, struct out *out)
{
    out->len = 0;
    for (int i = 0; i < count; i++)
        out_printf(out, "%s%" PRId32, i ? "," : "", ids[i]);
    out_bytes(out, "", 1);
}

static void print_partitions(const struct description *description)
{
    static const char *const heads[] = { ">PARTITION", ">LEADER", "REPLICAS", "IN SYNC",
        ">EARLIEST", ">LATEST" };
    const struct rd_kafka_metadata_topic *topic = &description->metadata->topics[0];
    struct table table;
    struct out ids = { 0 };

    table_init(&table, heads, ARRAY_COUNT(heads));
    for (int i = 0; i < topic->partition_cnt; i++) {
        const struct rd_kafka_metadata_partition *p = &topic->partitions[i];
        table_cell(&table, "%" PRId32, p->id);
        table_cell(&table, "%" PRId32, p->leader);
        ids_as_text(p->replicas, p->replica_cnt, &ids);
        table_cell(&table, "%s", (const char *)ids.data);
        ids_as_text(p->isrs, p->isr_cnt, &ids);
        table_cell(&table, "%s", (const char *)ids.data);
        table_cell(&table, "%" PRId64, description->low[i]);
        table_cell(&table, "%" PRId64, description->high[i]);
    }
    table_print(&table, stdout);
    table_done(&table);
    out_done(&ids);
}

static void print_description(const struct description *description)
{
    const struct rd_kafka_metadata_topic *topic = &description->metadata->topics[0];
    const char *key;
    json_t *value;

    printf("Topic %s: %d partition%s\n", topic->topic, topic->partition_cnt,
        topic->partition_cnt == 1 ? "" : "s");
    json_object_foreach(description->configs, key, value)
        printf("  %s=%s\n", key, json_is_string(value) ? json_string_value(value) : "(hidden)");
    print_partitions(description);
}

static int topics_describe(struct settings *base)
{
    struct common *common = container_of(base, struct common, settings);
    struct session session;
    json_t *list = json_array();
    bool reached = true;

    int worst = session_start(&session, common);
    for (size_t i = 0; i < base->words.count && reached && worst != EXIT_USAGE; i++) {
        struct description description = { 0 };
        int code = describe_one(&session, base->words.items[i], &description);
        if (!code && common->json) {
            (void)json_array_append_new(list, description_as_json(&description));
        } else if (!code) {
            printf("%s", i ? "\n" : "");
            print_description(&description);
        }
        description_done(&description);
        worst = worst > code ? worst : code;
        reached = code != EXIT_UNREACHABLE;
    }
    if (common->json && reached && worst != EXIT_USAGE)
        print_json(json_pack("{s:O}", "topics", list));
    json_decref(list);
    session_close(&session);
    return worst;
}

/* ---- the tables ----------------------------------------------------------------------------- */

const struct command topics_commands[] = {
    { .name = "list",
        .synopsis = "[OPTION]...",
        .summary = "The topics of the cluster, with their partitions.",
        .details = "Examples:\n"
                   "  millrace topics list\n"
                   "  millrace topics list --json | jq -r '.topics[].name'\n",
        .shared = common_options,
        .own = list_options,
        .settings_size = sizeof(struct list_settings),
        .run = topics_list },
    { .name = "create",
        .synopsis = "TOPIC... [OPTION]...",
        .summary = "Create topics, and wait until they can be used.",
        .details = "Examples:\n"
                   "  millrace topics create posts --partitions 4\n"
                   "  millrace topics create log --config retention.ms=86400000 --if-not-exists\n",
        .shared = common_options,
        .own = create_options,
        .words_min = 1,
        .words_max = WORDS_MAX,
        .settings_size = sizeof(struct create_settings),
        .run = topics_create },
    { .name = "describe",
        .synopsis = "TOPIC... [OPTION]...",
        .summary =
            "Partitions, leaders, first and next offsets, and settings that are not the default.",
        .details =
            "Examples:\n"
            "  millrace topics describe posts\n"
            "  millrace topics describe posts --json | jq '.topics[0].partitions[].latest'\n",
        .shared = common_options,
        .words_min = 1,
        .words_max = WORDS_MAX,
        .settings_size = sizeof(struct common),
        .run = topics_describe },
    { .name = "delete",
        .synopsis = "TOPIC... [OPTION]...",
        .summary = "Delete topics and everything in them.",
        .details = "Examples:\n"
                   "  millrace topics delete posts\n"
                   "  millrace topics delete posts --if-exists\n",
        .shared = common_options,
        .own = delete_options,
        .words_min = 1,
        .words_max = WORDS_MAX,
        .settings_size = sizeof(struct delete_settings),
        .run = topics_delete },
    { .name = NULL },
};
