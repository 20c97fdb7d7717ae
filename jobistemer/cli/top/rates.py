"""Rates per second, computed from two snapshots."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobistemer.cli.top.snapshot import TopSnapshot
from jobistemer.core.reads.summaries import TickerSummary, WorkerSummary

ProcessSummary = WorkerSummary | TickerSummary


class Flow(msgspec.Struct, frozen=True):
    """Entries per second that came into a queue, and that workers took out of it; None when unknown."""

    came: float | None = None
    went: float | None = None


class Rates(msgspec.Struct, frozen=True):
    """Rates per second by queue, worker and ticker; one that was not in the snapshot before has none.

    Queues are compared between two snapshots. Workers and tickers count for themselves and report with their beats, so
    their rates are between two of their beats.
    """

    flows: dict[str, Flow] = {}
    runs: dict[str, float] = {}
    failed: dict[str, float] = {}
    fired: dict[str, float] = {}


def compute_rates(before: TopSnapshot, now: TopSnapshot, known: Rates) -> Rates:
    """Compute the rates between two snapshots; a process without a new beat keeps its rate from `known`."""
    return Rates(
        flows=_compute_flows(before, now),
        runs=_rates_by_process(before.workers, now.workers, "done", known.runs),
        failed=_rates_by_process(before.workers, now.workers, "failed", known.failed),
        fired=_rates_by_process(before.tickers, now.tickers, "fired", known.fired),
    )


def _compute_flows(before: TopSnapshot, now: TopSnapshot) -> dict[str, Flow]:
    seconds, earlier = (now.at_ms - before.at_ms) / 1000, {each.name: each for each in before.queues}
    found = {}
    for each in now.queues:
        then = earlier.get(each.name)
        if then is None or each.taken is None or then.taken is None or seconds <= 0:
            continue
        went = max(0, each.taken - then.taken)
        # A purge makes `waiting` smaller without any entry taken: this must not show as negative.
        found[each.name] = Flow(max(0, went + each.waiting - then.waiting) / seconds, went / seconds)
    return found


def _rates_by_process(
    before: Sequence[ProcessSummary], now: Sequence[ProcessSummary], field: str, known: dict[str, float]
) -> dict[str, float]:
    earlier, found = {each.id: each for each in before}, {}
    for each in now:
        then = earlier.get(each.id)
        if then is not None and each.beat_at > then.beat_at:
            found[each.id] = (getattr(each, field) - getattr(then, field)) * 1000 / (each.beat_at - then.beat_at)
        elif then is not None and each.id in known:
            found[each.id] = known[each.id]
    return found
