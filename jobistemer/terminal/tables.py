"""Tables for people. Cells are plain text, never markup: a task's name can neither colour nor move anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobistemer.core.safe_text import escape_text
from jobistemer.core.text import format_duration

Cell = str | int | Text
PIPE_WIDTH: Final = 10_000

_STYLES: Final = {
    "completed": "green",
    "succeeded": "green",
    "CREATED": "green",
    "CHANGED": "yellow",
    "POSTPONED": "blue",
    "OLDER": "yellow",
    "REMOVED": "red",
    "hole": "red",
    "double": "red",
    "stranger": "yellow",
    "running": "cyan",
    "failed": "red",
    "failed_stale": "red",
    "dead": "red",
    "timed_out": "red",
    "lost": "magenta",
    "missed": "yellow",
    "skipped": "yellow",
    "canceled": "yellow",
    "paused": "yellow",
    "fine": "green",
    "warning": "yellow",
    "fault": "red",
    "scheduled": "blue",
    "queued": "blue",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], title: str = "") -> Table:
    """A table with the given columns; numbers stand right."""
    result = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    body = [list(row) for row in rows]
    for index, heading in enumerate(headings):
        numeric = bool(body) and all(isinstance(row[index], int) for row in body)
        # The last column holds reasons and errors: it alone may wrap.
        result.add_column(heading, justify="right" if numeric else "left", no_wrap=index < len(headings) - 1)
    for row in body:
        result.add_row(*(cell(value) for value in row))
    return result


def plain_columns(rows: Iterable[Sequence[Cell]]) -> Table:
    """Columns without headings."""
    result = Table(show_header=False, box=None, pad_edge=False)
    for row in rows:
        result.add_row(*(cell(value) for value in row))
    return result


def properties(pairs: Iterable[tuple[str, Cell]]) -> Table:
    """Names and values below one another; what is empty is left out."""
    result = Table(show_header=False, box=None, pad_edge=False)
    result.add_column(style="bold", no_wrap=True)
    result.add_column()
    for name, value in pairs:
        if value != "":
            result.add_row(name, value if isinstance(value, Text) else multiline(str(value)))
    return result


def cell(value: Cell) -> Text:
    """One line of plain text."""
    return value if isinstance(value, Text) else Text(escape_text(str(value)))


def multiline(text: str) -> Text:
    """Several lines of plain text, such as a traceback."""
    return Text("\n".join(escape_text(line) for line in text.splitlines()))


def stack(*parts: RenderableType) -> RenderableType:
    """Several things below one another."""
    return Group(*parts)


def style_state(value: str) -> Text:
    """A state in its colour."""
    return Text(value, style=_STYLES.get(value, ""))


def format_instant(ms: int | None, now_ms: int) -> str:
    """An instant in UTC and how far it is from now; a dash for none."""
    if not ms:
        return "–"
    at, now = datetime.fromtimestamp(ms / 1000, UTC), datetime.fromtimestamp(now_ms / 1000, UTC)
    text = f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S}"
    distance = f"in {format_duration(ms - now_ms)}" if ms > now_ms else f"{format_duration(now_ms - ms)} ago"
    return f"{text} ({distance})"


def print_renderable(content: RenderableType) -> None:
    """Print to standard output, as wide as the terminal; in a pipe lines are neither broken nor padded."""
    if sys.stdout.isatty():
        Console(highlight=False, markup=False).print(content)
        return
    console = Console(width=PIPE_WIDTH, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(content)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
