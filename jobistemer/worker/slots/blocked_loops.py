"""The event loop for coroutines, and its replacement when a coroutine blocks it.

A loop that has been silent for `loop_block_s` is left to the coroutine that blocks it: a new loop takes the attempts
that have not begun, and all later ones. Attempts that have begun on the blocked loop wait until it goes on. When the
time limit of the blocking attempt is over, its outcome is recorded and an exception is raised in its code. A loop that
stays silent all the same (its code is in C and never returns) is abandoned, and its attempts are recorded as lost.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from jobistemer.core.handlers.worker_hooks import WorkerHooks
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.runtime.log_limit import log_limited
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts
from jobistemer.worker.slots.event_loop import EventLoop
from jobistemer.worker.slots.isolation import Isolation
from jobistemer.worker.slots.process_hooks import renew_resources

PING_S = 0.5
STALLED_S = 2.0
"""Seconds without a check, which show that the checking thread stood still itself."""
ABANDON_S = 5.0
"""Seconds that a loop may stay silent after the exception, before it is abandoned."""

BLOCKED = "the event loop has been blocked for %g s by %s; other coroutines run in a new one. It is at:\n%s"

log = logging.getLogger("jobistemer.worker")


class LoopSlots:
    """One event loop that takes attempts, and earlier ones that are blocked or end. The watchdog calls `check`.

    hooks: whose coroutine functions of the start are awaited on each loop that replaces a blocked one.
    """

    def __init__(
        self,
        count: int,
        attempts: RunningAttempts,
        report: Callable[[Attempt], None],
        isolation: Isolation | None,
        block_s: float,
        hooks: WorkerHooks,
    ) -> None:
        self._attempts = attempts
        self._report = report
        self._block_s = block_s
        self._renew = partial(renew_resources, hooks)
        self._waiting: deque[Attempt] = deque()
        self._open = partial(EventLoop, count, self._waiting, attempts, report, isolation)
        self._loop = self._open()
        self._blocked_loops: list[EventLoop] = []
        self._abandoned_loops: list[EventLoop] = []
        self._last_ping = self._last_check = time.monotonic()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that takes attempts at this moment."""
        return self._loop.loop

    def count_leaked(self, before: float) -> int:
        """Return how many coroutines stopped before a moment (monotonic), and abandoned loops, have not ended."""
        loops = [self._loop, *self._blocked_loops]
        return sum(loop.thread.is_alive() for loop in self._abandoned_loops) + sum(
            loop.slots.count_leaked(before) for loop in loops
        )

    def put(self, attempts: Iterable[Attempt]) -> None:
        """Queue attempts; called from other threads."""
        queued = list(attempts)
        self._waiting.extend(queued)
        self._loop.slots.wake(len(queued))

    def take_unstarted(self) -> list[Attempt]:
        """Remove the attempts that have not started from the queue, and return them."""
        found = []
        # The loop may take attempts from this queue at the same time, so only the exception shows that it is empty.
        with suppress(IndexError):
            while True:
                found.append(self._waiting.popleft())
        return found

    def end(self) -> None:
        """End the loops, whatever runs on them."""
        for loop in [self._loop, *self._blocked_loops]:
            loop.end()

    def check(self, running: list[Attempt]) -> int:
        """Replace a loop that is blocked, and deal with those that were replaced.

        Returns how many of the running attempts a blocked loop holds up.
        """
        now = time.monotonic()
        if now - self._last_check >= STALLED_S:
            # This thread stood still too, as in a suspended process: the silence of the loops proves nothing.
            for loop in [self._loop, *self._blocked_loops]:
                loop.ping_again(now)
        elif now - self._last_ping >= PING_S:
            self._last_ping = now
            for loop in [self._loop, *self._blocked_loops]:
                loop.ping(now)
        self._last_check = now
        if self._loop.silent_for_s(now) >= self._block_s:
            self._replace(self._loop.slots.select_own(running))
        return sum(self._check_blocked(loop, loop.slots.select_own(running), now) for loop in list(self._blocked_loops))

    def _replace(self, running: list[Attempt]) -> None:
        blocked, stop = self._loop, self._loop.slots.stop_of_current()
        try:
            self._loop = self._open(self._renew)
        except (RuntimeError, OSError) as error:
            # No thread or no file for it. The blocked loop goes on to take attempts, and the next check tries again:
            # raised from here, the error would keep the watchdog from time limits and cancels.
            log_limited(log, logging.ERROR, "no loop", "a blocked event loop cannot be replaced: %s", error)
            return
        message = next((attempt.delivery.message for attempt in running if attempt.stop is stop), None)
        culprit = (
            f"{message.run} of {message.handler}" if message else "a callback, or a task that a handler has started"
        )
        stack = traceback.format_stack(sys._current_frames().get(blocked.thread.ident or 0))  # noqa: SLF001 - documented
        log.error(BLOCKED, self._block_s, culprit, "".join(stack))
        for attempt in running:
            reason = "it blocked its event loop" if attempt.stop is stop else f"its event loop was blocked by {culprit}"
            attempt.timeout_note = f"; {reason}"
        self._blocked_loops.append(blocked)
        blocked.slots.retire()
        self._loop.slots.wake(len(self._waiting))

    def _check_blocked(self, loop: EventLoop, running: list[Attempt], now: float) -> int:
        if loop.silent_for_s(now) < 2 * PING_S:
            if not running:
                self._blocked_loops.remove(loop)
                loop.end()
            return 0
        stop = loop.slots.stop_of_current()
        blocker_runs = any(attempt.stop is stop for attempt in running)
        if not running or (stop is not None and not blocker_runs):
            # The blocking attempt is over, so the exception cannot hit an attempt whose outcome still counts.
            loop.interrupt(now)
        if loop.interrupted_at and now - loop.interrupted_at >= ABANDON_S:
            self._abandon(loop, running)
            return 0
        return len(running) - blocker_runs

    def _abandon(self, loop: EventLoop, running: list[Attempt]) -> None:
        self._blocked_loops.remove(loop)
        self._abandoned_loops.append(loop)
        log.error("the thread of a blocked event loop is abandoned, with %d attempts", len(running))
        for attempt in running:
            outcome = Outcome(AttemptState.LOST, error="another run blocked its event loop for good", innocent=True)
            if self._attempts.end(attempt, outcome):
                self._report(attempt)
