"""python_client.py - run by clients.py with the python of its venv: produce, consume in a group, administrate.

    python_client.py confluent|kafka_python BOOTSTRAP TOPIC GROUP

Sends 500 records with each codec, with keys, headers and timestamps, reads them back in a group, compares, and
prints {"sent": N, "read": N, "codecs": [...]}.
"""

import json
import sys
import time

COUNT = 500
PATIENCE_S = 30


def wanted(codecs):
    """{key: value} of everything."""
    return {f"{codec}-{number}": f"{codec} value {number} " + "x" * 100
            for codec in codecs for number in range(COUNT)}


def check(read, codecs):
    """read: [(key, value, headers, timestamp)]"""
    expected = wanted(codecs)
    assert len(read) == len(expected), f"{len(read)} records for {len(expected)}"
    for key, value, headers, timestamp in read:
        assert expected.pop(key) == value, f"{key}: {value}"
        assert headers == [("codec", key.split("-")[0].encode()), ("nothing", b"")], headers
        assert timestamp == 1700000000000 + int(key.split("-")[1]), timestamp
    assert not expected, expected


def with_confluent(bootstrap, topic, group):
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient, OffsetSpec
    from confluent_kafka import TopicPartition
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    failures, sent = [], 0
    for codec in codecs:
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 5,
                             "enable.idempotence": True})
        for number in range(COUNT):
            producer.produce(topic, key=f"{codec}-{number}", value=f"{codec} value {number} " + "x" * 100,
                             headers=[("codec", codec.encode()), ("nothing", b"")],
                             timestamp=1700000000000 + number,
                             on_delivery=lambda error, _: failures.append(str(error)) if error else None)
            sent += 1
        assert producer.flush(PATIENCE_S) == 0 and not failures, failures
    admin = AdminClient({"bootstrap.servers": bootstrap})
    ends = admin.list_offsets({TopicPartition(topic, p): OffsetSpec.latest() for p in range(2)})
    assert sum(future.result(PATIENCE_S).offset for future in ends.values()) == sent
    assert topic in admin.list_topics(timeout=PATIENCE_S).topics
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "check.crcs": True})
    consumer.subscribe([topic])
    read, end = [], time.monotonic() + PATIENCE_S
    while len(read) < sent and time.monotonic() < end:
        for message in consumer.consume(500, 0.2):
            assert not message.error(), message.error()
            read.append((message.key().decode(), message.value().decode(), message.headers(),
                         message.timestamp()[1]))
    consumer.commit(asynchronous=False)
    described = admin.describe_consumer_groups([group])[group].result(PATIENCE_S)
    assert len(described.members) == 1 and described.state.name == "STABLE", described
    consumer.close()
    described = admin.describe_consumer_groups([group])[group].result(PATIENCE_S)
    assert not described.members and described.state.name == "EMPTY", described
    check(read, codecs)
    return sent, len(read), codecs


def with_kafka_python(bootstrap, topic, group):
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
    codecs, sent = ["none", "gzip"], 0
    for codec in codecs:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5,
                                 compression_type=None if codec == "none" else codec)
        waiting = [producer.send(topic, key=f"{codec}-{number}".encode(),
                                 value=(f"{codec} value {number} " + "x" * 100).encode(),
                                 headers=[("codec", codec.encode()), ("nothing", b"")],
                                 timestamp_ms=1700000000000 + number) for number in range(COUNT)]
        for future in waiting:
            future.get(timeout=PATIENCE_S)
            sent += 1
        producer.close()
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
                             enable_auto_commit=False)
    read, end = [], time.monotonic() + PATIENCE_S
    while len(read) < sent and time.monotonic() < end:
        for batch in consumer.poll(timeout_ms=200).values():
            read += [(record.key.decode(), record.value.decode(), list(record.headers), record.timestamp)
                     for record in batch]
    ends = consumer.end_offsets([TopicPartition(topic, p) for p in range(2)])
    assert sum(ends.values()) == sent, ends
    consumer.commit()
    consumer.close()
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    assert topic in admin.list_topics()
    admin.close()
    check(read, codecs)
    return sent, len(read), codecs


def main():
    client, bootstrap, topic, group = sys.argv[1:]
    do = {"confluent": with_confluent, "kafka_python": with_kafka_python}[client]
    sent, read, codecs = do(bootstrap, topic, group)
    print(json.dumps({"sent": sent, "read": read, "codecs": codecs}))


main()
