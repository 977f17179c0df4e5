"""kill9.py - kill -9 under load: nothing acknowledged is lost, nothing is doubled, order is kept.

A few rounds here; the long command of tests/README.md: KILL_ROUNDS=200 tests/wire/kill9.py
"""

import os
import random
import statistics
import subprocess
import time

import harness
import probe

ROUNDS = int(os.environ.get("KILL_ROUNDS", "12"))
RESTART_MAX_MS = 1000  # restart to the first produce ack and fetch (issue 3); the median of the rounds
VERIFIER = harness.BUILD / "tests" / "wire" / "kill_verifier"


def rounds(broker, topic, count, seed):
    """Kill and restart `count` times while somebody produces; ms from each start to a record in and out."""
    dice = random.Random(seed)
    times = []
    for number in range(count):
        time.sleep(dice.uniform(0.02, 0.5))
        broker.kill9()
        began = time.monotonic()
        broker.start(wait=False)
        if number % 5 == 4:
            # Once more before it is up: recovery itself is killed.
            time.sleep(dice.uniform(0, 0.03))
            broker.kill9()
            began = time.monotonic()
            broker.start(wait=False)
        broker.wait_ready()
        probe.produce_and_fetch(broker.host, broker.port, topic)
        times.append((time.monotonic() - began) * 1000)
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
        times = rounds(broker, "probe", ROUNDS, seed)
        out, _ = load.communicate(timeout=300)
        said = out.decode().strip()
        print(f"# {said}")
        print(f"# restart to ack and fetch: median {statistics.median(times):.0f} ms, max {max(times):.0f} ms")
        assert load.returncode == 0, f"seed {seed}: {said}"
        assert statistics.median(times) <= RESTART_MAX_MS, f"seed {seed}: {times}"


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
