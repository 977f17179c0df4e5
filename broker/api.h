/*
 * api.h - one row per API: what is served, what is advertised, who handles it.
 *
 * The answer to ApiVersions, the dispatch and the table of `millrace serve --print-apis` are made
 * from these rows and from nothing else.
 */
#ifndef BROKER_API_H
#define BROKER_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request;

/* The name, the tables of the messages and both ranges of versions are the schema's
 * (api_schema_find of protocol/messages.h): what is served, and what is advertised where clients
 * need another range (Produce says 0, or librdkafka ≤ 2.11.0 silently stops compressing,
 * KAFKA-18659). A request outside of the served range closes the connection, as Kafka does, but for
 * ApiVersions (KIP-511). */
struct api {
    int16_t key;
    void (*handle)(struct request *request);
    bool brief; /* its answers are about as long as its requests: handled while others' answers
                   take all the room. A Fetch asks for room by itself */
};

/* The rows, by key ascending. */
const struct api *api_table(size_t *ret_count);
/* NULL: not offered. */
const struct api *api_find(int16_t key);

/* APIs that Kafka 4.3 has for clients and tools and that are not offered here, by key ascending;
 * for the docs. Those between brokers and controllers are not among them. */
struct absent_api {
    int16_t key;
    const char *name;
    const char *why;
};
const struct absent_api *absent_apis(size_t *ret_count);

/* Handlers, in handle_<family>.c. */
void handle_api_versions(struct request *request);
void handle_sasl_handshake(struct request *request);
void handle_sasl_authenticate(struct request *request);
void handle_describe_acls(struct request *request);
void handle_create_acls(struct request *request);
void handle_delete_acls(struct request *request);
void handle_metadata(struct request *request);
void handle_produce(struct request *request);
void handle_fetch(struct request *request);
void handle_list_offsets(struct request *request);
void handle_offset_for_leader_epoch(struct request *request);
void handle_find_coordinator(struct request *request);
void handle_join_group(struct request *request);
void handle_sync_group(struct request *request);
void handle_heartbeat(struct request *request);
void handle_leave_group(struct request *request);
void handle_offset_commit(struct request *request);
void handle_offset_fetch(struct request *request);
void handle_describe_groups(struct request *request);
void handle_list_groups(struct request *request);
void handle_consumer_group_heartbeat(struct request *request);
void handle_consumer_group_describe(struct request *request);
void handle_create_topics(struct request *request);
void handle_delete_topics(struct request *request);
void handle_create_partitions(struct request *request);
void handle_init_producer_id(struct request *request);
void handle_alter_configs(struct request *request);
void handle_incremental_alter_configs(struct request *request);
void handle_list_config_resources(struct request *request);
void handle_delete_records(struct request *request);
void handle_delete_groups(struct request *request);
void handle_offset_delete(struct request *request);
void handle_elect_leaders(struct request *request);
void handle_alter_partition_reassignments(struct request *request);
void handle_list_partition_reassignments(struct request *request);
void handle_alter_replica_log_dirs(struct request *request);
void handle_describe_log_dirs(struct request *request);
void handle_describe_producers(struct request *request);
void handle_describe_topic_partitions(struct request *request);
void handle_update_features(struct request *request);
void handle_describe_quorum(struct request *request);
void handle_add_partitions_to_txn(struct request *request);
void handle_add_offsets_to_txn(struct request *request);
void handle_end_txn(struct request *request);
void handle_write_txn_markers(struct request *request);
void handle_txn_offset_commit(struct request *request);
void handle_describe_transactions(struct request *request);
void handle_list_transactions(struct request *request);
void handle_share_group_heartbeat(struct request *request);
void handle_share_group_describe(struct request *request);
void handle_share_fetch(struct request *request);
void handle_share_acknowledge(struct request *request);
void handle_describe_share_group_offsets(struct request *request);
void handle_alter_share_group_offsets(struct request *request);
void handle_delete_share_group_offsets(struct request *request);
void handle_describe_configs(struct request *request);
void handle_describe_cluster(struct request *request);

#endif
