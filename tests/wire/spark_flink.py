"""spark_flink.py - Spark's and Flink's Kafka connectors through this broker: connect/SparkJobs, connect/FlinkCopy.

SPARK_LIBS and FLINK_LIBS are directories with the jars that connect/pom.xml names; what is missing is skipped, and
all of it without a Java compiler. KILL_ROUNDS: how often things are killed (3). STREAM_LOGS: a directory where the
logs stay.
"""

import collections
import glob
import json
import os
import pathlib
import shutil
import time

import harness

LIBS = {name: os.environ.get(f"{name}_LIBS", "") for name in ("SPARK", "FLINK")}
NEEDED = {"SPARK": "spark-sql-kafka-0-10_2.*", "FLINK": "flink-connector-kafka-*"}
ROUNDS = int(os.environ.get("KILL_ROUNDS", "3"))
LINES = int(os.environ.get("STREAM_LINES", "1000"))      # a round
SETTINGS = {"num.partitions": 2, "group.initial.rebalance.delay.ms": 0}
DONE_S = 180
SOURCES = pathlib.Path(__file__).resolve().parent / "connect"
OPENS = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in (
    "java.lang", "java.lang.invoke", "java.net", "java.nio", "java.time", "java.util", "java.util.concurrent",
    "sun.nio.ch", "sun.util.calendar")]
JAVA = ["nice", "java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.showDateTime=true", *OPENS, "-cp"]
FORBIDDEN = ("UnsupportedVersion", "UNSUPPORTED_VERSION", "does not support", "UNKNOWN_SERVER_ERROR",
             "UnknownServerException", "InvalidRequestException", "InvalidTxnState", "OutOfOrderSequence")


# ---- programs -----------------------------------------------------------------------------------------

def program(directory, kind, name, *words):
    """How a program of connect/ is run; compiled once a directory."""
    libs = LIBS[kind]
    if not shutil.which("javac") or not libs or not glob.glob(f"{libs}/{NEEDED[kind]}.jar"):
        raise harness.Skip(f"needs java with its compiler, and in {kind}_LIBS a directory with the jars of "
                           f"{NEEDED[kind].rstrip('.*-')} (connect/pom.xml brings them)")
    classes = pathlib.Path(directory) / "classes"
    if not (classes / f"{name}.class").exists():
        harness.run(["nice", "javac", "-d", classes, "-cp", f"{libs}/*", SOURCES / f"{name}.java"], timeout_s=120)
    return [*JAVA, f"{classes}:{libs}/*", name, *words]


class Program:
    """One that goes on until it is killed; its words may differ in its next life."""

    def __init__(self, directory):
        self.log = pathlib.Path(os.environ.get("STREAM_LOGS", directory)) / f"{harness.unique('program')}.log"

    def start(self, words):
        with open(self.log, "ab") as log:
            self.process = harness.spawn(words, stdout=log, stderr=log)

    def kill9(self):
        harness.kill(self.process)

    def check(self):
        said = self.log.read_text(errors="replace")
        assert self.process.poll() is None, f"ended with {self.process.poll()}:\n{said[-6000:]}"
        check_said(said)


def check_said(text):
    found = [line for line in text.splitlines() if any(word in line for word in FORBIDDEN)]
    assert not found, "\n".join(found[:20])


def topics(broker, *names):
    for name in names:
        harness.millrace("topics", "create", name, "-p", "2", broker=broker)


def produce(broker, topic, lines):
    harness.millrace("produce", topic, broker=broker, input="".join(f"{line}\n" for line in lines), timeout_s=120)


def committed(broker, topic):
    return harness.millrace("consume", topic, broker=broker, timeout_s=120).stdout.decode().split()


def numbers(begin, end):
    return [f"n{number}" for number in range(begin, end)]


# ---- Flink --------------------------------------------------------------------------------------------

def checkpoints(directory):
    """The complete ones, the newest last."""
    found = [path.parent for path in pathlib.Path(directory).glob("*/chk-*/_metadata")]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def flink(broker, directory, bounded, naming):
    newest = checkpoints(directory)[-1:]
    return program(broker.directory, "FLINK", "FlinkCopy", broker.bootstrap, "from", "to", directory, bounded, naming,
                   *(f"file://{path}" for path in newest))


def test_flink_bounded():
    """Ends by itself; a second life has nothing to do but what came since."""
    with harness.Broker(SETTINGS) as broker:
        topics(broker, "from", "to")
        produce(broker, "from", numbers(0, 300))
        done = harness.run(flink(broker, broker.directory / "checkpoints", "bounded", "INCREMENTING"), timeout_s=DONE_S)
        check_said(done.stderr.decode(errors="replace"))
        assert sorted(committed(broker, "to")) == sorted(numbers(0, 300))


def flink_through_kills(naming):
    """The broker, the job, both: each record once. A job dies between its two phases as often as chance has it."""
    with harness.Broker(SETTINGS, port=harness.free_port()) as broker:
        topics(broker, "from", "to")
        directory = broker.directory / "checkpoints"
        job, count = Program(broker.directory), 0

        def more():
            nonlocal count
            produce(broker, "from", numbers(count, count + LINES))
            count += LINES
        job.start(flink(broker, directory, "unbounded", naming))
        kills = collections.Counter()
        for number in range(ROUNDS):
            more()
            harness.wait_until(lambda: job.check() or checkpoints(directory), DONE_S, "a checkpoint", every_s=0.05)
            before = len(committed(broker, "to"))
            harness.wait_until(lambda: job.check() or len(committed(broker, "to")) > before, DONE_S, "some records",
                               every_s=0.05)
            more()
            time.sleep(0.07 * (number % 7))         # anywhere between two checkpoints
            victim = ("job", "broker", "both")[number % 3]
            if victim != "job":
                broker.kill9()
            if victim != "broker":
                job.kill9()
            if victim != "job":
                broker.start()
            if victim != "broker":
                job.start(flink(broker, directory, "unbounded", naming))
            kills[victim] += 1
        harness.wait_until(lambda: job.check() or len(committed(broker, "to")) >= count, DONE_S, "all records",
                           every_s=0.3)
        job.check()
        job.kill9()
        copied = collections.Counter(committed(broker, "to"))
        assert copied == collections.Counter(numbers(0, count)), [row for row in copied.items() if row[1] != 1][:9]
        print(f"# Flink, {naming}: {count} records once each through kills -9 of {dict(kills)}")


def test_flink_exactly_once_through_kills():
    flink_through_kills("INCREMENTING")


def test_flink_pooled_transactions_through_kills():
    flink_through_kills("POOLING")


# ---- Spark --------------------------------------------------------------------------------------------

def spark(broker, *jobs):
    return program(broker.directory, "SPARK", "SparkJobs", broker.bootstrap, *jobs)


def answers(text):
    """[(kind, [(partition, offset, key, value)])] of each job."""
    told, rows = [], []
    for line in text.splitlines():
        if line.startswith("== "):
            told.append((line[3:], rows))
            rows = []
        else:
            partition, offset, key, value = line.split(" ")
            rows.append((int(partition), int(offset), key, value))
    return told


def test_spark_batches():
    """Batch reads by offsets and by times, a batch write, all that is there with a checkpoint."""
    with harness.Broker(SETTINGS) as broker:
        topics(broker, "from", "to")
        now, checkpoint = int(time.time() * 1000), broker.directory / "checkpoint"
        later, offsets = now + 3600000, json.dumps
        jobs = ["write;from;30",
                "read;subscribe=from",
                f"read;subscribe=from;startingOffsets={offsets({'from': {'0': 3, '1': -2}})};"
                f"endingOffsets={offsets({'from': {'0': 5, '1': 4}})}",
                f"read;subscribePattern=fr.*;startingTimestamp={now - 3600000};minPartitions=4",
                f"read;subscribe=from;startingTimestamp={later};startingOffsetsByTimestampStrategy=latest",
                f"read;assign={offsets({'from': [1]})};kafka.isolation.level=read_committed;endingTimestamp={later}",
                f"copy;to;{checkpoint};now;subscribe=from;maxOffsetsPerTrigger=10",
                "write;from;5",
                f"copy;to;{checkpoint};now;subscribe=from;includeHeaders=true",
                "read;subscribe=to"]
        done = harness.run(spark(broker, *jobs), timeout_s=2 * DONE_S)
        check_said(done.stderr.decode(errors="replace"))
        told = answers(done.stdout.decode())
        assert [kind for kind, _ in told] == [job.split(";")[0] for job in jobs], done.stdout
        rows = [rows for _, rows in told]
        first = sorted(f"w{number}" for number in range(30))
        assert sorted(value for *_, value in rows[1]) == first
        assert all(value == f"w{key}" for _, _, key, value in rows[1])
        assert rows[2] == [row for row in rows[1] if (3 <= row[1] < 5 if row[0] == 0 else row[1] < 4)]
        assert sorted(rows[3]) == sorted(rows[1]) and rows[4] == []
        assert rows[5] == [row for row in rows[1] if row[0] == 1] and rows[5]
        assert sorted(value for *_, value in rows[9]) == sorted(first + [f"w{number}" for number in range(5)])


def test_spark_stream_through_kills():
    """A stream with a checkpoint; its sink is at least once: nothing is missing."""
    with harness.Broker(SETTINGS, port=harness.free_port()) as broker:
        topics(broker, "from", "to")
        words = spark(broker, f"copy;to;{broker.directory / 'checkpoint'};on;subscribe=from;maxOffsetsPerTrigger=400")
        job, count = Program(broker.directory), 0
        job.start(words)
        for number in range(ROUNDS):
            produce(broker, "from", numbers(count, count + LINES))
            count += LINES
            before = len(committed(broker, "to"))
            harness.wait_until(lambda: job.check() or len(committed(broker, "to")) > before, DONE_S, "some records",
                               every_s=0.1)
            if number % 2 == 0:
                broker.kill9()
                time.sleep(1)
                broker.start()
            else:
                job.kill9()
                job.start(words)
        harness.wait_until(lambda: job.check() or len(set(committed(broker, "to"))) >= count, DONE_S, "all records",
                           every_s=0.3)
        job.kill9()
        copied = committed(broker, "to")
        assert set(copied) == set(numbers(0, count))
        print(f"# Spark: {count} records, {len(copied) - count} twice, through {ROUNDS} kills -9")


if __name__ == "__main__":
    harness.main(globals())
