"""Tables for people. Cells are plain text, never markup: the name of a task can neither colour nor move anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from jobistemer.core.safe_text import clean_text, escape_text, hide_secrets
from jobistemer.core.text import TONES, format_distance

Cell = str | int | Text
PIPE_WIDTH: Final = 10_000
"""The width of a page (columns) when standard output is no terminal: no line is ever broken."""
_COLOURS: Final = {
    "good": "green",
    "busy": "cyan",
    "wait": "blue",
    "warn": "yellow",
    "mute": "yellow",
    "bad": "red",
    "lost": "magenta",
}
"""The colour of each tone on a terminal."""


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], title: str = "") -> Table:
    """Build a table with the given columns; a column of numbers is aligned to the right."""
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
    """Build a table without headings."""
    result = Table(show_header=False, box=None, pad_edge=False)
    for row in rows:
        result.add_row(*(cell(value) for value in row))
    return result


def properties(pairs: Iterable[tuple[str, Cell]]) -> Table:
    """Build a list of names and values, one pair a line; a pair with an empty value is left out."""
    result = Table(show_header=False, box=None, pad_edge=False)
    result.add_column(style="bold", no_wrap=True)
    result.add_column()
    for name, value in pairs:
        if value != "":
            result.add_row(name, value if isinstance(value, Text) else multiline(str(value)))
    return result


def cell(value: Cell) -> Text:
    """Make one line of plain text of a value."""
    return value if isinstance(value, Text) else Text(clean_text(str(value)))


def multiline(text: str) -> Text:
    """Make several lines of plain text, such as a traceback."""
    return Text("\n".join(escape_text(line) for line in hide_secrets(text).splitlines()))


def stack(*parts: RenderableType) -> RenderableType:
    """Put several parts below one another."""
    return Group(*parts)


def style_state(value: str) -> Text:
    """Write a state in the colour of its tone; an unknown word has none."""
    return Text(value, style=_COLOURS.get(TONES.get(value, ""), ""))


def format_instant(ms: int | None, now_ms: int) -> str:
    """Write an instant in UTC and how far it is from now: "08:00:03 (in 3.0 s)"; a dash for none."""
    if not ms:
        return "–"
    at, now = datetime.fromtimestamp(ms / 1000, UTC), datetime.fromtimestamp(now_ms / 1000, UTC)
    text = f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S}"
    return f"{text} ({format_distance(ms, now_ms)})"


def format_utc(unix_s: int) -> str:
    """Write a Unix second as a date and time in UTC."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S}"


def print_renderable(content: RenderableType) -> None:
    """Print to standard output, as wide as the terminal; into a pipe, lines are neither broken nor padded."""
    if sys.stdout.isatty():
        Console(highlight=False, markup=False).print(content)
        return
    console = Console(width=PIPE_WIDTH, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(content)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
