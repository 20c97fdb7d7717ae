"""Cancel a run or an occurrence by its id, whatever shard it is on."""

from __future__ import annotations

from collections.abc import Callable

from jobistemer.control.changes import ChangeList
from jobistemer.core.checks import check_id, show
from jobistemer.core.errors import Conflict, InvalidInput, NotFound, UnknownRun
from jobistemer.core.safe_text import make_storable
from jobistemer.core.text import BY_HAND
from jobistemer.store.actions import cancel
from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace


def cancel_run(namespace: Namespace, run_id: str, reason: str = BY_HAND, by: str | None = None) -> str:
    """Cancel a run in any state. by: the person, for the list of changes; None for a program.

    Returns `canceled`; `requested`, when a worker executes the run and learns of the request within a second; or
    `ended`, when the run had ended before. Raises UnknownRun, or Conflict when the run changed its state at each try.
    """
    check_id("run id", run_id)
    why = make_storable(name_author(reason, by))
    word = _ask_shards(namespace, lambda shard: cancel.cancel_run(shard, run_id, why))
    if word == "UNKNOWN":
        raise UnknownRun(f"run {run_id:.100} is not on record: it never was, or its retention is over")
    if word == "BUSY":
        raise Conflict(f"run {run_id} moved on with each look at it; cancel it again")
    _record(namespace, by, "cancel run", run_id, f"{word.lower()}: {reason}")
    return word.lower()


def cancel_occurrence(namespace: Namespace, occurrence: str, reason: str = BY_HAND, by: str | None = None) -> str:
    """Cancel an occurrence with all its runs. by: see `cancel_run`.

    Returns `canceled`; `requested`, when workers execute runs of it; or `ended`, when it had ended before.
    Raises NotFound.
    """
    check_id("occurrence id", occurrence)
    why = make_storable(name_author(reason, by))
    word = _ask_shards(namespace, lambda shard: cancel.cancel_occurrence(shard, occurrence, why))
    if word == "UNKNOWN":
        raise NotFound(f"occurrence {occurrence} is not on record: it never was, or its retention is over")
    _record(namespace, by, "cancel occurrence", occurrence, f"{word.lower()}: {reason}")
    return word.lower()


def name_author(reason: str, by: str | None) -> str:
    """Return a reason with the name of the person whose it is; None for a program. Raises InvalidInput for no text."""
    if not isinstance(reason, str):
        raise InvalidInput(f"reason is {show(reason)}, allowed is a text")
    return reason if by is None else f"{reason} (by {by})"


def _record(namespace: Namespace, by: str | None, what: str, target: str, note: str) -> None:
    # Programs cancel many runs, and each record has the reason. The list is for what people do, who have a name.
    if by is not None:
        ChangeList(namespace, by).record(what, target, note)


def _ask_shards(namespace: Namespace, ask: Callable[[Database], str]) -> str:
    # The id of a run or an occurrence does not say its shard: the job of the run does, its unique key or its limit.
    words = (ask(shard) for shard in namespace.shards)
    return next((word for word in words if word != "UNKNOWN"), "UNKNOWN")
