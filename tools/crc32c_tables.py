#!/usr/bin/env python3
"""Writes protocol/crc32c_tables.h: the numbers behind protocol/crc32c.c, all from one polynomial.

usage: crc32c_tables.py OUTPUT
"""
import sys

POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected: bit 31 is x^0
LANES = (8192, 1024, 256)  # bytes per stream of the interleaved loops, see crc32c.c


def multiply(a, b):
    """a * b modulo the polynomial, both reflected."""
    product = 0
    for bit in range(31, -1, -1):
        if (a >> bit) & 1:
            product ^= b
        b = (b >> 1) ^ (POLYNOMIAL if b & 1 else 0)
    return product


def power(exponent):
    """x^exponent modulo the polynomial."""
    result, square = 1 << 31, 1 << 30
    while exponent:
        if exponent & 1:
            result = multiply(result, square)
        square = multiply(square, square)
        exponent >>= 1
    return result


def slices():
    first = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (POLYNOMIAL if crc & 1 else 0)
        first.append(crc)
    tables = [first]
    for _ in range(7):
        tables.append([(crc >> 8) ^ first[crc & 0xFF] for crc in tables[-1]])
    return tables


def rows(numbers):
    text = ["0x%08x," % number for number in numbers]
    return "\n".join("    " + " ".join(text[i:i + 8]) for i in range(0, len(text), 8))


def main(path):
    with open(path, "w", encoding="utf-8") as out:
        out.write("/* Written by tools/crc32c_tables.py: do not edit. */\n")
        out.write("/* slice[k][b]: the crc of byte b followed by k zero bytes. */\n")
        out.write("static const uint32_t slice[8][256] = {\n")
        for table in slices():
            out.write("    {\n%s\n    },\n" % rows(table))
        out.write("};\n")
        out.write("/* zeros[k]: x^(8 * 2^k), which appends 2^k zero bytes. */\n")
        out.write("static const uint32_t zeros[64] = {\n%s\n};\n" % rows(power(8 << k) for k in range(64)))
        for lane in LANES:
            out.write("enum { LANE_%d = %d };\n" % (lane, lane))
            for streams in (2, 1):
                # A carry-less product of two reflected numbers is one bit short and the crc
                # instruction multiplies its operand by x^32: x^(8n - 33) makes x^(8n).
                out.write("#define FOLD_%d_%d 0x%08xu\n" % (lane, streams, power(8 * lane * streams - 33)))


main(sys.argv[1])
