#!/usr/bin/env python3
"""One byte of a stopped data directory changes: what was acknowledged comes back, or the damage is named.

A directory with topics of every codec, sealed and active segments, leader epochs and committed offsets is
made twice: once stopped cleanly, once killed. Then, FLIPS times (default 25): a copy, one random byte of
one random file changed, `millrace storage check`, a start, and everything is read. Allowed is only:

    every batch comes back byte for byte, every committed offset is what it was;
    or the start is refused, the log says why, and `storage check` says so (exit 1);
    or a Fetch answers CORRUPT_MESSAGE for a batch, and `storage check` names its offsets.

FLIPS=500 is the long run; SEED=N repeats one.
"""

import json
import os
import pathlib
import random
import shutil
import socket
import struct
import tempfile

import harness
import probe

FLIPS = int(os.environ.get("FLIPS", 25))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
SETTINGS = {"wal.file.bytes": 1 << 20, "checkpoint.interval.ms": 1000}
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
CORRUPT_MESSAGE, OUT_OF_RANGE = 2, 1


def expect(condition, what):
    if not condition:
        raise harness.Failed(what)


# ---- what is in it -----------------------------------------------------------------------------

def commit_offset(connection, group, topic, partition, offset):
    error = probe.commit_offset(connection, group, topic, partition, offset)
    expect(error == 0, f"OffsetCommit: error {error}")


def committed_offset(connection, group, topic, partition):
    return probe.committed_offsets(connection, group, topic, [partition])[0][1]


def batches_of(data):
    """[(base offset, last offset, bytes)]"""
    found, at = [], 0
    while at + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        delta, = struct.unpack_from(">i", data, at + 23)
        if at + 12 + length > len(data):
            break
        found.append((base, base + delta, data[at:at + 12 + length]))
        at += 12 + length
    return found


def fill(broker, round_):
    for codec in CODECS:
        lines = "".join(f"{codec} {round_} {i} {random.Random(i).randbytes(20).hex()}\n" for i in range(700))
        harness.millrace("produce", codec, "-p", "0", "-z", codec, "-q", "-X", "batch.num.messages=20",
                         broker=broker, input=lines)
    with socket.create_connection((broker.host, broker.port), timeout=10) as connection:
        for i in range(60):
            data = probe.batch([b"plain %d %d " % (round_, i) + bytes([i]) * 700 for _ in range(3)])
            error, _ = probe.produce(connection, "plain", i % 2, data)
            expect(error == 0, f"produce: error {error}")
        for i in range(4):
            commit_offset(connection, f"group-{i}", "plain", 0, 10 * round_ + i)


def read_partition(connection, topic, partition, known=None, refused=None):
    """[(base, last, bytes)], {base of each batch that is CORRUPT_MESSAGE}. `known`: the batches as they were;
    `refused`: from this offset on the log is refused, and the log may not know its end."""
    found, corrupt, offset = [], set(), 0
    end = known[-1][1] + 1 if known else None
    while end is None or offset < end:
        error, high_watermark, data = probe.fetch(connection, topic, partition, offset, wait_ms=0)
        if known and (error == CORRUPT_MESSAGE or (error == OUT_OF_RANGE and refused is not None and offset > refused)):
            batch = next(batch for batch in known if batch[1] >= offset)
            corrupt.add(batch[0])
            offset = batch[1] + 1
            continue
        expect(error == 0, f"{topic}-{partition} at {offset}: error {error}, high watermark {high_watermark}")
        if known and refused is None:
            expect(high_watermark == end, f"{topic}-{partition}: high watermark {high_watermark}, was {end}")
        batches = batches_of(data)
        if end is None and offset >= high_watermark:
            break
        expect(batches, f"{topic}-{partition} at {offset}: nothing, and no error")
        found += batches
        offset = batches[-1][1] + 1
    return found, corrupt


PARTITIONS = [("plain", 0), ("plain", 1), *((codec, 0) for codec in CODECS)]


def make(directory, clean):
    """The healthy directory below `directory`, and what is in it."""
    broker = harness.Broker(SETTINGS, directory=directory)
    for topic, count in [("plain", 2), *((codec, 1) for codec in CODECS)]:
        harness.millrace("topics", "create", topic, "-p", str(count), "-c", "segment.index.bytes=40", broker=broker)
    fill(broker, 1)
    broker.restart(crash=True)
    fill(broker, 2)
    harness.wait_until(lambda: sorted(broker.data.glob("*-*/*.idx")), 20, "footers")
    fill(broker, 3)
    with socket.create_connection((broker.host, broker.port), timeout=10) as connection:
        known = {name: read_partition(connection, *name)[0] for name in PARTITIONS}
        offsets = {f"group-{i}": committed_offset(connection, f"group-{i}", "plain", 0) for i in range(4)}
    expect(offsets == {f"group-{i}": 30 + i for i in range(4)}, str(offsets))
    if clean:
        expect(broker.stop() == 0, "the stop")
    else:
        broker.kill9()
    expect(len(list(broker.data.glob("plain-0/*.log"))) > 1, "only one segment")
    for path in broker.data.glob("*.sock"):
        path.unlink()
    shutil.move(broker.data, pathlib.Path(directory) / "healthy")
    return pathlib.Path(directory) / "healthy", known, offsets


# ---- one flip ----------------------------------------------------------------------------------

def flip(data, chance):
    """Half of the time any byte counts alike, else any file."""
    files = sorted(path for path in data.rglob("*") if path.is_file() and path.stat().st_size)
    sizes = [path.stat().st_size for path in files]
    path = chance.choices(files, sizes)[0] if chance.random() < 0.5 else chance.choice(files)
    if path.suffix == ".wal" and chance.random() < 0.7:  # most of these is empty
        used = len(path.read_bytes().rstrip(b"\0")) or 1
        at = chance.randrange(used)
    else:
        at = chance.randrange(path.stat().st_size)
    mask = chance.randrange(1, 256)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ mask]))
    return f"{path.relative_to(data)} at {at}: {byte:#04x} became {byte ^ mask:#04x}"


def check(data):
    """(exit code, the object that `storage check --json` printed)"""
    done = harness.millrace("storage", "check", "--data-dir", str(data), "--json", check=False)
    expect(done.returncode in (0, 1, 2), f"storage check ended with {done.returncode}")
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None


def named(report, topic, partition, base, last):
    for log in report["logs"]:
        if (log["topic"], log["partition"]) != (topic, partition):
            continue
        if log.get("refused_from", 1 << 62) <= base:
            return True
        for segment in log["segments"]:
            if any(damage["offset"] <= base and damage["end_offset"] > last for damage in segment["damaged"]):
                return True
    return False


def read_back(broker, known, offsets, report):
    """How many batches are damaged."""
    damaged = 0
    with socket.create_connection((broker.host, broker.port), timeout=10) as connection:
        for (topic, partition), batches in known.items():
            refused = next(log.get("refused_from") for log in report["logs"]
                           if (log["topic"], log["partition"]) == (topic, partition))
            found, corrupt = read_partition(connection, topic, partition, batches, refused)
            expect([batch for batch in batches if batch[0] not in corrupt] == found,
                   f"{topic}-{partition}: what was read is not what was written")
            for base, last, _ in batches:
                expect(base not in corrupt or named(report, topic, partition, base, last),
                       f"{topic}-{partition}: storage check does not name offsets {base} to {last}")
            damaged += len(corrupt)
        for group, offset in offsets.items():
            now = committed_offset(connection, group, "plain", 0)
            expect(now == offset, f"{group}: committed {now}, was {offset}")
    return damaged


def try_flip(healthy, known, offsets, scratch, chance, counts):
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    shutil.copytree(healthy, scratch / "data")
    what = flip(scratch / "data", chance)
    broker = harness.Broker(SETTINGS, directory=scratch, start=False)
    try:
        code, report = check(scratch / "data")
        try:
            broker.start()
        except harness.Failed:
            expect("error" in broker.log_text().lower() or "E " in broker.log_text(),
                   f"refused without a word: {broker.log_text()}")
            expect(code != 0, "the start is refused, and storage check finds nothing wrong")
            counts["refused"] += 1
            return
        damaged = read_back(broker, known, offsets, report)
        broker.stop()
        expect(damaged == 0 or code == 1, f"{damaged} batches are damaged and storage check ends with {code}")
        counts["damaged" if damaged else "of no use" if code == 0 else "only told"] += 1
    except harness.Failed as problem:
        raise harness.Failed(f"SEED={SEED}: {what}: {problem}") from None
    finally:
        broker.kill9()


def run(clean):
    chance = random.Random(f"{SEED} {clean}")
    counts = dict.fromkeys(["of no use", "damaged", "refused", "only told"], 0)
    with tempfile.TemporaryDirectory(prefix="millrace-wire-") as directory:
        healthy, known, offsets = make(directory, clean)
        code, report = check(healthy)
        expect(code == 0 and not report["damaged"], f"the healthy one: {code}: {report}")
        count = FLIPS - FLIPS // 2 if clean else FLIPS // 2
        for _ in range(count):
            try_flip(healthy, known, offsets, pathlib.Path(directory) / "copy", chance, counts)
    print(f"# SEED={SEED}: {count} flips after {'a clean stop' if clean else 'kill -9'}: {counts}")


def test_check_is_of_a_broker_that_is_stopped():
    with harness.Broker(SETTINGS) as broker:
        done = harness.millrace("storage", "check", "--data-dir", str(broker.data), check=False)
        expect(done.returncode == 2 and b"is in use" in done.stderr, f"{done.returncode}: {done.stderr}")
        broker.stop()
        done = harness.millrace("storage", "check", "--data-dir", str(broker.data), check=False)
        expect(done.returncode == 0 and b"whole" in done.stdout, f"{done.returncode}: {done.stderr}")
        done = harness.millrace("storage", "check", "--data-dir", str(broker.data / "nothing"), check=False)
        expect(done.returncode == 2, f"{done.returncode}: {done.stderr}")


def test_a_flipped_byte_after_a_clean_stop():
    run(True)


def test_a_flipped_byte_after_a_kill():
    run(False)


if __name__ == "__main__":
    harness.main(globals())
