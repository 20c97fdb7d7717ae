"""The whole system in one thread: tickers and a worker that do their steps while the clock stands still."""

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
"""The milliseconds that the clock moves on past an instant at which something is due that no step can do."""


class System:
    """The tickers and the worker of a test. They yield attempts one by one, and commit each when the next is taken."""

    def __init__(self, app: Jobistemer, clock: ManualClock) -> None:
        shards = app.namespace.shards
        self._clock = clock
        self._tickers = [TickerSteps(each) for each in shards]
        self.worker = WorkerSteps(app, shards)

    def run_until_idle(self) -> Iterator[Attempt]:
        """Yield the attempts of this instant, until nothing is left to do. Raises JobistemerError after MAX_RUNS.

        After an outage tickers pause between missed instants. The clock moves over these pauses, until all that was due
        at the beginning is decided.
        """
        count, polled_again, began_ms = 0, False, self._clock.now_ms()
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
            # A ticker that has found its jobs out of date gets one more pass. Only one, since it may find so again.
            if not moved and (polled_again or not any(each.must_poll for each in self._tickers)):
                pauses = [end_ms for each in self._tickers if (end_ms := each.find_pause_end_ms(began_ms)) is not None]
                if not pauses:
                    return
                self._clock.move_to(max(min(pauses), self._clock.now_ms()))
            polled_again = not moved

    def run_queue(self, queue: str) -> Iterator[Attempt]:
        """Yield the attempts of one queue, and nothing else. Runs that they enqueue stay."""
        self.worker.refresh()
        for attempt in self.worker.fetch(queue):
            yield attempt
            self.worker.commit()

    def next_ms(self) -> int | None:
        """Return the first instant (Unix ms) after this one at which there is something to do; None for none."""
        now_ms = self._clock.now_ms()
        instants = [instant for each in self._tickers if (instant := each.next_ms()) is not None]
        return min((each if each > now_ms else now_ms + STUCK_MS for each in instants), default=None)

    def close(self) -> None:
        """End tickers and worker."""
        for each in self._tickers:
            each.close()
        self.worker.close()
