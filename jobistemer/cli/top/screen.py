"""The screen of `jobistemer top`: tables cut to the height of the terminal, with a count of the rows left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobistemer.cli.top.details import Details
from jobistemer.cli.top.parts import Part, build_parts, busy_slots
from jobistemer.cli.top.rates import Rates
from jobistemer.cli.top.snapshot import TopSnapshot
from jobistemer.cli.top.view import ALL, View
from jobistemer.core.safe_text import escape_text
from jobistemer.core.text import format_distance, pluralize
from jobistemer.terminal import tables

FIXED_LINES = 3
"""Lines that every screen has: two at the head, one at the foot."""
IMPORTANCE = (5, 6, 1, 2, 3, 4)
"""The tables by their numbers, the most important one first: what runs and what failed, before processes."""
PART_EXTRA_LINES = 2
"""Lines of each table besides its rows: an empty line and the headings."""
_SHRINKABLE = frozenset(("run", "error", "queues", "state", "schedule"))
_AMOUNTS = frozenset(("waiting", "in flight", "slots in use", "unaccounted", "oldest", "for", "live"))
_RATES = frozenset(("in/s", "out/s", "runs/s", "failed/s", "fired/s"))


def render_screen(
    snapshot: TopSnapshot, rates: Rates, title: str, footer: str, height: int | None = None, view: View = ALL
) -> RenderableType:
    """Build the screen of one snapshot, at most `height` lines high; None for as many as it takes."""
    parts, selected = view.choose(build_parts(snapshot, rates)), -1
    if view.number:
        (part,) = parts
        selected = min(view.selected, len(part.rows) - 1)
        # The window moves when the selected row would be below it; a line at its end counts the rest.
        seen = len(part.rows) if height is None else max(1, height - FIXED_LINES - PART_EXTRA_LINES - 1)
        first = max(0, selected - seen + 1)
        parts, selected = [part._replace(rows=part.rows[first:])], selected - first
    if height is not None:
        # Tables without room for a single row are left out, the least important ones first.
        kept = set(IMPORTANCE[: max(1, (height - FIXED_LINES) // (PART_EXTRA_LINES + 1))])
        parts = parts if len(parts) == 1 else [part for number, part in enumerate(parts, 1) if number in kept]
    wants = [max(1, len(part.rows)) for part in parts]
    room = share_lines(wants, height - FIXED_LINES - PART_EXTRA_LINES * len(parts)) if height is not None else wants
    body = [line for part, rows in zip(parts, room, strict=True) for line in _render_part(part, rows, selected)]
    return Group(*_render_header(snapshot, rates, title), *body, _styled_line(footer, "reverse"))


def render_details(details: Details, title: str, footer: str, height: int) -> RenderableType:
    """Build the screen of one thing: its facts, and as many of its last lines as there is room for."""
    facts = [_styled_line(f"{name:>18}  {value}", "") for name, value in details.facts if value][: height - FIXED_LINES]
    room = max(0, height - FIXED_LINES - len(facts) - 1)
    lines = [_styled_line(f"  {line}", "dim") for line in details.lines[-room:]] if room else []
    head = [_styled_line(f" {title}", "reverse"), _styled_line(f" {details.title}", "bold")]
    return Group(*head, *facts, *([Text(), *lines] if lines else []), _styled_line(footer, "reverse"))


def format_cost(snapshot: TopSnapshot) -> str:
    """Format what a look has cost the server, for the last line."""
    return f"{snapshot.cost.commands} commands in {snapshot.cost.ms:g} ms a look"


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
    busy, slots = sum(map(busy_slots, snapshot.workers)), sum(each.concurrency for each in snapshot.workers)
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


def _render_part(part: Part, room: int, selected: int) -> list[RenderableType]:
    table = Table(box=None, pad_edge=False, header_style="bold cyan", expand=False)
    names = [head.removesuffix(" ↓") for head in part.headings]
    numbers = {index for index, head in enumerate(names) if head in _AMOUNTS | _RATES}
    for index, head in enumerate(part.headings):
        # Long texts are shortened; all other columns keep their width.
        table.add_column(head, justify="right" if index in numbers else "left", no_wrap=names[index] not in _SHRINKABLE)
    # With room for one line only, a row says more than the number of rows.
    rows = room if len(part.rows) <= room or room == 1 else room - 1
    for number, row in enumerate(part.rows[:rows]):
        table.add_row(*(_one_line(value) for value in row.cells), style="reverse" if number == selected else "")
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


def _styled_line(text: str, style: str) -> Text:
    return Text(escape_text(text), style=style, no_wrap=True, overflow="ellipsis")
