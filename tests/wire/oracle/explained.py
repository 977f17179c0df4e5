"""explained.py - where our broker answers otherwise than Apache Kafka 4.3, and why that is right.

A difference that no rule covers fails the oracle run and the replay; so does a rule that covers nothing any more.
explained.md is what `explained.py` prints.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import sides  # noqa: E402


def sides_apis():
    return sides.apis.by_name


class Rule:
    """apis: names of APIs; path: regular expression of the whole field path; kafka, ours: values, or tests of
    them; both: a test of the two; scenario: how its name begins; asked: a test of the request."""

    def __init__(self, reason, apis, path, kafka=None, ours=None, scenario=None, both=None, asked=None):
        self.reason, self.apis, self.path = reason, apis.split(), re.compile(path)
        self.kafka, self.ours, self.scenario = kafka, ours, re.compile(scenario or "")
        self.both, self.asked = both, asked

    def covers(self, scenario, step, path, kafka, ours):
        return (step.get("k") in self.apis and bool(self.path.fullmatch(path)) and
                agrees(self.kafka, kafka) and agrees(self.ours, ours) and bool(self.scenario.match(scenario)) and
                (not self.both or self.both(kafka, ours)) and (not self.asked or self.asked(step["q"])))


def agrees(wanted, value):
    if wanted is None:
        return True
    return wanted(value) if callable(wanted) else wanted == value


ANY = " ".join(api for api in sides_apis())



RULES = [
    Rule("An empty group stays while somebody who was given a member id (KIP-394) is to come; Kafka takes it at its "
         "next look for expired offsets, and the member must ask for another id.",
         "DescribeGroups JoinGroup", r".*\.(Error(Code|Message)|GroupState|GenerationId|Protocol(Type|Name)|Leader|"
         r"Members#)", scenario="who_is_to_come_back"),
    Rule("A classic member of a group of consumers is told to join again as soon as the group has a new epoch; Kafka "
         "waits for an assignment, which nobody makes if all members are classic and the policy forbids to downgrade.",
         "Heartbeat", r"\.ErrorCode", 0, 27, scenario="classic_to_a_consumer_group-upgrade"),
    Rule("An API that Millrace does not serve is not in ApiVersions; broker/APIS.md lists them.",
         "ApiVersions", r"\.ApiKeys\[\d+\]", "(present)", "(absent)"),
    Rule("durability is a key of Millrace's own.",
         "CreateTopics DescribeConfigs", r".*\.Configs\[(log\.)?durability[a-z.]*\]", "(absent)", "(present)"),
    Rule("A freshly formatted Kafka cluster with eligible leader replicas writes min.insync.replicas=1 as a dynamic "
         "default of all brokers; Millrace needs no such note.",
         "CreateTopics DescribeConfigs", r".*\.Configs\[min\.insync\.replicas\]\.ConfigSource", 3, 5),
    Rule("Millrace says why in words where Kafka leaves the text of an error out.",
         ANY, r".*ErrorMessage", lambda kafka: kafka in (None, ""), "#text"),
    Rule("A topic that Metadata creates is there at once: the first answer has it, where Kafka's says "
         "UNKNOWN_TOPIC_OR_PARTITION and has it a moment later.",
         "Metadata", r"\.Topics\[[^]]*made-token\]\.(ErrorCode|TopicId|Partitions#)",
         lambda kafka: kafka in (3, "zero", 0)),
    Rule("Metadata for the topic id zero makes Kafka answer UNKNOWN_SERVER_ERROR, by accident (a null name); "
         "Millrace says INVALID_TOPIC_EXCEPTION.",
         "Metadata", r"(\.Topics\[0?\])?\.ErrorCode", -1, lambda ours: ours in (0, 17)),
    Rule("The same, and then Kafka names no broker, controller or cluster.",
         "Metadata", r"\.(Brokers#|ControllerId|ClusterId)", lambda kafka: kafka in (0, -1, None),
         scenario="metadata-1[23]"),
    Rule("Where Kafka trips over a value that it does not know (an isolation level, a negative limit) it says "
         "UNKNOWN_SERVER_ERROR; Millrace takes any isolation level but 1 for 0 and a negative limit for 0.",
         "Fetch ListOffsets", ".*", scenario="accident"),
    Rule("The same of a codec that does not exist (Millrace: UNSUPPORTED_COMPRESSION_TYPE), and of compressed bytes "
         "that are none (INVALID_RECORD).",
         "Produce", r".*\.ErrorCode", -1, lambda ours: ours in (76, 87), scenario="accident"),
    Rule("A partition that comes twice in a request: Kafka drops one and answers one; Millrace answers both, in their "
         "order, so that nothing that was sent is lost without a word.",
         "Produce Fetch ListOffsets", r".*\.(PartitionResponses|Partitions)#", 1, 2, scenario="repeated"),
    Rule("A topic without partitions in the request: Kafka leaves it out of the answer, Millrace answers it without "
         "partitions.",
         "Produce Fetch ListOffsets OffsetCommit OffsetDelete DeleteRecords", r"\.(Responses|Topics)#", 0, 1),
    Rule("At its limit Kafka cuts in the middle of a batch, which no client can use; Millrace sends whole batches.",
         "Fetch ShareFetch", r".*\.Records#", both=lambda kafka, ours: kafka == ours + 1,
         scenario="fetch_limits|share_few_bytes"),
    Rule("A duplicate of an idempotent producer is answered as it was the first time; Kafka says its greatest "
         "CreateTime as if it were the time of appending.",
         "Produce", r".*\.LogAppendTimeMs", lambda kafka: kafka != -1, -1),
    Rule("A producer of version 2 that a newer instance has fenced hears PRODUCER_FENCED of its EndTxn; Kafka takes "
         "its epoch for that of a retry and tells it the newer instance's.",
         "EndTxn", r"\.(ErrorCode|ProducerId|ProducerEpoch)", scenario="fenced_in_the_middle"),
    Rule("Records under a transactional id that is not their producer's, or of no producer, are refused "
         "(INVALID_PRODUCER_ID_MAPPING); Kafka does not look while a transaction is open on the partition.",
         "Produce", r".*\.(ErrorCode|BaseOffset|LogStartOffset|LogAppendTimeMs)",
         scenario="stranger_in_an_open|transactions_of_nobody"),
    Rule("A leader epoch below -1 is no epoch: Kafka takes it for one before the first.",
         "OffsetForLeaderEpoch", r".*\.(LeaderEpoch|EndOffset)", lambda kafka: kafka in (-2, 0), -1),
    Rule("Values of configuration are shown without the blanks around them.",
         "CreateTopics", r".*\.Configs\[retention\.ms\]\.Value", " 1000 ", "1000"),
    Rule("Kafka makes up a topic id even if CreateTopics is only to validate.",
         "CreateTopics", r".*\.TopicId", lambda kafka: kafka != "zero", "zero"),
    Rule("Offsets inside of a batch that are not 0, 1, 2 ... are put right; Kafka does so for compressed batches only.",
         "Fetch", r".*\.records\[\d\]\.off", lambda kafka: kafka in (0, 1), scenario="produce_wrong_batches"),
    Rule("An empty group.instance.id is refused as other bad ones are; Kafka lets it in.",
         "JoinGroup", r"\..*", ours=lambda ours: ours in (42, "", None, -1, 0), scenario="empty_instance"),
    Rule("A session of Fetch by topic ids knows a deleted topic by its id (UNKNOWN_TOPIC_ID); Kafka's remembers its "
         "name (UNKNOWN_TOPIC_OR_PARTITION, and INCONSISTENT_TOPIC_ID once another has it). Clients ask for metadata "
         "either way.",
         "Fetch", r".*\.(ErrorCode|AbortedTransactions)", lambda kafka: kafka in (3, 103, None),
         lambda ours: ours in (100, []), scenario="session_of_a_topic_that_goes"),
    Rule("A client id or a name that is no UTF-8 closes the connection; Kafka puts other characters in the "
         "place of such bytes.",
         "Metadata", r"\..*", scenario="headers_of_requests", ours=lambda ours: ours in ("(absent)", True)),
    Rule("A feature whose level says how Kafka's brokers keep something (its metadata log, replicas, share and streams "
         "groups) is not one of Millrace's.",
         "ApiVersions", r"\.(Finalized|Supported)Features\[[a-z.]+\]", "(present)", "(absent)"),
    Rule("The greatest timestamp is of a record that is there; Kafka finds deleted ones until their segment goes.",
         "ListOffsets", r".*\[0\]\.(Timestamp|Offset|LeaderEpoch)", ours=-1, scenario="delete_records"),
    Rule("broker.id, the older name of node.id, is a synonym of it.",
         "DescribeConfigs", r".*\.Configs\[node\.id\]\.Synonyms#", 1, 2),
    Rule("An empty name of a key, an operation that does not exist and a key of brokers that does not exist are "
         "INVALID_REQUEST; Kafka says INVALID_CONFIG, UNKNOWN_SERVER_ERROR, and nothing when it only validates.",
         "AlterConfigs IncrementalAlterConfigs", r".*\.ErrorCode", lambda kafka: kafka in (40, -1, 0), 42,
         asked=lambda q: any(row["Name"] in ("", "no.such.key") or row.get("ConfigOperation", 0) > 3
                             for one in q["Resources"] for row in one["Configs"])),
    Rule("One node without a quorum: epoch, end and listener are Millrace's own.",
         "DescribeQuorum", r".*\.(LeaderEpoch|HighWatermark|LogEndOffset|Name|Port)"),
    Rule("No error has no text.",
         "AlterPartitionReassignments", r"\.ErrorMessage", "", None),
    Rule("A share group is assigned as soon as its members change, not with the next heartbeat, and a new one has "
         "epoch 0.",
         "ShareGroupDescribe", r".*\.(Group|Assignment)Epoch"),
    Rule("Kafka takes a group without a name, and a topic id or a mode of acquiring that does not exist fails the "
         "whole request (UNKNOWN_SERVER_ERROR); Millrace refuses the name, tells the topic, and takes the mode for 0.",
         "ShareFetch ShareAcknowledge", ".*", scenario="share_accident"),
    Rule("Where a share group is, is told as it is; Kafka tells what it wrote last: nothing before the first "
         "acknowledgement, then where the group was one before.",
         "DescribeShareGroupOffsets", r".*\.StartOffset", both=lambda kafka, ours: kafka < ours),
    Rule("The same of its lag, in which Kafka counts markers of transactions.",
         "DescribeShareGroupOffsets", r".*\.Lag", both=lambda kafka, ours: kafka == -1 or kafka > ours),
    Rule("More than group.share.partition.max.record.locks are never locked; Kafka goes on to the end of a batch.",
         "ShareFetch", r".*\.(AcquiredRecords\[0\]\.(First|Last)Offset|Records\[0\]\.base)", scenario="share_limits"),
    Rule("A record that is delivered for the last time comes alone; Kafka gives fewer of a batch before that, too.",
         "ShareFetch", r".*\.AcquiredRecords\[0\]\.LastOffset", scenario="share_delivery_limit|share_locks_end",
         both=lambda kafka, ours: kafka < ours),
    Rule("Markers of transactions are not given to members; Kafka gives them, and clients say that they are gaps.",
         "ShareFetch", r".*\.(Records#|AcquiredRecords#|AcquiredRecords\[0\]\.LastOffset)",
         both=lambda kafka, ours: kafka == ours + 1, scenario="share_isolation"),
    Rule("If nothing is as young as share.auto.offset.reset=by_duration wants it, the group begins at the end; Kafka "
         "says OFFSET_NOT_AVAILABLE until there is something.",
         "ShareFetch", r".*\.ErrorCode", 78, 0, scenario="share_begins"),
    Rule("A value that is one of several words may be in capitals with every key; Kafka takes them with some.",
         "IncrementalAlterConfigs", r".*\.Error(Code|Message)", lambda kafka: kafka in (40, "#text"),
         lambda ours: ours in (0, None), scenario="keys_of_groups"),
    Rule("Two bytes behind a batch are INVALID_RECORD, as more than one batch is; Kafka checks the checksum first.",
         "Produce", r".*\.ErrorCode", 2, 87, scenario="produce_wrong_batches"),
]


def find(scenario, step, path, kafka, ours):
    return next((rule for rule in RULES if rule.covers(scenario, step, path, kafka, ours)), None)


def text():
    """The list for people."""
    rows = []
    for rule in RULES:
        apis = "all" if len(rule.apis) == len(sides_apis()) else ", ".join(rule.apis)
        rows.append(f"| {apis} | {rule.reason} |")
    return "\n".join(["# Where Millrace answers otherwise than Apache Kafka 4.3, and why", "",
                      "Made by explained.py; replay.py sees to it that each row is needed and none is missing.", "",
                      "| API | difference |", "|---|---|", *rows, ""])


def told():
    """Is the list for people the list?"""
    return (pathlib.Path(__file__).parent / "explained.md").read_text() == text()


if __name__ == "__main__":
    print(text(), end="")
