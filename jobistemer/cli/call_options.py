"""The options of a call on the command line: everything that `app.enqueue` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from jobistemer.app import Debounce, Throttle, Unique
from jobistemer.core.schedules.instants import instant_at
from jobistemer.core.schedules.iso8601 import read_instant

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--queue", {"help": "Queue, by default `default`."}),
    ("--priority", {"type": int, "help": "0–9, higher first."}),
    ("--delay", {"type": float, "metavar": "SECONDS", "help": "Start after so many seconds; milliseconds count."}),
    ("--at", {"metavar": "INSTANT", "help": "Start at this ISO 8601 instant, UTC unless it says another offset."}),
    ("--expires", {"type": float, "metavar": "SECONDS", "help": "Do not start it any more after so many seconds."}),
    ("--timeout", {"type": float, "metavar": "SECONDS", "help": "What one attempt may take."}),
    ("--max-retries", {"type": int, "metavar": "N", "help": "Tries after the first, with growing pauses; 0: none."}),
    ("--retention", {"type": float, "metavar": "SECONDS", "help": "How long the records of its end are kept."}),
    ("--unique", {"default": "", "metavar": "KEY", "help": "Give the run that holds this key, not a second one."}),
    ("--unique-until", {"type": click.Choice(["ended", "started"]), "help": "When the key is free; by default ended."}),
    ("--unique-window", {"type": float, "metavar": "SECONDS", "help": "Instead the key is taken for so long."}),
    ("--throttle", {"type": float, "metavar": "SECONDS", "help": "At most one run of the task in so many seconds."}),
    ("--throttle-key", {"metavar": "KEY", "help": "One for each key."}),
    ("--debounce", {"type": float, "metavar": "SECONDS", "help": "Start when calls have been silent for so long."}),
    ("--debounce-longest", {"type": float, "metavar": "SECONDS", "help": "But at the latest so long after the first."}),
    ("--debounce-key", {"metavar": "KEY", "help": "One for each key."}),
    ("--metadata", {"multiple": True, "metavar": "NAME=TEXT", "help": "What the call is about; may be repeated."}),
    ("--header", {"multiple": True, "metavar": "NAME=TEXT", "help": "What travels with it; may be repeated."}),
)


def call_options(function: F) -> F:
    """Add the options of a call."""
    for flag, parameters in reversed(_OPTIONS):
        function = click.option(flag, **parameters)(function)
    return function


def build_enqueue_arguments(*, at: str | None, retention: float | None, **given: Any) -> dict[str, Any]:
    """What `app.enqueue` is called with. Raises InvalidInput, or click.UsageError for what does not go together."""
    return {
        "at": instant_at(read_instant(at, "UTC")) if at else None,
        "retention_s": retention,
        "unique": _build_unique(given.pop("unique"), given.pop("unique_until"), given.pop("unique_window")),
        "throttle": _build_throttle(given.pop("throttle"), given.pop("throttle_key")),
        "debounce": _build_debounce(given.pop("debounce"), given.pop("debounce_longest"), given.pop("debounce_key")),
        "metadata": _parse_pairs("--metadata", given.pop("metadata")),
        "headers": _parse_pairs("--header", given.pop("header")),
        **given,
    }


def _build_unique(key: str, until: str | None, window: float | None) -> Unique | str:
    if not key:
        _check_dependents("--unique", unique_until=until, unique_window=window)
        return ""
    if until and window:
        raise click.UsageError("--unique-until and --unique-window are given together: the key is free by one of them")
    return Unique(key, until="started" if until == "started" else "ended", window=window)


def _build_throttle(window: float | None, key: str | None) -> Throttle | None:
    if window is None:
        _check_dependents("--throttle", throttle_key=key)
        return None
    return Throttle(window, key or "")


def _build_debounce(wait: float | None, longest: float | None, key: str | None) -> Debounce | None:
    if wait is None:
        _check_dependents("--debounce", debounce_longest=longest, debounce_key=key)
        return None
    return Debounce(wait, longest, key or "")


def _check_dependents(option: str, **dependents: object) -> None:
    for name, value in dependents.items():
        if value is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} says more about {option}, which is not given")


def _parse_pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text[:80]!r} must look like NAME=TEXT", param_hint=option)
        found[name] = value
    return found
