"""hardship.py - too few descriptors, a wall clock that jumps, a disk that is slow to read.

With fail_call.c below the broker: it sets the clock, and makes every read that may wait take long.
"""

import os
import socket
import threading
import time

import fail_call
import harness
import ledger
import probe

SLOW_MS = 400
ANSWER_MAX_MS = 200  # of a client that asks for nothing cold, while others wait for the disk
DAY_S = 86400


# ---- descriptors --------------------------------------------------------------------------------

def with_descriptors(count, partitions):
    """A broker with so few descriptors takes records in more partitions than that, and gives them out."""
    wrapper = ["sh", "-c", f'ulimit -n {count}; exec "$@"', "sh"]
    with harness.Broker(wrapper=wrapper, settings={"wal.writeback.age.ms": 20}) as broker:
        book = ledger.Ledger()
        book.connect(broker)
        book.create("many", partitions)
        for partition in range(partitions):
            book.produce("many", partition, 3000)
            book.commit("g", "many", partition, 1)
        harness.wait_until(lambda: len(list(broker.data.glob("many-*/*.log"))) == partitions, 20,
                           "a file for every partition")
        used = len(os.listdir(f"/proc/{broker.pid}/fd"))
        book.check(broker)
        broker.restart(crash=True)
        book.check(broker)
        assert broker.stop() == 0, broker.log_tail()
        print(f"# {count} descriptors: {partitions} partitions, {used} in use after write-back", flush=True)


def test_64_descriptors():
    with_descriptors(64, 150)


def test_256_descriptors():
    with_descriptors(256, 400)


def test_too_few_descriptors_to_start():
    """Below what it takes to run at all it says so and ends."""
    wrapper = ["sh", "-c", 'ulimit -n 12; exec "$@"', "sh"]
    with harness.Broker(wrapper=wrapper, start=False) as broker:
        broker.start(wait=False)
        harness.wait_until(lambda: not broker.alive(), 20, "the end")
        assert broker.process.returncode == 1, f"{broker.process.returncode}\n{broker.log_tail()}"
        assert "Too many open files" in broker.log_text() or "open files" in broker.log_text(), broker.log_tail()


def test_more_clients_than_descriptors():
    """Who comes too late is refused or waits; who is there is served."""
    wrapper = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"]
    with harness.Broker(wrapper=wrapper) as broker:
        book = ledger.Ledger()
        book.connect(broker)
        book.create("t", 1)
        crowd = []
        for _ in range(200):
            try:
                crowd.append(socket.create_connection((broker.host, broker.port), timeout=2))
            except OSError:
                pass
        for _ in range(20):
            book.produce("t", 0, 3000)
        for connection in crowd:
            connection.close()
        harness.wait_until(lambda: fail_call.answers(broker), 10, "an answer after the crowd has left")
        book.check(broker)
        assert broker.stop() == 0, broker.log_tail()


# ---- the wall clock -----------------------------------------------------------------------------

def test_clock_jumps():
    fail_call.need()
    with harness.Broker(start=False, settings={"log.retention.ms": -1, "log.roll.ms": 3600000,
                                               "log.retention.check.interval.ms": 50,
                                               "log.message.timestamp.after.max.ms": (1 << 63) - 1}) as broker:
        shim = fail_call.Shim(broker.directory, 0, "EIO")
        broker.env = shim.env
        broker.start()
        book = ledger.Ledger()
        book.connect(broker)
        book.create("t", 1)
        for jump in (0, 3 * DAY_S, -3 * DAY_S, 20 * 365 * DAY_S, -20 * 365 * DAY_S, 3600, 0):
            shim.set_wall(jump)
            began = time.monotonic()
            for _ in range(5):
                offset = book.produce("t", 0, 3000)
            book.commit("g", "t", 0, offset)
            time.sleep(0.12)
            count = len(book.read("t", 0))
            assert count == book.acked_count(), f"jump of {jump} s: {count} of {book.acked_count()}"
            assert time.monotonic() - began < harness.AT_ONCE_S, f"jump of {jump} s: slow"
        broker.restart(crash=True)
        shim.set_wall(-DAY_S)
        book.check(broker)
        broker.restart()
        book.check(broker)
        assert broker.stop() == 0


# ---- cold reads ---------------------------------------------------------------------------------

class Cold(threading.Thread):
    """Fetches what has to come from the disk."""

    def __init__(self, broker, partition, offset):
        super().__init__(daemon=True)
        self.broker, self.partition, self.offset = broker, partition, offset
        self.took_s, self.got = 0, b""

    def run(self):
        with socket.create_connection((self.broker.host, self.broker.port), timeout=60) as connection:
            began = time.monotonic()
            error, _, self.got = probe.fetch(connection, "cold", self.partition, self.offset, 100_000, 0)  # one batch
            assert error == 0
            self.took_s = time.monotonic() - began


def slowest_ms(broker, until, do):
    worst = 0
    while until():
        began = time.monotonic()
        do()
        worst = max(worst, (time.monotonic() - began) * 1000)
        time.sleep(0.002)
    return worst


def test_cold_reads_do_not_stop_the_loop():
    fail_call.need()
    with harness.Broker(start=False, settings={"wal.writeback.age.ms": 20}, arguments=["--disk=plain"]) as broker:
        broker.start()
        book = ledger.Ledger()
        book.connect(broker)
        book.create("cold", 8)
        book.create("warm", 1)
        for partition in range(8):
            for _ in range(4):
                book.produce("cold", partition, 500_000)
        broker.stop()
        shim = fail_call.Shim(broker.directory, 0, "EIO")
        broker.env = {**shim.env, "FAIL_SLOW_MS": str(SLOW_MS)}
        broker.start()
        book.connect(broker)
        book.produce("warm", 0)  # the disk is slow for the start, too: everything is up
        readers = [Cold(broker, partition, 0) for partition in range(8)]
        for reader in readers:
            reader.start()
        time.sleep(0.05)
        waiting = lambda: any(reader.is_alive() for reader in readers)
        with socket.create_connection((broker.host, broker.port), timeout=20) as connection:
            asked = slowest_ms(broker, waiting, lambda: harness.request(connection, 18, 0, b""))
        took = [reader.took_s * 1000 for reader in readers]
        assert all(len(reader.got) > 500_000 for reader in readers), [len(reader.got) for reader in readers]
        assert min(took) >= SLOW_MS, f"nothing was cold: {took}"
        # Now the file is open and the place of the next batch known: the loop itself asks for it, without waiting.
        again = [Cold(broker, partition, 1) for partition in range(8)]
        for reader in again:
            reader.start()
        waiting = lambda: any(reader.is_alive() for reader in again)
        produced = slowest_ms(broker, waiting, lambda: book.produce("warm", 0))
        print(f"# 8 cold fetches took {min(took):.0f} to {max(took):.0f} ms; meanwhile the slowest ApiVersions "
              f"{asked:.1f} ms, the slowest produce {produced:.1f} ms", flush=True)
        assert max(asked, produced) < ANSWER_MAX_MS
        broker.kill9()


if __name__ == "__main__":
    harness.main(globals())
