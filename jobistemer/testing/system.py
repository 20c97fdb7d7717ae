"""The whole system in one thread: tickers and a worker that go on from instant to instant while the clock stands."""

from __future__ import annotations

from collections.abc import Iterator

from jobistemer.app import Jobistemer
from jobistemer.core.errors import JobistemerError
from jobistemer.testing.clock import ManualClock
from jobistemer.testing.ticker_steps import TickerSteps
from jobistemer.testing.worker_steps import WorkerSteps
from jobistemer.worker.attempts.attempt import Attempt

MAX_RUNS = 100_000
STUCK_MS = 1_000
"""A step past an instant at which something is due and nothing becomes of it."""


class System:
    """What gives attempts to be run, one by one; each is committed when the next is asked for."""

    def __init__(self, app: Jobistemer, clock: ManualClock) -> None:
        shards = app.namespace.shards
        self._clock = clock
        self._tickers = [TickerSteps(each) for each in shards]
        self.worker = WorkerSteps(app, shards)

    def run_until_idle(self) -> Iterator[Attempt]:
        """Go on until nothing is left to do at this instant."""
        count, looked = 0, False
        self.worker.refresh()
        while True:
            moved = sum(each.step() for each in self._tickers) > 0
            for attempt in self.worker.fetch():
                yield attempt
                self.worker.commit()
                moved, count = True, count + 1
                if count > MAX_RUNS:
                    raise JobistemerError(
                        f"more than {MAX_RUNS:,} runs at one instant, the last of task {attempt.handler.name!r}: "
                        "does a task enqueue itself without a delay?"
                    )
            # What turned out to be otherwise than a ticker thought is looked at once more.
            if not moved and (looked or not any(each.must_poll for each in self._tickers)):
                return
            looked = not moved

    def run_queue(self, queue: str) -> Iterator[Attempt]:
        """Give what is in one queue, and nothing else; what comes of it stays."""
        self.worker.refresh()
        for attempt in self.worker.fetch(queue):
            yield attempt
            self.worker.commit()

    def next_ms(self) -> int | None:
        """The first instant after this one at which there is something to do."""
        now_ms = self._clock.now_ms()
        instants = [instant for each in self._tickers if (instant := each.next_ms()) is not None]
        return min((each if each > now_ms else now_ms + STUCK_MS for each in instants), default=None)

    def close(self) -> None:
        """End what was started for the test."""
        for each in self._tickers:
            each.close()
        self.worker.close()
