"""Share groups (KIP-932): members, sessions, what becomes of records, where a group is. Epochs are symbols: a group of
Kafka's goes through more of them, since a topic's state is made while its members wait."""

from oracle import each_version, scenario
from scenarios_transactions import add, begin, end, ident, write
from scenarios_zombies import state

GROUP = 32  # a kind of resource
GAP, ACCEPT, RELEASE, REJECT, RENEW = range(5)


def configure(both, group, **values):
    rows = [{"Name": "share." + key.replace("_", "."), "ConfigOperation": 0, "Value": str(value)}
            for key, value in values.items()]
    both.ask("IncrementalAlterConfigs", 1, {"Resources": [
        {"ResourceType": GROUP, "ResourceName": group, "Configs": rows}]})
    wanted = {row["Name"]: row["Value"] for row in rows}
    both.of_kafka("DescribeConfigs", 4, {"Resources": [{"ResourceType": GROUP, "ResourceName": group,
                                                        "ConfigurationKeys": None}]},
                  lambda a: wanted.items() <= {r["Name"]: r["Value"] for r in a["Results"][0]["Configs"]}.items())


def beat(both, group, member, epoch, *topics, conn="a", **more):
    if topics:
        more["SubscribedTopicNames"] = list(topics)
    body = {"GroupId": group, "MemberId": member, "MemberEpoch": epoch, **more}
    return both.ask("ShareGroupHeartbeat", 1, body, conn)


def group_of(both, name="group", **configs):
    """A name whose group assigns at once and begins at the beginning."""
    group = both.topic_name(name)
    configure(both, group, **{"assignment_interval_ms": 0, "auto_offset_reset": "earliest", **configs})
    return group


def enter(both, group, member, *topics, conn="a", **more):
    """Both are asked when Kafka has made the state of the topics. The epoch."""
    body = {"GroupId": group, "MemberId": member, "MemberEpoch": 0, "SubscribedTopicNames": list(topics)}
    both.of_kafka("ShareGroupHeartbeat", 1, body,
                  lambda a: a["ErrorCode"] or len(a["Assignment"]["TopicPartitions"]) == len(topics))
    return beat(both, group, member, 0, *topics, conn=conn, **more)["MemberEpoch"]


def describe(both, *groups, **more):
    return both.ask("ShareGroupDescribe", 1, {"GroupIds": list(groups), **more}, "x")


def offsets(both, group, *topics, v=1):
    rows = [{"TopicName": name, "Partitions": list(partitions)} for name, partitions in topics] or None
    return both.ask("DescribeShareGroupOffsets", v, {"Groups": [{"GroupId": group, "Topics": rows}]}, "x")


class Reader:
    """A member that was assigned, on a connection of its own, with its share session."""

    def __init__(self, both, group, name, topic, v=2, partition=0):
        self.both, self.group, self.name, self.v = both, group, name, v
        self.topic, self.topic_id, self.partition = *topic, partition
        self.epoch = 0
        enter(both, group, name, self.topic, conn=name)

    def body(self, acks, epoch, **more):
        rows = [{"FirstOffset": first, "LastOffset": last, "AcknowledgeTypes": list(kinds)}
                for first, last, *kinds in acks]
        used = self.epoch if epoch is None else epoch
        return {"GroupId": self.group, "MemberId": self.name, "ShareSessionEpoch": used,
                "Topics": [{"TopicId": self.topic_id, "Partitions": [
                    {"PartitionIndex": self.partition, "AcknowledgementBatches": rows}]}], **more}

    def settle(self, answer):
        if answer["ErrorCode"] == 0:
            self.epoch += 1
        return answer

    def fetch(self, *acks, epoch=None, wait=0, v=None, **more):
        """Without a wait nothing is expected."""
        body = {"MaxWaitMs": wait, "MinBytes": 1, "MaxBytes": 1 << 20, "MaxRecords": 100, "BatchSize": 100, **more}
        if "Topics" not in more and epoch is None and self.epoch and not acks:
            body["Topics"] = []                             # the session knows it
        return self.settle(self.both.ask("ShareFetch", v or self.v, {**self.body(acks, epoch), **body}, self.name))

    def get(self, *acks, **more):
        return self.fetch(*acks, wait=5000, **more)

    def say(self, *acks, epoch=None, v=None, **more):
        body = {**self.body(acks, epoch), **more}
        return self.settle(self.both.ask("ShareAcknowledge", v or self.v, body, self.name))


def rows(*values):
    """Of now: behind records of long ago Kafka begins a segment, and a fetch ends there."""
    return {"records": [{"v": value, "ts": "#now"} for value in values]}


# ---- members -------------------------------------------------------------------------------------

@scenario
def share_heartbeat_faults(both):
    topic = both.topic("a")[0]
    group, classic, consumer = group_of(both), both.topic_name("classic"), both.topic_name("consumer")
    for epoch in (0, 1, -1, -2):
        beat(both, "", "m", epoch, topic)
        beat(both, "  ", "m", epoch, topic)
        beat(both, group, "", epoch, topic)
        beat(both, group, "m", epoch, topic, RackId="")
    beat(both, group, "m" * 36, 1, topic)
    beat(both, group, "m" * 37, 0, topic)
    beat(both, group, "m", 0)
    beat(both, group, "m", 0, SubscribedTopicNames=[])
    beat(both, group, "m", 0, SubscribedTopicNames=[""])
    beat(both, group, "m", -1)
    beat(both, group, "m", 7)
    both.ask("ConsumerGroupHeartbeat", 1, {"GroupId": consumer, "MemberId": "m" * 22, "MemberEpoch": 0,
                                           "RebalanceTimeoutMs": 60000, "SubscribedTopicNames": [topic],
                                           "TopicPartitions": []})
    both.ask("OffsetCommit", 8, {"GroupId": classic, "GenerationIdOrMemberEpoch": -1, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 0}]}]})
    for other in (consumer, classic):
        for epoch in (0, 1, -1):
            beat(both, other, "m", epoch, topic)
        describe(both, other)
        offsets(both, other)


@scenario
def share_member_alone(both):
    topic, other = both.topic("a", 3)[0], both.topic("b")[0]
    group = group_of(both)
    describe(both, group)
    epoch = enter(both, group, "m", topic)
    beat(both, group, "m", epoch)
    beat(both, group, "m", epoch, topic)
    beat(both, group, "m", epoch, RackId="r")
    describe(both, group)
    describe(both, group, IncludeAuthorizedOperations=True)
    both.ask("ShareGroupHeartbeat", 1, {"GroupId": group, "MemberId": "m", "MemberEpoch": 99})
    both.ask("ListGroups", 5, {}, mine=True)
    both.ask("ListGroups", 5, {"TypesFilter": ["share"], "StatesFilter": ["stable"]}, mine=True)
    both.ask("ListGroups", 5, {"TypesFilter": ["Share"], "StatesFilter": ["Empty"]}, mine=True)
    both.ask("DeleteGroups", 2, {"GroupsNames": [group]})
    beat(both, group, "m", -1)
    beat(both, group, "m", -1)
    beat(both, group, "m", epoch)
    describe(both, group)
    both.ask("ListGroups", 5, {}, mine=True)
    enter(both, group, "n", other)
    describe(both, group)
    beat(both, group, "n", -1)
    both.ask("DeleteGroups", 2, {"GroupsNames": [group, group]})
    describe(both, group, "", both.topic_name("never"))
    beat(both, group, "n", 1)


@scenario
def share_members_together(both):
    """As many as may be; a partition is of several of them. Which of two would be of whom is each broker's choice."""
    topic = both.topic("a")[0]
    group = group_of(both)
    for name in "pqrs":
        enter(both, group, name, topic, conn=name)
    beat(both, group, "t", 0, topic, conn="t")
    beat(both, group, "r", -1, conn="r")
    beat(both, group, "t", 0, topic, conn="t")
    beat(both, group, "t", -1)
    beat(both, group, "s", -1)
    beat(both, group, "q", -1)
    beat(both, group, "p", 0, topic)
    describe(both, group)


@scenario
def share_group_asked_as_another(both):
    topic = both.topic("a")[0]
    group = group_of(both)
    for name in ("m", None):
        if name:
            enter(both, group, name, topic)
        else:
            beat(both, group, "m", -1)
        both.ask("JoinGroup", 9, {"GroupId": group, "SessionTimeoutMs": 30000, "RebalanceTimeoutMs": 60000,
                                  "MemberId": "", "ProtocolType": "consumer", "Protocols": [
                                      {"Name": "range", "Metadata": "x"}]})
        both.ask("Heartbeat", 4, {"GroupId": group, "MemberId": "m", "GenerationId": 1})
        both.ask("SyncGroup", 5, {"GroupId": group, "MemberId": "m", "GenerationId": 1})
        both.ask("LeaveGroup", 5, {"GroupId": group, "Members": [{"MemberId": "m"}]})
        both.ask("ConsumerGroupHeartbeat", 1, {"GroupId": group, "MemberId": "c" * 22, "MemberEpoch": 0,
                                               "RebalanceTimeoutMs": 60000, "SubscribedTopicNames": [topic],
                                               "TopicPartitions": []})
        for v in (8, 9):
            both.ask("OffsetCommit", v, {"GroupId": group, "GenerationIdOrMemberEpoch": -1, "Topics": [
                {"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 0}]}]})
        for v in (7, 9):
            asked = {"Topics": None}
            both.ask("OffsetFetch", v, {"GroupId": group, **asked} if v < 8 else
                     {"Groups": [{"GroupId": group, **asked}]})
        both.ask("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": topic, "Partitions": [
            {"PartitionIndex": 0}]}]})
        both.ask("DescribeGroups", 5, {"Groups": [group]})
        both.ask("DescribeGroups", 6, {"Groups": [group]})
        both.ask("ConsumerGroupDescribe", 1, {"GroupIds": [group]})
        both.ask("DeleteGroups", 2, {"GroupsNames": [group]})


# ---- sessions ------------------------------------------------------------------------------------

@each_version("ShareFetch")
def share_sessions(both, v):
    topic = both.topic("a", 2)
    group = group_of(both)
    both.produce(topic[0], rows("a", "b", "c"))
    one = Reader(both, group, "m", topic, v=v)
    one.fetch(epoch=1)
    one.fetch(epoch=-1)
    one.say(epoch=1)
    one.say(epoch=0)
    one.say(epoch=-1)
    one.epoch = 0
    one.get()
    one.fetch(epoch=3)
    one.fetch(epoch=-2)
    one.fetch()
    one.say((0, 0, ACCEPT), epoch=0)
    one.say((0, 0, ACCEPT), epoch=9)
    one.say((0, 0, ACCEPT))
    one.fetch((1, 1, ACCEPT), epoch=0)                      # nothing can be said with the first one
    one.fetch((1, 1, ACCEPT))
    one.fetch(epoch=0)                                      # begins anew: what was held is free
    one.epoch = 1
    one.fetch()
    one.fetch((2, 2, RELEASE), epoch=-1)                    # the last one
    one.fetch()
    one.say()
    one.epoch = 0
    one.get()
    one.say((2, 2, ACCEPT), epoch=-1)
    one.say(epoch=-1)
    one.fetch(epoch=-1)
    for name in ({"GroupId": None}, {"MemberId": None}, {"MemberId": ""}):
        one.fetch(epoch=0, **name)
        one.say(epoch=1, **name)


@scenario
def share_accident(both):
    topic = both.topic("a")
    one = Reader(both, group_of(both), "m", topic)
    both.produce(topic[0], rows("a"))
    one.fetch(epoch=0, GroupId="")
    one.epoch = 0
    one.say(epoch=1, GroupId="")
    one.get()
    one.fetch(ShareAcquireMode=7)
    one.epoch += 1
    one.fetch(Topics=[{"TopicId": "deadbeef" * 4, "Partitions": [{"PartitionIndex": 0, "AcknowledgementBatches": []}]}])


@each_version("ShareFetch")
def share_session_topics(both, v):
    """Which partitions a session has, and ones that are not there."""
    topic = both.topic("a", 3)
    group = group_of(both)
    for partition in range(3):
        both.produce(topic[0], rows("a"), partition=partition)
    one = Reader(both, group, "m", topic, v=v)

    def names(*partitions, topic_id=topic[1]):
        return [{"TopicId": topic_id, "Partitions": [{"PartitionIndex": p, "AcknowledgementBatches": []}
                                                     for p in partitions]}]
    one.get(Topics=names(0))
    one.get(Topics=names(1))
    one.fetch()
    both.produce(topic[0], rows("b"), partition=0)
    both.produce(topic[0], rows("b"), partition=1)
    one.get(Topics=[], ForgottenTopicsData=[{"TopicId": topic[1], "Partitions": [1]}])
    one.get(Topics=names(1), ForgottenTopicsData=[{"TopicId": topic[1], "Partitions": [0]}])
    one.fetch(Topics=names(7))
    one.fetch(Topics=[], ForgottenTopicsData=[{"TopicId": topic[1], "Partitions": [7, 8]}])
    one.fetch(epoch=-1)


# ---- records -------------------------------------------------------------------------------------

@each_version("ShareAcknowledge")
def share_answers(both, v):
    """Accept, release, reject, and how often each record was delivered."""
    topic = both.topic("a")
    group = group_of(both)
    both.produce(topic[0], rows(*"abcdef"))
    one = Reader(both, group, "m", topic, v=v)
    one.get()
    one.say((0, 0, ACCEPT), (1, 1, RELEASE), (2, 2, REJECT), (3, 5, RELEASE, ACCEPT, RELEASE))
    one.get()
    one.say((1, 1, RELEASE))
    one.say((3, 3, RELEASE), (5, 5, ACCEPT))
    offsets(both, group)
    one.get()
    one.get((1, 1, RELEASE), (3, 3, RELEASE))
    one.say((1, 1, RELEASE), (3, 3, RELEASE))
    one.get()
    one.say((1, 1, RELEASE))
    one.fetch()
    one.say((1, 1, ACCEPT))


@each_version("ShareAcknowledge")
def share_wrong_answers(both, v):
    topic = both.topic("a")
    group = group_of(both)
    both.produce(topic[0], rows(*"abcdef"))
    one, two = Reader(both, group, "m", topic, v=v), Reader(both, group, "n", topic, v=v)
    one.get(MaxRecords=100)
    two.fetch()
    two.say((0, 0, ACCEPT))                                 # another's
    one.say((0, 9, ACCEPT))                                 # beyond what was had
    one.say((7, 8, ACCEPT))
    one.say((3, 1, ACCEPT))
    one.say((0, 1, 5))
    one.say((0, 1, -1))
    one.say((0, 2, ACCEPT, RELEASE))                        # two for three
    one.say((0, 1, ACCEPT, RELEASE, RELEASE))               # three for two
    one.say((0, 1))                                         # none
    one.say((2, 3, ACCEPT), (0, 1, ACCEPT))                 # not in order
    one.say((0, 2, ACCEPT), (2, 3, ACCEPT))                 # twice
    one.say((0, 1, RENEW))                                  # it did not say that it does
    one.say((0, 0, ACCEPT), (1, 9, ACCEPT))                 # one wrong
    one.say((0, 0, ACCEPT))
    one.say((0, 0, ACCEPT))                                 # again
    one.say((0, 0, RELEASE))
    one.say((0, 1, ACCEPT))
    one.fetch((0, 1, ACCEPT))
    one.fetch((1, 1, 7))
    one.fetch((1, 2, ACCEPT, ACCEPT))
    for partition, topic_id in ((7, topic[1]), (0, "deadbeef" * 4)):
        one.say(Topics=[{"TopicId": topic_id, "Partitions": [{"PartitionIndex": partition, "AcknowledgementBatches": [
            {"FirstOffset": 0, "LastOffset": 0, "AcknowledgeTypes": [ACCEPT]}]}]}])
    one.say(Topics=[])
    offsets(both, group)


@scenario
def share_gaps(both):
    topic = both.topic("a")
    group = group_of(both)
    both.produce(topic[0], rows(*"abcdef"))
    one = Reader(both, group, "m", topic)
    one.get()
    one.say((0, 2, ACCEPT, GAP, ACCEPT))
    one.say((3, 3, GAP))
    one.say((3, 3, GAP))
    one.say((1, 1, ACCEPT))
    one.say((4, 5, GAP))
    one.fetch()
    offsets(both, group)


@scenario
def share_more_time(both):
    """RENEW of KIP-1222."""
    topic = both.topic("a")
    group = group_of(both)
    both.produce(topic[0], rows(*"abcd"))
    one = Reader(both, group, "m", topic)
    one.get()
    one.say((0, 1, RENEW), IsRenewAck=True)
    one.fetch((0, 1, RENEW), IsRenewAck=True, MaxWaitMs=0, MinBytes=0, MaxBytes=0, MaxRecords=0)
    for name in ("MaxWaitMs", "MinBytes", "MaxBytes", "MaxRecords"):
        one.fetch((0, 1, RENEW), IsRenewAck=True, **{"MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 0, "MaxRecords": 0,
                                                     name: 1})
    one.fetch((0, 1, RENEW))
    one.say((0, 0, RENEW), (1, 1, ACCEPT), IsRenewAck=True)
    one.say((1, 1, RENEW), IsRenewAck=True)
    one.say((7, 7, RENEW), IsRenewAck=True)
    configure(both, group, renew_acknowledge_enable="false")
    one.say((2, 2, RENEW), IsRenewAck=True)
    one.say((2, 2, ACCEPT), IsRenewAck=True)


@scenario
def share_limits(both):
    """How many records one fetch, one batch of them, and all members of a partition may have."""
    topic = both.topic("a")
    group = group_of(both, partition_max_record_locks=100)
    for _ in range(6):
        both.produce(topic[0], rows(*(str(n) for n in range(30))))
    one, two = Reader(both, group, "m", topic), Reader(both, group, "n", topic)
    one.get(MaxRecords=10, BatchSize=10)                    # to the end of a batch
    one.get(MaxRecords=7, BatchSize=7, ShareAcquireMode=1)  # to the record
    two.get(MaxRecords=50, BatchSize=5)
    one.get(MaxRecords=1000)
    two.fetch(MaxRecords=1000)
    one.get((0, 29, ACCEPT), MaxRecords=5, ShareAcquireMode=1)
    for wrong in ({"MaxRecords": -1}, {"MaxRecords": 0}):
        one.fetch(**wrong)


@scenario
def share_delivery_limit(both):
    topic = both.topic("a")
    group = group_of(both, delivery_count_limit=2)
    both.produce(topic[0], rows(*"abc"))
    one = Reader(both, group, "m", topic)
    one.get()
    one.get((0, 2, RELEASE))
    one.fetch((0, 2, RELEASE))
    one.fetch()
    both.produce(topic[0], rows(*"def"))
    one.get()
    configure(both, group, delivery_count_limit=5)
    one.get((3, 5, RELEASE))
    one.get((3, 5, RELEASE))
    one.get((3, 5, RELEASE))
    offsets(both, group)


@scenario
def share_isolation(both):
    """Open, committed and aborted transactions for a group that reads what is committed, and for one that does not."""
    topic = both.topic("a")
    committed, all_of_it = group_of(both, "c", isolation_level="read_committed"), group_of(both, "u")
    both.produce(topic[0], rows("a"))
    producer = begin(both)
    add(both, 3, producer, topic[0], 0)
    write(both, producer, topic[0], 0)
    both.produce(topic[0], rows("b"))
    one, two = Reader(both, committed, "m", topic), Reader(both, all_of_it, "n", topic)
    one.get()
    two.get()
    one.fetch()
    end(both, 3, producer, commit=False)
    state(both, producer, "CompleteAbort")
    one.get()
    one.fetch((0, 0, ACCEPT), (2, 2, ACCEPT))
    two.fetch((0, 2, ACCEPT))
    add(both, 3, producer, topic[0], 0)
    write(both, producer, topic[0], 1)
    end(both, 3, producer)
    state(both, producer, "CompleteCommit")
    one.get()
    two.get()
    configure(both, all_of_it, isolation_level="read_committed")
    two.say((4, 4, RELEASE))
    two.get()
    offsets(both, committed)


@scenario
def share_locks_end(both):
    topic = both.topic("a")
    group = group_of(both, record_lock_duration_ms=1500)
    both.produce(topic[0], rows(*"abc"))
    one, two = Reader(both, group, "m", topic), Reader(both, group, "n", topic)
    one.get()
    two.get()                                               # when the locks of the first end
    one.say((0, 0, ACCEPT))
    two.say((0, 0, ACCEPT), (1, 2, RELEASE))
    one.get()
    both.close("m")
    two.get()                                               # what a connection had that is gone


@scenario
def share_member_on_two_connections(both):
    topic = both.topic("a")
    group = group_of(both)
    both.produce(topic[0], rows(*"abc"))
    one = Reader(both, group, "m", topic)

    def ask(conn, epoch, *acks):
        body = {"MaxWaitMs": 0, "MinBytes": 1, "MaxBytes": 1 << 20, "MaxRecords": 100, "BatchSize": 100}
        return both.ask("ShareFetch", 2, {**one.body(acks, epoch), **body}, conn)
    one.get()
    ask("other", 1, (0, 0, ACCEPT))                         # the session is the member's, not the connection's
    both.close("other")
    ask("m", 2, (1, 1, ACCEPT))
    ask("third", -1)
    ask("m", 3)


@scenario
def share_few_bytes(both):
    topic = both.topic("a")
    group = group_of(both)
    for value in "abc":
        both.produce(topic[0], rows(value * 100))
    one = Reader(both, group, "m", topic)
    one.get(MaxBytes=1)
    one.get(MaxBytes=250)
    one.fetch(MaxBytes=0)
    one.fetch(MinBytes=1 << 20)


@scenario
def share_group_in_a_transaction(both):
    topic = both.topic("a")[0]
    group = group_of(both)
    enter(both, group, "m", topic)
    producer = begin(both)
    both.ask("AddOffsetsToTxn", 3, ident(producer, GroupId=group), until=lambda a: a["ErrorCode"] != 51)
    for v in (3, 4):
        both.ask("TxnOffsetCommit", v, ident(producer, GroupId=group, Topics=[
            {"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 5}]}]))
    end(both, 3, producer, commit=False)


# ---- where a group is ----------------------------------------------------------------------------

@scenario
def share_begins(both):
    """share.auto.offset.reset"""
    topic = both.topic("a")
    both.produce(topic[0], {"records": [{"v": "a", "ts": "#now-7200000"}]})
    both.produce(topic[0], {"records": [{"v": "b", "ts": "#now-60000"}]})
    for number, reset in enumerate(("earliest", "latest", "by_duration:PT1H", "by_duration:PT1S",
                                    "by_duration:P30DT1H1M1S")):
        group = group_of(both, f"g{number}", auto_offset_reset=reset)
        one = Reader(both, group, "m" + str(number), topic)
        one.fetch(wait=500)
        offsets(both, group)
    for wrong in ("none", "by_duration", "by_duration:", "by_duration:x", "by_duration:-PT1H", "", "EARLIEST"):
        both.ask("IncrementalAlterConfigs", 1, {"Resources": [
            {"ResourceType": GROUP, "ResourceName": both.topic_name("wrong"), "Configs": [
                {"Name": "share.auto.offset.reset", "ConfigOperation": 0, "Value": wrong}]}]})


@each_version("DescribeShareGroupOffsets")
def share_offsets_described(both, v):
    topic = both.topic("a", 2)
    group = group_of(both)
    offsets(both, group, v=v)
    offsets(both, "", v=v)
    both.produce(topic[0], rows(*"abc"))
    one = Reader(both, group, "m", topic)
    offsets(both, group, v=v)
    one.get()
    offsets(both, group, v=v)
    one.say((0, 2, ACCEPT))
    both.produce(topic[0], rows(*"d"))
    one.get()
    one.say((3, 3, RELEASE))
    offsets(both, group, v=v)
    offsets(both, group, (topic[0], [1, 0]), v=v)           # Kafka answers nothing if one is not there
    both.ask("DescribeShareGroupOffsets", v, {"Groups": []})


def alter(both, group, topic, *rows):
    return both.ask("AlterShareGroupOffsets", 0, {"GroupId": group, "Topics": [{"TopicName": topic, "Partitions": [
        {"PartitionIndex": partition, "StartOffset": offset} for partition, offset in rows]}]})


def delete(both, group, *topics):
    return both.ask("DeleteShareGroupOffsets", 0, {"GroupId": group, "Topics": [{"TopicName": t} for t in topics]})


@scenario
def share_offsets_changed(both):
    topic, never = both.topic("a", 2), both.topic_name("never")
    group = group_of(both)
    delete(both, group, topic[0])                           # no such group
    alter(both, group, topic[0], (0, 1))
    describe(both, group)
    delete(both, group, topic[0])
    alter(both, "", topic[0], (0, 1))
    delete(both, "", topic[0])
    both.produce(topic[0], rows(*"abc"))
    enter(both, group, "m", topic[0])
    alter(both, group, topic[0], (0, 1))                    # it has a member
    delete(both, group, topic[0])
    beat(both, group, "m", -1)
    alter(both, group, topic[0], (0, 2), (1, 0), (7, 0))
    alter(both, group, never, (0, 2))
    alter(both, group, topic[0], (0, -1))
    alter(both, group, topic[0], (0, 99))
    alter(both, group, topic[0], (0, 2))
    alter(both, group, topic[0])
    offsets(both, group)
    one = Reader(both, group, "m", topic)
    one.get()
    one.say((2, 2, ACCEPT), epoch=-1)
    beat(both, group, "m", -1)
    delete(both, group, never)
    delete(both, group, topic[0], never)
    offsets(both, group)
    delete(both, group, topic[0])
    delete(both, group)
