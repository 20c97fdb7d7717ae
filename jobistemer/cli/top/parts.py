"""The tables of `jobistemer top`: their rows, and what each row stands for."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from rich.text import Text

from jobistemer.cli.top.rates import Flow, Rates
from jobistemer.cli.top.snapshot import TopSnapshot
from jobistemer.core.reads.summaries import JobSummary, WorkerSummary
from jobistemer.core.safe_text import escape_text
from jobistemer.core.text import first_line, format_distance, format_duration
from jobistemer.terminal import tables

SILENT_AFTER_MS: Final = 5_000
"""After so long (ms) without a beat, the last beat of a process is shown in red."""
LATE_MS, CLOCK_OFF_MS = 1_000, 1_000
SHORT_ID: Final = 8
NAMES: Final = ("jobs", "queues", "workers", "tickers", "running", "failed")
"""The tables by their numbers, which begin with 1."""


_AMOUNTS: Final = re.compile(r"(-?\d[\d,]*(?:\.\d+)?)(?: ?(ms|s|min|h|d)\b)?")
_AROUND: Final = frozenset(("in", "ago", "of", "again", "dead"))
"""The words that may stand around an amount."""
_UNITS: Final = {"ms": 0.001, "min": 60, "h": 3_600, "d": 86_400}


class Target(NamedTuple):
    """The thing that a row stands for. kind: job, queue, worker, ticker, run or dead. is_stopped: it is paused."""

    kind: str
    id: str
    is_stopped: bool = False


class Row(NamedTuple):
    """One row of a table, and the thing that it stands for."""

    cells: tuple[tables.Cell, ...]
    target: Target

    def contains(self, text: str) -> bool:
        """Return whether a cell contains a text, whatever its case."""
        return any(text in str(tables.cell(each)).casefold() for each in self.cells)


class Part(NamedTuple):
    """One table of the screen: its headings, its rows, and the text shown when there are no rows."""

    headings: tuple[str, ...]
    rows: list[Row]
    empty: str

    def filtered(self, text: str) -> Part:
        """Return the table with only the rows that contain a text."""
        if not text:
            return self
        rows = [row for row in self.rows if row.contains(text.casefold())]
        return self._replace(rows=rows, empty=f"nothing here contains {text!r}")

    def sorted_by(self, column: int) -> Part:
        """Return the table with its rows sorted by a column, which is marked; 0 for their own order."""
        if not column:
            return self
        headings = tuple(f"{head} ↓" if at == column else head for at, head in enumerate(self.headings, 1))
        rows = sorted(self.rows, key=lambda row: _sort_key(row.cells[column - 1]))
        return self._replace(headings=headings, rows=rows)


def _sort_key(cell: tables.Cell) -> tuple[int, float, str]:
    """Return what a cell is sorted by: numbers and durations before texts, the largest first."""
    text = str(tables.cell(cell))
    found = _AMOUNTS.findall(text)
    if not found or not set(_AMOUNTS.sub(" ", text).replace(",", " ").split()) <= _AROUND:
        return 1, 0.0, text.casefold()
    amounts = [float(number.replace(",", "")) * _UNITS.get(unit, 1) for number, unit in found]
    # Of "3 of 8" the first; a duration has a number for each unit.
    return 0, -(sum(amounts) if all(unit for _, unit in found) else amounts[0]), text


def build_parts(snapshot: TopSnapshot, rates: Rates) -> list[Part]:
    """Build all tables of a snapshot, in the order of NAMES."""
    return [
        Part(
            ("job", "next due", "last", "live", "state", "schedule"),
            _job_rows(snapshot),
            "no job is registered; `jobistemer deploy` registers those of an app",
        ),
        Part(
            ("queue", "waiting", "oldest", "in flight", "in/s", "out/s", "state"),
            _queue_rows(snapshot, rates),
            "no queue yet: nothing has been enqueued here",
        ),
        Part(
            ("worker", "slots in use", "in flight", "runs/s", "failed/s", "last beat", "queues"),
            _worker_rows(snapshot, rates),
            "no worker runs; start one with `jobistemer-worker`",
        ),
        Part(
            ("ticker", "fired/s", "late, 5 min", "clock off by", "unaccounted", "last beat"),
            _ticker_rows(snapshot, rates),
            "no ticker runs, so nothing becomes due; start one with `jobistemer-ticker`",
        ),
        Part(("running", "for", "queue", "worker", "run"), _running_rows(snapshot), "nothing is in flight"),
        Part(("failed", "when", "run", "error"), _failure_rows(snapshot), "no failure is on record"),
    ]


def _job_rows(snapshot: TopSnapshot) -> list[Row]:
    return [
        Row(
            (
                each.name,
                format_distance(each.next_due, snapshot.at_ms) if each.next_due else "never",
                tables.style_state(each.last.state) if each.last else "–",
                each.live,
                _job_state(each, snapshot.at_ms),
                each.schedule,
            ),
            Target("job", each.name, each.is_paused(snapshot.at_ms)),
        )
        for each in snapshot.upcoming
    ]


def _job_state(job: JobSummary, now_ms: int) -> Text:
    if job.unreadable:
        return tables.style_state("unreadable")
    if job.has_ended:
        return tables.style_state("ended")
    return tables.style_state("paused" if job.is_paused(now_ms) else "running" if job.live else "waiting")


def _queue_rows(snapshot: TopSnapshot, rates: Rates) -> list[Row]:
    rows: list[Row] = []
    for each in sorted(snapshot.queues, key=lambda queue: (-queue.waiting - queue.in_flight, queue.name)):
        flow = rates.flows.get(each.name, Flow())
        since = format_duration(snapshot.at_ms - each.oldest_at) if each.oldest_at else "–"
        state = "paused" if each.paused else "draining" if each.draining else "open"
        counts = (f"{each.waiting:,}", since, f"{each.in_flight:,}", _format_rate(flow.came), _format_rate(flow.went))
        rows.append(Row((each.name, *counts, tables.style_state(state)), Target("queue", each.name, each.paused)))
    return rows


def _worker_rows(snapshot: TopSnapshot, rates: Rates) -> list[Row]:
    return [
        Row(
            (
                each.id,
                f"{busy_slots(each)} of {each.concurrency}",
                f"{each.in_flight:,}",
                _format_rate(rates.runs.get(each.id)),
                _format_rate(rates.failed.get(each.id)),
                _format_beat(each.beat_at, snapshot.at_ms),
                ", ".join(each.queues) + (f" ({each.command or 'quiet'})" if each.command or each.quiet else ""),
            ),
            Target("worker", each.id, each.quiet),
        )
        for each in sorted(snapshot.workers, key=lambda worker: (-worker.in_flight, worker.id))
    ]


def _ticker_rows(snapshot: TopSnapshot, rates: Rates) -> list[Row]:
    return [
        Row(
            (
                each.id,
                _format_rate(rates.fired.get(each.id)),
                _format_lateness(each.late_ms_recent),
                _highlight(
                    each.offset_ms, CLOCK_OFF_MS, "ms" if not each.held_ms else f"ms, {each.held_ms:,} ms not believed"
                ),
                _highlight(each.unaccounted, 1, ""),
                _format_beat(each.beat_at, snapshot.at_ms),
            ),
            Target("ticker", each.id),
        )
        for each in snapshot.tickers
    ]


def _running_rows(snapshot: TopSnapshot) -> list[Row]:
    return [
        Row(
            (each.task, format_duration(each.for_ms), each.queue, each.worker, _shorten(each.run)),
            Target("run", each.run),
        )
        for each in snapshot.running
    ]


def _failure_rows(snapshot: TopSnapshot) -> list[Row]:
    return [
        Row(
            (
                Text(escape_text(each.task), style="red" if each.dead else "yellow"),
                f"{'dead' if each.dead else 'again'} {format_distance(each.at, snapshot.at_ms)}",
                _shorten(each.run),
                first_line(each.error),
            ),
            Target("dead" if each.dead else "run", each.run),
        )
        for each in snapshot.failures
    ]


def busy_slots(worker: WorkerSummary) -> int:
    """Count the slots in use: runs in flight beyond the slots have been fetched ahead and do not execute yet."""
    return min(worker.in_flight, worker.concurrency)


def _format_rate(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def _format_beat(at: int, now_ms: int) -> Text:
    return Text(f"{format_duration(now_ms - at)} ago", style="red" if now_ms - at > SILENT_AFTER_MS else "")


def _format_lateness(late_ms: int) -> Text:
    return Text(format_duration(late_ms), style="red" if late_ms >= LATE_MS else "")


def _shorten(identity: str) -> str:
    # The end: ids that are made at the same time begin alike. `--json` has them whole.
    return f"…{identity[-SHORT_ID:]}"


def _highlight(value: int, most: int, unit: str) -> Text:
    return Text(f"{value:,} {unit}".rstrip(), style="red" if abs(value) >= most else "")
