"""A scene for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from jobistemer.core.text import duration, first_line
from jobistemer.dev.snapshot import Scene
from jobistemer.terminal import tables

FIXED_LINES = 26
"""What the tables need that do not grow; the rest of the terminal is shared by occurrences and events."""
ANNOUNCED = ">>>"
"""How an event begins that must not be missed."""


def screen(scene: Scene, heading: str, events: Sequence[str], height: int) -> RenderableType:
    """Everything about one moment, within `height` lines."""
    room = max(4, height - FIXED_LINES)
    return Group(
        Text(heading, style="reverse", no_wrap=True),
        Text(),
        _jobs(scene),
        Text(),
        _occurrences(scene, room // 2),
        Text(),
        _queues(scene),
        Text(),
        _workers(scene),
        Text(),
        _waiting(scene),
        Text(),
        _events(events, room - room // 2),
    )


def _jobs(scene: Scene) -> RenderableType:
    rows = [
        (job.name, tables.instant(job.next_due, scene.at_ms), job.live, job.queued, job.schedule)
        for job in scene.jobs[:4]
    ]
    return tables.table(("job", "next due (UTC)", "live", "queued", "schedule"), rows)


def _occurrences(scene: Scene, room: int) -> RenderableType:
    rows = [
        (
            scene.job_name(each.job),
            tables.instant(each.due * 1000, scene.at_ms),
            tables.state(each.state),
            duration(each.ended_at - each.claimed_at) if each.ended_at else "–",
            first_line(each.error) or each.reason,
        )
        for each in scene.occurrences[:room]
    ]
    return tables.table(("occurrence of", "due (UTC)", "state", "took", "reason"), _one_line(rows))


def _queues(scene: Scene) -> RenderableType:
    rows = [
        (each.name, each.waiting, each.in_flight, each.delayed, "paused" if each.paused else "open")
        for each in scene.queues[:3]
    ]
    return tables.table(("queue", "waiting", "in flight", "delayed", "state"), rows)


def _workers(scene: Scene) -> RenderableType:
    rows = [
        (
            each.id,
            f"{duration(max(0, scene.at_ms - each.beat_at))} ago",
            *(each.in_flight, each.concurrency, each.done, each.failed),
            "quiet" if each.quiet else "",
        )
        for each in scene.workers[:4]
    ]
    return tables.table(("worker", "last beat", "in flight", "slots", "done", "failed", ""), rows)


def _waiting(scene: Scene) -> RenderableType:
    rows = [
        (each.handler, each.attempt, tables.instant(each.due_at, scene.at_ms), first_line(each.note))
        for each in scene.waiting[:2]
    ]
    return tables.table(("waits for its time", "attempt", "due (UTC)", "because"), _one_line(rows))


def _events(events: Sequence[str], room: int) -> RenderableType:
    lines = [Text(event, style="bold magenta" if event.startswith(ANNOUNCED) else "dim") for event in events[-room:]]
    shown = Text("\n").join(lines)
    shown.no_wrap, shown.overflow = True, "ellipsis"
    return shown


def _one_line(rows: Iterable[tuple[tables.Cell, ...]]) -> list[tuple[tables.Cell, ...]]:
    """Shorten the last cell, which would wrap in a table and push the rest off the screen."""
    return [(*rest, Text(str(tables.cell(last)), no_wrap=True, overflow="ellipsis")) for *rest, last in rows]
