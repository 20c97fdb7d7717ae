"""Text of the messages to tests: calls, occurrences, suggestions for names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jobistemer.core.checks import suggest
from jobistemer.testing.calls import Call
from jobistemer.testing.occurrences import Occurrence
from jobistemer.testing.times import format_instant

MAX_LINES = 20


def format_call(task: str, arguments: Mapping[str, Any]) -> str:
    """Format a call as it is written in Python."""
    return f"{task}({', '.join(f'{name}={value!r:.200}' for name, value in arguments.items())})"


def format_calls(calls: Sequence[Call], expected: Mapping[str, Any] | None = None) -> str:
    """Format calls, a line each. expected: arguments; a call that has others is shown with the differences."""
    return _format_lines([_format_call(each, expected) for each in calls])


def format_occurrences(occurrences: Sequence[Occurrence]) -> str:
    """Format occurrences, a line each."""
    return _format_lines([_format_occurrence(each) for each in occurrences])


def suggest_or_list(name: str, known: Collection[str]) -> str:
    """Format a hint for an unknown name: the known names that are like it, else all known names."""
    return suggest(name, known) or f"there are {', '.join(sorted(known)) or 'none'}"


def _format_call(call: Call, expected: Mapping[str, Any] | None) -> str:
    at = f" for {format_instant(call.due_at)}" if call.due_at is not None else ""
    why = call.error.partition("\n")[0] or call.note
    error = f": {why}" if why else ""
    found = f"{format_call(call.task, call.arguments)} in queue {call.queue}, {call.state or 'long over'}{at}{error}"
    differences = call.differs(expected) if expected is not None else []
    return f"{found}   <- {'; '.join(differences)}" if differences else found


def _format_occurrence(occurrence: Occurrence) -> str:
    error = f"; {occurrence.error.partition(chr(10))[0]}" if occurrence.error else ""
    return f"{format_instant(occurrence.at)} {occurrence.state}: {occurrence.reason}{error}"


def _format_lines(lines: list[str]) -> str:
    left_out = [f"(the {len(lines) - MAX_LINES} before are left out)"] if len(lines) > MAX_LINES else []
    return "\n".join(f"  {each}" for each in [*left_out, *lines[-MAX_LINES:]])
