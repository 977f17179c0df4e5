"""Topics: made, grown, deleted, made again."""

from oracle import each_version, scenario

UNKNOWN_UUID = "1234567890abcdef" * 2
NO_UUID = "0" * 32


def create(both, v, *topics, validate=False, **more):
    rows = [{"NumPartitions": 1, "ReplicationFactor": 1, **topic} for topic in topics]
    answer = both.ask("CreateTopics", v, {"Topics": rows, "validateOnly": validate, **more})
    for row, topic in zip(rows, topics):
        made = next((one for one in answer["Topics"] if one["Name"] == topic["Name"]), None)
        if made and made["ErrorCode"] == 0 and not validate:
            both.rest(topic["Name"])
    return answer


@each_version("CreateTopics")
def create_topics(both, v):
    name = both.topic_name
    for validate in (True, False):
        create(both, v, {"Name": name("plain"), "NumPartitions": 3}, validate=validate)
    create(both, v, {"Name": name("plain")})
    create(both, v, {"Name": name("plain")}, validate=True)
    for at, count in enumerate((-1, 0, -2, 2)):
        create(both, v, {"Name": name(f"count{at}"), "NumPartitions": count})
    for at, factor in enumerate((-1, 0, -2, 2, 3)):
        create(both, v, {"Name": name(f"factor{at}"), "ReplicationFactor": factor})
    for wrong in ("", ".", "..", "a/b", "x" * 250, "sp ace", "ümlaut", "__mine-token"):
        create(both, v, {"Name": wrong}, validate=wrong == "__mine-token")
    create(both, v, {"Name": name("twice")}, {"Name": name("twice")}, {"Name": name("once")})
    create(both, v, {"Name": name("one")}, {"Name": "bad/name"}, {"Name": name("two")})
    both.ask("CreateTopics", v, {"Topics": []})
    dotted = name("col_lide")
    create(both, v, {"Name": "a.b_" + dotted})
    create(both, v, {"Name": "a_b." + dotted})
    create(both, v, {"Name": "a_b_" + dotted}, validate=True)


@each_version("CreateTopics")
def create_assigned(both, v):
    def assigned(name, assignments, **more):
        rows = [{"PartitionIndex": index, "BrokerIds": ids} for index, ids in assignments]
        create(both, v, {"Name": both.topic_name(name), "NumPartitions": -1, "ReplicationFactor": -1,
                         "Assignments": rows, **more})
    assigned("good", [(0, [1]), (1, [1])])
    assigned("gap", [(0, [1]), (2, [1])])
    assigned("late", [(1, [1])])
    assigned("twice", [(0, [1]), (0, [1])])
    assigned("unknown", [(0, [7])])
    assigned("double", [(0, [1, 1])])
    assigned("nobody", [(0, [])])
    assigned("uneven", [(0, [1]), (1, [1, 2])])
    assigned("negative", [(-1, [1])])
    assigned("counted", [(0, [1])], NumPartitions=1)
    assigned("factored", [(0, [1])], ReplicationFactor=1)
    assigned("both", [(0, [1])], NumPartitions=1, ReplicationFactor=1)


@each_version("CreateTopics")
def create_configured(both, v):
    def configured(name, *configs, **more):
        rows = [{"Name": key, "Value": value} for key, value in configs]
        return create(both, v, {"Name": both.topic_name(name), "Configs": rows}, **more)
    configured("good", ("retention.ms", "1000"), ("cleanup.policy", "compact"))
    configured("both", ("cleanup.policy", "compact,delete"))
    configured("none", ("cleanup.policy", ""))
    configured("policy", ("cleanup.policy", "burn"))
    configured("unknown", ("no.such.key", "1"))
    configured("null", ("retention.ms", None))
    configured("nonumber", ("retention.ms", "soon"))
    configured("blank", ("retention.ms", ""))
    configured("spaces", ("retention.ms", " 1000 "))
    configured("low", ("retention.ms", "-2"))
    configured("lowest", ("retention.ms", "-1"))
    configured("segment", ("segment.bytes", "13"))
    configured("huge", ("segment.bytes", "99999999999"))
    configured("max", ("max.message.bytes", "-1"))
    configured("codec", ("compression.type", "rar"))
    configured("codecs", ("compression.type", "zstd"))
    configured("time", ("message.timestamp.type", "Sometime"))
    configured("append", ("message.timestamp.type", "LogAppendTime"))
    configured("ratio", ("min.cleanable.dirty.ratio", "1.5"))
    configured("bool", ("preallocate", "perhaps"))
    configured("isr", ("min.insync.replicas", "0"))
    configured("isrmore", ("min.insync.replicas", "3"))
    configured("twice", ("retention.ms", "1000"), ("retention.ms", "2000"))
    configured("order", ("min.compaction.lag.ms", "2000"), ("max.compaction.lag.ms", "1000"))
    configured("local", ("local.retention.ms", "2000"), ("retention.ms", "1000"))
    configured("remote", ("remote.storage.enable", "true"))
    configured("validate", ("retention.ms", "1000"), validate=True)
    configured("validatewrong", ("retention.ms", "x"), validate=True)
    configured("emptyname", ("", "1"))


@each_version("DeleteTopics")
def delete_topics(both, v):
    def delete(*topics):
        rows = [{"Name": topic, "TopicId": NO_UUID} if isinstance(topic, str) else topic for topic in topics]
        names = [row.get("Name") or "" for row in rows]
        return both.ask("DeleteTopics", v, {"Topics": rows, "TimeoutMs": 5000} if v >= 6 else
                        {"TopicNames": names, "TimeoutMs": 5000})
    a, _ = both.topic("a")
    b, uuid = both.topic("b", 2)
    delete(a)
    both.gone(a)
    delete(a)
    both.ask("Metadata", 12, {"Topics": [{"Name": a}], "AllowAutoTopicCreation": False},
             until=lambda answer: answer["Topics"][0]["ErrorCode"] == 3)
    delete(both.topic_name("never"))
    delete("", "a/b", "x" * 250)
    delete()
    c, again = both.topic("a")
    delete(c, c)
    delete(both.topic_name("never"), b)
    both.gone(b)
    if v < 6:
        return
    both.ask("Metadata", 12, {"Topics": [{"TopicId": uuid, "Name": None}], "AllowAutoTopicCreation": False},
             until=lambda answer: answer["Topics"][0]["ErrorCode"] == 100)
    d, uuid = both.topic("d")
    delete({"Name": None, "TopicId": UNKNOWN_UUID})
    delete({"Name": None, "TopicId": NO_UUID})
    delete({"Name": d, "TopicId": uuid})
    delete({"Name": None, "TopicId": uuid}, {"Name": None, "TopicId": uuid})
    delete({"Name": None, "TopicId": uuid}, d)
    delete({"Name": None, "TopicId": uuid})
    both.gone(d)
    delete({"Name": None, "TopicId": uuid})


@each_version("CreatePartitions")
def create_partitions(both, v):
    def grow(name, count, assignments=None, validate=False):
        rows = assignments and [{"BrokerIds": ids} for ids in assignments]
        return both.ask("CreatePartitions", v, {"Topics": [{"Name": name, "Count": count, "Assignments": rows}],
                                                "TimeoutMs": 5000, "ValidateOnly": validate})
    a, _ = both.topic("a", 2)
    grow(a, 3, validate=True)
    grow(a, 2)
    grow(a, 1)
    grow(a, 0)
    grow(a, -1)
    grow(a, 3)
    both.rest(a, 3)
    grow(a, 4, [[1]])
    both.rest(a, 4)
    grow(a, 6, [[1]])
    grow(a, 6, [[1], [1], [1]])
    grow(a, 5, [[9]])
    grow(a, 5, [[1, 1]])
    grow(a, 5, [[]])
    grow(a, 6, [[1], [1, 2]])
    grow(both.topic_name("never"), 3)
    grow("a/b", 3)
    grow("", 3)
    both.ask("CreatePartitions", v, {"Topics": [], "TimeoutMs": 5000})
    both.ask("CreatePartitions", v, {"Topics": [{"Name": a, "Count": 5, "Assignments": None},
                                                {"Name": a, "Count": 6, "Assignments": None}], "TimeoutMs": 5000})
    both.ask("Metadata", 9, {"Topics": [{"Name": a}]})


@scenario
def topic_born_again(both):
    """The same name, another id, nothing of the old records."""
    for _ in range(2):
        name, uuid = both.topic("a")
        both.produce(name, {"values": ["x", "y"]})
        both.ask("ListOffsets", 5, {"ReplicaId": -1, "Topics": [
            {"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]})
        both.ask("DeleteTopics", 6, {"Topics": [{"Name": name, "TopicId": NO_UUID}], "TimeoutMs": 5000})
        both.gone(name)
        for v in (13, 16):
            both.ask("Fetch", v, {"MaxWaitMs": 0, "SessionEpoch": -1, "Topics": [
                {"TopicId": uuid, "Partitions": [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1000}]}]})
        for v in (12, 13):
            both.ask("Produce", v, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [
                {"Name": name, "TopicId": uuid, "PartitionData": [{"Index": 0, "Records": {"values": ["x"]}}]}]})
