"""One attempt that is over, as every script that records it is told."""

from __future__ import annotations

from typing import NamedTuple

from jobistemer.core.runs.message import Delivery, Message
from jobistemer.core.runs.settle import FinalState, Outcome
from jobistemer.core.states import RunState


class EndedAttempt(NamedTuple):
    """One attempt that is over, with everything that is recorded of it.

    source: where the run is taken from: attempt (in flight), stream (on it, not taken by anybody), or delayed; there
    it waits for the limit in `limit` when that is not empty, else for its time.
    """

    delivery: Delivery
    outcome: Outcome
    worker: str
    started_at: int
    ended_at: int
    source: str = "attempt"
    reducers: tuple[Message, ...] = ()
    """Of an attempt that has mapped: what waits for each group of children."""
    limit: str = ""
    mapped: int = 0
    """How many groups the run has begun to make, in this attempt or in those before."""

    def hands_over(self, over: FinalState) -> bool:
        """Whether the run leaves its place, in an occurrence or in a group, to the reducers of its children."""
        return bool(self.reducers) and over.state is RunState.SUCCEEDED
