"""Classic groups with several members: joins and syncs that wait, in every order; static members; who is let in."""

from oracle import each_version, scenario
from scenarios_groups import PROTOCOLS, join, reads, sync

PREPARING, COMPLETING, STABLE, EMPTY = "PreparingRebalance", "CompletingRebalance", "Stable", "Empty"


class Group:
    """A group of a scenario: members by the name of their connection, "a" first."""

    def __init__(self, both, name="group", v=9):
        self.both, self.name, self.v = both, both.topic_name(name), v
        self.id, self.generation = {}, 0

    # ---- a step each

    def come(self, conn, **more):
        """A join that is sent and waits: give it to told()."""
        if conn not in self.id and self.v >= 4 and not more.get("GroupInstanceId"):
            self.id[conn] = join(self.both, self.v, self.name, conn=conn, **more)["MemberId"]
        return join(self.both, self.v, self.name, member=self.id.get(conn, ""), conn=conn, send=True, **more)

    def told(self, conn, number):
        answer = self.both.receive(number)
        if answer["ErrorCode"] == 0:
            self.id[conn], self.generation = answer["MemberId"], answer["GenerationId"]
        return answer

    def enter(self, conn, **more):
        return self.told(conn, self.come(conn, **more))

    def syncs(self, conn, given=(), send=False, **more):
        rows = [{"MemberId": self.id[name], "Assignment": f"of {name}"} for name in given]
        body = {"GroupId": self.name, "GenerationId": self.generation, "MemberId": self.id[conn], "Assignments": rows,
                "ProtocolType": "consumer", "ProtocolName": "range", **more}
        return self.both.send("SyncGroup", 5, body, conn) if send else self.both.ask("SyncGroup", 5, body, conn)

    def beat(self, conn, generation=None, **more):
        return self.both.ask("Heartbeat", 4, {"GroupId": self.name, "MemberId": self.id[conn], "GenerationId":
                                              self.generation if generation is None else generation, **more}, conn)

    def leave(self, *conns, conn=None, rows=()):
        members = [{"MemberId": self.id[name]} for name in conns] + list(rows)
        return self.both.ask("LeaveGroup", 5, {"GroupId": self.name, "Members": members}, conn or "x")

    def commit(self, conn, topic, **more):
        return self.both.ask("OffsetCommit", 9, {
            "GroupId": self.name, "GenerationIdOrMemberEpoch": self.generation,
            "MemberId": self.id[conn] if conn else "", "Topics": [{"Name": topic, "Partitions": [
                {"PartitionIndex": 0, "CommittedOffset": 5, "CommittedMetadata": "m"}]}], **more}, "x")

    def seen(self, state=None, members=None):
        """What DescribeGroups says; as soon as Kafka has this state and as many members."""
        def there(answer):
            group = answer["Groups"][0]
            return ((state is None or group["GroupState"] == state) and
                    (members is None or len(group["Members"]) == members))
        return self.both.ask("DescribeGroups", 6, {"Groups": [self.name]}, "x", until=there)

    def listed(self):
        return self.both.ask("ListGroups", 5, {}, "x", mine=True)

    # ---- several

    def gather(self, *conns, **more):
        """All of them in one generation that is stable; the first leads."""
        waiting = {}
        for number, conn in enumerate(conns):
            if number == 1:     # the first was alone and must come again
                waiting[conns[0]] = None
            if number == 0:
                self.enter(conn, **more)
                self.syncs(conn, [conn])
            else:
                waiting[conn] = self.come(conn, **more)
                self.seen(PREPARING, number + 1)
        if len(conns) > 1:
            waiting[conns[0]] = self.come(conns[0], **more)
            for conn in conns:
                self.told(conn, waiting[conn])
            self.settle(*conns)

    def again(self, *conns):
        """Another generation of the same members, asked for by its leader, the first."""
        first = self.come(conns[0])
        self.seen(PREPARING)
        waiting = [(conn, self.come(conn)) for conn in conns[1:]]
        for conn, number in [(conns[0], first), *waiting]:
            self.told(conn, number)

    def settle(self, *conns):
        """The first of them leads and gives; the others wait for it."""
        late = [self.syncs(conn, send=True) for conn in conns[1:]]
        self.beat(conns[0])
        self.syncs(conns[0], conns)
        for number in late:
            self.both.receive(number)
        self.seen(STABLE, len(conns))


# ---- orders ----------------------------------------------------------------------------------------

@each_version("JoinGroup")
def three_members(both, v):
    group = Group(both, v=v)
    group.gather("a", "b", "c")
    for conn in "abc":
        group.beat(conn)
    group.leave("b")
    group.seen(PREPARING, 2)
    for conn in "abc":
        group.beat(conn)
    group.syncs("a", "ac")
    first, second = group.come("c"), group.come("a")
    group.told("c", first)
    group.told("a", second)
    group.seen(COMPLETING)
    group.beat("c")
    group.syncs("c", ["c"], send=True)
    group.syncs("a", "ac")
    group.listed()


@scenario
def leader_leaves_before_its_sync(both):
    group = Group(both)
    group.gather("a", "b")
    group.again("a", "b")
    waiting = group.syncs("b", send=True)
    group.beat("a")
    group.leave("a")
    both.receive(waiting)
    group.seen(PREPARING, 1)
    group.enter("b")
    group.syncs("b", "b")
    group.seen(STABLE, 1)


@scenario
def leader_leaves_while_it_joins(both):
    group = Group(both)
    group.gather("a", "b", "c")
    waiting = group.come("a", protocols=[{"Name": "range", "Metadata": reads("z")}])
    group.seen(PREPARING, 3)
    group.leave("c")
    group.leave("a")
    both.receive(waiting)
    group.seen(PREPARING, 1)
    group.enter("b")
    group.seen(COMPLETING, 1)
    group.syncs("b", "b")


@scenario
def newcomer_between_join_and_sync(both):
    """CompletingRebalance is left for another rebalance; waiting syncs hear of it."""
    group = Group(both)
    group.gather("a", "b")
    group.again("a", "b")
    waiting = group.syncs("b", send=True)
    group.beat("a")
    third = group.come("c")
    both.receive(waiting)
    group.seen(PREPARING, 3)
    group.syncs("a", "ab")
    group.beat("a")
    group.beat("b")
    fourth, fifth = group.come("b"), group.come("a")
    for conn, number in (("c", third), ("b", fourth), ("a", fifth)):
        group.told(conn, number)
    group.settle("a", "b", "c")


@scenario
def member_joins_twice(both):
    """The second join of a member that waits is the one that is answered; one that comes late hears the same again."""
    group = Group(both)
    group.gather("a", "b")
    group.enter("b")                    # same protocols, not the leader: the generation stays
    group.seen(STABLE)
    changed = [{"Name": "range", "Metadata": reads("other")}]
    group.come("b", protocols=changed)
    group.seen(PREPARING, 2)
    number = join(both, 9, group.name, member=group.id["b"], protocols=changed, conn="y", send=True)
    group.enter("a")
    both.receive(number)
    group.seen(COMPLETING, 2)
    join(both, 9, group.name, member=group.id["b"], protocols=changed, conn="y")
    join(both, 9, group.name, member=group.id["a"], conn="z")
    group.seen(COMPLETING, 2)
    join(both, 9, group.name, member=group.id["b"], protocols=PROTOCOLS, conn="y", send=True)
    group.seen(PREPARING, 2)


@scenario
def leader_joins_again(both):
    """A leader may always ask for a rebalance; a member whose protocols are the same may not."""
    group = Group(both)
    group.gather("a", "b")
    number = group.come("a")
    group.seen(PREPARING, 2)
    group.beat("b")
    group.beat("b", generation=group.generation - 1)
    group.beat("b", generation=group.generation + 1)
    group.syncs("b")
    group.syncs("b", GenerationId=group.generation + 1)
    other = group.come("b")
    group.told("a", number)
    group.told("b", other)
    group.settle("a", "b")


@scenario
def assignments(both):
    """Who is not named gets nothing; who does not lead gives nothing."""
    group = Group(both)
    group.gather("a", "b", "c")
    group.again("a", "b", "c")
    waiting = [group.syncs(conn, "abc", send=True) for conn in "bc"]
    group.beat("a")
    group.syncs("a", "a", Assignments=[{"MemberId": group.id["b"], "Assignment": "once"},
                                       {"MemberId": "nobody", "Assignment": "x"},
                                       {"MemberId": group.id["b"], "Assignment": "twice"}])
    for number in waiting:
        both.receive(number)
    group.seen(STABLE, 3)
    for conn in "abc":
        group.syncs(conn)


@scenario
def offsets_in_each_state(both):
    topic, other = both.topic("a")[0], both.topic("b")[0]
    group = Group(both)

    def everything(member):
        group.commit(member, topic)
        group.commit(member, topic, GenerationIdOrMemberEpoch=group.generation + 1)
        group.commit(member, topic, GenerationIdOrMemberEpoch=group.generation - 1)
        group.commit(None, topic)
        group.commit(None, topic, GenerationIdOrMemberEpoch=-1)
        group.commit(None, topic, GenerationIdOrMemberEpoch=-1, MemberId="nobody")
        for name in (topic, other):
            both.ask("OffsetDelete", 0, {"GroupId": group.name, "Topics": [
                {"Name": name, "Partitions": [{"PartitionIndex": 0}]}]})
        both.ask("DeleteGroups", 2, {"GroupsNames": [group.name]})
        both.ask("OffsetFetch", 9, {"Groups": [{"GroupId": group.name, "MemberId": group.id[member], "MemberEpoch":
                                                group.generation, "Topics": None}]})
        both.ask("OffsetFetch", 9, {"Groups": [{"GroupId": group.name, "MemberId": "nobody", "MemberEpoch": 77,
                                                "Topics": None}]})
        both.ask("OffsetFetch", 8, {"Groups": [{"GroupId": group.name, "Topics": None}]})
        group.seen()
        group.listed()
    protocols = [{"Name": "range", "Metadata": reads(topic)}]
    group.id["b"] = join(both, 9, group.name, protocols=protocols, conn="b")["MemberId"]
    everything("b")                             # nobody but an id that was given out
    del group.id["b"]
    group.enter("a", protocols=protocols)
    everything("a")                             # CompletingRebalance
    group.syncs("a", "a")
    everything("a")                             # Stable
    waiting = group.come("b", protocols=protocols)
    group.seen(PREPARING, 2)
    everything("a")                             # PreparingRebalance
    everything("b")
    group.told("a", group.come("a", protocols=protocols))
    group.told("b", waiting)
    group.leave("a", "b")
    group.seen(EMPTY)
    everything("a")                             # Empty


@scenario
def transactional_offsets_in_each_state(both):
    """TxnOffsetCommit of members: the generation fences."""
    topic = both.topic("a")[0]
    group, txn = Group(both), both.topic_name("txn")
    both.ask("FindCoordinator", 4, {"KeyType": 1, "CoordinatorKeys": [txn]})
    made = both.ask("InitProducerId", 4, {"TransactionalId": txn, "TransactionTimeoutMs": 60000})
    both.ask("AddOffsetsToTxn", 3, {"TransactionalId": txn, "ProducerId": made["ProducerId"],
                                    "ProducerEpoch": made["ProducerEpoch"], "GroupId": group.name})

    def commit(member, generation, **more):
        both.ask("TxnOffsetCommit", 4, {
            "TransactionalId": txn, "ProducerId": made["ProducerId"], "ProducerEpoch": made["ProducerEpoch"],
            "GroupId": group.name, "GenerationId": generation, "MemberId": member,
            "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 5}]}], **more})

    def everything():
        commit("", -1)
        commit("", 0)
        commit("nobody", -1)
        commit("nobody", group.generation)
        commit("", -1, GroupInstanceId="stranger")
        for conn in group.id:
            for generation in (group.generation, group.generation + 1, group.generation - 1, -1):
                commit(group.id[conn], generation)
            commit(group.id[conn], group.generation, GroupInstanceId="stranger")
    everything()
    group.enter("a")
    everything()
    group.syncs("a", "a")
    everything()
    number = group.come("b")
    group.seen(PREPARING, 2)
    everything()
    group.leave("a", "b")
    both.receive(number)
    everything()
    both.ask("EndTxn", 3, {"TransactionalId": txn, "ProducerId": made["ProducerId"],
                           "ProducerEpoch": made["ProducerEpoch"], "Committed": False})


# ---- who is let in -----------------------------------------------------------------------------------

@each_version("JoinGroup", low=4)
def member_id_required(both, v):
    """An id that was given out is no member yet, and only good in its group."""
    group = Group(both, v=v)
    first = join(both, v, group.name, conn="a")["MemberId"]
    second = join(both, v, group.name, conn="b")["MemberId"]
    group.seen()
    group.id = {"a": first, "b": second}
    group.beat("a", generation=0)
    group.syncs("a")
    both.ask("OffsetCommit", 8, {"GroupId": group.name, "MemberId": first, "Topics": []})
    join(both, v, both.topic_name("other"), member=first)
    group.leave("b")
    join(both, v, group.name, member=second, conn="b")
    group.enter("a")
    group.id["c"] = join(both, v, group.name, conn="c")["MemberId"]
    group.leave("c")
    group.seen(PREPARING, 1)                    # even that
    group.enter("a")
    third = join(both, v, group.name, conn="c")["MemberId"]
    group.seen(COMPLETING, 1)
    group.syncs("a", "a")
    group.beat("a")
    join(both, v, group.name, member=third, conn="c", protocols=[{"Name": "none", "Metadata": reads("a")}])
    group.id["c"] = third
    waiting = group.come("c")
    group.seen(PREPARING, 2)
    group.told("a", group.come("a"))
    group.told("c", waiting)


@scenario
def protocols_that_do_not_match(both):
    def offers(*names):
        return [{"Name": name, "Metadata": reads(name)} for name in names]
    group = Group(both)
    group.enter("a", protocols=offers("one", "two", "three"))
    group.syncs("a", "a", ProtocolName="two")
    group.syncs("a", "a", ProtocolName="one")
    join(both, 9, group.name, conn="b", protocols=offers("four"))
    join(both, 9, group.name, conn="b", protocols=[])
    join(both, 9, group.name, member=group.id["a"], protocols=[])
    first = group.come("b", protocols=offers("three", "two"))
    group.seen(PREPARING, 2)
    join(both, 9, group.name, conn="d", protocols=offers("one"))
    join(both, 9, group.name, conn="e", ProtocolType="other", protocols=offers("two"))
    second = group.come("c", protocols=offers("two", "three"))
    group.seen(PREPARING, 3)
    third = group.come("a", protocols=offers("three", "two", "one"))
    for conn, number in (("a", third), ("b", first), ("c", second)):
        group.told(conn, number)                # two votes for three, one for two
    group.syncs("b", ProtocolName="one")
    group.syncs("a", "abc", ProtocolName="three")
    group.syncs("b", ProtocolName="three")
    group.seen(STABLE, 3)
    join(both, 9, group.name, member=group.id["b"], protocols=offers("four"), conn="b")
    join(both, 9, group.name, member=group.id["b"], protocols=offers("three"), ProtocolType="other", conn="b")
    group.leave("a", "b")
    group.seen(PREPARING, 1)
    group.enter("c", protocols=offers("two", "five"))
    group.syncs("c", "c", ProtocolName="two")
    group.leave("c")
    group.seen(EMPTY)
    other = Group(both)
    other.enter("f", protocols=offers("six"), ProtocolType="connect")   # an empty group forgets its type
    other.seen(COMPLETING)


@scenario
def cooperative_protocols(both):
    """What members own is theirs to say; the group votes as for any other protocol."""
    def offer(generation, *owned):
        return [{"Name": "cooperative-sticky", "Metadata": {
            "$data": "ConsumerProtocolSubscription", "$version": 3, "Topics": ["a"], "UserData": "", "RackId": "r",
            "OwnedPartitions": [{"Topic": "a", "Partitions": list(owned)}], "GenerationId": generation}}]
    group = Group(both)
    group.enter("a", protocols=offer(-1))
    group.syncs("a", "a", ProtocolName="cooperative-sticky")
    waiting = group.come("b", protocols=offer(-1))
    group.seen(PREPARING, 2)
    group.told("a", group.come("a", protocols=offer(1, 0, 1, 2)))
    group.told("b", waiting)
    group.syncs("a", "a", ProtocolName="cooperative-sticky")
    group.syncs("b", ProtocolName="cooperative-sticky")
    group.seen(STABLE, 2)
    group.beat("a")
    group.told("b", group.come("b", protocols=offer(-1)))   # nothing new
    waiting = group.come("a", protocols=offer(2, 0, 1))
    group.seen(PREPARING, 2)
    group.told("b", group.come("b", protocols=offer(2)))
    group.told("a", waiting)
    group.syncs("a", "ab", ProtocolName="cooperative-sticky")
    group.syncs("b", ProtocolName="cooperative-sticky")
    group.seen(STABLE, 2)


@each_version("JoinGroup")
def group_is_full(both, v):
    """group.max.size is 4 here. Members that are in stay in."""
    group = Group(both, v=v)
    group.gather("a", "b", "c", "d")
    join(both, v, group.name, conn="e")
    join(both, v, group.name, member="nobody", conn="e")
    if v >= 5:
        join(both, v, group.name, conn="e", GroupInstanceId="s1")
    group.seen(STABLE, 4)
    group.leave("c")
    waiting = group.come("f")
    group.seen(PREPARING, 4)
    rest = [(conn, group.come(conn)) for conn in "da"]
    last = group.come("b")
    for conn, one in [("b", last), ("f", waiting), *rest]:
        group.told(conn, one)
    group.seen(COMPLETING, 4)
    join(both, v, group.name, conn="e")
    group.settle("a", "b", "d", "f")


@scenario
def connection_ends_while_a_join_waits(both):
    """The member stays until its session ends."""
    group = Group(both)
    group.gather("a", "b")
    group.come("b", protocols=[{"Name": "range", "Metadata": reads("z")}])
    group.seen(PREPARING, 2)
    both.close("b")
    group.seen(PREPARING, 2)
    group.enter("a")
    group.seen(COMPLETING, 2)
    group.syncs("a", "ab")
    group.seen(STABLE, 2)
    group.syncs("b")
    group.beat("b")


# ---- static members ------------------------------------------------------------------------------------

def static(name):
    return {"GroupInstanceId": name}


@each_version("JoinGroup", low=5)
def static_member_comes_back(both, v):
    """Without a rebalance if it wants the same; the leader's return tells all members, and to skip the assignment."""
    group = Group(both, v=v)
    group.enter("a", **static("s1"))
    group.syncs("a", "a", **static("s1"))
    waiting = group.come("b", **static("s2"))
    group.seen(PREPARING, 2)
    group.told("a", group.come("a", **static("s1")))
    group.told("b", waiting)
    late = group.syncs("b", send=True, **static("s2"))
    group.beat("a", **static("s1"))
    group.syncs("a", "ab", **static("s1"))
    both.receive(late)
    group.seen(STABLE, 2)
    old = dict(group.id)
    group.told("b", join(both, v, group.name, conn="b", send=True, **static("s2")))
    group.seen(STABLE, 2)
    group.told("a", join(both, v, group.name, conn="a", send=True, **static("s1")))
    group.seen(STABLE, 2)
    for conn, instance in (("a", "s1"), ("b", "s2")):
        for member in (old[conn], group.id[conn]):
            for name in (instance, None, "s3"):
                both.ask("Heartbeat", 4, {"GroupId": group.name, "MemberId": member, "GroupInstanceId": name,
                                          "GenerationId": group.generation})
        group.syncs(conn, **static(instance))
        group.syncs(conn, MemberId=old[conn], **static(instance))
        group.syncs(conn, MemberId=old[conn])
    changed = [{"Name": "range", "Metadata": reads("new")}, PROTOCOLS[1]]
    number = join(both, v, group.name, conn="b", protocols=changed, send=True, **static("s2"))
    group.seen(STABLE, 2)
    group.told("b", number)
    both.close("b")
    join(both, v, group.name, conn="d", protocols=[{"Name": "third", "Metadata": ""}], **static("s2"))
    number = join(both, v, group.name, conn="c", protocols=PROTOCOLS[1:], send=True, **static("s2"))
    group.seen(PREPARING, 2)                    # another protocol is chosen
    group.told("a", group.come("a", **static("s1")))
    group.told("b", number)
    group.seen(COMPLETING, 2)


@scenario
def static_member_is_replaced_while_it_waits(both):
    """Its join, then its sync, hear FENCED_INSTANCE_ID."""
    group = Group(both)
    group.gather("a", "b")
    number = join(both, 9, group.name, conn="c", send=True, **static("s1"))
    group.seen(PREPARING, 3)
    other = join(both, 9, group.name, conn="d", send=True, **static("s1"))
    both.receive(number)
    group.seen(PREPARING, 3)
    waiting = [(conn, group.come(conn)) for conn in "ba"]
    for conn, one in [("d", other), *waiting]:
        group.told(conn, one)
    group.seen(COMPLETING, 3)
    late = group.syncs("d", send=True, **static("s1"))
    both.ask("Heartbeat", 4, {"GroupId": group.name, "MemberId": group.id["d"], "GroupInstanceId": "s1",
                              "GenerationId": group.generation}, "x")
    again = join(both, 9, group.name, conn="e", send=True, **static("s1"))
    both.receive(late)
    group.seen(None, 3)
    group.beat("a")
    group.syncs("a", "abd")
    waiting = [(conn, group.come(conn)) for conn in "ba"]
    for conn, one in [("e", again), *waiting]:
        group.told(conn, one)
    group.seen(COMPLETING, 3)


@each_version("LeaveGroup", low=3)
def static_members_leave(both, v):
    group = Group(both)

    def leave(*rows):
        both.ask("LeaveGroup", v, {"GroupId": group.name, "Members": list(rows)})
    group.enter("a", **static("s1"))
    group.syncs("a", "a", **static("s1"))
    waiting = group.come("b", **static("s2"))
    group.seen(PREPARING, 2)
    third = group.come("c")
    group.seen(PREPARING, 3)
    group.told("a", group.come("a", **static("s1")))
    group.told("b", waiting)
    group.told("c", third)
    group.syncs("a", "abc", **static("s1"))
    group.seen(STABLE, 3)
    leave({"MemberId": "nobody", "GroupInstanceId": "s1"}, {"MemberId": group.id["b"], "GroupInstanceId": "s1"},
          {"MemberId": "", "GroupInstanceId": "s3"}, {"MemberId": "nobody"}, {"MemberId": ""},
          {"MemberId": group.id["c"], "GroupInstanceId": "s2"})
    group.seen(STABLE, 3)
    leave({"MemberId": "", "GroupInstanceId": "s2"}, {"MemberId": group.id["c"]}, {"MemberId": group.id["c"]},
          {"MemberId": "", "GroupInstanceId": "s2"})
    group.seen(PREPARING, 1)
    leave({"MemberId": group.id["a"], "GroupInstanceId": None})
    group.seen(EMPTY)
    leave({"MemberId": "", "GroupInstanceId": "s1"})


@scenario
def static_commits(both):
    topic = both.topic("a")[0]
    group = Group(both)
    group.enter("a", **static("s1"))
    group.commit("a", topic, **static("s1"))
    group.syncs("a", "a", **static("s1"))
    old = group.id["a"]
    group.told("a", join(both, 9, group.name, conn="a", send=True, **static("s1")))
    for member in (old, group.id["a"], ""):
        for name in ("s1", "s2", None):
            for generation in (group.generation, group.generation + 1, -1):
                group.commit(None, topic, MemberId=member, GenerationIdOrMemberEpoch=generation, GroupInstanceId=name)
    for name in ("s1", "s2"):
        join(both, 9, group.name, member=old, conn="b", **static(name))
    join(both, 9, group.name, member=old, conn="b")
    group.seen(STABLE, 1)
