"""The application under chaos: jobs that are due every second, calls, and an outside ledger of what was done.

Every effect is one line of the file that JOBISTEMER_LEDGER names, appended in one write: it is there or it is not,
whatever becomes of the process.
"""

from __future__ import annotations

import os
import time

from jobistemer import Context, Cron, Jobistemer

JOBS = int(os.environ.get("JOBISTEMER_CHAOS_JOBS", "200"))
LEDGER = os.environ.get("JOBISTEMER_LEDGER", os.devnull)

app = Jobistemer()


def effect(context: Context) -> None:
    """What a handler does to the world outside."""
    line = f"{context.run} {context.attempt} {os.getpid()}\n"
    ledger = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(ledger, line.encode())
    finally:
        os.close(ledger)


@app.task
def call(context: Context, seconds: float = 0.0) -> None:
    """A call that takes its time; the effect comes last."""
    time.sleep(seconds)
    effect(context)


@app.task
async def call_async(context: Context) -> None:
    effect(context)


for number in range(JOBS):

    @app.job(Cron("* * * * * *"), name=f"second_{number}", overlap="allow", recovery="execute_all")
    def due(context: Context) -> None:
        effect(context)
