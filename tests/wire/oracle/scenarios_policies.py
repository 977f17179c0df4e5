"""group.consumer.migration.policy: which groups change their protocol while they have members; "bidirectional" is that
of all other families."""

import time

from oracle import of_families
from scenarios_consumer_groups import at_once, beat, describe, enter, join, leave, sync

every = of_families("upgrade", "downgrade", "disabled")


def classic(both, group, topic):
    """A member that is in, alone."""
    first = join(both, group, "", topic)["MemberId"]
    told = join(both, group, first, topic)
    sync(both, group, first, told["GenerationId"], (topic, [0]))
    return first, told["GenerationId"]


def both_ways(both, group):
    describe(both, group)
    both.ask("DescribeGroups", 6, {"Groups": [group]})
    both.ask("ListGroups", 5, {}, "x", mine=True)


@every
def consumer_to_a_classic_group(both):
    topic, _ = both.topic("t")
    group = both.topic_name("group")
    at_once(both, group)
    first, generation = classic(both, group, topic)
    beat(both, 1, group, "m", 1)
    enter(both, 1, group, "m", topic)
    enter(both, 1, group, "m", topic, InstanceId="i")
    enter(both, 0, group, "m" * 22, topic)
    both_ways(both, group)
    both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": first, "GenerationId": generation})
    both.ask("OffsetCommit", 9, {"GroupId": group, "MemberId": "m", "GenerationIdOrMemberEpoch": 1, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 5}]}]})


@every
def classic_to_a_consumer_group(both):
    topic, _ = both.topic("t")
    group = both.topic_name("group")
    at_once(both, group)
    enter(both, 1, group, "m", topic)
    both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": "m", "GenerationId": 2})
    first = join(both, group, "", topic)["MemberId"]
    join(both, group, "", topic, ProtocolType="connect")
    told = join(both, group, first, topic)
    both_ways(both, group)
    sync(both, group, first, told["GenerationId"])
    leave(both, 1, group, "m")
    both_ways(both, group)
    for _ in range(2):
        both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": first, "GenerationId": told["GenerationId"]})
        time.sleep(1)
    again = join(both, group, first, topic)
    sync(both, group, first, again["GenerationId"], (topic, [0]))
    both_ways(both, group)
    both.ask("LeaveGroup", 2, {"GroupId": group, "MemberId": first})
    both_ways(both, group)


@every
def static_classic_in_place_of_a_consumer(both):
    """The last consumer is replaced by a classic member of its name."""
    topic, _ = both.topic("t")
    group = both.topic_name("group")
    at_once(both, group)
    enter(both, 1, group, "m", topic, InstanceId="i")
    leave(both, 1, group, "m", -2, InstanceId="i")
    told = join(both, group, "", topic, GroupInstanceId="i")
    both_ways(both, group)
    sync(both, group, told["MemberId"], told["GenerationId"], (topic, [0]))
    both_ways(both, group)


@every
def static_consumer_in_place_of_a_classic(both):
    topic, _ = both.topic("t")
    group = both.topic_name("group")
    at_once(both, group)
    told = join(both, group, "", topic, GroupInstanceId="i")
    sync(both, group, told["MemberId"], told["GenerationId"], (topic, [0]))
    enter(both, 1, group, "m", topic, InstanceId="i")
    both_ways(both, group)


@every
def empty_groups_change_anyway(both):
    topic, _ = both.topic("t")
    group = both.topic_name("group")
    at_once(both, group)
    for _ in range(2):
        first, _ = classic(both, group, topic)
        both_ways(both, group)
        both.ask("LeaveGroup", 2, {"GroupId": group, "MemberId": first})
        enter(both, 1, group, "m", topic)
        both_ways(both, group)
        leave(both, 1, group, "m")


@every
def not_a_group_of_consumers(both):
    topic, _ = both.topic("t")
    group = both.topic_name("group")
    first = both.ask("JoinGroup", 3, {"GroupId": group, "SessionTimeoutMs": 30000, "RebalanceTimeoutMs": 30000,
                                      "MemberId": "", "ProtocolType": "connect", "Protocols": [
                                          {"Name": "x", "Metadata": "?"}]})
    enter(both, 1, group, "m", topic)
    both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": first["MemberId"], "GenerationId": first["GenerationId"]})
    both_ways(both, group)
