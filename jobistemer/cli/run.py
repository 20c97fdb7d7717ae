"""`jobistemer run`: look at task runs."""

from __future__ import annotations

import click
from rich.console import Group, RenderableType

from jobistemer.cli import tables
from jobistemer.cli.session import Session, operating
from jobistemer.cli.watch import watch_command
from jobistemer.core.errors import UnknownRun
from jobistemer.core.records import AttemptRecord, RunRecord
from jobistemer.store import listings, views


@click.group("run")
def run_group() -> None:
    """Look at task runs."""


run_group.add_command(watch_command)


@run_group.command("show")
@click.argument("run_id")
@operating
def show_command(session: Session, run_id: str) -> None:
    """Show one task run with all its attempts."""
    located = listings.locate_run(session.namespace.shards, run_id)
    if located is None:
        raise UnknownRun(f"run {run_id} is not on record: it never was, or its retention is over")
    database, run = located
    attempts = views.find_attempts(database, run)
    session.answer({"run": run, "attempts": attempts}, lambda: _details(run, attempts, session.now_ms))


def _details(run: RunRecord, attempts: list[AttemptRecord], now_ms: int) -> RenderableType:
    shown = tables.properties(
        (
            ("run", run.id),
            ("task", run.handler),
            ("state", tables.state(run.state)),
            ("queue", run.place),
            ("occurrence", run.occurrence),
            ("enqueued", tables.instant(run.enqueued_at, now_ms)),
            ("due", tables.instant(run.due_at, now_ms) if run.due_at else ""),
            ("ended", tables.instant(run.ended_at, now_ms) if run.ended_at else ""),
            ("note", run.note),
            ("result", bytes(run.result).decode() if bytes(run.result) != b"null" else ""),
            ("error", run.error),
        )
    )
    if not attempts:
        return Group(shown, "no attempt is on record yet")
    rows = [
        (
            attempt.number,
            tables.state(attempt.state),
            attempt.worker,
            tables.instant(attempt.started_at, now_ms),
            tables.duration(attempt.ended_at - attempt.started_at) if attempt.ended_at else "–",
            tables.first_line(attempt.error),
        )
        for attempt in attempts
    ]
    return Group(shown, tables.table(("attempt", "state", "worker", "started (UTC)", "took", "error"), rows))
