"""`jobistemer job backfill`, `jobistemer backfill …` and `jobistemer occurrence replay`: run past instants."""

from __future__ import annotations

from typing import Final

import click
from rich.console import RenderableType

from jobistemer.cli.list_answers import list_all
from jobistemer.cli.session import Session, with_session
from jobistemer.control.backfills import BackfillPreview, Backfills, UnreadableBackfill
from jobistemer.core.planning.backfill import MAX_AT_ONCE, REPEATABLE, BackfillOrder
from jobistemer.core.schedules.instants import instant_at
from jobistemer.core.schedules.iso8601 import read_instant
from jobistemer.store.actions.backfill import StoredBackfill
from jobistemer.terminal import tables
from jobistemer.terminal.tables import Cell

_MAX_SHOWN: Final = 10
_ORDERS: Final = [str(each) for each in BackfillOrder]
_REPEATABLE_STATES: Final = sorted(map(str, REPEATABLE))


@click.command("backfill")
@click.argument("name")
@click.option(
    "--from",
    "first",
    metavar="INSTANT",
    required=True,
    help="First instant of the range, ISO 8601, UTC unless it has an offset.",
)
@click.option("--to", "last", metavar="INSTANT", required=True, help="Last instant of the range, included.")
@click.option("--dry-run", is_flag=True, help="Show which instants would run, and start nothing.")
@click.option(
    "--order", type=click.Choice(_ORDERS), default="forward", show_default=True, help="Order of the instants."
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, MAX_AT_ONCE),
    default=1,
    show_default=True,
    help="Occurrences at a time, if the overlap policy of the job allows several.",
)
@click.option(
    "--again",
    multiple=True,
    type=click.Choice(_REPEATABLE_STATES),
    help="Run again the instants whose occurrence ended in this state; may be repeated.",
)
@with_session
def job_backfill_command(
    session: Session,
    *,
    name: str,
    first: str,
    last: str,
    dry_run: bool,
    order: str,
    concurrency: int,
    again: tuple[str, ...],
) -> None:
    """Run the instants of a past range that have no record.

    The tickers do it in the background; this command only starts it.
    """
    control = Backfills(session.namespace)
    start, end = (instant_at(read_instant(each, "UTC")) for each in (first, last))
    spec = control.ask(name, start, end, order=order, concurrency=concurrency, again=again)
    preview = control.preview(spec)
    if dry_run:
        session.print_answer(preview, lambda: _preview_table(preview))
        return
    control.start(spec)
    message = f"{spec.id} runs {len(preview.to_run):,} instants of {name}; see `jobistemer backfill show {spec.id}`"
    session.print_answer({"id": spec.id, "to_run": len(preview.to_run)}, lambda: tables.multiline(message))


@click.group("backfill")
def backfill_group() -> None:
    """List, show and cancel backfills; `jobistemer job backfill` starts one."""


@backfill_group.command("list")
@with_session
def list_command(session: Session) -> None:
    """List the backfills that are running, and those that cannot be read."""
    control = Backfills(session.namespace)
    found, odd = control.running(), control.unreadable()
    rows = [*map(_to_json, found), *({"id": each.id, "unreadable": each.reason} for each in odd)]
    session.print_list(list_all("backfill", rows), lambda: _backfills_table(found, odd))


@backfill_group.command("show")
@click.argument("backfill")
@with_session
def show_command(session: Session, backfill: str) -> None:
    """Show the progress of a backfill."""
    known = Backfills(session.namespace).find(backfill)
    session.print_answer(_to_json(known), lambda: _backfills_table([known]))


@backfill_group.command("cancel")
@click.argument("backfill")
@with_session
def cancel_command(session: Session, backfill: str) -> None:
    """Cancel a backfill: it fires no further instants; occurrences that it has fired come to their end."""
    canceled = Backfills(session.namespace).cancel(backfill)
    message = f"{backfill} is canceled" if canceled else f"{backfill} had ended before"
    session.print_answer({"id": backfill, "canceled": canceled}, lambda: tables.multiline(message))


@click.command("replay")
@click.argument("occurrence")
@with_session
def replay_command(session: Session, occurrence: str) -> None:
    """Run an occurrence again: a new occurrence for the same instant; the old record stays."""
    new = Backfills(session.namespace).replay(occurrence)
    session.print_answer(
        {"occurrence": new, "replay_of": occurrence}, lambda: tables.multiline(f"{new} replays {occurrence}")
    )


def _preview_table(preview: BackfillPreview) -> RenderableType:
    instants = ", ".join(tables.format_utc(each) for each in preview.to_run[:_MAX_SHOWN])
    rest = ", …; --json has them all" if len(preview.to_run) > _MAX_SHOWN else ""
    rows = [("to run (UTC)", f"{len(preview.to_run):,}: {instants}{rest}")]
    rows += [(f"left alone: {state}", str(count)) for state, count in sorted(preview.left_alone.items())]
    rows += [("excluded by calendars", str(preview.excluded))] if preview.excluded else []
    return tables.properties(rows)


def _to_json(known: StoredBackfill) -> dict[str, object]:
    return {"backfill": known.backfill, "progress": known.progress}


def _backfills_table(found: list[StoredBackfill], odd: list[UnreadableBackfill] | None = None) -> RenderableType:
    if not found and not odd:
        return "no backfill is running"
    headings = ("id", "job", "range (UTC)", "state", "fired", "completed", "failed", "in flight", "left alone", "note")
    rows: list[tuple[Cell, ...]] = [
        (
            spec.id,
            spec.job,
            f"{tables.format_utc(spec.first)} – {tables.format_utc(spec.last)}",
            tables.style_state(progress.status),
            progress.fired,
            progress.completed,
            progress.failed,
            len(progress.in_flight),
            progress.existing,
            progress.note,
        )
        for spec, progress, _ in found
    ]
    rows += [(each.id, "", "", tables.style_state("unreadable"), *[""] * 5, each.reason) for each in odd or []]
    return tables.table(headings, rows)
