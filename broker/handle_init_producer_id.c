/*
 * handle_init_producer_id.c - InitProducerId, versions 0 to 5: an id for an idempotent producer.
 *
 * Without a transactional id every request gets a new id with epoch 0, also one that names an id it
 * had before (3+): that is what Kafka does, and the producer starts its sequences anew.
 *
 * With a transactional id: there are no transactions yet. The answer is
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which the Java client and librdkafka take as fatal at once
 * and hand to the program; NOT_COORDINATOR and its like are retried without end, and librdkafka
 * does the same with UNSUPPORTED_VERSION. Kafka's INVALID_REQUEST for an empty id is kept.
 */
#include <errno.h>

#include "broker/api.h"
#include "broker/broker.h"
#include "broker/producer_ids.h"
#include "broker/request.h"
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

void handle_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    struct init_producer_id_response *answer = request->answer;
    if (!body->transactional_id.data) {
        init_attempt(request);
        return;
    }
    answer->error_code = body->transactional_id.len == 0
                             ? KAFKA_ERROR_INVALID_REQUEST
                             : KAFKA_ERROR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    answer->producer_epoch = -1;
    request_finish(request);
}
