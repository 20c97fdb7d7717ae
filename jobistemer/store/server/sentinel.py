"""Connections to the master that Sentinels name, which ask again whenever they have to connect.

redis-py's own ask when they are taken from the pool, but not when a command is tried again: that goes to where the
master was, and waits there for as long as a server that hangs keeps it waiting. When that one wakes up, it acknowledges
what is about to be discarded.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio import sentinel as asynchronous
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection


class _Reconnecting:
    """For connections that block."""

    def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Send a command, to the master of now when there is no connection."""
        if not self.is_connected:
            self.connect()
        super().send_packed_command(command, check_health=check_health)  # type: ignore[misc]


class _AsyncReconnecting:
    """For connections that are awaited."""

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Send a command, to the master of now when there is no connection."""
        if not self.is_connected:
            await self.connect()
        await super().send_packed_command(command, check_health=check_health)  # type: ignore[misc]


class MasterConnection(_Reconnecting, SentinelManagedConnection):
    """Plain text."""


class MasterTlsConnection(_Reconnecting, SentinelManagedSSLConnection):
    """TLS."""


class AsyncMasterConnection(_AsyncReconnecting, asynchronous.SentinelManagedConnection):
    """Plain text, awaited."""


class AsyncMasterTlsConnection(_AsyncReconnecting, asynchronous.SentinelManagedSSLConnection):
    """TLS, awaited."""
