"""ledger.py - a client that keeps book of what a broker acknowledged, and checks later that it is still there.

Raw frames over one connection; nothing is sent twice, so what is there twice is a duplicate. Every entry
has the moment it was sent and the moment it was acknowledged, in the time of `clock` (a number that only
grows, for example the length of a log of disk writes). check(broker, at) then knows three kinds:

    acknowledged at or before `at`   must be there, at its offset, byte for byte
    sent after `at`                  must not be there
    the rest                         may be there, whole

and, besides: offsets have no gaps, batches lie in the order in which they were sent, everything read is
something that was sent, and committed offsets and deleted topics do not come back.
"""

import math
import socket
import struct
import time

import batches
import harness
import probe

NOW = 1 << 62  # after everything
UNKNOWN_TOPIC, STORAGE_ERROR = 3, 56
HEAD = 12  # base offset and length, in front of what the batch's length counts
CHECKED = 17  # from the checksum on nothing of a batch is the broker's to change

TAIL = 16  # of a value and what follows it in its batch: the number, and a count of no headers

_begun = {}


def batch(number, size):
    """The batch of that number, always the same bytes. All of a size differ only in their last bytes, so
    that the (slow) checksum of the rest is made once."""
    if size not in _begun:
        whole = probe.batch([b"v" * size + b"0" * (TAIL - 1)], timestamp_ms=1_700_000_000_000)
        _begun[size] = whole, batches.crc32c(whole[CHECKED + 4:-TAIL])
    whole, begun = _begun[size]
    tail = b"%0*d\0" % (TAIL - 1, number)
    return whole[:CHECKED] + struct.pack(">I", batches.crc32c(tail, begun)) + whole[CHECKED + 4:-TAIL] + tail


class Refused(Exception):
    """The broker answered with an error: nothing happened."""

    def __init__(self, what, error):
        super().__init__(f"{what}: error {error}")
        self.error = error


class Entry:
    def __init__(self, sent, **what):
        self.sent, self.acked = sent, math.inf
        self.__dict__.update(what)

    def must(self, at):
        return self.acked <= at

    def may(self, at):
        return self.sent <= at


class Ledger:
    def __init__(self, clock=lambda: 0):
        self.clock = clock
        self.topics = {}  # name → Entry(partitions, deleted: Entry or None)
        self.batches = {}  # (topic, partition) → [Entry(data, offset)]
        self.commits = {}  # (group, topic, partition) → [Entry(offset)]
        self.numbers = 0
        self.connection = None

    # ---- talking -------------------------------------------------------------------------------

    def connect(self, broker, timeout_s=20):
        self.close()
        self.connection = socket.create_connection((broker.host, broker.port), timeout=timeout_s)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def _ask(self, api, version, body):
        return probe.ask(self.connection, api, version, body)

    def _acked(self, entry, what, error):
        if error:
            entry.sent = math.inf  # refused: it must never be seen
            raise Refused(what, error)
        entry.acked = self.clock()

    def create(self, name, partitions=1):
        entry = self.topics[name] = Entry(self.clock(), partitions=partitions, deleted=None)
        for partition in range(partitions):
            self.batches[name, partition] = []
        answer = self._ask("CreateTopics", 2, {"timeoutMs": 10000, "Topics": [
            {"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1}]})
        self._acked(entry, f"create {name}", probe.only(answer["Topics"])["ErrorCode"])

    def delete(self, name):
        entry = self.topics[name].deleted = Entry(self.clock())
        answer = self._ask("DeleteTopics", 1, {"TopicNames": [name], "TimeoutMs": 10000})
        self._acked(entry, f"delete {name}", probe.only(answer["Responses"])["ErrorCode"])

    def produce(self, topic, partition, size=1000):
        self.numbers += 1
        data = batch(self.numbers, size)
        entry = Entry(self.clock(), data=data, offset=None)
        self.batches[topic, partition].append(entry)
        error, offset = probe.produce(self.connection, topic, partition, data)
        self._acked(entry, f"produce to {topic}-{partition}", error)
        entry.offset = offset
        return offset

    def commit(self, group, topic, partition, offset):
        entry = Entry(self.clock(), offset=offset)
        self.commits.setdefault((group, topic, partition), []).append(entry)
        self._acked(entry, f"commit of {group}",
                    probe.commit_offset(self.connection, group, topic, partition, offset))

    # ---- looking -------------------------------------------------------------------------------

    def committed(self, group, topic, partition):
        (error, offset), = probe.committed_offsets(self.connection, group, topic, [partition])
        if error:
            raise Refused(f"committed offset of {group}", error)
        return offset

    def end_offset(self, topic, partition):
        """(error, offset): the earliest (-2) is 0 here, so the latest is the count."""
        answer = self._ask("ListOffsets", 1, {"ReplicaId": -1, "Topics": [
            {"Name": topic, "Partitions": [{"PartitionIndex": partition, "Timestamp": -1}]}]})
        row = probe.only(probe.only(answer["Topics"])["Partitions"])
        return row["ErrorCode"], row["Offset"]

    def read(self, topic, partition):
        """Every batch of a partition: [(base offset, its bytes)]"""
        found, offset = [], 0
        while True:
            error, high_watermark, data = probe.fetch(self.connection, topic, partition, offset, 4 << 20, 0)
            if error:
                raise Refused(f"fetch of {topic}-{partition} at {offset}", error)
            at = 0
            while at + HEAD <= len(data):
                base, size = struct.unpack_from(">qi", data, at)
                if at + HEAD + size > len(data):
                    break
                found.append((base, data[at:at + HEAD + size]))
                last, = struct.unpack_from(">i", data, at + 23)
                offset = base + last + 1
                at += HEAD + size
            if offset >= high_watermark:
                return found
            if at == 0:
                raise harness.Failed(f"{topic}-{partition}: nothing at {offset} below {high_watermark}")

    # ---- checking ------------------------------------------------------------------------------

    def _check_log(self, topic, partition, at):
        name = f"{topic}-{partition}"
        entries = self.batches[topic, partition]
        by_bytes = {entry.data[CHECKED:]: number for number, entry in enumerate(entries)}
        newest, expected, seen = -1, 0, set()
        for base, data in self.read(topic, partition):
            number = by_bytes.get(data[CHECKED:])
            assert number is not None, f"{name}: at {base} is a batch that nobody sent"
            assert base == expected, f"{name}: offset {base} where {expected} should be"
            assert number not in seen, f"{name}: batch {number} is there twice, again at {base}"
            assert number > newest, f"{name}: batch {number} at {base} after batch {newest}"
            assert entries[number].may(at), f"{name}: batch {number} was refused, or sent after the end"
            if entries[number].must(at):
                assert base == entries[number].offset, f"{name}: {base}, acknowledged {entries[number].offset}"
            seen.add(number)
            newest, expected = number, base + 1
        lost = [n for n, entry in enumerate(entries) if entry.must(at) and n not in seen]
        assert not lost, f"{name}: acknowledged batches {lost} are lost of {len(entries)}; {len(seen)} are there"
        return len(seen)

    def _check_topic(self, name, entry, at):
        error, _ = self.end_offset(name, 0)
        gone = error == UNKNOWN_TOPIC
        deleted = entry.deleted
        if deleted and deleted.must(at):
            assert gone, f"{name} was deleted and is there again (error {error})"
        if gone:
            assert not entry.must(at) or (deleted and deleted.may(at)), f"the topic {name} is lost"
            return 0
        assert error == 0, f"{name}: error {error}"
        assert entry.may(at), f"the topic {name} was refused, or created after the end"
        return sum(self._check_log(name, p, at) for p in range(entry.partitions))

    def _check_commits(self, at):
        for (group, topic, partition), entries in self.commits.items():
            deleted = self.topics[topic].deleted
            if deleted and deleted.may(at):
                continue
            found = self.committed(group, topic, partition)
            safe = max([entry.offset for entry in entries if entry.must(at)], default=-1)
            asked = {entry.offset for entry in entries if entry.may(at)} | {-1}
            assert found >= safe, f"{group} of {topic}-{partition}: {found}, acknowledged {safe}"
            assert found in asked, f"{group} of {topic}-{partition}: {found} was never committed"

    def check(self, broker, at=NOW, timeout_s=20):
        """Everything above; the number of batches read. The broker goes on as it was."""
        self.connect(broker, timeout_s)
        try:
            # Group coordinators and topics are there with the first answer, or say so.
            count = sum(self._check_topic(name, entry, at) for name, entry in self.topics.items())
            self._check_commits(at)
            return count
        finally:
            self.close()

    def acked_count(self, at=NOW):
        return sum(entry.must(at) for entries in self.batches.values() for entry in entries)


def patiently(what, timeout_s=10):
    """Run `what` until it is not Refused any more; its value."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            return what()
        except Refused:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
