"""fail_call.py - the k-th system call on a file fails, for every k: stop or a clear error, and nothing is lost.

A few k here; the long command of tests/README.md: FAIL_EVERY=1 tests/wire/fail_call.py

A fixed piece of a broker's life (start, topics, batches into several segments, offsets, checkpoints, a topic
deleted, reads, a kill -9, recovery, more batches, a clean stop) runs on the plain disk below fail_call.c,
which makes one call fail, each time the next one, with each of EIO, ENOSPC, EMFILE, EINTR and short
transfers. Good is:

    the broker says why and ends (fail-stop); or
    it answers what it can't do with an error and goes on

and in both cases, without the failure: it starts, everything acknowledged is there, nothing is there that
was refused (ledger.py), and it takes records. A hang, another end, or a loss is not.
"""

import os
import pathlib
import random
import signal
import struct
import tempfile

import harness
import ledger

SHIM = harness.BUILD / "tests" / "wire" / "libfail_call.so"
EVERY = int(os.environ.get("FAIL_EVERY", "0"))  # 0: a sample
SAMPLE = int(os.environ.get("FAIL_SAMPLE", "6"))  # of each kind of failure
SETTINGS = {"disk": "plain", "wal.file.bytes": 1 << 20, "wal.files.max": 8, "log.segment.bytes": 1 << 20,
            "wal.writeback.age.ms": 5, "checkpoint.interval.ms": 100, "log.segment.delete.delay.ms": 0,
            "disk.free.min.bytes": 0}
STATE_SIZE = 16 + 240 + 8
WALL_AT = 16 + 240
STOP_SAYS = "Nothing can be made safe any more"


def need():
    if harness.is_sanitized():
        raise harness.Skip("a sanitizer's own interceptors stand before the shim's")
    if not SHIM.exists():
        raise harness.Skip(f"{SHIM} is not built")


class Shim:
    def __init__(self, directory, at, error, calls=None):
        self.path = pathlib.Path(directory) / "state"
        self.path.write_bytes(bytes(STATE_SIZE))
        self.env = {"LD_PRELOAD": str(SHIM), "FAIL_DIR": str(pathlib.Path(directory) / "data"),
                    "FAIL_AT": str(at), "FAIL_WITH": error, "FAIL_STATE": str(self.path)}
        if calls:
            self.env["FAIL_CALLS"] = calls

    def set_wall(self, seconds):
        """The wall clock is that much ahead from now on."""
        with open(self.path, "r+b") as file:
            file.seek(WALL_AT)
            file.write(struct.pack("=q", seconds))

    def read(self):
        """(calls counted, what failed or "")"""
        data = self.path.read_bytes()
        count, failed = struct.unpack_from("=QQ", data)
        return count, data[16:WALL_AT].split(b"\0")[0].decode() if failed else ""


def life(broker, book):
    """The fixed piece of life. Refusals are noted by the book; a broken connection ends it."""
    def attempt(what, *words):
        try:
            what(*words)
        except ledger.Refused:
            pass
    book.connect(broker)
    attempt(book.create, "a", 2)
    attempt(book.create, "b", 1)
    for number in range(14):
        attempt(book.produce, "a", number % 2, 200_000)
        attempt(book.produce, "b", 0, 3000)
        attempt(book.commit, "g", "a", 0, number)
        if number == 8:
            attempt(book.delete, "b")
            attempt(book.create, "c", 1)
        if number > 8:
            attempt(book.produce, "c", 0, 1000)
        if number % 5 == 4:
            attempt(book.read, "a", 0)
    book.close()


def afterlife(broker, book):
    book.connect(broker)
    for number in range(4):
        try:
            book.produce("a", number % 2, 3000)
            book.read("a", number % 2)
        except ledger.Refused:
            pass
    book.close()


def end(broker, what):
    """How it ended must be one of the good ways."""
    if broker.alive():
        code = broker.stop(timeout_s=20)
    else:
        code = broker.process.returncode
    text = broker.log_tail()
    if code == -signal.SIGABRT:
        assert STOP_SAYS in text, f"{what}: aborted without a reason:\n{text}"
    else:
        assert code in (0, 1), f"{what}: ended with {code}:\n{text}"
        assert code == 0 or "ERROR" in text, f"{what}: exit code 1 without a word:\n{text}"
    return code


def live_once(broker, what, *deeds):
    """Start it and do things with it; False when it has ended by itself."""
    try:
        broker.start(wait=False)
        harness.wait_until(lambda: not broker.alive() or answers(broker), 20, f"{what}: first answer", 0.002)
        if broker.alive():
            for deed in deeds:
                deed()
            return True
    except OSError:
        harness.wait_until(lambda: not broker.alive(), 10, f"{what}: a lost connection, and no end")
    return False


def live(broker, book, what):
    """Two lives: the first is killed, the second recovers and ends cleanly, if nothing comes between."""
    if live_once(broker, what, lambda: life(broker, book)):
        broker.kill9()
        (broker.directory / "broker.log").write_text("")
        live_once(broker, what, lambda: afterlife(broker, book))
    book.close()
    return end(broker, what)


def answers(broker):
    try:
        return harness.api_versions(broker.host, broker.port)
    except OSError:
        return None


def one(at, error, directory):
    """One life with one failure; (calls counted, what failed, how it ended)."""
    what = f"call {at}, {error}"
    book = ledger.Ledger()
    shim = Shim(directory, at, error)
    with harness.Broker(start=False, settings=SETTINGS, directory=directory) as broker:
        broker.env = shim.env
        code = live(broker, book, what)
        count, failed = shim.read()
        what = f"{what} ({failed})"
        broker.env = {}
        try:
            broker.start()
            if "a" in book.topics:
                book.check(broker)
            book.connect(broker)
            book.create("after", 1)
            book.produce("after", 0)
            book.check(broker)
            code_after = broker.stop()
        except BaseException as problem:
            raise harness.Failed(f"{what}, ended with {code}: {problem}\n{broker.log_tail()}") from problem
        assert code_after == 0, f"{what}: the stop after it ended with {code_after}"
    return count, failed, code


def run(at, error):
    with tempfile.TemporaryDirectory(prefix="millrace-fail-") as directory:
        return one(at, error, directory)


def chosen(count, dice):
    if EVERY:
        return range(1, count + 1, EVERY)
    return sorted(dice.sample(range(1, count + 1), SAMPLE))


def sweep(error):
    need()
    seed = random.SystemRandom().randrange(1 << 32)
    count, _, code = run(0, error)
    assert code == 0, f"without a failure: ended with {code}"
    ends, calls = {}, {}
    for at in chosen(count, random.Random(seed)):
        _, failed, code = run(at, error)
        if not failed:  # threads: fewer calls than the time before
            continue
        name = failed.split()[0]
        calls[name] = calls.get(name, 0) + 1
        ends[code] = ends.get(code, 0) + 1
    words = {0: "went on", 1: "ended with an error", -signal.SIGABRT: "fail-stop"}
    print(f"# {error}: {count} calls, {sum(ends.values())} failed: " +
          ", ".join(f"{words[code]} {ends[code]}" for code in sorted(ends)) +
          "; " + ", ".join(f"{name} {calls[name]}" for name in sorted(calls)) + f"; seed {seed}", flush=True)
    assert ends, "nothing failed"


def test_eio():
    sweep("EIO")


def test_enospc():
    sweep("ENOSPC")


def test_emfile():
    sweep("EMFILE")


def test_eintr():
    sweep("EINTR")


def test_short():
    sweep("short")


if __name__ == "__main__":
    harness.main(globals())
