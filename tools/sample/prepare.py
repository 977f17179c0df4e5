#!/usr/bin/env python3
"""prepare.py INPUT OUTPUT PARTITIONS - make any text a stream of posts that ends now, as JSON lines.

INPUT is JSON lines with `value` and `timestamp` (as make_posts.py writes; all times are moved together), or
any text: then each line that is not blank is a post, twenty of them in a second.

Behind the last post each partition gets one closing record without tags, later than any window with a post in
it, so that every window is told at once instead of after a minute of silence. That record is of now; the
posts lie in the minutes before.
"""

import json
import sys
import time

TEXT_POSTS_PER_SECOND = 20
CLOSING_MS = 75000  # a window's size, its grace, and some more
LINE_MAX = 100000


def read_posts(path):
    posts = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")[:LINE_MAX]
            if not line.strip():
                continue
            posts.append(parse(line, path, number, posts))
    return posts


def parse(line, path, number, before):
    """A line is JSON when the first one is; otherwise it is text."""
    if before and "plain" in before[0]:
        return {"plain": True, "value": line}
    try:
        post = json.loads(line)
    except ValueError:
        post = None
    if isinstance(post, dict) and isinstance(post.get("timestamp"), int) \
            and isinstance(post.get("value"), (str, type(None))):
        return {name: post[name] for name in ("key", "value", "timestamp") if name in post}
    if before:
        sys.exit(f"{path}:{number}: not a post like the first line's: it needs a value and a timestamp")
    return {"plain": True, "value": line}


def set_times(posts, now_ms):
    if "plain" in posts[0]:
        for number, post in enumerate(posts):
            del post["plain"]
            post["timestamp"] = number * 1000 // TEXT_POSTS_PER_SECOND
    shift = now_ms - CLOSING_MS - max(post["timestamp"] for post in posts)
    for post in posts:
        post["timestamp"] += shift


def main():
    source, target, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    try:
        posts = read_posts(source)
    except OSError as problem:
        sys.exit(f"cannot read {source}: {problem.strerror}")
    if not posts:
        sys.exit(f"{source} holds no text")
    now_ms = int(time.time() * 1000)
    set_times(posts, now_ms)
    if posts and posts[0]["timestamp"] < 0:
        sys.exit(f"{source} spans more time than there has been since 1970")
    with open(target, "w", encoding="utf-8") as file:
        for post in posts:
            file.write(json.dumps(post, ensure_ascii=False, separators=(",", ":")) + "\n")
        for partition in range(partitions):
            file.write(json.dumps({"value": "the end", "timestamp": now_ms, "partition": partition}) + "\n")


if __name__ == "__main__":
    main()
