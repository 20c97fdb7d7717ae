"""Reclaim: take over the runs of dead workers. The dead-man's switch.

A worker whose beat is outside the window [now - lease, now + lease] is a suspect. A suspect with the same beat a beat
interval later, by this process's own clock, is dead: a step of the server's clock makes suspects only. After an outage
the beats of all workers are old, and an observer that has just begun to beat again waits until they can have
reconnected; unless observers before it have watched for so long, which the server keeps. Each pending entry of a dead
worker is ended as a lost attempt by the same scripts that its own worker would use, so that a worker that was only
frozen finds its entries gone when it wakes up.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping

from jobistemer.core import ids
from jobistemer.core.errors import NotConnected
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import CANCELED, FinalState, Outcome, settle
from jobistemer.core.states import AttemptState
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.repeat import LONGEST_PAUSE_S
from jobistemer.store.actions import cancel, hand_back
from jobistemer.store.actions.bury_entry import bury_entry
from jobistemer.store.calls import groups, heartbeats, limits, run_ends, streams
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.reads.records import is_attempt_recorded
from jobistemer.worker.attempts.buried import log_buried
from jobistemer.worker.commit.effects import CommitEffects

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
        deadline, by `time.monotonic()`. At least one entry is taken over; the rest waits for the next call, so that a
        worker that takes over many entries keeps its own lease.
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
        taken, left = 0, False
        for place, entry, delivery in self._pending(worker, places):
            taken += self._try_take_over(place, entry, delivery, worker)
            if left := time.monotonic() >= until:
                break
        if taken:
            log.warning("worker %s is dead: %d of its runs were taken over", worker, taken)
        # With entries left the worker stays a suspect, and the next call goes on with them.
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
            # A run that cannot be ended must not hold up the others. Its entry stays pending, so its worker stays a
            # suspect, and another worker may be able to end it.
            text, cause = "entry %s of %s, from worker %s, cannot be taken over here: %s", f"take over {worker} {place}"
            log_limited(log, logging.ERROR, cause, text, entry, place, worker, error)
            return False
        return taken

    def _end_as_lost(self, place: str, entry: bytes, delivery: Delivery | None, worker: str) -> bool:
        database = self._database
        if delivery is None:
            stream = database.keys.stream(place).encode()
            fields = streams.read_entry(database, place, entry)
            log_buried(bury_entry(database, stream, entry, fields, worker), stream, entry)
            return False
        if delivery.crashes and not self._was_started(delivery):
            # A run that has crashed a worker before is recorded as started before its handler is called again. This
            # one was not: another run killed the worker, and the attempt does not count.
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
            ended, job = ended._replace(groups_made=made), self._effects.definitions.find(database, message.task_ref)
        reply = database.call(run_ends.record_end(database.keys, ended, job))
        if reply.word == "CANCELED":
            # A cancel was requested before the worker died: then the run ends instead of starting again.
            return cancel.end_as_canceled(database, [ended._replace(ending=CANCELED)]) == ["DONE"]
        if reply.word == "DONE":
            self._effects.after_commit(database, ended, reply, None)
        return reply.word == "DONE"

    def _was_started(self, delivery: Delivery) -> bool:
        return is_attempt_recorded(self._database, ids.attempt_id(delivery.message.run, delivery.attempt))
