"""End the entries of streams that cannot be read: put off those of a later version, and end the others as dead.

Nothing is dropped. A message of a later version goes back to its run as it is, byte by byte, until a worker that can
read it takes it. Any other one ends its run as dead, with the reason, and its bytes are the message of the dead letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jobistemer.core.errors import UnreadableRecord
from jobistemer.core.jobs.job import Job
from jobistemer.core.runs.message import WIRE_VERSION, Delivery, Message, explain_unreadable, read_unreadable
from jobistemer.core.runs.settle import FinalState, Outcome
from jobistemer.core.states import AttemptState, OccurrenceState, RunState
from jobistemer.core.unreadable import to_text
from jobistemer.store.calls import jobs, run_ends, runs, streams
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.reading import read_number

MAX_NAMES, MAX_NAME = 10, 40
"""How many fields of an entry of another program are named, and how much of each name."""
LATER_DELAY_MS = 5_000
"""How long a message of a later version waits before a worker is asked again."""


class Buried(NamedTuple):
    """What has become of an entry: POSTPONED, DEAD, or GONE when another caller has ended it; run and task, and why."""

    word: str
    run: str
    handler: str
    reason: str


def bury_entry(
    database: Database, stream: bytes, entry: bytes, fields: Mapping[bytes, bytes] | None, worker: str
) -> Buried:
    """End an entry that is pending for this caller and cannot be read. Raises NotConnected or ServerRefused."""
    if not fields:
        streams.forget_deleted(database, stream, entry)
        return Buried("GONE", "", "", "it was deleted while a worker had it")
    now_ms = database.clock.now_ms()
    raw = fields[b"m"] if b"m" in fields else _show_fields(fields)
    message, version = read_unreadable(raw, runs.new_run_id(now_ms))
    number, crashes = read_number(fields.get(b"n")), read_number(fields.get(b"c"))
    delivery = Delivery(stream, entry, message, max(0, number), max(0, crashes))
    if version > WIRE_VERSION:
        reason = f"its message has wire version {version}, and the workers that were asked read up to {WIRE_VERSION}"
        call = runs.hand_back(database.keys, delivery, now_ms, LATER_DELAY_MS, reason, raw)
        word = database.call(call).word
        if word != "CANCELED":
            return Buried("POSTPONED" if word == "DONE" else "GONE", message.run, message.handler, reason)
    reason = _explain_entry(fields, raw, stream, entry)
    outcome = Outcome(AttemptState.FAILED, error=reason)
    over = FinalState(RunState.DEAD, OccurrenceState.FAILED, spent=True)
    ended = EndedAttempt(delivery, outcome, over, worker, 0, now_ms, "fetched", raw=raw)
    word = database.call(run_ends.end_run(database.keys, ended, over, _find_job(database, message))).word
    return Buried("GONE" if word == "STALE" else "DEAD", message.run, message.handler, reason)


def _explain_entry(fields: Mapping[bytes, bytes], raw: bytes, stream: bytes, entry: bytes) -> str:
    where = f"entry {to_text(entry)} of {to_text(stream)}"
    if b"m" in fields:
        return f"its message cannot be read ({where}): {explain_unreadable(raw)}"
    names = ", ".join(to_text(name)[:MAX_NAME] for name in list(fields)[:MAX_NAMES])
    return f"{where} has no message, but the fields {names}: another program has written it"


def _show_fields(fields: Mapping[bytes, bytes]) -> bytes:
    """Return the fields of an entry of another program as text, which no worker reads as a message."""
    return b"\n".join(name + b"=" + value for name, value in fields.items())


def _find_job(database: Database, message: Message) -> Job | None:
    slot = message.task_ref
    try:
        return jobs.find_version(database, slot.job, slot.version) if slot else None
    except UnreadableRecord:
        # Neither can be read: the occurrence is counted down without the order of its tasks.
        return None
