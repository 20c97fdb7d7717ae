"""The end of an attempt that has steps: what its handler returned or raised is held against what is on record."""

from __future__ import annotations

from functools import partial

from jobistemer.core.errors import InvalidStep
from jobistemer.core.handlers.durable import Steps
from jobistemer.core.handlers.step_journal import StepJournal
from jobistemer.core.runs.message import WIRE_VERSION
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.calls.durable import steps
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.execute.server_wait import wait_for_server, wait_for_server_async

MAX_SNOOZES = 1_000
"""How often a run may put itself off by Snooze."""


def finish_steps(attempt: Attempt, outcome: Outcome) -> Outcome:
    """Return the outcome of an attempt, with what its steps say about it."""
    journal = _find_journal(attempt)
    if attempt.delivery.message.undoing is not None:
        return undo_steps(attempt.tools.used_steps if attempt.tools is not None else None)
    if _must_load(attempt, journal, outcome):
        # While the server is away it waits on: the handler has succeeded, and would be called once more.
        journal = wait_for_server(partial(load_journal, attempt))
    return limit_snoozes(attempt, outcome if journal is None else judge_steps(journal, outcome))


async def finish_steps_async(attempt: Attempt, outcome: Outcome) -> Outcome:
    """Return the same, without blocking the event loop where the server has to be asked."""
    journal = _find_journal(attempt)
    if attempt.delivery.message.undoing is not None:
        return await _undo_steps_async(attempt.tools.used_steps if attempt.tools is not None else None)
    if _must_load(attempt, journal, outcome):
        journal = await wait_for_server_async(partial(load_journal, attempt))
    return limit_snoozes(attempt, outcome if journal is None else judge_steps(journal, outcome))


def undo_steps(used: Steps | None) -> Outcome:
    """Undo the steps that the handler of an ended run has asked for again, and return the outcome of that."""
    try:
        if used is not None:
            used.run(used.flows.undo_all())
    except BaseException as error:  # noqa: BLE001 - an undo function is user code and may raise anything
        return _fail_undo(error)
    return Outcome(AttemptState.SUCCEEDED)


async def _undo_steps_async(used: Steps | None) -> Outcome:
    try:
        if used is not None:
            await used.run_async(used.flows.undo_all())
    except BaseException as error:  # noqa: BLE001 - an undo function is user code and may raise anything
        return _fail_undo(error)
    return Outcome(AttemptState.SUCCEEDED)


def _fail_undo(error: BaseException) -> Outcome:
    notes = "; ".join(getattr(error, "__notes__", ()))
    return Outcome(AttemptState.FAILED, error=f"{type(error).__name__}: {error!s:.500}; {notes}")


def judge_steps(journal: StepJournal, outcome: Outcome) -> Outcome:
    """Return the outcome of a handler, or a failure when it does not fit the steps that are on record."""
    if journal.fault is not None:
        return _refuse(str(journal.fault))
    if outcome.state is not AttemptState.SUCCEEDED:
        return outcome
    if journal.suspension is not None:
        return _refuse(
            f"the run was suspended ({journal.suspension.reason}), and its handler went on and returned: "
            "it must not swallow BaseException, nor return in `finally`"
        )
    difference = journal.describe_difference() if journal.is_loaded else ""
    return _refuse(difference) if difference else outcome


def limit_snoozes(attempt: Attempt, outcome: Outcome) -> Outcome:
    """Return the outcome, or a failure when the run has put itself off too often."""
    suspension = outcome.suspension
    if suspension is None or not suspension.is_snooze or attempt.delivery.message.snoozes < MAX_SNOOZES:
        return outcome
    return _refuse(f"it has put itself off {MAX_SNOOZES} times, which is the most: {suspension.reason}")


def load_journal(attempt: Attempt) -> StepJournal:
    """Return what is on record of a run whose handler has asked for no step. Raises NotConnected or ServerRefused."""
    journal = StepJournal(attempt.delivery.attempt)
    try:
        known = attempt.records
        journal.load(steps.read_steps(attempt.database, attempt.delivery.message.run) if known is None else known)
    except InvalidStep as error:
        journal.fault = error
    return journal


def _find_journal(attempt: Attempt) -> StepJournal | None:
    used = attempt.tools.used_steps if attempt.tools is not None else None
    return used.flows.journal if used is not None else None


def _must_load(attempt: Attempt, journal: StepJournal | None, outcome: Outcome) -> bool:
    is_known = journal is not None and journal.is_loaded
    return outcome.state is AttemptState.SUCCEEDED and not is_known and attempt.delivery.message.wire == WIRE_VERSION


def _refuse(error: str) -> Outcome:
    return Outcome(AttemptState.FAILED, error=error, poison=True)
