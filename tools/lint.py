#!/usr/bin/env python3
"""lint.py BUILD_DIR BUDGET_SECONDS - clang-tidy over every C file, as .clang-tidy says.

Every file is held against the rules, which is quick; then, file by file, the analyzer follows its paths, which
is not: when the time budget runs out, the files it has not come to count as skipped. A file that was clean
before and whose preprocessed text has not changed since is not looked at again (stamps in BUILD_DIR/lint).
Findings go to stdout, "PASSED FAILED SKIPPED" (files) to descriptor 3.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("broker", "processors", "protocol", "storage", "tools")
FILE_TIMEOUT_S = 180
# A tenth of its usual steps in a function finds what it finds early, in a third of the time.
ANALYZER = [word for option in ("-analyzer-config", "max-nodes=20000")
            for word in ("--extra-arg=-Xclang", f"--extra-arg={option}")]


def commands(build):
    """{source: (directory, words)}, once per file of ours."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if source.is_relative_to(ROOT) and source.relative_to(ROOT).as_posix().startswith(FOLDERS):
            found.setdefault(source, (entry["directory"], shlex.split(entry["command"])))
    return found


def fingerprint(directory, words):
    """Of what the compiler sees, and of the rules."""
    words = [word for word in words if word != "-c"]
    words[words.index("-o") + 1] = "-"
    done = subprocess.run([*words, "-E"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    rules = (ROOT / ".clang-tidy").read_bytes()
    return hashlib.sha256(done.stdout + rules).hexdigest()


def tidy(build, source, timeout, *options):
    """What it finds; empty: clean. None: out of time."""
    try:
        done = subprocess.run(["clang-tidy-14", "--quiet", "-p", str(build), *options, str(source)], cwd=ROOT,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=timeout)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.decode(errors="replace").replace(f"{ROOT}/", "") if done.returncode else ""


def rules(build, source):
    return tidy(build, source, FILE_TIMEOUT_S, "--checks=-clang-analyzer-*")


def analyze(build, source, directory, words, deadline):
    """(state, text)"""
    stamp = build / "lint" / (source.relative_to(ROOT).as_posix().replace("/", "__") + ".ok")
    print_of_now = fingerprint(directory, words)
    if stamp.is_file() and stamp.read_text() == print_of_now:
        return "passed", ""
    left = deadline - time.monotonic()
    text = tidy(build, source, min(FILE_TIMEOUT_S, left + 5), *ANALYZER) if left > 0 else None
    if text is None:
        return "skipped", ""
    if text:
        return "failed", text
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(print_of_now)
    return "passed", ""


def main():
    build, budget_s = pathlib.Path(sys.argv[1]).resolve(), float(sys.argv[2])
    deadline = time.monotonic() + budget_s
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    files = commands(build)
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        looked = dict(zip(sorted(files), pool.map(lambda source: rules(build, source), sorted(files))))
        for source, text in looked.items():
            if text != "":
                totals["failed"] += 1
                print(text or f"{source}: clang-tidy did not end in {FILE_TIMEOUT_S} s")
        running = [pool.submit(analyze, build, source, *files[source], deadline)
                   for source in sorted(files) if looked[source] == ""]
        for job in concurrent.futures.as_completed(running):
            state, text = job.result()
            totals[state] += 1
            if text:
                print(text)
    if totals["skipped"]:
        print(f"SKIP lint: {totals['skipped']} files keep the rules, but the analyzer's {budget_s:.0f} s "
              "(LINT_BUDGET_S) were over; the next run goes on where this one stopped")
    os.write(3, f"{totals['passed']} {totals['failed']} {totals['skipped']}\n".encode())


if __name__ == "__main__":
    main()
