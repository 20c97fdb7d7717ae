"""Reclaim: take over the work of dead workers. The dead-man's switch.

A worker whose beat is out of the window [now - lease, now + lease] is a suspect. One that is still there with the
same beat a beat interval later, by this process's own clock, is dead: a step of the server's clock makes suspects,
never corpses. Each of its pending entries is ended as a lost attempt by the same scripts that its own worker would
use, so that a zombie that wakes up finds its entries gone.
"""

from __future__ import annotations

import logging
import time

from jobistemer.core import ids
from jobistemer.core.endings import CANCELED, Ending, Later, Outcome, settle
from jobistemer.core.messages import Delivery
from jobistemer.core.states import AttemptState
from jobistemer.store import members, queues, runs
from jobistemer.store.database import Database
from jobistemer.store.runs import Ended
from jobistemer.worker.definitions import Definitions
from jobistemer.worker.herald import Herald

BATCH = 100

log = logging.getLogger("jobistemer.worker")


class Reclaimer:
    """One for each shard; `observe` is called with each beat."""

    def __init__(
        self, database: Database, interval_s: float, definitions: Definitions, herald: Herald | None = None
    ) -> None:
        self._database = database
        self._interval_s = interval_s
        self._definitions = definitions
        self._herald = herald
        self._suspects: dict[str, tuple[int, float]] = {}

    def observe(self, suspects: dict[str, int], places: list[str]) -> int:
        """Look at the suspects (worker id -> beat in ms); how many entries of dead ones were taken over."""
        now = time.monotonic()
        known = self._suspects
        self._suspects = {
            worker: known[worker] if known.get(worker, (None,))[0] == beat else (beat, now)
            for worker, beat in suspects.items()
        }
        dead = [each for each, (_, since) in self._suspects.items() if now - since >= self._interval_s]
        return sum(self._take_over(worker, places) for worker in dead)

    def _take_over(self, worker: str, places: list[str]) -> int:
        taken = 0
        for where in places:
            while left := queues.pending_of(self._database, where, worker, BATCH):
                taken += len([delivery for delivery in left if self._lose(delivery, worker)])
        if taken:
            log.warning("worker %s is dead: %d of its runs were taken over", worker, taken)
        beat = self._suspects.pop(worker)[0]
        self._database.call(members.forget_worker(self._database.keys, worker, beat, places))
        return taken

    def _lose(self, delivery: Delivery, worker: str) -> bool:
        database, message = self._database, delivery.message
        now_ms = database.clock.now_ms()
        if delivery.crashes and not self._was_started(delivery):
            # It crashed a worker before, so it would have been shown as running before it was started again.
            # It was not, so it is only a neighbour of what killed this worker, and no attempt is used up.
            return database.call(runs.hand_back(database.keys, delivery, now_ms)).word == "DONE"
        outcome = Outcome(AttemptState.LOST, error=f"its worker {worker} died")
        ended = Ended(delivery, outcome, worker, 0, now_ms)
        ending = settle(message, delivery.attempt, delivery.crashes, outcome, 0.0)
        word = self._end(ended, ending)
        # A run that is to be cancelled is not tried again: with the attempt that was lost it has ended.
        return (self._end(ended, CANCELED) if word == "CANCELED" else word) == "DONE"

    def _end(self, ended: Ended, ending: Ending) -> str:
        database, slot = self._database, ended.delivery.message.slot
        if isinstance(ending, Later):
            call = runs.retry(database.keys, ended, ending)
        else:
            job = self._definitions.find(database, slot.job, slot.version) if slot else None
            call = runs.commit(database.keys, ended, ending, job)
        word = database.call(call).word
        if word == "DONE" and self._herald is not None:
            self._herald.announce((ended, ending))
        return word

    def _was_started(self, delivery: Delivery) -> bool:
        attempt = ids.attempt_id(delivery.message.run, delivery.attempt)
        return bool(self._database.ask("EXISTS", self._database.keys.attempt(attempt)))
