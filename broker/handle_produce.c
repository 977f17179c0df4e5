/*
 * handle_produce.c - Produce, versions 3 to 13.
 *
 *   rows ──▶ prepare every batch ──▶ commit, in the connection's order ──▶ units done ──▶ answer
 *             (small ones here,        (log_commit, or parked while           acks=0: no answer,
 *              others on the pool)      the ring is full)                      dropped at once
 *
 * Each partition has its own error; the others are appended all the same. What was refused answers
 * with the code that Kafka gives (code_of_outcome), and from version 8 on with the records at
 * fault.
 *
 * Order. Produce requests of one connection are committed in the order they came, whatever the pool
 * does: one that is prepared waits for those before it (is_first), and goes on when they are in the
 * log. Between connections there is no order to keep.
 *
 * Units. Up to APPENDS_MAX partitions are one unit: one entry in the log, all or nothing. What does
 * not fit into a unit goes into the next; if the ring is full in between, the request is parked and
 * goes on there.
 *
 * Idempotence. Each batch with a producer id is checked right before it is committed (the state may
 * change while it is prepared or parked), and never twice the same partition in one unit, so the
 * check sees all before it. A duplicate is answered as it was the first time, when that is durable.
 *
 * Transactions. All transactional batches of a request are of one producer and of the transaction
 * that the request names. Up to version 11 their partitions must be in it already (KIP-890, part
 * 1), unless transaction.partition.verification.enable is false: then the log alone judges, and
 * what nobody ends hangs until an administrator's WriteTxnMarkers. Since version 12 they are added
 * with the very unit that appends them, so a partition never has data that its transaction does not
 * know of. A zombie's epoch is refused before the log is asked.
 *
 * acks=all waits for this node only: min.insync.replicas counts as min(its value, replicas), which
 * is 1, as in Kafka.
 *
 * Life of a struct produce: until the answer, or the cancel; but if the pool has its batches when
 * it is cancelled, until the pool is done. It holds the frame for that.
 */
#include <errno.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/commit.h"
#include "broker/handle_transactions.h"
#include "broker/names.h"
#include "broker/transaction_coordinator.h"
#include "broker/validation.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/messages.h"

enum {
    APPENDS_MAX = 64,      /* partitions in one unit */
    APPEND_OVERHEAD = 128, /* what a batch may cost in a unit beside its bytes */
    UNIT_OVERHEAD = 1024,
};

struct produce_part {
    struct preparation *preparation; /* NULL: the row is answered already */
    struct produce_response_partition_produce_response *row;
    struct uuid topic_id;
    int64_t append_ms; /* -1: CreateTime */
};

struct produce {
    struct request *request; /* NULL: cancelled; the pool still has the job */
    struct buffer *frame;
    struct validation_job job;
    struct list commits;     /* struct commit of ours, under way */
    size_t part_count, next; /* parts before next are answered or in a unit */
    bool prepared, committed, job_runs;
    bool transactional; /* some batches are, of this producer: */
    int64_t producer_id;
    int16_t producer_epoch;
    struct produce_part parts[];
};

static void produce_free(struct produce *produce)
{
    for (size_t i = 0; i < produce->job.count; i++)
        preparation_done(&produce->job.items[i]);
    mem_free(produce->job.items);
    buffer_unref(produce->frame);
    mem_free(produce);
}

static void produce_cancel(struct request *request)
{
    struct produce *produce = request->state;
    if (!produce)
        return;
    request->state = NULL;
    list_foreach_safe (node, next, &produce->commits)
        commit_forget(list_entry(node, struct commit, mine));
    produce->request = NULL;
    if (!produce->job_runs || validation_cancel(&produce->job))
        produce_free(produce);
}

/* ---- the answer ---------------------------------------------------------------------------- */

static void row_refuse(
    struct produce_response_partition_produce_response *row, int16_t code, struct bytes message)
{
    row->error_code = code;
    row->base_offset = -1;
    row->error_message = message;
}

static bool has_errors(const struct produce_response *answer)
{
    for (int32_t t = 0; t < answer->responses_count; t++)
        for (int32_t p = 0; p < answer->responses[t].partition_responses_count; p++)
            if (answer->responses[t].partition_responses[p].error_code)
                return true;
    return false;
}

/* Ends the request; without acks nobody is told, so an error closes the connection. */
static void answer_send(struct request *request)
{
    const struct produce_request *body = request->body;
    if (body->acks != 0)
        request_finish(request);
    else if (has_errors(request->answer))
        request_fail(request, "a batch sent with acks=0 was refused");
    else
        request_drop(request);
}

static void produce_finish(struct produce *produce)
{
    struct request *request = produce->request;
    request->state = NULL;
    produce_free(produce);
    answer_send(request);
}

static int16_t code_of_outcome(enum batch_outcome outcome)
{
    switch (outcome) {
    case BATCH_OK: return KAFKA_ERROR_NONE;
    case BATCH_BAD_SIZE:
    case BATCH_BAD_MAGIC:
    case BATCH_BAD_CRC: return KAFKA_ERROR_CORRUPT_MESSAGE;
    case BATCH_TOO_LARGE:
    case BATCH_BOMB: return KAFKA_ERROR_MESSAGE_TOO_LARGE;
    case BATCH_CODEC_UNKNOWN:
    case BATCH_CODEC_REFUSED: return KAFKA_ERROR_UNSUPPORTED_COMPRESSION_TYPE;
    case BATCH_BAD_TIMESTAMP: return KAFKA_ERROR_INVALID_TIMESTAMP;
    case BATCH_NO_MEMORY: return request_error_of(-ENOMEM);
    case BATCH_END:
    case BATCH_PARTIAL:
    case BATCH_OLD_MAGIC:
    case BATCH_NOT_ALONE:
    case BATCH_BAD_OFFSET:
    case BATCH_BAD_COUNT:
    case BATCH_CONTROL:
    case BATCH_BAD_SEQUENCE:
    case BATCH_BAD_COMPRESSION:
    case BATCH_BAD_RECORDS:
    case BATCH_NULL_KEY:
    case BATCH_OUTCOME_COUNT: break;
    }
    return KAFKA_ERROR_INVALID_RECORD;
}

static struct bytes fault_text(
    struct request *request, const struct produce_part *part, const struct record_error *error)
{
    const struct topic *topic = storage_topic_by_id(request->broker->storage, &part->topic_id);
    switch (error->fault) {
    case RECORD_NO_KEY: /* Kafka's own words: clients show them to people, who search for them */
        return answer_text(request,
            "Compacted topic cannot accept message without key in topic partition %s-%d.",
            topic ? topic->name : "", part->row->index);
    case RECORD_TIMESTAMP_TYPE:
        return bytes_text("the time of appending is the broker's to say, not the client's");
    case RECORD_TIMESTAMP_RANGE: break;
    }
    return answer_text(request, "timestamp %lld is outside the range that the topic accepts",
        (long long)error->timestamp);
}

static void records_blame(struct request *request, const struct produce_part *part)
{
    const struct preparation *preparation = part->preparation;
    struct produce_response_partition_produce_response *row = part->row;
    if (preparation->error_count == 0 || request->version < 8)
        return;
    row->record_errors = answer_array(request,
        &produce_response_batch_index_and_error_message_table, (int32_t)preparation->error_count);
    if (!row->record_errors)
        return;
    row->record_errors_count = (int32_t)preparation->error_count;
    for (uint32_t i = 0; i < preparation->error_count; i++) {
        row->record_errors[i].batch_index = preparation->errors[i].index;
        row->record_errors[i].batch_index_error_message =
            fault_text(request, part, &preparation->errors[i]);
    }
}

/* Kafka tells where the log begins with what its log refuses, not with what never gets there. */
static bool reaches_log(enum batch_outcome outcome)
{
    switch (outcome) {
    case BATCH_BAD_OFFSET:
    case BATCH_BAD_COUNT:
    case BATCH_CONTROL:
    case BATCH_BAD_SEQUENCE:
    case BATCH_CODEC_UNKNOWN:
    case BATCH_BAD_COMPRESSION:
    case BATCH_BAD_RECORDS:
    case BATCH_BAD_TIMESTAMP:
    case BATCH_NULL_KEY: return true;
    case BATCH_OK:
    case BATCH_END:
    case BATCH_PARTIAL:
    case BATCH_BAD_SIZE:
    case BATCH_BAD_MAGIC:
    case BATCH_OLD_MAGIC:
    case BATCH_BAD_CRC:
    case BATCH_NOT_ALONE:
    case BATCH_TOO_LARGE:
    case BATCH_CODEC_REFUSED:
    case BATCH_BOMB:
    case BATCH_NO_MEMORY:
    case BATCH_OUTCOME_COUNT: break;
    }
    return false;
}

/* True if the prepared batch may be appended; else the row says why not. */
static bool part_is_good(struct request *request, struct produce_part *part)
{
    const struct preparation *preparation = part->preparation;
    if (preparation->batch.data)
        return true;
    int16_t code = code_of_outcome(preparation->outcome);
    struct bytes message = bytes_text(batch_outcome_text(preparation->outcome));
    if (preparation->segment_full) {
        code = KAFKA_ERROR_RECORD_LIST_TOO_LARGE;
        message = bytes_text("the batch is larger than segment.bytes");
    } else if (preparation->error) {
        code = preparation->error == -E2BIG ? KAFKA_ERROR_MESSAGE_TOO_LARGE
                                            : request_error_of(preparation->error);
        message = bytes_text("the batch could not be written anew for the topic");
    }
    row_refuse(part->row, code, message);
    const struct topic *topic = reaches_log(preparation->outcome)
                                    ? storage_topic_by_id(request->broker->storage, &part->topic_id)
                                    : NULL;
    if (topic)
        part->row->log_start_offset = topic_log(topic, part->row->index)->start_offset;
    records_blame(request, part);
    return false;
}

/* ---- transactions -------------------------------------------------------------------------- */

static bool part_is_transactional(const struct produce_part *part)
{
    return part->preparation && batch_is_transactional(&part->preparation->view);
}

static bool adds_itself(const struct request *request)
{
    return request->version >= 12;
}

static struct transaction_event transaction_event_of(
    const struct request *request, const struct transaction_part *parts, size_t count)
{
    const struct produce *produce = request->state;
    return (struct transaction_event){ .kind = TRANSACTION_ADD,
        .protocol = adds_itself(request) ? TRANSACTION_V2 : TRANSACTION_V1,
        .producer_id = produce->producer_id,
        .epoch = produce->producer_epoch,
        .parts = parts,
        .part_count = count };
}

/* What is wrong with the transactional batches as a whole, which then goes for all batches. */
static int16_t transaction_fault(struct produce *produce)
{
    const struct produce_request *body = produce->request->body;
    for (size_t i = 0; i < produce->part_count; i++) {
        const struct produce_part *part = &produce->parts[i];
        if (!part_is_transactional(part))
            continue;
        if (!body->transactional_id.data)
            return KAFKA_ERROR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        const struct batch_view *view = &part->preparation->view;
        if (produce->transactional && (view->producer_id != produce->producer_id ||
                                          view->producer_epoch != produce->producer_epoch))
            return KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING;
        produce->transactional = true;
        produce->producer_id = view->producer_id;
        produce->producer_epoch = view->producer_epoch;
    }
    return 0;
}

/* May this producer write into this partition in its transaction? Asked at every commit, for the
 * answer changes. */
static int16_t membership_fault(struct request *request, const struct produce_part *part)
{
    const struct produce_request *body = request->body;
    struct transaction_event event = transaction_event_of(request, NULL, 0);
    struct transaction_effects effects;
    const struct transaction *transaction =
        transaction_coordinator_find(request->broker->transactions, body->transactional_id);
    if (!transaction)
        return KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING;
    if (!adds_itself(request))
        event.kind = TRANSACTION_VERIFY;
    transaction_step(transaction, &event, clock_wall_ms(request->broker->doors->clock), &effects);
    struct transaction_part in = { part->topic_id, part->row->index };
    if (effects.error || adds_itself(request) || transaction_has(transaction, &in))
        return transaction_code_for(effects.error, 0, 1);
    return request->version >= 11 ? KAFKA_ERROR_TRANSACTION_ABORTABLE
                                  : KAFKA_ERROR_INVALID_TXN_STATE;
}

static bool membership_is_good(
    struct request *request, const struct log *log, struct produce_part *part)
{
    struct producer_state known;
    const struct batch_view *view = &part->preparation->view;
    if (!adds_itself(request) && !request->broker->config->transaction_partition_verification)
        return true; /* as far as the coordinator goes */
    /* First what the log knows: a newer epoch fences whatever the transactional id is. */
    int16_t code =
        log_producer(log, view->producer_id, &known) && known.epoch > view->producer_epoch
            ? KAFKA_ERROR_INVALID_PRODUCER_EPOCH
            : membership_fault(request, part);
    if (code) {
        row_refuse(part->row, code, answer_error_text(code));
        return false;
    }
    /* Each transaction of version 2 begins with sequence 0 on a log that knows nothing of it. */
    if (adds_itself(request) && view->base_sequence != 0 &&
        !log_producer(log, view->producer_id, &known)) {
        row_refuse(part->row, KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER,
            bytes_text("a transaction begins with sequence 0"));
        return false;
    }
    return true;
}

/* The partitions of a unit join the transaction with it. */
struct joining {
    struct transaction_part parts[APPENDS_MAX];
    struct transaction_event event;
    struct transaction_effects effects;
};

static int16_t joining_fill(struct request *request, struct joining *joining, struct unit *unit,
    struct produce_part **chosen)
{
    const struct produce_request *body = request->body;
    size_t count = 0;
    joining->effects = (struct transaction_effects){ 0 };
    for (size_t i = 0; i < unit->append_count; i++)
        if (part_is_transactional(chosen[i]))
            joining->parts[count++] =
                (struct transaction_part){ chosen[i]->topic_id, chosen[i]->row->index };
    joining->event = transaction_event_of(request, joining->parts, count);
    if (count == 0 || !adds_itself(request))
        return 0;
    int status = transaction_coordinator_fill(request->broker->transactions, body->transactional_id,
        &joining->event, 0, unit, &joining->effects);
    return status ? transaction_code_of(status) : joining->effects.error;
}

static void joining_apply(struct request *request, const struct joining *joining)
{
    const struct produce_request *body = request->body;
    transaction_coordinator_apply(
        request->broker->transactions, body->transactional_id, &joining->event, &joining->effects);
}

/* What the state of the transaction may take of a unit. */
static size_t joining_room(const struct request *request)
{
    const struct produce_request *body = request->body;
    const struct produce *produce = request->state;
    const struct transaction *transaction =
        produce->transactional
            ? transaction_coordinator_find(request->broker->transactions, body->transactional_id)
            : NULL;
    return transaction ? (transaction->part_count + APPENDS_MAX) * sizeof(struct transaction_part) +
                             body->transactional_id.len
                       : 0;
}

/* ---- commit -------------------------------------------------------------------------------- */

static void commit_all(struct request *request);

static void produce_committed(struct request *request)
{
    struct produce *produce = request->state;
    if (produce->committed && list_empty(&produce->commits))
        produce_finish(produce);
}

/* A batch of a producer with an id: false if it is not to be appended, the row says why. */
static bool producer_is_good(
    struct request *request, const struct log *log, struct produce_part *part)
{
    struct produce_response_partition_produce_response *row = part->row;
    int64_t base_offset, append_ms;
    uint64_t lsn;
    if (part->preparation->view.producer_id < 0)
        return true;
    row->log_start_offset = log->start_offset;
    if (part->preparation->view.producer_epoch < -1) {
        row_refuse(row, KAFKA_ERROR_INVALID_PRODUCER_EPOCH, bytes_text("the epoch is negative"));
        return false;
    }
    switch (log_check_producer(log, part->preparation->batch, &base_offset, &append_ms, &lsn)) {
    case PRODUCER_OK: return true;
    case PRODUCER_DUPLICATE:
        row->base_offset = base_offset;
        row->log_append_time_ms = append_ms;
        request_depends(request, lsn);
        return false;
    case PRODUCER_OUT_OF_ORDER:
        row_refuse(row, KAFKA_ERROR_OUT_OF_ORDER_SEQUENCE_NUMBER,
            answer_text(request, "sequence %d is not the next of producer %lld",
                part->preparation->view.base_sequence,
                (long long)part->preparation->view.producer_id));
        return false;
    case PRODUCER_IN_TRANSACTION:
        row_refuse(row, KAFKA_ERROR_INVALID_TXN_STATE,
            answer_text(request, "producer %lld has a transaction open on this partition",
                (long long)part->preparation->view.producer_id));
        return false;
    case PRODUCER_NO_ROOM:
        row_refuse(row, KAFKA_ERROR_POLICY_VIOLATION,
            bytes_text("the broker keeps as many open and aborted transactions as it may"));
        return false;
    case PRODUCER_FENCED_EPOCH: break;
    }
    row_refuse(row, KAFKA_ERROR_INVALID_PRODUCER_EPOCH,
        answer_text(request, "producer %lld has a newer epoch than %d",
            (long long)part->preparation->view.producer_id,
            part->preparation->view.producer_epoch));
    return false;
}

/* The log that the part goes to; NULL if it has gone meanwhile, the row says so. */
static struct log *part_log(struct request *request, struct produce_part *part)
{
    struct topic *topic = storage_topic_by_id(request->broker->storage, &part->topic_id);
    struct log *log = topic ? topic_log(topic, part->row->index) : NULL;
    if (log)
        return log;
    request_depends(request, storage_deletion_lsn(request->broker->storage));
    row_refuse(part->row,
        request->version < 13 ? KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION
                              : KAFKA_ERROR_UNKNOWN_TOPIC_ID,
        bytes_of(NULL, 0));
    return NULL;
}

static bool unit_has(const struct unit *unit, const struct log *log)
{
    for (size_t i = 0; i < unit->append_count; i++)
        if (unit->appends[i].log == log)
            return true;
    return false;
}

/* Fills one unit from parts[next] on. `chosen` are the parts in it, in order. Returns the part that
 * comes after it. */
static size_t unit_fill(
    struct request *request, struct commit *commit, struct produce_part **chosen)
{
    struct produce *produce = request->state;
    struct unit *unit = &commit->unit;
    size_t room =
        storage_unit_max(request->broker->storage) - UNIT_OVERHEAD - joining_room(request);
    size_t i;
    for (i = produce->next; i < produce->part_count && unit->append_count < APPENDS_MAX; i++) {
        struct produce_part *part = &produce->parts[i];
        struct log *log = part->preparation ? part_log(request, part) : NULL;
        if (!log)
            continue;
        size_t cost = part->preparation->batch.len + APPEND_OVERHEAD;
        if (unit->append_count > 0 && (cost > room || unit_has(unit, log)))
            break;
        if (part_is_transactional(part) && !membership_is_good(request, log, part))
            continue;
        if (!producer_is_good(request, log, part))
            continue;
        chosen[unit->append_count] = part;
        unit_append(unit, log, part->preparation->batch);
        room -= cost < room ? cost : room;
    }
    return i;
}

static void unit_answer(
    struct produce_part **chosen, const struct unit_append *appends, size_t count, int16_t code)
{
    for (size_t i = 0; i < count; i++) {
        struct produce_response_partition_produce_response *row = chosen[i]->row;
        if (code) {
            row_refuse(row, code, bytes_of(NULL, 0));
            continue;
        }
        row->base_offset = appends[i].base_offset;
        row->log_append_time_ms = chosen[i]->append_ms;
        row->log_start_offset = appends[i].log->start_offset;
    }
}

/* One unit. False: the ring is full, nothing happened. */
static bool unit_commit(struct request *request)
{
    const struct produce_request *body = request->body;
    struct produce *produce = request->state;
    struct produce_part *chosen[APPENDS_MAX];
    struct commit *commit = commit_create(request, produce_committed);
    size_t next = unit_fill(request, commit, chosen);
    size_t count = commit->unit.append_count;
    struct joining joining;
    int16_t code = joining_fill(request, &joining, &commit->unit, chosen);
    if (count == 0 || code) {
        commit_drop(commit);
        unit_answer(chosen, NULL, count, code);
    } else {
        commit->unit.acks = body->acks;
        int error = commit_run(commit);
        if (error == -EAGAIN)
            return false;
        unit_answer(chosen, error ? NULL : commit->unit.appends, count, request_error_of(error));
        if (!error) {
            joining_apply(request, &joining);
            list_append(&produce->commits, &commit->mine);
        }
    }
    produce->next = next;
    return true;
}

/* All of a request. False: it is parked. Else it may be gone. */
static bool commit_one(struct request *request)
{
    const struct produce_request *body = request->body;
    struct produce *produce = request->state;
    while (produce->next < produce->part_count) {
        if (!unit_commit(request)) {
            request_park(request, commit_all);
            return false;
        }
    }
    produce->committed = true;
    if (body->acks == 0)
        list_foreach_safe (node, following, &produce->commits)
            commit_forget(list_entry(node, struct commit, mine));
    if (list_empty(&produce->commits))
        produce_finish(produce);
    return true;
}

/* A produce request that is not committed yet. */
static struct produce *produce_of(const struct request *request)
{
    struct produce *produce =
        request->api->key == API_PRODUCE ? (struct produce *)request->state : NULL;
    return produce && !produce->committed ? produce : NULL;
}

static bool is_first(const struct request *request)
{
    while ((request = request_before(request)))
        if (produce_of(request))
            return false;
    return true;
}

/* Commits this request and those behind it that are prepared. */
static void commit_all(struct request *request)
{
    while (request) {
        struct request *following = request_after(request);
        while (following && !produce_of(following))
            following = request_after(following);
        if (!commit_one(request) || !following || !produce_of(following)->prepared)
            return;
        request = following;
    }
}

static void prepared(struct produce *produce)
{
    struct request *request = produce->request;
    produce->prepared = true;
    for (size_t i = 0; i < produce->part_count; i++)
        if (produce->parts[i].preparation && !part_is_good(request, &produce->parts[i]))
            produce->parts[i].preparation = NULL;
    int16_t code = transaction_fault(produce);
    for (size_t i = 0; code && i < produce->part_count; i++) {
        if (produce->parts[i].preparation)
            row_refuse(produce->parts[i].row, code, answer_error_text(code));
        produce->parts[i].preparation = NULL;
    }
    if (is_first(request))
        commit_all(request);
}

static void job_done(struct validation_job *job, int status)
{
    struct produce *produce = container_of(job, struct produce, job);
    produce->job_runs = false;
    if (!produce->request || status)
        produce_free(produce); /* with status the broker ends, and its requests have ended */
    else
        prepared(produce);
}

/* ---- from the request to its parts --------------------------------------------------------- */

static void preparation_fill(struct preparation *preparation, const struct request *request,
    const struct topic_config *config, struct bytes records)
{
    /* The bytes lie in the request's own frame. */
    preparation->data = request->frame->data + (records.data - request->frame->data);
    preparation->len = records.len;
    preparation->rules = (struct batch_rules){ .client = true,
        .zstd_refused = request->version < 7,
        .keys_required = config->cleanup_policy & CLEANUP_COMPACT,
        .log_append_time = config->timestamp_type == TIMESTAMP_APPEND,
        .size_max = (size_t)config->max_message_bytes,
        .now_ms = clock_wall_ms(request->broker->doors->clock),
        .before_max_ms = config->timestamp_before_max_ms,
        .after_max_ms = config->timestamp_after_max_ms };
    preparation->segment_bytes_max = (size_t)config->segment_bytes;
    preparation->codec = config->compression_type;
    preparation->level = COMPRESS_LEVEL_DEFAULT;
    if (config->compression_type == CODEC_GZIP)
        preparation->level = (int)config->compression_gzip_level;
    else if (config->compression_type == CODEC_LZ4)
        preparation->level = (int)config->compression_lz4_level;
    else if (config->compression_type == CODEC_ZSTD)
        preparation->level = (int)config->compression_zstd_level;
}

/* What is wrong with the partition as such; 0: nothing, and its log. */
static int16_t partition_fault(struct request *request, struct bytes name,
    const struct topic *topic, int32_t partition, struct log **ret_log)
{
    if (!topic)
        request_depends(request, storage_deletion_lsn(request->broker->storage));
    if (!topic)
        return request->version >= 13         ? KAFKA_ERROR_UNKNOWN_TOPIC_ID
               : topic_name_is_internal(name) ? KAFKA_ERROR_INVALID_TOPIC_EXCEPTION
                                              : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    if (topic->computed || (topic_name_is_internal(bytes_text(topic->name)) &&
                               !bytes_equal_text(request->client_id, "__admin_client")))
        return KAFKA_ERROR_INVALID_TOPIC_EXCEPTION;
    *ret_log = topic_log(topic, partition);
    return *ret_log ? 0 : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
}

/* What refuses the whole request. */
static int16_t request_fault(const struct produce_request *body)
{
    if (body->acks < -1 || body->acks > 1)
        return KAFKA_ERROR_INVALID_REQUIRED_ACKS;
    return 0;
}

static void part_add(struct produce *produce, struct bytes name, const struct topic *topic,
    const struct produce_request_partition_produce_data *asked,
    struct produce_response_partition_produce_response *row)
{
    struct request *request = produce->request;
    struct log *log = NULL;
    row->index = asked->index;
    int16_t code = request_fault(request->body);
    if (!code)
        code = partition_fault(request, name, topic, asked->index, &log);
    if (!code && !asked->records.data)
        code = KAFKA_ERROR_INVALID_RECORD;
    if (code) {
        row_refuse(row, code, bytes_of(NULL, 0));
        return;
    }
    struct preparation *preparation = &produce->job.items[produce->job.count++];
    preparation_fill(preparation, request, &topic->config, records_bytes(asked->records));
    produce->parts[produce->part_count++] = (struct produce_part){ .preparation = preparation,
        .row = row,
        .topic_id = topic->id,
        .append_ms = preparation->rules.log_append_time ? preparation->rules.now_ms : -1 };
}

/* NULL: the request has failed. */
static struct produce *produce_create(struct request *request, size_t part_count)
{
    struct produce *produce =
        mem_try_alloc(sizeof(*produce) + part_count * sizeof(produce->parts[0]));
    struct preparation *items = produce ? mem_try_alloc((part_count + 1) * sizeof(*items)) : NULL;
    if (!items) {
        mem_free(produce);
        request_fail(request, "no memory for the partitions of a produce request");
        return NULL;
    }
    memset(items, 0, (part_count + 1) * sizeof(*items));
    memset(produce, 0, sizeof(*produce));
    produce->request = request;
    produce->frame = buffer_ref(request->frame);
    produce->job.items = items;
    produce->job.done = job_done;
    list_init(&produce->job.link);
    list_init(&produce->commits);
    request->state = produce;
    request->cancel = produce_cancel;
    return produce;
}

/* The rows of the answer; how many partitions there are, or -1: the request has failed. */
static int64_t rows_create(struct request *request)
{
    const struct produce_request *body = request->body;
    struct produce_response *answer = request->answer;
    int64_t count = 0;
    answer->responses = answer_array(
        request, &produce_response_topic_produce_response_table, body->topic_data_count);
    if (!answer->responses)
        return -1;
    answer->responses_count = body->topic_data_count;
    for (int32_t t = 0; t < body->topic_data_count; t++) {
        struct produce_response_topic_produce_response *topic = &answer->responses[t];
        topic->name = body->topic_data[t].name;
        topic->topic_id = body->topic_data[t].topic_id;
        topic->partition_responses_count = body->topic_data[t].partition_data_count;
        topic->partition_responses = answer_array(request,
            &produce_response_partition_produce_response_table, topic->partition_responses_count);
        if (!topic->partition_responses)
            return -1;
        count += topic->partition_responses_count;
    }
    return count;
}

void handle_produce(struct request *request)
{
    const struct produce_request *body = request->body;
    struct produce_response *answer = request->answer;
    struct broker *broker = request->broker;
    int64_t count = rows_create(request);
    struct produce *produce = count < 0 ? NULL : produce_create(request, (size_t)count);
    if (!produce)
        return;
    for (int32_t t = 0; t < body->topic_data_count; t++) {
        const struct produce_request_topic_produce_data *data = &body->topic_data[t];
        const struct topic *topic = request->version < 13
                                        ? storage_topic(broker->storage, data->name)
                                        : storage_topic_by_id(broker->storage, &data->topic_id);
        for (int32_t p = 0; p < data->partition_data_count; p++)
            part_add(produce, data->name, topic, &data->partition_data[p],
                &answer->responses[t].partition_responses[p]);
    }
    if (validation_inline(broker->validation, produce->job.items, produce->job.count)) {
        prepared(produce);
    } else {
        produce->job_runs = true;
        validation_submit(broker->validation, &produce->job);
    }
}
