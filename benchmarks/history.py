"""Does anything become slower with history? Drain, bulk enqueue and CPU on an empty server and on one with a million
finished runs in retention, in turn.

    python benchmarks/history.py [--history 1000000] [--runs 50000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics

from drain import drain
from server import BenchServer, client_of

FIGURES = ("runs/s", "enqueue/s", "worker µs/run", "server µs/run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with BenchServer() as empty, BenchServer() as full:
        part = min(250_000, args.history)
        for _ in range(0, args.history, part):
            drain(full, "plain", part, fresh=False)
        finished = client_of(full.url).dbsize() // 2
        before, after = [], []
        # In turn, so that what else goes on on this machine meets both.
        for _ in range(args.rounds):
            before.append(drain(empty, "plain", args.runs))
            after.append(drain(full, "plain", args.runs, fresh=False))
        print(f"{'figure':16}{'empty':>12}{'full':>12}{'change':>9}   ({finished} finished runs)")
        for name in FIGURES:
            one, other = (statistics.median(each[name] for each in rounds) for rounds in (before, after))
            print(f"{name:16}{one:12.1f}{other:12.1f}{other / one - 1:9.1%}")


if __name__ == "__main__":
    main()
