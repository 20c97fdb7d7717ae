"""The call that sends a signal to a run, and the search for a run by its unique key."""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.core.runs.steps import MAX_SIGNALS, MAX_SIGNALS_BYTES, Signal
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import ScriptCall, script


def send_signal(keys: Keys, run: str, place_name: str, signal: Signal) -> ScriptCall:
    """Build the call that keeps a signal for a run, and wakes the run when it waits for this one.

    place_name: of the run, as its record has it.
    """
    return script("send_signal")(
        (keys.run(run), keys.stream(place_name), keys.streams, keys.delayed, keys.questions),
        (
            run,
            place_name,
            signal.id,
            signal.name,
            signal.value,
            signal.by,
            signal.call,
            signal.at,
            MAX_SIGNALS,
            MAX_SIGNALS_BYTES,
        ),
    )


def find_holder(database: Database, locks: Sequence[str]) -> str:
    """Return the run that holds the first of these unique locks that is held; empty when none is."""
    found = database.ask_all([("GET", database.keys.unique(lock)) for lock in locks])
    return next((each.decode() for each in found if each), "")
