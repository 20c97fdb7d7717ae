"""Fetch: take no more entries than can start soon, from the queues in their order."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.runs.message import Delivery
from jobistemer.runtime.log_limit import log_limited
from jobistemer.store.actions import hand_back
from jobistemer.store.actions.bury_entry import bury_entry
from jobistemer.store.calls import limits, streams
from jobistemer.store.calls.returned_runs import Unstarted
from jobistemer.store.calls.streams import StreamReader
from jobistemer.store.database import Database
from jobistemer.store.keys import is_front, place_of_stream, split_place
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.buried import log_buried
from jobistemer.worker.attempts.prefetch import Prefetch
from jobistemer.worker.attempts.run_logger import log_extra
from jobistemer.worker.fetch.admission import Admission
from jobistemer.worker.fetch.queue_order import QueueOrder

FULL_PAUSE_S = 0.05
"""How long a full worker waits for a run to end before it looks for room again."""
REREAD_INTERVAL_S = 30.0
"""A read that broke off may reach a server that hung only after this worker has looked for what it missed, so it looks
again at times."""

StreamEntries = tuple[bytes, list[Any]]
"""A stream, and the entries that were read from it."""

log = logging.getLogger("jobistemer.worker")


class Fetcher:
    """The reading of one shard, done by one thread of a worker."""

    def __init__(
        self,
        database: Database,
        consumer: str,
        queue_order: QueueOrder,
        prefetch: Prefetch,
        handlers: Mapping[str, Handler],
        is_closed: Callable[[], bool] = bool,
    ) -> None:
        """Prepare to read. is_closed: whether this worker takes no new work at this moment."""
        self._database = database
        self._reader = StreamReader(database, consumer)
        self._worker = consumer
        self._queue_order = queue_order
        self._prefetch = prefetch
        self._handlers = handlers
        self._is_closed = is_closed
        self._admission = Admission(database, queue_order)
        self._read_at = time.monotonic()
        self.pause_s = FULL_PAUSE_S
        """How long to wait for a run to end when no slot is free; set by who looks for runs that wait in vain."""
        self._must_reread = False
        self._next_reread = time.monotonic() + REREAD_INTERVAL_S
        # Places whose last read gave all that was asked for: there may be more.
        self._places_with_more: set[str] = set()
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
        self.taken, self.found_nothing, self._fetched_any = 0, False, False
        room = self._prefetch.capacity()
        places = self._queue_order.places() if room > 0 else []
        if not places:
            self._prefetch.wait(self.pause_s)
        else:
            if len(places) != self._place_count:
                # Nothing is known of a queue that is read for the first time, or again after a pause.
                self._place_count = len(places)
                self._places_with_more.update(places)
            if self._places_with_more:
                yield from self._read_in_order(places)
            if not self.taken:
                yield from self._read_waiting(places, room, block=block)
            self.found_nothing = not self._fetched_any
        self._must_reread = False

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
                if place not in self._places_with_more or self.taken >= room:
                    continue
                for stream, entries in self._read(places[start:end], room - self.taken, block=False):
                    yield from self._accept(stream, entries)
                start = end

    def _read_waiting(self, places: list[str], room: int, *, block: bool) -> Iterator[list[Attempt]]:
        # When nothing is left, wait for all places at once. The count is for each of them, so it is a share of the
        # room; the room is not reserved, or sixteen idle shards would keep it from the one that has work.
        # Only with an idle slot: what such a wait brings after the last slot was taken would lie behind its run.
        is_idle = self._prefetch.has_idle_slot
        fetched = self._read(places, max(1, room // len(places)), block=block and is_idle)
        if fetched and (
            self._queue_order.paused
            or self._is_closed()
            or sum([len(entries) for _, entries in fetched]) > self._prefetch.capacity()
        ):
            self._return_misplaced(fetched)
        elif not fetched and block and not is_idle:
            self._prefetch.wait(self.pause_s)
        for stream, entries in fetched:
            yield from self._accept(stream, entries)

    def _read(self, places: list[str], count: int, *, block: bool) -> list[StreamEntries]:
        self._read_at = time.monotonic()
        fetched = self._reader.fetch(places, count, block=block)
        self._fetched_any = self._fetched_any or bool(fetched)
        self._places_with_more.difference_update(places)
        self._places_with_more.update([place_of_stream(stream) for stream, entries in fetched if len(entries) == count])
        return fetched

    def _return_misplaced(self, fetched: list[StreamEntries]) -> None:
        """Return the entries at once that are not to begin here, and take them off the lists; the first ones stay.

        While the read waited, their queue may have been paused, this worker may have been told to take no new work, or
        the room may have been taken by entries of other shards: on another worker they can start.
        """
        room = 0 if self._is_closed() else max(0, self._prefetch.left())
        paused, unstarted = self._queue_order.paused, list[Unstarted]()
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
        hand_back.return_unstarted(self._database, unstarted, self._worker)

    def _reread_pending(self) -> Iterator[list[Attempt]]:
        """Take the entries that the server holds as pending for this worker and that this worker does not have."""
        # Noted beforehand: an entry that ends while the server is asked must not be taken for a new one.
        in_flight = self._prefetch.entries()
        self._read_at = time.monotonic()
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
        handlers = self._handlers
        for delivery, entry in streams.read_deliveries(stream, entries):
            message = delivery.message if delivery else None
            handler = handlers.get(message.handler) if message else None
            if delivery is not None and message is not None and handler is not None:
                attempt = Attempt(self._database, delivery, handler, self._worker, handlers, self._read_at)
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
        if to_admit and (admitted := self._admission.admit(to_admit)):
            self._prefetch.add([attempt.key for attempt in admitted])
            yield admitted
        for delivery, entry in unknown:
            # The fields are looked up for an odd entry only: all others have been read.
            fields = dict(entries).get(entry) if delivery is None else None
            self._return_unknown(stream, entry, delivery, fields)

    def _return_unknown(
        self, stream: bytes, entry: bytes, delivery: Delivery | None, fields: Mapping[bytes, bytes] | None
    ) -> None:
        if delivery is None:
            log_buried(bury_entry(self._database, stream, entry, fields, self._worker), stream, entry)
            return
        note = f"no worker that was asked knows task {delivery.message.handler}"
        text, cause = "%s: %s; it waits for one that does", f"unknown {delivery.message.handler}"
        log_limited(log, logging.WARNING, cause, text, delivery.message.run, note, extra=log_extra(delivery))
        hand_back.put_off_unknown(self._database, [delivery], self._worker, note)
