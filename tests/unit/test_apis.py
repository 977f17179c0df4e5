#!/usr/bin/env python3
"""broker/APIS.md is what `millrace serve --print-apis` prints, which tests/wire/network.py compares with the live
answer to ApiVersions. No API stands on both sides, and (where Kafka's definitions are at hand) none that Kafka offers
to clients is missing.

    test_apis.py           compare
    test_apis.py --write   write the page anew
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('MILLRACE_BUILD', ROOT / 'build'))
PAGE = ROOT / 'broker' / 'APIS.md'
HEAD = """# The APIs of Kafka 4.3, as offered here

Written by `tests/unit/test_apis.py --write` from the rows of `broker/api.c`; a test compares it with them, and them
with the answer to ApiVersions. A request outside of the versions served closes the connection, as Kafka does.
APIs between brokers and controllers are not listed.

"""

# Between brokers and controllers (protocol.md calls them C), and keys that are reserved only.
INTERNAL = {4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82, 83, 84, 85, 86, 87}


def page(printed):
    return HEAD + '```\n' + printed + '```\n'


def keys(block):
    return [int(line.split()[0]) for line in block.splitlines()[1:]]


def main():
    printed = subprocess.run([str(BUILD / 'millrace'), 'serve', '--print-apis'], check=True,
                             stdout=subprocess.PIPE).stdout.decode()
    if '--write' in sys.argv:
        PAGE.write_text(page(printed))
        return 0
    offered, absent = (keys(block) for block in printed.split('\n\n'))
    faults = []
    if not PAGE.exists() or PAGE.read_text() != page(printed):
        faults.append(f'{PAGE.name} is not what --print-apis prints: run test_apis.py --write')
    if offered != sorted(set(offered)) or absent != sorted(set(absent)):
        faults.append('the rows are not in the order of their keys, each once')
    if set(offered) & set(absent):
        faults.append(f'both offered and absent: {sorted(set(offered) & set(absent))}')
    missing = set(range(93)) - INTERNAL - set(offered) - set(absent)
    if missing:
        faults.append(f'neither offered nor said to be absent: {sorted(missing)}')
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


sys.exit(main())
