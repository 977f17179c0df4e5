"""Transactions step by step, of both protocols; what describes them; and fetch sessions, which also have a state."""

from oracle import each_version, scenario


def begin(both, name="t", timeout=60000, version=4, **more):
    """(transactional id, producer id, epoch)"""
    txn = both.topic_name(name)
    both.ask("FindCoordinator", 4, {"KeyType": 1, "CoordinatorKeys": [txn]})
    made = both.ask("InitProducerId", version, {"TransactionalId": txn, "TransactionTimeoutMs": timeout, **more},
                    until=lambda answer: answer["ErrorCode"] != 51)
    return txn, made["ProducerId"], made["ProducerEpoch"]


def ident(producer, **more):
    return {"TransactionalId": producer[0], "ProducerId": producer[1], "ProducerEpoch": producer[2], **more}


def add(both, v, producer, topic, *partitions, **more):
    rows = [{"Name": topic, "Partitions": list(partitions)}]
    head = {"V3AndBelow" + key: value for key, value in ident(producer, **more).items()}
    return both.ask("AddPartitionsToTxn", v, {**head, "V3AndBelowTopics": rows},
                    until=lambda answer: all(row["PartitionErrorCode"] != 51
                                             for told in answer["ResultsByTopicV3AndBelow"]
                                             for row in told["ResultsByPartition"]))


def write(both, producer, topic, seq, v=9, partition=0, **more):
    """A record of now: behind one of long ago Kafka begins another segment with the marker."""
    batch = {"records": [{"v": f"{producer[2]} {seq}", "ts": "#now"}], "attributes": 0x10,
             "pid": producer[1], "epoch": producer[2], "seq": seq, **more}
    return both.ask("Produce", v, {"TransactionalId": producer[0], "Acks": -1, "TimeoutMs": 5000, "TopicData": [
        {"Name": topic, "PartitionData": [{"Index": partition, "Records": batch}]}]})


def end(both, v, producer, commit=True, **more):
    return both.ask("EndTxn", v, ident(producer, Committed=commit, **more),
                    until=lambda answer: answer["ErrorCode"] != 51)


def read(both, topic, offset=0, level=1, v=11, until=None):
    return both.ask("Fetch", v, {"MaxWaitMs": 0, "SessionEpoch": -1, "IsolationLevel": level, "Topics": [
        {"Topic": topic, "Partitions": [{"Partition": 0, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}]}]},
        until=until)


def stable(to):
    return lambda answer: answer["Responses"][0]["Partitions"][0]["LastStableOffset"] >= to


@each_version("AddPartitionsToTxn")
def transaction(both, v):
    """Committed, aborted, and what goes wrong on the way."""
    if v > 3:       # of brokers
        return
    topic, _ = both.topic("a", 2)
    producer = begin(both)
    add(both, v, producer, topic, 0)
    write(both, producer, topic, 0)
    read(both, topic)
    read(both, topic, level=0)
    both.ask("ListOffsets", 5, {"ReplicaId": -1, "IsolationLevel": 1, "Topics": [
        {"Name": topic, "Partitions": [{"Timestamp": -1}]}]})
    add(both, v, producer, topic, 0, 1)
    end(both, min(v, 3), producer)
    read(both, topic, until=stable(2))
    end(both, min(v, 3), producer)
    add(both, v, producer, topic, 0)
    write(both, producer, topic, 1)
    end(both, min(v, 3), producer, commit=False)
    read(both, topic, until=stable(4))
    read(both, topic, offset=2)
    end(both, min(v, 3), producer, commit=False)
    add(both, v, producer, topic, 9)
    add(both, v, producer, both.topic_name("never"), 0)
    add(both, v, producer, topic, 0, ProducerId=424242)
    add(both, v, producer, topic, 0, ProducerEpoch=producer[2] + 1)
    add(both, v, producer, topic, 0, TransactionalId=both.topic_name("stranger"))
    add(both, v, producer, topic, 0, TransactionalId="")


@each_version("EndTxn")
def end_txn(both, v):
    topic, _ = both.topic("a")
    producer = begin(both)
    end(both, v, producer)
    if v >= 5:
        return
    end(both, v, producer, commit=False)
    add(both, 3, producer, topic, 0)
    write(both, producer, topic, 0)
    end(both, v, producer, ProducerEpoch=producer[2] + 1)
    end(both, v, producer, ProducerId=424242)
    end(both, v, producer, TransactionalId=both.topic_name("stranger"))
    end(both, v, producer, TransactionalId="")
    end(both, v, producer, commit=False)
    read(both, topic, until=stable(2))
    end(both, v, producer)
    end(both, v, producer, commit=False)


@scenario
def transaction_of_the_newer_protocol(both):
    """KIP-890: no AddPartitionsToTxn, and every end brings a new epoch."""
    topic, _ = both.topic("a")
    producer = begin(both, version=5)
    for commit in (True, False, True):
        write(both, producer, topic, 0, v=12)
        write(both, producer, topic, 1, v=12)
        done = end(both, 5, producer, commit=commit)
        end(both, 5, producer, commit=commit)
        write(both, producer, topic, 2, v=12)
        producer = (producer[0], done["ProducerId"], done["ProducerEpoch"])
    read(both, topic, until=stable(9))
    end(both, 5, producer, commit=False)


@each_version("InitProducerId")
def init_transactional(both, v):
    topic, _ = both.topic("a")
    both.ask("InitProducerId", v, {"TransactionalId": "", "TransactionTimeoutMs": 60000})
    for timeout in (0, -1, 900001):
        both.ask("InitProducerId", v, {"TransactionalId": both.topic_name("x"), "TransactionTimeoutMs": timeout})
    first = begin(both, version=v)
    second = begin(both, version=v)
    add(both, 3, first, topic, 0)
    write(both, first, topic, 0)
    end(both, 3, first)
    add(both, 3, second, topic, 0)
    write(both, second, topic, 0)
    begin(both, version=v)
    read(both, topic, until=stable(2))
    if v < 3:
        return
    third = begin(both, version=v)
    begin(both, version=v, ProducerId=third[1], ProducerEpoch=third[2])
    begin(both, version=v, ProducerId=third[1], ProducerEpoch=third[2])
    begin(both, version=v, ProducerId=third[1], ProducerEpoch=77)
    begin(both, version=v, ProducerId=424242, ProducerEpoch=third[2])


@scenario
def transaction_not_begun(both):
    """Transactional records where no transaction is."""
    topic, _ = both.topic("a")
    producer = begin(both)
    for v in (3, 9, 10, 11):
        write(both, producer, topic, 0, v=v)
    both.ask("Produce", 9, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [{"Name": topic, "PartitionData": [
        {"Index": 0, "Records": {"values": ["x"], "attributes": 0x10, "pid": producer[1], "epoch": producer[2],
                                 "seq": 0}}]}]})


@each_version("TxnOffsetCommit")
def txn_offset_commit(both, v):
    group, topic = both.topic_name("group"), both.topic("a")[0]
    producer = begin(both)

    def commit(offset, **more):
        return both.ask("TxnOffsetCommit", v, ident(producer, GroupId=group, Topics=[
            {"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": offset,
                                            "CommittedMetadata": "note"}]}], **more),
                        until=lambda answer: answer["Topics"][0]["Partitions"][0]["ErrorCode"] != 51)
    if v < 5:
        both.ask("AddOffsetsToTxn", min(v, 3), ident(producer, GroupId=group),
                 until=lambda answer: answer["ErrorCode"] != 51)
    commit(5)
    for required in (False, True):
        both.ask("OffsetFetch", 7, {"GroupId": group, "RequireStable": required,
                                    "Topics": [{"Name": topic, "PartitionIndexes": [0]}]})
    end(both, 3, producer)
    both.ask("OffsetFetch", 7, {"GroupId": group, "RequireStable": True,
                                "Topics": [{"Name": topic, "PartitionIndexes": [0]}]},
             until=lambda answer: answer["Topics"][0]["Partitions"][0]["CommittedOffset"] == 5)


@scenario
def offsets_of_two_transactions(both):
    """They count in the order in which they came, whichever transaction ends first."""
    group, topic = both.topic_name("group"), both.topic("a")[0]

    def commit(producer, offset):
        both.ask("AddOffsetsToTxn", 3, ident(producer, GroupId=group), until=lambda answer: answer["ErrorCode"] != 51)
        both.ask("TxnOffsetCommit", 3, ident(producer, GroupId=group, Topics=[
            {"Name": topic, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": offset,
                                            "CommittedMetadata": "note"}]}]))

    def expect(offset):
        both.ask("OffsetFetch", 7, {"GroupId": group, "RequireStable": True,
                                    "Topics": [{"Name": topic, "PartitionIndexes": [0]}]},
                 until=lambda answer: answer["Topics"][0]["Partitions"][0]["CommittedOffset"] == offset)

    first, second = begin(both, "first"), begin(both, "second")
    commit(first, 10)
    commit(second, 20)
    end(both, 3, first)
    end(both, 3, second)
    expect(20)
    commit(first, 30)
    commit(second, 40)
    end(both, 3, second)
    end(both, 3, first)
    expect(40)


@each_version("AddOffsetsToTxn")
def add_offsets_to_txn(both, v):
    producer = begin(both)
    for more in ({}, {"ProducerId": 424242}, {"ProducerEpoch": 9}, {"TransactionalId": both.topic_name("stranger")},
                 {"TransactionalId": ""}):
        both.ask("AddOffsetsToTxn", v, ident(producer, GroupId=both.topic_name("group"), **more),
                 until=lambda answer: answer["ErrorCode"] != 51)


@scenario
def describe_transactions(both):
    topic, _ = both.topic("a", 2)
    producer = begin(both)
    asked = {"TransactionalIds": [producer[0], both.topic_name("stranger")]}
    both.ask("DescribeTransactions", 0, asked)
    add(both, 3, producer, topic, 0, 1)
    write(both, producer, topic, 0)
    both.ask("DescribeTransactions", 0, asked)
    for v in (0, 1, 2):
        both.ask("ListTransactions", v, {}, mine=True)
        both.ask("ListTransactions", v, {"StateFilters": ["Ongoing"]}, mine=True)
        both.ask("ListTransactions", v, {"StateFilters": ["Empty", "Nonsense"]}, mine=True)
    both.ask("DescribeProducers", 0, {"Topics": [{"Name": topic, "PartitionIndexes": [0, 1]}]})
    end(both, 3, producer)
    both.ask("DescribeTransactions", 0, asked,
             until=lambda answer: any(row["TransactionState"] == "CompleteCommit"
                                      for row in answer["TransactionStates"]))


@each_version("Fetch", low=7)
def fetch_sessions(both, v):
    """KIP-227: only what has changed is told."""
    topic = both.topic("a", 3)

    def ask(session, epoch, *parts, forget=(), **more):
        rows = [{"Partition": part, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20} for part, offset in parts]
        left = [{"Topic": topic[0], "TopicId": topic[1], "Partitions": list(forget)}] if forget else []
        return both.ask("Fetch", v, {"ReplicaId": -1, "MaxWaitMs": 0, "SessionId": session, "SessionEpoch": epoch,
                                     "Topics": [{"Topic": topic[0], "TopicId": topic[1], "Partitions": rows}] if rows
                                     else [], "ForgottenTopicsData": left, **more})
    ask(0, 0)
    session = ask(0, 0, (0, 0), (1, 0))["SessionId"]
    ask(session, 1)
    both.produce(topic[0], {"values": ["x"]})
    ask(session, 2)
    ask(session, 3)
    ask(session, 4, (0, 1))
    ask(session, 5, (2, 0))
    both.produce(topic[0], {"values": ["y"]}, partition=2)
    ask(session, 6, forget=[1])
    both.produce(topic[0], {"values": ["z"]}, partition=1)
    ask(session, 7, (2, 9))
    ask(session, 8, (2, 1))
    ask(session, 9, (7, 0))
    ask(session, 10)
    ask(session, 5)
    ask(session, 99)
    ask(424242, 1)
    ask(session, -1, (0, 0))
    ask(session, 11)
    ask(424242, -1, (0, 1))
    ask(0, 1, (0, 0))


@each_version("AddPartitionsToTxn", low=4)
def verify_partitions(both, v):
    """What brokers ask of the coordinator: is the partition in the transaction?"""
    topic, _ = both.topic("a", 2)
    producer = begin(both)
    add(both, 3, producer, topic, 0)

    def ask(verify, *partitions, **more):
        both.ask("AddPartitionsToTxn", v, {"Transactions": [
            {**ident(producer, **more), "VerifyOnly": verify,
             "Topics": [{"Name": topic, "Partitions": list(partitions)}]}]})
    ask(True, 0)
    ask(True, 0, 1)
    ask(True, 0, ProducerEpoch=producer[2] + 1)
    ask(True, 0, ProducerId=424242)
    ask(True, 0, TransactionalId=both.topic_name("stranger"))
    end(both, 3, producer)


@each_version("WriteTxnMarkers")
def write_txn_markers(both, v):
    topic, _ = both.topic("a")
    producer = begin(both)
    for name, partition in ((topic, 7), (both.topic_name("never"), 0)):
        both.ask("WriteTxnMarkers", v, {"Markers": [
            {"ProducerId": producer[1], "ProducerEpoch": producer[2], "TransactionResult": False, "CoordinatorEpoch": 0,
             "Topics": [{"Name": name, "PartitionIndexes": [partition]}]}]})
    both.ask("WriteTxnMarkers", v, {"Markers": []})
