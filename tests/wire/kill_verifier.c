/*
 * kill_verifier - produces without end while somebody kills the broker, then checks what is there.
 *
 *   kill_verifier BOOTSTRAP TOPIC PARTITIONS VALUE-SIZE idempotent|plain
 *
 * Every record carries its partition and a counter. What the broker acknowledged is kept outside of
 * it: counter → offset. On end of stdin the producing stops, everything in flight is waited for,
 * and the topic is read from the beginning:
 *
 *   lost        acknowledged, not there                       must be 0
 *   moved       there, but not at the acknowledged offset     must be 0
 *   duplicated  there more than once                          must be 0 with `idempotent`
 *   disordered  a counter after a greater one                 must be 0 with `idempotent`
 *
 * Prints one line of JSON; exits with 1 if something must not be.
 */
#include <librdkafka/rdkafka.h>

#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A pause of a millisecond after each BURST records keeps a run of many rounds readable at its end.
 */
enum { PARTITIONS_MAX = 64, FLUSH_MS = 60000, READ_MS = 60000, BURST = 32 };
enum { SEEN = 1, SEEN_IN_PLACE = 2 };

struct partition {
    int64_t *offsets; /* by counter: acknowledged offset, -1 not yet, -2 failed */
    size_t count, capacity;
    /* while reading */
    uint8_t *seen; /* by counter: SEEN bits */
    int64_t newest;
};

struct verifier {
    struct partition partitions[PARTITIONS_MAX];
    int32_t partition_count;
    uint64_t acked, failed, lost, moved, duplicated, disordered, read, fatal;
    bool idempotent;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct verifier *v = opaque;
    (void)rk;
    size_t counter = (size_t)(uintptr_t)message->_private;
    int64_t *offset = &v->partitions[message->partition].offsets[counter];
    if (message->err) {
        *offset = -2;
        if (v->failed++ == 0)
            (void)fprintf(stderr, "delivery failed: %s\n", rd_kafka_err2str(message->err));
        return;
    }
    *offset = message->offset;
    v->acked++;
}

static void must(bool good, const char *what, const char *error)
{
    if (good)
        return;
    (void)fprintf(stderr, "kill_verifier: %s: %s\n", what, error);
    exit(2);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[512];
    must(rd_kafka_conf_set(conf, name, value, error, sizeof(error)) == RD_KAFKA_CONF_OK, name,
        error);
}

static rd_kafka_conf_t *conf_new(const char *bootstrap)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "reconnect.backoff.ms", "10");
    set(conf, "reconnect.backoff.max.ms", "50");
    set(conf, "retry.backoff.ms", "20");
    set(conf, "socket.timeout.ms", "5000");
    set(conf, "log_level", "0");
    return conf;
}

static bool stdin_ended(void)
{
    struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
    char byte;
    return poll(&fd, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static bool produce_one(
    struct verifier *v, rd_kafka_t *rk, const char *topic, int32_t p, char *value, size_t size)
{
    struct partition *partition = &v->partitions[p];
    if (partition->count == partition->capacity) {
        partition->capacity = partition->capacity ? partition->capacity * 2 : 1024;
        partition->offsets =
            realloc(partition->offsets, partition->capacity * sizeof(*partition->offsets));
        must(partition->offsets, "memory", "none left");
    }
    int len = snprintf(value, size, "%d:%zu:", p, partition->count);
    memset(value + len, 'x', size - (size_t)len);
    partition->offsets[partition->count] = -1;
    rd_kafka_resp_err_t error =
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(p),
            RD_KAFKA_V_VALUE(value, size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_OPAQUE((void *)(uintptr_t)partition->count), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        partition->count++;
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void produce(struct verifier *v, const char *bootstrap, const char *topic, size_t size)
{
    char error[512];
    rd_kafka_conf_t *conf = conf_new(bootstrap);
    set(conf, "message.timeout.ms", "0");
    set(conf, "acks", "all");
    set(conf, "linger.ms", "1");
    set(conf, "batch.num.messages", "200");
    set(conf, "queue.buffering.max.messages", "5000");
    if (v->idempotent)
        set(conf, "enable.idempotence", "true");
    else
        set(conf, "max.in.flight.requests.per.connection", "1");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, v);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    must(rk, "producer", error);
    char *value = malloc(size);
    must(value, "memory", "none left");
    uint64_t tried = 0;
    for (int32_t p = 0; !stdin_ended() && v->fatal == 0; p = (p + 1) % v->partition_count) {
        if (!produce_one(v, rk, topic, p, value, size))
            (void)rd_kafka_poll(rk, 5);
        (void)rd_kafka_poll(rk, ++tried % BURST ? 0 : 1);
        v->fatal = rd_kafka_fatal_error(rk, error, sizeof(error)) != RD_KAFKA_RESP_ERR_NO_ERROR;
        if (v->fatal)
            (void)fprintf(stderr, "fatal: %s\n", error);
    }
    rd_kafka_resp_err_t flushed = rd_kafka_flush(rk, FLUSH_MS);
    must(flushed == RD_KAFKA_RESP_ERR_NO_ERROR || v->fatal, "flush", rd_kafka_err2str(flushed));
    free(value);
    rd_kafka_destroy(rk);
}

static void take(struct verifier *v, int32_t p, const rd_kafka_message_t *message)
{
    struct partition *partition = &v->partitions[p];
    const char *text = message->payload;
    char *end;
    char head[64];
    size_t len = message->len < sizeof(head) - 1 ? message->len : sizeof(head) - 1;
    memcpy(head, text, len);
    head[len] = '\0';
    long from = strtol(head, &end, 10);
    must(*end == ':' && from == p, "a record of another partition or damaged", head);
    size_t counter = strtoull(end + 1, &end, 10);
    must(*end == ':' && counter < partition->count, "a record nobody produced", head);
    v->read++;
    v->duplicated += partition->seen[counter] != 0;
    partition->seen[counter] |= SEEN;
    if (partition->offsets[counter] == message->offset)
        partition->seen[counter] |= SEEN_IN_PLACE;
    v->disordered += (int64_t)counter < partition->newest;
    partition->newest = (int64_t)counter;
}

static void read_partition(struct verifier *v, rd_kafka_t *rk, const char *topic, int32_t p)
{
    struct partition *partition = &v->partitions[p];
    partition->seen = calloc(partition->count + 1, 1);
    must(partition->seen, "memory", "none left");
    partition->newest = -1;
    int64_t low = 0, high = 0;
    rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, READ_MS);
    must(!error, "watermarks", rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, p)->offset = low;
    must(!rd_kafka_assign(rk, list), "assign", topic);
    rd_kafka_topic_partition_list_destroy(list);
    for (int64_t at = low; at < high;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, READ_MS);
        must(message, "read", "nothing came");
        must(!message->err, "read", rd_kafka_message_errstr(message));
        must(message->offset == at, "read", "a gap in the offsets");
        take(v, p, message);
        at = message->offset + 1;
        rd_kafka_message_destroy(message);
    }
    for (size_t i = 0; i < partition->count; i++) {
        bool acked = partition->offsets[i] >= 0;
        v->lost += acked && !partition->seen[i];
        v->moved += acked && partition->seen[i] && !(partition->seen[i] & SEEN_IN_PLACE);
    }
    free(partition->seen);
}

static void check(struct verifier *v, const char *bootstrap, const char *topic)
{
    char error[512];
    rd_kafka_conf_t *conf = conf_new(bootstrap);
    set(conf, "group.id", "kill-verifier");
    set(conf, "enable.auto.commit", "false");
    set(conf, "check.crcs", "true");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
    must(rk, "consumer", error);
    for (int32_t p = 0; p < v->partition_count; p++)
        read_partition(v, rk, topic, p);
    rd_kafka_destroy(rk);
}

int main(int argc, char **argv)
{
    static struct verifier v;
    must(
        argc == 6, "usage", "kill_verifier BOOTSTRAP TOPIC PARTITIONS VALUE-SIZE idempotent|plain");
    v.partition_count = (int32_t)strtol(argv[3], NULL, 10);
    size_t size = strtoull(argv[4], NULL, 10);
    must(v.partition_count > 0 && v.partition_count <= PARTITIONS_MAX && size >= 32, "usage",
        argv[3]);
    v.idempotent = strcmp(argv[5], "idempotent") == 0;
    produce(&v, argv[1], argv[2], size);
    check(&v, argv[1], argv[2]);
    printf("{\"acked\": %" PRIu64 ", \"read\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"lost\": %" PRIu64 ", \"moved\": %" PRIu64 ", \"duplicated\": %" PRIu64
           ", \"disordered\": %" PRIu64 ", \"fatal\": %" PRIu64 "}\n",
        v.acked, v.read, v.failed, v.lost, v.moved, v.duplicated, v.disordered, v.fatal);
    bool bad = v.lost || v.moved || v.failed || v.fatal || v.acked == 0 ||
               (v.idempotent && (v.duplicated || v.disordered));
    for (int32_t p = 0; p < v.partition_count; p++)
        free(v.partitions[p].offsets);
    return bad ? 1 : 0;
}
