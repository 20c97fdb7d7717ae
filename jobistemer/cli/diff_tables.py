"""Tables of the differences between two definitions of a job: fields that change, fire times that appear and vanish."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import RenderableType

from jobistemer.core.planning.diff import Difference, FireTimeChanges
from jobistemer.terminal import tables


def fields_table(difference: Difference) -> RenderableType:
    """Build a table with one line for each field that differs."""
    rows = [(f"    {each.field}", _format_value(each.old), "→", _format_value(each.new)) for each in difference.fields]
    return tables.plain_columns(rows) if rows else tables.multiline("    no field differs")


def fires_table(fires: FireTimeChanges) -> RenderableType:
    """Describe how many fire times appear and vanish, and list the first of them."""
    if fires.until == fires.start:
        return tables.multiline("    the fire times are not compared: too many of them, or not to be computed here")
    days = (fires.until - fires.start) / 86_400
    lines = [
        f"    {count:,} fire times {word} within {days:.3g} days, in UTC: {_format_first(first, count)}"
        for count, word, first in (
            (fires.appear, "appear", fires.first_to_appear),
            (fires.vanish, "vanish", fires.first_to_vanish),
        )
        if count
    ]
    return tables.multiline("\n".join(lines) or "    the fire times stay the same")


def _format_first(times: tuple[int, ...], count: int) -> str:
    instants = ", ".join(tables.format_utc(each) for each in times)
    return f"{instants}, …" if count > len(times) else instants


def _format_value(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()
