"""Measures: what a process or a cluster has to tell in numbers, whoever asks and in whichever form."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

BUCKET_BOUNDS_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    *(300.0, 900.0, 3600.0, 14_400.0),
)
"""The upper bounds of the classes of a spread: from a no-op to a nightly batch."""


class Histogram:
    """How durations are spread over classes. One thread adds; who reads meanwhile may miss the last."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        # The last is for all that is longer.
        self.counts = [0] * (len(BUCKET_BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, *durations: float) -> None:
        """Count some, in seconds."""
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
    """One thing that is measured: its name without a prefix, what it is, and its values by their labels.

    A counter counts since the process started, a gauge stands at this moment, a spread has classes of durations.
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    what: str
    labels: tuple[str, ...]
    values: list[tuple[tuple[str, ...], Value]]


def gauge(name: str, what: str, value: float) -> Measure:
    """A gauge without labels."""
    return Measure("gauge", name, what, (), [((), value)])


def gauges(name: str, what: str, label: str, values: Iterable[tuple[str, float]]) -> Measure:
    """A gauge with one label."""
    return Measure("gauge", name, what, (label,), [((of,), value) for of, value in values])
