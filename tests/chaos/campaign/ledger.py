"""The ledger of a campaign: what was done in the world outside, in a SQLite file that no fault of the server reaches.

An execution is a row when it begins, and gets its end in a second write: a process that is killed leaves a row without
an end. Times are seconds of the monotonic clock, which all processes of a machine share and nobody can step.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

TABLES = """
CREATE TABLE IF NOT EXISTS execution (
  number INTEGER PRIMARY KEY, run TEXT, attempt INTEGER, kind TEXT, key TEXT, pid INTEGER, began REAL, ended REAL, ok INTEGER
);
CREATE TABLE IF NOT EXISTS acknowledged (run TEXT PRIMARY KEY, kind TEXT, at REAL);
CREATE INDEX IF NOT EXISTS ended ON execution (ended);
"""


class Execution(NamedTuple):
    """One call of a handler. ended is None when its process died; ok: it returned, and so had its effect."""

    run: str
    attempt: int
    kind: str
    key: str
    pid: int
    began: float
    ended: float | None = None
    ok: bool = False


class Ledger:
    """The file, with a connection for each thread that writes."""

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        self._local = threading.local()

    @property
    def _file(self) -> sqlite3.Connection:
        found = getattr(self._local, "file", None)
        if found is None:
            found = self._local.file = sqlite3.connect(self._path, timeout=60, isolation_level=None)
            # What a process has written survives its death: no machine dies here, so nothing waits for the disk.
            found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA synchronous=OFF")
            found.executescript(TABLES)
        return found

    @contextmanager
    def execution(self, run: str, attempt: int, kind: str, key: str = "") -> Iterator[None]:
        """Note the beginning of an execution, and its end."""
        row = (run, attempt, kind, key, os.getpid(), time.monotonic())
        added = self._file.execute(
            "INSERT INTO execution (run, attempt, kind, key, pid, began) VALUES (?, ?, ?, ?, ?, ?)", row
        )
        ok = 0
        try:
            yield
            ok = 1
        finally:
            ended = (time.monotonic(), ok, added.lastrowid)
            self._file.execute("UPDATE execution SET ended = ?, ok = ? WHERE number = ?", ended)

    def acknowledge(self, runs: Iterable[str], kind: str) -> None:
        """Note calls that were acknowledged to their producer."""
        now = time.monotonic()
        self._file.executemany(
            "INSERT OR IGNORE INTO acknowledged VALUES (?, ?, ?)", [(run, kind, now) for run in runs]
        )

    def executions(self, since: float = 0.0) -> list[Execution]:
        rows = self._file.execute(
            "SELECT run, attempt, kind, key, pid, began, ended, coalesce(ok, 0) FROM execution WHERE began >= ? ORDER BY began",
            (since,),
        )
        return [Execution(*row[:-1], ok=bool(row[-1])) for row in rows]

    def acknowledged(self, since: float = 0.0) -> list[str]:
        return [
            run for (run,) in self._file.execute("SELECT run FROM acknowledged WHERE at >= ? ORDER BY at", (since,))
        ]

    def count(self) -> tuple[int, int]:
        """How many calls were acknowledged, and how many executions had their effect."""
        (calls,) = self._file.execute("SELECT count(*) FROM acknowledged").fetchone()
        (effects,) = self._file.execute("SELECT count(*) FROM execution WHERE ok = 1").fetchone()
        return calls, effects

    def find_running(self) -> set[int]:
        """The processes in which a handler is being called; those that were killed meanwhile stay among them."""
        return {pid for (pid,) in self._file.execute("SELECT DISTINCT pid FROM execution WHERE ended IS NULL")}

    def find_open(self) -> set[str]:
        """The calls that were acknowledged, and whose effect has not come about."""
        rows = self._file.execute(
            "SELECT run FROM acknowledged WHERE run NOT IN (SELECT run FROM execution WHERE ok = 1)"
        )
        return {run for (run,) in rows}

    def forget_open(self) -> None:
        """Ask nothing more of calls without an effect: their server has forgotten them."""
        self._file.execute("DELETE FROM acknowledged WHERE run NOT IN (SELECT run FROM execution WHERE ok = 1)")

    def find_effects(self, since: float) -> set[str]:
        """The runs whose effect has come about since then."""
        return {run for (run,) in self._file.execute("SELECT run FROM execution WHERE ok = 1 AND ended >= ?", (since,))}
