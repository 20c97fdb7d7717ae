"""How evenly jobs and runs fall on shards: as a pure matter of their ids."""

from __future__ import annotations

from collections import Counter
from statistics import mean

import pytest

from jobistemer.core import ids
from jobistemer.store.namespace import Namespace

NAMES = ["job_{}", "second_{}", "report-{:04}", "customer_{}_sync", "tenant{}.nightly"]


def imbalance(shards: int, texts: list[str]) -> float:
    """How many times as much the fullest shard has as the emptiest."""
    namespace = Namespace(f"fake://spread-{shards}", shards=shards)
    counts = Counter(namespace.for_id(text).keys.shard for text in texts)
    assert len(counts) == shards
    return max(counts.values()) / min(counts.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shards", [2, 3, 4])
def test_a_thousand_jobs_are_spread_evenly_over_the_shards(shards, name):
    assert imbalance(shards, [ids.job_id(name.format(number)) for number in range(1000)]) <= 1.3


def test_over_more_shards_they_are_spread_as_evenly_as_chance_is():
    # For 1,000 balls thrown into 8 bins the mean is 1.3
    ratios = [imbalance(8, [ids.job_id(f"{each}/{number}") for number in range(1000)]) for each in range(30)]
    assert mean(ratios) == pytest.approx(1.3, abs=0.06)


def test_runs_are_spread_evenly_over_many_shards():
    # Ids of calls that were made in the same millisecond differ in their random part only
    runs = [ids.enqueued_run_id(1_700_000_000_000, 0x9E3779B97F4A7C15 * number % 2**74) for number in range(40_000)]
    assert imbalance(16, runs) <= 1.1
