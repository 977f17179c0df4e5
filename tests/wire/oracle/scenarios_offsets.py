"""Where things are in a log: ListOffsets, OffsetForLeaderEpoch, DeleteRecords; and what groups committed."""

from oracle import each_version, scenario

TIME = 1700000000000
UNKNOWN_UUID = "1234567890abcdef" * 2


def list_of(both, v, topic, *parts, **more):
    rows = [part if isinstance(part, dict) else {"Timestamp": part} for part in parts]
    return both.ask("ListOffsets", v, {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": rows}],
                                       "TimeoutMs": 1000, **more})


def filled(both, name="a"):
    """3 partitions: batches with times that rise and fall, one with a packed batch, an empty one."""
    topic = both.topic(name, 3)
    for times in ((0, 10, 20), (100, 50, 60), (30,)):
        both.produce(topic[0], {"records": [{"v": f"at {time}", "ts": TIME + time} for time in times]})
    both.produce(topic[0], {"records": [{"v": f"at {time}", "ts": TIME + time} for time in (5, 15, 25, 15)],
                            "codec": "gzip"}, partition=1)
    return topic


@each_version("ListOffsets")
def list_offsets(both, v):
    topic, _ = filled(both)
    for stamp in (-1, -2, -3, -4, -5, -6, -7, -100):
        list_of(both, v, topic, stamp)
    for stamp in (0, TIME - 1, TIME, TIME + 1, TIME + 10, TIME + 20, TIME + 21, TIME + 30, TIME + 55, TIME + 60,
                  TIME + 99, TIME + 100, TIME + 101, 1 << 60):
        list_of(both, v, topic, stamp)
    for stamp in (-1, -2, -3, TIME, TIME + 6, TIME + 15, TIME + 16, TIME + 26):
        list_of(both, v, topic, {"PartitionIndex": 1, "Timestamp": stamp}, {"PartitionIndex": 2, "Timestamp": stamp})
    list_of(both, v, topic, {"PartitionIndex": 7, "Timestamp": -1}, -2)
    list_of(both, v, topic, {"PartitionIndex": -1, "Timestamp": -1})
    list_of(both, v, topic)
    list_of(both, v, both.topic_name("never"), -1)
    list_of(both, v, "a/b", -1)
    list_of(both, v, "", -1)
    both.ask("ListOffsets", v, {"ReplicaId": -1, "Topics": []})
    if v >= 2:
        for level in (0, 1):
            list_of(both, v, topic, -1, IsolationLevel=level)
            list_of(both, v, topic, TIME + 50, IsolationLevel=level)
    for epoch in (-1, 0, 1, 7, -2) if v >= 4 else ():
        list_of(both, v, topic, {"Timestamp": -1, "CurrentLeaderEpoch": epoch})
        list_of(both, v, topic, {"Timestamp": TIME, "CurrentLeaderEpoch": epoch})
    both.ask("ListOffsets", v, {"ReplicaId": -2, "Topics": [{"Name": topic, "Partitions": [{"Timestamp": -1}]}]})


@each_version("ListOffsets")
def repeated_list_offsets(both, v):
    """The same partition twice in one request."""
    list_of(both, v, both.topic("a")[0], -1, -2)


@each_version("ListOffsets", low=2)
def accident_list_offsets(both, v):
    """What Kafka's code trips over."""
    topic, _ = filled(both)
    for level in (2, -1):
        list_of(both, v, topic, -1, IsolationLevel=level)


@scenario
def list_offsets_stamped(both):
    """LogAppendTime: the times are the broker's."""
    topic, _ = both.topic("a", message_timestamp_type="LogAppendTime")
    both.produce(topic, {"values": ["x", "y"]})
    for v in (1, 7, 11):
        for stamp in (-1, -2, -3, 0, TIME, "#now+60000"):
            list_of(both, v, topic, stamp)


@each_version("OffsetForLeaderEpoch")
def offset_for_leader_epoch(both, v):
    topic, _ = filled(both)
    both.topic("empty")

    def ask(*rows, name=topic):
        both.ask("OffsetForLeaderEpoch", v, {"ReplicaId": -1, "Topics": [{"Topic": name, "Partitions": list(rows)}]})
    for epoch in (0, 1, 5, -1, -2):
        ask({"Partition": 0, "LeaderEpoch": epoch}, {"Partition": 2, "LeaderEpoch": epoch})
        ask({"Partition": 0, "LeaderEpoch": 0, "CurrentLeaderEpoch": epoch})
    ask({"Partition": 9, "LeaderEpoch": 0})
    ask({"Partition": -1, "LeaderEpoch": 0})
    ask({"Partition": 0, "LeaderEpoch": 0}, {"Partition": 0, "LeaderEpoch": 1})
    ask()
    ask({"Partition": 0, "LeaderEpoch": 0}, name=both.topic_name("never"))
    ask({"Partition": 0, "LeaderEpoch": 0}, name="a/b")
    both.ask("OffsetForLeaderEpoch", v, {"ReplicaId": -1, "Topics": []})


@each_version("DeleteRecords")
def delete_records(both, v):
    topic, _ = filled(both)

    def delete(*rows, name=topic, timeout=5000):
        return both.ask("DeleteRecords", v, {"TimeoutMs": timeout, "Topics": [{"Name": name, "Partitions": [
            {"PartitionIndex": partition, "Offset": offset} for partition, offset in rows]}]})
    delete((0, 2))
    list_of(both, 5, topic, -2)
    both.ask("Fetch", 11, {"MaxWaitMs": 0, "SessionEpoch": -1, "Topics": [{"Topic": topic, "Partitions": [
        {"Partition": 0, "FetchOffset": 1, "PartitionMaxBytes": 10000}]}]})
    both.ask("Fetch", 11, {"MaxWaitMs": 0, "SessionEpoch": -1, "Topics": [{"Topic": topic, "Partitions": [
        {"Partition": 0, "FetchOffset": 2, "PartitionMaxBytes": 10000}]}]})
    delete((0, 1))
    delete((0, 8))
    delete((0, -2))
    delete((0, -1), (1, 2))
    delete((0, 7), (2, 0))
    delete((2, 1))
    delete((9, 1), (-1, 1))
    delete((0, 1), name=both.topic_name("never"))
    delete((0, 1), name="a/b")
    delete((0, 1), (0, 2))
    delete()
    both.ask("DeleteRecords", v, {"TimeoutMs": 1000, "Topics": []})
    for stamp in (-1, -2, -3, TIME, TIME + 100):
        list_of(both, 7, topic, stamp, {"PartitionIndex": 1, "Timestamp": stamp})


def commit(both, v, group, topic, *rows, generation=-1, member="", **more):
    parts = [row if isinstance(row, dict) else {"PartitionIndex": 0, "CommittedOffset": row} for row in rows]
    return both.ask("OffsetCommit", v, {"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": member,
                                        "Topics": [{"Name": topic[0], "TopicId": topic[1], "Partitions": parts}],
                                        **more})


def committed(both, v, group, topic, *partitions, conn="a", **more):
    """topic None: all"""
    rows = None if topic is None else [{"Name": topic[0], "TopicId": topic[1],
                                        "PartitionIndexes": list(partitions)}]
    if v < 8:
        rows = rows and [{key: one for key, one in row.items() if key != "TopicId"} for row in rows]
        return both.ask("OffsetFetch", v, {"GroupId": group, "Topics": rows, **more}, conn)
    return both.ask("OffsetFetch", v, {"Groups": [{"GroupId": group, "Topics": rows}], **more}, conn)


@each_version("OffsetCommit")
def offset_commit(both, v):
    group, topic = both.topic_name("group"), both.topic("a", 3)
    part = {"PartitionIndex": 1, "CommittedOffset": 7, "CommittedMetadata": "a note", "CommittedLeaderEpoch": 3}
    commit(both, v, group, topic, 5)
    commit(both, v, group, topic, 6, part)
    committed(both, 7, group, topic, 0, 1, 2)
    commit(both, v, group, topic, {**part, "CommittedMetadata": None})
    commit(both, v, group, topic, {**part, "CommittedMetadata": ""})
    commit(both, v, group, topic, {**part, "CommittedMetadata": "x" * 4096})
    commit(both, v, group, topic, {**part, "CommittedMetadata": "x" * 4097})
    committed(both, 7, group, topic, 1)
    commit(both, v, group, topic, {**part, "CommittedOffset": -1})
    commit(both, v, group, topic, {**part, "CommittedOffset": -5})
    commit(both, v, group, topic, {**part, "CommittedOffset": 1 << 62})
    commit(both, v, group, topic, {**part, "PartitionIndex": 9})
    commit(both, v, group, topic, {**part, "PartitionIndex": -1}, 8)
    commit(both, v, group, (both.topic_name("never"), UNKNOWN_UUID), 1)
    if v < 10:
        commit(both, v, group, ("a/b", UNKNOWN_UUID), 1)
        commit(both, v, group, ("", UNKNOWN_UUID), 1)
    commit(both, v, group, topic, 1, 2)
    commit(both, v, group, topic)
    both.ask("OffsetCommit", v, {"GroupId": group, "Topics": []})
    commit(both, v, "", topic, 1)
    commit(both, v, both.topic_name("other"), topic, 1, generation=3)
    commit(both, v, both.topic_name("other"), topic, 1, generation=3, member="me")
    commit(both, v, both.topic_name("other"), topic, 1, member="me")
    if v >= 7:
        commit(both, v, both.topic_name("other"), topic, 1, GroupInstanceId="mine")
    committed(both, 7, group, None)
    committed(both, 8, both.topic_name("other"), None)


@each_version("OffsetFetch")
def offset_fetch(both, v):
    group, topic, other = both.topic_name("group"), both.topic("a", 3), both.topic("b", 1)
    part = {"PartitionIndex": 1, "CommittedOffset": 7, "CommittedMetadata": "a note", "CommittedLeaderEpoch": 3}
    commit(both, 8, group, topic, 5, part)
    commit(both, 8, group, other, 9)
    committed(both, v, group, topic, 0)
    committed(both, v, group, topic, 0, 1, 2, 9, -1)
    committed(both, v, group, topic, 0, 0)
    committed(both, v, group, topic)
    committed(both, v, group, (both.topic_name("never"), UNKNOWN_UUID), 0, 1)
    committed(both, v, both.topic_name("stranger"), topic, 0)
    committed(both, v, "", topic, 0)
    if v >= 2:
        committed(both, v, group, None)
        committed(both, v, both.topic_name("stranger"), None)
    if v < 10:
        committed(both, v, group, ("a/b", UNKNOWN_UUID), 0)
    if v >= 7:
        committed(both, v, group, None, RequireStable=True)
        committed(both, v, group, topic, 0, RequireStable=True)
    if v < 8:
        both.ask("OffsetFetch", v, {"GroupId": group, "Topics": []})
        return
    rows = [{"Name": topic[0], "TopicId": topic[1], "PartitionIndexes": [0, 1]}]
    both.ask("OffsetFetch", v, {"Groups": []})
    both.ask("OffsetFetch", v, {"Groups": [{"GroupId": group, "Topics": []}]})
    both.ask("OffsetFetch", v, {"Groups": [{"GroupId": group, "Topics": rows},
                                           {"GroupId": both.topic_name("stranger"), "Topics": rows},
                                           {"GroupId": both.topic_name("third"), "Topics": None}]})
    both.ask("OffsetFetch", v, {"Groups": [{"GroupId": group, "Topics": rows}, {"GroupId": group, "Topics": None}]})
    if v >= 9:
        for member, epoch in (("me", 0), ("me", -1), ("", 3), (None, 5), ("me", 7)):
            both.ask("OffsetFetch", v, {"Groups": [{"GroupId": group, "MemberId": member, "MemberEpoch": epoch,
                                                    "Topics": rows}]})


@each_version("OffsetDelete")
def offset_delete(both, v):
    group, topic = both.topic_name("group"), both.topic("a", 2)

    def delete(name, *partitions, group=group):
        return both.ask("OffsetDelete", v, {"GroupId": group, "Topics": [{"Name": name, "Partitions": [
            {"PartitionIndex": number} for number in partitions]}]})
    delete(topic[0], 0)
    commit(both, 8, group, topic, 5, {"PartitionIndex": 1, "CommittedOffset": 7})
    delete(topic[0], 0)
    committed(both, 7, group, None)
    delete(topic[0], 0, 1, 9)
    committed(both, 7, group, None)
    commit(both, 8, group, topic, 5)
    delete(both.topic_name("never"), 0)
    delete(topic[0])
    delete(topic[0], 0, group="")
    delete(topic[0], 0, group=both.topic_name("stranger"))
    both.ask("OffsetDelete", v, {"GroupId": group, "Topics": []})
    committed(both, 7, group, None)


@scenario
def group_without_a_name(both):
    """It is one, to commit to."""
    topic = both.topic("a")
    commit(both, 8, "", topic, 5)
    committed(both, 7, "", topic, 0)
    for v in (5, 6):
        both.ask("DescribeGroups", v, {"Groups": [""]})
    both.ask("DeleteGroups", 2, {"GroupsNames": [""]})
    committed(both, 7, "", topic, 0)
