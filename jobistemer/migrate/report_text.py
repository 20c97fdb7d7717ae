"""The report of a migration: what is the same, what differs, what has no equal, and each instant that differs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from jobistemer.core.schedules import Cron
from jobistemer.core.text import pluralize
from jobistemer.migrate.compare import MAX_DIFFERENCES, Comparison, compare_job
from jobistemer.migrate.found import Found, FoundJob, Verdict

_RULES = ("shift", "skip", "first", "both")
_SHOWN_DIFFERENCES = 20
_MOVED = timedelta(hours=1)
_ORDER = (Verdict.NO_EQUAL, Verdict.DIFFERS, Verdict.SAME)


def compare_all(found: Found, start: datetime) -> list[Comparison]:
    """Compare the instants of every job over 400 days from `start`.

    Where the rule for changes of the clock makes a difference, the job gets the rule that is nearest to the other
    engine, and a remark says which.
    """
    comparisons = []
    for number, job in enumerate(found.jobs):
        chosen, comparison = _choose_rule(job, found.engine, start)
        found.jobs[number] = chosen
        if chosen is not job and isinstance(chosen.schedule, Cron):
            text = f"dst={chosen.schedule.dst!r} is nearest to what {found.engine} does at a change of the clock"
            found.remark(f"schedule {job.name!r}", Verdict.DIFFERS, text)
        comparisons += [comparison] if comparison else []
    return comparisons


def _choose_rule(job: FoundJob, engine: str, start: datetime) -> tuple[FoundJob, Comparison | None]:
    best, least = job, compare_job(job, engine, start)
    if least is None or not least.differences or not isinstance(job.schedule, Cron):
        return best, least
    for rule in _RULES[1:]:
        schedule = msgspec.structs.replace(job.schedule, dst=rule)
        other = msgspec.structs.replace(job, schedule=schedule)
        comparison = compare_job(other, engine, start)
        if comparison and _cost(comparison) < _cost(least):
            best, least = other, comparison
    return best, least


def _cost(comparison: Comparison) -> int:
    """Return how far two engines are apart: an instant that moves by an hour at most costs 1, one that is missing 2."""
    cost, before = 0, None
    for each in comparison.differences:
        moved = before is not None and before.only_in != each.only_in and each.at - before.at <= _MOVED
        cost, before = (cost - 1, None) if moved else (cost + 2, each)
    return cost


def write_report(found: Found, comparisons: list[Comparison]) -> str:
    """Return the report as Markdown."""
    counts = f"{pluralize(len(found.tasks), 'task')} and {pluralize(len(found.jobs), 'scheduled job')}"
    lines = [f"# From {found.engine}: {found.source}", "", f"{counts} were written.", ""]
    for verdict in _ORDER:
        remarks = [each for each in found.remarks if each.verdict is verdict]
        if remarks:
            # What holds for many tasks is said once.
            subjects: dict[str, list[str]] = {}
            for each in remarks:
                subjects.setdefault(each.text, []).append(each.subject)
            lines += [f"## {verdict.capitalize()}", ""]
            lines += [f"- **{', '.join(names)}**: {text}" for text, names in subjects.items()]
            lines.append("")
    lines += ["## Instants of the next 400 days", ""]
    lines += [line for each in comparisons for line in _describe(each, found)]
    rest = [job.name for job in found.jobs if job.name not in {each.job for each in comparisons}]
    if rest:
        why = "intervals from its start, a jitter, a crontab, which computes none"
        lines.append(f"- not compared, as the other engine has no instants of its own ({why}): {', '.join(rest)}")
    return "\n".join(lines) + "\n"


def _describe(comparison: Comparison, found: Found) -> list[str]:
    if comparison.error:
        return [f"- **{comparison.job}**: {found.engine} gives no instants: {comparison.error}"]
    days = "all days" if comparison.complete else "days around changes of the clock and ends of months"
    seen = f"{pluralize(comparison.compared, 'instant')} on {days}"
    if not comparison.differences:
        return [f"- **{comparison.job}**: {seen}, all the same"]
    count = len(comparison.differences)
    number = f"≥ {MAX_DIFFERENCES}" if count >= MAX_DIFFERENCES else str(count)
    job = next(each for each in found.jobs if each.name == comparison.job)
    zone = ZoneInfo(getattr(job.schedule, "timezone", "UTC"))
    lines = [f"- **{comparison.job}**: {seen}, {number} only in one of the two:"]
    for each in comparison.differences[:_SHOWN_DIFFERENCES]:
        local = each.at.astimezone(zone)
        lines.append(
            f"  - {each.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} ({local:%a %Y-%m-%d %H:%M %Z}): only {each.only_in}"
        )
    if count > _SHOWN_DIFFERENCES:
        lines.append(f"  - … and {count - _SHOWN_DIFFERENCES} more; --json lists them")
    return lines
