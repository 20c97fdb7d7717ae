"""A namespace: all shards behind one URL, and the shard of each id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from jobistemer.core.errors import Misconfigured
from jobistemer.core.placement import hash_to_shard
from jobistemer.store.async_database import AsyncDatabase
from jobistemer.store.clock import Clock, ServerClock
from jobistemer.store.database import Database
from jobistemer.store.job_placement import SHARDS_FIELD, SPREAD_FIELD, JobPlacement
from jobistemer.store.keys import Keys, settings_key
from jobistemer.store.server.connection import Server, redact_url
from jobistemer.store.sleeper import Sleeper

MAX_SHARDS = 1024


class Namespace:
    """The shards of one namespace, reached through one client.

    url: of the server. name: the beginning of all keys. shards: their number; the first application fixes
    it, later ones may leave it out. source: where URL and name come from, in words. Raises Misconfigured for a URL that
    cannot be used. The first use of the shards raises Misconfigured when another number is fixed.
    """

    fixes_shards = True
    """Whether it fixes the number of shards where none is stored: an application does, a ticker or a command never.

    Where it does not, the namespace seems to be one empty shard until another process has fixed the number."""

    def __init__(
        self,
        url: str,
        name: str = "jobistemer",
        shards: int | None = None,
        clock: Clock | None = None,
        source: str = "",
    ) -> None:
        self.name = name
        self.source = source
        self.sleeper = Sleeper()
        self.wanted_shards = shards
        self._connect_to(url, clock)

    def _connect_to(self, url: str, clock: Clock | None) -> None:
        self.url = url
        self.clock: Clock = clock or ServerClock()
        self.server = Server(url)
        self.cluster = self.server.cluster
        # Each node of a cluster has its own clock, and a shard follows the clock of its node.
        self._clocks_differ = clock is None and self.cluster is not None
        # The settings of all shards are in a hash slot of their own.
        self.settings_key = settings_key(self.name)
        client = self.server.client(self.settings_key)
        self.settings = Database(client, Keys(self.name, 0), self.clock, redact_url(url))
        self._shards: list[Database] = []
        # Whether the shards are known, so that their first use asks nothing.
        self.is_connected = False
        # Kept apart from the shards: the next use asks again.
        first = Keys(self.name, 0)
        self._assumed = Database(self.server.client(first.tag), first, self.clock, redact_url(url))
        # The shard of a namespace that has only one, once that is known: then no id needs to be hashed.
        self.only_shard: Database | None = None
        self._open_lock = Lock()
        self.placement = JobPlacement(self.settings, lambda: self.shards)

    def __str__(self) -> str:
        source = f" ({self.source})" if self.source else ""
        return f"namespace {self.name!r} on {redact_url(self.url)}{source}"

    @property
    def shards(self) -> list[Database]:
        """The databases of all shards; the first use connects."""
        if not self._shards:
            self.connect()
        return self._shards or [self._assumed]

    def connect(self) -> None:
        """Ask the server for its time and for the number of shards, which the first process fixes.

        Later calls do nothing. Raises NotConnected, ServerRefused, or Misconfigured when another number is fixed.
        """
        if self._shards:
            return
        count: int | None
        if self.fixes_shards:
            count = _agree_on_shards(self.settings, self.name, self.wanted_shards)
        else:
            # A ticker that starts on an emptied server must not fix a number: the next deploy has the right one.
            count = _find_shards(self.settings, self.settings_key)
        self.settings.read_clock()
        if count is not None:
            self._open(count)

    def adopt(self, shards: int, server_ms: int) -> None:
        """Take the number of shards and the server time from another process instead of asking the server."""
        self.clock.correct(server_ms)
        self._open(shards)

    def for_id(self, text: str) -> Database:
        """Return the shard that a run id, a unique key or the name of a limit hashes to. Jobs are placed instead."""
        shards = self.shards
        return shards[hash_to_shard(text, len(shards))]

    def for_job(self, job_id: str) -> Database:
        """Return the shard that a job is placed on; a job that is unknown there is unknown everywhere."""
        return self.for_jobs([job_id])[0]

    def for_jobs(self, job_ids: Sequence[str]) -> list[Database]:
        """Return the shard of each of many jobs, with one command; with none where there is one shard."""
        if len(self.shards) == 1:
            return [self.shards[0]] * len(job_ids)
        numbers = zip(job_ids, self.placement.find(job_ids), strict=True)
        return [self.for_id(job) if number is None else self.shards[number] for job, number in numbers]

    def async_shard(self, database: Database) -> AsyncDatabase:
        """Return a shard on a client of the running event loop."""
        shared = self.server.shared_calls(database.keys.tag)
        return AsyncDatabase(shared, database)

    def read_clock(self) -> int:
        """Ask the server for its time, correct the clock by it, and return it in milliseconds."""
        return self.settings.read_clock()

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self.server.close()

    @contextmanager
    def moved_to(self, url: str, clock: Clock, sleeper: Sleeper) -> Iterator[None]:
        """Connect to another server, with another clock, for as long as the context lasts: for tests.

        All holders of this namespace use that server meanwhile, and its own server receives no command.
        """
        # All attributes are exchanged at once. A connection object behind the namespace would be tidier, but every
        # access of a hot path to the shards and the clock would go through it.
        before = dict(vars(self))
        self._connect_to(url, clock)
        self.sleeper = sleeper
        try:
            yield
        finally:
            self.close()
            vars(self).update(before)

    def _open(self, count: int) -> None:
        # Two threads may connect at the same time, such as a worker and a producer beside it. Both must get the same
        # databases: limits, readers and caches are found by the database of their shard.
        with self._open_lock:
            if self._shards:
                return
            clocks = [ServerClock() if self._clocks_differ else self.clock for _ in range(count)]
            self._shards = create_shards(self, clocks)
            self.is_connected = True
            self.only_shard = self._shards[0] if count == 1 else None


def _find_shards(settings: Database, key: str) -> int | None:
    stored = settings.ask("HGET", key, SHARDS_FIELD)
    return None if stored is None else _read_shards(settings.keys.namespace, stored)


def confirm_shards(namespace: Namespace) -> int | None:
    """Read the number of shards that is stored now, None for none; a number that was asked for is stored again."""
    stored = _find_shards(namespace.settings, namespace.settings_key)
    if stored is None and namespace.wanted_shards is not None:
        stored = int(_fix_shards(namespace.settings, namespace.settings_key, namespace.wanted_shards))
    return stored


def _agree_on_shards(settings: Database, name: str, wanted: int | None) -> int:
    """Return the number of shards that is stored, or store the one that is wanted here. Raises Misconfigured."""
    key, number = settings_key(name), 1 if wanted is None else wanted
    if not 1 <= number <= MAX_SHARDS:
        raise Misconfigured(f"shards is {number}, allowed are 1–{MAX_SHARDS}")
    stored = _find_shards(settings, key)
    if stored is None:
        stored = _read_shards(name, _fix_shards(settings, key, number))
    if wanted is not None and stored != wanted:
        raise Misconfigured(
            f"namespace {name!r} has {stored} shards, {wanted} were asked for: the number is fixed by "
            "the first process; use another namespace for another number",
        )
    return stored


def _read_shards(name: str, raw: bytes) -> int:
    """Return the number of shards as it is stored. Raises Misconfigured for one that no process has fixed."""
    text = raw.decode(errors="backslashreplace")[:80]
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= MAX_SHARDS:
        raise Misconfigured(
            f"the settings of namespace {name!r} say {text!r} shards, allowed are 1–{MAX_SHARDS}: set it to the number "
            f"that the namespace was made with (`redis-cli HSET {settings_key(name)} {SHARDS_FIELD} 1` for a namespace "
            "of one shard), or use another namespace",
        )
    return int(text)


def _fix_shards(settings: Database, key: str, wanted: int) -> bytes:
    # Only when it is missing: a user who may only read must be able to connect.
    if wanted > 1:
        # Before the number, so that every process that reads the number finds it. A namespace of an earlier version
        # has the number alone: its jobs are on the shards that their ids hash to.
        settings.ask("HSETNX", key, SPREAD_FIELD, 1)
    settings.ask("HSETNX", key, SHARDS_FIELD, wanted)
    fixed: bytes = settings.ask("HGET", key, SHARDS_FIELD)
    return fixed


def create_shards(namespace: Namespace, clocks: Sequence[Clock]) -> list[Database]:
    """Create the databases of a namespace, one for each clock, in the order of their numbers."""
    keys = [Keys(namespace.name, number) for number in range(len(clocks))]
    client, address = namespace.server.client, redact_url(namespace.url)
    return [Database(client(each.tag), each, clock, address) for each, clock in zip(keys, clocks, strict=True)]
