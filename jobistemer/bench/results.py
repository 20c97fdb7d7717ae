"""What is measured, as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class Throughput(msgspec.Struct, frozen=True):
    """Work done as fast as it goes: runs a second, and the CPU µs that each cost; None for what was not told.

    client is the process that enqueues, worker the one that executes. unfinished: what the time was too short for.
    """

    work: str
    runs: int
    runs_per_s: float
    client_us: float | None = None
    worker_us: float | None = None
    server_us: float | None = None
    unfinished: int = 0


class Lateness(msgspec.Struct, frozen=True):
    """Milliseconds between what should happen and what did; of `expected`, `seen` did. CPU µs are for each of them."""

    work: str
    expected: int
    seen: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    ticker_us: float | None = None
    server_us: float | None = None


class BenchReport(msgspec.Struct, frozen=True):
    """One measurement: where, what to be careful about, and the figures."""

    took_s: float
    machine: dict[str, Any]
    server: dict[str, Any]
    warnings: list[str]
    throughput: list[Throughput]
    delays: list[Lateness]


def summarize_lateness(work: str, expected: int, ms: Sequence[float], **cost: float | None) -> Lateness:
    """The usual cuts of what was seen."""
    if not ms:
        return Lateness(work, expected, 0, **cost)
    ordered = sorted(ms)
    cuts = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99, 1.0)]
    return Lateness(work, expected, len(ordered), *(round(cut, 2) for cut in cuts), **cost)


def micros_per_run(seconds: float | None, runs: int) -> float | None:
    """CPU seconds as µs for each run; None when they are not known, or nothing ran."""
    return round(seconds / runs * 1e6, 1) if seconds is not None and runs else None
