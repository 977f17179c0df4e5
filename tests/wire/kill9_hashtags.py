"""kill9_hashtags.py - kill -9 while posts flow through `hashtags`: the output is that of an uncrashed run, record
for record.

The posts are stored first, so that both runs see the same input; then the processor is loaded and the broker is
killed again and again until it has read everything. A few rounds on some posts here; the long command of
tests/README.md: KILL_ROUNDS=50 KILL_POSTS=3000000 tests/wire/kill9_hashtags.py
"""

import json
import os
import pathlib
import random
import sys
import time

import harness

ROUNDS = int(os.environ.get("KILL_ROUNDS", "5"))
POSTS = int(os.environ.get("KILL_POSTS", "400000"))
PLUGIN = harness.BUILD / "processors" / "hashtags.so"
MAKE_POSTS = harness.ROOT / "tools" / "sample" / "make_posts.py"


def make_posts(path):
    """POSTS posts over a stretch of event time, in its order."""
    made = harness.run([sys.executable, MAKE_POSTS, "--posts", str(min(POSTS, 20000)), "--seconds", "600"],
                       timeout_s=300).stdout.splitlines()
    lines = [json.loads(line) for line in made]
    span = max(line["timestamp"] for line in lines) - lines[0]["timestamp"] + 1
    with open(path, "w") as out:
        written = 0
        turn = 0
        while written < POSTS:
            for line in lines[:POSTS - written]:
                out.write(json.dumps({**line, "timestamp": line["timestamp"] + turn * span}) + "\n")
            written += len(lines[:POSTS - written])
            turn += 1


def start(broker):
    harness.millrace("topics", "create", "posts", "--partitions", "4", broker=broker)


def processor(broker):
    listed = json.loads(harness.millrace("process", "list", "--json", broker=broker).stdout)
    processors = listed["processors"] if isinstance(listed, dict) else listed
    return processors[0] if processors else None


def is_done(broker):
    one = processor(broker)
    assert one is not None, "the processor is gone"
    assert one["error"] is None, one
    read = sum(sum(partitions.values()) for partitions in one["position"].values())
    return read >= POSTS


def trending(broker):
    """The output as it is stored: partition, offset, key, value, timestamp."""
    out = harness.millrace("consume", "trending", "--from", "beginning", "--json", broker=broker, timeout_s=120).stdout
    rows = [(line["partition"], line["offset"], line.get("key"), line["value"], line["timestamp"])
            for line in harness.json_lines(out)]
    return sorted(rows)


def run_once(posts, rounds, seed):
    """(output, kills that fell while the processor was reading)"""
    dice = random.Random(seed)
    inside = 0
    with harness.Broker() as broker:
        start(broker)
        harness.millrace("produce", "posts", posts, "--json-lines", "--acks", "all", broker=broker, timeout_s=600)
        harness.millrace("process", "load", PLUGIN, broker=broker)
        for _ in range(rounds):
            time.sleep(dice.uniform(0.02, 0.25))
            inside += not is_done(broker)
            broker.kill9()
            broker.start()
        harness.wait_until(lambda: is_done(broker), 300, "the end of the posts", every_s=0.1)
        # The last windows close when the input has been idle for a while.
        last = None
        while last is None or last != trending(broker):
            last = trending(broker)
            time.sleep(3)
        return last, inside


def test_output_equals_an_uncrashed_run():
    seed = random.SystemRandom().randrange(1 << 32)
    directory = pathlib.Path(harness.tempfile.mkdtemp(prefix="millrace-posts-"))
    posts = directory / "posts.jsonl"
    make_posts(posts)
    calm, _ = run_once(posts, 0, 0)
    crashed, inside = run_once(posts, ROUNDS, seed)
    print(f"# seed {seed}: {POSTS} posts, {ROUNDS} kills, {inside} of them while the processor was reading; "
          f"{len(calm)} records without a crash, {len(crashed)} with")
    harness.shutil.rmtree(directory)
    assert inside > 0, "no kill fell into the processing: more posts are needed (KILL_POSTS)"
    assert calm, "nothing came out"
    for number, (one, other) in enumerate(zip(calm, crashed)):
        assert one == other, f"seed {seed}: record {number}: {one} without a crash, {other} with"
    assert len(calm) == len(crashed), f"seed {seed}: {len(calm)} and {len(crashed)} records"


if __name__ == "__main__":
    harness.main(globals())
