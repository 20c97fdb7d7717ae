"""`jobistemer enqueue`: have a worker run a task."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from jobistemer.app import Jobistemer
from jobistemer.cli import tables
from jobistemer.cli.session import Session, operating
from jobistemer.core.schedules.instants import instant_at
from jobistemer.core.schedules.iso8601 import read_instant


@click.command("enqueue")
@click.argument("task")
@click.argument("payload", default="{}")
@click.option("--queue", help="Queue, by default the task's or `default`.")
@click.option("--priority", type=int, help="0–9, higher first.")
@click.option("--delay", type=float, metavar="SECONDS", help="Start after so many seconds.")
@click.option(
    "--at",
    "starts_at",
    metavar="INSTANT",
    help="Start at this ISO 8601 instant, UTC unless it says another offset.",
)
@click.option(
    "--unique", default="", metavar="KEY", help="Give the run that holds this key instead of a second one."
)
@click.option("--throttle", type=float, metavar="SECONDS", help="At most one run of the task in so many seconds.")
@click.option("--debounce", type=float, metavar="SECONDS", help="Start when calls have been silent for so long.")
@click.option("--expires", type=float, metavar="SECONDS", help="Do not start it any more after so many seconds.")
@operating
def enqueue_command(
    session: Session,
    *,
    task: str,
    payload: str,
    queue: str | None,
    priority: int | None,
    delay: float | None,
    starts_at: str | None,
    unique: str,
    throttle: float | None,
    debounce: float | None,
    expires: float | None,
) -> None:
    """Have a worker run TASK with PAYLOAD, a JSON object of keyword arguments; `-` reads standard input."""
    at = instant_at(read_instant(starts_at, "UTC")) if starts_at else None
    app = Jobistemer(session.namespace.url, namespace=session.namespace.name)
    when: dict[str, Any] = {"delay": delay, "at": at, "expires": expires}
    how_often: dict[str, Any] = {"unique": unique, "throttle": throttle, "debounce": debounce}
    run = app.enqueue(task, _arguments(payload), queue=queue, priority=priority, **when, **how_often)
    said = f"{run.id}{' (it was there already)' if run.existing else ''}"
    session.answer({"run": run.id, "existing": run.existing}, lambda: tables.cell(said))


def _arguments(payload: str) -> Any:
    text = sys.stdin.read() if payload == "-" else payload
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{text[:80]!r} is no JSON: {error}", param_hint="PAYLOAD") from error
