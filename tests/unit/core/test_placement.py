"""The rule that spreads jobs over shards, as values: whatever the names are, and however the jobs come."""

from __future__ import annotations

from collections import Counter

import pytest

from jobistemer.core import ids
from jobistemer.core.placement import bucket_of, choose_shards, hash_to_shard

NAMES = ["job_{}", "second_{}", "report-{:04}", "customer_{}_sync", "tenant{}.nightly"]


class Town:
    """Jobs with their homes, as a namespace would have them."""

    def __init__(self, shards: int) -> None:
        self.shards = shards
        self.homes: dict[int, int] = {}
        self.jobs: dict[str, int] = {}

    def counts(self) -> dict[int, int]:
        lived = Counter(self.jobs.values())
        return {shard: lived[shard] for shard in range(self.shards)}

    def deploy(self, jobs: list[str]) -> None:
        homeless = [job for job in jobs if bucket_of(job) not in self.homes]
        self.homes |= choose_shards(homeless, self.counts(), {}, self.shards)
        self.jobs |= {job: self.homes[bucket_of(job)] for job in jobs}

    def imbalance(self) -> float:
        return max(self.counts().values()) / min(self.counts().values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("at_once", [1000, 100, 1], ids=["together", "in ten deploys", "one by one"])
@pytest.mark.parametrize("shards", [2, 4, 8, 16, 32])
def test_a_thousand_jobs_are_spread_evenly_over_the_shards(shards, at_once, name):
    town = Town(shards)
    jobs = [ids.job_id(name.format(number)) for number in range(1000)]
    for start in range(0, 1000, at_once):
        town.deploy(jobs[start : start + at_once])
    assert town.imbalance() <= 1.1


def test_jobs_that_come_fill_the_room_of_those_that_went():
    # Given a thousand jobs, of which all those on one shard are removed and half of those on another
    town = Town(8)
    town.deploy([ids.job_id(f"old_{number}") for number in range(1000)])
    gone = [job for job, shard in town.jobs.items() if shard == 3]
    gone += [job for job, shard in town.jobs.items() if shard == 5][::2]
    for job in gone:
        del town.jobs[job]

    # When as many new ones come
    town.deploy([ids.job_id(f"new_{number}") for number in range(len(gone))])

    # Then all shards have as many as before
    assert town.imbalance() <= 1.1


def test_jobs_of_one_bucket_live_together_and_one_that_has_a_home_keeps_it():
    # 65,536 buckets: among a thousand names two share one
    seen: dict[int, str] = {}
    for job in (ids.job_id(f"job_{number}") for number in range(2000)):
        if bucket_of(job) in seen:
            break
        seen[bucket_of(job)] = job
    other = seen[bucket_of(job)]
    assert choose_shards([other, job], {0: 5, 1: 4, 2: 9}, {}, 3) == {bucket_of(job): 1}


def test_a_job_that_is_registered_somewhere_stays_there():
    assert choose_shards(["job_a"], {0: 0, 1: 7}, {"job_a": 1}, 2) == {bucket_of("job_a"): 1}


def test_a_shard_that_does_not_answer_gets_no_new_jobs():
    jobs = [ids.job_id(f"job_{number}") for number in range(40)]
    homes = choose_shards(jobs, {0: 10, 2: 10}, {}, 3)
    assert Counter(homes.values()) == {0: 20, 2: 20}


def test_where_none_answers_a_job_lives_where_its_id_hashes_to():
    assert choose_shards(["job_a"], {}, {}, 7) == {bucket_of("job_a"): hash_to_shard("job_a", 7)}


def test_those_who_choose_among_empty_shards_at_the_same_time_do_not_all_choose_the_same():
    chosen = Counter(
        next(iter(choose_shards([ids.job_id(f"job_{number}")], dict.fromkeys(range(8), 0), {}, 8).values()))
        for number in range(800)
    )
    assert set(chosen) == set(range(8))
    assert max(chosen.values()) < 150


def test_a_job_that_is_registered_already_decides_for_those_of_its_bucket_in_whatever_order_they_come():
    # Given a new job and one that is registered, though its home was lost, which have to live together
    seen: dict[int, str] = {}
    for number in range(10_000):
        job = ids.job_id(f"job_{number}")
        if seen.setdefault(bucket_of(job), job) != job:
            break
    new = seen[bucket_of(job)]

    # When both are deployed, then the registered one is not registered once more elsewhere
    counts = {0: 0, 1: 0, 2: 0, 3: 5}
    for order in ([new, job], [job, new]):
        assert choose_shards(order, counts, {job: 3}, 4) == {bucket_of(job): 3}
