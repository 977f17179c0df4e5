"""What hostile examiners ask: fetch sessions, configuration of the broker, lists, values at the edges."""

from oracle import each_version, scenario
from scenarios_configs import BROKER, BROKER_KEYS, CLIENTS, GROUP, KEYS, LOGGER, TOPIC, alter, change, described, shows
from scenarios_offsets import list_of
from scenarios_records import MAX_BYTES, TIME, fetch

UNKNOWN_UUID = "1234567890abcdef" * 2
NO_UUID = "0" * 32


def session_fetch(both, v, session, epoch, topics, forgotten=(), conn="a", **more):
    """topics: [((name, id), [part])]; forgotten: [((name, id), [partition])]"""
    rows = [{"Topic": topic[0], "TopicId": topic[1], "Partitions": [
        {"PartitionMaxBytes": MAX_BYTES, **part} for part in parts]} for topic, parts in topics]
    gone = [{"Topic": topic[0], "TopicId": topic[1], "Partitions": list(parts)} for topic, parts in forgotten]
    return both.ask("Fetch", v, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "SessionId": session,
                                 "SessionEpoch": epoch, "Topics": rows, "ForgottenTopicsData": gone, **more}, conn)


def part(number=0, offset=0, **more):
    return {"Partition": number, "FetchOffset": offset, **more}


@each_version("Fetch", low=7)
def sessions_of_fetch(both, v):
    a, b = both.topic("a", 3), both.topic("b", 1)
    both.produce(a[0], {"values": ["x", "y"]})
    session = session_fetch(both, v, 0, 0, [(a, [part(), part(1), part(2)])])["SessionId"]
    session_fetch(both, v, session, 1, [])
    session_fetch(both, v, session, 2, [(a, [part(0, 2)])])
    session_fetch(both, v, session, 3, [])
    both.produce(a[0], {"values": ["new"]}, partition=1)
    session_fetch(both, v, session, 4, [])
    session_fetch(both, v, session, 4, [])                              # an epoch twice
    session_fetch(both, v, session, 6, [])                              # and one left out
    session_fetch(both, v, session, 5, [(a, [part(1, 1)])])
    session_fetch(both, v, session, 6, [(b, [part()])], [(a, [2])])
    both.produce(b[0], {"values": ["of b"]})
    both.produce(a[0], {"values": ["not asked any more"]}, partition=2)
    session_fetch(both, v, session, 7, [])
    session_fetch(both, v, session, 8, [], [(a, [0, 1, 9]), (b, [0])])  # nothing is left
    session_fetch(both, v, session, 9, [])
    session_fetch(both, v, session, 10, [(a, [part(0, 1)])])
    session_fetch(both, v, session, 11, [(a, [part(7, 0)])])
    session_fetch(both, v, session, 12, [])
    session_fetch(both, v, session, 13, [(a, [part(0, 77)])])
    session_fetch(both, v, session, 14, [])
    session_fetch(both, v, session, 15, [((both.topic_name("never"), UNKNOWN_UUID), [part()])])
    session_fetch(both, v, session, 16, [])
    session_fetch(both, v, 424242, 5, [])
    session_fetch(both, v, 424242, 0, [(a, [part()])])
    session_fetch(both, v, 0, 5, [(a, [part()])])
    session_fetch(both, v, 0, -2, [(a, [part()])])
    session_fetch(both, v, session, -2, [(a, [part()])])
    session_fetch(both, v, session, 17, [], conn="other")               # from somewhere else
    session_fetch(both, v, session, -1, [(a, [part()])])                # closes it
    session_fetch(both, v, session, 18, [])
    session_fetch(both, v, 0, 0, [])
    session_fetch(both, v, 0, 0, [(a, [part(8)])])


@each_version("Fetch", low=7)
def session_of_a_topic_that_goes(both, v):
    a, b = both.topic("a"), both.topic("b")
    both.produce(a[0], {"values": ["x"]})
    session = session_fetch(both, v, 0, 0, [(a, [part(0, 1)]), (b, [part()])])["SessionId"]
    both.ask("DeleteTopics", 6, {"Topics": [{"Name": a[0], "TopicId": NO_UUID}], "TimeoutMs": 5000})
    both.gone(a[0])
    session_fetch(both, v, session, 1, [])
    session_fetch(both, v, session, 2, [])
    both.topic("a")
    both.produce(a[0], {"values": ["of the new one"]})
    session_fetch(both, v, session, 3, [])
    session_fetch(both, v, session, 4, [])
    session_fetch(both, v, session, 5, [], [(a, [0])])


@each_version("Fetch", low=7)
def session_that_changes(both, v):
    """A start of the log that moves, a limit that changes, a session begun anew."""
    a = both.topic("a", 2)
    both.produce(a[0], {"values": ["x", "y"]})
    session = session_fetch(both, v, 0, 0, [(a, [part(0, 2), part(1)])])["SessionId"]
    both.ask("DeleteRecords", 2, {"TimeoutMs": 5000, "Topics": [{"Name": a[0], "Partitions": [
        {"PartitionIndex": 0, "Offset": 1}]}]})
    session_fetch(both, v, session, 1, [])
    session_fetch(both, v, session, 2, [(a, [part(0, 0)])])
    session_fetch(both, v, session, 3, [(a, [part(0, 1, PartitionMaxBytes=0)])])
    session_fetch(both, v, session, 4, [(a, [part(0, 1)])], [(a, [0])])
    session_fetch(both, v, session, 5, [])
    again = session_fetch(both, v, session, 0, [(a, [part(0, 1)])])["SessionId"]
    session_fetch(both, v, session, 6, [])
    session_fetch(both, v, again, 1, [])
    if v >= 9:
        session_fetch(both, v, again, 2, [(a, [part(0, 1, CurrentLeaderEpoch=5)])])
        session_fetch(both, v, again, 3, [])


@each_version("DescribeConfigs")
def describe_others(both, v):
    described(both, v, (BROKER, "", BROKER_KEYS), IncludeSynonyms=True)
    described(both, v, (LOGGER, "1", ["no.such.logger"]))
    described(both, v, (LOGGER, "7", None))
    described(both, v, (LOGGER, "", None))
    described(both, v, (CLIENTS, both.topic_name("nobody"), None))
    described(both, v, (CLIENTS, "", None))
    described(both, v, (GROUP, both.topic_name("g"), None), IncludeSynonyms=True)
    described(both, v, (GROUP, both.topic_name("g"), ["no.such.key"]))
    topic, _ = both.topic("a", cleanup_policy="delete,compact")
    described(both, v, (TOPIC, topic, KEYS), IncludeSynonyms=True)
    described(both, v, (TOPIC, topic, ["retention.ms"]), (TOPIC, topic, ["segment.bytes"]))


def broker_shows(both, name, key, value):
    both.of_kafka("DescribeConfigs", 4, {"Resources": [{"ResourceType": BROKER, "ResourceName": "1",
                                                        "ConfigurationKeys": [key]}]},
                  lambda answer: answer["Results"][0]["Configs"][0]["Value"] == value)


SET, DELETE, APPEND, SUBTRACT = range(4)


@scenario
def broker_altered(both):
    """A key at both levels, and how topics show it."""
    topic, _ = both.topic("a")
    keys = ["log.retention.ms", "message.max.bytes", "log.cleanup.policy", "log.retention.hours",
            "log.retention.minutes"]
    change(both, 1, BROKER, "", (SET, "message.max.bytes", "2000000"), (SET, "log.retention.ms", "1000000"))
    broker_shows(both, "1", "message.max.bytes", "2000000")
    described(both, 4, (BROKER, "1", keys), (BROKER, "", keys), IncludeSynonyms=True)
    described(both, 4, (TOPIC, topic, ["max.message.bytes", "retention.ms"]), IncludeSynonyms=True)
    change(both, 1, BROKER, "1", (SET, "message.max.bytes", "3000000"))
    broker_shows(both, "1", "message.max.bytes", "3000000")
    described(both, 4, (BROKER, "1", keys), (BROKER, "", keys), IncludeSynonyms=True)
    described(both, 4, (TOPIC, topic, ["max.message.bytes", "retention.ms"]), IncludeSynonyms=True)
    both.ask("CreateTopics", 7, {"Topics": [{"Name": both.topic_name("shows"), "NumPartitions": 1,
                                             "ReplicationFactor": 1, "Configs": [
                                                 {"Name": "max.message.bytes", "Value": "5000"}]}]})
    change(both, 1, BROKER, "1", (APPEND, "log.cleanup.policy", "compact"))
    broker_shows(both, "1", "log.cleanup.policy", "delete,compact")
    described(both, 4, (BROKER, "1", keys), IncludeSynonyms=True)
    change(both, 1, BROKER, "1", (SUBTRACT, "log.cleanup.policy", "delete"))
    broker_shows(both, "1", "log.cleanup.policy", "compact")
    described(both, 4, (TOPIC, topic, ["cleanup.policy"]), IncludeSynonyms=True)
    change(both, 1, BROKER, "1", (DELETE, "log.cleanup.policy", None), (DELETE, "message.max.bytes", None))
    broker_shows(both, "1", "message.max.bytes", "2000000")
    change(both, 1, BROKER, "", (DELETE, "log.retention.ms", None), (DELETE, "message.max.bytes", None))
    broker_shows(both, "1", "message.max.bytes", "1048588")
    described(both, 4, (BROKER, "1", keys), (BROKER, "", keys), IncludeSynonyms=True)


@scenario
def broker_alterations_refused(both):
    for name in ("1", ""):
        for validate in (True, False):
            for row in ((SET, "message.max.bytes", "many"), (SET, "message.max.bytes", "-5"),
                        (SET, "message.max.bytes", ""),
                        (SET, "message.max.bytes", None), (SET, "listeners", "PLAINTEXT://127.0.0.1:1"),
                        (SET, "log.dirs", "/tmp/x"), (SET, "num.partitions", "7"), (DELETE, "num.partitions", None),
                        (SET, "auto.create.topics.enable", "false"), (SET, "log.cleanup.policy", "burn"),
                        (APPEND, "message.max.bytes", "1"), (SUBTRACT, "message.max.bytes", "1"),
                        (SET, "broker.id", "4"), (SET, "node.id", "4"), (SET, "process.roles", "broker"),
                        (SET, "compression.type", "rar"), (SET, "max.connections.per.ip", "many"),
                        (SET, "background.threads", "0"), (SET, "min.insync.replicas", "0")):
                change(both, 1, BROKER, name, row, validate=validate)
    for name in ("1", ""):
        for rows in ({"message.max.bytes": "many"}, {"num.partitions": "7"}, {"message.max.bytes": None},
                     {"message.max.bytes": "-5"}):
            alter(both, 2, BROKER, name, rows, validate=True)
    change(both, 1, BROKER, "2", (SET, "message.max.bytes", "2000000"))
    change(both, 1, BROKER, "-1", (SET, "message.max.bytes", "2000000"))
    change(both, 1, BROKER, "x", (SET, "message.max.bytes", "2000000"))


@scenario
def broker_replaced(both):
    """AlterConfigs replaces all there was."""
    alter(both, 2, BROKER, "1", {"message.max.bytes": "2000000", "log.retention.ms": "77777"})
    broker_shows(both, "1", "log.retention.ms", "77777")
    described(both, 4, (BROKER, "1", ["message.max.bytes", "log.retention.ms"]), IncludeSynonyms=True)
    alter(both, 2, BROKER, "1", {"message.max.bytes": "1900000"})
    broker_shows(both, "1", "message.max.bytes", "1900000")
    described(both, 4, (BROKER, "1", ["message.max.bytes", "log.retention.ms"]), IncludeSynonyms=True)
    alter(both, 2, BROKER, "1", {})
    broker_shows(both, "1", "message.max.bytes", "1048588")
    described(both, 4, (BROKER, "1", ["message.max.bytes", "log.retention.ms"]), IncludeSynonyms=True)


@scenario
def loggers_altered(both):
    change(both, 1, LOGGER, "1", (SET, "root", "DEBUG"), validate=True)
    change(both, 1, LOGGER, "1", (SET, "root", "LOUD"), validate=True)
    change(both, 1, LOGGER, "1", (SET, "no.such.logger", "DEBUG"), validate=True)
    change(both, 1, LOGGER, "1", (DELETE, "root", None), validate=True)
    change(both, 1, LOGGER, "1", (APPEND, "root", "DEBUG"), validate=True)
    change(both, 1, LOGGER, "1", (SET, "root", None), validate=True)
    change(both, 1, LOGGER, "7", (SET, "root", "DEBUG"), validate=True)
    change(both, 1, LOGGER, "", (SET, "root", "DEBUG"), validate=True)
    alter(both, 2, LOGGER, "1", {"root": "DEBUG"}, validate=True)


@scenario
def client_metrics_altered(both):
    name = both.topic_name("metrics")
    change(both, 1, CLIENTS, name, (SET, "interval.ms", "5000"), (SET, "metrics", "org.apache.kafka"))
    described(both, 4, (CLIENTS, name, None), IncludeSynonyms=True)
    for key, value in (("interval.ms", "5"), ("match", "color=red"), ("no.such.key", "5")):
        change(both, 1, CLIENTS, name, (SET, key, value))
    change(both, 1, CLIENTS, "", (SET, "interval.ms", "5000"))
    both.ask("ListConfigResources", 1, {"ResourceTypes": [CLIENTS]}, mine=True)
    both.ask("ListConfigResources", 0, {}, mine=True)
    change(both, 1, CLIENTS, name, (DELETE, "interval.ms", None), (DELETE, "metrics", None))
    both.ask("ListConfigResources", 1, {"ResourceTypes": [CLIENTS]}, mine=True)
    alter(both, 2, CLIENTS, name, {"interval.ms": "6000"})


@scenario
def groups_altered(both):
    group = both.topic_name("g")
    for key, value in (("consumer.session.timeout.ms", "60000"), ("consumer.session.timeout.ms", "60001"),
                       ("consumer.session.timeout.ms", "44999"), ("consumer.session.timeout.ms", ""),
                       ("consumer.heartbeat.interval.ms", "15000"), ("consumer.heartbeat.interval.ms", "50000"),
                       ("consumer.heartbeat.interval.ms", "x"), ("share.record.lock.duration.ms", "15000"),
                       ("share.record.lock.duration.ms", "1"), ("share.auto.offset.reset", "earliest"),
                       ("share.auto.offset.reset", "by_duration:PT1H"), ("share.auto.offset.reset", "by_duration:PT"),
                       ("share.auto.offset.reset", "by_duration:P1Y"), ("share.auto.offset.reset", "by_duration:-PT1H"),
                       ("share.auto.offset.reset", "EARLIEST"), ("share.auto.offset.reset", "never"),
                       ("share.isolation.level", "read_committed"), ("share.isolation.level", "none"),
                       ("share.delivery.count.limit", "1"),
                       ("share.delivery.count.limit", "10"), ("share.delivery.count.limit", "11"),
                       ("share.partition.max.record.locks", "99"), ("share.renew.acknowledge.enable", "maybe"),
                       ("streams.num.standby.replicas", "2"), ("streams.num.standby.replicas", "3"),
                       ("streams.session.timeout.ms", "1"), ("streams.initial.rebalance.delay.ms", "-1"),
                       ("consumer.assignment.interval.ms", "15001")):
        change(both, 1, GROUP, group, (SET, key, value))
    change(both, 1, GROUP, group, (APPEND, "consumer.session.timeout.ms", "1"))
    change(both, 1, GROUP, "", (SET, "consumer.session.timeout.ms", "50000"))
    alter(both, 2, GROUP, group, {"consumer.session.timeout.ms": "50000"})
    alter(both, 2, GROUP, group, {})


@scenario
def topic_lists_altered(both):
    topic, _ = both.topic("a")
    for operation, given, told in ((APPEND, "compact,delete", "delete,compact"), (APPEND, "compact", "delete,compact"),
                                   (SUBTRACT, "delete", "compact"), (SUBTRACT, "compact", ""),
                                   (SET, "delete,compact", "delete,compact"), (SET, "compact,delete", "compact,delete"),
                                   (SUBTRACT, "burn", "compact,delete")):
        change(both, 1, TOPIC, topic, (operation, "cleanup.policy", given))
        shows(both, topic, "cleanup.policy", told)
        described(both, 4, (TOPIC, topic, ["cleanup.policy"]), IncludeSynonyms=True)
    for value in ("Compact", "compact delete", ",delete", "delete,", ","):
        change(both, 1, TOPIC, topic, (SET, "cleanup.policy", value))
    for value in ("0:1", "*", "all", "0"):
        change(both, 1, TOPIC, topic, (SET, "leader.replication.throttled.replicas", value))
    change(both, 1, TOPIC, topic, (SUBTRACT, "cleanup.policy", None))
    change(both, 1, TOPIC, topic, (APPEND, "cleanup.policy", None))


@scenario
def topic_values(both):
    topic, _ = both.topic("a")
    for key, value in (("message.timestamp.before.max.ms", "-1"), ("message.timestamp.after.max.ms", "0"),
                       ("file.delete.delay.ms", "-1"), ("segment.ms", "0"), ("segment.jitter.ms", "-1"),
                       ("flush.messages", "0"), ("flush.ms", "0"), ("index.interval.bytes", "-1"),
                       ("segment.index.bytes", "3"), ("min.cleanable.dirty.ratio", "1"),
                       ("compression.gzip.level", "0"), ("compression.gzip.level", "9"),
                       ("compression.gzip.level", "10"), ("compression.lz4.level", "18"),
                       ("compression.zstd.level", "99"), ("compression.zstd.level", "-200000"),
                       ("message.timestamp.difference.max.ms", "5"), ("message.format.version", "2.8"),
                       ("message.downconversion.enable", "true"), ("unclean.leader.election.enable", "TRUE"),
                       ("remote.storage.enable", "false"), ("local.retention.bytes", "-2"), ("local.retention.ms", "5"),
                       ("remote.log.copy.disable", "true"), ("remote.log.delete.on.disable", "true"),
                       ("retention.bytes", "-2"), ("max.compaction.lag.ms", "0"), ("max.message.bytes", "2147483648"),
                       ("retention.ms", "0x10"), ("retention.ms", "1e3"),
                       ("retention.ms", "+5"), ("errors.deadletterqueue.group.enable", "true"), ("x", "")):
        change(both, 1, TOPIC, topic, (SET, key, value), validate=True)
        alter(both, 2, TOPIC, topic, {key: value}, validate=True)
    change(both, 1, TOPIC, "", (SET, "retention.ms", "5"))
    change(both, 1, TOPIC, "x" * 250, (SET, "retention.ms", "5"))


@each_version("Fetch")
def fetch_as_a_replica(both, v):
    topic = both.topic("a")
    both.produce(topic[0], {"values": ["x"]})
    for replica in (0, 1, 5, -2, -3):
        fetch(both, v, topic, 0, **({"ReplicaState": {"ReplicaId": replica, "ReplicaEpoch": -1}} if v >= 15 else
                                    {"ReplicaId": replica}))


@each_version("ListOffsets")
def list_offsets_as_a_replica(both, v):
    topic, _ = both.topic("a")
    both.produce(topic, {"values": ["x"]})
    for replica in (0, 1, 5, -2, -3):
        for stamp in (-1, -2, -3, TIME):
            both.ask("ListOffsets", v, {"ReplicaId": replica, "Topics": [{"Name": topic, "Partitions": [
                {"Timestamp": stamp}]}]})


@each_version("CreateTopics")
def create_many(both, v):
    for count in (9999, 10001, 100000, 2147483647):
        both.ask("CreateTopics", v, {"Topics": [{"Name": both.topic_name("m"), "NumPartitions": count,
                                                 "ReplicationFactor": 1}], "validateOnly": True})
    both.ask("CreateTopics", v, {"Topics": [{"Name": "__consumer_offsets", "NumPartitions": 1,
                                             "ReplicationFactor": 1}]})
    both.ask("CreateTopics", v, {"Topics": [{"Name": "__cluster_metadata", "NumPartitions": 1, "ReplicationFactor": 1}],
                                 "validateOnly": True})


@each_version("CreatePartitions")
def grow_many(both, v):
    topic, _ = both.topic("a")
    for count in (10000, 10001):
        both.ask("CreatePartitions", v, {"Topics": [{"Name": topic, "Count": count, "Assignments": None}],
                                         "TimeoutMs": 5000, "ValidateOnly": True})
    both.ask("CreatePartitions", v, {"Topics": [{"Name": topic, "Count": 2, "Assignments": []}], "TimeoutMs": 5000,
                                     "ValidateOnly": True})


@each_version("ElectLeaders")
def elect_oddly(both, v):
    topic, _ = both.topic("a", 2)
    both.ask("ElectLeaders", v, {"ElectionType": 5, "TopicPartitions": [{"Topic": topic, "Partitions": [0]}]})
    both.ask("ElectLeaders", v, {"ElectionType": 0, "TopicPartitions": [
        {"Topic": topic, "Partitions": [0, 0]}, {"Topic": both.topic_name("never"), "Partitions": [0]}]})
    both.ask("ElectLeaders", v, {"ElectionType": 0, "TopicPartitions": None}, mine=True)


@each_version("AlterPartitionReassignments")
def reassign_oddly(both, v):
    topic, _ = both.topic("a", 2)
    more = {"AllowReplicationFactorChange": False} if v else {}
    for replicas in ([1], [1, 2], [2], None):
        both.ask("AlterPartitionReassignments", v, {"Topics": [{"Name": topic, "Partitions": [
            {"PartitionIndex": 0, "Replicas": replicas}, {"PartitionIndex": 1, "Replicas": replicas}]}], **more})
    both.ask("AlterPartitionReassignments", v, {"Topics": [{"Name": topic, "Partitions": [
        {"PartitionIndex": 0, "Replicas": [1]}, {"PartitionIndex": 0, "Replicas": [1]}]}]})


@each_version("UpdateFeatures")
def features_updated(both, v):
    def update(name, level, kind=1, validate=False):
        more = {"UpgradeType": kind} if v else {"AllowDowngrade": kind > 1}
        both.ask("UpdateFeatures", v, {"FeatureUpdates": [{"Feature": name, "MaxVersionLevel": level, **more}],
                                       "ValidateOnly": validate})
    for name, level in (("group.version", 1), ("transaction.version", 2), ("metadata.version", 7), ("", 1),
                        ("kraft.version", 1), ("share.version", 1), ("metadata.version", 99)):
        for kind in (1, 2, 3, 9):
            update(name, level, kind, True)
    update("group.version", 1)
    update("transaction.version", 2)
    update("transaction.version", 1, 1)
    both.ask("UpdateFeatures", v, {"FeatureUpdates": [
        {"Feature": "group.version", "MaxVersionLevel": 1}, {"Feature": "group.version", "MaxVersionLevel": 1}],
        "ValidateOnly": True})


@each_version("Metadata")
def metadata_oddly(both, v):
    topic, uuid = both.topic("a")
    if v >= 4:
        for wrong in ("a/b", "", "..", "x" * 250):
            both.ask("Metadata", v, {"Topics": [{"Name": wrong}, {"Name": topic}], "AllowAutoTopicCreation": True})
    if v >= 12:
        both.ask("Metadata", v, {"Topics": [{"TopicId": NO_UUID, "Name": topic}], "AllowAutoTopicCreation": False})
        both.ask("Metadata", v, {"Topics": [{"TopicId": UNKNOWN_UUID, "Name": None}], "AllowAutoTopicCreation": True})
        both.ask("Metadata", v, {"Topics": [{"TopicId": UNKNOWN_UUID, "Name": topic}], "AllowAutoTopicCreation": False})
        both.ask("Metadata", v, {"Topics": [{"TopicId": uuid, "Name": "other"}], "AllowAutoTopicCreation": False})


@each_version("DescribeTopicPartitions")
def pages_oddly(both, v):
    topic, _ = both.topic("a", 3)
    both.ask("DescribeTopicPartitions", v, {"Topics": [{"Name": topic}], "ResponsePartitionLimit": 2147483647})
    both.ask("DescribeTopicPartitions", v, {"Topics": [], "ResponsePartitionLimit": 2000}, mine=True)
    both.ask("DescribeTopicPartitions", v, {"Topics": [{"Name": topic}, {"Name": both.topic_name("z")}],
                                            "ResponsePartitionLimit": 2, "Cursor": None})
    both.ask("DescribeTopicPartitions", v, {"Topics": [{"Name": topic}], "ResponsePartitionLimit": 2,
                                            "Cursor": {"TopicName": both.topic_name("zz"), "PartitionIndex": 0}})
    both.ask("DescribeTopicPartitions", v, {"Topics": [{"Name": topic}], "ResponsePartitionLimit": 2,
                                            "Cursor": {"TopicName": topic, "PartitionIndex": 99}})


@each_version("DescribeProducers")
def producers_of_transactions(both, v):
    topic, _ = both.topic("a", 1)
    tid = both.topic_name("tx")
    pid = both.ask("InitProducerId", 4, {"TransactionalId": tid, "TransactionTimeoutMs": 60000})
    both.ask("AddPartitionsToTxn", 3, {"V3AndBelowTransactionalId": tid, "V3AndBelowProducerId": pid["ProducerId"],
                                       "V3AndBelowProducerEpoch": pid["ProducerEpoch"],
                                       "V3AndBelowTopics": [{"Name": topic, "Partitions": [0]}]})
    both.produce(topic, {"values": ["x"], "pid": pid["ProducerId"], "epoch": 0, "seq": 0, "attributes": 0x10},
                 TransactionalId=tid)
    both.ask("DescribeProducers", v, {"Topics": [{"Name": topic, "PartitionIndexes": [0]}]})
    for level in (0, 1):
        fetch(both, 12, (topic, None), 0, IsolationLevel=level)
        list_of(both, 5, topic, -1, IsolationLevel=level)
    both.ask("EndTxn", 3, {"TransactionalId": tid, "ProducerId": pid["ProducerId"],
                           "ProducerEpoch": pid["ProducerEpoch"], "Committed": False})
    both.of_kafka("ListOffsets", 5, {"ReplicaId": -1, "IsolationLevel": 1, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]},
        lambda a: a["Topics"][0]["Partitions"][0]["Offset"] == 2)
    both.ask("DescribeProducers", v, {"Topics": [{"Name": topic, "PartitionIndexes": [0]}]})
    for level in (0, 1):
        for offset in (1, 2):
            fetch(both, 12, (topic, None), offset, IsolationLevel=level)


@scenario
def headers_of_requests(both):
    """Client ids that are null, empty, long, no text; tags that nobody knows."""
    import struct

    def frame(key, version, client, body, tags=b""):
        data = struct.pack(">hhi", key, version, 1) + client + tags + body
        both.raw(struct.pack(">i", len(data)) + data, k={3: "Metadata", 18: "ApiVersions"}[key], v=version)
    none, empty, long = b"\xff\xff", b"\0\0", struct.pack(">h", 5000) + b"x" * 5000
    broken = b"\0\2\xff\xfe"
    for client in (none, empty, long, broken):
        frame(3, 1, client, b"\0\0\0\0")
        frame(3, 12, client, b"\1" + b"\0" * 3 + b"\0", b"\0")
        frame(3, 12, client, b"\1" + b"\0" * 3 + b"\0", b"\1\x05\1x")
        frame(3, 12, client, b"\1" + b"\0" * 3 + b"\1\x09\2xy", b"\0")
    frame(3, 12, empty, b"\1" + b"\0" * 3 + b"\2\x09\2xy\x05\2xy", b"\0")      # tags that fall
    frame(3, 12, empty, b"\1" + b"\0" * 3 + b"\2\x09\2xy\x09\2xy", b"\0")      # a tag twice
    frame(3, 12, empty, b"\1" + b"\0" * 3 + b"\1\x09\7xy", b"\0")              # one that is cut
    frame(3, 1, empty, b"\0\0\0\0zzzz")                                         # more than a request
    frame(3, 12, empty, b"\1" + b"\0" * 3 + b"\0zzz", b"\0")
    frame(3, 1, empty, b"\0\0\0\1\xff\xff")                                     # a name that is null
    frame(3, 1, empty, b"\0\0\0\1\0\2\xff\xfe")                                 # no UTF-8
    frame(3, 4, empty, b"\0\0\0\0\5")                                           # true is 5
    frame(18, 3, empty, b"\2a\2b\0", b"\0")
    frame(18, 3, none, b"\2a\2b\0", b"\0")


@each_version("SaslHandshake")
def logging_in_at_a_listener_without(both, v):
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "", "x" * 3000):
        both.ask("SaslHandshake", v, {"Mechanism": mechanism})
        both.ask("SaslAuthenticate", min(v + 1, 2), {"AuthBytes": "\0user\0pass"})
    both.ask("SaslAuthenticate", 0, {"AuthBytes": ""})
    both.ask("SaslAuthenticate", 2, {"AuthBytes": ""})
    both.ask("Metadata", 9, {"Topics": []})


@each_version("DescribeAcls")
def rules_of_access(both, v):
    """There is no authorizer."""
    rule = {"Principal": "User:a", "Host": "*", "Operation": 2, "PermissionType": 3}
    for kind in (1, 2, 99):
        both.ask("DescribeAcls", v, {"ResourceTypeFilter": kind, "ResourceNameFilter": None, "PatternTypeFilter": 1,
                                     "PrincipalFilter": "User:a", "HostFilter": None, "Operation": 1,
                                     "PermissionType": 1})
    for rows in ([], [{"ResourceType": 2, "ResourceName": "a", **rule}],
                 [{"ResourceType": 2, "ResourceName": "", **rule}, {"ResourceType": 4, "ResourceName": "b", **rule}]):
        both.ask("CreateAcls", v, {"Creations": rows})
    any_rule = {"ResourceNameFilter": None, "PatternTypeFilter": 1, "PrincipalFilter": None, "HostFilter": None,
                "Operation": 1, "PermissionType": 1}
    for rows in ([], [{"ResourceTypeFilter": 1, **any_rule}],
                 [{"ResourceTypeFilter": 2, **any_rule}, {"ResourceTypeFilter": 2, **any_rule}]):
        both.ask("DeleteAcls", v, {"Filters": rows})
