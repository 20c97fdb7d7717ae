"""The figures of a measurement, as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class Throughput(msgspec.Struct, frozen=True):
    """Work done at full speed: runs per second, and the CPU µs of each run; None for a cost that is not known.

    client is the process that enqueues, worker the process that executes. unfinished: runs left when the time was over.
    """

    work: str
    runs: int
    runs_per_s: float
    client_us: float | None = None
    worker_us: float | None = None
    server_us: float | None = None
    unfinished: int = 0


class Lateness(msgspec.Struct, frozen=True):
    """Milliseconds between when something should happen and when it did.

    `seen` of `expected` events happened; CPU µs are for each of these.
    """

    work: str
    expected: int
    seen: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    ticker_us: float | None = None
    server_us: float | None = None


class BenchReport(msgspec.Struct, frozen=True):
    """One measurement: the conditions, warnings about them, and the figures."""

    took_s: float
    machine: dict[str, Any]
    server: dict[str, Any]
    warnings: list[str]
    throughput: list[Throughput]
    delays: list[Lateness]


def summarize_lateness(work: str, expected: int, ms: Sequence[float], **cost: float | None) -> Lateness:
    """Return the median, the 99th percentile and the maximum of milliseconds, with the costs given."""
    if not ms:
        return Lateness(work, expected, 0, **cost)
    ordered = sorted(ms)
    cuts = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99, 1.0)]
    return Lateness(work, expected, len(ordered), *(round(cut, 2) for cut in cuts), **cost)


def micros_per_run(seconds: float | None, runs: int) -> float | None:
    """Return CPU seconds as µs for each run; None when they are not known, or nothing ran."""
    return round(seconds / runs * 1e6, 1) if seconds is not None and runs else None
