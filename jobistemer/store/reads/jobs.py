"""Jobs, their history, and delayed runs, over all shards of a namespace.

Everything is found through the sets that scripts maintain; the keyspace is never scanned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from jobistemer.core import ids
from jobistemer.core.jobs.job import decode_job_name
from jobistemer.core.planning.plan import NEVER
from jobistemer.core.reads.summaries import DelayedRun, JobSummary, has_ended_itself
from jobistemer.core.runs.records import JobChange, OccurrenceRecord, RunRecord
from jobistemer.core.schedules import describe
from jobistemer.core.unreadable import LAST_MS, Unreadable, read_value, to_ms, to_text
from jobistemer.store.calls.jobs import StoredJob, read_command, read_job
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import Keys, read_delayed_member, split_delayed_member
from jobistemer.store.quarantine import find_wrong_types
from jobistemer.store.reading import read_members, read_number, read_scored
from jobistemer.store.reads.records import find_occurrences, find_record, find_run, find_runs

MAX_SHOWN_CHARS: Final = 200
"""How much is shown of a change that cannot be read."""
OWNERS_PAGE = 500
"""How many jobs `list_owned` asks for in one round trip."""
_COMMANDS_PER_JOB = 4
"""How many commands `_job_commands` sends for one job."""


def list_jobs(shards: Sequence[Database], offset: int = 0, limit: int = 100) -> list[JobSummary]:
    """Return a page of the registered jobs, the one due next first.

    The jobs before the page cost one line of an answer each; only the jobs of the page are read in full.
    """
    listed = [
        (at, job, number) for number, each in enumerate(shards) for job, at in _read_due(each, offset + limit).items()
    ]
    page = sorted(listed)[offset : offset + limit]
    found: list[JobSummary] = []
    for number, database in enumerate(shards):
        found += _read_summaries(database, {job: at for at, job, where in page if where == number})
    return sorted(found, key=lambda summary: (summary.next_due or NEVER * 1000, summary.name))


def list_summaries(shards: Sequence[Database], job_ids: Sequence[str]) -> list[JobSummary]:
    """Return the summaries of jobs in the order given; jobs that are not registered are left out."""
    found: dict[str, JobSummary] = {}
    for database in shards:
        scores = database.read("ZMSCORE", database.keys.due, *job_ids) if job_ids else []
        due = {job: to_ms(score) for job, score in zip(job_ids, scores, strict=True) if score is not None}
        found |= {summary.id: summary for summary in _read_summaries(database, due)}
    return [found[job] for job in job_ids if job in found]


def count_jobs(shards: Sequence[Database]) -> int:
    """Return how many jobs are registered."""
    return sum(database.read("ZCARD", database.keys.due) for database in shards)


def has_live_occurrence(database: Database, job_id: str) -> bool:
    """Tell whether an occurrence of a job is going on."""
    return bool(database.read("ZCARD", database.keys.live(job_id)))


def list_owned(database: Database, owner: str, besides: Collection[str] = ()) -> list[StoredJob]:
    """Return the jobs of one shard that the app with this mark has deployed. besides: ids of jobs that are left out."""
    keys, members = database.keys, database.read("ZRANGE", database.keys.due, 0, -1)
    registered = [job for job in read_members(keys.due, members, []) if job not in besides]
    own: list[str] = []
    for start in range(0, len(registered), OWNERS_PAGE):
        page = registered[start : start + OWNERS_PAGE]
        owners = database.read_all([("HGET", keys.job(job), "owner") for job in page])
        own += [job for job, mark in zip(page, owners, strict=True) if mark == owner.encode()]
    answers = database.read_all([read_command(keys, job) for job in own])
    found = [read_job(keys, job, answer) for job, answer in zip(own, answers, strict=True)]
    # One that cannot be read is not removed with those that an app no longer declares: `job remove` does that.
    return [stored for stored in found if isinstance(stored, StoredJob)]


def find_summary(database: Database, name: str) -> JobSummary | None:
    """Return the summary of one job; None when it is not registered."""
    job = ids.job_id(name)
    due = database.read("ZSCORE", database.keys.due, job)
    summaries = _read_summaries(database, {job: to_ms(due)}) if due is not None else []
    return summaries[0] if summaries else None


def find_summaries(database: Database, job_ids: Sequence[str]) -> list[JobSummary]:
    """Return the summaries of jobs of one shard by their ids; jobs that are not registered are left out."""
    scores = database.read("ZMSCORE", database.keys.due, *job_ids) if job_ids else []
    due = {job: to_ms(score) for job, score in zip(job_ids, scores, strict=True) if score is not None}
    return _read_summaries(database, due)


def list_history(database: Database, job: str, offset: int = 0, limit: int = 20) -> list[OccurrenceRecord]:
    """Return a page of the occurrences of a job, the newest first."""
    return find_occurrences(database, _read_history_ids(database, job, offset, limit))


def count_history(database: Database, job: str) -> int:
    """Return how many occurrences of a job are on record."""
    return int(database.read("ZCARD", database.keys.history(job)))


def list_job_changes(database: Database, job_id: str, limit: int, offset: int = 0) -> list[JobChange]:
    """Return a page of the changes of a job, also of one that was removed, the latest first."""
    command = ("LRANGE", database.keys.audit(job_id), -offset - limit, -offset - 1)
    entries = database.read(*command) if limit > 0 else []
    return [_read_change(raw) for raw in reversed(entries)]


def count_job_changes(database: Database, job: str) -> int:
    """Return how many changes of a job are kept."""
    return int(database.read("LLEN", database.keys.audit(job)))


def list_recent(shards: Sequence[Database], jobs: Sequence[str], limit: int) -> dict[str, list[OccurrenceRecord]]:
    """Return the latest occurrences of each of several jobs, the newest first."""
    found: dict[str, list[OccurrenceRecord]] = {job: [] for job in jobs}
    for database in shards:
        commands = [_history_command(database.keys, job, 0, limit) for job in jobs]
        answers = database.read_all(commands)
        for record in find_occurrences(database, [to_text(each) for answer in answers for each in answer]):
            if record.job in found:
                found[record.job].append(record)
    return found


def list_latest(shards: Sequence[Database], jobs: Sequence[str], limit: int) -> list[OccurrenceRecord]:
    """Return the latest occurrences of several jobs together, the newest first."""
    found = [record for records in list_recent(shards, jobs, limit).values() for record in records]
    return sorted(found, key=lambda record: (record.due, record.claimed_at), reverse=True)[:limit]


def list_delayed(shards: Sequence[Database], limit: int = 20) -> list[DelayedRun]:
    """Return the delayed runs that are due next."""
    found = [waiting for database in shards for waiting in _read_delayed(database, limit)]
    return sorted(found, key=lambda waiting: waiting.due_at)[:limit]


def count_delayed(shards: Sequence[Database]) -> int:
    """Return how many runs are delayed."""
    return sum(database.read("ZCARD", database.keys.delayed) for database in shards)


def list_limited(shards: Sequence[Database], limit: int = 20) -> list[RunRecord]:
    """Return runs that wait for a limit, at most `limit`, the first of each limit first."""
    found: list[RunRecord] = []
    for database in shards:
        names = read_members(database.keys.limits, database.read("HKEYS", database.keys.limits), [])
        keys = [database.keys.waiting(name) for name in names]
        answers = database.read_all([("ZRANGE", key, 0, limit - 1) for key in keys])
        listed = zip(keys, answers, strict=True)
        members = [each for key, answer in listed for each in read_members(key, answer, [], read_delayed_member)]
        found += find_runs(database, [split_delayed_member(each)[1] for each in members[:limit]])
    return found[:limit]


def locate_record(shards: Sequence[Database], run_id: str) -> tuple[Database, RunRecord] | None:
    """Find a run on any shard; returns its shard and its record as `find_record` does, or None.

    The id of a run does not say the shard: it depends on the job or the unique key of the run.
    """
    return _locate(shards, run_id, find_record)


def locate_run(shards: Sequence[Database], run_id: str) -> tuple[Database, RunRecord] | None:
    """Find a run on any shard like `locate_record`, to show it: its record has its due time."""
    return _locate(shards, run_id, find_run)


def _locate(
    shards: Sequence[Database], run_id: str, find: Callable[[Database, str], RunRecord | None]
) -> tuple[Database, RunRecord] | None:
    for database in shards:
        record = find(database, run_id)
        if record is not None:
            return database, record
    return None


def _read_due(database: Database, limit: int) -> dict[str, int]:
    flat = database.read("ZRANGE", database.keys.due, 0, limit - 1, "WITHSCORES")
    # A member that is no text cannot be the id of a job: tickers put it aside, and `doctor` names it.
    return dict(read_scored(database.keys.due, flat, []))


def _read_summaries(database: Database, due: dict[str, int]) -> list[JobSummary]:
    if not due:
        return []
    commands = [command for job in due for command in _job_commands(database.keys, job)]
    answers = database.read_all(commands)
    parts = [answers[at : at + _COMMANDS_PER_JOB] for at in range(0, len(answers), _COMMANDS_PER_JOB)]
    latest = {to_text(last[0]) for *_, last in parts if last}
    last_of = {record.job: record for record in find_occurrences(database, sorted(latest))}
    wrong = {each.key: each for each in find_wrong_types(database, [database.keys.job(job) for job in due])}
    summaries = []
    for (job, at), part in zip(due.items(), parts, strict=True):
        key = database.keys.job(job)
        stored = wrong.get(key) or read_job(database.keys, job, part[0])
        if stored is not None:
            summaries.append(_build_summary(job, at, stored, part, last_of.get(job)))
    return summaries


def _job_commands(keys: Keys, job: str) -> tuple[Command, ...]:
    return (
        read_command(keys, job),
        ("ZCARD", keys.live(job)),
        ("ZCARD", keys.queued(job)),
        _history_command(keys, job, 0, 1),
    )


def _build_summary(
    job: str, due: int, stored: StoredJob | Unreadable, part: list[Any], last: OccurrenceRecord | None
) -> JobSummary:
    next_due = due if 0 < due < LAST_MS else None
    if isinstance(stored, Unreadable):
        definition, version, *_ = part[0]
        name, number = read_job_name(definition) or job, read_number(version)
        return JobSummary(name, job, number, "", "", "", 0, next_due, part[1], part[2], last, stored.reason)
    return JobSummary(
        name=stored.job.name,
        id=job,
        version=stored.version,
        schedule=describe(stored.job.schedule),
        description=stored.job.description,
        paused=stored.paused,
        paused_until=stored.paused_until,
        next_due=None if has_ended_itself(stored.paused) else next_due,
        live=part[1],
        queued=part[2],
        last=last,
    )


def read_job_name(definition: bytes | None) -> str:
    """Return the name in a definition that cannot be read as a whole; empty when it has none."""
    name = read_value("", decode_job_name, definition) if definition else ""
    return "" if isinstance(name, Unreadable) else name


def _read_history_ids(database: Database, job: str, offset: int, limit: int) -> list[str]:
    answer = database.read(*_history_command(database.keys, job, offset, limit))
    return [to_text(occurrence) for occurrence in answer]


def _history_command(keys: Keys, job: str, offset: int, limit: int) -> Command:
    return ("ZREVRANGE", keys.history(job), offset, offset + limit - 1)


def _read_delayed(database: Database, limit: int) -> list[DelayedRun]:
    members = database.read("ZRANGE", database.keys.delayed, 0, limit - 1)
    readable = read_members(database.keys.delayed, members, [], read_delayed_member)
    runs = [split_delayed_member(member)[1] for member in readable]
    # Not by `msgspec.convert`, which would refuse the state of a record that cannot be read.
    names = DelayedRun.__struct_fields__
    return [DelayedRun(*[getattr(record, name) for name in names]) for record in find_runs(database, runs)]


def _read_change(raw: bytes) -> JobChange:
    try:
        at, by, what, note = raw.decode().split("\n", 3)
        return JobChange(int(at), by, what, note)
    except ValueError:
        # UnicodeDecodeError is one too.
        return JobChange(0, "", "unreadable", to_text(raw)[:MAX_SHOWN_CHARS])
