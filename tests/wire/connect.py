"""connect.py - Kafka Connect and MirrorMaker 2 through this broker: standalone and distributed workers, exactly once.

KAFKA_LIBS is a directory with the jars that connect/pom.xml names, Connect, MirrorMaker and Kafka's tools; without
them, or without java, all is skipped. With slf4j-simple among them the workers tell what goes wrong, and are checked.
CONNECT_LINES: how many lines go through the kills (2000). CONNECT_LOGS: a directory where the workers' logs stay.
WIRE_BOOTSTRAP=HOST:PORT: what does not kill the broker runs against that one (of num.partitions=1).
"""

import glob
import json
import os
import pathlib
import shutil
import signal
import socket
import tempfile
import time
import urllib.error
import urllib.request

import groups
import harness
import jvm
import messages

LIBS = jvm.LIBS
LINES = int(os.environ.get("CONNECT_LINES", "2000"))
SETTINGS = {"num.partitions": 1, "group.initial.rebalance.delay.ms": 0}
DONE_S = 180                # a worker's start alone takes 20 s of a busy machine
STRINGS = {"key.converter": "org.apache.kafka.connect.storage.StringConverter",
           "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
# What no worker may say: the broker did not know a request, or did not answer it.
FORBIDDEN = ("UnsupportedVersion", "UNSUPPORTED_VERSION", "does not support", "UNKNOWN_SERVER_ERROR",
             "UnknownServerException", "InvalidRequestException")


# ---- workers ------------------------------------------------------------------------------------------

def need_jars():
    for jar in ("connect-runtime", "connect-file", "connect-mirror"):
        if not LIBS or not glob.glob(f"{LIBS}/{jar}-[0-9]*.jar"):
            raise harness.Skip(f"KAFKA_LIBS names no directory with Apache Kafka's {jar} (connect/pom.xml brings it)")


def broker_of(settings=SETTINGS):
    outside = os.environ.get("WIRE_BOOTSTRAP")
    return Outside(outside) if outside else harness.Broker(settings, port=harness.free_port())


class Outside(harness.Cluster):
    """The cluster of WIRE_BOOTSTRAP, which can't be killed."""

    def __init__(self, bootstrap):
        super().__init__(bootstrap)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="millrace-wire-"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)


def write_properties(path, settings):
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return path


class Worker:
    """One JVM of Connect or MirrorMaker: its own port for REST, its own log; it may not end by itself."""

    def __init__(self, directory, main_class, settings, *connectors):
        self.name = harness.unique("worker")
        self.log = pathlib.Path(os.environ.get("CONNECT_LOGS", directory)) / f"{self.name}.log"
        self.port = harness.free_port()
        plugins = directory / "plugins" / "file"
        if not plugins.exists():
            plugins.mkdir(parents=True)
            for jar in glob.glob(f"{LIBS}/connect-file-*.jar"):
                (plugins / pathlib.Path(jar).name).symlink_to(pathlib.Path(jar).resolve())
        settings = {"plugin.path": plugins.parent, "plugin.discovery": "service_load",
                    "listeners": f"http://127.0.0.1:{self.port}", **settings}
        files = [write_properties(directory / f"{self.name}.properties", settings)]
        files += [write_properties(directory / f"{self.name}.{one['name']}.properties", one) for one in connectors]
        self.words = ["nice", *jvm.command(f"org.apache.kafka.connect.{main_class}", *files)]
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = harness.spawn(self.words, stdout=log, stderr=log)

    def kill9(self):
        harness.kill(self.process)

    def stop(self):
        """A graceful end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            harness.kill(self.process)

    def said(self):
        return self.log.read_text(errors="replace")

    def check(self):
        """It lives, and complains of nothing that the broker does not know."""
        assert self.process.poll() is None, f"ended with {self.process.poll()}:\n{self.said()[-6000:]}"
        self.check_said()

    def check_said(self):
        found = [line for line in self.said().splitlines() if any(word in line for word in FORBIDDEN)]
        assert not found, "\n".join(found[:20])

    def rest(self, method, path, body=None):
        """The answer of its REST interface; Failed with what it says when it refuses."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                text = answer.read()
        except urllib.error.HTTPError as problem:
            raise harness.Failed(f"{method} {path}: {problem.code} {problem.read().decode()}") from None
        return json.loads(text) if text else None

    def asks(self, method, path, body=None):
        """As rest(), asked again while the workers are joining or being born."""
        told = []

        def answered():
            assert self.process.poll() is None, f"ended with {self.process.poll()}:\n{self.said()[-6000:]}"
            try:
                told[:] = [self.rest(method, path, body)]
            except (harness.Failed, OSError) as problem:
                told[:] = [problem]
                return False
            return True
        try:
            harness.wait_until(answered, DONE_S, f"{method} {path}", every_s=0.3)
        except harness.Failed as problem:
            raise harness.Failed(f"{problem}: {told[0]}\n{self.said()[-3000:]}") from None
        return told[0]

    def wait_running(self, connector, tasks=1):
        """Each of its tasks runs, and nothing of it has failed; {task: worker}"""
        def running():
            told = self.asks("GET", f"/connectors/{connector}/status")
            rows = [told["connector"], *told["tasks"]]
            assert all(row["state"] != "FAILED" for row in rows), told
            if len(told["tasks"]) == tasks and all(row["state"] == "RUNNING" for row in rows):
                return {row["id"]: row["worker_id"] for row in told["tasks"]}
            return None
        return harness.wait_until(running, DONE_S, f"{connector} runs", every_s=0.3)


# ---- files and topics ---------------------------------------------------------------------------------

def append(path, lines):
    with open(path, "a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def numbered(begin, end):
    return [f"line {number} of the file" for number in range(begin, end)]


def read_lines(path):
    return path.read_text().splitlines() if path.exists() else []


def values(broker, topic):
    """What a reader of committed records sees, in order; nothing while there is no such topic."""
    ended = harness.millrace("consume", topic, broker=broker, check=False)
    return ended.stdout.decode().splitlines()


def wait_values(broker, topic, count, workers=()):
    def there():
        for worker in workers:
            worker.check()
        return len(values(broker, topic)) >= count
    harness.wait_until(there, DONE_S, f"{count} records of {topic}", every_s=0.3)
    return values(broker, topic)


def source(name, path, topic, **more):
    return {"name": name, "connector.class": "FileStreamSource", "tasks.max": "1", "file": str(path), "topic": topic,
            **more}


def sink(name, path, topic, **more):
    return {"name": name, "connector.class": "FileStreamSink", "tasks.max": "1", "file": str(path), "topics": topic,
            **more}


# ---- standalone ---------------------------------------------------------------------------------------

def test_standalone():
    """File to topic to file, with a transformation; a worker that comes again goes on where it was."""
    need_jars()
    with broker_of() as broker:
        topic, given, got = harness.unique("t"), broker.directory / "in", broker.directory / "out"
        settings = {"bootstrap.servers": broker.bootstrap, **STRINGS, "offset.flush.interval.ms": 300,
                    "offset.storage.file.filename": broker.directory / "offsets"}
        route = {"transforms": "route", "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
                 "transforms.route.regex": "before-(.*)", "transforms.route.replacement": "$1"}
        append(given, numbered(0, 300))
        words = (broker.directory, "cli.ConnectStandalone", settings, source("from", given, f"before-{topic}", **route),
                 sink("to", got, topic))
        worker = Worker(*words)
        harness.wait_until(lambda: worker.check() or len(read_lines(got)) >= 300, DONE_S, "300 lines", every_s=0.3)
        worker.stop()
        worker.check_said()
        append(given, numbered(300, 500))
        worker = Worker(*words)
        harness.wait_until(lambda: worker.check() or len(read_lines(got)) >= 500, DONE_S, "500 lines", every_s=0.3)
        worker.stop()
        worker.check_said()
        assert values(broker, topic) == numbered(0, 500)
        assert read_lines(got) == numbered(0, 500)


# ---- distributed --------------------------------------------------------------------------------------

def distributed(broker, group):
    """A worker of this group; its sources write in transactions."""
    topics = {f"{kind}.storage.topic": f"{group}-{kind}" for kind in ("config", "offset", "status")}
    one = {f"{kind}.storage.replication.factor": 1 for kind in ("config", "offset", "status")}
    return Worker(broker.directory, "cli.ConnectDistributed",
                  {"bootstrap.servers": broker.bootstrap, "group.id": group, **topics, **one, **STRINGS,
                   "offset.storage.partitions": 3, "status.storage.partitions": 2, "offset.flush.interval.ms": 300,
                   "exactly.once.source.support": "enabled", "session.timeout.ms": 6000,
                   "heartbeat.interval.ms": 500, "scheduled.rebalance.max.delay.ms": 1000})


def without_name(connector):
    return {key: value for key, value in connector.items() if key != "name"}


def position(worker, connector):
    """The one offset of a file source, or None."""
    rows = worker.asks("GET", f"/connectors/{connector}/offsets")["offsets"]
    return rows[0]["offset"]["position"] if rows else None


def stop_connector(worker, connector):
    worker.asks("PUT", f"/connectors/{connector}/stop")
    harness.wait_until(lambda: worker.asks("GET", f"/connectors/{connector}/status")["tasks"] == [], DONE_S,
                       f"{connector} has stopped", every_s=0.3)


def test_offsets_by_rest():
    """Offsets of a source and of a sink: told, altered, reset; the tasks then begin there."""
    need_jars()
    with broker_of() as broker:
        topic, group = harness.unique("t"), harness.unique("connect")
        given, got = broker.directory / "in", broker.directory / "out"
        reader = harness.unique("to")       # its group is named after it
        append(given, numbered(0, 100))
        worker = distributed(broker, group)
        worker.asks("PUT", "/connectors/from/config", without_name(source("from", given, topic)))
        worker.asks("PUT", f"/connectors/{reader}/config", without_name(sink(reader, got, topic)))
        assert wait_values(broker, topic, 100, [worker]) == numbered(0, 100)
        harness.wait_until(lambda: len(read_lines(got)) >= 100, DONE_S, "the sink's lines", every_s=0.3)
        size = len("".join(f"{line}\n" for line in numbered(0, 100)))
        harness.wait_until(lambda: position(worker, "from") == size, DONE_S, "the source's offset", every_s=0.3)

        stop_connector(worker, "from")
        at = len("".join(f"{line}\n" for line in numbered(0, 90)))
        told = worker.asks("PATCH", "/connectors/from/offsets", {"offsets": [
            {"partition": {"filename": str(given)}, "offset": {"position": at}}]})
        assert "altered successfully" in told["message"], told
        assert position(worker, "from") == at
        worker.asks("PUT", "/connectors/from/resume")
        assert wait_values(broker, topic, 110, [worker]) == numbered(0, 100) + numbered(90, 100)

        stop_connector(worker, "from")
        assert "reset successfully" in worker.asks("DELETE", "/connectors/from/offsets")["message"]
        assert position(worker, "from") is None
        worker.asks("PUT", "/connectors/from/resume")
        assert len(wait_values(broker, topic, 210, [worker])) == 210

        def sink_offset():
            rows = worker.asks("GET", f"/connectors/{reader}/offsets")["offsets"]
            return {row["partition"]["kafka_partition"]: row["offset"]["kafka_offset"] for row in rows}
        harness.wait_until(lambda: len(read_lines(got)) >= 210, DONE_S, "the sink's lines", every_s=0.3)
        stop_connector(worker, reader)
        assert list(sink_offset()) == [0], sink_offset()
        worker.asks("PATCH", f"/connectors/{reader}/offsets", {"offsets": [
            {"partition": {"kafka_topic": topic, "kafka_partition": 0}, "offset": {"kafka_offset": 40}}]})
        assert sink_offset() == {0: 40}, sink_offset()
        worker.asks("PATCH", f"/connectors/{reader}/offsets", {"offsets": [
            {"partition": {"kafka_topic": topic, "kafka_partition": 0}, "offset": None}]})
        assert sink_offset() == {}, sink_offset()
        worker.asks("PATCH", f"/connectors/{reader}/offsets", {"offsets": [
            {"partition": {"kafka_topic": topic, "kafka_partition": 0}, "offset": {"kafka_offset": 40}}]})
        worker.asks("PUT", f"/connectors/{reader}/resume")
        harness.wait_until(lambda: len(read_lines(got)) >= 210 + 170, DONE_S, "the sink's lines", every_s=0.3)
        assert read_lines(got)[210] == numbered(40, 41)[0], read_lines(got)[205:215]
        stop_connector(worker, reader)
        assert "reset successfully" in worker.asks("DELETE", f"/connectors/{reader}/offsets")["message"]
        assert sink_offset() == {}, sink_offset()
        for connector in ("from", reader):
            worker.asks("DELETE", f"/connectors/{connector}")
        assert worker.asks("GET", "/connectors") == []
        worker.check()
        worker.stop()


def owner_of(workers, connector):
    """The worker whose task it is."""
    address = workers[0].wait_running(connector)[0]
    return next(worker for worker in workers if address.endswith(f":{worker.port}"))


def test_source_exactly_once_through_kills():
    """Two workers; kill -9 of the one with the task, of the broker, of both: every line once and in order."""
    if os.environ.get("WIRE_BOOTSTRAP"):
        raise harness.Skip("it kills the broker")
    need_jars()
    with broker_of() as broker:
        topic, group = harness.unique("t"), harness.unique("connect")
        given, got = broker.directory / "in", broker.directory / "out"
        append(given, numbered(0, 10))
        workers = [distributed(broker, group)]
        workers[0].asks("GET", "/connectors")       # the second one finds the topics of the first
        workers.append(distributed(broker, group))
        workers[0].asks("PUT", "/connectors/from/config", without_name(source("from", given, topic)))
        workers[0].asks("PUT", "/connectors/to/config", without_name(sink("to", got, topic)))
        workers[0].wait_running("from")
        for number, victim in enumerate(("worker", "broker", "both")):
            begin = 10 + number * LINES
            owner = owner_of(workers, "from")
            append(given, numbered(begin, begin + LINES // 2))
            harness.wait_until(lambda: len(values(broker, topic)) > begin, DONE_S, "more", every_s=0.05)
            append(given, numbered(begin + LINES // 2, begin + LINES))
            if victim != "worker":
                broker.kill9()
            if victim != "broker":
                owner.kill9()
            if victim != "worker":
                broker.start()
            if victim != "broker":
                owner.start()
            wait_values(broker, topic, begin + LINES)
        every = numbered(0, 10 + 3 * LINES)
        assert values(broker, topic) == every
        harness.wait_until(lambda: set(read_lines(got)) == set(every), DONE_S, "the sink's lines", every_s=0.5)
        twice = len(read_lines(got)) - len(every)
        print(f"# {len(every)} lines once each in the topic, {twice} twice in the sink's file")
        for worker in workers:
            worker.check()
            worker.stop()


# ---- MirrorMaker --------------------------------------------------------------------------------------

def mirror(directory, a, b, **more):
    """MirrorMaker 2 from `a` to `b`, with short intervals."""
    seconds = ("emit.checkpoints", "sync.group.offsets", "refresh.topics", "refresh.groups", "sync.topic.configs",
               "sync.topic.acls", "emit.heartbeats")
    factors = ("replication.factor", "checkpoints.topic.replication.factor", "heartbeats.topic.replication.factor",
               "offset-syncs.topic.replication.factor", "offset.storage.replication.factor",
               "status.storage.replication.factor", "config.storage.replication.factor")
    settings = {"clusters": "A, B", "A.bootstrap.servers": a.bootstrap, "B.bootstrap.servers": b.bootstrap,
                "A->B.enabled": "true", "A->B.topics": "orders.*", "A->B.groups": "readers.*",
                "sync.group.offsets.enabled": "true", "offset.lag.max": 0, "offset.flush.interval.ms": 300,
                "B.exactly.once.source.support": "enabled",
                **{f"{name}.interval.seconds": 1 for name in seconds}, **{name: 1 for name in factors}, **more}
    return Worker(directory, "mirror.MirrorMaker", settings)


class Client:
    """Requests by hand, for what the command line has no words for."""

    apis = messages.Apis()

    def __init__(self, broker):
        self.connection = socket.create_connection((broker.host, broker.port), timeout=harness.AT_ONCE_S)

    def ask(self, api, version, **body):
        self.connection.sendall(self.apis.request(api, version, body))
        size = int.from_bytes(harness.receive_exactly(self.connection, 4), "big")
        return self.apis.answer(api, version, harness.receive_exactly(self.connection, size))


def grow_and_configure(broker, topic, count, key, value):
    client = Client(broker)
    told = client.ask("CreatePartitions", 3, Topics=[{"Name": topic, "Count": count, "Assignments": None}],
                      TimeoutMs=5000, ValidateOnly=False)
    assert told["Results"][0]["ErrorCode"] == 0, told
    told = client.ask("IncrementalAlterConfigs", 1, ValidateOnly=False, Resources=[{
        "ResourceType": 2, "ResourceName": topic, "Configs": [{"Name": key, "ConfigOperation": 0, "Value": value}]}])
    assert told["Responses"][0]["ErrorCode"] == 0, told


def described(broker, topic):
    """(its partitions, its settings)"""
    ended = harness.millrace("topics", "describe", topic, "--json", broker=broker)
    topic = json.loads(ended.stdout)["topics"][0]
    return len(topic["partitions"]), topic["configs"]


def copied(broker, topic):
    """[(partition, key, value, headers)] of committed records; nothing while there is no such topic."""
    ended = harness.millrace("consume", topic, "--format", "%p %k %v %h\\n", broker=broker, check=False)
    return sorted(tuple(line.split(" ")) for line in ended.stdout.decode().splitlines())


def formatted(broker, topic, formatter, count):
    """The first lines that Kafka's console consumer makes of a topic with one of MirrorMaker's formatters."""
    words = jvm.tool("consumer.ConsoleConsumer", "--bootstrap-server", broker.bootstrap, "--topic", topic,
                     "--from-beginning", "--max-messages", str(count), "--formatter",
                     f"org.apache.kafka.connect.mirror.formatters.{formatter}")
    done = harness.run(words, timeout_s=90)
    return done.stdout.decode().splitlines()


def behind(broker, group, topic, partitions):
    """How many records lie behind the offsets this group has committed, -1 while it has not of each partition."""
    offsets = groups.committed(broker, group, topic, partitions)
    if -1 in offsets:
        return -1
    ended = harness.millrace("consume", topic, "--format", "%p %o\\n", broker=broker)
    rows = [map(int, line.split()) for line in ended.stdout.splitlines()]
    return sum(offset >= offsets[partition] for partition, offset in rows if partition < partitions)


class Orders:
    """What is produced to the mirrored topic."""

    def __init__(self, broker):
        self.broker, self.count, self.unread = broker, 0, 0

    def add(self, count):
        lines = "".join(f"k{number}:v{number}\n" for number in range(self.count, self.count + count))
        harness.run(["kcat", "-b", self.broker.bootstrap, "-P", "-t", "orders", "-K:", "-H", "of=test", "-X",
                     "acks=all"], input=lines)
        self.count += count
        self.unread += count

    def read(self):
        """... all of it, by a group, which commits."""
        harness.millrace("consume", "orders", "--group", "readers", "--from", "beginning", "-n", str(self.unread),
                         broker=self.broker)
        self.unread = 0


def test_mirror():
    """Records exactly once, partitions, settings, offsets of groups, heartbeats; both brokers and the worker killed."""
    need_jars()
    with harness.Broker(SETTINGS, port=harness.free_port()) as a, \
            harness.Broker(SETTINGS, port=harness.free_port()) as b:
        harness.millrace("topics", "create", "orders", "-p", "2", "-c", "retention.ms=7200000", broker=a)
        orders = Orders(a)
        orders.add(200)
        orders.read()
        worker = mirror(a.directory, a, b)

        def wait_mirrored():
            harness.wait_until(lambda: worker.check() or len(copied(b, "A.orders")) >= orders.count, DONE_S,
                               f"{orders.count} records", every_s=0.5)
            assert copied(a, "orders") == copied(b, "A.orders")


        def wait_followed(partitions):
            """... the group's offsets too. MirrorMaker tells of a burst's end only with the records after it, and if
            it is started again in between, only of partitions that have some: so a few, until all have followed."""
            def followed():
                orders.add(4)
                wait_mirrored()
                orders.read()
                end = time.monotonic() + 5
                while time.monotonic() < end and behind(b, "readers", "A.orders", partitions) != 0:
                    time.sleep(0.5)
                return behind(b, "readers", "A.orders", partitions) == 0
            harness.wait_until(followed, DONE_S, "the group's offsets")
        wait_followed(2)
        assert described(b, "A.orders")[0] == 2 and described(b, "A.orders")[1]["retention.ms"] == "7200000"
        for victim in (b, a, worker):
            orders.add(100)
            victim.kill9()
            time.sleep(1)
            victim.start()
            orders.add(100)
            wait_mirrored()
        grow_and_configure(a, "orders", 3, "max.message.bytes", "200000")
        harness.wait_until(lambda: described(b, "A.orders")[0] == 3 and
                           described(b, "A.orders")[1].get("max.message.bytes") == "200000", DONE_S,
                           "the partition and the setting", every_s=0.5)
        orders.add(100)
        wait_mirrored()
        assert behind(b, "readers", "A.orders", 2) > 0
        wait_followed(3)
        assert harness.millrace("consume", "heartbeats", broker=b).stdout
        assert any("orders" in line for line in formatted(a, "mm2-offset-syncs.B.internal", "OffsetSyncFormatter", 8))
        assert any("readers" in line for line in formatted(b, "A.checkpoints.internal", "CheckpointFormatter", 2))
        worker.check()
        worker.stop()


if __name__ == "__main__":
    harness.main(globals())
