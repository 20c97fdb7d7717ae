"""`jobistemer quarantine`: what tickers and workers have put aside because it cannot be read."""

from __future__ import annotations

import click

from jobistemer.cli.author_option import by_option
from jobistemer.cli.list_answers import list_page
from jobistemer.cli.session import Session, page_options, with_session
from jobistemer.control.quarantine import Quarantine, QuarantineRow
from jobistemer.terminal import tables


@click.group("quarantine")
def quarantine_group() -> None:
    """List, restore and purge what was put aside because it cannot be read.

    Tickers and workers move such members and keys here, with their place and the reason, and go on with all else.
    """


@quarantine_group.command("list")
@page_options(100, 1_000)
@with_session
def list_command(session: Session, limit: int, offset: int) -> None:
    """List what is in the quarantine, the latest first."""
    quarantine = Quarantine(session.namespace)
    found = quarantine.list(offset, limit)
    rows = [
        (each.id, tables.format_instant(each.at, session.now_ms), each.key, each.what, each.reason) for each in found
    ]
    heads = ("id", "put aside (UTC)", "key", "what", "reason")
    answer = list_page("item", found, offset, quarantine.count())
    session.print_list(answer, lambda: tables.table(heads, rows) if rows or offset else "the quarantine is empty")


@quarantine_group.command("restore")
@click.argument("entry_id", metavar="ID")
@by_option
@with_session
def restore_command(session: Session, entry_id: str, by: str | None) -> None:
    """Put one thing back where it was: after an upgrade that can read it, or to look at it in its place.

    What still cannot be read is put aside again.
    """
    row: QuarantineRow = Quarantine(session.namespace, by).restore(entry_id)
    session.print_answer(row, lambda: tables.cell(f"{row.what} is back in {row.key}"))


@quarantine_group.command("purge")
@click.argument("entry_ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="Everything in the quarantine.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@by_option
@with_session
def purge_command(session: Session, entry_ids: tuple[str, ...], *, every: bool, yes: bool, by: str | None) -> None:
    """Delete what is in the quarantine for good."""
    if bool(entry_ids) == every:
        raise click.UsageError("name the ids to purge, or --all")
    if not yes:
        what = "everything in the quarantine" if every else f"{len(entry_ids)} of the quarantine"
        click.confirm(f"Delete {what} for good?", abort=True, err=True)
    purged = Quarantine(session.namespace, by).purge(entry_ids)
    session.print_answer({"purged": purged}, lambda: tables.cell(f"{purged} purged"))
