"""Words to tell a test's story with: a message is enqueued, a worker takes it, the attempt ends so."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.job import Job, Task, encode_job
from jobistemer.core.jobs.options import Options
from jobistemer.core.planning.plan import Decision
from jobistemer.core.runs.message import Delivery, Message
from jobistemer.core.runs.settle import FinalState, Outcome, Settlement, settle
from jobistemer.core.schedules import Cron
from jobistemer.core.states import AttemptState, OccurrenceState
from jobistemer.store.calls import jobs, occurrences, run_ends, runs, streams
from jobistemer.store.calls.bulk_register import NewJob, register_new
from jobistemer.store.calls.ended_attempt import EndedAttempt
from jobistemer.store.database import Database
from jobistemer.store.scripts import Reply
from jobistemer.worker.attempts.attempt import Attempt
from tests.support.clocks import NOW
from tests.support.shard_state import Stream, records

MINUTE = 60
T0 = NOW // 1000
"""The cursor of a job that was registered when the tests begin; instants are T0 + n * MINUTE."""


def message(run: str = "run_1", **changes: Any) -> Message:
    return Message(**{"run": run, "handler": "greet", "enqueued_at": NOW, **changes})


def enqueue(database: Database, run: str = "run_1", **changes: Any) -> Reply:
    return database.call(runs.enqueue_run(database.keys, message(run, **changes)))


def again_records(database: Database, run: str, text: str) -> dict[str, Any]:
    """The records of a run that does the work of run_1 once more, with its message as it is sent; to compare."""
    entry = records(database)[f"run:{run}"]["entry"]
    fields = {"state": "pending", "handler": "greet", "place": "default:5", "entry": entry, "retry_of": "run_1"}
    return {f"run:{run}": fields, "stream:default:5": Stream({entry: {"m": text, "n": "0", "c": "0"}}, {})}


def fetch(database: Database, worker: str = "alice", where: str = "default:5", count: int = 10) -> list[Delivery]:
    """What a worker fetches from a stream."""
    fetched = streams.StreamReader(database, worker).fetch([where], count, block=False)
    return [
        delivery
        for key, entries in fetched
        for delivery, _ in streams.read_deliveries(key, entries)
        if delivery is not None
    ]


def fetch_one(database: Database, worker: str = "alice", where: str = "default:5") -> Delivery:
    (delivery,) = fetch(database, worker, where, count=1)
    return delivery


def build_attempt(database: Database, delivery: Delivery, handler: Handler, read_at: float | None = None) -> Attempt:
    """An attempt of alice as her fetcher makes it, of a read that was sent just now unless the test says when."""
    needs_process = handler.executor == "process" or delivery.crashes > 0
    key, at = (delivery.stream, delivery.entry), time.monotonic() if read_at is None else read_at
    return Attempt(database, delivery, handler, "alice", {}, key, needs_process, delivery.message.timeout_ms, at)


def build_ended(
    delivery: Delivery,
    state: str = "succeeded",
    worker: str = "alice",
    source: str = "attempt",
    ending: Settlement | None = None,
    **outcome: Any,
) -> EndedAttempt:
    """The attempt began at NOW and took a second; its run ends as `settle` says with chance 0, unless the test says how."""
    how = Outcome(AttemptState(state), **outcome)
    ending = ending or settle(delivery.message, delivery.attempt, delivery.crashes, how, 0.0)
    return EndedAttempt(delivery, how, ending, worker, NOW, NOW + 1000, source)


def finish(database: Database, over: EndedAttempt, job: Job | None = None) -> Reply:
    """Record how an attempt ended, as a worker does."""
    return database.call(run_ends.record_end(database.keys, over, job))._replace(extensions=())


def job(*tasks: Task, **changes: Any) -> Job:
    """A job that is due every minute."""
    return Job(**{"name": "report", "schedule": Cron("* * * * *"), "tasks": tasks or (task("only"),), **changes})


def task(name: str, *after: str, **options: Any) -> Task:
    return Task(name, handler=f"report.{name}", after=after, options=Options(**options))


def register(
    database: Database, definition: Job, mark: str = "f1", seen: int = 0, cursor: int = T0, **more: Any
) -> Reply:
    """Register a definition whose fingerprint is `mark`, decided up to `cursor`."""
    new = jobs.JobRegistration(definition, mark, seen, cursor, cursor + MINUTE, NOW, **more)
    return database.call(jobs.register(database.keys, new))


def register_together(
    database: Database,
    *definitions: Job,
    marks: Sequence[str] = ("f1",),
    due: int = T0 + MINUTE,
    owner: str = "",
) -> Reply:
    """Register new jobs of alice in one call, due at `due` (Unix seconds), with these fingerprints in turn."""
    new = [
        NewJob(each.id, encode_job(each), mark, due, jobs.choose_expect_by(each, NOW))
        for each, mark in zip(definitions, cycle(marks), strict=False)
    ]
    return database.call(register_new(database.keys, new, NOW, "alice", owner))


def postpone(database: Database, definition: Job, mark: str, at_ms: int, seen: int = 1, **more: Any) -> Reply:
    """Put a version off until `at_ms`."""
    new = jobs.JobRegistration(definition, mark, seen, T0, T0 + MINUTE, NOW, **more)
    return database.call(jobs.postpone(database.keys, new, at_ms))


def version_fields(number: int = 1, mark: str = "f1", after: int = T0) -> dict[str, str]:
    """What the hash of versions says of one that is current; its definition stands with the job."""
    known = {":mark": mark, ":after": str(after), ":at": str(NOW)}
    return {f"{number}{name}": value for name, value in known.items()} | {"last": str(number)}


def over_fields(definition: Job, number: int = 1, until: int = T0) -> dict[str, str]:
    """What it says in addition of one whose time is over."""
    return {str(number): encode_job(definition).decode(), f"{number}:until": str(until), f"{number}:over": str(NOW)}


def decision(
    instant: int, state: str = "pending", reason: str = "fired on time", expected: int | None = None
) -> Decision:
    """A decision made from the cursor just before `instant`."""
    before = instant - MINUTE if expected is None else expected
    return Decision(instant, before, (instant + MINUTE) * 1000, OccurrenceState(state), reason)


def claim(database: Database, definition: Job, decided: Decision, version: int = 1) -> Reply:
    return database.call(occurrences.claim(database.keys, definition, version, decided, decided.instant * 1000))


def delivery_of(database: Database, of: Message) -> Delivery:
    """The attempt of a run that is in flight, or was: what the records say of it."""
    run = records(database).get(f"run:{of.run}", {})
    entry = run.get("entry") or "0-1"
    return Delivery(
        database.keys.stream(f"{of.queue}:{of.priority}").encode(), entry.encode(), of, int(run.get("attempt", 0)), 0
    )


def commit(
    database: Database,
    definition: Job | None,
    delivery: Delivery,
    over: FinalState,
    state: str,
    source: str = "attempt",
    worker: str = "alice",
) -> Reply:
    """End a run as the caller decides, whatever `settle` would say."""
    return database.call(
        run_ends.record_end(database.keys, build_ended(delivery, state, worker, source, over), definition)
    )
