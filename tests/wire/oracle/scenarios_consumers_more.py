"""Groups of the consumer protocol, further: who is assigned what, expressions, limits, and what happens when time is
up. Which partitions the uniform assignor takes from whom is each broker's choice, so that is not asked."""

from oracle import scenario
from scenarios_consumer_groups import GROUP, at_once, beat, describe, enter, join, leave, owned, sync

SHORT_MS = 1500


def configure(both, group, **values):
    """Keys of a group, with "_" for "."; what is refused is refused."""
    rows = [{"Name": key.replace("_", "."), "ConfigOperation": 0 if value is not None else 1, "Value": value}
            for key, value in values.items()]
    return both.ask("IncrementalAlterConfigs", 1, {"Resources": [
        {"ResourceType": GROUP, "ResourceName": group, "Configs": rows}]})


def in_force(both, group, key, value):
    """All parts of Kafka know it."""
    both.of_kafka("DescribeConfigs", 4, {"Resources": [{"ResourceType": GROUP, "ResourceName": group,
                                                        "ConfigurationKeys": [key]}]},
                  lambda answer: answer["Results"][0]["Configs"][0]["Value"] == value)


def assign(both, assignor, subscriptions, sizes, rounds=3):
    """Members come one after the other and do as they are told; then each says what it has."""
    topics = {name: both.topic(name, size) for name, size in sizes.items()}
    group = both.topic_name("group")
    at_once(both, group)
    epochs, has = {}, {}

    def take(member, answer):
        epochs[member] = answer["MemberEpoch"]
        if answer["Assignment"] is not None:
            has[member] = answer["Assignment"]["TopicPartitions"]
    for member, names in subscriptions.items():
        take(member, enter(both, 1, group, member, *(topics[n][0] for n in names), ServerAssignor=assignor))
        for _ in range(rounds):
            for one in epochs:
                take(one, beat(both, 1, group, one, epochs[one], TopicPartitions=has.get(one, [])))
    if all(len(names) == 1 for names in subscriptions.values()):
        describe(both, group)
    for member in list(epochs)[:-1]:
        leave(both, 1, group, member)
        last = list(epochs)[-1]
        for _ in range(rounds):
            take(last, beat(both, 1, group, last, epochs[last], TopicPartitions=has.get(last, [])))


@scenario
def assignor_range(both):
    assign(both, "range", {"a": "t", "b": "t", "c": "t"}, {"t": 5})


@scenario
def assignor_range_of_two_topics(both):
    assign(both, "range", {"a": "tu", "b": "tu"}, {"t": 3, "u": 3})


@scenario
def assignor_range_of_different_topics(both):
    assign(both, "range", {"a": "t", "b": "tu", "c": "u"}, {"t": 3, "u": 4})


@scenario
def assignor_that_is_none(both):
    topic = both.topic("t")[0]
    group = both.topic_name("group")
    at_once(both, group)
    for name in ("sticky", "", "Range"):
        enter(both, 1, group, "m", topic, ServerAssignor=name)
    enter(both, 1, group, "m", topic, ServerAssignor="range")
    enter(both, 1, group, "n", topic, ServerAssignor="uniform")
    enter(both, 1, group, "o", topic)
    describe(both, group)


@scenario
def expressions(both):
    """SubscribedTopicRegex: RE2's, for whole names; looked up when it comes, and when topics change."""
    one, _ = both.topic("x1")
    both.topic("x2")
    group = both.topic_name("group")
    at_once(both, group)

    def enters(member, regex, *topics, **more):
        return both.ask("ConsumerGroupHeartbeat", 1, {
            "GroupId": group, "MemberId": member, "MemberEpoch": 0, "RebalanceTimeoutMs": 60000,
            "SubscribedTopicNames": list(topics) if topics else None, "SubscribedTopicRegex": regex,
            "TopicPartitions": [], **more})

    for wrong in ("[", "(", "a{2,1}", "(?<n>a", "*", "\\"):
        enters("w", wrong)
    body = {"GroupId": group, "MemberId": "m", "MemberEpoch": 0, "RebalanceTimeoutMs": 60000,
            "SubscribedTopicRegex": one.replace(".", "[.]") + ".*", "TopicPartitions": []}
    both.of_kafka("ConsumerGroupHeartbeat", 1, body,            # it looks expressions up while the member waits
                  lambda answer: answer["ErrorCode"] == 0 and answer["Assignment"]["TopicPartitions"])
    enters("m", body["SubscribedTopicRegex"])
    describe(both, group)
    both.ask("ConsumerGroupHeartbeat", 1, {**body, "MemberId": "n", "SubscribedTopicNames": ["not.there"],
                                           "SubscribedTopicRegex": ""})
    leave(both, 1, group, "n")
    leave(both, 1, group, "m")


@scenario
def consumers_are_too_many(both):
    topic, group = both.topic_name("never"), both.topic_name("group")
    at_once(both, group)
    for name in "abcd":
        enter(both, 1, group, name, topic)
    enter(both, 1, group, "e", topic)
    enter(both, 1, group, "a", topic)
    leave(both, 1, group, "d")
    enter(both, 1, group, "e", topic)


@scenario
def keys_of_groups(both):
    """Dynamic, within the broker's bounds."""
    group, topic = both.topic_name("group"), both.topic("t")[0]
    for key, values in {
            "consumer.session.timeout.ms": ("1499", "60001", "45000", "x", "-1", "", "2147483648"),
            "consumer.heartbeat.interval.ms": ("999", "15001", "7000", "x", "-1"),
            "consumer.assignment.interval.ms": ("-1", "15001", "100"),
            "share.session.timeout.ms": ("1499", "60001", "50000"),
            "share.heartbeat.interval.ms": ("999", "15001", "6000"),
            "share.record.lock.duration.ms": ("999", "60001", "20000", "x"),
            "share.delivery.count.limit": ("1", "11", "3"),
            "share.partition.max.record.locks": ("99", "4001", "150"),
            "share.isolation.level": ("read", "READ_COMMITTED", "read_committed"),
            "share.auto.offset.reset": ("first", "earliest"),
            "share.renew.acknowledge.enable": ("yes", "false"),
            "consumer.nothing": ("1",)}.items():
        for value in values:
            configure(both, group, **{key: value})
    in_force(both, group, "share.renew.acknowledge.enable", "false")
    both.ask("DescribeConfigs", 4, {"IncludeSynonyms": True, "Resources": [
        {"ResourceType": GROUP, "ResourceName": group, "ConfigurationKeys": None}]})
    enter(both, 1, group, "m", topic)
    leave(both, 1, group, "m")
    configure(both, group, **{"consumer.session.timeout.ms": "8000", "consumer.heartbeat.interval.ms": "9000"})
    configure(both, group, **{"share.session.timeout.ms": "6000"})


@scenario
def consumer_sessions_expire(both):
    topic, id = both.topic("t", 1)
    group = both.topic_name("group")
    at_once(both, group)
    configure(both, group, **{"consumer.heartbeat.interval.ms": "1000"})
    configure(both, group, **{"consumer.session.timeout.ms": str(SHORT_MS)})
    in_force(both, group, "consumer.session.timeout.ms", str(SHORT_MS))
    enter(both, 1, group, "m", topic)
    enter(both, 1, group, "s", topic, InstanceId="i")
    both.ask("ConsumerGroupDescribe", 1, {"GroupIds": [group]},
             until=lambda answer: answer["Groups"][0]["GroupState"] == "Empty")
    beat(both, 1, group, "m", 2)
    beat(both, 1, group, "s", 3, InstanceId="i")
    leave(both, 1, group, "m")


@scenario
def consumer_keeps_what_it_should_give(both):
    """Its time for a rebalance is up: it is out."""
    topic, id = both.topic("t", 1)
    other, other_id = both.topic("u", 1)
    group = both.topic_name("group")
    at_once(both, group)
    both.ask("ConsumerGroupHeartbeat", 1, {"GroupId": group, "MemberId": "m", "MemberEpoch": 0,
                                           "RebalanceTimeoutMs": SHORT_MS, "SubscribedTopicNames": [topic],
                                           "TopicPartitions": []})
    beat(both, 1, group, "m", 2, TopicPartitions=owned((id, [0])))
    beat(both, 1, group, "m", 2, SubscribedTopicNames=[other], TopicPartitions=owned((id, [0])))
    enter(both, 1, group, "n", topic)
    describe(both, group)
    both.ask("ConsumerGroupDescribe", 1, {"GroupIds": [group]},
             until=lambda answer: len(answer["Groups"][0]["Members"]) == 1)
    beat(both, 1, group, "m", 2)
    both.ask("ConsumerGroupHeartbeat", 1, {"GroupId": group, "MemberId": "n", "MemberEpoch": 0,
                                           "RebalanceTimeoutMs": 60000, "SubscribedTopicNames": [topic],
                                           "TopicPartitions": []})


@scenario
def classic_member_among_consumers_is_late(both):
    """It does not join again when it should, or its session ends."""
    topic, id = both.topic("t", 1)
    group = both.topic_name("group")
    at_once(both, group)
    enter(both, 1, group, "m", topic)
    first = join(both, group, "", topic, SessionTimeoutMs=SHORT_MS)
    sync(both, group, first["MemberId"], first["GenerationId"])
    describe(both, group)
    both.ask("ConsumerGroupDescribe", 1, {"GroupIds": [group]},
             until=lambda answer: len(answer["Groups"][0]["Members"]) == 1)
    both.ask("Heartbeat", 3, {"GroupId": group, "MemberId": first["MemberId"], "GenerationId": first["GenerationId"]})
    sync(both, group, first["MemberId"], first["GenerationId"])
    join(both, group, first["MemberId"], topic)


@scenario
def share_sessions_expire(both):
    topic = both.topic("t", 1)[0]
    group = both.topic_name("group")
    configure(both, group, **{"share.heartbeat.interval.ms": "1000", "share.assignment.interval.ms": "0"})
    configure(both, group, **{"share.session.timeout.ms": str(SHORT_MS)})
    in_force(both, group, "share.session.timeout.ms", str(SHORT_MS))
    both.ask("ShareGroupHeartbeat", 1, {"GroupId": group, "MemberId": "m", "MemberEpoch": 0,
                                        "SubscribedTopicNames": ["not.there"]})
    both.ask("ShareGroupDescribe", 1, {"GroupIds": [group]},
             until=lambda answer: answer["Groups"][0]["GroupState"] == "Empty")
    both.ask("ShareGroupHeartbeat", 1, {"GroupId": group, "MemberId": "m", "MemberEpoch": "#epoch1"})
    both.ask("ShareGroupHeartbeat", 1, {"GroupId": group, "MemberId": "m", "MemberEpoch": -1})
    both.ask("DeleteGroups", 2, {"GroupsNames": [group]})
