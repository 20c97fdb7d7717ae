"""A namespace in which much has happened, for whoever looks at it."""

from __future__ import annotations

import msgspec

from jobistemer import NO_RETRIES, Context, Delays, Jobistemer
from jobistemer.store.calls import heartbeats
from jobistemer.store.database import Database
from tests.support.apps import running_ticker, running_worker
from tests.support.worker_processes import wait_until

HOSTILE = """<script>alert('x')</script>"><img src=x onerror=alert(1)> \x1b[31m {{ 7 * 7 }}"""


def declare_shop(app: Jobistemer) -> Jobistemer:
    """A job of three tasks, one that says nothing but hostile things, and tasks that can be called."""
    etl = app.job("0 2 * * *", name="warehouse/etl", description="Orders into the warehouse", failure="continue")

    @etl.task
    def extract(context: Context) -> int:
        context.log("page 1 of 1")
        return 4711

    @etl.task(retry=Delays((0.001,)))
    def check(context: Context) -> None:
        if not context.attempt:
            raise ValueError("totals differ")

    @etl.task(after=["extract", "check"], retry=NO_RETRIES)
    def load() -> None:
        raise ConnectionError("the warehouse is away")

    @app.job("0 3 * * *", name="hostile", description=HOSTILE, retry=NO_RETRIES)
    def hostile(context: Context) -> None:
        context.log(HOSTILE)
        raise ValueError(HOSTILE)

    @app.task(retry=NO_RETRIES)
    def send_email(to: str) -> str:
        if "@" not in to:
            raise ValueError(f"{to} is no address")
        return f"sent to {to}"

    return app


def populate(app: Jobistemer) -> dict[str, str]:
    """Both jobs have run, a call has died, one waits in a paused queue; ids by what they are of."""
    declare_shop(app).deploy()
    etl, _ = app.control.trigger("warehouse/etl")
    hostile, _ = app.control.trigger("hostile")
    dead = app.enqueue("send_email", {"to": HOSTILE}, metadata={"about": HOSTILE}).id
    sent = app.enqueue("send_email", {"to": "ann@shop"}).id
    with running_ticker(app), running_worker(app):
        wait_until(
            lambda: app.report(etl).ended_at and app.run(dead).state() == "dead", "the job and the call have ended"
        )
        wait_until(
            lambda: app.report(hostile).ended_at and app.run(sent).state() == "succeeded", "the others have, too"
        )
    app.queues.pause("slow")
    waiting = app.enqueue("send_email", {"to": "bob@shop"}, queue="slow").id
    delayed = app.enqueue("send_email", {"to": "cid@shop"}, delay=3600).id
    return {"etl": etl, "hostile": hostile, "dead": dead, "sent": sent, "waiting": waiting, "delayed": delayed}


def record_beat(database: Database, worker: str = "alice", **status: object) -> None:
    """A worker says that it lives."""
    now_ms = database.read_clock()
    told = {"pid": 7, "queues": {"mail": 3}, "concurrency": 8, "in_flight": 2, **status}
    database.call(
        heartbeats.beat_worker(database.keys, worker, now_ms, 15_000, now_ms, msgspec.json.encode(told), "id")
    )
