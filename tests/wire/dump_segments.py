#!/usr/bin/env python3
"""Kafka's own DumpLogSegments reads our segment files, as they lie there after a kill and after a stop.

Every batch is valid, every record of every codec comes out with its offset, key and value, and behind the last
batch there is not a byte: what is reserved ahead does not show. Without the jars (jvm.py) the test is skipped.
"""

import re
import struct

import harness
import jvm

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS = 600


def dump(files):
    done = harness.run(jvm.tool("DumpLogSegments", "--deep-iteration", "--print-data-log", "--files",
                                ",".join(str(file) for file in files)), timeout_s=120)
    return done.stdout.decode(), done.stderr.decode()


def produce(broker, codec, first):
    lines = "".join(f"key-{i}\tvalue {codec} {i} {'x' * (i % 90)}\n" for i in range(first, first + RECORDS))
    harness.millrace("produce", codec, "-p", "0", "-K", "\t", "-z", codec, "-q", "-H", "from=test", "-X",
                     "batch.num.messages=25", broker=broker, input=lines)


def batches_end(path):
    """Where the last whole batch of a file ends."""
    data, at = path.read_bytes(), 0
    while at + 61 <= len(data) and data[at + 16] == 2:
        at += 12 + struct.unpack_from(">i", data, at + 8)[0]
    return at


def read_all(broker, count):
    files = sorted(broker.data.glob("*-0/*.log"))
    out, err = dump(files)
    assert "invalid" not in out and "Exception" not in out + err, (out + err)[-2000:]
    valid = re.findall(r"^baseOffset: .* isvalid: (\w+)$", out, re.M)
    assert valid and set(valid) == {"true"}, f"isvalid: {set(valid)}"
    dumps = re.split(r"^Dumping ", out, flags=re.M)[1:]
    assert len(dumps) == len(files), f"{len(dumps)} dumps of {len(files)} files"
    seen = {codec: [] for codec in CODECS}
    for text in dumps:
        codec = re.match(r".*/(\w+)-0/\d+\.log", text).group(1)
        seen[codec] += re.findall(r"^\| offset: (\d+) .*headerKeys: \[from\] key: (\S+) payload: (.*)$", text, re.M)
    for codec, records in seen.items():
        wanted = [(str(i), f"key-{i}", f"value {codec} {i} {'x' * (i % 90)}") for i in range(count)]
        assert records == wanted, f"{codec}: {len(records)} of {count} records; {records[:2]} ..."
    return files


def test_kafkas_dump_reads_our_segments():
    jvm.tool("DumpLogSegments")  # skips at once where there is none
    settings = {"wal.writeback.age.ms": 100, "log.index.interval.bytes": 1024}
    with harness.Broker(settings) as broker:
        for codec in CODECS:
            harness.millrace("topics", "create", codec, "-p", "1", "-c", "segment.index.bytes=80", broker=broker)
            produce(broker, codec, 0)

        def all_written():
            """... and nothing but batches: neither zeros nor what is reserved."""
            return all(path.stat().st_size and batches_end(path) == path.stat().st_size
                       for path in broker.data.glob("*-0/*.log")) and \
                all(sum(path.stat().st_size for path in (broker.data / f"{codec}-0").glob("*.log")) > 10000
                    for codec in ("none", "lz4"))

        harness.wait_until(all_written, 20, "the batches in their files")
        harness.wait_until(lambda: len(list(broker.data.glob("none-0/*.idx"))) > 1, 20, "sealed segments")
        broker.kill9()
        for path in broker.data.glob("*-0/*.log"):
            assert batches_end(path) == path.stat().st_size, f"{path} goes on behind its last batch"
        broker.start()
        for codec in CODECS:
            produce(broker, codec, RECORDS)
        assert broker.stop() == 0
        files = read_all(broker, 2 * RECORDS)
        assert len(files) > 2 * len(CODECS), f"only {len(files)} segments"


if __name__ == "__main__":
    harness.main(globals())
