/* Transactions as clients see them: protocol.md traps 23-38, through a whole broker.
 *
 * A producer of version 1 adds its partitions and keeps its epoch; of version 2 (Produce 12 and up,
 * EndTxn 5) it does neither. */
#include "protocol/error.h"
#include "protocol/messages.h"
#include "tests/test.h"
#include "tests/unit/client_test.h"

#include <stdio.h>

#include "broker/partition.h"
#include "broker/transaction_coordinator.h"
#include "protocol/base/mem.h"

enum { V1 = 1, V2 = 2, PARTITIONS = 3 };

struct producer {
    struct client *client;
    const char *id; /* transactional */
    int version;
    int64_t producer_id;
    int16_t epoch;
    int32_t sequence[PARTITIONS];
};

static struct world world;

static void begin(const char *const *options)
{
    world_open(&world, options);
    struct client *client = client_connect(&world);
    client_create_topic(client, "t", PARTITIONS, NULL);
    client_close(client);
}

static struct log *log_of(int32_t partition)
{
    return topic_log(storage_topic(world.broker->storage, bytes_text("t")), partition);
}

/* ---- a producer ---------------------------------------------------------------------------- */

static int16_t init_as(struct producer *producer, int64_t producer_id, int16_t epoch)
{
    struct init_producer_id_request request;
    codec_defaults(&init_producer_id_request_message, &request);
    request.transactional_id = bytes_text(producer->id);
    request.transaction_timeout_ms = 60000;
    request.producer_id = producer_id;
    request.producer_epoch = epoch;
    struct init_producer_id_response *answer =
        client_call(producer->client, API_INIT_PRODUCER_ID, 5, &request);
    if (answer->error_code)
        return answer->error_code;
    producer->producer_id = answer->producer_id;
    producer->epoch = answer->producer_epoch;
    memset(producer->sequence, 0, sizeof(producer->sequence));
    return 0;
}

static int16_t init(struct producer *producer)
{
    return init_as(producer, -1, -1);
}

static struct producer producer_of(const char *id, int version)
{
    struct producer producer = { .client = client_connect(&world), .id = id, .version = version };
    cr_assert_eq(init(&producer), 0);
    return producer;
}

static int16_t add(struct producer *producer, int32_t partition)
{
    struct add_partitions_to_txn_request request;
    struct add_partitions_to_txn_request_topic topic;
    codec_defaults(&add_partitions_to_txn_request_message, &request);
    struct_defaults(&add_partitions_to_txn_request_topic_table, &topic);
    topic.name = bytes_text("t");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.v3_and_below_transactional_id = bytes_text(producer->id);
    request.v3_and_below_producer_id = producer->producer_id;
    request.v3_and_below_producer_epoch = producer->epoch;
    request.v3_and_below_topics = &topic;
    request.v3_and_below_topics_count = 1;
    struct add_partitions_to_txn_response *answer =
        client_call(producer->client, API_ADD_PARTITIONS_TO_TXN, 3, &request);
    return answer->results_by_topic_v3_and_below->results_by_partition->partition_error_code;
}

static struct bytes batch_of(struct producer *producer, int32_t sequence, int32_t count, bool plain)
{
    struct batch_builder builder = { 0 };
    struct batch_options options = batch_options_plain(CODEC_NONE);
    struct record_view record = { .timestamp = 1000, .value = bytes_text("value") };
    struct out out = { 0 };
    options.producer_id = producer->producer_id;
    options.producer_epoch = producer->epoch;
    options.base_sequence = sequence;
    options.attributes = plain ? 0 : BATCH_ATTRIBUTE_TRANSACTIONAL;
    batch_builder_begin(&builder, &options);
    for (int32_t i = 0; i < count; i++)
        cr_assert_eq(batch_builder_append(&builder, &record), 0);
    cr_assert_eq(batch_builder_finish(&builder, NULL, &out), 0);
    uint8_t *copy = client_alloc(producer->client, out.len);
    memcpy(copy, out.data, out.len);
    struct bytes batch = bytes_of(copy, out.len);
    out_done(&out);
    batch_builder_done(&builder);
    return batch;
}

/* One batch, with an id of a transaction or without. */
static int16_t produce_as(struct producer *producer, int16_t version, const char *id,
    int32_t partition, struct bytes batch)
{
    struct produce_request request;
    struct produce_request_topic_produce_data data;
    struct produce_request_partition_produce_data part;
    codec_defaults(&produce_request_message, &request);
    struct_defaults(&produce_request_topic_produce_data_table, &data);
    struct_defaults(&produce_request_partition_produce_data_table, &part);
    request.transactional_id = id ? bytes_text(id) : bytes_of(NULL, 0);
    part.index = partition;
    part.records = (struct records){ .data = batch.data, .len = batch.len };
    data.name = bytes_text("t");
    data.partition_data = &part;
    data.partition_data_count = 1;
    request.acks = -1;
    request.timeout_ms = 30000;
    request.topic_data = &data;
    request.topic_data_count = 1;
    struct produce_response *answer = client_call(producer->client, API_PRODUCE, version, &request);
    return answer->responses[0].partition_responses[0].error_code;
}

static int16_t produce(struct producer *producer, int32_t partition, int32_t count)
{
    int16_t version = producer->version == V2 ? 12 : 11;
    struct bytes batch = batch_of(producer, producer->sequence[partition], count, false);
    int16_t code = produce_as(producer, version, producer->id, partition, batch);
    if (!code)
        producer->sequence[partition] += count;
    return code;
}

static int16_t end_as(struct producer *producer, int16_t version, bool committed)
{
    struct end_txn_request request;
    codec_defaults(&end_txn_request_message, &request);
    request.transactional_id = bytes_text(producer->id);
    request.producer_id = producer->producer_id;
    request.producer_epoch = producer->epoch;
    request.committed = committed;
    struct end_txn_response *answer = client_call(producer->client, API_END_TXN, version, &request);
    if (!answer->error_code && version >= 5) {
        producer->producer_id = answer->producer_id;
        producer->epoch = answer->producer_epoch;
        memset(producer->sequence, 0, sizeof(producer->sequence));
    }
    return answer->error_code;
}

static int16_t end(struct producer *producer, bool committed)
{
    return end_as(producer, producer->version == V2 ? 5 : 4, committed);
}

/* ---- readers ------------------------------------------------------------------------------- */

/* What a reader of committed data is given from an offset to the end: how many records, and the
 * aborted transactions as "producer@first offset". */
static const char *committed(struct client *client, int32_t partition, int64_t offset)
{
    char aborted[200] = "", *text = client_alloc(client, 250);
    int32_t records = 0;
    int64_t told = -1;
    size_t len = 0;
    while (offset < log_of(partition)->last_stable_offset) {
        struct fetch_request *request = client_fetch_request(client, "t", partition, offset);
        request->isolation_level = ISOLATION_READ_COMMITTED;
        request->max_wait_ms = 0;
        struct fetch_response_partition_data *row = client_fetch(client, 12, request);
        struct bytes run = records_bytes(row->records);
        struct batch_view batch;
        int64_t before = offset;
        cr_assert_eq(row->error_code, 0);
        cr_assert_geq(row->aborted_transactions_count, 0);
        while (batch_next(&run, &batch) == BATCH_OK) {
            records += batch_is_control(&batch) ? 0 : batch.count;
            offset = batch_last_offset(&batch) + 1;
        }
        cr_assert_gt(offset, before);
        for (int32_t i = 0; i < row->aborted_transactions_count; i++) {
            if (row->aborted_transactions[i].first_offset <= told)
                continue;
            told = row->aborted_transactions[i].first_offset;
            len += (size_t)snprintf(aborted + len, sizeof(aborted) - len, " %lld@%lld",
                (long long)row->aborted_transactions[i].producer_id, (long long)told);
        }
    }
    (void)snprintf(text, 250, "%d%s", records, aborted);
    return text;
}

static void expect_stable(int32_t partition, int64_t stable, int64_t end, const char *when)
{
    const struct log *log = log_of(partition);
    cr_assert(log->last_stable_offset == stable && log->high_watermark == end,
        "%s: %lld of %lld, not %lld of %lld", when, (long long)log->last_stable_offset,
        (long long)log->high_watermark, (long long)stable, (long long)end);
}

/* ---- the tests ----------------------------------------------------------------------------- */

TEST(handle_transactions, of_version_1_begin_to_end)
{
    begin(NULL);
    struct producer p = producer_of("one", V1);
    cr_assert_eq(produce(&p, 0, 5), KAFKA_ERROR_TRANSACTION_ABORTABLE, "not added");
    cr_assert_eq(
        produce_as(&p, 10, "one", 0, batch_of(&p, 0, 5, false)), KAFKA_ERROR_INVALID_TXN_STATE);
    cr_assert_eq(add(&p, 0), 0);
    cr_assert_eq(add(&p, 1), 0);
    cr_assert_eq(add(&p, 77), KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(produce(&p, 0, 5), 0);
    cr_assert_eq(produce(&p, 0, 5), 0);
    cr_assert_eq(produce(&p, 2, 5), KAFKA_ERROR_TRANSACTION_ABORTABLE);
    expect_stable(0, 0, 10, "open");
    cr_assert_str_eq(committed(p.client, 0, 0), "0");
    cr_assert_eq(end(&p, true), 0);
    expect_stable(0, 11, 11, "committed");
    expect_stable(1, 1, 1, "a marker without data");
    expect_stable(2, 0, 0, "not in it");
    cr_assert_str_eq(committed(p.client, 0, 0), "10");
    cr_assert_eq(end(&p, true), 0, "again");
    cr_assert_eq(end(&p, false), KAFKA_ERROR_INVALID_TXN_STATE);
    cr_assert_eq(produce(&p, 0, 5), KAFKA_ERROR_TRANSACTION_ABORTABLE, "it has ended");
    cr_assert_eq(add(&p, 0), 0);
    cr_assert_eq(produce(&p, 0, 5), 0);
    cr_assert_eq(end(&p, false), 0);
    cr_assert_str_eq(committed(p.client, 0, 0), "15 0@11");
    cr_assert_str_eq(committed(p.client, 0, 13), "5 0@11");
    cr_assert_str_eq(committed(p.client, 0, 17), "0");
    world_close(&world);
}

TEST(handle_transactions, of_version_2_begin_to_end)
{
    begin(NULL);
    struct producer p = producer_of("two", V2), zombie = p;
    cr_assert_eq(produce(&p, 0, 5), 0);
    cr_assert_eq(produce(&p, 2, 3), 0);
    cr_assert_eq(produce(&p, 0, 5), 0);
    expect_stable(0, 0, 10, "open");
    cr_assert_eq(end(&p, true), 0);
    cr_assert_eq(p.epoch, 1);
    expect_stable(0, 11, 11, "committed");
    expect_stable(2, 4, 4, "committed");
    expect_stable(1, 0, 0, "not in it");
    cr_assert_eq(produce(&zombie, 0, 1), KAFKA_ERROR_INVALID_PRODUCER_EPOCH);
    cr_assert_eq(end(&zombie, true), 0, "its answer was lost");
    cr_assert_eq(zombie.epoch, 1);
    cr_assert_eq(produce(&p, 0, 5), 0);
    cr_assert_eq(end(&p, false), 0);
    cr_assert_str_eq(committed(p.client, 0, 0), "15 0@11");
    cr_assert_eq(end(&p, true), KAFKA_ERROR_INVALID_TXN_STATE, "nothing to commit");
    cr_assert_eq(end(&p, false), 0, "but to abort");
    p.sequence[1] = 4;
    cr_assert_eq(produce(&p, 1, 1), KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    world_close(&world);
}

TEST(handle_transactions, produce_says_what_is_wrong)
{
    begin(NULL);
    struct producer p = producer_of("p", V2), other = producer_of("other", V2);
    cr_assert_eq(produce_as(&p, 12, NULL, 0, batch_of(&p, 0, 1, false)),
        KAFKA_ERROR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    cr_assert_eq(produce_as(&p, 12, "nobody", 0, batch_of(&p, 0, 1, false)),
        KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING);
    cr_assert_eq(produce_as(&p, 12, "other", 0, batch_of(&p, 0, 1, false)),
        KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING);
    cr_assert_eq(produce(&p, 0, 1), 0);
    cr_assert_eq(produce_as(&p, 12, "p", 0, batch_of(&p, 1, 1, true)),
        KAFKA_ERROR_INVALID_TXN_STATE, "a batch outside of the open transaction");
    cr_assert_eq(produce_as(&other, 12, "other", 0, batch_of(&other, 0, 1, true)), 0,
        "an id of a transaction does not make a batch one of it");
    expect_stable(0, 0, 2, "one is open");
    world_close(&world);
}

TEST(handle_transactions, a_second_producer_fences_the_first)
{
    begin(NULL);
    struct producer first = producer_of("f", V2);
    cr_assert_eq(produce(&first, 0, 5), 0);
    struct producer second = { .client = client_connect(&world), .id = "f", .version = V2 };
    cr_assert_eq(init(&second), KAFKA_ERROR_CONCURRENT_TRANSACTIONS);
    expect_stable(0, 6, 6, "the first one's was aborted");
    cr_assert_eq(init(&second), 0);
    cr_assert_eq(second.epoch, 2);
    cr_assert_eq(produce(&first, 0, 5), KAFKA_ERROR_INVALID_PRODUCER_EPOCH);
    cr_assert_eq(produce_as(&first, 12, "nobody", 0, batch_of(&first, 5, 1, false)),
        KAFKA_ERROR_INVALID_PRODUCER_EPOCH, "whatever it says that it is");
    cr_assert_eq(end(&first, true), KAFKA_ERROR_PRODUCER_FENCED);
    cr_assert_eq(end_as(&first, 1, true), KAFKA_ERROR_INVALID_PRODUCER_EPOCH, "an old version");
    cr_assert_eq(init_as(&first, first.producer_id, first.epoch), KAFKA_ERROR_PRODUCER_FENCED);
    cr_assert_eq(produce(&second, 0, 5), 0);
    cr_assert_eq(end(&second, true), 0);
    cr_assert_str_eq(committed(second.client, 0, 0), "10 0@0");
    world_close(&world);
}

/* The offset that ListOffsets tells a reader of committed data for the greatest time. */
static int64_t greatest_time(struct client *client)
{
    struct list_offsets_request request;
    struct list_offsets_request_topic topic;
    struct list_offsets_request_partition part;
    codec_defaults(&list_offsets_request_message, &request);
    struct_defaults(&list_offsets_request_topic_table, &topic);
    struct_defaults(&list_offsets_request_partition_table, &part);
    part.timestamp = -3;
    topic.name = bytes_text("t");
    topic.partitions = &part;
    topic.partitions_count = 1;
    request.isolation_level = ISOLATION_READ_COMMITTED;
    request.topics = &topic;
    request.topics_count = 1;
    struct list_offsets_response *answer = client_call(client, API_LIST_OFFSETS, 7, &request);
    cr_assert_eq(answer->topics[0].partitions[0].error_code, 0);
    return answer->topics[0].partitions[0].offset;
}

TEST(handle_transactions, hide_the_greatest_time_while_it_is_theirs)
{
    begin(NULL);
    struct producer p = producer_of("p", V2);
    struct bytes early = client_batch(p.client, CODEC_NONE, 0, 1); /* at 1000 */
    cr_assert_eq(client_produce(p.client, "t", 0, early)->error_code, 0);
    cr_assert_eq(greatest_time(p.client), 0);
    cr_assert_eq(produce(&p, 0, 1), 0);
    struct bytes late = client_batch(p.client, CODEC_NONE, 0, 2); /* at 1000 and 1001 */
    cr_assert_eq(client_produce(p.client, "t", 0, late)->error_code, 0);
    cr_assert_eq(greatest_time(p.client), -1, "of a record behind the open transaction");
    cr_assert_eq(end(&p, true), 0);
    cr_assert_eq(greatest_time(p.client), 4, "the marker, which is of now");
    world_close(&world);
}

TEST(handle_transactions, ids_have_a_limit)
{
    begin(NULL);
    enum { LEN = 32000, COUNT = TRANSACTION_ID_BYTES_MAX / LEN };
    struct client *client = client_connect(&world);
    struct init_producer_id_request request;
    char *id = mem_alloc(LEN + 1);
    memset(id, 'x', LEN);
    codec_defaults(&init_producer_id_request_message, &request);
    request.transaction_timeout_ms = 1000;
    request.transactional_id = bytes_of(id, LEN);
    for (int i = 0; i <= COUNT; i++) {
        (void)snprintf(id, 10, "%08d", i);
        id[8] = 'x';
        id[9] = 'x';
        struct init_producer_id_response *answer =
            client_call(client, API_INIT_PRODUCER_ID, 4, &request);
        cr_assert_eq(answer->error_code, i < COUNT ? 0 : KAFKA_ERROR_POLICY_VIOLATION, "%d", i);
    }
    request.transactional_id = bytes_of("a\0b", 3);
    struct init_producer_id_response *answer =
        client_call(client, API_INIT_PRODUCER_ID, 4, &request);
    cr_assert_eq(answer->error_code, KAFKA_ERROR_INVALID_REQUEST);
    mem_free(id);
    world_close(&world);
}

TEST(handle_transactions, init_says_what_is_wrong)
{
    begin((const char *[]){ "transaction.max.timeout.ms=60000", NULL });
    struct client *client = client_connect(&world);
    struct init_producer_id_request request;
    codec_defaults(&init_producer_id_request_message, &request);
    request.transactional_id = bytes_text("i");
    static const struct {
        int32_t timeout_ms;
        int64_t id;
        int16_t epoch, code;
        bool two_phase, keep;
    } cases[] = {
        { 60000, -1, -1, KAFKA_ERROR_NONE, false, false },
        { 60001, -1, -1, KAFKA_ERROR_INVALID_TRANSACTION_TIMEOUT, false, false },
        { 0, -1, -1, KAFKA_ERROR_INVALID_TRANSACTION_TIMEOUT, false, false },
        { 1, 5, -1, KAFKA_ERROR_INVALID_REQUEST, false, false },
        { 1, -1, 5, KAFKA_ERROR_INVALID_REQUEST, false, false },
        { 1, 5, 5, KAFKA_ERROR_PRODUCER_FENCED, false, false },
        { 1, -1, -1, KAFKA_ERROR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, true, false },
        { 1, -1, -1, KAFKA_ERROR_UNSUPPORTED_VERSION, false, true },
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        request.transaction_timeout_ms = cases[i].timeout_ms;
        request.producer_id = cases[i].id;
        request.producer_epoch = cases[i].epoch;
        request.enable2_pc = cases[i].two_phase;
        request.keep_prepared_txn = cases[i].keep;
        struct init_producer_id_response *answer =
            client_call(client, API_INIT_PRODUCER_ID, 6, &request);
        cr_assert_eq(
            answer->error_code, cases[i].code, "case %zu: %s", i, error_name(answer->error_code));
        cr_assert(answer->producer_id == -1 || !answer->error_code);
    }
    world_close(&world);
}

static void restart(struct producer *producer, int how)
{
    if (how == 0)
        world_stop(&world);
    else
        world_crash(&world, how == 1);
    world_start(&world, NULL);
    producer->client = client_connect(&world);
}

TEST(handle_transactions, go_on_after_any_end_of_the_broker)
{
    begin(NULL);
    struct producer p = producer_of("r", V2);
    int64_t end0 = 0;
    for (int life = 0; life < 9; life++) {
        cr_assert_eq(produce(&p, 0, 2), 0);
        restart(&p, life % 3);
        expect_stable(0, end0, end0 + 2, "open");
        cr_assert_eq(produce(&p, 0, 2), 0);
        cr_assert_eq(produce(&p, 1, 2), 0);
        struct producer retry = p;
        cr_assert_eq(end(&p, life % 2), 0);
        restart(&p, life % 3);
        end0 += 5;
        expect_stable(0, end0, end0, "ended");
        retry.client = p.client;
        cr_assert_eq(end(&retry, life % 2), 0, "the answer was lost with the broker");
        cr_assert_eq(retry.epoch, p.epoch);
    }
    cr_assert_str_eq(committed(p.client, 0, 0), "36 0@0 0@10 0@20 0@30 0@40");
    world_close(&world);
}

TEST(handle_transactions, end_when_their_time_is_up)
{
    begin(NULL);
    struct producer p = producer_of("late", V2);
    cr_assert_eq(produce(&p, 0, 2), 0);
    world_run(&world, 50000);
    expect_stable(0, 0, 2, "in time");
    restart(&p, 2);
    world_run(&world, 9000);
    expect_stable(0, 0, 2, "in time");
    world_run(&world, 2000);
    expect_stable(0, 3, 3, "late: a restart does not give it more");
    cr_assert_eq(produce(&p, 0, 2), KAFKA_ERROR_INVALID_PRODUCER_EPOCH);
    cr_assert_eq(end(&p, true), KAFKA_ERROR_INVALID_TXN_STATE);
    cr_assert_eq(end(&p, false), 0);
    cr_assert_eq(produce(&p, 0, 2), 0, "it goes on");
    cr_assert_str_eq(committed(p.client, 0, 0), "2 0@0");
    world_close(&world);
}

TEST(handle_transactions, ids_expire)
{
    begin((const char *[]){ "transactional.id.expiration.ms=100000",
        "transaction.remove.expired.transaction.cleanup.interval.ms=1000", NULL });
    struct producer p = producer_of("e", V2), busy = producer_of("busy", V2);
    cr_assert_eq(p.epoch, 0);
    world_run(&world, 50000);
    cr_assert_eq(produce(&busy, 0, 1), 0);
    world_run(&world, 52000);
    cr_assert_eq(produce(&p, 0, 2), KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING, "forgotten");
    int64_t before = p.producer_id;
    cr_assert_eq(init(&p), 0);
    cr_assert_neq(p.producer_id, before);
    cr_assert_eq(produce(&busy, 0, 1), 0, "one that is used is kept");
    world_close(&world);
}

TEST(handle_transactions, do_not_expire_while_they_go_on)
{
    begin((const char *[]){ "transactional.id.expiration.ms=1000",
        "transaction.remove.expired.transaction.cleanup.interval.ms=500", NULL });
    struct producer p = producer_of("e", V2);
    cr_assert_eq(produce(&p, 0, 1), 0);
    world_run(&world, 5000);
    cr_assert_eq(end(&p, true), 0);
    world_close(&world);
}

/* ---- offsets ------------------------------------------------------------------------------- */

static int16_t commit_offset(struct producer *producer, int16_t version, int64_t offset)
{
    struct txn_offset_commit_request request;
    struct txn_offset_commit_request_topic topic;
    struct txn_offset_commit_request_partition partition;
    codec_defaults(&txn_offset_commit_request_message, &request);
    struct_defaults(&txn_offset_commit_request_topic_table, &topic);
    struct_defaults(&txn_offset_commit_request_partition_table, &partition);
    partition.committed_offset = offset;
    partition.committed_metadata = bytes_text("m");
    topic.name = bytes_text("t");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.transactional_id = bytes_text(producer->id);
    request.group_id = bytes_text("g");
    request.producer_id = producer->producer_id;
    request.producer_epoch = producer->epoch;
    request.topics = &topic;
    request.topics_count = 1;
    struct txn_offset_commit_response *answer =
        client_call(producer->client, API_TXN_OFFSET_COMMIT, version, &request);
    return answer->topics->partitions->error_code;
}

static int16_t add_group(struct producer *producer)
{
    struct add_offsets_to_txn_request request;
    codec_defaults(&add_offsets_to_txn_request_message, &request);
    request.transactional_id = bytes_text(producer->id);
    request.producer_id = producer->producer_id;
    request.producer_epoch = producer->epoch;
    request.group_id = bytes_text("g");
    struct add_offsets_to_txn_response *answer =
        client_call(producer->client, API_ADD_OFFSETS_TO_TXN, 3, &request);
    return answer->error_code;
}

/* The committed offset, or -(error code) - 1000. */
static int64_t committed_offset(struct client *client, bool stable)
{
    struct offset_fetch_request request;
    struct offset_fetch_request_group group;
    struct offset_fetch_request_topics topics;
    int32_t partition = 0;
    codec_defaults(&offset_fetch_request_message, &request);
    struct_defaults(&offset_fetch_request_group_table, &group);
    struct_defaults(&offset_fetch_request_topics_table, &topics);
    topics.name = bytes_text("t");
    topics.partition_indexes = &partition;
    topics.partition_indexes_count = 1;
    group.group_id = bytes_text("g");
    group.topics = &topics;
    group.topics_count = 1;
    request.groups = &group;
    request.groups_count = 1;
    request.require_stable = stable;
    struct offset_fetch_response *answer = client_call(client, API_OFFSET_FETCH, 8, &request);
    const struct offset_fetch_response_partitions *row = answer->groups->topics->partitions;
    return row->error_code ? -row->error_code - 1000 : row->committed_offset;
}

static const int64_t unstable = -KAFKA_ERROR_UNSTABLE_OFFSET_COMMIT - 1000;

TEST(handle_transactions, offsets_wait_for_the_end)
{
    begin(NULL);
    struct producer p = producer_of("o", V1);
    cr_assert_eq(commit_offset(&p, 4, 10), KAFKA_ERROR_TRANSACTION_ABORTABLE, "group not added");
    cr_assert_eq(commit_offset(&p, 3, 10), KAFKA_ERROR_INVALID_TXN_STATE);
    cr_assert_eq(add_group(&p), 0);
    cr_assert_eq(commit_offset(&p, 3, 10), 0);
    cr_assert_eq(committed_offset(p.client, false), -1);
    cr_assert_eq(committed_offset(p.client, true), unstable);
    restart(&p, 2);
    cr_assert_eq(committed_offset(p.client, true), unstable);
    cr_assert_eq(end(&p, true), 0);
    cr_assert_eq(committed_offset(p.client, true), 10);
    p.version = V2;
    cr_assert_eq(commit_offset(&p, 5, 20), 0, "adds itself");
    cr_assert_eq(committed_offset(p.client, true), unstable);
    cr_assert_eq(committed_offset(p.client, false), 10);
    cr_assert_eq(end(&p, false), 0);
    cr_assert_eq(committed_offset(p.client, true), 10, "it was aborted");
    cr_assert_eq(commit_offset(&p, 5, 30), 0);
    cr_assert_eq(commit_offset(&p, 5, 31), 0);
    cr_assert_eq(end(&p, true), 0);
    cr_assert_eq(committed_offset(p.client, true), 31);
    restart(&p, 1);
    cr_assert_eq(committed_offset(p.client, true), 31);
    struct producer zombie = p;
    cr_assert_eq(init(&p), 0);
    cr_assert_eq(commit_offset(&zombie, 5, 40), KAFKA_ERROR_INVALID_PRODUCER_EPOCH);
    world_close(&world);
}

static void commit_plain(struct client *client, int64_t offset)
{
    struct offset_commit_request request;
    struct offset_commit_request_topic topic;
    struct offset_commit_request_partition partition;
    codec_defaults(&offset_commit_request_message, &request);
    struct_defaults(&offset_commit_request_topic_table, &topic);
    struct_defaults(&offset_commit_request_partition_table, &partition);
    partition.committed_offset = offset;
    topic.name = bytes_text("t");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.group_id = bytes_text("g");
    request.topics = &topic;
    request.topics_count = 1;
    struct offset_commit_response *answer = client_call(client, API_OFFSET_COMMIT, 8, &request);
    cr_assert_eq(answer->topics->partitions->error_code, 0);
}

TEST(handle_transactions, a_later_commit_outside_wins)
{
    begin(NULL);
    struct producer p = producer_of("o", V2);
    cr_assert_eq(commit_offset(&p, 5, 10), 0);
    commit_plain(p.client, 50);
    cr_assert_eq(end(&p, true), 0);
    cr_assert_eq(committed_offset(p.client, true), 50);
    commit_plain(p.client, 60);
    cr_assert_eq(commit_offset(&p, 5, 20), 0);
    cr_assert_eq(end(&p, true), 0);
    cr_assert_eq(committed_offset(p.client, true), 20);
    world_close(&world);
}

/* As Kafka: offsets count in the order in which they came, whichever transaction ends first. */
TEST(handle_transactions, of_two_the_later_offset_counts)
{
    begin(NULL);
    struct producer first = producer_of("o", V2), second = producer_of("p", V2);
    for (int restarts = 0; restarts < 2; restarts++) {
        cr_assert_eq(commit_offset(&first, 5, 10), 0);
        cr_assert_eq(commit_offset(&second, 5, 20), 0);
        cr_assert_eq(end(&first, true), 0);
        cr_assert_eq(committed_offset(first.client, false), 10);
        if (restarts) {
            restart(&first, 2);
            second.client = first.client;
        }
        cr_assert_eq(end(&second, true), 0);
        cr_assert_eq(committed_offset(first.client, true), 20);
        cr_assert_eq(commit_offset(&first, 5, 30), 0);
        cr_assert_eq(commit_offset(&second, 5, 40), 0);
        cr_assert_eq(end(&second, true), 0);
        cr_assert_eq(end(&first, true), 0);
        cr_assert_eq(committed_offset(first.client, true), 40);
        cr_assert_eq(commit_offset(&first, 5, 50), 0);
        commit_plain(first.client, 60);
        cr_assert_eq(end(&first, true), 0);
        cr_assert_eq(committed_offset(first.client, true), 60);
    }
    world_close(&world);
}

static int16_t delete_offset(struct client *client)
{
    struct offset_delete_request request;
    struct offset_delete_request_partition partition = { 0 };
    struct offset_delete_request_topic topic = { bytes_text("t"), &partition, 1 };
    codec_defaults(&offset_delete_request_message, &request);
    request.group_id = bytes_text("g");
    request.topics = &topic;
    request.topics_count = 1;
    struct offset_delete_response *answer = client_call(client, API_OFFSET_DELETE, 0, &request);
    return answer->error_code ? answer->error_code : answer->topics->partitions->error_code;
}

/* As Kafka: a deletion takes what a transaction that is still open would have committed. */
TEST(handle_transactions, what_was_deleted_meanwhile_does_not_come_back)
{
    begin(NULL);
    struct producer p = producer_of("o", V2);
    commit_plain(p.client, 50);
    cr_assert_eq(commit_offset(&p, 5, 60), 0);
    cr_assert_eq(delete_offset(p.client), 0);
    cr_assert_eq(committed_offset(p.client, true), -1, "nothing waits any more");
    restart(&p, 2);
    cr_assert_eq(end(&p, true), 0);
    cr_assert_eq(committed_offset(p.client, true), -1);
    world_close(&world);
}

/* ---- tools --------------------------------------------------------------------------------- */

static const char *described(struct client *client, const char *id)
{
    struct describe_transactions_request request;
    struct bytes ids = bytes_text(id);
    codec_defaults(&describe_transactions_request_message, &request);
    request.transactional_ids = &ids;
    request.transactional_ids_count = 1;
    struct describe_transactions_response *answer =
        client_call(client, API_DESCRIBE_TRANSACTIONS, 0, &request);
    const struct describe_transactions_response_transaction_state *row = answer->transaction_states;
    char *text = client_alloc(client, 300);
    if (row->error_code) {
        (void)snprintf(text, 300, "%s", error_name(row->error_code));
        return text;
    }
    int len = snprintf(text, 300, "%.*s %lld/%d", (int)row->transaction_state.len,
        row->transaction_state.data, (long long)row->producer_id, row->producer_epoch);
    for (int32_t t = 0; t < row->topics_count; t++) {
        len += snprintf(text + len, 300 - (size_t)len, " %.*s", (int)row->topics[t].topic.len,
            row->topics[t].topic.data);
        for (int32_t p = 0; p < row->topics[t].partitions_count; p++)
            len += snprintf(text + len, 300 - (size_t)len, ":%d", row->topics[t].partitions[p]);
    }
    return text;
}

static const char *listed(struct client *client, const char *state, const char *pattern)
{
    struct list_transactions_request request;
    struct bytes states = state ? bytes_text(state) : bytes_of(NULL, 0);
    codec_defaults(&list_transactions_request_message, &request);
    request.state_filters = &states;
    request.state_filters_count = state != NULL;
    request.transactional_id_pattern = pattern ? bytes_text(pattern) : bytes_of(NULL, 0);
    struct list_transactions_response *answer =
        client_call(client, API_LIST_TRANSACTIONS, 2, &request);
    char *text = client_alloc(client, 300);
    int len = snprintf(text, 300, "%s", answer->error_code ? error_name(answer->error_code) : "");
    for (int32_t i = 0; i < answer->unknown_state_filters_count; i++)
        len += snprintf(text + len, 300 - (size_t)len, "?");
    for (int32_t i = 0; i < answer->transaction_states_count; i++)
        len += snprintf(text + len, 300 - (size_t)len, " %.*s:%.*s",
            (int)answer->transaction_states[i].transactional_id.len,
            answer->transaction_states[i].transactional_id.data,
            (int)answer->transaction_states[i].transaction_state.len,
            answer->transaction_states[i].transaction_state.data);
    return text;
}

TEST(handle_transactions, are_told_to_tools)
{
    begin(NULL);
    struct producer a = producer_of("a-1", V2), b = producer_of("b-1", V2);
    cr_assert_eq(produce(&a, 0, 1), 0);
    cr_assert_eq(produce(&a, 2, 1), 0);
    cr_assert_eq(commit_offset(&a, 5, 1), 0);
    cr_assert_eq(produce(&b, 1, 1), 0);
    cr_assert_eq(end(&b, true), 0);
    cr_assert_str_eq(described(a.client, "a-1"), "Ongoing 0/0 __consumer_offsets:3 t:0:2");
    cr_assert_str_eq(described(a.client, "b-1"), "CompleteCommit 1/1");
    cr_assert_str_eq(described(a.client, "c"), "TRANSACTIONAL_ID_NOT_FOUND");
    cr_assert_str_eq(described(a.client, ""), "INVALID_REQUEST");
    cr_assert_str_eq(listed(a.client, NULL, NULL), " a-1:Ongoing b-1:CompleteCommit");
    cr_assert_str_eq(listed(a.client, "Ongoing", NULL), " a-1:Ongoing");
    cr_assert_str_eq(listed(a.client, "Dead", NULL), "");
    cr_assert_str_eq(listed(a.client, "Odd", NULL), "?", "as Kafka 4.3 does");
    cr_assert_str_eq(listed(a.client, NULL, "b.*"), " b-1:CompleteCommit");
    cr_assert_str_eq(listed(a.client, NULL, "1"), "", "the whole id");
    cr_assert_str_eq(listed(a.client, NULL, "(b"), "INVALID_REGULAR_EXPRESSION");
    cr_assert_str_eq(listed(a.client, NULL, "(a{1,9999}){1,9999}"), "INVALID_REGULAR_EXPRESSION");
    world_close(&world);
}

static int16_t write_marker(struct producer *producer, int64_t producer_id, int16_t epoch,
    int32_t coordinator_epoch, int8_t version, int32_t partition)
{
    struct write_txn_markers_request request;
    struct write_txn_markers_request_writable_txn_marker marker;
    struct write_txn_markers_request_writable_txn_marker_topic topic;
    codec_defaults(&write_txn_markers_request_message, &request);
    struct_defaults(&write_txn_markers_request_writable_txn_marker_table, &marker);
    struct_defaults(&write_txn_markers_request_writable_txn_marker_topic_table, &topic);
    topic.name = bytes_text("t");
    topic.partition_indexes = &partition;
    topic.partition_indexes_count = 1;
    marker.producer_id = producer_id;
    marker.producer_epoch = epoch;
    marker.coordinator_epoch = coordinator_epoch;
    marker.transaction_version = version;
    marker.topics = &topic;
    marker.topics_count = 1;
    request.markers = &marker;
    request.markers_count = 1;
    struct write_txn_markers_response *answer =
        client_call(producer->client, API_WRITE_TXN_MARKERS, 2, &request);
    return answer->markers->topics->partitions->error_code;
}

TEST(handle_transactions, are_ended_by_tools)
{
    begin(NULL);
    struct producer p = producer_of("m", V2);
    cr_assert_eq(end(&p, false), 0);
    cr_assert_eq(p.epoch, 1);
    cr_assert_eq(produce(&p, 0, 1), 0);
    cr_assert_eq(write_marker(&p, 0, 1, 0, 0, 55), KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION);
    cr_assert_eq(write_marker(&p, 0, 0, 0, 0, 0), KAFKA_ERROR_INVALID_PRODUCER_EPOCH);
    cr_assert_eq(write_marker(&p, 0, 1, 0, 2, 0), KAFKA_ERROR_INVALID_PRODUCER_EPOCH,
        "version 2 wants a new epoch");
    expect_stable(0, 0, 1, "open");
    cr_assert_eq(write_marker(&p, 0, 1, 5, 0, 0), 0);
    expect_stable(0, 2, 2, "aborted");
    cr_assert_eq(write_marker(&p, 0, 1, 4, 0, 0), KAFKA_ERROR_TRANSACTION_COORDINATOR_FENCED);
    cr_assert_eq(write_marker(&p, 0, 1, 5, 2, 0), 0, "once more");
    cr_assert_eq(write_marker(&p, 999, 0, 0, 0, 1), 0, "of a producer that nobody knows");
    cr_assert_str_eq(committed(p.client, 0, 0), "1 0@0");
    world_close(&world);
}

TEST(handle_transactions, hang_without_verification_until_a_tool_ends_them)
{
    begin((const char *[]){ "transaction.partition.verification.enable=false", NULL });
    struct producer p = producer_of("h", V1), nobody = p, newer;
    cr_assert_eq(produce(&p, 0, 2), 0, "not added");
    cr_assert_eq(end(&p, true), KAFKA_ERROR_INVALID_TXN_STATE, "its coordinator knows of none");
    nobody.producer_id = 4242;
    cr_assert_eq(produce_as(&nobody, 9, "nobody", 1, batch_of(&nobody, 7, 1, false)), 0);
    for (int how = 0; how < 3; how++) {
        restart(&p, how);
        expect_stable(0, 0, 2, "hangs");
        expect_stable(1, 0, 1, "hangs");
        cr_assert_eq(produce(&p, 0, 1), KAFKA_ERROR_TRANSACTION_ABORTABLE, "the key is true again");
    }
    newer = producer_of("h", V1);
    expect_stable(0, 0, 2, "a newer instance ends nothing");
    cr_assert_eq(newer.epoch, 1);
    cr_assert_eq(write_marker(&p, p.producer_id, 0, 0, 1, 0), 0);
    expect_stable(0, 3, 3, "ended");
    expect_stable(1, 0, 1, "another's");
    cr_assert_eq(write_marker(&p, 4242, 0, 0, 1, 1), 0);
    for (int how = 0; how < 3; how++) {
        restart(&p, how);
        expect_stable(0, 3, 3, "ended");
        expect_stable(1, 2, 2, "ended");
    }
    cr_assert_str_eq(committed(p.client, 0, 0), "2 0@0");
    cr_assert_str_eq(committed(p.client, 1, 0), "1 4242@0");
    world_close(&world);
}

TEST(handle_transactions, partitions_are_verified_for_brokers)
{
    begin(NULL);
    struct producer p = producer_of("v", V2);
    cr_assert_eq(produce(&p, 1, 1), 0);
    struct add_partitions_to_txn_request request;
    struct add_partitions_to_txn_request_transaction transactions[3];
    struct add_partitions_to_txn_request_topic topic;
    int32_t partitions[] = { 0, 1 };
    codec_defaults(&add_partitions_to_txn_request_message, &request);
    struct_defaults(&add_partitions_to_txn_request_topic_table, &topic);
    topic.name = bytes_text("t");
    topic.partitions = partitions;
    topic.partitions_count = 2;
    for (int i = 0; i < 3; i++) {
        struct_defaults(&add_partitions_to_txn_request_transaction_table, &transactions[i]);
        transactions[i].transactional_id = bytes_text(i == 2 ? "w" : "v");
        transactions[i].producer_id = p.producer_id;
        transactions[i].producer_epoch = p.epoch;
        transactions[i].verify_only = i == 0;
        transactions[i].topics = &topic;
        transactions[i].topics_count = 1;
    }
    request.transactions = transactions;
    request.transactions_count = 3;
    struct add_partitions_to_txn_response *answer =
        client_call(p.client, API_ADD_PARTITIONS_TO_TXN, 5, &request);
    static const int16_t expected[3][2] = {
        { KAFKA_ERROR_TRANSACTION_ABORTABLE, 0 },
        { 0, 0 },
        { KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING, KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING },
    };
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            cr_assert_eq(answer->results_by_transaction[i]
                             .topic_results->results_by_partition[k]
                             .partition_error_code,
                expected[i][k], "%d %d", i, k);
    cr_assert_str_eq(described(p.client, "v"), "Ongoing 0/0 t:0:1");
    world_close(&world);
}
