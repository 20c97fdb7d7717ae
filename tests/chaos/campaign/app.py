"""The application under a campaign: one task for each promise, and a ledger of what was done."""

from __future__ import annotations

import os
import time

from jobistemer import Concurrency, Context, Cron, Jobistemer, Options
from jobistemer.core.jobs.retries import Delays
from tests.chaos.campaign.ledger import Ledger

JOBS = int(os.environ.get("JOBISTEMER_CHAOS_JOBS", "20"))
AT_A_TIME = 2
"""How many runs of `limited` may go on at a time."""

# Many workers are killed in a story, and none of its runs is to blame: no number of crashes ends it.
app = Jobistemer(defaults=Options(max_crashes=100))
ledger = Ledger(os.environ.get("JOBISTEMER_LEDGER", ":memory:"))


@app.task
def call(context: Context, seconds: float = 0.0) -> None:
    """A call in a thread that takes its time."""
    with ledger.execution(context.run, context.attempt, "call"):
        time.sleep(seconds)


@app.task
async def call_async(context: Context) -> None:
    """A call on the event loop."""
    with ledger.execution(context.run, context.attempt, "call"):
        pass


@app.task(limits=(Concurrency(AT_A_TIME),))
def limited(context: Context) -> None:
    """A call of which only so many may go on at a time."""
    with ledger.execution(context.run, context.attempt, "limited"):
        time.sleep(0.02)


@app.task
def keyed(context: Context, key: str) -> None:
    """A call with a unique key."""
    with ledger.execution(context.run, context.attempt, "keyed", key):
        time.sleep(0.05)


@app.task(retry=Delays((0.2, 0.2, 0.2)))
def fails_once(context: Context) -> None:
    """A call whose first attempt fails."""
    with ledger.execution(context.run, context.attempt, "fails_once"):
        if not context.attempt:
            raise RuntimeError("the first attempt fails")


for number in range(JOBS):

    @app.job(Cron("* * * * * *"), name=f"second_{number}", overlap="allow", recovery="execute_all")
    def due(context: Context) -> None:
        with ledger.execution(context.run, context.attempt, "due"):
            pass


for number in range(2):

    @app.job(Cron("* * * * * *"), name=f"alone_{number}", overlap="skip", recovery="mark_as_missed")
    def alone(context: Context) -> None:
        """A job that is due more often than it ends."""
        with ledger.execution(context.run, context.attempt, "alone", str(context.job)):
            time.sleep(1.2)
