"""One attempt that has ended, with everything that the scripts record of it."""

from __future__ import annotations

from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.runs.message import Delivery, Message
from jobistemer.core.runs.settle import FinalState, Outcome, Settlement
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.database import Database


class EndedAttempt(NamedTuple):
    """One attempt that has ended, or a run that ends before its first attempt.

    ending: what becomes of the run: its terminal state, or its next attempt. source: the place that the run is taken
    from: attempt (an entry in flight), fetched (one whose attempt has not begun), stream (an entry that no worker has
    fetched), waiting (a task whose predecessors go on), or delayed, which is the waiting list of `limit` when that is
    not empty. reducers: of an attempt that has mapped, the run that waits for each group of children. groups_made: how
    many groups the run has begun to make, in this attempt and in earlier ones. raw: the bytes of a message that cannot
    be read, which its dead letter keeps. started_at: 0 when it is not known here.
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
    raw: bytes = b""

    @property
    def crashes(self) -> int:
        """The lost attempts of the run so far, with this one."""
        return self.delivery.crashes + (self.outcome.state is AttemptState.LOST)

    @property
    def hands_over(self) -> bool:
        """Return whether the reducers of its children take the run's place, in an occurrence or in a group."""
        ending = self.ending
        return bool(self.reducers) and isinstance(ending, FinalState) and ending.state is RunState.SUCCEEDED


def read_elapsed_ms(database: Database, delivery: Delivery, outcome: Outcome, started_at: int, ended_at: int) -> int:
    """Return how long ago the first attempt of a run began, in milliseconds; 0 when nothing depends on it.

    It decides about the next attempt only after a failure, and only where the retry policy ends after a time. Where the
    record of the first attempt has expired, the time since the run was enqueued counts. Raises NotConnected or
    ServerRefused.
    """
    failed = outcome.state in (AttemptState.FAILED, AttemptState.TIMED_OUT)
    if not failed or delivery.message.retry.max_elapsed_s is None:
        return 0
    if not delivery.attempt:
        return ended_at - started_at
    first = database.keys.attempt(ids.attempt_id(delivery.message.run, 0))
    # The record of an attempt whose worker died has no start, only the time at which another worker took it over.
    started, over = (int(each or 0) for each in database.ask("HMGET", first, "started_at", "ended_at"))
    return ended_at - (started or over or delivery.message.enqueue_ms)
