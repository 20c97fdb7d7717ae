"""Fan-in: which runs wait for what one attempt has mapped, and which of them takes the place of the run that mapped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from jobistemer.core import ids
from jobistemer.core.jobs.job import FailureStrategy
from jobistemer.core.runs.message import GroupMember, Message, compose_message

ALL_MEMBERS = -1


class Waiter(NamedTuple):
    """A run that is created when the one that mapped has succeeded.

    mark: the field in which the commit leaves its message. members: how many runs it waits for; ALL_MEMBERS for
    those that were added to its group.
    """

    mark: str
    message: Message
    members: int = ALL_MEMBERS


def build_waiters(parent: Message, reducers: Sequence[Message]) -> tuple[Waiter, ...]:
    """What a run leaves: its one reducer in its own place; or one that waits for several reducers, and these."""
    if len(reducers) <= 1:
        return tuple(Waiter("reducer", each) for each in reducers)
    join = compose_message(
        *(ids.join_run_id(parent.run), ids.GATHER_NAME, reducers[0].enqueued_at),
        queue=parent.queue,
        priority=parent.priority,
        retention_ms=parent.retention_ms,
        metadata=parent.metadata,
        task_ref=parent.task_ref,
        member=parent.member,
        # Each reducer has its own strategy for its group; where one of them has failed, so has the whole.
        group_strategy=FailureStrategy.RETRY_ON_FAILURE.value,
    )
    where = f"{join.queue}:{join.priority}"
    waiting = [
        msgspec.structs.replace(each, task_ref=None, member=GroupMember(join.run, number, where))
        for number, each in enumerate(reducers)
    ]
    return (*(Waiter(f"reducer:{n}", each) for n, each in enumerate(waiting)), Waiter("reducer", join, len(reducers)))
