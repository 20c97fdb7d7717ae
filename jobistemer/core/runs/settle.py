"""The meaning of an attempt's outcome for its run.

`settle` is a function of message, attempt, crashes, outcome, chance and elapsed time. It has one of four results: the
run is terminal, it waits for its next attempt, it goes back to its stream at once, or it is suspended.
"""

from __future__ import annotations

import msgspec

from jobistemer.core.runs.message import Message
from jobistemer.core.states import AttemptState, RunState

SLEEPS = "sleeps"
"""The reason of a plain sleep, which the record of the run leaves out."""


class Suspension(msgspec.Struct, frozen=True, omit_defaults=True):
    """The wait of a run whose handler has ended its attempt by itself.

    due_at: Unix ms at which the run goes on, if nothing wakes it before; after_ms: the same, from the attempt's end on.
    reason: for people. wait: the name of the signal that wakes it, empty for none. group: the group whose last end
    wakes it; members: how many runs that has. records: what its steps have written last, by name. question: JSON of
    what people are asked, empty for nothing; expected: JSON of the type that a wait expects which asks nobody.
    is_snooze: the handler has raised Snooze. is_interrupt: the worker ends; the run goes back to its stream at once,
    and its attempt does not count.
    """

    due_at: int
    reason: str
    after_ms: int = 0
    wait: str = ""
    records: dict[str, bytes] = {}
    question: bytes = b""
    is_snooze: bool = False
    is_interrupt: bool = False
    group: str = ""
    members: int = 0
    expected: bytes = b""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of one attempt, as its worker saw it, or the worker that found it lost.

    state: the attempt's terminal state. result: JSON of the handler's return value. error: text for people.
    retry_after_ms: the delay that the handler asked for by `Retry(after=…)`. final: the handler asked for no retry.
    poison: another attempt would fail in the same way. innocent: a lost attempt that is known to be another attempt's
    fault. suspension: of an attempt that has ended suspended. done: why the handler has ended its job; empty if not.
    unbegun: the handler was not called, so that there was no attempt.
    """

    state: AttemptState
    result: bytes = b""
    error: str = ""
    retry_after_ms: int | None = None
    final: bool = False
    poison: bool = False
    innocent: bool = False
    suspension: Suspension | None = None
    done: str = ""
    unbegun: bool = False


class FinalState(msgspec.Struct, frozen=True):
    """The run is terminal.

    verdict: what it contributes to the state of its occurrence, empty for a success. spent: the run is out of attempts:
    it becomes a dead letter unless its task has none, and `on_dead` is enqueued.
    """

    state: RunState
    verdict: str
    spent: bool = False


class NextAttempt(msgspec.Struct, frozen=True):
    """The run waits `delay_ms` for its next attempt; 0 sends it back to its stream at once."""

    delay_ms: int
    crashes: int


Settlement = FinalState | NextAttempt | Suspension

SUCCEEDED = FinalState(RunState.SUCCEEDED, "")
CANCELED = FinalState(RunState.CANCELED, "canceled")


def settle(
    message: Message, attempt: int, crashes: int, outcome: Outcome, chance: float, elapsed_ms: int = 0
) -> Settlement:
    """Decide the next state of a run whose attempt number `attempt` ended in `outcome`.

    crashes: the lost attempts before this one; they have a limit of their own and use up no retries. chance: a random
    number in [0, 1). elapsed_ms: the time since the first attempt began; only policies with `max_elapsed_s` need it.
    """
    ending = _settle(message, attempt, crashes, outcome, chance, elapsed_ms)
    if message.undoing is None or not isinstance(ending, FinalState):
        return ending
    # How the run ends was decided before its steps were undone, also where one of them could not be.
    return FinalState(RunState(message.undoing.state), message.undoing.verdict, message.undoing.spent)


def must_undo(message: Message, ending: Settlement) -> bool:
    """Return whether the steps of a run have to be undone before it ends so."""
    is_failure = isinstance(ending, FinalState) and ending.state is not RunState.SUCCEEDED
    return is_failure and message.can_undo and message.undoing is None


def _settle(
    message: Message, attempt: int, crashes: int, outcome: Outcome, chance: float, elapsed_ms: int
) -> Settlement:
    match outcome.state:
        case AttemptState.SUCCEEDED:
            return SUCCEEDED
        case AttemptState.CANCELED:
            return CANCELED
        case AttemptState.SUSPENDED if outcome.suspension is not None:
            return outcome.suspension
        case AttemptState.LOST:
            # A loss without fault still counts as a crash, so that attempts minus crashes are the failures; but it
            # does not end the run.
            return NextAttempt(0, crashes + 1) if outcome.innocent else _settle_loss(message, crashes + 1)
    if outcome.poison:
        return _give_up(message, outcome)
    if outcome.final:
        timed_out = outcome.state is AttemptState.TIMED_OUT
        return FinalState(RunState.TIMED_OUT if timed_out else RunState.FAILED, "failed")
    failures = attempt + 1 - crashes - message.suspended
    delay = message.retry.delay_ms(failures, chance)
    if delay is None:
        return _give_up(message, outcome)
    # The handler's own delay replaces the policy's, but grants no retry beyond the policy's number.
    if outcome.retry_after_ms is not None:
        delay = outcome.retry_after_ms
    limit_s = message.retry.max_elapsed_s
    if limit_s is not None and elapsed_ms + delay > limit_s * 1000:
        return _give_up(message, outcome)
    return NextAttempt(delay, crashes)


def describe_settlement(settlement: Settlement) -> str:
    """Describe a settlement in words, for logs."""
    if isinstance(settlement, FinalState):
        return f"the run is {settlement.state}"
    if isinstance(settlement, Suspension):
        return f"the run is suspended: {settlement.reason}"
    delay_ms = settlement.delay_ms
    return f"it is tried again in {delay_ms / 1000:.1f} s" if delay_ms else "it is tried again at once"


def _give_up(message: Message, outcome: Outcome) -> FinalState:
    """Return the end of a run that is out of attempts: it names how the last one ended."""
    if outcome.state is AttemptState.TIMED_OUT:
        return FinalState(RunState.TIMED_OUT, "failed", spent=True)
    return FinalState(_dead_state(message), "failed", spent=True)


def _settle_loss(message: Message, crashes: int) -> Settlement:
    # Without a limit, a message that kills its worker would be taken over by worker after worker and kill them all.
    if crashes < message.max_crashes:
        return NextAttempt(0, crashes)
    return FinalState(_dead_state(message), "failed_stale", spent=True)


def _dead_state(message: Message) -> RunState:
    # `dead` means that there is a dead letter.
    return RunState.DEAD if message.dead_letters else RunState.FAILED
