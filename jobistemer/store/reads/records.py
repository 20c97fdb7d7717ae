"""Records by id: runs, attempts and occurrences, for handles, the command line and the dashboard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from jobistemer.core import ids
from jobistemer.core.runs.message import Message, read_message
from jobistemer.core.runs.records import AttemptRecord, OccurrenceRecord, RunRecord
from jobistemer.core.runs.settle import SLEEPS
from jobistemer.core.states import OccurrenceState, RunState
from jobistemer.core.unreadable import READ_ERRORS, Unreadable, explain, read_value, to_text
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import Keys, delayed_member
from jobistemer.store.reading import read_number

NEVER_RAN = frozenset(
    {OccurrenceState.QUEUED, OccurrenceState.SKIPPED, OccurrenceState.MISSED, OccurrenceState.COMPRESSED}
)
"""States of occurrences that have started no run."""

STATES_PAGE = 1_000
"""How many occurrences `find_occurrence_states` asks for in one round trip."""

RUNS_PAGE = 200
"""How many whole records of runs are read in one round trip: one that waits for its time has its payload in it."""

UNREADABLE = "unreadable"
"""The state of a record whose state cannot be read."""

_REPLAYED = re.compile(rb"replayed as (run_\S+)")

_Record = TypeVar("_Record", AttemptRecord, RunRecord, OccurrenceRecord)


def run_command(keys: Keys, run_id: str) -> Command:
    """Return the command whose answer `read_run` decodes."""
    return ("HGETALL", keys.run(run_id))


def read_run(run_id: str, answer: dict[bytes, bytes]) -> RunRecord | None:
    """Decode the answer to `run_command`; returns None when there is no record."""
    if b"enqueued_at" not in answer and answer:
        # A waiting run is kept small: when it was enqueued stands in its id.
        answer = {**answer, b"enqueued_at": b"%d" % ids.read_enqueue_ms(run_id)}
    if answer.get(b"state") == b"suspended" and b"note" not in answer:
        answer = {**answer, b"note": SLEEPS.encode()}
    if b"note" in answer and b"retried_as" not in answer and (found := _REPLAYED.fullmatch(answer[b"note"])):
        # An earlier version recorded a replay in the note alone.
        answer = {**answer, b"retried_as": found[1]}
    if b"cancel_reason" in answer and b"cancel" not in answer:
        # It was ended in the moment in which that was asked for, not by a worker that was told of it later.
        answer = {**answer, b"cancel": answer.get(b"ended_at", b"0")}
    return _decode_record(RunRecord, run_id, answer)


def due_command(keys: Keys, run: RunRecord) -> Command | None:
    """Return the command whose answer `add_due_time` takes; None for a run whose record has its time, or that has none.

    Of a suspended run the delayed set alone has the time.
    """
    if run.state != RunState.SUSPENDED or run.due_at:
        return None
    return ("ZSCORE", keys.delayed, delayed_member(run.place, run.id))


def add_due_time(run: RunRecord, answer: float | bytes | None) -> RunRecord:
    """Return the record of a suspended run with its time; without one where it has gone on meanwhile."""
    return run if answer is None else msgspec.structs.replace(run, due_at=int(float(answer)))


def find_record(database: Database, run_id: str) -> RunRecord | None:
    """Return the record of a run as it is stored, for callers that act on the run: when it is due may be missing."""
    return read_run(run_id, database.read(*run_command(database.keys, run_id)))


def find_run(database: Database, run_id: str) -> RunRecord | None:
    """Return the record of a run with its due time; None when it never existed, or its retention is over."""
    run = find_record(database, run_id)
    return run if run is None else _add_due_times(database, [run])[0]


def find_runs(database: Database, run_ids: list[str]) -> list[RunRecord]:
    """Return the records of runs in the order given; runs without a record are left out."""
    found: list[RunRecord] = []
    for start in range(0, len(run_ids), RUNS_PAGE):
        page = run_ids[start : start + RUNS_PAGE]
        answers = database.read_all([run_command(database.keys, each) for each in page])
        found += _add_due_times(database, [*filter(None, map(read_run, page, answers))])
    return found


def _add_due_times(database: Database, runs: list[RunRecord]) -> list[RunRecord]:
    commands = {run.id: command for run in runs if (command := due_command(database.keys, run)) is not None}
    if not commands:
        return runs
    answers = dict(zip(commands, database.read_all([*commands.values()]), strict=True))
    return [add_due_time(run, answers.get(run.id)) for run in runs]


def find_occurrence_states(database: Database, occurrence_ids: list[str]) -> dict[str, str]:
    """Return the states of the occurrences that are on record, by id."""
    found: dict[str, str] = {}
    for start in range(0, len(occurrence_ids), STATES_PAGE):
        page = occurrence_ids[start : start + STATES_PAGE]
        answers = database.read_all([("HGET", database.keys.occurrence(each), "state") for each in page])
        found |= {each: to_text(state) for each, state in zip(page, answers, strict=True) if state is not None}
    return found


def find_attempts(database: Database, run: RunRecord) -> list[AttemptRecord]:
    """Return the attempts of a run that are on record, in order."""
    numbered = [(number, ids.attempt_id(run.id, number)) for number in range(run.attempt + 1)]
    answers = database.read_all([("HGETALL", database.keys.attempt(attempt)) for _, attempt in numbered])
    found = [
        _decode_record(AttemptRecord, attempt, answer) for (_, attempt), answer in zip(numbered, answers, strict=True)
    ]
    return [record for record in found if record is not None]


def find_recorded_attempts(database: Database, attempt_ids: Sequence[str]) -> list[bool]:
    """Return for each attempt whether it has a record, which it has once it was shown as running or has ended."""
    commands = [("EXISTS", database.keys.attempt(attempt)) for attempt in attempt_ids]
    return [bool(found) for found in database.read_all(commands)] if commands else []


def find_entry_times(database: Database, run_ids: list[str]) -> list[int | None]:
    """Return the server time (ms) at which each run was put on its stream; None for a run that was not."""
    entries = database.read_all([("HGET", database.keys.run(run_id), "entry") for run_id in run_ids]) if run_ids else []
    return [read_number(entry.partition(b"-")[0]) if entry else None for entry in entries]


def find_last_run_ms(database: Database, job_id: str, due: int) -> int | None:
    """Return when (Unix ms) a job last started an occurrence that was due before the second `due`; None for none."""
    command = ("ZREVRANGEBYSCORE", database.keys.history(job_id), f"({due}", "-inf", "LIMIT", 0, 100)
    for record in find_occurrences(database, [to_text(occurrence) for occurrence in database.read(*command)]):
        if record.state not in NEVER_RAN:
            return record.started_at or record.claimed_at
    return None


def find_occurrences(database: Database, occurrence_ids: list[str]) -> list[OccurrenceRecord]:
    """Return the records of occurrences in the order given; occurrences without a record are left out."""
    answers = database.read_all([("HGETALL", database.keys.occurrence(each)) for each in occurrence_ids])
    found = [
        _decode_record(OccurrenceRecord, each, answer) for each, answer in zip(occurrence_ids, answers, strict=True)
    ]
    return [record for record in found if record is not None]


def find_cancel_reasons(database: Database, run_ids: list[str]) -> list[str]:
    """Return why each of these runs was asked to end, empty where that is not on record."""
    answers = database.read_all([("HGET", database.keys.run(run_id), "cancel_reason") for run_id in run_ids])
    return [to_text(answer or b"") for answer in answers]


def find_message(database: Database, run_id: str) -> Message | None:
    """Read the message that the record of a run keeps until the run is on a stream; None when it keeps none."""
    raw = database.read("HGET", database.keys.run(run_id), "message")
    return None if raw is None else read_message(raw, run_id)


def _decode_record(kind: type[_Record], identity: str, answer: dict[bytes, bytes]) -> _Record | None:
    if b"state" not in answer:
        return None
    fields: dict[str, Any] = {to_text(key): to_text(value) for key, value in answer.items()}
    if "result" in fields:
        fields["result"] = msgspec.Raw(answer[b"result"])
    try:
        return msgspec.convert({"id": identity, **fields}, kind, strict=False)
    except READ_ERRORS as error:
        return _repair_record(kind, {"id": identity, **fields}, explain(error))


def _repair_record(kind: type[_Record], given: dict[str, Any], reason: str) -> _Record:
    """Return a record with the fields that can be read; its error says why the others cannot."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        read = read_value("", partial(msgspec.convert, type=field.type, strict=False), given.get(field.name))
        if not isinstance(read, Unreadable):
            fields[field.name] = read
        elif field.required:
            # A constructor checks no types: a state that nobody knows is shown as what it is.
            fields[field.name] = UNREADABLE if field.name == "state" else 0 if field.type is int else ""
    known = fields.get("error")
    return kind(**{**fields, "error": f"{known + '; ' if known else ''}the record cannot be read: {reason}"})


def read_run_results(database: Database, run_ids: Sequence[str]) -> list[list[bytes | None]]:
    """Read state, result and handler of runs, as stored; None in each place for a run without a record."""
    return database.read_all([("HMGET", database.keys.run(run), "state", "result", "handler") for run in run_ids])
