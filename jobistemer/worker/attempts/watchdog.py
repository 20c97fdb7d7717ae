"""Watch: stop attempts whose time is over or that were cancelled, in whatever executor they run."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.worker.attempts.attempt import Flight, Flights

LOOK_S = 0.05
IDLE_LOOK_S = 0.25


class Watch:
    """Looks at what is in flight; an attempt that it stops is recorded at once, whether its code yields or not."""

    def __init__(
        self,
        flights: Flights,
        report: Callable[[Flight], None],
        withdraw: Callable[[Collection[str]], object] = lambda _: None,
    ) -> None:
        """withdraw: ends those of some runs that wait for a slot."""
        self._flights = flights
        self._report = report
        self._withdraw = withdraw

    def step(self) -> float:
        """One look; the seconds until the next."""
        running = self._flights.running()
        now = time.monotonic()
        for flight in running:
            limit_ms = flight.limit_ms
            if limit_ms and (now - flight.started) * 1000 >= limit_ms:
                error = f"timed out after {limit_ms / 1000:g} s{flight.trouble}"
                self._stop(flight, Outcome(AttemptState.TIMED_OUT, error=error))
        return LOOK_S if running else IDLE_LOOK_S

    def cancel(self, runs: Mapping[str, str]) -> None:
        """Stop the attempts of these runs, those that still wait for a slot included; a reason may be empty."""
        self._flights.cancel(runs)
        self._withdraw(runs)
        for flight in self._flights.running():
            why = runs.get(flight.delivery.message.run)
            if why is not None:
                error = f"canceled while it ran: {why}" if why else "canceled while it ran"
                self._stop(flight, Outcome(AttemptState.CANCELED, error=error))

    def _stop(self, flight: Flight, outcome: Outcome) -> None:
        # Whoever takes the flight out of the running ones reports it; the slot finds it gone and retires.
        if self._flights.end(flight, outcome):
            self._report(flight)
            if flight.stop is not None:
                flight.stop()
