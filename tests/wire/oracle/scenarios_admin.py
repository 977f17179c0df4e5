"""What administrators' tools ask besides: log dirs, producers, replicas, features, the quorum, topics by the page."""

from oracle import each_version

@each_version("DescribeLogDirs")
def describe_log_dirs(both, v):
    topic, _ = both.topic("a", 2)
    both.produce(topic, {"values": ["x", "y"]})
    never = both.topic_name("never")
    for rows in ([{"Topic": topic, "Partitions": [0, 1]}], [{"Topic": topic, "Partitions": []}],
                 [{"Topic": topic, "Partitions": [0, 7]}], [{"Topic": never, "Partitions": [0]}], []):
        both.ask("DescribeLogDirs", v, {"Topics": rows})
    both.ask("DescribeLogDirs", v, {"Topics": None}, mine=True)


@each_version("DescribeProducers")
def describe_producers(both, v):
    topic, _ = both.topic("a", 2)
    pid = both.ask("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 60000})["ProducerId"]
    both.produce(topic, {"values": ["x", "y"], "pid": pid, "epoch": 0, "seq": 0})
    both.produce(topic, {"values": ["z"], "pid": pid, "epoch": 0, "seq": 2})
    for name, parts in ((topic, [0, 1]), (topic, [7]), (topic, []), (both.topic_name("never"), [0]), ("a/b", [0])):
        both.ask("DescribeProducers", v, {"Topics": [{"Name": name, "PartitionIndexes": parts}]})
    both.ask("DescribeProducers", v, {"Topics": []})


@each_version("ElectLeaders")
def elect_leaders(both, v):
    topic, _ = both.topic("a", 2)
    for kind in (0, 1) if v else (0,):
        for name, parts in ((topic, [0, 1]), (topic, [7]), (topic, []), (both.topic_name("never"), [0])):
            both.ask("ElectLeaders", v, {"ElectionType": kind, "TopicPartitions": [{"Topic": name,
                                                                                    "Partitions": parts}]})
    both.ask("ElectLeaders", v, {"TopicPartitions": []})


@each_version("AlterPartitionReassignments")
def alter_partition_reassignments(both, v):
    topic, _ = both.topic("a", 2)
    wishes = [(topic, 0, replicas) for replicas in ([1], [7], [], [1, 1], [1, 2], None)]
    for name, part, replicas in (*wishes, (topic, 9, [1]), (topic, 9, None), (both.topic_name("never"), 0, [1])):
        both.ask("AlterPartitionReassignments", v, {"Topics": [{"Name": name, "Partitions": [
            {"PartitionIndex": part, "Replicas": replicas}]}]})
    both.ask("AlterPartitionReassignments", v, {"Topics": []})


@each_version("ListPartitionReassignments")
def list_partition_reassignments(both, v):
    topic, _ = both.topic("a", 2)
    for rows in (None, [], [{"Name": topic, "PartitionIndexes": [0, 1]}], [{"Name": topic, "PartitionIndexes": [9]}],
                 [{"Name": both.topic_name("never"), "PartitionIndexes": [0]}]):
        both.ask("ListPartitionReassignments", v, {"Topics": rows})


@each_version("AlterReplicaLogDirs")
def alter_replica_log_dirs(both, v):
    topic, _ = both.topic("a", 2)
    for path in ("/nowhere", "relative", ""):
        both.ask("AlterReplicaLogDirs", v, {"Dirs": [{"Path": path, "Topics": [
            {"Name": topic, "Partitions": [0, 9]}, {"Name": both.topic_name("never"), "Partitions": [0]}]}]})
    both.ask("AlterReplicaLogDirs", v, {"Dirs": []})


@each_version("DescribeQuorum")
def describe_quorum(both, v):
    both.ask("DescribeQuorum", v, {"Topics": [{"TopicName": "__cluster_metadata", "Partitions": [
        {"PartitionIndex": 0}]}]})
    both.ask("DescribeQuorum", v, {"Topics": [{"TopicName": "other", "Partitions": [{"PartitionIndex": 0}]}]})
    both.ask("DescribeQuorum", v, {"Topics": [{"TopicName": "__cluster_metadata", "Partitions": [
        {"PartitionIndex": 1}]}]})
    both.ask("DescribeQuorum", v, {"Topics": []})


@each_version("UpdateFeatures")
def update_features(both, v):
    kinds = {"UpgradeType": 1} if v else {}
    for name, level in (("no.such.feature", 1), ("group.version", 99), ("transaction.version", 77),
                        ("transaction.version", -1)):
        both.ask("UpdateFeatures", v, {"FeatureUpdates": [{"Feature": name, "MaxVersionLevel": level, **kinds}],
                                       "ValidateOnly": True})
    both.ask("UpdateFeatures", v, {"FeatureUpdates": [], "ValidateOnly": True})


@each_version("DescribeTopicPartitions")
def describe_topic_partitions(both, v):
    a, b = both.topic("a", 3)[0], both.topic("b", 2)[0]

    def ask(*names, limit=2000, cursor=None):
        both.ask("DescribeTopicPartitions", v, {"Topics": [{"Name": name} for name in names],
                                                "ResponsePartitionLimit": limit, "Cursor": cursor}, mine=True)
    ask(a, b)
    ask(b, a, b)
    ask(both.topic_name("never"), a)
    ask("a/b")
    for limit in (1, 2, 3, 4, 5):
        ask(a, b, limit=limit)
    ask(a, b, limit=0)
    ask(a, b, limit=-1)
    for name, part in ((a, 0), (a, 1), (a, 3), (b, 0), (b, 5), (a, -1), (both.topic_name("c"), 0)):
        ask(a, b, cursor={"TopicName": name, "PartitionIndex": part})
    ask(a, b, limit=2, cursor={"TopicName": a, "PartitionIndex": 2})
