"""Calls and views for what handlers note while they run: log lines and progress."""

from __future__ import annotations

from collections.abc import Sequence

from jobistemer.core import ids
from jobistemer.core.handlers.attempt_log import MAX_LINES, AttemptLogRecord, decode_line, decode_progress
from jobistemer.core.runs.message import Delivery
from jobistemer.store.database import Database
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Call, script

MAX_LINES_PER_CALL = 100
"""How many lines one call may carry."""
_SPARE_LINES = 100


def write_attempt_log(
    keys: Keys, delivery: Delivery, lines: Sequence[bytes], first: int, keep: int, progress: bytes, expiry_ms: int
) -> Call:
    """Keep lines, of which the first has the number `first` within the attempt, and progress unless it is empty."""
    run = delivery.message.run
    attempt = ids.attempt_id(run, delivery.attempt)
    return script("write_attempt_log")(
        (keys.run(run), keys.attempt(attempt), keys.log(attempt)),
        (delivery.entry, progress, first, keep, expiry_ms, *lines[:MAX_LINES_PER_CALL]),
    )


def read_attempt_log(database: Database, attempt_id: str, after: int = 0) -> AttemptLogRecord:
    """What is on record of an attempt; of its lines those from number `after` on that are still kept."""
    written, progress = database.ask("HMGET", database.keys.attempt(attempt_id), "lines", "progress")
    total = int(written or 0)
    lines = []
    if total > after:
        # More may have been written since: then the last so many do not reach back as far, hence some to spare.
        count = min(total - after + _SPARE_LINES, MAX_LINES)
        found = database.ask("LRANGE", database.keys.log(attempt_id), -count, -1)
        lines = [line for line in map(decode_line, found) if line.n >= after]
    return AttemptLogRecord(lines, total, decode_progress(progress) if progress else None)
