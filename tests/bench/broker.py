#!/usr/bin/env python3
"""broker.py - CPU of the broker's process for produce and consume, Millrace and Apache Kafka in turns.

    MILLRACE_BUILD=build tests/bench/broker.py [--kafka LIBS-DIR] [--rounds 5] [--mb 512]

LIBS-DIR holds Apache Kafka's jars (mvn dependency:copy-dependencies of org.apache.kafka:kafka_2.13 and
kafka-tools). Both brokers run at a time, idle while the other is measured; each round measures A, then B;
the first round warms memory and JIT and is thrown away. CPU is user plus system time of the broker's
process (/proc/PID/stat); durability=os on our side, which is Kafka's default promise. Figures are medians.
"""

import argparse
import mmap
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "wire"))
import harness

WARM_MB = 2048
CLIENT = harness.BUILD / "tests" / "bench" / "bench_client"
KAFKA_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class Kafka:
    """Apache Kafka, one KRaft node."""

    def __init__(self, libs):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-kafka-"))
        self.host, self.port, controller = "127.0.0.1", harness.free_port(), harness.free_port()
        properties = self.directory / "server.properties"
        properties.write_text(KAFKA_PROPERTIES.format(port=self.port, controller=controller,
                                                      data=self.directory / "data"))
        path = f"{pathlib.Path(libs).resolve()}/*"
        tool = ["java", "-cp", path, "kafka.tools.StorageTool"]
        cluster = harness.run([*tool, "random-uuid"]).stdout.decode().split()[-1]
        harness.run([*tool, "format", "--standalone", "-t", cluster, "-c", properties])
        self.log = open(self.directory / "log", "wb")
        self.process = harness.spawn(["java", "-Xms1G", "-Xmx1G", "-XX:+UseG1GC", "-cp", path, "kafka.Kafka",
                                      properties], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        harness.wait_until(self._answers, 60, "Apache Kafka's first answer")

    def _answers(self):
        try:
            return harness.api_versions(self.host, self.port)
        except OSError:
            return None

    bootstrap = harness.Broker.bootstrap
    cpu_seconds = harness.Broker.cpu_seconds
    status_kib = harness.Broker.status_kib

    @property
    def pid(self):
        return self.process.pid

    def remove(self):
        harness.kill(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)


def client(*words):
    out = harness.run([CLIENT, *words], timeout_s=900).stdout.split()
    return int(out[0]), int(out[1]), float(out[2])


def warm(megabytes):
    """Touch memory and give it back. Where a balloon takes free pages from the guest the first touch of a page
    costs more than everything a broker does; it would be charged to whoever is measured first."""
    with mmap.mmap(-1, megabytes << 20) as memory:
        for at in range(0, megabytes << 20, 4096):
            memory[at] = 1


def measured(broker, *words):
    """(records, bytes, wall seconds, CPU seconds of the broker)"""
    warm(WARM_MB)
    before = broker.cpu_seconds()
    result = client(*words)
    return (*result, broker.cpu_seconds() - before)


def one_round(broker, megabytes, small):
    topic = harness.unique("bench")
    b = broker.bootstrap
    harness.run([harness.MILLRACE, "topics", "create", topic, "--partitions", "1", "-b", b])
    count = megabytes * 1000
    produced = measured(broker, "produce", b, topic, count, 1000, 65536, 64, 5, 1)
    consumed = measured(broker, "consume", b, topic, 1, count)
    singles = measured(broker, "produce", b, topic, small, 100, 65536, 1, 1000, 1)
    harness.run([harness.MILLRACE, "topics", "delete", topic, "-b", b], check=False)
    return {
        "produce, CPU-s per GB (1 KB records, 64 KiB batches)": produced[3] / produced[1] * 1e9,
        "produce, MB/s": produced[1] / produced[2] / 1e6,
        "consume, CPU-s per GB": consumed[3] / consumed[1] * 1e9,
        "consume, MB/s": consumed[1] / consumed[2] / 1e6,
        "one-record requests, CPU-us each": singles[3] / singles[0] * 1e6,
        "one-record requests per second": singles[0] / singles[2],
    }


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kafka", metavar="LIBS-DIR")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--mb", type=int, default=512)
    options.add_argument("--small", type=int, default=100000)
    options.add_argument("--durability", default="os")
    chosen = options.parse_args()
    brokers = {"Millrace": harness.Broker(settings={"durability": chosen.durability})}
    if chosen.kafka:
        brokers["Apache Kafka"] = Kafka(chosen.kafka)
    results = {name: [] for name in brokers}
    for number in range(chosen.rounds + 1):
        for name, broker in brokers.items():
            result = one_round(broker, chosen.mb, chosen.small)
            if number > 0:
                results[name].append(result)
            print(f"round {number} {name}: " + ", ".join(f"{value:.3g}" for value in result.values()),
                  file=sys.stderr, flush=True)
    print(f"{chosen.rounds} rounds of {chosen.mb} MB, durability={chosen.durability}; median [least - most]")
    for row in results["Millrace"][0]:
        print(f"  {row}")
        medians = []
        for name, rounds in results.items():
            values = [one[row] for one in rounds]
            medians.append(statistics.median(values))
            print(f"    {name:14} {medians[-1]:10.3f}  [{min(values):.3f} - {max(values):.3f}]")
        if len(medians) == 2:
            print(f"    ratio          {medians[1] / medians[0]:10.2f}")
    for name, broker in brokers.items():
        print(f"  resident memory at the end, {name}: {broker.status_kib('VmRSS') / 1024:.1f} MiB")
        broker.remove()


if __name__ == "__main__":
    main()
