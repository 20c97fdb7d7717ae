"""Count the functions that one due instant of one plain job goes through in a ticker.

    python docs/trip_due.py

The trip has three legs: the ticker reads the agenda and the definition (*look*), it builds the claim (*prepare*), and
it claims the instant a little before that is due (*claim*). It ends with the occurrence on record.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count, groupby
from pathlib import Path
from types import FrameType
from typing import Any

import jobistemer
from jobistemer.core.jobs.job import Job, Task
from jobistemer.core.schedules import Cron
from jobistemer.core.settings import TickerSettings
from jobistemer.store.actions.update_job import Author, update_job
from jobistemer.store.namespace import Namespace
from jobistemer.ticker.shard_ticker import ShardTicker
from jobistemer.ticker.upcoming import MIN_LEAD_MS

PACKAGE = Path(jobistemer.__file__).parent
DUE_MS = 1_800_000_060_000
LEAD_MS = 3_000
"""How long before the instant the ticker reads the agenda; less than its horizon."""
LEAVES = (
    "core/schedules",
    "core/jobs",
    "core/ids",
    "core/names",
    "core/ranges",
    "core/checks",
    "store/keys",
    "store/clock",
    "store/scripts",
    "store/database",
    "runtime",
)
"""Values and the connection: they answer a question from themselves, and the instant goes no further through them."""
OTHER_WORK = tuple(
    f"ticker/{name}.py"
    for name in ("alerts", "chores", "deadlines", "promote", "start_queued", "sweep", "trim", "unaccounted")
)
"""The rest of a pass. It finds nothing to do here, and the instant does not go through it."""

Entered = tuple[str, str]
"""A function by its file below the package and its qualified name."""

_servers = count()


class _Clock:
    """A clock that stands still until the trip moves it."""

    age_s = 0.0

    def __init__(self) -> None:
        self.ms = DUE_MS - LEAD_MS

    def now_ms(self) -> int:
        return self.ms

    def at_ms(self, _: float) -> int:
        return self.ms

    def correct(self, server_ms: float) -> None:
        pass


def count_due() -> list[Entered]:
    """Return the functions that one due instant goes through, each once, in the order of their first call."""
    # The first trip compiles the schedule and loads the scripts; only the second is like every one after it.
    _record_trip()
    return [each for each in _record_trip() if not each[0].startswith((*LEAVES, *OTHER_WORK))]


def count_all() -> list[Entered]:
    """Return all functions of the package that are entered meanwhile, those of values and other work included."""
    _record_trip()
    return _record_trip()


def _record_trip() -> list[Entered]:
    clock = _Clock()
    database = Namespace(f"fake://trip-{next(_servers)}", "trip", shards=1, clock=clock).shards[0]
    ticker = ShardTicker(database, TickerSettings(), "ticker")
    ticker.upcoming.claims_ahead = True
    # The ticker runs already when the job comes: its first beat has nothing to compare with what it finds.
    ticker.poll(full=True)
    update_job(database, Job("report", Cron("* * * * *"), (Task("only", "report.only"),)), Author())

    def make_trip() -> None:
        ticker.poll(full=True)
        ticker.upcoming.prepare_claims(database.keys)
        clock.ms = DUE_MS - MIN_LEAD_MS
        if ticker.process_due() != 1:
            raise AssertionError("the instant was not claimed")

    return _record_calls(make_trip)


def _record_calls(act: Callable[[], None]) -> list[Entered]:
    entered: dict[Entered, None] = {}

    def observe(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        # A comprehension has a frame of its own in Python 3.11 only, and belongs to its function.
        if event == "call" and not code.co_name.startswith("<") and code.co_filename.startswith(f"{PACKAGE}/"):
            entered[str(Path(code.co_filename).relative_to(PACKAGE)), code.co_qualname] = None

    sys.setprofile(observe)
    try:
        act()
    finally:
        sys.setprofile(None)
    return list(entered)


def main() -> None:
    """Print the trip file by file."""
    trip, every = count_due(), count_all()
    lines = [f"{file}: {', '.join(name for _, name in part)}" for file, part in groupby(trip, key=lambda each: each[0])]
    lines.append(f"{len(trip)} functions in {len({file for file, _ in trip})} files")
    lines.append(f"with values, connection and other work {len(every)} in {len({file for file, _ in every})}")
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
