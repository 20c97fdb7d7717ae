"""`jobistemer hold`: let the runs of a task, or of one value of a key, wait for a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from jobistemer.app import Holds
from jobistemer.cli.session import Session, operating
from jobistemer.terminal import tables


def naming(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says which runs are meant."""
    task = click.argument("task", default="")
    key = click.option("--key", metavar="VALUE", help="Only runs with this value of the limit's key.")
    limit = click.option("--limit", default="", metavar="NAME", help="Instead of a task: a limit that has a name.")
    return task(key(limit(command)))


@click.group("hold")
def hold_group() -> None:
    """Let the runs of a task, or of one value of a key, wait for a time; the others flow."""


@hold_group.command("list")
@operating
def list_command(session: Session) -> None:
    """List what is on hold, until when, and how many runs it has put off."""
    found = Holds(session.namespace).list()
    rows = [(each.name, tables.instant(each.until, session.now_ms), each.parked) for each in found]
    heads = ("on hold", "until (UTC)", "runs put off")
    session.answer(found, lambda: tables.table(heads, rows) if rows else "nothing is on hold")


@hold_group.command("put")
@naming
@click.option("--for", "seconds", type=float, required=True, metavar="SECONDS", help="For how long.")
@operating
def put_command(session: Session, *, task: str, key: str | None, limit: str, seconds: float) -> None:
    """Hold TASK; put again, a hold counts from now. Workers hear it with their next beat, what runs goes on."""
    hold = Holds(session.namespace).put(task, key=key, limit=limit, seconds=seconds)
    session.answer(hold, lambda: tables.cell(f"{hold.name} is on hold for {seconds:g} s"))


@hold_group.command("release")
@naming
@operating
def release_command(session: Session, *, task: str, key: str | None, limit: str) -> None:
    """End a hold now; what it has put off comes back at once."""
    Holds(session.namespace).release(task, key=key, limit=limit)
    session.answer({"released": True}, lambda: "released")
