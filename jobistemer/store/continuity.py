"""Whether the server is still the one that this process knows: it may have been emptied, replaced or restored.

Each shard has an identity, made by the first beat that finds none. A beat that finds another identity than the beat
before was answered by a server that has lost everything since. A beat that finds an older beat of its own process was
answered by a server that has gone back: restored from a copy, or a replica that had not received the last writes.
"""

from __future__ import annotations

import logging
import secrets
import time
from threading import Lock

from jobistemer.store.database import Database
from jobistemer.store.namespace import Namespace, confirm_shards

QUIET_S = 10.0
"""Seconds in which further shards that report the same event are not logged."""

log = logging.getLogger("jobistemer")


class Continuity:
    """What one process knows of the identities of its shards.

    namespace: None in tests of one shard. conflict: why this process must end, since the namespace has another number
    of shards now; empty while it has not.
    """

    def __init__(self, namespace: Namespace | None = None) -> None:
        self._namespace = namespace
        self._seen: dict[Database, tuple[str, int]] = {}
        self._lock = Lock()
        self._logged_at: float | None = None
        self._doubt = ""
        self.conflict = ""

    @property
    def candidate(self) -> str:
        """A new identity for a shard that has none; another one with each beat, so that it cannot come back."""
        return secrets.token_hex(8)

    def observe(self, database: Database, identity: str, found_ms: int | None, sent_ms: int) -> bool:
        """Compare a beat with the one before; return whether what is remembered of this shard is no longer true.

        found_ms: the beat of this process that the server had, None for none. sent_ms: the beat that it has now. Raises
        NotConnected or ServerRefused.
        """
        known, last_ms = self._seen.get(database, ("", 0))
        self._seen[database] = (identity, sent_ms)
        event = ""
        if known and known != identity:
            event = "was emptied, or another one has taken its place"
        elif known and found_ms is not None and found_ms < last_ms:
            event = f"has gone back by {(last_ms - found_ms) / 1000:.1f} s: it was restored, or a replica took over"
        if event:
            self._report(event)
        if self._doubt:
            self._check_shards()
        return bool(event)

    def explain_doubt(self) -> str:
        """Return why the namespace is not what this process was started for; empty when it is."""
        return self.conflict or self._doubt

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
            self._doubt = f"its server {event}"

    def _check_shards(self) -> None:
        namespace = self._namespace
        assert namespace is not None  # noqa: S101 - only a namespace gives rise to doubt
        stored, mine = confirm_shards(namespace), len(namespace.shards)
        if stored == mine:
            self._doubt = ""
        elif stored is None:
            self._doubt = "its server was emptied, and nothing has been deployed since: run `jobistemer deploy`"
        else:
            self.conflict = f"{namespace} has {stored} shards now, and had {mine} when this process was started"
