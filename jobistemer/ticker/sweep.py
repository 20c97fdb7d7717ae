"""Sweep: remove silent workers, expired dead letters, ended holds, streams that nobody reads, and lost permits."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from jobistemer.store.actions import dead_letters
from jobistemer.store.calls import heartbeats, holds, limits, streams
from jobistemer.store.database import Database

SWEEP_EVERY_S = 30.0
SILENT_AFTER_S = 60.0

log = logging.getLogger("jobistemer.ticker")


class Sweeper:
    """The sweeps of one shard: one every half minute; a worker is forgotten when it has been silent for a minute.

    The minute is counted by the clock of this process, from the moment at which the sweeper saw the heartbeat: neither
    the worker's clock nor a jump of the server's can make a live worker look dead.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[float, float]] = {}
        self._unread: set[str] = set()
        self._next = 0.0

    def sweep_if_due(self) -> int:
        """Sweep when it is time for it. Returns how many workers were forgotten."""
        if time.monotonic() < self._next:
            return 0
        self._next = time.monotonic() + SWEEP_EVERY_S
        return self.sweep()

    def sweep(self) -> int:
        """Sweep once. Returns how many workers were forgotten."""
        database = self._database
        beats = heartbeats.read_worker_beats(database)
        places = streams.list_places(database)
        dead_letters.drop_expired(database, database.clock.now_ms())
        holds.drop_ended_holds(database)
        limits.sweep_limits(database)
        consumers = {place: streams.find_consumers(database, place) for place in places}
        busy = {name for found in consumers.values() for name, pending in found.items() if pending}
        self._register_orphans(busy - beats.keys())
        self._drop_unread({place for place, found in consumers.items() if not found})
        return sum(self._forget(worker, beat, places) for worker, beat in self._find_silent(beats))

    def _drop_unread(self, unread: set[str]) -> None:
        # Seen twice: a worker that has just opened its streams may be about to read them.
        for place in sorted(unread & self._unread):
            streams.drop_stream(self._database, place)
        self._unread = unread

    def _register_orphans(self, consumers: Iterable[str]) -> None:
        # Entries are pending for a consumer without a worker: the worker was forgotten while a read of its own was
        # still under way, or died before its first heartbeat. No reclaim would find these entries, since reclaim goes
        # by workers. As a worker with a heartbeat of long ago the consumer is taken over as usual.
        for consumer in sorted(consumers):
            log.warning("entries are pending for %s, of which no worker is known: left to be taken over", consumer)
            heartbeats.register_silent_worker(self._database, consumer)

    def _find_silent(self, beats: dict[str, float]) -> list[tuple[str, float]]:
        """Return the workers whose heartbeat has not changed for a minute, each with that heartbeat."""
        now = time.monotonic()
        unchanged = {worker: seen for worker, seen in self._seen.items() if beats.get(worker) == seen[0]}
        self._seen = {worker: unchanged.get(worker, (beat, now)) for worker, beat in beats.items()}
        return [(worker, beat) for worker, (beat, since) in self._seen.items() if now - since >= SILENT_AFTER_S]

    def _forget(self, worker: str, beat: float, places: list[str]) -> bool:
        # The script compares the heartbeat: a worker that has come back meanwhile is kept.
        reply = heartbeats.forget_worker(self._database, worker, round(beat), places)
        if reply.word == "FORGOTTEN":
            log.info("worker %s has been silent for a minute and has nothing pending: forgotten", worker)
        return reply.word == "FORGOTTEN"
