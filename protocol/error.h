/*
 * error.h - the error codes that clients hear: Kafka 4.3's, one row each.
 *
 * Only request handlers and what lies outward of them use these; inside, errors are 0 / -errno.
 * A retriable error is one after which a client repeats its request (most first refresh metadata).
 */
#ifndef PROTOCOL_ERROR_H
#define PROTOCOL_ERROR_H

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
/* X(code, NAME, retriable, text) */
#define KAFKA_ERRORS(X)                                                                            \
    X(-1, UNKNOWN_SERVER_ERROR, false, "something unforeseen went wrong in the broker")            \
    X(0, NONE, false, "no error")                                                                  \
    X(1, OFFSET_OUT_OF_RANGE, false, "the log has no such offset")                                 \
    X(2, CORRUPT_MESSAGE, true, "a record batch is damaged: checksum, size or content")            \
    X(3, UNKNOWN_TOPIC_OR_PARTITION, true, "there is no such topic or partition here")             \
    X(4, INVALID_FETCH_SIZE, false, "the fetch size makes no sense")                               \
    X(5, LEADER_NOT_AVAILABLE, true, "the partition has no leader yet")                            \
    X(6, NOT_LEADER_OR_FOLLOWER, true, "this broker does not lead or hold the partition")          \
    X(7, REQUEST_TIMED_OUT, true, "the time allowed for the request is over")                      \
    X(8, BROKER_NOT_AVAILABLE, false, "the broker cannot be reached")                              \
    X(9, REPLICA_NOT_AVAILABLE, true, "the replica cannot be reached")                             \
    X(10, MESSAGE_TOO_LARGE, false, "a record batch is larger than the topic allows")              \
    X(11, STALE_CONTROLLER_EPOCH, false, "another controller has taken over")                      \
    X(12, OFFSET_METADATA_TOO_LARGE, false, "the note beside the offset is too long")              \
    X(13, NETWORK_EXCEPTION, true, "the connection broke before the answer")                       \
    X(14, COORDINATOR_LOAD_IN_PROGRESS, true, "the coordinator is still reading its state")        \
    X(15, COORDINATOR_NOT_AVAILABLE, true, "there is no coordinator yet")                          \
    X(16, NOT_COORDINATOR, true, "this broker does not coordinate that group or transaction")      \
    X(17, INVALID_TOPIC_EXCEPTION, false, "the topic name is not allowed, or not for this")        \
    X(18, RECORD_LIST_TOO_LARGE, false, "the batch is larger than a segment may be")               \
    X(19, NOT_ENOUGH_REPLICAS, true, "too few replicas are in sync to accept a write")             \
    X(20, NOT_ENOUGH_REPLICAS_AFTER_APPEND, true, "written, but too few replicas have it")         \
    X(21, INVALID_REQUIRED_ACKS, false, "acks is none of -1, 0, 1")                                \
    X(22, ILLEGAL_GENERATION, false, "the group has moved to another generation")                  \
    X(23, INCONSISTENT_GROUP_PROTOCOL, false, "no assignment protocol in common with the group")   \
    X(24, INVALID_GROUP_ID, false, "the group id is not allowed")                                  \
    X(25, UNKNOWN_MEMBER_ID, false, "the group has no such member")                                \
    X(26, INVALID_SESSION_TIMEOUT, false, "the session timeout is outside the broker's bounds")    \
    X(27, REBALANCE_IN_PROGRESS, false, "the group is rebalancing: join again")                    \
    X(28, INVALID_COMMIT_OFFSET_SIZE, false, "the offset commit is too large")                     \
    X(29, TOPIC_AUTHORIZATION_FAILED, false, "not allowed for this topic")                         \
    X(30, GROUP_AUTHORIZATION_FAILED, false, "not allowed for this group")                         \
    X(31, CLUSTER_AUTHORIZATION_FAILED, false, "not allowed for this cluster")                     \
    X(32, INVALID_TIMESTAMP, false, "a record's time is outside the accepted range")               \
    X(33, UNSUPPORTED_SASL_MECHANISM, false, "this SASL mechanism is not offered")                 \
    X(34, ILLEGAL_SASL_STATE, false, "the request does not fit the state of the login")            \
    X(35, UNSUPPORTED_VERSION, false, "this version of the request is not served")                 \
    X(36, TOPIC_ALREADY_EXISTS, false, "a topic of that name exists")                              \
    X(37, INVALID_PARTITIONS, false, "the number of partitions is not allowed")                    \
    X(38, INVALID_REPLICATION_FACTOR, false, "the replication factor is not possible here")        \
    X(39, INVALID_REPLICA_ASSIGNMENT, false, "the replica assignment makes no sense")              \
    X(40, INVALID_CONFIG, false, "a configuration value is not allowed")                           \
    X(41, NOT_CONTROLLER, true, "this broker is not the controller")                               \
    X(42, INVALID_REQUEST, false, "the request makes no sense; the broker's log says more")        \
    X(43, UNSUPPORTED_FOR_MESSAGE_FORMAT, false, "the stored record format cannot serve this")     \
    X(44, POLICY_VIOLATION, false, "a policy of this cluster forbids it")                          \
    X(45, OUT_OF_ORDER_SEQUENCE_NUMBER, false, "the producer's sequence has a gap")                \
    X(46, DUPLICATE_SEQUENCE_NUMBER, false, "the producer's sequence was seen before")             \
    X(47, INVALID_PRODUCER_EPOCH, false, "a newer instance of this producer exists")               \
    X(48, INVALID_TXN_STATE, false, "the transaction is in no state for this")                     \
    X(49, INVALID_PRODUCER_ID_MAPPING, false, "the producer id is not that transaction's")         \
    X(50, INVALID_TRANSACTION_TIMEOUT, false, "the transaction timeout is above the maximum")      \
    X(51, CONCURRENT_TRANSACTIONS, true, "the transaction is busy with another operation")         \
    X(52, TRANSACTION_COORDINATOR_FENCED, false, "another transaction coordinator took over")      \
    X(53, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, false, "not allowed for this transactional id")   \
    X(54, SECURITY_DISABLED, false, "security is switched off")                                    \
    X(55, OPERATION_NOT_ATTEMPTED, false, "not tried, because another part failed")                \
    X(56, KAFKA_STORAGE_ERROR, true, "the disk failed")                                            \
    X(57, LOG_DIR_NOT_FOUND, false, "the broker has no such log directory")                        \
    X(58, SASL_AUTHENTICATION_FAILED, false, "the login failed")                                   \
    X(59, UNKNOWN_PRODUCER_ID, false, "nothing is known of this producer any more")                \
    X(60, REASSIGNMENT_IN_PROGRESS, false, "the partition is being moved")                         \
    X(61, DELEGATION_TOKEN_AUTH_DISABLED, false, "delegation tokens are switched off")             \
    X(62, DELEGATION_TOKEN_NOT_FOUND, false, "there is no such delegation token")                  \
    X(63, DELEGATION_TOKEN_OWNER_MISMATCH, false, "the token belongs to somebody else")            \
    X(64, DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, false, "no token requests on this connection")     \
    X(65, DELEGATION_TOKEN_AUTHORIZATION_FAILED, false, "not allowed for this token")              \
    X(66, DELEGATION_TOKEN_EXPIRED, false, "the delegation token is too old")                      \
    X(67, INVALID_PRINCIPAL_TYPE, false, "this type of principal is not known")                    \
    X(68, NON_EMPTY_GROUP, false, "the group still has members")                                   \
    X(69, GROUP_ID_NOT_FOUND, false, "there is no such group")                                     \
    X(70, FETCH_SESSION_ID_NOT_FOUND, true, "there is no such fetch session")                      \
    X(71, INVALID_FETCH_SESSION_EPOCH, true, "the fetch session is at another epoch")              \
    X(72, LISTENER_NOT_FOUND, true, "the leader lacks the listener you came in on")                \
    X(73, TOPIC_DELETION_DISABLED, false, "topics may not be deleted here")                        \
    X(74, FENCED_LEADER_EPOCH, true, "the leader epoch asked for is older than ours")              \
    X(75, UNKNOWN_LEADER_EPOCH, true, "the leader epoch asked for is newer than ours")             \
    X(76, UNSUPPORTED_COMPRESSION_TYPE, false, "this version of the request lacks that codec")     \
    X(77, STALE_BROKER_EPOCH, false, "the broker has registered anew")                             \
    X(78, OFFSET_NOT_AVAILABLE, true, "the new leader does not know its high watermark yet")       \
    X(79, MEMBER_ID_REQUIRED, false, "join again with the member id given here")                   \
    X(80, PREFERRED_LEADER_NOT_AVAILABLE, true, "the preferred leader cannot be reached")          \
    X(81, GROUP_MAX_SIZE_REACHED, false, "the group is full")                                      \
    X(82, FENCED_INSTANCE_ID, false, "another consumer took over this instance id")                \
    X(83, ELIGIBLE_LEADERS_NOT_AVAILABLE, true, "no replica can become leader")                    \
    X(84, ELECTION_NOT_NEEDED, true, "the partition has the leader it wants")                      \
    X(85, NO_REASSIGNMENT_IN_PROGRESS, false, "the partition is not being moved")                  \
    X(86, GROUP_SUBSCRIBED_TO_TOPIC, false, "the group still reads this topic")                    \
    X(87, INVALID_RECORD, false, "a record broke a rule of its topic")                             \
    X(88, UNSTABLE_OFFSET_COMMIT, true, "offsets of an open transaction are pending")              \
    X(89, THROTTLING_QUOTA_EXCEEDED, true, "the quota is used up for now")                         \
    X(90, PRODUCER_FENCED, false, "a newer producer uses this transactional id")                   \
    X(91, RESOURCE_NOT_FOUND, false, "there is no such resource")                                  \
    X(92, DUPLICATE_RESOURCE, false, "the same resource is named twice")                           \
    X(93, UNACCEPTABLE_CREDENTIAL, false, "the credential does not meet the rules")                \
    X(94, INCONSISTENT_VOTER_SET, false, "sender or receiver is not among the voters")             \
    X(95, INVALID_UPDATE_VERSION, false, "a feature cannot be set to that version")                \
    X(96, FEATURE_UPDATE_FAILED, false, "the features could not be updated")                       \
    X(97, PRINCIPAL_DESERIALIZATION_FAILURE, false, "a forwarded principal cannot be read")        \
    X(98, SNAPSHOT_NOT_FOUND, false, "there is no such snapshot")                                  \
    X(99, POSITION_OUT_OF_RANGE, false, "the snapshot has no such position")                       \
    X(100, UNKNOWN_TOPIC_ID, true, "there is no topic with this id here")                          \
    X(101, DUPLICATE_BROKER_REGISTRATION, false, "another broker uses this id")                    \
    X(102, BROKER_ID_NOT_REGISTERED, false, "no broker with this id is registered")                \
    X(103, INCONSISTENT_TOPIC_ID, true, "the log belongs to a topic with another id")              \
    X(104, INCONSISTENT_CLUSTER_ID, false, "this is another cluster")                              \
    X(105, TRANSACTIONAL_ID_NOT_FOUND, false, "there is no such transactional id")                 \
    X(106, FETCH_SESSION_TOPIC_ID_ERROR, true, "the session mixes topic names and ids")            \
    X(107, INELIGIBLE_REPLICA, false, "a replica of the new in-sync set is not eligible")          \
    X(108, NEW_LEADER_ELECTED, false, "done, and the leader has changed by it")                    \
    X(109, OFFSET_MOVED_TO_TIERED_STORAGE, false, "the offset lies in remote storage")             \
    X(110, FENCED_MEMBER_EPOCH, false, "the member was fenced: give up partitions, join again")    \
    X(111, UNRELEASED_INSTANCE_ID, false, "another member still holds this instance id")           \
    X(112, UNSUPPORTED_ASSIGNOR, false, "the group does not offer this assignor")                  \
    X(113, STALE_MEMBER_EPOCH, false, "the member's epoch is old: heartbeat, then retry")          \
    X(114, MISMATCHED_ENDPOINT_TYPE, false, "sent to an endpoint of the wrong kind")               \
    X(115, UNSUPPORTED_ENDPOINT_TYPE, false, "this kind of endpoint is not offered")               \
    X(116, UNKNOWN_CONTROLLER_ID, false, "there is no such controller")                            \
    X(117, UNKNOWN_SUBSCRIPTION_ID, false, "the telemetry subscription is not known")              \
    X(118, TELEMETRY_TOO_LARGE, false, "the telemetry is larger than accepted")                    \
    X(119, INVALID_REGISTRATION, false, "the controller refused the registration")                 \
    X(120, TRANSACTION_ABORTABLE, false, "the transaction must be aborted; then go on")            \
    X(121, INVALID_RECORD_STATE, false, "the record is in no state for this acknowledgement")      \
    X(122, SHARE_SESSION_NOT_FOUND, true, "there is no such share session")                        \
    X(123, INVALID_SHARE_SESSION_EPOCH, true, "the share session is at another epoch")             \
    X(124, FENCED_STATE_EPOCH, false, "the share group's state is at another epoch")               \
    X(125, INVALID_VOTER_KEY, false, "the voter key is not this replica's")                        \
    X(126, DUPLICATE_VOTER, false, "it is a voter already")                                        \
    X(127, VOTER_NOT_FOUND, false, "there is no such voter")                                       \
    X(128, INVALID_REGULAR_EXPRESSION, false, "the regular expression cannot be read")             \
    X(129, REBOOTSTRAP_REQUIRED, false, "the client's metadata is of another cluster")             \
    X(130, STREAMS_INVALID_TOPOLOGY, false, "the streams topology makes no sense")                 \
    X(131, STREAMS_INVALID_TOPOLOGY_EPOCH, false, "the topology epoch makes no sense")             \
    X(132, STREAMS_TOPOLOGY_FENCED, false, "the topology epoch is old")                            \
    X(133, SHARE_SESSION_LIMIT_REACHED, true, "there are too many share sessions")
/* clang-format on */

enum kafka_error {
#define X(code, name, retriable, text) KAFKA_ERROR_##name = (code),
    KAFKA_ERRORS(X)
#undef X
};

/* "NOT_COORDINATOR"; "UNKNOWN" for a code that is not in the table. Static. */
const char *error_name(int16_t code);
/* One line in plain words, for an answer's message field or a log. Static. */
const char *error_text(int16_t code);
bool error_retriable(int16_t code);

#endif
