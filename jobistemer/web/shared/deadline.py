"""Threads for pages: a page is rendered within the deadline or refused, and a server that hangs holds few of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from threading import Lock
from typing import Final

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from jobistemer.core.errors import NotConnected

DEADLINE_S: Final = 5.0
"""After so long a page says that the server is silent. The client of the server goes on trying for longer."""
MAX_THREADS: Final = 32
"""So many pages are rendered at a time; those that were given up on count until they end."""

Page = Callable[[Request], Response]


class PageThreads:
    """Renders pages in threads, for the store blocks until the server answers, and the event loop must not."""

    def __init__(self) -> None:
        self._running = 0
        self._lock = Lock()

    async def run(self, page: Page, request: Request) -> Response:
        """Render a page in a thread. Raises NotConnected after DEADLINE_S, and what the page raises."""
        with anyio.move_on_after(DEADLINE_S):
            return await anyio.to_thread.run_sync(self._render, page, request, abandon_on_cancel=True)
        raise NotConnected(
            f"the server has not answered for {DEADLINE_S:.0f} s: it is there, but busy, stopped or unreachable; "
            "`jobistemer doctor` looks at it"
        )

    def _render(self, page: Page, request: Request) -> Response:
        # Counted in the thread itself: a page that is given up before its thread begins would else count for ever.
        with self._lock:
            if self._running >= MAX_THREADS:
                raise NotConnected(f"{MAX_THREADS} pages wait for the server, which does not answer")
            self._running += 1
        try:
            return page(request)
        finally:
            with self._lock:
                self._running -= 1


def in_time(page: Page) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that renders a page within the deadline."""

    async def endpoint(request: Request) -> Response:
        threads: PageThreads = request.app.state.dashboard.threads
        return await threads.run(page, request)

    return endpoint
