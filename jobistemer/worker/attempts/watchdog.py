"""The watchdog: stop attempts that have timed out or were cancelled, in whatever executor they run."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.worker.attempts.attempt import Attempt
from jobistemer.worker.attempts.in_flight import RunningAttempts

LOOK_S = 0.05
IDLE_LOOK_S = 0.25


class Watchdog:
    """Looks at the running attempts; one that it stops is recorded at once, whether its code yields or not."""

    def __init__(
        self,
        attempts: RunningAttempts,
        report: Callable[[Attempt], None],
        end_waiting: Callable[[Collection[str]], object] = lambda _: None,
        patience_s: float = 0.0,
    ) -> None:
        """Watch some attempts.

        end_waiting: ends, as canceled, the attempts of some runs that wait for a slot. patience_s: how long a handler
        that can ask whether it was canceled may go on afterwards.
        """
        self._patience_s = patience_s
        self._attempts = attempts
        self._report = report
        self._end_waiting = end_waiting

    def step(self) -> float:
        """Stop the attempts that have timed out; return the seconds until the next look."""
        running = self._attempts.running()
        now = time.monotonic()
        for attempt in running:
            if attempt.canceled_as is not None and now >= attempt.stop_at:
                self._stop(attempt, attempt.canceled_as)
                continue
            limit_ms, ran_ms = attempt.limit_ms, (now - attempt.started) * 1000
            if limit_ms:
                self._attempts.long_attempts.note(attempt.handler.name, round(ran_ms), limit_ms)
            if limit_ms and ran_ms >= limit_ms:
                error = f"timed out after {limit_ms / 1000:g} s{attempt.timeout_note}"
                self._stop(attempt, Outcome(AttemptState.TIMED_OUT, error=error))
        return LOOK_S if running else IDLE_LOOK_S

    def cancel(self, runs: Mapping[str, str]) -> None:
        """Stop the attempts of these runs, also those that still wait for a slot; a reason may be empty."""
        # First remembered, then looked for: an attempt that begins in between sees that it may not.
        self._attempts.cancel(runs)
        self._end_waiting(runs)
        for attempt in self._attempts.running():
            why = runs.get(attempt.delivery.message.run)
            if why is not None and attempt.delivery.message.undoing is None:
                error = f"canceled: {why.removeprefix('canceled: ')}" if why else "canceled while it ran"
                self._cancel_running(attempt, Outcome(AttemptState.CANCELED, error=error))

    def _cancel_running(self, attempt: Attempt, outcome: Outcome) -> None:
        # Only a thread that has a context can ask: a coroutine is interrupted where it waits, a process is killed.
        if not self._patience_s or attempt.tools is None or attempt.handler.is_coroutine or attempt.needs_process:
            self._stop(attempt, outcome)
        elif attempt.canceled_as is None:
            # A request is reported by several beats; the first one counts.
            attempt.stop_at = time.monotonic() + self._patience_s
            attempt.canceled_as = outcome

    def _stop(self, attempt: Attempt, outcome: Outcome) -> None:
        # Whichever thread takes the attempt out of the running ones reports it; the slot finds it gone and retires.
        # Reported before it is stopped: its code may swallow the stop, or take minutes to heed it.
        if self._attempts.end(attempt, outcome):
            self._report(attempt)
            if attempt.stop is not None:
                attempt.stop()
