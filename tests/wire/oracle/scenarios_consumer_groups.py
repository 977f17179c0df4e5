"""Groups of the consumer protocol (KIP-848), step by step. A member with two names is not described: their order is
the one of a hash table in Kafka."""

from oracle import each_version, scenario

GROUP = 32  # a kind of resource


def beat(both, v, group, member, epoch, **more):
    return both.ask("ConsumerGroupHeartbeat", v, {"GroupId": group, "MemberId": member, "MemberEpoch": epoch, **more})


def enter(both, v, group, member, *topics, **more):
    return beat(both, v, group, member, 0, RebalanceTimeoutMs=60000, SubscribedTopicNames=list(topics),
                TopicPartitions=[], **more)


def leave(both, v, group, member, epoch=-1, **more):
    return beat(both, v, group, member, epoch, **more)


def describe(both, *groups, v=1, **more):
    return both.ask("ConsumerGroupDescribe", v, {"GroupIds": list(groups), **more})


def owned(*rows):
    return [{"TopicId": topic, "Partitions": list(partitions)} for topic, partitions in rows]


def at_once(both, group):
    """Assignments are not put off."""
    both.ask("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": GROUP, "ResourceName": group, "Configs": [
        {"Name": "consumer.assignment.interval.ms", "ConfigOperation": 0, "Value": "0"}]}]})
    both.of_kafka("DescribeConfigs", 4, {"Resources": [{"ResourceType": GROUP, "ResourceName": group,
                                                        "ConfigurationKeys": None}]},
                  lambda a: any(row["Name"] == "consumer.assignment.interval.ms" and row["Value"] == "0"
                                for row in a["Results"][0]["Configs"]))


@each_version("ConsumerGroupHeartbeat")
def consumer_heartbeat_faults(both, v):
    group = both.topic_name("group")
    member = "m" * 22
    beat(both, v, group, "", 1)
    beat(both, v, group, "", -1)
    beat(both, v, "", member, 0)
    beat(both, v, "  ", member, 0)
    beat(both, v, group, member, 0)
    beat(both, v, group, member, 0, InstanceId="")
    beat(both, v, group, member, 0, RackId="")
    beat(both, v, group, member, 0, RebalanceTimeoutMs=1000)
    beat(both, v, group, member, 0, RebalanceTimeoutMs=1000, TopicPartitions=[])
    beat(both, v, group, member, 0, RebalanceTimeoutMs=1000, SubscribedTopicNames=["x"])
    beat(both, v, group, member, 0, RebalanceTimeoutMs=1000, SubscribedTopicNames=["x"],
         TopicPartitions=owned(("00000000000000000000000000000009", [0])))
    beat(both, v, group, member, -2)
    beat(both, v, group, member, -3)
    beat(both, v, group, member, 1)
    beat(both, v, group, member, -1)
    beat(both, v, group, member, -2, InstanceId="i")
    enter(both, v, group, member, "x", ServerAssignor="sticky")
    enter(both, v, group, member, "x", ServerAssignor="")
    if v >= 1:
        enter(both, v, group, "", "x")
        enter(both, v, group, member, SubscribedTopicRegex="(")
        enter(both, v, group, member, SubscribedTopicRegex="a{2,1}")
    describe(both, group)


@each_version("ConsumerGroupHeartbeat")
def consumer_alone(both, v):
    topic, id = both.topic("t", 3)
    group, member = both.topic_name("group"), "m" * 22
    at_once(both, group)
    enter(both, v, group, member, topic)
    describe(both, group, IncludeAuthorizedOperations=True)
    beat(both, v, group, member, 2, TopicPartitions=owned((id, [0, 1, 2])))
    beat(both, v, group, member, 2)
    beat(both, v, group, member, 3)
    beat(both, v, group, member, 2, RebalanceTimeoutMs=60000, SubscribedTopicNames=[topic],
         TopicPartitions=owned((id, [0, 1, 2])))
    beat(both, v, group, member, 2, SubscribedTopicNames=[], TopicPartitions=owned((id, [0, 1, 2])))
    describe(both, group)
    beat(both, v, group, member, 2, TopicPartitions=owned((id, [2])))
    beat(both, v, group, member, 2, TopicPartitions=[])
    beat(both, v, group, member, 2, TopicPartitions=[])
    beat(both, v, group, member, 2, TopicPartitions=owned((id, [2])))
    beat(both, v, group, member, 3, SubscribedTopicNames=[topic, "not.there"], TopicPartitions=[])
    enter(both, v, group, member, topic)
    both.ask("DescribeGroups", 6, {"Groups": [group]})
    both.ask("DescribeGroups", 5, {"Groups": [group]})
    both.ask("DeleteGroups", 2, {"GroupsNames": [group]})
    leave(both, v, group, member)
    leave(both, v, group, member)
    describe(both, group)
    both.ask("DeleteGroups", 2, {"GroupsNames": [group]})
    describe(both, group)


@scenario
def consumer_generated_id(both):
    """Version 0: the broker makes the id."""
    group = both.topic_name("group")
    answer = enter(both, 0, group, "", "not.there")
    beat(both, 0, group, answer["MemberId"], answer["MemberEpoch"])
    leave(both, 0, group, answer["MemberId"])


@each_version("ConsumerGroupHeartbeat")
def consumer_pair(both, v):
    """The second waits for what the first gives up; which partition that is each broker chooses."""
    topic, id = both.topic("t", 1)
    other, other_id = both.topic("u", 1)
    group = both.topic_name("group")
    at_once(both, group)
    enter(both, v, group, "first", topic)
    enter(both, v, group, "second", other)
    beat(both, v, group, "first", 2, TopicPartitions=owned((id, [0])))
    beat(both, v, group, "second", 3, SubscribedTopicNames=[topic], TopicPartitions=owned((other_id, [0])))
    beat(both, v, group, "second", 3, TopicPartitions=[])
    describe(both, group)
    beat(both, v, group, "first", 3, SubscribedTopicNames=[other], TopicPartitions=owned((id, [0])))
    describe(both, group)
    beat(both, v, group, "second", 4, TopicPartitions=[])
    beat(both, v, group, "first", 3, TopicPartitions=owned((id, [0])))
    beat(both, v, group, "first", 3, TopicPartitions=[])
    beat(both, v, group, "second", 5, TopicPartitions=[])
    describe(both, group)
    leave(both, v, group, "first")
    beat(both, v, group, "second", 5, TopicPartitions=owned((id, [0])))
    describe(both, group)
    leave(both, v, group, "second")


@each_version("ConsumerGroupHeartbeat")
def consumer_static(both, v):
    topic, id = both.topic("t", 2)
    group = both.topic_name("group")
    at_once(both, group)
    enter(both, v, group, "one", topic, InstanceId="i", RackId="r")
    enter(both, v, group, "two", topic, InstanceId="i")
    beat(both, v, group, "two", 2, InstanceId="i")
    beat(both, v, group, "two", 2, InstanceId="j")
    leave(both, v, group, "two", -2, InstanceId="i")
    leave(both, v, group, "two", -1, InstanceId="j")
    leave(both, v, group, "one", -2, InstanceId="i")
    describe(both, group)
    beat(both, v, group, "one", 2, InstanceId="i")
    enter(both, v, group, "two", topic, InstanceId="i")
    describe(both, group)
    beat(both, v, group, "two", 2, InstanceId="i", TopicPartitions=owned((id, [0, 1])))
    beat(both, v, group, "one", 2, InstanceId="i")
    leave(both, v, group, "two", -1, InstanceId="i")
    describe(both, group)


@scenario
def consumer_topics_change(both):
    topic, id = both.topic("t", 1)
    group, late = both.topic_name("group"), both.topic_name("late")
    at_once(both, group)
    enter(both, 1, group, "m", topic, late)
    both.ask("CreatePartitions", 3, {"Topics": [{"Name": topic, "Count": 3, "Assignments": None}], "TimeoutMs": 5000})
    both.rest(topic, 3)
    both.ask("ConsumerGroupHeartbeat", 1, {"GroupId": group, "MemberId": "m", "MemberEpoch": 2,
                                           "TopicPartitions": owned((id, [0]))},
             until=lambda answer: answer["MemberEpoch"] == 3)
    leave(both, 1, group, "m")


@each_version("ConsumerGroupDescribe")
def consumer_describe(both, v):
    group, classic = both.topic_name("group"), both.topic_name("classic")
    describe(both, v=v)
    describe(both, "", group, v=v)
    both.ask("OffsetCommit", 8, {"GroupId": classic, "GenerationIdOrMemberEpoch": -1, "Topics": []})
    both.ask("OffsetFetch", 8, {"Groups": [{"GroupId": group, "Topics": None}]})
    enter(both, 1, group, "m", "not.there", InstanceId="i", RackId="r", ServerAssignor="range")
    describe(both, group, v=v)
    describe(both, group, group, v=v, IncludeAuthorizedOperations=True)
    leave(both, 1, group, "m")


@each_version("OffsetCommit", low=8)
def consumer_offset_commit(both, v):
    topic, id = both.topic("t", 2)
    group = both.topic_name("group")
    at_once(both, group)

    def commit(member, epoch, *partitions, **more):
        rows = [{"PartitionIndex": n, "CommittedOffset": n} for n in partitions]
        return both.ask("OffsetCommit", v, {"GroupId": group, "MemberId": member, "GenerationIdOrMemberEpoch": epoch,
                                            "Topics": [{**({"TopicId": id} if v >= 10 else {"Name": topic}),
                                                        "Partitions": rows}], **more})
    commit("m", 2, 0)
    enter(both, 1, group, "m", topic)
    commit("m", 2, 0, 1)
    commit("m", 3, 0)
    commit("m", 0, 0)
    commit("m", -1, 0)
    commit("", -1, 0)
    commit("x", 2, 0)
    commit("m", 2, 0, GroupInstanceId="i")
    beat(both, 1, group, "m", 2, SubscribedTopicNames=[topic, "not.there"], TopicPartitions=owned((id, [0, 1])))
    commit("m", 2, 0, 1)
    both.ask("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0}]}]})
    leave(both, 1, group, "m")
    commit("m", 2, 0)
    commit("", -1, 0)
    both.ask("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0}]}]})


@each_version("OffsetFetch", low=9)
def consumer_offset_fetch(both, v):
    topic, id = both.topic("t", 1)
    group = both.topic_name("group")
    at_once(both, group)

    def fetch(member, epoch, **more):
        rows = [{**({"TopicId": id} if v >= 10 else {"Name": topic}), "PartitionIndexes": [0]}]
        return both.ask("OffsetFetch", v, {"Groups": [{"GroupId": group, "MemberId": member, "MemberEpoch": epoch,
                                                       "Topics": rows}], **more})
    fetch("m", 2)
    enter(both, 1, group, "m", topic)
    fetch("m", 2)
    fetch("m", 3)
    fetch("m", 0)
    fetch("m", -1)
    fetch("x", 2)
    fetch(None, -1)
    fetch("", -1)
    both.ask("OffsetFetch", v, {"Groups": [{"GroupId": group, "MemberId": "x", "MemberEpoch": 1, "Topics": None}]})
    leave(both, 1, group, "m")
    fetch("m", 2)
    fetch(None, -1)


@scenario
def consumer_txn_offset_commit(both):
    topic, _ = both.topic("t", 1)
    group, name = both.topic_name("group"), both.topic_name("id")
    at_once(both, group)
    told = both.ask("InitProducerId", 4, {"TransactionalId": name, "TransactionTimeoutMs": 60000},
                    until=lambda answer: answer["ErrorCode"] == 0)
    who = {"ProducerId": told["ProducerId"], "ProducerEpoch": told["ProducerEpoch"]}
    both.ask("AddOffsetsToTxn", 3, {"TransactionalId": name, "GroupId": group, **who},
             until=lambda answer: answer["ErrorCode"] == 0)
    enter(both, 1, group, "m", topic)
    for member, epoch in (("m", 2), ("m", 3), ("m", 0), ("x", 2), ("", -1)):
        both.ask("TxnOffsetCommit", 3, {"TransactionalId": name, "GroupId": group, **who, "MemberId": member,
                                        "GenerationId": epoch, "Topics": [{"Name": topic, "Partitions": [
                                            {"PartitionIndex": 0, "CommittedOffset": 1}]}]})
    both.ask("EndTxn", 3, {"TransactionalId": name, "Committed": False, **who})


def subscription(*topics, owns=()):
    return {"$data": "ConsumerProtocolSubscription", "$version": 1, "Topics": list(topics), "UserData": None,
            "OwnedPartitions": [{"Topic": topic, "Partitions": list(partitions)} for topic, partitions in owns]}


def join(both, group, member, *topics, owns=(), **more):
    return both.ask("JoinGroup", 5, {"GroupId": group, "SessionTimeoutMs": 30000, "RebalanceTimeoutMs": 30000,
                                     "MemberId": member, "ProtocolType": "consumer", "Protocols": [
                                         {"Name": "range", "Metadata": subscription(*topics, owns=owns)}], **more})


def sync(both, group, member, generation, *given):
    return both.ask("SyncGroup", 3, {"GroupId": group, "MemberId": member, "GenerationId": generation, "Assignments": [
        {"MemberId": member, "Assignment": {"$data": "ConsumerProtocolAssignment", "$version": 1, "UserData": None,
                                            "AssignedPartitions": [{"Topic": t, "Partitions": p} for t, p in given]}}]
        if given else []})


@scenario
def consumer_upgrade(both):
    """A classic group with a member becomes one of consumers and goes back."""
    topic, id = both.topic("t", 1)
    other, other_id = both.topic("u", 1)
    group = both.topic_name("group")
    at_once(both, group)
    first = join(both, group, "", topic)["MemberId"]
    told = join(both, group, first, topic)
    sync(both, group, first, told["GenerationId"], (topic, [0]))
    both.ask("ConsumerGroupHeartbeat", 1, {"GroupId": group, "MemberId": "m", "MemberEpoch": 1})
    enter(both, 1, group, "m", other)
    describe(both, group)
    both.ask("DescribeGroups", 6, {"Groups": [group]})
    both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": first, "GenerationId": 1})
    both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": first, "GenerationId": 2})
    both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": "m", "GenerationId": 2})
    sync(both, group, first, 1)
    again = join(both, group, first, topic, owns=[(topic, [0])])
    sync(both, group, first, again["GenerationId"])
    both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": first, "GenerationId": again["GenerationId"]})
    both.ask("OffsetCommit", 8, {"GroupId": group, "MemberId": first, "GenerationIdOrMemberEpoch": 1, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 5}]}]})
    both.ask("OffsetCommit", 8, {"GroupId": group, "MemberId": first, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 5}]}],
        "GenerationIdOrMemberEpoch": again["GenerationId"]})
    both.ask("JoinGroup", 5, {"GroupId": group, "SessionTimeoutMs": 30000, "RebalanceTimeoutMs": 30000, "MemberId": "",
                              "ProtocolType": "connect", "Protocols": [{"Name": "x", "Metadata": ""}]})
    join(both, group, "", topic)
    describe(both, group)
    leave(both, 1, group, "m")
    describe(both, group)
    both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": first, "GenerationId": again["GenerationId"]})
    back = join(both, group, first, topic, owns=[(topic, [0])])
    sync(both, group, first, back["GenerationId"], (topic, [0]))
    both.ask("DescribeGroups", 6, {"Groups": [group]})
    both.ask("LeaveGroup", 2, {"GroupId": group, "MemberId": first})


@scenario
def consumer_on_other_groups(both):
    """Groups that are not of consumers, and empty ones."""
    group, offsets = both.topic_name("connect"), both.topic_name("offsets")
    topic, _ = both.topic("t", 1)
    first = both.ask("JoinGroup", 3, {"GroupId": group, "SessionTimeoutMs": 30000, "RebalanceTimeoutMs": 30000,
                                      "MemberId": "", "ProtocolType": "connect", "Protocols": [
                                          {"Name": "x", "Metadata": "?"}]})
    enter(both, 1, group, "m", topic)
    describe(both, group)
    both.ask("LeaveGroup", 2, {"GroupId": group, "MemberId": first["MemberId"]})
    both.ask("OffsetCommit", 8, {"GroupId": offsets, "GenerationIdOrMemberEpoch": -1, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 5}]}]})
    enter(both, 1, offsets, "m", topic)
    both.ask("OffsetFetch", 8, {"Groups": [{"GroupId": offsets, "Topics": None}]})
    leave(both, 1, offsets, "m")
    enter(both, 1, group, "m", topic)
    leave(both, 1, group, "m")
    # An empty group of consumers takes classic members again.
    told = join(both, offsets, "", topic)
    if told["ErrorCode"] == 79:
        told = join(both, offsets, told["MemberId"], topic)
    describe(both, offsets)
    both.ask("LeaveGroup", 2, {"GroupId": offsets, "MemberId": told["MemberId"]})
