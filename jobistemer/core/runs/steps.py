"""What is on record of the steps of a run and of the signals that it was sent, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Final

import msgspec

from jobistemer.core.unreadable import READ_ERRORS

STEP, SLEEP, WAIT, VERSION, MAP, UNDO = "step", "sleep", "wait", "version", "map", "undo"
MAX_STEPS: Final = 10_000
"""How many steps a run may have on record."""
MAX_STEPS_BYTES: Final = 16 * 1024 * 1024
"""How many bytes the records of a run's steps may have together."""
MAX_SIGNALS: Final = 100
"""How many signals a run may be sent, those included that it has taken."""
MAX_SIGNALS_BYTES: Final = 64 * 1024
"""How many bytes the signals of a run may have together."""
NULL: Final = msgspec.Raw(b"null")
UNDO_MARK: Final = ":undo"
"""A field beside the records of the steps: one of them can be undone. Names of steps do not begin with a colon."""
NO_CURSOR: Final = msgspec.Raw(b"")


class StepRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a run; times are Unix milliseconds.

    kind: step, sleep, wait, version, map or undo. asked, done: places in the order of all beginnings and ends of steps
    of the run; done is 0 while the step goes on. attempt: the attempt that has written it. value: JSON of its result.
    error, error_type: of the last try that failed. tries: how many tries have failed. due_at: when a sleep, a wait or
    the pause before the next try ends. cursor: JSON, how far it has come. signal: the id of the signal that ended a
    wait. can_undo: it has a function that undoes it. reminded: how many reminders of a wait were given.
    """

    kind: str = STEP
    asked: int = 0
    done: int = 0
    attempt: int = 0
    started_at: int = 0
    ended_at: int = 0
    value: msgspec.Raw = NULL
    error: str = ""
    error_type: str = ""
    tries: int = 0
    due_at: int = 0
    cursor: msgspec.Raw = NO_CURSOR
    signal: str = ""
    can_undo: bool = False
    reminded: int = 0

    @property
    def has_failed(self) -> bool:
        """Return whether the step has ended without a result."""
        return bool(self.done and self.error_type)


class Signal(msgspec.Struct, frozen=True, omit_defaults=True):
    """One signal that a run was sent, in the order of arrival.

    value: JSON. at: Unix ms. by: who has sent it, empty where it is not known. taken: 1 once a wait has taken it. call:
    tells the second send of one call from another call with the same id.
    """

    id: str
    name: str
    value: str = "null"
    at: int = 0
    by: str = ""
    taken: int = 0
    call: str = ""


class StepView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a run for people and programs, in the order in which steps were asked for first.

    state: done, failed, waiting (until `due_at`, or for a signal), or going on. took_ms: from its first beginning to
    its end, 0 while it has not ended. The other fields are those of its record.
    """

    name: str
    kind: str
    state: str
    attempt: int
    started_at: int
    ended_at: int = 0
    took_ms: int = 0
    due_at: int = 0
    tries: int = 0
    error: str = ""
    result: msgspec.Raw = NULL
    cursor: msgspec.Raw = NULL
    signal: str = ""
    can_undo: bool = False


def view_steps(records: Mapping[str, StepRecord], now_ms: int) -> list[StepView]:
    """Return the steps of a run in the order in which they were asked for first."""
    return [
        StepView(
            name,
            each.kind,
            _find_state(each, now_ms),
            each.attempt,
            each.started_at,
            each.ended_at,
            max(0, each.ended_at - each.started_at) if each.ended_at else 0,
            each.due_at,
            each.tries,
            each.error,
            each.value,
            each.cursor if each.cursor != NO_CURSOR else NULL,
            each.signal,
            each.can_undo,
        )
        for name, each in order_steps(records)
    ]


def order_steps(records: Mapping[str, StepRecord]) -> list[tuple[str, StepRecord]]:
    """Return the steps of a run, by name, in the order in which its code asks for them.

    A step that the code got later, in front of one on record, has the place of that one, which is the oldest of them.
    """
    shown = [pair for pair in records.items() if pair[0] != UNDO_MARK]
    by_age = sorted(shown, key=lambda pair: (pair[1].asked, pair[1].started_at, pair[1].attempt))
    ordered: list[tuple[str, StepRecord]] = []
    for _, same in groupby(by_age, key=lambda pair: pair[1].asked):
        oldest, *later = same
        ordered += [*later, oldest]
    return ordered


def _find_state(record: StepRecord, now_ms: int) -> str:
    if record.kind == SLEEP:
        return "done" if record.due_at <= now_ms else "waiting"
    if record.done:
        return "failed" if record.has_failed else "done"
    return "waiting" if record.due_at else "going on"


encode_step = msgspec.json.Encoder().encode
decode_step = msgspec.json.Decoder(StepRecord).decode
_decode_signals = msgspec.json.Decoder(list[Signal]).decode


def decode_steps(raw: dict[bytes, bytes]) -> dict[str, StepRecord]:
    """Decode the records of a run's steps. Raises msgspec.DecodeError or UnicodeDecodeError."""
    return {name.decode(): decode_step(record) for name, record in raw.items()}


def decode_signals(raw: bytes | str | None) -> list[Signal]:
    """Decode the signals of a run; what cannot be read counts as none."""
    try:
        return _decode_signals(raw) if raw else []
    except READ_ERRORS:
        return []
