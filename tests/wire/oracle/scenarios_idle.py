"""What is forgotten when it is not used: transactional ids, and the sequences of producers. Both brokers forget after
1.5 s and look every 100 ms (FAMILY_SETTINGS of oracle.py)."""

import time

from oracle import IDLE_MS, of_families, scenario
from scenarios_transactions import add, begin, end, read, stable, write
from scenarios_zombies import add_offsets, again, offsets, state

TRANSACTIONAL_ID_NOT_FOUND = 105


def forgotten(both, producer):
    return both.ask("DescribeTransactions", 0, {"TransactionalIds": [producer[0]]}, "x", until=lambda answer:
                    answer["TransactionStates"][0]["ErrorCode"] == TRANSACTIONAL_ID_NOT_FOUND)


def listed(both):
    both.ask("ListTransactions", 1, {}, "x", mine=True)


def producers(both, topic, *pids):
    """What DescribeProducers says, as soon as it is about these."""
    return both.ask("DescribeProducers", 0, {"Topics": [{"Name": topic, "PartitionIndexes": [0]}]}, "x",
                    until=lambda answer: sorted(pids) == sorted(
                        row["ProducerId"] for row in answer["Topics"][0]["Partitions"][0]["ActiveProducers"]))


def idempotent(both, topic, pid, seq, count=1, epoch=0):
    return both.produce(topic, {"records": [{"v": f"{seq + at}", "ts": "#now"} for at in range(count)], "pid": pid,
                                "epoch": epoch, "seq": seq})


def begins(both):
    return both.ask("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 60000})["ProducerId"]


@scenario
def transactional_ids_are_forgotten(both):
    topic, group = both.topic("a")[0], both.topic_name("group")
    producer = begin(both)
    state(both, producer, "Empty")
    forgotten(both, producer)
    listed(both)
    for v in (2, 3):
        add(both, v, producer, topic, 0)
    for v in (3, 4):
        add_offsets(both, v, producer, group)
    for v in (3, 4, 5):
        end(both, v, producer)
    for v in (3, 5):
        offsets(both, v, producer, group, topic)
    forgotten(both, producer)
    begin(both)
    state(both, producer)


@scenario
def who_is_forgotten_may_come_back(both):
    """With the id and epoch that it had: a new id."""
    for producer, v in [(begin(both, f"t{v}", version=v), v) for v in (4, 5)]:
        forgotten(both, producer)
        again(both, v, producer)
        state(both, producer, "Empty")


@scenario
def ends_are_forgotten(both):
    """Of transactions that are over; not one that is open."""
    topic, ended = both.topic("a")[0], []
    for v, commit, name in ((4, True, "CompleteCommit"), (4, False, "CompleteAbort"), (5, True, "CompleteCommit")):
        producer = begin(both, f"t{v}{commit}".lower(), version=v)
        if v == 4:
            add(both, 3, producer, topic, 0)
        write(both, producer, topic, 0, v=9 if v == 4 else 12)
        end(both, v, producer, commit=commit)
        state(both, producer, name)
        ended.append(producer)
    for producer in ended:
        forgotten(both, producer)
    open_one = begin(both, "open")
    add(both, 3, open_one, topic, 0)
    write(both, open_one, topic, 0)
    forgotten(both, begin(both, "other"))       # it is the younger one
    state(both, open_one, "Ongoing")
    listed(both)
    end(both, 4, open_one)
    state(both, open_one, "CompleteCommit")
    forgotten(both, open_one)


@scenario
def who_is_used_stays(both):
    """Each step is a use."""
    topic, _ = both.topic("a")
    producer = begin(both)
    for _ in range(4):
        time.sleep(IDLE_MS / 3000)
        add(both, 3, producer, topic, 0)
        end(both, 4, producer)
        state(both, producer, "CompleteCommit")
    forgotten(both, producer)


@of_families("idle_producers")
def producers_are_forgotten(both):
    topic, _ = both.topic("a")
    pid = begins(both)
    idempotent(both, topic, pid, 0, 3)
    producers(both, topic, pid)
    idempotent(both, topic, pid, 7)
    idempotent(both, topic, pid, 0, 3)
    producers(both, topic)
    idempotent(both, topic, pid, 7)             # any sequence is the next
    producers(both, topic, pid)
    idempotent(both, topic, pid, 7)             # a duplicate
    idempotent(both, topic, pid, 9)
    idempotent(both, topic, pid, 8)
    producers(both, topic)
    idempotent(both, topic, pid, 7)             # what it wrote is written once more
    producers(both, topic)
    idempotent(both, topic, pid, 5, epoch=3)
    idempotent(both, topic, pid, 0, epoch=2)


@of_families("idle_producers")
def producers_with_a_transaction_stay(both):
    topic, _ = both.topic("a")
    pid, producer = begins(both), begin(both)
    add(both, 3, producer, topic, 0)
    write(both, producer, topic, 0)
    idempotent(both, topic, pid, 0)
    producers(both, topic, pid, producer[1])
    producers(both, topic, producer[1])
    write(both, producer, topic, 2)
    write(both, producer, topic, 1)
    end(both, 4, producer)
    state(both, producer, "CompleteCommit")
    read(both, topic, until=stable(4))
    producers(both, topic)
