"""The message of a run, wherever it is at present: in the record of the run, or on its stream."""

from __future__ import annotations

from jobistemer.core.runs.message import Message, read_message
from jobistemer.core.runs.records import RunRecord
from jobistemer.store.database import Database
from jobistemer.store.keys import front_of
from jobistemer.store.reads.records import find_message


def find_sent_message(database: Database, run: RunRecord) -> Message | None:
    """Return the message of a run; None when none is kept, as of a run that has succeeded."""
    kept = find_message(database, run.id)
    if kept is not None or not run.entry:
        return kept
    # A run that waited for a limit is on the front of its queue. Entries of two streams may have the same id, so the
    # message decides whose entry it is.
    for where in (run.place, front_of(run.place)):
        for _, fields in database.read("XRANGE", database.keys.stream(where), run.entry, run.entry):
            message = read_message(fields.get(b"m", b""), run.id)
            if message.run == run.id:
                return message
    return None
