"""Connections whose reads and writes end with the deadline of the call, also when the server hangs."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final

import redis
from redis.connection import SSLConnection, UnixDomainSocketConnection

from jobistemer.store.server.deadline import check_time_left, seconds_left


class Bounded:
    """A mixin for connections that block. Without a deadline the time-outs of the connection hold.

    idle_since: when it last came back to its pool in order, by the monotonic clock.
    """

    idle_since = -inf

    def connect_check_health(self: Any, *args: Any, **options: Any) -> None:
        """Connect, unless there is a connection."""
        if self._sock:
            return
        left = check_time_left()
        if left == inf:
            super().connect_check_health(*args, **options)  # type: ignore[misc] # redis-py's class comes next
            return
        usual = self.socket_connect_timeout
        self.socket_connect_timeout = min(left, inf if usual is None else usual)
        try:
            super().connect_check_health(*args, **options)  # type: ignore[misc] # redis-py's class comes next
        finally:
            self.socket_connect_timeout = usual

    def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Send a command."""
        left = seconds_left()
        if left == inf:
            super().send_packed_command(command, check_health=check_health)  # type: ignore[misc] # redis-py's class comes next
            return
        left = check_time_left()
        usual, socket = self.socket_timeout, self._sock
        if socket is not None:
            socket.settimeout(min(left, inf if usual is None else usual))
        try:
            super().send_packed_command(command, check_health=check_health)  # type: ignore[misc] # redis-py's class comes next
        finally:
            # A failure has closed it, and closed sockets take no time-out.
            if socket is not None and self._sock is socket:
                socket.settimeout(usual)

    def read_response(self: Any, *args: Any, **options: Any) -> Any:
        """Read the response to a command."""
        left = seconds_left()
        if left < (inf if self.socket_timeout is None else self.socket_timeout) and "timeout" not in options:
            options["timeout"] = max(left, 0.001)
        return super().read_response(*args, **options)  # type: ignore[misc] # redis-py's class comes next

    def exchange(self: Any, packed: bytes) -> Any:
        """Send a packed command and return the response, without what redis-py prepares for either.

        Raises what `send_packed_command` and `read_response` do, which look at a deadline and at the health of the
        connection as well.
        """
        socket = self._sock
        if socket is None or self.health_check_interval or seconds_left() < inf:
            self.send_packed_command((packed,))
            return self.read_response()
        try:
            socket.sendall(packed)
            response = self._parser.read_response()
        except OSError as error:
            self.disconnect()
            kind = redis.TimeoutError if isinstance(error, TimeoutError) else redis.ConnectionError
            raise kind(f"Error while a command was sent to {self._host_error()} or answered: {error}") from error
        except BaseException:
            self.disconnect()
            raise
        if isinstance(response, redis.ResponseError):
            raise response
        return response


class BoundedConnection(Bounded, redis.Connection):
    """A connection over TCP."""


class BoundedTlsConnection(Bounded, SSLConnection):
    """A connection with TLS."""


class BoundedSocketConnection(Bounded, UnixDomainSocketConnection):
    """A connection by a socket of this machine."""


BOUNDED: Final[Mapping[type, type]] = {
    redis.Connection: BoundedConnection,
    SSLConnection: BoundedTlsConnection,
    UnixDomainSocketConnection: BoundedSocketConnection,
}
