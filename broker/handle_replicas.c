/*
 * handle_replicas.c - ElectLeaders (0-2), AlterPartitionReassignments (0-1),
 * ListPartitionReassignments (0), AlterReplicaLogDirs (1-2): what administrators ask of replicas,
 * on a node that is the only replica of everything, in its only directory. So no election is
 * needed, the only assignment possible is the present one, nothing is ever under way, and nothing
 * is kept: each is answered at once, as Kafka answers where there is one broker.
 */
#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "protocol/error.h"
#include "protocol/messages.h"

/* ---- ElectLeaders -------------------------------------------------------------------------- */

enum { ELECTION_PREFERRED = 0, ELECTION_UNCLEAN = 1 };

static bool election_topic(struct request *request, int32_t t)
{
    const struct elect_leaders_request *body = request->body;
    struct elect_leaders_response *answer = request->answer;
    const struct elect_leaders_request_topic_partitions *asked = &body->topic_partitions[t];
    struct elect_leaders_response_replica_election_result *rows =
        &answer->replica_election_results[t];
    struct topic *topic = answer_topic(request, asked->topic, NULL);
    rows->topic = asked->topic;
    rows->partition_result_count = asked->partitions_count;
    rows->partition_result = answer_array(
        request, &elect_leaders_response_partition_result_table, asked->partitions_count);
    for (int32_t p = 0; rows->partition_result && p < asked->partitions_count; p++) {
        struct elect_leaders_response_partition_result *row = &rows->partition_result[p];
        bool there = topic && topic_log(topic, asked->partitions[p]);
        row->partition_id = asked->partitions[p];
        row->error_code =
            there ? KAFKA_ERROR_ELECTION_NOT_NEEDED : KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
        if (answer->error_code)
            row->error_code = answer->error_code;
        row->error_message = answer_error_text(row->error_code);
    }
    return rows->partition_result;
}

/* Null asks for everything: topics are told, and partitions only if there was an election. */
static bool election_all(struct request *request)
{
    struct elect_leaders_response *answer = request->answer;
    struct storage *storage = request->broker->storage;
    answer->replica_election_results =
        answer_array(request, &elect_leaders_response_replica_election_result_table,
            (int32_t)storage_topic_count(storage));
    if (!answer->replica_election_results)
        return false;
    request_depends(request, storage_deletion_lsn(storage));
    for (struct topic *t = storage_topic_next(storage, NULL); t;
         t = storage_topic_next(storage, t)) {
        char *name = answer_strdup(request, bytes_text(t->name));
        if (!name)
            return false;
        request_depends(request, t->lsn);
        answer->replica_election_results[answer->replica_election_results_count++].topic =
            bytes_text(name);
    }
    return true;
}

void handle_elect_leaders(struct request *request)
{
    const struct elect_leaders_request *body = request->body;
    struct elect_leaders_response *answer = request->answer;
    int8_t type = request->version == 0 ? ELECTION_PREFERRED : body->election_type;
    if (type != ELECTION_PREFERRED && type != ELECTION_UNCLEAN)
        answer->error_code = KAFKA_ERROR_INVALID_REQUEST;
    if (body->topic_partitions_count < 0) {
        if (answer->error_code || election_all(request))
            request_finish(request);
        return;
    }
    answer->replica_election_results = answer_array(request,
        &elect_leaders_response_replica_election_result_table, body->topic_partitions_count);
    if (!answer->replica_election_results)
        return;
    answer->replica_election_results_count = body->topic_partitions_count;
    for (int32_t t = 0; t < body->topic_partitions_count; t++)
        if (!election_topic(request, t))
            return;
    request_finish(request);
}

/* ---- AlterPartitionReassignments, ListPartitionReassignments ------------------------------- */

static void reassign(struct request *request, const struct topic *topic,
    const struct alter_partition_reassignments_request_reassignable_partition *asked,
    struct alter_partition_reassignments_response_reassignable_partition_response *row)
{
    int32_t self = request->broker->config->node_id, count = asked->replicas_count, other = self;
    row->partition_index = asked->partition_index;
    row->error_message = bytes_of(NULL, 0);
    if (!topic || !topic_log(topic, asked->partition_index)) {
        row->error_code = KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
        row->error_message = answer_error_text(row->error_code);
        return;
    }
    if (count < 0) { /* to be given up */
        row->error_code = KAFKA_ERROR_NO_REASSIGNMENT_IN_PROGRESS;
        return;
    }
    for (int32_t i = 0; i < count && other == self; i++)
        other = asked->replicas[i];
    if (count == 1 && other == self)
        return;
    row->error_code = KAFKA_ERROR_INVALID_REPLICA_ASSIGNMENT;
    if (count == 0)
        row->error_message = bytes_text("a partition must have a replica");
    else if (other == self)
        row->error_message = answer_text(request, "broker %d is named more than once", self);
    else
        row->error_message =
            answer_text(request, "there is no broker %d; the only one is %d", other, self);
}

void handle_alter_partition_reassignments(struct request *request)
{
    const struct alter_partition_reassignments_request *body = request->body;
    struct alter_partition_reassignments_response *answer = request->answer;
    answer->error_message = bytes_of(NULL, 0);
    answer->allow_replication_factor_change = body->allow_replication_factor_change;
    answer->responses = answer_array(request,
        &alter_partition_reassignments_response_reassignable_topic_response_table,
        body->topics_count);
    if (!answer->responses)
        return;
    answer->responses_count = body->topics_count;
    for (int32_t t = 0; t < body->topics_count; t++) {
        const struct alter_partition_reassignments_request_reassignable_topic *asked =
            &body->topics[t];
        struct alter_partition_reassignments_response_reassignable_topic_response *rows =
            &answer->responses[t];
        struct topic *topic = answer_topic(request, asked->name, NULL);
        rows->name = asked->name;
        rows->partitions_count = asked->partitions_count;
        rows->partitions = answer_array(request,
            &alter_partition_reassignments_response_reassignable_partition_response_table,
            asked->partitions_count);
        if (!rows->partitions)
            return;
        for (int32_t p = 0; p < asked->partitions_count; p++)
            reassign(request, topic, &asked->partitions[p], &rows->partitions[p]);
    }
    request_finish(request);
}

void handle_list_partition_reassignments(struct request *request)
{
    struct list_partition_reassignments_response *answer = request->answer;
    answer->error_message = bytes_of(NULL, 0);
    request_finish(request);
}

/* ---- AlterReplicaLogDirs ------------------------------------------------------------------- */

static bool move_topic(struct request *request, int16_t fault,
    const struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *asked,
    struct alter_replica_log_dirs_response_alter_replica_log_dir_topic_result *rows)
{
    struct topic *topic = answer_topic(request, asked->name, NULL);
    rows->topic_name = asked->name;
    rows->partitions_count = asked->partitions_count;
    rows->partitions = answer_array(request,
        &alter_replica_log_dirs_response_alter_replica_log_dir_partition_result_table,
        asked->partitions_count);
    for (int32_t p = 0; rows->partitions && p < asked->partitions_count; p++) {
        rows->partitions[p].partition_index = asked->partitions[p];
        rows->partitions[p].error_code = fault;
        if (!fault && (!topic || !topic_log(topic, asked->partitions[p])))
            rows->partitions[p].error_code = KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    }
    return rows->partitions;
}

void handle_alter_replica_log_dirs(struct request *request)
{
    const struct alter_replica_log_dirs_request *body = request->body;
    struct alter_replica_log_dirs_response *answer = request->answer;
    int32_t count = 0;
    for (int32_t d = 0; d < body->dirs_count; d++)
        count += body->dirs[d].topics_count;
    answer->results = answer_array(
        request, &alter_replica_log_dirs_response_alter_replica_log_dir_topic_result_table, count);
    if (!answer->results)
        return;
    for (int32_t d = 0; d < body->dirs_count; d++) {
        const struct alter_replica_log_dirs_request_alter_replica_log_dir *dir = &body->dirs[d];
        int16_t fault = bytes_equal_text(dir->path, request->broker->config->log_dir)
                            ? 0
                            : KAFKA_ERROR_LOG_DIR_NOT_FOUND;
        for (int32_t t = 0; t < dir->topics_count; t++)
            if (!move_topic(
                    request, fault, &dir->topics[t], &answer->results[answer->results_count++]))
                return;
    }
    request_finish(request);
}
