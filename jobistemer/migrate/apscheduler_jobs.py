"""Read the jobs of an APScheduler (3.x) scheduler: cron, interval and date triggers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from jobistemer.core.errors import InvalidInput, JobistemerError
from jobistemer.core.jobs.job import Overlap, Recovery
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.schedules import AnyCalendar, AnySchedule, Cron, Interval, Once
from jobistemer.migrate.fields import DAYS, HOURS, MINUTES, MONTHS, WEEKDAYS, CronSets
from jobistemer.migrate.found import Found, FoundJob, FoundTask, Instants, Verdict
from jobistemer.migrate.loading import bind_payload, describe_scheduled, load, name_function, require
from jobistemer.migrate.names import clean_name

_WEEKDAY_OF_MONTH = {"1st": "1", "2nd": "2", "3rd": "3", "4th": "4", "5th": "5"}


def read_apscheduler(reference: str) -> Found:
    """Read the jobs of a scheduler, MODULE:SCHEDULER. It is not started. Raises InvalidInput, Misconfigured."""
    base = require("apscheduler.schedulers.base", "apscheduler (3.x)")
    scheduler = load(reference, "an APScheduler scheduler")
    if not isinstance(scheduler, base.BaseScheduler):
        raise InvalidInput(f"{reference} is {type(scheduler).__name__}, expected is a scheduler of APScheduler 3")
    found = Found("apscheduler", reference)
    for job in scheduler.get_jobs():
        _read_job(job, scheduler, found)
    if not found.jobs and not found.remarks:
        raise InvalidInput(
            f"{reference} has no jobs; jobs that are added by a function or kept in a job store are seen once it has "
            "been called, or the scheduler has been started in paused mode"
        )
    found.remark(
        "time-out",
        Verdict.DIFFERS,
        "there is none in APScheduler; an attempt is limited to 5 minutes here, see timeout_s",
    )
    return found


def _read_job(job: Any, scheduler: Any, found: Found) -> None:
    subject = f"job {job.name or job.id!r}"
    reference = name_function(job.func)
    if reference is None:
        found.remark(subject, Verdict.NO_EQUAL, "its function is a lambda, made within another one, or in __main__")
        return
    try:
        payload = bind_payload(job.func, job.args or (), job.kwargs or {})
        described = describe_scheduled(job.func, payload)
        schedule, calendars, theirs = _read_trigger(job.trigger, subject, found)
    except JobistemerError as error:
        found.remark(subject, Verdict.NO_EQUAL, str(error))
        return
    options: dict[str, Any] = {"retry": NO_RETRIES} | _read_policies(job, scheduler, subject, found)
    # The id is the name by which such a job is replaced; without one it is a random number.
    name = job.id if len(job.id) != 32 else job.func.__qualname__
    task = FoundTask(clean_name(job.func.__name__), reference, *described)
    names = {each.name for each in found.jobs}
    unique = clean_name(name) if clean_name(name) not in names else f"{clean_name(name)}-{len(names) + 1}"
    found.jobs.append(FoundJob(unique, schedule, task, payload, calendars, options, theirs))


def _read_policies(job: Any, scheduler: Any, subject: str, found: Found) -> dict[str, Any]:
    defaults = scheduler._job_defaults  # noqa: SLF001 - a job that is not stored yet has no values of its own
    most = getattr(job, "max_instances", None) or defaults.get("max_instances", 1)
    grace = getattr(job, "misfire_grace_time", None) or defaults.get("misfire_grace_time", 1)
    coalesce = getattr(job, "coalesce", defaults.get("coalesce", True))
    options: dict[str, Any] = {"grace_s": float(grace or 86_400)}
    options["recovery"] = Recovery.EXECUTE_LAST if coalesce and grace is None else Recovery.MARK_AS_MISSED
    if most > 1:
        options["overlap"] = Overlap.ALLOW
        found.remark(
            subject,
            Verdict.DIFFERS,
            f"max_instances={most}: overlap is allowed without a bound; see Concurrency({most})",
        )
    else:
        found.remark(subject, Verdict.SAME, f"one at a time; late by {grace} s at the most, then missed")
    return options


def _read_trigger(
    trigger: Any, subject: str, found: Found
) -> tuple[AnySchedule, tuple[AnyCalendar, ...], Instants | None]:
    kind = type(trigger).__name__
    jitter = int(getattr(trigger, "jitter", None) or 0)
    if jitter and kind == "DateTrigger":
        raise InvalidInput(f"a date with jitter={jitter} has no equal: a single instant is not delayed")
    theirs = None if jitter else lambda start: _trigger_instants(trigger, start)
    if kind == "DateTrigger":
        return Once(trigger.run_date.astimezone(UTC)), (), theirs
    if kind == "IntervalTrigger":
        every = trigger.interval
        if every.microseconds or every < timedelta(seconds=1):
            raise InvalidInput(f"an interval of {every} is no whole number of seconds")
        anchor = trigger.start_date.astimezone(UTC).replace(microsecond=0)
        end = trigger.end_date.astimezone(UTC) if trigger.end_date else None
        found.remark(subject, Verdict.SAME, f"every {every} from {anchor.isoformat()}")
        return Interval(every, anchor=anchor, start=anchor, end=end, jitter=jitter), (), theirs
    if kind == "CronTrigger":
        schedule, calendars = _read_cron(trigger, jitter)
        return schedule, calendars, theirs
    raise InvalidInput(
        f"a trigger of type {kind} has no equal; combine schedules by several jobs, or see register_schedule"
    )


def _read_cron(trigger: Any, jitter: int) -> tuple[Cron, tuple[AnyCalendar, ...]]:
    texts = {field.name: str(field) for field in trigger.fields}
    if texts["week"] != "*":
        raise InvalidInput(f"week={texts['week']} has no equal: cron expressions know no week of the year")
    timezone = str(getattr(trigger.timezone, "key", None) or trigger.timezone)
    special = [each for each in texts["day"].split(",") if "last" in each or " " in each]
    start, end = (each.astimezone(UTC) if each else None for each in (trigger.start_date, trigger.end_date))
    fields = {field.name: field for field in trigger.fields}
    sets = CronSets(
        _allow(fields["minute"], MINUTES),
        _allow(fields["hour"], HOURS),
        DAYS if special else _allow(fields["day"], DAYS),
        _allow(fields["month"], MONTHS),
        frozenset((day + 1) % 7 for day in _allow(fields["day_of_week"], WEEKDAYS)),
        _allow(fields["second"], MINUTES),
    )
    cron, calendars = sets.build(timezone)
    parts = cron.expression.split(" ")
    at = len(parts) - 3
    if special:
        if len(special) > 1 or "," in texts["day"] or texts["day_of_week"] != "*":
            raise InvalidInput(f"day={texts['day']!r} with other days has no equal in one cron expression")
        parts[at], parts[at + 2] = _read_special_day(special[0])
    if texts["year"] != "*":
        parts = parts if len(parts) == 6 else ["0", *parts]
        parts.append(texts["year"])
    return Cron(" ".join(parts), timezone=timezone, start=start, end=end, jitter=jitter), calendars


def _read_special_day(text: str) -> tuple[str, str]:
    """Return the texts of day of month and day of week for `last`, `last fri` and `3rd fri`."""
    if text == "last":
        return "L", "*"
    position, _, weekday = text.partition(" ")
    if position == "last":
        return "*", f"{weekday.upper()}L"
    return "*", f"{weekday.upper()}#{_WEEKDAY_OF_MONTH[position]}"


def _allow(field: Any, full: frozenset[int]) -> frozenset[int]:
    """Return the values that a field of a cron trigger allows, by asking each of its expressions."""
    found: set[int] = set()
    for expression in field.expressions:
        first, last = getattr(expression, "first", None), getattr(expression, "last", None)
        low = min(full) if first is None else first
        high = max(full) if first is None or (last is None and expression.step) else (first if last is None else last)
        found |= set(range(low, high + 1, expression.step or 1))
    return frozenset(found)


def _trigger_instants(trigger: Any, start: datetime) -> Iterator[datetime]:
    """Yield what the trigger itself computes, each instant from the one before."""
    last: datetime | None = None
    now = start + timedelta(microseconds=1)
    while True:
        following = trigger.get_next_fire_time(last, now)
        # Datetimes of one zone compare by the reading of its clock, which an hour repeats in autumn.
        if following is None or (last is not None and following.timestamp() <= last.timestamp()):
            return
        last, now = following, max(now, following.astimezone(UTC))
        yield following
