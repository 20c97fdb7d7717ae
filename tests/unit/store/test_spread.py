"""How evenly runs fall on shards: as a pure matter of their ids. Of jobs see test_homes."""

from __future__ import annotations

from collections import Counter

from jobistemer.store.calls import runs
from jobistemer.store.namespace import Namespace


def test_runs_are_spread_evenly_over_many_shards(monkeypatch):
    # Ids of calls that were made in the same millisecond differ in their random part only
    entropy = (0x9E3779B97F4A7C15 * number for number in range(40_000))
    monkeypatch.setattr(runs, "urandom", lambda size: (next(entropy) % 2 ** (8 * size)).to_bytes(size, "big"))
    run_ids = [runs.new_run_id(1_700_000_000_000) for _ in range(40_000)]
    namespace = Namespace("fake://spread", shards=16)
    counts = Counter(namespace.for_id(text).keys.shard for text in run_ids)
    assert len(counts) == 16
    assert max(counts.values()) / min(counts.values()) <= 1.1


def test_a_namespace_of_one_shard_needs_no_hash():
    one, two = Namespace("fake://spread-one", shards=1), Namespace("fake://spread-two", shards=2)
    assert one.only_shard is None, "not before it is known how many there are"
    found = one.for_id("any")
    assert one.only_shard is found
    two.for_id("any")
    assert two.only_shard is None
