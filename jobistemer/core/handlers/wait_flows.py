"""The flows of sleeps, of waits for signals, and of versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.durations import Seconds, instant_ms, milliseconds
from jobistemer.core.errors import InvalidInput, InvalidStep
from jobistemer.core.handlers.step_flows import StepFlows
from jobistemer.core.handlers.step_host import Flow, StepUpdate
from jobistemer.core.handlers.step_journal import StepJournal
from jobistemer.core.handlers.waits.reminders import NO_REMINDERS, Reminders, remind
from jobistemer.core.payload_json import ENCODING_ERRORS
from jobistemer.core.runs.questions import build_expectation, build_question, outline_question
from jobistemer.core.runs.settle import SLEEPS, Suspension
from jobistemer.core.runs.steps import NULL, SLEEP, VERSION, WAIT, Signal, StepRecord, decode_signals, encode_step

LONGEST_SUSPENSION_S = 10 * 366 * 86_400
"""How long a run may be suspended at a time, in seconds; a wait without a limit ends then."""
LONGEST_ERROR = 1_000
VERSION_PREFIX: Final = ":version "
POLL_MS = 100
"""How often a wait of less than a second looks for its signal."""


def sleep(flows: StepFlows, duration: Seconds | None, until: datetime | None, name: str | None) -> Flow[None]:
    """Wait until a time, without a slot when it is a second or more."""
    yield from flows.load()
    journal, now_ms = flows.journal, flows.host.now_ms()
    identity = journal.ask(name if name is not None else f"sleep-{journal.number_of(SLEEP)}")
    record = journal.find(identity)
    if record is None:
        due_at = _due_ms(duration, until, now_ms)
        record = StepRecord(
            SLEEP, journal.place_of(identity), journal.next_place(), journal.attempt, now_ms, due_at=due_at
        )
    left = record.due_at - flows.host.now_ms()
    if left < flows.host.shortest_suspension_ms:
        # Written with the next step, if one follows: a short sleep by itself is not worth a round trip.
        if journal.find(identity) is None:
            journal.pending[identity] = encode_step(record)
        if left > 0:
            yield ("sleep", left / 1000)
        return
    flows.suspend(Suspension(record.due_at, SLEEPS, records=journal.write(identity, record)))


class Wanted(NamedTuple):
    """What a wait asks people: the type of the answer, the question, who may answer it, and when it reminds."""

    of_type: Any = Any
    ask: str = ""
    by: Iterable[str] = ()
    reminders: Reminders = NO_REMINDERS


NO_QUESTION: Final = Wanted()


def wait_for(
    flows: StepFlows,
    name: str,
    decode: Callable[[bytes], Any],
    timeout: Seconds | None,
    key: str | int | None,
    wanted: Wanted = NO_QUESTION,
) -> Flow[Any]:
    """Return the value of a signal, or None when it has not come within the time-out."""
    yield from flows.load()
    journal, host = flows.journal, flows.host
    identity = journal.ask(name, key)
    record = journal.find(identity)
    if record is not None and record.done:
        return decode(bytes(record.value)) if record.signal else None
    if record is None:
        now_ms, limit_ms = host.now_ms(), _limit_ms(timeout)
        record = StepRecord(WAIT, journal.place_of(identity), 0, journal.attempt, now_ms, due_at=now_ms + limit_ms)
    flows.check_undoing()
    left = record.due_at - host.now_ms()
    while True:
        found = yield from _take_signal(flows, identity, record, name, decode)
        if found is not None:
            return decode(found.value.encode())
        if left <= 0 and (yield from _time_out(flows, identity, record, name)):
            return None
        record = yield from remind(flows, identity, name, record, wanted.reminders)
        if left >= host.shortest_suspension_ms:
            flows.suspend(_build_suspension(name, wanted, record, journal.write(identity, record)))
        if left > 0:
            # Counted by the pauses, and not by the clock: that of a test stands still.
            pause = min(POLL_MS, left) if left < 1_000 else left
            yield ("sleep", pause / 1000)
            left -= pause


def _build_suspension(name: str, wanted: Wanted, record: StepRecord, records: dict[str, bytes]) -> Suspension:
    question, due_at = _build_question(name, wanted, record), wanted.reminders.find_next(record)
    if question:
        note = f"asks: {outline_question(wanted.ask)}"
        return Suspension(due_at, note, wait=name, records=records, question=question)
    # By this a sender finds out that a value does not fit.
    expected = build_expectation(name, wanted.of_type)
    return Suspension(due_at, f"waits for signal {name}", wait=name, records=records, expected=expected)


def _build_question(name: str, wanted: Wanted, record: StepRecord) -> bytes:
    if not wanted.ask:
        return b""
    try:
        return build_question(name, wanted.ask, wanted.by, wanted.of_type, (record.started_at, record.due_at))
    except InvalidInput as error:
        raise InvalidStep(str(error)) from None


def _take_signal(
    flows: StepFlows, identity: str, record: StepRecord, name: str, decode: Callable[[bytes], Any]
) -> Flow[Signal | None]:
    """Take the first signal of a name that fits; those before it that do not fit are taken and noted."""
    for signal in decode_signals((yield ("signals",))):
        if signal.name != name or signal.taken:
            continue
        try:
            decode(signal.value.encode())
        except ENCODING_ERRORS as error:
            text = f"signal {signal.id} does not fit wait {identity!r} and is dropped: {error}"
            flows.host.warn(text)
            ended = record = msgspec.structs.replace(record, tries=record.tries + 1, error=text[:LONGEST_ERROR])
        else:
            done, now_ms = flows.journal.next_place(), flows.host.now_ms()
            value = msgspec.Raw(signal.value.encode())
            ended = msgspec.structs.replace(record, done=done, ended_at=now_ms, value=value, signal=signal.id, due_at=0)
        records = flows.journal.write(identity, ended)
        yield ("record", StepUpdate(records, take=signal.id))
        flows.journal.keep(records)
        if ended.done:
            return signal
    return None


def _time_out(flows: StepFlows, identity: str, record: StepRecord, name: str) -> Flow[bool]:
    """Record that a wait has timed out; returns False when its signal has come after all."""
    done, now_ms = flows.journal.next_place(), flows.host.now_ms()
    records = flows.journal.write(identity, msgspec.structs.replace(record, done=done, ended_at=now_ms, value=NULL))
    word = yield ("record", StepUpdate(records, unless=name))
    if word == "SIGNALED":
        return False
    flows.journal.keep(records)
    return True


def version(flows: StepFlows, name: str) -> Flow[bool]:
    """Return whether a run has come here under the code with a change: False when steps after it are on record."""
    yield from flows.load()
    journal = flows.journal
    # Names of their own: a change is often called as the step that it adds.
    identity = journal.ask(name, prefix=VERSION_PREFIX)
    record = journal.find(identity) or _find_unprefixed(journal, name)
    if record is None:
        is_new = not journal.has_unasked()
        asked, now_ms = journal.place_of(identity), flows.host.now_ms()
        value = msgspec.Raw(b"true" if is_new else b"false")
        record = StepRecord(VERSION, asked, journal.next_place(), journal.attempt, now_ms, now_ms, value)
        records = journal.write(identity, record)
        yield ("record", StepUpdate(records))
        journal.keep(records)
    return bytes(record.value) == b"true"


def _find_unprefixed(journal: StepJournal, name: str) -> StepRecord | None:
    """Return the answer that was recorded before versions had names of their own."""
    record = journal.find(name)
    return record if record is not None and record.kind == VERSION else None


def _limit_ms(timeout: Seconds | None) -> int:
    try:
        return milliseconds(
            "wait_for: timeout", LONGEST_SUSPENSION_S if timeout is None else timeout, 0, LONGEST_SUSPENSION_S
        )
    except InvalidInput as error:
        raise InvalidStep(str(error)) from None


def _due_ms(duration: Seconds | None, until: datetime | None, now_ms: int) -> int:
    if (duration is None) == (until is None):
        raise InvalidStep(f"ctx.sleep has duration {show(duration)} and until {show(until)}: give one of the two")
    try:
        due_at = instant_ms("ctx.sleep: until", until) if until is not None else 0
        left = max(0, due_at - now_ms) / 1000 if duration is None else duration
        left_ms = milliseconds("ctx.sleep", left, 0, LONGEST_SUSPENSION_S)
        return due_at or now_ms + left_ms
    except InvalidInput as error:
        raise InvalidStep(str(error)) from None
