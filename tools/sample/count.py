#!/usr/bin/env python3
"""count.py FILE - the trending tags of JSON-line posts, counted exactly and without Millrace.

Prints what the processor hashtags must write, one JSON object per line: for each window of 60 s that starts at
a multiple of 10 s and holds a tag, the ten most used tags; rank 1 first, equal counts in the order of their
bytes. It counts in the plainest way (every post into each of its six windows), so that a mistake in the
processor's slices shows.
"""

import collections
import json
import re
import sys

SIZE_MS = 60000
STEP_MS = 10000
TOP = 10
TAG_MAX = 100
TAG = re.compile(rb"#([0-9A-Za-z_\x80-\xff]*)")


def tags_of(text):
    """The tags as hashtags.c sees them: bytes, A-Z as a-z, 1 to 100 bytes behind the '#'."""
    for match in TAG.finditer(text):
        if 1 <= len(match.group(1)) <= TAG_MAX:
            yield b"#" + match.group(1).lower()


def windows_of(timestamp_ms):
    start = timestamp_ms // STEP_MS * STEP_MS
    while start > timestamp_ms - SIZE_MS:
        yield start
        start -= STEP_MS


def count(posts):
    """[{window_start, window_end, rank, tag, count}] of (timestamp, bytes) pairs."""
    windows = collections.defaultdict(collections.Counter)
    for timestamp_ms, text in posts:
        for tag in tags_of(text):
            for start in windows_of(timestamp_ms):
                windows[start][tag] += 1
    rows = []
    for start in sorted(windows):
        ranked = sorted(windows[start].items(), key=lambda item: (-item[1], item[0]))[:TOP]
        for rank, (tag, number) in enumerate(ranked, 1):
            rows.append({"window_start": start, "window_end": start + SIZE_MS, "rank": rank,
                         "tag": tag.decode(errors="replace"), "count": number})
    return rows


def read_posts(lines):
    for line in lines:
        post = json.loads(line)
        yield post["timestamp"], (post.get("value") or "").encode()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        for row in count(read_posts(file)):
            print(json.dumps(row, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
