"""What a handler has raised, told to the test."""

from __future__ import annotations

from asyncio import CancelledError
from typing import NamedTuple

from jobistemer.app import Jobistemer
from jobistemer.core.errors import JobistemerError
from jobistemer.core.handlers.control_errors import Retry
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState, RunState
from jobistemer.testing.calls import arguments_of
from jobistemer.testing.failure_text import called
from jobistemer.testing.times import from_ms, shown
from jobistemer.worker.attempts.attempt import Flight
from jobistemer.worker.slots.threads import Stopped


class HandlerFailed(JobistemerError):
    """The attempt of a run failed; its cause is what the handler has raised."""


class Failure(NamedTuple):
    """One attempt that failed, and what its handler has raised."""

    message: Message
    attempt: int
    at_ms: int
    error: str
    raised: BaseException | None

    @classmethod
    def of(cls, flight: Flight, raised: BaseException | None) -> Failure | None:
        """The failure of an attempt that has ended; None when it has not failed, or asks to be tried again."""
        outcome = flight.outcome or Outcome(AttemptState.FAILED)
        if outcome.state not in (AttemptState.FAILED, AttemptState.TIMED_OUT) or isinstance(raised, Retry):
            return None
        cause = None if outcome.state is AttemptState.TIMED_OUT else raised
        delivery = flight.delivery
        at_ms = flight.database.clock.now_ms()
        return cls(delivery.message, delivery.attempt, at_ms, outcome.error.partition("\n")[0], cause)


def ends_the_test(error: BaseException) -> bool:
    """Whether what a handler has raised is meant for who runs the tests: Ctrl-C, `pytest.fail`, `pytest.exit`."""
    ours = (Exception, SystemExit, CancelledError, Stopped, GeneratorExit)
    return not isinstance(error, ours)


def handler_failed(app: Jobistemer, failures: list[Failure]) -> HandlerFailed:
    """The error that tells what failed; the first failure is its cause."""
    first, *others = failures
    lines = [_told(app, first), *(f"also: {_told(app, each)}" for each in others[:5])]
    if others[5:]:
        lines.append(f"and {len(others) - 5} more")
    lines.append("to go on all the same, pass raise_on_failure=False")
    error = HandlerFailed("\n".join(lines))
    error.__cause__ = first.raised
    return error


def _told(app: Jobistemer, failure: Failure) -> str:
    message = failure.message
    call = called(message.handler, arguments_of(app, message))
    when = f"attempt {failure.attempt} of {message.run}, at {shown(from_ms(failure.at_ms))}"
    return f"{call} failed: {failure.error}\n  {when}; {_after(app, message)}"


def _after(app: Jobistemer, message: Message) -> str:
    record = app.run(message.run).record()
    if record.state is RunState.SCHEDULED:
        return f"it is tried again at {shown(from_ms(record.due_at))}"
    return "it is tried again at once" if record.state is RunState.PENDING else f"the run is {record.state}"
