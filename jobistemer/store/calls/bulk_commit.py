"""Bulk commits: successes that change little besides themselves, a hundred of them in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobistemer.core import ids
from jobistemer.core.runs.message import WIRE_VERSION, GroupMember, TaskRef
from jobistemer.core.states import AttemptState
from jobistemer.store.calls.durable.steps import MAX_ATTEMPTS_EACH, expire_steps, wake_parent
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.calls.groups import UNFINISHED_KEEP_MS
from jobistemer.store.keys import DAY_MS, Keys
from jobistemer.store.scripts import ScriptCall, script

MAX_RUNS_PER_CALL = 100
"""How many runs one call ends."""
MAX_RESULT_BYTES = 16_384
"""A run with a larger result is committed by itself, so that no call keeps the server busy for long."""

BundleKey = tuple[bytes, int, str]
"""Stream, retention in milliseconds, and what the runs are of: an occurrence each, the group of this id, or nothing.
Runs of nothing that have steps on record go with their like."""
OCCURRENCE = "occurrence"
DURABLE = "durable"


def bundle_key(ended: EndedAttempt) -> BundleKey | None:
    """Return what an end has in common with those that may go into one call with it; None when it goes by itself.

    Only a success may go with others, and one whose end moves nothing but the run, and the occurrence whose only task
    it is: each of the other ends may touch keys that no call of a hundred could list.
    """
    message, outcome = ended.delivery.message, ended.outcome
    slot = message.task_ref
    if (
        outcome.state is not AttemptState.SUCCEEDED
        or (slot is not None and not slot.stands_alone)
        or (slot is not None and message.member is not None)
        or message.unique
        or message.group_strategy
        or ended.groups_made
        or outcome.done
        # The attempts before it, and its steps, get their expiry in the same step: there is a call for many of them.
        or ((ended.delivery.attempt or message.wire != 1) and not _is_plain_durable(ended))
        or len(outcome.result) > MAX_RESULT_BYTES
    ):
        return None
    of = message.member.group if message.member is not None else OCCURRENCE if slot is not None else ""
    return ended.delivery.stream, message.retention_ms, DURABLE if message.wire != 1 else of


def _is_plain_durable(ended: EndedAttempt) -> bool:
    message = ended.delivery.message
    is_alone = message.task_ref is None and message.member is None and message.undoing is None
    return message.wire == WIRE_VERSION and is_alone and ended.delivery.attempt < MAX_ATTEMPTS_EACH


def commit_successes(keys: Keys, ended: Sequence[EndedAttempt]) -> ScriptCall:
    """Build the call that ends up to 100 plain successes with one bundle key."""
    first = ended[0]
    if first.delivery.message.task_ref is not None:
        # All of them are tasks: it is a part of the key of the bundle.
        return _commit_occurrences(keys, [(each, ref) for each in ended if (ref := each.delivery.message.task_ref)])
    if first.delivery.message.member is not None:
        return _commit_members(keys, [(each, of) for each in ended if (of := each.delivery.message.member)])
    # Keys for each of a hundred runs: they are put together here, without a call for each.
    run_prefix, attempt_prefix = keys.run_prefix, keys.attempt_prefix
    outcomes = f"{keys.outcomes_prefix}{first.ended_at // DAY_MS}"
    runs = [each.delivery.message.run for each in ended]
    touched: list[Any] = [first.delivery.stream, keys.succeeded, outcomes]
    is_durable = first.delivery.message.wire != 1
    if is_durable:
        touched += [attempt_prefix + ids.attempt_id(each.delivery.message.run, each.delivery.attempt) for each in ended]
    else:
        # A plain success is that of a run's first attempt: see `bundle_key`.
        touched += [attempt_prefix + ids.attempt_id(run, 0) for run in runs]
    touched += [run_prefix + run for run in runs]
    args: list[Any] = [first.worker, first.delivery.message.retention_ms, first.delivery.message.queue, len(ended)]
    args += [each.delivery.entry for each in ended]
    for delivery, outcome, _, _, started_at, ended_at, *_ in ended:
        args += (delivery.attempt, started_at, ended_at, outcome.result, delivery.message.handler)
    call = ScriptCall(script("commit_successes"), tuple(touched), tuple(args))
    if not is_durable:
        return call
    # The last attempt of each has its expiry from the commit, and has logged nothing: it would go by itself.
    over = [(each.delivery.message.run, range(each.delivery.attempt)) for each in ended]
    return call._replace(extensions=(expire_steps(keys, over),))


def _commit_members(keys: Keys, members: Sequence[tuple[EndedAttempt, GroupMember]]) -> ScriptCall:
    """Build the same call for runs of one group, which counts them and releases its reducer after the last one."""
    first, of = members[0]
    run_prefix, attempt_prefix = keys.run_prefix, keys.attempt_prefix
    outcomes = f"{keys.outcomes_prefix}{first.ended_at // DAY_MS}"
    touched: list[Any] = [first.delivery.stream, keys.succeeded, outcomes, keys.group(of.group), keys.results(of.group)]
    touched += (run_prefix + of.group, keys.stream(of.place), keys.streams)
    args: list[Any] = [first.worker, first.delivery.message.retention_ms, first.delivery.message.queue]
    args += (of.place, UNFINISHED_KEEP_MS, len(members))
    runs = [each.delivery.message.run for each, _ in members]
    # A success in a bundle is that of a run's first attempt: see `bundle_key`.
    touched += [attempt_prefix + ids.attempt_id(run, 0) for run in runs]
    touched += [run_prefix + run for run in runs]
    args += [each.delivery.entry for each, _ in members]
    for (delivery, outcome, _, _, started_at, ended_at, *_), member in members:
        args += (delivery.attempt, started_at, ended_at, outcome.result, delivery.message.handler, member.index)
    call = script("commit_members")(tuple(touched), tuple(args))
    # The parent that waits for its runs is woken in the same step: a worker that died in between would leave it asleep.
    return call._replace(extensions=(wake_parent(keys, of),)) if of.parent else call


def _commit_occurrences(keys: Keys, tasks: Sequence[tuple[EndedAttempt, TaskRef]]) -> ScriptCall:
    """Build the same call for runs that are the only task of an occurrence, which ends with them."""
    first, _ = tasks[0]
    run_prefix, attempt_prefix = keys.run_prefix, keys.attempt_prefix
    outcomes = f"{keys.outcomes_prefix}{first.ended_at // DAY_MS}"
    touched: list[Any] = [first.delivery.stream, keys.succeeded, outcomes, keys.starts, keys.wake, keys.deadlines]
    args: list[Any] = [first.worker, first.delivery.message.retention_ms, first.delivery.message.queue, len(tasks)]
    args += [each.delivery.entry for each, _ in tasks]
    touched += [attempt_prefix + ids.attempt_id(each.delivery.message.run, 0) for each, _ in tasks]
    for (delivery, outcome, _, _, started_at, ended_at, *_), ref in tasks:
        message = delivery.message
        touched += (run_prefix + message.run, keys.occurrence(ref.occurrence), keys.live(ref.job), keys.queued(ref.job))
        args += (delivery.attempt, started_at, ended_at, outcome.result, message.handler, ref.job, ref.occurrence)
    return script("commit_occurrences")(tuple(touched), tuple(args))
