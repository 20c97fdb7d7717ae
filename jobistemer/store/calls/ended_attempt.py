"""The end of one attempt, as every script that records it needs it."""

from __future__ import annotations

from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.runs.message import Delivery, Message
from jobistemer.core.runs.settle import FinalState, Outcome, Settlement
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.database import Database


class EndedAttempt(NamedTuple):
    """An attempt that has ended: its outcome, what becomes of its run, and everything else that is recorded of it.

    ending: the terminal state of the run, or its next attempt. source: the place that the run is taken from: attempt
    (in flight), stream (waiting on it, fetched by no worker), or delayed; there the run waits for the limit in `limit`
    when that is not empty, else for its time. reducers: of an attempt that has mapped, the run that waits for each
    group of children. groups_made: how many groups the run has begun to make, in this attempt or in those before.
    """

    delivery: Delivery
    outcome: Outcome
    ending: Settlement
    worker: str
    started_at: int
    ended_at: int
    source: str = "attempt"
    reducers: tuple[Message, ...] = ()
    limit: str = ""
    groups_made: int = 0

    @property
    def hands_over(self) -> bool:
        """Whether the run leaves its place, in an occurrence or in a group, to the reducers of its children."""
        ending = self.ending
        return bool(self.reducers) and isinstance(ending, FinalState) and ending.state is RunState.SUCCEEDED


def read_elapsed_ms(database: Database, delivery: Delivery, outcome: Outcome, started_at: int, ended_at: int) -> int:
    """Return how long ago the first attempt of a run began, in milliseconds; 0 when nothing depends on it.

    It decides about the next attempt only after a failure, and only where the retry policy ends after a time. Where the
    first attempt has left no record, it counts from when the run was enqueued.
    """
    failed = outcome.state in (AttemptState.FAILED, AttemptState.TIMED_OUT)
    if not failed or delivery.message.retry.max_elapsed_s is None:
        return 0
    if not delivery.attempt:
        return ended_at - started_at
    first = database.keys.attempt(ids.attempt_id(delivery.message.run, 0))
    # Of an attempt whose worker died only the time at which it was found to have ended is known.
    started, over = (int(each or 0) for each in database.ask("HMGET", first, "started_at", "ended_at"))
    return ended_at - (started or over or delivery.message.enqueued_at)
