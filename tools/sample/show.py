#!/usr/bin/env python3
"""show.py EXPECTED [--exit] - show the trending table from the lines of `millrace consume trending --follow`.

stdin: the values that hashtags writes, one JSON object per line. On a terminal one table changes in place;
otherwise each window prints one line. When every row of EXPECTED (count.py) has come, the result is full: the
table with the most counts is printed and the two are compared, row by row. With --exit that is the end: exit 0
when they are equal, or 1 when nothing comes for a minute. Otherwise it goes on until stdin ends. Exit 1 at the
first difference.
"""

import json
import signal
import sys
import time

BAR_MAX = 30
SILENCE_MAX_S = 60


def clock(ms):
    return time.strftime("%H:%M:%S", time.gmtime(ms / 1000))


def table(rows):
    """The lines of one window's table."""
    first = rows[0]
    lines = [f"Trending tags, {clock(first['window_start'])} to {clock(first['window_end'])} UTC"]
    widest = max(len(row["tag"]) for row in rows)
    for row in rows:
        bar = "█" * max(1, row["count"] * BAR_MAX // rows[0]["count"])
        lines.append(f"{row['rank']:3}  {row['tag']:<{widest}} {row['count']:6}  {bar}")
    return lines


class Screen:
    """Draws over what it drew last, on a terminal."""

    def __init__(self):
        self.height = 0
        self.live = sys.stdout.isatty()

    def draw(self, rows):
        if not self.live:
            top = ", ".join(f"{row['tag']} {row['count']}" for row in rows[:3])
            print(f"{clock(rows[0]['window_end'])} UTC  {top}", flush=True)
            return
        lines = table(rows)
        lines += [""] * (self.height - len(lines))
        up = f"\033[{self.height}F" if self.height else ""
        print(up + "".join(line + "\033[K\n" for line in lines), end="", flush=True)
        self.height = len(lines)

    def leave(self):
        self.height = 0


def windows(rows):
    found = {}
    for row in rows:
        found.setdefault(row["window_end"], []).append(row)
    return found


def conclude(screen, rows):
    """The full result is here: print the busiest window, compare. True when equal."""
    screen.leave()
    by_window = windows(rows)
    busiest = max(by_window, key=lambda end: (sum(row["count"] for row in by_window[end]), end))
    print("\nThe busiest minute:")
    print("\n".join(table(by_window[busiest])))
    print(f"\n{len(rows)} rows of {len(by_window)} windows, each equal to an exact count made outside "
          "of Millrace.", flush=True)
    return True


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        expected = [json.loads(line) for line in file]
    rows, screen, full = [], Screen(), False
    leave = "--exit" in sys.argv
    if not expected:
        sys.exit("there is no hashtag in the input: nothing can trend")

    def silent(*_):
        sys.exit(f"nothing came for {SILENCE_MAX_S} s: there are {len(rows)} of {len(expected)} rows")
    signal.signal(signal.SIGALRM, silent)
    signal.alarm(SILENCE_MAX_S if leave else 0)
    for line in sys.stdin:
        signal.alarm(SILENCE_MAX_S if leave else 0)
        row = json.loads(line)
        rows.append(row)
        number = len(rows)
        if not full and row != expected[number - 1]:
            sys.exit(f"row {number} differs\n  from Millrace   {row}\n  counted outside {expected[number - 1]}")
        window = [other for other in rows[-10:] if other["window_end"] == row["window_end"]]
        last = full or number == len(expected) or expected[number]["window_end"] != row["window_end"]
        if last:
            screen.draw(window)
        if not full and number == len(expected):
            full = conclude(screen, rows)
            if leave:
                return
    if not full:
        sys.exit(f"the stream ended after {len(rows)} of {len(expected)} rows")


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
