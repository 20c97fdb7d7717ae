"""The runs that have ended: the latest of each state, from the lists that the committing scripts keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from jobistemer.core.reads.summaries import RunSummary
from jobistemer.core.runs.records import count_attempts
from jobistemer.core.states import RunState
from jobistemer.core.unreadable import to_text
from jobistemer.store.database import Database
from jobistemer.store.reading import read_number

ENDED_STATES: Final = tuple(
    map(str, (RunState.FAILED, RunState.DEAD, RunState.TIMED_OUT, RunState.CANCELED, RunState.SUCCEEDED))
)
"""The states in which runs are listed when they have ended."""
MAX_KEPT: Final = 1_000
"""How many runs each shard lists of each state."""
_FIELDS: Final = ("state", "handler", "place", "ended_at", "attempt", "error", "occurrence", "unbegun")


def list_ended_runs(
    shards: Sequence[Database],
    states: Iterable[str] = ENDED_STATES,
    *,
    queue: str = "",
    task: str = "",
    limit: int = MAX_KEPT,
) -> list[RunSummary]:
    """Return the runs that ended last in these states, the latest first; those whose records have expired are left out.

    queue: only runs of this queue. task: only tasks whose names contain this text, whatever its case.
    """
    count = MAX_KEPT if queue or task else min(limit, MAX_KEPT)
    found = [run for database in shards for run in _list_of_shard(database, tuple(states), count)]
    wanted = task.casefold()
    chosen = [run for run in found if queue in {"", run.queue} and wanted in run.task.casefold()]
    return sorted(chosen, key=lambda run: (run.at, run.id), reverse=True)[:limit]


def _list_of_shard(database: Database, states: Sequence[str], count: int) -> list[RunSummary]:
    keys = database.keys
    lists = [*states, *(["canceled"] if "timed_out" in states and "canceled" not in states else [])]
    # A run that the deadline of its occurrence ends is listed as canceled: the script finds out that it has timed out.
    listed = database.read_all([("LRANGE", keys.ended(state), 0, count - 1) for state in lists])
    runs = list(dict.fromkeys(to_text(each) for answer in listed for each in answer))
    answers = database.read_all([("HMGET", keys.run(run), *_FIELDS) for run in runs])
    # The record says in which state a run is; what is listed without a record has expired.
    built = (_build(run, fields) for run, fields in zip(runs, answers, strict=True))
    return [run for run in built if run.state in states]


def _build(run: str, fields: list[Any]) -> RunSummary:
    ended_at, attempt, unbegun = fields.pop(3), fields.pop(3), fields.pop()
    state, handler, place, error, occurrence = (to_text(each or b"") for each in fields)
    return RunSummary(
        id=run,
        task=handler,
        queue=place.rpartition(":")[0],
        state=state,
        at=read_number(ended_at),
        attempt=read_number(attempt),
        note=error,
        occurrence=occurrence,
        attempts=count_attempts(state, read_number(attempt), read_number(unbegun)),
    )
