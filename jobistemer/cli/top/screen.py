"""The screen of `jobistemer top`: tables cut to the height of the terminal, with a count of the rows left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobistemer.cli.top.rates import Flow, Rates
from jobistemer.cli.top.snapshot import TopSnapshot
from jobistemer.core.reads.summaries import WorkerSummary
from jobistemer.core.safe_text import escape_text
from jobistemer.core.text import first_line, format_distance, format_duration, pluralize
from jobistemer.terminal import tables

SILENT_AFTER_MS = 5_000
"""After so long (ms) without a beat, the last beat of a process is shown in red."""
LATE_MS, CLOCK_OFF_MS = 1_000, 1_000
FIXED_LINES = 3
"""Lines that every screen has: two at the head, one at the foot."""
IMPORTANCE = (4, 5, 1, 2, 3)
"""The tables by their numbers, the most important one first: what runs and what failed, before processes."""
SHORT_ID = 8
PART_EXTRA_LINES = 2
"""Lines of each table besides its rows: an empty line and the headings."""
_SHRINKABLE = frozenset(("run", "error", "queues", "state"))
_AMOUNTS = frozenset(("waiting", "in flight", "slots in use", "unaccounted", "oldest", "for"))
_RATES = frozenset(("in/s", "out/s", "runs/s", "failed/s", "fired/s"))


class View(NamedTuple):
    """What is shown: 0 for all tables, else the number of the one that is shown alone, from its row `first` on."""

    number: int = 0
    first: int = 0


ALL = View()


class Part(NamedTuple):
    """One table of the screen: its headings, its rows, and the text shown when there are no rows."""

    headings: tuple[str, ...]
    rows: list[tuple[tables.Cell, ...]]
    empty: str


def render_screen(
    snapshot: TopSnapshot, rates: Rates, title: str, footer: str, height: int | None = None, view: View = ALL
) -> RenderableType:
    """Build the screen of one snapshot, at most `height` lines high; None for as many as it takes."""
    parts = _build_parts(snapshot, rates)
    if view.number:
        part = parts[view.number - 1]
        first = min(view.first, max(0, len(part.rows) - 1))
        parts = [part._replace(rows=part.rows[first:])]
    if height is not None:
        # Tables without room for a single row are left out, the least important ones first.
        kept = set(IMPORTANCE[: max(1, (height - FIXED_LINES) // (PART_EXTRA_LINES + 1))])
        parts = parts if len(parts) == 1 else [part for number, part in enumerate(parts, 1) if number in kept]
    wants = [max(1, len(part.rows)) for part in parts]
    room = share_lines(wants, height - FIXED_LINES - PART_EXTRA_LINES * len(parts)) if height is not None else wants
    body = [line for part, rows in zip(parts, room, strict=True) for line in _render_part(part, rows)]
    return Group(*_render_header(snapshot, rates, title), *body, _styled_line(footer, "reverse"))


def share_lines(wants: Sequence[int], room: int) -> list[int]:
    """Share `room` lines among tables that want so many; returns how many each of them gets.

    When there are too few, every table gets one line in turn, so that short tables stay whole.
    """
    given = [0] * len(wants)
    while room > 0 and (unfilled := [index for index, want in enumerate(wants) if given[index] < want]):
        for index in unfilled[:room]:
            given[index] += 1
        room -= len(unfilled)
    return given


def _render_header(snapshot: TopSnapshot, rates: Rates, title: str) -> list[Text]:
    at = f"{datetime.fromtimestamp(snapshot.at_ms / 1000, UTC):%H:%M:%S} UTC"
    busy, slots = sum(map(_busy_slots, snapshot.workers)), sum(each.concurrency for each in snapshot.workers)
    runs, failed = sum(rates.runs.values()), sum(rates.failed.values())
    upcoming = f", next due {format_distance(snapshot.next_due, snapshot.at_ms)}" if snapshot.next_due else ""
    # A narrow terminal cuts the end, so what has failed stands at the beginning.
    parts = (
        f"{snapshot.dead:,} dead",
        f"{runs:,.0f} runs/s, {failed:,.0f} failed/s",
        f"{pluralize(len(snapshot.workers), 'worker')}, {busy:,} of {pluralize(slots, 'slot')} in use",
        f"{snapshot.delayed:,} delayed",
        f"{pluralize(snapshot.jobs, 'job')}{upcoming}",
        f"{pluralize(snapshot.unseen, 'stream')} of queues not looked at" if snapshot.unseen else "",
    )
    return [_styled_line(f" {at} · {title}", "reverse"), _styled_line(" · ".join(filter(None, parts)), "bold")]


def _build_parts(snapshot: TopSnapshot, rates: Rates) -> list[Part]:
    return [
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


def _queue_rows(snapshot: TopSnapshot, rates: Rates) -> list[tuple[tables.Cell, ...]]:
    rows: list[tuple[tables.Cell, ...]] = []
    for each in sorted(snapshot.queues, key=lambda queue: (-queue.waiting - queue.in_flight, queue.name)):
        flow = rates.flows.get(each.name, Flow())
        since = format_duration(snapshot.at_ms - each.oldest_at) if each.oldest_at else "–"
        state = "paused" if each.paused else "draining" if each.draining else "open"
        counts = (f"{each.waiting:,}", since, f"{each.in_flight:,}", _format_rate(flow.came), _format_rate(flow.went))
        rows.append((each.name, *counts, tables.style_state(state)))
    return rows


def _worker_rows(snapshot: TopSnapshot, rates: Rates) -> list[tuple[tables.Cell, ...]]:
    return [
        (
            each.id,
            f"{_busy_slots(each)} of {each.concurrency}",
            f"{each.in_flight:,}",
            _format_rate(rates.runs.get(each.id)),
            _format_rate(rates.failed.get(each.id)),
            _format_beat(each.beat_at, snapshot.at_ms),
            ", ".join(each.queues) + (f" ({each.command or 'quiet'})" if each.command or each.quiet else ""),
        )
        for each in sorted(snapshot.workers, key=lambda worker: (-worker.in_flight, worker.id))
    ]


def _ticker_rows(snapshot: TopSnapshot, rates: Rates) -> list[tuple[tables.Cell, ...]]:
    return [
        (
            each.id,
            _format_rate(rates.fired.get(each.id)),
            _format_lateness(each.late_ms_recent),
            _highlight(
                each.offset_ms, CLOCK_OFF_MS, "ms" if not each.held_ms else f"ms, {each.held_ms:,} ms not believed"
            ),
            _highlight(each.unaccounted, 1, ""),
            _format_beat(each.beat_at, snapshot.at_ms),
        )
        for each in snapshot.tickers
    ]


def _running_rows(snapshot: TopSnapshot) -> list[tuple[tables.Cell, ...]]:
    return [
        (each.task, format_duration(each.for_ms), each.queue, each.worker, _shorten(each.run))
        for each in snapshot.running
    ]


def _failure_rows(snapshot: TopSnapshot) -> list[tuple[tables.Cell, ...]]:
    return [
        (
            Text(escape_text(each.task), style="red" if each.dead else "yellow"),
            f"{'dead' if each.dead else 'again'} {format_distance(each.at, snapshot.at_ms)}",
            _shorten(each.run),
            first_line(each.error),
        )
        for each in snapshot.failures
    ]


def _render_part(part: Part, room: int) -> list[RenderableType]:
    table = Table(box=None, pad_edge=False, header_style="bold cyan", expand=False)
    numbers = {index for index, head in enumerate(part.headings) if head in _AMOUNTS | _RATES}
    for index, head in enumerate(part.headings):
        # Long texts are shortened; all other columns keep their width.
        table.add_column(head, justify="right" if index in numbers else "left", no_wrap=head not in _SHRINKABLE)
    # With room for one line only, a row says more than the number of rows.
    rows = room if len(part.rows) <= room or room == 1 else room - 1
    for row in part.rows[:rows]:
        table.add_row(*(_one_line(value) for value in row))
    lines: list[RenderableType] = [Text(), table]
    if not part.rows:
        lines.append(_styled_line(part.empty, "dim"))
    elif rows < min(room, len(part.rows)):
        lines.append(_styled_line(f"… {len(part.rows) - rows:,} more", "dim"))
    return lines


def _one_line(value: tables.Cell) -> Text:
    text = tables.cell(value)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _busy_slots(worker: WorkerSummary) -> int:
    """Count the slots in use: runs in flight beyond the slots have been fetched ahead and do not execute yet."""
    return min(worker.in_flight, worker.concurrency)


def _styled_line(text: str, style: str) -> Text:
    return Text(escape_text(text), style=style, no_wrap=True, overflow="ellipsis")


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
