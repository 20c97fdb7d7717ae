"""`jobistemer enqueue`: enqueue a run of a task."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from jobistemer.app import Jobistemer
from jobistemer.app.loading import load_app, open_namespace
from jobistemer.cli.call_options import build_enqueue_arguments, call_options
from jobistemer.cli.session import Session, json_option, one_line_errors, with_server
from jobistemer.core.checks import suggest
from jobistemer.core.errors import NotFound
from jobistemer.terminal import tables


@click.command("enqueue")
@click.argument("task")
@click.argument("payload", default="{}")
@click.option(
    "--app",
    "reference",
    metavar="MODULE:APP",
    help="App that declares the task: its options apply, and PAYLOAD is checked at once.",
)
@call_options
@with_server
@json_option
@one_line_errors
def enqueue_command(
    *,
    task: str,
    payload: str,
    reference: str | None,
    url: str | None,
    namespace: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Enqueue a run of TASK with PAYLOAD, a JSON object of keyword arguments; `-` reads it from standard input.

    Prints the id of the run. If --unique, --throttle or --debounce finds a run that exists already, prints its id.
    Without --app only the name of the task is known: queue, retries, timeout and so on are those given here or the
    defaults, and not those that the task is declared with.
    """
    app = _open_app(task, reference, url, namespace)
    session = Session(app.namespace, as_json=as_json)
    run = app.enqueue(task, _parse_payload(payload), **build_enqueue_arguments(**options))
    message = f"{run.id}{' (it was there already)' if run.existing else ''}"
    session.print_answer({"run": run.id, "existing": run.existing}, lambda: tables.cell(message))


def _open_app(task: str, reference: str | None, url: str | None, name: str | None) -> Jobistemer:
    if reference is None:
        opened = open_namespace(url, name)
        return Jobistemer(opened.url, namespace=opened.name)
    app = load_app(reference, url, name)
    if task not in app.handlers:
        hint = suggest(task, app.handlers) or f"it has {', '.join(sorted(app.handlers)) or 'none'}"
        raise NotFound(f"app {reference!r} has no task {task!r}; {hint}")
    return app


def _parse_payload(payload: str) -> Any:
    text = sys.stdin.read() if payload == "-" else payload
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{text[:80]!r} is not JSON: {error}", param_hint="PAYLOAD") from error
