/*
 * See api.h.
 *
 * To serve an API: its messages in protocol/messages.schema, its handler in handle_<family>.c, its
 * row here (and none among the absent).
 */
#include "broker/api.h"

#include "protocol/base/check.h"
#include "protocol/messages.h"

static const struct api table[] = {
    { API_PRODUCE, handle_produce, true },
    { API_FETCH, handle_fetch, true },
    { API_LIST_OFFSETS, handle_list_offsets, false },
    { API_METADATA, handle_metadata, false },
    { API_OFFSET_COMMIT, handle_offset_commit, true },
    { API_OFFSET_FETCH, handle_offset_fetch, false },
    { API_FIND_COORDINATOR, handle_find_coordinator, true },
    { API_JOIN_GROUP, handle_join_group, true },
    { API_HEARTBEAT, handle_heartbeat, true },
    { API_LEAVE_GROUP, handle_leave_group, true },
    { API_SYNC_GROUP, handle_sync_group, true },
    { API_DESCRIBE_GROUPS, handle_describe_groups, false },
    { API_LIST_GROUPS, handle_list_groups, false },
    { API_SASL_HANDSHAKE, handle_sasl_handshake, true },
    { API_API_VERSIONS, handle_api_versions, true },
    { API_CREATE_TOPICS, handle_create_topics, false },
    { API_DELETE_TOPICS, handle_delete_topics, false },
    { API_DELETE_RECORDS, handle_delete_records, false },
    { API_INIT_PRODUCER_ID, handle_init_producer_id, true },
    { API_OFFSET_FOR_LEADER_EPOCH, handle_offset_for_leader_epoch, false },
    { API_ADD_PARTITIONS_TO_TXN, handle_add_partitions_to_txn, true },
    { API_ADD_OFFSETS_TO_TXN, handle_add_offsets_to_txn, true },
    { API_END_TXN, handle_end_txn, true },
    { API_WRITE_TXN_MARKERS, handle_write_txn_markers, false },
    { API_TXN_OFFSET_COMMIT, handle_txn_offset_commit, true },
    { API_DESCRIBE_ACLS, handle_describe_acls, false },
    { API_CREATE_ACLS, handle_create_acls, false },
    { API_DELETE_ACLS, handle_delete_acls, false },
    { API_DESCRIBE_CONFIGS, handle_describe_configs, false },
    { API_ALTER_CONFIGS, handle_alter_configs, false },
    { API_ALTER_REPLICA_LOG_DIRS, handle_alter_replica_log_dirs, false },
    { API_DESCRIBE_LOG_DIRS, handle_describe_log_dirs, false },
    { API_SASL_AUTHENTICATE, handle_sasl_authenticate, true },
    { API_CREATE_PARTITIONS, handle_create_partitions, false },
    { API_DELETE_GROUPS, handle_delete_groups, false },
    { API_ELECT_LEADERS, handle_elect_leaders, false },
    { API_INCREMENTAL_ALTER_CONFIGS, handle_incremental_alter_configs, false },
    { API_ALTER_PARTITION_REASSIGNMENTS, handle_alter_partition_reassignments, false },
    { API_LIST_PARTITION_REASSIGNMENTS, handle_list_partition_reassignments, false },
    { API_OFFSET_DELETE, handle_offset_delete, false },
    { API_DESCRIBE_QUORUM, handle_describe_quorum, false },
    { API_UPDATE_FEATURES, handle_update_features, false },
    { API_DESCRIBE_CLUSTER, handle_describe_cluster, false },
    { API_DESCRIBE_PRODUCERS, handle_describe_producers, false },
    { API_DESCRIBE_TRANSACTIONS, handle_describe_transactions, false },
    { API_LIST_TRANSACTIONS, handle_list_transactions, false },
    { API_CONSUMER_GROUP_HEARTBEAT, handle_consumer_group_heartbeat, true },
    { API_CONSUMER_GROUP_DESCRIBE, handle_consumer_group_describe, false },
    { API_LIST_CONFIG_RESOURCES, handle_list_config_resources, false },
    { API_DESCRIBE_TOPIC_PARTITIONS, handle_describe_topic_partitions, false },
    { API_SHARE_GROUP_HEARTBEAT, handle_share_group_heartbeat, true },
    { API_SHARE_GROUP_DESCRIBE, handle_share_group_describe, false },
    { API_SHARE_FETCH, handle_share_fetch, false },
    { API_SHARE_ACKNOWLEDGE, handle_share_acknowledge, true },
    { API_DESCRIBE_SHARE_GROUP_OFFSETS, handle_describe_share_group_offsets, false },
    { API_ALTER_SHARE_GROUP_OFFSETS, handle_alter_share_group_offsets, false },
    { API_DELETE_SHARE_GROUP_OFFSETS, handle_delete_share_group_offsets, false },
};

#define NO_SASL      "logging in is not served yet"
#define NO_TOKENS    "delegation tokens come with logging in"
#define NO_QUOTAS    "clients are not limited by quotas yet"
#define NO_STREAMS   "the groups of Kafka Streams' own protocol (KIP-1071) are not served"
#define NO_QUORUM    "one node: its quorum can't be changed"
#define NO_TELEMETRY "nobody takes clients' metrics (KIP-714); without it clients are silent"

static const struct absent_api absent[] = {
    { 38, "CreateDelegationToken", NO_TOKENS },
    { 39, "RenewDelegationToken", NO_TOKENS },
    { 40, "ExpireDelegationToken", NO_TOKENS },
    { 41, "DescribeDelegationToken", NO_TOKENS },
    { 48, "DescribeClientQuotas", NO_QUOTAS },
    { 49, "AlterClientQuotas", NO_QUOTAS },
    { 50, "DescribeUserScramCredentials", NO_SASL },
    { 51, "AlterUserScramCredentials", NO_SASL },
    { 64, "UnregisterBroker", "one node: there is no other broker to take out" },
    { 71, "GetTelemetrySubscriptions", NO_TELEMETRY },
    { 72, "PushTelemetry", NO_TELEMETRY },
    { 80, "AddRaftVoter", NO_QUORUM },
    { 81, "RemoveRaftVoter", NO_QUORUM },
    { 88, "StreamsGroupHeartbeat", NO_STREAMS },
    { 89, "StreamsGroupDescribe", NO_STREAMS },
};

const struct absent_api *absent_apis(size_t *ret_count)
{
    *ret_count = ARRAY_COUNT(absent);
    return absent;
}

const struct api *api_table(size_t *ret_count)
{
    *ret_count = ARRAY_COUNT(table);
    return table;
}

const struct api *api_find(int16_t key)
{
    size_t low = 0, high = ARRAY_COUNT(table);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ARRAY_COUNT(table) && table[low].key == key ? &table[low] : NULL;
}
