"""The quickstart: an index of a folder tree of Python source, kept up to date by a job.

    jobistemer dev workers.quickstart:app        (or `make demo`)

Every ten seconds the job `index` runs two tasks with thousands of runs between them:

    scan ──▶ index_file, one run per file ──▶ report

`scan` lists the files and enqueues a run for each. `report` waits until all of them are in, without holding a
worker's slot: it asks to be tried again. The index is an SQLite file, so you can look at it while it grows:

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

from jobistemer import Context, Delays, Jobistemer, Retry

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
def scan(context: Context) -> int:
    """List the files and have each of them indexed; the number of files."""
    scan_id = seconds_of(context)
    paths = list(python_files(FOLDER))
    with index_database() as database:
        database.execute("DELETE FROM listed")
        database.executemany("INSERT INTO listed VALUES (?)", ((path,) for path in paths))
    # One round trip per thousand calls. A second run of `scan` enqueues them again, which does no harm.
    app.enqueue_many(index_file.request(scan_id=scan_id, path=path) for path in paths)
    return len(paths)


# `Delays` says how often and when to try again; forty times a second apart is how long `report` is willing to wait.
@index.task(after=[scan], retry=Delays((1.0,) * 40))
def report(context: Context) -> Report:
    """Sum up, once every file of this scan is in."""
    scan_id = seconds_of(context)
    with index_database() as database:
        (missing,) = database.execute(
            "SELECT count(*) FROM listed LEFT JOIN files USING (path) WHERE scan IS NULL OR scan < ?", (scan_id,)
        ).fetchone()
        if missing:
            raise Retry(f"{missing} files are not indexed yet", after=1)
        removed = forget_removed(database, scan_id)
        return summary(database, scan_id, removed)


# --- A task that is enqueued, here once per file --------------------------------------------------------------------


@app.task(timeout_s=30)
def index_file(scan_id: int, path: str) -> None:
    """Count lines and identifiers of one file, and note when it is new or has changed."""
    try:
        content = (FOLDER / path).read_bytes()
    except FileNotFoundError:
        # Removed since it was listed: nothing to index, and nothing for `report` to wait for.
        with index_database() as database:
            database.execute("DELETE FROM listed WHERE path = ?", (path,))
        return
    digest = sha1(content, usedforsecurity=False).hexdigest()
    text = content.decode("utf-8", errors="replace")
    found = (text.count("\n"), json.dumps(Counter(words_in(text))))
    with index_database() as database:
        known = database.execute("SELECT digest FROM files WHERE path = ?", (path,)).fetchone()
        if known is None or known[0] != digest:
            change = "changed" if known else "added"
            database.execute("INSERT OR IGNORE INTO changes VALUES (?, ?, ?)", (scan_id, path, change))
        database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", (path, scan_id, digest, *found))


# --- A job that fails on purpose, so that there are retries to look at --------------------------------------------


@app.job("*/15 * * * * *", name="moody", retry=Delays((1.0, 2.0)))
def moody(context: Context) -> str:
    """Fail at the first try, twice a minute; the retry succeeds."""
    if context.attempt == 0 and context.due_at.second % 30 == 0:
        raise RuntimeError("in a bad mood, on purpose; better luck next time")
    return f"fine at attempt {context.attempt}"


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


def forget_removed(database: sqlite3.Connection, scan_id: int) -> int:
    """Forget files that this scan has not seen; how many were forgotten by it."""
    database.execute(
        "INSERT OR IGNORE INTO changes SELECT ?1, path, 'removed' FROM files WHERE scan < ?1", (scan_id,)
    )
    database.execute("DELETE FROM files WHERE scan < ?", (scan_id,))
    (removed,) = database.execute(
        "SELECT count(*) FROM changes WHERE scan = ? AND change = 'removed'", (scan_id,)
    ).fetchone()
    return int(removed)


def summary(database: sqlite3.Connection, scan_id: int, removed: int) -> Report:
    """What the index says now, and what has changed with this scan."""
    files, lines = database.execute("SELECT count(*), coalesce(sum(lines), 0) FROM files").fetchone()
    words: Counter[str] = Counter()
    for (identifiers,) in database.execute("SELECT identifiers FROM files"):
        words.update(json.loads(identifiers))
    changes = dict(database.execute("SELECT change, count(*) FROM changes WHERE scan = ? GROUP BY change", (scan_id,)))
    return {
        "files": files,
        "lines": lines,
        "most_frequent": dict(words.most_common(10)),
        "added": changes.get("added", 0),
        "changed": changes.get("changed", 0),
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
            CREATE TABLE IF NOT EXISTS listed (path TEXT PRIMARY KEY);
            CREATE TABLE IF NOT EXISTS files (
                path TEXT PRIMARY KEY, scan INTEGER, digest TEXT, lines INTEGER, identifiers TEXT);
            CREATE TABLE IF NOT EXISTS changes (scan INTEGER, path TEXT, change TEXT, PRIMARY KEY (scan, path));
            """
        )
        with database:
            yield database
