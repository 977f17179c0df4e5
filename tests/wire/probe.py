"""probe.py - produce one record and fetch it with raw frames: how soon does a broker serve after its start?

Made by hand from the protocol guide (Produce v3, Fetch v4, record batch v2), so it shares no code with the broker.
"""

import socket
import struct
import time

import harness

PRODUCE, FETCH = 0, 1


def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc32c_table()


def crc32c(data, before=0):
    """`before`: the checksum of what comes before `data`."""
    crc = before ^ 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def batch(values, timestamp_ms=None, producer=(-1, -1, -1)):
    """A record batch v2, uncompressed, without keys."""
    now = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    records = b""
    for delta, value in enumerate(values):
        body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    tail = struct.pack(">hiqqqhii", 0, len(values) - 1, now, now, *producer, len(values)) + records
    head = struct.pack(">ibI", -1, 2, crc32c(tail))
    return struct.pack(">qi", 0, len(head) + len(tail)) + head + tail


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def produce(connection, topic, partition, data, acks=-1):
    """(error code, base offset)"""
    body = struct.pack(">h", -1) + struct.pack(">hi", acks, 5000) + struct.pack(">i", 1) + text(topic)
    body += struct.pack(">iii", 1, partition, len(data)) + data
    answer = harness.request(connection, PRODUCE, 3, body)
    at = 4 + 2 + len(topic) + 4 + 4
    return struct.unpack(">hq", answer[at:at + 10])


def fetch(connection, topic, partition, offset, max_bytes=1 << 20, wait_ms=500):
    """(error code, high watermark, record bytes)"""
    body = struct.pack(">iiiib", -1, wait_ms, 1, max_bytes, 0) + struct.pack(">i", 1) + text(topic)
    body += struct.pack(">iiqi", 1, partition, offset, max_bytes)
    answer = harness.request(connection, FETCH, 4, body)
    at = 4 + 4 + 2 + len(topic) + 4 + 4
    error, high_watermark = struct.unpack(">hq", answer[at:at + 10])
    at += 10 + 8  # the last stable offset
    aborted, = struct.unpack(">i", answer[at:at + 4])
    at += 4 + 16 * max(aborted, 0)
    size, = struct.unpack(">i", answer[at:at + 4])
    return error, high_watermark, answer[at + 4:at + 4 + max(size, 0)]


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

def frame(api_key, api_version, body, correlation_id=1, client_id=b"probe"):
    """A whole request, made once and sent often."""
    head = struct.pack(">hhih", api_key, api_version, correlation_id, len(client_id)) + client_id
    return struct.pack(">i", len(head) + len(body)) + head + body


def send_and_receive(connection, request):
    connection.sendall(request)
    size, = struct.unpack(">i", harness.receive_exactly(connection, 4))
    return harness.receive_exactly(connection, size)[4:]


def produce_frame(data, acks=-1):
    """data: {topic: {partition: batch bytes}}"""
    body = struct.pack(">hhii", -1, acks, 30000, len(data))
    parts = [body]
    for topic, partitions in data.items():
        parts.append(text(topic) + struct.pack(">i", len(partitions)))
        for partition, bytes_ in partitions.items():
            parts.append(struct.pack(">ii", partition, len(bytes_)) + bytes_)
    return frame(PRODUCE, 3, b"".join(parts))


def produce_answer(answer):
    """{(topic, partition): (error code, base offset)}"""
    seen = {}
    count, = struct.unpack_from(">i", answer, 0)
    at = 4
    for _ in range(count):
        size, = struct.unpack_from(">h", answer, at)
        topic = answer[at + 2:at + 2 + size].decode()
        partitions, = struct.unpack_from(">i", answer, at + 2 + size)
        at += 2 + size + 4
        for _ in range(partitions):
            partition, error, offset, _ = struct.unpack_from(">ihqq", answer, at)
            seen[topic, partition] = (error, offset)
            at += 22
    return seen


def fetch_frame(offsets, max_bytes=50 << 20, partition_max_bytes=4096, wait_ms=0):
    """offsets: {topic: {partition: offset}}"""
    parts = [struct.pack(">iiiibi", -1, wait_ms, 1, max_bytes, 0, len(offsets))]
    for topic, partitions in offsets.items():
        parts.append(text(topic) + struct.pack(">i", len(partitions)))
        for partition, offset in partitions.items():
            parts.append(struct.pack(">iqi", partition, offset, partition_max_bytes))
    return frame(FETCH, 4, b"".join(parts))


def fetch_answer(answer):
    """{(topic, partition): (error code, high watermark, record bytes)}"""
    seen = {}
    count, = struct.unpack_from(">i", answer, 4)
    at = 8
    for _ in range(count):
        size, = struct.unpack_from(">h", answer, at)
        topic = answer[at + 2:at + 2 + size].decode()
        partitions, = struct.unpack_from(">i", answer, at + 2 + size)
        at += 2 + size + 4
        for _ in range(partitions):
            partition, error, high_watermark, _, aborted = struct.unpack_from(">ihqqi", answer, at)
            at += 26 + 16 * max(aborted, 0)
            length, = struct.unpack_from(">i", answer, at)
            seen[topic, partition] = (error, high_watermark, answer[at + 4:at + 4 + max(length, 0)])
            at += 4 + max(length, 0)
    return seen
