"""The entries of a dead worker: each is ended as a lost attempt, or given back where it was never started.

The same scripts end them that their own worker would use, so that a worker that was only frozen finds its entries gone
when it wakes up.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from jobistemer.core import ids
from jobistemer.core.errors import JobistemerError, NotConnected
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import CANCELED, FinalState, Outcome, settle
from jobistemer.core.states import AttemptState
from jobistemer.runtime.log_limit import log_limited
from jobistemer.store.actions import cancel, hand_back
from jobistemer.store.actions.bury_entry import bury_entry
from jobistemer.store.calls import groups, limits, run_ends, streams
from jobistemer.store.calls.durable.steps import mark_with_steps
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.reads.records import find_recorded_attempts
from jobistemer.store.scripts import Reply
from jobistemer.worker.attempts.buried import log_buried
from jobistemer.worker.commit.effects import CommitEffects

log = logging.getLogger("jobistemer.worker")


class DeadWorker:
    """The end of what one dead worker had in flight, page by page."""

    def __init__(self, database: Database, worker: str, effects: CommitEffects) -> None:
        self._database = database
        self._worker = worker
        self._effects = effects

    def end_page(self, place: str, page: Sequence[tuple[bytes, Delivery | None]]) -> int:
        """Take over entries of one place; return how many. Raises NotConnected: then call it again."""
        # The dead worker may have recorded steps, and could not say so in the messages any more.
        found = mark_with_steps(self._database, [delivery for _, delivery in page if delivery is not None])
        # The runs with the most crashes first: the worker that fetches them next finds the likely culprit in front.
        found.sort(key=lambda delivery: -delivery.crashes)
        try:
            taken = self._end_together(found)
        except NotConnected:
            raise
        except JobistemerError:
            # One of them is refused, such as a record of the wrong type: it must not hold up the others.
            taken = sum(self._try_one_by_one(place, delivery.entry, delivery) for delivery in found)
        unreadable = [entry for entry, delivery in page if delivery is None]
        return taken + sum(self._try_one_by_one(place, entry, None) for entry in unreadable)

    def _end_together(self, deliveries: Sequence[Delivery]) -> int:
        unstarted = self._find_unstarted(deliveries)
        ended = [self._settle(each) for each in deliveries if each.entry not in unstarted]
        going_back = [each for each in ended if run_ends.goes_back(each)]
        final = [each for each in ended if not run_ends.goes_back(each)]
        taken = len(unstarted) + self._put_back(going_back)
        hand_back.hand_back(self._database, [each for each in deliveries if each.entry in unstarted], self._worker)
        place = going_back[0].delivery.stream.decode() if going_back else ""
        limits.release_deliveries(self._database, [each.delivery for each in going_back])
        return taken + sum(self._try_one_by_one(place, each.delivery.entry, each.delivery) for each in final)

    def _find_unstarted(self, deliveries: Sequence[Delivery]) -> set[bytes]:
        # A run that has crashed a worker before is recorded as started before its handler is called again. One that
        # was not so recorded is innocent: another run killed the worker, and the attempt does not count.
        suspects = [each for each in deliveries if each.crashes]
        attempts = [ids.attempt_id(each.message.run, each.attempt) for each in suspects]
        started = find_recorded_attempts(self._database, attempts)
        return {each.entry for each, was_started in zip(suspects, started, strict=True) if not was_started}

    def _put_back(self, lost: Sequence[EndedAttempt]) -> int:
        size = run_ends.MAX_LOST_PER_CALL
        parts = [lost[at : at + size] for at in range(0, len(lost), size)]
        replies = self._database.call_all([run_ends.lose_runs(self._database.keys, part) for part in parts])
        taken, refused = 0, None
        for part, reply in zip(parts, replies, strict=True):
            if not isinstance(reply, Reply):
                refused = reply
                continue
            done, canceled = run_ends.read_lost(reply, part)
            for each in done:
                self._effects.after_commit(self._database, each, Reply("DONE", []), None)
            taken += len(done) + self._end_canceled(canceled)
        if refused is not None:
            raise refused
        return taken

    def _end_canceled(self, ended: Sequence[EndedAttempt]) -> int:
        # A cancel was requested before the worker died: then the run ends instead of starting again.
        return cancel.end_as_canceled(self._database, [each._replace(ending=CANCELED) for each in ended]).count("DONE")

    def _settle(self, delivery: Delivery) -> EndedAttempt:
        outcome = Outcome(AttemptState.LOST, error=f"its worker {self._worker} died")
        ending = settle(delivery.message, delivery.attempt, delivery.crashes, outcome, 0.0)
        return EndedAttempt(delivery, outcome, ending, self._worker, 0, self._database.clock.now_ms())

    def _try_one_by_one(self, place: str, entry: bytes, delivery: Delivery | None) -> bool:
        try:
            if delivery is None:
                self._bury(place, entry)
                return False
            taken = self._end_one(delivery)
            limits.release_deliveries(self._database, [delivery])
        except NotConnected:
            raise
        except Exception as error:  # noqa: BLE001 - such as a definition that this version cannot read
            # A run that cannot be ended must not hold up the others. Its entry stays pending, so its worker stays a
            # suspect, and another worker may be able to end it.
            worker = self._worker
            text, cause = "entry %s of %s, from worker %s, cannot be taken over here: %s", f"take over {worker} {place}"
            log_limited(log, logging.ERROR, cause, text, entry, place, worker, error)
            return False
        return taken

    def _bury(self, place: str, entry: bytes) -> None:
        stream = self._database.keys.stream(place).encode()
        fields = streams.read_entry(self._database, place, entry)
        log_buried(bury_entry(self._database, stream, entry, fields, self._worker), stream, entry)

    def _end_one(self, delivery: Delivery) -> bool:
        database = self._database
        if self._find_unstarted([delivery]):
            hand_back.hand_back(database, [delivery], self._worker)
            return True
        ended, job = self._settle(delivery), None
        if isinstance(ended.ending, FinalState):
            # An attempt before this one may have mapped; what it has made ends with the run.
            (made,) = groups.count_groups(database, [delivery.message.run])
            ended = ended._replace(groups_made=made)
            job = self._effects.definitions.find(database, delivery.message.task_ref)
        reply = database.call(run_ends.record_end(database.keys, ended, job))
        if reply.word == "CANCELED":
            return bool(self._end_canceled([ended]))
        if reply.word == "DONE":
            self._effects.after_commit(database, ended, reply, None)
        return reply.word == "DONE"
