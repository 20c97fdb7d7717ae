"""Pieces of English sentences: lists, ordinals, runs of values."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SUFFIXES: Final = {1: "st", 2: "nd", 3: "rd"}
_TEENS: Final = (11, 12, 13)
_LONG_RUN: Final = 3


def join_words(words: Sequence[str], last: str = "and") -> str:
    """Join words as a sentence does: `a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def ordinal(number: int) -> str:
    """Write a number as a place in a row: 1st, 2nd, 3rd, 4th."""
    suffix = "th" if number % 100 in _TEENS else _SUFFIXES.get(number % 10, "th")
    return f"{number}{suffix}"


def count_units(number: int, unit: str) -> str:
    """Count things: `1 hour`, `6 hours`."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def repeat_unit(number: int, unit: str) -> str:
    """Repeat a unit: `every hour`, `every 6 hours`."""
    return f"every {unit}" if number == 1 else f"every {number} {unit}s"


def join_runs(values: Sequence[int], word: Callable[[int], str]) -> str:
    """List values, three or more in a row as `first to last`."""
    groups: list[list[int]] = []
    for value in values:
        if groups and value == groups[-1][-1] + 1:
            groups[-1].append(value)
        else:
            groups.append([value])
    return join_words([part for group in groups for part in _run(group, word)])


def step_of(values: Sequence[int]) -> int | None:
    """Return the step of evenly spaced values, or None when they are not."""
    steps = {later - earlier for earlier, later in pairwise(values)}
    return steps.pop() if len(steps) == 1 else None


def _run(group: list[int], word: Callable[[int], str]) -> list[str]:
    if len(group) >= _LONG_RUN:
        return [f"{word(group[0])} to {word(group[-1])}"]
    return [word(value) for value in group]
