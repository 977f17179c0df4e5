"""clients.py - clients that Debian does not bring: Kafka's own Java tools, and the two Python clients of PyPI.

KAFKA_LIBS is a directory with the jars of Apache Kafka 4 (jvm.py); without it, or without java, the Java tests are
skipped. The Python clients are installed into a venv in the build directory, once; where
the package registry cannot be reached these tests are skipped.
"""

import json
import re
import subprocess
import sys
import time

import groups
import harness
import jvm
import records

SETTINGS = {"group.initial.rebalance.delay.ms": 0}
PACKAGES = ["confluent-kafka==2.16.1", "kafka-python==3.0.12"]
VENV = harness.BUILD / "wire-venv"
_shared = None


def broker():
    """One for the whole file; groups start at once."""
    global _shared
    if _shared is None:
        _shared = harness.Broker(SETTINGS)
    return _shared


# ---- Java ----------------------------------------------------------------------------------------

def tool_words(name, *words):
    return jvm.tool(name, *words)


def tool(name, *words, check=True):
    """One of Kafka's tools; what it says on stdout."""
    words = tool_words(name, "--bootstrap-server", broker().bootstrap, *words)
    return harness.run(words, timeout_s=90, check=check).stdout.decode()


def performance(topic, count, *properties):
    """ProducerPerformance; all records are acknowledged."""
    words = tool_words("ProducerPerformance", "--topic", topic, "--num-records", count, "--record-size", "200",
                       "--throughput", "-1", "--command-property", f"bootstrap.servers={broker().bootstrap}",
                       *properties)
    out = harness.run([str(word) for word in words], timeout_s=90).stdout.decode()
    assert f"{count} records sent" in out.splitlines()[-1], out


def table(text, first):
    """Rows of a tool's table, as dicts, from the header line that begins with `first`."""
    lines = text.splitlines()
    at = next((n for n, line in enumerate(lines) if line.startswith(first)), None)
    assert at is not None, text
    names = lines[at].split()
    return [dict(zip(names, line.split())) for line in lines[at + 1:] if line.strip()]


def test_java_topic_command():
    topic = harness.unique("java")
    assert f"Created topic {topic}." in tool("TopicCommand", "--create", "--topic", topic, "--partitions", "3",
                                             "--config", "retention.ms=86400000")
    again = harness.run(tool_words("TopicCommand", "--bootstrap-server", broker().bootstrap, "--create", "--topic",
                                   topic), check=False)
    assert again.returncode == 1 and b"already exists" in again.stdout + again.stderr, again
    tool("TopicCommand", "--alter", "--topic", topic, "--partitions", "5")
    lines = tool("TopicCommand", "--describe", "--topic", topic).splitlines()
    head = dict(word.split(": ", 1) for word in lines[0].split("\t"))
    assert head["PartitionCount"] == "5" and head["ReplicationFactor"] == "1", head
    assert head["Configs"] == "retention.ms=86400000" and re.fullmatch(r"[\w-]{22}", head["TopicId"]), head
    assert [line.split("\t")[2] for line in lines[1:]] == [f"Partition: {n}" for n in range(5)], lines
    assert topic in tool("TopicCommand", "--list").split()
    tool("TopicCommand", "--delete", "--topic", topic)
    harness.wait_until(lambda: topic not in harness.millrace("topics", "list", broker=broker()).stdout.decode(),
                       10, "the deletion")


def test_java_codecs_and_offsets():
    """ProducerPerformance with each codec; its codec lies on disk; ConsumerPerformance reads all of it."""
    name, group, count = harness.unique("perf"), harness.unique("group"), 5000
    for number, codec in enumerate(records.CODECS):
        topic = f"{name}-{codec}"
        performance(topic, count, f"compression.type={codec}", "acks=all")
        batches = records.written_batches(broker(), topic, count)
        assert {c for c, _, _ in batches} == {number}, f"{codec}: {batches[:5]}"
    total = count * len(records.CODECS)
    lines = tool("ConsumerPerformance", "--include", f"{name}-.*", "--num-records", str(total), "--group", group,
                 "--timeout", "30000").splitlines()
    row = dict(zip(lines[0].split(", "), lines[1].split(", ")))
    assert int(row["data.consumed.in.nMsg"]) == total, lines
    offsets = tool("GetOffsetShell", "--topic-partitions", f"{name}-.*").split()
    assert offsets == sorted(f"{name}-{codec}:0:{count}" for codec in records.CODECS), offsets
    rows = table(tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", group), "GROUP")
    assert len(rows) == len(records.CODECS), rows
    for row in rows:
        assert (row["CURRENT-OFFSET"], row["LOG-END-OFFSET"], row["LAG"]) == (str(count), str(count), "0"), row


def test_java_verifiable_producer():
    topic = harness.unique("verifiable")
    out = tool("VerifiableProducer", "--topic", topic, "--max-messages", "200", "--throughput", "-1", "--acks", "-1")
    said = harness.json_lines(out)
    sent = [(line["offset"], line["value"]) for line in said if line["name"] == "producer_send_success"]
    end = next(line for line in said if line["name"] == "tool_data")
    assert (end["sent"], end["acked"], len(sent)) == (200, 200, 200), end
    read = [(row["offset"], row["value"]) for row in harness.json_lines(
        harness.millrace("consume", topic, "--json", broker=broker()).stdout)]
    assert read == sent, f"{read[:5]} for {sent[:5]}"


def test_java_and_kcat_in_one_group():
    topic, group = groups.make_topic(broker(), 4), harness.unique("mixed")
    java = groups.Client(broker(), tool_words(
        "consumer.ConsoleConsumer", "--bootstrap-server", broker().bootstrap, "--topic", topic, "--group", group,
        "--command-property", "client.id=java", "--command-property", "auto.commit.interval.ms=100"))
    kcat = groups.Kcat(broker(), group, topic, "kcat")
    shares = groups.wait_shared(broker(), group, [2, 2], timeout_s=60)
    rows = table(tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", group, "--members"), "GROUP")
    assert {(row["CLIENT-ID"], row["#PARTITIONS"]) for row in rows} == {("java", "2"), ("kcat", "2")}, rows
    listed = table(tool("consumer.group.ConsumerGroupCommand", "--list", "--state"), "GROUP")
    assert {"GROUP": group, "STATE": "Stable"} in listed, listed
    values = [str(number) for number in range(1000)]
    groups.produce(broker(), topic, values)
    harness.wait_until(lambda: len(java.lines()) + len(kcat.lines()) >= len(values), 30, "everything read")
    mine = [record.value for record in kcat.records()]
    assert {record.partition for record in kcat.records()} == shares["kcat"], shares
    assert sorted(java.lines() + mine, key=int) == values, "not each exactly once"
    assert kcat.end() == 0
    groups.wait_shared(broker(), group, [4])
    java.process.terminate()
    java.process.wait(30)
    harness.wait_until(lambda: groups.listed(broker())[group] == "Empty", 10, "the Java member has left")
    harness.wait_until(lambda: sum(groups.committed(broker(), group, topic, 4)) == len(values), 10, "commits")
    tool("consumer.group.ConsumerGroupCommand", "--group", group, "--topic", topic, "--reset-offsets", "--to-earliest",
         "--execute")
    assert groups.committed(broker(), group, topic, 4) == [0, 0, 0, 0]


# ---- Python --------------------------------------------------------------------------------------

def venv_python():
    """The python of a venv with both clients."""
    python, mark = VENV / "bin" / "python", VENV / "installed"
    if mark.exists() and mark.read_text() == " ".join(PACKAGES):
        return python
    made = harness.run([sys.executable, "-m", "venv", "--clear", VENV], check=False, timeout_s=120)
    if made.returncode:
        raise harness.Skip("python3 -m venv does not work here: tools/install")
    done = harness.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "1",
                        "--timeout", "10", "--only-binary", ":all:", *PACKAGES], check=False, timeout_s=180)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise harness.Skip(f"{' and '.join(PACKAGES)} cannot be installed: {''.join(reason)[:200]}")
    mark.write_text(" ".join(PACKAGES))
    return python


def python_client(name):
    topic, group = harness.unique(name), harness.unique("group")
    harness.millrace("topics", "create", topic, "-p", "2", broker=broker())
    script = harness.ROOT / "tests" / "wire" / "python_client.py"
    out = harness.run([venv_python(), script, name, broker().bootstrap, topic, group], timeout_s=90).stdout
    said = json.loads(out)
    return topic, group, said


def check_python_client(name, codecs):
    topic, group, said = python_client(name)
    count = 500 * len(codecs)
    assert said == {"sent": count, "read": count, "codecs": codecs}, said
    assert sum(groups.committed(broker(), group, topic, 2)) == count
    stored = set()
    for partition in range(2):
        held = groups.committed(broker(), group, topic, 2)[partition]
        stored |= {c for c, _, _ in records.written_batches(broker(), topic, held, partition)}
    assert stored == {records.CODECS.index(codec) for codec in codecs}, stored


def test_python_confluent_kafka():
    check_python_client("confluent", records.CODECS)


def test_python_kafka_python():
    check_python_client("kafka_python", ["none", "gzip"])  # the others need more packages


if __name__ == "__main__":
    harness.main(globals())
