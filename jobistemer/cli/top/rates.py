"""Two moments: what has changed in between, for each second."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobistemer.cli.top.snapshot import TopSnapshot
from jobistemer.core.reads.summaries import TickerSummary, WorkerSummary

ProcessSummary = WorkerSummary | TickerSummary


class Flow(msgspec.Struct, frozen=True):
    """Entries a second that came into a queue, and that workers took out of it; None when that is not known."""

    came: float | None = None
    went: float | None = None


class Rates(msgspec.Struct, frozen=True):
    """By the names of queues, workers and tickers; who was not there before has none.

    Queues are counted between two looks. Members count themselves, so theirs are between two of their beats.
    """

    flows: dict[str, Flow] = {}
    runs: dict[str, float] = {}
    failed: dict[str, float] = {}
    fired: dict[str, float] = {}


def compute_rates(before: TopSnapshot, now: TopSnapshot, known: Rates) -> Rates:
    """The rates of a moment; those `known` of the moment before hold for members that have not beaten since."""
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
        # What was purged in between neither came nor went.
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
