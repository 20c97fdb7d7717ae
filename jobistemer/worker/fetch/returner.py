"""The returner: gives back what was fetched and will not begin here, so that another worker can execute it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import heartbeats
from jobistemer.store.calls.returned_runs import Unstarted
from jobistemer.store.database import Database
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import PREFETCH_S
from jobistemer.worker.fetch.fetcher import FULL_PAUSE_S
from jobistemer.worker.fetch.worker_parts import WorkerParts
from jobistemer.worker.slots.slots import Slots

SECOND_LOOK_S = 0.01
"""How long too much has to wait before it goes back: a process that stood still finds all its runs long at first."""
SUSPECT_WAIT_S = 5.0
"""How long a run that may have killed a worker waits here for a process before another worker may try."""
COUNT_INTERVAL_S = 1.0
"""How long it counts that other workers were found, or none."""

log = logging.getLogger("jobistemer.worker")


class Returner:
    """The way back of the attempts of one shard that no slot has begun."""

    def __init__(self, database: Database, parts: WorkerParts, slots: Slots) -> None:
        self._database = database
        self._worker = parts.id
        self._lease_s = parts.settings.lease_s
        self._prefetch = parts.prefetch
        self._slots = slots
        self._lock = threading.Lock()
        self.unstarted: deque[Attempt] = deque()
        """What is to be returned and is still here; changed by the methods of this class alone."""
        self._crowded_since: float | None = None
        # Remembered for a second: a crowded worker looks a hundred times a second, and each look would be a call.
        self._others, self._counted_at = False, -COUNT_INTERVAL_S

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Take over attempts that are to be returned; they count as held until they are."""
        self.unstarted.extend(attempts)

    def return_added(self) -> None:
        """Return the attempts that were added to the front of their queues. What the server refuses is kept."""
        # Not waited for: whoever holds it returns them, and may wait for a server that hangs while this worker ends.
        if not self.unstarted or not self._lock.acquire(blocking=False):
            return
        try:
            # As many as there are now, one by one: a read that ends meanwhile may add others.
            waiting = [self.unstarted.popleft() for _ in range(len(self.unstarted))]
            try:
                unstarted = [Unstarted(attempt.delivery, attempt.limit_uses) for attempt in waiting]
                hand_back.return_unstarted(self._database, unstarted, self._worker)
                # Only now is there room again: until the server has them back they are this worker's.
                self._prefetch.remove([attempt.key for attempt in waiting])
            except (NotConnected, ServerRefused) as error:
                log.warning("worker %s could not hand back %d runs yet: %s", self._worker, len(waiting), error)
                self.unstarted.extendleft(reversed(waiting))
        finally:
            self._lock.release()

    def step(self) -> float:
        """Return what waits here in vain while other workers live; return the seconds until the next look."""
        self.return_added()
        self._return_suspects()
        allowed = self._prefetch.allowed_waiting()
        if allowed is None:
            self._crowded_since = None
            return FULL_PAUSE_S
        now = time.monotonic()
        if self._crowded_since is None:
            self._crowded_since = now
        elif now - self._crowded_since >= SECOND_LOOK_S and self._others_live(now):
            self._crowded_since = None
            self.add(self._slots.take_waiting(self._database, allowed, now - PREFETCH_S))
            self.return_added()
            return FULL_PAUSE_S
        return SECOND_LOOK_S if self._others or now - self._counted_at >= COUNT_INTERVAL_S else FULL_PAUSE_S

    def _return_suspects(self) -> None:
        now = time.monotonic()
        if self._slots.waiting_suspects and self._others_live(now):
            self.add(self._slots.take_late_suspects(self._database, now - SUSPECT_WAIT_S))
            self.return_added()

    def _others_live(self, now: float) -> bool:
        # Without another worker the entries would only come back. Whether one of them is idle is not asked: to give an
        # entry back is never wrong, and a mark of each wait would cost every read (decision 0267).
        if now - self._counted_at >= COUNT_INTERVAL_S:
            since_ms = self._database.clock.now_ms() - self._lease_s * 1000
            beats = heartbeats.read_worker_beats(self._database)
            self._others = any(beat >= since_ms for worker, beat in beats.items() if worker != self._worker)
            self._counted_at = now
        return self._others
