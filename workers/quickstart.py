"""The quickstart: an index of a tree of Python source, kept up to date by a job every ten seconds.

jobistemer dev workers.quickstart:app                     (or `make demo`)
sqlite3 quickstart.sqlite3 'select path, lines from files order by lines desc limit 5'

    scan ──▶ index_file, one run per file, thousands of them ──▶ report

`report` begins when the last of these runs has ended; nothing waits in a worker's slot. The runs of a worker that dies
are done again by another, so every task here leaves the same behind when it runs twice. QUICKSTART_FOLDER is the tree
(by default the standard library of this Python), QUICKSTART_DB the SQLite file.
"""

import os
import sqlite3
import sysconfig
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha1
from pathlib import Path

from jobistemer import Context, Jobistemer, Results

FOLDER = Path(os.environ.get("QUICKSTART_FOLDER") or sysconfig.get_path("stdlib"))
DATABASE = os.environ.get("QUICKSTART_DB", "quickstart.sqlite3")
app = Jobistemer()
index = app.job("*/10 * * * * *", name="index", description="Index a tree of Python source")


@index.task
def scan(context: Context) -> None:
    """List the files and have each of them indexed, by a run of its own."""
    # A step is on record: a second attempt maps over the same list, though a file was added meanwhile.
    paths, scan_id = context.step("list", list_files), int(context.due_at.timestamp())
    context.map(index_file, [{"scan_id": scan_id, "path": path} for path in paths])


@index.task(after=[scan])
def report(context: Context, scan: Results[str]) -> dict[str, int]:
    """Sum up, once every file is in. `scan` has what each run of `index_file` has returned."""
    changes, scan_id = Counter(scan), int(context.due_at.timestamp())
    with open_index() as database:
        removes = "UPDATE files SET change = 'removed', scan = ?1, lines = 0 WHERE scan < ?1 AND change != 'removed'"
        database.execute(removes, (scan_id,))
        query = "SELECT sum(change != 'removed'), sum(lines), sum(change = 'removed' AND scan = ?) FROM files"
        files, lines, removed = database.execute(query, (scan_id,)).fetchone()
    return {"files": files, "lines": lines, "removed": removed, **changes}


@app.task(timeout_s=30)
def index_file(scan_id: int, path: str) -> str:
    """Count the lines of one file. Returns `added`, `changed`, `kept`, or `gone`."""
    if not (FOLDER / path).exists():
        return "gone"
    content = (FOLDER / path).read_text("utf-8", "replace")
    digest = sha1(content.encode(), usedforsecurity=False).hexdigest()
    with open_index() as database:
        known = database.execute("SELECT digest, scan, change FROM files WHERE path = ?", (path,)).fetchone()
        if known is not None and known[1] == scan_id:
            return known[2]  # it has been here before, and its worker died: it says again what it said then
        change = "added" if known is None else "kept" if known[0] == digest else "changed"
        row = (path, scan_id, digest, content.count("\n"), change)
        database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", row)
    return change


def list_files() -> list[str]:
    """Return the paths of the Python files of the tree, but for those of packages that were installed."""
    paths = (path.relative_to(FOLDER).as_posix() for path in sorted(FOLDER.rglob("*.py")))
    return [path for path in paths if "-packages/" not in path]


@contextmanager
def open_index() -> Iterator[sqlite3.Connection]:
    """Open the index for one transaction: all of a task's effects, or none."""
    with closing(sqlite3.connect(DATABASE, timeout=30, isolation_level="IMMEDIATE")) as database:
        database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")
        with database:
            database.execute("CREATE TABLE IF NOT EXISTS files (path PRIMARY KEY, scan, digest, lines, change)")
            yield database
