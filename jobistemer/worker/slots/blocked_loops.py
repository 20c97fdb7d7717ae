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
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.process.pool import Pool
from jobistemer.worker.slots.event_loop import EventLoop

ASK_S = 0.5
STALLED_S = 2.0
GIVE_UP_S = 5.0
"""How long a loop may stay silent after everybody on it was stopped, before its thread is given up."""

BLOCKED = "the event loop has been blocked for %g s by %s; the others go on in a new one. It is at:\n%s"

log = logging.getLogger("jobistemer.worker")


class LoopSlots:
    """One event loop that takes work, and those that are blocked or about to end. `look` is the watch's to call."""

    def __init__(
        self, count: int, flights: Flights, report: Callable[[Flight], None], pool: Pool | None, block_s: float
    ) -> None:
        self._flights = flights
        self._report = report
        self._block_s = block_s
        self._waiting: deque[Flight] = deque()
        self._open = partial(EventLoop, count, self._waiting, flights, report, pool)
        self._loop = self._open()
        self._old: list[EventLoop] = []
        self._given_up: list[EventLoop] = []
        self._asked = self._looked = time.monotonic()

    def leaked(self, before: float) -> int:
        """How many loops were given up, and coroutines before that moment, that have not ended."""
        loops = [self._loop, *self._old]
        return sum(loop.thread.is_alive() for loop in self._given_up) + sum(loop.slots.leaked(before) for loop in loops)

    def put(self, flights: Iterable[Flight]) -> None:
        """Queue work; called from other threads."""
        fresh = list(flights)
        self._waiting.extend(fresh)
        self._loop.slots.wake(len(fresh))

    def take_back(self) -> list[Flight]:
        """What has not been started; it will not be."""
        found = []
        # The loop takes from the other side of this very line while it is emptied.
        with suppress(IndexError):
            while True:
                found.append(self._waiting.popleft())
        return found

    def end(self) -> None:
        """Let the loops end, whatever runs on them."""
        for loop in [self._loop, *self._old]:
            loop.end()

    def look(self, running: list[Flight]) -> int:
        """See whether the loops still turn, and act when they do not; how many attempts are held up by others."""
        now = time.monotonic()
        if now - self._looked >= STALLED_S:
            # This thread stood still itself, and so may have the loops: what they were asked tells nothing.
            for loop in [self._loop, *self._old]:
                loop.ask_anew(now)
        elif now - self._asked >= ASK_S:
            self._asked = now
            for loop in [self._loop, *self._old]:
                loop.ask(now)
        self._looked = now
        if self._loop.silent(now) >= self._block_s:
            self._replace(self._loop.slots.of(running))
        return sum(self._tend(loop, loop.slots.of(running), now) for loop in list(self._old))

    def _replace(self, running: list[Flight]) -> None:
        blocked, stop = self._loop, self._loop.slots.executing()
        message = next((flight.delivery.message for flight in running if flight.stop is stop), None)
        culprit = f"{message.run} of {message.handler}" if message else "a callback, or a task of a handler's own"
        stack = traceback.format_stack(sys._current_frames().get(blocked.thread.ident or 0))  # noqa: SLF001
        log.error(BLOCKED, self._block_s, culprit, "".join(stack))
        for flight in running:
            who = "it blocked its event loop" if flight.stop is stop else f"its event loop was blocked by {culprit}"
            flight.trouble = f"; {who}"
        self._old.append(blocked)
        blocked.slots.retire()
        self._loop = self._open()
        self._loop.slots.wake(len(self._waiting))

    def _tend(self, loop: EventLoop, running: list[Flight], now: float) -> int:
        if loop.silent(now) < 2 * ASK_S:
            if not running:
                self._old.remove(loop)
                loop.end()
            return 0
        stop = loop.slots.executing()
        at_it = any(flight.stop is stop for flight in running)
        if not running or (stop is not None and not at_it):
            # The attempt of whoever holds it up is over: the exception hits nobody else's.
            loop.hit(now)
        if loop.hit_at and now - loop.hit_at >= GIVE_UP_S:
            self._give_up(loop, running)
            return 0
        return len(running) - at_it

    def _give_up(self, loop: EventLoop, running: list[Flight]) -> None:
        self._old.remove(loop)
        self._given_up.append(loop)
        log.error("the thread of a blocked event loop is given up, and %d attempts with it", len(running))
        for flight in running:
            outcome = Outcome(AttemptState.LOST, error="another run blocked its event loop for good", innocent=True)
            if self._flights.end(flight, outcome):
                self._report(flight)
