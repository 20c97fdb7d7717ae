"""Commit: record what ended. Outcomes that arrive while a commit is under way go with the next one."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from typing import NamedTuple

from jobistemer.core.errors import JobistemerError, NotConnected
from jobistemer.core.runs.settle import CANCELED, SUCCEEDED, Ending, Outcome, Over, in_words, settle
from jobistemer.core.states import AttemptState, RunState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import bulk_commit, elapsed, groups, limits, runs
from jobistemer.store.calls.runs import Ended
from jobistemer.store.database import Database
from jobistemer.store.scripts import Call, Reply
from jobistemer.worker.attempts.attempt import Flight
from jobistemer.worker.attempts.definition_cache import Definitions
from jobistemer.worker.attempts.metrics import Tally
from jobistemer.worker.attempts.prefetch import Room
from jobistemer.worker.attempts.run_logger import about
from jobistemer.worker.commit.after_commit import follow
from jobistemer.worker.commit.effects import announce, last_notes, with_transaction
from jobistemer.worker.commit.finished import Outbox
from jobistemer.worker.commit.hook_notifier import Herald

MOST_AT_ONCE = 200
"""How many go with one send: a fifth of what is in flight at most, so that the server records one part while slots work
on the next (decision 0001)."""
AGAIN_S = 0.5

log = logging.getLogger("jobistemer.worker")


class _Entry(NamedTuple):
    flight: Flight
    ended: Ended
    ending: Ending
    call: Call


class Committer:
    """One thread of a worker that writes outcomes of a shard; nothing it holds is lost when the server is away.

    helped: the outbox of another one that this one helps: it takes what is left over when one send is full.
    """

    def __init__(
        self,
        room: Room,
        definitions: Definitions,
        herald: Herald | None = None,
        tally: Tally | None = None,
        helped: Outbox | None = None,
    ) -> None:
        self._room = room
        self._definitions = definitions
        self._herald = herald
        self._tally = tally
        self.outbox = helped or Outbox()
        self._take = self.outbox.take_rest if helped else self.outbox.take
        self._batch: list[Flight] = []
        self._put_off: dict[Flight, None] = {}
        self._put_off_until = 0.0
        # Whether each of the batch goes by itself: of those that were refused together one may be the cause.
        self._singly = False
        self.counts: Counter[str] = Counter()

    def step(self) -> None:
        """Wait for outcomes, then commit all that are there. On an error the same batch is sent again."""
        if not self._batch and not self._gather():
            return
        if self._put_off:
            # When the batch is sent again, its refusals are counted anew.
            for flight in self._batch:
                self._put_off.pop(flight, None)
        self._commit(self._batch[0].database, self._batch)
        ended = [flight for flight in self._batch if flight not in self._put_off] if self._put_off else self._batch
        self._batch = []
        self._room.ended([flight.key for flight in ended], sum(flight.ended - flight.started for flight in ended))

    def _gather(self) -> bool:
        self._singly = bool(self._put_off) and time.monotonic() >= self._put_off_until
        if self._singly:
            self._put_off_until = time.monotonic() + AGAIN_S
            self._batch, self._put_off = list(self._put_off), {}
            return True
        self._batch = self._take(MOST_AT_ONCE)
        return bool(self._batch)

    def _commit(self, database: Database, flights: list[Flight]) -> None:
        plain: dict[tuple[bytes, int, bool], list[Flight]] = {}
        entries: list[_Entry] = []
        together = not self._singly
        for flight in flights:
            ended = _ended(flight)
            if together and bulk_commit.is_plain_success(ended) and (flight.desk is None or not flight.desk.used):
                plain.setdefault(bulk_commit.bundle_of(ended), []).append(flight)
            elif (entry := self._tried_entry(flight)) is not None:
                entries.append(entry)
        parts = [
            each[at : at + bulk_commit.MOST] for each in plain.values() for at in range(0, len(each), bulk_commit.MOST)
        ]
        calls = [bulk_commit.commit_bundle(database.keys, [_ended(each) for each in part]) for part in parts]
        calls += [entry.call for entry in entries]
        # What handlers noted goes before their outcomes, as an attempt that has ended is not written to; and on its
        # own, since a pipeline does not keep its order where the server does not know a script yet.
        if notes := [call for entry in entries for call in last_notes(entry.flight, entry.ended, entry.ending)]:
            database.call_all(notes)
        replies = database.call_all(calls)
        for part, reply in zip(parts, replies, strict=False):
            self._note_bundle(part, reply)
        for entry, reply in zip(entries, replies[len(parts) :], strict=True):
            self._note(database, entry, reply)
        limits.give_back(database, [(each.delivery.message.run, *each.key, each.uses) for each in flights if each.uses])

    def _tried_entry(self, flight: Flight, ending: Ending | None = None) -> _Entry | None:
        try:
            return self._entry(flight, ending)
        except NotConnected:
            raise
        except Exception as error:  # noqa: BLE001 - such as a definition that this version cannot read
            # One outcome that cannot be written holds up no other.
            self._postpone(flight, error)
            return None

    def _entry(self, flight: Flight, ending: Ending | None = None) -> _Entry:
        ended, delivery = _ended(flight), flight.delivery
        elapsed_ms = elapsed.elapsed_ms(flight.database, ended) if elapsed.matters(ended) else 0
        chosen = ending or settle(
            *(delivery.message, delivery.attempt, delivery.crashes, ended.outcome, random.random()), elapsed_ms
        )
        fails = isinstance(chosen, Over) and chosen.state is not RunState.SUCCEEDED
        if fails and delivery.attempt and flight.handler.context_parameter is not None:
            # Attempts before may have mapped; what they have made ends with the run.
            made = groups.count_made(flight.database, delivery.message.run)
            ended = flight.record = ended._replace(mapped=max(made, ended.mapped))
        call = with_transaction(flight, chosen, self._call(flight.database, ended, chosen))
        return _Entry(flight, ended, chosen, call)

    def _call(self, database: Database, ended: Ended, ending: Ending) -> Call:
        if not isinstance(ending, Over):
            return runs.retry(database.keys, ended, ending)
        slot = ended.delivery.message.slot
        job = self._definitions.find(database, slot.job, slot.version) if slot else None
        return runs.commit(database.keys, ended, ending, job)

    def _note_bundle(self, bundle: list[Flight], reply: Reply | JobistemerError) -> None:
        if isinstance(reply, JobistemerError):
            for flight in bundle:
                self._postpone(flight, reply)
            return
        self.counts[AttemptState.SUCCEEDED] += len(bundle) - len(reply.values)
        for position in reply.values:
            self._note_stale(bundle[position - 1])
        if self._herald is None and self._tally is None:
            return
        stale = set(reply.values)
        ours = [flight for position, flight in enumerate(bundle, 1) if position not in stale] if stale else bundle
        if self._tally is not None:
            self._tally.count_successes(ours)
        if self._herald is not None:
            for flight in ours:
                self._herald.announce((_ended(flight), SUCCEEDED))

    def _note_stale(self, flight: Flight) -> None:
        delivery = flight.delivery
        self.counts["stale"] += 1
        log.warning("%s of %s was ended by somebody else; this outcome is dropped", delivery.message.run,
                    delivery.message.handler, extra=about(delivery))  # fmt: skip

    def _note(self, database: Database, entry: _Entry, reply: Reply | JobistemerError) -> None:
        if isinstance(reply, JobistemerError):
            # Refused whole (loading after a restart, read only after a failover): the entry is still ours, so again.
            self._postpone(entry.flight, reply)
        elif reply.word == "STALE":
            self._note_stale(entry.flight)
        elif reply.word == "CANCELED":
            # Between the attempt's start and its end somebody asked for the run to be cancelled: no retry then.
            self._commit_otherwise(database, entry.flight, CANCELED)
        elif reply.word == "REFUSED":
            # Nothing was written. The work was done, but not what belongs to it; another try would find the same.
            error = f"the work was done, but its transaction was refused: {reply.values[0].decode()}"
            entry.flight.outcome = Outcome(AttemptState.FAILED, error=error, poison=True)
            entry.flight.record = None
            self._commit_otherwise(database, entry.flight)
        else:
            self.counts[entry.ended.outcome.state] += 1
            self._follow_up(database, entry)
            if reply.also:
                follow(database, entry.ended, self._definitions, reply.also)

    def _commit_otherwise(self, database: Database, flight: Flight, ending: Ending | None = None) -> None:
        entry = self._tried_entry(flight, ending)
        if entry is not None:
            self._note(database, entry, database.call_all([entry.call])[0])

    def _postpone(self, flight: Flight, error: Exception) -> None:
        self._put_off[flight] = None
        message = flight.delivery.message
        log.error("%s of %s could not be recorded, trying again: %s", message.run, message.handler, error,
                  extra=about(flight.delivery))  # fmt: skip

    def _follow_up(self, database: Database, entry: _Entry) -> None:
        message, ending = entry.ended.delivery.message, entry.ending
        if self._tally is not None:
            self._tally.count(entry.flight, entry.ended, ending)
        if self._herald is not None:
            announce(self._herald, entry.flight, entry.ended, ending)
        if entry.ended.outcome.error:
            outcome, number = entry.ended.outcome, entry.ended.delivery.attempt
            why = f"{outcome.error.partition(chr(10))[0]}; {in_words(ending)}"
            log.info("%s of %s: attempt %d %s: %s", message.run, message.handler, number, outcome.state, why,
                     extra=about(entry.ended.delivery))  # fmt: skip
        if isinstance(ending, Over) and ending.verdict and message.slot is not None:
            job = self._definitions.find(database, message.slot.job, message.slot.version)
            if job is not None:
                cancel.cancel_siblings(database, job, message.slot)


def _ended(flight: Flight) -> Ended:
    if flight.record is None:
        outcome = flight.outcome or Outcome(AttemptState.FAILED, error="ended without an outcome")
        at_ms = flight.database.clock.at_ms
        times = (at_ms(flight.started), at_ms(flight.ended))
        # Made once: a second send is known by its times, and the clock may have been corrected meanwhile.
        flight.record = Ended(flight.delivery, outcome, flight.worker, *times)
        if flight.mapped:
            flight.record = flight.record._replace(reducers=flight.reducers, mapped=flight.mapped)
    return flight.record
