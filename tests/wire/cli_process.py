#!/usr/bin/env python3
"""`millrace process` against a control socket that this test plays, and the template that it writes."""

import http.server
import json
import os
import pathlib
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading

import harness


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Control:
    """A control socket that answers every request with `answer` and notes what it was asked."""

    def __init__(self, status=200, answer=None, raw=None):
        self.directory = tempfile.mkdtemp(prefix="millrace-control-")
        self.path = os.path.join(self.directory, "control.sock")
        self.asked = []
        control = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                control.asked.append((self.command, self.path, json.loads(body) if body else None))
                data = raw if raw is not None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, *words):
                pass

            def address_string(self):
                return "unix"

        self.server = Server(self.path, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.directory)


def process(control, *words, check=True):
    path = control if isinstance(control, str) else control.path
    return harness.millrace("process", *words, env={"MILLRACE_SOCKET": path}, check=check)


PROCESSORS = {"processors": [
    {"name": "hashtags", "file": "/x/hashtags.so", "state": "running", "inputs": ["posts"], "outputs": ["trending"],
     "position": {"posts": {"0": 17}}, "records": 17, "emitted": 3, "lag": 42, "error": None},
    {"name": "broken", "file": "/x/b.so", "state": "failed", "inputs": ["a", "b"], "outputs": [],
     "position": {}, "lag": None, "error": "a batch\nfailed"}]}


def test_list_is_a_table_for_people():
    with Control(answer=PROCESSORS) as control:
        lines = process(control, "list").stdout.decode().splitlines()
        assert control.asked == [("GET", "/v1/processors", None)], control.asked
    assert [line.split() for line in lines] == [
        ["NAME", "STATE", "INPUTS", "OUTPUTS", "RECORDS", "EMITTED", "LAG", "ERROR"],
        ["hashtags", "running", "posts", "trending", "17", "3", "42", "-"],
        ["broken", "failed", "a,b", "-", "-", "-", "-", "a", "batch?failed"]], lines


def test_list_is_json_for_programs():
    with Control(answer=PROCESSORS) as control:
        assert json.loads(process(control, "list", "--json").stdout) == PROCESSORS


def test_load_sends_an_absolute_path_a_name_and_settings():
    with Control(status=201, answer={"name": "tags"}) as control, tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory) / "x.so"
        file.write_text("")
        done = harness.run(["sh", "-c", f"cd {directory} && {harness.MILLRACE} process load ./x.so -n tags "
                            "-c a=1 --config b==2 --config é=ü"], env={"MILLRACE_SOCKET": control.path})
        assert done.stdout == b"tags: loaded\n", done.stdout
        assert control.asked == [("POST", "/v1/processors", {
            "file": str(file), "name": "tags", "config": {"a": "1", "b": "=2", "é": "ü"}})], control.asked


def test_load_of_a_missing_file_asks_nobody():
    with Control() as control:
        done = process(control, "load", "/nonexistent.so", check=False)
        assert done.returncode == 1 and b"No such file" in done.stderr and not control.asked, done


def test_unload_escapes_the_name():
    with Control(answer={}) as control:
        process(control, "unload", "a b/c?d%é")
        process(control, "unload", "a b", "--forget")
        assert control.asked == [("DELETE", "/v1/processors/a%20b%2Fc%3Fd%25%C3%A9", None),
                                 ("DELETE", "/v1/processors/a%20b?forget=true", None)], control.asked


def test_a_refusal_is_told_in_the_brokers_words():
    with Control(status=409, answer={"error": "x.so: there is a processor 'x' already; unload it first"}) as control:
        done = process(control, "unload", "x", check=False)
        assert done.returncode == 1 and b"unload it first" in done.stderr and done.stdout == b"", done
    with Control(status=500, answer={}) as control:
        done = process(control, "list", check=False)
        assert done.returncode == 1 and b"HTTP status 500" in done.stderr, done


def test_nonsense_is_refused():
    with Control(raw=b"not json") as control:
        done = process(control, "list", check=False)
        assert done.returncode == 1 and b"no JSON" in done.stderr, done


def raw_server(answer, hold=False):
    """(path, stop): a socket that sends `answer` to whoever connects, then closes or holds still."""
    directory = tempfile.mkdtemp(prefix="millrace-control-")
    path = os.path.join(directory, "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    kept = []

    def serve():
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(answer)
        if hold:
            kept.append(connection)
        else:
            connection.close()
    threading.Thread(target=serve, daemon=True).start()
    return path, lambda: (listener.close(), kept.clear(), shutil.rmtree(directory))


def test_a_broken_peer_is_an_error_within_the_time():
    cases = [(b"", False, 1, b"closed before"), (b"SSH-2.0-x\r\n", False, 1, b"no HTTP"),
             (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", False, 1, b"closed before"),
             (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", True, 3, b"time is up"),
             (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\n", False, 1, b"no HTTP")]
    for answer, hold, code, text in cases:
        path, stop = raw_server(answer, hold)
        done = harness.millrace("process", "list", "--socket", path, "--timeout", "1", check=False, timeout_s=10)
        assert done.returncode == code and text in done.stderr, f"{answer}: {done.returncode} {done.stderr}"
        stop()


def test_a_path_too_long_for_a_socket_is_told():
    done = process("/tmp/" + "x" * 200, "list", check=False)
    assert done.returncode == 1 and b"longer than a Unix socket" in done.stderr, done


# ---- process new ---------------------------------------------------------------------------------

def new(directory, name="word_count-2", *words, check=True):
    return harness.run([harness.MILLRACE, "process", "new", name, "--dir", directory / "made", *words], check=check)


def compilers():
    return [words for words in (["gcc"], ["clang-14"]) if shutil.which(words[0])]


def test_the_template_builds_anywhere_and_exports_one_function():
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        new(root)
        moved = root / "elsewhere"
        shutil.move(root / "made", moved)
        for compiler in compilers():
            done = harness.run(["make", "-B", "-C", moved, f"CC={compiler[0]}", "CFLAGS=-Werror -Wpedantic"])
            exported = harness.run(["nm", "-D", "--defined-only", moved / "word_count-2.so"]).stdout.split()
            functions = [name for name in exported[2::3] if not name.startswith(b"_")]
            assert functions == [b"mr_module_v0"], f"{done.stdout}: {exported}"
        assert compilers()


def test_the_template_has_its_name_everywhere():
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        new(root)
        files = sorted(path.relative_to(root / "made").as_posix() for path in (root / "made").rglob("*.*"))
        assert files == ["README.md", "include/millrace/processor.h", "word_count-2.c"], files
        for path in (root / "made").rglob("*"):
            assert path.is_dir() or "@NAME@" not in path.read_text(), path
        header = (root / "made/include/millrace/processor.h").read_bytes()
        assert header == (harness.ROOT / "processors/include/millrace/processor.h").read_bytes()
        assert '"word_count-2-input"' in (root / "made/word_count-2.c").read_text()


def test_nothing_is_overwritten():
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        (root / "made").mkdir()
        (root / "made/Makefile").write_text("mine")
        done = new(root, check=False)
        assert done.returncode == 1 and b"made/Makefile: File exists" in done.stderr, done
        assert [path.name for path in (root / "made").iterdir()] == ["Makefile"]
        assert (root / "made/Makefile").read_text() == "mine"


def test_a_directory_that_cannot_be_made_is_told():
    if os.geteuid() == 0:
        directory = pathlib.Path("/proc")
    else:
        directory = pathlib.Path("/")
    done = new(directory, check=False)
    assert done.returncode == 1 and b"cannot write" in done.stderr, done


def test_the_template_loads_as_cxx_too():
    if not shutil.which("g++"):
        raise harness.Skip("no C++ compiler")
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        new(root)
        subprocess.run(["g++", "-std=c++17", "-Wall", "-Werror", "-fsyntax-only", "-I", root / "made/include",
                        "-x", "c++", root / "made/word_count-2.c"], check=True)


harness.main(globals())
