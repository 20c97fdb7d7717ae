"""A namespace: all shards behind one URL, and which of them holds what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from jobistemer.core.errors import Misconfigured
from jobistemer.core.placement import hash_to_shard
from jobistemer.store.clock import Clock, ServerClock
from jobistemer.store.database import AsyncDatabase, Database
from jobistemer.store.job_placement import SHARDS_FIELD, SPREAD_FIELD, JobPlacement
from jobistemer.store.keys import Keys, settings_key
from jobistemer.store.server.connection import Server, redact_url
from jobistemer.store.sleeper import Sleeper

MAX_SHARDS = 1024


class Namespace:
    """The shards of one namespace, reached through one client.

    url: where the server is. name: what the keys begin with. shards: how many there are; the first process of a
    namespace fixes it, later ones may leave it out. Raises Misconfigured when it differs from what is fixed.
    """

    def __init__(
        self, url: str, name: str = "jobistemer", shards: int | None = None, clock: Clock | None = None
    ) -> None:
        self.name = name
        self.sleeper = Sleeper()
        self._wanted = shards
        self._connect_to(url, clock)

    def _connect_to(self, url: str, clock: Clock | None) -> None:
        self.url = url
        self.clock: Clock = clock or ServerClock()
        self._server = Server(url)
        self.cluster = self._server.cluster
        # The nodes of a cluster have clocks of their own, and what a shard's node says is what counts there.
        self._clocks_differ = clock is None and self.cluster is not None
        # What all shards share is in a slot of its own.
        self.settings_key = settings_key(self.name)
        client = self._server.client(self.settings_key)
        self.settings = Database(client, Keys(self.name, 0), self.clock, redact_url(url))
        self._shards: list[Database] = []
        self._open_lock = Lock()
        self.placement = JobPlacement(self.settings, lambda: self.shards)

    def __str__(self) -> str:
        return f"namespace {self.name!r} on {redact_url(self.url)}"

    @property
    def shards(self) -> list[Database]:
        """The databases of all shards. The first use asks the server how many there are, and for its time."""
        if not self._shards:
            count = _agree_on_shards(self.settings, self.name, self._wanted)
            self.settings.read_clock()
            self._open(count)
        return self._shards

    def adopt(self, shards: int, server_ms: int) -> None:
        """Take over from another process of this namespace what would have to be asked of the server."""
        self.clock.correct(server_ms)
        self._open(shards)

    def for_id(self, text: str) -> Database:
        """The shard that a run id, a unique key or the name of a limit hashes to. Jobs have homes instead."""
        shards = self.shards
        return shards[hash_to_shard(text, len(shards))]

    def for_job(self, job_id: str) -> Database:
        """The shard that a job lives on; one that is unknown there is unknown everywhere."""
        return self.for_jobs([job_id])[0]

    def for_jobs(self, job_ids: Sequence[str]) -> list[Database]:
        """The same for many, with one question."""
        homes = zip(job_ids, self.placement.find(job_ids), strict=True)
        return [self.for_id(job) if home is None else self.shards[home] for job, home in homes]

    def for_id_async(self, text: str) -> AsyncDatabase:
        """The same shard, on a client of the running event loop."""
        return self.async_shard(self.for_id(text))

    def async_shard(self, database: Database) -> AsyncDatabase:
        """A shard, on a client of the running event loop."""
        client = self._server.async_client(database.keys.tag)
        return AsyncDatabase(client, database.keys, database.clock, database.address)

    def read_clock(self) -> int:
        """Ask the server for its time, as the first use does, and return it in milliseconds."""
        return self.settings.read_clock()

    async def read_clock_async(self) -> int:
        """The same, awaited."""
        return await self.async_shard(self.settings).read_clock()

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self._server.close()

    @contextmanager
    def moved_to(self, url: str, clock: Clock, sleeper: Sleeper) -> Iterator[None]:
        """Be at another server, by another clock, for as long as the context lasts: for tests.

        Whoever holds this namespace is there with it. Its own server is not asked for anything meanwhile.
        """
        before = dict(vars(self))
        self._connect_to(url, clock)
        self.sleeper = sleeper
        try:
            yield
        finally:
            self.close()
            vars(self).update(before)

    def _open(self, count: int) -> None:
        # Threads may ask for the shards at the same time, such as a worker and who enqueues beside it. All of them are
        # given the same: what belongs to a shard is found by it.
        with self._open_lock:
            self._shards = self._shards or self._create_shards(count)

    def _create_shards(self, count: int) -> list[Database]:
        clocks = (ServerClock() if self._clocks_differ else self.clock for _ in range(count))
        shards = zip((Keys(self.name, number) for number in range(count)), clocks, strict=True)
        return [Database(self._server.client(keys.tag), keys, clock, redact_url(self.url)) for keys, clock in shards]


def _agree_on_shards(settings: Database, name: str, wanted: int | None) -> int:
    """How many shards a namespace has: what is stored, else what is wanted here. Raises Misconfigured."""
    key, number = settings_key(name), 1 if wanted is None else wanted
    if not 1 <= number <= MAX_SHARDS:
        raise Misconfigured(f"shards is {number}, allowed are 1–{MAX_SHARDS}")
    stored = int(settings.ask("HGET", key, SHARDS_FIELD) or _fix_shards(settings, key, number))
    if wanted is not None and stored != wanted:
        raise Misconfigured(
            f"namespace {name!r} has {stored} shards, {wanted} were asked for: the number is fixed by "
            "the first process; use another namespace for another number",
        )
    return stored


def _fix_shards(settings: Database, key: str, wanted: int) -> bytes:
    # Not before it is known to be missing: who may only look at a namespace may not write this.
    if wanted > 1:
        # First, so that whoever reads the number finds it; a namespace from before has a number and none of this.
        settings.ask("HSETNX", key, SPREAD_FIELD, 1)
    settings.ask("HSETNX", key, SHARDS_FIELD, wanted)
    fixed: bytes = settings.ask("HGET", key, SHARDS_FIELD)
    return fixed
