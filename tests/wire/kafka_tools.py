"""kafka_tools.py - Kafka's own command line tools, asked of this broker; beside those of clients.py and admin_tools.py.

Without the jars (jvm.py) all is skipped. One JVM at a time, but for the test that needs members.
"""

import json
import os
import re
import signal
import socket
import tempfile
import time

import batches
import groups
import harness
import jvm
import messages

SETTINGS = {"node.id": 1, "group.initial.rebalance.delay.ms": 0}
OFFSET_COMMIT = 1
_shared = None


def broker():
    global _shared
    if _shared is None:
        outside = os.environ.get("WIRE_BOOTSTRAP")
        _shared = harness.Cluster(outside) if outside else harness.Broker(SETTINGS)
    return _shared


def tool_words(name, *words):
    if name == "ClusterTool":
        words = [words[0], "--bootstrap-server", broker().bootstrap, *words[1:]]
    else:
        words = ["--bootstrap-server", broker().bootstrap, *words]
    return jvm.tool(name, *words)


def tool(name, *words, check=True, timeout_s=90):
    """What it says, on stdout and, if it may fail, on stderr."""
    ended = harness.run(tool_words(name, *words), timeout_s=timeout_s, check=check)
    return ended.stdout.decode() + ("" if check else ended.stderr.decode())


def table(text, first):
    """Rows below the header line that begins with `first`, as dicts."""
    lines = [line for line in text.splitlines() if line.strip()]
    at = next((n for n, line in enumerate(lines) if line.startswith(first)), None)
    assert at is not None, text
    names = lines[at].split()
    return [dict(zip(names, line.split())) for line in lines[at + 1:]]


def offsets_of(group):
    """{(topic, partition): (committed, end, lag)} as ConsumerGroupCommand describes them."""
    rows = table(tool("consumer.group.ConsumerGroupCommand", "--describe", "--group", group), "GROUP")
    told = ("CURRENT-OFFSET", "LOG-END-OFFSET", "LAG")
    return {(row["TOPIC"], int(row["PARTITION"])): tuple(row[key] for key in told) for row in rows}


def filled(partitions, values):
    topic = groups.make_topic(broker(), partitions)
    groups.produce(broker(), topic, values)
    return topic


def test_consumer_group_command():
    """A group without members: made by a reset, described, reset in other ways, offsets deleted, deleted."""
    topic, group = filled(2, [str(n) for n in range(100)]), harness.unique("group")
    command = ("consumer.group.ConsumerGroupCommand", "--group", group)
    tool(*command, "--topic", topic, "--reset-offsets", "--to-latest", "--execute")
    told = offsets_of(group)
    assert set(told) == {(topic, 0), (topic, 1)}, told
    assert all(row[0] == row[1] and row[2] == "0" for row in told.values()), told
    assert sum(int(row[0]) for row in told.values()) == 100, told
    rows = table(tool(*command, "--topic", f"{topic}:0", "--reset-offsets", "--shift-by", "-3", "--dry-run"), "GROUP")
    end = int(told[topic, 0][1])
    assert [row["NEW-OFFSET"] for row in rows] == [str(end - 3)], rows
    assert offsets_of(group) == told, "--dry-run changed them"
    tool(*command, "--topic", topic, "--reset-offsets", "--to-datetime", "2000-01-01T00:00:00.000", "--execute")
    assert [row[0] for row in offsets_of(group).values()] == ["0", "0"]
    tool(*command, "--topic", topic, "--reset-offsets", "--to-offset", "1000000", "--execute")
    assert offsets_of(group) == told, "an offset behind the end becomes the end"
    rows = table(tool(*command, "--describe", "--state"), "GROUP")
    assert "Empty" in rows[0].values() and rows[0]["GROUP"] == group, rows
    assert "has no active members" in tool(*command, "--describe", "--members", check=False)
    listed = table(tool("consumer.group.ConsumerGroupCommand", "--list", "--state", "empty"), "GROUP")
    assert {"GROUP": group, "STATE": "Empty"}.items() <= next(row for row in listed if row["GROUP"] == group).items()
    assert "Request succeed" in tool(*command, "--delete-offsets", "--topic", f"{topic}:0")
    told = offsets_of(group)
    assert told.get((topic, 0), ("-",))[0] == "-" and told[topic, 1][0] != "-", told
    assert f"('{group}') was successful" in tool(*command, "--delete")
    assert "GroupIdNotFoundException" in tool(*command, "--describe", check=False)


def test_consumer_group_command_with_members():
    """What it may not do to a group that reads, and what it says of its members."""
    topic, group = filled(3, ["x"] * 30), harness.unique("group")
    member = groups.Kcat(broker(), group, topic, "reader")
    groups.wait_shared(broker(), group, [3])
    command = ("consumer.group.ConsumerGroupCommand", "--group", group)
    rows = table(tool(*command, "--describe", "--members", "--verbose"), "GROUP")
    assert [(row["CLIENT-ID"], row["#PARTITIONS"]) for row in rows] == [("reader", "3")], rows
    said = tool(*command, "--topic", topic, "--reset-offsets", "--to-earliest", "--execute", check=False)
    assert "can only be reset if the group" in said and "inactive" in said, said
    assert "not empty" in tool(*command, "--delete", check=False)
    assert member.end() == 0


def internal_rows(words):
    """[(key, value)] of what Kafka's console consumer prints."""
    said = harness.run(words, timeout_s=90, check=False).stdout.decode()
    found, at = [], said.find("{")
    while at >= 0:
        row, length = json.JSONDecoder().raw_decode(said[at:])
        found.append((row["key"], row["value"]))
        at = said.find("{", at + length)
    return found


def internal_words(formatter, topic="__consumer_offsets"):
    return tool_words("consumer.ConsoleConsumer", "--topic", topic, "--from-beginning", "--timeout-ms", "4000",
                      "--formatter", formatter)


def internal_records(formatter, topic="__consumer_offsets"):
    """{key as JSON: value} of the whole topic."""
    rows = internal_rows(internal_words(f"org.apache.kafka.tools.consumer.{formatter}", topic))
    return {json.dumps(key["data"], sort_keys=True): value for key, value in rows}


def group_records(group):
    """{(type, member): value}, the newest of each, of one group in __consumer_offsets; member "": the group."""
    words = internal_words("GroupRecords")  # a class of java/
    return {(key["type"], key["data"].get("memberId", "")): value and value["data"]
            for key, value in internal_rows(words) if group in (key["data"].get("groupId"), key["data"].get("group"))
            and key["type"] != OFFSET_COMMIT}


def view_ends(topic="__consumer_offsets"):
    """{partition: end offset}"""
    words = ["kcat", "-b", broker().bootstrap, "-Q"]
    for partition in range(50):
        words += ["-t", f"{topic}:{partition}:-1"]
    said = harness.run(words).stdout.decode()
    found = {int(row[0]): int(row[1]) for row in re.findall(r"\[(\d+)\] offset (-?\d+)", said)}
    assert len(found) == 50, said
    return found


def kcat_view(partition=None):
    words = ["kcat", "-C", "-b", broker().bootstrap, "-t", "__consumer_offsets", "-o", "beginning", "-e", "-q", "-f",
             "%p %o %K %S\n", *(["-p", str(partition)] if partition is not None else [])]
    return [tuple(map(int, line.split())) for line in harness.run(words).stdout.decode().splitlines()]


def id_of(topic):
    return re.search(r"TopicId: (\S+)", tool("TopicCommand", "--describe", "--topic", topic)).group(1)


def test_internal_topics():
    """Offsets and groups as Kafka's formatters print them are what ConsumerGroupCommand says, also after a kill -9."""
    topic, group = filled(2, [str(n) for n in range(60)]), harness.unique("group")
    topic_id = id_of(topic)
    command = ("consumer.group.ConsumerGroupCommand", "--group", group)
    tool(*command, "--topic", topic, "--reset-offsets", "--to-latest", "--execute")
    reader = harness.unique("reader")
    member = groups.Kcat(broker(), reader, topic, "who")
    groups.wait_shared(broker(), reader, [2])

    def stored():
        rows = internal_records("OffsetsMessageFormatter")
        found = {}
        for key, value in rows.items():
            key = json.loads(key)
            if key["group"] == group and value:
                assert value["version"] == 4 and value["data"]["topicId"] == topic_id, value
                found[key["topic"], key["partition"]] = str(value["data"]["offset"])
        return found
    told = {place: row[0] for place, row in offsets_of(group).items()}
    assert len(told) == 2 and stored() == told, (told, stored())
    value = internal_records("GroupMetadataMessageFormatter")[json.dumps({"group": reader})]
    assert value["data"]["protocolType"] == "consumer" and value["data"]["protocol"] == "range", value
    assert [row["clientId"] for row in value["data"]["members"]] == ["who"], value
    assert value["data"]["members"][0]["memberId"] == value["data"]["leader"], value
    assert member.end() == 0
    view, ends = kcat_view(), view_ends()
    before = [row for row in view if row[3] >= 0]  # tombstones, also of other tests, end with the process
    mine = 2 + 2 + len(group) + 2 + len(topic) + 4  # bytes of a key of the group
    assert {row[0] for row in view} == {p for p, end in ends.items() if end}, (view, ends)
    assert all(row[1] < ends[row[0]] for row in view)
    if isinstance(broker(), harness.Broker):
        broker().restart(crash=True)
        after, grown = kcat_view(), view_ends()
        assert after == before, (before, after)
        assert all(grown[p] >= end for p, end in ends.items()), (ends, grown)
    assert f"('{group}') was successful" in tool(*command, "--delete")
    gone = {key: value for key, value in internal_records("OffsetsMessageFormatter").items()
            if json.loads(key)["group"] == group}
    assert len(gone) == 2 and not any(gone.values()), gone
    ends = view_ends()
    if isinstance(broker(), harness.Broker):
        broker().restart(crash=True)
    now = view_ends()
    assert all(now[p] >= ends[p] for p in ends), "an end went back"
    others = [row for row in before if row[2] != mine]  # groups of other tests may have names as long
    assert [row for row in kcat_view() if row in others] == others, "others stay"
    said = tool("TopicCommand", "--describe", "--topic", "__consumer_offsets")
    assert "PartitionCount: 50" in said and "cleanup.policy=compact" in said, said
    assert "keeps this topic itself" in tool("TopicCommand", "--delete", "--topic", "__consumer_offsets", check=False)


def test_internal_topics_of_newer_groups():
    """Java members of a consumer group and of a share group as the code of Kafka's coordinator reads them."""
    if not isinstance(broker(), harness.Broker):
        raise harness.Skip("needs a directory of its own")
    topic, group, queue = filled(2, [str(n) for n in range(20)]), harness.unique("group"), harness.unique("queue")
    client = groups.Client(broker(), tool_words("VerifiableConsumer", "--topic", topic, "--group-id", group,
                                                "--reset-policy", "earliest", "--group-protocol", "consumer"))
    sharer = groups.Client(broker(), tool_words("VerifiableShareConsumer", "--topic", topic, "--group-id", queue,
                                                "--offset-reset-strategy", "earliest"))
    harness.wait_until(lambda: '"records_consumed"' in "".join(client.lines()), 60, "the consumer reads")
    harness.wait_until(lambda: '"offsets_acknowledged"' in "".join(sharer.lines()), 60, "the share consumer reads")
    topic_id = id_of(topic)

    rows = group_records(group)
    member = next(member for type, member in rows if member)
    assert set(rows) == {(3, ""), (6, ""), (5, member), (7, member), (8, member)}, rows
    epoch = rows[3, ""]["epoch"]
    assert epoch > 0 and rows[6, ""]["assignmentEpoch"] == epoch, rows
    assert rows[5, member]["subscribedTopicNames"] == [topic], rows
    assert rows[5, member]["clientHost"] == "/127.0.0.1" and rows[5, member]["clientId"], rows
    assert rows[5, member]["rebalanceTimeoutMs"] > 0 and rows[5, member]["instanceId"] is None, rows
    assert rows[7, member] == {"topicPartitions": [{"topicId": topic_id, "partitions": [0, 1]}]}, rows
    assert rows[8, member]["memberEpoch"] == epoch and rows[8, member]["state"] == 0, rows
    owned = rows[8, member]["assignedPartitions"]
    assert [(row["topicId"], row["partitions"]) for row in owned] == [(topic_id, [0, 1])], rows
    assert owned[0]["assignmentEpochs"] == [epoch, epoch] and not rows[8, member]["partitionsPendingRevocation"], rows

    words = internal_words("org.apache.kafka.tools.consumer.ShareGroupMessageFormatter")
    rows = {(key["type"], key["data"].get("memberId", "")): value["data"] for key, value in internal_rows(words)
            if key["data"]["groupId"] == queue}
    member = next(member for type, member in rows if member)
    assert set(rows) == {(11, ""), (12, ""), (15, ""), (10, member), (13, member), (14, member)}, rows
    epoch = rows[11, ""]["epoch"]
    assert epoch > 0 and rows[12, ""]["assignmentEpoch"] == epoch == rows[14, member]["memberEpoch"], rows
    assert rows[10, member]["subscribedTopicNames"] == [topic], rows
    assert rows[13, member] == {"topicPartitions": [{"topicId": topic_id, "partitions": [0, 1]}]}, rows
    assert rows[14, member]["assignedPartitions"] == rows[13, member]["topicPartitions"], rows
    assert rows[15, ""]["initializedTopics"] == [
        {"topicId": topic_id, "topicName": topic, "partitions": [0, 1]}], rows

    for process in (client, sharer):
        process.process.send_signal(signal.SIGTERM)
        process.process.wait(30)
    tool("consumer.group.ConsumerGroupCommand", "--group", group, "--delete")
    tool("consumer.group.ShareGroupCommand", "--group", queue, "--delete")
    rows = group_records(group)
    assert {type for type, _ in rows} == {3, 5, 6, 7, 8} and not any(rows.values()), rows
    rows = group_records(queue)
    assert {type for type, _ in rows} == {10, 11, 12, 13, 14, 15} and not any(rows.values()), rows


def test_transaction_state():
    """A transactional producer is in __transaction_state as TransactionLogMessageFormatter prints it."""
    topic, name = filled(1, ["x"]), harness.unique("id")
    said = tool("ProducerPerformance", "--topic", topic, "--num-records", "20", "--record-size", "10", "--throughput",
                "-1", "--transactional-id", name, "--transaction-duration-ms", "10000")
    assert "20 records sent" in said, said
    value = internal_records("TransactionLogMessageFormatter",
                             "__transaction_state")[json.dumps({"transactionalId": name})]
    told = table(tool("TransactionsCommand", "describe", "--transactional-id", name), "CoordinatorId")[0]
    assert str(value["data"]["producerId"]) == told["ProducerId"], (value, told)
    assert str(value["data"]["producerEpoch"]) == told["ProducerEpoch"], (value, told)
    assert value["data"]["transactionStatus"] == 4 and told["TransactionState"] == "CompleteCommit", (value, told)


def test_get_offset_shell():
    topic = filled(1, [str(n) for n in range(7)])

    def at(*words):
        return tool("GetOffsetShell", "--topic", topic, *words).split()
    assert at() == at("--time", "latest") == [f"{topic}:0:7"]
    assert at("--time", "earliest") == at("--time", "0") == [f"{topic}:0:0"]
    last = at("--time", "max-timestamp")
    assert re.fullmatch(rf"{topic}:0:[0-6]", last[0]), last
    assert at("--time", "4102444800000") in ([f"{topic}:0:"], [])


def test_verifiable_consumer():
    topic, group = filled(2, [str(n) for n in range(200)]), harness.unique("group")
    out = tool("VerifiableConsumer", "--topic", topic, "--group-id", group, "--max-messages", "200", "--reset-policy",
               "earliest")
    said = harness.json_lines(out)
    assert sum(line["count"] for line in said if line["name"] == "records_consumed") == 200, said
    committed = {}
    for line in said:
        if line["name"] == "offsets_committed":
            assert line["success"], line
            committed.update({(row["topic"], row["partition"]): row["offset"] for row in line["offsets"]})
    assert sum(committed.values()) == 200 and "shutdown_complete" in [line["name"] for line in said], said
    assert sum(groups.committed(broker(), group, topic, 2)) == 200


def test_performance_in_transactions():
    """ProducerPerformance in transactions; ConsumerPerformance reads what is committed."""
    topic, count = groups.make_topic(broker(), 1), 3000
    out = tool("ProducerPerformance", "--topic", topic, "--num-records", str(count), "--record-size", "100",
               "--throughput", "-1", "--transaction-duration-ms", "100")
    assert f"{count} records sent" in out.splitlines()[-1], out
    lines = tool("ConsumerPerformance", "--topic", topic, "--num-records", str(count), "--timeout", "30000",
                 "--command-property", "isolation.level=read_committed").splitlines()
    row = dict(zip(lines[0].split(", "), lines[1].split(", ")))
    assert int(row["data.consumed.in.nMsg"]) == count, lines


def test_transactions_command():
    """It finds no hanging transaction, lists and describes."""
    topic = filled(1, ["x"])
    assert "TransactionalId" in tool("TransactionsCommand", "list")
    rows = table(tool("TransactionsCommand", "describe-producers", "--topic", topic, "--partition", "0"), "ProducerId")
    assert len(rows) <= 1, rows
    said = tool("TransactionsCommand", "find-hanging", "--topic", topic, "--partition", "0")
    assert table(said, "Topic") == [], said


class Frames:
    """Requests by hand, for what Kafka's clients do not do any more."""

    apis = messages.Apis()

    def __init__(self):
        self.connection = socket.create_connection((broker().host, broker().port), timeout=20)

    def ask(self, api, version, **body):
        self.connection.sendall(self.apis.request(api, version, body))
        size = int.from_bytes(harness.receive_exactly(self.connection, 4), "big")
        return self.apis.answer(api, version, harness.receive_exactly(self.connection, size))

    def configure(self, kind, name, key, value):
        told = self.ask("IncrementalAlterConfigs", 1, Resources=[{
            "ResourceType": kind, "ResourceName": name, "Configs": [
                {"Name": key, "ConfigOperation": 0, "Value": value}]}])
        assert told["Responses"][0]["ErrorCode"] == 0, told

    def verify(self, value):
        """transaction.partition.verification.enable of the running broker."""
        self.configure(4, "1", "transaction.partition.verification.enable", value)

    def producer(self, name):
        """(transactional id, producer id, epoch)"""
        told = self.ask("InitProducerId", 4, TransactionalId=name, TransactionTimeoutMs=600000)
        assert told["ErrorCode"] == 0, told
        return name, told["ProducerId"], told["ProducerEpoch"]

    def add(self, producer, topic, partition):
        told = self.ask("AddPartitionsToTxn", 3, V3AndBelowTransactionalId=producer[0],
                        V3AndBelowProducerId=producer[1], V3AndBelowProducerEpoch=producer[2],
                        V3AndBelowTopics=[{"Name": topic, "Partitions": [partition]}])
        row = told["ResultsByTopicV3AndBelow"][0]["ResultsByPartition"][0]
        assert row["PartitionErrorCode"] == 0, told

    def write(self, producer, topic, partition, hours, value):
        """A record of so long ago, as clients wrote it before KIP-890; the error."""
        now = int(time.time() * 1000)
        records = batches.build({"records": [{"v": value, "ts": now - hours * 3600000}], "attributes": 0x10,
                                 "pid": producer[1], "epoch": producer[2], "seq": 0})
        told = self.ask("Produce", 9, TransactionalId=producer[0], Acks=-1, TimeoutMs=5000, TopicData=[
            {"Name": topic, "PartitionData": [{"Index": partition, "Records": records}]}])
        return told["Responses"][0]["PartitionResponses"][0]["ErrorCode"]


def committed_of(topic):
    """[(partition, value)] for a reader of what is committed."""
    said = harness.run(["kcat", "-b", broker().bootstrap, "-C", "-q", "-e", "-t", topic, "-X",
                        "isolation.level=read_committed", "-f", "%p %s\n"], timeout_s=60).stdout.decode()
    return sorted(tuple(line.split()) for line in said.splitlines())


def hanging(*words):
    """{(topic, partition): (producer id, epoch, start offset)} as find-hanging says; it must be sure of the hours."""
    rows = table(tool("TransactionsCommand", "find-hanging", *words), "Topic")
    assert all(int(row["Duration(min)"]) >= 60 for row in rows), rows
    return {(row["Topic"], int(row["Partition"])): tuple(int(row[key]) for key in (
        "ProducerId", "ProducerEpoch", "StartOffset")) for row in rows}


def test_hanging_transactions():
    """Without verification an old client's records hang in two partitions; find-hanging tells them, and only them, from
    a transaction that is merely slow, also after kill -9; abort ends them, and readers of what is committed go on."""
    if not isinstance(broker(), harness.Broker):
        raise harness.Skip("needs a broker of its own")
    topic, frames = filled(1, ["before"]), Frames()
    other = groups.make_topic(broker(), 2)
    late, forgot, slow = (frames.producer(harness.unique(name)) for name in ("late", "forgot", "slow"))
    assert frames.write(late, topic, 0, 3, "refused") == 48, "INVALID_TXN_STATE: verification is the default"
    frames.verify("false")
    assert frames.write(late, topic, 0, 3, "hangs") == 0            # its coordinator knows of no transaction
    frames.add(forgot, other, 1)                                    # the coordinator knows of another partition
    assert frames.write(forgot, other, 1, 3, "ends") == frames.write(forgot, other, 0, 2, "hangs") == 0
    told = frames.ask("EndTxn", 3, TransactionalId=forgot[0], ProducerId=forgot[1], ProducerEpoch=forgot[2],
                      Committed=True)
    assert told["ErrorCode"] == 0, told
    frames.verify("true")
    third = filled(1, [])
    frames.add(slow, third, 0)
    assert frames.write(slow, third, 0, 5, "slow") == 0
    groups.produce(broker(), topic, ["after"])

    wanted = {(topic, 0): (*late[1:], 1), (other, 0): (*forgot[1:], 0)}
    assert hanging("--broker-id", "1") == wanted, (hanging("--broker-id", "1"), wanted)
    broker().restart(crash=True)
    assert hanging("--broker-id", "1") == wanted
    assert hanging("--topic", topic) == {(topic, 0): (*late[1:], 1)}
    assert hanging("--broker-id", "1", "--max-transaction-timeout", "150") == {(topic, 0): (*late[1:], 1)}, "3 h"
    assert committed_of(topic) == [("0", "before")] and committed_of(other) == [("1", "ends")]

    tool("TransactionsCommand", "abort", "--topic", topic, "--partition", "0", "--start-offset", "1")
    assert committed_of(topic) == [("0", "after"), ("0", "before")]
    assert hanging("--broker-id", "1") == {(other, 0): (*forgot[1:], 0)}
    broker().restart()
    tool("TransactionsCommand", "abort", "--topic", other, "--partition", "0", "--producer-id", str(forgot[1]),
         "--producer-epoch", str(forgot[2]), "--coordinator-epoch", "0")
    assert hanging("--broker-id", "1") == {}
    groups.produce(broker(), other, ["later"] * 8)
    values = committed_of(other)
    assert ("1", "ends") in values and [value for _, value in values].count("later") == 8, values
    said = tool("TransactionsCommand", "abort", "--topic", topic, "--partition", "0", "--start-offset", "1",
                check=False)
    assert "Could not find any open transactions starting at offset 1" in said, said
    broker().restart(crash=True)
    assert committed_of(topic) == [("0", "after"), ("0", "before")]
    rows = table(tool("TransactionsCommand", "describe-producers", "--topic", topic, "--partition", "0"), "ProducerId")
    assert [row["CurrentTransactionStartOffset"] for row in rows if int(row["ProducerId"]) == late[1]] == ["None"], rows


def test_transactions_are_listed_and_terminated():
    """TransactionsCommand's filters; it ends the open transaction of a producer that is gone for good."""
    if not isinstance(broker(), harness.Broker):
        raise harness.Skip("needs a broker of its own")
    topic, frames = filled(1, []), Frames()
    busy, idle = (frames.producer(harness.unique(name)) for name in ("busy", "idle"))
    frames.add(busy, topic, 0)
    assert frames.write(busy, topic, 0, 0, "never seen") == 0

    def listed(*words):
        rows = table(tool("TransactionsCommand", "list", *words), "TransactionalId")
        return {row["TransactionalId"]: row["TransactionState"] for row in rows}
    assert {busy[0]: "Ongoing", idle[0]: "Empty"}.items() <= listed().items()
    assert listed("--transactional-id-pattern", busy[0][:-1] + ".") == {busy[0]: "Ongoing"}
    assert busy[0] in listed("--duration-filter", "0") and busy[0] not in listed("--duration-filter", "3600000")
    tool("TransactionsCommand", "forceTerminateTransaction", "--transactionalId", busy[0])
    told = table(tool("TransactionsCommand", "describe", "--transactional-id", busy[0]), "CoordinatorId")[0]
    assert told["TransactionState"] in ("Empty", "CompleteAbort") and int(told["ProducerEpoch"]) > busy[2], told
    assert frames.write(busy, topic, 0, 0, "a zombie") == 47, "INVALID_PRODUCER_EPOCH"
    groups.produce(broker(), topic, ["after"])
    assert committed_of(topic) == [("0", "after")]


def test_share_group_command():
    """A group that is not there yet begins where an administrator says, and is read by ShareConsumerPerformance."""
    topic, group, count = groups.make_topic(broker(), 1), harness.unique("queue"), 400
    groups.produce(broker(), topic, [str(n) for n in range(count)])
    command = ("consumer.group.ShareGroupCommand", "--group", group)

    def told():
        return [(row["START-OFFSET"], row["LAG"]) for row in
                table(tool(*command, "--describe", "--offsets"), "GROUP") if row["TOPIC"] == topic]
    tool(*command, "--reset-offsets", "--to-earliest", "--topic", topic, "--execute")
    assert told() == [("0", str(count))]
    assert "has no active members" in tool(*command, "--describe", "--members", check=False)
    lines = tool("ShareConsumerPerformance", "--topic", topic, "--group", group, "--num-records", str(count),
                 "--timeout", "30000").splitlines()
    row = dict(zip(lines[0].split(", "), lines[1].split(", ")))
    assert int(row["data.consumed.in.nMsg"]) == count, lines
    assert told() == [(str(count), "0")]
    assert "Successful" in tool(*command, "--delete-offsets", "--topic", topic)
    assert "has no offset information" in tool(*command, "--describe", "--offsets", check=False)
    assert f"('{group}') was successful" in tool(*command, "--delete")


def test_topic_command():
    """What clients.py does not ask: partitions without replicas enough, what is described of one, deletion of none."""
    topic = groups.make_topic(broker(), 2)
    for option in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"):
        assert tool("TopicCommand", "--describe", option).strip() == "", option
    assert "does not exist" in tool("TopicCommand", "--delete", "--topic", topic + "-never", check=False)
    assert "does not exist" in tool("TopicCommand", "--describe", "--topic", topic + "-never", check=False)
    said = tool("TopicCommand", "--create", "--topic", topic + "-3", "--replication-factor", "3", check=False)
    assert re.search("replication factor|Replication factor", said), said


def test_leaders_and_replicas():
    """One node: every leader is the preferred one, and no replica can move."""
    topic = groups.make_topic(broker(), 1)
    said = tool("LeaderElectionCommand", "--election-type", "preferred", "--topic", topic, "--partition", "0",
                check=False)
    assert "Valid replica already elected" in said, said
    assert "No partition reassignments found" in tool("reassign.ReassignPartitionsCommand", "--list")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"version": 1, "partitions": [{"topic": topic, "partition": 0, "replicas": [1]}]}, file)
        file.flush()
        said = tool("reassign.ReassignPartitionsCommand", "--verify", "--reassignment-json-file", file.name)
    assert f"Reassignment of partition {topic}-0 is completed." in said, said


def test_cluster_and_groups():
    assert re.search(r"Cluster ID: [\w-]{22}", tool("ClusterTool", "cluster-id"))
    group = harness.unique("group")
    topic = filled(1, ["x"])
    tool("consumer.group.ConsumerGroupCommand", "--group", group, "--topic", topic, "--reset-offsets", "--to-earliest",
         "--execute")
    rows = table(tool("GroupsCommand", "--list"), "GROUP")
    row = next(row for row in rows if row["GROUP"] == group)
    assert row["TYPE"] == "Classic", rows


def test_end_to_end_latency():
    topic = groups.make_topic(broker(), 1)
    said = tool("EndToEndLatency", "--topic", topic, "--num-records", "200", "--producer-acks", "all", "--record-size",
                "100")
    assert re.search(r"Avg latency: \d+[.,]\d+ ms", said) and "Percentiles" in said, said


if __name__ == "__main__":
    harness.main(globals())
