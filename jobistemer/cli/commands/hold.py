"""`jobistemer hold`: keep the runs of a task, or of one value of a key, from starting for a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from jobistemer.cli.author_option import by_option
from jobistemer.cli.known_names import check_limit, check_task, force_option
from jobistemer.cli.list_answers import list_all
from jobistemer.cli.session import Session, with_session
from jobistemer.control.queues import Holds
from jobistemer.terminal import tables


def target_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and the options that select the runs to hold."""
    task = click.argument("task", default="")
    key = click.option("--key", metavar="VALUE", help="Only runs with this value of the key of the limit.")
    limit = click.option(
        "--limit", default="", metavar="NAME", help="Select the runs of a named limit instead of a task."
    )
    return task(key(limit(command)))


@click.group("hold")
def hold_group() -> None:
    """Keep the runs of a task, or of one value of a key, from starting for a time; other runs go on."""


@hold_group.command("list")
@with_session
def list_command(session: Session) -> None:
    """List the holds: until when each lasts, and how many runs it has put off."""
    found = Holds(session.namespace).list()
    rows = [(each.name, tables.format_instant(each.until, session.now_ms), each.parked) for each in found]
    heads = ("on hold", "until (UTC)", "runs put off")
    session.print_list(list_all("hold", found), lambda: tables.table(heads, rows) if rows else "nothing is on hold")


@hold_group.command("put")
@target_arguments
@click.option("--for", "seconds", type=float, required=True, metavar="SECONDS", help="Duration of the hold.")
@force_option
@by_option
@with_session
def put_command(
    session: Session, *, task: str, key: str | None, limit: str, seconds: float, force: bool, by: str | None
) -> None:
    """Put a hold on TASK, or let an existing one count from now on.

    Workers learn of it with their next heartbeat; runs that have started go on.
    """
    if task and not limit:
        check_task(session, task, force=force)
    elif limit and not task:
        check_limit(session, limit, force=force)
    hold = Holds(session.namespace, by).put(task, key=key, limit=limit, seconds=seconds)
    session.print_answer(hold, lambda: tables.cell(f"{hold.name} is on hold for {seconds:g} s"))


@hold_group.command("release")
@target_arguments
@by_option
@with_session
def release_command(session: Session, *, task: str, key: str | None, limit: str, by: str | None) -> None:
    """Release a hold now; the runs that it has put off may start at once."""
    Holds(session.namespace, by).release(task, key=key, limit=limit)
    session.print_answer({"released": True}, lambda: "released")
