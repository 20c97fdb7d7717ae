"""What is executed with the commit that ends a run, as one atomic step, where the run asks for more than its own end.

A commit is fenced; its companions are not. So each is told what to do by a mark that the commit writes into a record,
and begins by taking the mark away: after a commit that was refused, or sent a second time, it finds none. That keeps
the scripts of plain runs free of everything that plain runs do not use.
"""

from __future__ import annotations

from typing import Any

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.options import complete_options
from jobistemer.core.planning.plan import build_completion_run
from jobistemer.core.runs.dead_letter import build_letter_message
from jobistemer.core.runs.fan_in import build_waiters
from jobistemer.core.runs.message import Message, encode_message
from jobistemer.core.runs.settle import FinalState
from jobistemer.core.states import RunState
from jobistemer.store.calls import groups, outcome_counts
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.calls.groups import UNFINISHED_KEEP_MS
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import Call, script


def mark_fields(ended: EndedAttempt, over: FinalState) -> list[Any]:
    """Fields that the commit leaves in the run's record for its companions."""
    message = ended.delivery.message
    if ended.hands_over:
        heirs = build_waiters(message, ended.reducers)
        return [part for heir in heirs for part in (heir.mark, encode_message(heir.message))]
    fields: list[Any] = ["uncounted", 1] if message.member else []
    if _has_on_dead(message, over):
        letter = build_letter_message(message, ended.delivery.attempt, ended.outcome, ended.ended_at)
        fields += ["letter", encode_message(letter)]
    return fields


def extension_calls(
    keys: Keys, ended: EndedAttempt, over: FinalState, job: Job | None, retention_ms: int
) -> tuple[Call, ...]:
    """The calls that belong to the commit; none for a plain run."""
    message = ended.delivery.message
    calls = []
    if message.reduces:
        calls.append(groups.expire_group(keys, message.run, ended.ended_at, retention_ms))
    calls += _halt_groups(keys, ended, over)
    if ended.hands_over:
        seals = (
            groups.seal_group(keys, message.run, heir, ended.ended_at)
            for heir in build_waiters(message, ended.reducers)
        )
        return (*calls, *seals)
    if message.member is not None:
        calls.append(groups.count_member(keys, message.run, message.member))
    if _has_on_dead(message, over):
        calls.append(_enqueue_on_dead(keys, message, ended.ended_at))
    if message.slot is not None and job is not None and outcome_counts.is_counted(job):
        calls.append(outcome_counts.count_outcome(keys, job, message.slot, ended.ended_at))
    if message.slot is not None and job is not None and has_followers(job):
        calls.append(_end_occurrence(keys, message, job, ended.ended_at))
    return tuple(calls)


def _halt_groups(keys: Keys, ended: EndedAttempt, over: FinalState) -> list[Call]:
    """For each group that nothing will wait for any more."""
    run = ended.delivery.message.run
    handed_over = {each.run for each in ended.reducers} if ended.hands_over else set()
    left = [group for group in groups.group_ids(run, ended.groups_made) if group not in handed_over]
    return [groups.halt_group(keys, group, f"run {run}, which has mapped them, ended {over.state}") for group in left]


def has_followers(job: Job) -> bool:
    """Whether the end of one of the job's runs may concern another run of the same occurrence."""
    return len(job.tasks) > 1 or job.on_complete is not None


def _has_on_dead(message: Message, over: FinalState) -> bool:
    return over.state is RunState.DEAD and bool(message.on_dead)


def _enqueue_on_dead(keys: Keys, message: Message, now: int) -> Call:
    where = place(message.queue, message.priority)
    return script("enqueue_on_dead")(
        (keys.run(message.run), keys.run(ids.letter_run_id(message.run)), keys.stream(where), keys.streams),
        (message.on_dead, where, now),
    )


def _end_occurrence(keys: Keys, message: Message, job: Job, now: int) -> Call:
    slot = message.slot
    assert slot is not None  # noqa: S101 - the caller has looked
    tasks = [ids.run_id(slot.occurrence, ids.task_id(job.id, task.name)) for task in job.tasks]
    handler, where, encoded = "", "", b""
    if job.on_complete is not None:
        options = complete_options(job.on_complete.options)
        handler, where = job.on_complete.handler, place(options.queue, options.priority)
        encoded = encode_message(build_completion_run(job, job.on_complete, slot.occurrence, now))
    return script("end_occurrence")(
        (
            *(keys.occurrence(slot.occurrence), keys.run(message.run)),
            *(keys.run(ids.completion_run_id(slot.occurrence)), keys.stream(where), keys.streams),
            *(keys.run(each) for task in tasks for each in (task, ids.reducer_run_id(task))),
        ),
        (round(job.history_s * 1000), handler, where, encoded, now, UNFINISHED_KEEP_MS),
    )
