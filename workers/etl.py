"""A nightly load: extract, transform each part by a run of its own, load in one transaction, tell how it ended.

jobistemer dev workers.etl:app
jobistemer job trigger nightly
jobistemer backfill start nightly --from 2026-01-01 --to 2026-01-07      (each day again, on record)

Everything goes by the due day, not by the clock: a day that is loaded again replaces itself.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from jobistemer import Context, Jobistemer, Report, Results

app = Jobistemer()
DATABASE = os.environ.get("ETL_DB", "etl.sqlite3")
nightly = app.job(
    "0 2 * * *", name="nightly", timezone="Europe/Berlin", overlap="queue", recovery="execute_all", retry=3
)


@nightly.task
def extract(context: Context) -> int:
    """Find the parts of the day, and have each transformed."""
    day, parts = context.due_at.date(), range(1, 25)
    context.map(transform, [{"day": day.isoformat(), "hour": hour} for hour in parts])
    return len(parts)


@app.task(queue="transform", timeout_s=60)
def transform(day: str, hour: int) -> tuple[int, int]:
    """Turn one part into a row. It may be executed twice, and returns the same."""
    return hour, sum(map(ord, day)) * hour


@nightly.task(after=[extract])
def load(context: Context, extract: Results[tuple[int, int]]) -> int:
    """Replace the rows of the day, in one transaction of the database."""
    day = context.due_at.date().isoformat()
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS facts (day TEXT, hour INTEGER, value INTEGER)")
        database.execute("DELETE FROM facts WHERE day = ?", (day,))
        database.executemany("INSERT INTO facts VALUES (?, ?, ?)", ((day, hour, value) for hour, value in extract))
    return len(extract)


@nightly.on_complete
def tell(report: Report) -> str:
    """Called after every end, good or bad."""
    line = f"nightly: {report.state}, {', '.join(f'{task.name} {task.state}' for task in report.tasks)}"
    print(line, flush=True)
    return line
