"""Reminders of a wait: a function that is called while nobody has answered, at most twenty times."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from jobistemer.core.checks import show
from jobistemer.core.durations import Seconds, milliseconds
from jobistemer.core.errors import InvalidInput, InvalidStep
from jobistemer.core.handlers.step_flows import StepFlows
from jobistemer.core.handlers.step_host import Flow, StepUpdate
from jobistemer.core.runs.steps import StepRecord

MAX_REMINDERS: Final = 20
SHORTEST_S: Final = 1
LONGEST_S: Final = 10 * 366 * 86_400


class Reminder(msgspec.Struct, frozen=True):
    """A wait that nobody has answered yet.

    signal: its name. number: 1 for the first reminder. asked_at, due_at: when the wait began, and when it ends.
    """

    signal: str
    number: int
    asked_at: datetime
    due_at: datetime


OnRemind = Callable[[Reminder], object]


class Reminders(NamedTuple):
    """When a wait reminds, in ms after its beginning, ascending; function: what is called, None for a warning alone."""

    after_ms: tuple[int, ...] = ()
    function: OnRemind | None = None

    def find_next(self, record: StepRecord) -> int:
        """Return when the next reminder is due, Unix ms; the end of the wait when there is none before it."""
        following = self.after_ms[record.reminded :]
        return min(record.started_at + following[0], record.due_at) if following else record.due_at

    def count_due(self, record: StepRecord, now_ms: int) -> int:
        """Return how many reminders are due by now, those included that were given."""
        return sum(record.started_at + each <= now_ms for each in self.after_ms)


NO_REMINDERS: Final = Reminders()


def read_reminders(remind: Seconds | Iterable[Seconds] | None, function: Any) -> Reminders:
    """Return the reminders of a wait. remind: a duration that is repeated, or several. Raises InvalidStep."""
    if remind is None:
        if function is not None:
            raise InvalidStep("wait_for: on_remind is given and remind is not: say when to remind")
        return NO_REMINDERS
    if function is not None and not callable(function):
        raise InvalidStep(f"wait_for: on_remind is {show(function)}, allowed is a function of a Reminder")
    if isinstance(remind, int | float | timedelta):
        every = _read(remind)
        return Reminders(tuple(every * number for number in range(1, MAX_REMINDERS + 1)), function)
    found = sorted({_read(each) for each in remind}) if isinstance(remind, list | tuple) else []
    if not 1 <= len(found) <= MAX_REMINDERS:
        raise InvalidStep(
            f"wait_for: remind is {show(remind)}, allowed are a duration or a list of 1 to {MAX_REMINDERS} durations"
        )
    return Reminders(tuple(found), function)


def remind(flows: StepFlows, identity: str, name: str, record: StepRecord, reminders: Reminders) -> Flow[StepRecord]:
    """Give the reminder that is due, if any, and return the record of the wait. Of several that are late, the last."""
    due = reminders.count_due(record, flows.host.now_ms())
    if due <= record.reminded:
        return record
    reminder = Reminder(name, due, _to_instant(record.started_at), _to_instant(record.due_at))
    if reminders.function is None:
        flows.host.warn(f"wait {identity!r} has no answer since {reminder.asked_at:%Y-%m-%d %H:%M} UTC: reminder {due}")
    else:
        try:
            yield ("call", reminders.function, (reminder,), {}, None)
        except Exception as error:  # noqa: BLE001 - a reminder is user code, and the wait goes on without it
            flows.host.warn(f"reminder {due} of wait {identity!r} failed: {type(error).__name__}: {error!s:.500}")
    given = msgspec.structs.replace(record, reminded=due)
    records = flows.journal.write(identity, given)
    yield ("record", StepUpdate(records))
    flows.journal.keep(records)
    return given


def _read(duration: Seconds) -> int:
    try:
        return milliseconds("wait_for: remind", duration, SHORTEST_S * 1000, LONGEST_S)
    except InvalidInput as error:
        raise InvalidStep(str(error)) from None


def _to_instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
