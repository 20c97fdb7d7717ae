"""Reclaim: take over the work of dead workers. The dead-man's switch.

A worker whose beat is out of the window [now - lease, now + lease] is a suspect. One that is still there with the
same beat a beat interval and some seconds later, by this process's own clock, is dead: a step of the server's
clock, or an outage longer than the lease, makes suspects, never corpses. Each of its pending entries is ended as a
lost attempt by the same scripts that its own worker would use, so that a zombie that wakes up finds its entries gone.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator

from jobistemer.core import ids
from jobistemer.core.errors import NotConnected
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import CANCELED, FinalState, Outcome, settle
from jobistemer.core.states import AttemptState
from jobistemer.runtime.repeat import LONGEST_PAUSE_S
from jobistemer.store.actions import cancel, hand_back
from jobistemer.store.calls import groups, heartbeats, limits, runs, streams
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.worker.commit.effects import CommitEffects

RECONNECT_S = 2 * LONGEST_PAUSE_S
"""After an outage everybody's beat is old; so long a worker may take to notice that the server is back."""

log = logging.getLogger("jobistemer.worker")


class Reclaimer:
    """One for each shard; `observe` is called with each beat."""

    def __init__(
        self,
        database: Database,
        patience_s: float,
        effects: CommitEffects,
    ) -> None:
        self._database = database
        self._patience_s = patience_s
        self._effects = effects
        self._suspects: dict[str, tuple[int, float]] = {}

    def observe(self, suspects: dict[str, int], places: list[str], until: float = math.inf) -> int:
        """Look at the suspects (worker id -> beat in ms); how many entries of dead ones were taken over.

        until: by `time.monotonic()`. At least one entry is taken over; what is left then is for the next time, so that
        who takes over much still beats.
        """
        now = time.monotonic()
        known = self._suspects
        self._suspects = {
            worker: known[worker] if known.get(worker, (None,))[0] == beat else (beat, now)
            for worker, beat in suspects.items()
        }
        dead = [each for each, (_, since) in self._suspects.items() if now - since >= self._patience_s]
        return sum(self._take_over(worker, places, until) for worker in dead)

    def _take_over(self, worker: str, places: list[str], until: float) -> int:
        taken, left = 0, False
        for place, entry, delivery in self._pending(worker, places):
            taken += self._try_take_over(place, entry, delivery, worker)
            if left := time.monotonic() >= until:
                break
        if taken:
            log.warning("worker %s is dead: %d of its runs were taken over", worker, taken)
        if not left:
            beat = self._suspects.pop(worker)[0]
            heartbeats.forget_worker(self._database, worker, beat, places)
        return taken

    def _pending(self, worker: str, places: list[str]) -> Iterator[tuple[str, bytes, Delivery | None]]:
        for place in places:
            for entry, delivery in streams.list_pending(self._database, place, worker):
                yield place, entry, delivery

    def _try_take_over(self, place: str, entry: bytes, delivery: Delivery | None, worker: str) -> bool:
        try:
            taken = self._end_as_lost(place, entry, delivery, worker)
            if delivery is not None:
                limits.release_deliveries(self._database, [delivery])
        except NotConnected:
            raise
        except Exception as error:  # noqa: BLE001 - such as a definition that this version cannot read
            # One run that cannot be ended holds up no other. It stays pending, so its worker stays a suspect.
            log.error("entry %s of %s, from worker %s, cannot be taken over here: %s", entry, place, worker, error)
            return False
        return taken

    def _end_as_lost(self, place: str, entry: bytes, delivery: Delivery | None, worker: str) -> bool:
        database = self._database
        if delivery is None:
            streams.drop_entry(database, database.keys.stream(place).encode(), entry)
            return False
        if delivery.crashes and not self._was_started(delivery):
            # It crashed a worker before, so it would have been shown as running before it was started again.
            # It was not, so it is only a neighbour of what killed this worker, and no attempt is used up.
            hand_back.hand_back(database, [delivery], worker)
            return True
        outcome = Outcome(AttemptState.LOST, error=f"its worker {worker} died")
        ending = settle(delivery.message, delivery.attempt, delivery.crashes, outcome, 0.0)
        return self._record_loss(EndedAttempt(delivery, outcome, ending, worker, 0, database.clock.now_ms()))

    def _record_loss(self, ended: EndedAttempt) -> bool:
        database, message, job = self._database, ended.delivery.message, None
        if isinstance(ended.ending, FinalState):
            # An attempt before this one may have mapped; what it has made ends with the run.
            (made,) = groups.count_groups(database, [message.run])
            ended, job = ended._replace(groups_made=made), self._effects.definitions.find(database, message.slot)
        reply = database.call(runs.record_end(database.keys, ended, job))
        if reply.word == "CANCELED":
            # It was to be cancelled, and its worker died over it: no next attempt.
            return cancel.end_as_canceled(database, [ended._replace(ending=CANCELED)]) == ["DONE"]
        if reply.word == "DONE":
            self._effects.after_commit(database, ended, reply, None)
        return reply.word == "DONE"

    def _was_started(self, delivery: Delivery) -> bool:
        attempt_id = ids.attempt_id(delivery.message.run, delivery.attempt)
        return bool(self._database.ask("EXISTS", self._database.keys.attempt(attempt_id)))
