"""consumer_groups.py - groups of the consumer protocol (KIP-848) with real clients: Kafka's own Java consumer and
librdkafka (confluent-kafka), alone, and together with classic ones.

KAFKA_LIBS is a directory with the jars of Apache Kafka 4; the venv of clients.py brings a librdkafka that knows the
protocol. What is not there is skipped.
"""

import json
import signal

import clients
import groups
import harness

clients.SETTINGS = {"group.initial.rebalance.delay.ms": 0, "group.consumer.assignment.interval.ms": 0,
                    "group.consumer.min.heartbeat.interval.ms": 300, "group.consumer.heartbeat.interval.ms": 300}
PARTITIONS = 4


def broker():
    return clients.broker()


class Verifiable(groups.Client):
    """Kafka's verifiable consumer: JSON lines of what it is given and what it reads."""

    def __init__(self, topic, group, protocol, *words):
        protocols = {"consumer": ("--group-protocol", "consumer"), "classic": (
            "--assignment-strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor")}
        super().__init__(broker(), clients.tool_words(
            "VerifiableConsumer", "--bootstrap-server", broker().bootstrap, "--topic", topic, "--group-id", group,
            "--reset-policy", "earliest", "--verbose", *protocols[protocol], *words))

    def said(self, name):
        return [line for line in map(json.loads, self.lines()) if line["name"] == name]

    def values(self):
        return [line["value"] for line in self.said("record_data")]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def group_type(group):
    rows = clients.table(clients.tool("GroupsCommand", "--list"), "GROUP")
    return next((row["TYPE"] for row in rows if row["GROUP"] == group), None)


def members(group):
    """{member: {partition}} as Kafka's own tool describes it."""
    out = clients.tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", group, check=False)
    found = {}
    if "GROUP" in out:
        for row in clients.table(out, "GROUP"):
            if row["CONSUMER-ID"] != "-":
                found.setdefault(row["CONSUMER-ID"], set()).add(int(row["PARTITION"]))
    return found


def wait_members(group, sizes):
    return harness.wait_until(
        lambda: (found := members(group)) and sorted(map(len, found.values())) == sizes and found,
        60, f"members with {sizes} partitions", every_s=0.5)


def wait_read(readers, count):
    harness.wait_until(lambda: len({value for reader in readers for value in reader.values()}) >= count, 60,
                       f"{count} values")


def values(first, count=200):
    return [str(number) for number in range(first, first + count)]


def test_java_consumers_share_a_topic_and_go_on_after_a_kill():
    topic, group = groups.make_topic(broker(), PARTITIONS), harness.unique("group")
    groups.produce(broker(), topic, values(0))
    readers = [Verifiable(topic, group, "consumer"), Verifiable(topic, group, "consumer")]
    shares = wait_members(group, [2, 2])
    assert set().union(*shares.values()) == set(range(PARTITIONS)), shares
    assert group_type(group) == "Consumer"
    wait_read(readers, 200)
    broker().restart(crash=True)
    groups.produce(broker(), topic, values(200))
    wait_read(readers, 400)
    assert wait_members(group, [2, 2]).keys() == shares.keys(), "they are the same members as before"
    readers[0].end()
    wait_members(group, [4])
    readers[1].end()
    harness.wait_until(lambda: sum(groups.committed(broker(), group, topic, PARTITIONS)) == 400, 30, "commits")


def test_java_classic_group_is_upgraded_and_downgraded_while_it_reads():
    topic, group = groups.make_topic(broker(), PARTITIONS), harness.unique("group")
    groups.produce(broker(), topic, values(0))
    old = Verifiable(topic, group, "classic")
    wait_members(group, [4])
    assert group_type(group) == "Classic"
    new = Verifiable(topic, group, "consumer")
    wait_members(group, [2, 2])
    assert group_type(group) == "Consumer"
    groups.produce(broker(), topic, values(200))
    wait_read([old, new], 400)
    new.end()
    wait_members(group, [4])
    assert group_type(group) == "Classic"
    groups.produce(broker(), topic, values(400))
    wait_read([old, new], 600)
    old.end()
    read = old.values() + new.values()
    assert sorted(read, key=int) == values(0, 600), f"{len(read)} values, not each exactly once"
    assert sum(groups.committed(broker(), group, topic, PARTITIONS)) == 600


RDKAFKA = """
import sys, confluent_kafka as kafka
bootstrap, topic, group, count = sys.argv[1:]
reader = kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": group, "group.protocol": "consumer",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
reader.subscribe([topic])
seen = set()
while len(seen) < int(count):
    message = reader.poll(1)
    if message is None:
        continue
    if message.error():
        raise SystemExit(str(message.error()))
    seen.add(message.value())
    reader.commit(message, asynchronous=False) if len(seen) % 50 == 0 else None
reader.commit(asynchronous=False)
print(len(seen), len(reader.assignment()))
reader.close()
"""


def rdkafka(topic, group, count):
    return harness.run([clients.venv_python(), "-c", RDKAFKA, broker().bootstrap, topic, group, str(count)],
                       timeout_s=90).stdout.decode().split()


def test_librdkafka_reads_by_names_and_by_an_expression():
    topic, group = groups.make_topic(broker(), PARTITIONS), harness.unique("group")
    groups.produce(broker(), topic, values(0))
    assert rdkafka(topic, group, 200) == ["200", str(PARTITIONS)]
    assert sum(groups.committed(broker(), group, topic, PARTITIONS)) == 200
    assert rdkafka(f"^{topic[:-1]}.$", harness.unique("group"), 200) == ["200", str(PARTITIONS)]


if __name__ == "__main__":
    harness.main(globals())
