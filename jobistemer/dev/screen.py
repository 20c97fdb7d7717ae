"""A snapshot as tables for a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from jobistemer.core.text import first_line, format_duration
from jobistemer.dev.event_log import HIGHLIGHT_PREFIX
from jobistemer.dev.snapshot import Snapshot
from jobistemer.terminal import tables

FIXED_LINES = 26
"""Lines of the tables that do not grow; occurrences and events share the rest of the terminal."""
MAX_NAME = 40
"""Characters of a name that are shown."""

_LOGGED_LEVEL: Final = re.compile(r"\[[^\]]+\] (?:\d\d:\d\d:\d\d (\w+)|  )")
_LEVEL_STYLES: Final = {"error": "red", "warning": "yellow", "critical": "red", None: "red"}


@contextmanager
def open_screen() -> Iterator[Callable[[Snapshot, str, Collection[str]], None]]:
    """Open the screen of the terminal. Gives what shows a snapshot, under a heading, with the latest events."""
    console = Console(highlight=False, markup=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda snapshot, heading, events: live.update(
            render_screen(snapshot, heading, list(events), console.height), refresh=True
        )


def render_screen(snapshot: Snapshot, heading: str, events: Sequence[str], height: int) -> RenderableType:
    """Return the tables and the latest events, within `height` lines."""
    height_left = max(4, height - FIXED_LINES)
    return Group(
        Text(heading, style="reverse", no_wrap=True),
        Text(),
        _jobs_table(snapshot),
        Text(),
        _occurrences_table(snapshot, height_left // 2),
        Text(),
        _queues_table(snapshot),
        Text(),
        _workers_table(snapshot),
        Text(),
        _waiting_table(snapshot),
        Text(),
        _event_lines(events, height_left - height_left // 2),
    )


def _cap(name: str) -> str:
    """Cut a name, so that it does not push the other columns off the screen."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _jobs_table(snapshot: Snapshot) -> RenderableType:
    rows = [
        (_cap(job.name), tables.format_instant(job.next_due, snapshot.at_ms), job.live, job.queued, job.schedule)
        for job in snapshot.jobs[:4]
    ]
    return tables.table(("job", "next due (UTC)", "live", "queued", "schedule"), rows)


def _occurrences_table(snapshot: Snapshot, height_left: int) -> RenderableType:
    rows = [
        (
            _cap(snapshot.job_name(each.job)),
            tables.format_instant(each.due * 1000, snapshot.at_ms),
            tables.style_state(each.state),
            format_duration(each.ended_at - each.claimed_at) if each.ended_at else "–",
            first_line(each.error) or each.reason,
        )
        for each in snapshot.occurrences[:height_left]
    ]
    return tables.table(("occurrence of", "due (UTC)", "state", "took", "reason"), _keep_on_one_line(rows))


def _queues_table(snapshot: Snapshot) -> RenderableType:
    rows = [
        (each.name, each.waiting, each.in_flight, each.delayed, "paused" if each.paused else "open")
        for each in snapshot.queues[:3]
    ]
    return tables.table(("queue", "waiting", "in flight", "delayed", "state"), rows)


def _workers_table(snapshot: Snapshot) -> RenderableType:
    rows = [
        (
            each.id,
            f"{format_duration(max(0, snapshot.at_ms - each.beat_at))} ago",
            each.in_flight,
            each.concurrency,
            each.done,
            each.failed,
            "quiet" if each.quiet else "",
        )
        for each in snapshot.workers[:4]
    ]
    return tables.table(("worker", "last beat", "in flight", "slots", "done", "failed", ""), rows)


def _waiting_table(snapshot: Snapshot) -> RenderableType:
    rows = [
        (each.handler, each.attempt + 1, tables.format_instant(each.due_at, snapshot.at_ms), first_line(each.note))
        for each in snapshot.waiting[:2]
    ]
    return tables.table(("waits for its time", "attempt", "due (UTC)", "because"), _keep_on_one_line(rows))


def _event_lines(events: Sequence[str], height_left: int) -> RenderableType:
    text = Text("\n").join(Text(event, style=_event_style(event)) for event in events[-height_left:])
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _event_style(event: str) -> str:
    if event.startswith(HIGHLIGHT_PREFIX):
        return "bold magenta"
    # What a process logs is `[worker 1] 12:30:05 error    message`; the lines of a trace are indented below.
    level = _LOGGED_LEVEL.match(event)
    return _LEVEL_STYLES.get(level[1], "dim") if level else "dim"


def _keep_on_one_line(rows: Iterable[tuple[tables.Cell, ...]]) -> list[tuple[tables.Cell, ...]]:
    """Shorten the last cell, which would wrap in a table and push the rest off the screen."""
    return [(*rest, Text(str(tables.cell(last)), no_wrap=True, overflow="ellipsis")) for *rest, last in rows]
