"""A namespace: all shards behind one URL, and which of them holds what."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from urllib.parse import urlsplit

from jobistemer.core.errors import Misconfigured
from jobistemer.core.homes import hashed
from jobistemer.store.clock import Clock, ServerClock
from jobistemer.store.cluster import Address, Cluster
from jobistemer.store.connection import Server, redacted
from jobistemer.store.database import AsyncDatabase, Database
from jobistemer.store.homes import SPREAD, Homes
from jobistemer.store.keys import Keys, settings_key

MAX_SHARDS = 1024


class Namespace:
    """The shards of one namespace, reached through one client.

    url: where the server is. name: what the keys begin with. shards: how many there are; the first process of a
    namespace fixes it, later ones may leave it out. Raises Misconfigured when it differs from what is fixed.
    """

    def __init__(
        self, url: str, name: str = "jobistemer", shards: int | None = None, clock: Clock | None = None
    ) -> None:
        self.url = url
        self.name = name
        self.clock: Clock = clock or ServerClock()
        self._wanted = shards
        self._server = Server(url)
        # The nodes of a cluster have clocks of their own, and what a shard's node says is what counts there.
        self._clocks_differ = clock is None and self._server.cluster is not None
        # What all shards share is in a slot of its own.
        settings = self._server.client(settings_key(name))
        self._settings = Database(settings, Keys(name, 0), self.clock, redacted(url))
        self._shards: list[Database] = []
        self._opening = Lock()
        self.homes = Homes(self._settings, lambda: self.shards)

    @property
    def shards(self) -> list[Database]:
        """The databases of all shards. The first use asks the server how many there are, and for its time."""
        if not self._shards:
            count = self._agree_on_shards()
            self._settings.read_clock()
            self._open(count)
        return self._shards

    def adopt(self, shards: int, server_ms: int) -> None:
        """Take over from another process of this namespace what would have to be asked of the server."""
        self.clock.correct(server_ms)
        self._open(shards)

    def for_id(self, text: str) -> Database:
        """The shard that a run id, a unique key or the name of a limit hashes to. Jobs have homes instead."""
        shards = self.shards
        return shards[hashed(text, len(shards))]

    def for_job(self, job_id: str) -> Database:
        """The shard that a job lives on; one that is unknown there is unknown everywhere."""
        return self.for_jobs([job_id])[0]

    def for_jobs(self, job_ids: Sequence[str]) -> list[Database]:
        """The same for many, with one question."""
        homes = zip(job_ids, self.homes.of(job_ids), strict=True)
        return [self.for_id(job) if home is None else self.shards[home] for job, home in homes]

    def for_id_async(self, text: str) -> AsyncDatabase:
        """The same shard, on a client of the running event loop."""
        return self.on_loop(self.for_id(text))

    def on_loop(self, database: Database) -> AsyncDatabase:
        """A shard, on a client of the running event loop."""
        client = self._server.async_client(database.keys.tag)
        return AsyncDatabase(client, database.keys, database.clock, database.address)

    def read_clock(self) -> int:
        """Ask the server for its time, as the first use does, and return it in milliseconds."""
        return self._settings.read_clock()

    async def read_clock_async(self) -> int:
        """The same, awaited."""
        return await self.on_loop(self._settings).read_clock()

    @property
    def cluster(self) -> Cluster | None:
        """The cluster behind the URL, if it is one."""
        return self._server.cluster

    def node(self, cluster: Cluster, address: Address) -> Database:
        """One node of the cluster by itself, with its own clock, whatever shards it has."""
        shown = f"{urlsplit(self.url).scheme}://{address[0]}:{address[1]}"
        return Database(cluster.client(address), self._settings.keys, ServerClock(), shown)

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self._server.close()

    def _open(self, count: int) -> None:
        # Threads may ask for the shards at the same time, such as a worker and who enqueues beside it. All of them are
        # given the same: what belongs to a shard is found by it.
        with self._opening:
            self._shards = self._shards or self._numbered(count)

    def _numbered(self, count: int) -> list[Database]:
        return [self._shard(number) for number in range(count)]

    def _shard(self, number: int) -> Database:
        keys = Keys(self.name, number)
        clock = ServerClock() if self._clocks_differ else self.clock
        return Database(self._server.client(keys.tag), keys, clock, redacted(self.url))

    def _agree_on_shards(self) -> int:
        key = settings_key(self.name)
        wanted = 1 if self._wanted is None else self._wanted
        if not 1 <= wanted <= MAX_SHARDS:
            raise Misconfigured(f"shards is {wanted}, allowed are 1–{MAX_SHARDS}")
        stored = int(self._settings.ask("HGET", key, "shards") or self._fix_shards(key, wanted))
        if self._wanted is not None and stored != self._wanted:
            raise Misconfigured(
                f"namespace {self.name!r} has {stored} shards, {self._wanted} were asked for: the number is fixed by "
                "the first process; use another namespace for another number",
            )
        return stored

    def _fix_shards(self, key: str, wanted: int) -> bytes:
        # Not before it is known to be missing: who may only look at a namespace may not write this.
        if wanted > 1:
            # First, so that whoever reads the number finds it; a namespace from before has a number and none of this.
            self._settings.ask("HSETNX", key, SPREAD, 1)
        self._settings.ask("HSETNX", key, "shards", wanted)
        fixed: bytes = self._settings.ask("HGET", key, "shards")
        return fixed
