/*
 * bench_client - a librdkafka client that does one thing as fast as it can, and says how it went.
 *
 *   bench_client produce BOOTSTRAP TOPIC COUNT SIZE BATCH-BYTES BATCH-RECORDS IN-FLIGHT ACKS
 *   bench_client consume BOOTSTRAP TOPIC PARTITIONS COUNT
 *
 * Prints one line: records, bytes, seconds. The broker's CPU time is read by the caller
 * (broker.py).
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void must(bool good, const char *what, const char *error)
{
    if (good)
        return;
    (void)fprintf(stderr, "bench_client: %s: %s\n", what, error);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[512];
    must(rd_kafka_conf_set(conf, name, value, error, sizeof(error)) == RD_KAFKA_CONF_OK, name,
        error);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t failed;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    (void)opaque;
    if (message->err && failed++ == 0)
        (void)fprintf(stderr, "bench_client: %s\n", rd_kafka_err2str(message->err));
}

static int produce(char **argv)
{
    char error[512];
    uint64_t count = strtoull(argv[4], NULL, 10);
    size_t size = strtoull(argv[5], NULL, 10);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[2]);
    set(conf, "batch.size", argv[6]);
    set(conf, "batch.num.messages", argv[7]);
    set(conf, "max.in.flight.requests.per.connection", argv[8]);
    set(conf, "acks", argv[9]);
    set(conf, "linger.ms", strcmp(argv[7], "1") == 0 ? "0" : "20");
    set(conf, "queue.buffering.max.messages", "200000");
    set(conf, "queue.buffering.max.kbytes", "262144");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    must(rk, "producer", error);
    /* Not compressible, not copied: it outlives every message. */
    char *value = malloc(size + 4096);
    must(value, "memory", "none left");
    for (size_t i = 0; i < size + 4096; i++)
        value[i] = (char)rand();
    double began = now();
    for (uint64_t i = 0; i < count;) {
        rd_kafka_resp_err_t status = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(argv[3]),
            RD_KAFKA_V_VALUE(&value[i % 4096], size), RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_END);
        if (status == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            (void)rd_kafka_poll(rk, 10);
        else
            must(!status, "produce", rd_kafka_err2str(status));
        i += status == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (i % 1000 == 0)
            (void)rd_kafka_poll(rk, 0);
    }
    must(rd_kafka_flush(rk, 300000) == RD_KAFKA_RESP_ERR_NO_ERROR, "flush", "timed out");
    must(failed == 0, "deliveries failed", "see above");
    printf("%" PRIu64 " %" PRIu64 " %.6f\n", count, count * size, now() - began);
    rd_kafka_destroy(rk);
    free(value);
    return 0;
}

static int consume(char **argv)
{
    char error[512];
    uint64_t count = strtoull(argv[5], NULL, 10), bytes = 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[2]);
    set(conf, "group.id", "bench");
    set(conf, "enable.auto.commit", "false");
    set(conf, "queued.min.messages", "1000000");
    set(conf, "fetch.message.max.bytes", "1048576");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
    must(rk, "consumer", error);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int32_t partitions = (int32_t)strtol(argv[4], NULL, 10);
    for (int32_t p = 0; p < partitions; p++)
        rd_kafka_topic_partition_list_add(list, argv[3], p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    double began = now();
    must(!rd_kafka_assign(rk, list), "assign", argv[3]);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
    rd_kafka_message_t *messages[1000];
    for (uint64_t got = 0; got < count;) {
        ssize_t n = rd_kafka_consume_batch_queue(queue, 30000, messages, 1000);
        must(n > 0, "consume", "nothing came for 30 s");
        for (ssize_t i = 0; i < n; i++) {
            must(!messages[i]->err, "consume", rd_kafka_message_errstr(messages[i]));
            bytes += messages[i]->len;
            rd_kafka_message_destroy(messages[i]);
        }
        got += (uint64_t)n;
    }
    printf("%" PRIu64 " %" PRIu64 " %.6f\n", count, bytes, now() - began);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 10 && strcmp(argv[1], "produce") == 0)
        return produce(argv);
    if (argc == 6 && strcmp(argv[1], "consume") == 0)
        return consume(argv);
    (void)fprintf(stderr, "usage: see the top of tests/bench/bench_client.c\n");
    return 2;
}
