/*
 * group_member - one consumer with librdkafka that says what happens to it, for groups.py.
 *
 *   group_member BOOTSTRAP GROUP TOPIC [assign=P,P,...] [NAME=VALUE]...
 *
 * Subscribes to TOPIC as a member of GROUP; with assign= it only takes these partitions, without
 * membership, from the committed offsets on. NAME=VALUE are librdkafka's settings. Says, one line
 * each:
 *
 *   assigned P P...            lost P P...        error NAME
 *   revoked P P...             record P OFFSET VALUE    fatal NAME
 *
 * and answers the lines it reads:
 *
 *   commit                     what has been read: "committed" or "refused NAME"
 *   commit P OFFSET METADATA   the same for one offset
 *   offsets P                  "offset P OFFSET METADATA" as the broker has it
 *   quit, or the end of stdin  leaves the group and ends with 0
 *
 * A fatal error ends it with 3, a wrong call with 2.
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024, ANSWER_MS = 20000, POLL_MS = 20 };

struct member {
    rd_kafka_t *rk;
    const char *topic;
    char line[LINE_MAX_BYTES]; /* what stdin brought of the next command */
    size_t line_size;
    bool ended;
};

static void must(bool good, const char *what, const char *error)
{
    if (good)
        return;
    (void)fprintf(stderr, "group_member: %s: %s\n", what, error);
    exit(2);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[512];
    must(rd_kafka_conf_set(conf, name, value, error, sizeof(error)) == RD_KAFKA_CONF_OK, name,
        error);
}

/* ---- what happens -------------------------------------------------------------------------- */

static void say_partitions(const char *what, const rd_kafka_topic_partition_list_t *list)
{
    printf("%s", what);
    for (int i = 0; i < list->cnt; i++)
        printf(" %d", list->elems[i].partition);
    printf("\n");
}

static void follow(rd_kafka_t *rk, bool assign, rd_kafka_topic_partition_list_t *list)
{
    if (strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0) {
        rd_kafka_error_t *error = assign ? rd_kafka_incremental_assign(rk, list)
                                         : rd_kafka_incremental_unassign(rk, list);
        must(!error, "incremental", rd_kafka_error_string(error));
    } else {
        must(!rd_kafka_assign(rk, assign ? list : NULL), "assign", "refused");
    }
}

static void on_rebalance(
    rd_kafka_t *rk, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    bool assign = error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    (void)opaque;
    if (!assign && error != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
        printf("error %s\n", rd_kafka_err2name(error));
    say_partitions(assign ? "assigned" : rd_kafka_assignment_lost(rk) ? "lost" : "revoked", list);
    follow(rk, assign, list);
}

static void on_error(rd_kafka_t *rk, int error, const char *reason, void *opaque)
{
    (void)rk;
    (void)opaque;
    (void)fprintf(stderr, "%s: %s\n", rd_kafka_err2name(error), reason);
}

static void say_message(struct member *member, const rd_kafka_message_t *message)
{
    char reason[512];
    if (!message->err) {
        printf("record %d %" PRId64 " %.*s\n", message->partition, message->offset,
            (int)message->len, (const char *)message->payload);
    } else if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(member->rk, reason, sizeof(reason));
        printf("fatal %s\n", rd_kafka_err2name(fatal));
        exit(3);
    } else {
        printf("error %s\n", rd_kafka_err2name(message->err));
    }
}

/* ---- commands ------------------------------------------------------------------------------ */

static void answer_commit(struct member *member, const char *words)
{
    int partition, at = 0;
    int64_t offset;
    rd_kafka_topic_partition_list_t *list = NULL;
    if (sscanf(words, "%d %" SCNd64 " %n", &partition, &offset, &at) == 2) {
        list = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_t *one =
            rd_kafka_topic_partition_list_add(list, member->topic, partition);
        one->offset = offset;
        one->metadata = words[at] ? strdup(words + at) : NULL;
        one->metadata_size = strlen(words + at);
    }
    rd_kafka_resp_err_t error = rd_kafka_commit(member->rk, list, 0);
    for (int i = 0; !error && list && i < list->cnt; i++)
        error = list->elems[i].err;
    if (error)
        printf("refused %s\n", rd_kafka_err2name(error));
    else
        printf("committed\n");
    if (list)
        rd_kafka_topic_partition_list_destroy(list);
}

static void answer_offsets(struct member *member, const char *words)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one =
        rd_kafka_topic_partition_list_add(list, member->topic, atoi(words));
    rd_kafka_resp_err_t error = rd_kafka_committed(member->rk, list, ANSWER_MS);
    if (error || one->err)
        printf("refused %s\n", rd_kafka_err2name(error ? error : one->err));
    else
        printf("offset %d %" PRId64 " %.*s\n", one->partition, one->offset, (int)one->metadata_size,
            one->metadata ? (const char *)one->metadata : "");
    rd_kafka_topic_partition_list_destroy(list);
}

static void answer(struct member *member, const char *line)
{
    if (strncmp(line, "commit", 6) == 0)
        answer_commit(member, line + 6);
    else if (strncmp(line, "offsets", 7) == 0)
        answer_offsets(member, line + 7);
    else
        member->ended = true;
}

static void answer_stdin(struct member *member)
{
    struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
    char *end;
    if (poll(&fd, 1, 0) <= 0)
        return;
    ssize_t got = read(STDIN_FILENO, member->line + member->line_size,
        sizeof(member->line) - member->line_size - 1);
    must(got >= 0, "stdin", "cannot be read");
    member->ended = got == 0;
    member->line_size += (size_t)got;
    while ((end = memchr(member->line, '\n', member->line_size))) {
        *end++ = '\0';
        answer(member, member->line);
        member->line_size -= (size_t)(end - member->line);
        memmove(member->line, end, member->line_size);
    }
    must(member->line_size < sizeof(member->line) - 1, "stdin", "a line is too long");
}

/* ---- start --------------------------------------------------------------------------------- */

static void begin(struct member *member, const char *partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    if (!partitions) {
        rd_kafka_topic_partition_list_add(list, member->topic, RD_KAFKA_PARTITION_UA);
        must(!rd_kafka_subscribe(member->rk, list), "subscribe", "refused");
    }
    for (const char *p = partitions; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        rd_kafka_topic_partition_list_add(list, member->topic, atoi(p))->offset =
            RD_KAFKA_OFFSET_STORED;
    if (partitions)
        must(!rd_kafka_assign(member->rk, list), "assign", "refused");
    rd_kafka_topic_partition_list_destroy(list);
}

int main(int count, char **words)
{
    char error[512];
    const char *partitions = NULL;
    must(count >= 4, "usage", "group_member BOOTSTRAP GROUP TOPIC [NAME=VALUE]...");
    static struct member member;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    set(conf, "bootstrap.servers", words[1]);
    set(conf, "group.id", words[2]);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "log_level", "0");
    for (int i = 4; i < count; i++) {
        char *value = strchr(words[i], '=');
        must(value, words[i], "NAME=VALUE is wanted");
        *value++ = '\0';
        if (strcmp(words[i], "assign") == 0)
            partitions = value;
        else
            set(conf, words[i], value);
    }
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    member.topic = words[3];
    member.rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
    must(member.rk, "consumer", error);
    must(!rd_kafka_poll_set_consumer(member.rk), "consumer", "no queue");
    begin(&member, partitions);
    while (!member.ended) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(member.rk, POLL_MS);
        if (message) {
            say_message(&member, message);
            rd_kafka_message_destroy(message);
        }
        answer_stdin(&member);
    }
    rd_kafka_consumer_close(member.rk);
    rd_kafka_destroy(member.rk);
    return 0;
}
