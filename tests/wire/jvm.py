"""jvm.py - command lines of Apache Kafka's Java tools and of the programs of java/.

KAFKA_LIBS is a directory with the jars of Apache Kafka 4 (`tools/install kafka` brings them, tools/check sets it);
without it, or without java, what asks here is skipped.

A tool of Kafka's loads thousands of classes, which takes more time than what it does, and a check starts hundreds of
them. So the first that comes makes wire-java/ in the build directory, under a lock: a jar of java/*.java, and an
archive of classes (class data sharing) that the JVM maps, which halves a start. It is made anew when the jars, the
programs or the JVM are others. An archive that does not fit is no error: the JVM goes without it, and says nothing.
"""

import fcntl
import glob
import hashlib
import os
import pathlib
import shutil
import time
import zipfile

import harness

LIBS = os.environ.get("KAFKA_LIBS", "")
SOURCES = pathlib.Path(__file__).resolve().parent / "java"
OPTIONS = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable"]
TOOLS = "org.apache.kafka.tools."
WARM = ["kafka.admin.ConfigCommand", *(TOOLS + name for name in (
    "TopicCommand", "consumer.group.ConsumerGroupCommand", "TransactionsCommand", "consumer.ConsoleConsumer",
    "consumer.OffsetsMessageFormatter", "DumpLogSegments"))]
NO_LIBS = "KAFKA_LIBS names no directory with Apache Kafka's jars (tools/install kafka)"
_start = None


def _key(jars, sources):
    """What is made from: other jars, programs or another JVM give another key."""
    java = pathlib.Path(shutil.which("java")).resolve()
    files = [java, *map(pathlib.Path, jars), *sources]
    told = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\n".join([*told, *OPTIONS]).encode()).hexdigest()[:16]


def _make(directory, jars, sources):
    """jvm.options, a file that starts a JVM with programs.jar and classes.jsa, as far as they could be made."""
    programs, archive = directory / "programs.jar", directory / "classes.jsa"
    path = ":".join([*jars, str(programs)])
    options = [*OPTIONS, "-cp", f'"{path}"']
    if shutil.which("javac"):
        classes = directory / "classes"
        harness.run(["javac", "-nowarn", "-d", classes, "-cp", path, *sources], timeout_s=180)
        with zipfile.ZipFile(programs, "w") as jar:
            for found in sorted(classes.iterdir()):
                jar.write(found, found.name)
        harness.run(["java", *OPTIONS, f"-XX:ArchiveClassesAtExit={archive}", "-cp", path, "Warm", *WARM],
                    timeout_s=180, check=False)
        if archive.exists():
            options += [f"-XX:SharedArchiveFile={archive}"]
    (directory / "jvm.options").write_text("\n".join(options) + "\n")


def _prepare():
    """The words that start a JVM, without the class to run."""
    jars = sorted(glob.glob(f"{LIBS}/*.jar"))
    streams = glob.glob(f"{LIBS}/kafka-streams-*.jar")
    sources = sorted(path for path in SOURCES.glob("*.java") if streams or path.name != "WordCount.java")
    top = harness.BUILD / "wire-java"
    directory = top / _key(jars, sources)
    directory.mkdir(parents=True, exist_ok=True)
    os.utime(directory)
    with open(top / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for other in filter(pathlib.Path.is_dir, top.iterdir()):  # the others may be in use just now
            if time.time() - other.stat().st_mtime > 86400:
                shutil.rmtree(other)
        if not (directory / "made").exists():
            _make(directory, jars, sources)
            (directory / "made").touch()
    return ["java", f"@{directory / 'jvm.options'}"]


def command(name, *words):
    """A class of Kafka's jars with its words."""
    global _start
    if not LIBS and harness.is_sanitized():
        raise harness.Skip("a JVM beside a sanitizer takes long; with KAFKA_LIBS it runs")
    if not shutil.which("java"):
        raise harness.Skip("no java on this machine")
    if not LIBS or not glob.glob(f"{LIBS}/kafka-tools-*.jar"):
        raise harness.Skip(NO_LIBS)
    if _start is None:
        _start = _prepare()
    return [*_start, name, *words]


def tool(name, *words):
    """A class below org.apache.kafka.tools."""
    return command(TOOLS + name, *words)


def program(name, *words):
    """A program of java/."""
    if not shutil.which("javac"):
        raise harness.Skip("no javac on this machine")
    if name == "WordCount" and LIBS and not glob.glob(f"{LIBS}/kafka-streams-*.jar"):
        raise harness.Skip("no kafka-streams in KAFKA_LIBS")
    return command(name, *words)
