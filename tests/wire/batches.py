"""batches.py - record batches from a description and back, with every field open to be made wrong.

    build({"records": [{"v": "a"}, {"k": "b", "v": null, "ts": 1700000000000}], "codec": "gzip"})
    build({"values": ["a", "b"], "pid": 7, "epoch": 0, "seq": 0, "crc": 1})     crc: added to the right one

describe(bytes) gives a list of such descriptions: what an answer's records are compared by.
"""

import struct
import zlib

TIME = 1700000000000        # of records whose time does not matter
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
HEAD = ">qiibIhiqqqhii"     # base offset ... record count
HEAD_SIZE = struct.calcsize(HEAD)
CRC_FROM = 21
KNOWN = {"records", "values", "codec", "base", "leader_epoch", "magic", "crc", "attributes", "last", "ts", "max", "pid",
         "epoch", "seq", "count", "length", "cut", "extra", "inner"}


def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc32c_table()


def crc32c(data, before=0):
    """`before`: the checksum of what comes before `data`."""
    crc = before ^ 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def uvarint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def varint(number):
    return uvarint((number << 1) ^ (number >> 63))


def text(value):
    """null, or a length and bytes; strings hold one byte a character."""
    return varint(-1) if value is None else varint(len(value)) + value.encode("latin-1")


# ---- the codecs, without compressing: literals, stored blocks --------------------------------------

def _rotate(value, bits):
    return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF


def xxh32(data):
    """Of less than 16 bytes, as the lz4 frame header needs it."""
    value = (374761393 + len(data)) & 0xFFFFFFFF
    while len(data) >= 4:
        word, = struct.unpack_from("<I", data)
        value = _rotate((value + word * 3266489917) & 0xFFFFFFFF, 17) * 668265263 & 0xFFFFFFFF
        data = data[4:]
    for byte in data:
        value = _rotate((value + byte * 374761393) & 0xFFFFFFFF, 11) * 2654435761 & 0xFFFFFFFF
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        value = (value ^ value >> shift) * factor & 0xFFFFFFFF
    return value ^ value >> 16


def compress(codec, data):
    if codec == "gzip":
        squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
        return squeeze.compress(data) + squeeze.flush()
    if codec == "snappy":
        raw = uvarint(len(data))
        for at in range(0, len(data), 60):
            piece = data[at:at + 60]
            raw += bytes([len(piece) - 1 << 2]) + piece
        return raw
    if codec == "lz4":
        flags = b"\x60\x40"
        block = struct.pack("<I", len(data) | 0x80000000) + data
        return b"\x04\x22\x4d\x18" + flags + bytes([xxh32(flags) >> 8 & 0xFF]) + block + bytes(4)
    if codec == "zstd":
        head = b"\x28\xb5\x2f\xfd" + b"\xa0" + struct.pack("<I", len(data))
        return head + struct.pack("<I", len(data) << 3 | 1)[:3] + data
    return data


# ---- from a description ----------------------------------------------------------------------------

def _record(delta, first_ts, record):
    body = bytes([record.get("attributes", 0)])
    body += varint(record.get("ts", first_ts) - first_ts) + varint(record.get("off", delta))
    body += text(record.get("k")) + text(record.get("v"))
    headers = record.get("h", [])
    body += varint(record.get("headers", len(headers)))
    for key, value in headers:
        body += text(key) + text(value)
    return varint(len(body) + record.get("grow", 0)) + body


def build(batch):
    """bytes of one batch, or of a list of them; hex in a string is taken as it is."""
    if batch is None or isinstance(batch, bytes):
        return batch
    if isinstance(batch, str):
        return bytes.fromhex(batch)
    if isinstance(batch, list):
        return b"".join(build(one) for one in batch)
    if set(batch) - KNOWN:
        raise ValueError(f"a batch has no {set(batch) - KNOWN}")
    records = batch.get("records") or [{"v": value} for value in batch.get("values", [])]
    times = [record.get("ts", TIME) for record in records] or [TIME]
    first = batch.get("ts", times[0])
    payload = b"".join(_record(n, first, {"ts": first, **record}) for n, record in enumerate(records))
    payload += bytes.fromhex(batch.get("inner", ""))
    codec = batch.get("codec", "none")
    attributes = batch.get("attributes", 0) | CODECS.index(codec)
    body = compress(codec, payload) + bytes.fromhex(batch.get("extra", ""))
    head = [batch.get("base", 0), HEAD_SIZE - 12 + len(body) + batch.get("length", 0), batch.get("leader_epoch", -1),
            batch.get("magic", 2), 0, attributes, batch.get("last", len(records) - 1), first,
            batch.get("max", max(times + [first])), batch.get("pid", -1), batch.get("epoch", -1), batch.get("seq", -1),
            batch.get("count", len(records))]
    made = struct.pack(HEAD, *head) + body
    head[4] = (crc32c(made[CRC_FROM:]) + batch.get("crc", 0)) & 0xFFFFFFFF
    made = struct.pack(HEAD, *head) + body
    return made[:len(made) - batch.get("cut", 0)]


# ---- to a description ------------------------------------------------------------------------------

class _Walk:
    def __init__(self, data):
        self.data, self.at = data, 0

    def varint(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return (value >> 1) ^ -(value & 1)

    def text(self):
        size = self.varint()
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at].decode("latin-1")


def _records(data, count, first_ts):
    walk, out = _Walk(data), []
    for _ in range(count):
        walk.varint()
        walk.at += 1
        record = {"ts": first_ts + walk.varint(), "off": walk.varint(), "k": walk.text(), "v": walk.text()}
        headers = [[walk.text(), walk.text()] for _ in range(walk.varint())]
        if headers:
            record["h"] = headers
        out.append(record)
    if walk.at != len(data):
        out.append({"bytes left over": len(data) - walk.at})
    return out


def describe(data):
    """[batch], the last one {"cut": how many bytes of it are there} if it is not whole."""
    if data is None:
        return None
    out = []
    while data:
        size = struct.unpack_from(">i", data, 8)[0] + 12 if len(data) >= 12 else HEAD_SIZE
        if len(data) < max(size, HEAD_SIZE):
            out.append({"cut": len(data)})
            break
        head = struct.unpack_from(HEAD, data)
        body, crc = data[HEAD_SIZE:size], crc32c(data[CRC_FROM:size])
        names = ["base", None, "leader_epoch", "magic", None, "attributes", "last", "ts", "max", "pid", "epoch", "seq",
                 "count"]
        batch = {name: value for name, value in zip(names, head) if name}
        batch["crc"] = "good" if crc == head[4] else "bad"
        codec = CODECS[head[5] & 7]
        if codec in ("none", "gzip"):
            plain = zlib.decompress(body, 31) if codec == "gzip" else body
            batch["records"] = _records(plain, head[12], head[7])
        else:
            batch["body"] = body.hex()
        out.append(batch)
        data = data[size:]
    return out
