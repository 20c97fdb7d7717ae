"""Metrics of a process or a cluster as values, in no format of any monitoring system."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

BUCKET_BOUNDS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0,
)  # fmt: skip
"""The upper bounds of the buckets of a histogram, in seconds: from a no-op to a nightly batch."""


class Histogram:
    """Durations counted in buckets. One thread adds; a reader in another thread may miss the last ones."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        # The last bucket holds all that is longer than the last bound.
        self.counts = [0] * (len(BUCKET_BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, *durations: float) -> None:
        """Count durations, in seconds."""
        counts, bounds = self.counts, BUCKET_BOUNDS_S
        for seconds in durations:
            counts[bisect_left(bounds, seconds)] += 1
        self.total_s += sum(durations)

    def __add__(self, other: Histogram) -> Histogram:
        result = Histogram()
        result.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        result.total_s = self.total_s + other.total_s
        return result


Value = float | Histogram


class Measure(NamedTuple):
    """One metric: its name without a prefix, its help text, and its values by their labels.

    A counter counts since the process started, a gauge has the value of this moment, a histogram has buckets of
    durations.
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    what: str
    labels: tuple[str, ...]
    values: list[tuple[tuple[str, ...], Value]]


def gauge(name: str, what: str, value: float) -> Measure:
    """Build a gauge without labels."""
    return Measure("gauge", name, what, (), [((), value)])


def gauges(name: str, what: str, label: str, values: Iterable[tuple[str, float]]) -> Measure:
    """Build a gauge with one label."""
    return Measure("gauge", name, what, (label,), [((of,), value) for of, value in values])
