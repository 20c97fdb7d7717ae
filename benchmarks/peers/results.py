"""Measured rows as JSON lines: added to as they come, so that an interrupted comparison goes on where it stopped."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Key:
    """Which work of which peer."""

    work: str
    peer: str
    setting: str
    placement: str


@dataclass(frozen=True)
class Row:
    """One round: figures, or why there are none."""

    key: Key
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    failed: str = ""


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float
    rounds: int


class Results:
    """A file of rows, and one line about the machine and the versions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.machine: dict[str, Any] = {}
        self.rows: list[Row] = []
        for line in path.read_text().splitlines() if path.exists() else []:
            self._load_line(json.loads(line))

    def describe(self, machine: dict[str, Any]) -> None:
        self.machine = machine
        self._append({"machine": machine})

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self._append({**asdict(row.key), "round": row.round, "figures": row.figures, "failed": row.failed})

    def has(self, key: Key, number: int) -> bool:
        return any(row.key == key and row.round == number for row in self.rows)

    def last(self, key: Key) -> dict[str, float]:
        return next((row.figures for row in reversed(self.rows) if row.key == key and row.figures), {})

    def _load_line(self, line: dict[str, Any]) -> None:
        if "machine" in line:
            self.machine = line["machine"]
            return
        key = Key(line["work"], line["peer"], line["setting"], line["placement"])
        self.rows.append(Row(key, line["round"], line["figures"], line["failed"]))

    def _append(self, line: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def summarize(rows: Iterable[Row]) -> dict[Key, dict[str, Spread]]:
    """Median, least and most of each figure over the rounds that worked."""
    figures: dict[Key, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for name, value in row.figures.items():
            figures[row.key][name].append(value)
    return {
        key: {name: Spread(statistics.median(some), min(some), max(some), len(some)) for name, some in by_name.items()}
        for key, by_name in figures.items()
    }


def find_failures(rows: Iterable[Row]) -> dict[Key, str]:
    """Why there is no figure, for the keys that have none in any round."""
    all_rows = list(rows)
    worked = {row.key for row in all_rows if row.figures}
    return {row.key: row.failed for row in all_rows if row.failed and row.key not in worked}
