"""with_aiokafka.py - aiokafka as a client of the broker: the cases that other_clients.py describes."""

import asyncio
import hashlib
import json
import logging
import os
import signal
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

FIRST_TIME = 1700000000000
PER_CODEC = 101
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PATIENCE_S = 60


def say(line):
    os.write(1, f"{line}\n".encode())


def large():
    data, state = bytearray(900 * 1024), 1
    for at in range(len(data)):
        state = (state * 1103515245 + 12345) & 0x7fffffff
        data[at] = state >> 16 & 0xff
    return bytes(data)


def records_of(codec, mode, first):
    for number in range(PER_CODEC):
        name = f"{codec}-{mode}-{number}".encode()
        key, value = name, name + b"x" * 7 * number
        if number == PER_CODEC - 1:
            value = large()
        elif number % 10 == 3:
            key = None
        elif number % 10 == 7:
            value = None
        yield {"key": key, "value": value, "timestamp_ms": FIRST_TIME + first + number,
               "headers": [("codec", codec.encode()), ("empty", b"")]}


async def write(bootstrap, topic):
    sent = 0
    for codec in CODECS:
        for mode in ("plain", "idempotent"):
            producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5,
                                        compression_type=None if codec == "none" else codec,
                                        enable_idempotence=mode == "idempotent")
            await producer.start()
            for answer in [await producer.send(topic, **record) for record in records_of(codec, mode, sent)]:
                await answer
                sent += 1
            await producer.stop()
    say(json.dumps({"sent": sent, "codecs": CODECS, "modes": ["plain", "idempotent"]}))


async def read(bootstrap, topic, count, start):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_poll_records=100,
                                isolation_level="read_committed" if start == "committed" else "read_uncommitted")
    await consumer.start()
    await consumer._client.force_metadata_update()
    partitions = [TopicPartition(topic, number) for number in await known_partitions(consumer, topic)]
    consumer.assign(partitions)
    if start == "latest":
        await consumer.seek_to_end()
    elif start.isdigit():
        for partition, found in (await consumer.offsets_for_times({p: int(start) for p in partitions})).items():
            consumer.seek(partition, found.offset)
    else:
        await consumer.seek_to_beginning()
    for _ in range(int(count)):
        record = await asyncio.wait_for(consumer.getone(), PATIENCE_S)
        told = {"offset": record.offset, "key": record.key and record.key.decode(), "size": -1,
                "headers": [[name, text.decode()] for name, text in record.headers], "time": record.timestamp}
        if record.value is not None:
            told.update(size=len(record.value), digest=hashlib.sha256(record.value).hexdigest())
        say(json.dumps(told))
    await consumer.stop()


async def known_partitions(consumer, topic):
    while not consumer.partitions_for_topic(topic):
        await consumer.topics()
    return consumer.partitions_for_topic(topic)


class Listener(ConsumerRebalanceListener):
    def __init__(self, consumer):
        self.consumer = consumer

    async def on_partitions_revoked(self, revoked):
        if revoked:
            await self.consumer.commit()

    async def on_partitions_assigned(self, assigned):
        say("owns " + ",".join(str(number) for number in sorted(p.partition for p in assigned)))


async def member(bootstrap, topic, group, name, kind):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, client_id=name,
                                group_instance_id=name if kind == "static" else None, session_timeout_ms=6000,
                                heartbeat_interval_ms=500, auto_commit_interval_ms=100, retry_backoff_ms=100,
                                auto_offset_reset="earliest")
    consumer.subscribe([topic], listener=Listener(consumer))
    await consumer.start()
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    while not end.is_set():
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                say(f"record {record.partition} {record.offset} {record.value.decode()}")
    await consumer.commit()
    await consumer.stop()


async def produce(bootstrap, topic, mode):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=mode == "idempotent",
                                request_timeout_ms=30000)
    await producer.start()
    closed, answers = asyncio.Event(), set()
    asyncio.get_running_loop().add_reader(0, lambda: os.read(0, 1000) or closed.set())

    async def answered(number, answer):
        try:
            place = await answer
            say(f"acked {number} {place.partition} {place.offset}")
        except KafkaError as problem:
            say(f"failed {number} {problem!r}")
    number = 0
    while not closed.is_set():
        text = str(number).encode()
        one = asyncio.create_task(answered(number, await producer.send(topic, key=text, value=text)))
        answers.add(one)
        one.add_done_callback(answers.discard)
        number += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*answers)
    await producer.stop()


async def transact(producer, topic, prefix, commit):
    await producer.begin_transaction()
    for number in range(10):
        await producer.send_and_wait(topic, f"{prefix}-{number}".encode())
    await (producer.commit_transaction() if commit else producer.abort_transaction())


async def connected(bootstrap, name):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=name)
    await producer.start()
    return producer


async def copy_all(bootstrap, source, sink, group):
    producer = await connected(bootstrap, f"{group}-copier")
    consumer = AIOKafkaConsumer(source, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False,
                                auto_offset_reset="earliest", isolation_level="read_committed")
    await consumer.start()
    copied = 0
    while copied < 50:
        batches = await consumer.getmany(timeout_ms=1000)
        for commit in (False, True):
            await producer.begin_transaction()
            for records in batches.values():
                for record in records:
                    await producer.send(sink, record.value)
            if batches:
                await producer.send_offsets_to_transaction(
                    {partition: records[-1].offset + 1 for partition, records in batches.items()}, group)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        copied += sum(map(len, batches.values()))
    await consumer.stop()
    await producer.stop()
    return copied


async def transactions(bootstrap, source, sink, group):
    first = await connected(bootstrap, group)
    await transact(first, sink, "committed", True)
    await transact(first, sink, "aborted", False)
    copied = await copy_all(bootstrap, source, sink, group)
    second = await connected(bootstrap, group)
    await transact(second, sink, "second", True)
    fenced = None
    try:
        await transact(first, sink, "fenced", True)
    except KafkaError as problem:
        fenced = type(problem).__name__
    await transact(second, sink, "last", True)
    await second.stop()
    try:
        await first.stop()
    except KafkaError:
        pass  # it is fenced
    say(json.dumps({"copied": copied, "given up": True, "fenced": fenced}))


def codes(answer):
    rows = getattr(answer, "topic_errors", None) or answer.topic_error_codes
    return [for_code(row[1]).__name__ for row in sorted(rows)]


async def administrate(bootstrap, topic, group):
    admin, seen = AIOKafkaAdminClient(bootstrap_servers=bootstrap), {}
    await admin.start()
    wanted = [NewTopic(topic, 3, 1, topic_configs={"retention.ms": "86400000"})]
    seen["create"] = codes(await admin.create_topics(wanted))
    seen["create again"] = codes(await admin.create_topics(wanted))
    for count in (5, 2):
        try:
            await admin.create_partitions({topic: NewPartitions(count)})
            seen[f"partitions {count}"] = "done"
        except KafkaError as problem:
            seen[f"partitions {count}"] = type(problem).__name__
    seen["listed"] = topic in await admin.list_topics()
    seen["described"] = [(row["error_code"], len(row["partitions"]), row["is_internal"])
                         for row in await admin.describe_topics([topic])]
    cluster = await admin.describe_cluster()
    seen["cluster"] = (len(cluster["brokers"]), bool(cluster["cluster_id"]), cluster["controller_id"] >= 0)
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"cleanup.policy": "delete",
                                                                        "retention.bytes": "1000000"})
    seen["alter"] = [row[0] for answer in await admin.alter_configs([resource]) for row in answer.resources]
    await asyncio.sleep(1)  # Apache Kafka's broker hears of a change a little later
    asked = ConfigResource(ConfigResourceType.TOPIC, topic)
    for answer in await admin.describe_configs([asked], include_synonyms=True):
        for entry in answer.resources[0][4]:
            if entry[0] in ("retention.bytes", "retention.ms"):
                seen[entry[0]] = entry[1:]
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for number in range(50):
        await producer.send_and_wait(topic, b"v", partition=0, timestamp_ms=FIRST_TIME + number)
    await producer.stop()
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    seen["delete records"] = (await admin.delete_records({first: RecordsToDelete(30)}))[first]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([first, second])
    seen["start"] = (await consumer.beginning_offsets([first]))[first]
    seen["end"] = (await consumer.end_offsets([first]))[first]
    for what, when in (("after a time", 40), ("after the last time", 4000)):
        found = (await consumer.offsets_for_times({first: FIRST_TIME + when}))[first]
        seen[what] = found and (found.offset, found.timestamp)
    await consumer.commit({first: 40})
    seen["committed"] = (await consumer.committed(first), await consumer.committed(second))
    await consumer.stop()
    seen["group listed"] = (group, "consumer") in await admin.list_consumer_groups()
    seen["group described"] = [(row[0], row[2], row[3], len(row[5])) for answer in
                               await admin.describe_consumer_groups([group]) for row in answer.groups]
    seen["offsets"] = sorted((p.partition, found.offset) for p, found in
                             (await admin.list_consumer_group_offsets(group)).items())
    seen["topics deleted"] = codes(await admin.delete_topics([topic, f"{topic}-missing"]))
    await admin.close()
    say(json.dumps(seen))


CASES = {"write": write, "read": read, "member": member, "producer": produce, "transactions": transactions,
         "admin": administrate}
logging.basicConfig(level=logging.DEBUG if os.environ.get("CLIENT_DEBUG") else logging.WARNING,
                    format="%(asctime)s %(levelname)s %(name)s %(message)s")
asyncio.run(CASES[sys.argv[1]](*sys.argv[2:]))
