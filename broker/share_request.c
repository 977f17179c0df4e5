/* See share_request.h. Errors as Kafka 4.3's KafkaApis and SharePartitionManager give them. */
#include "broker/share_request.h"

#include "broker/answer.h"
#include "broker/broker.h"
#include "broker/share_config.h"
#include "protocol/error.h"

bool share_request_named(struct bytes group, struct bytes member)
{
    return group.data && group.len > 0 && member.data && member.len > 0;
}

struct share_session *share_request_enter(struct request *request, struct bytes group,
    struct bytes member, int32_t epoch, int16_t *ret_code)
{
    struct share_session *session = share_session_find(request->broker->shares, group, member);
    if (!session) {
        *ret_code = KAFKA_ERROR_SHARE_SESSION_NOT_FOUND;
        return NULL;
    }
    if (epoch != SHARE_SESSION_FINAL && epoch != session->epoch) {
        *ret_code = KAFKA_ERROR_INVALID_SHARE_SESSION_EPOCH;
        return NULL;
    }
    if (epoch != SHARE_SESSION_FINAL)
        session->epoch = share_session_epoch_after(session->epoch);
    *ret_code = KAFKA_ERROR_NONE;
    return session;
}

struct share_ack *share_request_acks(struct request *request, int32_t count)
{
    return request_alloc(request, ((size_t)count + 1) * sizeof(struct share_ack));
}

static bool asks_for_time(const struct share_said *said)
{
    for (size_t i = 0; i < said->ack_count; i++)
        for (int32_t a = 0; a < said->acks[i].answer_count; a++)
            if (said->acks[i].answers[a] == SHARE_RENEW)
                return true;
    return false;
}

int16_t share_request_say(
    struct request *request, const struct share_session *session, const struct share_said *said)
{
    struct broker *broker = request->broker;
    struct topic *topic = answer_topic(request, bytes_of(NULL, 0), &said->topic);
    struct log *log = topic ? topic_log(topic, said->index) : NULL;
    if (!log)
        return topic ? KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_ERROR_UNKNOWN_TOPIC_ID;
    if (asks_for_time(said) && !said->renew)
        return KAFKA_ERROR_INVALID_REQUEST;
    if (asks_for_time(said) && !share_config_renews(broker, session->group))
        return KAFKA_ERROR_INVALID_RECORD_STATE;
    return share_part_acknowledge(broker->shares, session, log, said->acks, said->ack_count);
}
