"""streams.py - Kafka Streams and Kafka's Java consumer while broker and clients are killed: java/*.java.

Needs java with its compiler and the jars of Apache Kafka (jvm.py), kafka-streams and rocksdbjni among them; without
them it is skipped. Short by itself; KILL_ROUNDS=20 for the long run.
"""

import collections
import os
import pathlib
import random
import time

import harness
import jvm

ROUNDS = int(os.environ.get("KILL_ROUNDS", "2"))
LINES = int(os.environ.get("STREAM_LINES", "2000"))      # a round
SEED = int(os.environ.get("SEED", "6"))
DONE_S = 180
SETTINGS = {"num.partitions": 3, "group.initial.rebalance.delay.ms": 0}
WORDS = [f"w{number}" for number in range(20)]


# ---- programs -----------------------------------------------------------------------------------------

class Client:
    """A program that is killed and started again; it may not end by itself."""

    def __init__(self, broker, words):
        self.words, self.path = words, broker.directory / harness.unique("client")
        self.start()

    def start(self):
        with open(self.path, "ab") as out, open(f"{self.path}.err", "ab") as err:
            self.process = harness.spawn(self.words, stdout=out, stderr=err)

    def kill9(self):
        harness.kill(self.process)

    def check(self):
        assert self.process.poll() is None, f"ended with {self.process.poll()}:\n{self.errors()[-4000:]}"

    def errors(self):
        return pathlib.Path(f"{self.path}.err").read_text(errors="replace")

    def lines(self):
        return self.path.read_bytes().decode().split("\n")[:-1]


def produce(broker, topic, lines):
    """Acknowledged when it returns."""
    harness.millrace("produce", topic, broker=broker, input="".join(f"{line}\n" for line in lines), timeout_s=120)


def committed(broker, topic):
    """[(partition, key, value)] of what readers of committed records see."""
    out = harness.millrace("consume", topic, "--format", "%p %k %v\\n", broker=broker, timeout_s=120).stdout.decode()
    return [tuple(line.split(" ")) for line in out.splitlines()]


# ---- word count ---------------------------------------------------------------------------------------

def counts(broker, topic):
    """{word: how many counts of it there are}; each word counts 1, 2, 3 ... and nothing twice."""
    told = collections.defaultdict(list)
    for _, word, count in committed(broker, topic):
        told[word].append(int(count))
    for word, row in told.items():
        assert row == list(range(1, len(row) + 1)), f"{word}: {len(row)} counts, {len(set(row))} different: {row[:20]}"
    return {word: len(row) for word, row in told.items()}


def feed(broker, chance, expected, count):
    lines = [" ".join(chance.choices(WORDS, k=5)) for _ in range(count)]
    expected.update(word for line in lines for word in line.split(" "))
    produce(broker, "text", lines)


def test_streams_count_words_exactly_once():
    """exactly_once_v2; kill -9 of the broker, of the program, of both, in the middle of it."""
    chance, expected = random.Random(SEED), collections.Counter()
    kills = collections.Counter()
    with harness.Broker(SETTINGS, port=harness.free_port()) as broker:
        for topic in ("text", "counts"):
            harness.millrace("topics", "create", topic, "-p", "3", broker=broker)
        app = Client(broker, jvm.program("WordCount", broker.bootstrap, "app", "text", "counts",
                                         broker.directory / "state"))

        def missing():
            return sum(expected.values()) - len(committed(broker, "counts"))
        for number in range(ROUNDS):
            # Half of the time it is through with what was there, else it may still be coming back from the last kill.
            if number == 0:
                feed(broker, chance, expected, 1)
            if number == 0 or chance.random() < 0.5:
                harness.wait_until(lambda: missing() == 0, DONE_S, "the counts", every_s=0.3)
            app.check()
            feed(broker, chance, expected, LINES)
            time.sleep(chance.uniform(0, 0.4))
            victim = ("broker", "app", "both")[number % 3]
            if victim != "app":
                broker.kill9()
            if victim != "broker":
                app.kill9()
            if victim != "app":
                broker.start()
            kills[victim] += 1
            kills["with words to count"] += missing() > 0
            if victim != "broker":
                app.start()
        harness.wait_until(lambda: missing() <= 0, DONE_S, "all counts", every_s=0.5)
        app.check()
        assert counts(broker, "counts") == expected
        print(f"# {dict(kills)} kills, {sum(expected.values())} words, each counted once; seed {SEED}")
        app.kill9()


# ---- consumers ----------------------------------------------------------------------------------------

def read_through_kills(name, *settings, instances=False):
    """Members come, die and come back, the broker is killed in the rebalances: every record is read."""
    chance = random.Random(SEED)
    with harness.Broker(SETTINGS, port=harness.free_port()) as broker:
        harness.millrace("topics", "create", "t", "-p", "6", broker=broker)

        def member(number):
            more = [f"group.instance.id=i{number}"] if instances else []
            return Client(broker, jvm.program("Reader", broker.bootstrap, "t", "g", *settings, *more))
        members, values = [member(0), member(1)], []

        def read():
            return {line.split(" ")[2] for one in members for line in one.lines()}

        def more(count):
            fresh = [str(len(values) + number) for number in range(count)]
            values.extend(fresh)
            produce(broker, "t", fresh)

        def all_read():
            for one in members:
                one.check()
            return len(read()) == len(values)
        more(200)
        harness.wait_until(all_read, DONE_S, "the first records", every_s=0.2)
        for number in range(ROUNDS):
            if number % 2 == 0:
                members.append(member(len(members)))        # a rebalance begins when it is up
            else:
                members[number % len(members)].kill9()
            more(100)
            time.sleep(chance.uniform(0, 3))
            broker.kill9()
            broker.start()
            if number % 2:
                members[number % len(members)].start()
            more(100)
            harness.wait_until(all_read, DONE_S, f"the records of round {number}", every_s=0.2)
        print(f"# {name}: {ROUNDS} kills of the broker, {len(members)} members, {len(values)} records all read, "
              f"{sum(len(one.lines()) for one in members) - len(values)} twice; seed {SEED}")
        for one in members:
            one.kill9()


CLASSIC = ("group.protocol=classic", "session.timeout.ms=6000", "heartbeat.interval.ms=500")
ASSIGNOR = "partition.assignment.strategy=org.apache.kafka.clients.consumer."


def test_eager_readers():
    read_through_kills("eager", *CLASSIC, f"{ASSIGNOR}RangeAssignor")


def test_cooperative_readers():
    read_through_kills("cooperative", *CLASSIC, f"{ASSIGNOR}CooperativeStickyAssignor")


def test_static_readers():
    read_through_kills("static", *CLASSIC, f"{ASSIGNOR}CooperativeStickyAssignor", instances=True)


def test_readers_of_the_newer_protocol():
    read_through_kills("group.protocol=consumer", "group.protocol=consumer")


if __name__ == "__main__":
    harness.main(globals())
