"""The history of a job as a picture: a column for each occurrence, as high as it took long, coloured by its end."""

from __future__ import annotations

from datetime import UTC, datetime
from math import sqrt
from typing import Final, NamedTuple

from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.text import duration
from jobistemer.store.reads.records import NEVER_RAN
from jobistemer.web.charts.templating import lasted, tone

LEFT: Final = 52
STEP: Final = 19
WIDE: Final = 14
PLACES: Final = 60
"""For how many columns there is room; where there are fewer, the room on the left stays empty."""
RIGHT: Final = 20
TALL: Final = 96
TOP: Final = 10
STUB: Final = 8
"""How high a column is at least; those that never ran are no higher."""
APART: Final = 5
"""How many columns there are between two instants that are written out."""


class Slot(NamedTuple):
    """One occurrence, and why it is what it is."""

    record: OccurrenceRecord
    reason: str


class Column(NamedTuple):
    """One column of the picture."""

    occurrence: str
    x: int
    y: int
    height: int
    tone: str
    title: str


class Mark(NamedTuple):
    """A place on the axis, in words; `day` where a new day begins."""

    x: int
    text: str
    day: bool


class Timeline(NamedTuple):
    """The whole picture, the latest occurrence on the right; longest in words."""

    width: int
    height: int
    columns: list[Column]
    marks: list[Mark]
    longest: str
    half: str


def timeline(slots: list[Slot], now_ms: int) -> Timeline:
    """The picture of a page of history; `slots` begin with the newest."""
    ordered = slots[::-1]
    most = max((_took(each.record, now_ms) for each in ordered), default=0) or 1
    first = max(0, PLACES - len(ordered))
    columns = [_column(place, each, now_ms, most) for place, each in enumerate(ordered, first)]
    marks = _marks([each.record.due for each in ordered], first)
    return Timeline(
        LEFT + STEP * max(len(ordered), PLACES) + RIGHT,
        TOP + TALL + 36,
        columns,
        marks,
        duration(most),
        duration(most / 4),
    )


def _column(place: int, slot: Slot, now_ms: int, most: int) -> Column:
    record = slot.record
    # By the root: what took long stands out, what was short can still be told from what was shorter.
    height = STUB if record.state in NEVER_RAN else max(STUB, round(TALL * sqrt(_took(record, now_ms) / most)))
    said = f"{datetime.fromtimestamp(record.due, UTC):%a %Y-%m-%d %H:%M:%S} UTC · {record.state}\n{slot.reason}"
    return Column(record.id, LEFT + place * STEP, TOP + TALL - height, height, tone(record.state), said)


def _took(record: OccurrenceRecord, now_ms: int) -> int:
    return lasted(record, now_ms) or 0


def _marks(dues: list[int], first: int) -> list[Mark]:
    found: list[Mark] = []
    day = ""
    for place in range((len(dues) - 1) % APART, len(dues), APART):
        moment = datetime.fromtimestamp(dues[place], UTC)
        new_day = f"{moment:%d %b}" != day
        day = f"{moment:%d %b}"
        x = LEFT + (first + place) * STEP + WIDE // 2
        found.append(Mark(x, f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}", day=False))
        if new_day:
            found.append(Mark(x, day, day=True))
    return found
