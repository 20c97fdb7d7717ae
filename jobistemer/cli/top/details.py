"""The view of `jobistemer top` on the one thing that is selected: its facts, and the end of its log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Final, NamedTuple

from jobistemer.cli.top.parts import Target
from jobistemer.control.jobs import JobControl
from jobistemer.core.errors import InvalidSchedule, JobistemerError
from jobistemer.core.reads.summaries import WorkerSummary
from jobistemer.core.runs.history_text import explain_occurrence
from jobistemer.core.text import format_distance, format_duration
from jobistemer.core.unreadable import to_text
from jobistemer.store.calls.attempt_log import read_attempt_log
from jobistemer.store.namespace import Namespace
from jobistemer.store.reads import jobs, queues, records
from jobistemer.store.reads.messages import find_sent_message
from jobistemer.terminal import tables

MAX_INSTANTS, MAX_HISTORY, MAX_LINES, MAX_ATTEMPTS = 5, 10, 200, 10
MAX_PAYLOAD: Final = 2_000


class Details(NamedTuple):
    """The facts of one thing, by their names; and lines, such as its log, of which the last ones are shown."""

    title: str
    facts: list[tuple[str, str]]
    lines: list[str]


def read_details(namespace: Namespace, target: Target) -> Details:
    """Read the details of what a row stands for; they say so when it is not there any more."""
    readers: Mapping[str, Callable[[Namespace, str], Details | None]] = {
        "job": _read_job,
        "queue": _read_queue,
        "worker": _read_worker,
        "ticker": _read_ticker,
    }
    try:
        found = readers.get(target.kind, _read_run)(namespace, target.id)
    except JobistemerError as error:
        return Details(f"{target.kind} {target.id}", [("", str(error))], [])
    return found or Details(f"{target.kind} {target.id}", [("", "it is not there (any more)")], [])


def _read_job(namespace: Namespace, name: str) -> Details | None:
    job = JobControl(namespace).find(name).job
    database, now_ms = namespace.for_job(job.id), namespace.clock.now_ms()
    summary = jobs.find_summary(database, name)
    if summary is None:
        return None
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    try:
        instants = list(islice(job.schedule.between(now, datetime(9999, 12, 28, tzinfo=UTC)), MAX_INSTANTS))
    except InvalidSchedule:
        instants = []
    tasks = [f"{each.name} after {', '.join(each.after)}" if each.after else each.name for each in job.tasks]
    facts = [
        ("schedule", summary.schedule),
        ("paused", summary.paused if summary.is_paused(now_ms) else ""),
        ("next (UTC)", ", ".join(f"{at:%a %Y-%m-%d %H:%M:%S}" for at in instants)),
        ("tasks", "; ".join(tasks)),
        ("policies", f"overlap {job.overlap}, recovery {job.recovery}, on failure {job.failure}"),
        ("description", summary.description),
    ]
    history = jobs.list_history(database, job.id, 0, MAX_HISTORY)
    due = {each.id: each.due for each in history}
    # The latest one at the end, as in a log.
    lines = [
        f"{tables.format_utc(each.due)}  {each.state}  {explain_occurrence(each, due)}" for each in reversed(history)
    ]
    return Details(f"job {name}, version {summary.version}", facts, lines)


def _read_queue(namespace: Namespace, name: str) -> Details | None:
    found = next((each for each in queues.list_queues(namespace.shards) if each.name == name), None)
    if found is None:
        return None
    workers = [each for each in queues.list_workers(namespace.shards) if name in each.queues]
    facts = [
        ("state", "paused" if found.paused else "draining" if found.draining else "open"),
        ("waiting", f"{found.waiting:,}"),
        ("by priority", ", ".join(f"{priority}: {count:,}" for priority, count in found.priorities.items())),
        ("for limits", ", ".join(f"{limit}: {count:,}" for limit, count in found.limited.items())),
        ("in flight", f"{found.in_flight:,}"),
        ("delayed", f"{'' if found.delayed_is_exact else '≥ '}{found.delayed:,}"),
        ("served by", ", ".join(each.id for each in workers) or "no worker"),
    ]
    return Details(f"queue {name}", facts, [])


def _read_worker(namespace: Namespace, name: str) -> Details | None:
    found = next((each for each in queues.list_workers(namespace.shards) if each.id == name), None)
    return Details(f"worker {name}", _worker_facts(found, namespace.clock.now_ms()), []) if found else None


def _worker_facts(worker: WorkerSummary, now_ms: int) -> list[tuple[str, str]]:
    memory = "" if worker.memory_mib is None else f"{worker.memory_mib:,.0f} MiB"
    return [
        ("host, pid", f"{worker.host}, {worker.pid}"),
        ("started (UTC)", tables.format_instant(worker.started_at, now_ms) if worker.started_at else ""),
        ("last beat", f"{format_duration(now_ms - worker.beat_at)} ago"),
        ("queues", ", ".join(f"{queue}:{weight}" if weight else queue for queue, weight in worker.queues.items())),
        ("slots", f"{worker.in_flight} in flight, {worker.concurrency} slots"),
        ("memory, CPU", f"{memory}, {worker.cpu_percent:.0f} %" if worker.cpu_percent is not None else memory),
        ("done, failed", f"{worker.done:,}, {worker.failed:,}"),
        ("ends refused", f"{worker.stale:,}"),
        ("stuck threads", f"{worker.leaked:,}"),
        ("runs now", ", ".join(f"{task.rpartition(' ')[2]} × {count}" for task, count in worker.running.items())),
        ("last command", worker.command),
    ]


def _read_ticker(namespace: Namespace, name: str) -> Details | None:
    found, now_ms = queues.list_tickers(namespace.shards), namespace.clock.now_ms()
    ticker = next((each for each in found if each.id == name), None)
    if ticker is None:
        return None
    facts = [
        ("host, pid", f"{ticker.host}, {ticker.pid}"),
        ("started (UTC)", tables.format_instant(ticker.started_at, now_ms) if ticker.started_at else ""),
        ("last beat", f"{format_duration(now_ms - ticker.beat_at)} ago"),
        ("fired", f"{ticker.fired:,}, of them {ticker.prepared:,} prepared ahead"),
        ("most late", f"{format_duration(ticker.late_ms_recent)} in 5 min, {format_duration(ticker.late_ms_max)} ever"),
        ("clock off by", f"{ticker.offset_ms} ms"),
        ("overdue jobs", f"{ticker.unaccounted:,}"),
    ]
    return Details(f"ticker {name}", facts, [])


def _read_run(namespace: Namespace, run_id: str) -> Details | None:
    located = jobs.locate_record(namespace.shards, run_id)
    if located is None:
        return None
    (database, run), now_ms = located, namespace.clock.now_ms()
    message, attempts = find_sent_message(database, run), records.find_attempts(database, run)[-MAX_ATTEMPTS:]
    payload = to_text(bytes(message.payload))[:MAX_PAYLOAD] if message else ""
    canceled = f"{tables.format_instant(run.cancel, now_ms)}: {run.cancel_reason}" if run.cancel else ""
    facts = [
        ("state", f"{run.state}, {format_distance(run.ended_at, now_ms)}" if run.ended_at else str(run.state)),
        ("queue", run.place),
        ("enqueued (UTC)", tables.format_instant(run.enqueued_at, now_ms)),
        ("attempts", run.attempts_text),
        ("asked to end (UTC)", canceled),
        ("note", run.news),
        ("payload", payload),
        ("result", to_text(bytes(run.result))[:MAX_PAYLOAD] if bytes(run.result) != b"null" else ""),
    ]
    lines = run.error.splitlines()
    if attempts:
        last = attempts[-1]
        facts.append(("worker", last.worker))
        log = read_attempt_log(database, last.id, max(0, last.lines - MAX_LINES))
        lines += [f"{each.level} {each.text}" for each in log.lines]
    return Details(f"{run.handler} {run_id}", facts, lines)
