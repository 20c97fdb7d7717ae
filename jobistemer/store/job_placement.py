"""Homes: the shards that jobs live on, decided once by the first who registers a job, and never changed.

What is decided is a field of the namespace's settings for each bucket of job ids, so it is bounded and needs no
removal; a job that was removed and comes back finds its history. As no field ever changes, what was read may be kept.
See docs/decisions/0403-jobs-live-where-the-fewest-are.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

from jobistemer.core.errors import NotConnected
from jobistemer.core.placement import bucket_of, choose_shards
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import settings_key

SHARDS_FIELD = "shards"
"""The field of the settings that says how many shards there are."""
SPREAD_FIELD = "spread"
"""The field of the settings that says that homes are kept; without it jobs live where their ids hash to."""
PAGE = 1_000


class JobPlacement:
    """The homes of the jobs of one namespace. With one shard there is nothing to ask."""

    def __init__(self, settings: Database, shards: Callable[[], Sequence[Database]]) -> None:
        self._settings = settings
        self._key = settings_key(settings.keys.namespace)
        self._shards = shards
        self._known: dict[int, int] = {}
        self._is_enabled = True
        self._missing_fields: list[Command] = []

    def find(self, job_ids: Sequence[str]) -> list[int | None]:
        """The number of each job's shard; None for one whose bucket has no home, or where none are kept."""
        self._load([job for job in job_ids if bucket_of(job) not in self._known])
        return [self._known.get(bucket_of(job)) for job in job_ids]

    def assign(self, job_ids: Sequence[str]) -> None:
        """Decide where jobs live that are about to be registered. Where others have decided first, that stands."""
        # Also of those that are known: a failover may have lost a home since, and nobody else would find the job.
        homeless = self._load(job_ids)
        if not homeless:
            return
        chosen = choose_shards(homeless, *self._count_jobs(homeless), len(self._shards()))
        homes = [("HSETNX", self._key, _home_field(bucket), home) for bucket, home in chosen.items()]
        self._settings.ask_all([*self._missing_fields, *homes])
        self._load(homeless)

    def _load(self, job_ids: Sequence[str]) -> list[str]:
        """Ask the server where jobs live, and remember it; the jobs that have no home."""
        if not job_ids or not self._is_enabled or len(self._shards()) == 1:
            return []
        buckets = sorted({bucket_of(job) for job in job_ids})
        count, kept, *homes = self._settings.ask(
            "HMGET", self._key, SHARDS_FIELD, SPREAD_FIELD, *map(_home_field, buckets)
        )
        # Without a number of shards somebody has emptied the server: whoever registers a job next begins anew.
        fields = ((SPREAD_FIELD, 1), (SHARDS_FIELD, len(self._shards()))) if count is None else ()
        self._missing_fields = [("HSETNX", self._key, *field) for field in fields]
        self._is_enabled = kept is not None or count is None
        found = {bucket: int(home) for bucket, home in zip(buckets, homes, strict=True) if home is not None}
        self._known |= found
        return [job for job in job_ids if bucket_of(job) not in found] if self._is_enabled else []

    def _count_jobs(self, job_ids: Sequence[str]) -> tuple[dict[int, int], dict[str, int]]:
        """How many jobs each shard has, and on which of them some of these are, though no home says so."""
        counts, found = dict[int, int](), dict[str, int]()
        for number, database in enumerate(self._shards()):
            due = database.keys.due
            try:
                count, *pages = database.ask_all(
                    [("ZCARD", due), *(("ZMSCORE", due, *page) for page in _split_pages(job_ids))],
                )
            except NotConnected:
                # Its node is away: new jobs can do without it.
                continue
            counts[number] = count
            # After a failover that has lost a home, so that the job is not registered a second time.
            scores = zip(job_ids, chain.from_iterable(pages), strict=True)
            found |= {job: number for job, score in scores if score is not None}
        return counts, found


def _home_field(bucket: int) -> str:
    return f"home:{bucket}"


def _split_pages(job_ids: Iterable[str]) -> Iterable[tuple[str, ...]]:
    waiting = iter(job_ids)
    return iter(lambda: tuple(islice(waiting, PAGE)), ())
