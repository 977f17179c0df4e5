"""oracle.py - Apache Kafka and Millrace side by side: the same requests, the answers compared field by field.

    KAFKA_LIBS=DIR oracle.py                        all scenarios; exit 1 when a difference is not explained
    KAFKA_LIBS=DIR oracle.py --record               and Kafka's answers become recorded/*.jsonl.gz
    oracle.py --kafka HOST:PORT [--ours HOST:PORT] SCENARIO...      while working on one: its name or family

KAFKA_LIBS is a directory with the jars of Apache Kafka 4.3 (README.md). A scenario is a function of a Pair; it sees
Kafka's answers. replay.py plays the recorded ones without Java.
"""

import argparse
import atexit
import glob
import importlib
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import harness  # noqa: E402
import play  # noqa: E402
import sides  # noqa: E402

FAMILIES = ["basics", "topics", "records", "offsets", "groups", "rebalances", "consumer_groups", "configs",
            "admin", "edges", "transactions", "zombies", "hanging", "timeouts", "shares", "consumers_more",
            "retention", "idle", "waiting", "policies"]
KAFKA_START_S = 120
KAFKA_SETTLES_S = 8
JAVA = ["nice", "java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
# Of both brokers. Few internal partitions and no waiting for members: times are not compared.
SETTINGS = {"node.id": 1, "num.partitions": 4, "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000, "group.max.size": 4,
            "log.retention.check.interval.ms": 36000000, "offsets.retention.check.interval.ms": 36000000}
SMALL_GROUPS = {"group.share.min.record.lock.duration.ms": 1000, "group.share.min.session.timeout.ms": 1500,
                "group.share.min.heartbeat.interval.ms": 1000, "group.share.max.size": 4,
                "group.consumer.min.session.timeout.ms": 1500, "group.consumer.min.heartbeat.interval.ms": 1000,
                "group.consumer.max.size": 4}
# ... of a family that has brokers of its own.
IDLE_MS = 1500
FAMILY_SETTINGS = {
    "retention": {"offsets.retention.check.interval.ms": 300}, "shares": SMALL_GROUPS, "consumers_more": SMALL_GROUPS,
    "idle": {"transactional.id.expiration.ms": IDLE_MS,
             "transaction.remove.expired.transaction.cleanup.interval.ms": 100},
    "idle_producers": {"producer.id.expiration.ms": IDLE_MS, "producer.id.expiration.check.interval.ms": 100},
    "waiting": {"group.initial.rebalance.delay.ms": 1000, "group.share.max.share.sessions": 2,
                "group.share.max.size": 2},
    **{policy: {"group.consumer.migration.policy": policy} for policy in ("upgrade", "downgrade", "disabled")}}
KAFKA_SETTINGS = {
    "log.initial.task.delay.ms": 36000000,  # the records' times are long ago, and retention would take them
    "process.roles": "broker,controller", "inter.broker.listener.name": "PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "offsets.topic.replication.factor": 1, "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1, "transaction.abort.timed.out.transaction.cleanup.interval.ms": 200,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
}


def settings_of(family):
    return {**SETTINGS, **FAMILY_SETTINGS.get(family, {})}


_scenarios = {}             # name: (family, function, versions' API or None)


def scenario(function):
    """Registers a scenario of one run."""
    _scenarios[function.__name__] = (_family(function), function, None)
    return function


def each_version(api, low=0):
    """Registers a scenario for every version of an API, from `low` on."""
    def register(function):
        for version in sides.apis.versions(api):
            if version >= low:
                name = f"{function.__name__}-{version}"
                _scenarios[name] = (_family(function), lambda both, v=version: function(both, v), (api, version))
        return function
    return register


def of_families(*families):
    """Registers a scenario of several families, which differ by what FAMILY_SETTINGS says."""
    def register(function):
        for family in families:
            _scenarios[f"{function.__name__}-{family}"] = (family, function, None)
        return function
    return register


def _family(function):
    return function.__module__.removeprefix("scenarios_")


class Pair:
    """What a scenario speaks to: both brokers."""

    def __init__(self, kafka, ours, name, report):
        self.kafka, self.ours, self.name, self.report = kafka, ours, name, report
        self.steps, self.sent, self.pending = [], {}, {}

    def step(self, step):
        """Kafka has answered (step["a"]) or needs not: record, and ours."""
        self.steps.append(step)
        found = play.play(self.ours, self.name, step, self.pending)
        if found is not None:
            if "receive" in step:
                step = {**self.sent.pop(step["receive"])[0], **step}
            self.report.add(self.name, step, found)

    def ask(self, api, version, body=None, conn="a", until=None, **more):
        """Kafka's answer; until: asked again for as long as until(answer) is not true."""
        step = {"c": conn, "k": api, "v": version, "q": body or {}, **more}
        end = time.monotonic() + KAFKA_SETTLES_S
        while True:
            answer = self.kafka.receive(step, self.kafka.send(step))
            answer = self.kafka.learn(answer)
            if not until or until(answer):
                break
            if time.monotonic() > end:
                raise harness.Failed(f"{self.name}: Kafka goes on to answer {answer} to {step}")
            time.sleep(0.05)
        if answer.get("silent"):
            raise harness.Failed(f"{self.name}: Kafka does not answer {step}")
        if until:
            step["until"] = True
        self.step({**step, "a": answer})
        return answer

    def raw(self, frame, conn="a", **more):
        """Bytes made by hand; more: k and v, by which an answer is read."""
        step = {"c": conn, "raw": frame.hex(), **more}
        step["a"] = self.kafka.learn(self.kafka.receive(step, self.kafka.send(step)))
        self.step(step)
        return step["a"]

    def mute(self, api, version, body, conn="a"):
        """A request without an answer."""
        step = {"c": conn, "k": api, "v": version, "q": body, "mute": True}
        self.kafka.send(step)
        self.step({**step, "a": None})

    def send(self, api, version, body, conn, **more):
        """Give the result to receive()."""
        number = len(self.steps)
        step = {"c": conn, "k": api, "v": version, "q": body, "send": number, **more}
        self.sent[number] = (step, self.kafka.send(step))
        self.step(step)
        return number

    def receive(self, number):
        step, correlation = self.sent[number]
        answer = self.kafka.learn(self.kafka.receive(step, correlation))
        if answer.get("silent"):
            raise harness.Failed(f"{self.name}: Kafka does not answer {step}")
        self.step({"receive": number, "a": answer})
        return answer

    def close(self, conn):
        self.kafka.close(conn)
        self.step({"close": conn})

    # ---- what many scenarios begin with

    def of_kafka(self, api, version, body, until, conn="setup"):
        """Asked of Kafka only, until it is so: its parts agree a while after they answered."""
        step = {"c": conn, "k": api, "v": version, "q": body}
        end = time.monotonic() + KAFKA_SETTLES_S
        while not until(self.kafka.receive(step, self.kafka.send(step))):
            if time.monotonic() > end:
                raise harness.Failed(f"{self.name}: Kafka does not come to rest after {step}")
            time.sleep(0.02)

    def topic(self, name="t", partitions=1, **configs):
        """A new topic; (its name, its id as a symbol)"""
        name = self.topic_name(name)
        rows = [{"Name": key.replace("_", "."), "Value": str(value)} for key, value in configs.items()]
        made = self.ask("CreateTopics", 7, {"Topics": [{"Name": name, "NumPartitions": partitions,
                                                       "ReplicationFactor": 1, "Configs": rows}]})
        self.rest(name, partitions)
        return name, made["Topics"][0]["TopicId"]

    def topic_name(self, name="t"):
        return f"{self.name.replace('-', '.')}.{name}{sides.TOKEN}".replace("_", "")

    def rest(self, name, partitions=1):
        """Kafka's parts all know this topic."""
        asked = [{"PartitionIndex": n, "Timestamp": -1} for n in range(partitions)]
        self.of_kafka("ListOffsets", 5, {"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": asked}]},
                      lambda a: all(p["ErrorCode"] == 0 for p in a["Topics"][0]["Partitions"]))

    def gone(self, name):
        """Kafka's parts all know this topic no longer."""
        self.of_kafka("ListOffsets", 5, {"ReplicaId": -1, "Topics": [
            {"Name": name, "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]},
            lambda a: a["Topics"][0]["Partitions"][0]["ErrorCode"] == 3)

    def produce(self, topic, records, partition=0, version=9, **more):
        return self.ask("Produce", version, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [
            {"Name": topic, "PartitionData": [{"Index": partition, "Records": records}]}], **more})


# ---- Apache Kafka --------------------------------------------------------------------------------

class Kafka:
    """One KRaft node; its data lies in a temporary directory, and it ends with us."""

    def __init__(self, libs, settings):
        if not shutil.which("java") or not glob.glob(f"{libs}/kafka_2.13-4.*.jar"):
            raise harness.Skip("needs java, and in KAFKA_LIBS a directory with Apache Kafka's jars")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="oracle-kafka-"))
        atexit.register(self.stop)
        self.host, self.port, controller = "127.0.0.1", harness.free_port(), harness.free_port()
        listeners = f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}"
        settings = {**settings, **KAFKA_SETTINGS, "log.dirs": self.directory / "data", "listeners": listeners,
                    "advertised.listeners": listeners, "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}"}
        properties = self.directory / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        words = [*JAVA, "-cp", f"{libs}/*"]
        harness.run([*words, "kafka.tools.StorageTool", "format", "--standalone", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c",
                     properties], timeout_s=KAFKA_START_S)
        with open(self.directory / "log", "ab") as log:
            self.process = harness.spawn([*words, "kafka.Kafka", properties], stdout=log, stderr=log)
        harness.wait_until(self.is_up, KAFKA_START_S, "Apache Kafka's start", every_s=0.2)

    def is_up(self):
        if self.process.poll() is not None:
            raise harness.Failed(f"Apache Kafka ended: {(self.directory / 'log').read_text()[-2000:]}")
        try:
            return harness.api_versions(self.host, self.port)
        except (OSError, ConnectionError):
            return None

    def stop(self):
        if getattr(self, "process", None):
            harness.kill(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)


def warm_up(side):
    """The coordinators of groups and transactions answer: their topics are there."""
    def ready(key_type):
        step = {"c": "a", "k": "FindCoordinator", "v": 4, "q": {"KeyType": key_type, "CoordinatorKeys": ["warm"]}}
        return side.receive(step, side.send(step))["Coordinators"][0]["ErrorCode"] == 0

    def loaded(api, version, body):
        step = {"c": "a", "k": api, "v": version, "q": body}
        return side.receive(step, side.send(step))["ErrorCode"] not in (14, 15, 16)
    harness.wait_until(lambda: ready(0) and ready(1), 60, "the coordinators of Kafka", every_s=0.1)
    harness.wait_until(lambda: loaded("Heartbeat", 3, {"GroupId": "warm", "MemberId": "none"}) and
                       loaded("InitProducerId", 4, {"TransactionalId": "warm", "TransactionTimeoutMs": 60000}),
                       60, "Kafka's groups and transactions", every_s=0.1)


def take_id_zero(side):
    """An answer that has no producer id says 0; Kafka has given that one to warm_up."""
    step = {"c": "a", "k": "InitProducerId", "v": 4, "q": {"TransactionalId": None, "TransactionTimeoutMs": 60000}}
    side.receive(step, side.send(step))


# ---- running -------------------------------------------------------------------------------------

def run(names, kafka, ours, record):
    served = harness.api_versions(ours.host, ours.port)
    report, recorded, left_out = play.Report(), {}, []
    for name in names:
        family, function, needs = _scenarios[name]
        if needs:
            low, high = served.get(sides.apis.by_name[needs[0]].key, (1, 0))
            if not low <= needs[1] <= high:
                left_out.append(name)
                continue
        token = f"-{random.SystemRandom().randrange(16 ** 5):05x}"
        kafka.begin(token)
        ours.begin(token)
        both = Pair(kafka, ours, name, report)
        try:
            function(both)
        except (harness.Failed, KeyError, IndexError, TypeError) as problem:
            if not isinstance(problem, harness.Failed):
                traceback.print_exc()
            print(f"{name}: {problem}", file=sys.stderr)
            report.unexplained.append((name, "the scenario", "", "", f"broke off: {problem}", None))
        recorded.setdefault(family, []).extend([{"scenario": name}, *both.steps])
        report.scenarios += 1
    for family in recorded if record else ():
        play.write(play.RECORDED / f"{family}.jsonl.gz", recorded[family])
    return report, left_out


def tell(report, left_out, all_of_them):
    for scenario_name, step, path, kafka, ours, asked in report.unexplained:
        print(f"{scenario_name}: {step} {path}: Kafka {kafka!r}, ours {ours!r}\n    asked {str(asked)[:700]}")
    if left_out:
        print(f"not served, so not asked: {' '.join(left_out)}")
    for api, count in report.per_api().items():
        print(f"{count:6} {api}")
    for rule, count in report.used.items():
        print(f"{count:6} explained: {rule.reason}")
    unused = report.unused() if all_of_them else []
    for rule in unused:
        print(f"explains nothing any more: {rule.reason}")
    print(f"{report.scenarios} scenarios, {report.count} pairs, {sum(report.used.values())} explained differences, "
          f"{len(report.unexplained)} unexplained")
    return not report.unexplained and not unused


def run_with(settings, names, options):
    """All of these with brokers of these settings."""
    server = broker = None
    if options.kafka:
        host, port = options.kafka.split(":")
    else:
        server = Kafka(os.environ.get("KAFKA_LIBS", ""), settings)
        host, port = server.host, server.port
    kafka = sides.Side("Kafka", host, int(port))
    if options.ours:
        host, port = options.ours.split(":")
        ours = sides.Side("ours", host, int(port))
    else:
        broker = harness.Broker(settings)
        ours = sides.Side("ours", broker.host, broker.port)
        take_id_zero(ours)
    warm_up(kafka)
    began = time.monotonic()
    done = run(names, kafka, ours, options.record)
    print(f"({time.monotonic() - began:.1f} s)")
    for side in (kafka, ours):
        side.close_all()
    if server:
        server.stop()
    if broker:
        broker.remove()
    return done


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--kafka")
    parser.add_argument("--ours")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    sys.modules["oracle"] = sys.modules[__name__]
    for family in FAMILIES:
        if (HERE / f"scenarios_{family}.py").exists():
            importlib.import_module(f"scenarios_{family}")
    whole = options.record      # families: a file is written anew with what was asked
    names = [name for name in _scenarios if not options.names or any(
        _scenarios[name][0] == n or not whole and name.startswith(n) for n in options.names)]
    if not names:
        parser.error(f"no scenario or family is called {' or '.join(options.names)}")
    report, left_out = play.Report(), []
    different = [SETTINGS]
    for settings in map(settings_of, FAMILY_SETTINGS):
        different += [settings] if settings not in different else []
    for settings in different:
        some = [name for name in names if settings_of(_scenarios[name][0]) == settings]
        if some:
            more, less = run_with(settings, some, options)
            report.include(more)
            left_out += less
    sys.exit(0 if tell(report, left_out, not options.names) else 1)


if __name__ == "__main__":
    main()
