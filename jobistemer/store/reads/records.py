"""Records by id: runs, attempts and occurrences, for handles, the command line and the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from jobistemer.core import ids
from jobistemer.core.runs.message import Message, decode_message
from jobistemer.core.runs.records import AttemptRecord, OccurrenceRecord, RunRecord
from jobistemer.core.states import OccurrenceState
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import Keys

NEVER_RAN = frozenset(
    {OccurrenceState.QUEUED, OccurrenceState.SKIPPED, OccurrenceState.MISSED, OccurrenceState.COMPRESSED}
)
"""States of occurrences that have started no run."""

STATES_PAGE = 1_000
"""How many occurrences `find_occurrence_states` asks for in one round trip."""

_Record = TypeVar("_Record", AttemptRecord, RunRecord, OccurrenceRecord)


def run_command(keys: Keys, run_id: str) -> Command:
    """Return the command whose answer `read_run` decodes."""
    return ("HGETALL", keys.run(run_id))


def read_run(run_id: str, answer: dict[bytes, bytes]) -> RunRecord | None:
    """Decode the answer to `run_command`; returns None when there is no record."""
    if b"enqueued_at" not in answer and answer:
        # A waiting run is kept small: when it was enqueued stands in its id.
        answer = {**answer, b"enqueued_at": b"%d" % ids.read_enqueue_ms(run_id)}
    return _decode_record(RunRecord, run_id, answer)


def find_run(database: Database, run_id: str) -> RunRecord | None:
    """Return the record of a run; None when it never existed, or its retention is over."""
    return read_run(run_id, database.ask(*run_command(database.keys, run_id)))


def find_runs(database: Database, run_ids: list[str]) -> list[RunRecord]:
    """Return the records of runs in the order given; runs without a record are left out."""
    answers = database.ask_all([run_command(database.keys, each) for each in run_ids])
    found = [read_run(each, answer) for each, answer in zip(run_ids, answers, strict=True)]
    return [record for record in found if record is not None]


def find_occurrence_states(database: Database, occurrence_ids: list[str]) -> dict[str, str]:
    """Return the states of the occurrences that are on record, by id."""
    found: dict[str, str] = {}
    for start in range(0, len(occurrence_ids), STATES_PAGE):
        page = occurrence_ids[start : start + STATES_PAGE]
        answers = database.ask_all([("HGET", database.keys.occurrence(each), "state") for each in page])
        found |= {each: state.decode() for each, state in zip(page, answers, strict=True) if state is not None}
    return found


def find_attempts(database: Database, run: RunRecord) -> list[AttemptRecord]:
    """Return the attempts of a run that are on record, in order."""
    numbered = [(number, ids.attempt_id(run.id, number)) for number in range(run.attempt + 1)]
    answers = database.ask_all([("HGETALL", database.keys.attempt(attempt)) for _, attempt in numbered])
    found = [
        _decode_record(AttemptRecord, attempt, answer) for (_, attempt), answer in zip(numbered, answers, strict=True)
    ]
    return [record for record in found if record is not None]


def is_attempt_recorded(database: Database, attempt_id: str) -> bool:
    """Return whether an attempt has a record, which it has once it was shown as running or has ended."""
    return bool(database.ask("EXISTS", database.keys.attempt(attempt_id)))


def find_entry_times(database: Database, run_ids: list[str]) -> list[int | None]:
    """Return the server time (ms) at which each run was put on its stream; None for a run that was not."""
    entries = database.ask_all([("HGET", database.keys.run(run_id), "entry") for run_id in run_ids]) if run_ids else []
    return [int(entry.partition(b"-")[0]) if entry else None for entry in entries]


def find_last_run_ms(database: Database, job_id: str, due: int) -> int | None:
    """Return when (Unix ms) a job last started an occurrence that was due before the second `due`; None for none."""
    command = ("ZREVRANGEBYSCORE", database.keys.history(job_id), f"({due}", "-inf", "LIMIT", 0, 100)
    for record in find_occurrences(database, [occurrence.decode() for occurrence in database.ask(*command)]):
        if record.state not in NEVER_RAN:
            return record.started_at or record.claimed_at
    return None


def find_occurrences(database: Database, occurrence_ids: list[str]) -> list[OccurrenceRecord]:
    """Return the records of occurrences in the order given; occurrences without a record are left out."""
    answers = database.ask_all([("HGETALL", database.keys.occurrence(each)) for each in occurrence_ids])
    found = [
        _decode_record(OccurrenceRecord, each, answer) for each, answer in zip(occurrence_ids, answers, strict=True)
    ]
    return [record for record in found if record is not None]


def find_cancel_reasons(database: Database, run_ids: list[str]) -> list[str]:
    """Return why each of these runs was asked to end, empty where that is not on record."""
    answers = database.ask_all([("HGET", database.keys.run(run_id), "cancel_reason") for run_id in run_ids])
    return [(answer or b"").decode() for answer in answers]


def find_message(database: Database, run_id: str) -> Message | None:
    """Read the message that the record of a run keeps until the run is on a stream; None when it keeps none."""
    raw = database.ask("HGET", database.keys.run(run_id), "message")
    return None if raw is None else decode_message(raw)


def _decode_record(kind: type[_Record], identity: str, answer: dict[bytes, bytes]) -> _Record | None:
    if b"state" not in answer:
        return None
    fields: dict[str, Any] = {key.decode(): value.decode() for key, value in answer.items()}
    if "result" in fields:
        fields["result"] = msgspec.Raw(answer[b"result"])
    return msgspec.convert({"id": identity, **fields}, kind, strict=False)


def read_run_results(database: Database, run_ids: Sequence[str]) -> list[list[bytes | None]]:
    """Read state, result and handler of runs, as stored; None in each place for a run without a record."""
    return database.ask_all([("HMGET", database.keys.run(run), "state", "result", "handler") for run in run_ids])
