"""records.py - kcat and librdkafka produce, consume and administrate; what they stored is looked at on disk.

The long command, 1,000,000 records of 100 bytes and of 1 KB with every codec:

    RECORDS=1000000 tests/wire/records.py test_volume
"""

import os
import struct
import subprocess
import time

import harness
from harness import Broker, run, shared_broker, unique, wait_until

RECORDS = int(os.environ.get("RECORDS", "20000"))
LOAD = harness.BUILD / "tests" / "wire" / "rdkafka_load"
CASES = harness.BUILD / "tests" / "wire" / "rdkafka_cases"
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def kcat(broker, *words, input=None, **options):
    return run(["kcat", "-b", broker.bootstrap, *words], input=input, **options).stdout


def case(name, broker=None):
    run([CASES, (broker or shared_broker()).bootstrap, name], timeout_s=90)


# ---- what lies on disk ---------------------------------------------------------------------------

def stored_batches(broker, topic, partition=0):
    """(codec, records, log append time?) of every batch in the segment files, in order."""
    found = []
    for path in sorted((broker.data / f"{topic}-{partition}").glob("*.log")):
        data = path.read_bytes()
        at = 0
        while at + 61 <= len(data):
            base, length, _, magic, _, attributes, _, _, _, _, _, _, count = struct.unpack(
                ">qiibIhiqqqhii", data[at:at + 61])
            if length <= 0:
                break
            assert magic == 2, f"magic {magic} at {at} of {path}"
            assert base == sum(b[1] for b in found), f"offset {base} at {at} of {path}"
            found.append((attributes & 7, count, bool(attributes & 8)))
            at += 12 + length
    return found


def written_batches(broker, topic, records, partition=0):
    """As stored_batches, once all records have gone from the ring to the segment files."""
    return wait_until(
        lambda: (lambda b: b if sum(n for _, n, _ in b) >= records else None)(
            stored_batches(broker, topic, partition)),
        30, f"{records} records of {topic} in its segment files", every_s=0.1)


# ---- kcat ----------------------------------------------------------------------------------------

def test_kcat_lists_the_broker_and_its_topics():
    broker = shared_broker()
    topic = unique()
    kcat(broker, "-P", "-p", "0", "-t", topic, input="a\n")
    listed = kcat(broker, "-L", "-t", topic).decode()
    assert f'topic "{topic}"' in listed, listed
    assert f"at {broker.bootstrap}" in listed or "WIRE_BOOTSTRAP" in os.environ, listed


def test_kcat_reads_what_it_wrote_with_each_codec():
    lines = "".join(f"line {n} {n * n}\n" for n in range(5000))
    for codec in CODECS:
        broker, topic = shared_broker(), unique(codec)
        kcat(broker, "-P", "-p", "0", "-t", topic, "-z", codec, input=lines)
        back = kcat(broker, "-C", "-t", topic, "-o", "beginning", "-e", "-q")
        assert back.decode() == lines, f"{codec}: {len(back)} bytes came back"


def test_kcat_keys_headers_and_timestamps():
    broker, topic = shared_broker(), unique()
    before = int(time.time() * 1000)
    kcat(broker, "-P", "-p", "0", "-t", topic, "-K:", "-H", "h=1", "-H", "g=", input="k1:v1\nk2:v2\n")
    back = kcat(broker, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
                "-f", "%o %k %s %h %T\n").decode().splitlines()
    assert len(back) == 2, back
    for number, line in enumerate(back):
        offset, key, value, headers, stamp = line.split(" ")
        assert (int(offset), key, value) == (number, f"k{number + 1}", f"v{number + 1}"), line
        assert headers.split(",")[0] == "h=1", line
        assert before - 1000 <= int(stamp) <= before + 60000, line


def test_kcat_offsets():
    broker, topic = shared_broker(), unique()
    kcat(broker, "-P", "-p", "0", "-t", topic, input="a\nb\nc\n")
    assert kcat(broker, "-C", "-t", topic, "-p", "0", "-o", "1", "-c", "1", "-q") == b"b\n"
    assert kcat(broker, "-C", "-t", topic, "-p", "0", "-o", "-1", "-e", "-q") == b"c\n"
    assert kcat(broker, "-Q", "-t", f"{topic}:0:-1").decode().split() == [topic, "[0]", "offset", "3"]
    assert kcat(broker, "-Q", "-t", f"{topic}:0:-2").decode().split() == [topic, "[0]", "offset", "0"]


def test_kcat_waits_for_what_comes_later():
    broker, topic = shared_broker(), unique()
    kcat(broker, "-P", "-p", "0", "-t", topic, input="a\n")
    reader = harness.spawn(["kcat", "-b", broker.bootstrap, "-C", "-t", topic, "-o", "beginning", "-q", "-u"],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert reader.stdout.readline() == b"a\n"
    for word in ("b", "c"):
        time.sleep(0.2)
        kcat(broker, "-P", "-p", "0", "-t", topic, input=word + "\n")
        assert reader.stdout.readline().decode() == word + "\n"
    harness.kill(reader)


# ---- librdkafka ----------------------------------------------------------------------------------

def test_record_with_key_headers_timestamp_and_tombstone():
    case("record")


def test_log_append_time():
    case("log_append_time")


def test_acks_none_one_all():
    case("acks")


def test_idempotence():
    case("idempotence")


def test_partitions_and_their_ends():
    case("partitions")


def test_a_message_that_is_too_large():
    case("too_large")


def test_topics_are_made_when_first_used():
    case("auto_create")


def test_topics_are_not_made_when_that_is_off():
    with Broker({"auto.create.topics.enable": "false"}) as broker:
        case("unknown_topic", broker)


def test_a_reader_that_waits_is_woken():
    case("long_poll")


def test_offsets_for_times():
    case("offsets_for_times")


def test_topics_are_administrated():
    case("admin")


def test_transactions():
    """Committed, aborted, open: what readers of both kinds see."""
    case("transactions")


def test_fencing():
    """A second producer of the same transactional id: the first cannot commit any more."""
    case("fencing")


def test_waiting_readers_cost_nothing():
    """Ten readers that wait for 3 s: the broker does not poll."""
    with Broker() as broker:
        kcat(broker, "-P", "-t", "t", input="a\n")
        readers = [harness.spawn(["kcat", "-b", broker.bootstrap, "-C", "-t", "t", "-o", "end", "-q",
                                  "-X", "fetch.wait.max.ms=10000"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(10)]
        time.sleep(1)
        began = broker.cpu_seconds()
        time.sleep(3)
        used = broker.cpu_seconds() - began
        for reader in readers:
            harness.kill(reader)
        assert used <= 0.1, f"{used} CPU-seconds in 3 s"


# ---- stored batches ------------------------------------------------------------------------------

def check_codec(batches, codec, what):
    """All in this codec, but for batches of a few records: librdkafka sends those as they are when it gains nothing."""
    wrong = [batch for batch in batches if batch[0] != codec and (batch[0] != 0 or batch[1] > 5)]
    assert not wrong, f"{what}: {wrong}"
    assert any(batch[0] == codec for batch in batches), f"{what}: none in its codec"


def test_batches_are_stored_in_the_codec_of_the_producer():
    with Broker() as broker:
        for codec, name in enumerate(CODECS):
            run([LOAD, "produce", broker.bootstrap, name, "1", "3000", "200", name, "all", "plain"])
            batches = written_batches(broker, name, 3000)
            check_codec(batches, codec, name)
            assert sum(n for _, n, _ in batches) == 3000


def test_a_topic_with_a_codec_of_its_own_stores_that():
    with Broker() as broker:
        for codec, name in enumerate(CODECS):
            kind = "uncompressed" if name == "none" else name
            topic = f"own-{name}"
            harness.millrace("topics", "create", topic, "--config", f"compression.type={kind}", broker=broker)
            sent = 0
            for producer in CODECS:
                run([LOAD, "produce", broker.bootstrap, topic, "1", "1000", "200", producer, "all", "plain"])
                sent += 1000
            batches = written_batches(broker, topic, sent)
            assert {c for c, _, _ in batches} == {codec}, f"{name}: {batches}"
            assert kcat(broker, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%o\n").count(b"\n") == sent


def test_log_append_time_is_in_the_stored_batches():
    with Broker() as broker:
        harness.millrace("topics", "create", "t", "--config", "message.timestamp.type=LogAppendTime", broker=broker)
        run([LOAD, "produce", broker.bootstrap, "t", "1", "500", "100", "lz4", "all", "plain"])
        assert all(append for _, _, append in written_batches(broker, "t", 500))


# ---- volume --------------------------------------------------------------------------------------

def volume(broker, topic, count, size, codec, mode):
    began = time.monotonic()
    sent = run([LOAD, "produce", broker.bootstrap, topic, "2", str(count), str(size), codec, "all", mode],
               timeout_s=1200).stdout
    middle = time.monotonic()
    got = run([LOAD, "consume", broker.bootstrap, topic, "2", str(count)], timeout_s=1200).stdout
    end = time.monotonic()
    print(f"# {count} records of {size} B, {codec}, {mode}: in {middle - began:.1f} s, out {end - middle:.1f} s, "
          f"{got.decode().strip()}", flush=True)
    assert sent == got, f"{codec}: sent {sent}, got {got}"
    assert sent.startswith(f"{count} records".encode()), sent


def test_volume():
    with Broker() as broker:
        for size in (100, 1024):
            for number, codec in enumerate(CODECS):
                mode = "idempotent" if number % 2 else "plain"
                topic = f"{codec}-{size}"
                harness.millrace("topics", "create", topic, "--partitions", "2", broker=broker)
                volume(broker, topic, RECORDS, size, codec, mode)
                for partition in range(2):
                    batches = written_batches(broker, topic, RECORDS // 2, partition)
                    check_codec(batches, number, topic)


def test_volume_survives_a_restart():
    with Broker() as broker:
        sums = {}
        for codec in CODECS:
            sums[codec] = run([LOAD, "produce", broker.bootstrap, codec, "1", "5000", "300", codec, "all",
                               "idempotent"]).stdout
        for crash in (False, True):
            broker.restart(crash=crash)
            for codec in CODECS:
                got = run([LOAD, "consume", broker.bootstrap, codec, "1", "5000"]).stdout
                assert got == sums[codec], f"{codec}: {sums[codec]} became {got}"


if __name__ == "__main__":
    harness.main(globals())
