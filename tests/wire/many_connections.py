"""many_connections.py - more connections than there may be, slow readers and slow writers among them, in little memory.

The broker runs in a cgroup of 128 MiB (where cgroups may be made; else its own peak is compared). CONNECTIONS are
held: idle ones, consumers that wait, clients that ask for megabytes and read a few bytes a second, clients that
announce a large request and send a few bytes a second. Half as many again come and are refused; whom the broker
closes comes back. Meanwhile one client in a process of its own produces and fetches as if it were alone.

800 connections here; the full run: CONNECTIONS=8000 SECONDS=30 python3 tests/wire/many_connections.py
"""

import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import time

import harness
import probe

CONNECTIONS = int(os.environ.get("CONNECTIONS", "800"))
SECONDS = float(os.environ.get("SECONDS", "6"))
REFUSED = CONNECTIONS * 3 // 2
CGROUP_BYTES = 128 << 20
P99_FACTOR = 5
# Below it a factor says nothing: the short run shares disk and cores with other tests.
P99_FLOOR_MS = 20 if CONNECTIONS >= 8000 else 100
OPS_PER_SECOND = 50
LARGE = 512 * 1024

TOPIC, QUIET = "loud", "quiet"


# ---- the client that behaves -------------------------------------------------------------------

def behave(port):
    """One line for each second-part of an operation: when it began, and how long it took, until stdin ends."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    batch = probe.batch([b"v" * 1000])
    number = 0
    while True:
        began = time.monotonic()
        error, offset = probe.produce(connection, "calm", 0, batch)
        assert error == 0, error
        error, _, data = probe.fetch(connection, "calm", 0, offset)
        assert error == 0 and data, (error, len(data))
        took = time.monotonic() - began
        print(f"{began} {took}", flush=True)
        number += 1
        time.sleep(max(0.0, 1 / OPS_PER_SECOND - took))


def p99_ms(lines, since, until):
    took = sorted(float(line.split()[1]) for line in lines if since <= float(line.split()[0]) < until)
    assert len(took) > 20, f"only {len(took)} operations"
    return took[min(len(took) - 1, len(took) * 99 // 100)] * 1000, len(took)


# ---- the cgroup --------------------------------------------------------------------------------

class Cgroup:
    """A limit of memory for processes that enter it; `path` is None where none can be made."""

    def __init__(self, size):
        self.path = None
        for root, limit, peak in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
                                  ("/sys/fs/cgroup", "memory.max", "memory.peak")):
            path = pathlib.Path(root) / f"millrace-{os.getpid()}"
            try:
                path.mkdir()
                (path / limit).write_text(str(size))
            except OSError:
                if path.is_dir():
                    path.rmdir()
                continue
            self.path, self.peak_file = path, path / peak
            return

    def wrapper(self):
        if self.path is None:
            return []
        return ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh"]

    def peak(self):
        return int(self.peak_file.read_text())

    def remove(self):
        if self.path is not None:
            harness.wait_until(lambda: not (self.path / "cgroup.procs").read_text(), what="an empty cgroup")
            self.path.rmdir()


# ---- the crowd ---------------------------------------------------------------------------------

class Crowd:
    """Connections of several kinds, and those that come in vain."""

    def __init__(self, broker):
        self.broker = broker
        self.held = {}  # socket: kind
        self.refused = self.admitted = self.tried = self.came_back = 0
        self.fetch = probe.fetch_frame({TOPIC: {0: 0}}, partition_max_bytes=8 << 20) * 4
        self.wait = probe.fetch_frame({QUIET: {0: 0}}, wait_ms=20000)
        self.large = struct.pack(">i", LARGE) + struct.pack(">hhih", 0, 3, 1, -1)
        self.small = probe.apis.request("ApiVersions", 0, {})

    def connect(self, kind):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        # Ports of one address do not suffice for all that come and go.
        connection.bind((f"127.0.0.{2 + self.tried % 50}", 0))
        self.tried += 1
        try:
            connection.connect((self.broker.host, self.broker.port))
            connection.setblocking(False)
            connection.send({"idle": self.small, "waits": self.wait, "reads slowly": self.fetch,
                             "writes slowly": self.large, "dribbles": self.small[:3]}[kind])
        except OSError:
            connection.close()
            return None
        self.held[connection] = kind
        return connection

    KINDS = ("idle", "idle", "idle", "waits", "waits", "waits", "reads slowly", "writes slowly", "dribbles", "idle")

    def fill(self, count):
        for number in range(count):
            self.connect(self.KINDS[number % len(self.KINDS)])
            if number % 100 == 99:
                time.sleep(0.01)

    def step(self, connection, kind):
        """A few bytes; False when the broker has closed."""
        try:
            if kind == "reads slowly":
                return bool(connection.recv(64))
            if kind == "writes slowly":
                connection.send(b"x" * 16)
                return bool(connection.recv(64))
            if kind == "waits":
                if connection.recv(4096) == b"":
                    return False
                connection.send(self.wait)
                return True
            return bool(connection.recv(4096))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def move(self):
        """One round over all; who was closed comes back."""
        for connection, kind in list(self.held.items()):
            if kind == "idle" or self.step(connection, kind):
                continue
            connection.close()
            del self.held[connection]
            self.came_back += 1
            self.connect(kind)

    def come_in_vain(self, count):
        for _ in range(count):
            connection = self.connect("idle")
            if connection is None:
                self.refused += 1
                continue
            del self.held[connection]
            connection.settimeout(10)
            try:
                told = connection.recv(100)
            except OSError:
                told = b""
            if told == b"":
                self.refused += 1
                connection.close()
            else:  # the place of somebody whom the broker has closed, who may not know it yet
                self.admitted += 1
                connection.setblocking(False)
                self.held[connection] = "idle"

    def leave(self):
        for connection in self.held:
            connection.close()


def storm(broker, crowd, seconds):
    end = time.monotonic() + seconds
    rounds = max(1, int(seconds * 2))
    left = REFUSED
    while time.monotonic() < end:
        began = time.monotonic()
        crowd.move()
        part = min(left, REFUSED // rounds + 1)
        crowd.come_in_vain(part)
        left -= part
        time.sleep(max(0.0, 0.5 - (time.monotonic() - began)))
    crowd.come_in_vain(left)


def test_a_crowd_in_little_memory():
    if harness.is_sanitized():
        raise harness.Skip("memory and times of a sanitized build are the sanitizer's")
    cgroup = Cgroup(CGROUP_BYTES)
    settings = {"max.connections": CONNECTIONS + 1}
    if cgroup.path is None:
        settings["memory.limit"] = CGROUP_BYTES // 2
    else:  # the broker sees its limit by itself
        words = [*cgroup.wrapper(), harness.MILLRACE, "serve", "--print-config"]
        assert f"memory.limit={CGROUP_BYTES // 2}\n" in harness.run(words).stdout.decode()
    with harness.Broker(settings, wrapper=cgroup.wrapper()) as broker:
        with socket.create_connection((broker.host, broker.port)) as connection:
            for topic in (TOPIC, QUIET, "calm"):
                harness.run([harness.MILLRACE, "topics", "create", topic, "-b", broker.bootstrap])
            batch = probe.batch([b"x" * 1000] * 900)
            for _ in range(20):
                assert probe.produce(connection, TOPIC, 0, batch)[0] == 0
        lines_path = broker.directory / "lines"
        with open(lines_path, "wb") as lines:
            client = harness.spawn([sys.executable, __file__, "--behave", str(broker.port)], stdout=lines)
        time.sleep(1)
        calm = time.monotonic()
        time.sleep(max(3, SECONDS / 4))
        calm_end = time.monotonic()
        crowd = Crowd(broker)
        crowd.fill(CONNECTIONS)
        began = time.monotonic()
        storm(broker, crowd, SECONDS)
        ended = time.monotonic()
        text = lines_path.read_text().splitlines()[:-1]
        peak = broker.status_kib("VmHWM")
        before, count_before = p99_ms(text, calm, calm_end)
        after, count = p99_ms(text, began, ended)
        print(f"# {len(crowd.held)} held of {CONNECTIONS}, {crowd.refused} of {REFUSED} refused, {crowd.admitted} took "
              f"the place of closed ones, {crowd.came_back} closed ones came back")
        print(f"# the broker's own peak {peak / 2**10:.1f} MiB, "
              + (f"its cgroup's {cgroup.peak() / 2**20:.1f} of {CGROUP_BYTES >> 20} MiB" if cgroup.path else
                 "no cgroup could be made"))
        print(f"# p99 of produce and fetch: calm {before:.1f} ms of {count_before}, "
              f"in the crowd {after:.1f} ms of {count}")
        assert client.poll() is None, "the client that behaves has failed"
        assert broker.alive()
        assert peak * 1024 < CGROUP_BYTES, f"{peak} KiB"
        assert len(crowd.held) >= CONNECTIONS * 0.95, len(crowd.held)
        assert crowd.refused + crowd.admitted == REFUSED and crowd.refused > REFUSED / 2, crowd.refused
        assert after <= max(P99_FACTOR * before, P99_FLOOR_MS), (before, after)
        assert re.search(r"refused \d+ connections?: max\.connections", broker.log_text())
        harness.kill(client)
        crowd.leave()
        harness.wait_until(lambda: harness.api_versions(broker.host, broker.port), what="room again")
    cgroup.remove()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--behave"]:
        behave(int(sys.argv[2]))
    harness.main(globals())
