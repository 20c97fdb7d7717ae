"""What messages to tests are made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from jobistemer.testing.calls import Call
from jobistemer.testing.occurrences import Occurrence
from jobistemer.testing.times import shown

MOST_LINES = 20


def called(task: str, arguments: Mapping[str, Any]) -> str:
    """A call as one would write it."""
    return f"{task}({', '.join(f'{name}={value!r:.200}' for name, value in arguments.items())})"


def calls_told(calls: Sequence[Call], expected: Mapping[str, Any] | None = None) -> str:
    """Calls, a line each; with what they have otherwise than expected."""
    return _lines([_call_told(each, expected) for each in calls])


def occurrences_told(occurrences: Sequence[Occurrence]) -> str:
    """Occurrences, a line each."""
    return _lines([_occurrence_told(each) for each in occurrences])


def meant(name: str, known: Collection[str]) -> str:
    """A hint at what may have been meant by a name that is not known."""
    near = get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known)) or 'none'}"


def _call_told(call: Call, expected: Mapping[str, Any] | None) -> str:
    at = f" for {shown(call.due_at)}" if call.due_at is not None else ""
    why = call.error.partition("\n")[0] or call.note
    error = f": {why}" if why else ""
    found = f"{called(call.task, call.arguments)} in queue {call.queue}, {call.state or 'long over'}{at}{error}"
    differences = call.differs(expected) if expected is not None else []
    return f"{found}   <- {'; '.join(differences)}" if differences else found


def _occurrence_told(occurrence: Occurrence) -> str:
    error = f"; {occurrence.error.partition(chr(10))[0]}" if occurrence.error else ""
    return f"{shown(occurrence.at)} {occurrence.state}: {occurrence.reason}{error}"


def _lines(told: list[str]) -> str:
    left_out = [f"(the {len(told) - MOST_LINES} before are left out)"] if len(told) > MOST_LINES else []
    return "\n".join(f"  {each}" for each in [*left_out, *told[-MOST_LINES:]])
