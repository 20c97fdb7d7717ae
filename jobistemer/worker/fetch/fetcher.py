"""Fetch: take no more entries than can start soon, from the queues in their order."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import PROCESS
from jobistemer.core.runs.message import Delivery
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.store.actions import hand_back
from jobistemer.store.actions.bury_entry import bury_entry
from jobistemer.store.calls import limits, streams
from jobistemer.store.calls.returned_runs import Unstarted
from jobistemer.store.calls.streams import StreamReader
from jobistemer.store.database import Database
from jobistemer.store.keys import is_front, place_of_stream, places_of, split_place
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.buried import log_buried
from jobistemer.worker.attempts.in_flight import Prefetch
from jobistemer.worker.attempts.run_logger import log_extra
from jobistemer.worker.fetch.admission import Admission
from jobistemer.worker.fetch.early import is_early

FULL_PAUSE_S = 0.05
"""How long a full worker waits for a run to end before it looks for room again."""
EARLY_PAUSE_S = 0.005
"""How long a worker that keeps enough runs until their instant waits before it looks for other ones again."""
REREAD_INTERVAL_S = 30.0
"""A read that broke off may reach a server that hung only after this worker has looked for what it missed, so it looks
again at times."""

StreamEntries = tuple[bytes, list[Any]]
"""A stream, and the entries that were read from it."""

log = logging.getLogger("jobistemer.worker")


class QueueOrder:
    """The places of a worker's queues in reading order.

    All priorities of a queue are read from the first moment on, also those that no run has used yet: so the first
    run of a new priority is served as promptly as the millionth. `paused` and `on_hold` are replaced by the beat.
    """

    def __init__(self, weights: Mapping[str, int], rng: random.Random | None = None) -> None:
        self._weights = dict(weights)
        self._places = {queue: places_of(queue) for queue in weights}
        self._all = [each for places in self._places.values() for each in places]
        self._strict = not any(weights.values())
        self._random = rng or random.Random()
        # As the last beat said. Replaced whole by another thread, never changed: a reader sees one or the other.
        self.paused: set[str] = set()
        self.on_hold: frozenset[str] = frozenset()

    def all_places(self) -> list[str]:
        """Return all places of these queues, paused ones included."""
        return list(self._all)

    def places(self) -> list[str]:
        """Return the places in reading order: queues as listed, or shuffled by weight; the highest priority first."""
        if self._strict and not self.paused:
            return self._all
        return [each for queue in self._queues() if queue not in self.paused for each in self._places[queue]]

    def _queues(self) -> list[str]:
        if self._strict:
            return list(self._weights)
        # A weighted shuffle (Efraimidis and Spirakis): each queue comes first with the probability that its weight
        # gives it, and none is ever starved, as a strict order by weight would do.
        draw = self._random.random
        draws = {queue: draw() ** (1 / max(weight, 0.01)) for queue, weight in self._weights.items()}
        return sorted(draws, key=lambda queue: -draws[queue])


class Fetcher:
    """The reading of one shard, done by one thread of a worker."""

    def __init__(
        self,
        database: Database,
        consumer: str,
        queue_order: QueueOrder,
        prefetch: Prefetch,
        handlers: Mapping[str, Handler],
        shutdown: Shutdown,
    ) -> None:
        self._database = database
        self._reader = StreamReader(database, consumer)
        self._worker = consumer
        self._queue_order = queue_order
        self._prefetch = prefetch
        self._handlers = handlers
        self._shutdown = shutdown
        self._admission = Admission(database)
        self.pause_s = FULL_PAUSE_S
        """How long to wait for a run to end when no slot is free; set by who looks for runs that wait in vain."""
        self.keep_unadmitted: Callable[[list[Attempt]], None] | None = None
        """Keeps the attempts that need admission and are not due yet; set by who admits them then. None: no waiting."""
        self._must_reread = False
        self._next_reread = time.monotonic() + REREAD_INTERVAL_S
        self._place_count = 0
        self._fetched_any = False
        self.taken = 0
        """How many entries the last step has taken."""
        self.found_nothing = False
        """Whether the last step has read its places and found them empty."""

    def step(self, *, block: bool = True) -> Iterator[list[Attempt]]:
        """Read as many entries as there is room for, and yield their attempts, those that may start first in front.

        With `block`, wait for the first entry when there is none. To be iterated to its end: an error in the middle
        (NotConnected, ServerRefused) must find the attempts before it already with their slots, as they count as held
        from here on and are not read again.
        """
        must_reread = self._must_reread or time.monotonic() >= self._next_reread
        # Until this step has come to its end: an answer may have been lost, or an entry not handed back.
        self._must_reread = True
        if must_reread:
            self._next_reread = time.monotonic() + REREAD_INTERVAL_S
            yield from self._reread_pending()
        # Asked anew for each step, and not handed over: while this thread slept the slots have ended some of their
        # runs.
        self.taken, self.found_nothing, self._fetched_any = 0, False, False
        room = self._prefetch.capacity()
        places = self._queue_order.places() if room > 0 else []
        if not places:
            # Woken by the next end; the pause is for what no end tells, such as a queue that was resumed.
            self._prefetch.wait(self.pause_s)
        else:
            if len(places) != self._place_count:
                # Nothing is known of a queue that is read for the first time, or again after a pause.
                self._place_count = len(places)
                self._reader.places_with_more.update(places)
            full = self._prefetch.full_streams() if self._prefetch.early.total else ()
            if full:
                places = [each for each in places if self._database.keys.stream(each).encode() not in full]
            # In order only where there may be more than one read can take. Of empty queues the order means nothing, and
            # one read that waits for all of them costs the server least.
            if self._reader.places_with_more:
                yield from self._read_in_order(places)
            if places and not self.taken:
                # Where there is more that begins at an instant, the wait must not be longer than until then.
                yield from self._read_waiting(places, room, block=block and not full)
            if full and not self.taken:
                self._prefetch.wait(EARLY_PAUSE_S)
            self.found_nothing = not self._fetched_any
        self._must_reread = False

    def admit(self, attempts: list[Attempt]) -> list[Attempt]:
        """Return the attempts that may start now, as `Admission.admit` does. Raises NotConnected or ServerRefused."""
        return self._admission.admit(attempts, self._queue_order.on_hold)

    def close(self) -> None:
        """Note that this worker reads here no more."""
        self._reader.close()

    def interrupt(self) -> None:
        """End the wait of a step that is under way; what it has been given counts. Raises NotConnected, …."""
        self._reader.interrupt()

    def _read_in_order(self, places: list[str]) -> Iterator[list[Attempt]]:
        """Read once for each place that held more than was taken last time, together with the quiet ones before it.

        One read for all places would serve them alike: its count is for each of them, and the first queue must be empty
        before the second one has its turn.
        """
        start = 0
        with self._prefetch.reserve() as room:
            for end, place in enumerate(places, 1):
                if place not in self._reader.places_with_more or self.taken >= room:
                    continue
                fetched = self._reader.fetch(places[start:end], room - self.taken, block=False)
                self._fetched_any = self._fetched_any or bool(fetched)
                for stream, entries in fetched:
                    yield from self._accept(stream, entries)
                start = end

    def _read_waiting(self, places: list[str], room: int, *, block: bool) -> Iterator[list[Attempt]]:
        # When nothing is left, wait for all places at once. The count is for each of them, so it is a share of the
        # room; the room is not reserved, or sixteen idle shards would keep it from the one that has work.
        # Only with an idle slot: what such a wait brings after the last slot was taken would lie behind its run.
        is_idle, shutdown = self._prefetch.has_idle_slot, self._shutdown
        fetched = self._reader.fetch(places, max(1, room // len(places)), block=block and is_idle)
        self._fetched_any = self._fetched_any or bool(fetched)
        if fetched:
            # Asked only now: all of it may have changed while the read waited.
            is_closed = shutdown.quiet.is_set() or shutdown.requested.is_set()
            count = sum([len(entries) for _, entries in fetched])
            if self._queue_order.paused or is_closed or count > self._prefetch.capacity():
                self._return_misplaced(fetched, 0 if is_closed else max(0, self._prefetch.left()))
        elif block and not is_idle:
            # Not in the server: this worker is full, and an entry that came there would have no slot.
            self._prefetch.wait(self.pause_s)
        for stream, entries in fetched:
            yield from self._accept(stream, entries)

    def _return_misplaced(self, fetched: list[StreamEntries], room: int) -> None:
        """Return the entries at once that are not to begin here, and take them off the lists; the first ones stay.

        While the read waited, their queue may have been paused, this worker may have been told to take no new work, or
        the room may have been taken by entries of other shards: on another worker they can start.
        """
        paused, unstarted = self._queue_order.paused, list[Unstarted]()
        # From the front: what was read first has the highest priority, and keeps the room that is left.
        for stream, entries in fetched:
            kept = 0 if paused and split_place(place_of_stream(stream))[0] in paused else min(room, len(entries))
            room -= kept
            if kept == len(entries):
                continue
            # An unreadable one stays on the list: it is ended where it is accepted.
            readable = [each for each, _ in streams.read_deliveries(stream, entries[kept:]) if each is not None]
            # What comes by the front of its queue may hold permits already.
            uses = limits.read_uses(self._database, [each.message.run for each in readable]) if is_front(stream) else ()
            unstarted += map(Unstarted, readable, uses or [()] * len(readable))
            returned = {each.entry for each in readable}
            entries[:] = [each for each in entries if each[0] not in returned]
        # Before any of the others begins: should the server refuse it, the step fails while all of them are pending,
        # and the next one reads them again.
        hand_back.return_unstarted(self._database, unstarted, self._worker)

    def _reread_pending(self) -> Iterator[list[Attempt]]:
        """Take the entries that the server holds as pending for this worker and that this worker does not have."""
        # Noted beforehand: an entry that ends while the server is asked must not be taken for a new one.
        in_flight = self._prefetch.entries()
        # Of all places, also of paused queues: what is pending for this worker is nobody else's, and would wait for
        # ever.
        for place in self._queue_order.all_places():
            for stream, entries in self._reader.fetch_pending(place):
                yield from self._accept(stream, [each for each in entries if (stream, each[0]) not in in_flight])

    def _accept(self, stream: bytes, entries: list[Any]) -> Iterator[list[Attempt]]:
        """Make attempts of entries, and yield those that may start."""
        self.taken += len(entries)
        free: list[Attempt] = []
        to_admit: list[Attempt] = []
        unknown: list[tuple[Delivery | None, bytes]] = []
        # A run that comes by the front of its queue has waited for a limit, and holds permits that are on record.
        admit_all = bool(self._queue_order.on_hold) or is_front(stream)
        database, worker, handlers, read_at = self._database, self._worker, self._handlers, self._reader.read_at
        for delivery, entry in streams.read_deliveries(stream, entries):
            message = delivery.message if delivery else None
            handler = handlers.get(message.handler) if message else None
            if delivery is not None and message is not None and handler is not None:
                needs_process = handler.executor == PROCESS or delivery.crashes > 0
                key, limit_ms = (stream, entry), message.timeout_ms
                attempt = Attempt(database, delivery, handler, worker, handlers, key, needs_process, limit_ms, read_at)
                # For most runs this is all that admission costs.
                needs_admission = (
                    handler.limits or handler.queue_limits or message.expires_at or message.unique_queued or admit_all
                )
                (to_admit if needs_admission else free).append(attempt)
            else:
                unknown.append((delivery, entry))
        # Attempts without conditions go first: should the server fail over the others, they are not held up. Counted as
        # held before they are yielded: a slot may end one before the next line is reached.
        if free:
            self._prefetch.add([attempt.key for attempt in free])
            yield free
        if to_admit and self.keep_unadmitted is not None:
            to_admit = self._keep_early(to_admit, self.keep_unadmitted)
        if to_admit and (admitted := self.admit(to_admit)):
            self._prefetch.add([attempt.key for attempt in admitted])
            yield admitted
        for delivery, entry in unknown:
            # The fields are looked up for an odd entry only: all others have been read.
            fields = dict(entries).get(entry) if delivery is None else None
            self._return_unknown(stream, entry, delivery, fields)

    def _keep_early(self, attempts: list[Attempt], keep: Callable[[list[Attempt]], None]) -> list[Attempt]:
        """Have those kept that are not due yet, and return the others.

        What admission asks for, such as a permit of a rate, counts from the moment at which the run begins.
        """
        now_ms = self._database.clock.now_ms()
        if early := [each for each in attempts if is_early(each, now_ms)]:
            # Now, and not at the instant: they may be given back before it, with the permits that they hold.
            self._admission.load_limit_uses(early)
            self._prefetch.add([attempt.key for attempt in early])
            keep(early)
        return [each for each in attempts if not is_early(each, now_ms)]

    def _return_unknown(
        self, stream: bytes, entry: bytes, delivery: Delivery | None, fields: Mapping[bytes, bytes] | None
    ) -> None:
        # It cannot be handed back: every worker would fail to read it, and it would go round for ever.
        if delivery is None:
            log_buried(bury_entry(self._database, stream, entry, fields, self._worker), stream, entry)
            return
        note = f"no worker that was asked knows task {delivery.message.handler}"
        text, cause = "%s: %s; it waits for one that does", f"unknown {delivery.message.handler}"
        log_limited(log, logging.WARNING, cause, text, delivery.message.run, note, extra=log_extra(delivery))
        # Into the delayed set and not onto the stream, where this worker would fetch it again within the millisecond.
        hand_back.put_off_unknown(self._database, [delivery], self._worker, note)
