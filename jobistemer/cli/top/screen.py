"""A moment for a terminal of any size: what there is room for, and how much more there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobistemer.cli.top.rates import Flow, Rates
from jobistemer.cli.top.snapshot import Look
from jobistemer.core.reads.summaries import WorkerSummary
from jobistemer.core.safe_text import printable
from jobistemer.core.text import duration, first_line
from jobistemer.terminal import tables

SILENT_MS = 5_000
"""A member that has not beaten for so long is told apart."""
LATE_MS, OFF_MS = 1_000, 1_000
FIXED = 3
"""Lines that are always there: two at the head, one at the foot."""
FRAME = 2
"""Lines that each part has besides its rows: the heads of its columns, and an empty one."""


class Part(NamedTuple):
    """One table: the heads of its columns, its rows, and what to say when there are none."""

    heads: tuple[str, ...]
    rows: list[tuple[tables.Cell, ...]]
    empty: str


def screen(look: Look, rates: Rates, place: str, foot: str, height: int | None = None) -> RenderableType:
    """Everything about one moment, within `height` lines; None for as many as it takes."""
    parts = _parts(look, rates)
    if height is not None:
        # What has no room for a single row is left out, from the last one on.
        parts = parts[: max(1, (height - FIXED) // (FRAME + 1))]
    wants = [max(1, len(part.rows)) for part in parts]
    room = shares(wants, height - FIXED - FRAME * len(parts)) if height is not None else wants
    shown = [line for part, rows in zip(parts, room, strict=True) for line in _part(part, rows)]
    return Group(*_head(look, rates, place), *shown, _line(foot, "reverse"))


def shares(wants: Sequence[int], room: int) -> list[int]:
    """How many lines each gets: what it wants, unless that is too much; then those that want most get less."""
    given = [0] * len(wants)
    while room > 0 and (open_ := [index for index, want in enumerate(wants) if given[index] < want]):
        for index in open_[:room]:
            given[index] += 1
        room -= len(open_)
    return given


def _head(look: Look, rates: Rates, place: str) -> list[Text]:
    at = f"{datetime.fromtimestamp(look.at_ms / 1000, UTC):%H:%M:%S} UTC"
    busy, slots = sum(map(_busy, look.workers)), sum(each.concurrency for each in look.workers)
    runs, failed = sum(rates.runs.values()), sum(rates.failed.values())
    upcoming = f", next due {_distance(look.next_due, look.at_ms)}" if look.next_due else ""
    parts = (
        f"{_counted(len(look.workers), 'worker')}, {busy:,} of {_counted(slots, 'slot')} in use",
        f"{runs:,.0f} runs/s, {failed:,.0f} failed/s",
        f"{look.delayed:,} delayed",
        f"{look.dead:,} dead",
        f"{_counted(look.jobs, 'job')}{upcoming}",
        *([f"{_counted(look.unseen, 'stream')} of queues not looked at"] if look.unseen else []),
    )
    return [_line(f" {at} · {place}", "reverse"), _line(" · ".join(parts), "bold")]


def _parts(look: Look, rates: Rates) -> list[Part]:
    return [
        Part(
            ("queue", "waiting", "oldest", "in flight", "in/s", "out/s", "state"),
            _queues(look, rates),
            "no queue yet: nothing has been enqueued here",
        ),
        Part(
            ("worker", "slots in use", "in flight", "runs/s", "failed/s", "last beat", "queues"),
            _workers(look, rates),
            "no worker runs; start one with `jobistemer-worker`",
        ),
        Part(
            ("ticker", "fired/s", "latest", "clock off by", "unaccounted", "last beat"),
            _tickers(look, rates),
            "no ticker runs, so nothing becomes due; start one with `jobistemer-ticker`",
        ),
        Part(("running", "for", "queue", "worker", "run"), _running(look), "nothing is in flight"),
        Part(("failed", "when", "run", "error"), _failures(look), "no failure is on record"),
    ]


def _queues(look: Look, rates: Rates) -> list[tuple[tables.Cell, ...]]:
    rows: list[tuple[tables.Cell, ...]] = []
    for each in sorted(look.queues, key=lambda queue: (-queue.waiting - queue.in_flight, queue.name)):
        flow = rates.flows.get(each.name, Flow())
        since = duration(look.at_ms - each.oldest_at) if each.oldest_at else "–"
        state = "paused" if each.paused else "draining" if each.draining else "open"
        counts = (f"{each.waiting:,}", since, f"{each.in_flight:,}", _rate(flow.came), _rate(flow.went))
        rows.append((each.name, *counts, tables.state(state)))
    return rows


def _workers(look: Look, rates: Rates) -> list[tuple[tables.Cell, ...]]:
    return [
        (
            *(each.id, f"{_busy(each)} of {each.concurrency}", f"{each.in_flight:,}"),
            *(_rate(rates.runs.get(each.id)), _rate(rates.failed.get(each.id))),
            _beat(each.beat_at, look.at_ms),
            ", ".join(each.queues) + (f" ({each.command or 'quiet'})" if each.command or each.quiet else ""),
        )
        for each in sorted(look.workers, key=lambda worker: (-worker.in_flight, worker.id))
    ]


def _tickers(look: Look, rates: Rates) -> list[tuple[tables.Cell, ...]]:
    return [
        (
            *(each.id, _rate(rates.fired.get(each.id)), _warned(each.late_ms_max, LATE_MS, "ms late")),
            _warned(each.offset_ms, OFF_MS, "ms" if not each.held_ms else f"ms, {each.held_ms:,} ms not believed"),
            _warned(each.unaccounted, 1, ""),
            _beat(each.beat_at, look.at_ms),
        )
        for each in look.tickers
    ]


def _running(look: Look) -> list[tuple[tables.Cell, ...]]:
    return [(each.task, duration(each.for_ms), each.queue, each.worker, each.run) for each in look.running]


def _failures(look: Look) -> list[tuple[tables.Cell, ...]]:
    return [
        (
            Text(printable(each.task), style="red" if each.dead else "yellow"),
            f"{'dead' if each.dead else 'again'} {_distance(each.at, look.at_ms)}",
            *(each.run, first_line(each.error)),
        )
        for each in look.failures
    ]


def _part(part: Part, room: int) -> list[RenderableType]:
    shown = Table(box=None, pad_edge=False, header_style="bold cyan", expand=False)
    numbers = {index for index, head in enumerate(part.heads) if head in _NUMBERS}
    for index, head in enumerate(part.heads):
        # What is long gives way; all else keeps its width.
        shown.add_column(head, justify="right" if index in numbers else "left", no_wrap=head not in _LONG)
    # Where there is room for one line only, a row says more than how many there are.
    rows = room if len(part.rows) <= room or room == 1 else room - 1
    for row in part.rows[:rows]:
        shown.add_row(*(_one_line(value) for value in row))
    words = [] if part.rows else [part.empty]
    if rows < room and part.rows and rows < len(part.rows):
        words = [f"… {len(part.rows) - rows:,} more"]
    return [Text(), shown, *(_line(word, "dim") for word in words)]


_LONG = frozenset(("run", "error", "queues", "state"))
_NUMBERS = frozenset(
    (
        "waiting",
        "oldest",
        "in flight",
        "in/s",
        "out/s",
        "slots in use",
        "runs/s",
        "failed/s",
        "fired/s",
        "unaccounted",
        "for",
    )
)


def _one_line(value: tables.Cell) -> Text:
    text = tables.cell(value)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _busy(worker: WorkerSummary) -> int:
    """What is in flight beyond the slots has been fetched ahead."""
    return min(worker.in_flight, worker.concurrency)


def _distance(at_ms: int, now_ms: int) -> str:
    return f"in {duration(at_ms - now_ms)}" if at_ms > now_ms else f"{duration(now_ms - at_ms)} ago"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _line(text: str, style: str) -> Text:
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


def _rate(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"


def _beat(at: int, now_ms: int) -> Text:
    ago = max(0, now_ms - at)
    return Text(f"{duration(ago)} ago", style="red" if ago > SILENT_MS else "")


def _warned(value: int, most: int, unit: str) -> Text:
    return Text(f"{value:,} {unit}".rstrip(), style="red" if abs(value) >= most else "")
