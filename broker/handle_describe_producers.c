/*
 * handle_describe_producers.c - DescribeProducers, version 0 (KIP-664): what a partition knows of
 * those that write to it with a producer id, and where the open transaction of each begins. What is
 * told is of now: the answer waits until everything up to now is durable.
 */
#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/names.h"
#include "protocol/error.h"
#include "protocol/messages.h"

static bool count_one(void *context, const struct producer_state *producer)
{
    (void)producer;
    ++*(int32_t *)context;
    return true;
}

static bool fill_one(void *context, const struct producer_state *producer)
{
    struct describe_producers_response_partition_response *row = context;
    row->active_producers[row->active_producers_count++] =
        (struct describe_producers_response_producer_state){
            .producer_id = producer->id,
            .producer_epoch = producer->epoch,
            .last_sequence = producer->last_sequence,
            .last_timestamp = producer->last_ms,
            .coordinator_epoch = producer->coordinator_epoch,
            .current_txn_start_offset = producer->first_offset,
        };
    return true;
}

/* False: the request has failed. */
static bool partition_fill(struct request *request, const struct topic *topic, int16_t fault,
    struct describe_producers_response_partition_response *row)
{
    struct log *log = topic ? topic_log(topic, row->partition_index) : NULL;
    int32_t count = 0;
    if (fault || !log) {
        row->error_code = fault ? fault : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
        if (!topic) /* Kafka says nothing of a partition that its topic does not have */
            row->error_message = answer_error_text(row->error_code);
        return true;
    }
    log_each_producer(log, count_one, &count);
    row->active_producers =
        answer_array(request, &describe_producers_response_producer_state_table, count);
    if (row->active_producers)
        log_each_producer(log, fill_one, row);
    return row->active_producers;
}

void handle_describe_producers(struct request *request)
{
    const struct describe_producers_request *body = request->body;
    struct describe_producers_response *answer = request->answer;
    answer->topics = answer_array(
        request, &describe_producers_response_topic_response_table, body->topics_count);
    if (!answer->topics)
        return;
    answer->topics_count = body->topics_count;
    for (int32_t t = 0; t < body->topics_count; t++) {
        const struct describe_producers_request_topic_request *asked = &body->topics[t];
        struct describe_producers_response_topic_response *rows = &answer->topics[t];
        struct topic *topic = answer_topic(request, asked->name, NULL);
        int16_t fault = topic_name_fault(asked->name) ? KAFKA_ERROR_INVALID_TOPIC_EXCEPTION : 0;
        rows->name = asked->name;
        rows->partitions_count = asked->partition_indexes_count;
        rows->partitions = answer_array(
            request, &describe_producers_response_partition_response_table, rows->partitions_count);
        if (!rows->partitions)
            return;
        for (int32_t p = 0; p < rows->partitions_count; p++) {
            rows->partitions[p].partition_index = asked->partition_indexes[p];
            if (!partition_fill(request, topic, fault, &rows->partitions[p]))
                return;
        }
    }
    request_depends(request, storage_appended(request->broker->storage));
    request_finish(request);
}
