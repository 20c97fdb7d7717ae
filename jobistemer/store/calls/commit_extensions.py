"""What is executed with the commit that ends a run, as one atomic step, where the run asks for more than its own end.

A commit is fenced; its companions are not. So each is told what to do by a mark that the commit writes into a record,
and begins by taking the mark away: after a commit that was refused, or sent a second time, it finds none. That keeps
the scripts of plain runs free of everything that plain runs do not use.
"""

from __future__ import annotations

from typing import Any

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.options import complete
from jobistemer.core.planning.plan import completion_of
from jobistemer.core.runs.dead_letter import letter_message
from jobistemer.core.runs.fan_in import heirs_of
from jobistemer.core.runs.message import Message, encode_message
from jobistemer.core.runs.settle import Over
from jobistemer.core.states import RunState
from jobistemer.store.calls import groups, outcome_counts
from jobistemer.store.calls.ended_attempt import Ended
from jobistemer.store.calls.groups import HOLD_MS
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import Call, script


def marks(ended: Ended, over: Over) -> list[Any]:
    """Fields that the commit leaves in the run's record for its companions."""
    message = ended.delivery.message
    if ended.hands_over(over):
        heirs = heirs_of(message, ended.reducers)
        return [part for heir in heirs for part in (heir.mark, encode_message(heir.message))]
    fields: list[Any] = ["uncounted", 1] if message.member else []
    if _is_mourned(message, over):
        letter = letter_message(message, ended.delivery.attempt, ended.outcome, ended.ended_at)
        fields += ["letter", encode_message(letter)]
    return fields


def companions(keys: Keys, ended: Ended, over: Over, job: Job | None, retention_ms: int) -> tuple[Call, ...]:
    """The calls that belong to the commit; none for a plain run."""
    message = ended.delivery.message
    calls = []
    if message.reduces:
        calls.append(groups.close(keys, message.run, ended.ended_at, retention_ms))
    calls += _halts(keys, ended, over)
    if ended.hands_over(over):
        seals = (groups.seal(keys, message.run, heir, ended.ended_at) for heir in heirs_of(message, ended.reducers))
        return (*calls, *seals)
    if message.member is not None:
        calls.append(groups.count(keys, message.run, message.member))
    if _is_mourned(message, over):
        calls.append(_send_letter(keys, message, ended.ended_at))
    if message.slot is not None and job is not None and outcome_counts.matters(job):
        calls.append(outcome_counts.count(keys, job, message.slot, ended.ended_at))
    if message.slot is not None and job is not None and goes_on(job):
        calls.append(_end_occurrence(keys, message, job, ended.ended_at))
    return tuple(calls)


def _halts(keys: Keys, ended: Ended, over: Over) -> list[Call]:
    """For each group that nothing will wait for any more."""
    run = ended.delivery.message.run
    handed_over = {each.run for each in ended.reducers} if ended.hands_over(over) else set()
    left = [group for group in groups.made_by(run, ended.mapped) if group not in handed_over]
    return [groups.halt(keys, group, f"run {run}, which has mapped them, ended {over.state}") for group in left]


def goes_on(job: Job) -> bool:
    """Whether the end of one of the job's runs may concern another run of the same occurrence."""
    return len(job.tasks) > 1 or job.on_complete is not None


def _is_mourned(message: Message, over: Over) -> bool:
    return over.state is RunState.DEAD and bool(message.on_dead)


def _send_letter(keys: Keys, message: Message, now: int) -> Call:
    where = place(message.queue, message.priority)
    return script("send_letter")(
        (keys.run(message.run), keys.run(ids.letter_run_id(message.run)), keys.stream(where), keys.streams),
        (message.on_dead, where, now),
    )


def _end_occurrence(keys: Keys, message: Message, job: Job, now: int) -> Call:
    slot = message.slot
    assert slot is not None  # noqa: S101 - the caller has looked
    tasks = [ids.run_id(slot.occurrence, ids.task_id(job.id, task.name)) for task in job.tasks]
    handler, where, encoded = "", "", b""
    if job.on_complete is not None:
        options = complete(job.on_complete.options)
        handler, where = job.on_complete.handler, place(options.queue, options.priority)
        encoded = encode_message(completion_of(job, job.on_complete, slot.occurrence, now))
    return script("end_occurrence")(
        (
            *(keys.occurrence(slot.occurrence), keys.run(message.run)),
            *(keys.run(ids.completion_run_id(slot.occurrence)), keys.stream(where), keys.streams),
            *(keys.run(each) for task in tasks for each in (task, ids.reducer_run_id(task))),
        ),
        (round(job.history_s * 1000), handler, where, encoded, now, HOLD_MS),
    )
