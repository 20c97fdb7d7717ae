"""What the outcome of an attempt means for its run.

`settle` is a function from (message, attempt, crashes, outcome, chance, elapsed) to one of three endings:
the run is over, it waits and comes back, or it comes back at once.
"""

from __future__ import annotations

import msgspec

from jobistemer.core.runs.message import Message
from jobistemer.core.states import AttemptState, RunState


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one attempt ended, as its worker (or whoever found it lost) saw it.

    state: the attempt's terminal state. result: JSON of what the handler returned. error: text for people.
    retry_after_ms: what the handler asked for by `Retry(after=…)`. final: the handler asked for no retry. poison:
    another attempt would find the same. innocent: a lost attempt that is known to be another one's fault.
    """

    state: AttemptState
    result: bytes = b""
    error: str = ""
    retry_after_ms: int | None = None
    final: bool = False
    poison: bool = False
    innocent: bool = False


class FinalState(msgspec.Struct, frozen=True):
    """The run is terminal."""

    state: RunState
    verdict: str


class NextAttempt(msgspec.Struct, frozen=True):
    """The run waits `delay_ms` for its next attempt; 0 sends it back to its stream at once."""

    delay_ms: int
    crashes: int


Settlement = FinalState | NextAttempt

SUCCEEDED = FinalState(RunState.SUCCEEDED, "")
CANCELED = FinalState(RunState.CANCELED, "canceled")


def settle(
    message: Message, attempt: int, crashes: int, outcome: Outcome, chance: float, elapsed_ms: int = 0
) -> Settlement:
    """Decide what becomes of a run whose attempt number `attempt` ended in `outcome`.

    `crashes` counts the lost attempts before this one: they have a limit of their own and use up no retries.
    `elapsed_ms` is how long ago the first attempt began; only policies with a limit to that need it.
    """
    match outcome.state:
        case AttemptState.SUCCEEDED:
            return SUCCEEDED
        case AttemptState.CANCELED:
            return CANCELED
        case AttemptState.LOST:
            return NextAttempt(0, crashes + 1) if outcome.innocent else _settle_loss(crashes + 1, message.max_crashes)
    if outcome.poison:
        return FinalState(RunState.DEAD, "failed")
    if outcome.final:
        return FinalState(RunState.FAILED, "failed")
    failures = attempt + 1 - crashes
    delay = message.retry.delay_ms(failures, chance)
    if delay is None:
        return FinalState(RunState.DEAD, "failed")
    if outcome.retry_after_ms is not None:
        delay = outcome.retry_after_ms
    limit_s = message.retry.max_elapsed_s
    if limit_s is not None and elapsed_ms + delay > limit_s * 1000:
        return FinalState(RunState.DEAD, "failed")
    return NextAttempt(delay, crashes)


def describe_settlement(ending: Settlement) -> str:
    """What becomes of the run, for logs."""
    if isinstance(ending, FinalState):
        return f"the run is {ending.state}"
    return f"it is tried again in {ending.delay_ms / 1000:.1f} s" if ending.delay_ms else "it is tried again at once"


def _settle_loss(crashes: int, limit: int) -> Settlement:
    # A message that kills its worker again and again must not wander through the whole fleet.
    return FinalState(RunState.DEAD, "failed_stale") if crashes >= limit else NextAttempt(0, crashes)
