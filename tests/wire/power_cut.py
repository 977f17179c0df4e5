"""power_cut.py - the power goes while a broker writes to a real file system: what was acknowledged is there.

A few images here; the long command of tests/README.md: POWER_CUTS=300 tests/wire/power_cut.py

ext4 on a loop device on a file of our own (cut_disk.c) that keeps a log of all writes and flushes. A broker
works on it, is killed and starts again a few times, and every client notes how long the log was when
something was acknowledged (ledger.py). Then, for moments of that log chosen at random, an image is made of
what the disk may hold after a power cut there: everything in front of the last flush, and of what came behind
it nothing, all, some writes, or some sectors. The image is mounted (ext4 replays its journal), a broker starts
on it, everything acknowledged before that moment must be there and nothing that was sent after it, records
are taken, and at the end fsck finds no fault.

The model is a disk with a volatile cache and sectors of 512 bytes (but for ext4's superblock, which ext4
itself does not survive torn). A write that arrived before a flush counts
as flushed, even if its own answer was still on the way (one thread serves both).

Needs the right to mount, /dev/fuse and /dev/loop-control, mkfs.ext4 and e2fsck: skips aloud without. All
mounts are made in a mount namespace of this process, so they end with it.
"""

import os
import pathlib
import random
import shutil
import struct
import threading
import time

import harness
import ledger
import mounts

CUTS = int(os.environ.get("POWER_CUTS", "5"))
LIVES = int(os.environ.get("POWER_LIVES", "3" if CUTS < 100 else "8"))
LIFE_S = float(os.environ.get("POWER_LIFE_S", "0.7"))
SEED = int(os.environ.get("POWER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
LIE = os.environ.get("POWER_LIE")  # "flush": a disk that ignores flushes, to see this test fail
DURABILITY = os.environ.get("POWER_DURABILITY", "fsync")  # "os": promises less; to see this test fail
IMAGE_MB = 128
SECTOR = 512
SUPERBLOCK_END = 4096  # ext4's own checksum of it spans two sectors: half of one is no file system any more
ENTRY = struct.Struct("=IIQ")
WRITE, FLUSH = 1, 2
SETTINGS = {"durability": DURABILITY, "wal.file.bytes": 1 << 20, "wal.files.max": 8, "log.segment.bytes": 1 << 20,
            "wal.writeback.age.ms": 20, "checkpoint.interval.ms": 100, "log.segment.delete.delay.ms": 0,
            "disk.free.min.bytes": 0}


# ---- what it takes ------------------------------------------------------------------------------

def need_mounts():
    if not shutil.which("e2fsck"):
        raise harness.Skip("e2fsck is not here")
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(device):
            raise harness.Skip(f"{device} is not here")
    mounts.need()


def mount(image, at):
    harness.run(["mount", "-t", "ext4", "-o", "loop", image, at])


class CutDisk:
    """An ext4 whose every write and flush is logged, mounted at `directory`."""

    def __init__(self, where):
        self.where = pathlib.Path(where)
        self.image, self.log = self.where / "empty.img", self.where / "log"
        self.file, self.directory = self.where / "disk", self.where / "mounted"
        mounts.make_image("ext4", self.image, IMAGE_MB)
        self.file.touch()
        self.directory.mkdir()
        self.process = harness.spawn([harness.BUILD / "tests" / "wire" / "cut_disk", self.file, self.image, self.log])
        try:
            harness.wait_until(lambda: self.file.stat().st_size == IMAGE_MB << 20, 10, "cut_disk is mounted")
        except harness.Failed:
            raise harness.Skip("cut_disk can't mount a FUSE file system here") from None
        mount(self.file, self.directory)

    def clock(self):
        return self.log.stat().st_size

    def close(self):
        mounts.unmount(self.directory)
        harness.run(["umount", self.file])
        self.process.wait(10)


# ---- the work -----------------------------------------------------------------------------------

def work(broker, book, name, dice, until):
    """Topics come and go, batches of all sizes, offsets; until the broker is gone."""
    try:
        book.connect(broker)
        if name not in book.topics:
            book.create(name, 2)
        rounds = 0
        while time.monotonic() < until:
            rounds += 1
            topic, partition = name, dice.randrange(2)
            offset = book.produce(topic, partition, dice.choice([100, 100, 1000, 5000, 60000]))
            if rounds % 3 == 0:
                book.commit(f"group-{name}", topic, partition, offset)
            if rounds % 40 == 0:
                extra = f"{name}-extra-{len(book.topics)}"
                book.create(extra, 1)
                book.produce(extra, 0, 1000)
                if dice.random() < 0.6:
                    book.delete(extra)
    except OSError:
        pass
    finally:
        book.close()


def lives(disk, books, dice):
    with harness.Broker(start=False, settings=SETTINGS, directory=disk.directory) as broker:
        # The broker's own log would be writes of the same disk that nobody waits for: elsewhere.
        broker.log_path = disk.where / "broker.log"
        for number in range(LIVES):
            broker.start()
            until = time.monotonic() + LIFE_S
            threads = [threading.Thread(target=work, args=(broker, book, f"t{i}", random.Random(dice.random()), until))
                       for i, book in enumerate(books)]
            for thread in threads:
                thread.start()
            if number % 2:
                time.sleep(dice.uniform(0, LIFE_S))
                broker.kill9()
            for thread in threads:
                thread.join()
            if number % 3 == 2 and broker.alive():
                assert broker.stop() == 0
            broker.kill9()


# ---- the cuts -----------------------------------------------------------------------------------

def entries(log):
    """[(end in the log, kind, len, position, start of the data)]"""
    found, at = [], 0
    with open(log, "rb") as file:
        while head := file.read(ENTRY.size):
            kind, size, position = ENTRY.unpack(head)
            found.append((at + ENTRY.size + size, kind, size, position, at + ENTRY.size))
            at += ENTRY.size + size
            file.seek(at)
    return found


def apply(image, log, entry, keep=None):
    """Write an entry into the image; keep(): of each sector, whether it got there."""
    _, _, size, position, start = entry
    data = os.pread(log, size, start)
    if keep is None:
        os.pwrite(image, data, position)
        return
    step = SECTOR if position >= SUPERBLOCK_END else SUPERBLOCK_END
    for at in range(0, size, step):
        if keep():
            os.pwrite(image, data[at:at + step], position + at)


def lose(image, log, unflushed, dice):
    """Of the writes behind the last flush some part gets there; says which."""
    how = dice.choice(["none", "all", "writes", "writes", "sectors", "last torn"])
    for number, entry in enumerate(unflushed):
        if how == "all" or (how == "writes" and dice.random() < 0.5):
            apply(image, log, entry)
        elif how == "sectors":
            apply(image, log, entry, lambda: dice.random() < 0.5)
        elif how == "last torn":
            last = number == len(unflushed) - 1
            apply(image, log, entry, (lambda: dice.random() < 0.5) if last else None)
    return how


def look(where, image, books, at, what):
    """A broker on the image: what must be there is; then fsck."""
    directory = where / "cut"
    directory.mkdir(exist_ok=True)
    mount(image, directory)
    try:
        with harness.Broker(start=False, settings=SETTINGS, directory=directory) as broker:
            broker.log_path = where / "cut.log"
            broker.log_path.write_text("")
            broker.start()
            for book in books:
                book.check(broker, at)
            after = ledger.Ledger()
            after.connect(broker)
            after.create("after", 1)
            after.produce("after", 0)
            after.check(broker)
            assert broker.stop() == 0, "the stop was not clean"
    except BaseException as problem:
        raise harness.Failed(f"{what}: {problem}") from problem
    finally:
        mounts.unmount(directory)
    fsck = harness.run(["e2fsck", "-fn", image], check=False)
    assert fsck.returncode == 0, f"{what}: e2fsck: {fsck.stdout.decode()}"


def cut_all(disk, books, dice):
    log = entries(disk.log)
    flushes = sum(entry[1] == FLUSH for entry in log)
    print(f"# {len(log) - flushes} writes, {flushes} flushes, {disk.clock() >> 20} MiB; "
          f"{sum(book.acked_count() for book in books)} batches acknowledged", flush=True)
    assert flushes > 0, "no flush came through: nothing can be said"
    chosen = sorted(dice.sample(range(len(log)), min(CUTS, len(log))))
    durable, cut = disk.where / "durable.img", disk.where / "cut.img"
    shutil.copyfile(disk.image, durable)
    hows, checked, unflushed, done, log_fd = {}, 0, [], 0, os.open(disk.log, os.O_RDONLY)
    image = os.open(durable, os.O_RDWR)
    for number in chosen:
        for entry in log[done:number + 1]:
            if entry[1] == WRITE:
                unflushed.append(entry)
            elif LIE != "flush":
                for safe in unflushed:
                    apply(image, log_fd, safe)
                unflushed = []
        done = number + 1
        shutil.copyfile(durable, cut)
        fd = os.open(cut, os.O_RDWR)
        how = lose(fd, log_fd, unflushed, dice)
        os.close(fd)
        hows[how] = hows.get(how, 0) + 1
        at = log[number][0]
        checked += sum(book.acked_count(at) for book in books)
        look(disk.where, cut, books, at, f"seed {SEED}: cut at entry {number} of {len(log)}, "
             f"{len(unflushed)} writes not flushed, of them {how}")
    os.close(image)
    os.close(log_fd)
    print(f"# {len(chosen)} power cuts, {checked} acknowledged batches looked for, 0 lost; not flushed: " +
          ", ".join(f"{how} {hows[how]}" for how in sorted(hows)), flush=True)


def test_power_cut():
    need_mounts()
    print(f"# seed {SEED}", flush=True)
    dice = random.Random(SEED)
    where = mounts.scratch()
    try:
        disk = CutDisk(where)
        books = [ledger.Ledger(disk.clock) for _ in range(3)]
        lives(disk, books, dice)
        disk.close()
        cut_all(disk, books, dice)
    finally:
        shutil.rmtree(where, ignore_errors=True)


if __name__ == "__main__":
    harness.main(globals())
