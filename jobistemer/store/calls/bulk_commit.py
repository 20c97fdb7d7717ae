"""Bulk commits: successes that change little besides themselves, a hundred of them in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobistemer.core import ids
from jobistemer.core.runs.message import TaskRef
from jobistemer.core.states import AttemptState
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import ScriptCall, script

MAX_RUNS_PER_CALL = 100
"""How many runs one call ends."""
MAX_RESULT_BYTES = 16_384
"""A run with a larger result is committed by itself, so that no call keeps the server busy for long."""


def is_plain_success(ended: EndedAttempt) -> bool:
    """Return whether the end of a run changes nothing but the run, and the occurrence whose only task it is."""
    message = ended.delivery.message
    return (
        ended.outcome.state is AttemptState.SUCCEEDED
        and (message.task_ref is None or message.task_ref.stands_alone)
        and message.member is None
        and not message.unique
        and not message.group_strategy
        and not ended.mapped
        and len(ended.outcome.result) <= MAX_RESULT_BYTES
    )


def bundle_key(ended: EndedAttempt) -> tuple[bytes, int, bool]:
    """Return the stream, the retention and whether the run is a task: alike for successes that one call commits."""
    message = ended.delivery.message
    return ended.delivery.stream, message.retention_ms, message.task_ref is not None


def commit_bundle(keys: Keys, ended: Sequence[EndedAttempt]) -> ScriptCall:
    """Build the call that ends up to 100 plain successes of one bundle."""
    if ended[0].delivery.message.task_ref is None:
        return commit_successes(keys, ended)
    # All of them are tasks: it is a part of the key of the bundle.
    return commit_occurrences(keys, [(each, ref) for each in ended if (ref := each.delivery.message.task_ref)])


def commit_successes(keys: Keys, ended: Sequence[EndedAttempt]) -> ScriptCall:
    """Build the call that ends up to 100 plain successes of runs that belong to no occurrence."""
    touched: list[Any] = [ended[0].delivery.stream]
    args = _common_args(ended[0])
    for each in ended:
        run = each.delivery.message.run
        touched += (keys.run(run), keys.attempt(ids.attempt_id(run, each.delivery.attempt)))
        args += _run_args(each)
    return script("commit_successes")(tuple(touched), tuple(args))


def commit_occurrences(keys: Keys, tasks: Sequence[tuple[EndedAttempt, TaskRef]]) -> ScriptCall:
    """Build the call that ends up to 100 plain successes, each of the only task of an occurrence."""
    first, _ = tasks[0]
    touched: list[Any] = [first.delivery.stream, keys.starts, keys.wake, keys.deadlines]
    args = _common_args(first)
    for each, ref in tasks:
        run = each.delivery.message.run
        touched += (keys.run(run), keys.attempt(ids.attempt_id(run, each.delivery.attempt)))
        touched += (keys.occurrence(ref.occurrence), keys.live(ref.job), keys.queued(ref.job))
        args += (*_run_args(each), ref.job, ref.occurrence)
    return script("commit_occurrences")(tuple(touched), tuple(args))


def _common_args(ended: EndedAttempt) -> list[Any]:
    return [ended.worker, ended.delivery.message.retention_ms]


def _run_args(ended: EndedAttempt) -> tuple[Any, ...]:
    delivery, outcome, _, started_at, ended_at, *_ = ended
    return delivery.entry, delivery.attempt, started_at, ended_at, outcome.result
