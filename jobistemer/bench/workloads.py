"""The work that is measured, one method for each kind. Figures are of this machine and this server together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from jobistemer.app import Jobistemer
from jobistemer.app.handles import RunHandle
from jobistemer.bench.environment import ServerProbe
from jobistemer.bench.results import Lateness, Throughput, micros_per_run, summarize_lateness
from jobistemer.bench.subprocesses import TIMEOUT_S, start_role, wait_until
from jobistemer.bench.tasks import declare_ticks, read_lateness
from jobistemer.store.reads.queues import list_queues, list_tickers

BATCH: Final = 1_000
IDLE_PER_S: Final = 100
"""Calls per second of the idle latency: so few that no run waits for another."""
WARM_UP_RUNS: Final = 20


class Workloads:
    """An app in an empty namespace, with the probe of its server."""

    def __init__(self, app: Jobistemer, probe: ServerProbe, max_runs: int) -> None:
        self.app = app
        self._probe = probe
        self._max_runs = max_runs

    def enqueue_single(self, seconds: float) -> Throughput:
        """Enqueue calls one at a time, each in a round trip of its own."""
        return self._measure_enqueue("enqueue, one at a time", seconds, self._enqueue_one)

    def enqueue_bulk(self, task: str, seconds: float) -> Throughput:
        """Enqueue calls, a thousand in a round trip."""
        return self._measure_enqueue("enqueue, in bulk", seconds, lambda: self._enqueue_many(task))

    def drain(self, task: str, seconds: float) -> Throughput:
        """Let one worker process execute the waiting runs, within the seconds given."""
        server = self._probe.cpu_seconds()
        with start_role(self.app.namespace, "drain", seconds) as worker:
            result = worker.finish(TIMEOUT_S + seconds)
        return Throughput(
            f"drain, {task}",
            result.done,
            round(result.done / result.seconds),
            worker_us=micros_per_run(result.cpu, result.done),
            server_us=micros_per_run(self._probe.cpu_seconds_since(server), result.done),
            unfinished=sum(queue.waiting for queue in list_queues(self.app.namespace.shards)),
        )

    def measure_latency(self, seconds: float, per_s: int) -> list[Lateness]:
        """Measure the time from before a call to the first line of its handler: on an idle system, and at a rate."""
        phases = {"latency, idle": IDLE_PER_S, f"latency at {per_s} runs/s": per_s}
        with start_role(self.app.namespace, "serve") as worker:
            for _ in range(WARM_UP_RUNS):
                self._enqueue_stamp("").result(timeout=TIMEOUT_S)
            sent = {phase: self._enqueue_paced(phase, rate, seconds) for phase, rate in phases.items()}
            # This run is the last in the queue: when it has ended, all others have begun.
            self._enqueue_stamp("").result(timeout=TIMEOUT_S)
            worker.terminate()
            seen = worker.finish().seen
        return [
            summarize_lateness(phase, count, [late * 1000 for name, late in seen if name == phase])
            for phase, count in sent.items()
        ]

    def measure_due(self, jobs: int, seconds: int) -> Lateness:
        """Measure how late the runs of jobs that are due every second come onto their stream."""
        names = declare_ticks(self.app, jobs)
        with start_role(self.app.namespace, "tick") as ticker:
            wait_until(lambda: list_tickers(self.app.namespace.shards), "the ticker")
            self.app.deploy()
            first = self.app.namespace.read_clock() // 1000 + 2
            self._sleep_until(first)
            server = self._probe.cpu_seconds()
            self._sleep_until(first + seconds)
            server_s = self._probe.cpu_seconds_since(server)
            ticker.terminate()
            result = ticker.finish()
        late = read_lateness(self.app.namespace, names, range(first, first + seconds))
        expected = jobs * seconds
        cost = {"ticker_us": micros_per_run(result.cpu, len(late)), "server_us": micros_per_run(server_s, len(late))}
        return summarize_lateness(f"{jobs} jobs due every second", expected, late, **cost)

    def _enqueue_one(self) -> int:
        self.app.enqueue("plain")
        return 1

    def _enqueue_many(self, task: str) -> int:
        self.app.enqueue_many(self.app.request(task) for _ in range(BATCH))
        return BATCH

    def _measure_enqueue(self, work: str, seconds: float, enqueue: Callable[[], int]) -> Throughput:
        enqueue()
        runs, server, cpu, began = 0, self._probe.cpu_seconds(), time.process_time(), time.perf_counter()
        while (took := time.perf_counter() - began) < seconds and runs < self._max_runs:
            runs += enqueue()
        client, spent = time.process_time() - cpu, self._probe.cpu_seconds_since(server)
        return Throughput(
            work,
            runs,
            round(runs / took),
            client_us=micros_per_run(client, runs),
            server_us=micros_per_run(spent, runs),
        )

    def _enqueue_paced(self, phase: str, per_s: int, seconds: float) -> int:
        """Enqueue at even intervals. Returns how many calls were made before twice the time was over."""
        first, wanted = time.monotonic(), round(per_s * seconds)
        for number in range(wanted):
            now = time.monotonic()
            if now > first + 2 * seconds:
                return number
            time.sleep(max(0.0, first + number / per_s - now))
            self._enqueue_stamp(phase)
        return wanted

    def _enqueue_stamp(self, phase: str) -> RunHandle[Any]:
        return self.app.enqueue("stamp", {"sent": time.monotonic(), "phase": phase})

    def _sleep_until(self, at: int) -> None:
        time.sleep(max(0.0, at - self.app.namespace.clock.now_ms() / 1000))
