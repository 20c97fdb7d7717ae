"""`jobistemer task`: list the tasks that an app declares."""

from __future__ import annotations

import inspect

import click
from rich.console import RenderableType

from jobistemer.app.loading import load_app
from jobistemer.cli.list_answers import list_all
from jobistemer.cli.session import json_option, one_line_errors, print_json, with_server
from jobistemer.core.handlers.callables import read_callable
from jobistemer.core.handlers.handler import Handler
from jobistemer.core.handlers.type_fit import show_type
from jobistemer.core.jobs.options import complete_options
from jobistemer.terminal import tables


@click.group("task")
def task_group() -> None:
    """List the tasks of an app."""


@task_group.command("list")
@click.argument("app", required=False, envvar="JOBISTEMER_APP", metavar="[MODULE:APP]")
@with_server
@json_option
@one_line_errors
def list_command(*, app: str | None, url: str | None, namespace: str | None, as_json: bool) -> None:
    """List the tasks that an app declares, with their parameters and options.

    They stand in its code: the server does not know them, so the app is imported.
    """
    handlers = load_app(app, url, namespace).handlers
    found = [_describe(handlers[name]) for name in sorted(handlers)]
    answer = list_all("task", found)
    if as_json:
        print_json(answer.to_json())
    else:
        tables.print_renderable(tables.stack(_table(found), *([tables.cell(answer.describe())] if found else [])))


def _describe(handler: Handler) -> dict[str, object]:
    options = complete_options(handler.options)
    return {
        "task": handler.name,
        "parameters": _show_call(handler),
        "queue": options.queue,
        "priority": options.priority,
        "executor": options.executor or ("coroutine" if handler.is_coroutine else "thread"),
        "max_retries": options.retry.max_retries,
        "timeout_ms": round(options.timeout_s * 1000),
    }


def _show_call(handler: Handler) -> str:
    """Return the arguments that a call may give, with their types, and the type of the result."""
    signature, hints, _ = read_callable(handler.name, handler.function)
    shown = []
    for name in handler.parameters:
        default = signature.parameters[name].default
        hint = f": {show_type(hints[name])}" if name in hints else ""
        shown.append(f"{name}{hint}" + ("" if default is inspect.Parameter.empty else f" = {default!r}"))
    result = f" -> {show_type(hints['return'])}" if "return" in hints else ""
    return f"({', '.join(shown)}){result}"


def _table(found: list[dict[str, object]]) -> RenderableType:
    if not found:
        return "this app declares no task"
    heads = ("task", "queue", "priority", "executor", "max_retries", "parameters")
    rows = [[str(each[head]) for head in heads] for each in found]
    return tables.table([head.replace("_", " ") for head in heads], rows)
