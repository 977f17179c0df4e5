"""volume.py - many records through kcat with every codec: the bytes that come out are those that went in.

The same through librdkafka is test_volume of records.py. The long command, 1,000,000 records of 100 bytes and of
1 KB each, is  RECORDS=1000000 python3 tests/wire/volume.py; what the codecs made of them is looked at on disk.
"""

import hashlib
import random
import subprocess
import threading
import time

import harness
from records import CODECS, RECORDS, check_codec, written_batches

SIZES = (100, 1024)
TIMEOUT_S = 1200
BLOCK = 1 << 20


def lines(count, size, seed):
    """Blocks of `count` lines of `size` bytes: a number, then words, of which every codec makes less."""
    source = random.Random(seed)
    words = ["".join(source.choices("etaoinshrdlucmfwypvbgkqjxz", k=source.randrange(4, 12))) for _ in range(60)]
    pool = " ".join(source.choices(words, k=8000)).encode()
    for first in range(0, count, 1000):
        block = bytearray()
        for number in range(first, min(first + 1000, count)):
            at = source.randrange(len(pool) - size)
            head = b"%d " % number
            block += head + pool[at:at + size - len(head)] + b"\n"
        yield bytes(block)


def send(broker, topic, count, size, codec, seed):
    """The checksum of what kcat was given; it ended well, so all of it is acknowledged."""
    told = hashlib.sha256()
    process = harness.spawn(["kcat", "-b", broker.bootstrap, "-P", "-t", topic, "-p", "0", "-z", codec,
                             "-X", "acks=all", "-X", "max.in.flight=1"],
                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for block in lines(count, size, seed):
        told.update(block)
        process.stdin.write(block)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    return told.hexdigest()


def receive(broker, topic):
    """(records, checksum) of everything in the topic, in order."""
    process = harness.spawn(["kcat", "-b", broker.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e",
                             "-q", "-X", "check.crcs=true"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    watch = threading.Timer(TIMEOUT_S, harness.kill, [process])
    watch.start()
    seen, count = hashlib.sha256(), 0
    while block := process.stdout.read(BLOCK):
        seen.update(block)
        count += block.count(b"\n")
    code = process.wait()
    watch.cancel()
    assert code == 0, f"kcat ended with {code} after {count} records"
    return count, seen.hexdigest()


def test_volume_through_kcat():
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"# {RECORDS} records each, seed {seed}", flush=True)
    for size in SIZES:
        for number, codec in enumerate(CODECS):
            with harness.Broker() as broker:
                began = time.monotonic()
                told = send(broker, codec, RECORDS, size, codec, seed)
                middle = time.monotonic()
                count, seen = receive(broker, codec)
                end = time.monotonic()
                batches = written_batches(broker, codec, RECORDS)
                stored = sum(path.stat().st_size for path in (broker.data / f"{codec}-0").glob("*.log"))
                print(f"# {size} B, {codec}: in {middle - began:.1f} s, out {end - middle:.1f} s, {len(batches)} "
                      f"batches, {stored / (RECORDS * size) * 100:.0f} % of the size on disk, broker "
                      f"{broker.cpu_seconds():.1f} CPU-s, sha256 {seen[:16]}", flush=True)
                assert count == RECORDS, f"{codec}: {count} records for {RECORDS}"
                assert told == seen, f"{codec}, {size} B: {told} became {seen}"
                check_codec(batches, number, codec)


if __name__ == "__main__":
    harness.main(globals())
