"""Errors of a command line are shown without the secrets that the command line holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from jobistemer.core.checks import is_encodable, show
from jobistemer.core.safe_text import escape_text, hide_secrets


class SafeErrors(click.Command):
    """A command whose errors neither repeat a password that was given to it nor obey its control characters."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """Parse the command line. Raises UsageError for an argument that is no UTF-8."""
        with _cleaned():
            for each in args:
                _check_encodable(each)
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, or the command of the group."""
        with _cleaned():
            return super().invoke(ctx)


def _check_encodable(argument: str) -> None:
    # Such a text reaches neither the server nor a file: it would end the command wherever it is encoded first.
    if not is_encodable(argument) or "\0" in argument:
        raise click.UsageError(f"the argument {show(argument)} is not UTF-8; name it in UTF-8, or rename what it names")


@contextmanager
def _cleaned() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = "\n".join(escape_text(line) for line in hide_secrets(error.message).splitlines())
        raise
