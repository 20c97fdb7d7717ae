"""`jobistemer job`: look at jobs and control them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

import click
import msgspec
from rich.console import Group, RenderableType

from jobistemer.cli.commands.backfill import job_backfill_command
from jobistemer.cli.commands.versions import diff_command, rollback_command, versions_command
from jobistemer.cli.session import Session, with_session
from jobistemer.control.jobs import JobControl
from jobistemer.core import ids
from jobistemer.core.errors import UnknownJob, UnknownTask
from jobistemer.core.jobs.effective_options import find_effective_options
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.options import EffectiveOption, Options
from jobistemer.core.reads.summaries import JobSummary
from jobistemer.core.runs.history_text import explain_occurrence, find_mentioned
from jobistemer.core.runs.records import JobChange, OccurrenceRecord
from jobistemer.core.schedules.instants import instant_at
from jobistemer.core.schedules.iso8601 import read_instant
from jobistemer.core.states import OccurrenceState
from jobistemer.core.text import first_line, format_duration
from jobistemer.store.reads import jobs, records
from jobistemer.terminal import tables

_ONGOING_STATES = (OccurrenceState.PENDING, OccurrenceState.QUEUED)


class JobDetails(NamedTuple):
    """What `job show` tells."""

    summary: JobSummary
    next: list[datetime]
    definition: Job


by_option = click.option(
    "--by", envvar="JOBISTEMER_BY", show_envvar=True, help="Who is at it, by default the user; `job log` shows it."
)


@click.group("job")
def job_group() -> None:
    """Look at jobs and control them; changes are effective at the next instant."""


job_group.add_command(job_backfill_command)
job_group.add_command(versions_command)
job_group.add_command(diff_command)
job_group.add_command(rollback_command)


@job_group.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many at the most.")
@click.option("--offset", type=click.IntRange(0), default=0, help="How many to pass over.")
@with_session
def list_command(session: Session, limit: int, offset: int) -> None:
    """List the registered jobs, those that are due next first."""
    found = jobs.list_jobs(session.namespace.shards, offset, limit)
    session.print_answer(found, lambda: _jobs_table(found, session.now_ms))


@job_group.command("show")
@click.argument("name")
@with_session
def show_command(session: Session, name: str) -> None:
    """Show one job: its schedule, tasks, policies and what comes next."""
    job = JobControl(session.namespace).find(name).job
    summary = jobs.find_summary(session.namespace.for_job(ids.job_id(name)), name)
    if summary is None:
        raise UnknownJob(f"job {name!r} was removed at this moment")
    details = JobDetails(summary, _next_instants(job, session.now_ms, 5), job)
    session.print_answer(details._asdict(), lambda: _details(details, session.now_ms))


@job_group.command("options")
@click.argument("name")
@click.option("--task", default="", help="Of this task alone.")
@with_session
def options_command(session: Session, name: str, task: str) -> None:
    """Show the effective options of each task of a job, and the level that each of them comes from."""
    job = JobControl(session.namespace).find(name).job
    found = {each.name: find_effective_options(job, each) for each in job.tasks if task in {"", each.name}}
    if not found:
        raise UnknownTask(f"job {name!r} has no task {task!r}; its tasks are {', '.join(job.edges)}")
    session.print_answer(found, lambda: _options_table(found))


@job_group.command("next")
@click.argument("name")
@click.option("-n", "count", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many.")
@with_session
def next_command(session: Session, name: str, count: int) -> None:
    """Show the next due instants of a job."""
    job = JobControl(session.namespace).find(name).job
    instants = _next_instants(job, session.now_ms, count)
    session.print_answer(instants, lambda: _instants_table(instants, session.now_ms))


@job_group.command("history")
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many at the most.")
@click.option("--offset", type=click.IntRange(0), default=0, help="How many to pass over.")
@with_session
def history_command(session: Session, name: str, limit: int, offset: int) -> None:
    """Show the occurrences of a job, the newest first, each with its reason."""
    job = JobControl(session.namespace).find(name).job
    found = jobs.list_history(session.namespace.for_job(job.id), job.id, offset, limit)
    others = records.find_occurrences(session.namespace.for_job(job.id), sorted(find_mentioned(found)))
    due = {each.id: each.due for each in (*found, *others)}
    session.print_answer(found, lambda: _history_table(found, due, session.now_ms))


@job_group.command("log")
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many at the most.")
@with_session
def log_command(session: Session, name: str, limit: int) -> None:
    """Show who changed, paused, resumed, triggered or removed a job, the latest first."""
    found = JobControl(session.namespace).log(name, limit)
    session.print_answer(found, lambda: _log_table(found, session.now_ms))


@job_group.command("pause")
@click.argument("name")
@by_option
@click.option("--note", default="", help="Why; it stands in the history.")
@click.option(
    "--until",
    metavar="INSTANT",
    help="When the pause ends by itself: ISO 8601, UTC unless it says another offset.",
)
@with_session
def pause_command(session: Session, name: str, note: str, until: str | None, by: str | None) -> None:
    """Record the job's instants as skipped from now on."""
    ends = instant_at(read_instant(until, "UTC")) if until else None
    JobControl(session.namespace, by).pause(name, note, ends)
    session.print_answer({"job": name, "paused": True, "until": ends}, lambda: _line(f"{name} is paused"))


@job_group.command("resume")
@click.argument("name")
@by_option
@with_session
def resume_command(session: Session, name: str, by: str | None) -> None:
    """End the pause of a job."""
    JobControl(session.namespace, by).resume(name)
    session.print_answer({"job": name, "paused": False}, lambda: _line(f"{name} is not paused"))


@job_group.command("trigger")
@click.argument("name")
@by_option
@with_session
def trigger_command(session: Session, name: str, by: str | None) -> None:
    """Fire a job now, beside its schedule; its overlap policy applies. Exit code 1 when it was skipped."""
    occurrence, word = JobControl(session.namespace, by).trigger(name)
    fired = {"job": name, "occurrence": occurrence, "state": word}
    session.print_answer(fired, lambda: _line(f"{occurrence} is {word}"))
    if word not in _ONGOING_STATES:
        raise click.exceptions.Exit(1)


@job_group.command("remove")
@click.argument("name")
@by_option
@with_session
def remove_command(session: Session, name: str, by: str | None) -> None:
    """Forget a job: what runs ends, its history expires by itself; `deploy` brings it back."""
    JobControl(session.namespace, by).remove(name)
    session.print_answer({"job": name, "removed": True}, lambda: _line(f"{name} is removed"))


def _options_table(found: Mapping[str, Mapping[str, EffectiveOption]]) -> RenderableType:
    rows = [
        (task, option, msgspec.json.encode(effective.value).decode(), effective.source)
        for task, options in found.items()
        for option, effective in options.items()
    ]
    return tables.table(("task", "option", "value", "says"), rows)


def _next_instants(job: Job, now_ms: int, count: int) -> list[datetime]:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    return list(islice(job.schedule.between(now, datetime(9999, 12, 28, tzinfo=UTC)), count))


def _jobs_table(found: list[JobSummary], now_ms: int) -> RenderableType:
    if not found:
        return "no job is registered; `jobistemer deploy` registers those of an app"
    rows = [
        (
            summary.name,
            tables.style_state("paused") if summary.is_paused(now_ms) else _describe_activity(summary),
            summary.schedule,
            tables.format_instant(summary.next_due, now_ms),
            *_last_cells(summary.last, now_ms),
        )
        for summary in found
    ]
    return tables.table(("job", "state", "schedule", "next due (UTC)", "last", "ended", "reason"), rows)


def _describe_activity(summary: JobSummary) -> str:
    if summary.live or summary.queued:
        return f"{summary.live} live" + (f", {summary.queued} queued" if summary.queued else "")
    return "waiting" if summary.next_due else "over"


def _last_cells(last: OccurrenceRecord | None, now_ms: int) -> tuple[tables.Cell, ...]:
    if last is None:
        return "–", "–", ""
    reason = first_line(last.error) or last.reason
    return tables.format_instant(last.due * 1000, now_ms), tables.style_state(last.state), reason


def _history_table(found: list[OccurrenceRecord], due: dict[str, int], now_ms: int) -> RenderableType:
    if not found:
        return "no occurrence is on record"
    rows = [
        (
            tables.format_instant(each.due * 1000, now_ms),
            tables.style_state(each.state),
            format_duration(each.late_ms),
            format_duration(each.ended_at - each.claimed_at) if each.ended_at else "–",
            each.id,
            explain_occurrence(each, due),
        )
        for each in found
    ]
    return tables.table(("due (UTC)", "state", "late", "took", "occurrence", "reason"), rows)


def _log_table(found: list[JobChange], now_ms: int) -> RenderableType:
    if not found:
        return "nothing is on record: no job of this name was ever registered, or it was removed long ago"
    rows = [(tables.format_instant(each.at, now_ms), each.what, each.by, each.note) for each in found]
    return tables.table(("when (UTC)", "what", "by", "note"), rows)


def _instants_table(instants: list[datetime], now_ms: int) -> RenderableType:
    if not instants:
        return "no instant is due after this"
    rows = [(f"{at:%a %Y-%m-%d %H:%M:%S}", format_duration(at.timestamp() * 1000 - now_ms)) for at in instants]
    return tables.table(("due (UTC)", "in"), rows)


def _details(details: JobDetails, now_ms: int) -> RenderableType:
    summary, job = details.summary, details.definition
    policies = f"overlap {job.overlap}, recovery {job.recovery}, on failure {job.failure}, grace {job.grace_s:g} s"
    properties = tables.properties(
        (
            ("job", summary.name),
            ("version", summary.version),
            ("description", summary.description),
            ("schedule", summary.schedule),
            ("state", summary.paused if summary.is_paused(now_ms) else _describe_activity(summary)),
            ("policies", policies),
            ("calendars", ", ".join(calendar.name for calendar in job.calendars)),
            ("next (UTC)", "\n".join(f"{at:%a %Y-%m-%d %H:%M:%S}" for at in details.next) or "never"),
            ("last", f"{summary.last.state}: {summary.last.reason}" if summary.last else "none yet"),
        )
    )
    rows = [(task.name, task.handler, ", ".join(task.after), _format_options(task.options)) for task in job.tasks]
    return Group(properties, tables.table(("task", "handler", "after", "options"), rows))


def _format_options(options: Options) -> str:
    given = {name: value for name, value in msgspec.structs.asdict(options).items() if value is not None}
    if options.retry is not None:
        given["retry"] = f"{options.retry.max_retries} times"
    return ", ".join(f"{name} {value}" for name, value in given.items())


def _line(text: str) -> RenderableType:
    return tables.cell(text)
