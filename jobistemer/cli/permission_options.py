"""The options of a worker that say what the built-in tasks may do there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def permission_options(function: F) -> F:
    """Add the options that become the Permissions of a worker."""
    for add in (
        click.option(
            "--allow-http-private",
            is_flag=True,
            help="Let the built-in task `http` reach private, loopback and link-local addresses.",
        ),
        click.option(
            "--pass-shell-env",
            default="",
            metavar="NAME,…",
            callback=_check_names,
            help="Variables of the worker's own environment that commands of `shell` get besides PATH, HOME, LANG, TZ.",
        ),
        click.option(
            "--allow-shell-env",
            default="",
            metavar="NAME,…",
            callback=_check_names,
            help="Variables that a call of `shell` may set; by default none, with `--allow-shell '*'` all.",
        ),
        click.option(
            "--allow-shell",
            default="",
            metavar="PROGRAM,…",
            help="Programs that the built-in task `shell` may run, * for all; by default none.",
        ),
    ):
        function = add(function)
    return function


def _check_names(_context: click.Context, _option: click.Parameter, text: str) -> str:
    for name in filter(None, (each.strip() for each in text.split(","))):
        if not _NAME.fullmatch(name):
            raise click.BadParameter(f"{name!r:.60} is no name of a variable; give names separated by commas")
    return text
