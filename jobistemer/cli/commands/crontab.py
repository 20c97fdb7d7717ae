"""`jobistemer crontab`: turn crontabs into jobs."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.console import Group, RenderableType

from jobistemer.cli.session import Session, with_session
from jobistemer.control.jobs import JobControl
from jobistemer.core.jobs.crontab_import import CrontabFormat, CrontabImport, guess_format, read_crontab, source_name
from jobistemer.core.jobs.job import Job
from jobistemer.terminal import tables


@click.group("crontab")
def crontab_group() -> None:
    """Turn crontabs into jobs."""


@crontab_group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--user", "form", flag_value="user", help="Read FILE as the crontab of a user: its lines name no user.")
@click.option(
    "--system",
    "form",
    flag_value="system",
    help="Read FILE as a system crontab: each line names a user. By default for /etc/crontab and files in /etc/cron.d.",
)
@click.option("--timezone", default="UTC", show_default=True, help="Time zone of lines without CRON_TZ.")
@click.option("--dry-run", is_flag=True, help="Show the jobs, and register nothing.")
@with_session
def import_command(session: Session, *, file: str, form: str | None, timezone: str, dry_run: bool) -> None:
    """Register a job for each line of FILE, `-` for standard input: overlaps are skipped, failures are retried.

    Workers run the commands with the task `shell`, which --allow-shell must allow. Exit code 1 when a line was refused.
    """
    with click.open_file(file, encoding="utf-8", errors="replace") as opened:
        text = opened.read()
    chosen = CrontabFormat(form) if form else guess_format(str(Path(file).absolute()))
    imported = read_crontab(text, source_name(file) if file != "-" else "crontab", chosen, timezone)
    states = {} if dry_run else _register(session, imported.jobs)
    rows = [
        {
            "job": job.name,
            "schedule": job.schedule,
            "task": msgspec.json.decode(job.tasks[0].payload),
            "registered": states.get(job.name, ""),
        }
        for job in imported.jobs
    ]
    session.print_answer(
        {"jobs": rows, "notes": imported.notes}, lambda: _render_import(imported, states, dry_run=dry_run)
    )
    if any(note.refused for note in imported.notes):
        raise click.exceptions.Exit(1)


def _register(session: Session, jobs: list[Job]) -> dict[str, str]:
    return {done.job: done.word for done in JobControl(session.namespace).register_all(jobs)}


def _render_import(imported: CrontabImport, states: dict[str, str], *, dry_run: bool) -> RenderableType:
    rows = []
    for job in imported.jobs:
        payload = msgspec.json.decode(job.tasks[0].payload)
        word = tables.cell("would be made") if dry_run else tables.style_state(states[job.name])
        when = f"{getattr(job.schedule, 'expression', '')} {getattr(job.schedule, 'timezone', '')}"
        rows.append((job.name, word, when, payload.get("user", ""), payload["command"]))
    notes = [(note.line, "refused" if note.refused else "note", note.text) for note in imported.notes]
    parts: list[RenderableType] = [tables.table(("job", "", "schedule", "user", "command"), rows)]
    if notes:
        parts += ["", tables.table(("line", "", "note"), notes)]
    return Group(*parts)
