"""Read RQ: the functions that its decorator `@job` has made, and the schedules of a cron configuration.

RQ stores no list of functions: what is read is a module that has `@job` functions and calls of `rq.cron.register`, or
the source of a code base.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from jobistemer.core.errors import InvalidInput, JobistemerError
from jobistemer.core.jobs.retries import NO_RETRIES, Delays
from jobistemer.core.schedules import AnySchedule, Cron, Interval
from jobistemer.migrate.found import Found, FoundJob, FoundTask, Instants, Verdict
from jobistemer.migrate.loading import (
    LEFT_OUT,
    bind_payload,
    describe_call,
    describe_scheduled,
    explain_refusal,
    load,
    name_function,
    require,
)
from jobistemer.migrate.names import clean_name
from jobistemer.migrate.rq_calls import choose_task_name, declare_enqueued
from jobistemer.migrate.rq_source import read_source_tree


def read_rq(reference: str = "", timezone: str = "UTC", source: str = "") -> Found:
    """Read a module with `@job` functions or calls of `rq.cron.register`, a folder of source, or both.

    timezone: the local zone of the host on which RQ's cron scheduler runs, by whose clock it reads expressions.
    source: a folder whose files are searched for calls of `queue.enqueue(function, …)` and for `@job` functions.
    Raises InvalidInput, Misconfigured.
    """
    require("rq", "rq")
    if not reference and not source:
        raise InvalidInput("name a module of RQ jobs, or a folder of source by --source")
    found = Found("rq", reference or source)
    if reference:
        _read_module(reference, timezone, found)
    if source:
        tree = read_source_tree(source)
        sys.path[:0] = [str(tree.root)] if str(tree.root) not in sys.path else []
        for module in tree.decorated:
            _read_module(module, timezone, found)
        declare_enqueued(tree, found)
    if not found.tasks and not found.jobs and not (source and found.remarks):
        asked = f"module {reference!r}" if reference else f"folder {source!r}"
        calls = ", nor calls of queue.enqueue" if source else ""
        raise InvalidInput(f"{asked} has neither functions with RQ's @job nor calls of rq.cron.register{calls}")
    found.remark(
        "signature",
        Verdict.DIFFERS,
        "RQ pickles arguments; payloads are JSON here, typed by the annotations of the function",
    )
    found.remark(
        "workers", Verdict.DIFFERS, "RQ forks a process for each job; here runs share a process, see executor='process'"
    )
    return found


def _read_module(reference: str, timezone: str, found: Found) -> None:
    registry = _registry_of_cron()
    before = len(registry)
    module = load(reference.partition(":")[0], "a module of RQ jobs")
    functions = dict.fromkeys(value for value in vars(module).values() if _decorator_of(value) is not None)
    for function in functions:
        if name_function(function) not in {each.reference for each in found.tasks}:
            _read_function(function, found)
    for entry in _registry_of_cron()[before:]:
        _read_entry(entry, timezone, found)


def _registry_of_cron() -> list[Any]:
    # Versions of RQ before 2.4 have no cron.
    try:
        return list(getattr(import_module("rq.cron"), "_job_data_registry", []))
    except ImportError:
        return []


def _decorator_of(value: Any) -> Any:
    """Return the `rq.decorators.job` that has made the `delay` of a function; None for anything else."""
    if not inspect.isfunction(value):
        return None
    enqueue = getattr(value, "enqueue", None) or getattr(value, "delay", None)
    closure = inspect.getclosurevars(enqueue).nonlocals if inspect.isfunction(enqueue) else {}
    return closure.get("self") if closure.get("f") is value else None


def _read_function(function: Any, found: Found) -> None:
    decorator, name = _decorator_of(function), name_function(function)
    subject = getattr(function, "__qualname__", "function")
    if name is None:
        found.remark(
            subject, Verdict.NO_EQUAL, "the function is made within another one or in __main__: no module can import it"
        )
        return
    described = describe_call(function.__name__, function)
    if described is None:
        found.remark(subject, Verdict.NO_EQUAL, explain_refusal(function.__name__, function))
        return
    if described[0] != "plain":
        found.remark(subject, Verdict.DIFFERS, LEFT_OUT)
    options: dict[str, Any] = {"queue": clean_name(str(getattr(decorator.queue, "name", decorator.queue)))}
    options |= {"timeout_s": float(decorator.timeout)} if isinstance(decorator.timeout, int | float) else {}
    retry = decorator.retry
    options["retry"] = _read_retry(retry) if retry else NO_RETRIES
    if decorator.result_ttl and decorator.result_ttl > 0:
        options["retention_s"] = float(decorator.result_ttl)
    for name_there in ("on_success", "on_failure", "on_stopped", "webhooks", "depends_on"):
        if getattr(decorator, name_there, None):
            found.remark(
                subject,
                Verdict.NO_EQUAL,
                f"{name_there}: see on_dead, and on_complete and after= of a job with several tasks",
            )
    if decorator.timeout is None:
        found.remark(subject, Verdict.DIFFERS, "RQ's default time-out is 180 s, here it is 300 s")
    found.remark(subject, Verdict.SAME, f"a task in queue {options['queue']}")
    found.tasks.append(FoundTask(choose_task_name(function, name, found), name, *described, options=options))


def _read_retry(retry: Any) -> Any:
    intervals = list(retry.intervals or [0])
    waits = [float(intervals[min(n, len(intervals) - 1)]) for n in range(retry.max)]
    return Delays(tuple(waits))


def _read_entry(entry: Any, timezone: str, found: Found) -> None:
    values = entry if isinstance(entry, dict) else vars(entry)
    function = values["func"]
    subject, reference = f"schedule of {values.get('name') or function.__name__!r}", name_function(function)
    if reference is None:
        found.remark(subject, Verdict.NO_EQUAL, "its function is made within another one or in __main__")
        return
    try:
        payload = bind_payload(function, values.get("args") or (), values.get("kwargs") or {})
        described = describe_scheduled(function, payload)
        schedule, theirs = _read_schedule(values, timezone, subject, found)
    except JobistemerError as error:
        found.remark(subject, Verdict.NO_EQUAL, str(error))
        return
    options: dict[str, Any] = {"queue": clean_name(values["queue_name"]), "retry": NO_RETRIES}
    timeout = values.get("job_timeout")
    options |= {"timeout_s": float(timeout)} if timeout else {}
    names = {each.name for each in found.jobs}
    name = clean_name(values.get("name") or function.__name__)
    unique = name if name not in names else f"{name}-{len(names) + 1}"
    task = FoundTask(clean_name(function.__name__), reference, *described)
    found.jobs.append(FoundJob(unique, schedule, task, payload, (), options, theirs))


def _read_schedule(
    values: dict[str, Any], timezone: str, subject: str, found: Found
) -> tuple[AnySchedule, Instants | None]:
    if values.get("interval"):
        every = timedelta(seconds=values["interval"])
        found.remark(
            subject,
            Verdict.DIFFERS,
            f"every {every}: counted from the last run there, from the registration of the job here, without drift",
        )
        return Interval(every), None
    expression = values["cron"]
    found.remark(
        subject,
        Verdict.SAME,
        f"cron {expression!r} in {timezone}, the zone of the scheduler's host: give --timezone if that is another",
    )
    return Cron(expression, timezone=timezone), lambda start: _croniter_instants(expression, timezone, start)


def _croniter_instants(expression: str, timezone: str, start: datetime) -> Iterator[datetime]:
    """Yield the instants that RQ's scheduler computes: croniter on the local clock without a zone, then to UTC."""
    zone, base = ZoneInfo(timezone), start
    while True:
        engine = croniter(expression, base.astimezone(zone).replace(tzinfo=None))
        while True:
            local = engine.get_next(datetime)
            candidate = datetime.fromtimestamp(local.replace(tzinfo=zone, fold=0).timestamp(), UTC)
            if candidate > base:
                break
        base = candidate
        yield base
