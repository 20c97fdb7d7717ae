"""What belongs to an event loop: its clients, which end with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet


class Closable(Protocol):
    """A client of one event loop."""

    async def aclose(self) -> None:
        """Close its connections."""
        ...

    def abandon(self) -> None:
        """Close the sockets of its connections, after the loop was closed."""
        ...


C = TypeVar("C", bound=Closable)
_ATTRIBUTE = "_jobistemer_clients"


class LoopClients(Generic[C]):
    """The clients of the running event loop, by a key.

    They are kept on the loop itself: a map from loops to clients would keep each loop alive, since clients refer to
    their loop. When a loop ends in order, as `asyncio.run` ends it, its clients are closed before; what a loop leaves
    that was closed without that is closed at the first use in another one, and by `sweep`.
    """

    def __init__(self) -> None:
        self._loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()

    def get(self, key: object, create: Callable[[], C]) -> C:
        """Return the client with this key, created when there is none."""
        clients = self._of_loop()
        client = clients.get(key)
        if client is None:
            client = clients[key] = create()
        return client

    async def aclose(self) -> None:
        """Close the clients of the running loop; the next use opens new connections."""
        clients = self._of_loop()
        while clients:
            _, client = clients.popitem()
            await client.aclose()

    def sweep(self) -> None:
        """Close what loops have left that are closed."""
        for loop in [each for each in list(self._loops) if each.is_closed()]:
            self._loops.discard(loop)
            found = getattr(loop, _ATTRIBUTE, {}).pop(self, None)
            for client in found.clients.values() if found else ():
                client.abandon()

    def _of_loop(self) -> dict[object, C]:
        loop = asyncio.get_running_loop()
        owners: WeakKeyDictionary[LoopClients[C], _OfLoop[C]] | None = getattr(loop, _ATTRIBUTE, None)
        if owners is None:
            owners = WeakKeyDictionary()
            setattr(loop, _ATTRIBUTE, owners)
        found = owners.get(self)
        if found is None:
            self.sweep()
            self._loops.add(loop)
            found = owners[self] = _OfLoop()
        return found.clients


class _OfLoop(Generic[C]):
    """The clients of one loop, and the generator that closes them when the loop shuts down its generators."""

    def __init__(self) -> None:
        self.clients: dict[object, C] = {}
        self._generator = _close_at_shutdown(self.clients)
        # Up to its `yield`, without a suspension: with this the loop knows the generator, and will close it.
        with suppress(StopIteration):
            self._generator.__anext__().send(None)


async def _close_at_shutdown(clients: dict[object, C]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        while clients:
            _, client = clients.popitem()
            # The loop is ending, and nobody can do anything about a connection that is broken already.
            with suppress(OSError):
                await client.aclose()
