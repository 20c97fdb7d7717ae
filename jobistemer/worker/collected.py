"""What a handler has collected, on its way to the server with the outcome of its attempt."""

from __future__ import annotations

from jobistemer.core.endings import SUCCEEDED, Ending
from jobistemer.store import runs, transactions
from jobistemer.store.runs import Ended
from jobistemer.store.scripts import Call
from jobistemer.worker.flight import Flight


def with_transaction(flight: Flight, ending: Ending, commit: Call) -> Call:
    """The call that commits and applies the handler's transaction; the plain one when there is none to apply."""
    collected = flight.desk.collected if flight.desk is not None and ending == SUCCEEDED else None
    if collected is None:
        return commit
    return transactions.commit_transaction(
        flight.database.keys, flight.delivery, commit, collected.writes, collected.follow_ups
    )


def last_notes(flight: Flight, ended: Ended, ending: Ending) -> list[Call]:
    """The calls that bring the attempt's notes up to date before its outcome, and let them expire with it."""
    if flight.desk is None or not flight.desk.notebook.used:
        return []
    return flight.desk.notebook.calls(flight.database.keys, flight.delivery, runs.kept_ms(ended, ending))
