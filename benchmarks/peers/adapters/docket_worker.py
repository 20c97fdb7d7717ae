"""docket's worker with settings finer than its command takes: `python docket_worker.py NAME`."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta

import on_docket
from docket import Worker


async def main() -> None:
    async with on_docket.docket as docket:
        for task in on_docket.tasks:
            docket.register(task)
        soon = timedelta(milliseconds=10)
        async with Worker(
            docket,
            name=sys.argv[1],
            concurrency=50,
            message_batch=100,
            minimum_check_interval=soon,
            scheduling_resolution=soon,
        ) as worker:
            await worker.run_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main())
