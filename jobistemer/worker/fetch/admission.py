"""The gate between fetching and executing.

Most runs never come here. Those that do are expired, on hold, hold a unique key only while queued, or count under
limits; what may not start now is ended or put where it waits, and takes no room in this worker.
"""

from __future__ import annotations

import logging
from collections import Counter

from jobistemer.core.errors import JobistemerError
from jobistemer.core.jobs.limits import Use
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.actions import hand_back
from jobistemer.store.calls import enqueueing, holds, limits
from jobistemer.store.calls.runs import Ended
from jobistemer.store.database import Database
from jobistemer.store.keys import is_front
from jobistemer.store.scripts import Call, Reply
from jobistemer.worker.attempts.attempt import Flight
from jobistemer.worker.fetch.queue_order import Order

log = logging.getLogger("jobistemer.worker")


class Gate:
    """The gate of one shard."""

    def __init__(self, database: Database, order: Order) -> None:
        self._database = database
        self._order = order

    def admit(self, flights: list[Flight]) -> list[Flight]:
        """Those that may start now. Raises NotConnected or ServerRefused; asked again, it answers the same."""
        now_ms = self._database.clock.now_ms()
        for step in (self._not_expired, self._not_held, self._within_limits, self._unlocked):
            flights = step(flights, now_ms)
        return flights

    def _not_expired(self, flights: list[Flight], now_ms: int) -> list[Flight]:
        expired = [each for each in flights if _has_expired(each.delivery, now_ms)]
        for flight in expired:
            late = (now_ms - flight.delivery.message.expires_at) / 1000
            error = f"expired: it was to start {late:.1f} s earlier at the latest"
            outcome = Outcome(AttemptState.CANCELED, error=error)
            ended = Ended(flight.delivery, outcome, flight.worker, now_ms, now_ms)
            hand_back.end_canceled(self._database, ended)
            limits.give_back_deliveries(self._database, [flight.delivery])
        return [each for each in flights if each not in expired] if expired else flights

    def _not_held(self, flights: list[Flight], now_ms: int) -> list[Flight]:
        on_hold = self._order.on_hold
        if not on_hold:
            return flights
        held = [(each, name) for each in flights if (name := next((n for n in _names(each) if n in on_hold), None))]

        calls = [holds.hold_run(self._database.keys, each.delivery, name, now_ms) for each, name in held]
        words = {each: reply.word for (each, _), reply in zip(held, self._replies(calls), strict=True)}
        put_off = [each.delivery for each, word in words.items() if word == "HELD"]
        limits.give_back_deliveries(self._database, put_off)
        return [each for each in flights if words.get(each, "FREE") == "FREE"]

    def _within_limits(self, flights: list[Flight], now_ms: int) -> list[Flight]:
        self._remember_slots([each for each in flights if is_front(each.delivery.stream)])
        asking = [(each, uses) for each in flights if each.handler.is_limited and (uses := _uses(each))]
        calls = [limits.admit_run(self._database.keys, each.delivery, uses, now_ms) for each, uses in asking]
        replies = self._replies(calls)
        refused: set[Flight] = set()
        passed_over: Counter[str] = Counter()
        for (flight, uses), reply in zip(asking, replies, strict=True):
            if reply.word == "ADMITTED":
                flight.uses += tuple(use for use in uses if use not in flight.uses)
                continue
            refused.add(flight)
            passed_over.update(use.name for use in uses if not use.per_ms)
        if passed_over:
            # It may wait behind others for a slot that was freed meanwhile, or have given up one it had.
            limits.move_on(self._database, dict.fromkeys(passed_over, 1))
        return [each for each in flights if each not in refused] if refused else flights

    def _remember_slots(self, let_in: list[Flight]) -> None:
        # What waited holds slots of the limits that it waited with, whatever its code says by now: they are given back.
        found = limits.stored_uses(self._database, [each.delivery.message.run for each in let_in])
        for flight, uses in zip(let_in, found, strict=True):
            flight.uses = flight.uses or uses

    def _unlocked(self, flights: list[Flight], now_ms: int) -> list[Flight]:  # noqa: ARG002 - one shape for all steps
        locked = [each.delivery.message for each in flights if each.delivery.message.unique_queued]
        self._replies([enqueueing.free_unique(self._database.keys, message) for message in locked])
        return flights

    def _replies(self, calls: list[Call]) -> list[Reply]:
        replies = []
        for reply in self._database.call_all(calls) if calls else ():
            if isinstance(reply, JobistemerError):
                raise reply
            replies.append(reply)
        return replies


def _has_expired(delivery: Delivery, now_ms: int) -> bool:
    # What has been tried before was started in time.
    return 0 < delivery.message.expires_at < now_ms and delivery.attempt == 0


def _uses(flight: Flight) -> tuple[Use, ...]:
    return flight.handler.uses(flight.delivery.message)


def _names(flight: Flight) -> list[str]:
    """What a run can be held by: its task, and everything that it counts under."""
    names = [holds.task_scope(flight.handler.name)]
    return [*names, *(use.name for use in _uses(flight))] if flight.handler.is_limited else names
