"""Reclaim: take over the runs of dead workers. The dead-man's switch.

A worker whose beat is outside the window [now - lease, now + lease] is a suspect. A suspect with the same beat a beat
interval later, by this process's own clock, is dead: a step of the server's clock makes suspects only. After an outage
the beats of all workers are old, and an observer that has just begun to beat again waits until they can have
reconnected; unless observers before it have watched for so long, which the server keeps. Each pending entry of a dead
worker is ended as a lost attempt (`dead_worker.py`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping

from jobistemer.runtime.repeat import LONGEST_PAUSE_S
from jobistemer.store.calls import heartbeats, streams
from jobistemer.store.database import Database
from jobistemer.worker.commit.effects import CommitEffects
from jobistemer.worker.lease.dead_worker import DeadWorker

RECONNECT_S = 2 * LONGEST_PAUSE_S
"""Seconds that a worker may take to notice the end of an outage, after which the beats of all workers are old."""

OUTAGE_BEATS = 3
"""After how many beats without an answer an observer has had an outage itself."""
LOOK_SHARE = 0.9
"""The share of a beat interval that lies between two looks: beats come a little early or late."""
NEVER_WATCHED: Mapping[str, int] = {}

log = logging.getLogger("jobistemer.worker")


class Reclaimer:
    """The takeover at one shard. `observe` is called with each beat."""

    def __init__(
        self,
        database: Database,
        beat_s: float,
        effects: CommitEffects,
        reconnect_s: float = RECONNECT_S,
    ) -> None:
        self._database = database
        self._beat_s = beat_s
        self._reconnect_s = reconnect_s
        # The observer cannot know what was before its first beat, so that counts as the end of an outage.
        self._observed_at = -math.inf
        self._trusted_from = math.inf
        self._effects = effects
        self._suspects: dict[str, tuple[int, float]] = {}

    def observe(
        self,
        suspects: dict[str, int],
        places: list[str],
        until: float = math.inf,
        watched_ms: Mapping[str, int] = NEVER_WATCHED,
    ) -> int:
        """Take over entries of suspects that are dead, and return how many.

        suspects: beat in ms by worker id. watched_ms: how long the server knows each to be a suspect. until: the
        deadline, by `time.monotonic()`. At least one page of entries is taken over; the rest waits for the next call,
        so that a worker that takes over many entries keeps its own lease.
        """
        now = time.monotonic()
        # The patience begins anew with each new beat. It is measured by this process's own clock, which never steps.
        known = self._suspects
        self._suspects = {
            worker: known[worker] if known.get(worker, (None,))[0] == beat else (beat, now)
            for worker, beat in suspects.items()
        }
        if now - self._observed_at > OUTAGE_BEATS * self._beat_s:
            self._trusted_from = now + self._reconnect_s
        self._observed_at = now
        enough_ms = round((self._beat_s + self._reconnect_s) * 1000)
        dead = [
            each
            for each, (_, since) in self._suspects.items()
            if now - since >= self._beat_s * LOOK_SHARE
            and (now >= self._trusted_from or watched_ms.get(each, 0) >= enough_ms)
        ]
        return sum(self._take_over(worker, places, until) for worker in dead)

    def _take_over(self, worker: str, places: list[str], until: float) -> int:
        database, taken, left = self._database, 0, False
        dead = DeadWorker(database, worker, self._effects)
        pages = ((place, page) for place in places for page in streams.list_pending(database, place, worker))
        for place, page in pages:
            taken += dead.end_page(place, page)
            if left := time.monotonic() >= until:
                break
        if taken:
            log.warning("worker %s is dead: %d of its runs were taken over", worker, taken)
        # With entries left the worker stays a suspect, and the next call goes on with them.
        if not left:
            beat = self._suspects.pop(worker)[0]
            heartbeats.forget_worker(database, worker, beat, places)
        return taken
