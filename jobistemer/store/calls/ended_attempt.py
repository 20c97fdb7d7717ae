"""One attempt that has ended, with everything that the scripts record of it."""

from __future__ import annotations

from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.runs.message import Delivery, Message
from jobistemer.core.runs.settle import FinalState, Outcome
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.database import Database


class EndedAttempt(NamedTuple):
    """One attempt that has ended, or a run that ends before its first attempt.

    source: the place that the run is taken from: attempt (an entry in flight), stream (an entry that no worker has
    fetched), waiting (a task whose predecessors go on), or delayed, which is the waiting list of `limit` when that is
    not empty. reducers: of an attempt that has mapped, the run that waits for each group of children. mapped: how many
    groups the run has begun to make, in this attempt and in earlier ones.
    """

    delivery: Delivery
    outcome: Outcome
    worker: str
    started_at: int
    ended_at: int
    source: str = "attempt"
    reducers: tuple[Message, ...] = ()
    limit: str = ""
    mapped: int = 0

    def hands_over(self, over: FinalState) -> bool:
        """Return whether the reducers of its children take the run's place, in an occurrence or in a group."""
        return bool(self.reducers) and over.state is RunState.SUCCEEDED


def needs_elapsed(ended: EndedAttempt) -> bool:
    """Return whether the run's next state depends on the time since its first attempt: its retries end after a time."""
    failed = ended.outcome.state in (AttemptState.FAILED, AttemptState.TIMED_OUT)
    return failed and ended.delivery.message.retry.max_elapsed_s is not None


def read_elapsed_ms(database: Database, ended: EndedAttempt) -> int:
    """Read how many milliseconds ago the first attempt began.

    Where its record has expired, the time since the run was enqueued counts. Raises NotConnected or ServerRefused.
    """
    delivery = ended.delivery
    if not delivery.attempt:
        return ended.ended_at - ended.started_at
    first = database.keys.attempt(ids.attempt_id(delivery.message.run, 0))
    # The record of an attempt whose worker died has no start, only the time at which another worker took it over.
    started, over = (int(each or 0) for each in database.ask("HMGET", first, "started_at", "ended_at"))
    return ended.ended_at - (started or over or delivery.message.enqueued_at)
