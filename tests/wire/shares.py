"""shares.py - share groups (KIP-932) with raw frames, and with Kafka's own share consumers.

The frames are made by hand from Kafka's message definitions, so they share no code with the broker. The Java tests
take the jars of jvm.py.
"""

import contextlib
import json
import socket
import struct
import subprocess
import threading
import time
import uuid

import clients
import harness
import probe

SETTINGS = {"group.share.record.lock.duration.ms": 1000, "group.share.delivery.count.limit": 2}
CREATE_TOPICS, HEARTBEAT, FETCH, ACKNOWLEDGE, DESCRIBE_OFFSETS = 19, 76, 78, 79, 90
GAP, ACCEPT, RELEASE, REJECT, RENEW = range(5)
INVALID_RECORD_STATE, SESSION_NOT_FOUND, INVALID_EPOCH, INVALID_REQUEST = 121, 122, 123, 42


# ---- flexible messages ---------------------------------------------------------------------------

def number(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def text(value):
    return number(len(value) + 1) + value.encode()


def array(items):
    return number(len(items) + 1) + b"".join(items)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def number(self):
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def bytes(self):
        size = self.number() - 1
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at]

    def array(self, read):
        return [read() for _ in range(self.number() - 1)]

    def tags(self):
        assert self.number() == 0


# ---- a member ------------------------------------------------------------------------------------

class Member:
    """One share consumer without a thread: what it does is what the test says."""

    def __init__(self, broker, group, topic_id):
        self.group, self.topic_id, self.id = group, topic_id, str(uuid.uuid4())
        self.connection = socket.create_connection((broker.host, broker.port), timeout=20)
        self.epoch = 0
        self.error = None

    def ask(self, key, version, body):
        reader = Reader(harness.request(self.connection, key, version, b"\0" + body))
        reader.tags()
        return reader

    def said(self, acks):
        batches = [struct.pack(">qq", first, last) + array([struct.pack(">b", kind) for kind in kinds]) + b"\0"
                   for first, last, *kinds in acks]
        return array(batches)

    def topics(self, acks):
        partition = struct.pack(">i", 0) + self.said(acks) + b"\0"
        return array([self.topic_id + array([partition]) + b"\0"])

    def next_epoch(self, epoch):
        used = self.epoch if epoch is None else epoch
        self.epoch = used + 1
        return used

    def fetch(self, acks=(), records=100, wait_ms=0, epoch=None, exact=False, version=2, renew=False):
        """[(first, last, delivery count)]; what was said of acks is in said_error, the rest in error."""
        body = text(self.group) + text(self.id)
        body += struct.pack(">iiiiii", self.next_epoch(epoch), wait_ms, 1, 1 << 20, records, records)
        if version >= 2:
            body += struct.pack(">b?", exact, renew)
        body += self.topics(acks) + array([]) + b"\0"
        reader = self.ask(FETCH, version, body)
        reader.take("i")
        self.error = reader.take("h")
        reader.bytes()
        self.lock_ms = reader.take("i")
        self.said_error, self.records, acquired = 0, b"", []

        def partition():
            reader.take("ih")
            reader.bytes()
            self.said_error = reader.take("h")
            reader.bytes()
            reader.take("ii")
            reader.tags()
            self.records = reader.bytes()

            def row():
                values = reader.take("qqh")
                reader.tags()
                return values
            acquired.extend(reader.array(row))
            reader.tags()

        def topic():
            reader.take("16s")
            reader.array(partition)
            reader.tags()
        reader.array(topic)
        return acquired

    def acknowledge(self, *acks, epoch=None, version=2, renew=False):
        """The top error, or that of the partition."""
        body = text(self.group) + text(self.id) + struct.pack(">i", self.next_epoch(epoch))
        body += struct.pack(">?", renew) if version >= 2 else b""
        reader = self.ask(ACKNOWLEDGE, version, body + self.topics(acks) + b"\0")
        reader.take("i")
        error = reader.take("h")
        reader.bytes()
        if version >= 2:
            reader.take("i")
        if error:
            return error
        assert reader.number() == 2
        reader.take("16s")
        assert reader.number() == 2
        return reader.take("ih")[1]

    def start_offset(self):
        body = array([text(self.group) + b"\0" + b"\0"]) + b"\0"
        reader = self.ask(DESCRIBE_OFFSETS, 1, body)
        reader.take("i")
        assert reader.number() == 2
        reader.bytes()
        assert reader.number() == 2
        reader.bytes()
        reader.take("16s")
        assert reader.number() == 2
        index, start, epoch, lag, error = reader.take("iqiqh")
        assert (index, error) == (0, 0)
        return start, lag

    def close(self):
        self.connection.close()


def create_topic(broker, name):
    body = array([text(name) + struct.pack(">ih", 1, 1) + array([]) + array([]) + b"\0"])
    with socket.create_connection((broker.host, broker.port), timeout=20) as connection:
        answer = Reader(harness.request(connection, CREATE_TOPICS, 7, b"\0" + body + struct.pack(">i?", 5000, False)
                                        + b"\0"))
    answer.tags()
    answer.take("i")
    assert answer.number() == 2
    answer.bytes()
    topic_id, error = answer.take("16sh")
    assert error == 0, error
    return topic_id


def produce(broker, topic, values, **options):
    with socket.create_connection((broker.host, broker.port), timeout=20) as connection:
        error, offset = probe.produce(connection, topic, 0, probe.batch(values, **options))
    assert error == 0, error
    return offset


@contextlib.contextmanager
def world(members=2, settings=SETTINGS):
    """A broker, a topic, and members of one group that have their sessions, at the topic's beginning."""
    with harness.Broker(settings) as broker:
        topic, group = "queue", "workers"
        topic_id = create_topic(broker, topic)
        everybody = [Member(broker, group, topic_id) for _ in range(members)]
        for member in everybody:
            assert member.fetch() == [] and member.error == 0, member.error
        try:
            yield (broker, topic, *everybody)
        finally:
            for member in everybody:
                member.close()


def again(broker, member):
    """The member after the broker's restart: a new connection, a new session, nothing acquired."""
    fresh = Member(broker, member.group, member.topic_id)
    fresh.id = member.id
    return fresh


# ---- raw frames ----------------------------------------------------------------------------------

def test_records_are_shared_and_released_ones_come_again():
    with world() as (broker, topic, a, b):
        produce(broker, topic, [b"0", b"1", b"2"])
        produce(broker, topic, [b"3", b"4"])
        assert a.fetch(records=3) == [(0, 2, 1)]
        assert b"\x022" in a.records and b"\x023" not in a.records  # only the batches that were acquired
        assert b.fetch() == [(3, 4, 1)]
        assert a.fetch(acks=[(0, 0, ACCEPT), (1, 2, RELEASE)], records=0) == [] and a.said_error == 0
        assert b.fetch(acks=[(3, 4, ACCEPT)]) == [(1, 2, 2)]
        assert b.start_offset() == (1, 2)
        assert b.acknowledge((1, 1, RELEASE), (2, 2, REJECT)) == 0
        assert b.start_offset() == (5, 0)  # 1 was delivered twice, which is the limit
        assert a.fetch() == []


def test_one_answer_for_each_record_or_one_for_all():
    with world() as (broker, topic, a, b):
        produce(broker, topic, [b"%d" % n for n in range(10)])
        assert a.fetch(records=4, exact=True) == [(0, 3, 1)]
        assert b.fetch(version=1) == [(4, 9, 1)]
        assert a.acknowledge((0, 3, ACCEPT, RELEASE, GAP, REJECT), version=1) == 0
        assert b.acknowledge((4, 9, ACCEPT)) == 0
        assert a.fetch() == [(1, 1, 2)]


def test_who_does_not_hold_a_record_may_not_say_anything():
    with world() as (broker, topic, a, b):
        produce(broker, topic, [b"0", b"1"])
        assert a.fetch() == [(0, 1, 1)]
        assert b.acknowledge((0, 1, ACCEPT)) == INVALID_RECORD_STATE
        assert a.acknowledge((0, 7, ACCEPT)) == INVALID_REQUEST
        assert a.acknowledge((0, 1, 9)) == INVALID_REQUEST
        assert a.acknowledge((0, 1, RENEW)) == INVALID_REQUEST  # without IsRenewAck
        assert a.acknowledge((1, 0, ACCEPT)) == INVALID_REQUEST
        assert a.acknowledge((0, 1, ACCEPT)) == 0
        assert a.start_offset() == (2, 0)


def test_sessions_and_their_epochs():
    with world() as (broker, topic, a, b):
        produce(broker, topic, [b"0"])
        a.fetch(epoch=7)
        assert a.error == INVALID_EPOCH
        assert a.acknowledge((0, 0, ACCEPT), epoch=0) == INVALID_EPOCH
        assert a.fetch(acks=[(0, 0, ACCEPT)], epoch=0) == [] and a.error == INVALID_REQUEST
        stranger = Member(broker, a.group, a.topic_id)
        stranger.fetch(epoch=1)
        assert stranger.error == SESSION_NOT_FOUND
        assert stranger.acknowledge((0, 0, ACCEPT), epoch=1) == SESSION_NOT_FOUND
        a.epoch = 1
        assert a.fetch() == [(0, 0, 1)]
        assert a.fetch(epoch=0) == [] and a.error == 0  # a new session; what is held stays held
        assert a.acknowledge((0, 0, ACCEPT), epoch=-1) == 0  # the end of it
        a.fetch(epoch=1)
        assert a.error == SESSION_NOT_FOUND


def test_a_lost_connection_frees_at_once_and_a_lock_in_time():
    with world(settings={**SETTINGS, "group.share.delivery.count.limit": 5}) as (broker, topic, a, b):
        produce(broker, topic, [b"0", b"1"])
        assert a.fetch() == [(0, 1, 1)]
        a.close()
        assert b.fetch(wait_ms=10000) == [(0, 1, 2)]
        assert b.lock_ms == 1000
        began = time.monotonic()
        assert b.fetch(wait_ms=10000) == [(0, 1, 3)]  # its own lock is over: 1 s
        assert time.monotonic() - began > 0.5
        assert b.acknowledge((0, 1, RENEW), renew=True) == 0
        assert b.acknowledge((0, 1, ACCEPT)) == 0
        assert b.start_offset() == (2, 0)


def test_a_fetch_waits_for_records():
    with world() as (broker, topic, a, b):
        timer = threading.Timer(0.3, produce, (broker, topic, [b"late"]))
        timer.start()
        assert a.fetch(wait_ms=15000) == [(0, 0, 1)]
        timer.join()
        timer = threading.Timer(0.3, lambda: a.acknowledge((0, 0, RELEASE)))
        timer.start()
        assert b.fetch(wait_ms=15000) == [(0, 0, 2)]
        timer.join()


def test_kill_9_keeps_what_was_said():
    with world(members=1, settings={**SETTINGS, "group.share.delivery.count.limit": 10,
                                    "group.share.record.lock.duration.ms": 30000}) as (broker, topic, a):
        accepted = set()
        produce(broker, topic, [b"%d" % n for n in range(50)])
        for start in range(0, 50, 10):
            assert a.fetch(records=10, exact=True)[0][0] == start
            kinds = [ACCEPT if n % 3 else RELEASE for n in range(start, start + 8)]
            assert a.acknowledge((start, start + 7, *kinds)) == 0
            accepted |= {n for n in range(start, start + 8) if n % 3}
            broker.restart(crash=True)
            a = again(broker, a)
            assert a.fetch(epoch=0, records=0) == []
            left = a.fetch(records=100)
            offsets = {n for first, last, count in left for n in range(first, last + 1)}
            assert offsets == set(range(50)) - accepted, (offsets, accepted)
            assert a.fetch(epoch=-1) == [] and a.error == 0  # gives them back
            a = again(broker, a)
            a.fetch(epoch=0, records=0)
            a.acknowledge()  # the next fetch is at epoch 2
            for n in sorted(set(range(start + 10)) - accepted):  # the rest of this round
                a.fetch(records=1, exact=True)
                assert a.acknowledge((n, n, ACCEPT)) == 0
                accepted.add(n)
        assert a.start_offset() == (50, 0)


def test_deliveries_are_known_after_an_orderly_stop():
    with world(members=1) as (broker, topic, a):
        produce(broker, topic, [b"0"])
        assert a.fetch() == [(0, 0, 1)]
        broker.restart()
        a = again(broker, a)
        assert a.fetch(epoch=0) == [(0, 0, 2)]
        assert a.acknowledge((0, 0, ACCEPT)) == 0


def test_a_deleted_topic_and_a_deleted_group_leave_nothing():
    with world(members=1) as (broker, topic, a):
        produce(broker, topic, [b"0"])
        assert a.fetch() == [(0, 0, 1)]
        harness.millrace("topics", "delete", topic, broker=broker)
        assert a.fetch() == [] and a.error == 0
        assert a.acknowledge((0, 0, ACCEPT)) == 100  # UNKNOWN_TOPIC_ID
        broker.restart(crash=True)
        fresh = create_topic(broker, topic)
        a = again(broker, a)
        a.topic_id = fresh
        assert a.fetch(epoch=0) == []
        produce(broker, topic, [b"new"])
        assert a.fetch() == [(0, 0, 1)]


# ---- Kafka's own ---------------------------------------------------------------------------------

GROUP_TOOL = "consumer.group.ShareGroupCommand"


def words(broker, name, *more):
    return clients.tool_words(name, "--bootstrap-server", broker.bootstrap, *more)


def told_offsets(lines):
    """(received, accepted, of unknown fate): offsets; the last when the connection was lost before the answer."""
    received, accepted, unknown = set(), set(), set()
    for event in (json.loads(line) for line in lines if line.endswith("}\n")):
        if event["name"] == "record_data":
            received.add(event["offset"])
        elif event["name"] == "offsets_acknowledged":
            for partition in event["partitions"]:
                (accepted if event["success"] else unknown).update(partition["offsets"])
    return received, accepted, unknown


def test_java_share_consumer_through_kill_9():
    """What was accepted before the kill is not delivered after it; in the end everything was accepted."""
    count = 20000
    with harness.Broker({"group.share.record.lock.duration.ms": 2000}) as broker:
        command = words(broker, "VerifiableShareConsumer", "--topic", "queue", "--group-id", "verified", "--verbose",
                        "--acknowledgement-mode", "sync", "--offset-reset-strategy", "earliest")
        topic_id = create_topic(broker, "queue")
        for start in range(0, count, 100):
            produce(broker, "queue", [b"%d" % n for n in range(start, start + 100)])
        consumer = harness.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        before, later, accepted = [], [], set()
        watchdog = threading.Timer(90, harness.kill, (consumer,))
        watchdog.start()
        while len(accepted) <= count // 4:  # it is never far ahead of what is read here, the pipe is small
            before.append(next(consumer.stdout, None))
            assert before[-1], f"it ended, or took too long; {len(accepted)} accepted"
            accepted |= told_offsets(before[-1:])[1]
        watchdog.cancel()
        broker.restart(crash=True)

        def drain():
            for line in consumer.stdout:
                later.append(line)
        drainer = threading.Thread(target=drain)
        drainer.start()
        member = Member(broker, "verified", topic_id)
        harness.wait_until(lambda: member.start_offset()[0] == count, 90, "everything accepted", every_s=0.2)

        def all_told():
            """The broker may have heard of more than the client heard back."""
            _, now, unknown = told_offsets(before + list(later))
            return len(now | unknown) == count and (now, unknown)
        now, unknown = harness.wait_until(all_told, 30, "what the consumer says of its offsets", every_s=0.2)
        assert len(unknown - now) <= 1000, f"{len(unknown - now)}: a fetch or two at the kill, not more"
        harness.kill(consumer)
        drainer.join()
        # Lines of what had arrived before the kill may still come; what the broker gave again would be much.
        again = told_offsets(later)[0] & accepted
        assert not again, f"{len(again)} accepted records came again"


def test_java_share_group_tools():
    with harness.Broker() as broker:
        create_topic(broker, "queue")
        run = lambda *more: harness.run(words(broker, GROUP_TOOL, *more), timeout_s=90).stdout.decode()
        member = Member(broker, "tools", b"")
        member.topic_id = create_topic(broker, "other")
        assert member.fetch() == []
        produce(broker, "other", [b"0", b"1", b"2"])
        assert member.fetch() == [(0, 2, 1)] and member.acknowledge((0, 1, ACCEPT)) == 0
        assert "tools" in run("--list")
        assert clients.table(run("--describe", "--group", "tools", "--offsets"), "GROUP")[0] == {
            "GROUP": "tools", "TOPIC": "other", "PARTITION": "0", "START-OFFSET": "2", "LAG": "1"}
        state = run("--describe", "--group", "tools", "--state")
        assert "Empty" in state, state
        run("--reset-offsets", "--group", "tools", "--topic", "other", "--to-earliest", "--execute")
        assert member.start_offset() == (0, 3)
        run("--delete-offsets", "--group", "tools", "--topic", "other")
        run("--delete", "--group", "tools")
        assert "tools" not in run("--list")


if __name__ == "__main__":
    harness.main(globals())
