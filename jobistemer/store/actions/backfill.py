"""Drive a backfill: each step fires what there is room for, and notes how far that is.

A step is idempotent: what it fires has ids that follow from the job, the instant and the backfill, so a step that is
taken twice (by two tickers, or again after a crash) fires nothing twice. Only the note of it is decided by one script.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import msgspec

from jobistemer.core import ids
from jobistemer.core.jobs.job import Job, Overlap
from jobistemer.core.planning.backfill import Backfill, Progress, Status, instants_from, is_excluded
from jobistemer.core.states import TERMINAL_OCCURRENCES, OccurrenceState
from jobistemer.store.calls import jobs, occurrences
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.calls.occurrences import Asked
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Call, script

LOOKED_AT = 100
"""How many instants one step looks at."""
SOON_MS = 100
IDLE_MS = 1_000
KEEP_MS = 7 * 86_400_000


class Known(NamedTuple):
    """A backfill as it is on record; `step` is empty once it has ended."""

    backfill: Backfill
    progress: Progress
    step: str


def start(keys: Keys, backfill: Backfill) -> Call:
    """Put a backfill on record; tickers begin with it at once."""
    return script("start_backfill")(
        (keys.backfill(backfill.id), keys.chores, keys.wake),
        (backfill.id, msgspec.json.encode(backfill), msgspec.json.encode(Progress()), backfill.started_at),
    )


def find_backfill(database: Database, backfill_id: str) -> Known | None:
    """A backfill by its id, or None: it never was, or ended more than a week ago."""
    definition, progress, step = database.ask(
        "HMGET", database.keys.backfill(backfill_id), "definition", "progress", "step"
    )
    if definition is None:
        return None
    return Known(
        msgspec.json.decode(definition, type=Backfill), msgspec.json.decode(progress, type=Progress), step.decode()
    )


def list_running(database: Database) -> list[str]:
    """The ids of the backfills that tickers work on."""
    chores = [chore.decode() for chore in database.ask("ZRANGE", database.keys.chores, 0, -1)]
    return [chore.removeprefix("backfill:") for chore in chores if chore.startswith("backfill:")]


def cancel(database: Database, backfill_id: str) -> bool:
    """Fire nothing more of a backfill; whether it was running. What was fired comes to its end."""
    while (known := find_backfill(database, backfill_id)) and known.progress.status is Status.RUNNING:
        ended = _ended(known.progress, Status.CANCELED, database.clock.now_ms(), "canceled")
        if database.call(_advance(database.keys, known, ended, 0)).word == "ADVANCED":
            return True
    return False


def take_step(database: Database, backfill_id: str) -> None:
    """Fire what there is room for, and note it."""
    known = find_backfill(database, backfill_id)
    if known is None or known.progress.status is not Status.RUNNING:
        database.ask("ZREM", database.keys.chores, f"backfill:{backfill_id}")
        return
    now_ms = database.read_clock()
    stored = jobs.find_job(database, known.backfill.job)
    before = known.progress
    if stored is None:
        after = _ended(before, Status.CANCELED, now_ms, "the job was removed")
    else:
        after = _fired(database, stored, known.backfill, _landed(database, before), now_ms)
    look_at = now_ms + (IDLE_MS if after == before else SOON_MS)
    database.call(_advance(database.keys, known, after, look_at))


def _landed(database: Database, progress: Progress) -> Progress:
    """The progress without what has ended since."""
    states = _states(database, progress.flying)
    ended = [state for state in states.values() if state is None or state in TERMINAL_OCCURRENCES]
    completed = ended.count(OccurrenceState.COMPLETED)
    return msgspec.structs.replace(
        progress,
        flying=tuple(each for each, state in states.items() if state and state not in TERMINAL_OCCURRENCES),
        completed=progress.completed + completed,
        failed=progress.failed + len(ended) - completed,
    )


def _fired(database: Database, stored: StoredJob, backfill: Backfill, progress: Progress, now_ms: int) -> Progress:
    job = stored.job
    instants = list(islice(instants_from(job, backfill, progress.position), LOOKED_AT))
    if not instants and not progress.flying:
        return _ended(progress, Status.COMPLETED, now_ms, "")
    known = _states(database, [ids.occurrence_id(job.id, each) for each in instants])
    for instant, (occurrence, state) in zip(instants, known.items(), strict=True):
        if instant > stored.cursor:
            # It is for the schedule to decide; what it makes of it is left alone.
            break
        if is_excluded(job, instant):
            progress = _at(progress, instant, excluded=progress.excluded + 1)
            continue
        asked = _asked(job, backfill, instant, state)
        if asked is None and not _is_ours(database, occurrence, backfill):
            progress = _at(progress, instant, existing=progress.existing + 1)
            continue
        if len(progress.flying) >= _room(job, backfill):
            break
        if asked is not None:
            reply = database.call(occurrences.fire(database.keys, job, stored.version, asked, now_ms))
            if reply.word in ("BUSY", "STALE"):
                break
        flies = asked.repeated if asked is not None and asked.repeated else occurrence
        progress = _at(progress, instant, flying=(*progress.flying, flies), fired=progress.fired + 1)
    return progress


def _asked(job: Job, backfill: Backfill, instant: int, state: OccurrenceState | None) -> Asked | None:
    """How to fire an instant; None when its record stands."""
    reason, origin = f"backfilled by {backfill.by or backfill.id}", f"backfill {backfill.id}"
    if state is None:
        return Asked(instant, reason, origin)
    if state not in backfill.again:
        return None
    return Asked(instant, f"{reason}: it was {state}", origin, ids.repeated_id(job.id, instant, backfill.id))


def _is_ours(database: Database, occurrence: str, backfill: Backfill) -> bool:
    # Fired by a step that was not noted: its process died in between.
    origin = database.ask("HGET", database.keys.occurrence(occurrence), "origin")
    return bool(origin == f"backfill {backfill.id}".encode())


def _room(job: Job, backfill: Backfill) -> int:
    return backfill.concurrency if job.overlap == Overlap.ALLOW else 1


def _states(database: Database, found: list[str] | tuple[str, ...]) -> dict[str, OccurrenceState | None]:
    keys = database.keys
    answers = database.ask_all([("HGET", keys.occurrence(each), "state") for each in found]) if found else []
    states = (None if answer is None else OccurrenceState(answer.decode()) for answer in answers)
    return dict(zip(found, states, strict=True))


def _at(progress: Progress, position: int, **changes: object) -> Progress:
    return msgspec.structs.replace(progress, position=position, **changes)


def _ended(progress: Progress, status: Status, now_ms: int, note: str) -> Progress:
    return msgspec.structs.replace(progress, status=status, note=note, ended_at=now_ms)


def _advance(keys: Keys, known: Known, progress: Progress, look_at: int) -> Call:
    keep_ms = 0 if progress.status is Status.RUNNING else KEEP_MS
    return script("advance_backfill")(
        (keys.backfill(known.backfill.id), keys.chores),
        (known.backfill.id, known.step, msgspec.json.encode(progress), look_at, keep_ms),
    )
