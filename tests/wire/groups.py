"""groups.py - consumer groups with real clients: kcat and librdkafka share, take over, go on after kill -9.

Members write what they read into files, as lines `PARTITION OFFSET VALUE` (kcat) or events
(group_member.c). Offsets that the broker has are read with raw OffsetFetch frames, so that what a
client believes is held against what is stored.
"""

import collections
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import harness
import probe

SESSION_MS = 6000 # the least that the broker allows by itself (group.min.session.timeout.ms)
HEARTBEAT_MS = 500
PARTITIONS = 6
# What a busy machine may add to a time that the protocol promises.
SLACK_S = 6
SETTINGS = {"group.initial.rebalance.delay.ms": 0}
MEMBER = harness.BUILD / "tests" / "wire" / "group_member"

Record = collections.namedtuple("Record", "partition offset value")


# ---- members -------------------------------------------------------------------------------------

class Client:
    """A consumer process whose output lies in a file."""

    def __init__(self, broker, words):
        self.path = broker.directory / harness.unique("member")
        with open(self.path, "wb") as out, open(f"{self.path}.err", "wb") as err:
            self.process = harness.spawn(words, stdin=subprocess.PIPE, stdout=out, stderr=err)

    def lines(self):
        """Whole lines; what a kill cut short was not said."""
        return self.path.read_bytes().decode().split("\n")[:-1]

    def errors(self):
        with open(f"{self.path}.err", errors="replace") as file:
            return file.read()

    def kill9(self):
        harness.kill(self.process)

    def end(self, timeout_s=30):
        """As a user does it; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)


class Kcat(Client):
    """Commits every 5 s: its -X sets the interval of an older kind of consumer. Ends when no broker is there."""

    def __init__(self, broker, group, topic, name, *settings):
        words = ["kcat", "-b", broker.bootstrap, "-u", "-f", "%p %o %s\n"]
        for setting in (f"client.id={name}", f"session.timeout.ms={SESSION_MS}",
                        f"heartbeat.interval.ms={HEARTBEAT_MS}", "auto.offset.reset=earliest",
                        *settings):
            words += ["-X", setting]
        super().__init__(broker, words + ["-G", group, topic])

    def records(self):
        return [Record(int(p), int(o), v) for p, o, v in (line.split(" ") for line in self.lines())]


class Member(Client):
    """group_member.c"""

    def __init__(self, broker, group, topic, *settings):
        super().__init__(broker, [MEMBER, broker.bootstrap, group, topic, f"session.timeout.ms={SESSION_MS}",
                                  f"heartbeat.interval.ms={HEARTBEAT_MS}", "auto.commit.interval.ms=100", *settings])

    def records(self):
        return [Record(int(p), int(o), v) for _, p, o, v in
                (line.split(" ") for line in self.lines() if line.startswith("record "))]

    def changes(self):
        """("assigned" | "revoked" | "lost", {partitions}) so far."""
        return [(words[0], set(map(int, words[1:]))) for words in map(str.split, self.lines())
                if words and words[0] in ("assigned", "revoked", "lost")]

    def assignment(self):
        owned = set()
        for what, partitions in self.changes():
            owned = owned | partitions if what == "assigned" else owned - partitions
        return owned

    def ask(self, command, pattern, timeout_s=20):
        """Send a command; the match of the first new line that answers it."""
        before = len(self.lines())
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()

        def answered():
            for line in self.lines()[before:]:
                if re.match(r"(committed|refused|offset)\b", line):
                    return line
            return None
        line = harness.wait_until(answered, timeout_s, f"an answer to '{command}'")
        found = re.fullmatch(pattern, line)
        assert found, f"{command}: {line}"
        return found

    def end(self, timeout_s=30):
        """Leaves the group."""
        self.process.stdin.close()
        return self.process.wait(timeout_s)


# ---- the broker's view ---------------------------------------------------------------------------

def committed(broker, group, topic, partitions=PARTITIONS):
    """[offset or -1] by partition."""
    with socket.create_connection((broker.host, broker.port), timeout=5) as connection:
        rows = probe.committed_offsets(connection, group, topic, range(partitions))
    assert not any(error for error, _ in rows), f"OffsetFetch of {group}: {rows}"
    return [offset for _, offset in rows]


def described(broker, group):
    """`millrace groups describe`, or None while there is nothing to describe."""
    done = harness.millrace("groups", "describe", group, "--json", broker=broker, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return None


def listed(broker):
    """{group: state} of `millrace groups list`"""
    out = harness.millrace("groups", "list", "--json", broker=broker).stdout
    return {row["group"]: row["state"] for row in json.loads(out)["groups"]}


def owners(told):
    """{client id: {partitions}}"""
    names = {member["id"]: member["client"] for member in told["members"]}
    by_name = {name: set() for name in names.values()}
    for row in told["partitions"]:
        if row["member"]:
            by_name[names[row["member"]]].add(row["partition"])
    return by_name


def wait_shared(broker, group, sizes, timeout_s=30):
    """Until the group is stable and its members own so many partitions; {client id: {partitions}}."""
    def shared():
        told = described(broker, group)
        if not told or told["state"] != "Stable":
            return None
        found = owners(told)
        return found if sorted(map(len, found.values())) == sorted(sizes) else None
    return harness.wait_until(shared, timeout_s, f"members with {sizes} partitions", every_s=0.1)


# ---- records -------------------------------------------------------------------------------------

def make_topic(broker, partitions=PARTITIONS):
    topic = harness.unique("topic")
    harness.millrace("topics", "create", topic, "-p", str(partitions), broker=broker)
    return topic


def produce(broker, topic, values):
    """Every value is its own key, so that they go everywhere."""
    lines = "".join(f"{value}:{value}\n" for value in values)
    harness.run(["kcat", "-b", broker.bootstrap, "-P", "-t", topic, "-K:", "-X", "acks=all"], input=lines)


class Load:
    """Produces numbered records at a steady pace until stopped, across restarts of the broker."""

    def __init__(self, broker, topic, per_second=500, first=0):
        self.process = harness.spawn(
            [harness.MILLRACE, "produce", topic, "-b", broker.bootstrap, "-K", ":", "-i", "-q",
             "-X", "linger.ms=5", "-X", "reconnect.backoff.max.ms=100"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.count = self.first = first
        self.pause_s = 10 / per_second
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.pump, daemon=True)
        self.thread.start()

    def pump(self):
        while not self.stopping.wait(self.pause_s):
            for _ in range(10):
                self.process.stdin.write(f"{self.count}:{self.count}\n".encode())
                self.count += 1
            self.process.stdin.flush()

    def stop(self):
        """The values, all acknowledged."""
        self.stopping.set()
        self.thread.join()
        _, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return [str(number) for number in range(self.first, self.count)]


def wait_read(members, values, timeout_s=30):
    """Until the members together have read all values; every record they read, doubles too."""
    wanted = set(values)

    def read():
        got = [record for member in members for record in member.records()]
        return got if wanted <= {record.value for record in got} else None
    try:
        return harness.wait_until(read, timeout_s, f"{len(wanted)} values read by the group", every_s=0.1)
    except harness.Failed as problem:
        got = {record.value for member in members for record in member.records()}
        lost = sorted(wanted - got, key=int)
        raise harness.Failed(f"{problem}: {len(lost)} are missing: {lost[:10]}") from None


def doubles(records):
    """What was read more than once."""
    return [record for record, count in collections.Counter(records).items() if count > 1]


def check_order(members):
    """A member reads a partition in the order of offsets, except that it may go back at a rebalance."""
    for member in members:
        at = collections.defaultdict(lambda: -1)
        for record in member.records():
            assert record.offset > at[record.partition], f"{member.path}: {record} after {at[record.partition]}"
            at[record.partition] = record.offset


# ---- kcat ----------------------------------------------------------------------------------------

def test_three_kcat_share_and_two_take_over_from_a_killed_one():
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique("group")
        members = {name: Kcat(broker, group, topic, name) for name in ("one", "two", "three")}
        shares = wait_shared(broker, group, [2, 2, 2])
        values = [str(number) for number in range(6000)]
        produce(broker, topic, values)
        got = wait_read(members.values(), values)
        assert not doubles(got) and len(got) == len(values), f"{len(got)} for {len(values)}: {doubles(got)[:5]}"
        for name, member in members.items():
            assert {record.partition for record in member.records()} == shares[name], (name, shares)
        harness.wait_until(lambda: sum(committed(broker, group, topic)) == len(values), 10, "everything committed")

        load = Load(broker, topic, first=len(values))
        time.sleep(1)
        victim = members["two"]
        victim.kill9()
        killed = time.monotonic()
        held = committed(broker, group, topic)
        orphans = shares["two"]
        others = [members["one"], members["three"]]

        def taken_over():
            return {r.partition for member in others for r in member.records()} >= orphans
        harness.wait_until(taken_over, SESSION_MS / 1000 + SLACK_S, "the others take over")
        took = time.monotonic() - killed
        wait_shared(broker, group, [3, 3])
        time.sleep(1)
        values += load.stop()
        got = wait_read(members.values(), values)
        print(f"# taken over {took:.1f} s after the kill; {len(values)} records, "
              f"{len(doubles(got))} of the uncommitted tail twice", flush=True)
        # Its last heartbeat was at most an interval before the kill.
        assert took > (SESSION_MS - 2 * HEARTBEAT_MS) / 1000, f"thrown out after {took:.1f} s"
        for record in doubles(got):
            assert record.partition in orphans and record.offset >= held[record.partition], f"{record}, {held}"
        check_order(members.values())
        harness.wait_until(lambda: sum(committed(broker, group, topic)) == len(values), 10, "everything committed")


def test_members_that_come_and_go_politely_read_nothing_twice():
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique("group")
        load = Load(broker, topic)
        members = []
        for count in (1, 2, 3):
            members.append(Member(broker, group, topic, f"client.id=m{count}", "partition.assignment.strategy=range"))
            wait_shared(broker, group, [PARTITIONS // count] * count)
            time.sleep(0.5)
        for left in (2, 1):
            began = time.monotonic()
            assert members[left].end() == 0
            wait_shared(broker, group, [PARTITIONS // left] * left)
            took = time.monotonic() - began
            assert took < SESSION_MS / 1000 - 1, f"{took:.1f} s: leaving did not wake the others"
            time.sleep(0.5)
        values = load.stop()
        got = wait_read(members, values)
        assert not doubles(got), doubles(got)[:5]


def test_kill9_of_the_broker_under_a_stable_group():
    """Members go on by themselves, without a rebalance; committed offsets never go back."""
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique("group")
        members = [Member(broker, group, topic, f"client.id=m{n}", "reconnect.backoff.max.ms=200",
                          "partition.assignment.strategy=range") for n in range(3)]
        shares = wait_shared(broker, group, [2, 2, 2])
        for number, member in enumerate(members):
            harness.wait_until(lambda: member.assignment() == shares[f"m{number}"], 10, "a member's partitions")
        calm = [member.changes() for member in members]
        load = Load(broker, topic)
        highest = [-1] * PARTITIONS
        for _ in range(4):
            time.sleep(1)
            before = committed(broker, group, topic)
            broker.kill9()
            time.sleep(0.3)
            broker.start()
            after = committed(broker, group, topic)
            assert all(b >= a for a, b in zip(highest, before)), f"{highest} went back to {before}"
            assert all(b >= a for a, b in zip(before, after)), f"{before} went back to {after}"
            highest = after
        time.sleep(1)
        values = load.stop()
        got = wait_read(members, values)
        assert wait_shared(broker, group, [2, 2, 2]) == shares
        assert [member.changes() for member in members] == calm, [member.changes() for member in members]
        assert not doubles(got), doubles(got)[:5]
        harness.wait_until(lambda: sum(committed(broker, group, topic)) == len(values), 10, "everything committed")


def kill_in_rebalances(name, *settings, static=False):
    """Members come, go and die, and each time the broker dies in the rebalance that this makes. They recover by
    themselves: in the end those that live share everything, and nothing was lost."""
    chance = random.Random(int(os.environ.get("SEED", "1")))
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique(name)
        everybody, alive = [], []

        def member():
            number = len(everybody)
            words = [f"group.instance.id=i{number}"] if static else []
            everybody.append(Member(broker, group, topic, f"client.id=m{number}", "reconnect.backoff.max.ms=200",
                                    *words, *settings))
            alive.append(everybody[-1])
        member()
        load = Load(broker, topic)
        for _ in range(int(os.environ.get("KILL_ROUNDS", "4"))):
            if len(alive) < 2 or (len(alive) < 4 and chance.random() < 0.6):
                member()
            elif chance.random() < 0.5:
                alive.pop(chance.randrange(len(alive))).kill9()
            else:
                alive.pop(chance.randrange(len(alive))).process.stdin.close()  # it leaves while the broker dies
            time.sleep(chance.uniform(0, 0.5))
            broker.restart(crash=True)
        while len(alive) < 2:
            member()
        sizes = [PARTITIONS // len(alive) + (n < PARTITIONS % len(alive)) for n in range(len(alive))]
        wait_shared(broker, group, sizes, 60)
        values = load.stop()
        wait_read(everybody, values, 60)
        harness.wait_until(lambda: sum(committed(broker, group, topic)) == len(values), 20, "everything committed")


def test_kill9_of_the_broker_in_eager_rebalances():
    kill_in_rebalances("eager", "partition.assignment.strategy=range")


def test_kill9_of_the_broker_in_cooperative_rebalances():
    kill_in_rebalances("cooperative", "partition.assignment.strategy=cooperative-sticky")


def test_kill9_of_the_broker_in_rebalances_of_static_members():
    kill_in_rebalances("static", "partition.assignment.strategy=cooperative-sticky", static=True)


# ---- static members, cooperative-sticky ----------------------------------------------------------

def static_member(broker, group, topic, name):
    return Member(broker, group, topic, f"group.instance.id={name}", f"client.id={name}")


def test_a_static_member_comes_back_without_a_rebalance():
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique("group")
        names = ("a", "b")
        members = {name: static_member(broker, group, topic, name) for name in names}
        shares = wait_shared(broker, group, [3, 3])
        calm = members["a"].changes()
        values = []
        for how in ("kill9", "end"): # a static member that ends stays in the group, too
            getattr(members["b"], how)()
            more = [str(number) for number in range(len(values), len(values) + 600)]
            produce(broker, topic, more)
            values += more
            assert owners(described(broker, group)) == shares
            seen = members["b"].records()
            members["b"] = static_member(broker, group, topic, "b")
            harness.wait_until(lambda: members["b"].assignment() == shares["b"], 20, "b has its partitions again")
            mine = [r for r in wait_read([members["a"], members["b"]], more) if r.partition in shares["b"]]
            assert not set(seen) & set(mine), "read again"
            assert wait_shared(broker, group, [3, 3]) == shares
            assert members["a"].changes() == calm, members["a"].changes()
            harness.wait_until(lambda: sum(committed(broker, group, topic)) == len(values), 10, "committed")
        # Longer away than its session: the other takes over.
        members["b"].kill9()
        harness.wait_until(lambda: members["a"].assignment() == set(range(PARTITIONS)),
                           SESSION_MS / 1000 + SLACK_S, "a has everything")


def test_of_two_with_one_instance_id_the_older_is_fenced():
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique("group")
        first = static_member(broker, group, topic, "same")
        wait_shared(broker, group, [PARTITIONS])
        second = static_member(broker, group, topic, "same")
        assert first.process.wait(20) == 3, first.lines()
        assert first.lines()[-1] == "fatal FENCED_INSTANCE_ID", first.lines()
        harness.wait_until(lambda: second.assignment() == set(range(PARTITIONS)), 20, "the younger goes on")


def test_cooperative_members_keep_what_they_do_not_give_away():
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique("group")
        everything = set(range(PARTITIONS))

        def member(number):
            return Member(broker, group, topic, f"client.id=m{number}",
                          "partition.assignment.strategy=cooperative-sticky")
        members = [member(0)]
        load = Load(broker, topic)
        harness.wait_until(lambda: members[0].assignment() == everything, 20, "one has everything")
        for count in (2, 3):
            members.append(member(count - 1))
            shares = wait_shared(broker, group, [PARTITIONS // count] * count)
            for number, one in enumerate(members):
                harness.wait_until(lambda: one.assignment() == shares[f"m{number}"], 10,
                                   f"m{number} knows its partitions")
            time.sleep(0.5)
        # Nobody ever had all taken away, and who had something was given nothing new.
        assert members[0].changes()[0] == ("assigned", everything), members[0].changes()
        gone = [what for what in members[0].changes()[1:] if what[1]]
        assert [(what, len(partitions)) for what, partitions in gone] == [("revoked", 3), ("revoked", 1)], gone
        assert [(what, len(p)) for what, p in members[1].changes() if p] == [("assigned", 3), ("revoked", 1)], \
            members[1].changes()
        kept = [one.assignment() for one in members]
        assert members[2].end() == 0
        wait_shared(broker, group, [3, 3])
        for one, was in zip(members[:2], kept):
            harness.wait_until(lambda: len(one.assignment()) == 3, 10, "the third's partitions")
            assert one.assignment() > was, (one.changes(), was)
        values = load.stop()
        got = wait_read(members, values)
        assert not doubles(got), doubles(got)[:5]
        check_order(members)


# ---- what is told --------------------------------------------------------------------------------

def test_list_and_describe_tell_what_the_members_know():
    with harness.Broker(SETTINGS) as broker:
        topic, group, other = make_topic(broker), harness.unique("group"), harness.unique("group")
        members = {name: Member(broker, group, topic, f"client.id={name}",
                                "partition.assignment.strategy=roundrobin") for name in ("left", "right")}
        single = Kcat(broker, other, topic, "single")
        shares = wait_shared(broker, group, [3, 3])
        wait_shared(broker, other, [6])
        assert listed(broker) == {group: "Stable", other: "Stable"}
        told = described(broker, group)
        assert told["assignor"] == "roundrobin" and told["group"] == group, told
        assert {member["client"] for member in told["members"]} == {"left", "right"}, told
        assert all("127.0.0.1" in member["host"] for member in told["members"]), told
        for name, member in members.items():
            harness.wait_until(lambda: member.assignment() == shares[name], 10, f"{name} knows its partitions")
        values = [str(number) for number in range(300)]
        produce(broker, topic, values)
        wait_read(members.values(), values)
        harness.wait_until(lambda: sum(committed(broker, group, topic)) == 300, 10, "commits")
        stored = committed(broker, group, topic)
        for row in described(broker, group)["partitions"]:
            assert row["committed"] == row["end"] == stored[row["partition"]] and row["lag"] == 0, row
        for member in members.values():
            assert member.end() == 0
        assert listed(broker) == {group: "Empty", other: "Stable"}
        told = described(broker, group)
        assert told["state"] == "Empty" and told["members"] == [], told
        assert {row["partition"]: row["committed"] for row in told["partitions"]} == dict(enumerate(stored)), told
        single.end()


# ---- commits without membership ------------------------------------------------------------------

def test_offsets_survive_a_stop_and_kill9():
    """What was acknowledged a moment before is there after."""
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique("group")
        produce(broker, topic, range(60))
        for number in range(10):
            crash = number % 2 == 0
            member = Member(broker, group, topic, "assign=0,1", "enable.auto.commit=false")
            member.ask(f"commit 0 {number * 10} note {number}", "committed")
            member.ask(f"commit 1 {number}", "committed")
            broker.restart(crash=crash)
            assert committed(broker, group, topic) == [number * 10, number, -1, -1, -1, -1], number
            member.ask("offsets 0", f"offset 0 {number * 10} note {number}")
            member.kill9()
        # The last start was after a kill, the one before after a stop; both read the same.
        assert listed(broker) == {group: "Empty"}


def test_a_simple_consumer_commits_and_goes_on():
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique("group")
        produce(broker, topic, [str(number) for number in range(600)])
        first = Member(broker, group, topic, "assign=2,3", "enable.auto.commit=false")
        ends = [row["latest"] for row in json.loads(harness.millrace(
            "topics", "describe", topic, "--json", broker=broker).stdout)["topics"][0]["partitions"]]
        wanted = ends[2] + ends[3]
        harness.wait_until(lambda: len(first.records()) == wanted, 20, "two partitions read")
        assert committed(broker, group, topic) == [-1] * PARTITIONS
        first.ask("commit", "committed")
        assert committed(broker, group, topic) == [-1, -1, ends[2], ends[3], -1, -1]
        assert first.changes() == []
        assert first.end() == 0
        more = [str(number) for number in range(600, 1200)]
        produce(broker, topic, more)
        second = Member(broker, group, topic, "assign=2,3", "enable.auto.commit=false")
        harness.wait_until(lambda: second.records(), 20, "the next records")
        time.sleep(0.5)
        assert min(r.offset for r in second.records() if r.partition == 2) == ends[2]
        assert not set(first.records()) & set(second.records())


def test_a_simple_consumer_may_not_commit_for_a_group_with_members():
    with harness.Broker(SETTINGS) as broker:
        topic, group = make_topic(broker), harness.unique("group")
        member = Kcat(broker, group, topic, "member")
        wait_shared(broker, group, [PARTITIONS])
        simple = Member(broker, group, topic, "assign=0", "enable.auto.commit=false")
        simple.ask("commit 0 5", "refused UNKNOWN_MEMBER_ID")
        assert committed(broker, group, topic)[0] == -1
        assert member.end() == 0
        simple.ask("commit 0 5", "committed")
        assert committed(broker, group, topic)[0] == 5


if __name__ == "__main__":
    harness.main(globals())
