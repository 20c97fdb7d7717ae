"""What a run costs in commands, by the number of shards, workers and tickers: the server counts them.

python benchmarks/commands.py [--runs 2000] [--seconds 6] [--row 16,50,1 …]

First everybody is idle and the server counts what that costs a second. Then a fixed number of calls is enqueued, one by
one, and worked off; what being idle costs meanwhile is taken off. `sent` are the commands that clients send (scripts and
blocking reads), `all` includes what scripts do inside.
"""

from __future__ import annotations

import argparse
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import NamedTuple

import redis
from server import BenchServer, client_of

from jobistemer.app import Jobistemer
from jobistemer.core.settings import TickerSettings, WorkerSettings
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.reads.queues import list_workers
from jobistemer.ticker.ticker import Ticker
from jobistemer.worker import Worker

ROWS = [
    *((1, 1, 1), (4, 1, 1), (16, 1, 1)),
    *((1, 10, 1), (4, 10, 1), (16, 10, 1), (1, 50, 1), (4, 50, 1), (16, 50, 1)),
    *((1, 1, 3), (1, 1, 10), (16, 1, 3), (16, 1, 10)),
]
"""Shards, workers, tickers."""
WORKERS_PER_PROCESS = 5
"""How many workers share a process."""
SENT = ("evalsha", "eval", "xreadgroup")


class CommandCount(NamedTuple):
    """Commands since the server started, and when that was asked."""

    sent: int
    all: int
    at: float

    def since(self, earlier: CommandCount) -> CommandCount:
        return CommandCount(self.sent - earlier.sent, self.all - earlier.all, self.at - earlier.at)


def count_commands(client: redis.Redis) -> CommandCount:
    calls = {name.removeprefix("cmdstat_"): each["calls"] for name, each in client.info("commandstats").items()}
    return CommandCount(sum(calls.get(name, 0) for name in SENT), sum(calls.values()), time.monotonic())


@contextmanager
def running_members(url: str, workers: int, tickers: int) -> Iterator[None]:
    """So many workers and tickers at work, each with connections of its own, in as many processes as it takes.

    A worker on 16 shards has some fifty threads: too many workers in one process starve one another, miss their beats,
    and what is counted then is how they take over from each other.
    """
    spawn = multiprocessing.get_context("spawn")
    ended = spawn.Event()
    groups = [
        (0, tickers),
        *((min(WORKERS_PER_PROCESS, workers - first), 0) for first in range(0, workers, WORKERS_PER_PROCESS)),
    ]
    processes = [spawn.Process(target=run_members, args=(url, *each, ended)) for each in groups]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        ended.set()
        for process in processes:
            process.join()


def run_members(url: str, workers: int, tickers: int, ended: Event) -> None:
    """Some workers and tickers in this process, until they are to end."""
    shutdown = Shutdown()
    runs = [Ticker(build_app(url).namespace, TickerSettings()).run for _ in range(tickers)]
    apps = [build_app(url) for _ in range(workers)]
    runs += [Worker(app.namespace, app.handlers, WorkerSettings(concurrency=8)).run for app in apps]
    threads = [threading.Thread(target=run, args=(shutdown,)) for run in runs]
    for thread in threads:
        thread.start()
    ended.wait()
    shutdown.request()
    for thread in threads:
        thread.join()


def build_app(url: str, shards: int | None = None) -> Jobistemer:
    app = Jobistemer(url, shards=shards)

    @app.task
    def nothing() -> None: ...

    return app


def measure(url: str, row: tuple[int, int, int], runs: int, seconds: float) -> tuple[CommandCount, CommandCount]:
    """What was counted while idle, and while the runs were enqueued and worked off."""
    client = client_of(url)
    client.flushall()
    shards, workers, tickers = row
    app = build_app(url, shards)
    app.namespace.connect()
    with running_members(url, workers, tickers):
        while not all(len(list_workers([shard])) == workers for shard in app.namespace.shards):
            time.sleep(0.5)
        # Everybody has loaded their scripts and looked once.
        time.sleep(2.5)
        before = count_commands(client)
        time.sleep(seconds)
        idle = count_commands(client).since(before)
        before = count_commands(client)
        for _ in range(runs):
            app.enqueue("nothing")
        while any(client.xlen(key) for key in client.scan_iter("*:stream:*", count=10_000)):
            time.sleep(0.05)
        return idle, count_commands(client).since(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--row", action="append", help="shards,workers,tickers; by default all rows of the page")
    asked = parser.parse_args()
    rows = [tuple(int(each) for each in row.split(",")) for row in asked.row or ()] or ROWS
    print(
        "shards  workers  tickers   idle, a second:  sent     all   sent per member and shard     a run:  sent    all"
    )
    with BenchServer() as server:
        for row in rows:
            idle, busy = measure(server.url, row, asked.runs, asked.seconds)
            shards, workers, tickers = row
            sent_s, all_s = idle.sent / idle.at, idle.all / idle.at
            sent = (busy.sent - sent_s * busy.at) / asked.runs
            total = (busy.all - all_s * busy.at) / asked.runs
            each = sent_s / (shards * (workers + tickers))
            print(
                f"{shards:6} {workers:8} {tickers:8} {sent_s:22.1f} {all_s:7.0f} {each:18.2f} {sent:24.2f} {total:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
