"""probe.py - single requests of a test's own: produce and fetch, offsets; how soon does a broker serve after its start?

What is said and heard is made by messages.py and batches.py, which share no code with the broker.
"""

import socket
import struct
import time

import batches
import harness
import messages

apis = messages.Apis()


# ---- a request and its answer --------------------------------------------------------------------

def send_and_receive(connection, request):
    """A frame, made once and sent often; the bytes of the answer, with its header."""
    connection.sendall(request)
    size, = struct.unpack(">i", harness.receive_exactly(connection, 4))
    return harness.receive_exactly(connection, size)


def ask(connection, api, version, body):
    """By Kafka's names: ask(connection, "Metadata", 12, {"Topics": None}) is the answer as a dict."""
    return apis.answer(api, version, send_and_receive(connection, apis.request(api, version, body)))


def only(rows):
    """What stands in the answer to one of everything."""
    if len(rows) != 1:
        raise harness.Failed(f"an answer about {len(rows)}, one was asked for")
    return rows[0]


# ---- records ---------------------------------------------------------------------------------------

def batch(values, timestamp_ms=None, producer=(-1, -1, -1)):
    """A record batch v2, uncompressed, without keys."""
    now = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    return batches.build({"values": [value.decode("latin-1") for value in values], "ts": now, "max": now,
                          "pid": producer[0], "epoch": producer[1], "seq": producer[2]})


def _produce_body(data, acks, timeout_ms=30000):
    return {"Acks": acks, "TimeoutMs": timeout_ms, "TopicData": [
        {"Name": topic, "PartitionData": [{"Index": partition, "Records": one} for partition, one in parts.items()]}
        for topic, parts in data.items()]}


def _fetch_body(offsets, max_bytes, partition_max_bytes, wait_ms):
    return {"ReplicaId": -1, "MaxWaitMs": wait_ms, "MinBytes": 1, "MaxBytes": max_bytes, "Topics": [
        {"Topic": topic, "Partitions": [{"Partition": partition, "FetchOffset": offset,
                                         "PartitionMaxBytes": partition_max_bytes}
                                        for partition, offset in parts.items()]} for topic, parts in offsets.items()]}


def produce(connection, topic, partition, data, acks=-1):
    """(error code, base offset)"""
    answer = send_and_receive(connection, produce_frame({topic: {partition: data}}, acks))
    return produce_answer(answer)[topic, partition]


def fetch(connection, topic, partition, offset, max_bytes=1 << 20, wait_ms=500):
    """(error code, high watermark, record bytes)"""
    answer = send_and_receive(connection, fetch_frame({topic: {partition: offset}}, max_bytes, max_bytes, wait_ms))
    return fetch_answer(answer)[topic, partition]


def produce_and_fetch(host, port, topic, partition=0, timeout_s=10):
    """One record in, and the same record out again. Raises unless both work."""
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        value = b"probe %d" % time.monotonic_ns()
        error, offset = produce(connection, topic, partition, batch([value]))
        if error:
            raise harness.Failed(f"produce to {topic}-{partition}: error {error}")
        error, _, data = fetch(connection, topic, partition, offset)
        if error or value not in data:
            raise harness.Failed(f"fetch of {topic}-{partition} at {offset}: error {error}, {len(data)} bytes")


# ---- many partitions at once -------------------------------------------------------------------

def produce_frame(data, acks=-1):
    """data: {topic: {partition: batch bytes}}"""
    return apis.request("Produce", 3, _produce_body(data, acks))


def produce_answer(answer):
    """{(topic, partition): (error code, base offset)}"""
    return {(topic["Name"], row["Index"]): (row["ErrorCode"], row["BaseOffset"])
            for topic in apis.answer("Produce", 3, answer)["Responses"] for row in topic["PartitionResponses"]}


def fetch_frame(offsets, max_bytes=50 << 20, partition_max_bytes=4096, wait_ms=0):
    """offsets: {topic: {partition: offset}}"""
    return apis.request("Fetch", 4, _fetch_body(offsets, max_bytes, partition_max_bytes, wait_ms))


def fetch_answer(answer):
    """{(topic, partition): (error code, high watermark, record bytes)}"""
    return {(topic["Topic"], row["PartitionIndex"]): (row["ErrorCode"], row["HighWatermark"], row["Records"] or b"")
            for topic in apis.answer("Fetch", 4, answer)["Responses"] for row in topic["Partitions"]}


# ---- groups' offsets ---------------------------------------------------------------------------------

def commit_offset(connection, group, topic, partition, offset):
    """The error code; by nobody who is a member."""
    answer = ask(connection, "OffsetCommit", 2, {"GroupId": group, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": partition, "CommittedOffset": offset}]}]})
    return only(only(answer["Topics"])["Partitions"])["ErrorCode"]


def committed_offsets(connection, group, topic, partitions):
    """[(error code, offset or -1)] in the order of `partitions`."""
    answer = ask(connection, "OffsetFetch", 1, {"GroupId": group, "Topics": [
        {"Name": topic, "PartitionIndexes": list(partitions)}]})
    told = {row["PartitionIndex"]: (row["ErrorCode"], row["CommittedOffset"])
            for row in only(answer["Topics"])["Partitions"]}
    return [told[partition] for partition in partitions]
