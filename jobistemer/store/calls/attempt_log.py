"""Calls and reads for the log lines and the progress of an attempt."""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.core import ids
from jobistemer.core.handlers.attempt_log import MAX_LINES, AttemptLogRecord, decode_line, decode_progress
from jobistemer.core.runs.message import Delivery
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Call, script

MAX_LINES_PER_CALL = 100
"""How many lines one call carries at most."""
_SPARE_LINES = 100


def write_attempt_log(
    keys: Keys, delivery: Delivery, lines: Sequence[bytes], first: int, keep: int, progress: bytes, expiry_ms: int
) -> Call:
    """Build the call that stores lines and progress.

    first: the number of the first line within the attempt. progress: JSON, empty to leave it as it is.
    """
    run = delivery.message.run
    attempt = ids.attempt_id(run, delivery.attempt)
    return script("write_attempt_log")(
        (keys.run(run), keys.attempt(attempt), keys.log(attempt)),
        (delivery.entry, progress, first, keep, expiry_ms, *lines[:MAX_LINES_PER_CALL]),
    )


def read_attempt_log(database: Database, attempt_id: str, after: int = 0) -> AttemptLogRecord:
    """Read the log of an attempt: its progress, and the lines from number `after` on that are still kept."""
    written, progress = database.ask("HMGET", database.keys.attempt(attempt_id), "lines", "progress")
    total = int(written or 0)
    lines = []
    if total > after:
        # More lines may be written between the two commands: then the last so many would not reach back far enough.
        count = min(total - after + _SPARE_LINES, MAX_LINES)
        found = database.ask("LRANGE", database.keys.log(attempt_id), -count, -1)
        lines = [line for line in map(decode_line, found) if line.n >= after]
    return AttemptLogRecord(lines, total, decode_progress(progress) if progress else None)
