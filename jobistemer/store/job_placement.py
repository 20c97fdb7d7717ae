"""Placement of jobs on shards: decided once, by the process that registers a job first, and never changed.

The settings of the namespace have a field for each bucket of job ids, so their number is bounded and none is removed; a
job that was removed and comes back finds its history. As no field ever changes, fields that were read are cached.
See docs/decisions/0403-jobs-live-where-the-fewest-are.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

from jobistemer.core.errors import NotConnected
from jobistemer.core.placement import bucket_of, choose_shards
from jobistemer.store.database import Command, Database
from jobistemer.store.keys import settings_key
from jobistemer.store.reading import read_number

SHARDS_FIELD = "shards"
"""The field of the settings with the number of shards."""
SPREAD_FIELD = "spread"
"""The field of the settings that says that jobs are placed; without it they are on the shards their ids hash to."""
PAGE = 1_000


class JobPlacement:
    """The placement of the jobs of one namespace. With one shard no command is sent."""

    def __init__(self, settings: Database, shards: Callable[[], Sequence[Database]]) -> None:
        self._settings = settings
        self._key = settings_key(settings.keys.namespace)
        self._shards = shards
        self._known: dict[int, int] = {}
        self._is_enabled = True
        self._missing_fields: list[Command] = []

    def find(self, job_ids: Sequence[str]) -> list[int | None]:
        """Return the number of each job's shard; None for a job whose bucket is not placed."""
        self._load([job for job in job_ids if bucket_of(job) not in self._known])
        return [self._known.get(bucket_of(job)) for job in job_ids]

    def holds(self, job_ids: Sequence[str]) -> bool:
        """Return whether all of these jobs are known to be placed; jobs that need no placement are."""
        is_needed = self._is_enabled and len(self._shards()) > 1
        return not is_needed or all(bucket_of(job) in self._known for job in job_ids)

    def assign(self, job_ids: Sequence[str]) -> None:
        """Place jobs that are about to be registered. The decision of a process that was faster stands."""
        # Cached ones as well: a failover may have lost a field since, and then no other process would find the job.
        unplaced = self._load(job_ids)
        if not unplaced:
            return
        chosen = choose_shards(unplaced, *self._count_jobs(unplaced), len(self._shards()))
        fields = [("HSETNX", self._key, _field_of(bucket), number) for bucket, number in chosen.items()]
        self._settings.ask_all([*self._missing_fields, *fields])
        self._load(unplaced)

    def forget(self) -> None:
        """Forget what was read: the server was emptied or has gone back."""
        self._known.clear()

    def _load(self, job_ids: Sequence[str]) -> list[str]:
        """Read the placement of jobs and cache it. Returns the jobs that are not placed."""
        if not job_ids or not self._is_enabled or len(self._shards()) == 1:
            return []
        buckets = sorted({bucket_of(job) for job in job_ids})
        count, enabled, *numbers = self._settings.ask(
            "HMGET", self._key, SHARDS_FIELD, SPREAD_FIELD, *map(_field_of, buckets)
        )
        # Without a number of shards the server was emptied: the next registration of a job writes the settings anew.
        fields = ((SPREAD_FIELD, 1), (SHARDS_FIELD, len(self._shards()))) if count is None else ()
        self._missing_fields = [("HSETNX", self._key, *field) for field in fields]
        self._is_enabled = enabled is not None or count is None
        # A field that is no number of a shard reads like one that is missing: the job is where its id hashes to.
        placed = zip(buckets, (read_number(number, -1) for number in numbers), strict=True)
        found = {bucket: number for bucket, number in placed if 0 <= number < len(self._shards())}
        self._known |= found
        return [job for job in job_ids if bucket_of(job) not in found] if self._is_enabled else []

    def _count_jobs(self, job_ids: Sequence[str]) -> tuple[dict[int, int], dict[str, int]]:
        """Count the jobs of each shard, and find those of `job_ids` that are registered without a placement."""
        counts, found = dict[int, int](), dict[str, int]()
        for number, database in enumerate(self._shards()):
            due = database.keys.due
            try:
                count, *pages = database.ask_all(
                    [("ZCARD", due), *(("ZMSCORE", due, *page) for page in _split_pages(job_ids))],
                )
            except NotConnected:
                # Its node does not answer: new jobs are placed on other shards.
                continue
            counts[number] = count
            # A failover may have lost the field of a job that is registered: elsewhere it would be registered twice.
            scores = zip(job_ids, chain.from_iterable(pages), strict=True)
            found |= {job: number for job, score in scores if score is not None}
        return counts, found


def _field_of(bucket: int) -> str:
    return f"home:{bucket}"


def _split_pages(job_ids: Iterable[str]) -> Iterable[tuple[str, ...]]:
    waiting = iter(job_ids)
    return iter(lambda: tuple(islice(waiting, PAGE)), ())
