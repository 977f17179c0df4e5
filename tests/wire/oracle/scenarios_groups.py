"""Groups of the classic protocol, step by step."""

from oracle import each_version, scenario



def reads(*topics, data=""):
    """What a consumer's metadata says: Kafka does not answer who sends another thing."""
    return {"$data": "ConsumerProtocolSubscription", "$version": 1, "Topics": list(topics), "UserData": data}


PROTOCOLS = [{"Name": "range", "Metadata": reads("a")}, {"Name": "roundrobin", "Metadata": reads("a", "b")}]
SESSION_MS = 30000


def join(both, v, group, member="", protocols=None, conn="a", send=False, **more):
    body = {"GroupId": group, "SessionTimeoutMs": SESSION_MS, "RebalanceTimeoutMs": 30000, "MemberId": member,
            "ProtocolType": "consumer", "Protocols": protocols or PROTOCOLS, **more}
    if send:
        return both.send("JoinGroup", v, body, conn)
    return both.ask("JoinGroup", v, body, conn)


def enter(both, v, group, **more):
    """A member that is in: with the id that it is given first, if it must ask twice."""
    answer = join(both, v, group, **more)
    if answer["ErrorCode"] == 79:
        answer = join(both, v, group, member=answer["MemberId"], **more)
    return answer


def sync(both, v, group, member, generation, given=(), conn="a", **more):
    rows = [{"MemberId": name, "Assignment": what} for name, what in given]
    return both.ask("SyncGroup", v, {"GroupId": group, "GenerationId": generation, "MemberId": member,
                                     "Assignments": rows, "ProtocolType": "consumer", "ProtocolName": "range", **more},
                    conn)


def beat(both, v, group, member, generation, **more):
    return both.ask("Heartbeat", v, {"GroupId": group, "GenerationId": generation, "MemberId": member, **more})


def leave(both, v, group, *members, **more):
    rows = [{"MemberId": name} if isinstance(name, str) else name for name in members]
    body = {"GroupId": group, **more}
    if v < 3:
        body["MemberId"] = rows[0]["MemberId"] if rows else ""
    else:
        body["Members"] = rows
    return both.ask("LeaveGroup", v, body)


def describe(both, group, v=6):
    return both.ask("DescribeGroups", v, {"Groups": [group], "IncludeAuthorizedOperations": True})


@each_version("JoinGroup")
def join_group(both, v):
    group = both.topic_name("group")
    for timeout in (0, 999, 1800001, -1):
        join(both, v, group, SessionTimeoutMs=timeout)
    join(both, v, "")
    join(both, v, group, member="nobody")
    join(both, v, both.topic_name("a"), protocols=[{"Name": "", "Metadata": ""}])
    join(both, v, both.topic_name("b"), ProtocolType="")
    join(both, v, both.topic_name("c"), ProtocolType="", protocols=[{"Name": "", "Metadata": ""}])
    for at, instance in enumerate(("bad/name", "x" * 250, ".")) if v >= 5 else ():
        join(both, v, both.topic_name(f"instance{at}"), GroupInstanceId=instance)
    first = enter(both, v, group)
    me, generation = first["MemberId"], first["GenerationId"]
    sync(both, 3, group, me, generation, [(me, "all")])
    join(both, v, group, ProtocolType="connect")
    join(both, v, group, protocols=[{"Name": "other", "Metadata": reads("x")}])
    join(both, v, group, member=me)
    beat(both, 3, group, me, generation)
    beat(both, 3, group, me, generation + 1)
    describe(both, group)
    again = join(both, v, group, member=me, protocols=[{"Name": "roundrobin", "Metadata": reads("c")}])
    sync(both, 3, group, me, again["GenerationId"], [(me, "changed")])
    describe(both, group)
    leave(both, 2, group, me)
    describe(both, group)


@each_version("JoinGroup", low=5)
def empty_instance(both, v):
    join(both, v, both.topic_name(), GroupInstanceId="")


@each_version("JoinGroup")
def join_in_two(both, v):
    """The second member makes the first join again; only the leader hears of both."""
    group = both.topic_name("group")
    one = enter(both, v, group)
    sync(both, 3, group, one["MemberId"], one["GenerationId"], [(one["MemberId"], "all")])
    if v >= 4:
        two = join(both, v, group, conn="b")["MemberId"]
        waiting = join(both, v, group, member=two, conn="b", send=True)
    else:
        waiting = join(both, v, group, conn="b", send=True)
    both.ask("Heartbeat", 3, {"GroupId": group, "GenerationId": one["GenerationId"], "MemberId": one["MemberId"]},
             until=lambda answer: answer["ErrorCode"] == 27)
    sync(both, 3, group, one["MemberId"], one["GenerationId"])
    describe(both, group)
    both.ask("OffsetCommit", 8, {"GroupId": group, "GenerationIdOrMemberEpoch": one["GenerationId"],
                                 "MemberId": one["MemberId"], "Topics": []})
    lead = join(both, v, group, member=one["MemberId"])
    other = both.receive(waiting)
    late = both.send("SyncGroup", 3, {"GroupId": group, "GenerationId": other["GenerationId"],
                                      "MemberId": other["MemberId"]}, "b")
    beat(both, 3, group, one["MemberId"], lead["GenerationId"])
    sync(both, 3, group, one["MemberId"], lead["GenerationId"], [(one["MemberId"], "first half"),
                                                                 (other["MemberId"], "second half")])
    both.receive(late)
    describe(both, group)
    sync(both, 3, group, one["MemberId"], lead["GenerationId"])
    leave(both, 2, group, other["MemberId"])
    beat(both, 3, group, one["MemberId"], lead["GenerationId"])
    beat(both, 3, group, other["MemberId"], lead["GenerationId"])


@each_version("SyncGroup")
def sync_group(both, v):
    group = both.topic_name("group")
    sync(both, v, group, "nobody", 1)
    sync(both, v, "", "nobody", 1)
    sync(both, v, group, "", -1)
    member = enter(both, 5, group)
    me, generation = member["MemberId"], member["GenerationId"]
    sync(both, v, group, me, generation + 1)
    sync(both, v, group, me, generation - 1)
    sync(both, v, group, "nobody", generation)
    if v >= 5:
        sync(both, v, group, me, generation, ProtocolType="connect")
        sync(both, v, group, me, generation, ProtocolName="roundrobin")
        sync(both, v, group, me, generation, ProtocolName=None, ProtocolType=None)
    if v >= 3:
        sync(both, v, group, me, generation, GroupInstanceId="mine")
    sync(both, v, group, me, generation, [(me, "all"), ("nobody", "none")])
    sync(both, v, group, me, generation)
    sync(both, v, group, me, generation, [(me, "something else")])
    describe(both, group)


@each_version("Heartbeat")
def heartbeat(both, v):
    group = both.topic_name("group")
    beat(both, v, group, "nobody", 1)
    beat(both, v, "", "nobody", 1)
    member = enter(both, 5, group)
    me, generation = member["MemberId"], member["GenerationId"]
    beat(both, v, group, me, generation)
    sync(both, 3, group, me, generation, [(me, "all")])
    beat(both, v, group, me, generation)
    beat(both, v, group, me, generation + 1)
    beat(both, v, group, me, generation - 1)
    beat(both, v, group, me, -1)
    beat(both, v, group, "nobody", generation)
    beat(both, v, group, "", generation)
    if v >= 3:
        beat(both, v, group, me, generation, GroupInstanceId="mine")
    leave(both, 3, group, me)
    beat(both, v, group, me, generation)


@each_version("LeaveGroup")
def leave_group(both, v):
    group = both.topic_name("group")
    leave(both, v, group, "nobody")
    leave(both, v, "", "nobody")
    member = enter(both, 5, group)
    me = member["MemberId"]
    leave(both, v, group, "nobody")
    leave(both, v, group, "")
    if v >= 3:
        leave(both, v, group)
        leave(both, v, group, {"MemberId": me, "GroupInstanceId": "mine"})
        leave(both, v, group, {"MemberId": "", "GroupInstanceId": "nobody's"})
        leave(both, v, group, "nobody", me, me)
    else:
        leave(both, v, group, me)
    leave(both, v, group, me)
    describe(both, group)
    if v < 3:
        return
    for name in ("one", "two"):
        enter(both, 5, both.topic_name(name), GroupInstanceId="s1")
        leave(both, v, both.topic_name(name), {"MemberId": "", "GroupInstanceId": "s1"})
        describe(both, both.topic_name(name))
    pending = join(both, 5, both.topic_name("pending"))["MemberId"]
    leave(both, v, both.topic_name("pending"), pending)
    join(both, 5, both.topic_name("pending"), member=pending)


@each_version("JoinGroup", low=5)
def static_members(both, v):
    group = both.topic_name("group")
    first = join(both, v, group, GroupInstanceId="s1")
    me, generation = first["MemberId"], first["GenerationId"]
    sync(both, 5, group, me, generation, [(me, "all")], GroupInstanceId="s1")
    beat(both, 4, group, me, generation, GroupInstanceId="s1")
    beat(both, 4, group, me, generation)
    describe(both, group)
    again = join(both, v, group, GroupInstanceId="s1")
    beat(both, 4, group, me, generation, GroupInstanceId="s1")
    beat(both, 4, group, me, generation)
    beat(both, 4, group, again["MemberId"], again["GenerationId"], GroupInstanceId="s1")
    sync(both, 5, group, me, generation, GroupInstanceId="s1")
    sync(both, 5, group, again["MemberId"], again["GenerationId"], GroupInstanceId="s1")
    join(both, v, group, member=me, GroupInstanceId="s1")
    join(both, v, group, member="nobody", GroupInstanceId="s1")
    describe(both, group)
    both.ask("OffsetCommit", 8, {"GroupId": group, "GenerationIdOrMemberEpoch": again["GenerationId"], "MemberId": me,
                                 "GroupInstanceId": "s1", "Topics": []})
    leave(both, 5, group, {"MemberId": me, "GroupInstanceId": "s1"})
    leave(both, 5, group, {"MemberId": again["MemberId"], "GroupInstanceId": "s1"})
    describe(both, group)


@each_version("OffsetCommit")
def commit_of_members(both, v):
    group, topic = both.topic_name("group"), both.topic("a")

    def commit(member, generation, **more):
        both.ask("OffsetCommit", v, {"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": member,
                                     "Topics": [{"Name": topic[0], "TopicId": topic[1], "Partitions": [
                                         {"PartitionIndex": 0, "CommittedOffset": 5}]}], **more})
    member = enter(both, 5, group)
    me, generation = member["MemberId"], member["GenerationId"]
    commit(me, generation)
    sync(both, 3, group, me, generation, [(me, "all")])
    commit(me, generation)
    commit(me, generation + 1)
    commit(me, generation - 1)
    commit(me, -1)
    commit("nobody", generation)
    commit("", -1)
    commit("", generation)
    if v >= 7:
        commit(me, generation, GroupInstanceId="mine")
    leave(both, 3, group, me)
    commit("", -1)
    commit(me, generation)
    commit("", generation)


@each_version("DescribeGroups")
def describe_groups(both, v):
    group, other = both.topic_name("group"), both.topic_name("other")
    both.ask("DescribeGroups", v, {"Groups": []})
    both.ask("DescribeGroups", v, {"Groups": [both.topic_name("never")]})
    member = enter(both, 5, group)
    describe(both, group, v)
    me = member["MemberId"]
    sync(both, 3, group, me, member["GenerationId"], [(me, "all")])
    describe(both, group, v)
    static = enter(both, 5, other, GroupInstanceId="s1", protocols=[{"Name": "p", "Metadata": "m"}],
                   ProtocolType="connect")
    both.ask("SyncGroup", 3, {"GroupId": other, "GenerationId": static["GenerationId"], "MemberId": static["MemberId"],
                              "GroupInstanceId": "s1",
                              "Assignments": [{"MemberId": static["MemberId"], "Assignment": "x"}]})
    both.ask("DescribeGroups", v, {"Groups": [group, other, both.topic_name("never"), group],
                                   "IncludeAuthorizedOperations": True})
    both.ask("DescribeGroups", v, {"Groups": [group]})
    leave(both, 3, group, me)
    describe(both, group, v)


@each_version("ListGroups")
def list_groups(both, v):
    group, other = both.topic_name("group"), both.topic_name("other")
    topic = both.topic("a")
    member = enter(both, 5, group)
    sync(both, 3, group, member["MemberId"], member["GenerationId"], [(member["MemberId"], "all")])
    both.ask("OffsetCommit", 8, {"GroupId": other, "Topics": [{"Name": topic[0], "Partitions": [
        {"PartitionIndex": 0, "CommittedOffset": 5}]}]})
    enter(both, 5, both.topic_name("third"), ProtocolType="connect")
    both.ask("ListGroups", v, {}, mine=True)
    if v >= 4:
        for states in (["Stable"], ["Empty", "CompletingRebalance"], ["stable"], ["Nonsense"], [""], ["Dead"]):
            both.ask("ListGroups", v, {"StatesFilter": states}, mine=True)
    if v >= 5:
        for types in (["classic"], ["Consumer"], ["consumer", "Classic"], ["share"], ["nonsense"]):
            both.ask("ListGroups", v, {"TypesFilter": types}, mine=True)
        both.ask("ListGroups", v, {"TypesFilter": ["classic"], "StatesFilter": ["Empty"]}, mine=True)
    leave(both, 3, group, member["MemberId"])
    both.ask("ListGroups", v, {}, mine=True)


@each_version("DeleteGroups")
def delete_groups(both, v):
    group, other = both.topic_name("group"), both.topic_name("other")
    topic = both.topic("a")
    both.ask("DeleteGroups", v, {"GroupsNames": [both.topic_name("never")]})
    both.ask("DeleteGroups", v, {"GroupsNames": []})
    member = enter(both, 5, group)
    both.ask("OffsetCommit", 8, {"GroupId": other, "Topics": [{"Name": topic[0], "Partitions": [
        {"PartitionIndex": 0, "CommittedOffset": 5}]}]})
    both.ask("DeleteGroups", v, {"GroupsNames": [group, other, both.topic_name("never")]})
    both.ask("OffsetFetch", 7, {"GroupId": other, "Topics": None})
    leave(both, 3, group, member["MemberId"])
    both.ask("DeleteGroups", v, {"GroupsNames": [group]})
    both.ask("DeleteGroups", v, {"GroupsNames": [group]})
    describe(both, group)


@scenario
def offset_delete_of_subscribed(both):
    """Offsets of a topic that a member reads stay."""
    group = both.topic_name("group")
    a, b = both.topic("a"), both.topic("b")
    member = enter(both, 5, group, protocols=[{"Name": "range", "Metadata": reads(a[0])}])
    me, generation = member["MemberId"], member["GenerationId"]
    sync(both, 3, group, me, generation, [(me, "")])
    both.ask("OffsetCommit", 8, {"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": me, "Topics": [
        {"Name": name, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 5}]} for name in (a[0], b[0])]})
    for name in (a[0], b[0]):
        both.ask("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": name, "Partitions": [
            {"PartitionIndex": 0}]}]})
    both.ask("OffsetFetch", 7, {"GroupId": group, "Topics": None})
    leave(both, 3, group, me)
    both.ask("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": a[0], "Partitions": [{"PartitionIndex": 0}]}]})
    both.ask("OffsetFetch", 7, {"GroupId": group, "Topics": None})
