#!/usr/bin/env python3
"""groups.py - what big groups and many groups cost the broker: CPU time for each request, by size of the group.

    MILLRACE_BUILD=build tests/bench/groups.py [--members 100,300,1000] [--groups 100,1000,10000] [--topics 10]

A classic group and one of the consumer protocol (KIP-848) of each size read --topics topics of 100 partitions: all
join, and two members go and come again. Printed: microseconds of the broker's CPU for each join, for each heartbeat
and commit of a group at rest, and milliseconds for a whole rebalance until it is at rest again. What does not grow
with the group stays the same in a row; a rebalance of a group ten times as large should cost about ten times as much.

Then so many groups of one member each: CPU for each join and heartbeat, which must not grow with their number.
"""

import argparse
import pathlib
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "wire"))
import harness
import messages

PARTITIONS = 100
APIS = messages.Apis()
LONG_MS = 600000
REBALANCE_IN_PROGRESS = 27
CONFIG = {"group.initial.rebalance.delay.ms": "500", "group.max.session.timeout.ms": str(2 * LONG_MS),
          "group.consumer.session.timeout.ms": str(LONG_MS), "group.consumer.max.session.timeout.ms": str(LONG_MS),
          "group.consumer.assignment.interval.ms": "0", "group.consumer.max.size": "100000"}


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def subscription(topics):
    return (struct.pack(">hi", 0, len(topics)) + b"".join(map(text, topics)) + struct.pack(">i", -1)).decode("latin-1")


class Connection:
    def __init__(self, broker):
        self.socket = socket.create_connection((broker.host, broker.port))
        self.waiting = []

    def send(self, api, version, body):
        frame = APIS.request(api, version, body, correlation_id=1)
        self.socket.sendall(frame)
        self.waiting.append((api, version))

    def answer(self):
        api, version = self.waiting.pop(0)
        size, = struct.unpack(">i", harness.receive_exactly(self.socket, 4))
        return APIS.answer(api, version, harness.receive_exactly(self.socket, size))

    def ask(self, api, version, body):
        self.send(api, version, body)
        return self.answer()


def cpu_us(broker):
    """Of all its threads."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{broker.pid}/task").glob("*/schedstat")
               ) / 1000


class Crowd:
    """Members of one group, each with its connection."""

    def __init__(self, broker, group, topics, size):
        self.broker, self.group, self.topics = broker, group, topics
        self.connections = [Connection(broker) for _ in range(size)]
        self.ids = [f"m-{i:05}" for i in range(size)]
        self.epochs = [0] * size

    def all(self, api, version, bodies, order=None):
        """Everybody's answers; all have asked before the first is read. None: says nothing."""
        order = range(len(self.connections)) if order is None else order
        for i in order:
            self.connections[i].send(api, version, bodies(i))
        return {i: self.connections[i].answer() for i in order}

    def cost(self, count, work):
        before = cpu_us(self.broker)
        work()
        return (cpu_us(self.broker) - before) / count

    def close(self):
        for connection in self.connections:
            connection.socket.close()


class Classic(Crowd):
    name = "classic"

    def join(self, members, ids):
        body = {"GroupId": self.group, "SessionTimeoutMs": LONG_MS, "RebalanceTimeoutMs": LONG_MS,
                "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": subscription(self.topics)}]}
        answers = self.all("JoinGroup", 3, lambda i: {**body, "MemberId": ids[i]}, members)
        for i, answer in answers.items():
            assert answer["ErrorCode"] == 0, answer
            self.ids[i], self.epochs[i] = answer["MemberId"], answer["GenerationId"]
        leader = next(i for i in answers if answers[i]["Leader"] == self.ids[i])
        rows = [{"MemberId": one["MemberId"], "Assignment": "x" * 60} for one in answers[leader]["Members"]]
        self.connections[leader].send("SyncGroup", 3, self.sync(leader, rows))
        assert self.connections[leader].answer()["ErrorCode"] == 0
        self.all("SyncGroup", 3, lambda i: self.sync(i, []), [i for i in members if i != leader])

    def sync(self, i, rows):
        return {"GroupId": self.group, "GenerationId": self.epochs[i], "MemberId": self.ids[i], "Assignments": rows}

    def enter(self):
        self.join(list(range(len(self.ids))), [""] * len(self.ids))

    def beat(self, order=None):
        return self.all("Heartbeat", 3, lambda i: {"GroupId": self.group, "GenerationId": self.epochs[i],
                                                   "MemberId": self.ids[i]}, order)

    def commit_body(self, i):
        return {"GroupId": self.group, "GenerationIdOrMemberEpoch": self.epochs[i], "MemberId": self.ids[i]}

    def rebalance(self):
        """One leaves and another comes; all join again."""
        last = len(self.ids) - 1
        self.connections[last].ask("LeaveGroup", 2, {"GroupId": self.group, "MemberId": self.ids[last]})
        told = self.beat(range(last))
        assert all(answer["ErrorCode"] == REBALANCE_IN_PROGRESS for answer in told.values())
        # The new one first: who comes when all the others are there makes another rebalance.
        order = [last, *range(last)]
        self.join(order, {**dict(enumerate(self.ids)), last: ""})


class Consumers(Crowd):
    name = "consumer"

    def __init__(self, *words):
        super().__init__(*words)
        self.owned = [[] for _ in self.ids]

    def body(self, i):
        body = {"GroupId": self.group, "MemberId": self.ids[i], "MemberEpoch": self.epochs[i], "InstanceId": None}
        if self.epochs[i] == 0:
            body.update(RebalanceTimeoutMs=LONG_MS, SubscribedTopicNames=self.topics, TopicPartitions=[])
        elif self.fresh[i]:
            body.update(TopicPartitions=self.owned[i])
        return body

    def beat(self, order=None):
        answers = self.all("ConsumerGroupHeartbeat", 0, self.body, order)
        for i, answer in answers.items():
            assert answer["ErrorCode"] == 0, answer
            self.epochs[i] = answer["MemberEpoch"]
            self.fresh[i] = answer["Assignment"] is not None
            if self.fresh[i]:
                self.owned[i] = answer["Assignment"]["TopicPartitions"]
        return answers

    def settle(self):
        """Until nobody is told anything any more, and all are of one epoch."""
        for _ in range(30):
            self.beat()
            if not any(self.fresh) and len(set(self.epochs)) == 1:
                return
        raise AssertionError("the group does not come to rest")

    def enter(self):
        self.fresh = [False] * len(self.ids)
        self.beat()

    def commit_body(self, i):
        return {"GroupId": self.group, "GenerationIdOrMemberEpoch": self.epochs[i], "MemberId": self.ids[i]}

    def rebalance(self):
        last = len(self.ids) - 1
        leave = {"GroupId": self.group, "MemberId": self.ids[last], "MemberEpoch": -1}
        self.connections[last].ask("ConsumerGroupHeartbeat", 0, leave)
        self.ids[last], self.epochs[last], self.owned[last] = self.ids[last] + "+", 0, []
        self.settle()


def commit(crowd):
    rows = [{"Name": crowd.topics[0], "Partitions": [{"CommittedOffset": 1, "CommittedMetadata": ""}]}]
    answers = crowd.all("OffsetCommit", 9 if crowd.name == "consumer" else 8,
                        lambda i: {**crowd.commit_body(i), "Topics": rows})
    assert all(answer["Topics"][0]["Partitions"][0]["ErrorCode"] == 0 for answer in answers.values())


def topics_make(connection, names, partitions):
    rows = [{"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1} for name in names]
    made = connection.ask("CreateTopics", 4, {"timeoutMs": 60000, "Topics": rows})
    assert all(row["ErrorCode"] == 0 for row in made["Topics"]), made


def big(kind, size, topics):
    with harness.Broker(CONFIG) as broker:
        topics_make(Connection(broker), topics, PARTITIONS)
        crowd = kind(broker, "big", topics, size)
        join = crowd.cost(size, crowd.enter)
        first = crowd.cost(1000, crowd.settle) if kind is Consumers else 0
        rebalances = [crowd.cost(1000, crowd.rebalance) for _ in range(2)]
        rounds = max(2, 3000 // size)
        beat = crowd.cost(size * rounds, lambda: [crowd.beat() for _ in range(rounds)])
        commits = crowd.cost(size * 2, lambda: [commit(crowd) for _ in range(2)])
        print(f"{kind.name:9} {size:6} members: join {join:9.1f} us, first rebalance {first:8.1f} ms, later "
              f"{rebalances[0]:8.1f} {rebalances[1]:8.1f} ms, heartbeat {beat:6.1f} us, commit {commits:6.1f} us",
              flush=True)
        crowd.close()


class Hermits(Consumers):
    """Groups of one member each, all on one connection."""

    def __init__(self, broker, topics, size):
        super().__init__(broker, "", topics, 0)
        self.connections = [Connection(broker)] * size
        self.ids = [f"hermit-{i:05}" for i in range(size)]
        self.epochs, self.owned, self.fresh = [0] * size, [[] for _ in self.ids], [False] * size

    def body(self, i):
        return {**super().body(i), "GroupId": f"cell-{i:05}"}

    def all(self, api, version, bodies, order=None):
        order = list(range(len(self.ids)) if order is None else order)
        answers = {}
        for at in range(0, len(order), 50):
            answers.update(super().all(api, version, bodies, order[at:at + 50]))
        return answers


def many(count, topics):
    with harness.Broker(CONFIG) as broker:
        topics_make(Connection(broker), topics[:1], 1)
        hermits = Hermits(broker, topics[:1], count)
        join = hermits.cost(count, hermits.beat)
        hermits.beat()
        rounds = max(2, 10000 // count)
        beat = hermits.cost(count * rounds, lambda: [hermits.beat() for _ in range(rounds)])
        print(f"{count:6} groups of one: join {join:6.1f} us, heartbeat {beat:6.1f} us", flush=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--members", default="100,300,1000")
    options.add_argument("--groups", default="100,1000,10000")
    options.add_argument("--topics", type=int, default=10)
    options = options.parse_args()
    topics = [f"topic-{i:02}" for i in range(options.topics)]
    for kind in (Classic, Consumers):
        for size in filter(None, options.members.split(",")):
            big(kind, int(size), topics)
    for count in filter(None, options.groups.split(",")):
        many(int(count), topics)


if __name__ == "__main__":
    main()
