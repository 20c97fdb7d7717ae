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
from jobistemer.store.keys import GROUP, Keys, places_of
from jobistemer.store.scripts import script
from jobistemer.store.server.connection import BLOCK_MS

STREAMS_PER_CALL = 100

PAGE = 100
NEW = b">"
"""Where a read begins that asks for entries which no consumer has been given."""
# What servers say of a stream that is not there; fakeredis has words of its own.
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
        self._stream_names = _StreamNames(database.keys)

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

    def fetch(
        self, places: Sequence[str], count: int, *, block: bool, after: bytes = NEW
    ) -> list[tuple[bytes, list[Any]]]:
        """Take up to `count` entries of each place; with `block` wait up to two seconds for the first.

        Raises NotConnected or ServerRefused; a stream that vanished is made anew.
        """
        if not places:
            return []
        names = self._stream_names
        streams = [names[where] for where in places]
        waiting = ("BLOCK", BLOCK_MS) if block else ()
        command = ("XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", count, *waiting, "STREAMS", *streams)
        try:
            return list(self._send_once((*command, *[after] * len(streams))) or ())
        except redis.RedisError as error:
            self._database.learn_from_error(error)
            if isinstance(error, ResponseError) and any(words in str(error) for words in _NO_STREAM_WORDS):
                open_streams(self._database, places)
                return []
            raise translate_error(error, self._database.address) from error

    def fetch_pending(self, where: str) -> Iterator[tuple[bytes, list[Any]]]:
        """Yield the entries that one place has handed out to this consumer and that have not ended, page by page."""
        last = b"0"
        while answer := self.fetch([where], PAGE, block=False, after=last):
            stream, entries = answer[0]
            if not entries:
                return
            yield stream, entries
            last = entries[-1][0]

    def _send_once(self, command: tuple[Any, ...]) -> Any:
        client = self._database.node_client()
        connection = client.connection_pool.get_connection()
        try:
            if "BLOCK" in command:
                number = self._connection_ids.get(connection)
                number = self._ask_connection_id(client, connection) if number is None else number
                self._blocked = (client, number) if number else None
            connection.send_command(*command)
            return client.parse_response(connection, command[0])
        except BaseException:
            # An answer that was not read would be taken for the answer to the next question.
            connection.disconnect()
            raise
        finally:
            self._blocked = None
            client.connection_pool.release(connection)

    def _ask_connection_id(self, client: redis.Redis, connection: Any) -> int:
        connection.send_command("CLIENT", "ID")
        try:
            number = int(client.parse_response(connection, "CLIENT ID"))
        except ResponseError:
            number = 0
        self._connection_ids[connection] = number
        # A connection that is made anew is another one to the server.
        connection.register_connect_callback(self._forget_connection_id)
        return number

    def _forget_connection_id(self, connection: Any) -> None:
        self._connection_ids.pop(connection, None)


def read_deliveries(stream: bytes, entries: Iterable[Any]) -> list[tuple[Delivery | None, bytes]]:
    """Return the message in each entry that one stream delivered, with the entry; None for one that cannot be read."""
    found: list[tuple[Delivery | None, bytes]] = []
    for entry, fields in entries:
        try:
            message = decode_message(fields[b"m"])
            delivery = Delivery(stream, entry, message, int(fields[b"n"]), int(fields[b"c"]))
        except (KeyError, TypeError, ValueError, RecursionError):
            # TypeError: an entry that was deleted while it was pending has no fields at all.
            found.append((None, entry))
        else:
            found.append((delivery, entry))
    return found


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
            ((delivery, _),) = read_deliveries(stream.encode(), read or [(entry, None)])
            yield entry, delivery
        start = b"(" + entries[-1]


def _read_pending_page(database: Database, stream: str, start: bytes, consumer: str) -> list[Any]:
    try:
        return list(database.ask("XPENDING", stream, GROUP, start, "+", PAGE, consumer))
    except ServerRefused as error:
        if any(words in str(error) for words in _NO_STREAM_WORDS):
            # Somebody has deleted it, and what was pending with it; what is in other streams is not to wait for that.
            return []
        raise


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
