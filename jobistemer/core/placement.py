"""Where jobs live in a namespace of several shards: the one rule that spreads them, as values in and values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

BUCKETS = 1 << 16
"""How many homes are remembered at the most: the jobs whose ids fall into one bucket live together, for good."""


def hash_to_shard(text: str, shards: int) -> int:
    """The number of the shard that a text hashes to."""
    return crc32(text.encode()) % shards if shards > 1 else 0


def bucket_of(job_id: str) -> int:
    """The bucket that a job's id falls into."""
    return crc32(job_id.encode()) % BUCKETS


def choose_homes(
    job_ids: Sequence[str], counts: Mapping[int, int], found: Mapping[str, int], shards: int
) -> dict[int, int]:
    """A home for the bucket of each of these jobs: the shard that has the fewest of them at that moment.

    counts: how many jobs each shard has that answers. found: jobs that are registered, though no home of theirs is
    known. Where several shards have as few, the next one from where the id hashes to: those who choose at the same time
    do not all choose the same.
    """
    crowd, homes = dict(counts), dict[int, int]()
    # Those that live somewhere come first: others may have to live with them.
    for job in sorted(job_ids, key=lambda each: each not in found):
        first = hash_to_shard(job, shards)
        emptiest = min(crowd, key=lambda shard: (crowd[shard], (shard - first) % shards), default=first)
        home = homes.setdefault(bucket_of(job), found.get(job, emptiest))
        crowd[home] = crowd.get(home, 0) + (job not in found)
    return homes
