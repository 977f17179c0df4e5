/*
 * handle_features.c - UpdateFeatures (0-2) and DescribeQuorum (0-2), so that Kafka's tools and
 * consoles have an answer.
 *
 * The levels of features are what the program can do: asking for the level that holds is fine, any
 * other is refused with INVALID_UPDATE_VERSION, all or none, as Kafka refuses what it can't do.
 *
 * The quorum is this node alone. Its log is the write-ahead log, and its high watermark there the
 * newest change of a topic.
 */
#include "broker/answer.h"
#include "broker/api.h"
#include "broker/broker.h"
#include "broker/connection_state.h"
#include "broker/feature_levels.h"
#include "protocol/error.h"
#include "protocol/messages.h"

/* ---- UpdateFeatures ------------------------------------------------------------------------ */

enum { UPGRADE = 1, UNSAFE_DOWNGRADE = 3 }; /* FeatureUpdate.UpgradeType, KIP-778 */

/* Why the level can't be; null: it holds already. */
static struct bytes level_fault(
    struct request *request, const struct update_features_request_feature_update_key *asked)
{
    const struct feature *feature = feature_find(asked->feature);
    int len = asked->feature.len < 100 ? (int)asked->feature.len : 100;
    if (!feature)
        return answer_text(
            request, "nobody knows the feature %.*s", len, (const char *)asked->feature.data);
    if (asked->upgrade_type < UPGRADE || asked->upgrade_type > UNSAFE_DOWNGRADE)
        return answer_text(request, "%s: there is no type of upgrade %d (1 to 3)", feature->name,
            asked->upgrade_type);
    if (asked->max_version_level == feature->level)
        return bytes_of(NULL, 0);
    if (asked->max_version_level < 0 || asked->max_version_level > feature->max)
        return answer_text(request, "%s has no level %d; the levels are %d to %d", feature->name,
            asked->max_version_level, feature->min, feature->max);
    return answer_text(request, "%s is at level %d, which this broker can't change", feature->name,
        feature->level);
}

void handle_update_features(struct request *request)
{
    const struct update_features_request *body = request->body;
    struct update_features_response *answer = request->answer;
    answer->error_message = bytes_of(NULL, 0);
    for (int32_t i = 0; i < body->feature_updates_count && !answer->error_code; i++) {
        struct bytes fault = level_fault(request, &body->feature_updates[i]);
        if (!fault.data)
            continue;
        answer->error_code = KAFKA_ERROR_INVALID_UPDATE_VERSION;
        answer->error_message = answer_text(request,
            "The update failed for all features since the following feature had an error: %.*s",
            (int)fault.len, (const char *)fault.data);
    }
    if (!answer->error_code && request->version <= 1) {
        answer->results = answer_array(request,
            &update_features_response_updatable_feature_result_table, body->feature_updates_count);
        if (!answer->results)
            return;
        answer->results_count = body->feature_updates_count;
        for (int32_t i = 0; i < body->feature_updates_count; i++) {
            answer->results[i].feature = body->feature_updates[i].feature;
            answer->results[i].error_message = bytes_text("NONE");
        }
    }
    request_finish(request);
}

/* ---- DescribeQuorum ------------------------------------------------------------------------ */

static const char metadata_topic[] = "__cluster_metadata";

static int64_t newest_change(struct request *request)
{
    struct storage *storage = request->broker->storage;
    uint64_t newest = storage_deletion_lsn(storage);
    for (struct topic *t = storage_topic_next(storage, NULL); t; t = storage_topic_next(storage, t))
        newest = t->lsn > newest ? t->lsn : newest;
    request_depends(request, newest);
    return (int64_t)newest;
}

/* A fixed id for the one directory, made of the cluster's. */
static struct uuid directory_id(const struct request *request)
{
    struct uuid id = { { 0 } };
    if (uuid_parse(bytes_text(storage_cluster_id(request->broker->storage)), &id) == 0)
        id.b[15] ^= 1;
    return id;
}

static bool quorum_fill(
    struct request *request, struct describe_quorum_response_partition_data *row)
{
    struct describe_quorum_response_replica_state *self =
        answer_array(request, &describe_quorum_response_replica_state_table, 1);
    if (!self)
        return false;
    int64_t now_ms = clock_wall_ms(request->broker->doors->clock);
    row->leader_id = self->replica_id = request->broker->config->node_id;
    row->leader_epoch = (int32_t)storage_epoch(request->broker->storage);
    row->high_watermark = self->log_end_offset = newest_change(request);
    self->replica_directory_id = directory_id(request);
    self->last_fetch_timestamp = self->last_caught_up_timestamp = now_ms;
    row->current_voters = self;
    row->current_voters_count = 1;
    return true;
}

static bool nodes_fill(struct request *request)
{
    struct describe_quorum_response *answer = request->answer;
    struct describe_quorum_response_node *node =
        answer_array(request, &describe_quorum_response_node_table, 1);
    struct describe_quorum_response_listener *listener =
        node ? answer_array(request, &describe_quorum_response_listener_table, 1) : NULL;
    if (!listener)
        return false;
    listener->name = bytes_text(request->connection->endpoint->listener_name);
    listener->host = request_advertised_host(request);
    listener->port = (uint16_t)request_advertised_port(request);
    node->node_id = request->broker->config->node_id;
    node->listeners = listener;
    node->listeners_count = 1;
    answer->nodes = node;
    answer->nodes_count = 1;
    return true;
}

static bool quorum_topic(struct request *request,
    const struct describe_quorum_request_topic_data *asked,
    struct describe_quorum_response_topic_data *rows)
{
    struct describe_quorum_response *answer = request->answer;
    bool is_metadata = bytes_equal_text(asked->topic_name, metadata_topic);
    rows->topic_name = asked->topic_name;
    rows->partitions_count = asked->partitions_count;
    rows->partitions = answer_array(
        request, &describe_quorum_response_partition_data_table, asked->partitions_count);
    for (int32_t p = 0; rows->partitions && p < asked->partitions_count; p++) {
        struct describe_quorum_response_partition_data *row = &rows->partitions[p];
        row->partition_index = asked->partitions[p].partition_index;
        row->error_message = bytes_of("", 0);
        if (!is_metadata || row->partition_index != 0) {
            row->error_code = KAFKA_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
            row->error_message = answer_error_text(row->error_code);
        } else if (!quorum_fill(request, row) ||
                   (answer->nodes_count == 0 && !nodes_fill(request))) {
            return false;
        }
    }
    return rows->partitions;
}

void handle_describe_quorum(struct request *request)
{
    const struct describe_quorum_request *body = request->body;
    struct describe_quorum_response *answer = request->answer;
    answer->error_message = bytes_of("", 0);
    answer->topics =
        answer_array(request, &describe_quorum_response_topic_data_table, body->topics_count);
    if (!answer->topics)
        return;
    answer->topics_count = body->topics_count;
    for (int32_t t = 0; t < body->topics_count; t++)
        if (!quorum_topic(request, &body->topics[t], &answer->topics[t]))
            return;
    request_finish(request);
}
