/*
 * handle_transaction_admin.c - DescribeTransactions (0), ListTransactions (0-2) and WriteTxnMarkers
 * (1-2): what tools ask about transactions, and how they end one whose coordinator knows nothing of
 * it any more (KIP-664).
 *
 * What is told is of now: the answer waits until everything up to now is durable.
 *
 * WriteTxnMarkers puts markers into logs and leaves the coordinator's state alone, as in Kafka;
 * between brokers it is not used here. Each marker is judged by its log alone: an epoch that is too
 * old, or a coordinator that is. All good ones of a request are one unit.
 */
#include <errno.h>
#include <regex.h>
#include <string.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/commit.h"
#include "broker/handle_transactions.h"
#include "broker/transaction_coordinator.h"
#include "protocol/base/mem.h"
#include "protocol/error.h"
#include "protocol/messages.h"
#include "protocol/record.h"

enum { PATTERN_LEN_MAX = 249 }; /* of a regular expression for transactional ids */

/* The store's and a topic's names live in other arenas or may go: a copy for the answer. */
static bool keep(struct request *request, const char *text, struct bytes *ret)
{
    char *copy = answer_strdup(request, bytes_text(text));
    *ret = copy ? bytes_text(copy) : (struct bytes){ 0 };
    return copy != NULL;
}

/* ---- DescribeTransactions ------------------------------------------------------------------ */

static const char *part_topic(const struct request *request, const struct transaction_part *part)
{
    if (uuid_zero(part->topic_id))
        return "__consumer_offsets";
    const struct topic *topic = storage_topic_by_id(request->broker->storage, &part->topic_id);
    return topic ? topic->name : NULL;
}

static bool same_topic(const struct transaction *transaction, size_t i)
{
    return i > 0 && uuid_equal(transaction->parts[i].topic_id, transaction->parts[i - 1].topic_id);
}

/* Parts stand in the order of their topics. False: the request has failed. */
static bool describe_parts(struct request *request, const struct transaction *transaction,
    struct describe_transactions_response_transaction_state *row)
{
    int32_t topics = 0;
    for (size_t i = 0; i < transaction->part_count; i++)
        topics += !same_topic(transaction, i);
    row->topics = answer_array(request, &describe_transactions_response_topic_data_table, topics);
    int32_t *partitions = request_alloc(request, transaction->part_count * sizeof(*partitions) + 1);
    if (!row->topics || !partitions)
        return false;
    struct describe_transactions_response_topic_data *data = NULL;
    for (size_t i = 0; i < transaction->part_count; i++) {
        const char *name = part_topic(request, &transaction->parts[i]);
        if (!name)
            continue; /* it was deleted */
        if (!same_topic(transaction, i)) {
            data = &row->topics[row->topics_count++];
            data->partitions = partitions + i;
            if (!keep(request, name, &data->topic))
                return false;
        }
        CHECK(data);
        data->partitions[data->partitions_count++] = transaction->parts[i].partition;
    }
    return true;
}

static bool describe_one(struct request *request, struct bytes id,
    struct describe_transactions_response_transaction_state *row)
{
    const struct transaction *transaction =
        transaction_coordinator_find(request->broker->transactions, id);
    row->transactional_id = id;
    if (id.len == 0 || !transaction) {
        row->error_code =
            id.len == 0 ? KAFKA_ERROR_INVALID_REQUEST : KAFKA_ERROR_TRANSACTIONAL_ID_NOT_FOUND;
        return true;
    }
    row->transaction_state = bytes_text(transaction_state_name(transaction->now.state));
    row->transaction_timeout_ms = transaction->now.timeout_ms;
    row->transaction_start_time_ms = transaction->now.start_ms;
    row->producer_id = transaction->now.producer_id;
    row->producer_epoch = transaction->now.epoch;
    return describe_parts(request, transaction, row);
}

void handle_describe_transactions(struct request *request)
{
    const struct describe_transactions_request *body = request->body;
    struct describe_transactions_response *answer = request->answer;
    answer->transaction_states = answer_array(request,
        &describe_transactions_response_transaction_state_table, body->transactional_ids_count);
    if (!answer->transaction_states)
        return;
    answer->transaction_states_count = body->transactional_ids_count;
    for (int32_t i = 0; i < body->transactional_ids_count; i++)
        if (!describe_one(request, body->transactional_ids[i], &answer->transaction_states[i]))
            return;
    request_depends(request, storage_appended(request->broker->storage));
    request_finish(request);
}

/* ---- ListTransactions ---------------------------------------------------------------------- */

struct filter {
    uint32_t states; /* bits; counts if the request names any, known or not */
    const struct list_transactions_request *body;
    int64_t now_ms;
    bool by_pattern;
    regex_t pattern;
};

static int state_of(struct bytes name)
{
    for (int state = 0; state < TRANSACTION_STATE_COUNT; state++)
        if (bytes_equal_text(name, transaction_state_name((enum transaction_state)state)))
            return state;
    return -1;
}

/* False: the request has failed. */
static bool filter_states(struct request *request, struct filter *filter)
{
    const struct list_transactions_request *body = request->body;
    struct list_transactions_response *answer = request->answer;
    answer->unknown_state_filters = request_alloc(
        request, (size_t)body->state_filters_count * sizeof(*answer->unknown_state_filters) + 1);
    if (!answer->unknown_state_filters)
        return false;
    for (int32_t i = 0; i < body->state_filters_count; i++) {
        int state = state_of(body->state_filters[i]);
        if (state < 0)
            answer->unknown_state_filters[answer->unknown_state_filters_count++] =
                body->state_filters[i];
        else
            filter->states |= 1U << state;
    }
    return true;
}

/* Kafka's expressions are RE2's; these are POSIX extended ones, which mean the same in all that
 * people write for ids. Without back references and counts in braces: with those a short expression
 * can take any time and memory. For the whole id. */
static int filter_pattern(struct filter *filter, struct bytes text)
{
    if (!text.data || text.len == 0)
        return 0;
    if (text.len > PATTERN_LEN_MAX || memchr(text.data, '\0', text.len))
        return -EINVAL;
    if (memchr(text.data, '{', text.len))
        return -EINVAL;
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == '\\' && text.data[i + 1] >= '0' && text.data[i + 1] <= '9')
            return -EINVAL;
    char *whole = mem_printf("^(%.*s)$", (int)text.len, (const char *)text.data);
    int status = regcomp(&filter->pattern, whole, REG_EXTENDED | REG_NOSUB);
    mem_free(whole);
    filter->by_pattern = status == 0;
    return status ? -EINVAL : 0;
}

static bool filter_has_producer(const struct filter *filter, int64_t id)
{
    for (int32_t i = 0; i < filter->body->producer_id_filters_count; i++)
        if (filter->body->producer_id_filters[i] == id)
            return true;
    return filter->body->producer_id_filters_count <= 0;
}

static bool filter_takes(const struct filter *filter, const struct transaction *transaction)
{
    const struct transaction_fields *now = &transaction->now;
    if (filter->body->state_filters_count > 0 && !(filter->states & (1U << now->state)))
        return false;
    if (!filter_has_producer(filter, now->producer_id))
        return false;
    if (filter->body->duration_filter >= 0 &&
        filter->now_ms - now->start_ms <= filter->body->duration_filter)
        return false;
    return !filter->by_pattern || regexec(&filter->pattern, transaction->id, 0, NULL, 0) == 0;
}

/* False: the request has failed. */
static bool list_all(struct request *request, const struct filter *filter)
{
    struct list_transactions_response *answer = request->answer;
    struct transaction_coordinator *transactions = request->broker->transactions;
    int32_t count = 0;
    for (struct transaction *t = NULL; (t = transaction_coordinator_next(transactions, t));)
        count += filter_takes(filter, t);
    answer->transaction_states =
        answer_array(request, &list_transactions_response_transaction_state_table, count);
    if (!answer->transaction_states)
        return false;
    for (struct transaction *t = NULL; (t = transaction_coordinator_next(transactions, t));) {
        if (!filter_takes(filter, t))
            continue;
        struct list_transactions_response_transaction_state *row =
            &answer->transaction_states[answer->transaction_states_count++];
        row->producer_id = t->now.producer_id;
        row->transaction_state = bytes_text(transaction_state_name(t->now.state));
        if (!keep(request, t->id, &row->transactional_id))
            return false;
    }
    return true;
}

void handle_list_transactions(struct request *request)
{
    const struct list_transactions_request *body = request->body;
    struct list_transactions_response *answer = request->answer;
    struct filter filter = { .body = body, .now_ms = clock_wall_ms(request->broker->doors->clock) };
    if (!filter_states(request, &filter))
        return;
    bool listed = true;
    if (filter_pattern(&filter, body->transactional_id_pattern))
        answer->error_code = KAFKA_ERROR_INVALID_REGULAR_EXPRESSION;
    else
        listed = list_all(request, &filter);
    if (filter.by_pattern)
        regfree(&filter.pattern);
    if (!listed)
        return;
    request_depends(request, storage_appended(request->broker->storage));
    request_finish(request);
}

/* ---- WriteTxnMarkers ----------------------------------------------------------------------- */

/* Kafka's ProducerAppendInfo. A marker of version 2 that is not beyond the producer's epoch is
 * late, unless it is the one that ended the transaction, again. */
static int16_t marker_fault(
    const struct log *log, const struct write_txn_markers_request_writable_txn_marker *marker)
{
    struct producer_state known;
    if (!log)
        return KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!log_takes_appends(log))
        return KAFKA_ERROR_KAFKA_STORAGE_ERROR;
    if (!log_producer(log, marker->producer_id, &known))
        return KAFKA_ERROR_NONE;
    bool again = marker->producer_epoch == known.epoch && known.first_offset < 0;
    if (marker->producer_epoch < known.epoch ||
        (marker->transaction_version >= TRANSACTION_V2 && marker->producer_epoch == known.epoch &&
            !again))
        return KAFKA_ERROR_INVALID_PRODUCER_EPOCH;
    return marker->coordinator_epoch < known.coordinator_epoch
               ? KAFKA_ERROR_TRANSACTION_COORDINATOR_FENCED
               : KAFKA_ERROR_NONE;
}

/* The rows of one marker, and its batch for those that are good. False: the request has failed. */
static bool marker_fill(struct request *request, struct unit *unit, struct bytes batch,
    const struct write_txn_markers_request_writable_txn_marker *marker,
    struct write_txn_markers_response_writable_txn_marker_result *result)
{
    result->producer_id = marker->producer_id;
    result->topics = answer_array(request,
        &write_txn_markers_response_writable_txn_marker_topic_result_table, marker->topics_count);
    if (!result->topics)
        return false;
    result->topics_count = marker->topics_count;
    for (int32_t t = 0; t < marker->topics_count; t++) {
        const struct write_txn_markers_request_writable_txn_marker_topic *asked =
            &marker->topics[t];
        struct write_txn_markers_response_writable_txn_marker_topic_result *rows =
            &result->topics[t];
        const struct topic *topic = answer_topic(request, asked->name, NULL);
        rows->name = asked->name;
        rows->partitions = answer_array(request,
            &write_txn_markers_response_writable_txn_marker_partition_result_table,
            asked->partition_indexes_count);
        if (!rows->partitions)
            return false;
        rows->partitions_count = asked->partition_indexes_count;
        for (int32_t p = 0; p < asked->partition_indexes_count; p++) {
            struct log *log = topic ? topic_log(topic, asked->partition_indexes[p]) : NULL;
            rows->partitions[p].partition_index = asked->partition_indexes[p];
            rows->partitions[p].error_code = marker_fault(log, marker);
            if (!rows->partitions[p].error_code)
                unit_append(unit, log, batch);
        }
    }
    return true;
}

/* The unit was refused: nothing was written. */
static void markers_fail(struct write_txn_markers_response *answer, int16_t code)
{
    for (int32_t m = 0; m < answer->markers_count; m++) {
        struct write_txn_markers_response_writable_txn_marker_result *result = &answer->markers[m];
        for (int32_t t = 0; t < result->topics_count; t++)
            for (int32_t p = 0; p < result->topics[t].partitions_count; p++)
                if (!result->topics[t].partitions[p].error_code)
                    result->topics[t].partitions[p].error_code = code;
    }
}

static void markers_done(struct request *request)
{
    request->cancel = NULL;
    request_finish(request);
}

static void markers_cancel(struct request *request)
{
    commit_forget(request->state);
}

/* Fills the unit; `batches` has room for every marker. False: the request has failed. */
static bool markers_fill(struct request *request, struct unit *unit, struct out *batches)
{
    const struct write_txn_markers_request *body = request->body;
    struct write_txn_markers_response *answer = request->answer;
    int64_t now_ms = clock_wall_ms(request->broker->doors->clock);
    answer->markers_count = body->markers_count;
    for (int32_t m = 0; m < body->markers_count; m++) {
        const struct write_txn_markers_request_writable_txn_marker *marker = &body->markers[m];
        struct batch_options options = batch_options_plain(CODEC_NONE);
        options.producer_id = marker->producer_id;
        options.producer_epoch = marker->producer_epoch;
        control_build(
            &batches[m], &options, marker->transaction_result, marker->coordinator_epoch, now_ms);
        if (!marker_fill(request, unit, bytes_of(batches[m].data, batches[m].len), marker,
                &answer->markers[m]))
            return false;
    }
    return true;
}

static void markers_run(struct request *request, struct commit *commit)
{
    request->state = commit;
    request->cancel = markers_cancel;
    int status = commit_run(commit);
    if (status == 0)
        return;
    request->cancel = NULL;
    if (status == -EAGAIN) {
        request_park(request, handle_write_txn_markers);
        return;
    }
    markers_fail(request->answer, request_error_of(status));
    request_finish(request);
}

void handle_write_txn_markers(struct request *request)
{
    const struct write_txn_markers_request *body = request->body;
    struct write_txn_markers_response *answer = request->answer;
    answer->markers = answer_array(
        request, &write_txn_markers_response_writable_txn_marker_result_table, body->markers_count);
    if (!answer->markers)
        return;
    int32_t count = body->markers_count; /* the request may be gone at the end */
    struct out *batches = mem_zalloc((size_t)count + 1, sizeof(*batches));
    struct commit *commit = commit_create(request, markers_done);
    bool filled = markers_fill(request, &commit->unit, batches);
    if (filled && commit->unit.append_count > 0) {
        markers_run(request, commit);
    } else {
        commit_drop(commit);
        if (filled)
            request_finish(request);
    }
    for (int32_t m = 0; m < count; m++)
        out_done(&batches[m]);
    mem_free(batches);
}
