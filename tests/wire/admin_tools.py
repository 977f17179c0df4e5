"""admin_tools.py - what Kafka's own administration tools say of this broker.

Without the jars of Apache Kafka (jvm.py) all is skipped.
"""

import json
import re

import harness
import jvm

_shared = None


def broker():
    global _shared
    if _shared is None:
        _shared = harness.Broker({"node.id": 1})
    return _shared


def tool(name, *words, check=True):
    """What a tool says on stdout; `name` is a class below org.apache.kafka.tools, or ConfigCommand."""
    name = "kafka.admin.ConfigCommand" if name == "ConfigCommand" else jvm.TOOLS + name
    ended = harness.run(jvm.command(name, "--bootstrap-server", broker().bootstrap, *words), timeout_s=90, check=check)
    return ended.stdout.decode() + ("" if check else ended.stderr.decode())


def configure(kind, name, *words, check=True):
    return tool("ConfigCommand", "--entity-type", kind, *(["--entity-name", name] if name else ["--entity-default"]),
                *words, check=check)


def topic(partitions=1):
    name = harness.unique("admin")
    harness.millrace("topics", "create", name, "-p", str(partitions), broker=broker())
    return name


def values(text):
    """key=value lines of --describe, with where the value comes from."""
    return dict(re.findall(r"^  (\S+?=\S*) sensitive=false synonyms=\{(\w+)?", text, re.M))


def test_topic_configs():
    name = topic()
    assert "Completed updating" in configure("topics", name, "--alter", "--add-config",
                                             "retention.ms=5000,cleanup.policy=[compact,delete],durability=fsync")
    told = values(configure("topics", name, "--describe"))
    assert told == dict.fromkeys(["retention.ms=5000", "cleanup.policy=compact,delete", "durability=fsync"],
                                 "DYNAMIC_TOPIC_CONFIG"), told
    configure("topics", name, "--alter", "--delete-config", "retention.ms,cleanup.policy,durability")
    wrong = configure("topics", name, "--alter", "--add-config", "nope=5", check=False)
    assert "InvalidConfigurationException" in wrong and "nope" in wrong, wrong
    assert values(configure("topics", name, "--describe")) == {}


def test_broker_configs_have_effect_and_stay():
    name = topic()
    configure("brokers", "", "--alter", "--add-config", "log.retention.ms=77000")
    assert values(configure("brokers", "", "--describe")) == {
        "log.retention.ms=77000": "DYNAMIC_DEFAULT_BROKER_CONFIG"}
    broker().restart(crash=True)
    said = configure("topics", name, "--describe", "--all")
    assert values(said)["retention.ms=77000"] == "DYNAMIC_DEFAULT_BROKER_CONFIG", said
    configure("brokers", "", "--alter", "--delete-config", "log.retention.ms")
    wrong = configure("brokers", "1", "--alter", "--add-config", "num.partitions=5", check=False)
    assert "InvalidRequestException" in wrong and "dynamically" in wrong, wrong


def test_group_configs():
    group = harness.unique("group")
    configure("groups", group, "--alter", "--add-config", "consumer.session.timeout.ms=50000")
    said = configure("groups", group, "--describe")
    assert values(said) == {"consumer.session.timeout.ms=50000": "DYNAMIC_GROUP_CONFIG"}, said
    wrong = configure("groups", group, "--alter", "--add-config", "consumer.session.timeout.ms=5", check=False)
    assert "InvalidConfigurationException" in wrong, wrong


def test_records_are_deleted():
    name = topic(2)
    harness.millrace("produce", name, "-q", "--partition", "0", input=b"a\nb\nc\n", broker=broker())
    path = broker().directory / "delete.json"
    path.write_text(json.dumps({"version": 1, "partitions": [{"topic": name, "partition": 0, "offset": 2},
                                                             {"topic": name, "partition": 1, "offset": 5}]}))
    said = tool("DeleteRecordsCommand", "--offset-json-file", str(path))
    assert f"partition: {name}-0\tlow_watermark: 2" in said, said
    assert re.search(rf"partition: {name}-1\terror: .*OffsetOutOfRange", said), said
    left = harness.json_lines(harness.millrace("consume", name, "--json", broker=broker()).stdout)
    assert [row["value"] for row in left] == ["c"], left


def test_log_dirs():
    name = topic(2)
    harness.millrace("produce", name, "-q", "--partition", "1", input=b"a\n", broker=broker())
    said = tool("LogDirsCommand", "--describe", "--topic-list", name)
    told = json.loads(said.splitlines()[-1])["brokers"][0]["logDirs"][0]
    sizes = {row["partition"]: row["size"] for row in told["partitions"]}
    assert told["error"] is None and sizes[f"{name}-0"] == 0 and 60 < sizes[f"{name}-1"] < 200, said


def test_features_and_quorum():
    said = tool("FeatureCommand", "describe")
    assert re.search(r"metadata\.version\s.*FinalizedVersionLevel: 4\.3-IV0", said), said
    said = tool("MetadataQuorumCommand", "describe", "--status")
    assert re.search(r"^LeaderId:\s+1$", said, re.M) and re.search(r"^MaxFollowerLag:\s+0$", said, re.M), said


def test_one_node_needs_no_moves():
    name = topic()
    path = broker().directory / "move.json"
    path.write_text(json.dumps({"version": 1, "partitions": [{"topic": name, "partition": 0, "replicas": [1]}]}))
    words = ["reassign.ReassignPartitionsCommand", "--reassignment-json-file", str(path)]
    assert f"Successfully started partition reassignment for {name}-0" in tool(*words, "--execute")
    assert f"Reassignment of partition {name}-0 is completed." in tool(*words, "--verify")
    said = tool("LeaderElectionCommand", "--election-type", "preferred", "--topic", name, "--partition", "0")
    assert f"Valid replica already elected for partitions {name}-0" in said, said


def test_no_login_and_no_rules():
    """Said at once: without an answer to the login the tool tries again for a minute, and does not say why."""
    assert "SecurityDisabledException" in tool("AclCommand", "--list", check=False)
    path = broker().directory / "sasl.properties"
    path.write_text("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common."
                    'security.plain.PlainLoginModule required username="u" password="p";\n')
    said = tool("TopicCommand", "--list", "--command-config", path, check=False)
    assert "Unexpected handshake request with client mechanism PLAIN" in said, said


def test_api_versions():
    said = tool("BrokerApiVersionsCommand")
    listed = {int(key): words for key, words in re.findall(r"\w+\((\d+)\): (.*?),?$", said, re.M)}
    assert listed[0] == "0 to 13 [usable: 13]" and listed[1] == "4 to 18 [usable: 18]", said
    assert listed[68] == "UNSUPPORTED" or "usable" in listed[68], said
    served = {key for key, words in listed.items() if "usable" in words}
    table = harness.millrace("serve", "--print-apis").stdout.decode().split("\n\n")[0].splitlines()[1:]
    assert served == {int(line.split()[0]) for line in table}, served


if __name__ == "__main__":
    harness.main(globals())
