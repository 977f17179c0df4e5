/*
 * rdkafka_cases - what a program with librdkafka does with a broker, one case at a time.
 *
 *   rdkafka_cases BOOTSTRAP CASE
 *
 * Ends with 0 if all is well; else with 1 and a line that says where. Every case uses topics of its
 * own, so that a cluster that others use will do, too.
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

static const char *bootstrap;
static char topic[64];

#define EXPECT(good, ...)                                                                          \
    do {                                                                                           \
        if (!(good)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: " #good ": ", __FILE__, __LINE__);                       \
            (void)fprintf(stderr, __VA_ARGS__);                                                    \
            (void)fputc('\n', stderr);                                                             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- clients ------------------------------------------------------------------------------- */

/* `settings`: name, value, name, value, ..., NULL. */
static rd_kafka_t *client(rd_kafka_type_t type, const char *const *settings,
    void (*delivered)(rd_kafka_t *, const rd_kafka_message_t *, void *), void *opaque)
{
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    EXPECT(!rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof(error)), "%s",
        error);
    for (; settings && *settings; settings += 2)
        EXPECT(
            !rd_kafka_conf_set(conf, settings[0], settings[1], error, sizeof(error)), "%s", error);
    if (delivered)
        rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_conf_set_opaque(conf, opaque);
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof(error));
    EXPECT(rk, "%s", error);
    return rk;
}

/* What happened to the last record, and to all. */
struct report {
    int good, bad;
    rd_kafka_resp_err_t error;
    int64_t offset;
};

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct report *report = opaque;
    (void)rk;
    report->error = message->err;
    report->offset = message->offset;
    if (message->err)
        report->bad++;
    else
        report->good++;
}

static void send_value(rd_kafka_t *rk, int32_t partition, const char *value)
{
    rd_kafka_resp_err_t error = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    EXPECT(!error, "%s", rd_kafka_err2str(error));
}

static void flush(rd_kafka_t *rk)
{
    rd_kafka_resp_err_t error = rd_kafka_flush(rk, PATIENCE_MS);
    EXPECT(!error, "%s", rd_kafka_err2str(error));
}

/* Reads a partition of `topic` from an offset on. */
static rd_kafka_t *reader(int32_t partition, int64_t offset, const char *const *settings)
{
    static const char *const usual[] = { "group.id", "rdkafka_cases", "enable.auto.commit", "false",
        "check.crcs", "true", NULL };
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, settings ? settings : usual, NULL, NULL);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    EXPECT(!rd_kafka_assign(rk, list), "assign");
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

static rd_kafka_message_t *next(rd_kafka_t *rk)
{
    int64_t end = now_ms() + PATIENCE_MS;
    while (now_ms() < end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (!message)
            continue;
        EXPECT(!message->err, "%s", rd_kafka_message_errstr(message));
        return message;
    }
    EXPECT(false, "nothing came");
    return NULL;
}

/* ---- admin --------------------------------------------------------------------------------- */

/* Makes `topic`; configs as name, value, ..., NULL. Returns the error. */
static rd_kafka_resp_err_t topic_create(int partitions, int replicas, const char *const *configs)
{
    char error[512];
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t *new =
        rd_kafka_NewTopic_new(topic, partitions, replicas, error, sizeof(error));
    EXPECT(new, "%s", error);
    for (; configs && *configs; configs += 2)
        EXPECT(!rd_kafka_NewTopic_set_config(new, configs[0], configs[1]), "config");
    rd_kafka_CreateTopics(rk, &new, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    EXPECT(event && !rd_kafka_event_error(event), "%s",
        event ? rd_kafka_event_error_string(event) : "no answer");
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    EXPECT(count == 1, "%zu results", count);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(new);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return code;
}

static rd_kafka_resp_err_t topic_delete(void)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopic_t *old = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(rk, &old, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    EXPECT(event && !rd_kafka_event_error(event), "no answer");
    size_t count;
    const rd_kafka_topic_result_t **results =
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(old);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return code;
}

static void topic_make(int partitions, const char *const *configs)
{
    rd_kafka_resp_err_t error = topic_create(partitions, 1, configs);
    EXPECT(!error, "%s", rd_kafka_err2str(error));
}

static int partition_count(void)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, NULL, NULL, NULL);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 0, handle, &metadata, PATIENCE_MS);
    EXPECT(!error, "%s", rd_kafka_err2str(error));
    int count = metadata->topics[0].err ? -1 : metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(rk);
    return count;
}

static int grow(int partitions)
{
    char error[512];
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewPartitions_t *new =
        rd_kafka_NewPartitions_new(topic, (size_t)partitions, error, sizeof(error));
    EXPECT(new, "%s", error);
    rd_kafka_CreatePartitions(rk, &new, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    EXPECT(event && !rd_kafka_event_error(event), "no answer");
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_CreatePartitions_result_topics(
        rd_kafka_event_CreatePartitions_result(event), &count);
    int code = rd_kafka_topic_result_error(results[0]);
    rd_kafka_event_destroy(event);
    rd_kafka_NewPartitions_destroy(new);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return code;
}

/* The value of a topic's key, and where it comes from. */
static void config_check(const char *key, const char *value, rd_kafka_ConfigSource_t source)
{
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, NULL, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_DescribeConfigs(rk, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
    EXPECT(event && !rd_kafka_event_error(event), "no answer");
    size_t count;
    bool found = false;
    const rd_kafka_ConfigResource_t **results = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    EXPECT(count == 1 && !rd_kafka_ConfigResource_error(results[0]), "describe");
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(results[0], &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), key) != 0)
            continue;
        found = true;
        EXPECT(strcmp(rd_kafka_ConfigEntry_value(entries[i]), value) == 0, "%s is %s", key,
            rd_kafka_ConfigEntry_value(entries[i]));
        EXPECT(rd_kafka_ConfigEntry_source(entries[i]) == source, "source %d",
            rd_kafka_ConfigEntry_source(entries[i]));
    }
    EXPECT(found, "no %s", key);
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

/* ---- the cases ----------------------------------------------------------------------------- */

static void case_record(void)
{
    struct report report = { 0 };
    topic_make(1, NULL);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, delivered, &report);
    int64_t timestamp = (int64_t)time(NULL) * 1000 - 123456;
    rd_kafka_resp_err_t error = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
        RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY((void *)(uintptr_t) "k\0y", 3),
        RD_KAFKA_V_VALUE((void *)(uintptr_t) "v", 1), RD_KAFKA_V_TIMESTAMP(timestamp),
        RD_KAFKA_V_HEADER("a", "1", 1), RD_KAFKA_V_HEADER("b", NULL, -1),
        RD_KAFKA_V_HEADER("a", "2", 1), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    EXPECT(!error, "%s", rd_kafka_err2str(error));
    error = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_KEY((void *)(uintptr_t) "gone", 4), RD_KAFKA_V_VALUE(NULL, 0), RD_KAFKA_V_END);
    EXPECT(!error, "%s", rd_kafka_err2str(error));
    flush(rk);
    EXPECT(report.good == 2, "%s", rd_kafka_err2str(report.error));
    rd_kafka_destroy(rk);

    rk = reader(0, 0, NULL);
    rd_kafka_message_t *message = next(rk);
    rd_kafka_timestamp_type_t type;
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    EXPECT(message->key_len == 3 && memcmp(message->key, "k\0y", 3) == 0, "key");
    EXPECT(message->len == 1 && memcmp(message->payload, "v", 1) == 0, "value");
    EXPECT(message->offset == 0, "offset");
    EXPECT(rd_kafka_message_timestamp(message, &type) == timestamp, "timestamp");
    EXPECT(type == RD_KAFKA_TIMESTAMP_CREATE_TIME, "type of timestamp");
    EXPECT(!rd_kafka_message_headers(message, &headers), "headers");
    EXPECT(rd_kafka_header_cnt(headers) == 3, "%zu headers", rd_kafka_header_cnt(headers));
    EXPECT(!rd_kafka_header_get(headers, 1, "a", &value, &size) && size == 1 &&
               memcmp(value, "2", 1) == 0,
        "the second a");
    EXPECT(!rd_kafka_header_get(headers, 0, "b", &value, &size) && !value, "a null header");
    rd_kafka_message_destroy(message);
    message = next(rk);
    EXPECT(message->key_len == 4 && !message->payload, "tombstone");
    rd_kafka_message_destroy(message);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

static void case_log_append_time(void)
{
    struct report report = { 0 };
    topic_make(1, (const char *[]){ "message.timestamp.type", "LogAppendTime", NULL });
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, delivered, &report);
    int64_t before = (int64_t)time(NULL) * 1000;
    EXPECT(!rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
               RD_KAFKA_V_VALUE((void *)(uintptr_t) "v", 1), RD_KAFKA_V_TIMESTAMP(1000),
               RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
        "produce");
    flush(rk);
    rd_kafka_destroy(rk);
    rk = reader(0, 0, NULL);
    rd_kafka_message_t *message = next(rk);
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    EXPECT(type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME, "type");
    EXPECT(timestamp >= before && timestamp < before + 60000, "%" PRId64, timestamp);
    rd_kafka_message_destroy(message);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

static void case_acks(void)
{
    static const char *const all[] = { "0", "1", "all" };
    topic_make(3, NULL);
    for (int i = 0; i < 3; i++) {
        struct report report = { 0 };
        rd_kafka_t *rk =
            client(RD_KAFKA_PRODUCER, (const char *[]){ "acks", all[i], NULL }, delivered, &report);
        for (int n = 0; n < 1000; n++)
            send_value(rk, i, "v");
        flush(rk);
        EXPECT(report.good == 1000 && !report.bad, "acks=%s: %d good", all[i], report.good);
        rd_kafka_destroy(rk);
        rk = reader(i, 0, NULL);
        for (int n = 0; n < 1000; n++)
            rd_kafka_message_destroy(next(rk));
        rd_kafka_consumer_close(rk);
        rd_kafka_destroy(rk);
    }
}

static void case_idempotence(void)
{
    struct report report = { 0 };
    topic_make(2, NULL);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER,
        (const char *[]){ "enable.idempotence", "true", "linger.ms", "0", NULL }, delivered,
        &report);
    for (int n = 0; n < 5000; n++)
        send_value(rk, n % 2, "v");
    flush(rk);
    EXPECT(report.good == 5000, "%d good, %s", report.good, rd_kafka_err2str(report.error));
    EXPECT(report.offset == 2499, "offset %" PRId64, report.offset);
    rd_kafka_destroy(rk);
}

static void case_partitions(void)
{
    struct report report = { 0 };
    topic_make(4, NULL);
    EXPECT(partition_count() == 4, "%d", partition_count());
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, delivered, &report);
    for (int32_t p = 0; p < 4; p++)
        for (int32_t n = 0; n <= p; n++)
            send_value(rk, p, "v");
    flush(rk);
    for (int32_t p = 0; p < 4; p++) {
        int64_t low, high;
        EXPECT(!rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, PATIENCE_MS), "query");
        EXPECT(low == 0 && high == p + 1, "%d: %" PRId64 " %" PRId64, p, low, high);
    }
    /* It knows the topic by now and says so at once. */
    EXPECT(
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(17),
            RD_KAFKA_V_VALUE((void *)(uintptr_t) "v", 1), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
        "partition 17 was taken");
    rd_kafka_destroy(rk);
}

static void case_too_large(void)
{
    struct report report = { 0 };
    char *value = calloc(1, 5001);
    EXPECT(value, "memory");
    memset(value, 'x', 5000);
    topic_make(1, (const char *[]){ "max.message.bytes", "3000", NULL });
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, delivered, &report);
    send_value(rk, 0, value);
    flush(rk);
    EXPECT(
        report.error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "%s", rd_kafka_err2str(report.error));
    value[2000] = 0;
    send_value(rk, 0, value);
    flush(rk);
    EXPECT(report.good == 1, "%s", rd_kafka_err2str(report.error));
    rd_kafka_destroy(rk);
    free(value);
}

static void case_auto_create(void)
{
    struct report report = { 0 };
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, NULL, delivered, &report);
    send_value(rk, RD_KAFKA_PARTITION_UA, "v");
    flush(rk);
    EXPECT(report.good == 1, "%s", rd_kafka_err2str(report.error));
    EXPECT(partition_count() > 0, "no partitions");
    rd_kafka_destroy(rk);
}

/* With auto.create.topics.enable=false. */
static void case_unknown_topic(void)
{
    struct report report = { 0 };
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER,
        (const char *[]){
            "message.timeout.ms", "3000", "topic.metadata.propagation.max.ms", "500", NULL },
        delivered, &report);
    send_value(rk, RD_KAFKA_PARTITION_UA, "v");
    flush(rk);
    EXPECT(report.bad == 1, "it was taken");
    EXPECT(partition_count() == -1, "it was made");
    rd_kafka_destroy(rk);
}

/* A reader that waits gets a record at once, not when its wait is over. */
static void case_long_poll(void)
{
    struct report report = { 0 };
    topic_make(1, NULL);
    rd_kafka_t *in =
        client(RD_KAFKA_PRODUCER, (const char *[]){ "linger.ms", "0", NULL }, delivered, &report);
    rd_kafka_t *out = reader(0, 0,
        (const char *[]){
            "group.id", "g", "enable.auto.commit", "false", "fetch.wait.max.ms", "10000", NULL });
    send_value(in, 0, "first");
    flush(in);
    rd_kafka_message_destroy(next(out));
    for (int i = 0; i < 5; i++) {
        (void)usleep(300000);
        int64_t began = now_ms();
        send_value(in, 0, "more");
        flush(in);
        rd_kafka_message_destroy(next(out));
        EXPECT(now_ms() - began < 2000, "%" PRId64 " ms", now_ms() - began);
    }
    rd_kafka_consumer_close(out);
    rd_kafka_destroy(out);
    rd_kafka_destroy(in);
}

static void case_offsets_for_times(void)
{
    struct report report = { 0 };
    int64_t base = (int64_t)time(NULL) * 1000 - 100000;
    topic_make(1, NULL);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER,
        (const char *[]){ "compression.codec", "gzip", NULL }, delivered, &report);
    for (int i = 0; i < 100; i++)
        EXPECT(!rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
                   RD_KAFKA_V_VALUE((void *)(uintptr_t) "value", 5),
                   RD_KAFKA_V_TIMESTAMP(base + 10 * i), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                   RD_KAFKA_V_END),
            "produce");
    flush(rk);
    static const int64_t asked[] = { 0, 405, 410, 990, 991 }, told[] = { 0, 41, 41, 99, -1 };
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(list, topic, 0)->offset = base + asked[i];
        EXPECT(!rd_kafka_offsets_for_times(rk, list, PATIENCE_MS), "query");
        EXPECT(list->elems[0].offset == told[i], "%" PRId64 ": %" PRId64, asked[i],
            list->elems[0].offset);
        rd_kafka_topic_partition_list_destroy(list);
    }
    rd_kafka_destroy(rk);
}

static void case_admin(void)
{
    EXPECT(topic_create(2, 1, (const char *[]){ "retention.ms", "86400000", NULL }) == 0, "create");
    EXPECT(topic_create(2, 1, NULL) == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, "twice");
    config_check("retention.ms", "86400000", RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG);
    config_check("cleanup.policy", "delete", RD_KAFKA_CONFIG_SOURCE_DEFAULT_CONFIG);
    EXPECT(grow(5) == 0, "grow");
    EXPECT(partition_count() == 5, "%d", partition_count());
    EXPECT(grow(3) == RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, "shrink");
    EXPECT(topic_delete() == 0, "delete");
    EXPECT(topic_delete() == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "twice");
    (void)strcat(topic, "-no");
    EXPECT(topic_create(1, 3, NULL) == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, "replicas");
    EXPECT(topic_create(1, 1, (const char *[]){ "retention.ms", "soon", NULL }) ==
               RD_KAFKA_RESP_ERR_INVALID_CONFIG,
        "config");
    (void)strcat(topic, "/slash");
    EXPECT(topic_create(1, 1, NULL) == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, "name");
}

/* ---- transactions -------------------------------------------------------------------------- */

#define FINE(call)                                                                                 \
    do {                                                                                           \
        rd_kafka_error_t *problem = (call);                                                        \
        EXPECT(!problem, "%s", rd_kafka_error_string(problem));                                    \
    } while (0)

static rd_kafka_t *transactional(void)
{
    rd_kafka_t *rk =
        client(RD_KAFKA_PRODUCER, (const char *[]){ "transactional.id", topic, NULL }, NULL, NULL);
    FINE(rd_kafka_init_transactions(rk, PATIENCE_MS));
    return rk;
}

/* Three values in a transaction, one for each partition. */
static void send_all(rd_kafka_t *rk, const char *value, bool commits)
{
    FINE(rd_kafka_begin_transaction(rk));
    for (int32_t p = 0; p < 3; p++)
        send_value(rk, p, value);
    flush(rk); /* an abort would drop what was not sent yet */
    if (commits)
        FINE(rd_kafka_commit_transaction(rk, PATIENCE_MS));
    else
        FINE(rd_kafka_abort_transaction(rk, PATIENCE_MS));
}

/* What a reader of `isolation` sees of the partition, up to its end: "one two ". */
static void expect_values(int32_t partition, const char *isolation, const char *expected)
{
    char seen[200] = "";
    rd_kafka_t *rk = reader(partition, RD_KAFKA_OFFSET_BEGINNING,
        (const char *[]){ "group.id", "g", "enable.partition.eof", "true", "isolation.level",
            isolation, "enable.auto.commit", "false", NULL });
    int64_t end = now_ms() + PATIENCE_MS;
    while (now_ms() < end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (!message)
            continue;
        bool eof = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        EXPECT(eof || !message->err, "%s", rd_kafka_message_errstr(message));
        size_t len = strlen(seen);
        if (!eof)
            (void)snprintf(seen + len, sizeof(seen) - len, "%.*s ", (int)message->len,
                (const char *)message->payload);
        rd_kafka_message_destroy(message);
        if (eof)
            break;
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    EXPECT(strcmp(seen, expected) == 0, "partition %d, %s: \"%s\"", partition, isolation, seen);
}

static void case_transactions(void)
{
    topic_make(3, NULL);
    rd_kafka_t *rk = transactional();
    send_all(rk, "one", true);
    send_all(rk, "two", false);
    send_all(rk, "three", true);
    FINE(rd_kafka_begin_transaction(rk));
    send_value(rk, 1, "four");
    flush(rk);
    for (int32_t p = 0; p < 3; p++)
        expect_values(p, "read_committed", "one three ");
    expect_values(0, "read_uncommitted", "one two three ");
    expect_values(1, "read_uncommitted", "one two three four ");
    FINE(rd_kafka_commit_transaction(rk, PATIENCE_MS));
    expect_values(1, "read_committed", "one three four ");
    rd_kafka_destroy(rk);
}

static void case_fencing(void)
{
    topic_make(3, NULL);
    rd_kafka_t *zombie = transactional();
    FINE(rd_kafka_begin_transaction(zombie));
    send_value(zombie, 0, "zombie");
    flush(zombie);
    rd_kafka_t *rk = transactional();
    send_all(rk, "good", true);
    send_value(zombie, 1, "late");
    rd_kafka_error_t *error = rd_kafka_commit_transaction(zombie, PATIENCE_MS);
    EXPECT(error && rd_kafka_error_is_fatal(error), "a zombie commits: %s",
        error ? rd_kafka_error_string(error) : "no error");
    rd_kafka_error_destroy(error);
    expect_values(0, "read_committed", "good ");
    expect_values(1, "read_committed", "good ");
    expect_values(1, "read_uncommitted", "good ");
    rd_kafka_destroy(zombie);
    rd_kafka_destroy(rk);
}

/* A transaction in the topic LEAVE_OPEN_TOPIC that nobody ends for long. */
static void case_leave_open(void)
{
    const char *name = getenv("LEAVE_OPEN_TOPIC");
    EXPECT(name, "LEAVE_OPEN_TOPIC says where");
    (void)snprintf(topic, sizeof(topic), "%s", name);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER,
        (const char *[]){ "transactional.id", topic, "transaction.timeout.ms", "300000", NULL },
        NULL, NULL);
    FINE(rd_kafka_init_transactions(rk, PATIENCE_MS));
    FINE(rd_kafka_begin_transaction(rk));
    send_value(rk, 0, "open");
    flush(rk);
    rd_kafka_destroy(rk);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    { "record", case_record },
    { "log_append_time", case_log_append_time },
    { "acks", case_acks },
    { "idempotence", case_idempotence },
    { "partitions", case_partitions },
    { "too_large", case_too_large },
    { "auto_create", case_auto_create },
    { "unknown_topic", case_unknown_topic },
    { "long_poll", case_long_poll },
    { "offsets_for_times", case_offsets_for_times },
    { "admin", case_admin },
    { "transactions", case_transactions },
    { "fencing", case_fencing },
    { "leave_open", case_leave_open },
};

int main(int count, char **words)
{
    for (size_t i = 0; count == 3 && i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(words[2], cases[i].name) != 0)
            continue;
        bootstrap = words[1];
        (void)snprintf(topic, sizeof(topic), "case-%.20s-%d-%08lx", words[2], (int)getpid(),
            (unsigned long)time(NULL));
        cases[i].run();
        return 0;
    }
    (void)fprintf(stderr, "usage: rdkafka_cases BOOTSTRAP CASE\n");
    return 2;
}
