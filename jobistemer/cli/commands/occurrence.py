"""`jobistemer occurrence`: show, cancel and replay the occurrence of one due instant."""

from __future__ import annotations

import click
from rich.console import Group, RenderableType

from jobistemer.cli.author_option import by_option
from jobistemer.cli.commands.job.backfill import replay_command
from jobistemer.cli.session import Session, with_session
from jobistemer.control.cancel import cancel_occurrence
from jobistemer.core.runs.report import Report, TaskReport
from jobistemer.core.text import BY_HAND, CANCEL_MESSAGES, first_line, format_duration
from jobistemer.runtime.process_info import user_name
from jobistemer.store.reads.reports import find_report
from jobistemer.terminal import tables


@click.group("occurrence")
def occurrence_group() -> None:
    """Show, cancel and replay occurrences."""


@occurrence_group.command("show")
@click.argument("occurrence_id")
@with_session
def show_command(session: Session, occurrence_id: str) -> None:
    """Show the execution report of an occurrence: its outcome, and the state, attempts and errors of each task."""
    report = find_report(session.namespace.shards, occurrence_id)
    session.print_answer(report, lambda: _details(report, session.now_ms))


def _details(report: Report, now_ms: int) -> RenderableType:
    properties = tables.properties(
        (
            ("occurrence", report.occurrence),
            ("job", f"{report.job} version {report.version}"),
            ("due (UTC)", tables.format_instant(report.due * 1000, now_ms)),
            ("state", tables.style_state(report.state)),
            ("reason", report.reason),
            ("late", format_duration(report.late_ms)),
            ("took", format_duration(report.took_ms) if report.took_ms is not None else ""),
            ("error", report.error),
        )
    )
    if not report.tasks:
        return Group(properties, "it has no tasks on record")
    rows = [
        (
            task.name,
            tables.style_state(task.state),
            len(task.attempts),
            format_duration(task.waited_ms) if task.waited_ms is not None else "–",
            format_duration(task.took_ms) if task.took_ms is not None else "–",
            _format_group(task),
            task.run,
            first_line(task.error or (task.group.error if task.group else "")),
        )
        for task in report.tasks
    ]
    return Group(
        properties, tables.table(("task", "state", "attempts", "waited", "took", "mapped", "run", "error"), rows)
    )


def _format_group(task: TaskReport) -> str:
    if task.group is None:
        return "–"
    failed = f", {task.group.failed} failed" if task.group.failed else ""
    return f"{task.group.done} of {task.group.total}{failed}; {task.group.state}"


@occurrence_group.command("cancel")
@click.argument("occurrence")
@click.option("--reason", default=BY_HAND, show_default=True, help="Reason, kept in the record.")
@by_option
@with_session
def cancel_command(session: Session, occurrence: str, reason: str, by: str | None) -> None:
    """Cancel an occurrence with all its runs: waiting runs end at once, running ones within a second.

    Exit code 1 when it had ended before.
    """
    word = cancel_occurrence(session.namespace, occurrence, reason, by or user_name())
    session.print_answer({"occurrence": occurrence, "answer": word}, lambda: CANCEL_MESSAGES[word].format(occurrence))
    if word == "ended":
        raise click.exceptions.Exit(1)


occurrence_group.add_command(replay_command)
