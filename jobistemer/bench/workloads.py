"""The work that is measured, one function for each kind. Figures are of this machine and this server together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from jobistemer.app import Jobistemer
from jobistemer.app.handles import RunHandle
from jobistemer.bench.environment import Gauge
from jobistemer.bench.results import Delay, Throughput, delay, micros
from jobistemer.bench.subprocesses import PATIENCE_S, beside, until
from jobistemer.bench.tasks import declare_ticks, lateness
from jobistemer.store.reads.queues import list_queues, list_tickers

BATCH: Final = 1_000
IDLE_PER_S: Final = 100
"""One call at a time, so few that nobody waits for another."""
WARM: Final = 20


class Bench:
    """An app in an empty namespace, and the gauge of its server."""

    def __init__(self, app: Jobistemer, gauge: Gauge, most_runs: int) -> None:
        self.app = app
        self._gauge = gauge
        self._most_runs = most_runs

    def single(self, seconds: float) -> Throughput:
        """Enqueue calls one after another, each when the one before is stored."""
        return self._enqueued("enqueue, one at a time", seconds, self._enqueue_one)

    def bulk(self, task: str, seconds: float) -> Throughput:
        """Enqueue calls a thousand in a round trip."""
        return self._enqueued("enqueue, in bulk", seconds, lambda: self._enqueue_many(task))

    def drain(self, task: str, seconds: float) -> Throughput:
        """Have one worker process execute what waits, for so many seconds at the most."""
        server = self._gauge.cpu_seconds()
        with beside(self.app.namespace, "drain", seconds) as worker:
            spent = worker.finish(PATIENCE_S + seconds)
        return Throughput(
            f"drain, {task}",
            spent.done,
            round(spent.done / spent.seconds),
            worker_us=micros(spent.cpu, spent.done),
            server_us=micros(self._gauge.since(server), spent.done),
            unfinished=sum(queue.waiting for queue in list_queues(self.app.namespace.shards)),
        )

    def latency(self, seconds: float, per_s: int) -> list[Delay]:
        """From before a call to the first line of its handler: with nothing else going on, and at a rate."""
        phases = {"latency, idle": IDLE_PER_S, f"latency at {per_s} runs/s": per_s}
        with beside(self.app.namespace, "serve") as worker:
            for _ in range(WARM):
                self._stamp("").result(timeout=PATIENCE_S)
            sent = {phase: self._paced(phase, rate, seconds) for phase, rate in phases.items()}
            # The last in the queue: when it has ended, the others have begun.
            self._stamp("").result(timeout=PATIENCE_S)
            worker.terminate()
            seen = worker.finish().seen
        return [
            delay(phase, count, [late * 1000 for name, late in seen if name == phase]) for phase, count in sent.items()
        ]

    def due(self, jobs: int, seconds: int) -> Delay:
        """Have a ticker fire jobs every second: how late their runs are on the stream."""
        names = declare_ticks(self.app, jobs)
        with beside(self.app.namespace, "tick") as ticker:
            until(lambda: list_tickers(self.app.namespace.shards), "the ticker")
            self.app.deploy()
            first = self.app.namespace.read_clock() // 1000 + 2
            self._sleep_until(first)
            server = self._gauge.cpu_seconds()
            self._sleep_until(first + seconds)
            spent_there = self._gauge.since(server)
            ticker.terminate()
            spent = ticker.finish()
        late = lateness(self.app.namespace, names, range(first, first + seconds))
        expected = jobs * seconds
        cost = {"ticker_us": micros(spent.cpu, len(late)), "server_us": micros(spent_there, len(late))}
        return delay(f"{jobs} jobs due every second", expected, late, **cost)

    def _enqueue_one(self) -> int:
        self.app.enqueue("plain")
        return 1

    def _enqueue_many(self, task: str) -> int:
        self.app.enqueue_many(self.app.request(task) for _ in range(BATCH))
        return BATCH

    def _enqueued(self, work: str, seconds: float, enqueue: Callable[[], int]) -> Throughput:
        enqueue()
        runs, server, cpu, began = 0, self._gauge.cpu_seconds(), time.process_time(), time.perf_counter()
        while (took := time.perf_counter() - began) < seconds and runs < self._most_runs:
            runs += enqueue()
        client, spent = time.process_time() - cpu, self._gauge.since(server)
        return Throughput(work, runs, round(runs / took), client_us=micros(client, runs), server_us=micros(spent, runs))

    def _paced(self, phase: str, per_s: int, seconds: float) -> int:
        """Enqueue at even intervals; how many there were in the end."""
        first, wanted = time.monotonic(), round(per_s * seconds)
        for number in range(wanted):
            now = time.monotonic()
            if now > first + 2 * seconds:
                return number
            time.sleep(max(0.0, first + number / per_s - now))
            self._stamp(phase)
        return wanted

    def _stamp(self, phase: str) -> RunHandle[Any]:
        return self.app.enqueue("stamp", {"sent": time.monotonic(), "phase": phase})

    def _sleep_until(self, at: int) -> None:
        time.sleep(max(0.0, at - self.app.namespace.clock.now_ms() / 1000))
