"""Extensions of a commit: calls that are executed with it as one atomic step, where a run asks for more than its end.

A commit is fenced; its extensions are not. So the commit leaves a mark in a record for each extension, and an extension
begins by removing its mark: after a commit that was refused, or sent a second time, it finds none and does nothing.
The road not taken is one script for all cases: plain runs, which are nearly all, would pay for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.options import complete_options
from jobistemer.core.planning.plan import build_completion_run
from jobistemer.core.reads.summaries import ENDED_ITSELF
from jobistemer.core.runs.dead_letter import build_letter_message
from jobistemer.core.runs.fan_in import build_waiters
from jobistemer.core.runs.message import WIRE_VERSION, Message, TaskRef, encode_message
from jobistemer.core.runs.settle import FinalState
from jobistemer.store.calls import groups, outcome_counts
from jobistemer.store.calls.durable.steps import expire_steps, wake_parent
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.calls.groups import UNFINISHED_KEEP_MS
from jobistemer.store.keys import Keys, place
from jobistemer.store.scripts import ScriptCall, script

MAX_REASON = 500
"""How many characters are kept of the reason with which a handler ends its job."""
MAX_EXPIRING = 100
"""Of a run with more attempts the latest so many expire with it; the others by themselves, seven days later."""


def mark_fields(ended: EndedAttempt, over: FinalState) -> list[Any]:
    """Return the fields that the commit writes into the run's record for its extensions."""
    message = ended.delivery.message
    fields: list[Any] = ["ends_schedule", 1] if _ends_schedule(ended) else []
    if ended.hands_over:
        waiters = build_waiters(message, ended.reducers)
        return [*fields, *(part for each in waiters for part in (each.mark, encode_message(each.message)))]
    fields += ["uncounted", 1] if message.member else []
    if _has_on_dead(message, over):
        letter = build_letter_message(message, ended.delivery.attempt, ended.outcome, ended.ended_at)
        fields += ["letter", encode_message(letter)]
    return fields


def extension_calls(
    keys: Keys, ended: EndedAttempt, over: FinalState, job: Job | None, retention_ms: int
) -> tuple[ScriptCall, ...]:
    """Build the extensions of a commit, in the order in which they are executed; none for a plain run."""
    message = ended.delivery.message
    calls = []
    if message.group_strategy:
        calls.append(groups.expire_group(keys, message.run, ended.ended_at, retention_ms))
    if message.wire == WIRE_VERSION or ended.delivery.attempt:
        calls.append(expire_steps(keys, [(message.run, find_expiring(ended.delivery.attempt))]))
    calls += _halt_groups(keys, ended, over)
    if _ends_schedule(ended) and message.task_ref is not None:
        calls.append(_end_schedule(keys, message, message.task_ref, ended))
    if ended.hands_over:
        waiters = build_waiters(message, ended.reducers)
        return (*calls, *(groups.seal_group(keys, message.run, each, ended.ended_at) for each in waiters))
    if message.member is not None:
        calls.append(groups.count_member(keys, message.run, message.member))
        if message.member.parent:
            calls.append(wake_parent(keys, message.member))
    if _has_on_dead(message, over):
        calls.append(_enqueue_on_dead(keys, message, ended.ended_at))
    if message.task_ref is not None and job is not None:
        calls += _task_extensions(keys, message.run, message.task_ref, job, ended.ended_at)
    return tuple(calls)


def _task_extensions(keys: Keys, run: str, slot: TaskRef, job: Job, now: int) -> Iterator[ScriptCall]:
    if outcome_counts.is_counted(job):
        yield outcome_counts.count_outcome(keys, job, slot, now)
    if has_followers(job):
        yield _end_occurrence(keys, run, slot, job, now)


def find_expiring(last: int) -> range:
    """Return the numbers of the attempts that expire with their run."""
    return range(max(0, last - MAX_EXPIRING + 1), last + 1)


def _halt_groups(keys: Keys, ended: EndedAttempt, over: FinalState) -> list[ScriptCall]:
    """Build a call for each group that no reducer will wait for: its children must not go on."""
    run = ended.delivery.message.run
    handed_over = {each.run for each in ended.reducers} if ended.hands_over else set()
    left = [group for group in groups.group_ids(run, ended.groups_made) if group not in handed_over]
    return [groups.halt_group(keys, group, f"run {run}, which has mapped them, ended {over.state}") for group in left]


def has_followers(job: Job) -> bool:
    """Return whether the end of one of the job's runs may concern another run of the same occurrence."""
    return len(job.tasks) > 1 or job.on_complete is not None


def _ends_schedule(ended: EndedAttempt) -> bool:
    return bool(ended.outcome.done) and ended.delivery.message.task_ref is not None


def _end_schedule(keys: Keys, message: Message, slot: TaskRef, ended: EndedAttempt) -> ScriptCall:
    why = ended.outcome.done[:MAX_REASON]
    return script("end_schedule")(
        (keys.run(message.run), keys.job(slot.job), keys.audit(slot.job)),
        (f"{ENDED_ITSELF}{message.handler}: {why}", ended.ended_at, message.handler, f"{why} ({message.run})"),
    )


def _has_on_dead(message: Message, over: FinalState) -> bool:
    return over.spent and bool(message.on_dead)


def _enqueue_on_dead(keys: Keys, message: Message, now: int) -> ScriptCall:
    where = place(message.queue, message.priority)
    return script("enqueue_on_dead")(
        (keys.run(message.run), keys.run(ids.letter_run_id(message.run)), keys.stream(where), keys.streams),
        (message.on_dead, where, now),
    )


def _end_occurrence(keys: Keys, run: str, slot: TaskRef, job: Job, now: int) -> ScriptCall:
    tasks = [ids.run_id(slot.occurrence, ids.task_id(job.id, task.name)) for task in job.tasks]
    handler, where, encoded = "", "", b""
    if job.on_complete is not None:
        options = complete_options(job.on_complete.options)
        handler, where = job.on_complete.handler, place(options.queue, options.priority)
        encoded = encode_message(build_completion_run(job, job.on_complete, slot.occurrence, now))
    return script("end_occurrence")(
        (
            keys.occurrence(slot.occurrence),
            keys.run(run),
            keys.run(ids.completion_run_id(slot.occurrence)),
            keys.stream(where),
            keys.streams,
            *(keys.run(each) for task in tasks for each in (task, ids.reducer_run_id(task))),
        ),
        (round(job.history_s * 1000), handler, where, encoded, now, UNFINISHED_KEEP_MS),
    )
