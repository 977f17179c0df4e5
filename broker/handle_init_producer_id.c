/*
 * handle_init_producer_id.c - InitProducerId, versions 0 to 6: an id for an idempotent producer, or
 * the id and epoch of a transactional one.
 *
 * Without a transactional id every request gets a new id with epoch 0, also one that names an id it
 * had before (3+): that is what Kafka does, and the producer starts its sequences anew.
 *
 * With one, the epoch is raised and whoever had it before is fenced; a transaction that is under
 * way is aborted first, which the answer CONCURRENT_TRANSACTIONS tells (the client asks again). A
 * producer that names its id and epoch (3+, KIP-360) goes on after an error.
 *
 * Version 6 (two-phase commit, KIP-939) is served as Kafka 4.3 does with its default settings: not.
 */
#include <errno.h>
#include <string.h>

#include "broker/api.h"
#include "broker/broker.h"
#include "broker/handle_transactions.h"
#include "broker/producer_ids.h"
#include "broker/request.h"
#include "broker/transaction_coordinator.h"
#include "protocol/error.h"
#include "protocol/messages.h"

static void init_attempt(struct request *request)
{
    struct init_producer_id_response *answer = request->answer;
    int64_t id;
    uint64_t lsn;
    int error = producer_ids_next(request->broker->producer_ids, &id, &lsn);
    if (error == -EAGAIN) {
        request_park(request, init_attempt);
        return;
    }
    answer->error_code = request_error_of(error);
    if (!error) {
        answer->producer_id = id;
        answer->producer_epoch = 0;
        request_depends(request, lsn);
    }
    request_finish(request);
}

static int16_t init_fault(const struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    if (body->transactional_id.len == 0 ||
        memchr(body->transactional_id.data, '\0', body->transactional_id.len))
        return KAFKA_ERROR_INVALID_REQUEST;
    if (body->enable2_pc)
        return KAFKA_ERROR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    if (body->keep_prepared_txn)
        return KAFKA_ERROR_UNSUPPORTED_VERSION;
    if (body->transaction_timeout_ms <= 0 ||
        body->transaction_timeout_ms > request->broker->config->transaction_max_timeout_ms)
        return KAFKA_ERROR_INVALID_TRANSACTION_TIMEOUT;
    return KAFKA_ERROR_NONE;
}

static void init_transactional(struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    struct init_producer_id_response *answer = request->answer;
    struct transaction_event event = { .kind = TRANSACTION_INIT,
        .producer_id = body->producer_id,
        .epoch = body->producer_epoch,
        .timeout_ms = body->transaction_timeout_ms };
    struct transaction_effects effects = {
        .error = init_fault(request), .producer_id = -1, .epoch = -1
    };
    if (!effects.error) {
        uint64_t lsn;
        int status = transaction_coordinator_step(
            request->broker->transactions, body->transactional_id, &event, &effects, &lsn);
        if (status == -EAGAIN) {
            request_park(request, init_transactional);
            return;
        }
        if (status)
            effects.error = transaction_code_of(status);
        request_depends(request, lsn);
    }
    answer->error_code = transaction_code_for(effects.error, request->version, 4);
    answer->producer_id = effects.error ? -1 : effects.producer_id;
    answer->producer_epoch = effects.error ? -1 : effects.epoch;
    request_finish(request);
}

void handle_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    struct init_producer_id_response *answer = request->answer;
    if ((body->producer_id == -1) != (body->producer_epoch == -1)) {
        answer->error_code = KAFKA_ERROR_INVALID_REQUEST;
        answer->producer_epoch = -1;
        request_finish(request);
        return;
    }
    if (body->transactional_id.data)
        init_transactional(request);
    else
        init_attempt(request);
}
