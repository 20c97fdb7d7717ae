"""A lull: how one waits for what others do, such as a worker for whose result an application asks."""

from __future__ import annotations

import asyncio
import time


class Sleeper:
    """Waits a moment; whoever tests an application has the work done meanwhile."""

    def sleep(self, seconds: float) -> None:
        """Let others work for so long."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """The same on an event loop."""
        await asyncio.sleep(seconds)
