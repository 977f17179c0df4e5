"""network.py - the socket side of a real broker: listeners, limits, bad input, start and stop.

Speaks raw bytes; kcat where a real client is the point. Needs no records.
"""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time

import harness

MIB = 1024 * 1024
API_VERSIONS = 18
RSS_GROWTH_MAX_KIB = 64 * 1024


def connect(broker, host=None, port=None, timeout_s=5):
    return socket.create_connection((host or broker.host, port or broker.port), timeout=timeout_s)


def frame(key, version, body=b"", correlation_id=1):
    head = struct.pack(">hhih", key, version, correlation_id, -1)
    return struct.pack(">i", len(head) + len(body)) + head + body


def answers(broker):
    """A new client is served."""
    return bool(harness.api_versions(broker.host, broker.port, timeout_s=harness.AT_ONCE_S))


def closed_by_peer(connection, timeout_s=5):
    """True when the broker has closed: end of stream or reset."""
    connection.settimeout(timeout_s)
    try:
        while connection.recv(65536):
            pass
        return True
    except (ConnectionResetError, BrokenPipeError):
        return True
    except socket.timeout:
        return False


def said(broker, pattern):
    return re.search(pattern, broker.log_text())


def serve(*words, env=None, timeout_s=20):
    """`millrace serve` that ends by itself."""
    return harness.run([harness.MILLRACE, "serve", *words], check=False, env=env, timeout_s=timeout_s)


def run_to_failure(broker):
    """A broker that must not start: (exit code, log)."""
    broker.start(wait=False)
    code = broker.process.wait(timeout=20)
    return code, broker.log_text()


# ---- listeners ---------------------------------------------------------------------------------

def test_port_zero_is_picked_and_said():
    with harness.Broker({"listeners": "PLAINTEXT://127.0.0.1:0"}, start=False) as broker:
        broker.start(wait=False)
        found = harness.wait_until(lambda: said(broker, r"listening on PLAINTEXT://127\.0\.0\.1:(\d+)"),
                                   what="the line with the port")
        broker.port = int(found.group(1))
        assert broker.port != 0
        broker.wait_ready()


def brokers_told(bootstrap):
    """The addresses in kcat's view of the cluster."""
    out = harness.run(["kcat", "-L", "-J", "-b", bootstrap]).stdout
    return [entry["name"] for entry in json.loads(out)["brokers"]]


def test_each_listener_tells_its_own_address():
    one, two, six = (harness.free_port() for _ in range(3))
    settings = {
        "listeners": f"PLAINTEXT://127.0.0.1:{one},OUTSIDE://localhost:{two},SIX://[::1]:{six}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT,SIX:PLAINTEXT",
        "advertised.listeners": f"OUTSIDE://outside.test:{two + 1}",
    }
    if not pathlib.Path("/proc/net/if_inet6").exists():
        raise harness.Skip("no IPv6 here")
    with harness.Broker(settings, port=one) as broker:
        assert brokers_told(f"127.0.0.1:{one}") == [f"127.0.0.1:{one}"]
        assert brokers_told(f"[::1]:{six}") in ([f"::1:{six}"], [f"[::1]:{six}"])
        # librdkafka asks the bootstrap address; what it is told cannot be reached, and that is fine
        out = harness.run(["kcat", "-L", "-b", f"127.0.0.1:{two}"], check=False).stdout
        assert f"outside.test:{two + 1}".encode() in out, out
        assert said(broker, f"advertised as outside.test:{two + 1}")


def test_every_address_is_not_advertised_and_warned_of():
    port = harness.free_port()
    with harness.Broker({"listeners": f"PLAINTEXT://0.0.0.0:{port}"}, port=port) as broker:
        assert brokers_told(f"127.0.0.1:{port}") == [f"127.0.0.1:{port}"]
        assert brokers_told(f"127.0.0.2:{port}") == [f"127.0.0.2:{port}"]
        assert said(broker, r"WARN .*open beyond this machine")


def test_a_port_in_use_is_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with harness.Broker(port=port, start=False) as broker:
            code, log = run_to_failure(broker)
            assert code == 1, code
            assert f":{port}: Address already in use" in log, log


def test_an_unknown_host_is_told():
    with harness.Broker({"listeners": "PLAINTEXT://no.such.host.invalid:9"}, start=False) as broker:
        code, log = run_to_failure(broker)
        assert code == 1 and "no.such.host.invalid" in log, log


# ---- configuration -----------------------------------------------------------------------------

KAFKA_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:{other}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://:{other}
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:{port},CONTROLLER://localhost:{other}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs={data}
num.partitions=3
num.recovery.threads.per.data.dir=2
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
"""


def test_a_server_properties_of_kafka():
    port, other = harness.free_port(), harness.free_port()
    with harness.Broker(port=port, start=False) as broker:
        file = broker.directory / "server.properties"
        file.write_text(KAFKA_PROPERTIES.format(port=port, other=other, data=broker.data))
        broker.command = lambda: [harness.MILLRACE, "serve", file]
        broker.start()
        assert said(broker, "without effect here:.*num.io.threads")
        assert brokers_told(f"127.0.0.1:{port}") == [f"localhost:{port}"]
        try:
            connect(broker, port=other).close()
            raise AssertionError("the controller's listener was opened")
        except ConnectionRefusedError:
            pass


def test_wrong_configurations_end_with_2_and_a_reason():
    for words, text in (
            (["--set", "num.partition=1"], "did you mean num.partitions?"),
            (["--set", "num.partitions=0"], "--set: num.partitions=0: not a whole number from 1"),
            (["--set", "listeners=SSL://127.0.0.1:0"], "SSL, which is not served yet"),
            (["--set", "authorizer.class.name=x"], "authorizer.class.name=x: refused"),
            (["--sett"], "no option '--sett'"),
            (["--set"], "KEY=VALUE is missing"),
            (["/no/such/file"], "/no/such/file: No such file"),
            (["--disk=tape"], "disk=tape: not one of"),
            (["a", "b"], "only one FILE"),
    ):
        done = serve("--check-config", *words)
        assert done.returncode == 2, (words, done)
        assert text in done.stderr.decode(), (words, done.stderr)
    assert serve("--check-config").returncode == 0


def test_keys_from_the_environment():
    env = {"KAFKA_NUM_PARTITIONS": "5", "KAFKA_HEAP_OPTS": "-Xmx1G", "KAFKA_LOG_DIRS": "/from/env"}
    out = serve("--print-config", "--set", "log.dirs=/from/set", env=env).stdout.decode()
    assert "num.partitions=5\n    environment, obeyed." in out
    assert "log.dirs=/from/set\n    --set, obeyed." in out
    done = serve("--check-config", env={"KAFKA_NUM_PARTITION": "5"})
    assert done.returncode == 2 and b"num.partitions" in done.stderr, done


def test_the_data_directory_belongs_to_one():
    with harness.Broker() as first:
        with harness.Broker(directory=first.directory, start=False) as second:
            second.log_path = first.directory / "second.log"
            code, log = run_to_failure(second)
            assert code == 1 and "another broker has the data directory" in log, log
        assert answers(first)


def test_a_data_directory_of_kafka_is_refused():
    with harness.Broker(start=False) as broker:
        broker.data.mkdir(parents=True)
        (broker.data / "meta.properties").write_text("version=1\n")
        code, log = run_to_failure(broker)
        assert code == 1 and "data directory of Apache Kafka" in log, log
        assert sorted(path.name for path in broker.data.iterdir()) == ["meta.properties"]


def test_the_table_of_apis_is_what_is_advertised():
    table = serve("--print-apis").stdout.decode().split("\n\n")[0].splitlines()[1:]
    printed = {}
    for line in table:
        key, _, _, advertised = line.split()
        low, high = advertised.split("-")
        printed[int(key)] = (int(low), int(high))
    with harness.Broker() as broker:
        assert harness.api_versions(broker.host, broker.port) == printed
    assert printed[18] == (0, 4)


def test_a_client_that_logs_in_hears_why_not():
    with harness.Broker() as broker:
        sasl = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "PLAIN", "sasl.username": "u",
                "sasl.password": "p"}
        words = [word for key, value in sasl.items() for word in ("-X", f"{key}={value}")]
        ended = harness.run(["kcat", "-L", "-m", "2", "-b", broker.bootstrap, *words], check=False)
        assert ended.returncode and b"not valid in current SASL state" in ended.stderr, ended
        assert re.search(r"wants to log in \(SASL PLAIN\).*security\.protocol=PLAINTEXT", broker.log_text())
        harness.run(["kcat", "-L", "-b", broker.bootstrap])


# ---- start and stop ----------------------------------------------------------------------------

def test_a_stop_is_clean_with_clients_connected():
    with harness.Broker() as broker:
        idle = connect(broker)
        half = connect(broker)
        half.sendall(struct.pack(">i", 1000) + b"x" * 10)
        began = time.monotonic()
        assert broker.stop() == 0
        assert time.monotonic() - began < harness.AT_ONCE_S
        assert closed_by_peer(idle) and closed_by_peer(half)
        assert said(broker, r"INFO  stopping \(SIGTERM\)") and said(broker, "INFO  stopped")
        broker.start()
        assert broker.stop(signal.SIGINT) == 0


def test_a_stop_answers_who_waits():
    """A consumer's fetch waits at the broker: the stop does not wait for it, and what was acknowledged is there
    afterwards."""
    with harness.Broker() as broker:
        topic = harness.unique()
        harness.run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic], input="first\n")
        consumer = harness.spawn(["kcat", "-C", "-u", "-q", "-b", broker.bootstrap, "-t", topic, "-X",
                                  "fetch.wait.max.ms=30000"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert consumer.stdout.readline() == b"first\n"
        harness.run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic], input="second\n")
        assert consumer.stdout.readline() == b"second\n"
        began = time.monotonic()
        assert broker.stop() == 0
        assert time.monotonic() - began < harness.AT_ONCE_S, "it waited for the fetch"
        harness.kill(consumer)
        broker.start()
        out = harness.run(["kcat", "-C", "-e", "-q", "-b", broker.bootstrap, "-t", topic]).stdout
        assert out == b"first\nsecond\n", out


def test_systemd_is_told():
    with harness.Broker(start=False) as broker, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = broker.directory / "notify"
        notify.bind(str(path))
        notify.settimeout(10)
        broker.env["NOTIFY_SOCKET"] = str(path)
        broker.start()
        assert notify.recv(100) == b"READY=1"
        broker.stop()
        assert notify.recv(100) == b"STOPPING=1"


# ---- limits ------------------------------------------------------------------------------------

def refused_at_once(broker):
    """The connection is accepted by the kernel and closed by the broker."""
    with connect(broker) as connection:
        return closed_by_peer(connection, 2)


def wait_alone(broker):
    """The harness' own question was the last connection, and it is gone."""
    harness.wait_until(lambda: control(broker, b"GET /v1/status HTTP/1.1\r\n\r\n")[1]["connections"] == 0,
                       what="no connections")


def test_limits_of_connections():
    with harness.Broker({"max.connections": 5}) as broker:
        wait_alone(broker)
        held = [connect(broker) for _ in range(5)]
        assert refused_at_once(broker)
        harness.wait_until(lambda: said(broker, r"refused 1 connection: max\.connections"), what="a line")
        held.pop().close()
        harness.wait_until(lambda: not refused_at_once(broker), what="room again")
    with harness.Broker({"max.connections.per.ip": 2, "max.connections.per.ip.overrides": "127.0.0.9:4"}) as broker:
        wait_alone(broker)
        held = [connect(broker) for _ in range(2)]
        assert refused_at_once(broker)
        other = [socket.create_connection((broker.host, broker.port), source_address=("127.0.0.9", 0))
                 for _ in range(4)]
        assert not any(closed_by_peer(one, 0.1) for one in other)
        held += other


def test_the_rate_of_connections_is_limited():
    with harness.Broker({"max.connection.creation.rate": 20}) as broker:
        began = time.monotonic()
        for _ in range(60):
            harness.api_versions(broker.host, broker.port, timeout_s=10)
        took = time.monotonic() - began
        assert took > 1.5, took


def test_idle_connections_are_closed():
    with harness.Broker({"connections.max.idle.ms": 300}) as broker:
        with connect(broker) as idle:
            assert closed_by_peer(idle, 3)


def sanitizer():
    """What the broker is built with: none, or what makes its memory the sanitizer's, too."""
    options = json.loads((harness.BUILD / "meson-info" / "intro-buildoptions.json").read_text())
    return next(option["value"] for option in options if option["name"] == "b_sanitize")


def memory_kib(limit_kib):
    """A limit of memory; a sanitizer's shadow, red zones and quarantine take their own."""
    return limit_kib if sanitizer() == "none" else limit_kib * 8


def skip_under_sanitizer():
    if sanitizer() != "none":
        raise harness.Skip(f"memory of a build with b_sanitize={sanitizer()} is the sanitizer's")


def test_two_thousand_idle_connections_are_cheap():
    with harness.Broker() as broker:
        before = broker.status_kib("VmRSS")
        held = []
        for _ in range(2000):
            connection = connect(broker)
            held.append(connection)
        for connection in held:
            connection.sendall(frame(API_VERSIONS, 0))
        for connection in held:
            assert len(connection.recv(10000)) > 10
        grown = broker.status_kib("VmRSS") - before
        assert answers(broker)
        assert grown < memory_kib(2000 * 2), f"{grown} KiB for 2000 connections"


# ---- bad input ---------------------------------------------------------------------------------

class RssWatch:
    """The broker's memory never went further than it may."""

    def __init__(self, broker):
        self.broker = broker
        self.idle = broker.status_kib("VmRSS")

    def check(self):
        peak = self.broker.status_kib("VmHWM") - self.idle
        assert peak <= memory_kib(RSS_GROWTH_MAX_KIB), f"{peak} KiB beyond idle"
        assert answers(self.broker)


def throw(broker, data):
    """Send what is likely refused; the answer does not matter."""
    with connect(broker) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass


def test_random_frames_of_every_length():
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"# seed {seed}")
    source = random.Random(seed)
    with harness.Broker() as broker:
        watch = RssWatch(broker)
        for length in range(4097):
            throw(broker, struct.pack(">i", length) + source.randbytes(length))
        for _ in range(2000):
            length = source.randrange(MIB)
            throw(broker, struct.pack(">i", length) + source.randbytes(length))
        watch.check()


def test_sizes_that_lie():
    with harness.Broker() as broker:
        watch = RssWatch(broker)
        for size in (-1, -2**31, 2**31 - 1, 2**31 - 2, 104857601, 0x16030100, 0):
            with connect(broker) as connection:
                connection.sendall(struct.pack(">i", size) + b"x" * 100)
                assert closed_by_peer(connection), size
        for hello, word in ((b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"),
                            (bytes([0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]) + b"x" * 100, "TLS")):
            time.sleep(1)  # lines about clients are few per second
            throw(broker, hello)
            harness.wait_until(lambda: said(broker, f"speaks {word}"), what=f"a line about {word}")
        watch.check()


def test_large_requests_that_never_end_do_not_stop_others():
    with harness.Broker() as broker:
        watch = RssWatch(broker)
        held = []
        for _ in range(50):
            connection = connect(broker)
            connection.sendall(struct.pack(">i", 30 * MIB) + b"\0\x12\0\0" + b"x" * 100000)
            held.append(connection)
        began = time.monotonic()
        assert answers(broker)
        assert time.monotonic() - began < harness.AT_ONCE_S
        watch.check()


def test_answers_that_nobody_reads_do_not_stop_others():
    with harness.Broker() as broker:
        watch = RssWatch(broker)
        held = []
        for _ in range(10):
            connection = connect(broker)
            connection.setblocking(False)
            data = frame(API_VERSIONS, 0) * 100000
            try:
                while data:
                    data = data[connection.send(data):]
            except BlockingIOError:
                pass
            held.append(connection)
        watch.check()


def fetch_of_everything(topic):
    """Fetch version 4 of partition 0, 50 MiB at most."""
    name = topic.encode()
    return frame(1, 4, struct.pack(">iiiibih", -1, 0, 1, 50 * MIB, 0, 1, len(name)) + name
                 + struct.pack(">iiqi", 1, 0, 0, 50 * MIB))


def test_memory_stays_within_its_limit_with_clients_that_do_not_read():
    skip_under_sanitizer()
    with harness.Broker({"memory.limit": "64MiB"}) as broker:
        topic = harness.unique()
        harness.run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic], input=b"x" * 999 + b"\n" * 1)
        text = (b"y" * 999 + b"\n") * 60000
        harness.run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic, "-p", "0"], input=text)
        held = []
        for _ in range(30):
            connection = connect(broker)
            connection.sendall(fetch_of_everything(topic) * 5)
            held.append(connection)
        time.sleep(2)
        peak = broker.status_kib("VmHWM")
        assert peak < 64 * 1024, f"{peak} KiB"
        print(f"# {peak} KiB at most")
        # Nothing is left for others, who get answers without records, until those who do not read are closed.
        with connect(broker) as reader:
            def fetched():
                reader.sendall(fetch_of_everything(topic))
                size, = struct.unpack(">i", harness.receive_exactly(reader, 4))
                return len(harness.receive_exactly(reader, size)) > 1000
            harness.wait_until(fetched, what="records for a client that reads")
        assert answers(broker)
        assert said(broker, "answers are not read")


def test_records_above_a_quarter_of_the_ring():
    for limit, ring in ((5000000, 16 << 20), (12000000, 64 << 20)):
        with harness.Broker({"message.max.bytes": limit}) as broker:
            topic, record = harness.unique(), b"z" * (limit - 1000)
            for _ in range(3):
                harness.run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic, "-D", "|",
                             "-X", f"message.max.bytes={limit + 1000}"], input=record)
            out = harness.run(["kcat", "-C", "-b", broker.bootstrap, "-t", topic, "-e", "-q", "-D", "|", "-X",
                               f"fetch.message.max.bytes={limit + 1000}", "-X", "receive.message.max.bytes=100000000"])
            assert out.stdout.count(b"|") == 3 and len(out.stdout) == 3 * len(record) + 3, len(out.stdout)
            sizes = {path.stat().st_size for path in broker.data.glob("wal/*.wal")}
            assert sizes == {ring}, sizes


def test_bytes_that_come_one_by_one():
    with harness.Broker() as broker, connect(broker) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(API_VERSIONS, 0, correlation_id=77):
            connection.send(bytes([byte]))
        size, correlation_id = struct.unpack(">ii", harness.receive_exactly(connection, 8))
        assert correlation_id == 77 and size > 20


# ---- local control -----------------------------------------------------------------------------

def control(broker, data):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(broker.socket))
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


def test_control_tells_the_status():
    with harness.Broker() as broker:
        assert stat.S_IMODE(os.stat(broker.socket).st_mode) == 0o600
        code, status = control(broker, b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert code == 200 and status["pid"] == broker.pid
        assert status["listeners"][0]["port"] == broker.port
        assert control(broker, b"GET /nothing HTTP/1.1\r\n\r\n")[0] == 404
        assert control(broker, b"POST /v1/status HTTP/1.1\r\nContent-Length: 0\r\n\r\n")[0] == 405
        broker.restart(crash=True)  # the stale socket is no hindrance
        assert control(broker, b"GET /v1/status HTTP/1.1\r\n\r\n")[0] == 200
        broker.stop()
        assert not broker.socket.exists()


def test_control_takes_no_nonsense():
    with harness.Broker() as broker:
        assert control(broker, b"\x16\x03\x01\r\n\r\n")[0] == 400
        for body in (b"{", b"[1,", b"\xff", b"[" * 100000):
            head = b"POST /v1/processors HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
            code, answer = control(broker, head + body)
            assert code == 400 and "JSON" in answer["error"], (code, answer)
        huge = b"POST /v1/processors HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + b" " * 300000
        assert control(broker, huge)[0] == 413
        assert answers(broker)


if __name__ == "__main__":
    if not shutil.which("kcat"):
        print("# kcat is missing: tools/install")
    harness.main(globals())
