"""Purge the records of runs that ended long ago, by hand: for a server that runs out of memory before they expire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final

from jobistemer.control.changes import ChangeList
from jobistemer.core.checks import show
from jobistemer.core.errors import InvalidInput
from jobistemer.core.states import TERMINAL_RUNS, RunState
from jobistemer.core.text import format_duration
from jobistemer.store.actions.purge_ended import Purge, find_purgeable, purge_page
from jobistemer.store.namespace import Namespace

PURGED_STATES: Final = tuple(sorted(map(str, TERMINAL_RUNS - {RunState.DEAD})))
"""The states whose runs are purged where none is named: dead letters are kept for people."""


def purge_runs(
    namespace: Namespace,
    older_than_s: float,
    states: Collection[str] = PURGED_STATES,
    *,
    dry_run: bool = False,
    by: str | None = None,
) -> dict[str, int]:
    """Delete the runs that ended more than `older_than_s` seconds ago, with their attempts, logs, steps and results.

    states: only runs in these; dead letters, of which some have timed out, only with `dead`. What has not ended, and
    what belongs to an occurrence that has not, stays. dry_run: only count. Returns their number by state.
    Raises InvalidInput for a state in which no run has ended, or for an age below 0.
    """
    unknown = sorted(set(states) - set(TERMINAL_RUNS))
    if unknown or not states:
        raise InvalidInput(f"states are {show(list(states))}, allowed are {', '.join(sorted(TERMINAL_RUNS))}")
    if not 0 <= older_than_s <= namespace.read_clock() / 1000:
        raise InvalidInput(f"older_than_s is {show(older_than_s)}, allowed are seconds from 0 to the age of the clock")
    counts = Counter[str]()
    for database in namespace.shards:
        # Each shard has its own clock on a cluster.
        purge = Purge(database.read_clock() - round(older_than_s * 1000), frozenset(states))
        for runs in find_purgeable(database, purge):
            gone = runs if dry_run else purge_page(database, purge, runs)
            counts.update(each.state for each in gone)
    if counts and not dry_run:
        note = f"{counts.total()} that ended more than {format_duration(older_than_s * 1000)} ago"
        ChangeList(namespace, by).record("purge runs", ", ".join(sorted(states)), note)
    return dict(sorted(counts.items()))
