"""Runs by their states: those that wait or run, and the latest that have ended in each state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from jobistemer.core.reads.summaries import DelayedRun, RunSummary, StreamRun
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import RunState
from jobistemer.store.actions.dead_letters import count_dead
from jobistemer.store.database import Database
from jobistemer.store.keys import split_place
from jobistemer.store.reads.ended_runs import list_dead_runs, list_ended_runs
from jobistemer.store.reads.entries import list_entries
from jobistemer.store.reads.jobs import count_delayed, list_delayed, list_limited
from jobistemer.store.reads.queues import list_queues

LIMITED: Final = "limited"
"""The word for the pending runs that wait for a limit."""
MAX_READ: Final = 1_000
"""How many runs of each state are looked at, unless told otherwise, when only some of them are asked for."""


class RunChoice(NamedTuple):
    """Which runs are listed: of these `STATES`, of a queue and of a task, empty for all.

    look_at: among so many of each state, where not all of them are wanted.
    """

    states: Iterable[str]
    queue: str = ""
    task: str = ""
    look_at: int = MAX_READ


class RunPage(NamedTuple):
    """Some runs, and how many there are; without `is_exact` there are at least so many.

    has_more: whether some are known to follow. is_cut: whether some were not looked at.
    """

    runs: list[RunSummary]
    total: int
    is_exact: bool
    has_more: bool
    is_cut: bool


def list_runs(shards: Sequence[Database], choice: RunChoice, limit: int, offset: int = 0) -> RunPage:
    """Return runs by state, each state with those first that come first: the oldest, the next due, the latest ended.

    `dead` and `timed_out` together are the dead letters; `timed_out` alone are also the runs that timed out and became
    none. `limited` are the pending runs that wait for a limit.
    """
    chosen = [state for state in STATES if state in set(choice.states)]
    # Each pair is one list of the server: its length is not the number of one of them.
    is_part = any(len(pair & set(chosen)) == 1 for pair in _LISTED_TOGETHER)
    is_search = bool(choice.queue or choice.task or is_part)
    count = choice.look_at if is_search else offset + limit + 1
    read = [each(shards, choice.queue, count) for each in _find_readers(chosen)]
    found = {run.id: run for runs in read for run in runs if _is_chosen(run, chosen)}
    wanted = [run for run in found.values() if choice.queue in {"", run.queue} and choice.task in {"", run.task}]
    last, is_cut = offset + limit, any(len(runs) >= count for runs in read)
    if is_search or not set(chosen) <= {*OPEN_STATES, LIMITED}:
        return RunPage(wanted[offset:last], len(wanted), not is_cut, len(wanted) > last, is_search and is_cut)
    total, is_exact = _count(shards, chosen)
    return RunPage(wanted[offset:last], total, is_exact, len(wanted) > last, is_cut=False)


def _find_readers(states: Sequence[str]) -> Iterable[_Reader]:
    """Return the functions that read these states, each once."""
    readers = {each: None for state in states for each in _READERS[state]}
    if "dead" in states:
        # The dead letters hold all of `timed_out` that is wanted beside `dead`.
        readers.pop(_list_timed_out, None)
    return readers


def _is_chosen(run: RunSummary, states: Sequence[str]) -> bool:
    return run.state in states or (bool(run.limit) and LIMITED in states)


def _count(shards: Sequence[Database], states: Sequence[str]) -> tuple[int, bool]:
    """Count the runs of these states; whether all of them are counted."""
    queues = list_queues(shards) if {RunState.PENDING, RunState.RUNNING, LIMITED} & set(states) else []
    has_limited = RunState.PENDING in states or LIMITED in states
    total = sum(each.waiting for each in queues) if RunState.PENDING in states else 0
    total += sum(each.in_flight for each in queues) if RunState.RUNNING in states else 0
    total += sum(sum(each.limited.values()) for each in queues) if has_limited else 0
    total += count_delayed(shards) if RunState.SCHEDULED in states else 0
    total += count_dead(shards) if RunState.DEAD in states else 0
    return total, not has_limited or all(each.limited_is_exact for each in queues)


def _list_on_streams(shards: Sequence[Database], queue: str, count: int) -> list[RunSummary]:
    return [_of_stream(each) for each in list_entries(shards, queue, limit=count)]


def _list_delayed(shards: Sequence[Database], _queue: str, count: int) -> list[RunSummary]:
    return [_of_delayed(each) for each in list_delayed(shards, count)]


def _list_limited(shards: Sequence[Database], _queue: str, count: int) -> list[RunSummary]:
    return sorted((_of_limited(each) for each in list_limited(shards, count)), key=lambda run: run.at)


def _list_dead(shards: Sequence[Database], _queue: str, count: int) -> list[RunSummary]:
    return list_dead_runs(shards, 0, count)


def _list_timed_out(shards: Sequence[Database], queue: str, count: int) -> list[RunSummary]:
    # Dead letters are kept for longer than the list of those that ended last.
    found = [*_list_ended("timed_out", shards, queue, count), *_list_dead(shards, queue, count)]
    return sorted({run.id: run for run in found}.values(), key=lambda run: run.at, reverse=True)


def _list_ended(state: str, shards: Sequence[Database], queue: str, count: int) -> list[RunSummary]:
    return list_ended_runs(shards, [state], queue=queue, limit=count)


def _of_stream(run: StreamRun) -> RunSummary:
    state = RunState.RUNNING if run.worker else RunState.PENDING
    return RunSummary(
        run.id,
        run.handler,
        _queue_of(run.place),
        state,
        run.enqueued_at,
        run.attempt,
        run.worker,
        attempts=run.attempt + bool(run.worker),
    )


def _of_delayed(run: DelayedRun) -> RunSummary:
    return RunSummary(
        run.id,
        run.handler,
        _queue_of(run.place),
        run.state,
        run.due_at,
        run.attempt,
        note=run.note,
        attempts=run.attempt,
    )


def _of_limited(run: RunRecord) -> RunSummary:
    note = f"waits for the limit {run.waiting}"
    return RunSummary(
        run.id,
        run.handler,
        _queue_of(run.place),
        RunState.PENDING,
        run.enqueued_at,
        run.attempt,
        note=run.note or note,
        attempts=run.attempts,
        limit=run.waiting,
    )


def _queue_of(place: str) -> str:
    return split_place(place)[0]


_Reader = Callable[[Sequence[Database], str, int], list[RunSummary]]
_READERS: Final[Mapping[str, tuple[_Reader, ...]]] = {
    RunState.RUNNING: (_list_on_streams,),
    RunState.PENDING: (_list_on_streams, _list_limited),
    LIMITED: (_list_limited,),
    RunState.SCHEDULED: (_list_delayed,),
    RunState.SUSPENDED: (_list_delayed,),
    RunState.DEAD: (_list_dead,),
    RunState.TIMED_OUT: (_list_timed_out,),
    **{state: (partial(_list_ended, state),) for state in (RunState.FAILED, RunState.CANCELED, RunState.SUCCEEDED)},
}
_LISTED_TOGETHER: Final = ({RunState.SCHEDULED, RunState.SUSPENDED}, {RunState.DEAD, RunState.TIMED_OUT})
STATES: Final = tuple(map(str, _READERS))
"""The words that runs are listed by, in this order: states of `core/states.py`, and `limited`."""
OPEN_STATES: Final = ("running", "pending", "scheduled", "suspended", "dead", "timed_out")
"""The states of runs that go on, and of dead letters."""
OLDER_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "waiting": (RunState.PENDING,),
    "delayed": (RunState.SCHEDULED, RunState.SUSPENDED),
}
"""Words of earlier versions for states, with the states that they stand for."""
