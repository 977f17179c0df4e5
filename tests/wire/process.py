#!/usr/bin/env python3
"""Processors in a running broker, from the command line: hashtags against an exact count, and the template."""

import json
import pathlib
import sys
import tempfile
import time

import harness

sys.path.insert(0, str(harness.ROOT / "tools" / "sample"))
import count  # noqa: E402
import make_posts  # noqa: E402
import prepare  # noqa: E402

HASHTAGS = harness.BUILD / "processors" / "hashtags.so"
PARTITIONS = 4


def listed(broker):
    rows = json.loads(harness.millrace("process", "list", "--json", broker=broker).stdout)["processors"]
    return {row["name"]: row for row in rows}


def running(broker, name):
    def runs():
        row = listed(broker).get(name)
        assert row, f"{name} is not in the list"
        assert row["state"] != "FAILED", row
        return row if row["state"] == "RUNNING" else None
    return harness.wait_until(runs, 10, f"{name} runs")


def posts(seed, number):
    """(posts, what to feed): two minutes of them that end a little before now."""
    made, closing = list(make_posts.make(seed, number, 120)), int(time.time()) // 60 * 60000
    prepare.set_times(made, closing)
    ends = [{"value": "the end", "timestamp": closing, "partition": p} for p in range(PARTITIONS)]
    return made, "".join(json.dumps(post) + "\n" for post in made + ends)


def trending(broker, wanted):
    """What trending holds, when it holds as many rows as wanted (or more)."""
    def read():
        out = harness.millrace("consume", "trending", broker=broker).stdout
        rows = harness.json_lines(out)
        return rows if len(rows) >= wanted else None
    return harness.wait_until(read, 60, f"{wanted} rows of trending", every_s=0.3)


def with_hashtags(broker):
    harness.millrace("topics", "create", "posts", "-p", str(PARTITIONS), broker=broker)
    harness.millrace("process", "load", HASHTAGS, broker=broker)
    running(broker, "hashtags")


def test_hashtags_counts_exactly():
    with harness.Broker() as broker:
        with_hashtags(broker)
        made, lines = posts(1, 3000)
        expected = count.count((post["timestamp"], post["value"].encode()) for post in made)
        harness.millrace("produce", "posts", "-J", "-q", broker=broker, input=lines)
        rows = trending(broker, len(expected))
        assert rows == expected, next(pair for pair in zip(rows, expected) if pair[0] != pair[1])
        row = listed(broker)["hashtags"]
        assert row["lag"] == 0 and row["inputs"] == ["posts"] and row["outputs"] == ["trending"], row
        assert row["error"] is None, row


def test_hashtags_goes_on_exactly_after_a_crash_and_after_a_stop():
    with harness.Broker() as broker:
        with_hashtags(broker)
        made, lines = posts(2, 3000)
        expected = count.count((post["timestamp"], post["value"].encode()) for post in made)
        pieces = lines.splitlines(keepends=True)
        third = len(pieces) // 3
        for number, crash in enumerate([True, False, None]):
            part = pieces[number * third:] if crash is None else pieces[number * third:(number + 1) * third]
            harness.millrace("produce", "posts", "-J", "-q", broker=broker, input="".join(part))
            if crash is not None:
                broker.restart(crash=crash)
                running(broker, "hashtags")
        rows = trending(broker, len(expected))
        assert rows == expected, next((pair for pair in zip(rows, expected) if pair[0] != pair[1]), len(rows))


def test_unload_and_load_again():
    with harness.Broker() as broker:
        with_hashtags(broker)
        again = harness.millrace("process", "load", HASHTAGS, broker=broker, check=False)
        assert again.returncode == 1 and b"hashtags" in again.stderr, again
        out = harness.millrace("process", "unload", "hashtags", broker=broker).stdout
        assert out == b"hashtags: unloaded\n", out
        assert listed(broker) == {}
        gone = harness.millrace("process", "unload", "hashtags", broker=broker, check=False)
        assert gone.returncode == 1 and b"hashtags" in gone.stderr, gone
        harness.millrace("process", "load", HASHTAGS, broker=broker)
        running(broker, "hashtags")
        out = harness.millrace("process", "unload", "hashtags", "--forget", broker=broker).stdout
        assert out == b"hashtags: unloaded and forgotten\n", out


def test_forgotten_it_begins_anew_not_forgotten_it_goes_on():
    with harness.Broker() as broker, tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        made_template(root, broker)
        for words, wanted in [([], "a=1 "), ([], "a=1 a=2 "), (["--forget"], "a=1 a=2 a=1 a=2 a=3 ")]:
            if wanted != "a=1 ":
                harness.millrace("process", "unload", "seen", *words, broker=broker)
                harness.millrace("process", "load", root / "seen" / "seen.so", broker=broker)
            harness.millrace("produce", "seen-input", "-q", "-K", ":", broker=broker, input="a:x\n")
            template_output(broker, wanted)


def test_what_is_no_processor_is_refused_and_the_broker_goes_on():
    with harness.Broker() as broker, tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        (root / "text.so").write_text("not a library")
        (root / "plain.c").write_text("int nothing(void) { return 0; }\n")
        (root / "undefined.c").write_text("int far_away(void);\nint near(void) { return far_away(); }\n")
        for name in ["plain", "undefined"]:
            harness.run(["cc", "-shared", "-fPIC", "-o", root / f"{name}.so", root / f"{name}.c"])
        for name in ["text.so", "plain.so", "undefined.so"]:
            done = harness.millrace("process", "load", root / name, broker=broker, check=False)
            assert done.returncode == 1 and name.encode() in done.stderr, done
        bad = harness.millrace("process", "load", HASHTAGS, "-c", "no.such.key=1", broker=broker, check=False)
        assert bad.returncode == 1 and b"no.such.key" in bad.stderr, bad
        assert listed(broker) == {}
        assert broker.alive()


def made_template(root, broker, *words):
    harness.run([harness.MILLRACE, "process", "new", "seen", "--dir", root / "seen"])
    harness.run(["make", "-C", root / "seen"])
    harness.millrace("topics", "create", "seen-input", "seen-output", "-p", "1", broker=broker)
    harness.millrace("process", "load", root / "seen" / "seen.so", *words, broker=broker)
    running(broker, "seen")


def template_output(broker, wanted):
    def output():
        out = harness.millrace("consume", "seen-output", "-F", "%k=%v ", broker=broker).stdout.decode()
        return out if len(out) >= len(wanted) else None
    out = harness.wait_until(output, 15, f"the output '{wanted}'")
    assert out == wanted, f"'{out}' instead of '{wanted}'"


def test_the_template_runs():
    with harness.Broker() as broker, tempfile.TemporaryDirectory() as directory:
        made_template(pathlib.Path(directory), broker, "-c", "min.bytes=2")
        harness.millrace("produce", "seen-input", "-q", "-K", ":", broker=broker, input="a:xx\na:x\nb:xx\na:xxx\n")
        template_output(broker, "a=1 b=1 a=2 ")


harness.main(globals())
