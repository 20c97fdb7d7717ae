"""What a handler has collected, on its way to the server with the outcome of its attempt."""

from __future__ import annotations

from jobistemer.core.runs.settle import SUCCEEDED, Ending
from jobistemer.store.calls import runs, transactions
from jobistemer.store.calls.runs import Ended
from jobistemer.store.scripts import Call
from jobistemer.worker.attempts.attempt import Flight
from jobistemer.worker.commit.hook_notifier import Herald


def with_transaction(flight: Flight, ending: Ending, commit: Call) -> Call:
    """The call that commits and applies the handler's transaction; the plain one when there is none to apply."""
    collected = flight.desk.collected if flight.desk is not None and ending == SUCCEEDED else None
    if collected is None:
        return commit
    follow_ups = [call for _, call in collected.follow_ups]
    return transactions.commit_transaction(flight.delivery, commit, collected.writes, follow_ups)


def last_notes(flight: Flight, ended: Ended, ending: Ending) -> list[Call]:
    """The calls that bring the attempt's notes up to date before its outcome, and let them expire with it."""
    if flight.desk is None or not flight.desk.notebook.used:
        return []
    return flight.desk.notebook.calls(flight.database.keys, flight.delivery, runs.kept_ms(ended, ending))


def announce(herald: Herald, flight: Flight, ended: Ended, ending: Ending) -> None:
    """Have hooks told of an end that is on record, and of the runs that were created with it."""
    herald.announce((ended, ending))
    collected = flight.desk.collected if flight.desk is not None and ending == SUCCEEDED else None
    for message, _ in collected.follow_ups if collected is not None else ():
        herald.announce(message)
