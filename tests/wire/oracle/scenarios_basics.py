"""The first things that clients ask: ApiVersions, Metadata, DescribeCluster, FindCoordinator; and frames that nobody
should send."""

import struct

from oracle import each_version, scenario

NO_UUID = "0" * 32
UNKNOWN_UUID = "1234567890abcdef" * 2


@each_version("ApiVersions")
def api_versions(both, v):
    both.ask("ApiVersions", v, {"ClientSoftwareName": "oracle", "ClientSoftwareVersion": "1.0"})
    for name, version in (("", "1"), ("a", ""), ("-a", "1"), ("a-", "1"), ("a b", "1"), ("a.b-c", "1.2-rc1"),
                          ("é", "1"), ("a", "1_2"), ("a" * 300, "1")):
        both.ask("ApiVersions", v, {"ClientSoftwareName": name, "ClientSoftwareVersion": version})


@scenario
def api_versions_unknown(both):
    for version in (5, 6, 99, 32767):
        frame = struct.pack(">hhih", 18, version, 7, 1) + b"c" + b"\0\2a\2b\0"
        both.raw(struct.pack(">i", len(frame)) + frame, k="ApiVersions", v=0)
    frame = struct.pack(">hhih", 18, -1, 7, 1) + b"c"
    both.raw(struct.pack(">i", len(frame)) + frame)


@scenario
def frames_of_nobody(both):
    """Unknown keys and versions close the connection."""
    for key, version in ((4, 0), (5, 0), (7, 3), (999, 0), (-1, 0), (3, 99), (3, -1), (0, 2), (1, 3), (52, 0), (8, 1)):
        frame = struct.pack(">hhih", key, version, 9, 1) + b"c\0\0\0\0\0\0\0\0"
        both.raw(struct.pack(">i", len(frame)) + frame)
    for body in (b"", b"\0", b"\0\0\0\1\0", b"\x7f\xff\xff\xff"):
        frame = struct.pack(">hhih", 3, 5, 9, 1) + b"c" + body
        both.raw(struct.pack(">i", len(frame)) + frame)
    both.raw(struct.pack(">i", -1) + b"xxxx")
    both.raw(struct.pack(">i", 2) + b"\0\3")


@each_version("Metadata")
def metadata(both, v):
    more = {"IncludeClusterAuthorizedOperations": True, "IncludeTopicAuthorizedOperations": True}
    name, uuid = both.topic("a", 3)
    other, _ = both.topic("b", 1)
    by_name = [{"Name": name}]
    no_create = {"AllowAutoTopicCreation": False}
    if v:
        both.ask("Metadata", v, {"Topics": []})
        both.ask("Metadata", v, {"Topics": None, **no_create}, mine=True)
        both.ask("Metadata", v, {"Topics": None, **no_create, **more}, mine=True)
    else:
        both.ask("Metadata", v, {"Topics": []}, mine=True)
    both.ask("Metadata", v, {"Topics": by_name})
    both.ask("Metadata", v, {"Topics": by_name, **more})
    both.ask("Metadata", v, {"Topics": [{"Name": other}, {"Name": name}], **no_create})
    both.ask("Metadata", v, {"Topics": [{"Name": name}, {"Name": name}], **no_create})
    for wrong in ("a/b", "", ".", "..", "x" * 250, "ümlaut", "with space"):
        both.ask("Metadata", v, {"Topics": [{"Name": wrong}], **no_create})
        if v < 4 and wrong:
            both.ask("Metadata", v, {"Topics": [{"Name": wrong}, {"Name": name}]})
    if v >= 4:
        both.ask("Metadata", v, {"Topics": [{"Name": both.topic_name("unknown")}], **no_create})
    made = both.topic_name("made")
    both.ask("Metadata", v, {"Topics": [{"Name": made}]})
    both.rest(made, 4)
    both.ask("Metadata", v, {"Topics": [{"Name": made}]},
             until=lambda a: a["Topics"][0]["ErrorCode"] == 0)
    if v >= 10:
        both.ask("Metadata", v, {"Topics": [{"TopicId": uuid, "Name": None}], **no_create})
        both.ask("Metadata", v, {"Topics": [{"TopicId": UNKNOWN_UUID, "Name": None}], **no_create})
        both.ask("Metadata", v, {"Topics": [{"TopicId": uuid, "Name": None}, {"TopicId": UNKNOWN_UUID, "Name": None}],
                                 **no_create})
        both.ask("Metadata", v, {"Topics": [{"TopicId": uuid, "Name": name}], **no_create})
        both.ask("Metadata", v, {"Topics": [{"TopicId": NO_UUID, "Name": None}], **no_create})
        both.ask("Metadata", v, {"Topics": [{"TopicId": uuid, "Name": None}, {"Name": other}], **no_create})


@each_version("DescribeCluster")
def describe_cluster(both, v):
    for operations in (False, True):
        for fenced in (False, True) if v >= 2 else (False,):
            both.ask("DescribeCluster", v, {"IncludeClusterAuthorizedOperations": operations,
                                            "IncludeFencedBrokers": fenced})
    if v >= 1:
        for kind in (0, 2, 3):
            both.ask("DescribeCluster", v, {"EndpointType": kind})


@each_version("FindCoordinator")
def find_coordinator(both, v):
    if v < 4:
        for kind in (0, 1, 2, 3, -1) if v else (0,):
            for key in ("group", "", "ünicode", "x" * 300):
                both.ask("FindCoordinator", v, {"Key": key, "KeyType": kind})
        return
    for kind in (0, 1, 3, -1):
        for keys in (["group"], ["a", "b", "a"], [""], []):
            both.ask("FindCoordinator", v, {"CoordinatorKeys": keys, "KeyType": kind})
