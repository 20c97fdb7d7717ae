"""Delayed runs: a million that wait, and some thousand a second among them that become due.

    python benchmarks/delayed.py [--waiting 1000000] [--rate 5000] [--seconds 10]

Lateness is the server's time when the run's entry was made (its id) minus the time the run was delayed to.
"""

from __future__ import annotations

import argparse
import statistics
import time

from latency import cpu_seconds, start
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.store.reads.records import find_entry_times

BATCH = 20_000


def enqueue(app: Jobistemer, delays: list[float]) -> list[str]:
    return [handle.id for handle in app.enqueue_many(app.request("plain", delay=delay) for delay in delays)]


def read_entry_times(app: Jobistemer, runs: list[str]) -> list[int | None]:
    """The server's time (ms) when each run's entry was made; None for one that still waits."""
    found: list[int | None] = []
    for at in range(0, len(runs), 1000):
        found += find_entry_times(app.namespace.shards[0], runs[at : at + 1000])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=10)
    args = parser.parse_args()
    with BenchServer() as server:
        client, app = client_of(server.url), Jobistemer(server.url)
        began = time.perf_counter()
        for at in range(0, args.waiting, BATCH):
            enqueue(app, [86_400.0] * min(BATCH, args.waiting - at))
        memory = (client.info("memory")["used_memory"] - server.empty_bytes) / max(1, args.waiting)
        print(f"enqueued {args.waiting} in {time.perf_counter() - began:.1f} s, {memory:.0f} bytes each", flush=True)
        number = args.rate * args.seconds
        # Each is enqueued with the delay that is left until its time: one becomes due every 1 / rate seconds.
        ahead = 5 + number / 8000
        first = time.time() + ahead
        runs: list[str] = []
        for at in range(0, number, 1000):
            offsets = [(at + each) / args.rate for each in range(min(1000, number - at))]
            runs += enqueue(app, [max(0.001, first + offset - time.time()) for offset in offsets])
        assert time.time() < first, "enqueueing took too long for this machine"
        marks = read_due_ms(app, runs)
        ticker = start("ticker", server.url)
        time.sleep(max(0.0, first - time.time()))
        used, theirs = cpu_seconds(ticker.pid), server.cpu_seconds()
        time.sleep(args.seconds + 1)
        print(f"CPU µs per promoted run: ticker {(cpu_seconds(ticker.pid) - used) / number * 1e6:.1f},", end=" ")
        print(f"server {(server.cpu_seconds() - theirs) / number * 1e6:.1f}")
        ticker.terminate()
        ticker.wait()
        times = read_entry_times(app, runs)
        late = [at - mark for at, mark in zip(times, marks, strict=True) if at is not None]
        print(
            f"promoted {len(late) / number:.2%} at {args.rate}/s, ms late: p50 {statistics.median(late):.0f}", end=", "
        )
        print(f"p99 {statistics.quantiles(late, n=100)[98]:.0f}, max {max(late):.0f}")


def read_due_ms(app: Jobistemer, runs: list[str]) -> list[int]:
    """The ms that each run waits for."""
    database = app.namespace.shards[0]
    found: list[int] = []
    for at in range(0, len(runs), 1000):
        part = [f"default:5:{run}" for run in runs[at : at + 1000]]
        found += [int(mark) for mark in database.ask("ZMSCORE", database.keys.delayed, *part)]
    return found


if __name__ == "__main__":
    main()
