/*
 * session.c - reaching a cluster within a bounded time, and saying why when that fails.
 *
 * Happy path: session_conf → session_set... → session_open → session_metadata (the first answer) →
 * requests.
 *
 * librdkafka retries a refused connection for ever and calls that a log line. Here every wait has
 * the limit of --timeout, and what the last attempt said becomes part of the one error line:
 * "cannot reach 127.0.0.1:9092 within 10 s: Connect to ipv4#127.0.0.1:9092 failed: Connection
 * refused".
 */
#include "tools/client/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/mem.h"

enum {
    NOTE_AFTER_MS = 1500, /* then a person at a terminal is told that we wait */
    RETRY_MS = 100,
    ERROR_TEXT_SIZE = 512,
};

#define FIELD(member) offsetof(struct common, member)
const struct option common_options[] = {
    { 'b', "bootstrap-server", "HOST:PORT", "a broker of the cluster, or several with commas",
        "127.0.0.1:9092", OPTION_TEXT, FIELD(bootstrap), 0, 0 },
    { 'X', "property", "KEY=VALUE", "a librdkafka property (repeatable)", NULL, OPTION_TEXTS,
        FIELD(properties), 0, 0 },
    { 0, "timeout", "SECONDS", "how long to wait for an answer", "10", OPTION_INTEGER,
        FIELD(timeout_s), 1, 86400 },
    { 0, "json", NULL, "print JSON for programs", NULL, OPTION_SWITCH, FIELD(json), 0, 0 },
    { 0, "verbose", NULL, "print librdkafka's log lines on stderr", NULL, OPTION_SWITCH,
        FIELD(verbose), 0, 0 },
    { 0 },
};
#undef FIELD

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
    struct timespec span = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    (void)nanosleep(&span, NULL);
}

/* Runs inside rd_kafka_poll and its kin, on the main thread. */
static void error_happened(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    struct session *session = opaque;

    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && session->trouble[0])
        return;
    if (error == RD_KAFKA_RESP_ERR__FATAL)
        (void)fprintf(stderr, "millrace %s: %s\n", session->common->settings.path, reason);
    session->authentication_failed = error == RD_KAFKA_RESP_ERR__AUTHENTICATION;
    (void)snprintf(session->trouble, sizeof(session->trouble), "%s", reason);
    char *detail = strstr(session->trouble, " (after "); /* "(after 0ms in state CONNECT)" */
    if (detail)
        *detail = '\0';
}

/* Runs on librdkafka's threads: prints or drops, touches nothing else. */
static void log_happened(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    const struct session *session = rd_kafka_opaque(rk);

    if (session->common->verbose || level <= LOG_CRIT || level == LOG_DEBUG)
        (void)fprintf(stderr, "%s: %s\n", facility, text);
}

int session_set(
    const struct common *common, rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char text[ERROR_TEXT_SIZE];

    if (rd_kafka_conf_set(conf, key, value, text, sizeof(text)) == RD_KAFKA_CONF_OK)
        return EXIT_DONE;
    command_error(&common->settings, "%s", text);
    return EXIT_USAGE;
}

rd_kafka_conf_t *session_conf(struct session *session, const struct common *common)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    *session = (struct session){ .common = common };
    rd_kafka_conf_set_opaque(conf, session);
    rd_kafka_conf_set_error_cb(conf, error_happened);
    rd_kafka_conf_set_log_cb(conf, log_happened);
    return conf;
}

static int set_properties(const struct common *common, rd_kafka_conf_t *conf)
{
    for (size_t i = 0; i < common->properties.count; i++) {
        const char *property = common->properties.items[i];
        const char *equals = strchr(property, '=');
        if (!equals || equals == property) {
            command_error(&common->settings, "-X wants KEY=VALUE, not '%s'", property);
            return EXIT_USAGE;
        }
        char *key = mem_strndup(property, (size_t)(equals - property));
        int code = session_set(common, conf, key, equals + 1);
        mem_free(key);
        if (code)
            return code;
    }
    return EXIT_DONE;
}

int session_open(struct session *session, rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    const struct common *common = session->common;
    char text[ERROR_TEXT_SIZE];

    int code = session_set(common, conf, "client.id", "millrace-client");
    if (!code)
        code = session_set(common, conf, "bootstrap.servers", common->bootstrap);
    if (!code)
        code = set_properties(common, conf);
    if (code) {
        rd_kafka_conf_destroy(conf);
        return code;
    }
    session->rk = rd_kafka_new(type, conf, text, sizeof(text));
    if (session->rk)
        return EXIT_DONE;
    rd_kafka_conf_destroy(conf);
    command_error(&common->settings, "%s", text);
    return EXIT_USAGE;
}

int session_start(struct session *session, const struct common *common)
{
    return session_open(session, RD_KAFKA_CONSUMER, session_conf(session, common));
}

void session_close(struct session *session)
{
    if (session->rk)
        rd_kafka_destroy(session->rk);
    session->rk = NULL;
}

int session_timeout_ms(const struct session *session)
{
    return (int)session->common->timeout_s * 1000;
}

/* ---- failing -------------------------------------------------------------------------------- */

static bool is_unreachable(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || error == RD_KAFKA_RESP_ERR__RESOLVE ||
           error == RD_KAFKA_RESP_ERR__WAIT_COORD;
}

static int unreachable(struct session *session)
{
    rd_kafka_poll(session->rk, 0);
    command_error(&session->common->settings, "cannot reach %s within %lld s%s%s",
        session->common->bootstrap, (long long)session->common->timeout_s,
        session->trouble[0] ? ": " : ": no broker answers there", session->trouble);
    return session->authentication_failed ? EXIT_FAILED : EXIT_UNREACHABLE;
}

int session_failed(
    struct session *session, const char *what, rd_kafka_resp_err_t error, const char *text)
{
    if (is_unreachable(error)) {
        rd_kafka_poll(session->rk, 0);
        command_error(&session->common->settings, "%s: no answer from the broker: %s%s%s", what,
            text ? text : rd_kafka_err2str(error), session->trouble[0] ? "; " : "",
            session->trouble);
        return EXIT_UNREACHABLE;
    }
    command_error(&session->common->settings, "%s: %s (%s)", what,
        text ? text : rd_kafka_err2str(error), rd_kafka_err2name(error));
    return EXIT_FAILED;
}

/* ---- asking --------------------------------------------------------------------------------- */

static rd_kafka_resp_err_t ask_metadata(struct session *session, rd_kafka_topic_t *topic,
    int timeout_ms, const struct rd_kafka_metadata **ret)
{
    return rd_kafka_metadata(session->rk, topic == NULL, topic, ret, timeout_ms);
}

/* As ask_metadata within the whole of --timeout; a person who waits is told why. */
static int metadata_patiently(
    struct session *session, rd_kafka_topic_t *topic, const struct rd_kafka_metadata **ret)
{
    int whole = session_timeout_ms(session), first = NOTE_AFTER_MS < whole ? NOTE_AFTER_MS : whole;
    int64_t end = now_ms() + whole;

    rd_kafka_resp_err_t error = ask_metadata(session, topic, first, ret);
    if (is_unreachable(error) && !isatty(STDERR_FILENO) && now_ms() < end) {
        error = ask_metadata(session, topic, (int)(end - now_ms()), ret);
    } else if (is_unreachable(error) && now_ms() < end) {
        rd_kafka_poll(session->rk, 0);
        (void)fprintf(stderr, "waiting for %s%s%s\n", session->common->bootstrap,
            session->trouble[0] ? ": " : "", session->trouble);
        error = ask_metadata(session, topic, (int)(end - now_ms()), ret);
    }
    if (!error)
        return EXIT_DONE;
    return is_unreachable(error) ? unreachable(session)
                                 : session_failed(session, "metadata", error, NULL);
}

int session_metadata(
    struct session *session, const char *topic, const struct rd_kafka_metadata **ret)
{
    rd_kafka_topic_t *handle = topic ? rd_kafka_topic_new(session->rk, topic, NULL) : NULL;

    if (topic && !handle)
        return session_failed(session, topic, rd_kafka_last_error(), NULL);
    int code = metadata_patiently(session, handle, ret);
    if (handle)
        rd_kafka_topic_destroy(handle);
    return code;
}

/* The topic's own error, or the first of its partitions'. */
static rd_kafka_resp_err_t topic_error(const struct rd_kafka_metadata *metadata)
{
    if (metadata->topic_cnt != 1)
        return RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    const struct rd_kafka_metadata_topic *topic = &metadata->topics[0];
    rd_kafka_resp_err_t error = topic->err;
    for (int i = 0; !error && i < topic->partition_cnt; i++)
        if (topic->partitions[i].leader < 0)
            error = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    return error;
}

int session_topic(
    struct session *session, const char *topic, bool create, const struct rd_kafka_metadata **ret)
{
    int64_t end = now_ms() + session_timeout_ms(session);

    for (;;) {
        int code = session_metadata(session, topic, ret);
        if (code)
            return code;
        rd_kafka_resp_err_t error = topic_error(*ret);
        if (!error)
            return EXIT_DONE;
        rd_kafka_metadata_destroy(*ret);
        bool passing = error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
                       (create && error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
        if (passing && now_ms() < end) {
            sleep_ms(RETRY_MS);
            continue;
        }
        if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            command_error(&session->common->settings,
                "there is no topic '%s'%s; see: millrace topics create --help", topic,
                create ? " and the broker does not make one by itself" : "");
            return EXIT_FAILED;
        }
        return session_failed(session, topic, error, NULL);
    }
}

int session_await(
    struct session *session, rd_kafka_queue_t *queue, const char *what, rd_kafka_event_t **ret)
{
    /* librdkafka ends the request itself at the time limit of its options; the margin is for that.
     */
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, session_timeout_ms(session) + 5000);

    if (!event)
        return session_failed(session, what, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL);
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (!error) {
        *ret = event;
        return EXIT_DONE;
    }
    int code = is_unreachable(error)
                   ? unreachable(session)
                   : session_failed(session, what, error, rd_kafka_event_error_string(event));
    rd_kafka_event_destroy(event);
    return code;
}

rd_kafka_AdminOptions_t *session_admin_options(struct session *session, rd_kafka_admin_op_t op)
{
    char text[ERROR_TEXT_SIZE];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(session->rk, op);

    (void)rd_kafka_AdminOptions_set_request_timeout(
        options, session_timeout_ms(session), text, sizeof(text));
    return options;
}

/* What a partition answers while its leader is being chosen; it passes. */
static bool is_settling(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
           error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
           error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

int session_range(struct session *session, const char *topic, int32_t partition, int64_t *ret_low,
    int64_t *ret_high)
{
    char what[ERROR_TEXT_SIZE];
    int64_t end = now_ms() + session_timeout_ms(session);
    rd_kafka_resp_err_t error;

    for (;;) {
        int left_ms = (int)(end - now_ms());
        error = rd_kafka_query_watermark_offsets(
            session->rk, topic, partition, ret_low, ret_high, left_ms > 1 ? left_ms : 1);
        if (!error)
            return EXIT_DONE;
        if (!is_settling(error) || now_ms() + RETRY_MS > end)
            break;
        sleep_ms(RETRY_MS);
    }
    (void)snprintf(what, sizeof(what), "offsets of %s [%d]", topic, (int)partition);
    return session_failed(session, what, error, NULL);
}

void print_json(json_t *value)
{
    (void)json_dumpf(value, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(value);
}
