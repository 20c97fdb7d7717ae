"""Fan-in: the runs that wait for what one attempt has mapped, and which of them takes the place of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from jobistemer.core import ids
from jobistemer.core.jobs.job import FailureStrategy
from jobistemer.core.runs.message import GroupMember, Message, compose_message

ALL_MEMBERS = -1


class Waiter(NamedTuple):
    """A run that is created when the run that mapped has succeeded.

    mark: the field in which the commit leaves its message. members: how many runs it waits for; ALL_MEMBERS for all
    runs that were added to its group.
    """

    mark: str
    message: Message
    members: int = ALL_MEMBERS


def build_waiters(parent: Message, reducers: Sequence[Message]) -> tuple[Waiter, ...]:
    """Build the runs that a run leaves behind when it has succeeded.

    One reducer takes the place of the run itself. Several reducers become members of a join run, which takes that place
    and waits for them.
    """
    if len(reducers) <= 1:
        return tuple(Waiter("reducer", each) for each in reducers)
    join = compose_message(
        ids.join_run_id(parent.run),
        ids.GATHER_NAME,
        reducers[0].enqueue_ms,
        queue=parent.queue,
        priority=parent.priority,
        retention_ms=parent.retention_ms,
        metadata=parent.metadata,
        task_ref=parent.task_ref,
        member=parent.member,
        # Each reducer applies the strategy of its own group. A reducer that failed is a failure of the whole, whatever
        # the groups allow, but the others run to their end: their work is independent.
        group_strategy=FailureStrategy.RETRY_ON_FAILURE.value,
    )
    place = f"{join.queue}:{join.priority}"
    waiting = [
        msgspec.structs.replace(each, task_ref=None, member=GroupMember(join.run, number, place))
        for number, each in enumerate(reducers)
    ]
    return (*(Waiter(f"reducer:{n}", each) for n, each in enumerate(waiting)), Waiter("reducer", join, len(reducers)))
