"""Errors of a command line are shown without the secrets that the command line holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from jobistemer.core.safe_text import escape_text, hide_secrets


class SafeErrors(click.Command):
    """A command whose errors neither repeat a password that was given to it nor obey its control characters."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """Parse the command line."""
        with _cleaned():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, or the command of the group."""
        with _cleaned():
            return super().invoke(ctx)


@contextmanager
def _cleaned() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = "\n".join(escape_text(line) for line in hide_secrets(error.message).splitlines())
        raise
