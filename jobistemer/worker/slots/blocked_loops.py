"""The event loop for coroutines, in a thread of its own; and what becomes of it when a coroutine blocks it.

A loop that has not answered for `loop_block_s` is left to the coroutine that holds it up: a new loop takes over what
has not begun, and what comes. What had begun there waits until the loop moves on. When the time of the culprit is
over, its attempt is recorded and it is hit by an exception; should the loop stay silent all the same (it sits in C
code that never returns), its thread is given up, and the attempts that it had are recorded as lost, which they are.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.worker.attempts.attempt import Attempt, RunningAttempts
from jobistemer.worker.process.pool import ProcessPool
from jobistemer.worker.slots.event_loop import EventLoop

PING_S = 0.5
STALLED_S = 2.0
ABANDON_S = 5.0
"""How long a loop may stay silent after everybody on it was stopped, before its thread is given up."""

BLOCKED = "the event loop has been blocked for %g s by %s; the others go on in a new one. It is at:\n%s"

log = logging.getLogger("jobistemer.worker")


class LoopSlots:
    """One event loop that takes work, and those that are blocked or about to end. `check` is the watchdog's to call."""

    def __init__(
        self,
        count: int,
        attempts: RunningAttempts,
        report: Callable[[Attempt], None],
        pool: ProcessPool | None,
        block_s: float,
    ) -> None:
        self._attempts = attempts
        self._report = report
        self._block_s = block_s
        self._waiting: deque[Attempt] = deque()
        self._open = partial(EventLoop, count, self._waiting, attempts, report, pool)
        self._loop = self._open()
        self._blocked_loops: list[EventLoop] = []
        self._abandoned_loops: list[EventLoop] = []
        self._last_ping = self._last_check = time.monotonic()

    def count_leaked(self, before: float) -> int:
        """How many loops were given up, and coroutines before that moment, that have not ended."""
        loops = [self._loop, *self._blocked_loops]
        return sum(loop.thread.is_alive() for loop in self._abandoned_loops) + sum(
            loop.slots.count_leaked(before) for loop in loops
        )

    def put(self, attempts: Iterable[Attempt]) -> None:
        """Queue work; called from other threads."""
        fresh = list(attempts)
        self._waiting.extend(fresh)
        self._loop.slots.wake(len(fresh))

    def take_unstarted(self) -> list[Attempt]:
        """What has not been started; it will not be."""
        found = []
        # The loop takes from the other side of this very line while it is emptied.
        with suppress(IndexError):
            while True:
                found.append(self._waiting.popleft())
        return found

    def end(self) -> None:
        """Let the loops end, whatever runs on them."""
        for loop in [self._loop, *self._blocked_loops]:
            loop.end()

    def check(self, running: list[Attempt]) -> int:
        """See whether the loops still turn, and act when they do not; how many attempts are held up by others."""
        now = time.monotonic()
        if now - self._last_check >= STALLED_S:
            # This thread stood still itself, and so may have the loops: what they were asked tells nothing.
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
        message = next((attempt.delivery.message for attempt in running if attempt.stop is stop), None)
        culprit = f"{message.run} of {message.handler}" if message else "a callback, or a task of a handler's own"
        stack = traceback.format_stack(sys._current_frames().get(blocked.thread.ident or 0))  # noqa: SLF001
        log.error(BLOCKED, self._block_s, culprit, "".join(stack))
        for attempt in running:
            who = "it blocked its event loop" if attempt.stop is stop else f"its event loop was blocked by {culprit}"
            attempt.timeout_note = f"; {who}"
        self._blocked_loops.append(blocked)
        blocked.slots.retire()
        self._loop = self._open()
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
            # The attempt of whoever holds it up is over: the exception hits nobody else's.
            loop.interrupt(now)
        if loop.interrupted_at and now - loop.interrupted_at >= ABANDON_S:
            self._abandon(loop, running)
            return 0
        return len(running) - blocker_runs

    def _abandon(self, loop: EventLoop, running: list[Attempt]) -> None:
        self._blocked_loops.remove(loop)
        self._abandoned_loops.append(loop)
        log.error("the thread of a blocked event loop is given up, and %d attempts with it", len(running))
        for attempt in running:
            outcome = Outcome(AttemptState.LOST, error="another run blocked its event loop for good", innocent=True)
            if self._attempts.end(attempt, outcome):
                self._report(attempt)
