"""Cancel a run or an occurrence by its id, on whatever shard it lives."""

from __future__ import annotations

from collections.abc import Callable

from jobistemer.core.errors import Conflict, NotFound, UnknownRun
from jobistemer.store.actions import cancel
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace

BY_HAND = "by hand"


def cancel_run(namespace: Namespace, run_id: str, reason: str = BY_HAND) -> str:
    """Cancel a run wherever it is: `canceled` now, `requested` of the worker that runs it, or `ended` before.

    A worker hears a request within a second. Raises UnknownRun, or Conflict when the run moves too fast to be caught.
    """
    word = _ask_shards(namespace, lambda shard: cancel.cancel_run(shard, run_id, reason))
    if word == "UNKNOWN":
        raise UnknownRun(f"run {run_id:.100} is not on record: it never was, or its retention is over")
    if word == "BUSY":
        raise Conflict(f"run {run_id} moved on with each look at it; cancel it again")
    return word.lower()


def cancel_occurrence(namespace: Namespace, occurrence: str, reason: str = BY_HAND) -> str:
    """Cancel an occurrence with all its runs: `canceled` now, `requested` of workers, or `ended` before.

    Raises NotFound.
    """
    word = _ask_shards(namespace, lambda shard: cancel.cancel_occurrence(shard, occurrence, reason))
    if word == "UNKNOWN":
        raise NotFound(f"occurrence {occurrence} is not on record: it never was, or its retention is over")
    return word.lower()


def _ask_shards(namespace: Namespace, ask: Callable[[Database], str]) -> str:
    # The id of a run or an occurrence does not tell its shard: that is its job's, or its unique key's.
    words = (ask(shard) for shard in namespace.shards)
    return next((word for word in words if word != "UNKNOWN"), "UNKNOWN")
