"""Words for stories of runs that map: a parent adds children, hands over to a reducer, children end."""

from __future__ import annotations

from typing import Any

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.message import Delivery, GroupMember, Message
from jobistemer.store.calls import groups, run_ends
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, message


def group_of(parent: str = "run_1") -> str:
    return ids.reducer_run_id(parent)


def child_id(index: int, parent: str = "run_1") -> str:
    return ids.child_run_id(group_of(parent), index)


def child(index: int, parent: str = "run_1", **changes: Any) -> Message:
    return message(child_id(index, parent), handler="square", member=GroupMember(group_of(parent), index), **changes)


def reducer(parent: str = "run_1", failure: str = "fail_fast", **changes: Any) -> Message:
    return message(group_of(parent), handler="total", group_strategy=failure, **changes)


def add_children(
    database: Database, parent: Delivery, indices: range, failure: str = "fail_fast", **changes: Any
) -> Reply:
    """The parent adds children; indices of the items."""
    children = [child(index, parent.message.run, **changes) for index in indices]
    return database.call(groups.add_children(database.keys, parent, failure, indices.start, children))


def hand_over(database: Database, parent: Delivery, failure: str = "fail_fast", **changes: Any) -> Reply:
    """The parent succeeds; gives what was answered, with what sealing the group answered."""
    over = build_ended(parent)._replace(reducers=(reducer(parent.message.run, failure, **changes),), groups_made=1)
    job: Job | None = None
    return database.call(run_ends.record_end(database.keys, over, job))
