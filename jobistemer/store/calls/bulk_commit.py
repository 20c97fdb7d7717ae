"""Successes that move so little besides themselves that a hundred of them are committed by one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobistemer.core import ids
from jobistemer.core.states import AttemptState
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Call, script

MAX_RUNS_PER_CALL = 100
"""How many go into one call."""
MAX_RESULT_BYTES = 16_384
"""In bytes; what is larger goes by itself, so that no call keeps the server busy for long."""


def is_plain_success(ended: EndedAttempt) -> bool:
    """Whether the end of a run moves nothing but the run, and the occurrence whose only task it is."""
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
    """What plain successes have in common that go into one call: stream, retention, and whether they are of jobs."""
    message = ended.delivery.message
    return ended.delivery.stream, message.retention_ms, message.task_ref is not None


def commit_bundle(keys: Keys, ended: Sequence[EndedAttempt]) -> Call:
    """End up to 100 plain successes of one bundle."""
    of_jobs = ended[0].delivery.message.task_ref is not None
    return commit_occurrences(keys, ended) if of_jobs else commit_successes(keys, ended)


def commit_successes(keys: Keys, ended: Sequence[EndedAttempt]) -> Call:
    """Those of runs that are of no occurrence."""
    touched: list[Any] = [ended[0].delivery.stream]
    args = _common_args(ended)
    for each in ended:
        run = each.delivery.message.run
        touched += (keys.run(run), keys.attempt(ids.attempt_id(run, each.delivery.attempt)))
        args += _run_args(each)
    return script("commit_successes")(tuple(touched), tuple(args))


def commit_occurrences(keys: Keys, ended: Sequence[EndedAttempt]) -> Call:
    """Those of runs that are the only task of an occurrence."""
    touched: list[Any] = [ended[0].delivery.stream, keys.starts, keys.wake, keys.deadlines]
    args = _common_args(ended)
    for each in ended:
        run, slot = each.delivery.message.run, each.delivery.message.task_ref
        assert slot is not None  # noqa: S101 - a bundle is of one kind
        touched += (keys.run(run), keys.attempt(ids.attempt_id(run, each.delivery.attempt)))
        touched += (keys.occurrence(slot.occurrence), keys.live(slot.job), keys.queued(slot.job))
        args += (*_run_args(each), slot.job, slot.occurrence)
    return script("commit_occurrences")(tuple(touched), tuple(args))


def _common_args(ended: Sequence[EndedAttempt]) -> list[Any]:
    return [ended[0].worker, ended[0].delivery.message.retention_ms]


def _run_args(ended: EndedAttempt) -> tuple[Any, ...]:
    delivery, outcome, _, started_at, ended_at, *_ = ended
    return delivery.entry, delivery.attempt, started_at, ended_at, outcome.result
