#!/usr/bin/env python3
"""kafka_jars.py FOLDER - bring the jars of Apache Kafka's Java clients and tools; tools/install kafka calls it.

The jars of kafka_jars.txt, each pinned by its SHA-256, and no others. Maven fetches them, since it knows how this
machine reaches Maven Central (mirrors, proxies, settings.xml); what it fetched stays in its own cache, from where the
next checkout takes it, and an interrupted run goes on. They are looked at in a folder beside FOLDER, which takes its
name when all are right: FOLDER is whole or not there. Done at once when FOLDER holds them already.

Exit 0: they are there. Exit 1: they are not, and the last line on stderr says why. Never more than DEADLINE_S.
"""

import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

LIST = pathlib.Path(__file__).resolve().with_suffix(".txt")
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
DEADLINE_S = int(os.environ.get("KAFKA_JARS_DEADLINE_S", "150"))
CONNECT_MS, ANSWER_MS = 10000, 30000
# Both of Maven's transports are told; half a jar is no jar (-C: the registry's own checksum must be right, too).
MAVEN = ["mvn", "-B", "-q", "-C", f"-Daether.connector.connectTimeout={CONNECT_MS}",
         f"-Daether.connector.requestTimeout={ANSWER_MS}", f"-Dmaven.wagon.http.connectionTimeout={CONNECT_MS}",
         f"-Dmaven.wagon.rto={ANSWER_MS}", "-Dmaven.wagon.http.retryHandler.count=1"]
DEPENDENCY = """<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"""
PROJECT = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>millrace</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
{}
</dependencies></project>
"""


class Problem(Exception):
    """Why the jars are not there; one line."""


def pinned():
    """{file name: (SHA-256, [group, artifact, version])}"""
    rows = {}
    for line in LIST.read_text().splitlines():
        if line and not line.startswith("#"):
            digest, coordinates = line.split()
            place = coordinates.split(":")
            rows[f"{place[1]}-{place[2]}.jar"] = (digest, place)
    return rows


def first_wrong(folder):
    """What is not as it should be in `folder`, or None."""
    for name, (digest, _) in pinned().items():
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as problem:
            return f"{name}: {problem.strerror}"
        if found != digest:
            return f"{name} has the SHA-256 {found}, pinned is {digest}"
    return None


def run(words, folder):
    """(exit code, output); the whole process group ends at the deadline."""
    process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    try:
        out, _ = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Problem(f"Maven was not through after {DEADLINE_S} s; what it has stays in its cache") from None
    return process.returncode, out.decode(errors="replace")


def fetch(folder):
    """All jars into `folder`, by Maven; nothing else, thanks to the exclusions."""
    rows = [DEPENDENCY.format(*place) for _, place in pinned().values()]
    (folder / "pom.xml").write_text(PROJECT.format("\n".join(rows)))
    try:
        code, out = run([*MAVEN, f"{PLUGIN}:copy-dependencies", "-DoutputDirectory=."], folder)
    except OSError as problem:
        raise Problem(f"mvn: {problem.strerror}") from None
    if code:
        plain = re.sub(r"\x1b\[[0-9;]*m| -> \[Help 1\]", "", out).splitlines()
        said = next((line for line in plain if "ERROR" in line), f"exit {code}")
        raise Problem(f"Maven could not fetch the jars: {said if len(said) < 300 else '... ' + said[-300:]}")
    wrong = first_wrong(folder)
    if wrong:
        raise Problem(f"{wrong} (Maven keeps its copy below ~/.m2/repository)")
    (folder / "pom.xml").unlink()


def bring(target):
    if first_wrong(target) is None:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"tools/install: fetching {len(pinned())} jars of Apache Kafka into {target}", flush=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=target.name + ".", dir=target.parent))
    try:
        folder = scratch / "jars"
        folder.mkdir()
        fetch(folder)
        if target.exists():
            target.rename(scratch / "old")
        folder.rename(target)
    except OSError as problem:
        if first_wrong(target) is not None:  # else somebody else was faster
            raise Problem(f"{problem.strerror}: {problem.filename}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: kafka_jars.py FOLDER")
    try:
        bring(pathlib.Path(sys.argv[1]).resolve())
    except Problem as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
