"""How long a run has been tried, for retry policies that end after a time."""

from __future__ import annotations

from jobistemer.core import ids
from jobistemer.core.states import AttemptState
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database


def needs_elapsed(ended: EndedAttempt) -> bool:
    """Whether what becomes of the run depends on how long ago its first attempt began."""
    failed = ended.outcome.state in (AttemptState.FAILED, AttemptState.TIMED_OUT)
    return failed and ended.delivery.message.retry.max_elapsed_s is not None


def read_elapsed_ms(database: Database, ended: EndedAttempt) -> int:
    """How long ago the first attempt began; where no record is left, how long ago the run was enqueued."""
    delivery = ended.delivery
    if not delivery.attempt:
        return ended.ended_at - ended.started_at
    first = database.keys.attempt(ids.attempt_id(delivery.message.run, 0))
    # Of an attempt whose worker died it is not known when it began, but when it was found to have ended.
    started, over = (int(each or 0) for each in database.ask("HMGET", first, "started_at", "ended_at"))
    return ended.ended_at - (started or over or delivery.message.enqueued_at)
