"""Sweep: remove what has ended and would otherwise stay: silent workers, expired dead letters, slots of the dead."""

from __future__ import annotations

import logging
import time

from jobistemer.store.calls import heartbeats, limits, streams
from jobistemer.store.database import Database

SWEEP_EVERY_S = 30.0
SILENT_AFTER_S = 60.0

log = logging.getLogger("jobistemer.ticker")


class Sweeper:
    """One pass every half minute; a worker is forgotten when it was seen silent for a minute by this clock."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[float, float]] = {}
        self._next = 0.0

    def sweep_if_due(self) -> int:
        """Do one pass when it is time for it; how many workers were forgotten."""
        if time.monotonic() < self._next:
            return 0
        self._next = time.monotonic() + SWEEP_EVERY_S
        return self.sweep()

    def sweep(self) -> int:
        """Do one pass; how many workers were forgotten."""
        keys = self._database.keys
        beats, places, _ = self._database.ask_all(
            [
                ("ZRANGE", keys.workers, 0, -1, "WITHSCORES"),
                ("SMEMBERS", keys.streams),
                ("ZREMRANGEBYSCORE", keys.dead, "-inf", self._database.clock.now_ms()),
            ],
        )
        limits.sweep_limits(self._database)
        known = {worker.decode(): float(beat) for worker, beat in zip(beats[::2], beats[1::2], strict=True)}
        names = [place.decode() for place in places]
        self._register_orphans(
            {each for where in names for each in streams.find_busy_consumers(self._database, where)} - set(known)
        )
        return sum(self._forget(worker, beat, names) for worker, beat in self._find_silent(known))

    def _register_orphans(self, orphans: set[str]) -> None:
        # Entries pending for a consumer that no worker stands behind: it was forgotten while a read of its own was
        # still under way, or died before its first beat. As a worker that beat long ago it is taken over as usual.
        for consumer in sorted(orphans):
            log.warning("entries are pending for %s, of which no worker is known: left to be taken over", consumer)
            self._database.ask("ZADD", self._database.keys.workers, "NX", 0, consumer)

    def _find_silent(self, beats: dict[str, float]) -> list[tuple[str, float]]:
        now = time.monotonic()
        known = {worker: seen for worker, seen in self._seen.items() if beats.get(worker) == seen[0]}
        self._seen = {worker: known.get(worker, (beat, now)) for worker, beat in beats.items()}
        return [(worker, beat) for worker, (beat, since) in self._seen.items() if now - since >= SILENT_AFTER_S]

    def _forget(self, worker: str, beat: float, places: list[str]) -> bool:
        reply = heartbeats.forget_worker(self._database, worker, round(beat), places)
        if reply.word == "FORGOTTEN":
            log.info("worker %s has been silent for a minute and has nothing pending: forgotten", worker)
        return reply.word == "FORGOTTEN"
