"""Connections to the master that Sentinels name, which ask the Sentinels again whenever they have to connect.

The connections of redis-py ask when they are taken from the pool, but not when a command is tried again: then it goes
to the former master, and waits as long as that server hangs. When the former master wakes up, it acknowledges a write
that it is about to discard.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import sentinel as asynchronous
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from jobistemer.store.server.bounded_connection import Bounded


class _Reconnecting:
    """A mixin for connections that block."""

    def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Send a command, after connecting to the present master when there is no connection."""
        if not self.is_connected:
            self.connect()
        super().send_packed_command(command, check_health=check_health)  # type: ignore[misc] # redis-py's class comes next


class _AsyncReconnecting:
    """A mixin for connections that are awaited."""

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Send a command, after connecting to the present master when there is no connection."""
        if not self.is_connected:
            await self.connect()
        await super().send_packed_command(command, check_health=check_health)  # type: ignore[misc] # redis-py's class comes next


class MasterConnection(_Reconnecting, Bounded, SentinelManagedConnection):
    """A connection without TLS."""


class MasterTlsConnection(_Reconnecting, Bounded, SentinelManagedSSLConnection):
    """A connection with TLS."""


class AsyncMasterConnection(_AsyncReconnecting, asynchronous.SentinelManagedConnection):
    """An awaited connection without TLS."""


class AsyncMasterTlsConnection(_AsyncReconnecting, asynchronous.SentinelManagedSSLConnection):
    """An awaited connection with TLS."""
