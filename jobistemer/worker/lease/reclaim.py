"""Reclaim: take over the runs of dead workers. The dead-man's switch.

A worker whose beat is outside the window [now - lease, now + lease] is a suspect. A suspect with the same beat a beat
interval and some seconds later, by this process's own clock, is dead: a step of the server's clock, or an outage
longer than the lease, makes suspects only. Each pending entry of a dead worker is ended as a lost attempt by the same
scripts that its own worker would use, so that a worker that was only frozen finds its entries gone when it wakes up.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator

from jobistemer.core import ids
from jobistemer.core.errors import NotConnected
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import FinalState, NextAttempt, Outcome, Settlement, settle
from jobistemer.core.states import AttemptState
from jobistemer.runtime.repeat import LONGEST_PAUSE_S
from jobistemer.store.actions import cancel, hand_back
from jobistemer.store.calls import groups, heartbeats, limits, runs, streams
from jobistemer.store.calls.runs import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.reads.records import is_attempt_recorded
from jobistemer.worker.attempts.definition_cache import DefinitionCache
from jobistemer.worker.attempts.metrics import ThreadMetrics
from jobistemer.worker.commit.after_commit import run_after_commit
from jobistemer.worker.commit.hook_notifier import HookNotifier

RECONNECT_S = 2 * LONGEST_PAUSE_S
"""Seconds that a worker may take to notice the end of an outage, after which the beats of all workers are old."""

log = logging.getLogger("jobistemer.worker")


class Reclaimer:
    """The takeover at one shard. `observe` is called with each beat."""

    def __init__(
        self,
        database: Database,
        patience_s: float,
        definitions: DefinitionCache,
        hook_notifier: HookNotifier | None = None,
        metrics: ThreadMetrics | None = None,
    ) -> None:
        self._database = database
        self._patience_s = patience_s
        self._definitions = definitions
        self._hook_notifier = hook_notifier
        self._metrics = metrics
        self._suspects: dict[str, tuple[int, float]] = {}

    def observe(self, suspects: dict[str, int], places: list[str], until: float = math.inf) -> int:
        """Take over entries of suspects that are dead, and return how many.

        suspects: beat in ms by worker id. until: the deadline, by `time.monotonic()`. At least one entry is taken over;
        the rest waits for the next call, so that a worker that takes over many entries keeps its own lease.
        """
        now = time.monotonic()
        # The patience begins anew with each new beat. It is measured by this process's own clock, which never steps.
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
            log.error("entry %s of %s, from worker %s, cannot be taken over here: %s", entry, place, worker, error)
            return False
        return taken

    def _end_as_lost(self, place: str, entry: bytes, delivery: Delivery | None, worker: str) -> bool:
        database = self._database
        if delivery is None:
            streams.drop_entry(database, database.keys.stream(place).encode(), entry)
            return False
        if delivery.crashes and not self._was_started(delivery):
            # A run that has crashed a worker before is recorded as started before its handler is called again. This
            # one was not: another run killed the worker, and the attempt does not count.
            hand_back.hand_back(database, [delivery], worker)
            return True
        outcome = Outcome(AttemptState.LOST, error=f"its worker {worker} died")
        ended = EndedAttempt(delivery, outcome, worker, 0, database.clock.now_ms())
        ending = settle(delivery.message, delivery.attempt, delivery.crashes, outcome, 0.0)
        return self._commit_final(ended, ending) if isinstance(ending, FinalState) else self._requeue(ended, ending)

    def _requeue(self, ended: EndedAttempt, ending: NextAttempt) -> bool:
        word = self._database.call(runs.retry(self._database.keys, ended, ending)).word
        if word == "DONE":
            self._report(ended, ending)
        # A cancel was requested before the worker died: then the run ends instead of starting again.
        return (hand_back.end_canceled(self._database, ended) if word == "CANCELED" else word) == "DONE"

    def _commit_final(self, ended: EndedAttempt, ending: FinalState) -> bool:
        database, slot = self._database, ended.delivery.message.task_ref
        job = self._definitions.find(database, slot.job, slot.version) if slot else None
        ended = ended._replace(mapped=groups.count_groups(database, ended.delivery.message.run))
        reply = database.call(runs.commit(database.keys, ended, ending, job))
        done = reply.word == "DONE"
        if done:
            run_after_commit(database, ended, self._definitions, reply.extensions)
        if done:
            self._report(ended, ending)
        if done and slot and job:
            cancel.cancel_siblings(database, job, slot)
        return done

    def _report(self, ended: EndedAttempt, ending: Settlement) -> None:
        if self._metrics is not None:
            self._metrics.count_lost(ended, ending)
        if self._hook_notifier is not None:
            self._hook_notifier.notify((ended, ending))

    def _was_started(self, delivery: Delivery) -> bool:
        return is_attempt_recorded(self._database, ids.attempt_id(delivery.message.run, delivery.attempt))
