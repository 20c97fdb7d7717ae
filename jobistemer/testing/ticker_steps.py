"""A ticker that takes its passes when it is told to."""

from __future__ import annotations

from jobistemer.core.settings import TickerSettings
from jobistemer.store.database import Database
from jobistemer.store.wakeup import WakeListener
from jobistemer.ticker.shard_ticker import ShardTicker

HORIZON_S = 3_600
SETTINGS = TickerSettings(pass_s=60, horizon_s=HORIZON_S)
"""Nothing passes unnoticed between two steps, so that it can look far ahead, and seldom."""


class TickerSteps:
    """The ticker of one shard. As in a process of its own, a bell tells it what it has to look at anew."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ticker = ShardTicker(database, SETTINGS, "ticker of the test")
        self._wakeups = WakeListener(database)
        self._wakeups.listen()
        self._horizon_ms = 0

    def step(self) -> bool:
        """Look at what has changed and do what is due; whether there was anything."""
        heard = self._wakeups.wait(0.0)
        if "job" in heard or self._ticker.must_poll or self._database.clock.now_ms() > self._horizon_ms:
            self._horizon_ms = self._database.clock.now_ms() + HORIZON_S * 1000
            return self._ticker.tick() > 0 or bool(heard)
        if heard:
            self._ticker.poll(full=False)
        return self._ticker.process_due() > 0 or bool(heard)

    @property
    def must_poll(self) -> bool:
        """Whether it has found that it knows less than there is."""
        return self._ticker.must_poll

    def next_ms(self) -> int | None:
        """The first instant to come at which there is something to do."""
        known = self._ticker.next_ms()
        if known is not None and known <= self._horizon_ms:
            return known
        # Behind the horizon it does not know the jobs; those that have no further instant are not waited for.
        first = self._database.ask("ZRANGE", self._database.keys.due, 0, 0, "WITHSCORES")
        instants = [known, round(float(first[1])) if first else None]
        return min((each for each in instants if each is not None), default=None)

    def close(self) -> None:
        """Hear the bell no more."""
        self._wakeups.close()
