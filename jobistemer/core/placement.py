"""Placement of jobs on the shards of a namespace: the one rule that spreads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

BUCKETS = 1 << 16
"""The number of buckets: jobs whose ids fall into one bucket stay on one shard for good, so the record is bounded."""


def hash_to_shard(text: str, shards: int) -> int:
    """Return the number of the shard that a text hashes to."""
    return crc32(text.encode()) % shards if shards > 1 else 0


def bucket_of(job_id: str) -> int:
    """Return the bucket that a job's id falls into."""
    return crc32(job_id.encode()) % BUCKETS


def choose_shards(
    job_ids: Sequence[str], counts: Mapping[int, int], found: Mapping[str, int], shards: int
) -> dict[int, int]:
    """Choose a shard for the bucket of each of these jobs: the shard with the fewest jobs at that moment.

    counts: how many jobs each reachable shard has. found: the shards of jobs that are registered although their buckets
    have no recorded shard. Returns the shard of each bucket.
    """
    totals, chosen = dict(counts), dict[int, int]()
    # Jobs that have a shard come first: a new job of the same bucket has to join them.
    for job in sorted(job_ids, key=lambda each: each not in found):
        # Among shards that have as few, the next one from where the id hashes to: processes that choose at the same
        # moment, from the same counts, do not all choose the same shard.
        first = hash_to_shard(job, shards)
        emptiest = min(totals, key=lambda shard: (totals[shard], (shard - first) % shards), default=first)
        shard = chosen.setdefault(bucket_of(job), found.get(job, emptiest))
        totals[shard] = totals.get(shard, 0) + (job not in found)
    return chosen
