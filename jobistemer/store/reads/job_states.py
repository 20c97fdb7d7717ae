"""The states of many jobs at a low cost: whether each is paused, and the outcome of its latest occurrence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from jobistemer.core.states import TERMINAL_OCCURRENCES, OccurrenceState
from jobistemer.core.unreadable import Unreadable, to_ms, to_text
from jobistemer.store.calls.jobs import StoredJob, read_command, read_job
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import Keys
from jobistemer.store.quarantine import find_wrong_types
from jobistemer.store.reads.jobs import read_job_name

_LATEST: Final = 3
"""How many of the latest occurrences are looked at for one that has ended."""
_COMMANDS_PER_JOB: Final = 4


class JobState(NamedTuple):
    """The state of one job. live, queued: how many of its occurrences are going on and wait for an earlier one.

    paused: the reason of its pause, empty for none. paused_until: the end of the pause in Unix ms, 0 for none.
    latest: the id of its latest occurrence, empty for none. due: the due instant (Unix seconds) of that one.
    outcome: the state of its latest occurrence that has ended, empty for none. unreadable: why its definition cannot be
    read, empty for nearly all jobs.
    """

    id: str
    name: str
    paused: str
    paused_until: int
    live: int
    queued: int
    latest: str
    due: int
    outcome: str
    unreadable: str = ""

    def is_paused(self, now_ms: int) -> bool:
        """Return whether its instants are recorded as skipped at `now_ms`."""
        return bool(self.paused) and (not self.paused_until or self.paused_until > now_ms)


def list_job_ids(database: Database) -> list[str]:
    """Return the ids of the jobs of a shard."""
    return [to_text(job) for job in database.read("ZRANGE", database.keys.due, 0, -1)]


def read_job_states(database: Database, jobs: Sequence[str]) -> list[JobState]:
    """Read the states of jobs of a shard, with a few round trips."""
    answers = database.read_all([command for job in jobs for command in _commands(database.keys, job)])
    parts = [answers[at : at + _COMMANDS_PER_JOB] for at in range(0, len(answers), _COMMANDS_PER_JOB)]
    latest = [[to_text(each) for each in part[3][::2]] for part in parts]
    asked = [occurrence for each in latest for occurrence in each]
    states = dict(zip(asked, _read_states(database, asked), strict=True))
    wrong = {each.key: each for each in find_wrong_types(database, [database.keys.job(job) for job in jobs])}
    built = (
        _build(job, wrong.get(key) or read_job(database.keys, job, part[0]), part, states)
        for job, part in zip(jobs, parts, strict=True)
        for key in (database.keys.job(job),)
    )
    return [each for each in built if each is not None]


def _commands(keys: Keys, job: str) -> tuple[Command, ...]:
    return (
        read_command(keys, job),
        ("ZCARD", keys.live(job)),
        ("ZCARD", keys.queued(job)),
        ("ZREVRANGE", keys.history(job), 0, _LATEST - 1, "WITHSCORES"),
    )


def _read_states(database: Database, occurrences: list[str]) -> list[str]:
    commands = [("HGET", database.keys.occurrence(each), "state") for each in occurrences]
    return [to_text(state or b"") for state in (database.read_all(commands) if commands else [])]


def _build(job: str, stored: StoredJob | Unreadable | None, part: list[Any], states: dict[str, str]) -> JobState | None:
    definition, live, queued, flat = part
    if stored is None:
        return None
    if isinstance(stored, Unreadable):
        return JobState(job, read_job_name(definition[0]) or job, "", 0, live, queued, "", 0, "", stored.reason)
    latest = [to_text(each) for each in flat[::2]]
    ended = [states[each] for each in latest if states[each] in TERMINAL_OCCURRENCES]
    # All of the latest are live where occurrences overlap: then nothing is known of an outcome.
    outcome = OccurrenceState(ended[0]) if ended else ""
    return JobState(
        job,
        stored.job.name,
        stored.paused,
        stored.paused_until,
        live,
        queued,
        latest[0] if latest else "",
        to_ms(flat[1]) if flat else 0,
        outcome,
    )
