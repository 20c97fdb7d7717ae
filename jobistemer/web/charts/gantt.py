"""Gantt charts of tasks and their attempts: when they waited, when they ran, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from jobistemer.core.runs.records import AttemptRecord, RunRecord
from jobistemer.core.runs.report import Report, TaskReport
from jobistemer.core.runs.steps import StepView
from jobistemer.core.states import AttemptState
from jobistemer.core.text import first_line, format_duration
from jobistemer.web.charts.templating import tone_of

LEFT: Final = 190
WIDTH: Final = 760
RIGHT: Final = 190
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
_KINDS: Final = ("step", "sleep", "wait")
_STEPS: Final = tuple(unit * size for unit, sizes in _UNITS.items() for size in sizes)


class GanttLine(NamedTuple):
    """The data of one row. waiting_since: the Unix milliseconds at which its wait began; 0 when unknown.

    steps: the steps, sleeps and waits of its run.
    """

    label: str
    link: str
    waiting_since: int
    attempts: Sequence[AttemptRecord]
    state: str
    steps: Sequence[StepView] = ()


class Segment(NamedTuple):
    """A step, a sleep or a wait as a part of the bar. kind: step, sleep or wait. title: its tooltip."""

    x: float
    width: float
    kind: str
    tone: str
    title: str


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
    segments: list[Segment]


class Gantt(NamedTuple):
    """The whole chart. marks: x and text of the marks on the axis."""

    width: int
    height: int
    rows: list[GanttRow]
    marks: list[tuple[float, str]]

    @property
    def kinds(self) -> list[str]:
        """Return the kinds of segments that are drawn, for the legend."""
        drawn = {segment.kind for row in self.rows for segment in row.segments}
        return [kind for kind in _KINDS if kind in drawn]


class Scale(NamedTuple):
    """The scale of the time axis. start, end: Unix milliseconds."""

    start: int
    end: int

    def x(self, ms: float) -> float:
        """Return the x of an instant. An instant outside of the scale is drawn at its edge."""
        share = (ms - self.start) / max(1, self.end - self.start)
        return round(LEFT + WIDTH * min(max(share, 0), 1), 1)


def build_report_gantt(report: Report, steps: Mapping[str, Sequence[StepView]], now_ms: int) -> Gantt:
    """Compute the chart of an occurrence, with a row for each task. steps: those of its runs, by run."""
    lines = [
        GanttLine(
            task.name,
            f"/runs/{task.run}",
            _waiting_since(task),
            task.attempts,
            task.state,
            steps.get(task.run, ()),
        )
        for task in report.tasks
    ]
    return build_gantt(lines, report.claimed_at, report.ended_at or now_ms, now_ms)


def build_attempts_gantt(
    run: RunRecord, attempts: Sequence[AttemptRecord], steps: Sequence[StepView], now_ms: int
) -> Gantt:
    """Compute the chart of a run: a row for each of its last MAX_BARS attempts, and a row above them for its steps."""
    enqueued_at = run.enqueued_at
    ends = [each.ended_at or now_ms for each in attempts]
    starts = [each.started_at for each in attempts if each.started_at]
    # An attempt waits from the end of the one before it, the first one from the time it was enqueued.
    waits_since = [enqueued_at, *(0 if each.state == AttemptState.SUSPENDED else each.ended_at for each in attempts)]
    lines = [
        GanttLine(f"attempt {each.number + 1}", f"#attempt-{each.number}", waiting_since, [each], each.state)
        for each, waiting_since in zip(attempts, waits_since, strict=False)
    ]
    lines = lines[-MAX_BARS:]
    if steps:
        lines.insert(0, GanttLine("steps", "#steps", enqueued_at, attempts, run.state, steps))
    return build_gantt(lines, min([enqueued_at, *starts]), max([enqueued_at + 1, *ends]), now_ms)


def build_gantt(lines: Sequence[GanttLine], start: int, end: int, now_ms: int) -> Gantt:
    """Compute the chart of lines from `start` to `end`, or to the last end of an attempt when that is later."""
    ends = [attempt.ended_at or now_ms for line in lines for attempt in line.attempts]
    ends += [_segment_end(step, now_ms) for line in lines for step in line.steps]
    scale = Scale(start, max([start + 1, end, *ends]))
    rows = [_build_row(line, TOP + number * ROW, scale, now_ms) for number, line in enumerate(lines)]
    return Gantt(LEFT + WIDTH + RIGHT, TOP + ROW * len(rows) + 6, rows, _axis_marks(scale))


def _waiting_since(task: TaskReport) -> int:
    first = min((each.started_at for each in task.attempts if each.started_at), default=0)
    return first - (task.waited_ms or 0) if first else 0


def _build_row(line: GanttLine, y: int, scale: Scale, now_ms: int) -> GanttRow:
    attempts = [each for each in line.attempts if each.started_at][-MAX_BARS:]
    bars = [_build_bar(each, scale, now_ms) for each in attempts]
    segments = [_build_segment(each, scale, now_ms) for each in line.steps[-MAX_BARS:] if each.started_at]
    ends = [bar.x + bar.width for bar in bars] + [segment.x + segment.width for segment in segments]
    last = max(ends, default=float(LEFT))
    label = line.label if len(line.label) <= MAX_LABEL_LENGTH else f"{line.label[: MAX_LABEL_LENGTH - 1]}…"
    note = _describe(line.state, attempts, now_ms)
    waits = list(_find_waits(line.waiting_since, attempts, scale))
    return GanttRow(label, line.label, line.link, y, bars, waits, note, last + 8, tone_of(line.state), segments)


def _build_segment(step: StepView, scale: Scale, now_ms: int) -> Segment:
    kind = step.kind if step.kind in ("sleep", "wait") else "step"
    x, end = scale.x(step.started_at), _segment_end(step, now_ms)
    took = format_duration(end - step.started_at)
    error = f"\n{first_line(step.error)}" if step.error else ""
    tone = "bad" if step.state == "failed" else "wait" if kind != "step" else "good" if step.state == "done" else "busy"
    title = f"{step.kind} {step.name}: {step.state}, {took}{error}"
    return Segment(x, round(max(MIN_BAR_WIDTH, scale.x(end) - x), 1), kind, tone, title)


def _segment_end(step: StepView, now_ms: int) -> int:
    """Return when a step has ended, or how far it has come."""
    if step.kind == "sleep":
        return min(step.due_at, now_ms)
    return step.ended_at or now_ms


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
        # Where an attempt has ended suspended, a sleep or a wait is drawn by itself.
        since = 0 if each.state == AttemptState.SUSPENDED else each.ended_at


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
