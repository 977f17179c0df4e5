"""Transactions in each state, asked by the right producer and by wrong ones; what readers see of several at a time."""

from oracle import each_version, scenario
from scenarios_transactions import add, begin, end, ident, read, stable, write

V1, V2 = 1, 2                       # the protocols: before KIP-890, and since
PRODUCE = {V1: 9, V2: 12}
END = {V1: 4, V2: 5}
COMMIT = {V1: 4, V2: 5}


def not_busy(answer):
    return answer["ErrorCode"] != 51


def state(both, producer, wanted=None):
    """What is told of it; as soon as Kafka is there."""
    both.ask("DescribeTransactions", 0, {"TransactionalIds": [producer[0]]}, "x",
             until=lambda answer: wanted in (None, answer["TransactionStates"][0]["TransactionState"]))


def shown(both, producer, topic, wanted=None):
    state(both, producer, wanted)
    both.ask("ListTransactions", 1, {}, "x", mine=True)
    both.ask("DescribeProducers", 0, {"Topics": [{"Name": topic, "PartitionIndexes": [0]}]}, "x")
    for level in (0, 1):
        both.ask("ListOffsets", 7, {"ReplicaId": -1, "IsolationLevel": level, "Topics": [
            {"Name": topic, "Partitions": [{"Timestamp": -1}]}]}, "x")


def offsets(both, v, producer, group, topic, offset=5, partition=0, **more):
    row = {"PartitionIndex": partition, "CommittedOffset": offset, "CommittedLeaderEpoch": 0, "CommittedMetadata": "m"}
    row.update(more.pop("row", {}))
    return both.ask("TxnOffsetCommit", v, ident(producer, GroupId=group, Topics=[
        {"Name": topic, "Partitions": [row]}], **more),
        until=lambda answer: answer["Topics"][0]["Partitions"][0]["ErrorCode"] != 51)


def add_offsets(both, v, producer, group, **more):
    return both.ask("AddOffsetsToTxn", v, ident(producer, GroupId=group, **more), until=not_busy)


def again(both, v, producer, **more):
    """InitProducerId of a producer that says who it was."""
    return both.ask("InitProducerId", v, ident(producer, TransactionTimeoutMs=60000, **more), until=not_busy)


def wrong(both, producer, topic, seq=0, ongoing=False):
    """Requests of producers that are not this one; nothing of it has an effect. seq: what would be next, since Kafka
    remembers sequences that it refused."""
    group, name = both.topic_name("group"), producer[0]
    others = [(name, producer[1], producer[2] + 1), (name, 424242, producer[2]), (name, 424242, 0),
              (both.topic_name("stranger"), producer[1], producer[2])]
    if producer[2] > 0:
        others.append((name, producer[1], producer[2] - 1))
    for other in others:
        for v in (2, 3):
            add(both, v, other, topic, 0)
        for v in (1, 3, 4):
            add_offsets(both, v, other, group)
        for v in (3, 4, 5):
            offsets(both, v, other, group, topic)
        for v in (1, 4, 5):
            for commit in (False, True):
                end(both, v, other, commit=commit)
        for v in (9, 11, 12) if not ongoing or other[0] == name else ():
            write(both, other, topic, seq, v=v)
        for v in (4, 5) if other[1] == 424242 else ():
            again(both, v, other)
    both.ask("AddPartitionsToTxn", 5, {"Transactions": [
        {**ident(others[0]), "VerifyOnly": True, "Topics": [{"Name": topic, "Partitions": [0, 1]}]}]})


def transaction(both, protocol, producer, topic, seq, commit=None):
    """A record in a transaction, and its end; the producer as it goes on."""
    if protocol == V1:
        add(both, 3, producer, topic, 0)
    write(both, producer, topic, seq, v=PRODUCE[protocol])
    return producer if commit is None else finish(both, protocol, producer, commit)


def finish(both, protocol, producer, commit):
    done = end(both, END[protocol], producer, commit=commit)
    state(both, producer, "CompleteCommit" if commit else "CompleteAbort")
    return producer if protocol == V1 else (producer[0], done["ProducerId"], done["ProducerEpoch"])


def each_state(both, protocol):
    topic = both.topic("a", 2)[0]
    producer = begin(both, version=5)
    shown(both, producer, topic)
    wrong(both, producer, topic)                    # Empty
    shown(both, producer, topic, "Empty")
    transaction(both, protocol, producer, topic, 0)
    wrong(both, producer, topic, 1, ongoing=True)   # Ongoing
    shown(both, producer, topic, "Ongoing")
    seq = 1
    for commit in (True, False):
        old, producer = producer, finish(both, protocol, producer, commit)
        read(both, topic)
        wrong(both, producer, topic, seq if protocol == V1 else 0)      # CompleteCommit, CompleteAbort
        shown(both, producer, topic)
        end(both, END[protocol], old, commit=commit)
        end(both, END[protocol], old, commit=not commit)
        if protocol == V1:
            write(both, producer, topic, seq)       # without a transaction
        state(both, producer)
        transaction(both, protocol, producer, topic, seq if protocol == V1 else 0)
        seq += 1
        shown(both, producer, topic, "Ongoing")
    finish(both, protocol, producer, True)
    read(both, topic)


@scenario
def each_state_of_the_older_protocol(both):
    each_state(both, V1)


@scenario
def each_state_of_the_newer_protocol(both):
    each_state(both, V2)


@each_version("InitProducerId", low=2)
def fenced_in_the_middle(both, v):
    """Another producer takes the id over: what was begun is aborted, and the older one gets nothing done any more."""
    topic = both.topic("a", 2)[0]
    first = begin(both, version=v)
    transaction(both, V1, first, topic, 0)
    second = begin(both, version=v)
    read(both, topic, until=stable(2))
    shown(both, second, topic)
    wrong(both, second, topic)
    transaction(both, V1, second, topic, 0, commit=True)
    wrong(both, second, topic)
    read(both, topic)


@each_version("InitProducerId", low=3)
def producer_recovers(both, v):
    """KIP-360: it says who it was, in each state, once and again."""
    topic = both.topic("a", 2)[0]
    one = begin(both, version=v)

    def come(producer):
        made = again(both, v, producer)
        state(both, producer)
        return (producer[0], made["ProducerId"], made["ProducerEpoch"]) if not made["ErrorCode"] else producer
    two = come(one)                                 # Empty
    come(one)                                       # its retry
    transaction(both, V1, two, topic, 0)
    come(one)
    three = come(two)                               # Ongoing
    read(both, topic, until=stable(2))
    come(two)
    come(one)
    transaction(both, V1, three, topic, 0, commit=True)
    four = come(three)                              # CompleteCommit
    transaction(both, V1, four, topic, 0, commit=False)
    come(four)                                      # CompleteAbort
    come(three)
    again(both, v, (one[0], -1, 0))
    again(both, v, (one[0], one[1], -1))
    state(both, one)


@scenario
def ends_of_nothing(both):
    """Empty transactions: partitions without records, ends without a beginning."""
    topic = both.topic("a", 2)[0]
    for v, commit in ((4, True), (4, False), (5, True), (5, False)):
        producer = begin(both, f"t{v}{commit}", version=5)
        done = end(both, v, producer, commit=commit)
        state(both, producer)
        if v == 5 and not done["ErrorCode"]:
            end(both, v, producer, commit=commit)   # its retry
            end(both, v, producer, commit=not commit)
            producer = (producer[0], done["ProducerId"], done["ProducerEpoch"])
        state(both, producer)
        add(both, 3, producer, topic, 0, 1)
        state(both, producer, "Ongoing")
        done = end(both, v, producer, commit=commit)
        state(both, producer, "CompleteCommit" if commit else "CompleteAbort")
        if v == 5:
            producer = (producer[0], done["ProducerId"], done["ProducerEpoch"])
        end(both, v, producer, commit=commit)
        state(both, producer)
        read(both, topic, level=0)


@scenario
def protocols_mixed(both):
    """An older client under the id of a newer one, and the other way round."""
    topic = both.topic("a", 2)[0]
    producer = begin(both, version=5)
    producer = transaction(both, V2, producer, topic, 0, commit=True)
    producer = transaction(both, V1, producer, topic, 0, commit=True)
    producer = transaction(both, V1, producer, topic, 1, commit=False)
    producer = transaction(both, V2, producer, topic, 2, commit=False)
    add(both, 3, producer, topic, 0)
    write(both, producer, topic, 0, v=12)
    end(both, 3, producer)
    state(both, producer, "CompleteCommit")
    write(both, producer, topic, 1, v=12)
    end(both, 5, producer, commit=False)
    state(both, producer, "CompleteAbort")
    read(both, topic)


@each_version("Fetch", low=14)
def several_transactions_at_a_time(both, v):
    """The last stable offset is that of the oldest that is open; aborted ones are listed where they matter."""
    name, topic_id = both.topic("a")
    producers = [begin(both, f"t{number}") for number in range(3)]

    def look():
        for level in (0, 1):
            for offset in (0, 2, 5, 7, 9):
                both.ask("Fetch", v, {"ReplicaId": -1, "MaxWaitMs": 0, "SessionEpoch": -1, "IsolationLevel": level,
                                      "MaxBytes": 1 << 20, "Topics": [{"Topic": name, "TopicId": topic_id,
                                      "Partitions": [{"Partition": 0, "FetchOffset": offset,
                                                      "PartitionMaxBytes": 1 << 20}]}]})
    transaction(both, V1, producers[0], name, 0)
    both.produce(name, {"values": ["plain"]})
    transaction(both, V1, producers[1], name, 0)
    transaction(both, V1, producers[2], name, 0)
    transaction(both, V1, producers[0], name, 1)
    look()
    finish(both, V1, producers[1], False)
    look()
    finish(both, V1, producers[0], True)
    look()
    finish(both, V1, producers[2], False)
    read(both, name, until=stable(8))
    look()


@each_version("ListOffsets", low=7)
def offsets_by_isolation(both, v):
    topic = both.topic("a")[0]
    producer = begin(both)

    def look():
        for level in (0, 1):
            for at in (-1, -2, 0, 1700000000001, 1700000000003, 1700000000009, *((-3,) if v >= 7 else ())):
                both.ask("ListOffsets", v, {"ReplicaId": -1, "IsolationLevel": level, "Topics": [
                    {"Name": topic, "Partitions": [{"Timestamp": at}]}]})
    both.produce(topic, {"records": [{"v": "a", "ts": 1700000000001}, {"v": "b", "ts": 1700000000002}]})
    look()
    add(both, 3, producer, topic, 0)
    write(both, producer, topic, 0, records=[{"v": "c", "ts": 1700000000004}, {"v": "d", "ts": 1700000000003}])
    both.produce(topic, {"records": [{"v": "e", "ts": 1700000000007}]})
    look()
    end(both, 3, producer)
    state(both, producer, "CompleteCommit")
    read(both, topic, until=stable(6))
    look()


@each_version("TxnOffsetCommit")
def offsets_in_transactions(both, v):
    """Pending, committed, aborted; beside offsets that are committed without a transaction."""
    group, a = both.topic_name("group"), both.topic("a", 2)[0]
    one, two = begin(both, "one"), begin(both, "two")

    def look():
        for stable_only in (False, True):
            both.ask("OffsetFetch", 8, {"RequireStable": stable_only, "Groups": [{"GroupId": group, "Topics": [
                {"Name": a, "PartitionIndexes": [0, 1, 2]}]}]})
            both.ask("OffsetFetch", 8, {"RequireStable": stable_only, "Groups": [{"GroupId": group, "Topics": None}]})
        both.ask("DescribeGroups", 6, {"Groups": [group]})

    def ended(producer, commit):
        end(both, 4, producer, commit=commit)
        state(both, producer, "CompleteCommit" if commit else "CompleteAbort")
        both.ask("OffsetFetch", 8, {"RequireStable": True, "Groups": [{"GroupId": group, "Topics": [
            {"Name": a, "PartitionIndexes": [0]}]}]},
            until=lambda answer: answer["Groups"][0]["Topics"][0]["Partitions"][0]["ErrorCode"] != 88)
    for producer in (one, two):
        add_offsets(both, 3, producer, group)
    offsets(both, v, one, group, a, 5)
    offsets(both, v, one, group, a, 6, partition=1)
    offsets(both, v, one, group, a, 6, partition=7)
    offsets(both, v, one, group, both.topic_name("never"), 6)
    for row in ({"CommittedOffset": -1}, {"CommittedMetadata": "m" * 4097}, {"CommittedMetadata": None}):
        offsets(both, v, two, group, a, row={"PartitionIndex": 1, **row})
    offsets(both, v, one, "", a, 5)
    look()
    both.ask("DeleteGroups", 2, {"GroupsNames": [group]})
    both.ask("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": a, "Partitions": [{"PartitionIndex": 0}]}]})
    look()
    ended(one, True)
    ended(two, False)
    look()
    for producer, offset in ((one, 10), (two, 11)):
        add_offsets(both, 3, producer, group)
        offsets(both, v, producer, group, a, offset)
    both.ask("OffsetCommit", 8, {"GroupId": group, "Topics": [{"Name": a, "Partitions": [
        {"PartitionIndex": 0, "CommittedOffset": 20}]}]})
    look()
    end(both, 4, two, commit=True)
    state(both, two, "CompleteCommit")
    look()
    ended(one, True)
    look()
    both.ask("DeleteGroups", 2, {"GroupsNames": [group]})
    look()


@scenario
def partitions_that_are_not_there(both):
    """One wrong partition, and none is added."""
    topic, group = both.topic("a", 2)[0], both.topic_name("group")
    producer = begin(both)
    never = both.topic_name("never")
    for v in (0, 1, 2, 3):
        add(both, v, producer, topic, 0, 9)
        state(both, producer)
    for names in ([topic, never], [never], [topic, topic]):
        for v in (3, 4, 5):
            rows = [{"Name": name, "Partitions": [0, 1]} for name in names]
            if v > 3:
                both.ask("AddPartitionsToTxn", v, {"Transactions": [
                    {**ident(producer), "VerifyOnly": False, "Topics": rows}]})
            else:
                both.ask("AddPartitionsToTxn", v, {
                    **{"V3AndBelow" + key: value for key, value in ident(producer).items()}, "V3AndBelowTopics": rows},
                    until=lambda answer: all(row["PartitionErrorCode"] != 51
                                             for told in answer["ResultsByTopicV3AndBelow"]
                                             for row in told["ResultsByPartition"]))
            state(both, producer)
    for v in (9, 12):
        for partition in (1, 7):
            write(both, producer, topic, 0, v=v, partition=partition)
    state(both, producer)
    for v in (3, 4, 5):
        offsets(both, v, producer, group, topic)    # without AddOffsetsToTxn
    for v in (3, 4):
        add_offsets(both, v, producer, "")
    end(both, 4, producer, commit=False)


@scenario
def records_that_do_not_fit_a_transaction(both):
    """With no id, of another kind, of another producer; control batches. Each in a transaction of its own."""
    number, other = 0, begin(both, "other")
    for v in (9, 12):
        for name, more in (
                (None, {}), (True, {"attributes": 0}), (True, {"attributes": 0x20}), (True, {"attributes": 0x30}),
                (True, {"pid": -1, "epoch": -1, "seq": -1, "attributes": 0}), (True, {"pid": other[1]}),
                (True, {"seq": 7}), (True, {"seq": 0}), (True, {"epoch": 1, "seq": 0})):
            number += 1
            topic, producer = both.topic(f"a{number}")[0], begin(both, f"t{number}")
            add(both, 3, producer, topic, 0)
            write(both, producer, topic, 0)
            batch = {"records": [{"v": "x", "ts": "#now"}], "attributes": 0x10, "pid": producer[1],
                     "epoch": producer[2], "seq": 1, **more}
            both.ask("Produce", v, {"TransactionalId": name and producer[0], "Acks": -1, "TimeoutMs": 5000,
                                    "TopicData": [{"Name": topic, "PartitionData": [{"Index": 0, "Records": batch}]}]})
            state(both, producer)
            finish(both, V1, producer, number % 2 == 0)
            read(both, topic, level=0)


@scenario
def stranger_in_an_open_transaction(both):
    """The records are those of the producer whose transaction is open, the transactional id is another."""
    topic = both.topic("a")[0]
    producer = begin(both)
    add(both, 3, producer, topic, 0)
    write(both, producer, topic, 0)
    write(both, (both.topic_name("stranger"), *producer[1:]), topic, 0)


@scenario
def transactions_of_nobody(both):
    topic = both.topic("a")[0]
    producer = begin(both, "t")
    add(both, 3, producer, topic, 0)
    write(both, (producer[0], -1, -1), topic, -1)


@scenario
def epoch_of_the_future(both):
    """InitProducerId with an epoch that was never given, in each state."""
    topic = both.topic("a")[0]
    for protocol in (V1, V2):
        for commit in (None, True, False):
            producer = begin(both, f"t{protocol}{commit}", version=5)
            again(both, 5, (producer[0], producer[1], producer[2] + 1))
            state(both, producer)
            producer = begin(both, f"t{protocol}{commit}", version=5)
            producer = transaction(both, protocol, producer, topic, 0, commit)
            again(both, 5, (producer[0], producer[1], producer[2] + 1))
            state(both, producer)


@scenario
def transactions_are_listed(both):
    topic = both.topic("a", 2)[0]
    one, two, three = begin(both, "one"), begin(both, "two"), begin(both, "three")
    transaction(both, V1, one, topic, 0)
    transaction(both, V1, two, topic, 0, commit=True)
    for v, more in ((0, {}), (0, {"StateFilters": ["Ongoing", "CompleteCommit"]}), (0, {"StateFilters": ["ongoing"]}),
                    (0, {"ProducerIdFilters": [one[1], 424242]}), (1, {"DurationFilter": 0}),
                    (0, {"ProducerIdFilters": [two[1]], "StateFilters": ["Ongoing"]}),
                    (1, {"DurationFilter": 3600000}), (1, {"DurationFilter": -5}),
                    (2, {"TransactionalIdPattern": ".*one.*"}),
                    (2, {"TransactionalIdPattern": "one"}), (2, {"TransactionalIdPattern": ""}),
                    (2, {"TransactionalIdPattern": ".*(one|three).*"}), (2, {"TransactionalIdPattern": "("}),
                    (0, {"StateFilters": ["Dead", "PrepareCommit", "PrepareAbort", "PrepareEpochFence", "Nonsense"]})):
        both.ask("ListTransactions", v, more, mine=True)
    both.ask("DescribeTransactions", 0, {"TransactionalIds": [one[0], two[0], three[0], both.topic_name("never")]})
    both.ask("DescribeTransactions", 0, {"TransactionalIds": []})
    both.ask("DescribeTransactions", 0, {"TransactionalIds": [""]})
    both.ask("DescribeProducers", 0, {"Topics": [{"Name": topic, "PartitionIndexes": [0, 1, 9]},
                                                 {"Name": both.topic_name("never"), "PartitionIndexes": [0]}]})
    end(both, 4, one, commit=False)


@each_version("WriteTxnMarkers")
def abort_by_an_admin(both, v):
    """As kafka-transactions.sh does it: a marker for one partition, behind the coordinator's back."""
    topic = both.topic("a", 2)[0]
    producer = begin(both)
    add(both, 3, producer, topic, 0, 1)
    for partition in (0, 1):
        write(both, producer, topic, 0, partition=partition)

    def mark(epoch, partition=0, coordinator=0, commit=False, pid=None):
        both.ask("WriteTxnMarkers", v, {"Markers": [
            {"ProducerId": producer[1] if pid is None else pid, "ProducerEpoch": epoch, "TransactionResult": commit,
             "CoordinatorEpoch": coordinator, "Topics": [{"Name": topic, "PartitionIndexes": [partition]}]}]})
    mark(producer[2])
    read(both, topic, until=stable(2))
    shown(both, producer, topic)
    mark(producer[2])                               # there is nothing to abort any more
    read(both, topic, level=0)
    write(both, producer, topic, 1)
    shown(both, producer, topic)
    end(both, 4, producer)
    state(both, producer, "CompleteCommit")
    read(both, topic, level=0)
    shown(both, producer, topic)


@scenario
def transactions_and_deleted_records(both):
    """DeleteRecords through a transaction that is open, and through one that was aborted."""
    topic = both.topic("a")[0]
    producer = begin(both)
    transaction(both, V1, producer, topic, 0, commit=False)
    transaction(both, V1, producer, topic, 1)
    both.produce(topic, {"values": ["plain"]})

    def cut(offset):
        both.ask("DeleteRecords", 2, {"TimeoutMs": 5000, "Topics": [{"Name": topic, "Partitions": [
            {"PartitionIndex": 0, "Offset": offset}]}]})
        for level in (0, 1):
            read(both, topic, offset=offset, level=level)
        shown(both, producer, topic)
    cut(1)
    cut(2)
    cut(3)
    finish(both, V1, producer, True)
    read(both, topic, offset=3, until=stable(5))
    shown(both, producer, topic)
