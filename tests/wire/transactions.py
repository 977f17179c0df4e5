"""transactions.py - transactions of real clients: a topic copied exactly once while the broker is killed, Kafka's
own tools.

A few kills here; KILL_ROUNDS=50 for the long run. KAFKA_LIBS as in clients.py.
"""

import os
import random
import subprocess
import time

import clients
import harness

ROUNDS = int(os.environ.get("KILL_ROUNDS", "6"))
RECORDS = int(os.environ.get("COPY_RECORDS", "3000"))
COPIER = harness.BUILD / "tests" / "wire" / "rdkafka_copier"
SETTINGS = {"num.partitions": 3, "group.initial.rebalance.delay.ms": 0}


def values(broker, topic, isolation="read_committed"):
    out = harness.run(["kcat", "-b", broker.bootstrap, "-C", "-q", "-e", "-t", topic, "-X",
                       f"isolation.level={isolation}", "-f", "%p %s\n"], timeout_s=60).stdout.decode()
    return [line.split(" ", 1) for line in out.splitlines()]


def fill(broker, topic, count):
    for partition in range(3):
        numbers = "".join(f"{n}\n" for n in range(partition, count, 3))
        harness.run(["kcat", "-b", broker.bootstrap, "-P", "-t", topic, "-p", str(partition)],
                    input=numbers, timeout_s=60)


def check_copy(broker, topic, count):
    """Every number once, in its partition, in order."""
    copied = values(broker, topic)
    for partition in range(3):
        numbers = [int(value) for p, value in copied if int(p) == partition]
        expected = list(range(partition, count, 3))
        assert numbers == expected, (
            f"partition {partition}: {len(numbers)} records, {len(set(numbers))} different, {len(expected)} expected")


def kill_while(broker, process, rounds, chance):
    """Kills and starts the broker so often, as long as the process runs."""
    kills = 0
    while kills < rounds and process.poll() is None:
        time.sleep(chance.uniform(0.05, 0.6))
        broker.kill9()
        kills += 1
        broker.start()
    return kills


def test_copy_through_kills():
    """Consume, produce and offsets in transactions; kill -9 of the broker in the middle, again and again."""
    chance = random.Random(7)
    with harness.Broker(SETTINGS, port=harness.free_port()) as broker:
        fill(broker, "from", RECORDS)
        process = harness.spawn([str(COPIER), broker.bootstrap, "from", "to", str(RECORDS), "120"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            kills = kill_while(broker, process, ROUNDS, chance)
            out, error = process.communicate(timeout=130)
        finally:
            harness.kill(process)
        assert process.returncode == 0, error.decode()[-2000:] + broker.log_tail()
        check_copy(broker, "to", RECORDS)
        print(f"# {kills} kills; {out.decode().strip()}")
        assert kills > 0, "it was through before anything happened"
        everything = len(values(broker, "to", "read_uncommitted"))
        assert everything > RECORDS, "nothing was ever aborted"


def test_java_copies_through_kills():
    """Kafka's own TransactionalMessageCopier, which aborts at random, through kills of the broker."""
    chance = random.Random(3)
    with harness.Broker(SETTINGS, port=harness.free_port()) as broker:
        fill(broker, "from", 3 * 1000)
        harness.run(["kcat", "-b", broker.bootstrap, "-L", "-t", "to"])
        process = harness.spawn(clients.tool_words(
            "TransactionalMessageCopier", "--broker-list", broker.bootstrap, "--input-topic", "from",
            "--input-partition", "0", "--output-topic", "to", "--max-messages", "1000", "--consumer-group", "g",
            "--transactional-id", "java", "--transaction-size", "20", "--enable-random-aborts"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(2)
            kills = kill_while(broker, process, ROUNDS, chance)
            assert process.wait(timeout=120) == 0, broker.log_tail()
        finally:
            harness.kill(process)
        copied = sorted(int(value) for _, value in values(broker, "to"))
        assert copied == list(range(0, 3 * 1000, 3)), f"{len(copied)} copied, {len(set(copied))} different"
        print(f"# {kills} kills")


def test_java_perf_and_tools():
    """Kafka's own producer in transactions (version 2: an epoch for each), and the tool that looks at them."""
    broker = clients.broker()
    topic = harness.unique("perf")
    clients.tool("TopicCommand", "--create", "--topic", topic, "--partitions", "3")
    clients.performance(topic, 3000, "--transactional-id", topic, "--transaction-duration-ms", "20")
    assert len(values(broker, topic)) == 3000
    described = clients.tool("TransactionsCommand", "describe", "--transactional-id", topic).splitlines()[-1].split()
    assert described[4] == "CompleteCommit" and int(described[3]) > 1, described
    listed = clients.tool("TransactionsCommand", "list")
    assert topic in listed, listed


def test_java_aborts_a_hanging_transaction():
    """A transaction that its coordinator does not know any more is ended by kafka-transactions.sh abort."""
    broker = clients.broker()
    topic = harness.unique("hang")
    clients.tool("TopicCommand", "--create", "--topic", topic, "--partitions", "1")
    harness.run([str(harness.BUILD / "tests" / "wire" / "rdkafka_cases"), broker.bootstrap, "leave_open"],
                timeout_s=60, env=dict(os.environ, LEAVE_OPEN_TOPIC=topic))
    producers = clients.tool("TransactionsCommand", "describe-producers", "--topic", topic, "--partition", "0")
    row = producers.splitlines()[-1].split()
    assert row[5] == "0", producers
    clients.tool("TransactionsCommand", "abort", "--topic", topic, "--partition", "0", "--start-offset", "0")
    assert values(broker, topic) == []
    producers = clients.tool("TransactionsCommand", "describe-producers", "--topic", topic, "--partition", "0")
    assert producers.splitlines()[-1].split()[5] == "None", producers


if __name__ == "__main__":
    harness.main(globals())
