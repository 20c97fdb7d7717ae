"""`jobistemer changes`: list what people have changed."""

from __future__ import annotations

import click

from jobistemer.cli.session import Session, page_options, with_session
from jobistemer.control.changes import ChangeList
from jobistemer.terminal import tables


@click.command("changes")
@page_options(50, 1_000)
@with_session
def changes_command(session: Session, limit: int, offset: int) -> None:
    """List the changes that people have made to jobs, queues, holds, workers, runs and dead letters, the latest first.

    The latest thousand are kept. `jobistemer job log` shows those of one job, deployments included.
    """
    found = ChangeList(session.namespace).list(offset, limit)
    rows = [
        (tables.format_instant(each.at, session.now_ms), each.by, each.what, each.target, each.note) for each in found
    ]
    heads = ("when (UTC)", "by", "what", "target", "note")
    session.print_answer(found, lambda: tables.table(heads, rows) if rows else "no change is on record")
