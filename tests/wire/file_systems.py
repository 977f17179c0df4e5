"""file_systems.py - storage on other file systems than the one at hand: tmpfs, ramfs, overlayfs, xfs, ext2, ext4.

On each: the storage's unit tests, then a broker, with io_uring and with the plain disk, that is killed and
recovers with everything acknowledged. Some of these take no O_DIRECT or no fallocate. And when they are
full: produce is refused with KAFKA_STORAGE_ERROR (which clients try again), everything else works, and
after a topic was deleted records are taken again, without a restart. A kill -9 of a broker on a full disk is
recovered from, too: it keeps a reserve for that.

Some of it here; the long command of tests/README.md: FS_LONG=1 tests/wire/file_systems.py
"""

import os
import time

import harness
import ledger
import mounts

LONG = bool(os.environ.get("FS_LONG"))
UNIT_TESTS = ["test_disk", "test_storage_faults"] + (["test_storage"] if LONG else [])
SETTINGS = {"wal.file.bytes": 1 << 20, "wal.files.max": 4, "log.segment.bytes": 1 << 20,
            "wal.writeback.age.ms": 20, "checkpoint.interval.ms": 100, "log.segment.delete.delay.ms": 0}
SIZE_MB = {"tmpfs": 64, "overlay": 64, "ext4": 64, "xfs": 400}  # xfs wants 300 at least
FULL_S = 20


def only_long():
    if not LONG:
        raise harness.Skip("FS_LONG=1 runs it")


def units_on(directory):
    if harness.is_sanitized():
        return  # they are their own tests there
    for name in UNIT_TESTS:
        program = harness.BUILD / "tests" / "unit" / name
        if not program.exists():
            raise harness.Skip(f"{program} is not built (Criterion is missing?)")
        done = harness.spawn([program], cwd=directory, env={**os.environ, "TMPDIR": str(directory)},
                             stdout=-1, stderr=-2)
        out, _ = done.communicate(timeout=300)
        assert done.returncode == 0, f"{name} on {directory}:\n{out.decode(errors='replace')[-3000:]}"


def broker_on(directory, disk):
    book = ledger.Ledger()
    with harness.Broker(start=False, settings={**SETTINGS, "disk": disk, "disk.free.min.bytes": 0},
                        directory=directory / disk) as broker:
        (directory / disk).mkdir()
        broker.start()
        for life in range(2):
            book.connect(broker)
            book.create(f"t{life}", 2)
            for number in range(20):
                offset = book.produce(f"t{life}", number % 2, 100_000)
                book.commit("g", f"t{life}", number % 2, offset)
            book.close()
            broker.restart(crash=True)
            book.check(broker)
        broker.restart()
        book.check(broker)
        assert broker.stop() == 0


def storage_on(kind):
    with mounts.mounted(kind, 400 if kind == "xfs" else 200) as directory:
        units_on(directory)
        for disk in ("io_uring", "plain"):
            broker_on(directory, disk)


def test_tmpfs():
    storage_on("tmpfs")


def test_ramfs():
    """Neither O_DIRECT nor fallocate, and it does not say how large it is."""
    with mounts.mounted("ramfs", 0) as directory:
        for disk in ("io_uring", "plain"):
            broker_on(directory, disk)


def test_ext2():
    """No fallocate, no journal."""
    only_long()
    storage_on("ext2")


def test_overlay():
    only_long()
    storage_on("overlay")


def test_xfs():
    storage_on("xfs")


def test_ext4():
    only_long()
    storage_on("ext4")


# ---- full ---------------------------------------------------------------------------------------

def fill(book, topics):
    """Produce until it is refused; the error."""
    end = time.monotonic() + FULL_S * 3
    number = 0
    while time.monotonic() < end:
        number += 1
        try:
            book.produce(topics[number % len(topics)], 0, 200_000)
        except ledger.Refused as refused:
            return number, refused.error
    raise harness.Failed(f"the disk did not get full with {number} batches of 200 kB")


def everything_else_works(broker, book):
    book.commit("g", "keep", 0, 7)
    assert book.committed("g", "keep", 0) == 7
    count = len(book.read("keep", 0))
    assert count > 0
    harness.api_versions(broker.host, broker.port)
    return count


def full(kind, reserve):
    """reserve: disk.free.min.bytes; with 0 the file system itself says that it is full."""
    with mounts.mounted(kind, SIZE_MB[kind]) as directory:
        settings = {**SETTINGS, "disk.free.min.bytes": reserve}
        with harness.Broker(settings=settings, directory=directory / "b", start=False) as broker:
            (directory / "b").mkdir()
            broker.log_path = directory.parent / "broker.log"
            broker.start()
            book = ledger.Ledger()
            book.connect(broker)
            book.create("keep", 1)
            book.create("victim", 1)
            for round_ in range(2):
                number, error = fill(book, ["keep", "victim", "victim", "victim"])
                assert error == ledger.STORAGE_ERROR, f"after {number} batches: error {error}"
                read = everything_else_works(broker, book)
                if round_ == 1:  # a full disk is recovered from, too
                    broker.kill9()
                    broker.start()
                    book.check(broker)
                    book.connect(broker)
                book.delete("victim")
                ledger.patiently(lambda: book.produce("keep", 0, 1000), FULL_S)
                print(f"# {kind}, disk.free.min.bytes={reserve}: full after {number} batches of 200 kB, {read} read, "
                      "taken again after a deletion", flush=True)
                book.topics.pop("victim")
                book.create("victim", 1)
            book.check(broker)
            assert broker.stop() == 0, broker.log_tail()


def test_full_ext4():
    full("ext4", 0)


def test_full_ext4_with_a_reserve():
    full("ext4", 8 << 20)


def test_full_tmpfs():
    full("tmpfs", 0)


def test_full_xfs():
    only_long()
    full("xfs", 0)


if __name__ == "__main__":
    harness.main(globals())
