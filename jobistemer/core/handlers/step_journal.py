"""The steps that one attempt has asked for, beside those that are on record.

Steps are found by name. Their order is checked where it is certain: a step that had ended before another one was asked
for must be asked for before it again. Steps that went on side by side have no order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec

from jobistemer.core.checks import is_encodable, show
from jobistemer.core.errors import Conflict, InvalidStep, PayloadTooLarge, StepsDiffer
from jobistemer.core.runs.settle import Suspension
from jobistemer.core.runs.steps import (
    MAX_STEPS,
    MAX_STEPS_BYTES,
    NO_CURSOR,
    UNDO,
    UNDO_MARK,
    VERSION,
    StepRecord,
    decode_step,
    decode_steps,
    encode_step,
)
from jobistemer.core.runs.transaction import Transaction

LONGEST_NAME = 200
"""How many characters the name of a step may have, and its key."""


class RunningStep:
    """The step whose function is being called. cursor: JSON of how far it has come; saved_at: Unix ms."""

    __slots__ = ("asked", "cursor", "identity", "saved_at", "saved_cursor", "started_at", "transaction", "tries")

    def __init__(self, identity: str, asked: int, started_at: int, record: StepRecord | None) -> None:
        self.identity, self.asked, self.started_at = identity, asked, started_at
        self.cursor = self.saved_cursor = record.cursor if record is not None else NO_CURSOR
        self.tries = record.tries if record is not None else 0
        self.saved_at = 0
        self.transaction: Transaction | None = None


CURRENT_STEP: ContextVar[RunningStep | None] = ContextVar("current_step", default=None)
"""The step within whose function the code runs."""


class StepJournal:
    """The steps of one attempt: those on record, those asked for, and what is to be written with the next record."""

    def __init__(self, attempt: int, *, is_undoing: bool = False) -> None:
        self.attempt = attempt
        self.is_undoing = is_undoing
        self.undos: dict[str, tuple[Callable[..., Any], Any]] = {}
        """The functions that undo the steps which this attempt has asked for, with their results, by name."""
        self.is_loaded = False
        self.records: dict[str, StepRecord] = {}
        self.pending: dict[str, bytes] = {}
        """Records that go with the next write: they matter only if the handler goes on."""
        self.suspension: Suspension | None = None
        self.fault: InvalidStep | None = None
        """The first difference that was found; it decides how the attempt ends, whatever the handler does about it."""
        self._asked: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._place = 0
        self._bytes = 0
        # The steps on record that have ended, in the order of their ends, and how many of them were asked for.
        self._ended: list[str] = []
        self._passed = 0

    def load(self, raw: Mapping[bytes, bytes]) -> None:
        """Take over the records that earlier attempts have written. Raises InvalidStep for one that is unreadable."""
        if self.is_loaded:
            return
        try:
            self.records = decode_steps(dict(raw))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidStep(f"the records of the steps of this run cannot be read: {error}") from None
        self._bytes = sum(map(len, raw.values()))
        self._place = max((max(each.asked, each.done) for each in self.records.values()), default=0)
        ended = {name: each for name, each in self.records.items() if each.done and each.kind not in (VERSION, UNDO)}
        self._ended = sorted(ended, key=lambda name: ended[name].done)
        self.is_loaded = True

    def ask(self, name: object, key: object = None, prefix: str = "") -> str:
        """Note that the handler asks for a step, and return the name that it is on record by. prefix: of that name.

        Raises InvalidStep for a name that cannot be one or was asked for before, StepsDiffer for a step out of order,
        or Conflict when this attempt is suspended.
        """
        if self.suspension is not None:
            raise Conflict(f"this attempt is over, it was suspended: {self.suspension.reason}")
        identity = prefix + build_identity(name, key)
        if (around := CURRENT_STEP.get()) is not None:
            raise InvalidStep(
                f"step {identity!r} is asked for within step {around.identity!r}: call its function instead"
            )
        if identity in self._asked:
            raise InvalidStep(f"step {identity!r} is asked for twice in one attempt: tell the two apart by key=")
        record = self.records.get(identity)
        if record is None and len(self.records) >= MAX_STEPS:
            raise InvalidStep(
                f"step {identity!r} would be number {MAX_STEPS + 1}, a run may have {MAX_STEPS}: use ctx.map"
            )
        if record is not None:
            self._check_order(identity, record)
        self._place += 1
        following = self._next_unasked() if record is None else None
        # A step that the code has got since, in front of one that is on record: later attempts ask for it there, too.
        self._asked[identity] = self._place if following is None else self.records[following].asked
        return identity

    def place_of(self, identity: str) -> int:
        """Return the place at which a step was asked for first, in the order of all steps of the run."""
        record = self.records.get(identity)
        return record.asked if record is not None else self._asked[identity]

    def next_place(self) -> int:
        """Return the next place in the order of all steps of the run."""
        self._place += 1
        return self._place

    def number_of(self, kind: str) -> int:
        """Return how often a kind of step without a name was asked for, this time included."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return self._counts[kind]

    def find(self, identity: str) -> StepRecord | None:
        """Return the record of a step; None when there is none."""
        return self.records.get(identity)

    def has_unasked(self) -> bool:
        """Return whether steps are on record that this attempt has not asked for yet."""
        return self._next_unasked() is not None

    def write(self, identity: str, record: StepRecord) -> dict[str, bytes]:
        """Return the records to send, by name, with this one as the first. Raises PayloadTooLarge."""
        encoded = encode_step(record)
        if record.can_undo and UNDO_MARK not in self.records:
            self.pending[UNDO_MARK] = encode_step(StepRecord(UNDO))
        if self._bytes + len(encoded) > MAX_STEPS_BYTES:
            raise PayloadTooLarge(
                f"the records of this run's steps would have {self._bytes + len(encoded)} bytes with that of "
                f"{identity!r}, allowed are {MAX_STEPS_BYTES}: store results elsewhere and return references"
            )
        return {identity: encoded, **{name: each for name, each in self.pending.items() if name != identity}}

    def keep(self, records: Mapping[str, bytes]) -> None:
        """Note that records were written."""
        for name, encoded in records.items():
            self.records[name] = decode_step(encoded)
            self._bytes += len(encoded)
            self.pending.pop(name, None)

    def describe_difference(self) -> str:
        """Return in words which steps on record a handler that has returned did not ask for; empty for none."""
        left = [name for name in self._ended if name not in self._asked]
        if not left:
            return ""
        names = ", ".join(map(repr, left[:5])) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        return f"it has returned without asking for {names}, which earlier attempts have done. {_REMEDY}"

    def _check_order(self, identity: str, record: StepRecord) -> None:
        before = self._next_unasked()
        if before is None or before == identity or self.records[before].done >= record.asked:
            return
        text = f"step {identity!r} is asked for before {before!r}, which was done before it on record. {_REMEDY}"
        self.fault = self.fault or StepsDiffer(text)
        raise self.fault

    def _next_unasked(self) -> str | None:
        while self._passed < len(self._ended) and self._ended[self._passed] in self._asked:
            self._passed += 1
        return self._ended[self._passed] if self._passed < len(self._ended) else None


_REMEDY = "The code has changed under this run: guard the change by ctx.version, or `jobistemer run rewind` the run"


def build_identity(name: object, key: object = None) -> str:
    """Return the name that a step is on record by. Raises InvalidStep for a name or a key that cannot be used."""
    _check_part("name", name)
    if key is None:
        return str(name)
    if not isinstance(key, int) or isinstance(key, bool):
        _check_part("key", key)
    return f"{name}[{key}]"


def _check_part(field: str, value: object) -> None:
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= LONGEST_NAME
        or not is_encodable(value)
        or not value.isprintable()
        or value.startswith(":")
    ):
        raise InvalidStep(
            f"the {field} of a step is {show(value)}, allowed are texts of 1–{LONGEST_NAME} printable characters, "
            "the first of them no colon"
        )
