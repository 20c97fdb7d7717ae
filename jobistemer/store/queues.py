"""Streams as a worker reads them: which there are, fetching, what a dead worker left behind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis.exceptions import ResponseError

from jobistemer.core.errors import ServerRefused
from jobistemer.core.messages import Delivery, decode_message
from jobistemer.core.names import checked_name
from jobistemer.store.connection import BLOCK_MS
from jobistemer.store.database import Database, translated
from jobistemer.store.keys import GROUP

# What servers say of a stream that is not there; fakeredis has words of its own.
_NO_STREAM = ("NOGROUP", "requires the key to exist")


class StreamReader:
    """Fetches entries for one consumer, on a connection of its own: a blocking read holds its connection."""

    def __init__(self, database: Database, consumer: str) -> None:
        self._database = database
        self._consumer = consumer

    def fetch(self, places: Sequence[str], count: int, *, block: bool) -> list[tuple[bytes, list[Any]]]:
        """Take up to `count` entries of each place; with `block` wait up to two seconds for the first.

        Raises NotConnected or ServerRefused; a stream that vanished is made anew.
        """
        if not places:
            return []
        keys = self._database.keys
        streams = [keys.stream(where) for where in places]
        waiting = ("BLOCK", BLOCK_MS) if block else ()
        command = (
            "XREADGROUP",
            "GROUP",
            GROUP,
            self._consumer,
            "COUNT",
            count,
            *waiting,
            "STREAMS",
            *streams,
        )
        try:
            answer = self._database.client.execute_command(*command, *[">"] * len(streams))
        except ResponseError as error:
            if not any(words in str(error) for words in _NO_STREAM):
                raise translated(error, self._database.address) from error
            open_streams(self._database, places)
            return []
        except redis.RedisError as error:
            raise translated(error, self._database.address) from error
        return list(answer or ())


def deliveries(stream: bytes, entries: Iterable[Any]) -> list[tuple[Delivery | None, bytes]]:
    """The messages in what one stream delivered, each with its entry; None for one that cannot be read."""
    return [(_delivery(stream, entry, fields), entry) for entry, fields in entries]


def _delivery(stream: bytes, entry: bytes, fields: dict[bytes, bytes] | None) -> Delivery | None:
    try:
        message = decode_message(fields[b"m"])  # type: ignore[index]
        return Delivery(stream, entry, message, int(fields[b"n"]), int(fields[b"c"]))  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        return None


def open_streams(database: Database, places: Sequence[str]) -> None:
    """Make sure that streams and their groups exist."""
    for where in places:
        # The place first: a stream without one would be filled and never read, a place without a stream is opened anew.
        database.ask("SADD", database.keys.streams, where)
        try:
            database.ask("XGROUP", "CREATE", database.keys.stream(where), GROUP, "0", "MKSTREAM")
        except ServerRefused as error:
            if "BUSYGROUP" not in str(error):
                raise


def pending_of(database: Database, where: str, consumer: str, count: int = 100) -> list[Delivery]:
    """Up to `count` entries that are pending for a consumer, the oldest first; what cannot be read is dropped."""
    stream = database.keys.stream(where)
    pending = database.ask("XPENDING", stream, GROUP, "-", "+", count, consumer)
    ids = [item[0] for item in pending]
    found = database.ask_all([("XRANGE", stream, entry, entry) for entry in ids]) if ids else []
    # An entry may be pending and no longer on its stream, when somebody has trimmed that by hand.
    fields = [entries[0][1] if entries else None for entries in found]
    read = [_delivery(stream.encode(), entry, each) for entry, each in zip(ids, fields, strict=True)]
    for entry, delivery in zip(ids, read, strict=True):
        if delivery is None:
            drop_entry(database, stream.encode(), entry)
    return [delivery for delivery in read if delivery is not None]


def drop_entry(database: Database, stream: bytes, entry: bytes) -> None:
    """Acknowledge and delete an entry that holds no readable message."""
    database.ask_all([("XACK", stream, GROUP, entry), ("XDEL", stream, entry)])


def pause_queue(shards: Sequence[Database], queue: str) -> None:
    """Let no worker fetch from a queue; what is in flight ends, the rest waits. Raises InvalidName."""
    name = checked_name("queue", queue)
    for database in shards:
        database.ask("SADD", database.keys.paused, name)


def resume_queue(shards: Sequence[Database], queue: str) -> None:
    """Let workers fetch from a queue again. Raises InvalidName."""
    name = checked_name("queue", queue)
    for database in shards:
        database.ask("SREM", database.keys.paused, name)
