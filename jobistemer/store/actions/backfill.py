"""Backfills: each step fires as many instants as may be in flight, and records the progress.

A step is idempotent: the ids of its occurrences follow from the job, the instant and the backfill, so a step that is
taken twice (by two tickers, or again after a crash) fires nothing twice. Only the progress is decided by a script.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import msgspec

from jobistemer.core import ids
from jobistemer.core.errors import UnreadableRecord
from jobistemer.core.jobs.job import Job, Overlap
from jobistemer.core.planning.backfill import Backfill, BackfillProgress, BackfillStatus, iter_instants
from jobistemer.core.planning.recovery import is_excluded
from jobistemer.core.states import TERMINAL_OCCURRENCES, OccurrenceState
from jobistemer.core.unreadable import Unreadable, read_value
from jobistemer.store.calls import chores, jobs, occurrences
from jobistemer.store.calls.jobs import StoredJob
from jobistemer.store.calls.occurrences import FireRequest
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import ScriptCall, script

INSTANTS_PER_STEP = 100
"""How many instants one step looks at."""
STEP_PAUSE_MS = 100
"""After so long a ticker takes the next step."""
IDLE_PAUSE_MS = 1_000
"""After so long a ticker takes the next step when nothing could be fired."""
KEEP_MS = 7 * 86_400_000
"""How long the record of an ended backfill is kept."""


class StoredBackfill(NamedTuple):
    """The record of a backfill; `step` is the number of its next step, or `ended`."""

    backfill: Backfill
    progress: BackfillProgress
    step: str


def start(keys: Keys, backfill: Backfill) -> ScriptCall:
    """Build the call that stores a backfill; tickers begin with it at once."""
    return script("start_backfill")(
        (keys.backfill(backfill.id), keys.chores, keys.wake),
        (
            chores.backfill_chore(backfill.id),
            msgspec.json.encode(backfill),
            msgspec.json.encode(BackfillProgress()),
            backfill.started_at,
        ),
    )


def find_backfill(database: Database, backfill_id: str) -> StoredBackfill | None:
    """Return a backfill by its id; None when it does not exist or ended more than a week ago."""
    definition, progress, step = database.read(
        "HMGET", database.keys.backfill(backfill_id), "definition", "progress", "step"
    )
    if definition is None:
        return None
    found = read_value(database.keys.backfill(backfill_id), _decode_backfill, definition, progress, step)
    if isinstance(found, Unreadable):
        raise UnreadableRecord(f"backfill {backfill_id} cannot be read: {found.reason}")
    return found


def _decode_backfill(definition: bytes, progress: bytes, step: bytes) -> StoredBackfill:
    return StoredBackfill(
        msgspec.json.decode(definition, type=Backfill),
        msgspec.json.decode(progress, type=BackfillProgress),
        step.decode(),
    )


def cancel(database: Database, backfill_id: str) -> bool:
    """Stop a backfill; occurrences that it has fired come to their end. Returns whether it was running."""
    while (known := find_backfill(database, backfill_id)) and known.progress.status is BackfillStatus.RUNNING:
        ended = _finish(known.progress, BackfillStatus.CANCELED, database.clock.now_ms(), "canceled")
        if database.call(_advance(database.keys, known, ended, 0)).word == "ADVANCED":
            return True
    return False


def take_step(database: Database, backfill_id: str) -> None:
    """Fire as many instants as may be in flight, and record the progress. Raises NotConnected or ServerRefused."""
    known = find_backfill(database, backfill_id)
    if known is None or known.progress.status is not BackfillStatus.RUNNING:
        chores.drop_chore(database, chores.backfill_chore(backfill_id))
        return
    now_ms = database.read_clock()
    stored = jobs.find_job(database, known.backfill.job)
    before = known.progress
    if stored is None:
        after = _finish(before, BackfillStatus.CANCELED, now_ms, "the job was removed")
    else:
        after = _fire_instants(database, stored, known.backfill, _count_ended(database, before), now_ms)
    look_at = now_ms + (IDLE_PAUSE_MS if after == before else STEP_PAUSE_MS)
    database.call(_advance(database.keys, known, after, look_at))


def _count_ended(database: Database, progress: BackfillProgress) -> BackfillProgress:
    """Return the progress with the occurrences that have ended since counted."""
    states = _read_states(database, progress.in_flight)
    ended = [state for state in states.values() if state is None or state in TERMINAL_OCCURRENCES]
    completed = ended.count(OccurrenceState.COMPLETED)
    return msgspec.structs.replace(
        progress,
        in_flight=tuple(each for each, state in states.items() if state and state not in TERMINAL_OCCURRENCES),
        completed=progress.completed + completed,
        failed=progress.failed + len(ended) - completed,
    )


def _fire_instants(
    database: Database, stored: StoredJob, backfill: Backfill, progress: BackfillProgress, now_ms: int
) -> BackfillProgress:
    job = stored.job
    instants = list(islice(iter_instants(job, backfill, progress.position), INSTANTS_PER_STEP))
    if not instants and not progress.in_flight:
        return _finish(progress, BackfillStatus.COMPLETED, now_ms, "")
    known = _read_states(database, [ids.occurrence_id(job.id, each) for each in instants])
    for instant, (occurrence, state) in zip(instants, known.items(), strict=True):
        if instant > stored.cursor:
            # The schedule has not decided this instant. Fired here, it would run twice.
            break
        if is_excluded(job, instant):
            progress = _move_to(progress, instant, excluded=progress.excluded + 1)
            continue
        request = _build_request(job, backfill, instant, state)
        if request is None and not _was_fired_by(database, occurrence, backfill):
            progress = _move_to(progress, instant, existing=progress.existing + 1)
            continue
        if len(progress.in_flight) >= _max_in_flight(job, backfill):
            break
        if request is not None:
            reply = database.call(occurrences.fire(database.keys, job, stored.version, request, now_ms))
            if reply.word in ("BUSY", "STALE"):
                break
        flies = request.repeat_id if request is not None and request.repeat_id else occurrence
        progress = _move_to(progress, instant, in_flight=(*progress.in_flight, flies), fired=progress.fired + 1)
    return progress


def _build_request(job: Job, backfill: Backfill, instant: int, state: OccurrenceState | None) -> FireRequest | None:
    """Return the request that fires an instant; None when the occurrence on record is kept."""
    reason, origin = f"backfilled by {backfill.by or backfill.id}", f"backfill {backfill.id}"
    if state is None:
        return FireRequest(instant, reason, origin)
    if state not in backfill.again:
        return None
    return FireRequest(instant, f"{reason}: it was {state}", origin, ids.repeated_id(job.id, instant, backfill.id))


def _was_fired_by(database: Database, occurrence: str, backfill: Backfill) -> bool:
    # By a step whose progress is not recorded: its process died in between.
    origin = database.ask("HGET", database.keys.occurrence(occurrence), "origin")
    return bool(origin == f"backfill {backfill.id}".encode())


def _max_in_flight(job: Job, backfill: Backfill) -> int:
    return backfill.concurrency if job.overlap == Overlap.ALLOW else 1


def _read_states(database: Database, found: list[str] | tuple[str, ...]) -> dict[str, OccurrenceState | None]:
    keys = database.keys
    answers = database.ask_all([("HGET", keys.occurrence(each), "state") for each in found]) if found else []
    states = (None if answer is None else OccurrenceState(answer.decode()) for answer in answers)
    return dict(zip(found, states, strict=True))


def _move_to(progress: BackfillProgress, position: int, **changes: object) -> BackfillProgress:
    return msgspec.structs.replace(progress, position=position, **changes)


def _finish(progress: BackfillProgress, status: BackfillStatus, now_ms: int, note: str) -> BackfillProgress:
    return msgspec.structs.replace(progress, status=status, note=note, ended_at=now_ms)


def _advance(keys: Keys, known: StoredBackfill, progress: BackfillProgress, look_at: int) -> ScriptCall:
    keep_ms = 0 if progress.status is BackfillStatus.RUNNING else KEEP_MS
    return script("advance_backfill")(
        (keys.backfill(known.backfill.id), keys.chores),
        (chores.backfill_chore(known.backfill.id), known.step, msgspec.json.encode(progress), look_at, keep_ms),
    )
