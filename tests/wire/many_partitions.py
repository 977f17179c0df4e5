"""many_partitions.py - what a broker costs that has many partitions: start, memory, file descriptors.

Small here; the long command of tests/README.md: PARTITIONS=10000 tests/wire/many_partitions.py

All partitions are produced to and fetched from, before and after a clean stop and after a kill -9, within
20,000 descriptors. Goals at 10,000: the first answer and the first acknowledgement within 300 ms of the
start after a clean stop, 1.5 MiB RSS for 1,000 idle partitions. The times are those of the best of three
starts (a start that had the machine for itself); with few partitions they are goals all the same.
"""

import os
import resource
import socket
import time

import harness
import probe

PARTITIONS = int(os.environ.get("PARTITIONS", "1000"))
TOPIC_PARTITIONS = 500  # of each topic
DESCRIPTORS = 20000
START_MAX_MS = 300
IDLE_KIB_PER_1000 = 1536
SANITIZED = harness.is_sanitized()


def limit_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def descriptors(broker):
    return len(os.listdir(f"/proc/{broker.pid}/fd"))


def topics():
    return [f"many-{i}" for i in range(max(1, PARTITIONS // TOPIC_PARTITIONS))]


def produce_to_all(broker, value):
    """{(topic, partition): offset}; one request for each topic, each partition acknowledged."""
    data = probe.batch([value])
    offsets = {}
    with socket.create_connection((broker.host, broker.port), timeout=60) as connection:
        for topic in topics():
            request = probe.produce_frame({topic: {p: data for p in range(TOPIC_PARTITIONS)}})
            answers = probe.produce_answer(probe.send_and_receive(connection, request))
            assert len(answers) == TOPIC_PARTITIONS, f"{topic}: {len(answers)} answers"
            bad = {at: answer for at, answer in answers.items() if answer[0]}
            assert not bad, f"{topic}: {len(bad)} errors, one of them {next(iter(bad.items()))}"
            offsets.update({at: offset for at, (_, offset) in answers.items()})
    return offsets


def fetch_from_all(broker, offsets, value):
    with socket.create_connection((broker.host, broker.port), timeout=60) as connection:
        for topic in topics():
            wanted = {p: offsets[topic, p] for p in range(TOPIC_PARTITIONS)}
            request = probe.fetch_frame({topic: wanted})
            answers = probe.fetch_answer(probe.send_and_receive(connection, request))
            assert len(answers) == TOPIC_PARTITIONS, f"{topic}: {len(answers)} answers"
            for at, (error, _, data) in answers.items():
                assert error == 0 and value in data, f"{at}: error {error}, {len(data)} bytes"


def start_times(broker):
    """Milliseconds from exec to the first answer, and to the first acknowledgement."""
    began = time.monotonic()
    broker.start(wait=False)
    broker.wait_ready()
    answer = (time.monotonic() - began) * 1000
    probe.produce_and_fetch(broker.host, broker.port, topics()[0])
    return answer, (time.monotonic() - began) * 1000


def empty_kib():
    with harness.Broker() as broker:
        harness.millrace("topics", "create", "one", broker=broker)
        time.sleep(0.5)
        return broker.status_kib("VmRSS")


def create_all(broker):
    for topic in topics():
        harness.millrace("topics", "create", topic, "--partitions", str(TOPIC_PARTITIONS), broker=broker)


def idle_memory(broker, empty, what):
    time.sleep(0.5)
    grown = broker.status_kib("VmRSS") - empty
    count = len(topics()) * TOPIC_PARTITIONS
    print(f"# {what}: {grown} KiB RSS more than empty, {grown * 1000 / count:.0f} KiB for 1,000 partitions, "
          f"{descriptors(broker)} descriptors")
    return grown * 1000 / count


def clean_starts(broker):
    times = []
    for _ in range(3):
        assert broker.stop() == 0
        times.append(start_times(broker))
    print("# start after a clean stop, to the first answer / acknowledgement: " +
          ", ".join(f"{a:.0f} / {b:.0f} ms" for a, b in times))
    return min(b for _, b in times)


def test_many_partitions():
    limit_descriptors()
    empty = empty_kib()
    with harness.Broker() as broker:
        began = time.monotonic()
        create_all(broker)
        print(f"# {len(topics()) * TOPIC_PARTITIONS} partitions created in {time.monotonic() - began:.1f} s")
        created = idle_memory(broker, empty, "just created")
        began = time.monotonic()
        offsets = produce_to_all(broker, b"the first")
        print(f"# produced to all in {time.monotonic() - began:.2f} s, {descriptors(broker)} descriptors")
        fetch_from_all(broker, offsets, b"the first")
        count = len(topics()) * TOPIC_PARTITIONS  # write-back makes every directory and file
        harness.wait_until(lambda: sum(1 for _ in broker.data.glob("many-*/*.log")) == count, 30,
                           "a file for every partition", every_s=0.2)
        used = descriptors(broker)
        print(f"# {used} descriptors after write-back")
        took = clean_starts(broker)
        idle = idle_memory(broker, empty, "idle after a clean start")
        fetch_from_all(broker, offsets, b"the first")
        offsets = produce_to_all(broker, b"the second")
        broker.kill9()
        print("# start after a kill -9, to the first answer / acknowledgement: %.0f / %.0f ms" % start_times(broker))
        fetch_from_all(broker, offsets, b"the second")
        used = max(used, descriptors(broker))
        assert used < DESCRIPTORS
        assert SANITIZED or harness.is_busy() or took <= START_MAX_MS, f"{took:.0f} ms"
        assert SANITIZED or max(created, idle) <= IDLE_KIB_PER_1000, f"{created:.0f}, {idle:.0f} KiB"


if __name__ == "__main__":
    harness.main(globals())
