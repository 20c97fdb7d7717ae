"""What every command shares: which server, JSON or a table, and errors as one line with an exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import click
import msgspec
from rich.console import RenderableType

from jobistemer.app.loading import open_namespace
from jobistemer.core.errors import JobistemerError
from jobistemer.core.safe_text import escape_text
from jobistemer.store.namespace import Namespace
from jobistemer.terminal.tables import print_renderable

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class Session:
    """One command's connection and the form of its answer."""

    def __init__(self, namespace: Namespace, *, as_json: bool) -> None:
        self.namespace = namespace
        self.as_json = as_json

    @property
    def now_ms(self) -> int:
        """Server time."""
        return self.namespace.clock.now_ms()

    def print_answer(self, value: Any, render: Callable[[], RenderableType]) -> None:
        """Print the answer: `value` as JSON, or what `render` returns."""
        if self.as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(value)))
        else:
            print_renderable(render())


def with_server(function: F) -> F:
    """Add the options that say which server and namespace are meant."""
    url = click.option(
        "--url",
        envvar="JOBISTEMER_URL",
        show_envvar=True,
        help="Server, by default redis://localhost:6379/0.",
    )
    name = click.option(
        "--namespace", envvar="JOBISTEMER_NAMESPACE", show_envvar=True, help="What all keys begin with."
    )
    return url(name(function))


def one_line_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Let Jobistemer's own errors end the command with one line on standard error and exit code 1."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except JobistemerError as error:
            raise click.ClickException(escape_text(str(error))) from error

    return guarded


def with_session(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command a Session, `--url`, `--namespace` and `--json`."""

    @with_server
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    @one_line_errors
    def wrapped(url: str | None, namespace: str | None, *, as_json: bool, **rest: Any) -> R:
        session = Session(open_namespace(url, namespace), as_json=as_json)
        return command(session, **rest)

    return wrapped
