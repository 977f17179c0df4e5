"""replay.py - the recorded requests against Millrace: what Apache Kafka answered to them is known. Without Java.

    replay.py                   TAP, one case per family of scenarios
    replay.py FAMILY...         only these, every difference with its request

oracle.py --record makes the files. A difference that explained.py does not explain is a failure, and so is a reason
that explains nothing.
"""

import concurrent.futures
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import explained  # noqa: E402
import harness  # noqa: E402
import oracle  # noqa: E402
import play  # noqa: E402
import sides  # noqa: E402

PAIRS_MIN = 2000
AT_A_TIME = 24     # families; they mostly wait
TRIES = 3          # of a family that is about time: a machine that stalls for a second lets sessions end
TIMED = ("timeouts", "rebalances", "consumer_groups", "shares", "consumers_more", "retention", "idle",
         "idle_producers", "waiting")


def name_of(path):
    return path.name.split(".")[0]


def replay(side, path, report):
    """Every scenario of a file; a token of its own each, so that they do not meet."""
    for number, (name, steps) in enumerate(play.scenarios([path])):
        side.begin(f"-{number:05x}")
        sent, pending = {}, {}
        for step in steps:
            found = play.play(side, name, step, pending)
            if "send" in step:
                sent[step["send"]] = step
            if found is not None:
                report.add(name, {**sent.pop(step["receive"]), **step} if "receive" in step else step, found)
        report.scenarios += 1
    side.close_all()


def family(path, broker):
    report = play.Report()
    side = sides.Side("Millrace", broker.host, broker.port)
    oracle.take_id_zero(side)
    replay(side, path, report)
    return report


def once_more(path, own):
    """What went wrong may have been the machine's doing: alone, with a fresh broker. A defect is there each time."""
    for _ in range(1, TRIES):
        if not own.unexplained:
            break
        for difference in own.unexplained[:3]:
            print(f"# {path.name}: {difference[:5]}; once more", file=sys.stderr)
        with harness.Broker(oracle.settings_of(name_of(path))) as broker:
            own = family(path, broker)
    return own


def main():
    paths = sorted(play.RECORDED.glob("*.jsonl.gz"))
    if sys.argv[1:]:
        unknown = set(sys.argv[1:]) - {name_of(path) for path in paths}
        if unknown:
            sys.exit(f"no such family: {', '.join(sorted(unknown))}; there are "
                     + ", ".join(name_of(path) for path in paths))
        paths = [path for path in paths if name_of(path) in sys.argv[1:]]
    print(f"1..{len(paths) + 1}", flush=True)
    began, report, good = time.monotonic(), play.Report(), True
    # Brokers die with the thread that starts them, so it is this one.
    brokers = [harness.Broker(oracle.settings_of(name_of(path))) for path in paths]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        for number, (path, broker, own) in enumerate(zip(paths, brokers, pool.map(family, paths, brokers)), 1):
            alive = broker.alive()
            if alive and name_of(path) in TIMED:
                own = once_more(path, own)
            fine = alive and not own.unexplained
            good = good and fine
            report.include(own)
            print(f"{'ok' if fine else 'not ok'} {number} - {path.name.split('.')[0]}: {own.count} pairs", flush=True)
            broker.remove()
    for scenario, step, where, kafka, ours, asked in report.unexplained[:100]:
        print(f"# {scenario}: {step} {where}: Kafka {kafka!r}, ours {ours!r}; asked {str(asked)[:400]}",
              file=sys.stderr)
    for api, count in report.per_api().items():
        print(f"# {count:6} {api}")
    print(f"# {report.scenarios} scenarios, {report.count} pairs, {sum(report.used.values())} explained differences of "
          f"{len(report.used)} kinds, {len(report.unexplained)} unexplained, {time.monotonic() - began:.1f} s")
    whole = sys.argv[1:] or (report.count >= PAIRS_MIN and not report.unused() and explained.told())
    for rule in report.unused() if not sys.argv[1:] else ():
        print(f"# explains nothing: {rule.reason}", file=sys.stderr)
    print(f"{'ok' if whole else 'not ok'} {len(paths) + 1} - at least {PAIRS_MIN} pairs, no reason without a use, "
          "explained.md up to date")
    sys.exit(0 if good and whole else 1)


if __name__ == "__main__":
    main()
