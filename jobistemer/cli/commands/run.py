"""`jobistemer run`: show, cancel and retry task runs."""

from __future__ import annotations

import click
from rich.console import Group, RenderableType

from jobistemer.cli.commands.watch import watch_command
from jobistemer.cli.hints import find_run_hints
from jobistemer.cli.session import Session, with_session
from jobistemer.control.cancel import BY_HAND, cancel_run
from jobistemer.control.retry import retry_run
from jobistemer.core.errors import UnknownRun
from jobistemer.core.runs.records import AttemptRecord, RunRecord
from jobistemer.core.text import CANCEL_MESSAGES, first_line, format_duration
from jobistemer.store.reads import jobs, records
from jobistemer.terminal import tables


@click.group("run")
def run_group() -> None:
    """Show, cancel, retry and watch task runs."""


run_group.add_command(watch_command)


@run_group.command("show")
@click.argument("run_id")
@with_session
def show_command(session: Session, run_id: str) -> None:
    """Show one task run with all its attempts."""
    located = jobs.locate_run(session.namespace.shards, run_id)
    if located is None:
        raise UnknownRun(f"run {run_id} is not on record: it never was, or its retention is over")
    database, run = located
    attempts = records.find_attempts(database, run)
    session.print_answer({"run": run, "attempts": attempts}, lambda: _with_hints(session, run, attempts))


@run_group.command("cancel")
@click.argument("run_id")
@click.option("--reason", default=BY_HAND, show_default=True, help="Reason, kept in the record.")
@with_session
def cancel_command(session: Session, run_id: str, reason: str) -> None:
    """Cancel a run: a waiting run ends at once, a running one within a second.

    Exit code 1 when it had ended before.
    """
    word = cancel_run(session.namespace, run_id, reason)
    session.print_answer({"run": run_id, "answer": word}, lambda: CANCEL_MESSAGES[word].format(run_id))
    if word == "ended":
        raise click.exceptions.Exit(1)


@run_group.command("retry")
@click.argument("run_id")
@with_session
def retry_command(session: Session, run_id: str) -> None:
    """Give the work of a run that failed, timed out, died or was canceled to a new run, with all its attempts.

    Prints the id of the new run; `run show` of either names the other.
    """
    again = retry_run(session.namespace, run_id)
    session.print_answer({"run": again, "retry_of": run_id}, lambda: tables.cell(again))


def _with_hints(session: Session, run: RunRecord, attempts: list[AttemptRecord]) -> RenderableType:
    hints = find_run_hints(session.namespace.shards, run, session.now_ms)
    return Group(_details(run, attempts, session.now_ms), *map(tables.cell, hints))


def _details(run: RunRecord, attempts: list[AttemptRecord], now_ms: int) -> RenderableType:
    properties = tables.properties(
        (
            ("run", run.id),
            ("task", run.handler),
            ("state", tables.style_state(run.state)),
            ("queue", run.place),
            ("occurrence", run.occurrence),
            ("enqueued", tables.format_instant(run.enqueued_at, now_ms)),
            ("due", tables.format_instant(run.due_at, now_ms) if run.due_at else ""),
            ("ended", tables.format_instant(run.ended_at, now_ms) if run.ended_at else ""),
            ("note", run.note),
            ("result", bytes(run.result).decode() if bytes(run.result) != b"null" else ""),
            ("error", run.error),
        )
    )
    if not attempts:
        return Group(properties, "no attempt is on record yet")
    rows = [
        (
            attempt.number,
            tables.style_state(attempt.state),
            attempt.worker,
            tables.format_instant(attempt.started_at, now_ms),
            format_duration(attempt.ended_at - attempt.started_at) if attempt.ended_at else "–",
            first_line(attempt.error),
        )
        for attempt in attempts
    ]
    return Group(properties, tables.table(("attempt", "state", "worker", "started (UTC)", "took", "error"), rows))
