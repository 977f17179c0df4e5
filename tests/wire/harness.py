"""harness.py - a real broker process for tests: start it, ask it, kill it, and never leave it behind.

    import harness
    def test_answers():
        with harness.Broker() as broker:
            out = harness.millrace("topics", "list", broker=broker)
    harness.main(globals())

A Broker owns a directory under the system's temporary one (its data, its log) and a port outside the
kernel's ephemeral range, so that no outgoing connection takes it (or meets itself on it) while the
broker is down. start() returns once the broker has answered an ApiVersions request. Every process
started here dies with the test: leaving the `with` block ends it, and the kernel kills it should the
test itself be killed.

main() runs every function named test_*, prints TAP (meson counts the cases) and exits 1 when one failed.
With arguments only the named tests run; --list names them.

Environment: MILLRACE_BUILD is the build directory (meson sets it; else build/ of the checkout).
WIRE_BOOTSTRAP=HOST:PORT makes the tests that use shared_broker() run against a cluster that is already
there, for example Apache Kafka: what passes here and not there is a difference to explain.
"""

import atexit
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MILLRACE_BUILD", ROOT / "build")).resolve()
MILLRACE = BUILD / "millrace"

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 15
LOG_TAIL_SIZE = 8000


class Skip(Exception):
    """Raise it in a test that cannot run here; the reason is printed and counted as a skip."""


class Failed(AssertionError):
    """A wait of the harness itself ran out, or a process ended as it should not."""


# ---- processes ---------------------------------------------------------------------------------

_processes = []
_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, **options):
    """A Popen in its own process group that dies with this process."""
    process = subprocess.Popen([str(word) for word in command], preexec_fn=_die_with_parent,
                               start_new_session=True, **options)
    _processes.append(process)
    return process


def kill(process):
    """SIGKILL to the whole group of `process` and wait for it; fine when it has already ended."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    if process in _processes:
        _processes.remove(process)


@atexit.register
def _kill_all():
    for process in list(_processes):
        kill(process)


def run(command, input=None, timeout_s=60, check=True, env=None):
    """Run to the end; a CompletedProcess with bytes in stdout and stderr. check: exit code 0 or Failed."""
    process = spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    env={**os.environ, **(env or {})})
    if isinstance(input, str):
        input = input.encode()
    try:
        out, err = process.communicate(input or b"", timeout=timeout_s)
    except subprocess.TimeoutExpired:
        kill(process)
        out, err = process.communicate()
        raise Failed(f"{command} ran longer than {timeout_s} s; stderr:\n{err[-2000:].decode(errors='replace')}")
    _processes.remove(process)
    if check and process.returncode != 0:
        raise Failed(f"{[str(w) for w in command]} ended with {process.returncode}; stderr:\n"
                     f"{err[-2000:].decode(errors='replace')}")
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def millrace(*words, broker=None, input=None, timeout_s=60, check=True, env=None):
    """`millrace WORDS...`; with a broker, client commands get its address and `process` its socket."""
    more = {}
    words = list(words)
    if broker and words[0] == "process":
        more["MILLRACE_SOCKET"] = str(broker.socket)
    elif broker:
        words += ["-b", broker.bootstrap]
    return run([MILLRACE, *words], input=input, timeout_s=timeout_s, check=check, env={**more, **(env or {})})


def is_sanitized():
    """Was the broker built with a sanitizer? Then its times and memory say nothing."""
    return MILLRACE.exists() and b"__asan_" in MILLRACE.read_bytes()


def is_busy():
    """Do others want the processors so much that a clock on the wall says nothing of the broker?"""
    return os.getloadavg()[0] > 1.5 * os.cpu_count()


# ---- ports and waiting -------------------------------------------------------------------------

AT_ONCE_S = 15  # what does not wait for anything is over by then, even on a machine that is full of work

def free_port():
    """A port on 127.0.0.1 that nobody listens on, below the kernel's ephemeral range."""
    try:
        low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        low = 32768
    choice = random.SystemRandom()
    for _ in range(200):
        port = choice.randrange(10000, low) if low > 11000 else choice.randrange(61000, 65536)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failed("no free port found in 200 tries")


def wait_until(condition, timeout_s=10, what="the condition", every_s=0.02):
    """Poll until condition() is true and return its value; Failed when time is up."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {timeout_s} s")
        time.sleep(every_s)


# ---- just enough of the protocol to ask "are you there?" ---------------------------------------

def receive_exactly(connection, size):
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError(f"closed after {len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def request(connection, api_key, api_version, body, correlation_id=1, client_id=b"harness"):
    """Send one request with header v1 (not the flexible one); the answer's bytes after the correlation id."""
    header = struct.pack(">hhih", api_key, api_version, correlation_id, len(client_id)) + client_id
    frame = header + body
    connection.sendall(struct.pack(">i", len(frame)) + frame)
    size, = struct.unpack(">i", receive_exactly(connection, 4))
    answer = receive_exactly(connection, size)
    if struct.unpack(">i", answer[:4])[0] != correlation_id:
        raise Failed("an answer with somebody else's correlation id")
    return answer[4:]


def api_versions(host, port, timeout_s=2):
    """{api key: (lowest, highest)} as the broker advertises them."""
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        answer = request(connection, 18, 0, b"")
    error, count = struct.unpack(">hi", answer[:6])
    if error:
        raise Failed(f"ApiVersions answered error {error}")
    rows = struct.iter_unpack(">hhh", answer[6:6 + 6 * count])
    return {key: (low, high) for key, low, high in rows}


# ---- the broker --------------------------------------------------------------------------------

class Broker:
    """One `millrace serve` with its own data directory.

    settings   extra --set keys, e.g. {"num.partitions": 4}; `arguments`: more words for serve
    wrapper    words before the command, e.g. ["strace", "-f"]
    """

    def __init__(self, settings=None, arguments=(), wrapper=(), env=None, port=None, start=True, directory=None):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="millrace-wire-"))
        self._owns_directory = directory is None
        self.data = self.directory / "data"
        self.log_path = self.directory / "broker.log"
        self.host = "127.0.0.1"
        self.port = port or free_port()
        self.settings = dict(settings or {})
        self.arguments = list(arguments)
        self.wrapper = list(wrapper)
        self.env = dict(env or {})
        self.process = None
        self.ready_ms = None
        atexit.register(self.remove)
        if start:
            self.start()

    @property
    def bootstrap(self):
        return f"{self.host}:{self.port}"

    @property
    def socket(self):
        """The control socket of the broker."""
        return self.data / "control.sock"

    @property
    def pid(self):
        return self.process.pid

    def command(self):
        keys = {"listeners": f"PLAINTEXT://{self.bootstrap}", "log.dirs": self.data, **self.settings}
        words = [*self.wrapper, MILLRACE, "serve"]
        for key, value in keys.items():
            words += ["--set", f"{key}={value}"]
        return words + self.arguments

    def start(self, wait=True):
        """Start (again) on the same port and data directory. ready_ms: time to the first answered request."""
        if self.alive():
            raise Failed("the broker runs already")
        self.data.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        env = {**os.environ, **self.env}
        env.pop("KAFKA_LIBS", None)  # a broker warns of KAFKA_... that is no key of it
        with open(self.log_path, "ab") as log:
            self.process = spawn(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        if wait:
            self.wait_ready()
            self.ready_ms = (time.monotonic() - began) * 1000
        return self

    def wait_ready(self, timeout_s=START_TIMEOUT_S):
        def answers():
            if not self.alive():
                raise Failed(f"the broker ended with {self.process.returncode} while starting:\n{self.log_tail()}")
            try:
                return api_versions(self.host, self.port)
            except (OSError, ConnectionError):
                return None
        try:
            return wait_until(answers, timeout_s, "the broker's first answer", every_s=0.002)
        except Failed as problem:
            self.kill9()
            raise Failed(f"{problem}\n{self.log_tail()}") from None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        """As a power cut of the process: SIGKILL, then wait."""
        if self.process is not None:
            kill(self.process)

    def stop(self, number=signal.SIGTERM, timeout_s=STOP_TIMEOUT_S):
        """A graceful stop; the exit code. Failed when it takes too long."""
        self.process.send_signal(number)
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise Failed(f"the broker did not stop within {timeout_s} s of {number!r}:\n{self.log_tail()}") from None
        kill(self.process)
        return code

    def restart(self, crash=False):
        """kill -9 or a graceful stop, then start; self."""
        if crash:
            self.kill9()
        else:
            self.stop()
        return self.start()

    def log_text(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def log_tail(self):
        return self.log_text()[-LOG_TAIL_SIZE:]

    def status_kib(self, name):
        """A number from /proc/PID/status: "VmRSS", "VmHWM", ..."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise Failed(f"no {name} in /proc/{self.pid}/status")

    def cpu_seconds(self):
        """User plus system time of the broker so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def remove(self):
        """End the process and delete the directory."""
        self.kill9()
        if self._owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, problem, _):
        if problem is not None and not isinstance(problem, Skip):
            print("# ---- the broker's log, its end\n" + self.log_tail(), file=sys.stderr)
        self.remove()


class Cluster:
    """A cluster that somebody else runs (WIRE_BOOTSTRAP)."""

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.host, _, port = bootstrap.rpartition(":")
        self.port = int(port)


_shared = None


def shared_broker():
    """One broker for all tests of a file (use topic names of your own), or the cluster of WIRE_BOOTSTRAP."""
    global _shared
    if _shared is None:
        outside = os.environ.get("WIRE_BOOTSTRAP")
        _shared = Cluster(outside) if outside else Broker()
    elif isinstance(_shared, Broker) and not _shared.alive():
        raise Failed(f"the shared broker has died:\n{_shared.log_tail()}")
    return _shared


_names = 0


def unique(prefix="t"):
    """A topic or group name that no other test uses."""
    global _names
    _names += 1
    return f"{prefix}-{os.getpid()}-{_names}-{random.SystemRandom().randrange(1 << 24):06x}"


def json_lines(data):
    return [json.loads(line) for line in data.splitlines() if line.strip()]


# ---- the runner --------------------------------------------------------------------------------

def _run_case(case):
    try:
        case()
    except Skip as reason:
        return f"ok {{}} - {case.__name__} # SKIP {reason}", True
    except BaseException as problem:
        for line in traceback.format_exc().splitlines():
            print("#", line, file=sys.stderr)
        if isinstance(problem, KeyboardInterrupt):
            raise
        return f"not ok {{}} - {case.__name__}", False
    return f"ok {{}} - {case.__name__}", True


def main(names):
    cases = [value for name, value in names.items() if name.startswith("test_") and callable(value)]
    if sys.argv[1:] == ["--list"]:
        print("\n".join(case.__name__ for case in cases))
        return
    if sys.argv[1:]:
        unknown = set(sys.argv[1:]) - {case.__name__ for case in cases}
        if unknown:
            sys.exit(f"no such test: {', '.join(sorted(unknown))}")
        cases = [case for case in cases if case.__name__ in sys.argv[1:]]
    if not MILLRACE.exists():
        sys.exit(f"{MILLRACE} is not there: build it, or say with MILLRACE_BUILD where it is")
    print(f"1..{len(cases)}", flush=True)
    all_good = True
    for number, case in enumerate(cases, 1):
        line, good = _run_case(case)
        all_good = all_good and good
        print(line.format(number), flush=True)
    if isinstance(_shared, Broker):
        _shared.remove()
    sys.exit(0 if all_good and cases else 1)
