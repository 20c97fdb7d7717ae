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
from jobistemer.testing.calls import decode_arguments
from jobistemer.testing.failure_text import format_call
from jobistemer.testing.times import format_instant, from_ms
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.slots.threads import Stopped


class HandlerFailed(JobistemerError):
    """The attempt of a run failed; its cause is what the handler has raised."""


class FailedAttempt(NamedTuple):
    """One attempt that failed, and what its handler has raised."""

    message: Message
    attempt: int
    at_ms: int
    error: str
    exception: BaseException | None

    @classmethod
    def from_attempt(cls, attempt: Attempt, exception: BaseException | None) -> FailedAttempt | None:
        """The failure of an attempt that has ended; None when it has not failed, or asks to be tried again."""
        outcome = attempt.outcome or Outcome(AttemptState.FAILED)
        if outcome.state not in (AttemptState.FAILED, AttemptState.TIMED_OUT) or isinstance(exception, Retry):
            return None
        cause = None if outcome.state is AttemptState.TIMED_OUT else exception
        delivery = attempt.delivery
        at_ms = attempt.database.clock.now_ms()
        return cls(delivery.message, delivery.attempt, at_ms, outcome.error.partition("\n")[0], cause)


def aborts_test(error: BaseException) -> bool:
    """Whether what a handler has raised is meant for who runs the tests: Ctrl-C, `pytest.fail`, `pytest.exit`."""
    ours = (Exception, SystemExit, CancelledError, Stopped, GeneratorExit)
    return not isinstance(error, ours)


def build_handler_failed(app: Jobistemer, failures: list[FailedAttempt]) -> HandlerFailed:
    """The error that tells what failed; the first failure is its cause."""
    first, *others = failures
    lines = [_describe_failure(app, first), *(f"also: {_describe_failure(app, each)}" for each in others[:5])]
    if others[5:]:
        lines.append(f"and {len(others) - 5} more")
    lines.append("to go on all the same, pass raise_on_failure=False")
    error = HandlerFailed("\n".join(lines))
    error.__cause__ = first.exception
    return error


def _describe_failure(app: Jobistemer, failure: FailedAttempt) -> str:
    message = failure.message
    call = format_call(message.handler, decode_arguments(app, message))
    when = f"attempt {failure.attempt} of {message.run}, at {format_instant(from_ms(failure.at_ms))}"
    return f"{call} failed: {failure.error}\n  {when}; {_describe_next(app, message)}"


def _describe_next(app: Jobistemer, message: Message) -> str:
    record = app.run(message.run).record()
    if record.state is RunState.SCHEDULED:
        return f"it is tried again at {format_instant(from_ms(record.due_at))}"
    return "it is tried again at once" if record.state is RunState.PENDING else f"the run is {record.state}"
