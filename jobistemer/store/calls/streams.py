"""Streams as a worker reads them: which there are, fetching, what a dead worker left behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import redis
from redis.exceptions import ResponseError

from jobistemer.core.errors import ServerRefused
from jobistemer.core.names import check_name
from jobistemer.core.runs.message import Delivery, decode_message
from jobistemer.store.database import Database
from jobistemer.store.errors import translate_error
from jobistemer.store.keys import GROUP, places_of
from jobistemer.store.scripts import script
from jobistemer.store.server.connection import BLOCK_MS

STREAMS_PER_CALL = 100

PAGE = 100
# What servers say of a stream that is not there; fakeredis has words of its own.
_NO_STREAM_WORDS = ("NOGROUP", "UNBLOCKED", "requires the key to exist")


class StreamReader:
    """Fetches entries for one consumer, on a connection of its own: a blocking read holds its connection.

    A read is never sent twice, as the client would do by itself: what the server has handed out to a connection
    that broke is this consumer's, and only `fetch_pending` brings it back.
    """

    def __init__(self, database: Database, consumer: str) -> None:
        self._database = database
        self._consumer = consumer
        # Connections that have waited, by the number that the server knows them by; 0 where it would not say.
        self._connection_ids: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._blocked: tuple[redis.Redis, int] | None = None

    def interrupt(self) -> None:
        """End a wait that is under way, from another thread; what was handed out before that is read all the same.

        Where the server does not allow it, the wait goes on to its end. Raises NotConnected or ServerRefused.
        """
        if (waiting := self._blocked) is not None:
            client, number = waiting
            try:
                client.execute_command("CLIENT", "UNBLOCK", number)
            except redis.RedisError as error:
                raise translate_error(error, self._database.address) from error

    def fetch(self, places: Sequence[str], count: int, *, block: bool) -> list[tuple[bytes, list[Any]]]:
        """Take up to `count` entries of each place; with `block` wait up to two seconds for the first.

        Raises NotConnected or ServerRefused; a stream that vanished is made anew.
        """
        if not places:
            return []
        waiting = ("BLOCK", BLOCK_MS) if block else ()
        return self._read(places, ("COUNT", count, *waiting), b">")

    def fetch_pending(self, where: str) -> Iterator[tuple[bytes, list[Any]]]:
        """What one place has handed out to this consumer and is not ended, page by page."""
        last = b"0"
        while answer := self._read([where], ("COUNT", PAGE), last):
            stream, entries = answer[0]
            if not entries:
                return
            yield stream, entries
            last = entries[-1][0]

    def _read(self, places: Sequence[str], options: tuple[Any, ...], after: bytes) -> list[tuple[bytes, list[Any]]]:
        streams = [self._database.keys.stream(where) for where in places]
        positions = [after] * len(streams)
        command = ("XREADGROUP", "GROUP", GROUP, self._consumer, *options, "STREAMS", *streams, *positions)
        try:
            return list(self._send_once(command) or ())
        except ResponseError as error:
            if not any(words in str(error) for words in _NO_STREAM_WORDS):
                raise translate_error(error, self._database.address) from error
            open_streams(self._database, places)
            return []
        except redis.RedisError as error:
            raise translate_error(error, self._database.address) from error

    def _send_once(self, command: tuple[Any, ...]) -> Any:
        try:
            return self._send_to(self._database.node_client(), command)
        except redis.RedisError as error:
            self._database.learn_from_error(error)
            raise

    def _send_to(self, client: redis.Redis, command: tuple[Any, ...]) -> Any:
        connection = client.connection_pool.get_connection()
        try:
            number = self._connection_id(client, connection) if "BLOCK" in command else 0
            self._blocked = (client, number) if number else None
            connection.send_command(*command)
            return client.parse_response(connection, command[0])
        except BaseException:
            # An answer that nobody has read would be taken for the answer to the next question.
            connection.disconnect()
            raise
        finally:
            self._blocked = None
            client.connection_pool.release(connection)

    def _connection_id(self, client: redis.Redis, connection: Any) -> int:
        if connection not in self._connection_ids:
            connection.send_command("CLIENT", "ID")
            try:
                self._connection_ids[connection] = int(client.parse_response(connection, "CLIENT ID"))
            except ResponseError:
                self._connection_ids[connection] = 0
            connection.register_connect_callback(self._forget_connection_id)
        return self._connection_ids[connection]

    def _forget_connection_id(self, connection: Any) -> None:
        self._connection_ids.pop(connection, None)


def read_deliveries(stream: bytes, entries: Iterable[Any]) -> list[tuple[Delivery | None, bytes]]:
    """The messages in what one stream delivered, each with its entry; None for one that cannot be read."""
    return [(_read_delivery(stream, entry, fields), entry) for entry, fields in entries]


def _read_delivery(stream: bytes, entry: bytes, fields: dict[bytes, bytes] | None) -> Delivery | None:
    try:
        message = decode_message(fields[b"m"])  # type: ignore[index]
        return Delivery(stream, entry, message, int(fields[b"n"]), int(fields[b"c"]))  # type: ignore[index]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def open_streams(database: Database, places: Sequence[str]) -> None:
    """Make sure that streams and their groups exist."""
    keys = database.keys
    for start in range(0, len(places), STREAMS_PER_CALL):
        part = tuple(places[start : start + STREAMS_PER_CALL])
        database.call(script("open_streams")((keys.streams, *(keys.stream(where) for where in part)), part))


def list_pending(database: Database, where: str, consumer: str) -> Iterator[tuple[bytes, Delivery | None]]:
    """Every entry of a place that is pending for a consumer, with its message; None when that is gone or unreadable.

    Each is given once, whatever becomes of it, so that walking along has an end.
    """
    stream, start = database.keys.stream(where), b"-"
    while pending := _read_pending_page(database, stream, start, consumer):
        entries = [item[0] for item in pending]
        found = database.ask_all([("XRANGE", stream, entry, entry) for entry in entries])
        for entry, read in zip(entries, found, strict=True):
            yield entry, _read_delivery(stream.encode(), entry, read[0][1] if read else None)
        start = b"(" + entries[-1]


def _read_pending_page(database: Database, stream: str, start: bytes, consumer: str) -> list[Any]:
    try:
        return list(database.ask("XPENDING", stream, GROUP, start, "+", PAGE, consumer))
    except ServerRefused as error:
        if any(words in str(error) for words in _NO_STREAM_WORDS):
            # Somebody has deleted it, and what was pending with it; what is in other streams is not to wait for that.
            return []
        raise


def list_places(database: Database) -> list[str]:
    """Return the places of all streams of a shard, in no order."""
    return [place.decode() for place in database.ask("SMEMBERS", database.keys.streams)]


def find_busy_consumers(database: Database, where: str) -> set[str]:
    """The consumers of a place that entries are pending for."""
    try:
        answer = database.ask("XINFO", "CONSUMERS", database.keys.stream(where), GROUP)
    except ServerRefused:
        # A place whose stream is not there (any more).
        return set()
    found = [dict(zip(each[::2], each[1::2], strict=True)) for each in answer]
    return {each[b"name"].decode() for each in found if each[b"pending"]}


def drop_entry(database: Database, stream: bytes, entry: bytes) -> None:
    """Delete and acknowledge an entry that holds no readable message.

    In this order: should only the first be done, the entry is still pending, and whoever comes next drops it.
    """
    database.ask_all([("XDEL", stream, entry), ("XACK", stream, GROUP, entry)])


def pause_queue(shards: Sequence[Database], queue: str) -> None:
    """Let no worker fetch from a queue; what is in flight ends, the rest waits. Raises InvalidName."""
    name = check_name("queue", queue)
    for database in shards:
        database.ask("SADD", database.keys.paused, name)


def resume_queue(shards: Sequence[Database], queue: str) -> None:
    """Let workers fetch from a queue again. Raises InvalidName."""
    name = check_name("queue", queue)
    for database in shards:
        database.ask("SREM", database.keys.paused, name)


def close_queue(shards: Sequence[Database], queue: str) -> None:
    """Let a queue take no new runs; what is there is worked off. Raises InvalidName."""
    places = places_of(check_name("queue", queue))
    for database in shards:
        database.ask("SADD", database.keys.closed, *places)


def open_queue(shards: Sequence[Database], queue: str) -> None:
    """Let a queue take new runs again. Raises InvalidName."""
    places = places_of(check_name("queue", queue))
    for database in shards:
        database.ask("SREM", database.keys.closed, *places)
