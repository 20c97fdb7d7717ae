"""Exceptions that a handler raises to decide the outcome of its attempt."""

from __future__ import annotations

from datetime import timedelta

from jobistemer.core.checks import check_range
from jobistemer.core.errors import InvalidInput
from jobistemer.core.jobs.retries import LONGEST_DELAY_S


class Retry(Exception):
    """Try again: `raise Retry(after=30)`. It counts as a failed attempt.

    after: seconds or a timedelta until the next attempt, a negative one means now; without it the retry policy decides.
    Raises InvalidInput when `after` is no number, or too long.
    """

    def __init__(self, reason: str = "asked to be tried again", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason)
        self.after_ms = None if after is None else _to_delay_ms(after)


class Snooze(Exception):
    """Come back later: `raise Snooze(after=30)`. The run waits, and uses up no retry; a run may do so 1,000 times.

    after: seconds or a timedelta. Raises InvalidInput when `after` is no number, or too long.
    """

    def __init__(self, reason: str = "snoozed", *, after: float | timedelta) -> None:
        super().__init__(reason)
        self.after_ms = _to_delay_ms(after, "Snooze: after")


class Done(Exception):
    """End the job: `raise Done("all imported")`, or return it. The run succeeds, and the job fires no more.

    The job is paused with the reason; `jobistemer job resume` takes that back. Of a call that is no task of a job only
    the run ends.
    """

    def __init__(self, reason: str = "done") -> None:
        super().__init__(reason)


class Fail(Exception):
    """Give up: `raise Fail("no such customer")`. The run fails and is not tried again."""


def _to_delay_ms(after: float | timedelta, field: str = "Retry: after") -> int:
    seconds = after.total_seconds() if isinstance(after, timedelta) else after
    if isinstance(seconds, int | float) and seconds < 0:
        return 0
    check_range(field, seconds, 0, LONGEST_DELAY_S, InvalidInput)
    return round(seconds * 1000)
