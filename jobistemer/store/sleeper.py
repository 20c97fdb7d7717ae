"""The wait of an application for other processes, such as for the worker that produces a result."""

from __future__ import annotations

import asyncio
import time


class Sleeper:
    """Lets time pass while an application waits; the test kit replaces it by one that does the work meanwhile."""

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Wait for `seconds` on an event loop."""
        await asyncio.sleep(seconds)
