"""Streams as a worker reads them: opening them, fetching entries, and the entries that a dead worker left pending."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import redis
from redis.exceptions import ResponseError

from jobistemer.core.checks import check_name
from jobistemer.core.errors import ServerRefused
from jobistemer.core.runs.message import Delivery, decode_message
from jobistemer.core.unreadable import to_text
from jobistemer.store.database import Database
from jobistemer.store.errors import is_wrong_type, translate_error
from jobistemer.store.keys import GROUP, Keys, place_of_stream, places_of, read_place
from jobistemer.store.quarantine import find_wrong_types
from jobistemer.store.reading import read_members
from jobistemer.store.scripts import script
from jobistemer.store.server.connection import BLOCK_MS
from jobistemer.store.server.pool import reserve

STREAMS_PER_CALL = 100
PAGE = 100
PENDING_PAGE = 500
NEW = b">"
"""Where a read begins that asks for entries which no consumer has been given."""
# Errors of servers about a stream that does not exist; fakeredis has its own text.
_NO_STREAM_WORDS = ("NOGROUP", "UNBLOCKED", "requires the key to exist")


class _StreamNames(dict[str, str]):
    """The stream of each place, made once: ten of them go into each read of one queue."""

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self._keys = keys

    def __missing__(self, where: str) -> str:
        name = self[where] = self._keys.stream(where)
        return name


class StreamReader:
    """A reader that fetches entries for one consumer, on a connection of its own: a blocking read occupies it.

    A read is never sent twice, as redis-py would do by itself. The server may have handed out entries to the connection
    that broke: they are pending for this consumer, a second read would hand out others, and only `fetch_pending`
    returns the first ones.
    """

    def __init__(self, database: Database, consumer: str) -> None:
        self._database = database
        self._consumer = consumer
        self.read_at = time.monotonic()
        """When the last read was sent, in monotonic seconds: the server may have handed its entries out since then."""
        self.places_with_more: set[str] = set()
        """Places whose last read gave all that was asked for: there may be more."""
        # The id that the server has given each connection that has waited; 0 where it refuses to say.
        self._connection_ids: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._blocked: tuple[redis.Redis, int] | None = None
        # The client whose pool has one connection more for this reader, as long as it reads from that node.
        self._enlarged: redis.Redis | None = None
        self._stream_names = _StreamNames(database.keys)

    def interrupt(self) -> None:
        """End a blocking read that is under way, from another thread. Entries that were handed out before are returned.

        Where the server does not allow it, the read goes on to its end. Raises NotConnected or ServerRefused.
        """
        if (waiting := self._blocked) is not None:
            client, number = waiting
            try:
                client.execute_command("CLIENT", "UNBLOCK", number)
            except redis.RedisError as error:
                raise translate_error(error, self._database.address) from error

    def fetch(
        self, places: Sequence[str], count: int, *, block: bool, after: bytes = NEW
    ) -> list[tuple[bytes, list[Any]]]:
        """Fetch up to `count` entries of each place; with `block` wait up to two seconds for the first entry.

        A stream that does not exist is created. Raises NotConnected or ServerRefused.
        """
        if not places:
            return []
        names = self._stream_names
        streams = [names[where] for where in places]
        waiting = ("BLOCK", BLOCK_MS) if block else ()
        command = ("XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", count, *waiting, "STREAMS", *streams)
        self.read_at = time.monotonic()
        try:
            with self._borrow_connection(block=block) as (client, connection):
                # Not by the client, which would send it again over another connection.
                connection.send_command(*command, *[after] * len(streams))
                fetched = list(client.parse_response(connection, command[0]) or ())
        except redis.RedisError as error:
            fetched = self._fetch_after_error(error, places, count, after)
        if after == NEW:
            self.places_with_more.difference_update(places)
            self.places_with_more.update([place_of_stream(stream) for stream, some in fetched if len(some) == count])
        return fetched

    def _fetch_after_error(
        self, error: redis.RedisError, places: Sequence[str], count: int, after: bytes
    ) -> list[tuple[bytes, list[Any]]]:
        self._database.learn_from_error(error)
        if is_wrong_type(error):
            return self._fetch_around_wrong_types(places, count, after)
        if isinstance(error, ResponseError) and any(words in str(error) for words in _NO_STREAM_WORDS):
            # One of them was deleted. Nothing was handed out, so the next read asks for all of them again.
            open_streams(self._database, places)
            return []
        raise translate_error(error, self._database.address) from error

    def _fetch_around_wrong_types(
        self, places: Sequence[str], count: int, after: bytes
    ) -> list[tuple[bytes, list[Any]]]:
        """Read the places one by one after one of them had the wrong type, which is put aside where that is allowed."""
        keys = [self._database.keys.stream(where) for where in places]
        if self._database.mend is not None and self._database.mend(self._database, keys):
            open_streams(self._database, places)
            return []
        wrong = {each.key for each in find_wrong_types(self._database, keys)}
        found: list[tuple[bytes, list[Any]]] = []
        for where, key in zip(places, keys, strict=True):
            if key not in wrong:
                found += self.fetch([where], count, block=False, after=after)
        return found

    def fetch_pending(self, where: str) -> Iterator[tuple[bytes, list[Any]]]:
        """Yield, page by page, the entries of one place that are pending for this consumer."""
        last = b"0"
        while answer := self.fetch([where], PAGE, block=False, after=last):
            stream, entries = answer[0]
            if not entries:
                return
            yield stream, entries
            last = entries[-1][0]

    @contextmanager
    def _borrow_connection(self, *, block: bool) -> Iterator[tuple[redis.Redis, Any]]:
        client = self._database.node_client()
        if block and client is not self._enlarged:
            # A read that blocks keeps its connection for long, and no other caller may wait for it.
            self.close()
            reserve(client, 1)
            self._enlarged = client
        connection = client.connection_pool.get_connection()
        try:
            if block:
                number = self._connection_ids.get(connection)
                number = self._ask_connection_id(client, connection) if number is None else number
                self._blocked = (client, number) if number else None
            yield client, connection
        except BaseException:
            # The answer may still arrive, and the next command on this connection would take it for its own.
            connection.disconnect()
            raise
        finally:
            self._blocked = None
            client.connection_pool.release(connection)

    def close(self) -> None:
        """Give back the room that this reader takes in the pool of its client; its next read that blocks takes it."""
        client, self._enlarged = self._enlarged, None
        if client is not None:
            reserve(client, -1)

    def _ask_connection_id(self, client: redis.Redis, connection: Any) -> int:
        connection.send_command("CLIENT", "ID")
        try:
            number = int(client.parse_response(connection, "CLIENT ID"))
        except ResponseError:
            number = 0
        self._connection_ids[connection] = number
        # After a reconnect the id is another one: the old one may be that of another client by then.
        connection.register_connect_callback(self._forget_connection_id)
        return number

    def _forget_connection_id(self, connection: Any) -> None:
        self._connection_ids.pop(connection, None)


def read_deliveries(stream: bytes, entries: Iterable[Any]) -> list[tuple[Delivery | None, bytes]]:
    """Decode the entries of one stream; None in place of the delivery for an entry that cannot be read."""
    found: list[tuple[Delivery | None, bytes]] = []
    for entry, fields in entries:
        try:
            message = decode_message(fields[b"m"])
            delivery = Delivery(stream, entry, message, int(fields[b"n"]), int(fields[b"c"]))
        except (KeyError, TypeError, ValueError, RecursionError):
            # TypeError: an entry that was deleted while it was pending is still listed, without its fields.
            found.append((None, entry))
        else:
            found.append((delivery, entry))
    return found


def open_streams(database: Database, places: Sequence[str]) -> None:
    """Create the streams and groups that do not exist. Raises NotConnected or ServerRefused."""
    keys = database.keys
    for start in range(0, len(places), STREAMS_PER_CALL):
        part = tuple(places[start : start + STREAMS_PER_CALL])
        database.call(script("open_streams")((keys.streams, *(keys.stream(where) for where in part)), part))


def drop_stream(database: Database, where: str) -> bool:
    """Delete the stream of a place when it is empty and no worker reads it. Returns whether it is gone."""
    keys = database.keys
    return database.call(script("drop_stream")((keys.stream(where), keys.streams), (where,))).word == "DROPPED"


def list_places(database: Database) -> list[str]:
    """Return the places of a shard that have a stream, in order."""
    members = database.ask("SMEMBERS", database.keys.streams)
    return sorted(read_members(database.keys.streams, members, [], read_place))


def list_pending(database: Database, where: str, consumer: str) -> Iterator[list[tuple[bytes, Delivery | None]]]:
    """Yield every entry of a place that is pending for a consumer, with its delivery; None when it cannot be read.

    They come in pages of up to 500. Each is yielded once, whether or not the caller ends it: the iteration has an end.
    """
    stream, start = database.keys.stream(where), b"-"
    while pending := _read_pending_page(database, stream, start, consumer):
        entries = [item[0] for item in pending]
        # Those that were read together stand together, so that one command has all or many of them.
        known = dict(database.ask("XRANGE", stream, entries[0], entries[-1], "COUNT", len(entries)))
        others = [("XRANGE", stream, entry, entry) for entry in entries if entry not in known]
        found = database.ask_all(others) if others else []
        known |= {read[0][0]: read[0][1] for read in found if read}
        listed = read_deliveries(stream.encode(), [(entry, known.get(entry)) for entry in entries])
        yield [(entry, delivery) for delivery, entry in listed]
        start = b"(" + entries[-1]


def _read_pending_page(database: Database, stream: str, start: bytes, consumer: str) -> list[Any]:
    try:
        return list(database.ask("XPENDING", stream, GROUP, start, "+", PENDING_PAGE, consumer))
    except ServerRefused as error:
        if any(words in str(error) for words in _NO_STREAM_WORDS):
            # The stream was deleted, and its pending entries with it. The caller goes on with the other streams.
            return []
        raise


def find_consumers(database: Database, where: str) -> dict[str, int]:
    """Return the consumers of a place, each with the number of its pending entries."""
    try:
        answer = database.ask("XINFO", "CONSUMERS", database.keys.stream(where), GROUP)
    except ServerRefused as error:
        if any(words in str(error) for words in (*_NO_STREAM_WORDS, "no such key")):
            return {}
        raise
    found = [dict(zip(each[::2], each[1::2], strict=True)) for each in answer]
    return {to_text(each[b"name"]): each[b"pending"] for each in found}


def read_entry(database: Database, where: str, entry: bytes) -> dict[bytes, bytes] | None:
    """Return the fields of one entry of a place; None when it is not there (any more)."""
    found = database.ask("XRANGE", database.keys.stream(where), entry, entry)
    return found[0][1] if found else None


def forget_deleted(database: Database, stream: bytes, entry: bytes) -> None:
    """Acknowledge an entry that somebody has deleted while it was pending: nothing is left of it."""
    database.ask("XACK", stream, GROUP, entry)


def pause_queue(shards: Sequence[Database], queue: str) -> None:
    """Stop workers from fetching from a queue; attempts in flight end, other runs wait. Raises InvalidName."""
    name = check_name("queue", queue)
    for database in shards:
        database.ask("SADD", database.keys.paused, name)


def resume_queue(shards: Sequence[Database], queue: str) -> None:
    """Let workers fetch from a queue again. Raises InvalidName."""
    name = check_name("queue", queue)
    for database in shards:
        database.ask("SREM", database.keys.paused, name)


def close_queue(shards: Sequence[Database], queue: str) -> None:
    """Let a queue refuse new runs; the runs that are in it are executed. Raises InvalidName."""
    places = places_of(check_name("queue", queue))
    for database in shards:
        database.ask("SADD", database.keys.closed, *places)


def open_queue(shards: Sequence[Database], queue: str) -> None:
    """Let a queue accept new runs again. Raises InvalidName."""
    places = places_of(check_name("queue", queue))
    for database in shards:
        database.ask("SREM", database.keys.closed, *places)
