"""Put aside what a ticker or a worker cannot read, and say so in its log, once."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from jobistemer.core.unreadable import Unreadable
from jobistemer.runtime.log_limit import log_limited
from jobistemer.store.actions.quarantine import put_aside, try_put_keys_aside
from jobistemer.store.database import Database

_log = logging.getLogger("jobistemer.quarantine")


def put_aside_and_log(database: Database, found: Sequence[Unreadable], records: Sequence[str] = ()) -> None:
    """Move members that cannot be read to the quarantine, and say so. records: see `put_aside`."""
    if not found:
        return
    moved = put_aside(database, found, records)
    for each in moved:
        _say_moved(each)
    for each in found if not moved else ():
        log_limited(_log, logging.ERROR, str(each), "%s; it could not be put aside", each)


def mend_types(database: Database, keys: Sequence[str]) -> bool:
    """Put aside those of the keys that have the wrong type, and say so. Returns whether there were any."""
    moved = try_put_keys_aside(database, keys)
    for each in moved:
        _say_moved(each)
    return bool(moved)


def _say_moved(found: Unreadable) -> None:
    text = "%s; it was put aside, see `jobistemer quarantine list`"
    log_limited(_log, logging.ERROR, found.key, text, str(found))
