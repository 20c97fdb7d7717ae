"""The quickstart: an index of a folder tree of Python source, kept up to date by a job.

    jobistemer dev workers.quickstart:app        (or `make demo`)

Every ten seconds the job `index` runs two tasks with thousands of runs between them:

    scan ──▶ index_file, one run per file ──▶ report

`scan` lists the files and maps `index_file` over them. `report` begins when the last of these runs has ended; nothing
waits in a worker's slot. The index is an SQLite file, so you can look at it while it grows:

    sqlite3 quickstart.sqlite3 'select path, lines from files order by lines desc limit 5'

Work is done at least once: a worker that dies has its runs done again by another. So every task here leaves the same
behind when it runs twice. That is the one rule to keep in mind when you write your own.

QUICKSTART_FOLDER is the tree (by default the standard library of this Python), QUICKSTART_DB the SQLite file.
"""

from __future__ import annotations

import json
import keyword
import os
import re
import sqlite3
import sysconfig
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha1
from pathlib import Path
from typing import TypedDict

from jobistemer import Context, Jobistemer, Results

FOLDER = Path(os.environ.get("QUICKSTART_FOLDER") or sysconfig.get_path("stdlib"))
DATABASE = os.environ.get("QUICKSTART_DB", "quickstart.sqlite3")
NOT_OURS = {"site-packages", "dist-packages", "__pycache__"}

app = Jobistemer()


class Report(TypedDict):
    """What one run of the job has found."""

    files: int
    lines: int
    most_frequent: dict[str, int]
    added: int
    changed: int
    removed: int


# --- The job: two tasks, one after the other -----------------------------------------------------------------------

index = app.job("*/10 * * * * *", name="index", description="Index a tree of Python source")


@index.task
def scan(context: Context) -> None:
    """List the files and have each of them indexed, by a run of its own."""
    scan_id = seconds_of(context)
    context.map(index_file, [{"scan_id": scan_id, "path": path} for path in list_files(scan_id)])


@index.task(after=[scan])
def report(context: Context, scan: Results[str]) -> Report:
    """Sum up, once every file of this scan is in. `scan` has what each run of `index_file` has returned."""
    changes = Counter(scan)
    with index_database() as database:
        removed = forget_removed(database, seconds_of(context))
        return summary(database, changes["added"], changes["changed"], removed)


# --- A task that is run once per file -------------------------------------------------------------------------------


@app.task(timeout_s=30)
def index_file(scan_id: int, path: str) -> str:
    """Count lines and identifiers of one file. Returns `added`, `changed`, `kept`, or `gone`."""
    try:
        content = (FOLDER / path).read_bytes()
    except FileNotFoundError:
        return "gone"
    digest = sha1(content, usedforsecurity=False).hexdigest()
    text = content.decode("utf-8", errors="replace")
    found = (text.count("\n"), json.dumps(Counter(words_in(text))))
    with index_database() as database:
        known = database.execute("SELECT digest, scan, change FROM files WHERE path = ?", (path,)).fetchone()
        change = "added" if known is None else "kept" if known[0] == digest else "changed"
        if known is not None and known[1] == scan_id:
            # This run has been here before, and its worker died: it says again what it said then.
            change = known[2]
        database.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", (path, scan_id, digest, *found, change)
        )
    return change


# --- Plain functions, nothing of Jobistemer in them ----------------------------------------------------------------


def seconds_of(context: Context) -> int:
    """The due instant: the same for all tasks and all attempts of an occurrence, so it makes a good id."""
    return int(context.due_at.timestamp())


def python_files(folder: Path) -> Iterator[str]:
    """Paths of the Python files under a folder, relative to it."""
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder)
        if not NOT_OURS.intersection(relative.parts):
            yield relative.as_posix()


def words_in(text: str) -> Iterator[str]:
    """Identifiers in Python source, roughly: words in strings and comments count too."""
    return (word for word in re.findall(r"[A-Za-z_]\w+", text) if not keyword.iskeyword(word))


def list_files(scan_id: int) -> list[str]:
    """The files of a scan: listed once, so that a second attempt maps over the same items."""
    with index_database() as database:
        if not database.execute("SELECT 1 FROM listed WHERE scan = ?", (scan_id,)).fetchone():
            database.execute("DELETE FROM listed")
            rows = ((scan_id, path) for path in python_files(FOLDER))
            database.executemany("INSERT INTO listed VALUES (?, ?)", rows)
        return [path for (path,) in database.execute("SELECT path FROM listed ORDER BY path")]


def forget_removed(database: sqlite3.Connection, scan_id: int) -> int:
    """Mark files that this scan has not seen as removed by it; how many it has removed."""
    database.execute(
        "UPDATE files SET change = 'removed', scan = ?1, lines = 0, identifiers = '{}' "
        "WHERE scan < ?1 AND change != 'removed'",
        (scan_id,),
    )
    (removed,) = database.execute(
        "SELECT count(*) FROM files WHERE scan = ? AND change = 'removed'", (scan_id,)
    ).fetchone()
    return int(removed)


def summary(database: sqlite3.Connection, added: int, changed: int, removed: int) -> Report:
    """What the index says now, and what has changed with this scan."""
    files, lines = database.execute(
        "SELECT count(*), coalesce(sum(lines), 0) FROM files WHERE change != 'removed'"
    ).fetchone()
    words: Counter[str] = Counter()
    for (identifiers,) in database.execute("SELECT identifiers FROM files"):
        words.update(json.loads(identifiers))
    return {
        "files": files,
        "lines": lines,
        "most_frequent": dict(words.most_common(10)),
        "added": added,
        "changed": changed,
        "removed": removed,
    }


@contextmanager
def index_database() -> Iterator[sqlite3.Connection]:
    """A connection to the index, and one transaction: all of a task's effects, or none."""
    # Write-ahead logging lets readers go on while another process writes; writers wait for each other.
    with closing(sqlite3.connect(DATABASE, timeout=30, isolation_level="IMMEDIATE")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(
            """
            CREATE TABLE IF NOT EXISTS listed (scan INTEGER, path TEXT PRIMARY KEY);
            CREATE TABLE IF NOT EXISTS files (
                path TEXT PRIMARY KEY, scan INTEGER, digest TEXT, lines INTEGER, identifiers TEXT, change TEXT);
            """
        )
        with database:
            yield database
