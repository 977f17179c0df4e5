/*
 * handle_share_acknowledge.c - ShareAcknowledge (1-2): a member says what became of records that it
 * holds.
 *
 *   session → each partition, all or nothing, in memory → one unit → answer when it is durable
 *
 * If the ring is full the request is parked and only the writing is tried again. What could not be
 * kept at all is told as an error; in memory it holds, so at worst a record comes again after a
 * restart.
 */
#include <errno.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/share_config.h"
#include "broker/share_request.h"
#include "protocol/error.h"
#include "protocol/messages.h"

static void refuse(struct request *request, int16_t code)
{
    struct share_acknowledge_response *answer = request->answer;
    answer->error_code = code;
    answer->error_message = answer_error_text(code);
    request_finish(request);
}

static void keep(struct request *request)
{
    struct share_acknowledge_response *answer = request->answer;
    int status = shares_save(request->broker->shares);
    if (status == -EAGAIN) {
        request_park(request, keep);
        return;
    }
    for (int32_t t = 0; status && t < answer->responses_count; t++)
        for (int32_t p = 0; p < answer->responses[t].partitions_count; p++) {
            struct share_acknowledge_response_partition_data *row =
                &answer->responses[t].partitions[p];
            if (!row->error_code)
                row->error_code = KAFKA_ERROR_KAFKA_STORAGE_ERROR;
        }
    request_depends(request, storage_appended(request->broker->storage));
    request_finish(request);
}

/* False: the request has failed (so below). */
static bool partition_say(struct request *request, const struct share_session *session,
    const struct share_acknowledge_request_acknowledge_topic *topic, int32_t index,
    struct share_acknowledge_response_partition_data *row)
{
    const struct share_acknowledge_request *body = request->body;
    const struct share_acknowledge_request_acknowledge_partition *from = &topic->partitions[index];
    struct share_ack *acks = share_request_acks(request, from->acknowledgement_batches_count);
    if (!acks)
        return false;
    for (int32_t i = 0; i < from->acknowledgement_batches_count; i++) {
        const struct share_acknowledge_request_acknowledgement_batch *batch =
            &from->acknowledgement_batches[i];
        acks[i] = (struct share_ack){ batch->first_offset, batch->last_offset,
            batch->acknowledge_types, batch->acknowledge_types_count };
    }
    struct share_said said = { topic->topic_id, from->partition_index, acks,
        (size_t)from->acknowledgement_batches_count, body->is_renew_ack };
    row->partition_index = from->partition_index;
    row->error_code = share_request_say(request, session, &said);
    if (row->error_code)
        row->error_message = answer_error_text(row->error_code);
    return true;
}

static bool topics_say(struct request *request, const struct share_session *session)
{
    const struct share_acknowledge_request *body = request->body;
    struct share_acknowledge_response *answer = request->answer;
    answer->responses =
        answer_array(request, &share_acknowledge_response_topic_response_table, body->topics_count);
    if (!answer->responses)
        return false;
    answer->responses_count = body->topics_count;
    for (int32_t t = 0; t < body->topics_count; t++) {
        const struct share_acknowledge_request_acknowledge_topic *topic = &body->topics[t];
        struct share_acknowledge_response_topic_response *rows = &answer->responses[t];
        rows->topic_id = topic->topic_id;
        rows->partitions = answer_array(
            request, &share_acknowledge_response_partition_data_table, topic->partitions_count);
        if (!rows->partitions)
            return false;
        rows->partitions_count = topic->partitions_count;
        for (int32_t p = 0; p < topic->partitions_count; p++)
            if (!partition_say(request, session, topic, p, &rows->partitions[p]))
                return false;
    }
    return true;
}

void handle_share_acknowledge(struct request *request)
{
    const struct share_acknowledge_request *body = request->body;
    struct share_acknowledge_response *answer = request->answer;
    struct broker *broker = request->broker;
    int16_t code;
    if (!share_request_named(body->group_id, body->member_id)) {
        refuse(request, KAFKA_ERROR_INVALID_REQUEST);
        return;
    }
    if (body->share_session_epoch == SHARE_SESSION_FIRST) {
        refuse(request, KAFKA_ERROR_INVALID_SHARE_SESSION_EPOCH);
        return;
    }
    struct share_session *session = share_request_enter(
        request, body->group_id, body->member_id, body->share_session_epoch, &code);
    if (!session) {
        refuse(request, code);
        return;
    }
    answer->acquisition_lock_timeout_ms = share_config_lock_ms(broker, body->group_id);
    if (!topics_say(request, session))
        return;
    if (body->share_session_epoch == SHARE_SESSION_FINAL)
        share_session_close(broker->shares, session);
    keep(request);
}
