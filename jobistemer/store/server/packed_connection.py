"""Connections of event loops that pack their commands with hiredis, as connections that block do in redis-py.

The packer of redis.asyncio is written in Python, and each send is a task of its own with a time-out. Both together took
a fifth of what an awaited enqueue costs its caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import redis.asyncio
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.exceptions import DataError

pack: Callable[[tuple[Any, ...]], bytes] | None
try:
    from hiredis import pack_command as pack
except ImportError:
    # It is an extension, which not every interpreter has.
    pack = None


class Packed:
    """A mixin for connections of an event loop: packs a command with hiredis, where that is installed."""

    def pack_command(self: Any, *args: Any) -> list[bytes]:
        """Pack a command. Raises DataError for an argument that is no text, number or bytes."""
        if pack is None:
            packed: list[bytes] = super().pack_command(*args)  # type: ignore[misc] # redis-py's class comes next
            return packed
        # A name may have several words, such as SCRIPT LOAD, which the server expects one by one.
        words = args[0].split() if isinstance(args[0], str) else [args[0]]
        try:
            return [pack((*words, *args[1:]))]
        except TypeError as error:
            raise DataError(str(error)) from error

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Send a command; waits, with a task and a time-out for it, only where the system has not taken all of it."""
        writer = self._writer
        is_ready = writer is not None and not writer.transport.is_closing() and not self.health_check_interval
        if not is_ready or not isinstance(command, list):
            await super().send_packed_command(command, check_health=check_health)  # type: ignore[misc] # redis-py's class comes next
            return
        # Not `writelines`: before Python 3.12.9 and 3.13.2 nothing waits for what that leaves in the buffer.
        writer.write(command[0] if len(command) == 1 else b"".join(command))
        if writer.transport.get_write_buffer_size():
            await super().send_packed_command([], check_health=False)  # type: ignore[misc] # redis-py's class comes next


class PackedConnection(Packed, redis.asyncio.Connection):
    """A connection over TCP."""


class PackedTlsConnection(Packed, SSLConnection):
    """A connection with TLS."""


class PackedSocketConnection(Packed, UnixDomainSocketConnection):
    """A connection by a socket of this machine."""


PACKED: Final[Mapping[type, type]] = {
    redis.asyncio.Connection: PackedConnection,
    SSLConnection: PackedTlsConnection,
    UnixDomainSocketConnection: PackedSocketConnection,
}
