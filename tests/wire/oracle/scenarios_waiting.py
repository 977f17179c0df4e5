"""Groups whose first join waits a second for more members (group.initial.rebalance.delay.ms), and share sessions of
which there may be two (FAMILY_SETTINGS of oracle.py)."""

from oracle import scenario
from scenarios_groups import join, reads
from scenarios_rebalances import COMPLETING, EMPTY, PREPARING, STABLE, Group
from scenarios_shares import Reader, group_of, rows


@scenario
def they_are_told_together(both):
    group = Group(both)
    first = group.come("a")
    group.seen(PREPARING, 1)
    second, third = group.come("b"), group.come("c")
    group.seen(PREPARING, 3)
    for conn, number in (("a", first), ("b", second), ("c", third)):
        group.told(conn, number)
    group.seen(COMPLETING, 3)
    group.settle("a", "b", "c")
    # ... and not who comes when there is a generation
    late = group.come("d")
    group.seen(PREPARING, 4)
    waiting = [(conn, group.come(conn)) for conn in "abc"]
    for conn, number in [*waiting, ("d", late)]:
        group.told(conn, number)
    group.settle("a", "b", "c", "d")


@scenario
def it_waits_again_when_it_was_empty(both):
    group = Group(both)
    group.enter("a")
    group.syncs("a", "a")
    group.seen(STABLE, 1)
    group.leave("a")
    group.seen(EMPTY)
    first = group.come("b")
    group.seen(PREPARING, 1)
    second = group.come("c")
    group.seen(PREPARING, 2)
    group.told("b", first)
    group.told("c", second)
    group.settle("b", "c")


@scenario
def while_it_waits(both):
    """What else may be asked; who leaves, and who is alone then."""
    topic, group = both.topic("t")[0], Group(both)
    first = group.come("a")
    group.seen(PREPARING, 1)
    both.ask("Heartbeat", 4, {"GroupId": group.name, "MemberId": group.id["a"], "GenerationId": 0}, "x")
    both.ask("SyncGroup", 5, {"GroupId": group.name, "MemberId": group.id["a"], "GenerationId": 0,
                              "ProtocolType": "consumer", "ProtocolName": "range"}, "x")
    join(both, 9, group.name, conn="x", ProtocolType="connect")
    join(both, 9, group.name, conn="x", protocols=[{"Name": "other", "Metadata": reads("x")}])
    group.commit(None, topic)
    second = group.come("b")
    group.seen(PREPARING, 2)
    group.leave("b")
    group.seen(PREPARING, 1)
    group.told("b", second)
    group.told("a", first)
    group.settle("a")
    group.seen(STABLE, 1)


@scenario
def all_leave_while_it_waits(both):
    group = Group(both)
    first = group.come("a")
    group.seen(PREPARING, 1)
    group.leave("a")
    group.told("a", first)
    group.seen(EMPTY, 0)
    group.enter("b")
    group.settle("b")


@scenario
def static_members_are_told_together(both):
    group = Group(both)
    first = group.come("a", GroupInstanceId="i")
    group.seen(PREPARING, 1)
    second = group.come("b", GroupInstanceId="j")
    group.seen(PREPARING, 2)
    again = group.come("c", GroupInstanceId="i")        # in place of "a"
    group.told("a", first)
    for conn, number in (("b", second), ("c", again)):
        group.told(conn, number)
    group.seen(COMPLETING, 2)


@scenario
def an_older_join_waits_too(both):
    for v in (0, 3):
        group = Group(both, f"group{v}", v=v)
        first = group.come("a")
        group.seen(PREPARING, 1)
        second = group.come("b")
        group.seen(PREPARING, 2)
        group.told("a", first)
        group.told("b", second)
        group.settle("a", "b")


@scenario
def it_waits_no_longer_than_a_rebalance(both):
    """Nor is there long to sync; then it is alone no more."""
    group = Group(both)
    group.enter("a", RebalanceTimeoutMs=300)
    group.seen(EMPTY, 0)
    group.syncs("a", "a")


@scenario
def share_sessions_are_counted(both):
    """Of two groups and three members there are two at a time."""
    topic = both.topic("a")
    both.produce(topic[0], rows("0", "1", "2"))
    group, other = group_of(both), group_of(both, "other")
    one, two = Reader(both, group, "m", topic), Reader(both, other, "n", topic)
    three = Reader(both, other, "o", topic)
    one.get()
    two.get()
    for v in (1, 2):
        three.fetch(v=v)
    three.say((0, 0, 1), epoch=0)
    one.fetch((0, 2, 1))
    one.fetch(epoch=-1, Topics=[])              # it ends
    three.fetch()
    one.fetch(epoch=0)
    both.close("n")
