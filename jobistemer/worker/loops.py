"""Slots for coroutines: an event loop in a thread, which is replaced when a handler blocks it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from jobistemer.runtime.repeating import start_thread
from jobistemer.worker.execute import run_async
from jobistemer.worker.flight import Flight, Flights
from jobistemer.worker.slots import Report

BREATHS = 64
"""After so many coroutines that never waited, the loop gets a turn for what else it has to do."""
TURN_S = 1.0
MOST_STILL = 5
"""At so many looks in a row, a turn apart, the loop may not have turned."""

END_S = 0.5
"""How long the end waits for a loop, which may be blocked."""

log = logging.getLogger("jobistemer.worker")


class LoopSlots:
    """A fixed number of coroutines at a time, on a loop that turns."""

    def __init__(self, count: int, flights: Flights, report: Report) -> None:
        self._count = count
        self._flights = flights
        self._report = report
        # The last one is given work; those before it were blocked.
        self._loops = [_Loop(count, flights, report)]
        self._choice = threading.Lock()
        self._turns = self._still = 0

    def put(self, flights: Iterable[Flight]) -> None:
        """Queue work; called from other threads."""
        with self._choice:
            self._loops[-1].put(list(flights))

    def take_back(self) -> list[Flight]:
        """What has not been started; it will not be."""
        return [flight for loop in self._loops for flight in loop.take_back()]

    def end(self) -> None:
        """Let the loop end, whatever runs on it."""
        for loop in self._loops:
            loop.end()

    def tend(self) -> float:
        """Put a new loop in the place of one that does not turn; the seconds until the next look.

        A coroutine that blocks holds up all others of its loop. Those go on when it ends; what has not begun would
        wait with them, and with it this worker's room.
        """
        turns, self._turns = self._turns, self._loops[-1].turns
        self._still = self._still + 1 if turns == self._turns else 0
        if self._still >= MOST_STILL:
            log.error("a coroutine has blocked the event loop for %d s: what waits goes to a new loop", self._still)
            with self._choice:
                self._loops.append(_Loop(self._count, self._flights, self._report))
            self._turns = self._still = 0
            self.put(self._loops[-2].take_back())
        for blocked in [each for each in self._loops[:-1] if each.is_idle]:
            self._loops.remove(blocked)
            blocked.end()
        return TURN_S


class _Loop:
    """One event loop and its slots."""

    def __init__(self, count: int, flights: Flights, report: Report) -> None:
        self._flights = flights
        self._report = report
        self._count = count
        self._waiting: deque[Flight] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        # Slots, and those of stopped attempts whose code has not ended yet.
        self._slots: set[asyncio.Task[None]] = set()
        self._retired: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self.turns = 0
        self._thread = start_thread(self._run_loop, "loop")

    def put(self, flights: list[Flight]) -> None:
        """Queue work; called from other threads."""
        self._waiting.extend(flights)
        self._loop.call_soon_threadsafe(self._wake, len(flights))

    @property
    def is_idle(self) -> bool:
        """Whether all its slots wait for work, and there is none."""
        return len(self._idle) >= self._count and not self._waiting

    def take_back(self) -> list[Flight]:
        """What has not been started; it will not be."""
        found = []
        # The loop takes from the other side of this very line while it is emptied.
        with suppress(IndexError):
            while True:
                found.append(self._waiting.popleft())
        return found

    def end(self) -> None:
        """Let the loop end, whatever runs on it."""
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(END_S)

    def _end(self) -> None:
        self._slots.clear()
        for turn in self._idle:
            turn.cancel()
        # A turn later: by then the slots that wait for work have ended.
        self._loop.call_later(0.01, self._loop.stop)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        for _ in range(self._count):
            self._add_slot()
        self._turn()
        self._loop.run_forever()

    def _turn(self) -> None:
        self.turns += 1
        self._loop.call_later(TURN_S / 2, self._turn)

    def _add_slot(self) -> None:
        task = self._loop.create_task(self._work())
        self._slots.add(task)
        task.add_done_callback(self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._retired.discard(task)
        if task in self._slots:
            # A handler may cancel the task that it runs in; the slot does not go with it.
            self._slots.discard(task)
            self._add_slot()

    def _wake(self, count: int) -> None:
        while count and self._idle:
            turn = self._idle.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a task

        def stop() -> None:
            self._loop.call_soon_threadsafe(self._replace, task)

        breaths = 0
        while True:
            flight = await self._next()
            if not await run_async(flight, self._flights, stop):
                return
            self._report(flight)
            breaths = (breaths + 1) % BREATHS
            if not breaths:
                await asyncio.sleep(0)

    async def _next(self) -> Flight:
        while True:
            try:
                return self._waiting.popleft()
            except IndexError:
                turn = self._loop.create_future()
            self._idle.append(turn)
            await turn

    def _replace(self, task: asyncio.Task[None]) -> None:
        # The attempt is over; its slot goes with it, because a coroutine may swallow its cancellation.
        if task in self._slots:
            self._slots.discard(task)
            self._retired.add(task)
            self._add_slot()
            task.cancel()
