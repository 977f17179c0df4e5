/*
 * rdkafka_copier - copies a topic, exactly once: consume, produce and commit the offsets in one
 * transaction.
 *
 *   rdkafka_copier BOOTSTRAP FROM TO COUNT [TIMEOUT-S]
 *
 * As Kafka's TransactionalMessageCopier: a transaction takes up to 50 records; one that fails is
 * aborted, the consumer goes back to what is committed, and it is tried again; a producer that
 * cannot go on is replaced. Ends when offsets say that COUNT records of FROM were copied; then says
 * "COUNT copied, N commits, N aborts, N producers". Every seventh transaction is aborted on
 * purpose.
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 50, CALL_MS = 15000, ABORT_EVERY = 7 };

struct copier {
    const char *bootstrap, *from, *to;
    rd_kafka_t *producer, *consumer;
    int64_t count, commits, aborts, producers, transactions;
    time_t until;
};

static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "rdkafka_copier: %s: %s\n", what, why);
    exit(1);
}

static rd_kafka_t *client(const struct copier *copier, rd_kafka_type_t type, const char *const *set)
{
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", copier->bootstrap, error, sizeof(error)))
        die("bootstrap.servers", error);
    for (; *set; set += 2)
        if (rd_kafka_conf_set(conf, set[0], set[1], error, sizeof(error)))
            die(set[0], error);
    rd_kafka_t *rk = rd_kafka_new(type, conf, error, sizeof(error));
    if (!rk)
        die("rd_kafka_new", error);
    return rk;
}

static void check_time(const struct copier *copier)
{
    if (time(NULL) > copier->until)
        die("copy", "it takes too long");
}

/* Says it, and whether there was one. */
static bool failed(const char *what, rd_kafka_error_t *error)
{
    if (!error)
        return false;
    (void)fprintf(stderr, "%s: %s\n", what, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return true;
}

static void producer_open(struct copier *copier)
{
    do {
        check_time(copier);
        if (copier->producer)
            rd_kafka_destroy(copier->producer);
        copier->producers++;
        copier->producer = client(copier, RD_KAFKA_PRODUCER,
            (const char *[]){ "transactional.id", copier->to, "transaction.timeout.ms", "10000",
                "reconnect.backoff.max.ms", "200", "linger.ms", "5", NULL });
    } while (failed("init", rd_kafka_init_transactions(copier->producer, CALL_MS)));
}

static rd_kafka_topic_partition_list_t *assigned(struct copier *copier)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (rd_kafka_assignment(copier->consumer, &list) || !list)
        die("assignment", "none");
    return list;
}

/* Back to what is committed. Returns how many records that is. */
static int64_t go_back(struct copier *copier)
{
    rd_kafka_topic_partition_list_t *list = assigned(copier);
    rd_kafka_resp_err_t error;
    int64_t sum = 0;
    while ((error = rd_kafka_committed(copier->consumer, list, CALL_MS))) {
        (void)fprintf(stderr, "committed: %s\n", rd_kafka_err2str(error));
        check_time(copier);
    }
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *one = &list->elems[i];
        if (one->offset < 0)
            one->offset = 0;
        sum += one->offset;
    }
    failed("seek", rd_kafka_seek_partitions(copier->consumer, list, CALL_MS));
    rd_kafka_topic_partition_list_destroy(list);
    return sum;
}

static void consumer_open(struct copier *copier)
{
    copier->consumer = client(copier, RD_KAFKA_CONSUMER,
        (const char *[]){ "group.id", copier->to, "enable.auto.commit", "false", "isolation.level",
            "read_committed", "auto.offset.reset", "earliest", "reconnect.backoff.max.ms", "200",
            NULL });
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(copier->consumer, copier->from, NULL);
    if (rd_kafka_metadata(copier->consumer, 0, topic, &metadata, CALL_MS) ||
        metadata->topics[0].partition_cnt == 0)
        die("metadata", "none");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
        rd_kafka_topic_partition_list_add(list, copier->from, i)->offset = RD_KAFKA_OFFSET_STORED;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    if (rd_kafka_assign(copier->consumer, list))
        die("assign", "refused");
    rd_kafka_topic_partition_list_destroy(list);
}

/* One transaction's records. False: something failed. */
static bool copy_some(struct copier *copier)
{
    for (int i = 0; i < BATCH; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(copier->consumer, i ? 20 : 200);
        if (!message)
            return true;
        rd_kafka_resp_err_t error = message->err;
        if (!error)
            error = rd_kafka_producev(copier->producer, RD_KAFKA_V_TOPIC(copier->to),
                RD_KAFKA_V_PARTITION(message->partition),
                RD_KAFKA_V_VALUE(message->payload, message->len),
                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        else
            (void)fprintf(stderr, "consume: %s\n", rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
        if (error)
            return false;
    }
    return true;
}

static rd_kafka_error_t *send_offsets(struct copier *copier)
{
    rd_kafka_topic_partition_list_t *list = assigned(copier);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(copier->consumer);
    rd_kafka_error_t *error = NULL;
    if (!rd_kafka_position(copier->consumer, list))
        error = rd_kafka_send_offsets_to_transaction(copier->producer, list, group, CALL_MS);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(list);
    return error;
}

/* Commits, or aborts and goes back. */
static void finish(struct copier *copier, bool good)
{
    bool on_purpose = ++copier->transactions % ABORT_EVERY == 0;
    /* An abort drops what still waits in the producer: what is to be hidden must be in the log. */
    if (on_purpose)
        (void)rd_kafka_flush(copier->producer, CALL_MS);
    if (good && !failed("send offsets", send_offsets(copier)) && !on_purpose) {
        rd_kafka_error_t *error;
        while ((error = rd_kafka_commit_transaction(copier->producer, CALL_MS)) &&
               rd_kafka_error_is_retriable(error)) {
            rd_kafka_error_destroy(error);
            check_time(copier);
        }
        if (!failed("commit", error)) {
            copier->commits++;
            return;
        }
    }
    copier->aborts++;
    if (failed("abort", rd_kafka_abort_transaction(copier->producer, CALL_MS)))
        producer_open(copier);
    (void)go_back(copier);
}

int main(int count, char **words)
{
    if (count < 5) {
        (void)fprintf(stderr, "usage: rdkafka_copier BOOTSTRAP FROM TO COUNT [TIMEOUT-S]\n");
        return 2;
    }
    struct copier copier = { .bootstrap = words[1],
        .from = words[2],
        .to = words[3],
        .count = strtoll(words[4], NULL, 10),
        .until = time(NULL) + (count > 5 ? strtol(words[5], NULL, 10) : 60) };
    producer_open(&copier);
    consumer_open(&copier);
    for (int idle = 0; idle == 0 || go_back(&copier) < copier.count;) {
        check_time(&copier);
        if (failed("begin", rd_kafka_begin_transaction(copier.producer))) {
            producer_open(&copier);
            continue;
        }
        finish(&copier, copy_some(&copier));
        idle = copier.transactions % 20 == 0;
    }
    printf("%" PRId64 " copied, %" PRId64 " commits, %" PRId64 " aborts, %" PRId64 " producers\n",
        copier.count, copier.commits, copier.aborts, copier.producers);
    rd_kafka_destroy(copier.producer);
    rd_kafka_consumer_close(copier.consumer);
    rd_kafka_destroy(copier.consumer);
    return 0;
}
