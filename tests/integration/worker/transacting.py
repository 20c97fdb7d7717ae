"""The app of the tests that kill workers around transactions; run as a script it is a worker of it."""

from __future__ import annotations

import os

from jobistemer import Context, Exponential, Jobistemer
from jobistemer.core.settings import WorkerSettings
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.worker import Worker

app = Jobistemer(os.environ.get("JOBISTEMER_URL", "fake://transacting"), namespace="test")


@app.task
def follow(of: str) -> None: ...


@app.task(retry=Exponential(max_retries=100))
def count(ctx: Context, wait: bool = False, pings: int = 0) -> None:
    ctx.transaction.write("INCRBY", "total", 1)
    ctx.transaction.write("HINCRBY", "runs", ctx.run, 1)
    ctx.transaction.enqueue(follow.request(of=ctx.run))
    database = app.namespace.shards[0]
    for _ in range(pings):
        database.ask("PING")
    if wait and ctx.attempt == 0:
        # Says that it is inside, and waits for a word that may come long after others have taken over.
        database.ask("RPUSH", "inside", ctx.run)
        database.client.blpop("go on", timeout=0)


def main() -> None:
    settings = WorkerSettings(lease_s=1.0, beat_s=0.2, concurrency=4, grace_s=5)
    shutdown = Shutdown()
    shutdown.listen()
    Worker(app.namespace, app.handlers, settings, app.plugins).run(shutdown)


if __name__ == "__main__":
    main()
