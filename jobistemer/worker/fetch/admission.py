"""The admission between fetching and executing.

Most runs never come here. Those that do may have expired, may be on hold, hold a unique key only while queued, or count
under limits. A run that may not start now is ended or put where it waits, and takes no room in this worker.
"""

from __future__ import annotations

import logging
from collections import Counter

from jobistemer.core.errors import JobistemerError
from jobistemer.core.jobs.limits import LimitUse
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import CANCELED, Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import holds, limits, runs
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.keys import is_front
from jobistemer.store.scripts import Reply, ScriptCall
from jobistemer.worker.attempts.attempt import Attempt

log = logging.getLogger("jobistemer.worker")


class Admission:
    """The admission of one shard."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def admit(self, attempts: list[Attempt], on_hold: frozenset[str] = frozenset()) -> list[Attempt]:
        """Return the attempts that may start now. Raises NotConnected or ServerRefused.

        To be called again then, with the same attempts: each step finds what it has done before and repeats nothing.
        on_hold: the names of tasks and limits that let none start, as the last beat has read them.
        """
        # In this order: a run that is ended or put off must not have taken a permit, or given up its unique key.
        now_ms = self._database.clock.now_ms()
        attempts = self._drop_expired(attempts, now_ms)
        attempts = self._hold(attempts, on_hold, now_ms) if on_hold else attempts
        attempts = self._apply_limits(attempts, now_ms)
        self._free_unique_keys(attempts)
        return attempts

    def load_limit_uses(self, attempts: list[Attempt]) -> None:
        """Read which permits the attempts hold that come by the front of their queue. Raises NotConnected, ….

        A run that has waited holds permits of the limits that it waited with, whatever its code says by now. They must
        be known here, or no end would release them.
        """
        admitted = [each for each in attempts if is_front(each.delivery.stream)]
        found = limits.read_uses(self._database, [each.delivery.message.run for each in admitted])
        for attempt, uses in zip(admitted, found, strict=True):
            attempt.limit_uses = attempt.limit_uses or uses

    def _drop_expired(self, attempts: list[Attempt], now_ms: int) -> list[Attempt]:
        # By server time: a worker whose own clock is ahead would drop runs that are in time.
        expired = [each for each in attempts if _has_expired(each.delivery, now_ms)]
        cancel.end_as_canceled(self._database, [_end_expired(each, now_ms) for each in expired])
        return [each for each in attempts if each not in expired] if expired else attempts

    def _hold(self, attempts: list[Attempt], on_hold: frozenset[str], now_ms: int) -> list[Attempt]:
        # The first name counts: a run waits for one hold at a time, and meets the next one when that has ended.
        held = [
            (each, name) for each in attempts if (name := next((n for n in _hold_names(each) if n in on_hold), None))
        ]
        calls = [holds.hold_run(self._database.keys, each.delivery, name, now_ms) for each, name in held]
        words = {each: reply.word for (each, _), reply in zip(held, self._call_all(calls), strict=True)}
        # FREE: the hold has ended since the last beat. Any other answer says that the entry is not here any more.
        put_off = [each.delivery for each, word in words.items() if word == "HELD"]
        limits.release_deliveries(self._database, put_off)
        return [each for each in attempts if words.get(each, "FREE") == "FREE"]

    def _apply_limits(self, attempts: list[Attempt], now_ms: int) -> list[Attempt]:
        self.load_limit_uses(attempts)
        limited = [(each, uses) for each in attempts if each.handler.is_limited and (uses := _limit_uses(each))]
        calls = [limits.admit_run(self._database.keys, each.delivery, uses, now_ms) for each, uses in limited]
        replies = self._call_all(calls)
        refused: set[Attempt] = set()
        passed_over: Counter[str] = Counter()
        for (attempt, uses), reply in zip(limited, replies, strict=True):
            if reply.word == "ADMITTED":
                attempt.limit_uses += tuple(use for use in uses if use not in attempt.limit_uses)
                continue
            refused.add(attempt)
            # Limits by rate let the next one in by themselves, when its time comes.
            passed_over.update(use.name for use in uses if not use.per_ms)
        if passed_over:
            # It may wait behind others for a permit that was released meanwhile, or have given up one that it had: no
            # other end will let the next one in.
            limits.admit_waiting(self._database, dict.fromkeys(passed_over, 1))
        return [each for each in attempts if each not in refused] if refused else attempts

    def _free_unique_keys(self, attempts: list[Attempt]) -> None:
        locked = [each.delivery.message for each in attempts if each.delivery.message.unique_queued]
        self._call_all([runs.free_unique(self._database.keys, message) for message in locked])

    def _call_all(self, calls: list[ScriptCall]) -> list[Reply]:
        replies = []
        # An error is raised only after all calls were sent: none depends on another one, and each may be sent again.
        for reply in self._database.call_all(calls) if calls else ():
            if isinstance(reply, JobistemerError):
                raise reply
            replies.append(reply)
        return replies


def _has_expired(delivery: Delivery, now_ms: int) -> bool:
    # A run that has been tried before was started in time.
    return 0 < delivery.message.expires_at < now_ms and delivery.attempt == 0


def _end_expired(attempt: Attempt, now_ms: int) -> EndedAttempt:
    late = (now_ms - attempt.delivery.message.expires_at) / 1000
    outcome = Outcome(AttemptState.CANCELED, error=f"expired: it was to start {late:.1f} s earlier at the latest")
    return EndedAttempt(attempt.delivery, outcome, CANCELED, attempt.worker, 0, now_ms, "fetched")


def _limit_uses(attempt: Attempt) -> tuple[LimitUse, ...]:
    return attempt.handler.limit_uses(attempt.delivery.message)


def _hold_names(attempt: Attempt) -> list[str]:
    """Return the names that a run can be held by: its task, and everything that it counts under."""
    names = [holds.task_scope(attempt.handler.name)]
    return [*names, *(use.name for use in _limit_uses(attempt))] if attempt.handler.is_limited else names
