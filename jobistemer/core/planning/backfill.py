"""Backfills: a range of the past that is run, a bounded number of instants at a time, forwards or backwards."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from itertools import islice

import msgspec

from jobistemer.core.checks import check_range
from jobistemer.core.errors import InvalidInput
from jobistemer.core.jobs.job import Job
from jobistemer.core.states import TERMINAL_OCCURRENCES, OccurrenceState

MAX_INSTANTS = 100_000
MAX_AT_ONCE = 100
REPEATABLE = frozenset(TERMINAL_OCCURRENCES)


class BackfillOrder(StrEnum):
    """The order in which the instants are run."""

    FORWARD = "forward"
    BACKWARD = "backward"


class BackfillStatus(StrEnum):
    """The state of a backfill."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Backfill(msgspec.Struct, frozen=True):
    """The request to run the instants from `first` to `last` (Unix seconds, both included) of one job.

    concurrency: how many occurrences run at a time; a job that allows no overlap runs one. again: the states of
    recorded occurrences that are run once more; an instant with any other record is left alone. Raises InvalidInput.
    """

    id: str
    job: str
    first: int
    last: int
    order: BackfillOrder = BackfillOrder.FORWARD
    concurrency: int = 1
    again: tuple[OccurrenceState, ...] = ()
    by: str = ""
    started_at: int = 0

    def __post_init__(self) -> None:
        check_range("concurrency", self.concurrency, 1, MAX_AT_ONCE, InvalidInput)
        if self.last < self.first:
            raise InvalidInput(f"the range from {self.first} to {self.last} is empty; were the two swapped?")
        if wrong := set(self.again) - REPEATABLE:
            known = ", ".join(sorted(REPEATABLE))
            raise InvalidInput(f"again names {', '.join(sorted(wrong))}; what has ended can be run again: {known}")


class BackfillProgress(msgspec.Struct, frozen=True):
    """The progress of a backfill.

    position: the last instant that was visited, None before the first. in_flight: occurrences that were fired and have
    not ended. fired counts all fired occurrences, completed and failed the ended ones; existing counts instants that
    had a record already, excluded those that a calendar excludes.
    """

    status: BackfillStatus = BackfillStatus.RUNNING
    position: int | None = None
    in_flight: tuple[str, ...] = msgspec.field(default=(), name="flying")
    fired: int = 0
    completed: int = 0
    failed: int = 0
    existing: int = 0
    excluded: int = 0
    note: str = ""
    ended_at: int = 0


def iter_instants(job: Job, backfill: Backfill, position: int | None) -> Iterator[int]:
    """Yield the instants that come after `position` in the order of the backfill."""
    if backfill.order is BackfillOrder.FORWARD:
        yield from job.schedule.unix_between(backfill.first - 1 if position is None else position, backfill.last)
        return
    instant = job.schedule.previous_unix(backfill.last + 1 if position is None else position)
    while instant is not None and instant >= backfill.first:
        yield instant
        instant = job.schedule.previous_unix(instant)


def list_instants(job: Job, backfill: Backfill) -> list[int]:
    """Return every instant of the range in order. Raises InvalidInput when there are more than MAX_INSTANTS."""
    found = list(islice(iter_instants(job, backfill, None), MAX_INSTANTS + 1))
    if len(found) > MAX_INSTANTS:
        raise InvalidInput(f"the range has more than {MAX_INSTANTS} instants; backfill it in parts")
    return found
