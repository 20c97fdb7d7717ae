"""Failed attempts, and the error that tells a test about them."""

from __future__ import annotations

from asyncio import CancelledError
from typing import NamedTuple

from jobistemer.app import Jobistemer
from jobistemer.core.errors import JobistemerError
from jobistemer.core.handlers.control_errors import Retry
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import WAITING_RUNS, AttemptState, RunState
from jobistemer.testing.calls import decode_arguments
from jobistemer.testing.failure_text import format_call
from jobistemer.testing.times import format_instant, to_datetime
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.slots.threads import Stopped


class HandlerFailed(JobistemerError):
    """The attempt of a run failed. `__cause__` is the exception of the handler."""


class FailedAttempt(NamedTuple):
    """One attempt that failed. exception: that of its handler, None for a timeout."""

    message: Message
    attempt: int
    at_ms: int
    error: str
    exception: BaseException | None

    @classmethod
    def from_attempt(cls, attempt: Attempt, exception: BaseException | None) -> FailedAttempt | None:
        """Build the failure of an attempt that has ended. Returns None when it did not fail, or asked for a retry."""
        outcome = attempt.outcome or Outcome(AttemptState.FAILED)
        if outcome.state not in (AttemptState.FAILED, AttemptState.TIMED_OUT) or isinstance(exception, Retry):
            return None
        cause = None if outcome.state is AttemptState.TIMED_OUT else exception
        delivery = attempt.delivery
        at_ms = attempt.database.clock.now_ms()
        return cls(delivery.message, delivery.attempt, at_ms, outcome.error.partition("\n")[0], cause)


def aborts_test(error: BaseException) -> bool:
    """Return whether an exception of a handler is to end the test: Ctrl-C, `pytest.fail`, `pytest.exit`."""
    ends_attempt = (Exception, SystemExit, CancelledError, Stopped, GeneratorExit)
    return not isinstance(error, ends_attempt)


def build_handler_failed(app: Jobistemer, failures: list[FailedAttempt]) -> HandlerFailed:
    """Build the error that lists failures. The exception of the first one is its cause."""
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
    when = f"attempt {failure.attempt + 1} of {message.run}, at {format_instant(to_datetime(failure.at_ms))}"
    return f"{call} failed: {failure.error}\n  {when}; {_describe_next(app, message)}"


def _describe_next(app: Jobistemer, message: Message) -> str:
    record = app.run(message.run).record()
    if record.state in WAITING_RUNS:
        return f"it is tried again at {format_instant(to_datetime(record.due_at))}"
    return "it is tried again at once" if record.state is RunState.PENDING else f"the run is {record.state}"
