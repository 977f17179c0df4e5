#!/usr/bin/env python3
"""topics, produce, consume and groups of the command line, against a real broker (or WIRE_BOOTSTRAP's cluster)."""

import base64
import json
import os
import signal
import subprocess
import time

import harness

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def call(*words, **options):
    return harness.millrace(*words, broker=harness.shared_broker(), **options)


def text(*words, **options):
    return call(*words, **options).stdout.decode()


def answer(*words, **options):
    return json.loads(call(*words, "--json", **options).stdout)


def topic(partitions=1, *words):
    name = harness.unique("topic")
    call("topics", "create", name, "-p", str(partitions), *words)
    return name


def produce(name, data, *words, **options):
    return call("produce", name, "-q", *words, input=data, **options)


def records(name, *words):
    return harness.json_lines(call("consume", name, "--json", *words).stdout)


def started(*words):
    """A running command with pipes."""
    words = [harness.MILLRACE, *words, "-b", harness.shared_broker().bootstrap]
    return harness.spawn(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process, timeout_s=15):
    """(exit code, stdout, stderr); Failed when it does not end by itself."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        harness.kill(process)
        raise harness.Failed(f"{process.args} did not end within {timeout_s} s") from None
    return process.returncode, out, err


def murmur2(key):
    """Kafka's hash of a key, as published: 32-bit murmur2 with its own seed."""
    mask, factor = 0xffffffff, 0x5bd1e995
    value = 0x9747b28c ^ len(key)
    whole = len(key) // 4 * 4
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at:at + 4], "little") * factor & mask
        value = (value * factor & mask) ^ ((word ^ word >> 24) * factor & mask)
    if len(key) > whole:
        value = (value ^ int.from_bytes(key[whole:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


# ---- topics ----------------------------------------------------------------------------------------

def test_topics_live_and_die():
    name = harness.unique("topic")
    assert text("topics", "create", name, "-p", "3") == f"{name}: created\n"
    listed = {row["name"]: row for row in answer("topics", "list")["topics"]}
    assert listed[name]["partitions"] == 3 and listed[name]["replication_factor"] == 1, listed[name]
    assert f"\n{name} " in text("topics", "list")
    assert text("topics", "delete", name) == f"{name}: deleted\n"
    harness.wait_until(lambda: name not in text("topics", "list"), what="the deletion")


def test_create_and_delete_tell_what_is_there_and_what_not():
    name = topic()
    again = call("topics", "create", name, check=False)
    assert again.returncode == 1 and b"TOPIC_ALREADY_EXISTS" in again.stderr, again
    assert text("topics", "create", name, "--if-not-exists") == f"{name}: exists already\n"
    missing = harness.unique("missing")
    gone = call("topics", "delete", missing, check=False)
    assert gone.returncode == 1 and b"UNKNOWN_TOPIC" in gone.stderr, gone
    assert text("topics", "delete", missing, "--if-exists") == f"{missing}: is not there\n"


def test_several_topics_are_all_tried():
    good, bad = harness.unique("good"), "bad name"
    done = call("topics", "create", bad, good, "--json", check=False)
    assert done.returncode == 1 and b"bad name" in done.stderr, done
    results = {row["name"]: row["result"] for row in json.loads(done.stdout)["topics"]}
    assert results == {bad: "TOPIC_EXCEPTION", good: "created"}, results


def test_wrong_settings_are_refused():
    for words in [["-c", "no.such.key=1"], ["-c", "retention.ms=soon"], ["-r", "9"], ["-p", "0"]]:
        done = call("topics", "create", harness.unique("topic"), *words, check=False)
        assert done.returncode == 1, f"{words}: {done}"
        assert done.stdout == b"", f"{words}: {done}"


def test_describe_tells_offsets_and_settings():
    name = topic(2, "-c", "retention.ms=86400000", "-c", "max.message.bytes=50000")
    produce(name, "a\nb\nc\n", "-p", "1")
    told = answer("topics", "describe", name)["topics"][0]
    assert told["configs"] == {"retention.ms": "86400000", "max.message.bytes": "50000"}, told
    offsets = [(row["partition"], row["earliest"], row["latest"]) for row in told["partitions"]]
    assert offsets == [(0, 0, 0), (1, 0, 3)], offsets
    assert all(row["leader"] in row["isr"] and row["replicas"] for row in told["partitions"]), told
    people = text("topics", "describe", name)
    assert "retention.ms=86400000" in people and f"Topic {name}: 2 partitions" in people, people


def test_asking_for_a_topic_does_not_make_it():
    name = harness.unique("missing")
    for words in [["topics", "describe", name], ["consume", name]]:
        done = call(*words, check=False)
        assert done.returncode == 1 and b"there is no topic" in done.stderr, done
    assert name not in text("topics", "list")


# ---- produce and consume ---------------------------------------------------------------------------

def test_lines_go_in_and_come_out():
    name = topic()
    done = call("produce", name, input="one\n\ntwo with spaces \nlast without newline")
    assert done.stdout == b"" and b"4 records" in done.stderr and b"0 failed" in done.stderr, done
    assert text("consume", name) == "one\n\ntwo with spaces \nlast without newline\n"


def test_keys_choose_partitions_as_java_clients_do():
    name = topic(5)
    keys = [f"key-{number}" for number in range(200)] + ["é", "a", "ab", "abc", "abcd"]
    produce(name, "".join(f"{key}:v:{key}\n" for key in keys), "-K", ":")
    got = records(name)
    assert sorted(row["key"] for row in got) == sorted(keys)
    for row in got:
        assert row["value"] == "v:" + row["key"], row
        wanted = (murmur2(row["key"].encode()) & 0x7fffffff) % 5
        assert row["partition"] == wanted, f"{row} belongs into {wanted}"


def test_a_file_a_delimiter_and_null():
    name = topic()
    path = f"/tmp/{name}"
    with open(path, "wb") as file:
        file.write(b"k=1\r\nline;k2=;=v;;nokey")
    try:
        call("produce", name, path, "-q", "-d", ";", "-K", "=", "-Z")
    finally:
        os.unlink(path)
    pairs = [(row["key"], row["value"]) for row in records(name)]
    assert pairs == [("k", "1\r\nline"), ("k2", None), (None, "v"), (None, None), (None, "nokey")], pairs


def test_json_lines_round_trip_byte_for_byte():
    first, second = topic(), topic()
    b64 = lambda data: base64.b64encode(data).decode()
    lines = [{"key": "k", "value": "v", "headers": {"h": "1", "n": None}, "timestamp": 1700000000123},
             {"key_base64": b64(b"\xff\x00"), "value_base64": b64(bytes(range(256)))},
             {"key": "", "value": None, "timestamp": 1700000000456}, {"key": None, "value": ""}, {},
             {"value": {"nested": [1, None, "ü"]}},
             {"value": "x", "headers": [{"name": "same", "value": "1"},
                                        {"name": "same", "value_base64": b64(b"\xfe")}]},
             {"value": "tab\t nl\n quote\" back\\ nul\x00 é 日本 \U0001f600"}]
    produce(first, "\n".join(json.dumps(line) for line in lines), "-J")
    once = records(first)
    assert once[0]["headers"] == [{"name": "h", "value": "1"}, {"name": "n", "value": None}], once[0]
    assert once[0]["timestamp"] == 1700000000123 and once[0]["timestamp_type"] == "CreateTime", once[0]
    assert once[1]["key_base64"] == lines[1]["key_base64"], once[1]
    assert once[1]["value_base64"] == lines[1]["value_base64"], once[1]
    assert (once[2]["key"], once[2]["value"]) == ("", None), once[2]
    assert (once[3]["key"], once[3]["value"]) == (None, ""), once[3]
    assert (once[4]["key"], once[4]["value"], once[4]["headers"]) == (None, None, []), once[4]
    assert once[5]["value"] == '{"nested":[1,null,"ü"]}', once[5]
    assert once[7]["value"] == lines[7]["value"], once[7]
    produce(second, call("consume", first, "--json").stdout, "-J")
    twice = records(second)
    for row in once + twice:
        del row["topic"]
    assert once == twice, f"{once}\n{twice}"


def test_bad_json_stops_the_input_and_keeps_what_was_before():
    name = topic()
    done = produce(name, '{"value":"good"}\n\n{"vlaue":"bad"}\n{"value":"never"}\n', "-J", check=False)
    assert done.returncode == 1 and b'record 3: no member "vlaue"' in done.stderr, done
    assert text("consume", name) == "good\n"


def test_headers_for_all():
    name = topic()
    produce(name, "x\n", "-H", "a=1", "-H", "b=x=y", "-H", "a=2")
    assert text("consume", name, "--format", "%h\\n") == "a=1,b=x=y,a=2\n"


def test_every_codec_and_acks():
    name = topic()
    for codec in CODECS:
        for acks in ["0", "1", "all"]:
            produce(name, f"{codec}-{acks} {'x' * 500}\n" * 20, "-z", codec, "-a", acks)
    wanted = len(CODECS) * 3 * 20
    harness.wait_until(lambda: text("consume", name, "--count-only").split()[0] == str(wanted),
                       what="all records, also those with acks=0")
    got = [line.split()[0] for line in text("consume", name).splitlines()]
    assert sorted(set(got)) == sorted(f"{codec}-{acks}" for codec in CODECS for acks in ["0", "1", "all"]), set(got)


def test_idempotent_production_keeps_count_and_order():
    name = topic()
    data = "".join(f"{number}\n" for number in range(20000))
    produce(name, data, "-i", "-z", "lz4")
    assert text("consume", name) == data


def test_what_the_broker_refuses_is_counted_with_its_reason():
    name = topic(1, "-c", "max.message.bytes=1000")
    done = call("produce", name, "--json", input="x" * 5000, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["failed"] == 1 and told["delivered"] == 0, done
    assert told["reasons"][0]["error"] == "MSG_SIZE_TOO_LARGE" and told["reasons"][0]["count"] == 1, told
    assert b"1 not delivered" in done.stderr, done
    produce(name, "small\n")
    assert text("consume", name) == "small\n"


def test_a_record_beyond_the_clients_limit_is_told():
    name = topic()
    done = produce(name, b"small\n" + b"x" * 1000001 + b"\nnever\n", check=False)
    assert done.returncode == 1 and b"record 2 is larger than 1000000 bytes" in done.stderr, done
    assert text("consume", name) == "small\n"


def test_a_partition_that_is_not_there():
    name = topic(2)
    for words in [["produce", name, "-p", "2"], ["consume", name, "-p", "2"]]:
        done = call(*words, check=False)
        assert done.returncode == 1 and b"has no partition 2; it has 2" in done.stderr, done


def test_interrupted_production_delivers_what_was_read():
    name = topic()
    process = started("produce", name)
    process.stdin.write(b"first\nsecond\n")
    process.stdin.flush()
    harness.wait_until(lambda: text("consume", name, "--count-only").split()[0] == "2", what="two records")
    process.send_signal(signal.SIGINT)
    code = process.wait(10)
    assert code == 130 and b"2 records" in process.stderr.read(), code


def test_where_to_start():
    name = topic()
    lines = [{"value": str(number), "timestamp": 1700000000000 + number * 1000} for number in range(10)]
    produce(name, "\n".join(map(json.dumps, lines)), "-J")
    cases = {"beginning": range(10), "end": [], "0": range(10), "7": range(7, 10), "10": [], "-3": range(7, 10),
             "-99": range(10), "@1700000004000": range(4, 10), "@1700000004001": range(5, 10),
             "2023-11-14T22:13:28Z": range(8, 10), "2023-11-14T23:13:29+01:00": [9], "2999-01-01": [],
             "-1h": []}
    for where, numbers in cases.items():
        got = text("consume", name, "--from", where).split()
        assert got == [str(number) for number in numbers], f"--from {where}: {got}"
    done = call("consume", name, "--from", "11", check=False)
    assert done.returncode == 1 and b"which has 0 to 10" in done.stderr, done


def test_count_partition_and_format():
    name = topic(3)
    for partition in range(3):
        produce(name, "".join(f"k{n}:v{n}\n" for n in range(50)), "-K", ":", "-p", str(partition))
    assert len(text("consume", name, "-n", "7").splitlines()) == 7
    got = text("consume", name, "-p", "1", "-n", "2", "-F", "%t[%p]@%o %k(%K)=%v(%V)\\x21%%\\n")
    assert got == f"{name}[1]@0 k0(2)=v0(2)!%\n{name}[1]@1 k1(2)=v1(2)!%\n", got
    assert text("consume", name, "--count-only") == f"150 {3 * 2 * sum(len(f'v{n}') for n in range(50))}\n"
    assert answer("consume", name, "--count-only", "-p", "2")["records"] == 50


def test_an_empty_topic_ends_at_once():
    name = topic(4)
    began = time.monotonic()
    assert text("consume", name) == ""
    assert text("consume", name, "--count-only") == "0 0\n"
    assert time.monotonic() - began < harness.AT_ONCE_S


def test_the_end_is_where_it_was_at_the_start():
    """A bounded read ends although somebody goes on writing."""
    name = topic()
    produce(name, "x\n" * 1000)
    writer = started("produce", name, "-q")
    stop = time.monotonic() + 3
    reader = started("consume", name, "--count-only")
    while reader.poll() is None and time.monotonic() < stop:
        writer.stdin.write(b"more\n" * 100)
        writer.stdin.flush()
        time.sleep(0.01)
    code, out, _ = ended(reader)
    harness.kill(writer)
    assert code == 0 and 1000 <= int(out.split()[0]), out


def test_follow_shows_what_comes_and_ends_on_sigint():
    name = topic()
    produce(name, "old\n")
    process = started("consume", name, "--follow")
    assert process.stdout.readline() == b"old\n"
    produce(name, "new\n")
    assert process.stdout.readline() == b"new\n"
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert (code, out, err) == (0, b"", b""), (code, out, err)


def test_follow_ends_when_its_reader_goes():
    name = topic()
    produce(name, "one\n")
    process = started("consume", name, "--follow")
    assert process.stdout.readline() == b"one\n"
    process.stdout.close()
    assert process.wait(10) == 0


def test_an_interrupted_bounded_read_is_told_by_130():
    name = topic()
    produce(name, "x" * 900 + "\n" * 200000, timeout_s=120)
    process = started("consume", name, "--from", "beginning")
    process.stdout.read(10)
    process.send_signal(signal.SIGINT)
    while process.stdout.read(1 << 20):
        pass
    assert process.wait(10) in (0, 130)


# ---- groups ----------------------------------------------------------------------------------------

def test_a_group_goes_on_where_it_was():
    name, group = topic(2), harness.unique("group")
    produce(name, "".join(f"{n}:{n}\n" for n in range(100)), "-K", ":")
    first = text("consume", name, "-g", group, "--from", "beginning", "-n", "40").split()
    assert len(first) == 40, first
    rest = text("consume", name, "-g", group, "--from", "beginning").split()
    assert sorted(map(int, first + rest)) == list(range(100)), f"{len(first)} and {len(rest)}"
    assert text("consume", name, "-g", group, "--from", "beginning") == ""
    told = answer("groups", "describe", group)
    assert told["state"] == "Empty" and told["members"] == [], told
    assert sum(row["committed"] for row in told["partitions"]) == 100, told
    assert all(row["lag"] == 0 for row in told["partitions"]), told
    produce(name, "more\n" * 5)
    assert sum(row["lag"] for row in answer("groups", "describe", group)["partitions"]) == 5


def test_members_share_the_partitions():
    name, group = topic(4), harness.unique("group")
    members = [started("consume", name, "-g", group, "-f", "--from", "beginning") for _ in range(2)]

    def shared():
        told = answer("groups", "describe", group, check=False)
        owners = [row["member"] for row in told["partitions"]]
        return told if told["state"] == "Stable" and len(owners) == 4 and len(set(owners)) == 2 else None

    def asked():
        try:
            return shared()
        except ValueError: # no such group yet: no JSON
            return None
    told = harness.wait_until(asked, 30, "two members with two partitions each")
    assert len(told["members"]) == 2 and told["assignor"], told
    assert group in [row["group"] for row in answer("groups", "list")["groups"]]
    people = text("groups", "describe", group)
    assert "Stable, 2 members" in people, people
    produce(name, "".join(f"{n}:{n}\n" for n in range(40)), "-K", ":")
    seen = []
    harness.wait_until(lambda: all(row["lag"] == 0 for row in answer("groups", "describe", group)["partitions"]),
                       15, "everything read and committed")
    for member in members:
        member.send_signal(signal.SIGINT)
    for member in members:
        code, out, _ = ended(member)
        assert code == 0
        seen += out.split()
    assert sorted(map(int, seen)) == list(range(40)), seen


def test_an_unknown_group():
    done = call("groups", "describe", harness.unique("nobody"), check=False)
    assert done.returncode == 1 and b"there is no group" in done.stderr, done


harness.main(globals())
