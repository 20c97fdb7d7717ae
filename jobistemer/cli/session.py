"""The options and the output that commands share: the server, JSON or a table, pages, errors as one line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
import msgspec

from jobistemer.app.loading import open_namespace
from jobistemer.core.checks import check_name
from jobistemer.core.errors import InvalidInput, JobistemerError, Misconfigured
from jobistemer.core.safe_text import clean_text
from jobistemer.store.namespace import Namespace
from jobistemer.store.server.urls import check_url

if TYPE_CHECKING:
    from rich.console import RenderableType

    from jobistemer.cli.list_answers import ListAnswer

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


class Session:
    """One command's connection and its output format."""

    def __init__(self, namespace: Namespace, *, as_json: bool) -> None:
        self.namespace = namespace
        self.as_json = as_json

    @property
    def now_ms(self) -> int:
        """Return the server's time in Unix milliseconds."""
        return self.namespace.clock.now_ms()

    def print_answer(self, value: Any, render: Callable[[], RenderableType]) -> None:
        """Print the answer: `value` as JSON, or the table that `render` returns."""
        if self.as_json:
            print_json(value)
        else:
            # Workers and tickers share options with the commands, and do without tables: two megabytes.
            from jobistemer.terminal.tables import print_renderable  # noqa: PLC0415 - as above

            print_renderable(render())

    def describe_place(self) -> str:
        """Return where a command looks: for lists of what every namespace at work has, when one has none."""
        return f"looked in {self.namespace}; `jobistemer doctor` lists the namespaces of the server"

    def print_list(self, answer: ListAnswer, render: Callable[[], RenderableType], *, if_empty: str = "") -> None:
        """Print a part of a list: as JSON, or as the table that `render` returns, with a line about its numbers.

        if_empty: the line in place of that one when there is nothing, empty for none.
        """

        def render_all() -> RenderableType:
            from jobistemer.terminal.tables import cell, stack  # noqa: PLC0415 - see `print_answer`

            told = answer.describe() if answer.is_told else if_empty
            return stack(render(), *([cell(told)] if told else []))

        self.print_answer(answer.to_json(), render_all)


def print_json(value: Any) -> None:
    """Print a value as indented JSON: instants as RFC 3339 in UTC, durations in milliseconds."""
    from jobistemer.cli.json_answers import encode_json  # noqa: PLC0415 - see `Session.print_answer`

    click.echo(msgspec.json.format(encode_json(value)))


def checked_by(check: Callable[[str], object]) -> Callable[..., str | None]:
    """Return the callback of an option whose value is checked before anything is imported or connected."""

    def callback(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
        try:
            if value:
                check(value)
        except InvalidInput as error:
            raise WrongValue(clean_text(str(error))) from error
        return value

    return callback


def check_namespace(name: str) -> None:
    """Check the name of a namespace. Raises InvalidName."""
    check_name("namespace", name)


def with_server(function: F) -> F:
    """Add the options that name the server and the namespace."""
    url = click.option(
        "--url",
        callback=checked_by(check_url),
        envvar="JOBISTEMER_URL",
        show_envvar=True,
        help="URL of the Redis or Valkey server, by default redis://localhost:6379/0.",
    )
    name = click.option(
        "--namespace",
        callback=checked_by(check_namespace),
        envvar="JOBISTEMER_NAMESPACE",
        show_envvar=True,
        help="Namespace, the prefix of all keys; by default jobistemer.",
    )
    return url(name(function))


def page_options(default: int, most: int) -> Callable[[F], F]:
    """Add the options of a page: at most `most` rows of a list, `default` unless told otherwise, from an offset on."""
    limit = click.option(
        "--limit", type=click.IntRange(1, most), default=default, show_default=True, help="Show at most so many."
    )
    offset = click.option(
        "--offset", type=click.IntRange(0), default=0, show_default=True, help="Skip so many at the beginning."
    )
    return lambda function: limit(offset(function))


def one_line_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Let Jobistemer's own errors end the command with one line on standard error.

    Exit code 2 for a value that cannot be accepted, as for click's own checks; else 1.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except JobistemerError as error:
            kind = WrongValue if _is_wrong_value(error) else click.ClickException
            raise kind(clean_text(str(error))) from error

    return guarded


class WrongValue(click.ClickException):
    """A value that cannot be accepted, whoever finds out: exit code 2, as for click's own checks."""

    exit_code = 2


def _is_wrong_value(error: JobistemerError) -> bool:
    # A setting or a declaration of the app may be wrong though everything that was typed is right.
    return isinstance(error, InvalidInput) and not isinstance(error, Misconfigured)


def options_checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let an error about a setting that options have given end the command as a wrong value, with exit code 2."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except InvalidInput as error:
            raise WrongValue(clean_text(str(error))) from error

    return guarded


def with_session(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command a Session, and the options `--url`, `--namespace` and `--json`."""

    @with_server
    @json_option
    @functools.wraps(command)
    @one_line_errors
    def wrapped(url: str | None, namespace: str | None, *, as_json: bool, **rest: Any) -> R:
        session = Session(open_namespace(url, namespace), as_json=as_json)
        return command(session, **rest)

    return wrapped
