"""Records in and out: Produce and Fetch."""

from oracle import each_version, scenario

TIME = 1700000000000
UNKNOWN_UUID = "1234567890abcdef" * 2
MAX_BYTES = 1 << 20


def produce(both, v, topic, *parts, acks=-1, **more):
    """topic: (name, id); parts: records, or (partition, records)"""
    rows = [{"Index": part[0], "Records": part[1]} if isinstance(part, tuple) else {"Index": 0, "Records": part}
            for part in parts]
    body = {"Acks": acks, "TimeoutMs": 5000, "TopicData": [{"Name": topic[0], "TopicId": topic[1],
                                                            "PartitionData": rows}], **more}
    return both.ask("Produce", v, body)


def fetch(both, v, topic, *parts, conn="a", **more):
    """parts: offset, or {fields of a partition}"""
    rows = [{"PartitionMaxBytes": MAX_BYTES, **(part if isinstance(part, dict) else {"FetchOffset": part})}
            for part in parts]
    body = {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "SessionEpoch": -1, "Topics": [
        {"Topic": topic[0], "TopicId": topic[1], "Partitions": rows}], **more}
    return both.ask("Fetch", v, body, conn)


@each_version("Produce")
def produce_good(both, v):
    topic = both.topic("a", 2)
    produce(both, v, topic, {"values": ["one"]})
    produce(both, v, topic, {"values": ["two", "three"]}, (1, {"values": ["elsewhere"]}))
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        produce(both, v, topic, {"values": [f"{codec} one", f"{codec} two"], "codec": codec})
    produce(both, v, topic, {"records": [{"k": "key", "v": None, "h": [["a", "b"], ["c", None]]},
                                         {"k": None, "v": "", "ts": TIME + 5}]})
    produce(both, v, topic, {"values": ["acked by one"]}, acks=1)
    both.mute("Produce", v, {"Acks": 0, "TimeoutMs": 5000, "TopicData": [
        {"Name": topic[0], "TopicId": topic[1], "PartitionData": [{"Index": 0, "Records": {"values": ["quiet"]}}]}]})
    produce(both, v, topic, {"values": ["after the quiet one"]})
    produce(both, v, topic)
    both.ask("Produce", v, {"Acks": -1, "TimeoutMs": 5000, "TopicData": []})
    fetch(both, 12, topic, 0, {"Partition": 1, "FetchOffset": 0})


@each_version("Produce")
def produce_wrong_places(both, v):
    topic = both.topic("a")
    good = {"values": ["x"]}
    produce(both, v, topic, (7, good))
    produce(both, v, topic, (-1, good))
    produce(both, v, topic, good, (3, good))
    produce(both, v, (both.topic_name("unknown"), UNKNOWN_UUID), good)
    if v < 13:
        produce(both, v, ("a/b", UNKNOWN_UUID), good)
        produce(both, v, ("", UNKNOWN_UUID), good)
        produce(both, v, ("__consumer_offsets", UNKNOWN_UUID), good)
    else:
        produce(both, v, ("", "0" * 32), good)
    for acks in (2, -2, 99):
        produce(both, v, topic, good, acks=acks)
    fetch(both, 12, topic, 0)


@each_version("Produce")
def repeated_produce(both, v):
    """The same partition twice in one request."""
    produce(both, v, both.topic("a"), {"values": ["x"]}, {"values": ["x"]})


WRONG_BATCHES = {
    "crc": {"values": ["x"], "crc": 1},
    "crc and gzip": {"values": ["x"], "crc": 1, "codec": "gzip"},
    "magic 0": {"values": ["x"], "magic": 0},
    "magic 1": {"values": ["x"], "magic": 1},
    "magic 3": {"values": ["x"], "magic": 3},
    "magic -1": {"values": ["x"], "magic": -1},
    "count more": {"values": ["x", "y"], "count": 3},
    "count less": {"values": ["x", "y"], "count": 1},
    "count 0": {"values": ["x"], "count": 0},
    "count -1": {"values": ["x"], "count": -1},
    "count more, last too": {"values": ["x", "y"], "count": 3, "last": 2},
    "count less, last too": {"values": ["x", "y"], "count": 1, "last": 0},
    "last more": {"values": ["x", "y"], "last": 5},
    "last less": {"values": ["x", "y"], "last": 0},
    "last -1": {"values": ["x"], "last": -1},
    "no records": {"values": []},
    "nothing": "",
    "length longer": {"values": ["x"], "length": 10},
    "length shorter": {"values": ["x"], "length": -2},
    "cut": {"values": ["x"], "cut": 3},
    "cut in the head": {"values": ["x"], "cut": 40},
    "extra": {"values": ["x"], "extra": "0000"},
    "two batches": [{"values": ["x"]}, {"values": ["y"]}],
    "control": {"values": ["x"], "attributes": 0x20},
    "transactional": {"values": ["x"], "attributes": 0x10},
    "transactional with producer": {"values": ["x"], "attributes": 0x10, "pid": 5, "epoch": 0, "seq": 0},
    "log append time from a client": {"values": ["x"], "attributes": 8},
    "producer without sequence": {"values": ["x"], "pid": 5, "epoch": 0, "seq": -1},
    "base offset": {"values": ["x"], "base": 77},
    "leader epoch": {"values": ["x"], "leader_epoch": 9},
    "offsets with holes": {"records": [{"v": "x", "off": 0}, {"v": "y", "off": 4}], "last": 4},
    "offsets falling": {"records": [{"v": "x", "off": 1}, {"v": "y", "off": 0}]},
    "record longer": {"records": [{"v": "x", "grow": 4}]},
    "record shorter": {"records": [{"v": "x", "grow": -1}]},
    "headers -1": {"records": [{"v": "x", "headers": -1}]},
    "headers more": {"records": [{"v": "x", "headers": 2}]},
    "bytes left over": {"values": ["x"], "inner": "00ff"},
    "max timestamp wrong": {"values": ["x"], "max": TIME + 12345},
    "max timestamp wrong, gzip": {"values": ["x"], "max": TIME + 12345, "codec": "gzip"},
    "record attributes": {"records": [{"v": "x", "attributes": 3}]},
}


@each_version("Produce")
def produce_wrong_batches(both, v):
    topic = both.topic("a")
    for batch in WRONG_BATCHES.values():
        produce(both, v, topic, batch)
    fetch(both, 12, topic, 0)


TIMES = {
    "far future": {"records": [{"v": "x", "ts": "#now+7200000"}]},
    "near future": {"records": [{"v": "x", "ts": "#now+1800000"}]},
    "one in the far future": {"records": [{"v": "x"}, {"v": "y", "ts": "#now+7200000"}]},
    "no timestamp": {"records": [{"v": "x", "ts": -1}]},
    "timestamp -2": {"records": [{"v": "x", "ts": -2}]},
    "timestamp 0": {"records": [{"v": "x", "ts": 0}]},
}


@each_version("Produce")
def produce_times(both, v):
    topic = both.topic("a")
    for batch in TIMES.values():
        produce(both, v, topic, batch)
    fetch(both, 12, topic, 0)


ACCIDENTS = {
    "codec 5": {"values": ["x"], "attributes": 5},
    "codec 7": {"values": ["x"], "attributes": 7},
    "not gzip": {"values": ["x"], "attributes": 1},
    "not zstd": {"values": ["x"], "attributes": 4},
}


@each_version("Produce", low=7)
def accident_produce(both, v):
    """What Kafka's code trips over."""
    topic = both.topic("a")
    for batch in ACCIDENTS.values():
        produce(both, v, topic, batch)
    fetch(both, 12, topic, 0)


@each_version("Produce", low=7)
def produce_configured(both, v):
    """Topics that limit what they take, or change it."""
    compact = both.topic("compact", cleanup_policy="compact")
    produce(both, v, compact, {"records": [{"k": "a", "v": "x"}]})
    produce(both, v, compact, {"records": [{"k": None, "v": "x"}]})
    produce(both, v, compact, {"records": [{"k": "a", "v": "x"}, {"k": None, "v": "y"}, {"k": None, "v": "z"}]})
    produce(both, v, compact, {"records": [{"k": "a", "v": "x"}, {"k": None, "v": "y"}], "codec": "gzip"})
    stamped = both.topic("stamped", message_timestamp_type="LogAppendTime")
    produce(both, v, stamped, {"records": [{"v": "x", "ts": 5}]})
    produce(both, v, stamped, {"values": ["x"], "codec": "gzip"})
    produce(both, v, stamped, {"records": [{"v": "x", "ts": "#now+7200000"}]})
    fetch(both, 12, stamped, 0)
    small = both.topic("small", max_message_bytes=200)
    produce(both, v, small, {"values": ["x" * 100]})
    produce(both, v, small, {"values": ["x" * 200]})
    produce(both, v, small, {"values": ["x" * 131]})
    produce(both, v, small, {"values": ["x" * 132]})
    produce(both, v, small, {"values": ["x" * 400], "codec": "gzip"})
    old = both.topic("old", message_timestamp_before_max_ms=60000, message_timestamp_after_max_ms=60000)
    produce(both, v, old, {"records": [{"v": "x", "ts": "#now"}]})
    produce(both, v, old, {"records": [{"v": "x", "ts": "#now-120000"}]})
    produce(both, v, old, {"records": [{"v": "x", "ts": "#now"}, {"v": "y", "ts": "#now+120000"}]})
    produce(both, v, old, {"records": [{"v": "x", "ts": -1}]})
    packed = both.topic("packed", compression_type="gzip")
    produce(both, v, packed, {"values": ["plain", "to be packed"]})
    produce(both, v, packed, {"values": ["packed already"], "codec": "gzip"})
    fetch(both, 12, packed, 0)
    plain = both.topic("plain", compression_type="uncompressed")
    produce(both, v, plain, {"values": ["packed", "to be plain"], "codec": "gzip"})
    fetch(both, 12, plain, 0)
    safe = both.topic("safe", min_insync_replicas=2)
    produce(both, v, safe, {"values": ["x"]})
    produce(both, v, safe, {"values": ["x"]}, acks=1)


@each_version("Produce")
def produce_idempotent(both, v):
    topic = both.topic("a", 2)
    pid = both.ask("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 60000})["ProducerId"]

    def send(seq, count=1, epoch=0, partition=0, producer=pid, **more):
        batch = {"values": [f"{seq}+{n}" for n in range(count)], "pid": producer, "epoch": epoch, "seq": seq, **more}
        return produce(both, v, topic, (partition, batch))
    send(0)
    send(1, 3)
    send(1, 3)              # a duplicate
    send(0)                 # an older one
    send(1, 2)              # overlaps
    send(5)                 # a gap
    send(4)
    for seq in (5, 6, 7, 8, 9):
        send(seq)
    send(4)                 # the sixth last: no longer known as a duplicate
    send(0)
    send(6)
    send(3, epoch=1)        # a new epoch begins with 0
    send(0, epoch=1)
    send(10)                # the old epoch
    send(0, epoch=1)
    send(1, epoch=1)
    send(0, epoch=3)
    send(2147483647, partition=1)       # the first may be any
    send(0, partition=1)                # and wraps
    send(2147483646, 3, partition=1, producer=1000)
    send(2, partition=1, producer=1000)
    send(1, partition=1, producer=1000)
    send(7, partition=1, producer=2000, epoch=4)
    send(8, partition=1, producer=2000, epoch=3)
    send(8, partition=1, producer=2000, epoch=-1)
    send(9, codec="gzip", partition=1, producer=2000, epoch=4)
    send(8, codec="gzip", partition=1, producer=2000, epoch=4)
    fetch(both, 12, topic, 0, {"Partition": 1, "FetchOffset": 0})


@each_version("InitProducerId")
def init_producer_id(both, v):
    first = both.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": 60000})["ProducerId"]
    both.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": 0})
    both.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": -1})
    both.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": 2147483647})
    if v >= 3:
        for pid, epoch in ((first, 0), (first, 5), (first, -1), (-1, 0), (4711, 3)):
            both.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": 60000, "ProducerId": pid,
                                           "ProducerEpoch": epoch})


@each_version("Fetch")
def fetch_simple(both, v):
    topic = both.topic("a", 3)
    for at in range(4):
        both.produce(topic[0], {"values": [f"{at} one", f"{at} two", f"{at} three"]})
    both.produce(topic[0], {"values": ["packed", "together"], "codec": "gzip"})
    both.produce(topic[0], {"values": ["of partition 1"]}, partition=1)
    for offset in (0, 1, 2, 3, 5, 11, 12, 13, 14):
        fetch(both, v, topic, offset)
    for offset in (15, -1, -2, 1 << 40):
        fetch(both, v, topic, offset)
    fetch(both, v, topic, 0, {"Partition": 1, "FetchOffset": 0}, {"Partition": 2, "FetchOffset": 0})
    fetch(both, v, topic, {"Partition": 7, "FetchOffset": 0}, 0)
    fetch(both, v, topic, {"Partition": -1, "FetchOffset": 0})
    fetch(both, v, (both.topic_name("unknown"), UNKNOWN_UUID), 0)
    if v < 13:
        fetch(both, v, ("a/b", UNKNOWN_UUID), 0)
        fetch(both, v, ("", UNKNOWN_UUID), 0)
    else:
        fetch(both, v, ("", "0" * 32), 0)
    fetch(both, v, topic)
    both.ask("Fetch", v, {"MaxWaitMs": 0, "SessionEpoch": -1, "Topics": []})
    for level in (0, 1):
        fetch(both, v, topic, 3, {"Partition": 1, "FetchOffset": 1}, IsolationLevel=level)
        fetch(both, v, topic, {"Partition": 1, "FetchOffset": 9}, IsolationLevel=level)
    fetch(both, v, topic, 0, RackId="some", MinBytes=1, MaxWaitMs=0)
    fetch(both, v, topic, 14, MinBytes=1, MaxWaitMs=20)
    fetch(both, v, topic, 14, {"Partition": 9, "FetchOffset": 9}, MinBytes=1000, MaxWaitMs=3000)
    fetch(both, v, topic, 14, MaxWaitMs=-1, MinBytes=5)
    fetch(both, v, topic, 12, MaxWaitMs=20, MinBytes=-5)
    fetch(both, v, topic, {"FetchOffset": 3, "LogStartOffset": 5})


@each_version("Fetch")
def fetch_limits(both, v):
    topic = both.topic("a", 2)
    for partition in (0, 1):
        for at in range(4):
            both.produce(topic[0], {"values": [f"{partition} {at} " + "x" * 100]}, partition=partition)
    size = 61 + 7 + 104 + 3     # about one batch
    for limit in (0, 1, size - 20, size, size + 20, 2 * size, 3 * size + 40):
        fetch(both, v, topic, {"FetchOffset": 0, "PartitionMaxBytes": limit})
        fetch(both, v, topic, {"FetchOffset": 0, "PartitionMaxBytes": limit},
              {"Partition": 1, "FetchOffset": 1, "PartitionMaxBytes": limit})
        fetch(both, v, topic, {"FetchOffset": 1}, {"Partition": 1, "FetchOffset": 0}, MaxBytes=limit)
        fetch(both, v, topic, {"FetchOffset": 4}, {"Partition": 1, "FetchOffset": 0}, MaxBytes=limit)


@each_version("Fetch")
def repeated_fetch(both, v):
    """The same partition twice in one request."""
    topic = both.topic("a")
    both.produce(topic[0], {"values": ["x"]})
    fetch(both, v, topic, 0, 0)


@each_version("Fetch")
def accident_fetch(both, v):
    """What Kafka's code trips over."""
    topic = both.topic("a")
    both.produce(topic[0], {"values": ["x"]})
    for level in (2, -1):
        fetch(both, v, topic, 0, IsolationLevel=level)
    fetch(both, v, topic, {"FetchOffset": 0, "PartitionMaxBytes": -1})
    fetch(both, v, topic, {"FetchOffset": 0}, MaxBytes=-1)


@each_version("Fetch", low=9)
def fetch_epochs(both, v):
    topic = both.topic("a")
    both.produce(topic[0], {"values": ["x", "y", "z"]})
    for epoch in (-1, 0, 1, 5, -2):
        fetch(both, v, topic, {"FetchOffset": 1, "CurrentLeaderEpoch": epoch})
    if v < 12:
        return
    for epoch in (-1, 0, 1, 5, -2):
        for offset in (0, 3, 4):
            fetch(both, v, topic, {"FetchOffset": offset, "LastFetchedEpoch": epoch})
    fetch(both, v, topic, {"FetchOffset": 1, "LastFetchedEpoch": 0, "CurrentLeaderEpoch": 0})


@each_version("Fetch")
def fetch_waits(both, v):
    """An answer that waits for a record."""
    topic = both.topic("a")
    rows = [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": MAX_BYTES}]
    body = {"ReplicaId": -1, "MaxWaitMs": 10000, "MinBytes": 1, "SessionEpoch": -1, "Topics": [
        {"Topic": topic[0], "TopicId": topic[1], "Partitions": rows}]}
    waiting = both.send("Fetch", v, body, "waits")
    both.produce(topic[0], {"values": ["at last"]})
    both.receive(waiting)


@scenario
def produce_many_partitions(both):
    """Several topics and partitions in one request; each tells for itself."""
    a, b = both.topic("a", 2), both.topic("b", 2)
    for v in (9, 12):
        both.ask("Produce", v, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [
            {"Name": a[0], "PartitionData": [{"Index": 0, "Records": {"values": ["x"]}},
                                             {"Index": 1, "Records": {"values": ["y"], "crc": 1}}]},
            {"Name": b[0], "PartitionData": [{"Index": 1, "Records": {"values": ["z"]}},
                                             {"Index": 5, "Records": {"values": ["z"]}}]},
            {"Name": both.topic_name("never"), "PartitionData": [{"Index": 0, "Records": {"values": ["z"]}}]}]})
    fetch(both, 12, a, 0, {"Partition": 1, "FetchOffset": 0})
    fetch(both, 12, b, 0, {"Partition": 1, "FetchOffset": 0})
