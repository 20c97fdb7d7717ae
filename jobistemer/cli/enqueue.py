"""`jobistemer enqueue`: have a worker run a task."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from jobistemer.app import Jobistemer
from jobistemer.cli import tables
from jobistemer.cli.calling import as_call, calling
from jobistemer.cli.session import Session, operating


@click.command("enqueue")
@click.argument("task")
@click.argument("payload", default="{}")
@calling
@operating
def enqueue_command(session: Session, *, task: str, payload: str, **options: Any) -> None:
    """Have a worker run TASK with PAYLOAD, a JSON object of keyword arguments; `-` reads standard input.

    Says the run's id; when the call is unique, throttled or debounced and its run is there already, the id of that one.
    """
    app = Jobistemer(session.namespace.url, namespace=session.namespace.name)
    run = app.enqueue(task, _arguments(payload), **as_call(**options))
    said = f"{run.id}{' (it was there already)' if run.existing else ''}"
    session.answer({"run": run.id, "existing": run.existing}, lambda: tables.cell(said))


def _arguments(payload: str) -> Any:
    text = sys.stdin.read() if payload == "-" else payload
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{text[:80]!r} is no JSON: {error}", param_hint="PAYLOAD") from error
