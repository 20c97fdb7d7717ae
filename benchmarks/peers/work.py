"""The work that is measured with queues: enqueueing, draining a backlog, latency, memory."""

from __future__ import annotations

import time

from benchmarks.peers.harness import Figures, Harness
from benchmarks.peers.processes import ProcessSet, StepFailed, wait_until

SKIPPED_SHARE = 0.15
"""The part of a backlog that passes before the clock starts: by then every process has begun."""
LOOK_EVERY_S = 0.02


def enqueue(harness: Harness, way: str, seconds: float) -> Figures:
    """Runs a second from one producer; the count follows from a first try."""
    task = harness.peer.tasks[0]
    with harness.producer() as producer:
        tried = producer.ask(way, task=task, count=300)
        tried = producer.ask(way, task=task, count=1000) if way == "bulk" else tried
        pace = (1000 if way == "bulk" else 300) / tried["seconds"]
        count = max(200, min(200_000, int(pace * seconds)))
        held, server = harness.server.used_bytes(), harness.server.cpu_seconds()
        done = producer.ask(way, task=task, count=count)
        return {
            "runs/s": count / done["seconds"],
            "producer us": done["cpu"] / count * 1e6,
            "server us": (harness.server.cpu_seconds() - server) / count * 1e6,
            "bytes waiting": (harness.server.used_bytes() - held) / count,
            "runs": count,
        }


def drain(harness: Harness, task: str, processes: int, rate: float, seconds: float) -> Figures:
    """A backlog made while no worker runs; measured from when a part of it is done until nothing is unfinished."""
    runs = max(60, min(250_000, int(rate * seconds)))
    with harness.producer() as producer:
        empty = harness.server.used_bytes()
        producer.ask("fill", task=task, count=runs, timeout=90)
    if (filled := harness.unfinished()) < runs:
        raise StepFailed(f"of {runs} runs only {filled} were stored")
    with harness.workers(processes) as workers:
        began = _wait_for_unfinished(harness, workers, int(runs * (1 - SKIPPED_SHARE)), 40)
        left = harness.unfinished()
        cpu, server = workers.cpu_seconds(), harness.server.cpu_seconds()
        ended = _wait_for_unfinished(harness, workers, 0, 60)
        spent, server_spent = workers.cpu_seconds() - cpu, harness.server.cpu_seconds() - server
    return {
        "runs/s": left / (ended - began),
        "worker us": spent / left * 1e6,
        "server us": server_spent / left * 1e6,
        "bytes finished": (harness.server.used_bytes() - empty) / runs,
        "runs": runs,
    }


def _wait_for_unfinished(harness: Harness, workers: ProcessSet, most: int, timeout: float) -> float:
    """The moment at which no more than so many were unfinished."""

    def low_enough() -> bool:
        workers.check()
        return harness.unfinished() <= most

    wait_until(low_enough, timeout, f"getting down to {most} unfinished runs", LOOK_EVERY_S)
    return time.perf_counter()


def latency(harness: Harness, per_s: float, count: int) -> Figures:
    """From before the enqueue to the first line of the task, at even intervals."""
    with harness.producer() as producer, harness.workers() as workers:
        warm = 20
        producer.ask("paced", count=warm, per_s=20)
        wait_until(lambda: _count_marks(harness) >= warm, 20, "the first runs", 0.05)
        cpu, server = workers.cpu_seconds(), harness.server.cpu_seconds()
        producer.ask("paced", count=count, per_s=per_s, timeout=60)
        try:
            wait_until(lambda: _count_marks(harness) >= warm + count, 8, "the last runs", 0.05)
        except StepFailed:
            if _count_marks(harness) < warm + count * 0.5:
                raise StepFailed(f"only {_count_marks(harness) - warm} of {count} runs had started 8 s later") from None
        late = sorted(_read_latencies(harness)[warm:])
        return {
            "p50 ms": late[len(late) // 2],
            "p99 ms": late[min(len(late) - 1, int(len(late) * 0.99))],
            "max ms": late[-1],
            "worker us": (workers.cpu_seconds() - cpu) / count * 1e6,
            "server us": (harness.server.cpu_seconds() - server) / count * 1e6,
            "started": len(late) / count,
        }


def _count_marks(harness: Harness) -> int:
    return harness.marks.read_bytes().count(b"\n") if harness.marks.exists() else 0


def _read_latencies(harness: Harness) -> list[float]:
    """In milliseconds, in the order in which the runs were sent."""
    lines = [line.split() for line in harness.marks.read_text().splitlines()]
    return [(int(started) - int(sent)) / 1e6 for sent, started, _ in sorted(lines, key=lambda line: int(line[0]))]
