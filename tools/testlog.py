#!/usr/bin/env python3
"""testlog.py NAME TESTLOG.JSON MESON_EXIT_CODE - count the test cases of one `meson test`.
testlog.py --self-test - show that it counts right.

A test that speaks TAP counts by its cases, another one as one case. A test that ended badly without a failed
case of its own (a crash, a leak, a timeout, a plan not kept) counts as one more failure. Failures and skips
are told on stdout with their reasons; descriptor 3 gets "PASSED FAILED SKIPPED". Exit 1 when the log cannot
be what a whole run wrote.
"""

import contextlib
import io
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


def verdict(test):
    """How a test without cases ended, with the last line that it wrote: there it says why."""
    lines = (test.get("stderr") or "").strip().splitlines()
    return f"{test['result']}{': ' if lines else ''}{lines[-1] if lines else ''}"


def count_test(name, test, totals):
    """Add one entry of the log to the totals and tell what is not green."""
    title = f"{name} {test['name']}"
    good = test["result"] in ("OK", "EXPECTEDFAIL", "SKIP")
    cases = tap_cases(test.get("stdout") or "")
    if cases is None:
        state = "skipped" if test["result"] == "SKIP" else "passed" if good else "failed"
        cases = [(state, test["name"], "" if good else verdict(test))]
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


def count_log(name, tests, meson_code):
    """{"passed": N, "failed": N, "skipped": N}, or None when the log and the exit code do not go together."""
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for test in tests:
        count_test(name, test, totals)
    return totals if tests and (meson_code == 0 or totals["failed"]) else None


def main():
    name, path, meson_code = sys.argv[1], sys.argv[2], int(sys.argv[3])
    try:
        with open(path, encoding="utf-8") as log:
            tests = [json.loads(line) for line in log if line.strip()]
    except OSError as problem:
        sys.exit(f"testlog.py: {problem}")
    totals = count_log(name, tests, meson_code)
    if totals is None:
        sys.exit(f"testlog.py: meson test ended with {meson_code}, but the log of {name} tells no failure")
    os.write(3, f"{totals['passed']} {totals['failed']} {totals['skipped']}\n".encode())


# ---- the self-test: (what, tests of a log, meson's exit code) -> passed, failed, skipped -------------

def entry(result, stdout="", returncode=0, stderr=""):
    return {"name": "x", "result": result, "stdout": stdout, "returncode": returncode, "stderr": stderr}


SELF_TESTS = [
    ("TAP counts by cases", [entry("OK", "1..2\nok 1 - a\nok 2 - b\n")], 0, (2, 0, 0)),
    ("a failed case fails", [entry("FAIL", "1..2\nok 1 - a\nnot ok 2 - b\n", 1)], 1, (1, 1, 0)),
    ("a skipped case is no passed one", [entry("OK", "1..2\nok 1 - a\nok 2 - b # SKIP why\n")], 0, (1, 0, 1)),
    ("Criterion's cases have no numbers", [entry("OK", "TAP version 13\n1..1\nok - a::b  (0.00s)\n")], 0, (1, 0, 0)),
    ("a crash behind green cases fails", [entry("ERROR", "1..1\nok 1 - a\n", 134)], 1, (1, 1, 0)),
    ("a test without TAP is one case", [entry("OK", "done\n"), entry("FAIL", "no\n", 1)], 1, (1, 1, 0)),
    ("a timeout fails", [entry("TIMEOUT", "1..9\nok 1 - a\n")], 1, (1, 1, 0)),
    ("a skipped test is no passed one", [entry("SKIP", "", 77)], 0, (0, 0, 1)),
    ("an empty log is no success", [], 0, None),
    ("meson's failure is not lost", [entry("OK", "1..1\nok 1 - a\n")], 1, None),
]


def self_test_reason():
    """A failure without cases says in its own line what the test wrote last."""
    with contextlib.redirect_stdout(io.StringIO()) as told:
        count_log("self-test", [entry("FAIL", "", 1, "step 1\nseed 7: lost\n")], 1)
    return told.getvalue().splitlines()[0] == "FAIL self-test x: x: FAIL: seed 7: lost"


def self_test():
    print(f"1..{len(SELF_TESTS) + 1}")
    good = self_test_reason()
    print("ok" if good else "not ok", 1, "- a failure says why in its own line")
    for number, (what, tests, code, wanted) in enumerate(SELF_TESTS, 2):
        with contextlib.redirect_stdout(io.StringIO()):
            totals = count_log("self-test", tests, code)
        right = (tuple(totals.values()) if totals else None) == wanted
        good = good and right
        print("ok" if right else "not ok", number, "-", what)
    return good


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(0 if self_test() else 1)
    main()
