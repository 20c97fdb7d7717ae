"""The log lines about entries that cannot be read."""

from __future__ import annotations

import logging

from jobistemer.core.unreadable import to_text
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.logging import facts
from jobistemer.store.actions.bury_entry import Buried

log = logging.getLogger("jobistemer.worker")


def log_buried(buried: Buried, stream: bytes, entry: bytes) -> None:
    """Say what has become of an entry that cannot be read; at most one line a minute for a stream."""
    known = facts(run=buried.run)
    cause = f"{buried.word} {to_text(stream)}"
    if buried.word == "POSTPONED":
        text, where = "%s: %s; %s waits for one that can read it", f"entry {to_text(entry)} of {to_text(stream)}"
        log_limited(log, logging.WARNING, cause, text, where, buried.reason, buried.run, extra=known)
    elif buried.word == "DEAD":
        # The reason names the entry. Those after the first of a minute are counted; each is a dead letter of its own.
        text = "%s; %s is dead: `jobistemer dead list` names each such entry, `jobistemer dead show` has its bytes"
        log_limited(log, logging.ERROR, cause, text, buried.reason, buried.run, extra=known)
