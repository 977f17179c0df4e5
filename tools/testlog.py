#!/usr/bin/env python3
"""testlog.py NAME TESTLOG.JSON MESON_EXIT_CODE - count the test cases of one `meson test`.

A test that speaks TAP counts by its cases, another one as one case. A test that ended badly without a failed
case of its own (a crash, a leak, a timeout, a plan not kept) counts as one more failure. Failures and skips
are told on stdout with their reasons; descriptor 3 gets "PASSED FAILED SKIPPED". Exit 1 when the log cannot
be what a whole run wrote.
"""

import json
import os
import re
import sys

OUTPUT_LINES_MAX = 60


def tap_cases(text):
    """None when the text is no TAP, else [(state, description, reason)]."""
    if not re.search(r"^1\.\.\d+", text, re.M):
        return None
    cases = []
    for line in text.splitlines():
        match = re.match(r"(ok|not ok)\b *\d* *-? *([^#]*)(?:# *(SKIP)\S* *(.*))?", line, re.I)
        if not match:
            continue
        if match.group(3):
            state = "skipped"
        else:
            state = "passed" if match.group(1) == "ok" else "failed"
        cases.append((state, match.group(2).strip(), (match.group(4) or "").strip()))
    return cases


def count_test(name, test, totals):
    """Add one entry of the log to the totals and tell what is not green."""
    title = f"{name} {test['name']}"
    good = test["result"] in ("OK", "EXPECTEDFAIL", "SKIP")
    cases = tap_cases(test.get("stdout") or "")
    if cases is None:
        state = "skipped" if test["result"] == "SKIP" else "passed" if good else "failed"
        cases = [(state, test["name"], "" if good else test["result"])]
        if state == "skipped":
            lines = (test.get("stdout") or "").strip().splitlines()
            cases = [(state, test["name"], lines[-1] if lines else "the test says no reason")]
    for state, what, reason in cases:
        totals[state] += 1
        if state != "passed":
            print(f"{'SKIP' if state == 'skipped' else 'FAIL'} {title}: {what}{': ' if reason else ''}{reason}")
    if not good and not any(state == "failed" for state, _, _ in cases):
        totals["failed"] += 1
        print(f"FAIL {title}: ended with {test['result']}, exit {test.get('returncode')}")
    if not good:
        text = (test.get("stderr") or "") + "\n" + (test.get("stdout") or "")
        for line in text.strip().splitlines()[-OUTPUT_LINES_MAX:]:
            print("    |", line)


def main():
    name, path, meson_code = sys.argv[1], sys.argv[2], int(sys.argv[3])
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        with open(path, encoding="utf-8") as log:
            tests = [json.loads(line) for line in log if line.strip()]
    except OSError as problem:
        sys.exit(f"testlog.py: {problem}")
    for test in tests:
        count_test(name, test, totals)
    if not tests or (meson_code != 0 and totals["failed"] == 0):
        sys.exit(f"testlog.py: meson test ended with {meson_code}, but the log of {name} tells no failure")
    os.write(3, f"{totals['passed']} {totals['failed']} {totals['skipped']}\n".encode())


if __name__ == "__main__":
    main()
