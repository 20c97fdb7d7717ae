"""Enqueue no-op calls: many at once, one by one, and awaited; what it costs the producer and the server.

python benchmarks/enqueue.py [--runs 60000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

from server import BenchServer, client_of

from jobistemer import Jobistemer

COROUTINES = 16
"""How many coroutines enqueue at the same time."""


def build_app(url: str) -> Jobistemer:
    app = Jobistemer(url)

    @app.task
    def plain(number: int) -> None: ...

    return app


def enqueue_many(app: Jobistemer, runs: int) -> None:
    app.enqueue_many(app.request("plain", {"number": number}) for number in range(runs))


def enqueue_single(app: Jobistemer, runs: int) -> None:
    for number in range(runs):
        app.enqueue("plain", {"number": number})


def enqueue_unique(app: Jobistemer, runs: int) -> None:
    for number in range(runs):
        app.enqueue("plain", {"number": number}, unique=f"order-{number}")


def enqueue_awaited(app: Jobistemer, runs: int) -> None:
    async def one_after_another(numbers: range) -> None:
        for number in numbers:
            await app.enqueue_async("plain", {"number": number})

    async def together() -> None:
        await asyncio.gather(*(one_after_another(range(start, runs, COROUTINES)) for start in range(COROUTINES)))

    asyncio.run(together())


WAYS: dict[str, tuple[Callable[[Jobistemer, int], None], int]] = {
    "enqueue_many": (enqueue_many, 1),
    "enqueue": (enqueue_single, 4),
    "enqueue, unique": (enqueue_unique, 4),
    "enqueue_async": (enqueue_awaited, 8),
}
"""Each way, and the part of the runs that it is measured with."""


def measure(server: BenchServer, way: Callable[[Jobistemer, int], None], runs: int) -> dict[str, float]:
    client_of(server.url).flushall()
    app = build_app(server.url)
    way(app, 100)
    client, cpu, started = time.process_time(), server.cpu_seconds(), time.perf_counter()
    way(app, runs)
    seconds = time.perf_counter() - started
    return {
        "runs/s": runs / seconds,
        "client µs/run": (time.process_time() - client) / runs * 1e6,
        "server µs/run": (server.cpu_seconds() - cpu) / runs * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with BenchServer() as server:
        for name, (way, part) in WAYS.items():
            rounds = [measure(server, way, args.runs // part) for _ in range(args.rounds)]
            print(name, {key: round(statistics.median(each[key] for each in rounds), 1) for key in rounds[0]})


if __name__ == "__main__":
    main()
