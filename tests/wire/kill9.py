"""kill9.py - kill -9 under load: nothing acknowledged is lost, nothing is doubled, order is kept, and
committed offsets never go back. Also killed while it recovers from the kill before.

A few rounds here; the long command of tests/README.md: KILL_ROUNDS=1000 tests/wire/kill9.py test_kill9_idempotent
"""

import os
import random
import statistics
import subprocess
import threading
import time

import harness
import ledger
import probe

ROUNDS = int(os.environ.get("KILL_ROUNDS", "12"))
RESTART_MAX_MS = 1000  # restart to the first produce ack and fetch (issue 3); the median of the rounds
VERIFIER = harness.BUILD / "tests" / "wire" / "kill_verifier"


class Committer(threading.Thread):
    """Commits ever higher offsets of a group, and asks for them: they must never go back."""

    GROUP, PARTITIONS = "committer", 3

    def __init__(self, broker, topic):
        super().__init__(daemon=True)
        self.broker, self.topic = broker, topic
        self.book = ledger.Ledger()
        self.acked = [-1] * self.PARTITIONS
        self.next, self.commits, self.looks, self.wrong = 0, 0, 0, []
        self.ending = threading.Event()

    def look(self, partition):
        found = self.book.committed(self.GROUP, self.topic, partition)
        self.looks += 1
        if not self.acked[partition] <= found <= self.next:
            self.wrong.append(f"partition {partition}: acknowledged {self.acked[partition]}, found {found}")

    def step(self):
        self.next += 1
        partition = self.next % self.PARTITIONS
        self.book.commit(self.GROUP, self.topic, partition, self.next)
        self.acked[partition] = self.next
        self.commits += 1
        if self.next % 10 == 0:
            self.look(partition)

    def run(self):
        while not self.ending.is_set():
            try:
                self.book.connect(self.broker, timeout_s=5)
                for partition in range(self.PARTITIONS):
                    self.look(partition)
                while not self.ending.is_set():
                    self.step()
                    time.sleep(0.002)
            except (OSError, ledger.Refused):
                time.sleep(0.01)

    def end(self):
        """The broker is up: what is there now must be what was acknowledged."""
        self.ending.set()
        self.join()
        self.book.connect(self.broker)
        for partition in range(self.PARTITIONS):
            self.look(partition)
        self.book.close()
        print(f"# {self.commits} commits, {self.looks} looks, {len(self.wrong)} went back")
        assert self.commits > 0 and not self.wrong, self.wrong


def rounds(broker, topic, count, seed):
    """Kill and restart `count` times while somebody produces; ms from each start to a record in and out."""
    dice = random.Random(seed)
    times, kills_early = [], []
    for number in range(count):
        time.sleep(dice.uniform(0.02, 0.5))
        broker.kill9()
        began = time.monotonic()
        broker.start(wait=False)
        # In every third round once more, or several times, before it is up or just after.
        while number % 3 == 2 and dice.random() < 0.7:
            time.sleep(dice.uniform(0, dice.choice([0.01, 0.03, 0.3])))
            broker.kill9()
            kills_early.append(number)
            began = time.monotonic()
            broker.start(wait=False)
        broker.wait_ready()
        probe.produce_and_fetch(broker.host, broker.port, topic)
        times.append((time.monotonic() - began) * 1000)
    print(f"# {count} kills, and {len(kills_early)} more within 300 ms of a start", flush=True)
    return times


def kill_under_load(mode, settings=None, arguments=()):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"# {mode}, {ROUNDS} rounds, seed {seed}", flush=True)
    settings = {"log.segment.bytes": 4 << 20, **(settings or {})}
    with harness.Broker(settings=settings, arguments=arguments) as broker:
        harness.millrace("topics", "create", "load", "--partitions", "3", broker=broker)
        harness.millrace("topics", "create", "probe", broker=broker)
        load = harness.spawn([VERIFIER, broker.bootstrap, "load", "3", "300", mode],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        committer = Committer(broker, "load")
        committer.start()
        times = rounds(broker, "probe", ROUNDS, seed)
        committer.end()
        out, _ = load.communicate(timeout=600)
        said = out.decode().strip()
        print(f"# {said}")
        print(f"# restart to ack and fetch: median {statistics.median(times):.0f} ms, max {max(times):.0f} ms")
        assert load.returncode == 0, f"seed {seed}: {said}"
        # Others take part of the machine: then the limit is for the quickest of the starts.
        typical = min(times) if harness.is_busy() else statistics.median(times)
        assert typical <= RESTART_MAX_MS, f"seed {seed}: {times}"


def test_kill9_idempotent():
    kill_under_load("idempotent")


def test_kill9_plain():
    kill_under_load("plain")


def test_kill9_os_mode():
    """Apache Kafka's promise: written, not flushed, and still there after a kill -9."""
    kill_under_load("idempotent", {"durability": "os"})


def test_kill9_plain_disk():
    """The fallback disk keeps the same promises as io_uring."""
    kill_under_load("idempotent", arguments=["--disk=plain"])


if __name__ == "__main__":
    harness.main(globals())
