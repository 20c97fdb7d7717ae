"""The verdict over a scene at rest, in four words: lost, duplicated, unexpected, recovered."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from jobistemer.core import ids
from jobistemer.core.jobs.job import decode_job
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import TERMINAL_OCCURRENCES, TERMINAL_RUNS, AttemptState, OccurrenceState, RunState
from jobistemer.store.database import Database
from jobistemer.store.reads import records as views
from tests.chaos.system import Effect
from tests.support.audit import find_faults


class EffectCheck(NamedTuple):
    """What came out; each list names what it counts.

    lost: instants without an occurrence, runs that did not end, runs that succeeded without an effect.
    duplicated: effects that no lost attempt explains. unexpected: records that contradict one another.
    recovered: lost attempts whose run ended well all the same.
    """

    lost: list[str]
    duplicated: list[str]
    unexpected: list[str]
    recovered: int


def check_effects(database: Database, effects: list[Effect], enqueued: list[str] = ()) -> EffectCheck:  # type: ignore[assignment]
    return check_all_effects([database], effects, dict.fromkeys(enqueued, database))


def check_all_effects(shards: list[Database], effects: list[Effect], enqueued: dict[str, Database]) -> EffectCheck:
    """The same over several shards; enqueued: calls that were acknowledged, with their shards."""
    lost, unexpected, runs = [each for database in shards for each in find_faults(database)], [], dict(enqueued)
    for database in shards:
        for key in database.client.scan_iter(f"{database.keys.tag}:job:*", count=1000):
            missing, odd, found = _check_job(database, key)
            lost += missing
            unexpected += odd
            runs |= dict.fromkeys(found, database)
    records = {run: views.find_run(database, run) for run, database in runs.items()}
    lost += [f"{run} is not on record" for run, record in records.items() if record is None]
    known = {run: record for run, record in records.items() if record is not None}
    lost += [f"{run} is {record.state}" for run, record in known.items() if record.state not in TERMINAL_RUNS]
    by_run = Counter(effect.run for effect in effects)
    unexpected += [f"effect of {run}, which nobody asked for" for run in by_run if run not in known]
    losses = {run: _lost_attempts(runs[run], record) for run, record in known.items()}
    for run, record in known.items():
        if record.state is RunState.SUCCEEDED and not by_run[run]:
            lost.append(f"{run} succeeded without an effect")
        if record.state is not RunState.SUCCEEDED:
            unexpected.append(f"{run} ended {record.state}: {record.error}")
    duplicated = [
        f"{run}: {count} effects, {losses.get(run, 0)} lost attempts"
        for run, count in by_run.items()
        if count > 1 + losses.get(run, 0)
    ]
    recovered = sum(count for run, count in losses.items() if known[run].state is RunState.SUCCEEDED)
    return EffectCheck(lost, duplicated, unexpected, recovered)


def _check_job(database: Database, key: bytes) -> tuple[list[str], list[str], list[str]]:
    """What is missing of a job, what is odd, and its runs."""
    definition, cursor, version = database.client.hmget(key, "definition", "cursor", "version")
    job = decode_job(definition)
    registered = int(database.client.hget(database.keys.versions(job.id), f"{int(version)}:at"))
    expected = list(job.schedule.unix_between(registered // 1000, int(cursor)))
    stored = database.client.zrange(database.keys.history(job.id), 0, -1, withscores=True)
    found = {int(due): occurrence.decode() for occurrence, due in stored}
    missing = [f"{job.name}: instant {due} has no occurrence" for due in expected if due not in found]
    odd = [f"{job.name}: occurrence at {due}, which is not due" for due in found if due not in set(expected)]
    runs = []
    for record in views.find_occurrences(database, list(found.values())):
        if record.state not in TERMINAL_OCCURRENCES:
            missing.append(f"{record.id} is {record.state}")
        elif record.state is OccurrenceState.COMPLETED:
            runs += [ids.run_id(record.id, ids.task_id(job.id, task.name)) for task in job.tasks]
        else:
            odd.append(f"{job.name}: instant {record.due} ended {record.state}: {record.reason}")
        if record.claimed_at < record.due * 1000:
            odd.append(f"{job.name}: instant {record.due} was claimed {-record.late_ms} ms early")
    return missing, odd, runs


def _lost_attempts(database: Database, record: RunRecord) -> int:
    attempts = views.find_attempts(database, record) if record.attempt else []
    return sum(attempt.state is AttemptState.LOST for attempt in attempts)
