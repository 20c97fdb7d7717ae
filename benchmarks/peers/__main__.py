"""Jobistemer and its peers, one after another, in rounds.

python -m benchmarks.peers                     all of it, within half an hour; goes on where it stopped
python -m benchmarks.peers --quick             a short look at everything, one round
python -m benchmarks.peers --only rq huey --work drain
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from benchmarks.peers import environments, machine
from benchmarks.peers.catalogue import BY_NAME, NAMES, Peer
from benchmarks.peers.harness import open_harness
from benchmarks.peers.paths import RESULTS
from benchmarks.peers.plan import FULL, QUICK, Durations, PlannedStep, plan_steps
from benchmarks.peers.results import Results, Row


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="PEER", help=", ".join(NAMES))
    parser.add_argument("--work", nargs="+", default=[""], help="what the names of the work begin with: drain, latency")
    parser.add_argument("--setting", choices=["default", "tuned"], help="one of the two alone")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="one short round, into a results file of its own")
    parser.add_argument("--minutes", type=float, default=27, help="begin no step later than this")
    parser.add_argument("--server", choices=["redis", "valkey"], default=machine.preferred_server())
    parser.add_argument("--results", type=Path)
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    return parser.parse_args()


def main() -> int:
    # What is started has a session of its own, so it would outlive a SIGTERM that ends this process on the spot.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = parse_arguments()
    path = args.results or (RESULTS.with_stem("quick") if args.quick else RESULTS)
    if args.fresh:
        path.unlink(missing_ok=True)
    peers = tuple(BY_NAME[name] for name in args.only)
    without = environments.install_all(peers)
    for name, reason in without.items():
        print(f"{name}: not installed: {reason}", file=sys.stderr)
    peers = tuple(peer for peer in peers if peer.name not in without)
    results = Results(path)
    results.describe({**results.machine, **machine.describe_machine(args.server, peers, results.machine)})
    measures = QUICK if args.quick else FULL
    deadline = time.monotonic() + args.minutes * 60
    rounds = args.rounds or (1 if args.quick else 3)
    for number in range(rounds):
        for peer, entry in _interleave(peers, measures, results):
            wanted = entry.key.work.startswith(tuple(args.work)) and args.setting in (None, entry.key.setting)
            if (
                not wanted
                or results.has(entry.key, number)
                or (entry.once and number < rounds - 1)
                or entry.is_hopeless()
            ):
                continue
            if time.monotonic() > deadline:
                print(f"{args.minutes:g} minutes are over; the same command goes on from here")
                return 3
            _measure(peer, entry, number, results, args.server)
    print(f"done; `python -m benchmarks.peers.page` makes the page from {path.name}")
    return 0


def _interleave(peers: tuple[Peer, ...], measures: Durations, results: Results) -> list[tuple[Peer, PlannedStep]]:
    """The same work of all peers one after another, so that what slows the machine for a minute hits all."""
    each = [(peer, entry) for peer in peers for entry in plan_steps(peer, measures, results)]
    works = list(dict.fromkeys((entry.key.work, entry.key.placement) for _, entry in each))
    return sorted(each, key=lambda pair: works.index((pair[1].key.work, pair[1].key.placement)))


def _measure(peer: Peer, entry: PlannedStep, number: int, results: Results, kind: str) -> None:
    began = time.monotonic()
    try:
        with open_harness(peer, entry.key.setting, entry.key.placement, kind, schedules=entry.schedules) as harness:
            row = Row(entry.key, number, entry.step(harness))
    except Exception as error:
        row = Row(entry.key, number, failed=f"{error}" if type(error).__name__ == "StepFailed" else repr(error))
    results.add(row)
    told = ", ".join(f"{name} {value:,.1f}" for name, value in row.figures.items()) or f"failed: {row.failed}"
    key = entry.key
    took = time.monotonic() - began
    print(f"{number + 1} {key.work} [{key.placement}] {key.peer}/{key.setting} ({took:.1f} s): {told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
