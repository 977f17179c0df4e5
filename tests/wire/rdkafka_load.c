/*
 * rdkafka_load - many records through librdkafka, counted and summed at both ends.
 *
 *   rdkafka_load produce BOOTSTRAP TOPIC PARTITIONS COUNT SIZE CODEC ACKS plain|idempotent
 *   rdkafka_load consume BOOTSTRAP TOPIC PARTITIONS COUNT
 *
 * A record's value begins with its number; the rest follows from the number, half of it noise, so
 * that codecs have something to do and not everything to gain. Both print one line:
 *
 *   COUNT records, sum SUM
 *
 * where SUM adds up a hash of every value (FNV-1a), whatever the order. `produce` counts what was
 * acknowledged and ends with 1 if anything was refused; `consume` ends with 1 if the numbers of a
 * partition do not rise, or something else is wrong with a record.
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_MIN = 32, VALUE_MAX = 1 << 20, PARTITIONS_MAX = 64, PATIENCE_MS = 120000 };

struct tally {
    uint64_t count, sum, refused;
};

static void must(bool good, const char *what, const char *error)
{
    if (good)
        return;
    (void)fprintf(stderr, "rdkafka_load: %s: %s\n", what, error);
    exit(2);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[512];
    must(rd_kafka_conf_set(conf, name, value, error, sizeof(error)) == RD_KAFKA_CONF_OK, name,
        error);
}

static uint64_t hash(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        h = (h ^ bytes[i]) * UINT64_C(1099511628211);
    return h;
}

static void value_fill(char *value, size_t size, uint64_t number)
{
    uint64_t noise = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    int len = snprintf(value, size, "%" PRIu64 ":", number);
    for (size_t i = (size_t)len; i < size; i++) {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        value[i] = i % 2 ? (char)noise : 'x';
    }
}

/* ---- produce ---- */

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct tally *tally = opaque;
    (void)rk;
    if (message->err) {
        if (tally->refused++ == 0)
            (void)fprintf(stderr, "refused: %s\n", rd_kafka_err2str(message->err));
        return;
    }
    tally->count++;
    tally->sum += hash(message->payload, message->len);
}

static int produce(char **words)
{
    char error[512];
    struct tally tally = { 0 };
    const char *topic = words[1];
    int32_t partitions = atoi(words[2]);
    uint64_t count = strtoull(words[3], NULL, 10);
    size_t size = strtoull(words[4], NULL, 10);
    must(size >= VALUE_MIN && size <= VALUE_MAX, "SIZE", words[4]);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", words[0]);
    set(conf, "compression.codec", words[5]);
    set(conf, "acks", words[6]);
    set(conf, "enable.idempotence", strcmp(words[7], "idempotent") == 0 ? "true" : "false");
    set(conf, "linger.ms", "5");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_conf_set_opaque(conf, &tally);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    must(rk, "producer", error);
    char *value = malloc(size);
    must(value, "memory", "none");
    for (uint64_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t status;
        value_fill(value, size, i);
        while ((status = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
                    RD_KAFKA_V_PARTITION((int32_t)(i % (uint64_t)partitions)),
                    RD_KAFKA_V_VALUE(value, size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                    RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(rk, 100);
        must(!status, "produce", rd_kafka_err2str(status));
        rd_kafka_poll(rk, 0);
    }
    rd_kafka_flush(rk, PATIENCE_MS);
    printf("%" PRIu64 " records, sum %016" PRIx64 "\n", tally.count, tally.sum);
    free(value);
    rd_kafka_destroy(rk);
    return tally.refused || tally.count != count;
}

/* ---- consume ---- */

struct reading {
    struct tally tally;
    uint64_t next[PARTITIONS_MAX]; /* numbers of a partition are at least so large */
    bool wrong;
};

static void take(struct reading *reading, const rd_kafka_message_t *message)
{
    uint64_t number = strtoull(message->payload, NULL, 10);
    if (number < reading->next[message->partition]) {
        (void)fprintf(stderr, "number %" PRIu64 " of partition %d came after %" PRIu64 "\n", number,
            message->partition, reading->next[message->partition] - 1);
        reading->wrong = true;
    }
    reading->next[message->partition] = number + 1;
    reading->tally.count++;
    reading->tally.sum += hash(message->payload, message->len);
}

static int consume(char **words)
{
    char error[512];
    static struct reading reading;
    int32_t partitions = atoi(words[2]), ended = 0;
    uint64_t count = strtoull(words[3], NULL, 10);
    must(partitions > 0 && partitions <= PARTITIONS_MAX, "PARTITIONS", words[2]);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", words[0]);
    set(conf, "group.id", "rdkafka_load");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "check.crcs", "true");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
    must(rk, "consumer", error);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int32_t p = 0; p < partitions; p++)
        rd_kafka_topic_partition_list_add(list, words[1], p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    must(!rd_kafka_assign(rk, list), "assign", "failed");
    rd_kafka_topic_partition_list_destroy(list);
    while (ended < partitions) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, PATIENCE_MS);
        must(message, "consume", "nothing came");
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            ended++;
        else if (message->err)
            must(false, "consume", rd_kafka_message_errstr(message));
        else
            take(&reading, message);
        rd_kafka_message_destroy(message);
    }
    printf("%" PRIu64 " records, sum %016" PRIx64 "\n", reading.tally.count, reading.tally.sum);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return reading.wrong || reading.tally.count != count;
}

int main(int count, char **words)
{
    if (count == 10 && strcmp(words[1], "produce") == 0)
        return produce(words + 2);
    if (count == 6 && strcmp(words[1], "consume") == 0)
        return consume(words + 2);
    (void)fprintf(stderr, "see the top of tests/wire/rdkafka_load.c\n");
    return 2;
}
