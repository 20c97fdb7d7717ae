"""Hints about missing processes: no worker serves a queue in which runs wait, no ticker promotes delayed runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from jobistemer.core.reads.summaries import TickerSummary, WorkerSummary
from jobistemer.core.runs.records import RunRecord
from jobistemer.core.safe_text import escape_text
from jobistemer.core.states import WAITING_RUNS, RunState
from jobistemer.store.database import Database
from jobistemer.store.keys import split_place
from jobistemer.store.reads.queues import find_served_queues, is_present, list_tickers, list_workers


def find_hints(shards: Sequence[Database], waiting: Collection[str], *, delayed: bool, now_ms: int) -> list[str]:
    """Return what to start, one hint a line.

    waiting: queues in which runs wait for a worker. delayed: whether runs wait for their time.
    """
    workers = list_workers(shards) if waiting else []
    tickers = list_tickers(shards) if delayed else []
    return list(_find_missing(workers, tickers, waiting, delayed=delayed, now_ms=now_ms))


def find_run_hints(shards: Sequence[Database], run: RunRecord, now_ms: int) -> list[str]:
    """Return what to start so that one run goes on."""
    waiting = [split_place(run.place)[0]] if run.state is RunState.PENDING and run.place else []
    return find_hints(shards, waiting, delayed=run.state in WAITING_RUNS, now_ms=now_ms)


def _find_missing(
    workers: list[WorkerSummary], tickers: list[TickerSummary], waiting: Collection[str], *, delayed: bool, now_ms: int
) -> Iterator[str]:
    for queue in sorted(set(waiting) - find_served_queues(workers, now_ms)):
        yield f"no worker serves queue {escape_text(queue)}: start `jobistemer-worker -Q {escape_text(queue)}`"
    if delayed and not any(is_present(each, now_ms) for each in tickers):
        yield "no ticker runs, so nothing that is delayed becomes due: start `jobistemer-ticker`"
