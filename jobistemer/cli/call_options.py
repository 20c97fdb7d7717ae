"""The options of `jobistemer enqueue`: everything that `app.enqueue` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from jobistemer.app import Debounce, Throttle, Unique
from jobistemer.core.schedules.iso8601 import read_moment

F = TypeVar("F", bound=Callable[..., Any])

_SECONDS: Final = {"type": float, "metavar": "SECONDS"}
_KEY: Final = {"metavar": "KEY"}
_PAIRS: Final = {"multiple": True, "metavar": "NAME=TEXT"}
_OPTIONS: Final[tuple[tuple[str, dict[str, Any], str], ...]] = (
    ("--queue", {"metavar": "NAME"}, "Queue of the run, by default `default`."),
    ("--priority", {"type": int, "metavar": "0-9"}, "Priority, the highest first; by default 5."),
    ("--delay", _SECONDS, "Start no earlier than so many seconds from now; fractions count."),
    ("--at", {"metavar": "INSTANT"}, "Start at this ISO 8601 instant, UTC unless it has an offset; fractions count."),
    ("--expires", _SECONDS, "Cancel the run if it has not started so many seconds from now."),
    ("--timeout", _SECONDS, "Longest duration of one attempt."),
    ("--max-retries", {"type": int, "metavar": "N"}, "Attempts after the first, with growing pauses; 0 for none."),
    ("--retention", _SECONDS, "Keep the record and the result for so long after the end."),
    ("--unique", {"default": "", **_KEY}, "Enqueue nothing while a run of the task has this key; return that run."),
    ("--unique-until", {"type": click.Choice(["ended", "started"])}, "Event that frees the key; by default ended."),
    ("--unique-window", _SECONDS, "Keep the key for so long, whatever becomes of the run."),
    ("--throttle", _SECONDS, "Enqueue at most one run of the task in so many seconds."),
    ("--throttle-key", _KEY, "Throttle separately for each key."),
    ("--debounce", _SECONDS, "Start when no further call has come for so long."),
    ("--debounce-longest", _SECONDS, "Start at the latest so long after the first call."),
    ("--debounce-key", _KEY, "Debounce separately for each key."),
    ("--metadata", _PAIRS, "Metadata of the run, shown with it; may be repeated."),
    ("--header", _PAIRS, "Header that travels with the run, such as a trace id; may be repeated."),
)


def call_options(function: F) -> F:
    """Add the options of `app.enqueue`."""
    for flag, parameters, text in reversed(_OPTIONS):
        function = click.option(flag, help=text, **parameters)(function)
    return function


def build_enqueue_arguments(*, at: str | None, retention: float | None, **given: Any) -> dict[str, Any]:
    """Return the keyword arguments of `app.enqueue`.

    Raises InvalidInput for a wrong value, and click.UsageError for options that exclude or need each other.
    """
    return {
        "at": read_moment(at, "UTC") if at else None,
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
        raise click.UsageError(
            "--unique-until and --unique-window are given together: only one of them can free the key"
        )
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
            raise click.UsageError(f"--{name.replace('_', '-')} needs {option}, which is not given")


def _parse_pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text[:80]!r} must look like NAME=TEXT", param_hint=option)
        found[name] = value
    return found
