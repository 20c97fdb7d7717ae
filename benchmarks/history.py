"""Does anything become slower with history? Drain, bulk enqueue and CPU on an empty server, on one with a million finished
runs in retention, and on one with as many keys that nobody looks at, in turn: what the last two share is the server's.

    [BENCH_SERVER=redis-server] python benchmarks/history.py [--history 1200000] [--runs 50000] [--rounds 3]

A server moves all keys to a table of twice the size when the table is full, at 2^21 keys for one, a few keys with each command: for
the next quarter of a million runs or so each costs more, whoever made the keys. 1,200,000 runs are 2,400,000 keys, well past
that, and the first round on each server is not counted.
"""

from __future__ import annotations

import argparse
import statistics

from drain import drain
from server import BenchServer, client_of

FIGURES = ("runs/s", "enqueue/s", "worker µs/run", "server µs/run")


def fill(server: BenchServer, keys: int) -> None:
    """Keys of the shape of finished runs and attempts, of another application."""
    client = client_of(server.url)
    for start in range(0, keys, 1_000):
        pipe = client.pipeline(transaction=False)
        for number in range(start, start + 1_000):
            key = f"other:{number:036}"
            pipe.hset(
                key, mapping={"state": "succeeded", "number": 0, "worker": "somebody", "ended_at": 1_700_000_000_000}
            )
            pipe.pexpire(key, 86_400_000)
        pipe.execute()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--history", type=int, default=1_200_000)
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with BenchServer() as empty, BenchServer() as full, BenchServer() as foreign:
        part = min(240_000, args.history)
        for _ in range(0, args.history, part):
            drain(full, "plain", part, fresh=False)
        finished = client_of(full.url).dbsize() // 2
        fill(foreign, 2 * args.history)
        servers = (empty, full, foreign)
        seen: list[list[dict[str, float]]] = [[], [], []]
        # In turn, so that what else goes on on this machine meets all.
        for _ in range(1 + args.rounds):
            for server, rounds in zip(servers, seen, strict=True):
                rounds.append(drain(server, "plain", args.runs, fresh=server is empty))
        print(full.name())
        print(
            f"{'figure':16}{'empty':>12}{'full':>12}{'change':>9}{'other keys':>12}{'change':>9}   ({finished} finished runs)"
        )
        for name in FIGURES:
            one, two, three = (statistics.median(each[name] for each in rounds[1:]) for rounds in seen)
            print(f"{name:16}{one:12.1f}{two:12.1f}{two / one - 1:9.1%}{three:12.1f}{three / one - 1:9.1%}")


if __name__ == "__main__":
    main()
