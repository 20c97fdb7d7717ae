"""How evenly runs fall on shards: as a pure matter of their ids. Of jobs see test_homes."""

from __future__ import annotations

from collections import Counter

from jobistemer.core import ids
from jobistemer.store.namespace import Namespace


def test_runs_are_spread_evenly_over_many_shards():
    # Ids of calls that were made in the same millisecond differ in their random part only
    runs = [ids.enqueued_run_id(1_700_000_000_000, 0x9E3779B97F4A7C15 * number % 2**74) for number in range(40_000)]
    namespace = Namespace("fake://spread", shards=16)
    counts = Counter(namespace.for_id(text).keys.shard for text in runs)
    assert len(counts) == 16
    assert max(counts.values()) / min(counts.values()) <= 1.1
