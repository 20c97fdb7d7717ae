"""A ticker for tests: it makes a pass when it is called, instead of by its own timer."""

from __future__ import annotations

from jobistemer.core.settings import TickerSettings
from jobistemer.store.database import Database
from jobistemer.store.reads.pending_work import find_next_due_ms
from jobistemer.store.wakeup import WakeListener
from jobistemer.ticker.shard_ticker import ShardTicker

HORIZON_S = 3_600
SETTINGS = TickerSettings(pass_s=60, horizon_s=HORIZON_S)
"""A far horizon and rare passes: in one process every change is announced, so polling would find nothing new."""


class TickerSteps:
    """The ticker of one shard. As in a process of its own, wake-ups tell it which jobs to read again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ticker = ShardTicker(database, SETTINGS, "ticker of the test")
        self._wakeups = WakeListener(database)
        self._wakeups.listen()
        self._horizon_ms = 0

    def step(self) -> bool:
        """Read the jobs that have changed, and fire what is due. Returns whether anything happened."""
        reasons = self._wakeups.wait(0.0)
        if "job" in reasons or self._ticker.must_poll or self._database.clock.now_ms() > self._horizon_ms:
            self._horizon_ms = self._database.clock.now_ms() + HORIZON_S * 1000
            return self._ticker.tick() > 0 or bool(reasons)
        if reasons:
            self._ticker.poll(full=False)
        return self._ticker.process_due() > 0 or bool(reasons)

    def find_pause_end_ms(self, until_ms: int) -> int | None:
        """Return when (Unix ms) this ticker goes on with instants up to `until_ms` that were missed; None for never."""
        jobs = self._ticker.upcoming.jobs.values()
        return min((each.due_ms for each in jobs if each.due_ms > until_ms and each.decide(until_ms, 1)), default=None)

    @property
    def must_poll(self) -> bool:
        """Return whether the ticker has found that jobs on the server differ from those it knows."""
        return self._ticker.must_poll

    def next_ms(self) -> int | None:
        """Return the next instant (Unix ms) at which there is something to do; None for none."""
        known = self._ticker.next_ms()
        if known is not None and known <= self._horizon_ms:
            return known
        # The ticker does not know the jobs that are due beyond its horizon, so the server is asked for the first one.
        instants = [known, find_next_due_ms(self._database)]
        return min((each for each in instants if each is not None), default=None)

    def close(self) -> None:
        """Stop listening for wake-ups."""
        self._wakeups.close()
