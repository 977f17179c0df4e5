"""What time takes: committed offsets, and groups that have neither members nor offsets. Both brokers look for them
every 300 ms (FAMILY_SETTINGS of oracle.py); retentions below a minute are those that OffsetCommit 2-4 say."""

from oracle import scenario
from scenarios_consumer_groups import beat, describe, enter
from scenarios_groups import join, leave, reads, sync
from scenarios_rebalances import PREPARING, Group
from scenarios_transactions import begin, end
from scenarios_zombies import add_offsets, offsets, state

SOON_MS = 400
GROUP_ID_NOT_FOUND = 69


def commit(both, v, group, *rows, member="", generation=-1, ms=-1):
    """rows: (topic, partition)"""
    topics = [{"Name": topic, "Partitions": [{"PartitionIndex": at, "CommittedOffset": 5, "CommittedMetadata": "m"}]}
              for topic, at in rows]
    return both.ask("OffsetCommit", v, {"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": member,
                                        "RetentionTimeMs": ms, "Topics": topics})


def left(both, group, *rows):
    """Nothing but these is left of the group's offsets, soon."""
    def there(answer):
        return sorted(rows) == sorted((topic["Name"], partition["PartitionIndex"])
                                      for topic in answer["Groups"][0]["Topics"] for partition in topic["Partitions"])
    return both.ask("OffsetFetch", 8, {"Groups": [{"GroupId": group, "Topics": None}]}, until=there)


def gone(both, group):
    """... and nothing of the group itself."""
    return both.ask("DescribeGroups", 6, {"Groups": [group]},
                    until=lambda answer: answer["Groups"][0]["ErrorCode"] == GROUP_ID_NOT_FOUND)


def look(both, name="mark"):
    """Both have looked since what was before, and all of that is old enough."""
    topic, _ = both.topic(f"{name}topic")
    group = both.topic_name(name)
    commit(both, 4, group, (topic, 0), ms=SOON_MS)
    gone(both, group)


@scenario
def offsets_expire(both):
    t, _ = both.topic("t", 5)
    for v in (2, 3, 4):
        group, other = both.topic_name(f"group{v}"), both.topic_name(f"other{v}")
        for partition, ms in ((0, SOON_MS), (1, -1), (2, 3600000), (3, 0), (4, -2)):
            commit(both, v, group, (t, partition), ms=ms)
        commit(both, v, other, (t, 0), ms=SOON_MS)
        left(both, group, (t, 1), (t, 2))
        gone(both, other)
        left(both, other)
        commit(both, 8, group, (t, 2))
        both.ask("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": t, "Partitions": [
            {"PartitionIndex": 1}, {"PartitionIndex": 2}]}]})
        gone(both, group)


@scenario
def a_commit_that_says_nothing_stays(both):
    t, _ = both.topic("t")
    group = both.topic_name("group")
    commit(both, 2, group, (t, 0), ms=60000)
    commit(both, 8, group, (t, 0))
    look(both)
    left(both, group, (t, 0))


@scenario
def members_keep_what_they_read(both):
    t, u = both.topic("t")[0], both.topic("u")[0]
    group = both.topic_name("group")
    me = join(both, 3, group, protocols=[{"Name": "range", "Metadata": reads(t)}])
    sync(both, 3, group, me["MemberId"], me["GenerationId"])
    for v in (2, 3, 4):
        commit(both, v, group, (t, 0), (u, 0), member=me["MemberId"], generation=me["GenerationId"], ms=SOON_MS)
        left(both, group, (t, 0))
    leave(both, 3, group, me["MemberId"])
    gone(both, group)


@scenario
def nobody_knows_what_others_read(both):
    t, _ = both.topic("t")
    group = both.topic_name("group")
    me = join(both, 3, group, ProtocolType="connect")
    sync(both, 3, group, me["MemberId"], me["GenerationId"])
    commit(both, 4, group, (t, 0), member=me["MemberId"], generation=me["GenerationId"], ms=SOON_MS)
    look(both)
    left(both, group, (t, 0))
    leave(both, 3, group, me["MemberId"])
    gone(both, group)


@scenario
def nothing_goes_while_they_rebalance(both):
    t, _ = both.topic("t")
    group = Group(both)
    group.gather("a")
    waiting = group.come("b")
    group.seen(PREPARING, 2)
    commit(both, 4, group.name, (t, 0), member=group.id["a"], generation=group.generation, ms=SOON_MS)
    look(both)
    left(both, group.name, (t, 0))
    first = group.come("a")
    group.told("a", first)
    group.told("b", waiting)
    group.settle("a", "b")
    left(both, group.name)


@scenario
def consumers_keep_what_they_read(both):
    t, u = both.topic("t")[0], both.topic("u")[0]
    group = both.topic_name("group")
    commit(both, 4, group, (t, 0), (u, 0), ms=2000)
    enter(both, 1, group, "m" * 22, t)
    left(both, group, (t, 0))
    describe(both, group)
    beat(both, 1, group, "m" * 22, -1)
    gone(both, group)
    describe(both, group)


@scenario
def groups_without_anything_go(both):
    group, other = both.topic_name("group"), both.topic_name("other")
    me = join(both, 3, group)
    sync(both, 3, group, me["MemberId"], me["GenerationId"])
    enter(both, 1, other, "m" * 22, "x")
    look(both)
    both.ask("DescribeGroups", 6, {"Groups": [group]})
    describe(both, other)
    leave(both, 3, group, me["MemberId"])
    beat(both, 1, other, "m" * 22, -1)
    gone(both, group)
    gone(both, other)
    both.ask("ListGroups", 5, {}, "x", mine=True)
    both.ask("DeleteGroups", 2, {"GroupsNames": [group, other]})
    me = join(both, 3, group)
    sync(both, 3, group, me["MemberId"], me["GenerationId"])


@scenario
def who_is_to_come_back(both):
    group = both.topic_name("group")
    me = join(both, 9, group)["MemberId"]
    look(both)
    both.ask("DescribeGroups", 6, {"Groups": [group]})
    join(both, 9, group, member=me)


@scenario
def transactions_keep_what_they_will_commit(both):
    t, _ = both.topic("t", 2)
    for commits in (True, False):
        group = both.topic_name(f"group{int(commits)}")
        producer = begin(both, f"t{int(commits)}")
        commit(both, 4, group, (t, 0), (t, 1), ms=2000)
        add_offsets(both, 3, producer, group)
        offsets(both, 3, producer, group, t)
        left(both, group, (t, 0))
        look(both, f"mark{int(commits)}")
        left(both, group, (t, 0))
        end(both, 4, producer, commit=commits)
        state(both, producer, "CompleteCommit" if commits else "CompleteAbort")
        if not commits:
            gone(both, group)
        else:
            look(both, "after")
            left(both, group, (t, 0))


@scenario
def a_group_waits_for_its_first_offset(both):
    t, _ = both.topic("t")
    group, producer = both.topic_name("group"), begin(both)
    add_offsets(both, 3, producer, group)
    offsets(both, 3, producer, group, t)
    look(both)
    both.ask("DescribeGroups", 6, {"Groups": [group]})
    end(both, 4, producer, commit=True)
    state(both, producer, "CompleteCommit")
    left(both, group, (t, 0))


@scenario
def offsets_go_with_their_topic(both):
    t, u = both.topic("t")[0], both.topic("u")[0]
    group, other = both.topic_name("group"), both.topic_name("other")
    commit(both, 8, group, (t, 0), (u, 0))
    commit(both, 8, other, (u, 0))
    both.ask("DeleteTopics", 5, {"TopicNames": [u], "TimeoutMs": 5000})
    both.gone(u)
    left(both, group, (t, 0))
    gone(both, other)


@scenario
def share_groups_stay(both):
    group = both.topic_name("group")
    both.ask("ShareGroupHeartbeat", 1, {"GroupId": group, "MemberId": "m" * 22, "MemberEpoch": 0,
                                        "SubscribedTopicNames": ["x"]})
    both.ask("ShareGroupHeartbeat", 1, {"GroupId": group, "MemberId": "m" * 22, "MemberEpoch": -1})
    look(both)
    both.ask("ShareGroupDescribe", 1, {"GroupIds": [group]})
