"""What happens when time is up: sessions, rebalances, transactions. Long enough that a slow machine is not late."""

from oracle import scenario
from scenarios_groups import join, reads
from scenarios_rebalances import COMPLETING, EMPTY, PREPARING, Group
from scenarios_transactions import add, begin, end, read, stable, write
from scenarios_zombies import V1, V2, again, offsets, shown, state, transaction

SHORT_MS = 1500


@scenario
def group_is_full_while_it_rebalances(both):
    """Then those are in who joined first."""
    group, soon = Group(both), {"RebalanceTimeoutMs": SHORT_MS}
    group.gather("a", "b", "c", "d", **soon)
    number = group.come("a", **soon)
    group.seen(PREPARING, 4)
    late = group.come("e", **soon)
    group.seen(PREPARING, 5)
    join(both, 9, group.name, conn="f")
    second, third = group.come("b", **soon), group.come("c", **soon)
    for conn, one in (("b", second), ("c", third), ("a", number), ("e", late)):
        group.told(conn, one)
    group.seen(COMPLETING, 4)
    both.ask("Heartbeat", 4, {"GroupId": group.name, "MemberId": group.id["d"], "GenerationId": group.generation}, "x")


@scenario
def sessions_expire(both):
    """Of one that says nothing any more: the group becomes empty, and it is known to nobody."""
    group = Group(both)
    group.enter("a", SessionTimeoutMs=SHORT_MS)
    group.syncs("a", "a")
    pending = join(both, 9, group.name, conn="b")["MemberId"]
    group.seen(EMPTY)
    group.beat("a")
    group.syncs("a", "a")
    join(both, 9, group.name, member=group.id["a"])
    group.id["b"] = pending
    group.leave("b")


@scenario
def rebalances_end(both):
    """Who does not join again in its time is out, even if it beats; who does not sync in its time, too."""
    group = Group(both)
    group.gather("a", "b", RebalanceTimeoutMs=SHORT_MS)
    number = group.come("a", RebalanceTimeoutMs=SHORT_MS, protocols=[{"Name": "range", "Metadata": reads("new")}])
    group.seen(PREPARING, 2)
    group.beat("b")
    group.told("a", number)
    group.seen(COMPLETING, 1)
    group.beat("b")
    group.seen(EMPTY)                           # "a" has not synced
    group.beat("a")
    group.syncs("a", "a")


def late(both, protocol):
    """The coordinator aborts, and its producer is fenced."""
    topic = both.topic("a", 2)[0]
    producer = begin(both, timeout=SHORT_MS, version=5)
    transaction(both, protocol, producer, topic, 0)
    shown(both, producer, topic, "Ongoing")
    shown(both, producer, topic, "CompleteAbort")
    read(both, topic, until=stable(2))
    for v in (9, 12):
        write(both, producer, topic, 1, v=v)
    for v in (2, 3):
        add(both, v, producer, topic, 0)
    for v in (1, 4, 5):
        for commit in (False, True):
            end(both, v, producer, commit=commit)
    for v in (3, 4, 5):
        offsets(both, v, producer, both.topic_name("group"), topic)
    again(both, 5, producer)
    state(both, producer)
    begin(both, version=5)


@scenario
def late_transaction_of_the_older_protocol(both):
    late(both, V1)


@scenario
def late_transaction_of_the_newer_protocol(both):
    late(both, V2)
