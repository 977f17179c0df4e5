"""compaction.py - a compacted topic with real clients: kcat writes keys over and over and deletes some; what a new
consumer finds is the newest value of each key, before, while and after the log is compacted, also through kill -9.

Segments are as small as Kafka allows (1 MiB), the cleaner looks every 100 ms. KILL_ROUNDS=50 for a long run.
"""

import base64
import os
import random
import socket
import time

import harness
import jvm
import probe

ROUNDS = int(os.environ.get("KILL_ROUNDS", "5"))
KEYS = 1000
VALUE = 1000  # bytes
POOL = base64.b64encode(random.Random(1).randbytes(3 << 20)).decode()  # codecs make little less of it
SETTINGS = {
    "log.cleaner.backoff.ms": 100, "checkpoint.interval.ms": 200, "log.segment.delete.delay.ms": 0,
    "log.retention.check.interval.ms": 100,
}
TOPIC = ["--config", "cleanup.policy=compact", "--config", "segment.bytes=1048576",
         "--config", "min.cleanable.dirty.ratio=0.01"]


class Writer:
    """What was written: key -> number of its newest value, None for a deleted one."""

    def __init__(self, broker, topic, codec="none"):
        self.broker, self.topic, self.codec = broker, topic, codec
        self.newest, self.number = {}, 0
        self.dice = random.Random(7)

    def write(self, count, delete_every=50):
        """`count` records through kcat, each acknowledged when it returns."""
        lines, newest = [], {}
        for _ in range(count):
            key = f"key{self.dice.randrange(KEYS)}"
            self.number += 1
            if delete_every and self.number % delete_every == 0:
                lines.append(f"{key}|")
                newest[key] = None
            else:
                at = self.dice.randrange(len(POOL) - VALUE)
                lines.append(f"{key}|{self.number} {POOL[at:at + VALUE]}")
                newest[key] = self.number
        harness.run(["kcat", "-b", self.broker.bootstrap, "-P", "-t", self.topic, "-p", "0", "-K", "|",
                     "-Z", "-z", self.codec, "-X", "acks=all", "-X", "enable.idempotence=true"],
                    input="\n".join(lines).encode() + b"\n", timeout_s=120)
        self.newest.update(newest)


def consume(broker, topic):
    """(key -> number or None as a table of the topic would have it, records, offsets) from the beginning."""
    out = harness.run(["kcat", "-b", broker.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q",
                       "-Z", "-X", "check.crcs=true", "-f", "%o|%k|%S|%s\n"], timeout_s=120)
    table, offsets = {}, []
    for line in out.stdout.decode().splitlines():
        offset, key, size, value = line.split("|", 3)
        table[key] = None if size == "-1" else int(value.split(" ", 1)[0])
        offsets.append(int(offset))
    assert offsets == sorted(set(offsets)), "offsets go back, or come twice"
    return table, offsets


def check(writer):
    """A reader's table is the writer's; a deleted key may be told as deleted or not at all. How many records."""
    table, offsets = consume(writer.broker, writer.topic)
    for key, number in writer.newest.items():
        assert table.get(key) == number, f"{key} is {table.get(key)}, written was {number}"
    assert set(table) <= set(writer.newest), "a key that was never written"
    return len(offsets)


def stored(broker, topic):
    return sum(path.stat().st_size for path in (broker.data / f"{topic}-0").glob("*.log"))


def wait_compacted(writer, records):
    """Until at most so many records are left: what is in the active segment, and the newest of each key."""
    harness.wait_until(lambda: len(consume(writer.broker, writer.topic)[1]) <= records, timeout_s=60,
                       what=f"{writer.topic} to be compacted", every_s=0.2)


def create(broker, topic, *more):
    harness.millrace("topics", "create", topic, *TOPIC, *more, broker=broker)


def set_policy(broker, topic, policy):
    with socket.create_connection((broker.host, broker.port), timeout=10) as connection:
        answer = probe.ask(connection, "IncrementalAlterConfigs", 0, {"Resources": [
            {"ResourceType": 2, "ResourceName": topic, "Configs": [{"Name": "cleanup.policy", "Value": policy}]}]})
    assert probe.only(answer["Responses"])["ErrorCode"] == 0, answer


def test_newest_value_of_each_key_stays():
    for codec in ("none", "lz4", "zstd"):
        with harness.Broker(settings=SETTINGS) as broker:
            create(broker, codec)
            writer = Writer(broker, codec, codec)
            writer.write(20000)
            check(writer)
            wait_compacted(writer, 3500)
            count = check(writer)
            print(f"# {codec}: 20,000 records, {count} left, {stored(broker, codec)} bytes", flush=True)
            broker.restart()
            assert check(writer) <= count
            writer.write(3000)
            check(writer)


def test_tombstones_go_after_their_time():
    with harness.Broker(settings=SETTINGS) as broker:
        create(broker, "t", "--config", "delete.retention.ms=1000")
        writer = Writer(broker, "t")
        writer.write(3000)
        for key in [f"key{number}" for number in range(0, KEYS, 2)]:
            writer.newest[key] = None
        harness.run(["kcat", "-b", broker.bootstrap, "-P", "-t", "t", "-p", "0", "-K", "|", "-Z"],
                    input="".join(f"key{number}|\n" for number in range(0, KEYS, 2)).encode())
        deadline = time.monotonic() + 90
        while True:
            writer.write(1500, delete_every=0)  # dirt, and the segment rolls
            time.sleep(0.5)
            check(writer)
            table, _ = consume(broker, "t")
            gone = sum(writer.newest[key] is None and key not in table for key in writer.newest)
            deleted = sum(number is None for number in writer.newest.values())
            if gone == deleted:
                break
            assert time.monotonic() < deadline, f"{gone} of {deleted} deleted keys are gone"
        print(f"# {deleted} deleted keys left no trace", flush=True)


def test_compacted_and_deleted():
    """cleanup.policy=compact,delete: old segments go by size, too, and what is left is compacted."""
    with harness.Broker(settings=SETTINGS) as broker:
        harness.millrace("topics", "create", "both", *TOPIC, "--config", "cleanup.policy=compact,delete", "--config",
                         "retention.bytes=2500000", broker=broker)
        writer = Writer(broker, "both")
        writer.write(10000, delete_every=0)
        wait_compacted(writer, 4000)
        table, offsets = consume(broker, "both")
        assert all(writer.newest[key] == number for key, number in table.items()), "an old value is the last one"
        assert offsets[-1] == 9999


def test_policy_changes_at_run_time():
    with harness.Broker(settings=SETTINGS) as broker:
        harness.millrace("topics", "create", "later", "--config", "segment.bytes=1048576", broker=broker)
        writer = Writer(broker, "later")
        writer.write(6000)
        time.sleep(1)
        assert check(writer) == 6000
        set_policy(broker, "later", "compact")
        wait_compacted(writer, 2500)
        check(writer)


def test_null_keys_are_refused():
    with harness.Broker(settings=SETTINGS) as broker:
        create(broker, "t")
        sent = harness.run(["kcat", "-b", broker.bootstrap, "-P", "-t", "t", "-p", "0"], input=b"no key\n", check=False)
        assert sent.returncode != 0 or b"ERROR" in sent.stderr or b"failed" in sent.stderr, sent.stderr
        assert consume(broker, "t")[1] == []


def test_kill9_while_compacting():
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"# {ROUNDS} kills, seed {seed}", flush=True)
    dice = random.Random(seed)
    with harness.Broker(settings=SETTINGS) as broker:
        create(broker, "k")
        writer = Writer(broker, "k")
        for _ in range(ROUNDS):
            writer.write(4000)
            time.sleep(dice.uniform(0, 0.6))
            broker.restart(crash=True)
            check(writer)
        wait_compacted(writer, 2500)
        count = check(writer)
        print(f"# {ROUNDS * 4000} records, {count} left", flush=True)
        harness.wait_until(lambda: len(list((broker.data / "k-0").glob("*.log"))) <= 8,
                           what="what the kills left behind to be cleared up")


def test_kafkas_tool_reads_compacted_segments():
    """DumpLogSegments of Apache Kafka, when KAFKA_LIBS says where its jars are."""
    jvm.tool("DumpLogSegments")  # skips at once where there is none
    with harness.Broker(settings=SETTINGS) as broker:
        create(broker, "d")
        writer = Writer(broker, "d", "zstd")
        writer.write(12000)
        wait_compacted(writer, 3500)
        records = check(writer)
        broker.stop()
        files = sorted((broker.data / "d-0").glob("*.log"))
        assert any(path.name.count(".") == 2 for path in files), f"none was made by compaction: {files}"
        out = harness.run(jvm.tool("DumpLogSegments", "--deep-iteration", "--files", ",".join(map(str, files))),
                          timeout_s=120).stdout.decode()
        assert "isvalid: false" not in out
        assert "deleteHorizonMs: OptionalLong[" in out, "no batch with a tombstone"
        assert out.count("| offset: ") == records


if __name__ == "__main__":
    harness.main(globals())
