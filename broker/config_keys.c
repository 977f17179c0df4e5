/*
 * config_keys.c - every key of the broker, by name.
 *
 * Names, types, defaults and ranges of Kafka's keys are those of Apache Kafka 4.3.1 (its
 * ConfigDef), with the keys that its authorizer reads, its replication throttles, and keys of Kafka
 * 3 that people's files still hold; the words are ours. A default of ours that differs from
 * Kafka's: see listeners, node.id, socket.*.buffer.bytes, socket.listen.backlog.size. Our own keys:
 * durability*, memory.limit, wal.*, checkpoint.interval.ms, disk*, connection.inflight.*,
 * connections.first.request.max.ms, replication.factor.clamp, request.arena.max.bytes, log.level,
 * transactions.max.
 *
 * To add a key: one row here in its place by name (test_config checks the order), a field in struct
 * broker_config if it is obeyed.
 */
#include <stddef.h>
#include <string.h>

#include "broker/config_table.h"

#define WHY_ACL         "Belongs to the authorizer, which is refused."
#define WHY_CHECKPOINT  "Checkpoints follow checkpoint.interval.ms."
#define WHY_CLEANER     "Sizes Kafka's log cleaner."
#define WHY_CLIENT      "Concerns connections that a broker opens; this one opens none."
#define WHY_REGEX       "Regular expressions of groups are looked up again when the topics change."
#define WHY_CORDONED    "There is one data directory."
#define WHY_METRICS     "Kafka's metrics and their reporters do not exist here."
#define WHY_OFFSETS     "Offsets and groups are in the data directory, not in a topic."
#define WHY_ONE_COPY    "On one node a topic has one copy."
#define WHY_ONE_NODE    "One node: there is no other broker to talk to."
#define WHY_PROTOCOLS   "All protocols that are served are served at once."
#define WHY_PURGATORY   "Waiting requests are not kept in a purgatory that needs purging."
#define WHY_QUEUED      "Limits per connection and memory.limit take its place."
#define WHY_QUORUM      "No controllers and no metadata log: state is in the data directory."
#define WHY_QUOTA       "Quotas are not served yet."
#define WHY_REMOTE      "Remote storage is not served yet."
#define WHY_REMOVED     "Kafka 4 knows it no longer, and neither changes anything here."
#define WHY_SASL        "SASL is not served yet: a listener that asks for it is refused."
#define WHY_SHARE       "What a share group has had is in the data directory, not in a topic."
#define WHY_SHARE_NOW   "Share groups are assigned at once, by the simple assignor."
#define WHY_STREAMS     "Groups of Kafka Streams' own protocol (KIP-1071) are not served yet."
#define WHY_THREADS     "One loop and a small pool do the work; there are no threads to count."
#define WHY_TLS         "TLS is not served yet: a listener that asks for it is refused."
#define WHY_TOKEN       "Delegation tokens are not served yet."
#define WHY_TRANSACTION "State of transactions is in the data directory, not in a topic."

/* Of no effect: default, range or choices, and why. */
#define UNUSED(key_name, key_type, text, why)                                                      \
    {                                                                                              \
        .name = key_name, .type = CONFIG_##key_type, .default_text = text, .doc = why,             \
        .effect = CONFIG_WITHOUT_EFFECT                                                            \
    }
#define UNUSED_NUMBER(key_name, key_type, text, low, high, why)                                    \
    {                                                                                              \
        .name = key_name, .type = CONFIG_##key_type, .default_text = text, .doc = why,             \
        .effect = CONFIG_WITHOUT_EFFECT, .min = low, .max = high                                   \
    }
#define UNUSED_CHOICE(key_name, text, choices, why)                                                \
    {                                                                                              \
        .name = key_name, .type = CONFIG_STRING, .default_text = text, .doc = why,                 \
        .effect = CONFIG_WITHOUT_EFFECT, .allowed = choices                                        \
    }
#define REFUSED(key_name, key_type, text, why)                                                     \
    {                                                                                              \
        .name = key_name, .type = CONFIG_##key_type, .default_text = text, .doc = why,             \
        .effect = CONFIG_REFUSED                                                                   \
    }
/* The default of a topic's key: its table has the range. */
#define TOPIC(key_name, key_type, text, topic, words)                                              \
    {                                                                                              \
        .name = key_name, .type = CONFIG_##key_type, .default_text = text, .doc = words,           \
        .topic_key = topic, .min = INT64_MIN, .max = INT64_MAX                                     \
    }
/* Goes into a field of struct broker_config. */
#define NUMBER(key_name, key_type, text, low, high, kind, field, words)                            \
    {                                                                                              \
        .name = key_name, .type = CONFIG_##key_type, .default_text = text, .doc = words,           \
        .min = low, .max = high, .store = STORE_##kind,                                            \
        .offset = offsetof(struct broker_config, field)                                            \
    }
#define FIELD(key_name, key_type, text, kind, field, words)                                        \
    {                                                                                              \
        .name = key_name, .type = CONFIG_##key_type, .default_text = text, .doc = words,           \
        .store = STORE_##kind, .offset = offsetof(struct broker_config, field)                     \
    }
/* Read by name in config*.c. */
#define READ(key_name, key_type, text, words)                                                      \
    {                                                                                              \
        .name = key_name, .type = CONFIG_##key_type, .default_text = text, .doc = words            \
    }
#define READ_NUMBER(key_name, key_type, text, low, high, words)                                    \
    {                                                                                              \
        .name = key_name, .type = CONFIG_##key_type, .default_text = text, .doc = words,           \
        .min = low, .max = high                                                                    \
    }
#define CHOICE(key_name, text, choices, words)                                                     \
    {                                                                                              \
        .name = key_name, .type = CONFIG_STRING, .default_text = text, .doc = words,               \
        .allowed = choices                                                                         \
    }

static const struct config_key keys[] = {
    UNUSED_NUMBER(
        "add.partitions.to.txn.retry.backoff.max.ms", INT, "100", 0, INT32_MAX, WHY_TRANSACTION),
    UNUSED_NUMBER(
        "add.partitions.to.txn.retry.backoff.ms", INT, "20", 1, INT32_MAX, WHY_TRANSACTION),
    UNUSED("advertised.host.name", STRING, NULL, WHY_REMOVED),
    READ("advertised.listeners", LIST, NULL,
        "NAME://HOST:PORT that clients are told for each listener; a listener that is missing here "
        "tells the address the client came to."),
    UNUSED("advertised.port", STRING, NULL, WHY_REMOVED),
    UNUSED("allow.everyone.if.no.acl.found", BOOLEAN, NULL, WHY_ACL),
    REFUSED("alter.config.policy.class.name", CLASS, NULL,
        "A Java class that forbids changes can't be loaded here."),
    UNUSED_NUMBER(
        "alter.log.dirs.replication.quota.window.num", INT, "11", 1, INT32_MAX, WHY_QUOTA),
    UNUSED_NUMBER(
        "alter.log.dirs.replication.quota.window.size.seconds", INT, "1", 1, INT32_MAX, WHY_QUOTA),
    REFUSED("authorizer.class.name", STRING, "",
        "Rules of access are not served yet, and a broker that ignored them would be open."),
    FIELD("auto.create.topics.enable", BOOLEAN, "true", BOOL, auto_create_topics,
        "Whether a Metadata request makes the topics it names."),
    UNUSED("auto.include.jmx.reporter", STRING, NULL, WHY_REMOVED),
    UNUSED("auto.leader.rebalance.enable", BOOLEAN, "true", WHY_ONE_NODE),
    UNUSED_NUMBER("background.threads", INT, "10", 1, INT32_MAX, WHY_THREADS),
    UNUSED_NUMBER("broker.heartbeat.interval.ms", INT, "2000", INT32_MIN, INT32_MAX, WHY_ONE_NODE),
    READ_NUMBER(
        "broker.id", INT, "-1", INT32_MIN, INT32_MAX, "Older name of node.id; -1: not set."),
    UNUSED("broker.id.generation.enable", STRING, NULL, WHY_REMOVED),
    FIELD("broker.rack", STRING, NULL, TEXT, rack, "Rack that Metadata names."),
    UNUSED_NUMBER("broker.session.timeout.ms", INT, "9000", INT32_MIN, INT32_MAX, WHY_ONE_NODE),
    NUMBER("checkpoint.interval.ms", LONG, "30000", 100, 86400000, INT64, checkpoint_ms,
        "How often the state is checkpointed, so that a start has little to replay."),
    REFUSED("client.quota.callback.class", CLASS, NULL,
        "A Java class that limits clients can't be loaded here."),
    TOPIC("compression.gzip.level", INT, "-1", "compression.gzip.level",
        "Level of gzip where compression.type makes the broker compress."),
    TOPIC("compression.lz4.level", INT, "9", "compression.lz4.level",
        "Level of lz4 where compression.type makes the broker compress."),
    TOPIC("compression.type", STRING, "producer", "compression.type",
        "Codec that topics store with; producer keeps what the producer chose."),
    TOPIC("compression.zstd.level", INT, "3", "compression.zstd.level",
        "Level of zstd where compression.type makes the broker compress."),
    REFUSED("config.providers", LIST, "",
        "Values can't be looked up by Java classes; use the environment or --set."),
    UNUSED_NUMBER("connection.failed.authentication.delay.ms", INT, "100", 0, INT32_MAX, WHY_SASL),
    NUMBER("connection.inflight.bytes.max", LONG, "16777216", 4096, INT64_C(1099511627776), INT64,
        inflight_bytes_max, "Bytes of those requests (one larger alone is fine)."),
    NUMBER("connection.inflight.requests.max", INT, "64", 1, 65536, INT32, inflight_requests_max,
        "Requests of one connection that are handled at a time; at the limit its reading pauses."),
    NUMBER("connections.first.request.max.ms", LONG, "60000", -1, INT64_MAX, INT64,
        connections_first_request_max_ms,
        "A connection without a whole request for so long after it came is closed; -1: never."),
    NUMBER("connections.max.idle.ms", LONG, "600000", -1, INT64_MAX, INT64, connections_max_idle_ms,
        "A connection without a request for this long is closed; -1: never."),
    UNUSED_NUMBER("connections.max.reauth.ms", LONG, "0", INT64_MIN, INT64_MAX, WHY_SASL),
    UNUSED("control.plane.listener.name", STRING, NULL, WHY_REMOVED),
    UNUSED("controlled.shutdown.enable", BOOLEAN, "true", WHY_ONE_NODE),
    READ("controller.listener.names", LIST, NULL,
        "These listeners are not opened: one node needs no controller quorum."),
    UNUSED_NUMBER(
        "controller.performance.always.log.threshold.ms", LONG, "2000", 0, INT64_MAX, WHY_QUORUM),
    UNUSED_NUMBER(
        "controller.performance.sample.period.ms", LONG, "60000", 100, INT64_MAX, WHY_QUORUM),
    UNUSED_NUMBER("controller.quorum.append.linger.ms", INT, "25", 0, INT32_MAX, WHY_QUORUM),
    UNUSED("controller.quorum.auto.join.enable", BOOLEAN, "false", WHY_QUORUM),
    UNUSED("controller.quorum.bootstrap.servers", LIST, "", WHY_QUORUM),
    UNUSED_NUMBER(
        "controller.quorum.election.backoff.max.ms", INT, "1000", 0, INT32_MAX, WHY_QUORUM),
    UNUSED_NUMBER("controller.quorum.election.timeout.ms", INT, "1000", 0, INT32_MAX, WHY_QUORUM),
    UNUSED_NUMBER("controller.quorum.fetch.max.bytes", INT, "1048576", 1, INT32_MAX, WHY_QUORUM),
    UNUSED_NUMBER(
        "controller.quorum.fetch.snapshot.max.bytes", INT, "1048576", 1, INT32_MAX, WHY_QUORUM),
    UNUSED_NUMBER("controller.quorum.fetch.timeout.ms", INT, "2000", 0, INT32_MAX, WHY_QUORUM),
    UNUSED_NUMBER("controller.quorum.request.timeout.ms", INT, "2000", 0, INT32_MAX, WHY_QUORUM),
    UNUSED_NUMBER("controller.quorum.retry.backoff.ms", INT, "20", 0, INT32_MAX, WHY_QUORUM),
    UNUSED("controller.quorum.voters", LIST, "", WHY_QUORUM),
    UNUSED_NUMBER("controller.quota.window.num", INT, "11", 1, INT32_MAX, WHY_QUOTA),
    UNUSED_NUMBER("controller.quota.window.size.seconds", INT, "1", 1, INT32_MAX, WHY_QUOTA),
    UNUSED_NUMBER("controller.socket.timeout.ms", INT, "30000", INT32_MIN, INT32_MAX, WHY_QUORUM),
    UNUSED("cordoned.log.dirs", LIST, "", WHY_CORDONED),
    REFUSED("create.topic.policy.class.name", CLASS, NULL,
        "A Java class that forbids topics can't be loaded here."),
    UNUSED_NUMBER("default.replication.factor", INT, "1", -1, 32767, WHY_ONE_COPY),
    UNUSED_NUMBER(
        "delegation.token.expiry.check.interval.ms", LONG, "3600000", 1, INT64_MAX, WHY_TOKEN),
    UNUSED_NUMBER("delegation.token.expiry.time.ms", LONG, "86400000", 1, INT64_MAX, WHY_TOKEN),
    UNUSED("delegation.token.master.key", PASSWORD, NULL, WHY_REMOVED),
    UNUSED_NUMBER("delegation.token.max.lifetime.ms", LONG, "604800000", 1, INT64_MAX, WHY_TOKEN),
    UNUSED("delegation.token.secret.key", PASSWORD, NULL, WHY_TOKEN),
    UNUSED_NUMBER("delete.records.purgatory.purge.interval.requests", INT, "1", INT32_MIN,
        INT32_MAX, WHY_PURGATORY),
    FIELD("delete.topic.enable", BOOLEAN, "true", BOOL, delete_topics,
        "Whether topics can be deleted."),
    CHOICE("disk", "auto", "auto|io_uring|plain",
        "How the disk is driven: io_uring, plain (a thread), or auto: io_uring where the kernel "
        "allows it."),
    NUMBER("disk.free.min.bytes", LONG, "-1", -1, INT64_C(1152921504606846976), INT64,
        disk_free_min_bytes,
        "Produce is refused below this free space; -1: the lesser of 1 GiB and 2 % of the disk."),
    TOPIC("durability", STRING, "acks", "durability",
        "What an ack means: acks (acks=all is on stable media, acks=1 within "
        "durability.interval.ms), fsync, interval, os."),
    NUMBER("durability.interval.bytes", LONG, "1048576", 4096, 1073741824, INT64,
        durability_interval_bytes, "Durability interval: ... or after this many bytes."),
    NUMBER("durability.interval.ms", LONG, "50", 1, 60000, INT64, durability_interval_ms,
        "Durability interval: written bytes are on stable media after this time at most."),
    UNUSED("early.start.listeners", LIST, NULL, WHY_QUORUM),
    UNUSED("eligible.leader.replicas.enable", STRING, NULL, WHY_REMOVED),
    NUMBER("fetch.max.bytes", INT, "57671680", 1024, INT32_MAX, INT64, fetch_max_bytes,
        "Most bytes in one answer to Fetch (one larger batch alone is sent all the same)."),
    UNUSED_NUMBER("fetch.purgatory.purge.interval.requests", INT, "1000", INT32_MIN, INT32_MAX,
        WHY_PURGATORY),
    UNUSED("follower.fetch.last.tiered.offset.enable", BOOLEAN, "false", WHY_REMOTE),
    UNUSED_NUMBER(
        "follower.replication.throttled.rate", LONG, NULL, INT64_MIN, INT64_MAX, WHY_ONE_NODE),
    NUMBER("group.consumer.assignment.interval.ms", INT, "1000", 0, INT32_MAX, INT32,
        group_consumer_assignment_interval_ms,
        "Least time between two assignments of a consumer group."),
    FIELD("group.consumer.assignors", LIST, "uniform,range", TEXT, group_consumer_assignors,
        "Assignors that members of consumer groups may name; the first is the default."),
    NUMBER("group.consumer.heartbeat.interval.ms", INT, "5000", 1, INT32_MAX, INT32,
        group_consumer_heartbeat_interval_ms,
        "How often members of a consumer group are told to send a heartbeat."),
    NUMBER("group.consumer.max.assignment.interval.ms", INT, "15000", 0, INT32_MAX, INT32,
        group_consumer_assignment_interval_max_ms,
        "Most that a group may set as consumer.assignment.interval.ms."),
    NUMBER("group.consumer.max.heartbeat.interval.ms", INT, "15000", 1, INT32_MAX, INT32,
        group_consumer_heartbeat_interval_max_ms,
        "Most that a group may set as consumer.heartbeat.interval.ms."),
    NUMBER("group.consumer.max.session.timeout.ms", INT, "60000", 1, INT32_MAX, INT32,
        group_consumer_session_timeout_max_ms,
        "Most that a group may set as consumer.session.timeout.ms."),
    NUMBER("group.consumer.max.size", INT, "2147483647", 1, INT32_MAX, INT32,
        group_consumer_max_size, "Most members of a consumer group."),
    CHOICE("group.consumer.migration.policy", "bidirectional",
        "DISABLED|DOWNGRADE|UPGRADE|BIDIRECTIONAL",
        "Which groups change their protocol while they have members: from classic to consumer when "
        "a consumer joins (upgrade), back when the last one leaves (downgrade), both, or none."),
    NUMBER("group.consumer.min.assignment.interval.ms", INT, "0", 0, INT32_MAX, INT32,
        group_consumer_assignment_interval_min_ms,
        "Least that a group may set as consumer.assignment.interval.ms."),
    NUMBER("group.consumer.min.heartbeat.interval.ms", INT, "5000", 1, INT32_MAX, INT32,
        group_consumer_heartbeat_interval_min_ms,
        "Least that a group may set as consumer.heartbeat.interval.ms."),
    NUMBER("group.consumer.min.session.timeout.ms", INT, "45000", 1, INT32_MAX, INT32,
        group_consumer_session_timeout_min_ms,
        "Least that a group may set as consumer.session.timeout.ms."),
    UNUSED_NUMBER(
        "group.consumer.regex.refresh.interval.ms", INT, "600000", 10000, INT32_MAX, WHY_REGEX),
    NUMBER("group.consumer.session.timeout.ms", INT, "45000", 1, INT32_MAX, INT32,
        group_consumer_session_timeout_ms,
        "A member of a consumer group that is silent for this long is taken out."),
    UNUSED_NUMBER("group.coordinator.append.linger.ms", INT, "-1", -1, INT32_MAX, WHY_OFFSETS),
    UNUSED_NUMBER("group.coordinator.background.threads", INT, "2", 1, INT32_MAX, WHY_THREADS),
    UNUSED_NUMBER("group.coordinator.cached.buffer.max.bytes", INT, "1048588", 524288, INT32_MAX,
        WHY_OFFSETS),
    UNUSED("group.coordinator.new.enable", STRING, NULL, WHY_REMOVED),
    UNUSED(
        "group.coordinator.rebalance.protocols", LIST, "classic,consumer,streams", WHY_PROTOCOLS),
    UNUSED_NUMBER("group.coordinator.threads", INT, "4", 1, INT32_MAX, WHY_THREADS),
    NUMBER("group.initial.rebalance.delay.ms", INT, "3000", 0, INT32_MAX, INT32,
        group_initial_rebalance_delay_ms,
        "How long the first join of an empty group waits for more members."),
    NUMBER("group.max.session.timeout.ms", INT, "1800000", 1, INT32_MAX, INT32,
        group_max_session_timeout_ms, "Longest session timeout that a group member may ask for."),
    NUMBER("group.max.size", INT, "2147483647", 1, INT32_MAX, INT32, group_max_size,
        "Most members of a group."),
    NUMBER("group.min.session.timeout.ms", INT, "6000", 1, INT32_MAX, INT32,
        group_min_session_timeout_ms, "Shortest session timeout that a group member may ask for."),
    UNUSED_NUMBER("group.share.assignment.interval.ms", INT, "1000", 0, INT32_MAX, WHY_SHARE_NOW),
    UNUSED("group.share.assignors", LIST, "simple", WHY_SHARE_NOW),
    NUMBER("group.share.delivery.count.limit", INT, "5", 2, 10, INT32,
        group_share_delivery_count_limit, "How often a record is given to a share group at most."),
    NUMBER("group.share.heartbeat.interval.ms", INT, "5000", 1, INT32_MAX, INT32,
        group_share_heartbeat_interval_ms,
        "How often members of a share group are told to send a heartbeat."),
    UNUSED_NUMBER(
        "group.share.initialize.retry.interval.ms", INT, "30000", 1, INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER(
        "group.share.max.assignment.interval.ms", INT, "15000", 0, INT32_MAX, WHY_SHARE_NOW),
    READ_NUMBER("group.share.max.delivery.count.limit", INT, "10", 5, 25,
        "Bounds what may be set on a share group."),
    READ_NUMBER("group.share.max.heartbeat.interval.ms", INT, "15000", 1, INT32_MAX,
        "Bounds what may be set on a share group."),
    READ_NUMBER("group.share.max.partition.max.record.locks", INT, "4000", 2000, 10000,
        "Bounds what may be set on a share group."),
    READ_NUMBER("group.share.max.record.lock.duration.ms", INT, "60000", 30000, 3600000,
        "Bounds what may be set on a share group."),
    READ_NUMBER("group.share.max.session.timeout.ms", INT, "60000", 1, INT32_MAX,
        "Bounds what may be set on a share group."),
    NUMBER("group.share.max.share.sessions", INT, "2000", 1, INT32_MAX, INT32,
        group_share_max_share_sessions, "Most share sessions at a time, of all groups."),
    NUMBER("group.share.max.size", INT, "200", 1, 1000, INT32, group_share_max_size,
        "Most members of a share group."),
    UNUSED_NUMBER("group.share.min.assignment.interval.ms", INT, "0", 0, INT32_MAX, WHY_SHARE_NOW),
    READ_NUMBER("group.share.min.delivery.count.limit", INT, "2", 2, 5,
        "Bounds what may be set on a share group."),
    READ_NUMBER("group.share.min.heartbeat.interval.ms", INT, "5000", 1, INT32_MAX,
        "Bounds what may be set on a share group."),
    READ_NUMBER("group.share.min.partition.max.record.locks", INT, "100", 100, 2000,
        "Bounds what may be set on a share group."),
    READ_NUMBER("group.share.min.record.lock.duration.ms", INT, "15000", 1000, 30000,
        "Bounds what may be set on a share group."),
    READ_NUMBER("group.share.min.session.timeout.ms", INT, "45000", 1, INT32_MAX,
        "Bounds what may be set on a share group."),
    NUMBER("group.share.partition.max.record.locks", INT, "2000", 100, 10000, INT32,
        group_share_partition_max_record_locks,
        "Records of a partition that a share group may have under way."),
    UNUSED("group.share.persister.class.name", STRING,
        "org.apache.kafka.server.share.persister.DefaultStatePersister", WHY_SHARE),
    NUMBER("group.share.record.lock.duration.ms", INT, "30000", 1000, 3600000, INT32,
        group_share_record_lock_duration_ms,
        "How long a member of a share group may keep a record."),
    NUMBER("group.share.session.timeout.ms", INT, "45000", 1, INT32_MAX, INT32,
        group_share_session_timeout_ms,
        "A member of a share group that is silent for this long is taken out."),
    UNUSED_NUMBER("group.streams.assignment.interval.ms", INT, "1000", 0, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER("group.streams.heartbeat.interval.ms", INT, "5000", 1, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER(
        "group.streams.initial.rebalance.delay.ms", INT, "3000", 0, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER(
        "group.streams.max.assignment.interval.ms", INT, "15000", 0, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER(
        "group.streams.max.heartbeat.interval.ms", INT, "15000", 1, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER("group.streams.max.session.timeout.ms", INT, "60000", 1, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER("group.streams.max.size", INT, "2147483647", 1, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER("group.streams.max.standby.replicas", INT, "2", 0, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER("group.streams.min.assignment.interval.ms", INT, "0", 0, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER(
        "group.streams.min.heartbeat.interval.ms", INT, "5000", 1, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER("group.streams.min.session.timeout.ms", INT, "45000", 1, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER("group.streams.num.standby.replicas", INT, "0", 0, INT32_MAX, WHY_STREAMS),
    UNUSED_NUMBER("group.streams.session.timeout.ms", INT, "45000", 1, INT32_MAX, WHY_STREAMS),
    UNUSED("host.name", STRING, NULL, WHY_REMOVED),
    UNUSED_NUMBER(
        "initial.broker.registration.timeout.ms", INT, "60000", INT32_MIN, INT32_MAX, WHY_ONE_NODE),
    UNUSED("inter.broker.listener.name", STRING, NULL, WHY_ONE_NODE),
    UNUSED("inter.broker.protocol.version", STRING, NULL, WHY_REMOVED),
    UNUSED_NUMBER(
        "internal.metadata.delete.delay.millis", LONG, "60000", INT64_MIN, INT64_MAX, WHY_QUORUM),
    UNUSED_NUMBER(
        "internal.metadata.log.segment.bytes", INT, NULL, INT32_MIN, INT32_MAX, WHY_QUORUM),
    UNUSED_NUMBER("internal.metadata.max.batch.size.in.bytes", INT, "8388608", INT32_MIN, INT32_MAX,
        WHY_QUORUM),
    UNUSED_NUMBER("kafka.metrics.polling.interval.secs", INT, "10", 1, INT32_MAX, WHY_METRICS),
    UNUSED("kafka.metrics.reporters", LIST, "", WHY_METRICS),
    UNUSED_NUMBER(
        "leader.imbalance.check.interval.seconds", LONG, "300", 1, INT64_MAX, WHY_ONE_NODE),
    UNUSED("leader.imbalance.per.broker.percentage", STRING, NULL, WHY_REMOVED),
    UNUSED_NUMBER(
        "leader.replication.throttled.rate", LONG, NULL, INT64_MIN, INT64_MAX, WHY_ONE_NODE),
    READ("listener.security.protocol.map", STRING,
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "NAME:PROTOCOL pairs for listeners whose name is not a protocol. Only PLAINTEXT is served "
        "yet; others are refused."),
    READ("listeners", LIST, "PLAINTEXT://127.0.0.1:9092",
        "NAME://HOST:PORT, several with commas; [::] for IPv6; port 0 lets the system pick."),
    NUMBER("log.cleaner.backoff.ms", LONG, "15000", 0, INT64_MAX, INT64, cleaner_backoff_ms,
        "How long the cleaner waits, if no log is dirty enough, before it looks again."),
    NUMBER("log.cleaner.dedupe.buffer.size", LONG, "134217728", INT64_MIN, INT64_MAX, INT64,
        cleaner_dedupe_bytes,
        "Memory for the keys of a log that is compacted, at most an eighth of memory.limit; more "
        "keys take more rounds."),
    TOPIC("log.cleaner.delete.retention.ms", LONG, "86400000", "delete.retention.ms",
        "How long compaction keeps the mark of a deleted key."),
    FIELD("log.cleaner.enable", BOOLEAN, "true", BOOL, cleaner_enable,
        "Whether topics are compacted whose cleanup.policy says so."),
    UNUSED("log.cleaner.io.buffer.load.factor", DOUBLE, "0.9", WHY_CLEANER),
    UNUSED_NUMBER("log.cleaner.io.buffer.size", INT, "524288", 0, INT32_MAX, WHY_CLEANER),
    FIELD("log.cleaner.io.max.bytes.per.second", DOUBLE, "1.7976931348623157E308", DOUBLE,
        cleaner_bytes_per_second, "Most bytes that compaction reads and writes per second."),
    TOPIC("log.cleaner.max.compaction.lag.ms", LONG, "9223372036854775807", "max.compaction.lag.ms",
        "A record waits at most this long for compaction."),
    TOPIC("log.cleaner.min.cleanable.ratio", DOUBLE, "0.5", "min.cleanable.dirty.ratio",
        "Share of uncompacted bytes at which a log is compacted."),
    TOPIC("log.cleaner.min.compaction.lag.ms", LONG, "0", "min.compaction.lag.ms",
        "A record is left alone by compaction at least this long."),
    UNUSED_NUMBER("log.cleaner.threads", INT, "1", 0, INT32_MAX, WHY_THREADS),
    TOPIC("log.cleanup.policy", LIST, "delete", "cleanup.policy",
        "What happens to old segments: delete, compact, or both."),
    READ("log.dir", LIST, NULL, "As log.dirs, which wins."),
    UNUSED_NUMBER("log.dir.failure.timeout.ms", LONG, "30000", 1, INT64_MAX, WHY_ONE_NODE),
    READ("log.dirs", LIST, NULL, "The data directory. Of several the first is used."),
    TOPIC("log.flush.interval.messages", LONG, "9223372036854775807", "flush.messages",
        "1 means that an ack waits for stable media (durability fsync); other values change "
        "nothing."),
    TOPIC("log.flush.interval.ms", LONG, NULL, "flush.ms",
        "If set, topics have durability interval."),
    UNUSED_NUMBER(
        "log.flush.offset.checkpoint.interval.ms", INT, "60000", 0, INT32_MAX, WHY_CHECKPOINT),
    READ_NUMBER("log.flush.scheduler.interval.ms", LONG, "9223372036854775807", INT64_MIN,
        INT64_MAX, "As log.flush.interval.ms, which wins."),
    UNUSED_NUMBER("log.flush.start.offset.checkpoint.interval.ms", INT, "60000", 0, INT32_MAX,
        WHY_CHECKPOINT),
    TOPIC("log.index.interval.bytes", INT, "4096", "index.interval.bytes",
        "Bytes of log between two entries of the offset index."),
    TOPIC("log.index.size.max.bytes", INT, "10485760", "segment.index.bytes",
        "Largest index of a segment."),
    UNUSED_NUMBER("log.initial.task.delay.ms", LONG, "30000", 0, INT64_MAX, WHY_CHECKPOINT),
    CHOICE("log.level", "info", "error|warning|info|debug",
        "What is told on standard error: error, warning, info or debug."),
    TOPIC("log.local.retention.bytes", LONG, "-2", "local.retention.bytes",
        "Bytes kept on this disk of a topic with remote storage."),
    TOPIC("log.local.retention.ms", LONG, "-2", "local.retention.ms",
        "Time kept on this disk of a topic with remote storage."),
    UNUSED("log.message.downconversion.enable", STRING, NULL, WHY_REMOVED),
    UNUSED("log.message.format.version", STRING, NULL, WHY_REMOVED),
    TOPIC("log.message.timestamp.after.max.ms", LONG, "3600000", "message.timestamp.after.max.ms",
        "How far ahead of our clock the time of a record may be."),
    TOPIC("log.message.timestamp.before.max.ms", LONG, "9223372036854775807",
        "message.timestamp.before.max.ms", "How far behind our clock the time of a record may be."),
    UNUSED("log.message.timestamp.difference.max.ms", STRING, NULL, WHY_REMOVED),
    TOPIC("log.message.timestamp.type", STRING, "CreateTime", "message.timestamp.type",
        "Whose time a record carries: its producer's, or that of the append."),
    TOPIC("log.preallocate", BOOLEAN, "false", "preallocate",
        "Whether a new segment gets its full size at once."),
    TOPIC("log.retention.bytes", LONG, "-1", "retention.bytes",
        "Old segments of a partition are deleted above this size; -1: no limit."),
    NUMBER("log.retention.check.interval.ms", LONG, "300000", 1, INT64_MAX, INT64,
        retention_check_ms, "How often logs are looked through for segments to delete."),
    READ_NUMBER("log.retention.hours", INT, "168", -1, INT64_C(2562047788),
        "As log.retention.ms, in hours; log.retention.minutes and log.retention.ms win."),
    READ_NUMBER("log.retention.minutes", INT, NULL, -1, INT32_MAX,
        "As log.retention.ms, in minutes; log.retention.ms wins."),
    TOPIC("log.retention.ms", LONG, NULL, "retention.ms",
        "Records are deleted this long after their time; -1: never."),
    READ_NUMBER(
        "log.roll.hours", INT, "168", 1, INT32_MAX, "As log.roll.ms, in hours; log.roll.ms wins."),
    READ_NUMBER("log.roll.jitter.hours", INT, "0", 0, INT32_MAX,
        "As log.roll.jitter.ms, in hours; log.roll.jitter.ms wins."),
    TOPIC("log.roll.jitter.ms", LONG, NULL, "segment.jitter.ms",
        "Random part taken off log.roll.ms, so that segments do not end all at once."),
    TOPIC(
        "log.roll.ms", LONG, NULL, "segment.ms", "A segment takes records for at most this long."),
    TOPIC("log.segment.bytes", INT, "1073741824", "segment.bytes",
        "Size at which a new segment is begun."),
    TOPIC("log.segment.delete.delay.ms", LONG, "60000", "file.delete.delay.ms",
        "How long the file of a deleted segment stays."),
    NUMBER("max.connection.creation.rate", INT, "2147483647", 0, INT32_MAX, INT32, accept_rate_max,
        "Most new connections per second."),
    NUMBER("max.connections", INT, "2147483647", 0, INT32_MAX, INT32, connections_max,
        "Most connections of all listeners; the limit of open files may be lower."),
    NUMBER("max.connections.per.ip", INT, "2147483647", 0, INT32_MAX, INT32, connections_per_ip_max,
        "Most connections of one address."),
    READ("max.connections.per.ip.overrides", STRING, "",
        "HOST:COUNT pairs with other limits than max.connections.per.ip."),
    NUMBER("max.incremental.fetch.session.cache.slots", INT, "1000", 0, INT32_MAX, INT32,
        fetch_sessions_max,
        "Most fetch sessions; clients without one name all that they want in "
        "every fetch."),
    NUMBER("max.request.partition.size.limit", INT, "2000", 1, INT32_MAX, INT32,
        partitions_per_answer_max, "Most partitions in one answer of DescribeTopicPartitions."),
    NUMBER("memory.limit", LONG, NULL, 67108864, INT64_C(1125899906842624), INT64, memory_limit,
        "The process's budget of memory; default 256 MiB, or half of the container's limit if that "
        "is less."),
    TOPIC("message.max.bytes", INT, "1048588", "max.message.bytes",
        "Largest record batch that is accepted, as it comes (compressed)."),
    UNUSED("metadata.log.dir", STRING, NULL, WHY_QUORUM),
    UNUSED_NUMBER("metadata.log.max.record.bytes.between.snapshots", LONG, "20971520", 1, INT64_MAX,
        WHY_QUORUM),
    UNUSED_NUMBER(
        "metadata.log.max.snapshot.interval.ms", LONG, "3600000", 0, INT64_MAX, WHY_QUORUM),
    UNUSED_NUMBER("metadata.log.segment.bytes", INT, "1073741824", 8388608, INT32_MAX, WHY_QUORUM),
    UNUSED_NUMBER("metadata.log.segment.ms", LONG, "604800000", INT64_MIN, INT64_MAX, WHY_QUORUM),
    UNUSED_NUMBER("metadata.max.idle.interval.ms", INT, "500", 0, INT32_MAX, WHY_QUORUM),
    UNUSED_NUMBER(
        "metadata.max.retention.bytes", LONG, "104857600", INT64_MIN, INT64_MAX, WHY_QUORUM),
    UNUSED_NUMBER("metadata.max.retention.ms", LONG, "604800000", INT64_MIN, INT64_MAX, WHY_QUORUM),
    UNUSED("metric.reporters", LIST, "org.apache.kafka.common.metrics.JmxReporter", WHY_METRICS),
    UNUSED_NUMBER("metrics.num.samples", INT, "2", 1, INT32_MAX, WHY_METRICS),
    UNUSED("metrics.recording.level", STRING, "INFO", WHY_METRICS),
    UNUSED_NUMBER("metrics.sample.window.ms", LONG, "30000", 1, INT64_MAX, WHY_METRICS),
    TOPIC("min.insync.replicas", INT, "1", "min.insync.replicas",
        "Replicas that acks=all needs; one node has one."),
    NUMBER("node.id", INT, "1", 0, INT32_MAX, INT32, node_id,
        "This broker's number in the cluster's answers."),
    UNUSED_NUMBER("num.io.threads", INT, "8", 1, INT32_MAX, WHY_THREADS),
    UNUSED_NUMBER("num.network.threads", INT, "3", 1, INT32_MAX, WHY_THREADS),
    NUMBER("num.partitions", INT, "1", 1, 100000, INT32, num_partitions,
        "Partitions of a topic that is made without a number."),
    UNUSED_NUMBER("num.recovery.threads.per.data.dir", INT, "2", 1, INT32_MAX, WHY_THREADS),
    UNUSED_NUMBER(
        "num.replica.alter.log.dirs.threads", INT, NULL, INT32_MIN, INT32_MAX, WHY_ONE_NODE),
    UNUSED_NUMBER("num.replica.fetchers", INT, "1", 1, INT32_MAX, WHY_ONE_NODE),
    NUMBER("offset.metadata.max.bytes", INT, "4096", 0, INT32_MAX, INT32, offset_metadata_max_bytes,
        "Longest note that a client may keep beside a committed offset."),
    UNUSED("offsets.commit.required.acks", STRING, NULL, WHY_REMOVED),
    UNUSED_NUMBER("offsets.commit.timeout.ms", INT, "5000", 1, INT32_MAX, WHY_OFFSETS),
    UNUSED_NUMBER("offsets.load.buffer.size", INT, "5242880", 1, INT32_MAX, WHY_OFFSETS),
    NUMBER("offsets.retention.check.interval.ms", LONG, "600000", 1, INT64_MAX, INT64,
        offsets_check_ms,
        "How often committed offsets that are too old, and groups that have neither members nor "
        "offsets, are looked for and deleted."),
    NUMBER("offsets.retention.minutes", INT, "10080", 1, INT32_MAX, INT32,
        offsets_retention_minutes,
        "Committed offsets of a group are kept so long after its last member left or, if it never "
        "had members or its members do not read the topic, after the commit."),
    UNUSED_NUMBER("offsets.topic.compression.codec", INT, "0", INT32_MIN, INT32_MAX, WHY_OFFSETS),
    UNUSED_NUMBER("offsets.topic.num.partitions", INT, "50", 1, INT32_MAX, WHY_OFFSETS),
    UNUSED_NUMBER("offsets.topic.replication.factor", SHORT, "3", 1, 32767, WHY_OFFSETS),
    UNUSED_NUMBER("offsets.topic.segment.bytes", INT, "104857600", 1, INT32_MAX, WHY_OFFSETS),
    UNUSED("password.encoder.cipher.algorithm", STRING, NULL, WHY_REMOVED),
    UNUSED("password.encoder.iterations", STRING, NULL, WHY_REMOVED),
    UNUSED("password.encoder.key.length", STRING, NULL, WHY_REMOVED),
    UNUSED("password.encoder.keyfactory.algorithm", STRING, NULL, WHY_REMOVED),
    UNUSED("password.encoder.old.secret", PASSWORD, NULL, WHY_REMOVED),
    UNUSED("password.encoder.secret", PASSWORD, NULL, WHY_REMOVED),
    UNUSED("port", STRING, NULL, WHY_REMOVED),
    REFUSED("principal.builder.class", CLASS,
        "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        "A Java class that names clients can't be loaded here."),
    READ("process.roles", LIST, NULL, "Must contain broker; a controller alone is refused."),
    NUMBER("producer.id.expiration.check.interval.ms", INT, "600000", 1, INT32_MAX, INT64,
        producer_id_check_ms, "How often producers are looked for that nobody uses any more."),
    NUMBER("producer.id.expiration.ms", INT, "86400000", 1, INT32_MAX, INT64,
        producer_id_expiration_ms,
        "Idle time after which the sequence state of an idempotent producer is forgotten."),
    UNUSED_NUMBER("producer.purgatory.purge.interval.requests", INT, "1000", INT32_MIN, INT32_MAX,
        WHY_PURGATORY),
    READ_NUMBER("queued.max.request.bytes", LONG, "-1", INT64_MIN, INT64_MAX,
        "Memory of requests that arrive or are being handled; -1: an eighth of memory.limit."),
    UNUSED_NUMBER("queued.max.requests", INT, "500", 1, INT32_MAX, WHY_QUEUED),
    UNUSED("quota.consumer.default", STRING, NULL, WHY_REMOVED),
    UNUSED("quota.producer.default", STRING, NULL, WHY_REMOVED),
    UNUSED_NUMBER("quota.window.num", INT, "11", 1, INT32_MAX, WHY_QUOTA),
    UNUSED_NUMBER("quota.window.size.seconds", INT, "1", 1, INT32_MAX, WHY_QUOTA),
    UNUSED_NUMBER("remote.fetch.max.wait.ms", INT, "500", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER(
        "remote.list.offsets.request.timeout.ms", LONG, "30000", 1, INT64_MAX, WHY_REMOTE),
    UNUSED_NUMBER("remote.log.index.file.cache.total.size.bytes", LONG, "1073741824", 1, INT64_MAX,
        WHY_REMOTE),
    UNUSED_NUMBER("remote.log.index.file.cache.ttl.ms", LONG, "900000", -1, INT64_MAX, WHY_REMOTE),
    UNUSED_NUMBER(
        "remote.log.manager.copier.thread.pool.size", INT, "10", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER("remote.log.manager.copy.max.bytes.per.second", LONG, "9223372036854775807", 1,
        INT64_MAX, WHY_REMOTE),
    UNUSED_NUMBER("remote.log.manager.copy.quota.window.num", INT, "11", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER(
        "remote.log.manager.copy.quota.window.size.seconds", INT, "1", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER(
        "remote.log.manager.expiration.thread.pool.size", INT, "10", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER("remote.log.manager.fetch.max.bytes.per.second", LONG, "9223372036854775807", 1,
        INT64_MAX, WHY_REMOTE),
    UNUSED_NUMBER("remote.log.manager.fetch.quota.window.num", INT, "11", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER(
        "remote.log.manager.fetch.quota.window.size.seconds", INT, "1", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER(
        "remote.log.manager.follower.thread.pool.size", INT, "2", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER("remote.log.manager.task.interval.ms", LONG, "30000", 1, INT64_MAX, WHY_REMOTE),
    UNUSED_NUMBER(
        "remote.log.manager.task.retry.backoff.max.ms", LONG, "30000", 1, INT64_MAX, WHY_REMOTE),
    UNUSED_NUMBER(
        "remote.log.manager.task.retry.backoff.ms", LONG, "500", 1, INT64_MAX, WHY_REMOTE),
    UNUSED("remote.log.manager.task.retry.jitter", DOUBLE, "0.2", WHY_REMOTE),
    UNUSED_NUMBER("remote.log.manager.thread.pool.size", INT, "2", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER(
        "remote.log.metadata.custom.metadata.max.bytes", INT, "128", 0, INT32_MAX, WHY_REMOTE),
    UNUSED("remote.log.metadata.manager.class.name", STRING,
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        WHY_REMOTE),
    UNUSED("remote.log.metadata.manager.class.path", STRING, NULL, WHY_REMOTE),
    UNUSED("remote.log.metadata.manager.impl.prefix", STRING, "rlmm.config.", WHY_REMOTE),
    UNUSED("remote.log.metadata.manager.listener.name", STRING, NULL, WHY_REMOTE),
    UNUSED_NUMBER("remote.log.reader.max.pending.tasks", INT, "100", 1, INT32_MAX, WHY_REMOTE),
    UNUSED_NUMBER("remote.log.reader.threads", INT, "10", 1, INT32_MAX, WHY_REMOTE),
    UNUSED("remote.log.storage.manager.class.name", STRING, NULL, WHY_REMOTE),
    UNUSED("remote.log.storage.manager.class.path", STRING, NULL, WHY_REMOTE),
    UNUSED("remote.log.storage.manager.impl.prefix", STRING, "rsm.config.", WHY_REMOTE),
    UNUSED("remote.log.storage.system.enable", BOOLEAN, "false", WHY_REMOTE),
    UNUSED("replica.alter.log.dirs.io.max.bytes.per.second", DOUBLE, NULL, WHY_ONE_NODE),
    UNUSED_NUMBER("replica.fetch.backoff.ms", INT, "1000", 0, INT32_MAX, WHY_ONE_NODE),
    UNUSED_NUMBER("replica.fetch.max.bytes", INT, "1048576", 0, INT32_MAX, WHY_ONE_NODE),
    UNUSED_NUMBER("replica.fetch.min.bytes", INT, "1", INT32_MIN, INT32_MAX, WHY_ONE_NODE),
    UNUSED_NUMBER("replica.fetch.response.max.bytes", INT, "10485760", 0, INT32_MAX, WHY_ONE_NODE),
    UNUSED_NUMBER("replica.fetch.wait.max.ms", INT, "500", INT32_MIN, INT32_MAX, WHY_ONE_NODE),
    UNUSED_NUMBER("replica.high.watermark.checkpoint.interval.ms", LONG, "5000", INT64_MIN,
        INT64_MAX, WHY_ONE_NODE),
    UNUSED_NUMBER("replica.lag.time.max.ms", LONG, "30000", INT64_MIN, INT64_MAX, WHY_ONE_NODE),
    UNUSED("replica.selector.class", STRING, NULL, WHY_ONE_NODE),
    UNUSED_NUMBER(
        "replica.socket.receive.buffer.bytes", INT, "65536", INT32_MIN, INT32_MAX, WHY_ONE_NODE),
    UNUSED_NUMBER("replica.socket.timeout.ms", INT, "30000", INT32_MIN, INT32_MAX, WHY_ONE_NODE),
    FIELD("replication.factor.clamp", BOOLEAN, "false", BOOL, replication_factor_clamp,
        "Whether a topic may ask for more replicas than there are brokers; it gets one. Kafka "
        "refuses that, and so does this broker unless told otherwise."),
    UNUSED_NUMBER("replication.quota.window.num", INT, "11", 1, INT32_MAX, WHY_QUOTA),
    UNUSED_NUMBER("replication.quota.window.size.seconds", INT, "1", 1, INT32_MAX, WHY_QUOTA),
    NUMBER("request.arena.max.bytes", LONG, "33554432", 65536, INT64_C(1099511627776), INT64,
        request_arena_max_bytes, "Memory that answering one request may take, beside its bytes."),
    UNUSED_NUMBER("request.timeout.ms", INT, "30000", INT32_MIN, INT32_MAX, WHY_CLIENT),
    UNUSED("reserved.broker.max.id", STRING, NULL, WHY_REMOVED),
    UNUSED("sasl.client.callback.handler.class", CLASS, NULL, WHY_SASL),
    UNUSED("sasl.enabled.mechanisms", LIST, "GSSAPI", WHY_SASL),
    UNUSED("sasl.jaas.config", PASSWORD, NULL, WHY_SASL),
    UNUSED("sasl.kerberos.kinit.cmd", STRING, "/usr/bin/kinit", WHY_SASL),
    UNUSED_NUMBER(
        "sasl.kerberos.min.time.before.relogin", LONG, "60000", INT64_MIN, INT64_MAX, WHY_SASL),
    UNUSED("sasl.kerberos.principal.to.local.rules", LIST, "DEFAULT", WHY_SASL),
    UNUSED("sasl.kerberos.service.name", STRING, NULL, WHY_SASL),
    UNUSED("sasl.kerberos.ticket.renew.jitter", DOUBLE, "0.05", WHY_SASL),
    UNUSED("sasl.kerberos.ticket.renew.window.factor", DOUBLE, "0.8", WHY_SASL),
    UNUSED("sasl.login.callback.handler.class", CLASS, NULL, WHY_SASL),
    UNUSED("sasl.login.class", CLASS, NULL, WHY_SASL),
    UNUSED_NUMBER("sasl.login.connect.timeout.ms", INT, NULL, INT32_MIN, INT32_MAX, WHY_SASL),
    UNUSED_NUMBER("sasl.login.read.timeout.ms", INT, NULL, INT32_MIN, INT32_MAX, WHY_SASL),
    UNUSED_NUMBER("sasl.login.refresh.buffer.seconds", SHORT, "300", -32768, 32767, WHY_SASL),
    UNUSED_NUMBER("sasl.login.refresh.min.period.seconds", SHORT, "60", -32768, 32767, WHY_SASL),
    UNUSED("sasl.login.refresh.window.factor", DOUBLE, "0.8", WHY_SASL),
    UNUSED("sasl.login.refresh.window.jitter", DOUBLE, "0.05", WHY_SASL),
    UNUSED_NUMBER("sasl.login.retry.backoff.max.ms", LONG, "10000", INT64_MIN, INT64_MAX, WHY_SASL),
    UNUSED_NUMBER("sasl.login.retry.backoff.ms", LONG, "100", INT64_MIN, INT64_MAX, WHY_SASL),
    UNUSED("sasl.mechanism.controller.protocol", STRING, "GSSAPI", WHY_SASL),
    UNUSED("sasl.mechanism.inter.broker.protocol", STRING, "GSSAPI", WHY_SASL),
    UNUSED_CHOICE("sasl.oauthbearer.assertion.algorithm", "RS256", "ES256|RS256", WHY_SASL),
    UNUSED("sasl.oauthbearer.assertion.claim.aud", STRING, NULL, WHY_SASL),
    UNUSED_NUMBER("sasl.oauthbearer.assertion.claim.exp.seconds", INT, "300", 0, 86400, WHY_SASL),
    UNUSED("sasl.oauthbearer.assertion.claim.iss", STRING, NULL, WHY_SASL),
    UNUSED("sasl.oauthbearer.assertion.claim.jti.include", BOOLEAN, "false", WHY_SASL),
    UNUSED_NUMBER("sasl.oauthbearer.assertion.claim.nbf.seconds", INT, "60", 0, 3600, WHY_SASL),
    UNUSED("sasl.oauthbearer.assertion.claim.sub", STRING, NULL, WHY_SASL),
    UNUSED("sasl.oauthbearer.assertion.file", STRING, NULL, WHY_SASL),
    UNUSED("sasl.oauthbearer.assertion.private.key.file", STRING, NULL, WHY_SASL),
    UNUSED("sasl.oauthbearer.assertion.private.key.passphrase", PASSWORD, NULL, WHY_SASL),
    UNUSED("sasl.oauthbearer.assertion.template.file", STRING, NULL, WHY_SASL),
    UNUSED("sasl.oauthbearer.client.credentials.client.id", STRING, NULL, WHY_SASL),
    UNUSED("sasl.oauthbearer.client.credentials.client.secret", PASSWORD, NULL, WHY_SASL),
    UNUSED_NUMBER("sasl.oauthbearer.clock.skew.seconds", INT, "30", INT32_MIN, INT32_MAX, WHY_SASL),
    UNUSED("sasl.oauthbearer.expected.audience", LIST, "", WHY_SASL),
    UNUSED("sasl.oauthbearer.expected.issuer", STRING, NULL, WHY_SASL),
    UNUSED_NUMBER("sasl.oauthbearer.jwks.endpoint.refresh.ms", LONG, "3600000", INT64_MIN,
        INT64_MAX, WHY_SASL),
    UNUSED_NUMBER("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", LONG, "10000", INT64_MIN,
        INT64_MAX, WHY_SASL),
    UNUSED_NUMBER("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", LONG, "100", INT64_MIN,
        INT64_MAX, WHY_SASL),
    UNUSED("sasl.oauthbearer.jwks.endpoint.url", STRING, NULL, WHY_SASL),
    UNUSED("sasl.oauthbearer.jwt.retriever.class", CLASS,
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", WHY_SASL),
    UNUSED("sasl.oauthbearer.jwt.validator.class", CLASS,
        "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", WHY_SASL),
    UNUSED("sasl.oauthbearer.scope", STRING, NULL, WHY_SASL),
    UNUSED("sasl.oauthbearer.scope.claim.name", STRING, "scope", WHY_SASL),
    UNUSED("sasl.oauthbearer.sub.claim.name", STRING, "sub", WHY_SASL),
    UNUSED("sasl.oauthbearer.token.endpoint.url", STRING, NULL, WHY_SASL),
    UNUSED("sasl.server.callback.handler.class", CLASS, NULL, WHY_SASL),
    UNUSED_NUMBER("sasl.server.max.receive.size", INT, "524288", INT32_MIN, INT32_MAX, WHY_SASL),
    UNUSED_CHOICE("security.inter.broker.protocol", "PLAINTEXT",
        "PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL", WHY_ONE_NODE),
    REFUSED("security.providers", STRING, NULL, "Java's security providers can't be loaded here."),
    UNUSED_NUMBER(
        "server.max.startup.time.ms", LONG, "9223372036854775807", 0, INT64_MAX, WHY_QUORUM),
    UNUSED_NUMBER("share.coordinator.append.linger.ms", INT, "-1", -1, INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER(
        "share.coordinator.cached.buffer.max.bytes", INT, "1048588", 524288, INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER("share.coordinator.cold.partition.snapshot.interval.ms", INT, "300000", 1,
        INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER("share.coordinator.load.buffer.size", INT, "5242880", 1, INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER(
        "share.coordinator.snapshot.update.records.per.snapshot", INT, "500", 0, 500, WHY_SHARE),
    UNUSED_NUMBER("share.coordinator.state.topic.compression.codec", INT, "0", INT32_MIN, INT32_MAX,
        WHY_SHARE),
    UNUSED_NUMBER("share.coordinator.state.topic.min.isr", SHORT, "2", 1, 32767, WHY_SHARE),
    UNUSED_NUMBER(
        "share.coordinator.state.topic.num.partitions", INT, "50", 1, INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER(
        "share.coordinator.state.topic.prune.interval.ms", INT, "300000", 1, INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER(
        "share.coordinator.state.topic.replication.factor", SHORT, "3", 1, 32767, WHY_SHARE),
    UNUSED_NUMBER(
        "share.coordinator.state.topic.segment.bytes", INT, "104857600", 1, INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER("share.coordinator.threads", INT, "1", 1, INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER("share.coordinator.write.timeout.ms", INT, "5000", 1, INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER("share.fetch.purgatory.purge.interval.requests", INT, "1000", INT32_MIN,
        INT32_MAX, WHY_SHARE),
    UNUSED_NUMBER(
        "socket.connection.setup.timeout.max.ms", LONG, "30000", INT64_MIN, INT64_MAX, WHY_CLIENT),
    UNUSED_NUMBER(
        "socket.connection.setup.timeout.ms", LONG, "10000", INT64_MIN, INT64_MAX, WHY_CLIENT),
    NUMBER("socket.listen.backlog.size", INT, "1024", 1, INT32_MAX, INT32, socket_backlog,
        "Connections that may wait to be accepted."),
    NUMBER("socket.receive.buffer.bytes", INT, "-1", -1, INT32_MAX, INT32,
        socket_receive_buffer_bytes,
        "The kernel's receive buffer of a connection; -1: the kernel decides."),
    NUMBER("socket.request.max.bytes", INT, "104857600", 1, INT32_MAX, INT32,
        socket_request_max_bytes,
        "Largest request. Requests above the share of memory.limit are refused too."),
    NUMBER("socket.send.buffer.bytes", INT, "-1", -1, INT32_MAX, INT32, socket_send_buffer_bytes,
        "The kernel's send buffer of a connection; -1: the kernel decides."),
    UNUSED("ssl.allow.dn.changes", BOOLEAN, "false", WHY_TLS),
    UNUSED("ssl.allow.san.changes", BOOLEAN, "false", WHY_TLS),
    UNUSED("ssl.cipher.suites", LIST, "", WHY_TLS),
    REFUSED("ssl.client.auth", STRING, "none",
        "Client certificates are not served yet; none is the only value."),
    UNUSED("ssl.enabled.protocols", LIST, "TLSv1.2,TLSv1.3", WHY_TLS),
    UNUSED("ssl.endpoint.identification.algorithm", STRING, "https", WHY_TLS),
    UNUSED("ssl.engine.factory.class", CLASS, NULL, WHY_TLS),
    UNUSED("ssl.key.password", PASSWORD, NULL, WHY_TLS),
    UNUSED("ssl.keymanager.algorithm", STRING, "SunX509", WHY_TLS),
    UNUSED("ssl.keystore.certificate.chain", PASSWORD, NULL, WHY_TLS),
    UNUSED("ssl.keystore.key", PASSWORD, NULL, WHY_TLS),
    UNUSED("ssl.keystore.location", STRING, NULL, WHY_TLS),
    UNUSED("ssl.keystore.password", PASSWORD, NULL, WHY_TLS),
    UNUSED("ssl.keystore.type", STRING, "JKS", WHY_TLS),
    UNUSED("ssl.principal.mapping.rules", STRING, "DEFAULT", WHY_TLS),
    UNUSED("ssl.protocol", STRING, "TLSv1.3", WHY_TLS),
    UNUSED("ssl.provider", STRING, NULL, WHY_TLS),
    UNUSED("ssl.secure.random.implementation", STRING, NULL, WHY_TLS),
    UNUSED("ssl.trustmanager.algorithm", STRING, "PKIX", WHY_TLS),
    UNUSED("ssl.truststore.certificates", PASSWORD, NULL, WHY_TLS),
    UNUSED("ssl.truststore.location", STRING, NULL, WHY_TLS),
    UNUSED("ssl.truststore.password", PASSWORD, NULL, WHY_TLS),
    UNUSED("ssl.truststore.type", STRING, "JKS", WHY_TLS),
    UNUSED("super.users", STRING, NULL, WHY_ACL),
    UNUSED_NUMBER("telemetry.max.bytes", INT, "1048576", 1, INT32_MAX, WHY_METRICS),
    UNUSED_NUMBER("transaction.abort.timed.out.transaction.cleanup.interval.ms", INT, "10000", 1,
        INT32_MAX, "A transaction is aborted when its time is up, not at the next look."),
    NUMBER("transaction.max.timeout.ms", INT, "900000", 1, INT32_MAX, INT32,
        transaction_max_timeout_ms, "Longest time that a producer may ask for its transactions."),
    FIELD("transaction.partition.verification.enable", BOOLEAN, "true", BOOL,
        transaction_partition_verification,
        "Whether records of a transaction are refused whose partition was not added to it; without "
        "it they hang."),
    NUMBER("transaction.remove.expired.transaction.cleanup.interval.ms", INT, "3600000", 1,
        INT32_MAX, INT32, transaction_expiry_check_ms,
        "Interval at which transactional ids that nobody uses are looked for."),
    UNUSED_NUMBER(
        "transaction.state.log.load.buffer.size", INT, "5242880", 1, INT32_MAX, WHY_TRANSACTION),
    UNUSED_NUMBER("transaction.state.log.min.isr", INT, "2", 1, INT32_MAX, WHY_TRANSACTION),
    UNUSED_NUMBER("transaction.state.log.num.partitions", INT, "50", 1, INT32_MAX, WHY_TRANSACTION),
    UNUSED_NUMBER(
        "transaction.state.log.replication.factor", SHORT, "3", 1, 32767, WHY_TRANSACTION),
    UNUSED_NUMBER(
        "transaction.state.log.segment.bytes", INT, "104857600", 1, INT32_MAX, WHY_TRANSACTION),
    UNUSED("transaction.two.phase.commit.enable", BOOLEAN, "false",
        "Two-phase commit (KIP-939) is not served."),
    NUMBER("transactional.id.expiration.ms", INT, "604800000", 1, INT32_MAX, INT32,
        transactional_id_expiration_ms, "Idle time after which a transactional id is forgotten."),
    NUMBER("transactions.max", LONG, "262144", 1000, 100000000, INT64, transactions_max,
        "Most transactions, open or aborted and not deleted yet, that all partitions may hold; "
        "each "
        "takes 32 bytes of memory. Beyond it transactional batches are refused."),
    TOPIC("unclean.leader.election.enable", BOOLEAN, "false", "unclean.leader.election.enable",
        "Whether a replica that lags may lead; there are none."),
    UNUSED_NUMBER(
        "unclean.leader.election.interval.ms", LONG, "300000", 1, INT64_MAX, WHY_ONE_NODE),
    UNUSED("unstable.api.versions.enable", BOOLEAN, "false", WHY_QUORUM),
    UNUSED("unstable.feature.versions.enable", BOOLEAN, "false", WHY_QUORUM),
    UNUSED("unstable.metadata.versions.enable", STRING, NULL, WHY_REMOVED),
    NUMBER("wal.file.bytes", LONG, "16777216", 1048576, 1073741824, INT64, wal_file_bytes,
        "Size of the write-ahead ring and of each of its files, a power of two; a data directory "
        "keeps its own. Not set: as much more as message.max.bytes needs, of which a unit takes "
        "five sixteenths."),
    NUMBER("wal.files.max", INT, "16", 2, 4096, INT32, wal_files_max,
        "Most files of the write-ahead log."),
    NUMBER("wal.writeback.age.ms", LONG, "1000", 1, 600000, INT64, writeback_age_ms,
        "Bytes older than this go from the write-ahead ring to their segment."),
    UNUSED("zookeeper.clientCnxnSocket", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.connect", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.connection.timeout.ms", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.max.in.flight.requests", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.metadata.migration.enable", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.session.timeout.ms", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.set.acl", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.cipher.suites", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.client.enable", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.crl.enable", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.enabled.protocols", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.endpoint.identification.algorithm", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.keystore.location", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.keystore.password", PASSWORD, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.keystore.type", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.ocsp.enable", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.protocol", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.truststore.location", STRING, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.truststore.password", PASSWORD, NULL, WHY_REMOVED),
    UNUSED("zookeeper.ssl.truststore.type", STRING, NULL, WHY_REMOVED),
};

/* Beside the defaults of topics' keys. Kafka has more: its security keys, listeners and the limits
 * of single addresses, which are read once here. */
static const char *const dynamic_names[] = {
    "background.threads",
    "cordoned.log.dirs",
    "follower.fetch.last.tiered.offset.enable",
    "group.consumer.assignment.interval.ms",
    "group.coordinator.cached.buffer.max.bytes",
    "group.share.assignment.interval.ms",
    "group.streams.assignment.interval.ms",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.threads",
    "log.level",
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "metric.reporters",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "producer.id.expiration.ms",
    "remote.fetch.max.wait.ms",
    "remote.list.offsets.request.timeout.ms",
    "remote.log.index.file.cache.total.size.bytes",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.copy.max.bytes.per.second",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.fetch.max.bytes.per.second",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
    "share.coordinator.cached.buffer.max.bytes",
    "transaction.partition.verification.enable",
};

bool config_key_dynamic(const struct config_key *key)
{
    if (key->topic_key)
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(dynamic_names); i++)
        if (strcmp(dynamic_names[i], key->name) == 0)
            return true;
    return false;
}

size_t config_key_family(
    const struct config_key *key, const struct config_key *ret_family[CONFIG_FAMILY_MAX])
{
    static const char *const families[][CONFIG_FAMILY_MAX] = {
        { "log.roll.ms", "log.roll.hours" },
        { "log.roll.jitter.ms", "log.roll.jitter.hours" },
        { "log.flush.interval.ms", "log.flush.scheduler.interval.ms" },
        { "log.retention.ms", "log.retention.minutes", "log.retention.hours" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(families); i++) {
        size_t count = 0;
        bool member = false;
        for (; count < CONFIG_FAMILY_MAX && families[i][count]; count++) {
            ret_family[count] = config_key_find(bytes_text(families[i][count]));
            member |= ret_family[count] == key;
        }
        if (member)
            return count;
    }
    ret_family[0] = key;
    return 1;
}

const struct config_key *config_keys(size_t *ret_count)
{
    *ret_count = ARRAY_COUNT(keys);
    return keys;
}
