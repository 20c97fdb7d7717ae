"""Tasks and their attempts over time, as shapes: when they waited, ran, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from jobistemer.core.runs.records import AttemptRecord
from jobistemer.core.runs.report import Report, TaskReport
from jobistemer.core.text import duration
from jobistemer.web.charts.templating import tone

LEFT: Final = 190
WIDTH: Final = 760
RIGHT: Final = 150
"""Room for what is written beside the last bar of a row."""
ROW: Final = 30
TOP: Final = 30
BAR: Final = 16
THINNEST: Final = 3.0
MOST_BARS: Final = 200
LONGEST_LABEL: Final = 26
_UNITS: Final = {
    1: (1, 2, 5, 10, 20, 50, 100, 200, 500),
    1_000: (1, 2, 5, 10, 15, 30),
    60_000: (1, 2, 5, 10, 15, 30),
    3_600_000: (1, 2, 3, 6, 12),
    86_400_000: (1, 2, 7, 30, 90, 365),
}
_STEPS: Final = tuple(unit * size for unit, sizes in _UNITS.items() for size in sizes)


class Line(NamedTuple):
    """What a row is made from. begun: when it began to wait, in ms; 0 when nobody knows."""

    label: str
    link: str
    begun: int
    attempts: Sequence[AttemptRecord]
    state: str


class Bar(NamedTuple):
    """One attempt."""

    x: float
    width: float
    tone: str
    title: str


class Row(NamedTuple):
    """One line of the picture; waits are stretches (x, width) in which it did nothing."""

    label: str
    whole: str
    link: str
    y: int
    bars: list[Bar]
    waits: list[tuple[float, float]]
    note: str
    note_x: float
    tone: str


class Gantt(NamedTuple):
    """The whole picture; marks are places on the axis in words."""

    width: int
    height: int
    rows: list[Row]
    marks: list[tuple[float, str]]


class Scale(NamedTuple):
    """Where an instant is."""

    start: int
    end: int

    def x(self, ms: float) -> float:
        """The place of an instant; what lies outside is at the edge."""
        share = (ms - self.start) / max(1, self.end - self.start)
        return round(LEFT + WIDTH * min(max(share, 0), 1), 1)


def of_report(report: Report, now_ms: int) -> Gantt:
    """A row for each task of an occurrence."""
    lines = [Line(task.name, f"/runs/{task.run}", _begun(task), task.attempts, task.state) for task in report.tasks]
    return gantt(lines, report.claimed_at, report.ended_at or now_ms, now_ms)


def of_attempts(enqueued_at: int, attempts: Sequence[AttemptRecord], now_ms: int) -> Gantt:
    """A row for each attempt of a run."""
    ends = [each.ended_at or now_ms for each in attempts]
    starts = [each.started_at for each in attempts if each.started_at]
    before = [enqueued_at, *ends]
    lines = [
        Line(f"attempt {each.number}", f"#attempt-{each.number}", begun, [each], each.state)
        for each, begun in zip(attempts, before, strict=False)
    ]
    return gantt(lines[-MOST_BARS:], min([enqueued_at, *starts]), max([enqueued_at + 1, *ends]), now_ms)


def gantt(lines: Sequence[Line], start: int, end: int, now_ms: int) -> Gantt:
    """The picture of lines between two instants."""
    ends = [attempt.ended_at or now_ms for line in lines for attempt in line.attempts]
    scale = Scale(start, max([start + 1, end, *ends]))
    rows = [_row(line, TOP + number * ROW, scale, now_ms) for number, line in enumerate(lines)]
    return Gantt(LEFT + WIDTH + RIGHT, TOP + ROW * len(rows) + 6, rows, _marks(scale))


def _begun(task: TaskReport) -> int:
    first = min((each.started_at for each in task.attempts if each.started_at), default=0)
    return first - (task.waited_ms or 0) if first else 0


def _row(line: Line, y: int, scale: Scale, now_ms: int) -> Row:
    attempts = [each for each in line.attempts if each.started_at][-MOST_BARS:]
    bars = [_bar(each, scale, now_ms) for each in attempts]
    last = max((bar.x + bar.width for bar in bars), default=float(LEFT))
    label = line.label if len(line.label) <= LONGEST_LABEL else f"{line.label[: LONGEST_LABEL - 1]}…"
    note = _note(line.state, attempts, now_ms)
    waits = list(_waits(line.begun, attempts, scale))
    return Row(label, line.label, line.link, y, bars, waits, note, last + 8, tone(line.state))


def _bar(attempt: AttemptRecord, scale: Scale, now_ms: int) -> Bar:
    x = scale.x(attempt.started_at)
    width = max(THINNEST, scale.x(attempt.ended_at or now_ms) - x)
    took = duration((attempt.ended_at or now_ms) - attempt.started_at)
    said = f"attempt {attempt.number}: {attempt.state} after {took}" + (f", {attempt.worker}" if attempt.worker else "")
    first = attempt.error.strip().partition("\n")[0]
    return Bar(x, round(width, 1), tone(attempt.state), f"{said}\n{first}".rstrip())


def _waits(begun: int, attempts: Sequence[AttemptRecord], scale: Scale) -> Iterable[tuple[float, float]]:
    since = begun
    for each in attempts:
        if since and each.started_at > since:
            x = scale.x(since)
            yield x, round(scale.x(each.started_at) - x, 1)
        since = each.ended_at


def _note(state: str, attempts: Sequence[AttemptRecord], now_ms: int) -> str:
    shown = state.replace("_", " ")
    if not attempts:
        return shown
    took = duration((attempts[-1].ended_at or now_ms) - attempts[0].started_at)
    tries = f", {len(attempts)} attempts" if len(attempts) > 1 else ""
    return f"{shown} · {took}{tries}"


def _marks(scale: Scale) -> list[tuple[float, str]]:
    length = scale.end - scale.start
    step = next((each for each in _STEPS if length / each <= 7), _STEPS[-1])
    return [(scale.x(scale.start + at), f"+{duration(at)}" if at else "0") for at in range(0, length + 1, step)][:50]
