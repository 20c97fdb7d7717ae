"""Differences of definitions for people: fields that change, fire times that appear and vanish."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import RenderableType

from jobistemer.core.planning.diff import Difference, FireTimeChanges
from jobistemer.terminal import tables


def fields_table(difference: Difference) -> RenderableType:
    """One line for each field that differs."""
    rows = [(f"    {each.field}", _format_value(each.old), "→", _format_value(each.new)) for each in difference.fields]
    return tables.plain_columns(rows) if rows else tables.multiline("    no field differs")


def fires_table(fires: FireTimeChanges) -> RenderableType:
    """How many fire times appear and vanish, and the first of them."""
    days = (fires.until - fires.start) / 86_400
    lines = [
        f"    {count} fire times {word} within {days:.3g} days: {_format_first(first, count)}"
        for count, word, first in (
            (fires.appear, "appear", fires.first_to_appear),
            (fires.vanish, "vanish", fires.first_to_vanish),
        )
        if count
    ]
    return tables.multiline("\n".join(lines) or "    the fire times stay the same")


def _format_first(times: tuple[int, ...], count: int) -> str:
    instants = ", ".join(f"{datetime.fromtimestamp(each, UTC):%Y-%m-%d %H:%M:%S}" for each in times)
    return f"{instants}, …" if count > len(times) else instants


def _format_value(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()
