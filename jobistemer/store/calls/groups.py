"""Groups: the children that one run maps its items to, counted until the last of them releases the reducer.

A child is counted by the commit that ends it, once: a commit that is sent twice, or by a worker whose lease is over,
must not count it again, or the reducer would start while children go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.fan_in import Waiter
from jobistemer.core.runs.message import Delivery, GroupMember, Message, encode_message
from jobistemer.core.states import WAITING_RUNS
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import ScriptCall, script

BATCH = 100
"""How many children one call adds: one script must not keep the server busy for long."""
_IN_DELAYED_SET = {state.value.encode() for state in WAITING_RUNS}
UNFINISHED_KEEP_MS = 30 * 86_400_000
"""How long a group is kept without an event, in ms. The end of each of its runs starts this time anew."""


class GroupState(NamedTuple):
    """The progress of a group; total is None until the run that maps has succeeded."""

    added: int
    done: int
    failed: int
    total: int | None
    halted: bool
    error: str


def add_children(
    keys: Keys, parent: Delivery, failure: str, first: int, children: Sequence[Message], number: int = 0
) -> ScriptCall:
    """Build the call that adds up to a hundred children, all of one handler and one place.

    first: the index of the first child in its group. number: the number of the group among those of the parent.
    """
    one, group = children[0], ids.reducer_run_id(parent.message.run, number)
    where = place(one.queue, one.priority)
    return script("add_children")(
        (
            keys.run(parent.message.run),
            keys.group(group),
            keys.stream(where),
            keys.streams,
            *(keys.run(child.run) for child in children),
        ),
        (
            parent.entry,
            first,
            failure,
            group,
            one.handler,
            where,
            one.enqueue_ms,
            UNFINISHED_KEEP_MS,
            number + 1,
            *(encode_message(child) for child in children),
        ),
    )


def seal_group(keys: Keys, parent: str, waiter: Waiter, now: int) -> ScriptCall:
    """Build the call that lets a reducer wait for its group; an extension of the commit of the run that has mapped."""
    reducer = waiter.message
    where, occurrence = place(reducer.queue, reducer.priority), reducer.task_ref.occurrence if reducer.task_ref else ""
    return script("seal_group")(
        (keys.run(parent), keys.group(reducer.run), keys.run(reducer.run), keys.stream(where), keys.streams),
        (reducer.handler, where, occurrence, now, UNFINISHED_KEEP_MS, waiter.mark, waiter.members),
    )


def count_member(keys: Keys, run: str, member: GroupMember) -> ScriptCall:
    """Build the call that counts the end of a run in its group; an extension of its commit."""
    return script("count_member")(
        (
            keys.run(run),
            keys.group(member.group),
            keys.results(member.group),
            # A group has the id of its reducer's run.
            keys.run(member.group),
            keys.stream(member.place),
            keys.streams,
        ),
        (member.index, member.place, UNFINISHED_KEEP_MS),
    )


def expire_group(keys: Keys, reducer: str, ended_at: int, retention_ms: int) -> ScriptCall:
    """Build the call that lets the results of a group expire with its reducer; an extension of the reducer's commit."""
    return script("expire_group")(
        (keys.run(reducer), keys.group(reducer), keys.results(reducer)), (ended_at, retention_ms)
    )


def halt_group(keys: Keys, group: str, reason: str) -> ScriptCall:
    """Build the call that marks a group, so that its runs which have not ended are cancelled."""
    return script("halt_group")((keys.group(group),), (reason,))


def state_command(keys: Keys, group: str) -> Command:
    """Return the command whose answer `read_state` decodes."""
    return ("HMGET", keys.group(group), "added", "done", "failed", "total", "halt", "error")


def read_state(answer: list[bytes | None]) -> GroupState | None:
    """Decode the answer to `state_command`; None when the group does not exist (any more)."""
    added, done, failed, total, halt, error = answer
    if added is None and total is None:
        return None
    known = None if total is None else int(total)
    reason = (error or b"").decode(errors="replace")
    return GroupState(int(added or 0), int(done or 0), int(failed or 0), known, halt is not None, reason)


def find_group(database: Database, group: str) -> GroupState | None:
    """Return the progress of a group; None when it does not exist (any more)."""
    return read_state(database.ask(*state_command(database.keys, group)))


def read_results(database: Database, group: str, first: int, count: int) -> list[bytes | None]:
    """Return the results of a group from index `first` on, as they are stored: JSON, or `!` and an error."""
    found: list[bytes | None] = database.ask("HMGET", database.keys.results(group), *range(first, first + count))
    return found


def find_halted(database: Database, members: Sequence[Message]) -> dict[str, str]:
    """Return the runs among these whose group is halted, each with the reason."""
    group_of = {message.run: message.member.group for message in members if message.member}
    wanted = sorted(set(group_of.values()))
    commands = [("HMGET", database.keys.group(each), "halt", "error") for each in wanted]
    answers = database.ask_all(commands) if wanted else []
    halted = {
        group: (why or b"its group is halted").decode(errors="replace").partition("\n")[0]
        for group, (mark, why) in zip(wanted, answers, strict=True)
        if mark
    }
    return {run: halted[group] for run, group in group_of.items() if group in halted}


def list_delayed_children(database: Database, group: str, added: int) -> list[str]:
    """Return the runs of a group that are in the delayed set; five hundred are looked at in one round trip."""
    found = []
    for start in range(0, added, 500):
        children = [ids.child_run_id(group, index) for index in range(start, min(start + 500, added))]
        answers = database.ask_all([("HGET", database.keys.run(child), "state") for child in children])
        found += [child for child, state in zip(children, answers, strict=True) if state in _IN_DELAYED_SET]
    return found


def group_ids(parent: str, count: int) -> list[str]:
    """Return the ids of the groups of a run that has made `count` of them."""
    return [ids.reducer_run_id(parent, number) for number in range(count)]


def count_groups(database: Database, parents: Sequence[str]) -> list[int]:
    """Return how many groups each of some runs has made in all of its attempts."""
    return [int(each or 0) for each in database.ask_all([("HGET", database.keys.run(run), "maps") for run in parents])]


def find_successor(database: Database, parent: str) -> str:
    """Return the group whose reducer takes, or has taken, the place of a run that has mapped."""
    join = ids.join_run_id(parent)
    return join if database.ask("EXISTS", database.keys.group(join)) else ids.reducer_run_id(parent)


def expire_groups(database: Database, occurrence: str, job: Job) -> None:
    """Let the groups of an ended occurrence expire with it: the groups that its tasks have made."""
    tasks = [ids.run_id(occurrence, ids.task_id(job.id, task.name)) for task in job.tasks]
    joins = [ids.join_run_id(task) for task in tasks]
    found = [*(ids.reducer_run_id(task) for task in tasks), *joins]
    kept_ms = round(job.history_s * 1000)
    keys = [key for group in found for key in (database.keys.group(group), database.keys.results(group))]
    keys += [database.keys.run(join) for join in joins]
    database.ask_all([("PEXPIRE", key, kept_ms) for key in keys])
