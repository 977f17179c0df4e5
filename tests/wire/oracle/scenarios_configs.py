"""Configuration: described, altered, listed."""

from oracle import each_version, scenario

TOPIC, BROKER, LOGGER, CLIENTS, GROUP = 2, 4, 8, 16, 32
KEYS = ["retention.ms", "cleanup.policy", "max.message.bytes", "compression.type", "message.timestamp.type",
        "segment.bytes", "delete.retention.ms", "min.cleanable.dirty.ratio", "preallocate"]
BROKER_KEYS = ["num.partitions", "log.retention.ms", "compression.type", "message.max.bytes",
               "auto.create.topics.enable", "log.cleaner.delete.retention.ms",
               "node.id", "group.max.session.timeout.ms"]


def described(both, v, *resources, **more):
    rows = [{"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys} for kind, name, keys in resources]
    return both.ask("DescribeConfigs", v, {"Resources": rows, **more})


def text(rows):
    return [{"Name": name, "Value": value} for name, value in rows.items()]


@each_version("DescribeConfigs")
def describe_configs(both, v):
    topic, _ = both.topic("a", retention_ms=1000, cleanup_policy="compact")
    for more in ({}, {"IncludeSynonyms": True}, {"IncludeDocumentation": True}):
        described(both, v, (TOPIC, topic, KEYS), **more)
    described(both, v, (TOPIC, topic, None))
    described(both, v, (TOPIC, topic, []))
    described(both, v, (TOPIC, topic, ["no.such.key", "retention.ms"]))
    described(both, v, (TOPIC, topic, ["retention.ms", "retention.ms"]))
    described(both, v, (TOPIC, both.topic_name("never"), KEYS))
    described(both, v, (TOPIC, "a/b", KEYS))
    described(both, v, (TOPIC, "", KEYS))
    described(both, v, (TOPIC, topic, ["retention.ms"]), (TOPIC, both.topic_name("never"), None))
    for more in ({}, {"IncludeSynonyms": True}):
        described(both, v, (BROKER, "1", BROKER_KEYS), **more)
    described(both, v, (BROKER, "", ["message.max.bytes"]))
    described(both, v, (BROKER, "7", BROKER_KEYS))
    described(both, v, (BROKER, "x", BROKER_KEYS))
    described(both, v, (BROKER, "1", ["no.such.key"]))
    described(both, v, (99, "x", None))
    described(both, v, (0, "x", None))
    both.ask("DescribeConfigs", v, {"Resources": []})


def alter(both, v, kind, name, rows, validate=False):
    return both.ask("AlterConfigs", v, {"ValidateOnly": validate, "Resources": [
        {"ResourceType": kind, "ResourceName": name, "Configs": text(rows)}]})


def shows(both, topic, key, value):
    """Kafka's broker has heard of it."""
    both.of_kafka("DescribeConfigs", 4, {"Resources": [{"ResourceType": TOPIC, "ResourceName": topic,
                                                        "ConfigurationKeys": [key]}]},
                  lambda answer: answer["Results"][0]["Configs"][0]["Value"] == value)


WRONG = [{"no.such.key": "1"}, {"retention.ms": "soon"}, {"retention.ms": "-2"}, {"cleanup.policy": "burn"},
         {"retention.ms": ""}, {"retention.ms": None}, {"compression.type": "rar"}, {"preallocate": "perhaps"},
         {"min.compaction.lag.ms": "2000", "max.compaction.lag.ms": "1000"}, {"remote.storage.enable": "true"},
         {"": "1"}]


@each_version("AlterConfigs")
def alter_configs(both, v):
    topic, _ = both.topic("a", retention_ms=1000, cleanup_policy="compact")
    alter(both, v, TOPIC, topic, {"retention.ms": "2000"}, validate=True)
    alter(both, v, TOPIC, topic, {"retention.ms": "2000", "segment.bytes": "1048576"})
    shows(both, topic, "retention.ms", "2000")
    described(both, 4, (TOPIC, topic, KEYS), IncludeSynonyms=True)
    for rows in WRONG:
        alter(both, v, TOPIC, topic, rows)
    described(both, 4, (TOPIC, topic, KEYS))
    alter(both, v, TOPIC, topic, {})
    shows(both, topic, "retention.ms", "604800000")
    described(both, 4, (TOPIC, topic, KEYS))
    alter(both, v, TOPIC, both.topic_name("never"), {"retention.ms": "1"})
    alter(both, v, TOPIC, "a/b", {"retention.ms": "1"})
    alter(both, v, TOPIC, "", {"retention.ms": "1"})
    alter(both, v, BROKER, "7", {"message.max.bytes": "1000000"}, validate=True)
    alter(both, v, BROKER, "x", {"message.max.bytes": "1000000"}, validate=True)
    alter(both, v, BROKER, "1", {"node.id": "1000000"}, validate=True)
    alter(both, v, 99, "x", {"a": "b"})
    both.ask("AlterConfigs", v, {"Resources": []})


def change(both, v, kind, name, *rows, validate=False):
    """rows: (operation, key, value); 0 set, 1 delete, 2 append, 3 subtract"""
    return both.ask("IncrementalAlterConfigs", v, {"ValidateOnly": validate, "Resources": [
        {"ResourceType": kind, "ResourceName": name, "Configs": [
            {"Name": key, "ConfigOperation": operation, "Value": value} for operation, key, value in rows]}]})


@each_version("IncrementalAlterConfigs")
def incremental_alter_configs(both, v):
    topic, _ = both.topic("a", retention_ms=1000)
    change(both, v, TOPIC, topic, (0, "retention.ms", "2000"), validate=True)
    change(both, v, TOPIC, topic, (0, "retention.ms", "2000"), (0, "segment.bytes", "1048576"))
    shows(both, topic, "retention.ms", "2000")
    described(both, 4, (TOPIC, topic, KEYS), IncludeSynonyms=True)
    change(both, v, TOPIC, topic, (2, "cleanup.policy", "compact"))
    shows(both, topic, "cleanup.policy", "delete,compact")
    change(both, v, TOPIC, topic, (3, "cleanup.policy", "delete"))
    shows(both, topic, "cleanup.policy", "compact")
    change(both, v, TOPIC, topic, (3, "cleanup.policy", "burn"))
    change(both, v, TOPIC, topic, (2, "cleanup.policy", "burn"))
    change(both, v, TOPIC, topic, (2, "retention.ms", "5"))
    change(both, v, TOPIC, topic, (3, "retention.ms", "5"))
    change(both, v, TOPIC, topic, (7, "retention.ms", "5"))
    change(both, v, TOPIC, topic, (0, "retention.ms", "5"), (1, "retention.ms", None))
    for rows in WRONG:
        change(both, v, TOPIC, topic, *((0, key, value) for key, value in rows.items()))
    change(both, v, TOPIC, topic, (1, "no.such.key", None))
    change(both, v, TOPIC, topic, (1, "retention.ms", None), (1, "cleanup.policy", None))
    shows(both, topic, "retention.ms", "604800000")
    described(both, 4, (TOPIC, topic, KEYS))
    change(both, v, TOPIC, topic)
    change(both, v, TOPIC, both.topic_name("never"), (0, "retention.ms", "1"))
    change(both, v, TOPIC, "a/b", (0, "retention.ms", "1"))
    change(both, v, BROKER, "7", (0, "message.max.bytes", "1000000"), validate=True)
    change(both, v, BROKER, "1", (0, "node.id", "1000000"), validate=True)
    change(both, v, BROKER, "1", (0, "no.such.key", "1"), validate=True)
    change(both, v, 99, "x", (0, "a", "b"))
    both.ask("IncrementalAlterConfigs", v, {"Resources": []})
    both.ask("IncrementalAlterConfigs", v, {"Resources": [
        {"ResourceType": TOPIC, "ResourceName": topic, "Configs": [{"Name": "retention.ms", "Value": "1"}]},
        {"ResourceType": TOPIC, "ResourceName": topic, "Configs": [{"Name": "retention.ms", "Value": "2"}]}]})


@each_version("ListConfigResources")
def list_config_resources(both, v):
    topic, _ = both.topic("a")
    group = both.topic_name("group")
    change(both, 1, GROUP, group, (0, "consumer.session.timeout.ms", "50000"))
    for kinds in ([], [TOPIC], [BROKER], [GROUP], [CLIENTS], [TOPIC, BROKER], [99], [0]) if v else ((),):
        both.ask("ListConfigResources", v, {"ResourceTypes": list(kinds)}, mine=True)


@scenario
def group_configs(both):
    group = both.topic_name("group")
    described(both, 4, (GROUP, group, None))
    described(both, 4, (GROUP, "", None))
    change(both, 1, GROUP, group, (0, "consumer.session.timeout.ms", "50000"))
    both.of_kafka("DescribeConfigs", 4, {"Resources": [{"ResourceType": GROUP, "ResourceName": group,
                                                        "ConfigurationKeys": ["consumer.session.timeout.ms"]}]},
                  lambda answer: answer["Results"][0]["Configs"][0]["Value"] == "50000")
    described(both, 4, (GROUP, group, ["consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"]))
    change(both, 1, GROUP, group, (0, "consumer.session.timeout.ms", "5"))
    change(both, 1, GROUP, group, (0, "no.such.key", "5"))
    change(both, 1, GROUP, group, (1, "consumer.session.timeout.ms", None))
