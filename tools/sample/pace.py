#!/usr/bin/env python3
"""pace.py FILE SECONDS - write the JSON-line posts of FILE to stdout, spread by their timestamps over SECONDS."""

import json
import sys
import time


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        lines = file.readlines()
    times = [json.loads(line)["timestamp"] for line in lines]
    first, span = min(times), max(1, max(times) - min(times))
    seconds, began = float(sys.argv[2]), time.monotonic()
    for line, at in zip(lines, times):
        wait = began + (at - first) / span * seconds - time.monotonic()
        if wait > 0.02:
            sys.stdout.flush()
            time.sleep(wait)
        sys.stdout.write(line)


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)
