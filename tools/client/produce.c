/*
 * produce.c - `millrace produce TOPIC [FILE]`: records from lines, to a topic.
 *
 * Happy path:
 *   - the topic is asked for, which shows that a broker is there (and lets it create the topic);
 *   - read, cut into records, hand each to librdkafka, which batches and sends in the background;
 *   - delivery reports are counted as they come; at the end of the input all outstanding ones are
 * awaited;
 *   - one summary line on stderr.
 *
 * What can go wrong: a record that cannot be made (bad JSON, too long) stops the input there, what
 * was read before it is still delivered, exit 1. A record that cannot be delivered is counted under
 * its reason, the others go on, exit 1. A full queue is back-pressure: wait for deliveries. SIGINT
 * stops the input, what was read is delivered, exit 130; a second one gives up.
 *
 * Invariant: delivered + failed == records handed to librdkafka, when the summary is printed (or
 * the summary says how many are unknown).
 */
#include "tools/client/produce.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/mem.h"
#include "tools/client/input.h"
#include "tools/client/interrupt.h"
#include "tools/client/record.h"
#include "tools/client/session.h"
#include "tools/client/text.h"

enum {
    REASONS_MAX = 5, /* different reasons of failure that are told apart */
    PROGRESS_EVERY_MS = 500,
    POLL_EVERY = 1000, /* records between two looks at delivery reports and signals */
    WAIT_MS = 100,
    ERROR_TEXT_SIZE = 512,
};
/* Above this a JSON line's parts are refused; librdkafka's own limit is 1,000,000,000. */
static const size_t record_memory_max = (size_t)2 << 30;

struct produce_settings {
    struct common common;
    const char *key_separator, *delimiter, *acks, *compression;
    struct texts headers;
    int64_t partition;
    bool json_lines, idempotent, null_empty, quiet;
};

#define FIELD(member) offsetof(struct produce_settings, member)
static const struct option produce_options[] = {
    { 'K', "key-separator", "TEXT", "what stands before the first of these is the key", NULL,
        OPTION_TEXT, FIELD(key_separator), 0, 0 },
    { 'J', "json-lines", NULL, "each line is a JSON object (see below)", NULL, OPTION_SWITCH,
        FIELD(json_lines), 0, 0 },
    { 'd', "delimiter", "TEXT", "what ends a record; knows \\n \\t \\0 \\xHH", "\\n", OPTION_TEXT,
        FIELD(delimiter), 0, 0 },
    { 'H', "header", "NAME=VALUE", "a header for every record (repeatable)", NULL, OPTION_TEXTS,
        FIELD(headers), 0, 0 },
    { 'p', "partition", "N", "to this one; -1: by the key's hash, as Java clients do", "-1",
        OPTION_INTEGER, FIELD(partition), -1, INT32_MAX },
    { 'a', "acks", "0|1|all", "who must have a record before it counts as delivered", "all",
        OPTION_TEXT, FIELD(acks), 0, 0 },
    { 'z', "compression", "CODEC", "none, gzip, snappy, lz4 or zstd", "none", OPTION_TEXT,
        FIELD(compression), 0, 0 },
    { 'i', "idempotent", NULL, "no duplicates and no reordering when a send is retried", NULL,
        OPTION_SWITCH, FIELD(idempotent), 0, 0 },
    { 'Z', "null-empty", NULL, "an empty key or value becomes Kafka's null (a tombstone)", NULL,
        OPTION_SWITCH, FIELD(null_empty), 0, 0 },
    { 'q', "quiet", NULL, "no progress and no summary", NULL, OPTION_SWITCH, FIELD(quiet), 0, 0 },
    { 0 },
};
#undef FIELD

struct reason {
    rd_kafka_resp_err_t error;
    uint64_t count;
};

struct produce {
    struct session session; /* first: librdkafka's opaque is the session */
    const struct produce_settings *settings;
    rd_kafka_topic_t *topic;
    struct interrupt interrupt;
    struct input input;
    struct arena arena; /* of the JSON record in hand */
    struct out delimiter;
    struct record_header *headers; /* those of -H */
    size_t record_max;
    uint64_t sent, delivered, delivered_size, failed;
    struct reason reasons[REASONS_MAX];
    int64_t began_ms, progress_ms;
    bool progress_shown;
};

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- deliveries ----------------------------------------------------------------------------- */

static void count_failure(struct produce *produce, rd_kafka_resp_err_t error)
{
    produce->failed++;
    for (size_t i = 0; i < REASONS_MAX; i++) {
        struct reason *reason = &produce->reasons[i];
        if (reason->count && reason->error != error)
            continue;
        reason->error = error;
        reason->count++;
        return;
    }
}

static void delivery_reported(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct session *session = opaque;
    struct produce *produce = container_of(session, struct produce, session);

    if (message->err) {
        count_failure(produce, message->err);
        return;
    }
    produce->delivered++;
    produce->delivered_size += message->len + message->key_len;
}

static void show_progress(struct produce *produce)
{
    int64_t now = now_ms();

    if (produce->settings->quiet || produce->settings->common.json || !isatty(STDERR_FILENO) ||
        now - produce->progress_ms < PROGRESS_EVERY_MS)
        return;
    produce->progress_ms = now;
    produce->progress_shown = true;
    double seconds = (double)(now - produce->began_ms) / 1000;
    (void)fprintf(stderr,
        "\r\033[K%" PRIu64 " records, %.1f MB, %.0f records/s, %" PRIu64 " failed",
        produce->delivered, (double)produce->delivered_size / 1e6,
        seconds > 0 ? (double)produce->delivered / seconds : 0.0, produce->failed);
}

/* ---- one record ----------------------------------------------------------------------------- */

/* The headers of -H, then the record's own. */
static rd_kafka_headers_t *make_headers(const struct produce *produce, const struct record *record)
{
    size_t common = produce->settings->headers.count, all = common + record->header_count;

    if (all == 0)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(all);
    for (size_t i = 0; i < all; i++) {
        const struct record_header *header =
            i < common ? &produce->headers[i] : &record->headers[i - common];
        (void)rd_kafka_header_add(
            headers, header->name, -1, header->value.data, (ssize_t)header->value.len);
    }
    return headers;
}

static rd_kafka_resp_err_t send_once(struct produce *produce, const struct record *record)
{
    rd_kafka_headers_t *headers = make_headers(produce, record);
    int32_t partition =
        record->partition >= 0 ? record->partition : (int32_t)produce->settings->partition;
    rd_kafka_vu_t arguments[] = {
        { .vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = produce->topic },
        { .vtype = RD_KAFKA_VTYPE_PARTITION,
            .u.i32 = partition < 0 ? RD_KAFKA_PARTITION_UA : partition },
        { .vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY },
        /* librdkafka takes these as void * and copies. */
        { .vtype = RD_KAFKA_VTYPE_KEY,
            .u.mem = { (void *)(uintptr_t)record->key.data, record->key.len } },
        { .vtype = RD_KAFKA_VTYPE_VALUE,
            .u.mem = { (void *)(uintptr_t)record->value.data, record->value.len } },
        { .vtype = RD_KAFKA_VTYPE_TIMESTAMP,
            .u.i64 = record->timestamp_ms >= 0 ? record->timestamp_ms : 0 },
        { .vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers },
    };
    size_t count = ARRAY_COUNT(arguments) - (headers ? 0 : 1);

    rd_kafka_error_t *error = rd_kafka_produceva(produce->session.rk, arguments, count);
    if (!error)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    if (headers)
        rd_kafka_headers_destroy(headers);
    return code;
}

/* Hand over one record; waits while the queue is full. False: a signal came first. */
static bool send_record(struct produce *produce, const struct record *record)
{
    rd_kafka_resp_err_t error;

    while ((error = send_once(produce, record)) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(produce->session.rk, WAIT_MS);
        show_progress(produce);
        if (interrupt_happened(&produce->interrupt))
            return false;
    }
    produce->sent++;
    if (error)
        count_failure(produce, error);
    return true;
}

static struct bytes null_if_empty(const struct produce *produce, struct bytes bytes)
{
    return bytes.len == 0 && produce->settings->null_empty ? bytes_of(NULL, 0) : bytes;
}

static void record_from_line(const struct produce *produce, struct bytes line, struct record *ret)
{
    const char *separator = produce->settings->key_separator;
    size_t separator_len = separator ? strlen(separator) : 0;
    struct record record = { .partition = -1, .timestamp_ms = -1 };
    const uint8_t *at =
        separator_len ? memmem(line.data, line.len, separator, separator_len) : NULL;

    record.value = line;
    if (at) {
        size_t key_len = (size_t)(at - line.data);
        record.key = null_if_empty(produce, bytes_of(line.data, key_len));
        record.value = bytes_of(at + separator_len, line.len - key_len - separator_len);
    }
    record.value = null_if_empty(produce, record.value);
    *ret = record;
}

/* False: the record cannot be made; told. */
static bool make_record(struct produce *produce, struct bytes line, struct record *ret)
{
    char text[ERROR_TEXT_SIZE];

    if (!produce->settings->json_lines) {
        record_from_line(produce, line, ret);
        return true;
    }
    arena_reset(&produce->arena);
    if (record_from_json(line, &produce->arena, ret, text, sizeof(text)) == 0)
        return true;
    command_error(
        &produce->settings->common.settings, "record %" PRIu64 ": %s", produce->input.number, text);
    return false;
}

/* ---- the input ------------------------------------------------------------------------------ */

static bool is_blank(struct bytes line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    return true;
}

/* Send all records that are in memory. EXIT_DONE: go on reading. */
static int send_read(struct produce *produce, bool *ret_over)
{
    struct bytes line;
    struct record record;
    enum input_result result;

    while ((result = input_next(&produce->input, &line)) == INPUT_RECORD) {
        if (produce->settings->json_lines && is_blank(line))
            continue;
        if (!make_record(produce, line, &record))
            return EXIT_FAILED;
        if (!send_record(produce, &record))
            return EXIT_INTERRUPTED;
        if (produce->sent % POLL_EVERY)
            continue;
        rd_kafka_poll(produce->session.rk, 0);
        show_progress(produce);
        if (interrupt_happened(&produce->interrupt))
            return EXIT_INTERRUPTED;
    }
    *ret_over = result == INPUT_END;
    if (result != INPUT_TOO_LONG)
        return EXIT_DONE;
    command_error(&produce->settings->common.settings,
        "record %" PRIu64 " is larger than %zu bytes; -X message.max.bytes=N raises that limit",
        produce->input.number, produce->record_max);
    return EXIT_FAILED;
}

static int send_all(struct produce *produce)
{
    bool over = false;

    for (;;) {
        int code = send_read(produce, &over);
        if (code || over)
            return code;
        /* Deliveries go on while a slow input is awaited. */
        while (!interrupt_wait(&produce->interrupt, produce->input.fd, WAIT_MS)) {
            if (produce->interrupt.happened)
                return EXIT_INTERRUPTED;
            rd_kafka_poll(produce->session.rk, 0);
            show_progress(produce);
        }
        int error = input_fill(&produce->input);
        if (error < 0) {
            command_error(
                &produce->settings->common.settings, "cannot read the input: %s", strerror(-error));
            return EXIT_FAILED;
        }
    }
}

/* Wait for what is under way. A (further) signal gives up. */
static void await_deliveries(struct produce *produce)
{
    produce->interrupt.happened = false;
    while (rd_kafka_outq_len(produce->session.rk) > 0 && !interrupt_happened(&produce->interrupt)) {
        (void)rd_kafka_flush(produce->session.rk, WAIT_MS);
        show_progress(produce);
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

static void print_summary_json(const struct produce *produce, uint64_t unknown)
{
    json_t *reasons = json_array();

    for (size_t i = 0; i < REASONS_MAX && produce->reasons[i].count; i++)
        (void)json_array_append_new(reasons,
            json_pack("{s:s, s:s, s:I}", "error", rd_kafka_err2name(produce->reasons[i].error),
                "text", rd_kafka_err2str(produce->reasons[i].error), "count",
                (json_int_t)produce->reasons[i].count));
    print_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "topic",
        rd_kafka_topic_name(produce->topic), "delivered", (json_int_t)produce->delivered, "bytes",
        (json_int_t)produce->delivered_size, "failed", (json_int_t)produce->failed, "unknown",
        (json_int_t)unknown, "reasons", reasons));
}

static void print_summary(const struct produce *produce, uint64_t unknown)
{
    const struct produce_settings *settings = produce->settings;

    if (produce->progress_shown)
        (void)fprintf(stderr, "\r\033[K");
    for (size_t i = 0; i < REASONS_MAX && produce->reasons[i].count; i++)
        command_error(&settings->common.settings, "%" PRIu64 " not delivered: %s (%s)",
            produce->reasons[i].count, rd_kafka_err2str(produce->reasons[i].error),
            rd_kafka_err2name(produce->reasons[i].error));
    if (unknown)
        command_error(&settings->common.settings,
            "%" PRIu64 " were under way when interrupted; whether they arrived is unknown",
            unknown);
    if (settings->common.json)
        print_summary_json(produce, unknown);
    else if (!settings->quiet)
        (void)fprintf(stderr,
            "%" PRIu64 " records (%" PRIu64 " bytes) delivered to %s, %" PRIu64 " failed\n",
            produce->delivered, produce->delivered_size, rd_kafka_topic_name(produce->topic),
            produce->failed);
}

static int produce_finish(struct produce *produce, int code)
{
    await_deliveries(produce);
    uint64_t unknown = produce->sent - produce->delivered - produce->failed;
    print_summary(produce, unknown);
    if (unknown)
        (void)rd_kafka_purge(
            produce->session.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    if (code)
        return code;
    return produce->failed ? EXIT_FAILED : unknown ? EXIT_INTERRUPTED : EXIT_DONE;
}

/* ---- the start ------------------------------------------------------------------------------ */

static int parse_headers(struct produce *produce)
{
    const struct produce_settings *settings = produce->settings;

    produce->headers = mem_zalloc(settings->headers.count + 1, sizeof(*produce->headers));
    for (size_t i = 0; i < settings->headers.count; i++) {
        const char *text = settings->headers.items[i], *equals = strchr(text, '=');
        if (!equals || equals == text) {
            command_error(&settings->common.settings, "-H wants NAME=VALUE, not '%s'", text);
            return EXIT_USAGE;
        }
        produce->headers[i].name = mem_strndup(text, (size_t)(equals - text));
        produce->headers[i].value = bytes_text(equals + 1);
    }
    return EXIT_DONE;
}

static int check_words(struct produce *produce)
{
    const struct produce_settings *settings = produce->settings;
    const struct settings *base = &settings->common.settings;

    if (text_unescape(settings->delimiter, &produce->delimiter) < 0 ||
        produce->delimiter.len == 0) {
        command_error(base, "--delimiter wants some text, with \\n \\r \\t \\0 \\\\ or \\xHH");
        return EXIT_USAGE;
    }
    if (settings->json_lines && settings->key_separator) {
        command_error(base, "--json-lines and --key-separator do not go together");
        return EXIT_USAGE;
    }
    if (settings->key_separator && !*settings->key_separator) {
        command_error(base, "--key-separator wants some text");
        return EXIT_USAGE;
    }
    return parse_headers(produce);
}

static int open_session(struct produce *produce)
{
    const struct produce_settings *settings = produce->settings;
    rd_kafka_conf_t *conf = session_conf(&produce->session, &settings->common);

    rd_kafka_conf_set_dr_msg_cb(conf, delivery_reported);
    int code = session_set(&settings->common, conf, "acks", settings->acks);
    if (!code)
        code = session_set(&settings->common, conf, "compression.codec", settings->compression);
    if (!code)
        code = session_set(&settings->common, conf, "partitioner", "murmur2_random");
    if (!code)
        code = session_set(
            &settings->common, conf, "enable.idempotence", settings->idempotent ? "true" : "false");
    if (code) {
        rd_kafka_conf_destroy(conf);
        return code;
    }
    return session_open(&produce->session, RD_KAFKA_PRODUCER, conf);
}

/* The limit that librdkafka would refuse above: message.max.bytes, as set or by default. */
static size_t read_record_max(const struct produce *produce)
{
    char text[32];
    size_t size = sizeof(text);
    unsigned long long max = 1000000;

    if (rd_kafka_conf_get(rd_kafka_conf(produce->session.rk), "message.max.bytes", text, &size) ==
        RD_KAFKA_CONF_OK)
        max = strtoull(text, NULL, 10);
    return (size_t)max;
}

static int open_topic(struct produce *produce)
{
    const struct rd_kafka_metadata *metadata;
    const char *name = produce->settings->common.settings.words.items[0];
    int64_t partition = produce->settings->partition;

    int code = session_topic(&produce->session, name, true, &metadata);
    if (code)
        return code;
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    if (partition >= count) {
        command_error(&produce->settings->common.settings,
            "topic %s has no partition %" PRId64 "; it has %d, from 0", name, partition, count);
        return EXIT_FAILED;
    }
    produce->topic = rd_kafka_topic_new(produce->session.rk, name, NULL);
    return produce->topic ? EXIT_DONE
                          : session_failed(&produce->session, name, rd_kafka_last_error(), NULL);
}

static int open_input(const struct produce_settings *settings, int *ret)
{
    const struct texts *words = &settings->common.settings.words;

    *ret = STDIN_FILENO;
    if (words->count < 2 || strcmp(words->items[1], "-") == 0)
        return EXIT_DONE;
    *ret = open(words->items[1], O_RDONLY | O_CLOEXEC);
    if (*ret >= 0)
        return EXIT_DONE;
    command_error(
        &settings->common.settings, "cannot open %s: %s", words->items[1], strerror(errno));
    return EXIT_FAILED;
}

static void produce_done(struct produce *produce, int fd)
{
    if (produce->topic)
        rd_kafka_topic_destroy(produce->topic);
    session_close(&produce->session);
    for (size_t i = 0; i < produce->settings->headers.count && produce->headers; i++)
        mem_free((void *)(uintptr_t)produce->headers[i].name);
    mem_free(produce->headers);
    input_done(&produce->input);
    arena_done(&produce->arena);
    out_done(&produce->delimiter);
    interrupt_close(&produce->interrupt);
    if (fd > STDIN_FILENO)
        (void)close(fd);
}

static int produce_run(struct settings *base)
{
    struct produce_settings *settings =
        container_of(base, struct produce_settings, common.settings);
    struct produce produce = { .settings = settings, .interrupt = { .fd = -1 } };
    int fd = -1;

    arena_init(&produce.arena, record_memory_max);
    int code = check_words(&produce);
    if (!code)
        code = open_input(settings, &fd);
    if (!code)
        code = open_session(&produce);
    if (!code)
        code = open_topic(&produce);
    if (!code) {
        interrupt_open(&produce.interrupt);
        produce.record_max = read_record_max(&produce);
        produce.began_ms = produce.progress_ms = now_ms();
        input_init(&produce.input, fd, bytes_of(produce.delimiter.data, produce.delimiter.len),
            produce.record_max);
        code = produce_finish(&produce, send_all(&produce));
    }
    produce_done(&produce, fd);
    return code;
}

const struct command produce_command = {
    .name = "produce",
    .synopsis = "TOPIC [FILE] [OPTION]...",
    .summary = "Send the lines of FILE (or of standard input) as records to a topic.",
    .details =
        "A JSON line is "
        "{\"key\":K,\"value\":V,\"headers\":{\"NAME\":\"TEXT\"},\"partition\":N,\"timestamp\":MS};"
        "\n"
        "everything may be left out. key_base64 and value_base64 carry bytes that are no text, "
        "null is\n"
        "Kafka's null, other JSON values travel as their text. What `consume --json` prints fits.\n"
        "\n"
        "Examples:\n"
        "  echo hello | millrace produce greetings\n"
        "  millrace produce users -K : users.txt            # lines like 17:Anna\n"
        "  millrace produce posts --json-lines posts.jsonl -z zstd -i\n"
        "  millrace consume a --json | millrace produce b --json-lines\n",
    .shared = common_options,
    .own = produce_options,
    .words_min = 1,
    .words_max = 2,
    .settings_size = sizeof(struct produce_settings),
    .run = produce_run,
};
