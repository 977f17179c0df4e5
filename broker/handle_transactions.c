/*
 * handle_transactions.c - AddPartitionsToTxn (0-5), AddOffsetsToTxn (0-4), EndTxn (0-5): what a
 * transactional producer says to its coordinator between InitProducerId and the next one.
 *
 *   request ──▶ event ──▶ transaction_coordinator_step ──▶ answer, when its position is durable
 *
 * The ring is full: parked, and the whole request is handled anew; a step that was made before is
 * then a repetition, which is fine.
 *
 * AddPartitionsToTxn of version 4 and up is what brokers send each other, for several transactions
 * at a time; `verify only` asks whether the partitions are in the transaction and adds none.
 */
#include <errno.h>
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/handle_transactions.h"
#include "broker/transaction_coordinator.h"
#include "protocol/error.h"
#include "protocol/messages.h"

int16_t transaction_code_for(int16_t code, int16_t version, int16_t knows_fenced)
{
    return code == KAFKA_ERROR_PRODUCER_FENCED && version < knows_fenced
               ? KAFKA_ERROR_INVALID_PRODUCER_EPOCH
               : code;
}

int16_t transaction_code_of(int status)
{
    switch (status) {
    case 0: return KAFKA_ERROR_NONE;
    /* Too many ids or partitions: nothing that passes by itself, so nothing to try again. */
    case -E2BIG: return KAFKA_ERROR_POLICY_VIOLATION;
    default: return KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
    }
}

/* ---- AddPartitionsToTxn -------------------------------------------------------------------- */

struct addition {
    struct bytes id;
    struct transaction_event event;
    const struct add_partitions_to_txn_request_topic *topics;
    int32_t topic_count;
    bool unknown; /* one of the partitions is not there: none is added */
    struct add_partitions_to_txn_response_topic_result *results;
};

/* Rows, each with what is wrong with its partition, and the parts. False: the request has failed.
 */
static bool addition_look(struct request *request, struct addition *addition)
{
    size_t count = 0;
    for (int32_t t = 0; t < addition->topic_count; t++)
        count += (size_t)addition->topics[t].partitions_count;
    struct transaction_part *parts = request_alloc(request, count * sizeof(*parts) + 1);
    addition->results = answer_array(
        request, &add_partitions_to_txn_response_topic_result_table, addition->topic_count);
    if (!parts || !addition->results)
        return false;
    addition->event.parts = parts;
    for (int32_t t = 0; t < addition->topic_count; t++) {
        const struct add_partitions_to_txn_request_topic *asked = &addition->topics[t];
        struct add_partitions_to_txn_response_topic_result *result = &addition->results[t];
        const struct topic *topic = answer_topic(request, asked->name, NULL);
        result->name = asked->name;
        result->results_by_partition = answer_array(request,
            &add_partitions_to_txn_response_partition_result_table, asked->partitions_count);
        if (!result->results_by_partition)
            return false;
        result->results_by_partition_count = asked->partitions_count;
        for (int32_t p = 0; p < asked->partitions_count; p++) {
            result->results_by_partition[p].partition_index = asked->partitions[p];
            if (topic && !topic->computed && topic_log(topic, asked->partitions[p])) {
                parts[addition->event.part_count++] =
                    (struct transaction_part){ topic->id, asked->partitions[p] };
                continue;
            }
            result->results_by_partition[p].partition_error_code =
                topic && topic->computed ? KAFKA_ERROR_INVALID_TOPIC_EXCEPTION
                                         : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
            addition->unknown = true;
        }
    }
    return true;
}

/* The code of every partition that has none of its own. */
static void addition_answer(struct addition *addition, int16_t code)
{
    for (int32_t t = 0; t < addition->topic_count; t++) {
        struct add_partitions_to_txn_response_topic_result *result = &addition->results[t];
        for (int32_t p = 0; p < result->results_by_partition_count; p++)
            if (!result->results_by_partition[p].partition_error_code)
                result->results_by_partition[p].partition_error_code = code;
    }
}

/* Each partition for itself: they are all known. */
static void addition_verify(struct request *request, struct addition *addition)
{
    const struct transaction *transaction =
        transaction_coordinator_find(request->broker->transactions, addition->id);
    size_t next = 0;
    for (int32_t t = 0; t < addition->topic_count; t++) {
        struct add_partitions_to_txn_response_topic_result *result = &addition->results[t];
        for (int32_t p = 0; p < result->results_by_partition_count; p++)
            if (!transaction_has(transaction, &addition->event.parts[next++]))
                result->results_by_partition[p].partition_error_code =
                    KAFKA_ERROR_TRANSACTION_ABORTABLE;
    }
}

/* 0: answered, or the request has failed (*ret_failed); -EAGAIN. */
static int addition_run(struct request *request, struct addition *addition, bool *ret_failed)
{
    struct transaction_effects effects;
    uint64_t lsn;
    *ret_failed = !addition_look(request, addition);
    if (*ret_failed)
        return 0;
    if (addition->id.len == 0 || addition->unknown) {
        addition_answer(addition, addition->id.len == 0 ? KAFKA_ERROR_INVALID_REQUEST
                                                        : KAFKA_ERROR_OPERATION_NOT_ATTEMPTED);
        return 0;
    }
    int status = transaction_coordinator_step(
        request->broker->transactions, addition->id, &addition->event, &effects, &lsn);
    if (status == -EAGAIN)
        return status;
    int16_t code = status ? transaction_code_of(status) : effects.error;
    request_depends(request, lsn);
    if (code == KAFKA_ERROR_TRANSACTION_ABORTABLE)
        addition_verify(request, addition);
    else
        addition_answer(addition, transaction_code_for(code, request->version, 2));
    return 0;
}

static void add_one(struct request *request)
{
    const struct add_partitions_to_txn_request *body = request->body;
    struct add_partitions_to_txn_response *answer = request->answer;
    struct addition addition = { .id = body->v3_and_below_transactional_id,
        .event = { .kind = TRANSACTION_ADD,
            .protocol = TRANSACTION_V1,
            .producer_id = body->v3_and_below_producer_id,
            .epoch = body->v3_and_below_producer_epoch },
        .topics = body->v3_and_below_topics,
        .topic_count = body->v3_and_below_topics_count };
    bool failed;
    if (addition_run(request, &addition, &failed) == -EAGAIN) {
        request_park(request, handle_add_partitions_to_txn);
        return;
    }
    answer->results_by_topic_v3_and_below = addition.results;
    answer->results_by_topic_v3_and_below_count = body->v3_and_below_topics_count;
    if (!failed)
        request_finish(request);
}

static void add_several(struct request *request)
{
    const struct add_partitions_to_txn_request *body = request->body;
    struct add_partitions_to_txn_response *answer = request->answer;
    answer->results_by_transaction = answer_array(
        request, &add_partitions_to_txn_response_result_table, body->transactions_count);
    if (!answer->results_by_transaction)
        return;
    answer->results_by_transaction_count = body->transactions_count;
    for (int32_t i = 0; i < body->transactions_count; i++) {
        const struct add_partitions_to_txn_request_transaction *asked = &body->transactions[i];
        struct addition addition = { .id = asked->transactional_id,
            .event = { .kind = asked->verify_only ? TRANSACTION_VERIFY : TRANSACTION_ADD,
                .protocol = TRANSACTION_V2,
                .producer_id = asked->producer_id,
                .epoch = asked->producer_epoch },
            .topics = asked->topics,
            .topic_count = asked->topics_count };
        bool failed;
        if (addition_run(request, &addition, &failed) == -EAGAIN) {
            request_park(request, handle_add_partitions_to_txn);
            return;
        }
        if (failed)
            return;
        answer->results_by_transaction[i].transactional_id = asked->transactional_id;
        answer->results_by_transaction[i].topic_results = addition.results;
        answer->results_by_transaction[i].topic_results_count = asked->topics_count;
    }
    request_finish(request);
}

void handle_add_partitions_to_txn(struct request *request)
{
    if (request->version < 4)
        add_one(request);
    else
        add_several(request);
}

/* ---- AddOffsetsToTxn, EndTxn --------------------------------------------------------------- */

/* False: parked. Else the code, in the words of the newest version. */
static bool run_event(struct request *request, struct bytes id, struct transaction_event *event,
    void (*again)(struct request *request), struct transaction_effects *ret_effects)
{
    uint64_t lsn;
    if (id.len == 0) {
        *ret_effects = (struct transaction_effects){
            .error = KAFKA_ERROR_INVALID_REQUEST, .producer_id = -1, .epoch = -1
        };
        return true;
    }
    int status =
        transaction_coordinator_step(request->broker->transactions, id, event, ret_effects, &lsn);
    if (status == -EAGAIN) {
        request_park(request, again);
        return false;
    }
    if (status)
        *ret_effects = (struct transaction_effects){
            .error = transaction_code_of(status), .producer_id = -1, .epoch = -1
        };
    request_depends(request, lsn);
    return true;
}

void handle_add_offsets_to_txn(struct request *request)
{
    const struct add_offsets_to_txn_request *body = request->body;
    struct add_offsets_to_txn_response *answer = request->answer;
    struct transaction_part part = transaction_offsets_part(body->group_id);
    struct transaction_event event = { .kind = TRANSACTION_ADD,
        .protocol = TRANSACTION_V1,
        .producer_id = body->producer_id,
        .epoch = body->producer_epoch,
        .parts = &part,
        .part_count = 1 };
    struct transaction_effects effects;
    if (!run_event(request, body->transactional_id, &event, handle_add_offsets_to_txn, &effects))
        return;
    answer->error_code = transaction_code_for(effects.error, request->version, 2);
    request_finish(request);
}

void handle_end_txn(struct request *request)
{
    const struct end_txn_request *body = request->body;
    struct end_txn_response *answer = request->answer;
    struct transaction_event event = { .kind = TRANSACTION_END,
        .protocol = request->version >= 5 ? TRANSACTION_V2 : TRANSACTION_V1,
        .producer_id = body->producer_id,
        .epoch = body->producer_epoch,
        .committed = body->committed };
    struct transaction_effects effects;
    if (!run_event(request, body->transactional_id, &event, handle_end_txn, &effects))
        return;
    answer->error_code = transaction_code_for(effects.error, request->version, 2);
    if (request->version >= 5) {
        answer->producer_id = effects.producer_id;
        answer->producer_epoch = effects.epoch;
    }
    request_finish(request);
}
