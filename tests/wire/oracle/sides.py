"""sides.py - one broker that is asked, and what stands in its answers for what every broker chooses itself.

Scenarios and recorded files speak in symbols: "#uuid1", "#member2", "#pid1", "#epoch1" (of a share group: each broker
has its own steps) are whatever Kafka said first, second;
a Side knows what they are for its own broker. "-token" in a name becomes characters of the scenario's own, of the
same length, so that scenarios share a broker; "#now", "#now-60000" are times.
"""

import json
import re
import socket
import struct
import time

import batches
import messages

SYMBOL = re.compile(r"#(uuid|member|pid|session|cluster|epoch)\d+")
NOW = re.compile(r"#now([+-]\d+)?")
TOKEN = "-token"
MEMBER = re.compile(r".*[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Za-z0-9_-]{22}")
DAY_MS = 86400000
ANSWER_S = 8
apis = messages.Apis()


class Silent(Exception):
    """No answer in time."""


class Unknown:
    """A value of this broker's own that no symbol stands for yet."""

    def __init__(self, kind, value):
        self.kind, self.value = kind, value

    def __repr__(self):
        return f"<{self.kind} {self.value}>"


def is_recent(ms):
    return abs(ms - time.time() * 1000) < DAY_MS


class Side:
    def __init__(self, name, host, port):
        self.name, self.host, self.port = name, host, port
        self.begin(TOKEN)

    def begin(self, token):
        """A new scenario: nothing is known, no connection is open."""
        self.close_all()
        self.token = token
        self.actual, self.symbol, self.counts = {}, {}, {}

    # ---- connections

    def close_all(self):
        for connection in getattr(self, "connections", {}).values():
            connection.close()
        self.connections, self.correlation = {}, 0

    def connection(self, name):
        if name not in self.connections:
            connection = socket.create_connection((self.host, self.port), timeout=ANSWER_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[name] = connection
        return self.connections[name]

    def close(self, name):
        if name in self.connections:
            self.connections.pop(name).close()

    def send(self, step):
        """step: {"c": connection, "k": API, "v": version, "q": body} or {"c", "raw": hex of a frame}"""
        self.correlation += 1
        if "raw" in step:
            frame = bytes.fromhex(step["raw"])
        else:
            frame = apis.request(step["k"], step["v"], self.resolve(step["q"]), self.correlation,
                                 step.get("client", "oracle"))
        try:
            self.connection(step["c"]).sendall(frame)
        except (ConnectionError, BrokenPipeError):
            pass
        return self.correlation

    def receive(self, step, correlation):
        """The answer, in symbols as far as they are known; {"closed": True}, {"silent": True}."""
        try:
            data = self._frame(step["c"])
        except ConnectionError:
            self.close(step["c"])
            return {"closed": True}
        except socket.timeout:
            self.close(step["c"])
            return {"silent": True}
        if "k" not in step:
            return {"bytes": data.hex()}
        if "raw" not in step and struct.unpack_from(">i", data)[0] != correlation:
            return {"wrong correlation id": True}
        version = step["v"]
        self.epochs = ("MemberEpoch", "GroupEpoch", "AssignmentEpoch") if step["k"].startswith("ShareGroup") else ()
        try:
            value = apis.answer(step["k"], version, data[:])
        except (messages.Wrong, struct.error, UnicodeDecodeError, ValueError) as problem:
            return {"undecodable": f"{problem}", "bytes": data.hex()}
        return self.normal(apis.by_name[step["k"]].response.body, value, step.get("mine"))

    def _frame(self, name):
        connection, data = self.connection(name), bytearray()
        size = 4
        while len(data) < size:
            piece = connection.recv(size - len(data))
            if not piece:
                raise ConnectionError
            data += piece
            if len(data) == 4 and size == 4:
                size = 4 + struct.unpack(">i", data)[0]
        return bytes(data[4:])

    # ---- symbols to values

    def resolve(self, value):
        if isinstance(value, dict):
            if "$data" in value:
                body = {key: self.resolve(one) for key, one in value.items() if key[0] != "$"}
                return apis.data(value["$data"], value["$version"], body).decode("latin-1")
            return {key: batches.build(self.resolve(one)) if key == "Records" else self.resolve(one)
                    for key, one in value.items()}
        if isinstance(value, list):
            return [self.resolve(one) for one in value]
        if not isinstance(value, str):
            return value
        now = NOW.fullmatch(value)
        if now:
            return int(time.time() * 1000) + int(now.group(1) or 0)
        if SYMBOL.fullmatch(value):
            return self.actual.get(value, self.unbound(value))
        return value.replace(TOKEN, self.token)

    @staticmethod
    def unbound(symbol):
        """What this broker never gave: something that no broker knows."""
        if symbol.startswith("#uuid"):
            return "deadbeef" * 4
        return 424242 if symbol.startswith(("#pid", "#session", "#epoch")) else symbol

    # ---- values to symbols

    def bind(self, symbol, unknown):
        self.actual[symbol] = unknown.value
        self.symbol[unknown.kind, unknown.value] = symbol

    def learn(self, value):
        """Symbols for all that is unknown: of the side whose answers count."""
        if isinstance(value, Unknown):
            known = self.symbol.get((value.kind, value.value))
            if not known:
                self.counts[value.kind] = self.counts.get(value.kind, 0) + 1
                known = f"#{value.kind}{self.counts[value.kind]}"
                self.bind(known, value)
            return known
        if isinstance(value, dict):
            return {key: self.learn(one) for key, one in value.items()}
        return [self.learn(one) for one in value] if isinstance(value, list) else value

    def symbol_of(self, kind, value):
        return self.symbol.get((kind, value)) or Unknown(kind, value)

    def normal(self, shape, value, mine=False):
        out = {}
        for field in shape.fields:
            if field.name not in value:
                continue
            one = value[field.name]
            if field.array and field.struct and one is not None:
                rows = [self.normal(field.struct, row, mine) for row in one if not mine or self.is_mine(row)]
                out[field.name] = sorted(rows, key=_order)
            elif field.array:
                out[field.name] = one and [self.plain(field, element) for element in one]
                if field.name == "Partitions" and one:
                    out[field.name].sort()
            elif field.struct:
                out[field.name] = one and self.normal(field.struct, one, mine)
            elif field.type == "records":
                out[field.name] = self.records(one)
            else:
                out[field.name] = self.plain(field, one)
        if "_tags" in value:
            out["_tags"] = value["_tags"]
        return out

    def is_mine(self, row):
        """Rows with a name count only if it is of this scenario."""
        names = [row[key] for key in ("Name", "Topic", "GroupId", "TopicName", "TransactionalId", "ResourceName")
                 if isinstance(row.get(key), str)]
        return not names or any(self.token in name for name in names)

    def plain(self, field, value):
        name = field.name
        if field.type == "uuid":
            return "zero" if value == messages.ZERO_UUID else self.symbol_of("uuid", value)
        if isinstance(value, str):
            if name.endswith("ErrorMessage") or name == "Documentation":
                return "#text" if value else value
            if name == "ClusterId":
                return self.symbol_of("cluster", value)
            if name == "LogDir":
                return "#directory"
            if name in ("MemberId", "Leader") and MEMBER.fullmatch(value):
                return self.symbol_of("member", value)
            return value.replace(self.token, TOKEN)
        if name == "Port" and value == self.port:
            return "#port"
        if name == "ProducerId" and value >= 0:
            return self.symbol_of("pid", value)
        if name in self.epochs and value > 0:
            return self.symbol_of("epoch", value)
        if name == "SessionId" and value > 0:
            return self.symbol_of("session", value)
        if name in ("TotalBytes", "UsableBytes", "FinalizedFeaturesEpoch") and value >= 0:
            return "#number"
        if field.type == "int64" and value > 0 and is_recent(value):
            return "#time"
        return value

    def records(self, data):
        described = batches.describe(data)
        for batch in described or ():
            if batch.get("pid", -1) >= 0:
                batch["pid"] = self.symbol_of("pid", batch["pid"])
            for row in [batch, *batch.get("records", ())]:
                for key in ("ts", "max"):
                    if key in row and is_recent(row[key]):
                        row[key] = "#time"
            for row in batch.get("records", ()):
                for key in ("k", "v"):
                    if isinstance(row.get(key), str):
                        row[key] = row[key].replace(self.token, TOKEN)
        return described


def _order(row):
    """Rows in an order of their own: by what does not differ from broker to broker, first."""
    return json.dumps(row, default=lambda unknown: "?")


KEYS = ("ApiKey", "Name", "Topic", "TopicName", "Feature", "GroupId", "ResourceName", "TransactionalId", "Key",
        "LogDir", "Partition", "PartitionIndex", "PartitionId", "Index", "NodeId", "BrokerId")


def _by_key(rows):
    """{text that tells a row from the others: row}, or None if there is none."""
    if not rows or not all(isinstance(row, dict) for row in rows):
        return None
    found = {}
    for row in rows:
        name = next((key for key in KEYS if row.get(key) is not None), None)
        if name is None:
            return None
        found[str(row[name])] = row
    return found if len(found) == len(rows) else None


def differences(kafka, ours, side, path=""):
    """[(path, Kafka's, ours)]; binds what our side has in the place of a symbol."""
    if isinstance(ours, Unknown):
        if isinstance(kafka, str) and kafka.startswith("#" + ours.kind) and kafka not in side.actual:
            if (ours.kind, ours.value) not in side.symbol:
                side.bind(kafka, ours)
                return []
        known = side.symbol.get((ours.kind, ours.value))
        return [] if known == kafka else [(path, kafka, known or f"another {ours.kind}")]
    if isinstance(kafka, dict) and isinstance(ours, dict):
        found = []
        for key in [*kafka, *(key for key in ours if key not in kafka)]:
            if key not in kafka or key not in ours:
                found.append((f"{path}.{key}", kafka.get(key, "(absent)"), ours.get(key, "(absent)")))
            else:
                found += differences(kafka[key], ours[key], side, f"{path}.{key}")
        return found
    if isinstance(kafka, list) and isinstance(ours, list):
        rows, others = _by_key(kafka), _by_key(ours)
        if rows and others and rows.keys() & others.keys():
            found = []
            for key in [*rows, *(key for key in others if key not in rows)]:
                if key not in rows or key not in others:
                    found.append((f"{path}[{key}]", *("(present)" if key in table else "(absent)"
                                                      for table in (rows, others))))
                else:
                    found += differences(rows[key], others[key], side, f"{path}[{key}]")
            return found
        found = [] if len(kafka) == len(ours) else [(path + "#", len(kafka), len(ours))]
        for at, (one, other) in enumerate(zip(kafka, ours)):
            found += differences(one, other, side, f"{path}[{at}]")
        return found
    return [] if kafka == ours and type(kafka) is type(ours) else [(path, kafka, ours)]
