"""capture.py - writes down what real clients say to a broker and hear from it: tests/unit/captured.txt.

Run by hand, not by the check: KAFKA_LIBS=DIR KILL_ROUNDS=1 python3 tests/wire/capture.py > tests/unit/captured.txt
kcat, our command line, and the tests of the check in which librdkafka, Java and Python clients speak (TESTS) run
against brokers that advertise a proxy. Of each direction, API and version two frames are kept, of different length
and not too long; test_captured.c decodes them all and encodes them again. A line: client's or broker's, API key,
version, the frame in hex without its length. `capture.py TEST...` runs only these.
"""

import asyncio
import contextlib
import struct
import subprocess
import sys
import threading

import admin_tools
import clients
import consumer_groups
import groups
import harness
import kafka_tools
import shares
import streams
import transactions

FRAMES_OF_EACH = 2
FRAME_SIZE_MAX = 1500
MADE_BY = "# Made by tests/wire/capture.py: kcat, librdkafka, Kafka's Java clients, tools and Streams, Python clients."
# Of a module those tests whose names begin so; its other tests speak by themselves, or as these do.
TESTS = {clients: "test_", admin_tools: "test_", kafka_tools: "test_", consumer_groups: "test_",
         transactions: ("test_java", "test_copy"), shares: "test_java",
         streams: ("test_streams", "test_static", "test_readers"),
         groups: ("test_of_two", "test_cooperative", "test_a_simple_consumer_commits")}


class Frames:
    """What was seen, by (who, key, version)."""

    def __init__(self):
        self.kept = {}

    def note(self, who, key, version, frame):
        kept = self.kept.setdefault((who, key, version), [])
        if len(kept) < FRAMES_OF_EACH and len(frame) <= FRAME_SIZE_MAX and len(frame) not in map(len, kept):
            kept.append(frame)


class Proxy(threading.Thread):
    """Passes bytes on and shows whole frames to `frames`."""

    def __init__(self, port, target, frames):
        super().__init__(daemon=True)
        self.port, self.target, self.frames = port, target, frames
        self.ready = threading.Event()

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        server = await asyncio.start_server(self.accept, "127.0.0.1", self.port)
        self.ready.set()
        async with server:
            await server.serve_forever()

    async def accept(self, reader, writer):
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        asked = {}
        await asyncio.gather(self.copy(reader, there_writer, lambda frame: self.request(asked, frame)),
                             self.copy(there_reader, writer, lambda frame: self.answer(asked, frame)))

    async def copy(self, reader, writer, show):
        try:
            while True:
                head = await reader.readexactly(4)
                frame = await reader.readexactly(struct.unpack(">i", head)[0])
                show(frame)
                writer.write(head + frame)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.close()

    def request(self, asked, frame):
        key, version, correlation = struct.unpack_from(">hhi", frame)
        asked[correlation] = (key, version)
        self.frames.note("client", key, version, frame)

    def answer(self, asked, frame):
        correlation, = struct.unpack_from(">i", frame)
        key, version = asked.pop(correlation)
        if key == 18 and frame[4:6] != b"\0\0":
            version = 0  # an unknown version is answered in this one
        self.frames.note("broker", key, version, frame)


FRAMES = Frames()


class Watched(harness.Broker):
    """Clients are told the proxy's address."""

    def __init__(self, settings=None, port=None, **more):
        self.proxy_port, port = harness.free_port(), port or harness.free_port()
        proxy = Proxy(self.proxy_port, port, FRAMES)
        proxy.start()
        proxy.ready.wait(10)
        advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.proxy_port}"}
        super().__init__({**(settings or {}), **advertised}, port=port, **more)

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.proxy_port}"

    def command(self):
        words = super().command()
        return [f"listeners=PLAINTEXT://127.0.0.1:{self.port}" if str(word).startswith("listeners=") else word
                for word in words]


def kcat(broker):
    topic = harness.unique("kcat")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        harness.run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic, "-z", codec, "-K", ":"],
                    input="k:v\nl:w\n" * 20)
    harness.run(["kcat", "-L", "-b", broker.bootstrap])
    harness.run(["kcat", "-C", "-e", "-b", broker.bootstrap, "-t", topic])
    harness.run(["kcat", "-Q", "-b", broker.bootstrap, "-t", f"{topic}:0:-1"])
    member = harness.spawn(["kcat", "-b", broker.bootstrap, "-G", "kcats", "-e", topic], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
    member.communicate(timeout=60)
    harness.run(["kcat", "-P", "-b", broker.bootstrap, "-t", topic, "-X", "enable.idempotence=true"], input="x\n")


def command_line(broker):
    topic = harness.unique("cli")
    harness.millrace("topics", "create", topic, "-p", "3", broker=broker)
    harness.millrace("produce", topic, broker=broker, input="a\nb\n")
    harness.millrace("topics", "list", broker=broker)
    harness.millrace("topics", "describe", topic, broker=broker)
    harness.millrace("groups", "list", broker=broker)
    harness.millrace("groups", "describe", "kcats", broker=broker, check=False)
    harness.millrace("topics", "delete", topic, broker=broker, check=False)


def main():
    harness.Broker = Watched
    told = [lambda: kcat(clients.broker()), lambda: command_line(clients.broker())]
    for module, begins in TESTS.items():
        told += [test for name, test in vars(module).items() if name.startswith(begins) and test not in told]
    if sys.argv[1:]:
        told = [test for test in told if test.__name__ in sys.argv[1:]]
    for test in told:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                test()
            print(f"{test.__name__}: {len(FRAMES.kept)} kinds", file=sys.stderr, flush=True)
        except (harness.Skip, harness.Failed, AssertionError) as problem:
            print(f"{test.__name__}: {str(problem)[:300]}", file=sys.stderr, flush=True)
    print(MADE_BY)
    for (who, key, version), kept in sorted(FRAMES.kept.items()):
        for frame in kept:
            print(who, key, version, frame.hex())


if __name__ == "__main__":
    main()
