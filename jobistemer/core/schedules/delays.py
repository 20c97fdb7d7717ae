"""Jitter and spread: delays of an execution, computed from ids, so that every node gets the same ones.

They never move a due instant: an occurrence keeps its identity, and the ticker delays its execution by the sum of both.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidSchedule

LONGEST_DELAY: Final = 31 * 24 * 3600

_MS_PER_SECOND: Final = 1000


def check_bound(field: str, seconds: int) -> None:
    """Check that a bound is a whole number of seconds from 0 to 31 days. Raises InvalidSchedule otherwise."""
    if type(seconds) is int and 0 <= seconds <= LONGEST_DELAY:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= LONGEST_DELAY:
        raise InvalidSchedule(f"{field} {show(seconds)} is not a whole number of seconds in 0–{LONGEST_DELAY}")


def jitter_ms(schedule: object, occurrence_id: str) -> int:
    """Return the delay of one occurrence in milliseconds, in [0, jitter × 1000); 0 without jitter."""
    return _delay_ms("jitter", occurrence_id, getattr(schedule, "jitter", 0))


def spread_ms(schedule: object, job_id: str) -> int:
    """Return the stable offset of one job in milliseconds, in [0, spread × 1000); 0 without spread."""
    return _delay_ms("spread", job_id, getattr(schedule, "spread", 0))


def start_delay_ms(schedule: object, occurrence_id: str, job_id: str) -> int:
    """Return the milliseconds by which jitter and spread together delay the runs of an occurrence of a job."""
    return jitter_ms(schedule, occurrence_id) + spread_ms(schedule, job_id)


def _delay_ms(purpose: str, identity: str, bound_s: int) -> int:
    if not bound_s:
        return 0
    digest = sha256(f"{purpose}:{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (bound_s * _MS_PER_SECOND)
