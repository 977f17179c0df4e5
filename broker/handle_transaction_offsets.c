/*
 * handle_transaction_offsets.c - TxnOffsetCommit, versions 0 to 5: offsets that become the group's
 * when a transaction is committed, and never if it is aborted.
 *
 * Happy path: the transaction knows the producer (and, before version 5, was told of the group by
 * AddOffsetsToTxn; since then this request tells it); the group knows the member, if one is named
 * (KIP-447); then one unit with a put for every partition, and the transaction's state.
 *
 * Until the end OffsetFetch of those who ask for stable offsets says UNSTABLE_OFFSET_COMMIT.
 *
 * Failure modes: the ring is full: the request is parked and does it all again; the connection goes
 * while the unit is in flight: what was committed stays, nobody is told.
 */
#include <errno.h>

#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/commit.h"
#include "broker/coordinator.h"
#include "broker/handle_groups.h"
#include "broker/handle_transactions.h"
#include "broker/transaction_coordinator.h"
#include "protocol/error.h"
#include "protocol/messages.h"

struct addition {
    struct transaction_part part;
    struct transaction_event event;
    struct transaction_effects effects;
    size_t cost; /* of the puts */
    struct unit *unit;
    struct group *group;
    struct group_offset_client client;
};

/* A member that is behind is of an older generation here, whatever it speaks. */
static int16_t generation_code(int16_t error)
{
    return error == KAFKA_ERROR_STALE_MEMBER_EPOCH ? KAFKA_ERROR_ILLEGAL_GENERATION : error;
}

static int16_t commit_partition(struct request *request, struct addition *addition,
    const struct topic *topic, const struct txn_offset_commit_request_partition *asked)
{
    const struct txn_offset_commit_request *body = request->body;
    if (!topic || !topic_log(topic, asked->partition_index))
        return KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    if (asked->committed_metadata.len > (size_t)request->broker->config->offset_metadata_max_bytes)
        return KAFKA_ERROR_OFFSET_METADATA_TOO_LARGE;
    int16_t error =
        addition->client.by_partition
            ? generation_code(addition->group->operations->check_commit_partition(
                  addition->group, &addition->client, &topic->id, asked->partition_index))
            : KAFKA_ERROR_NONE;
    if (error)
        return error;
    struct committed_offset offset = {
        .offset = asked->committed_offset,
        .leader_epoch = asked->committed_leader_epoch,
        .commit_ms = clock_wall_ms(request->broker->doors->clock),
        .metadata = asked->committed_metadata.data ? asked->committed_metadata : bytes_of("", 0),
    };
    addition->cost += transaction_put_offset(addition->unit, body->producer_id, body->group_id,
        &topic->id, asked->partition_index, &offset);
    return KAFKA_ERROR_NONE;
}

/* The rows: `error` for every partition, or (`addition` given) each its own. False: the request has
 * failed. */
static bool rows_fill(struct request *request, int16_t error, struct addition *addition)
{
    const struct txn_offset_commit_request *body = request->body;
    struct txn_offset_commit_response *answer = request->answer;
    answer->topics =
        answer_array(request, &txn_offset_commit_response_topic_table, body->topics_count);
    if (!answer->topics)
        return false;
    answer->topics_count = body->topics_count;
    for (int32_t t = 0; t < body->topics_count; t++) {
        const struct txn_offset_commit_request_topic *asked = &body->topics[t];
        struct txn_offset_commit_response_topic *row = &answer->topics[t];
        const struct topic *topic = addition ? answer_topic(request, asked->name, NULL) : NULL;
        row->name = asked->name;
        row->partitions = answer_array(
            request, &txn_offset_commit_response_partition_table, asked->partitions_count);
        if (!row->partitions)
            return false;
        row->partitions_count = asked->partitions_count;
        for (int32_t p = 0; p < asked->partitions_count; p++) {
            row->partitions[p].partition_index = asked->partitions[p].partition_index;
            row->partitions[p].error_code =
                addition ? commit_partition(request, addition, topic, &asked->partitions[p])
                         : error;
        }
    }
    return true;
}

static void refuse(struct request *request, int16_t error)
{
    if (rows_fill(request, error, NULL))
        request_finish(request);
}

static int16_t group_fault(struct request *request, struct addition *addition)
{
    const struct txn_offset_commit_request *body = request->body;
    struct coordinator *coordinator = request->broker->coordinator;
    struct group *group = coordinator_group(coordinator, body->group_id);
    if (!group && body->generation_id >= 0)
        return KAFKA_ERROR_ILLEGAL_GENERATION;
    if (!group)
        group = coordinator_group_make(coordinator, body->group_id, GROUP_CLASSIC);
    if (!group)
        return KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE;
    addition->group = group;
    addition->client = (struct group_offset_client){ .member_id = body->member_id,
        .instance_id = body->group_instance_id,
        .epoch = body->generation_id,
        .version = request->version,
        .transactional = true };
    return generation_code(group->operations->check_commit(
        group, &addition->client, clock_monotonic_ns(request->broker->doors->clock)));
}

/* As Kafka says it of a transaction that is looked into by somebody else than its producer. */
static int16_t code_of(const struct request *request, int16_t code)
{
    if (code == KAFKA_ERROR_TRANSACTION_ABORTABLE && request->version < 4)
        return KAFKA_ERROR_INVALID_TXN_STATE;
    return transaction_code_for(code, 0, 1);
}

static int16_t check(struct request *request, struct addition *addition)
{
    const struct txn_offset_commit_request *body = request->body;
    if (!group_id_valid(body->group_id))
        return KAFKA_ERROR_INVALID_GROUP_ID;
    if (body->transactional_id.len == 0)
        return KAFKA_ERROR_INVALID_REQUEST;
    addition->part = transaction_offsets_part(body->group_id);
    addition->event = (struct transaction_event){
        .kind = request->version >= 5 ? TRANSACTION_ADD : TRANSACTION_VERIFY,
        .protocol = request->version >= 5 ? TRANSACTION_V2 : TRANSACTION_V1,
        .producer_id = body->producer_id,
        .epoch = body->producer_epoch,
        .parts = &addition->part,
        .part_count = 1,
    };
    const struct transaction *transaction =
        transaction_coordinator_find(request->broker->transactions, body->transactional_id);
    if (!transaction)
        return KAFKA_ERROR_INVALID_PRODUCER_ID_MAPPING;
    struct transaction_effects effects;
    transaction_step(
        transaction, &addition->event, clock_wall_ms(request->broker->doors->clock), &effects);
    int16_t code = code_of(request, effects.error);
    return code ? code : group_fault(request, addition);
}

static void committed(struct request *request)
{
    request->cancel = NULL;
    request_finish(request);
}

static void cancel(struct request *request)
{
    commit_forget(request->state);
}

static void run(struct request *request, struct addition *addition, struct commit *commit)
{
    const struct txn_offset_commit_request *body = request->body;
    struct transaction_coordinator *transactions = request->broker->transactions;
    int status = transaction_coordinator_fill(transactions, body->transactional_id,
        &addition->event, addition->cost, &commit->unit, &addition->effects);
    if (status < 0) {
        commit_drop(commit);
        refuse(request, transaction_code_of(status));
        return;
    }
    request->state = commit;
    request->cancel = cancel;
    status = commit_run(commit);
    if (status == 0) {
        transaction_coordinator_apply(
            transactions, body->transactional_id, &addition->event, &addition->effects);
        return;
    }
    request->cancel = NULL;
    if (status == -EAGAIN)
        request_park(request, handle_txn_offset_commit);
    else
        refuse(request, status == -EMSGSIZE ? KAFKA_ERROR_INVALID_COMMIT_OFFSET_SIZE
                                            : KAFKA_ERROR_COORDINATOR_NOT_AVAILABLE);
}

void handle_txn_offset_commit(struct request *request)
{
    struct addition addition = { .cost = 0 };
    int16_t error = check(request, &addition);
    if (error) {
        refuse(request, error);
        return;
    }
    struct commit *commit = commit_create(request, committed);
    addition.unit = &commit->unit;
    if (!rows_fill(request, KAFKA_ERROR_NONE, &addition)) {
        commit_drop(commit);
        return;
    }
    if (addition.cost > 0) {
        run(request, &addition, commit);
        return;
    }
    commit_drop(commit);
    request_finish(request);
}
