#!/usr/bin/env python3
"""start.py - what a broker costs before it has done anything: time to start, memory, idle CPU, connections.

    MILLRACE_BUILD=build tests/bench/start.py [--rounds 9] [--idle-s 20] [--connections 8000]

Start: from exec to the first answered ApiVersions, on an empty directory, and again on that directory after
a clean stop and after a kill -9; medians of the rounds. Memory: VmRSS a second after the first answer. Idle
CPU: user plus system time over --idle-s seconds without clients. Connections: VmRSS with that many of them,
each having asked once.
"""

import argparse
import os
import pathlib
import resource
import socket
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "wire"))
import harness


def ask_times(broker):
    """Milliseconds from exec to the first answer, without the harness' own polling steps."""
    began = time.monotonic()
    broker.start(wait=False)
    while True:
        try:
            harness.api_versions(broker.host, broker.port)
            return (time.monotonic() - began) * 1000
        except OSError:
            time.sleep(0.0005)
            if not broker.alive():
                sys.exit("the broker has ended:\n" + broker.log_tail())


def starts(rounds):
    times = {"empty directory": [], "after a clean stop": [], "after a kill -9": []}
    for _ in range(rounds):
        with harness.Broker(start=False) as broker:
            times["empty directory"].append(ask_times(broker))
            broker.stop()
            times["after a clean stop"].append(ask_times(broker))
            broker.kill9()
            times["after a kill -9"].append(ask_times(broker))
    for name, values in times.items():
        print(f"start, {name:19} {statistics.median(values):8.1f} ms   ({min(values):.1f} to {max(values):.1f})")


def idle(seconds):
    with harness.Broker() as broker:
        time.sleep(1)
        print(f"idle memory                {broker.status_kib('VmRSS') / 1024:8.1f} MiB RSS")
        began, cpu = time.monotonic(), broker.cpu_seconds()
        time.sleep(seconds)
        used = (broker.cpu_seconds() - cpu) / (time.monotonic() - began)
        print(f"idle CPU                   {used * 100:8.2f} %       (over {seconds} s)")


def connections(count):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    with harness.Broker() as broker:
        before = broker.status_kib("VmRSS")
        held = []
        for _ in range(min(count, limit[1] - 100)):
            held.append(socket.create_connection((broker.host, broker.port), timeout=10))
        for connection in held:
            harness.request(connection, 18, 0, b"")
        grown = broker.status_kib("VmRSS") - before
        print(f"connections                {len(held):8d}         {grown / 1024:.1f} MiB RSS more, "
              f"{grown * 1024 / len(held):.0f} bytes each")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--idle-s", type=int, default=20)
    parser.add_argument("--connections", type=int, default=8000)
    chosen = parser.parse_args()
    print(f"{harness.MILLRACE}, {os.cpu_count()} CPUs")
    starts(chosen.rounds)
    idle(chosen.idle_s)
    connections(chosen.connections)


if __name__ == "__main__":
    main()
