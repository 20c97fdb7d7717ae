"""Read a Celery application: its tasks, routes, retries, rate limits, time limits and beat schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from jobistemer.core.errors import InvalidInput
from jobistemer.core.jobs.limits import Rate
from jobistemer.core.jobs.retries import MAX_RETRIES, NO_RETRIES, Delays, Exponential
from jobistemer.core.schedules import AnyCalendar, AnySchedule, Interval
from jobistemer.migrate.celery_tasks import build_task, find_reference
from jobistemer.migrate.fields import CronSets
from jobistemer.migrate.found import Exceptions, Found, FoundJob, FoundTask, Instants, Verdict
from jobistemer.migrate.loading import bind_payload, check_names, load, require
from jobistemer.migrate.names import clean_name

_PERIODS = {"s": 1, "m": 60, "h": 3600}
_IGNORED_OPTIONS = {"queue", "priority", "expires", "routing_key", "exchange", "headers"}


def read_celery(reference: str) -> Found:
    """Read the tasks and the beat schedule of a Celery application, MODULE:APP. Raises InvalidInput, Misconfigured."""
    celery = require("celery", "celery")
    app = load(reference, "a Celery application")
    if not isinstance(app, celery.Celery):
        raise InvalidInput(
            f"{reference} is {type(app).__name__}, expected is a Celery application, given as MODULE:APP"
        )
    app.loader.import_default_modules()
    app.finalize(auto=True)
    found = Found("celery", reference)
    tasks: dict[str, FoundTask] = {}
    for name, task in sorted(app.tasks.items()):
        if not name.startswith("celery.") and (read := _read_task(app, task, found)):
            tasks[name] = read
    found.tasks = list(tasks.values())
    for name, entry in sorted(app.conf.beat_schedule.items()):
        _read_entry(app, name, entry, tasks, found)
    _remark_settings(app, found)
    return found


def _read_task(app: Any, task: Any, found: Found) -> FoundTask | None:
    reference = find_reference(task)
    if reference is None:
        found.remark(
            task.name, Verdict.NO_EQUAL, "the task is made within a function or in __main__: no module can import it"
        )
        return None
    declared = build_task(task, reference, found)
    if declared is None:
        return None
    options: dict[str, Any] = {}
    queue = app.amqp.router.route({}, task.name).get("queue") or task.queue
    queue_name = str(getattr(queue, "name", queue) or "")
    if queue_name and queue_name != app.conf.task_default_queue:
        options["queue"] = clean_name(queue_name)
    _read_retries(task, options, found)
    _read_limits(app, task, options, found)
    verdict = Verdict.DIFFERS if any(each.subject == task.name for each in found.remarks) else Verdict.SAME
    if verdict is Verdict.SAME:
        found.remark(task.name, verdict, "a task with the same name and arguments")
    return msgspec.structs.replace(declared, options=options)


def _read_retries(task: Any, options: dict[str, Any], found: Found) -> None:
    retry_on = tuple(getattr(task, "autoretry_for", ()) or ())
    if not retry_on:
        options["retry"] = NO_RETRIES
        if _is_bound(task):
            found.remark(
                task.name,
                Verdict.DIFFERS,
                "bind=True: `self.retry(…)` is `raise Retry(…)` here, `self.request` a parameter of type Context",
            )
        return
    most = task.max_retries if task.max_retries is not None else MAX_RETRIES
    if task.max_retries is None:
        found.remark(
            task.name, Verdict.DIFFERS, f"max_retries=None retries for ever; here {MAX_RETRIES} times at the most"
        )
    backoff = getattr(task, "retry_backoff", False)
    if backoff:
        cap = float(getattr(task, "retry_backoff_max", 600))
        jitter = 1.0 if getattr(task, "retry_jitter", True) else 0.0
        options["retry"] = Exponential(max_retries=most, first_s=float(backoff), cap_s=cap, jitter=jitter)
    else:
        delay = float(task.default_retry_delay)
        options["retry"] = Delays((delay,) * most) if most <= 10 else Exponential(most, delay, 1.0, delay, 0.0)
    if retry_on != (Exception,):
        options["retry_on"] = Exceptions(retry_on)


def _read_limits(app: Any, task: Any, options: dict[str, Any], found: Found) -> None:
    hard, soft = task.time_limit or app.conf.task_time_limit, task.soft_time_limit or app.conf.task_soft_time_limit
    if hard or soft:
        options["timeout_s"] = float(hard or soft)
    else:
        found.remark(
            task.name, Verdict.DIFFERS, "no time limit there; an attempt is limited to 5 minutes here, see timeout_s"
        )
    if soft:
        found.remark(
            task.name, Verdict.DIFFERS, "SoftTimeLimitExceeded is not raised here; a time-out ends the attempt"
        )
    rate = task.rate_limit or app.conf.task_default_rate_limit
    if rate:
        count, _, period = str(rate).partition("/")
        options["limits"] = (Rate(max(1, round(float(count))), _PERIODS[(period or "s")[0]]),)
        found.remark(
            task.name,
            Verdict.DIFFERS,
            f"rate_limit {rate} holds for each worker there, and for all workers together here",
        )
    if not (task.acks_late or app.conf.task_acks_late):
        found.remark(
            task.name,
            Verdict.DIFFERS,
            "acks_late is off: there a run is lost with its worker, here it is executed again",
        )
    if task.priority is not None:
        found.remark(
            task.name,
            Verdict.DIFFERS,
            "priority: 9 is the highest here; with Redis as broker, 0 is the highest in Celery",
        )
    if getattr(task, "expires", None):
        found.remark(task.name, Verdict.DIFFERS, f"expires={task.expires} of the task is an option of each call here")


def _read_entry(app: Any, name: str, entry: Mapping[str, Any], tasks: Mapping[str, FoundTask], found: Found) -> None:
    subject = f"schedule {name!r}"
    task = tasks.get(entry["task"])
    if task is None:
        found.remark(subject, Verdict.NO_EQUAL, f"its task {entry['task']!r} is not in the application")
        return
    try:
        payload = bind_payload(app.tasks[entry["task"]].run, entry.get("args") or (), entry.get("kwargs") or {})
        check_names(task.call, task.parameters, payload)
        schedule, calendars, theirs = _read_schedule(app, entry["schedule"], subject, found)
    except InvalidInput as error:
        found.remark(subject, Verdict.NO_EQUAL, str(error))
        return
    options = dict(task.options)
    given = entry.get("options") or {}
    queue = given.get("queue")
    if queue:
        options["queue"] = clean_name(str(getattr(queue, "name", queue)))
    if given.get("priority") is not None:
        options["priority"] = max(0, min(9, int(given["priority"])))
    if given.get("expires") is not None:
        found.remark(
            subject,
            Verdict.DIFFERS,
            f"expires={given['expires']}: see grace_s and recovery, which decide about instants that are late",
        )
    for other in sorted(set(given) - _IGNORED_OPTIONS):
        found.remark(subject, Verdict.NO_EQUAL, f"its option {other}={given[other]!r}")
    found.jobs.append(FoundJob(clean_name(name), schedule, task, payload, calendars, options, theirs))


def _read_schedule(
    app: Any, given: Any, subject: str, found: Found
) -> tuple[AnySchedule, tuple[AnyCalendar, ...], Instants | None]:
    schedules = require("celery.schedules", "celery")
    if isinstance(given, schedules.solar):
        raise InvalidInput(f"{given!r} follows the sun; a schedule of your own can: see register_schedule")
    if isinstance(given, schedules.crontab):
        zone = str(given.tz)
        sets = CronSets(given.minute, given.hour, given.day_of_month, given.month_of_year, given.day_of_week)
        schedule, calendars = sets.build(zone)
        return schedule, calendars, lambda start: _crontab_instants(given, start)
    every = given if isinstance(given, timedelta) else getattr(given, "run_every", None)
    if isinstance(given, int | float):
        every = timedelta(seconds=given)
    if type(given) not in (timedelta, int, float, schedules.schedule) or every is None:
        raise InvalidInput(f"{type(given).__name__} is a schedule class of the application's own")
    if every < timedelta(seconds=1) or every.microseconds:
        raise InvalidInput(f"{every} is no whole number of seconds, which intervals here have")
    found.remark(
        subject,
        Verdict.DIFFERS,
        f"every {every}: counted from the start of beat there, from the registration of the job here, without drift",
    )
    return Interval(every, timezone=str(app.timezone)), (), None


def _crontab_instants(crontab: Any, start: datetime) -> Iterator[datetime]:
    """Yield what Celery's crontab computes, each instant from the one before, as beat does."""
    last = start
    while True:
        local, delta, _ = crontab.remaining_delta(last)
        following = (local + delta).astimezone(UTC)
        if following <= last:
            following = last + timedelta(minutes=1)
            last = following
            continue
        last = following
        yield last


def _is_bound(task: Any) -> bool:
    return getattr(task.run, "__self__", None) is task


def _remark_settings(app: Any, found: Found) -> None:
    conf = app.conf
    zone = "UTC" if conf.enable_utc and not conf.timezone else str(conf.timezone or app.timezone)
    found.remark("time zone", Verdict.SAME, f"schedules are in {zone}, which each job names")
    if conf.task_serializer != "json":
        found.remark(
            "task_serializer",
            Verdict.DIFFERS,
            f"{conf.task_serializer} there; payloads are JSON here, typed by the annotations of the function",
        )
    if conf.task_always_eager:
        found.remark("task_always_eager", Verdict.NO_EQUAL, "for tests use the pytest fixtures of jobistemer.testing")
    if conf.result_expires:
        found.remark(
            "result_expires", Verdict.DIFFERS, f"{conf.result_expires} there; retention_s here, a day by default"
        )
