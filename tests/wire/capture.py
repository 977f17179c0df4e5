"""capture.py - writes down what real clients say to a broker and hear from it: tests/unit/captured.txt.

Run by hand, not by the check: KAFKA_LIBS=DIR python3 tests/wire/capture.py > tests/unit/captured.txt
A proxy stands between the clients of clients.py, kcat and librdkafka, and a broker that advertises the proxy. Of
each direction, API and version two frames are kept, of different length and not too long; test_captured.c decodes
them all and encodes them again. A line: client's or broker's, API key, version, the frame in hex without its length.
"""

import asyncio
import struct
import subprocess
import sys
import threading

import clients
import harness

FRAMES_OF_EACH = 2
FRAME_SIZE_MAX = 1500


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


class Watched(harness.Broker):
    """Clients are told the proxy's address."""

    def __init__(self, proxy_port):
        self.proxy_port = proxy_port
        super().__init__({**clients.SETTINGS, "advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy_port}"})

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
    frames, proxy_port = Frames(), harness.free_port()
    with Watched(proxy_port) as broker:
        proxy = Proxy(proxy_port, broker.port, frames)
        proxy.start()
        proxy.ready.wait(10)
        clients._shared = broker
        tests = [value for name, value in vars(clients).items() if name.startswith("test_")]
        for speak in (lambda: kcat(broker), lambda: command_line(broker), *tests):
            try:
                speak()
            except (harness.Skip, harness.Failed, AssertionError) as problem:
                print(f"{getattr(speak, '__name__', '')}: {str(problem)[:300]}", file=sys.stderr)
    for (who, key, version), kept in sorted(frames.kept.items()):
        for frame in kept:
            print(who, key, version, frame.hex())


if __name__ == "__main__":
    main()
