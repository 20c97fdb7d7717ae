"""The timeline of a job: a column for each occurrence, its height by the duration, its colour by the state."""

from __future__ import annotations

from datetime import UTC, datetime
from math import sqrt
from typing import Final, NamedTuple

from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.text import format_duration
from jobistemer.store.reads.records import NEVER_RAN
from jobistemer.web.charts.templating import elapsed_ms, tone_of

LEFT: Final = 52
COLUMN_STEP: Final = 19
COLUMN_WIDTH: Final = 14
MAX_COLUMNS: Final = 60
"""The columns that fit into the timeline; with fewer, the left part stays empty."""
RIGHT: Final = 20
MAX_HEIGHT: Final = 96
TOP: Final = 10
MIN_HEIGHT: Final = 8
"""The least height of a column, and the height of an occurrence that never ran."""
MARK_SPACING: Final = 5
"""The columns between two marks of the axis."""


class HistoryItem(NamedTuple):
    """One occurrence, and the reason of its state in words."""

    record: OccurrenceRecord
    reason: str


class Column(NamedTuple):
    """The column of one occurrence. title: its tooltip."""

    occurrence: str
    x: int
    y: int
    height: int
    tone: str
    title: str


class AxisMark(NamedTuple):
    """A text on the axis. day: whether it is the date of a new day."""

    x: int
    text: str
    day: bool


class Timeline(NamedTuple):
    """The whole timeline, the latest occurrence on the right.

    longest: the duration at full height, in words. half: the duration at half of the height.
    """

    width: int
    height: int
    columns: list[Column]
    marks: list[AxisMark]
    longest: str
    half: str


def build_timeline(items: list[HistoryItem], now_ms: int) -> Timeline:
    """Compute the timeline of one page of history. items: the newest first."""
    ordered = items[::-1]
    most = max((_elapsed_ms(each.record, now_ms) for each in ordered), default=0) or 1
    first = max(0, MAX_COLUMNS - len(ordered))
    columns = [_build_column(index, each, now_ms, most) for index, each in enumerate(ordered, first)]
    marks = _axis_marks([each.record.due for each in ordered], first)
    return Timeline(
        LEFT + COLUMN_STEP * max(len(ordered), MAX_COLUMNS) + RIGHT,
        TOP + MAX_HEIGHT + 36,
        columns,
        marks,
        format_duration(most),
        format_duration(most / 4),
    )


def _build_column(index: int, item: HistoryItem, now_ms: int, most: int) -> Column:
    record = item.record
    # By the square root: on a linear scale one long occurrence would make all others equally low, and a logarithm
    # would hide how much longer it took.
    height = (
        MIN_HEIGHT
        if record.state in NEVER_RAN
        else max(MIN_HEIGHT, round(MAX_HEIGHT * sqrt(_elapsed_ms(record, now_ms) / most)))
    )
    title = f"{datetime.fromtimestamp(record.due, UTC):%a %Y-%m-%d %H:%M:%S} UTC · {record.state}\n{item.reason}"
    return Column(
        record.id, LEFT + index * COLUMN_STEP, TOP + MAX_HEIGHT - height, height, tone_of(record.state), title
    )


def _elapsed_ms(record: OccurrenceRecord, now_ms: int) -> int:
    return elapsed_ms(record, now_ms) or 0


def _axis_marks(dues: list[int], first: int) -> list[AxisMark]:
    marks: list[AxisMark] = []
    day = ""
    # Counted from the newest, which always has a mark.
    for index in range((len(dues) - 1) % MARK_SPACING, len(dues), MARK_SPACING):
        moment = datetime.fromtimestamp(dues[index], UTC)
        new_day = f"{moment:%d %b}" != day
        day = f"{moment:%d %b}"
        x = LEFT + (first + index) * COLUMN_STEP + COLUMN_WIDTH // 2
        marks.append(AxisMark(x, f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}", day=False))
        if new_day:
            marks.append(AxisMark(x, day, day=True))
    return marks
