"""Hanging transactions (KIP-664): records of a transaction in a partition that its coordinator was not told of, with
transaction.partition.verification.enable=false, and how an administrator ends them."""

from oracle import scenario
from scenarios_transactions import add, begin, end, read, stable, write
from scenarios_zombies import shown, state

VERIFICATION = "transaction.partition.verification.enable"


def verification(both, value):
    """Of the whole broker, while it runs; None: as it was."""
    both.ask("IncrementalAlterConfigs", 1, {"Resources": [
        {"ResourceType": 4, "ResourceName": "1", "Configs": [
            {"Name": VERIFICATION, "ConfigOperation": 1 if value is None else 0, "Value": value}]}]}, "x")
    wanted = value or "true"
    both.ask("DescribeConfigs", 4, {"Resources": [
        {"ResourceType": 4, "ResourceName": "1", "ConfigurationKeys": [VERIFICATION]}]}, "x",
        until=lambda answer: answer["Results"][0]["Configs"][0]["Value"] == wanted)


def marker(both, producer, topic, v=1, partition=0, **more):
    row = {"ProducerId": producer[1], "ProducerEpoch": producer[2], "TransactionResult": False, "CoordinatorEpoch": 0,
           "Topics": [{"Name": topic, "PartitionIndexes": [partition]}], **more}
    return both.ask("WriteTxnMarkers", v, {"Markers": [row]}, "x")


@scenario
def verification_is_on(both):
    """The default: nothing gets in that could hang."""
    topic = both.topic("a", 2)[0]
    producer = begin(both)
    for v in (3, 8, 9, 10, 11):
        write(both, producer, topic, 0, v=v)
    add(both, 3, producer, topic, 1)
    for v in (3, 8, 9, 10, 11):
        write(both, producer, topic, 0, v=v)
    shown(both, producer, topic, "Ongoing")
    end(both, 3, producer)


@scenario
def verification_is_off(both):
    """What then hangs, who can still write, and the marker that ends it."""
    topic = both.topic("a", 2)[0]
    verification(both, "false")
    begin(both)
    producer = begin(both)
    for seq, v in enumerate((3, 8, 9, 10, 11)):
        write(both, producer, topic, seq, v=v)
    shown(both, producer, topic)
    read(both, topic)
    read(both, topic, level=0)
    write(both, producer, topic, 4)                         # again
    write(both, producer, topic, 9)                         # one is missing
    write(both, (producer[0], producer[1], producer[2] - 1), topic, 5)
    write(both, producer, topic, 5, attributes=0)           # not of a transaction
    both.ask("Produce", 9, {"TransactionalId": None, "Acks": -1, "TimeoutMs": 5000, "TopicData": [
        {"Name": topic, "PartitionData": [{"Index": 0, "Records": {
            "values": ["x"], "attributes": 0x10, "pid": producer[1], "epoch": producer[2], "seq": 5}}]}]})
    end(both, 3, producer)                                  # its coordinator knows of nothing
    end(both, 3, producer, commit=False)
    begin(both)                                             # nor a newer instance
    shown(both, producer, topic)
    marker(both, (producer[0], producer[1], producer[2] - 1), topic)
    marker(both, producer, topic, CoordinatorEpoch=-1)
    read(both, topic, until=stable(6))
    shown(both, producer, topic)
    marker(both, producer, topic)                           # again
    read(both, topic, offset=5)
    write(both, producer, topic, 5)
    shown(both, producer, topic)
    marker(both, producer, topic, v=2, TransactionVersion=1)
    shown(both, producer, topic)
    verification(both, None)
    write(both, producer, topic, 6)


@scenario
def some_partitions_hang(both):
    """Those that were added end, one that was not does not; and later the same producer's can be ended as any."""
    topic = both.topic("a", 2)[0]
    verification(both, "false")
    producer = begin(both)
    add(both, 3, producer, topic, 1)
    write(both, producer, topic, 0, partition=1)
    write(both, producer, topic, 0)
    end(both, 3, producer)
    state(both, producer, "CompleteCommit")
    shown(both, producer, topic)
    both.ask("DescribeProducers", 0, {"Topics": [{"Name": topic, "PartitionIndexes": [0, 1]}]}, "x")
    read(both, topic)
    add(both, 3, producer, topic, 0)
    write(both, producer, topic, 1)
    end(both, 3, producer, commit=False)
    read(both, topic, until=stable(3))
    shown(both, producer, topic)
    verification(both, None)


@scenario
def nobody_hangs(both):
    """Without verification not even the id must be one, nor the producer."""
    topic = both.topic("a")[0]
    verification(both, "false")
    for number, name in enumerate(("stranger", "other")):
        producer = (both.topic_name(name), 424242 + number, 3)
        write(both, producer, topic, 7)
        write(both, producer, topic, 8, v=11)
    both.ask("DescribeProducers", 0, {"Topics": [{"Name": topic, "PartitionIndexes": [0]}]}, "x")
    verification(both, None)
    marker(both, ("", 424242, 3), topic, TransactionResult=True)
    read(both, topic, until=stable(1))
    marker(both, ("", 424243, 3), topic)
    read(both, topic, until=stable(4))
    both.ask("DescribeProducers", 0, {"Topics": [{"Name": topic, "PartitionIndexes": [0]}]}, "x")
