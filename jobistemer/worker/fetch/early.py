"""Attempts that were fetched before they are due: kept here until the instant, and then put into slots.

Tickers claim instants a little before they are due (`ticker/upcoming.py`). The message of such a run
carries the instant as the time of its enqueueing, which therefore lies ahead of server time. What a run needs before it
may begin, such as a permit of a rate, is asked for at the instant too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable

from jobistemer.core.errors import NotConnected, ServerRefused
from jobistemer.runtime.log_limit import log_limited
from jobistemer.runtime.repeat import start_thread
from jobistemer.store.clock import Clock
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import Prefetch

MAX_EARLY_MS = 1_000
"""What is further ahead was not claimed early: the clock has stepped back, and the run begins at once."""
RETRY_S = 0.5
"""How soon the server is asked again whether attempts may begin, when it was away or has refused."""
IDLE_S = 90.0
"""How long the thread stays that puts attempts into slots when there are none: longer than from minute to minute."""

log = logging.getLogger("jobistemer.worker")


def is_early(attempt: Attempt, now_ms: int) -> bool:
    """Return whether an attempt may not begin yet at `now_ms`, server time.

    Only the runs of occurrences are claimed ahead. Those that an application enqueues begin at once, though its clock
    may be a little ahead.
    """
    message = attempt.delivery.message
    return now_ms < message.enqueued_at <= now_ms + MAX_EARLY_MS and message.task_ref is not None


class EarlyAttempts:
    """The attempts of one shard that are not due yet.

    The clock continues server time, and is never ahead of it. When it steps back meanwhile, an attempt is kept for
    `most_s` seconds and no longer: it would be late by the time that people count.

    admit: at the instant, returns those that may begin; the others are no longer this worker's. When it raises, it is
    called again with the same ones.
    """

    def __init__(
        self,
        clock: Clock,
        prefetch: Prefetch,
        put: Callable[[Iterable[Attempt]], None],
        admit: Callable[[list[Attempt]], list[Attempt]] | None = None,
        most_s: float = MAX_EARLY_MS / 1000,
    ) -> None:
        self._clock = clock
        self._prefetch = prefetch
        self._put = put
        self._admit = admit
        self._most_s = most_s
        self._changed = threading.Condition()
        # By the instant (ms), and until when (monotonic) the attempts of each are kept at the most.
        self._waiting: dict[int, list[Attempt]] = {}
        self._kept_until: dict[int, float] = {}
        self._has_thread = self._is_over = False

    def add(self, attempts: Collection[Attempt]) -> None:
        """Keep attempts, each until its instant. They count as held."""
        with self._changed:
            for attempt in attempts:
                self._keep(attempt.delivery.message.enqueued_at, [attempt], self._most_s)
            self._prefetch.early.add([attempt.key for attempt in attempts])
            self._changed.notify()
            starts_thread, self._has_thread, self._is_over = not self._has_thread, True, False
        if starts_thread:
            try:
                start_thread(self._release, "early")
            except RuntimeError as error:
                # The system has no more threads at this moment. They are held already, so nobody else would put them.
                log.error("this worker fetches nothing until what it has fetched is due: %s", error)
                self._release(idle_s=0)

    def take_unstarted(self) -> list[Attempt]:
        """Remove the attempts that are not due yet, and return them. The thread ends, until others are added."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
            return [attempt for due_ms in list(self._waiting) for attempt in self._take(due_ms)]

    def _keep(self, due_ms: int, attempts: list[Attempt], most_s: float) -> None:
        self._waiting.setdefault(due_ms, []).extend(attempts)
        self._kept_until.setdefault(due_ms, time.monotonic() + most_s)

    def _take(self, due_ms: int) -> list[Attempt]:
        attempts = self._waiting.pop(due_ms)
        del self._kept_until[due_ms]
        self._prefetch.early.remove([attempt.key for attempt in attempts])
        return attempts

    def _release(self, idle_s: float = IDLE_S) -> None:
        with self._changed:
            try:
                while self._has_work(idle_s):
                    self._release_next()
            finally:
                self._has_thread = False

    def _has_work(self, idle_s: float) -> bool:
        """Wait for attempts; return whether there are any."""
        if not self._waiting and not self._is_over:
            # What counts is what is there then: they may be added when the wait has just come to its end.
            self._changed.wait(idle_s)
        return bool(self._waiting)

    def _release_next(self) -> None:
        """Put the attempts of the next instant into slots, or wait for it; others may be added meanwhile."""
        due_ms = min(self._waiting)
        left_s = min(self._clock.seconds_until(due_ms), self._kept_until[due_ms] - time.monotonic())
        if left_s > 0:
            self._changed.wait(left_s)
        else:
            # With the lock, so that nobody who takes what has not started misses what is on its way.
            self._put_admitted(self._take(due_ms))

    def _put_admitted(self, attempts: list[Attempt]) -> None:
        admitted = attempts if self._admit is None else self._ask(self._admit, attempts)
        if admitted is None:
            # By another key than their instant, so that those of the next one do not wait for them.
            self._keep(self._clock.now_ms() + int(RETRY_S * 1000), attempts, RETRY_S)
            self._prefetch.early.add([attempt.key for attempt in attempts])
            return
        if len(admitted) < len(attempts):
            begins = {attempt.key for attempt in admitted}
            self._prefetch.remove([attempt.key for attempt in attempts if attempt.key not in begins])
        self._put(admitted)

    def _ask(self, admit: Callable[[list[Attempt]], list[Attempt]], attempts: list[Attempt]) -> list[Attempt] | None:
        """Return the attempts that may begin; None when that is not known yet."""
        try:
            return admit(attempts)
        except (NotConnected, ServerRefused) as error:
            log_limited(log, logging.WARNING, f"early {error}", "%d runs wait, though due: %s", len(attempts), error)
        except Exception:
            # A bug in Jobistemer must not keep them for as long as the worker lives. Nothing has begun.
            log.exception("%d runs wait, though due: unexpected error", len(attempts))
        return None
