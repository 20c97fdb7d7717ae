"""`jobistemer job versions`, `diff` and `rollback`: show, compare and restore the versions of a job."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import click
from rich.console import Group, RenderableType

from jobistemer.cli import diff_tables
from jobistemer.cli.list_answers import list_all
from jobistemer.cli.session import Session, with_session
from jobistemer.control.definitions import UnreadableVersion
from jobistemer.control.jobs import JobControl
from jobistemer.core.errors import UnreadableRecord
from jobistemer.core.jobs.versions import Version
from jobistemer.core.schedules import describe
from jobistemer.terminal import tables


@click.command("versions")
@click.argument("name")
@with_session
def versions_command(session: Session, name: str) -> None:
    """List the versions of a job: when each was registered, and between which instants it applies."""
    control = JobControl(session.namespace)
    kept, odd, pending_at = control.versions(name), control.unreadable_versions(name), None
    # The current version may be the one that cannot be read: then it is among the odd ones.
    with suppress(UnreadableRecord):
        stored = control.find(name)
        pending_at = stored.pending_at if stored.pending else None
    pending = {"at": datetime.fromtimestamp(pending_at / 1000, UTC)} if pending_at is not None else None
    answer = list_all("version", kept, unreadable=odd, pending=pending)
    session.print_list(answer, lambda: _versions_table(kept, odd, pending_at, session.now_ms))


@click.command("diff")
@click.argument("name")
@click.argument("older", type=click.IntRange(1))
@click.argument("newer", type=click.IntRange(1))
@with_session
def diff_command(session: Session, name: str, older: int, newer: int) -> None:
    """Show the fields and the fire times that differ between two versions of a job."""
    found = JobControl(session.namespace).diff(name, older, newer)
    session.print_answer(found, lambda: Group(diff_tables.fields_table(found), diff_tables.fires_table(found.fires)))


@click.command("rollback")
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@with_session
def rollback_command(session: Session, name: str, version: int) -> None:
    """Register the definition of an earlier version as a new version, now.

    With the number of the current version, discard the change that waits to replace it.
    """
    done = JobControl(session.namespace).rollback(name, version)
    texts = {
        "UNCHANGED": f"{name} stays at version {done.version}; nothing is waiting to replace it",
        "POSTPONED": f"{name} goes back to version {version} once its overdue instants are decided",
    }
    text = texts.get(done.word, f"{name} has the definition of version {version} again, as version {done.version}")
    session.print_answer(done._asdict(), lambda: tables.multiline(text))


def _versions_table(
    kept: list[Version], odd: list[UnreadableVersion], pending_at: int | None, now_ms: int
) -> RenderableType:
    rows = [
        (
            each.number,
            tables.format_instant(each.registered_at, now_ms),
            tables.format_instant(each.after * 1000, now_ms),
            "now" if each.until is None else tables.format_instant(each.until * 1000, now_ms),
            each.fingerprint,
            describe(each.job.schedule),
        )
        for each in reversed(kept)
    ]
    rows += [(each.number, "", "", "", "", f"unreadable: {each.reason}") for each in odd]
    table = tables.table(("version", "registered (UTC)", "decides after", "up to", "fingerprint", "schedule"), rows)
    if pending_at is None:
        return table
    return Group(table, tables.multiline(f"another version takes over {tables.format_instant(pending_at, now_ms)}"))
