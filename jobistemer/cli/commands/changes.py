"""`jobistemer changes`: list what people have changed."""

from __future__ import annotations

import click

from jobistemer.cli.list_answers import list_page
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
    changes = ChangeList(session.namespace)
    found = changes.list(offset, limit)
    rows = [
        (tables.format_instant(each.at, session.now_ms), each.by, each.what, each.target, each.note) for each in found
    ]
    heads = ("when (UTC)", "by", "what", "target", "note")
    answer = list_page("change", found, offset, changes.count())
    session.print_list(answer, lambda: tables.table(heads, rows) if rows or offset else "no change is on record")
