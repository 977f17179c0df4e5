"""play.py - the steps of a scenario against our broker, beside what Apache Kafka answered to the same.

A step is a dict, one line of a recorded file:
    c, k, v, q, a      on connection c: API k, version v, request q; a is Kafka's answer
    raw                hex of a whole frame instead of q; k and v, if there, are of the answer
    send, receive      a number: the answer is not awaited with the request but at "receive"
    close              a connection is closed
    mute               true: no answer comes (acks=0); the next one shows that none did
    until              Kafka needed several tries, so ours may
    mine               rows about other scenarios are left out
    scenario           the beginning of one, with its name
"""

import gzip
import json
import pathlib
import time

import explained
import sides

RECORDED = pathlib.Path(__file__).resolve().parent / "recorded"
UNTIL_S = 10
READS_ON_MIN = 1 << 20      # with less a limit is what is asked about


class Report:
    def __init__(self):
        self.pairs, self.unexplained, self.used, self.scenarios = {}, [], {}, 0

    def add(self, scenario, step, found):
        name = f"{step['k']} {step['v']}" if "k" in step else "raw frames"
        self.pairs[name] = self.pairs.get(name, 0) + 1
        for path, kafka, ours in found:
            rule = explained.find(scenario, step, path, kafka, ours)
            if rule:
                self.used[rule] = self.used.get(rule, 0) + 1
            else:
                self.unexplained.append((scenario, name, path, kafka, ours, step.get("q")))

    def include(self, other):
        """What another one has counted is of this one, too."""
        for mine, others in ((self.pairs, other.pairs), (self.used, other.used)):
            for key, count in others.items():
                mine[key] = mine.get(key, 0) + count
        self.unexplained += other.unexplained
        self.scenarios += other.scenarios

    @property
    def count(self):
        return sum(self.pairs.values())

    def per_api(self):
        """{API: pairs} of all versions."""
        out = {}
        for name, count in self.pairs.items():
            api = name.rpartition(" ")[0]
            out[api] = out.get(api, 0) + count
        return dict(sorted(out.items()))

    def unused(self):
        return [rule for rule in explained.RULES if rule not in self.used]


def compare(side, step, answer):
    """Differences; what our broker's own values stand for is learnt only if there are none."""
    actual, symbol = dict(side.actual), dict(side.symbol)
    found = sides.differences(step["a"], answer, side)
    if found:
        learnt = side.actual, side.symbol
        side.actual, side.symbol = actual, symbol
        return found, learnt
    return found, None


def play(side, scenario, step, pending):
    """One step; the differences of its answer, or None if it has none to compare."""
    if "close" in step:
        side.close(step["close"])
        return None
    if "receive" in step:
        sent, correlation = pending.pop(step["receive"])
        step = {**sent, **step}
        return settle(side, *compare(side, step, side.receive(step, correlation)))
    end = time.monotonic() + UNTIL_S
    while True:
        correlation = side.send(step)
        if "send" in step:
            pending[step["send"]] = (step, correlation)
            return None
        if step.get("mute"):
            return []
        found, learnt = compare(side, step, read_on(side, step, side.receive(step, correlation)))
        if not step.get("until") or time.monotonic() > end or all(
                explained.find(scenario, step, *difference) for difference in found):
            return settle(side, found, learnt)
        time.sleep(0.02)


def read_on(side, step, answer):
    """A fetch may end early, and ours does where records go on in another place: in a file what is older than a second,
    else in memory. As a client does it then, we ask for the rest of each partition, up to what Kafka had."""
    if step.get("k") != "Fetch" or "raw" in step or "send" in step or step["q"].get("SessionEpoch", -1) != -1:
        return answer
    if READS_ON_MIN <= step["q"].get("MaxBytes", 1 << 30):
        for topic in step["q"]["Topics"]:
            for row in topic["Partitions"]:
                read_partition_on(side, step, topic, row, answer)
    return answer


def read_partition_on(side, step, topic, row, answer):
    wanted, told = row_of(step["a"], topic, row), row_of(answer, topic, row)
    if not (wanted and told) or row["PartitionMaxBytes"] < READS_ON_MIN or told["ErrorCode"]:
        return
    have, kafka = told["Records"] or [], wanted["Records"] or []
    while have and len(have) < len(kafka) and "cut" not in have[-1]:
        rest = {**topic, "Partitions": [{**row, "FetchOffset": have[-1]["base"] + have[-1]["last"] + 1}]}
        again = {**step, "q": {**step["q"], "Topics": [rest]}}
        more = row_of(side.receive(again, side.send(again)), topic, row)
        if not more or not more["Records"]:
            break
        have += more["Records"]
        known = told.get("AbortedTransactions") or []
        for one in more.get("AbortedTransactions") or []:
            if repr(one) not in map(repr, known):
                told["AbortedTransactions"] = known = [*known, one]


def row_of(answer, topic, asked):
    """What the answer says of a partition, if it is told once."""
    found = [row for one in answer.get("Responses") or []
             if all(one.get(key, topic.get(key)) == topic.get(key) for key in ("Topic", "TopicId"))
             for row in one["Partitions"] if row["PartitionIndex"] == asked.get("Partition", 0)]
    return found[0] if len(found) == 1 else None


def settle(side, found, learnt):
    if learnt:
        side.actual, side.symbol = learnt
    return found


def write(path, steps):
    """The same steps give the same bytes."""
    text = "".join(json.dumps(step, separators=(",", ":")) + "\n" for step in steps)
    with open(path, "wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(text.encode())


def read(path):
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def scenarios(paths):
    """(name, [step]) of recorded files."""
    for path in paths:
        name, steps = None, []
        for step in read(path):
            if "scenario" in step:
                if name:
                    yield name, steps
                name, steps = step["scenario"], []
            else:
                steps.append(step)
        if name:
            yield name, steps
