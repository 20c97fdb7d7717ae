"""`jobistemer job`: the group, and the commands that show what a job is: list, show, options and next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from shlex import quote
from typing import Any, NamedTuple

import click
import msgspec
from rich.console import Group, RenderableType

from jobistemer.cli.commands.job.backfill import job_backfill_command
from jobistemer.cli.commands.job.control import pause_command, remove_command, resume_command, trigger_command
from jobistemer.cli.commands.job.history import history_command, log_command
from jobistemer.cli.commands.job.versions import diff_command, rollback_command, versions_command
from jobistemer.cli.list_answers import ListAnswer, list_page
from jobistemer.cli.session import Session, page_options, with_session
from jobistemer.control.jobs import JobControl
from jobistemer.core import ids
from jobistemer.core.errors import InvalidSchedule, UnknownJob, UnknownTask
from jobistemer.core.jobs.effective_options import find_effective_options
from jobistemer.core.jobs.job import Job
from jobistemer.core.jobs.options import EffectiveOption, Options
from jobistemer.core.jobs.retries import RetryPolicy
from jobistemer.core.reads.name_groups import group_names
from jobistemer.core.reads.summaries import JobSummary, has_ended_itself
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.text import first_line, format_duration
from jobistemer.store.reads import jobs
from jobistemer.store.reads.job_names import find_names
from jobistemer.terminal import tables


class JobDetails(NamedTuple):
    """The answer of `job show`."""

    summary: JobSummary
    next: list[datetime]
    definition: Job


@click.group("job")
def job_group() -> None:
    """Show jobs and control them; changes take effect from the next due instant on."""


for command in (
    job_backfill_command,
    diff_command,
    history_command,
    log_command,
    pause_command,
    remove_command,
    resume_command,
    rollback_command,
    trigger_command,
    versions_command,
):
    job_group.add_command(command)


@job_group.command("list")
@page_options(100, 10_000)
@click.option("--prefix", default="", help="Only jobs whose names begin so, in the order of their names.")
@click.option("--after", default="", metavar="NAME", help="With --prefix: go on after this name.")
@click.option("--groups", is_flag=True, help="One row for jobs whose names begin alike, such as `tenant-`.")
@with_session
def list_command(session: Session, *, limit: int, offset: int, prefix: str, after: str, groups: bool) -> None:
    """List the registered jobs, the one due next first."""
    if groups:
        _list_groups(session, prefix, limit, offset)
        return
    if prefix:
        _list_by_prefix(session, prefix, limit, after)
        return
    if after:
        raise click.UsageError("--after goes with --prefix; without it, --offset goes on")
    shards = session.namespace.shards
    found = jobs.list_jobs(shards, offset, limit)
    answer = list_page("job", found, offset, jobs.count_jobs(shards))
    place = session.describe_place()
    session.print_list(
        answer, lambda: "" if offset and not found else _jobs_table(found, session.now_ms), if_empty=place
    )


def _list_groups(session: Session, prefix: str, limit: int, offset: int) -> None:
    names = [name for database in session.namespace.shards for name in find_names(database)]
    found = group_names(names, prefix)
    rows = sorted([*((start, len(own)) for start, own in found.groups.items()), *((name, 1) for name in found.alone)])
    page = [{"name": name, "jobs": count, "is_group": name in found.groups} for name, count in rows]
    answer = list_page("name", page[offset : offset + limit], offset, len(page))
    # Of a prefix there may be none in the right place.
    place = "" if prefix else session.describe_place()
    session.print_list(answer, lambda: _groups_table(answer.rows), if_empty=place)


def _groups_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    cells = [(f"{row['name']}…" if row["is_group"] else row["name"], row["jobs"]) for row in rows]
    return tables.table(("jobs", "number"), cells) if cells else "no job is like that"


def _list_by_prefix(session: Session, prefix: str, limit: int, after: str) -> None:
    page = JobControl(session.namespace).list(prefix, limit=limit, after=after)
    table = _jobs_table(list(page.jobs), session.now_ms) if page.total else f"no job begins with {prefix!r}"
    onward = {"prefix": prefix, "after": page.next} if page.next else None
    session.print_list(ListAnswer("job", page.jobs, page.total, page.before, next=onward), lambda: table)


@job_group.command("show")
@click.argument("name")
@with_session
def show_command(session: Session, name: str) -> None:
    """Show one job: its schedule, its tasks, its policies and its next instants."""
    job = JobControl(session.namespace).find(name).job
    summary = jobs.find_summary(session.namespace.for_job(ids.job_id(name)), name)
    if summary is None:
        raise UnknownJob(f"job {name!r} was removed at this moment")
    # A custom schedule that is not registered in this process: all else of the job is shown.
    try:
        instants = [] if summary.has_ended else _next_instants(job, session.now_ms, 5)
    except InvalidSchedule as error:
        instants, summary = [], msgspec.structs.replace(summary, unreadable=str(error))
    details = JobDetails(summary, instants, job)
    session.print_answer(details._asdict(), lambda: _details(details, session.now_ms))


@job_group.command("options")
@click.argument("name")
@click.option("--task", default="", metavar="NAME", help="Show only this task of the job.")
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
@click.option(
    "-n", "count", type=click.IntRange(1, 10_000), default=5, show_default=True, help="How many instants to show."
)
@with_session
def next_command(session: Session, name: str, count: int) -> None:
    """Show the next due instants of a job."""
    stored = JobControl(session.namespace).find(name)
    if has_ended_itself(stored.paused):
        session.print_answer([], lambda: _describe_end(name, stored.paused))
        return
    instants = _next_instants(stored.job, session.now_ms, count)
    session.print_answer(instants, lambda: _instants_table(instants, session.now_ms))


def _options_table(found: Mapping[str, Mapping[str, EffectiveOption]]) -> RenderableType:
    rows = [
        (task, option, msgspec.json.encode(effective.value).decode(), effective.source)
        for task, options in found.items()
        for option, effective in options.items()
    ]
    return tables.table(("task", "option", "value", "set by"), rows)


def _describe_end(name: str, paused: str) -> str:
    return f"none: {paused}; `jobistemer job resume {quote(name)}` lets it fire again"


def _next_instants(job: Job, now_ms: int, count: int) -> list[datetime]:
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    return list(islice(job.schedule.between(now, datetime(9999, 12, 28, tzinfo=UTC)), count))


def _jobs_table(found: list[JobSummary], now_ms: int) -> RenderableType:
    if not found:
        return "no job is registered; `jobistemer deploy` registers those of an app"
    rows = [
        (
            summary.name,
            _describe_state(summary, now_ms),
            summary.schedule if not summary.unreadable else f"cannot be read: {summary.unreadable}",
            tables.format_instant(summary.next_due, now_ms),
            *_last_cells(summary.last, now_ms),
        )
        for summary in found
    ]
    return tables.table(("job", "state", "schedule", "next due (UTC)", "last", "ended", "reason"), rows)


def _describe_state(summary: JobSummary, now_ms: int) -> tables.Cell:
    if summary.unreadable:
        return tables.style_state("unreadable")
    if summary.has_ended:
        return tables.style_state("ended")
    return tables.style_state("paused") if summary.is_paused(now_ms) else _describe_activity(summary)


def _describe_activity(summary: JobSummary) -> str:
    if summary.live or summary.queued:
        return f"{summary.live} live" + (f", {summary.queued} queued" if summary.queued else "")
    return "waiting" if summary.next_due else "over"


def _last_cells(last: OccurrenceRecord | None, now_ms: int) -> tuple[tables.Cell, ...]:
    if last is None:
        return "–", "–", ""
    reason = first_line(last.error) or last.reason
    return tables.format_instant(last.due * 1000, now_ms), tables.style_state(last.state), reason


def _instants_table(instants: list[datetime], now_ms: int) -> RenderableType:
    if not instants:
        return "no instant is due after this"
    rows = [(f"{at:%a %Y-%m-%d %H:%M:%S}", format_duration(at.timestamp() * 1000 - now_ms)) for at in instants]
    return tables.table(("due (UTC)", "in"), rows)


def _details(details: JobDetails, now_ms: int) -> RenderableType:
    summary, job = details.summary, details.definition
    policies = f"overlap {job.overlap}, recovery {job.recovery}, on failure {job.failure}, grace {job.grace_s:g} s"
    never = summary.unreadable or (_describe_end(summary.name, summary.paused) if summary.has_ended else "never")
    properties = tables.properties(
        (
            ("job", summary.name),
            ("version", summary.version),
            ("description", summary.description),
            ("schedule", summary.schedule),
            ("expression", str(getattr(job.schedule, "expression", ""))),
            ("state", summary.paused if summary.is_paused(now_ms) else _describe_activity(summary)),
            ("policies", policies),
            ("calendars", ", ".join(calendar.name for calendar in job.calendars)),
            (
                "next (UTC)",
                "\n".join(f"{at:%a %Y-%m-%d %H:%M:%S}" for at in details.next) or never,
            ),
            ("last", f"{summary.last.state}: {summary.last.reason}" if summary.last else "none yet"),
        )
    )
    rows = [(task.name, task.handler, ", ".join(task.after), _format_options(task.options)) for task in job.tasks]
    return Group(properties, tables.table(("task", "handler", "after", "options"), rows))


def _format_options(options: Options) -> str:
    given = {name: value for name, value in msgspec.structs.asdict(options).items() if value is not None}
    if isinstance(options.retry, RetryPolicy):
        given["retry"] = f"{options.retry.max_retries} times"
    return ", ".join(f"{name} {value}" for name, value in given.items())
