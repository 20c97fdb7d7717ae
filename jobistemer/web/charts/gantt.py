"""Gantt charts of tasks and their attempts: when they waited, when they ran, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from jobistemer.core.runs.records import AttemptRecord
from jobistemer.core.runs.report import Report, TaskReport
from jobistemer.core.text import format_duration
from jobistemer.web.charts.templating import tone_of

LEFT: Final = 190
WIDTH: Final = 760
RIGHT: Final = 150
"""The width for the note beside the last bar of a row."""
ROW: Final = 30
TOP: Final = 30
BAR: Final = 16
MIN_BAR_WIDTH: Final = 3.0
MAX_BARS: Final = 200
MAX_LABEL_LENGTH: Final = 26
_UNITS: Final = {
    1: (1, 2, 5, 10, 20, 50, 100, 200, 500),
    1_000: (1, 2, 5, 10, 15, 30),
    60_000: (1, 2, 5, 10, 15, 30),
    3_600_000: (1, 2, 3, 6, 12),
    86_400_000: (1, 2, 7, 30, 90, 365),
}
_STEPS: Final = tuple(unit * size for unit, sizes in _UNITS.items() for size in sizes)


class GanttLine(NamedTuple):
    """The data of one row. waiting_since: the Unix milliseconds at which its wait began; 0 when unknown."""

    label: str
    link: str
    waiting_since: int
    attempts: Sequence[AttemptRecord]
    state: str


class Bar(NamedTuple):
    """The bar of one attempt. title: its tooltip."""

    x: float
    width: float
    tone: str
    title: str


class GanttRow(NamedTuple):
    """One row of the chart.

    label: the name, cut to fit. full_label: the whole name. waits: x and width of the times without an attempt.
    """

    label: str
    full_label: str
    link: str
    y: int
    bars: list[Bar]
    waits: list[tuple[float, float]]
    note: str
    note_x: float
    tone: str


class Gantt(NamedTuple):
    """The whole chart. marks: x and text of the marks on the axis."""

    width: int
    height: int
    rows: list[GanttRow]
    marks: list[tuple[float, str]]


class Scale(NamedTuple):
    """The scale of the time axis. start, end: Unix milliseconds."""

    start: int
    end: int

    def x(self, ms: float) -> float:
        """Return the x of an instant. An instant outside of the scale is drawn at its edge."""
        share = (ms - self.start) / max(1, self.end - self.start)
        return round(LEFT + WIDTH * min(max(share, 0), 1), 1)


def build_report_gantt(report: Report, now_ms: int) -> Gantt:
    """Compute the chart of an occurrence, with a row for each task."""
    lines = [
        GanttLine(task.name, f"/runs/{task.run}", _waiting_since(task), task.attempts, task.state)
        for task in report.tasks
    ]
    return build_gantt(lines, report.claimed_at, report.ended_at or now_ms, now_ms)


def build_attempts_gantt(enqueued_at: int, attempts: Sequence[AttemptRecord], now_ms: int) -> Gantt:
    """Compute the chart of a run, with a row for each of its last MAX_BARS attempts."""
    ends = [each.ended_at or now_ms for each in attempts]
    starts = [each.started_at for each in attempts if each.started_at]
    # An attempt waits from the end of the one before it, the first one from the time it was enqueued.
    waits_since = [enqueued_at, *ends]
    lines = [
        GanttLine(f"attempt {each.number + 1}", f"#attempt-{each.number}", waiting_since, [each], each.state)
        for each, waiting_since in zip(attempts, waits_since, strict=False)
    ]
    return build_gantt(lines[-MAX_BARS:], min([enqueued_at, *starts]), max([enqueued_at + 1, *ends]), now_ms)


def build_gantt(lines: Sequence[GanttLine], start: int, end: int, now_ms: int) -> Gantt:
    """Compute the chart of lines from `start` to `end`, or to the last end of an attempt when that is later."""
    ends = [attempt.ended_at or now_ms for line in lines for attempt in line.attempts]
    scale = Scale(start, max([start + 1, end, *ends]))
    rows = [_build_row(line, TOP + number * ROW, scale, now_ms) for number, line in enumerate(lines)]
    return Gantt(LEFT + WIDTH + RIGHT, TOP + ROW * len(rows) + 6, rows, _axis_marks(scale))


def _waiting_since(task: TaskReport) -> int:
    first = min((each.started_at for each in task.attempts if each.started_at), default=0)
    return first - (task.waited_ms or 0) if first else 0


def _build_row(line: GanttLine, y: int, scale: Scale, now_ms: int) -> GanttRow:
    attempts = [each for each in line.attempts if each.started_at][-MAX_BARS:]
    bars = [_build_bar(each, scale, now_ms) for each in attempts]
    last = max((bar.x + bar.width for bar in bars), default=float(LEFT))
    label = line.label if len(line.label) <= MAX_LABEL_LENGTH else f"{line.label[: MAX_LABEL_LENGTH - 1]}…"
    note = _describe(line.state, attempts, now_ms)
    waits = list(_find_waits(line.waiting_since, attempts, scale))
    return GanttRow(label, line.label, line.link, y, bars, waits, note, last + 8, tone_of(line.state))


def _build_bar(attempt: AttemptRecord, scale: Scale, now_ms: int) -> Bar:
    x = scale.x(attempt.started_at)
    width = max(MIN_BAR_WIDTH, scale.x(attempt.ended_at or now_ms) - x)
    took = format_duration((attempt.ended_at or now_ms) - attempt.started_at)
    title = f"attempt {attempt.number + 1}: {attempt.state} after {took}" + (
        f", {attempt.worker}" if attempt.worker else ""
    )
    first = attempt.error.strip().partition("\n")[0]
    return Bar(x, round(width, 1), tone_of(attempt.state), f"{title}\n{first}".rstrip())


def _find_waits(waiting_since: int, attempts: Sequence[AttemptRecord], scale: Scale) -> Iterable[tuple[float, float]]:
    since = waiting_since
    for each in attempts:
        if since and each.started_at > since:
            x = scale.x(since)
            yield x, round(scale.x(each.started_at) - x, 1)
        since = each.ended_at


def _describe(state: str, attempts: Sequence[AttemptRecord], now_ms: int) -> str:
    label = state.replace("_", " ")
    if not attempts:
        return label
    took = format_duration((attempts[-1].ended_at or now_ms) - attempts[0].started_at)
    tries = f", {len(attempts)} attempts" if len(attempts) > 1 else ""
    return f"{label} · {took}{tries}"


def _axis_marks(scale: Scale) -> list[tuple[float, str]]:
    length = scale.end - scale.start
    step = next((each for each in _STEPS if length / each <= 7), _STEPS[-1])
    return [(scale.x(scale.start + at), f"+{format_duration(at)}" if at else "0") for at in range(0, length + 1, step)][
        :50
    ]
