"""other_clients.py - clients in Go, JavaScript and Python that know nothing of librdkafka or Java.

    tests/wire/other_clients.py [--list | TEST...]

franz-go, sarama, kafka-go, kafkajs, @platformatic/kafka and aiokafka, in the versions that other_clients/go.mod,
package.json and requirements.txt name. They are fetched and built once, into the build directory; where go, node
or a package registry is missing, the tests of its clients are skipped. Each client is one program with the same
cases, and what it says is judged here:

    write BOOTSTRAP TOPIC               101 records with each of its codecs, plain and idempotent; what it has sent
    read BOOTSTRAP TOPIC COUNT FROM     a line for each record from start | committed | latest | MILLISECONDS
    member BOOTSTRAP TOPIC GROUP NAME KIND   "owns 0,1" at each change, "record PARTITION OFFSET VALUE"
                                        until SIGTERM; commits what it has read
    producer BOOTSTRAP TOPIC MODE       numbers until its standard input ends: "acked NUMBER PARTITION OFFSET"
    transactions BOOTSTRAP FROM TO GROUP     commits, gives up, copies 50 records, is fenced by another instance
    admin BOOTSTRAP TOPIC GROUP         what it sees when it administrates, as one line of JSON

WIRE_BOOTSTRAP=HOST:PORT asks another cluster (Apache Kafka, with group.initial.rebalance.delay.ms=0) the same;
the tests that kill the broker are skipped then. CLIENT_DEBUG=1 makes the clients talkative on standard error.
franz-go brings tests of its own for a cluster: they run too (FRANZ_RECORDS of them through its groups).
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import groups
import harness
import records

SOURCE = harness.ROOT / "tests" / "wire" / "other_clients"
PLACE = harness.BUILD / "other-clients"
SETTINGS = {"group.initial.rebalance.delay.ms": 0}
FIRST_TIME = 1700000000000
PER_CODEC = 101
PARTITIONS = 6
# those of franz-go's tests that ask the cluster
FRANZ_TESTS = ("ETL|Etl|TestIssue|TestConsume|Test848|TestGroup|TestPause|TestPing|TestClient_|TestAddRemove|"
               "TestDirect|TestShareGroup|TestUnknownGroup")
FRANZ_RECORDS = os.environ.get("FRANZ_RECORDS", "10000")
_outside = os.environ.get("WIRE_BOOTSTRAP")
_shared = None


def broker():
    """One for the tests that do not kill it."""
    global _shared
    if _outside:
        return harness.shared_broker()
    if _shared is None:
        _shared = harness.Broker(SETTINGS)
    return _shared


# ---- fetching and building -----------------------------------------------------------------------

def step(words, what, timeout_s=600, **options):
    """Fetch or build; a skip with the reason when that does not work here."""
    done = subprocess.run(["nice", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=timeout_s, **options)
    if done.returncode:
        reason = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:]
        raise harness.Skip(f"{what}: {''.join(reason)[:200]}")


def once(name, sources, make):
    """PLACE/name, made again when one of the files it comes from has changed."""
    place, digest = PLACE / name, hashlib.sha256()
    for path in sources:
        digest.update(path.read_bytes())
    mark = PLACE / f"{name}.made-of"
    if not mark.exists() or mark.read_text() != digest.hexdigest():
        PLACE.mkdir(parents=True, exist_ok=True)
        make(place)
        mark.write_text(digest.hexdigest())
    return place


def go(name):
    if not shutil.which("go"):
        raise harness.Skip("no go on this machine")
    sources = sorted([*SOURCE.glob("go.*"), *SOURCE.glob("shared/*.go"), *SOURCE.glob(f"{name}/*.go")])
    return [once(name, sources, lambda place: step(
        ["go", "build", "-mod=readonly", "-o", place, f"./{name}"], f"{name} cannot be built", cwd=SOURCE))]


def node(name):
    if not shutil.which("node") or not shutil.which("npm"):
        raise harness.Skip("no node or no npm on this machine")

    def install(place):
        place.mkdir(exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / file, place)
        step(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], "npm cannot fetch", cwd=place)
    place = once("node", sorted(SOURCE.glob("package*.json")), install)
    for file in ("common.js", f"{name}.js"):  # modules are looked for beside the program
        shutil.copy(SOURCE / file, place)
    return ["node", place / f"{name}.js"]


def python(name):
    def install(place):
        step([sys.executable, "-m", "venv", "--clear", place], "python3 -m venv does not work: tools/install")
        step([place / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "1",
              "--only-binary", ":all:", "-r", SOURCE / "requirements.txt"], "pip cannot fetch")
    return [once("venv", [SOURCE / "requirements.txt"], install) / "bin" / "python", SOURCE / f"with_{name}.py"]


# client: how it comes to be a program, the kinds of members it can be
CLIENTS = {
    "franz": (go, ["range", "cooperative", "static", "consumer"]),
    "sarama": (go, ["range", "sticky", "cooperative", "static"]),
    "kafkajs": (node, ["range"]),
    "platformatic": (node, ["range", "consumer"]),
    "segmentio": (go, ["range"]),
    "aiokafka": (python, ["range", "static"]),
}


def program(client):
    return CLIENTS[client][0](client)


def case(client, name, *words, timeout_s=120, target=None):
    """Run a case to its end; the lines it said."""
    done = harness.run(["nice", *program(client), name, (target or broker()).bootstrap, *words], timeout_s=timeout_s)
    complaints = done.stderr.decode(errors="replace").strip()
    if complaints:
        print(f"# {client} {name} complains:", *complaints.splitlines()[:40], sep="\n#   ", file=sys.stderr)
    return done.stdout.decode().splitlines()


def make_topic(partitions=1, target=None):
    topic = harness.unique("other")
    harness.millrace("topics", "create", topic, "-p", partitions, "--config", "retention.ms=-1",
                     broker=target or broker())
    return topic


# ---- records -------------------------------------------------------------------------------------

def large():
    data, state = bytearray(900 * 1024), 1
    for at in range(len(data)):
        state = (state * 1103515245 + 12345) & 0x7fffffff
        data[at] = state >> 16 & 0xff
    return bytes(data)


LARGE = large()


def wanted(told):
    """What a reader of a topic shall say, told by its writer which codecs and modes it has."""
    lines = []
    for codec in told["codecs"]:
        for mode in told["modes"]:
            for number in range(PER_CODEC):
                name = f"{codec}-{mode}-{number}"
                key, value = name, name.encode() + b"x" * 7 * number
                if number == PER_CODEC - 1:
                    value = LARGE
                elif number % 10 == 3:
                    key = None
                elif number % 10 == 7:
                    value = None
                line = {"offset": len(lines), "key": key, "size": -1 if value is None else len(value),
                        "headers": [["codec", codec], ["empty", ""]], "time": FIRST_TIME + len(lines)}
                if value is not None:
                    line["digest"] = hashlib.sha256(value).hexdigest()
                lines.append(line)
    return lines


def check_same(got, expected, what):
    assert len(got) == len(expected), f"{what}: {len(got)} records for {len(expected)}"
    for mine, theirs in zip(got, expected):
        assert mine == theirs, f"{what}: {mine} instead of {theirs}"


def check_records(client):
    """Each codec and mode is written, lies on disk in its codec, and is read back as it was, from anywhere."""
    topic = make_topic()
    told = json.loads(case(client, "write", topic)[-1])
    expected = wanted(told)
    assert told["sent"] == len(expected), told
    if not _outside:
        stored = {codec for codec, _, _ in records.written_batches(broker(), topic, len(expected))}
        assert stored == {records.CODECS.index(codec) for codec in told["codecs"]}, stored
    check_same(harness.json_lines("\n".join(case(client, "read", topic, len(expected), "start"))), expected, "all")
    later = FIRST_TIME + len(expected) // 2
    half = [line for line in expected if line["time"] >= later]
    check_same(harness.json_lines("\n".join(case(client, "read", topic, len(half), later))), half, "from a time")
    reader = harness.spawn(["nice", *program(client), "read", broker().bootstrap, topic, "1", "latest"],
                           stdout=subprocess.PIPE)
    while reader.poll() is None:
        groups.produce(broker(), topic, ["later"])
        time.sleep(0.2)
    first = json.loads(reader.communicate()[0].decode().splitlines()[-1])
    assert reader.returncode == 0 and first["key"] == "later" and first["offset"] >= len(expected), first


def test_everyone_reads_what_everyone_writes():
    """Those clients that can be had here."""
    topics = {}
    for client in CLIENTS:
        try:
            topic = make_topic()
            topics[client] = topic, wanted(json.loads(case(client, "write", topic)[-1]))
        except harness.Skip as reason:
            print(f"# without {client}: {reason}", file=sys.stderr)
    if len(topics) < 2:
        raise harness.Skip("fewer than two of the clients can be had here")
    for reader in topics:
        for writer, (topic, expected) in topics.items():
            if reader != writer and readable(reader, expected):
                lines = case(reader, "read", topic, len(expected), "start")
                check_same(harness.json_lines("\n".join(lines)), expected, f"{reader} of {writer}")


def readable(reader, expected):
    """node 20 has no zstd of its own."""
    return reader not in ("kafkajs", "platformatic") or not any("zstd" in str(line["key"]) for line in expected)


# ---- groups --------------------------------------------------------------------------------------

class Member(groups.Client):
    def __init__(self, client, target, group, topic, name, kind):
        super().__init__(target, ["nice", *program(client), "member", target.bootstrap, topic, group, name, kind])
        self.name = name

    def records(self):
        return [groups.Record(int(words[1]), int(words[2]), words[3]) for words in map(str.split, self.lines())
                if words[:1] == ["record"]]

    def changes(self):
        """The sets of partitions that it has had, one after the other."""
        told = [line[5:].split(",") for line in self.lines() if line.startswith("owns ")]
        return [{int(word) for word in words if word} for words in told]

    def end(self, timeout_s=40):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout_s)
        assert code == 0, f"{self.name} ended with {code}: {self.errors()[-2000:]}"


def wait_shared(members, sizes, timeout_s=60):
    """Until the members own so many partitions, and together each of them once."""
    def shared():
        alive(members)
        held = [member.changes()[-1:] for member in members]
        if not all(held) or sorted(len(partitions) for partitions, in held) != sorted(sizes):
            return False
        return set.union(*(partitions for partitions, in held)) == set(range(PARTITIONS))
    try:
        harness.wait_until(shared, timeout_s, f"members with {sizes} partitions", every_s=0.05)
    except harness.Failed as problem:
        tell(members)
        raise problem


def alive(members):
    for member in members:
        assert member.process.poll() is None, f"{member.name} has ended: {member.errors()[-2000:]}"
    return True


def tell(members):
    for member in members:
        print(f"# {member.name}: {member.lines()[-5:]}\n# {member.errors()[-3000:]}", file=sys.stderr)


def wait_read(members, values, what):
    def all_read():
        return {record.value for member in members for record in member.records()} >= set(values)
    try:
        harness.wait_until(all_read, 60, what, every_s=0.1)
    except harness.Failed as problem:
        tell(members)
        raise problem


def numbers(low, high):
    return [str(number) for number in range(low, high)]


def check_group(client, kind):
    """A second member comes and goes, the broker dies, the group stops and goes on: every record is read."""
    with harness.Broker(SETTINGS) as target:
        topic, group = make_topic(PARTITIONS, target), harness.unique("group")
        members = [Member(client, target, group, topic, "a", kind)]
        began = time.monotonic()
        wait_shared(members, [PARTITIONS])
        joined = time.monotonic()
        groups.produce(target, topic, numbers(0, 300))
        wait_read(members, numbers(0, 300), "300 records")
        print(f"# {client} {kind}: a member after {joined - began:.1f} s, its records {time.monotonic() - joined:.1f} s"
              " later", file=sys.stderr)
        members.append(Member(client, target, group, topic, "b", kind))
        wait_shared(members, [3, 3])
        groups.produce(target, topic, numbers(300, 600))
        wait_read(members, numbers(0, 600), "300 records for two")
        if kind == "static":
            before = len(members[0].changes())
            members[1].end()
            members.append(Member(client, target, group, topic, "b", kind))
            groups.produce(target, topic, numbers(600, 650))
            wait_read(members, numbers(0, 650), "records for who has come back")
            assert len(members[0].changes()) == before, f"a rebalance: {members[0].changes()}"
            wait_shared([members[0], members[-1]], [3, 3])
        target.restart(crash=True)
        groups.produce(target, topic, numbers(650, 900))
        wait_read(members, numbers(650, 900), "250 records after a kill -9")
        members[-1].end()
        wait_shared(members[:1], [PARTITIONS])
        groups.produce(target, topic, numbers(900, 1000))
        wait_read(members, numbers(900, 1000), "100 records for who stayed")
        members[0].end()
        ends = [row["latest"] for row in json.loads(harness.millrace(
            "topics", "describe", topic, "--json", broker=target).stdout)["topics"][0]["partitions"]]
        assert groups.committed(target, group, topic) == ends, f"{groups.committed(target, group, topic)} of {ends}"
        target.restart()
        groups.produce(target, topic, numbers(1000, 1100))
        again = Member(client, target, group, topic, "a", kind)
        wait_read([again], numbers(1000, 1100), "what came meanwhile")
        assert {int(record.value) for record in again.records()} == set(range(1000, 1100)), "read from before"
        again.end()
        twice = len([r for member in members for r in member.records()]) - len(
            {r for member in members for r in member.records()})
        print(f"# {client} {kind}: {twice} records read twice", file=sys.stderr)


def test_franz_share_group():
    """Two members share what there is, record by record; through a kill -9 nothing is left out."""
    with harness.Broker(SETTINGS) as target:
        topic, group = make_topic(2, target), harness.unique("group")
        groups.produce(target, topic, numbers(0, 100))
        members = [Member("franz", target, group, topic, name, "share") for name in ("a", "b")]
        wait_read(members, numbers(0, 100), "what was there before")
        end = 100
        while not all(member.records() for member in members):
            assert end < 3000, "one of the two gets nothing"
            groups.produce(target, topic, numbers(end, end + 100))
            end += 100
            wait_read(members, numbers(0, end), "a hundred more")
        values = [record.value for member in members for record in member.records()]
        assert len(values) == len(set(values)), "a record was given twice"
        target.restart(crash=True)
        groups.produce(target, topic, numbers(end, end + 100))
        wait_read(members, numbers(end, end + 100), "records after a kill -9")
        for member in members:
            member.end()


# ---- through kills, in transactions, as an administrator -----------------------------------------

def check_producer(client, mode):
    """Nothing acknowledged is lost through two kills -9; idempotent: nothing is there twice."""
    with harness.Broker(SETTINGS) as target:
        topic = make_topic(2, target)
        sender = groups.Client(target, ["nice", *program(client), "producer", target.bootstrap, topic, mode])
        acked = lambda: [line for line in sender.lines() if line.startswith("acked")]
        for kill in range(3):
            before = len(acked())
            harness.wait_until(lambda: sender.process.poll() is None and len(acked()) > before + 100, 60,
                               f"acknowledgements: {sender.errors()[-2000:]}", every_s=0.1)
            if kill < 2:
                target.restart(crash=True)
        sender.process.stdin.close()
        assert sender.process.wait(60) == 0, sender.errors()[-2000:]
        out = records.kcat(target, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %s\n").decode()
        held = {(p, o): value for p, o, value in map(str.split, out.splitlines())}
        for _, value, partition, offset in map(str.split, acked()):
            if int(offset) >= 0:
                assert held.get((partition, offset)) == value, f"{value} at {partition}:{offset} is lost"
        values = list(held.values())
        missing = {line.split(" ")[1] for line in acked()} - set(values)
        assert not missing, f"lost: {sorted(missing)[:10]}"
        assert mode == "plain" or len(values) == len(set(values)), "some are there twice"
        failed = [line for line in sender.lines() if line.startswith("failed")]
        print(f"# {client} {mode}: {len(acked())} acknowledged, {len(failed)} failed {failed[:1]}", file=sys.stderr)


def check_transactions(client):
    source, sink, group = make_topic(2), make_topic(2), harness.unique("group")
    groups.produce(broker(), source, [f"copy-{n}" for n in range(50)])
    told = json.loads(case(client, "transactions", source, sink, group)[-1])
    assert told["copied"] == 50 and told["given up"], told
    assert told["fenced"], told
    read = records.kcat(broker(), "-C", "-t", sink, "-o", "beginning", "-e", "-q", "-X",
                        "isolation.level=read_committed").decode().split()
    expected = [f"{name}-{n}" for name in ("committed", "second", "last") for n in range(10)]
    assert sorted(read) == sorted(expected + [f"copy-{n}" for n in range(50)]), sorted(read)
    lines = harness.json_lines("\n".join(case(client, "read", sink, len(read), "committed")))
    assert len(lines) == len(read), lines
    assert sum(groups.committed(broker(), group, source, 2)) == 50, groups.committed(broker(), group, source, 2)
    print(f"# {client}: the fenced one heard {told['fenced']}", file=sys.stderr)


def check_admin(client):
    """Says what Apache Kafka's would (other_clients/admin.json), where that was recorded."""
    seen = json.loads(case(client, "admin", harness.unique("other"), harness.unique("group"))[-1])
    path = SOURCE / "admin.json"
    known = json.loads(path.read_text())
    if _outside:
        known[client] = seen
        path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    recorded = known.get(client, {})
    for name in sorted({*seen, *recorded}):
        assert seen.get(name) == recorded.get(name), f"{name}: {seen.get(name)!r}, Kafka {recorded.get(name)!r}"


# ---- a client's own tests -------------------------------------------------------------------------

def test_franz_own_tests():
    """Those that franz-go has for a cluster: its groups of every kind, transactions and share groups under load."""
    go("franz")

    def build(place):
        for end in ("mod", "sum"):  # a copy, which may take in what only the tests need
            shutil.copy(SOURCE / f"go.{end}", f"{place}.{end}")
        step(["go", "test", "-mod=mod", f"-modfile={place}.mod", "-c", "-o", place,
              "github.com/twmb/franz-go/pkg/kgo"], "franz-go's tests cannot be built", cwd=SOURCE)
    built = once("franz-tests", [SOURCE / "go.mod"], build)
    done = harness.run(["nice", built, "-test.v", "-test.parallel", "4", "-test.run", FRANZ_TESTS], timeout_s=1200,
                       check=False, env={"KGO_SEEDS": broker().bootstrap, "KGO_TEST_RECORDS": FRANZ_RECORDS,
                                         "KGO_TEST_RF": "1", "KGO_TEST_MAX_TOPIC_PARTS": "7",
                                         "KGO_LOG_LEVEL": "none"})
    lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines()]
    failed = [line for line in lines if line.startswith(("--- FAIL", "panic:"))]
    passed = [line for line in lines if line.startswith("--- PASS")]
    assert done.returncode == 0 and not failed, f"{failed}: {lines[-30:]}"
    assert sum("ETL" in line or "Etl" in line for line in passed) >= 15, passed
    print(f"# franz-go: {len(passed)} tests of its own", file=sys.stderr)


# ---- one test for each client and case ------------------------------------------------------------

def make_test(name, function, *words, kills=False):
    def test():
        if kills and _outside:
            raise harness.Skip("only the broker of the test is killed")
        function(*words)
    test.__name__ = name
    globals()[name] = test


for _client, (_, _kinds) in CLIENTS.items():
    make_test(f"test_{_client}_records", check_records, _client)
    for _kind in _kinds:
        make_test(f"test_{_client}_group_{_kind}", check_group, _client, _kind, kills=True)
    for _mode in ["plain"] + ["idempotent"] * (_client != "segmentio"):
        make_test(f"test_{_client}_producer_{_mode}", check_producer, _client, _mode, kills=True)
    if _client not in ("segmentio", "platformatic"):  # the first has no transactions
        make_test(f"test_{_client}_transactions", check_transactions, _client)
    if _client != "platformatic":
        make_test(f"test_{_client}_admin", check_admin, _client)


if __name__ == "__main__":
    harness.main(globals())
