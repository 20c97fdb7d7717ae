"""Whether the server is still the one that this process knows: it may have been emptied, replaced or restored.

Each shard has an identity, made by the first beat that finds none. A beat that finds another identity than the beat
before was answered by a server that has lost everything since. A beat that finds an older beat of its own process was
answered by a server that has gone back: restored from a copy, or a replica that had not received the last writes.
"""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import NamedTuple

from jobistemer.store.namespace import Namespace, confirm_shards

QUIET_S = 10.0
"""Seconds in which further shards that report the same event are not logged."""

log = logging.getLogger("jobistemer")


class Beat(NamedTuple):
    """A beat as a server has it: the identity of the shard, and the ms of the last beat of this process, if any."""

    identity: str
    at_ms: int | None


class Continuity:
    """What one process knows of the identities of its shards.

    namespace: None in tests of one shard. doubt: why the namespace may not be what this process was started for, empty
    when it is; each beat looks again then. conflict: why this process must end, since the namespace has another number
    of shards now; empty while it has not.
    """

    def __init__(self, namespace: Namespace | None = None) -> None:
        self._namespace = namespace
        self._lock = Lock()
        self._logged_at: float | None = None
        self.doubt = ""
        self.conflict = ""

    def observe(self, last: Beat | None, found: Beat) -> bool:
        """Compare what a beat has found with the beat before; return whether what is remembered is no longer true.

        last: what the beat before has left there, None for the first one. Nothing has happened when both are equal and
        there is no doubt. Raises NotConnected or ServerRefused.
        """
        event = ""
        if last is not None and last.identity != found.identity:
            event = "was emptied, or another one has taken its place"
        elif last is not None and found.at_ms is not None and last.at_ms is not None and found.at_ms < last.at_ms:
            gone_s = (last.at_ms - found.at_ms) / 1000
            event = f"has gone back by {gone_s:.1f} s: it was restored, or a replica took over"
        if event:
            self._report(event)
        if self.doubt:
            self._check_shards()
        return bool(event)

    def explain_doubt(self) -> str:
        """Return why the namespace is not what this process was started for; empty when it is."""
        return self.conflict or self.doubt

    def _report(self, event: str) -> None:
        with self._lock:
            now = time.monotonic()
            is_news = self._logged_at is None or now - self._logged_at >= QUIET_S
            self._logged_at = now
        namespace = self._namespace
        if is_news:
            log.error(
                "the server of %s %s: what this process remembered no longer counts; `jobistemer deploy` brings back "
                "jobs that are missing",
                namespace or "this shard",
                event,
            )
        if namespace is not None:
            namespace.placement.forget()
            self.doubt = f"its server {event}"

    def _check_shards(self) -> None:
        namespace = self._namespace
        assert namespace is not None  # noqa: S101 - only a namespace gives rise to doubt
        stored, mine = confirm_shards(namespace), len(namespace.shards)
        if stored == mine:
            self.doubt = ""
        elif stored is None:
            self.doubt = "its server was emptied, and nothing has been deployed since: run `jobistemer deploy`"
        else:
            self.conflict = f"{namespace} has {stored} shards now, and had {mine} when this process was started"
