"""Read arq: the functions and cron jobs of a WorkerSettings class."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from jobistemer.core.errors import InvalidInput, JobistemerError
from jobistemer.core.jobs.retries import NO_RETRIES, Delays
from jobistemer.migrate.fields import DAYS, HOURS, MINUTES, MONTHS, WEEKDAYS, CronSets
from jobistemer.migrate.found import Found, FoundJob, FoundTask, Verdict
from jobistemer.migrate.loading import LEFT_OUT, describe_parameters, load, name_function, require, takes_any_name
from jobistemer.migrate.names import clean_name

_DEFAULT_TIMEOUT_S, _DEFAULT_TRIES = 300.0, 5
_DAY_NAMES = ("mon", "tues", "wed", "thurs", "fri", "sat", "sun")
_UNUSED = ("on_startup", "on_shutdown", "on_job_start", "on_job_end", "after_job_end")


def read_arq(reference: str) -> Found:
    """Read a class of worker settings, MODULE:WorkerSettings. Raises InvalidInput, Misconfigured."""
    require("arq", "arq")
    settings = load(reference, "arq's WorkerSettings")
    functions, crons = getattr(settings, "functions", None) or (), getattr(settings, "cron_jobs", None) or ()
    if not functions and not crons:
        raise InvalidInput(f"{reference} has neither functions nor cron_jobs, which arq's WorkerSettings have")
    found = Found("arq", reference)
    zone = getattr(settings, "timezone", None)
    timezone = str(getattr(zone, "key", None) or (zone.tzname(None) if zone else None) or "UTC")
    for each in functions:
        _read_function(settings, each, found)
    for cron_job in crons:
        _read_cron(settings, cron_job, timezone, found)
    for name in _UNUSED:
        if getattr(settings, name, None):
            found.remark(name, Verdict.DIFFERS, "see app.on_worker_start and app.on_worker_stop, and middleware")
    found.remark(
        "ctx",
        Verdict.DIFFERS,
        "the first parameter of a function is an empty dictionary: resources come from app.state and Depends here",
    )
    return found


def _read_function(settings: Any, given: Any, found: Found) -> None:
    arq_worker = require("arq.worker", "arq")
    made = arq_worker.func(given)
    task = _build_task(made.coroutine, made.name, found)
    if task is None:
        return
    tries = made.max_tries if made.max_tries is not None else getattr(settings, "max_tries", _DEFAULT_TRIES)
    timeout = made.timeout_s or getattr(settings, "job_timeout", None) or _DEFAULT_TIMEOUT_S
    options = {
        "retry": Delays((0.0,) * (tries - 1)) if tries > 1 else NO_RETRIES,
        "timeout_s": float(getattr(timeout, "total_seconds", lambda: timeout)()),
    }
    found.remark(
        made.name,
        Verdict.DIFFERS,
        f"max_tries={tries} counts every start there, also after Retry(defer=…); here each error is retried, at once",
    )
    found.tasks.append(FoundTask(task.name, task.reference, task.call, task.parameters, options))


def _build_task(coroutine: Any, name: str, found: Found) -> FoundTask | None:
    reference, parameters = name_function(coroutine), describe_parameters(coroutine, skip=1)
    if reference is None or parameters is None:
        why = (
            "made within a function or in __main__" if reference is None else "has parameters that no payload can name"
        )
        found.remark(name, Verdict.NO_EQUAL, f"the coroutine is {why}" if reference is None else f"the coroutine {why}")
        return None
    if takes_any_name(coroutine):
        found.remark(name, Verdict.DIFFERS, LEFT_OUT)
    return FoundTask(clean_name(name), reference, "arq", parameters)


def _read_cron(settings: Any, cron_job: Any, timezone: str, found: Found) -> None:
    task = _build_task(cron_job.coroutine, cron_job.name.removeprefix("cron:"), found)
    if task is None:
        return
    subject = f"schedule {cron_job.name!r}"
    try:
        schedule, calendars = _read_sets(cron_job).build(timezone)
    except JobistemerError as error:
        found.remark(subject, Verdict.NO_EQUAL, str(error))
        return
    if cron_job.microsecond:
        moved = f"due {cron_job.microsecond} µs after the second there, at the second here"
        found.remark(subject, Verdict.DIFFERS, moved)
    if cron_job.run_at_startup:
        trigger = "run_at_startup: trigger the job when you deploy it: `jobistemer job trigger`"
        found.remark(subject, Verdict.NO_EQUAL, trigger)
    if not cron_job.unique:
        each = "unique=False runs it once on every worker; here an instant has one occurrence"
        found.remark(subject, Verdict.NO_EQUAL, each)
    tries = cron_job.max_tries or getattr(settings, "max_tries", _DEFAULT_TRIES)
    options: dict[str, Any] = {"retry": Delays((0.0,) * (tries - 1)) if tries > 1 else NO_RETRIES}
    if cron_job.timeout_s:
        options["timeout_s"] = float(cron_job.timeout_s)
    theirs = partial(_arq_instants, cron_job, timezone)
    found.jobs.append(FoundJob(task.name, schedule, task, {}, calendars, options, theirs))


def _read_sets(cron_job: Any) -> CronSets:
    weekday = cron_job.weekday
    if isinstance(weekday, str):
        weekday = _DAY_NAMES.index(weekday.lower())
    return CronSets(
        _allow(cron_job.minute, MINUTES),
        _allow(cron_job.hour, HOURS),
        _allow(cron_job.day, DAYS),
        _allow(cron_job.month, MONTHS),
        frozenset((day + 1) % 7 for day in _allow(weekday, WEEKDAYS)),
        _allow(cron_job.second, MINUTES),
    )


def _allow(value: Any, full: AbstractSet[int]) -> frozenset[int]:
    if value is None:
        return frozenset(full)
    return frozenset({value} if isinstance(value, int) else value)


def _arq_instants(cron_job: Any, timezone: str, start: datetime) -> Iterator[datetime]:
    """Yield what arq's own function computes, each instant from the one before."""
    arq_cron, zone = require("arq.cron", "arq"), ZoneInfo(timezone)
    names = ("month", "day", "weekday", "hour", "minute", "second", "microsecond")
    fields = {name: getattr(cron_job, name) for name in names}
    last = start.astimezone(zone)
    while True:
        following = arq_cron.next_cron(last, **fields)
        # At the start of a year or month arq gives a datetime without a zone.
        last = following if following.tzinfo else following.replace(tzinfo=zone)
        yield last.astimezone(UTC)
