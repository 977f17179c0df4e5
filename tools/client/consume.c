/*
 * consume.c - `millrace consume TOPIC`: records of a topic, to standard output.
 *
 * Happy path without a group: ask for the topic; for each partition find where to start and (unless
 * --follow) where its end is now; read all partitions through one queue; a partition is over at its
 * end as captured, or where the broker says that nothing more is to be had below it (control
 * records and compaction leave holes, so the last offset alone does not tell); all over: done.
 *
 * Happy path with a group: subscribe; what is assigned is read from the committed offsets; an
 * offset is committed only after the record's text has been written. Without --follow: over when
 * every partition in hand has come to its end once.
 *
 * What can go wrong: the topic does not exist, the offset is outside the partition (told with its
 * range); the position is lost because retention took the records (exit 1, never a silent gap); the
 * broker goes away: librdkafka reconnects, and when nothing comes for --timeout, exit 3 (--follow
 * waits for ever). Whoever reads our output may leave (EPIPE): the end, exit 0.
 */
#include "tools/client/consume.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/mem.h"
#include "tools/client/interrupt.h"
#include "tools/client/record.h"
#include "tools/client/session.h"
#include "tools/client/when.h"

enum {
    BATCH_MAX = 1000,
    WAIT_MS = 100,
    OUTPUT_SIZE = 64 * 1024, /* written out when it holds more */
    ERROR_TEXT_SIZE = 512,
};

struct consume_settings {
    struct common common;
    const char *from, *group, *format, *isolation;
    int64_t partition, count;
    bool follow, count_only, no_check_crc;
};

#define FIELD(member) offsetof(struct consume_settings, member)
static const struct option consume_options[] = {
    { 0, "from", "WHERE",
        "beginning, end, an offset, -N (the last N), or a time:\n2026-01-31T12:30:00Z, "
        "@UNIX_MS, -90s, -10m, -2h, -1d",
        NULL, OPTION_TEXT, FIELD(from), 0, 0 },
    { 'p', "partition", "N", "only this one; -1: all", "-1", OPTION_INTEGER, FIELD(partition), -1,
        INT32_MAX },
    { 'f', "follow", NULL, "wait for more, until Ctrl-C", NULL, OPTION_SWITCH, FIELD(follow), 0,
        0 },
    { 'g', "group", "NAME", "as a member of this group, from its committed offsets", NULL,
        OPTION_TEXT, FIELD(group), 0, 0 },
    { 'n', "count", "N", "stop after so many records; 0: no limit", "0", OPTION_INTEGER,
        FIELD(count), 0, INT64_MAX },
    { 'F', "format", "TEXT", "how to print a record (see below)", "%v\\n", OPTION_TEXT,
        FIELD(format), 0, 0 },
    { 0, "count-only", NULL, "print only how many records and bytes there are", NULL, OPTION_SWITCH,
        FIELD(count_only), 0, 0 },
    { 0, "isolation", "LEVEL", "read_committed or read_uncommitted", "read_committed", OPTION_TEXT,
        FIELD(isolation), 0, 0 },
    { 0, "no-check-crc", NULL, "do not verify checksums", NULL, OPTION_SWITCH, FIELD(no_check_crc),
        0, 0 },
    { 0 },
};
#undef FIELD

struct partition {
    int32_t id;
    int64_t start; /* an offset or librdkafka's logical one */
    int64_t end;   /* as captured when reading began */
    bool known;    /* `end` is captured */
    bool over;
};

struct consume {
    struct session session;
    const struct consume_settings *settings;
    const char *topic_name;
    rd_kafka_topic_t *topic; /* without a group */
    rd_kafka_queue_t *queue; /* without a group */
    struct interrupt interrupt;
    struct partition *partitions; /* with a group: those assigned */
    size_t partition_count;
    struct record_format *format;
    struct when when;
    struct out out;
    struct record_header *headers; /* of the record in hand */
    size_t headers_capacity;
    uint64_t records, size;
    int64_t heard_ms; /* when the broker last gave anything */
    bool full;        /* --count is reached */
    bool reader_gone;
    bool assigned; /* with a group: an assignment has come */
    int code;      /* EXIT_DONE until something fails */
};

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;

    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- output --------------------------------------------------------------------------------- */

static void write_out(struct consume *consume)
{
    if (consume->out.len == 0)
        return;
    bool failed = fwrite(consume->out.data, 1, consume->out.len, stdout) != consume->out.len ||
                  fflush(stdout) != 0;
    consume->out.len = 0;
    if (!failed)
        return;
    consume->reader_gone = true;
    if (errno != EPIPE)
        consume->code = EXIT_FAILED; /* command_main tells */
}

static void read_headers(
    struct consume *consume, const rd_kafka_message_t *message, struct record *record)
{
    rd_kafka_headers_t *headers;

    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    size_t count = rd_kafka_header_cnt(headers);
    if (count > consume->headers_capacity)
        mem_grow(consume->headers, &consume->headers_capacity, count);
    for (size_t i = 0; i < count; i++) {
        struct record_header *header = &consume->headers[i];
        const void *value;
        size_t len;
        if (rd_kafka_header_get_all(headers, i, &header->name, &value, &len) !=
            RD_KAFKA_RESP_ERR_NO_ERROR)
            count = i;
        else
            header->value = bytes_of(value, len);
    }
    record->headers = consume->headers;
    record->header_count = count;
}

/* Kafka's null comes as NULL; an empty key or value comes with a pointer, or as NULL of length 0
 * from old message formats: librdkafka keeps the two apart by the pointer. */
static void write_record(struct consume *consume, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t kind;
    struct record record = {
        .topic = consume->topic_name,
        .partition = message->partition,
        .offset = message->offset,
        .timestamp_ms = rd_kafka_message_timestamp(message, &kind),
        .key = bytes_of(message->key, message->key_len),
        .value = bytes_of(message->payload, message->len),
    };

    consume->records++;
    consume->size += message->key_len + message->len;
    consume->full =
        consume->settings->count && consume->records == (uint64_t)consume->settings->count;
    if (consume->settings->count_only)
        return;
    record.appended = kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
    read_headers(consume, message, &record);
    if (consume->settings->common.json) {
        record_to_json(&record, &consume->out);
        out_text(&consume->out, "\n");
    } else {
        record_format_write(consume->format, &record, &consume->out);
    }
    if (consume->out.len >= OUTPUT_SIZE)
        write_out(consume);
}

static void print_count(const struct consume *consume)
{
    if (consume->settings->common.json)
        print_json(json_pack("{s:s, s:I, s:I}", "topic", consume->topic_name, "records",
            (json_int_t)consume->records, "bytes", (json_int_t)consume->size));
    else
        printf("%" PRIu64 " %" PRIu64 "\n", consume->records, consume->size);
}

/* ---- one message ---------------------------------------------------------------------------- */

static struct partition *find_partition(struct consume *consume, int32_t id)
{
    for (size_t i = 0; i < consume->partition_count; i++)
        if (consume->partitions[i].id == id)
            return &consume->partitions[i];
    return NULL;
}

static bool bounded(const struct consume *consume)
{
    return !consume->settings->follow;
}

static void partition_over(struct consume *consume, struct partition *partition)
{
    if (partition->over || !bounded(consume))
        return;
    partition->over = true;
    if (!consume->settings->group)
        (void)rd_kafka_consume_stop(consume->topic, partition->id);
}

static void message_failed(struct consume *consume, const rd_kafka_message_t *message)
{
    char what[ERROR_TEXT_SIZE];
    struct partition *partition = find_partition(consume, message->partition);

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (partition)
            partition_over(consume, partition);
        return;
    }
    if (message->err == RD_KAFKA_RESP_ERR__TRANSPORT ||
        message->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
        message->err == RD_KAFKA_RESP_ERR__TIMED_OUT)
        return; /* librdkafka goes on trying; the time without an answer is limited by consume_step
                 */
    (void)snprintf(what, sizeof(what), "%s [%" PRId32 "]", consume->topic_name, message->partition);
    consume->code =
        session_failed(&consume->session, what, message->err, rd_kafka_message_errstr(message));
}

/* Gives false when the record is not ours to print: behind the end, or more than --count. */
static bool message_arrived(struct consume *consume, const rd_kafka_message_t *message)
{
    consume->heard_ms = clock_ms(CLOCK_MONOTONIC);
    if (message->err) {
        message_failed(consume, message);
        return false;
    }
    struct partition *partition = find_partition(consume, message->partition);
    if (!partition || partition->over || consume->full)
        return false;
    if (bounded(consume) && partition->known && message->offset >= partition->end) {
        partition_over(consume, partition);
        return false;
    }
    write_record(consume, message);
    if (bounded(consume) && partition->known && message->offset >= partition->end - 1)
        partition_over(consume, partition);
    return true;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static bool all_over(const struct consume *consume)
{
    if (!bounded(consume) || (consume->settings->group && !consume->assigned))
        return false;
    for (size_t i = 0; i < consume->partition_count; i++)
        if (!consume->partitions[i].over)
            return false;
    return true;
}

/* Nothing came for a while. A bounded read must not wait for ever on a broker that is gone. */
static void idle(struct consume *consume)
{
    int64_t silent_ms = clock_ms(CLOCK_MONOTONIC) - consume->heard_ms;
    /* Joining a group takes the broker up to a session timeout when a member died unnoticed. */
    int64_t limit_ms =
        session_timeout_ms(&consume->session) + (consume->settings->group ? 60000 : 0);

    if (interrupt_reader_gone(STDOUT_FILENO))
        consume->reader_gone = true;
    if (bounded(consume) && silent_ms > limit_ms)
        consume->code = session_failed(
            &consume->session, consume->topic_name, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL);
}

static void step_queue(struct consume *consume)
{
    rd_kafka_message_t *messages[BATCH_MAX];
    ssize_t count = rd_kafka_consume_batch_queue(consume->queue, WAIT_MS, messages, BATCH_MAX);

    for (ssize_t i = 0; i < count; i++) {
        (void)message_arrived(consume, messages[i]);
        rd_kafka_message_destroy(messages[i]);
    }
    (void)rd_kafka_poll(consume->session.rk, 0);
    write_out(consume);
    if (count <= 0)
        idle(consume);
}

static void step_group(struct consume *consume)
{
    rd_kafka_message_t *last[BATCH_MAX] = { NULL }, *message;
    int timeout_ms = WAIT_MS, count = 0;

    /* Positions are stored after the output is out, so that a commit never covers an unwritten
     * record. */
    while (count < BATCH_MAX && !consume->full && !consume->code &&
           (message = rd_kafka_consumer_poll(consume->session.rk, timeout_ms))) {
        timeout_ms = 0;
        if (message_arrived(consume, message))
            last[count++] = message;
        else
            rd_kafka_message_destroy(message);
    }
    write_out(consume);
    for (int i = 0; i < count; i++) {
        if (!consume->reader_gone)
            (void)rd_kafka_offset_store(last[i]->rkt, last[i]->partition, last[i]->offset);
        rd_kafka_message_destroy(last[i]);
    }
    if (count == 0)
        idle(consume);
}

static int consume_loop(struct consume *consume)
{
    consume->heard_ms = clock_ms(CLOCK_MONOTONIC);
    while (!all_over(consume) && !consume->full && !consume->reader_gone && !consume->code) {
        if (consume->settings->group)
            step_group(consume);
        else
            step_queue(consume);
        if (interrupt_happened(&consume->interrupt))
            return bounded(consume) ? EXIT_INTERRUPTED : EXIT_DONE;
    }
    return consume->code;
}

/* ---- where to start, without a group -------------------------------------------------------- */

static int offset_for_time(struct consume *consume, struct partition *partition, int64_t high)
{
    char what[ERROR_TEXT_SIZE];
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *item =
        rd_kafka_topic_partition_list_add(list, consume->topic_name, partition->id);

    item->offset = consume->when.number;
    rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(
        consume->session.rk, list, session_timeout_ms(&consume->session));
    error = error ? error : item->err;
    partition->start = item->offset < 0 ? high : item->offset; /* no record so late: the end */
    rd_kafka_topic_partition_list_destroy(list);
    if (!error)
        return EXIT_DONE;
    (void)snprintf(what, sizeof(what), "%s [%" PRId32 "]: offset for a time", consume->topic_name,
        partition->id);
    return session_failed(&consume->session, what, error, NULL);
}

static int find_start(struct consume *consume, struct partition *partition)
{
    int64_t low, high, number = consume->when.number;

    int code = session_range(&consume->session, consume->topic_name, partition->id, &low, &high);
    if (code)
        return code;
    partition->end = high;
    partition->known = true;
    switch (consume->when.kind) {
    case WHEN_BEGINNING: partition->start = low < high ? RD_KAFKA_OFFSET_BEGINNING : low; break;
    case WHEN_END: partition->start = high; break;
    case WHEN_TAIL: partition->start = number < high - low ? high - number : low; break;
    case WHEN_TIME: code = offset_for_time(consume, partition, high); break;
    case WHEN_OFFSET:
        partition->start = number;
        if (number >= low && number <= high)
            break;
        command_error(&consume->settings->common.settings,
            "offset %" PRId64 " is outside of %s [%" PRId32 "], which has %" PRId64 " to %" PRId64,
            number, consume->topic_name, partition->id, low, high);
        return EXIT_FAILED;
    }
    partition->over = bounded(consume) && partition->start >= high && high >= low;
    return code;
}

static int start_partition(struct consume *consume, struct partition *partition)
{
    char what[ERROR_TEXT_SIZE];

    int code = find_start(consume, partition);
    if (code || partition->over)
        return code;
    if (rd_kafka_consume_start_queue(
            consume->topic, partition->id, partition->start, consume->queue) == 0)
        return EXIT_DONE;
    (void)snprintf(what, sizeof(what), "%s [%" PRId32 "]", consume->topic_name, partition->id);
    return session_failed(&consume->session, what, rd_kafka_last_error(), NULL);
}

static int choose_partitions(struct consume *consume)
{
    const struct consume_settings *settings = consume->settings;
    const struct rd_kafka_metadata *metadata;

    int code = session_topic(&consume->session, consume->topic_name, false, &metadata);
    if (code)
        return code;
    const struct rd_kafka_metadata_topic *topic = &metadata->topics[0];
    consume->partitions =
        mem_zalloc((size_t)topic->partition_cnt + 1, sizeof(*consume->partitions));
    for (int i = 0; i < topic->partition_cnt; i++)
        if (settings->partition < 0 || settings->partition == topic->partitions[i].id)
            consume->partitions[consume->partition_count++].id = topic->partitions[i].id;
    if (consume->partition_count == 0) {
        command_error(&settings->common.settings,
            "topic %s has no partition %" PRId64 "; it has %d, from 0", consume->topic_name,
            settings->partition, topic->partition_cnt);
        code = EXIT_FAILED;
    }
    rd_kafka_metadata_destroy(metadata);
    return code;
}

static int start_alone(struct consume *consume)
{
    int code = choose_partitions(consume);

    if (code)
        return code;
    consume->topic = rd_kafka_topic_new(consume->session.rk, consume->topic_name, NULL);
    if (!consume->topic)
        return session_failed(&consume->session, consume->topic_name, rd_kafka_last_error(), NULL);
    consume->queue = rd_kafka_queue_new(consume->session.rk);
    interrupt_open(&consume->interrupt);
    for (size_t i = 0; i < consume->partition_count && !code; i++)
        code = start_partition(consume, &consume->partitions[i]);
    return code;
}

/* ---- with a group --------------------------------------------------------------------------- */

static void group_assigned(struct consume *consume, const rd_kafka_topic_partition_list_t *list)
{
    mem_free(consume->partitions);
    consume->partition_count = (size_t)list->cnt;
    consume->partitions = mem_zalloc(consume->partition_count + 1, sizeof(*consume->partitions));
    for (size_t i = 0; i < consume->partition_count; i++)
        consume->partitions[i].id = list->elems[i].partition;
    consume->assigned = true;
}

/* Runs inside rd_kafka_consumer_poll. */
static void group_rebalanced(
    rd_kafka_t *rk, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct session *session = opaque;
    struct consume *consume = container_of(session, struct consume, session);

    consume->heard_ms = clock_ms(CLOCK_MONOTONIC);
    if (error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        group_assigned(consume, list);
        (void)rd_kafka_assign(rk, list);
        return;
    }
    consume->partition_count = 0;
    consume->assigned = false;
    (void)rd_kafka_assign(rk, NULL);
}

static int start_group(struct consume *consume)
{
    const struct rd_kafka_metadata *metadata;
    int code = session_topic(&consume->session, consume->topic_name, false, &metadata);

    if (code)
        return code;
    rd_kafka_metadata_destroy(metadata);
    interrupt_open(&consume->interrupt);
    (void)rd_kafka_poll_set_consumer(consume->session.rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(list, consume->topic_name, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(consume->session.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error ? session_failed(&consume->session, "subscribe", error, NULL) : EXIT_DONE;
}

/* ---- start and end -------------------------------------------------------------------------- */

static int check_words(struct consume *consume)
{
    const struct consume_settings *settings = consume->settings;
    const struct settings *base = &settings->common.settings;
    char text[ERROR_TEXT_SIZE];
    const char *from = settings->from ? settings->from : settings->group ? "end" : "beginning";

    if (when_parse(from, clock_ms(CLOCK_REALTIME), &consume->when) < 0) {
        command_error(base,
            "--from wants beginning, end, an offset, -N, or a time such as "
            "2026-01-31T12:30:00Z, @1767225600000 or -10m; not '%s'",
            from);
        return EXIT_USAGE;
    }
    if (settings->group && settings->partition >= 0) {
        command_error(
            base, "--partition and --group do not go together: a group chooses partitions itself");
        return EXIT_USAGE;
    }
    if (settings->group && consume->when.kind != WHEN_BEGINNING && consume->when.kind != WHEN_END) {
        command_error(base, "with --group, --from is beginning or end: where to start without a "
                            "committed offset");
        return EXIT_USAGE;
    }
    consume->format = record_format_create(settings->format, text, sizeof(text));
    if (consume->format)
        return EXIT_DONE;
    command_error(base, "%s", text);
    return EXIT_USAGE;
}

static int configure_group(struct consume *consume, rd_kafka_conf_t *conf)
{
    const struct consume_settings *settings = consume->settings;

    rd_kafka_conf_set_rebalance_cb(conf, group_rebalanced);
    int code = session_set(&settings->common, conf, "group.id", settings->group);
    if (!code)
        code = session_set(&settings->common, conf, "enable.auto.offset.store", "false");
    if (!code)
        code = session_set(&settings->common, conf, "auto.offset.reset",
            consume->when.kind == WHEN_BEGINNING ? "earliest" : "latest");
    return code;
}

static int open_session(struct consume *consume)
{
    const struct consume_settings *settings = consume->settings;
    rd_kafka_conf_t *conf = session_conf(&consume->session, &settings->common);

    int code = session_set(&settings->common, conf, "enable.partition.eof", "true");
    /* librdkafka looks only once in a second whether a queue that was full has room again. So its
     * size in messages does not count, only that in bytes (queued.max.messages.kbytes: 64 MiB in
     * all). */
    if (!code)
        code = session_set(&settings->common, conf, "queued.min.messages", "10000000");
    if (!code)
        code = session_set(&settings->common, conf, "isolation.level", settings->isolation);
    if (!code)
        code = session_set(
            &settings->common, conf, "check.crcs", settings->no_check_crc ? "false" : "true");
    if (!code && settings->group)
        code = configure_group(consume, conf);
    else if (!code)
        code = session_set(&settings->common, conf, "auto.offset.reset", "error");
    if (code) {
        rd_kafka_conf_destroy(conf);
        return code;
    }
    return session_open(&consume->session, RD_KAFKA_CONSUMER, conf);
}

static void consume_done(struct consume *consume)
{
    if (consume->session.rk && consume->settings->group) {
        (void)rd_kafka_consumer_close(
            consume->session.rk); /* commits what is stored, leaves the group */
    } else if (consume->topic) {
        for (size_t i = 0; i < consume->partition_count; i++)
            (void)rd_kafka_consume_stop(consume->topic, consume->partitions[i].id);
        rd_kafka_topic_destroy(consume->topic);
    }
    if (consume->queue)
        rd_kafka_queue_destroy(consume->queue);
    session_close(&consume->session);
    record_format_destroy(consume->format);
    mem_free(consume->partitions);
    mem_free(consume->headers);
    out_done(&consume->out);
    interrupt_close(&consume->interrupt);
}

static int consume_run(struct settings *base)
{
    struct consume_settings *settings =
        container_of(base, struct consume_settings, common.settings);
    struct consume consume = {
        .settings = settings, .topic_name = base->words.items[0], .interrupt = { .fd = -1 }
    };

    int code = check_words(&consume);
    if (!code)
        code = open_session(&consume);
    if (!code)
        code = settings->group ? start_group(&consume) : start_alone(&consume);
    if (!code) {
        code = consume_loop(&consume);
        if (settings->count_only && code != EXIT_UNREACHABLE && code != EXIT_FAILED)
            print_count(&consume);
    }
    consume_done(&consume);
    return code;
}

const struct command consume_command = {
    .name = "consume",
    .synopsis = "TOPIC [OPTION]...",
    .summary = "Print the records of a topic, up to its end as it is now.",
    .details =
        "--from is the beginning unless said otherwise; with --group it says where to start where\n"
        "nothing is committed yet, and is the end unless said otherwise.\n"
        "\n"
        "Tokens of a format: %t topic, %p partition, %o offset, %k key, %K its size, %v (or %s) "
        "value,\n"
        "%V (or %S) its size (-1: null), %T timestamp in ms, %h headers, %% a percent sign; \\n "
        "\\r \\t \\0\n"
        "\\\\ \\xHH are bytes. --json prints one object per line; bytes that are no text come as "
        "base64.\n"
        "\n"
        "Examples:\n"
        "  millrace consume posts --from -10m --follow\n"
        "  millrace consume posts -n 5 --format '%p:%o %k=%v\\n'\n"
        "  millrace consume posts --json | jq .value\n"
        "  millrace consume posts --count-only\n"
        "  millrace consume posts --group readers --from beginning -f\n",
    .shared = common_options,
    .own = consume_options,
    .words_min = 1,
    .words_max = 1,
    .settings_size = sizeof(struct consume_settings),
    .run = consume_run,
};
