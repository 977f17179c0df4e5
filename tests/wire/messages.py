"""messages.py - Kafka's messages in Python, read from protocol/messages.schema: no message is written by hand here.

    apis = Apis()
    frame = apis.request("Metadata", 12, {"Topics": None}, correlation_id=7)
    apis.answer("Metadata", 12, answer_bytes)       -> {"Brokers": [{"NodeId": 1, ...}], ...}

A message is a dict of Kafka's field names. What is left out has its default; a field that the version lacks is left
out of the bytes; a name that no version has is refused. Strings are str, bytes are str of characters 0-255, a uuid
is 32 hex digits, records are bytes (batches.py looks inside). It shares the schema with the broker, and its parser,
but not one line of the code that turns it into bytes.
"""

import importlib.util
import pathlib
import struct

from batches import uvarint

ROOT = pathlib.Path(__file__).resolve().parents[2]
API_VERSIONS = 18
PLAIN = {"bool": ">b", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q",
         "float64": ">d"}
ZERO_UUID = "0" * 32


def _schema():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tools" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    return generate.parse((ROOT / "protocol" / "messages.schema").read_text())


def has(versions, version):
    return versions[0] <= version <= versions[1]


class Wrong(Exception):
    """Bytes that are no such message, or a dict that cannot become one."""


# ---- encoding ------------------------------------------------------------------------------------

def default_of(field, version):
    if field.array:
        return None if field.default == "null" else []
    if field.default == "null":
        return None
    if field.struct:
        return {}
    if field.type in ("string", "bytes"):
        return ""
    if field.type == "records":
        return b""
    if field.type == "uuid":
        return ZERO_UUID
    return field.default or 0


def size_bytes(size, plain, flexible):
    """In front of strings, bytes and arrays; size -1 is null."""
    return uvarint(size + 1) if flexible else struct.pack(plain, size)


def encode_one(out, field, value, version, flexible):
    """One value: a field that is no array, or an element."""
    if field.struct:
        encode_struct(out, field.struct, value, version, flexible)
    elif field.type in PLAIN:
        try:
            out.append(struct.pack(PLAIN[field.type], value))
        except struct.error as problem:
            raise Wrong(f"{field.name} = {value!r}: {problem}") from None
    elif field.type == "uuid":
        out.append(bytes.fromhex(value))
    else:
        if field.type == "string":
            value = value.encode("utf-8", "surrogateescape")
        elif field.type == "bytes":
            value = value.encode("latin-1")
        out.append(size_bytes(len(value), ">h" if field.type == "string" else ">i", flexible))
        out.append(value)


def encode_field(out, field, value, version, flexible):
    flexible = flexible and not field.never_flexible
    if field.array:
        out.append(size_bytes(-1 if value is None else len(value), ">i", flexible))
        for element in value or ():
            encode_one(out, field, element, version, flexible)
    elif field.struct and field.nullable != (1, 0) and has(field.nullable, version):
        out.append(b"\xff" if value is None else b"\1")
        if value is not None:
            encode_one(out, field, value, version, flexible)
    elif value is None:
        out.append(size_bytes(-1, ">h" if field.type == "string" else ">i", flexible))
    else:
        encode_one(out, field, value, version, flexible)


def encode_struct(out, shape, value, version, flexible):
    unknown = set(value) - {field.name for field in shape.fields} - {"_tags"}
    if unknown:
        raise Wrong(f"{shape.name} has no {', '.join(sorted(unknown))}")
    tags = dict(value.get("_tags", {}))         # {tag: bytes} of the future
    for field in shape.fields:
        if not has(field.versions, version):
            continue
        default = default_of(field, version)
        given = value.get(field.name, default)
        if field.tag is None or not has(field.tagged, version):
            encode_field(out, field, given, version, flexible)
        elif given != default:
            body = []
            if field.struct and not field.array and field.nullable != (1, 0):
                body.append(b"\1")
                encode_one(body, field, given, version, True)
            else:
                encode_field(body, field, given, version, True)
            tags[field.tag] = b"".join(body)
    if flexible:
        out.append(uvarint(len(tags)))
        for tag in sorted(tags):
            out += [uvarint(tag), uvarint(len(tags[tag])), tags[tag]]


def encode(message, version, value):
    out = []
    encode_struct(out, message.body, value, version, has(message.flexible, version))
    return b"".join(out)


# ---- decoding ------------------------------------------------------------------------------------

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise Wrong(f"{size} bytes at {self.at} of {len(self.data)}")
        self.at += size
        return self.data[self.at - size:self.at]

    def plain(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value
            if shift > 28:
                raise Wrong("a varint of more than 5 bytes")

    def size(self, plain, flexible):
        return self.uvarint() - 1 if flexible else self.plain(plain)


def decode_one(reader, field, version, flexible):
    if field.struct:
        return decode_struct(reader, field.struct, version, flexible)
    if field.type == "bool":
        return bool(reader.plain(">b"))
    if field.type in PLAIN:
        return reader.plain(PLAIN[field.type])
    if field.type == "uuid":
        return reader.take(16).hex()
    size = reader.size(">h" if field.type == "string" else ">i", flexible)
    if size < 0:
        if not has(field.nullable, version):
            raise Wrong(f"{field.name} is null")
        return None
    data = reader.take(size)
    if field.type == "string":
        return data.decode()
    return data.decode("latin-1") if field.type == "bytes" else data


def decode_field(reader, field, version, flexible):
    flexible = flexible and not field.never_flexible
    if field.array:
        count = reader.size(">i", flexible)
        if count < 0:
            if not has(field.nullable, version):
                raise Wrong(f"{field.name} is null")
            return None
        return [decode_one(reader, field, version, flexible) for _ in range(count)]
    if field.struct and field.nullable != (1, 0) and has(field.nullable, version):
        if reader.plain(">b") < 0:
            return None
    return decode_one(reader, field, version, flexible)


def decode_tag(reader, field, version, size):
    end = reader.at + size
    if field.struct and not field.array and field.nullable != (1, 0):
        value = decode_one(reader, field, version, True) if reader.uvarint() else None
    else:
        value = decode_field(reader, field, version, True)
    if reader.at != end:
        raise Wrong(f"the tag {field.name} is {size} bytes, not {reader.at - end + size}")
    return value


def decode_struct(reader, shape, version, flexible):
    out, tagged = {}, {}
    for field in shape.fields:
        if not has(field.versions, version):
            continue
        if field.tag is not None and has(field.tagged, version):
            tagged[field.tag] = field
            default = default_of(field, version)
            out[field.name] = complete(field.struct, version) if default == {} else default
        else:
            out[field.name] = decode_field(reader, field, version, flexible)
    for _ in range(reader.uvarint() if flexible else 0):
        tag, size = reader.uvarint(), reader.uvarint()
        if tag in tagged:
            out[tagged[tag].name] = decode_tag(reader, tagged[tag], version, size)
        else:
            out.setdefault("_tags", {})[str(tag)] = reader.take(size).hex()
    return out


def complete(shape, version):
    """A struct of nothing but defaults."""
    out = {}
    for field in shape.fields:
        if has(field.versions, version):
            default = default_of(field, version)
            out[field.name] = complete(field.struct, version) if default == {} else default
    return out


def decode(message, version, data):
    reader = Reader(data)
    value = decode_struct(reader, message.body, version, has(message.flexible, version))
    if reader.at != len(data):
        raise Wrong(f"{message.name} {version}: {len(data) - reader.at} bytes too many")
    return value


# ---- whole requests and answers ------------------------------------------------------------------

class Apis:
    def __init__(self):
        schema = _schema()
        self.by_name = {api.name: api for api in schema.apis}
        self.by_key = {api.key: api for api in schema.apis}
        self.messages = {message.name: message for message in schema.messages}

    def versions(self, name):
        """Those that Kafka 4.3 serves, without the unstable one."""
        api = self.by_name[name]
        return range(api.versions[0], min(api.versions[1], api.advertised[1]) + 1)

    def request(self, name, version, body, correlation_id=1, client_id="oracle"):
        """A frame, with its length in front."""
        api = self.by_name[name]
        flexible = has(api.request.flexible, version)
        header = encode(self.messages["RequestHeader"], 2 if flexible else 1,
                        {"RequestApiKey": api.key, "RequestApiVersion": version,
                         "CorrelationId": correlation_id, "ClientId": client_id})
        data = header + encode(api.request, version, body)
        return struct.pack(">i", len(data)) + data

    def answer(self, name, version, data):
        """The body of an answer: without its length, but with its header."""
        api = self.by_name[name]
        flexible = has(api.response.flexible, version) and api.key != API_VERSIONS
        reader = Reader(data)
        decode_struct(reader, self.messages["ResponseHeader"].body, int(flexible), flexible)
        return decode(api.response, version, data[reader.at:])

    def data(self, name, version, value):
        """A message inside of bytes, with the version in front, as groups have it."""
        return struct.pack(">h", version) + encode(self.messages[name], version, value)
