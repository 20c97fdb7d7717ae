"""The options that `jobistemer-worker` and `jobistemer-ticker` share, and where a process finds their values."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from jobistemer import __version__
from jobistemer.app.project import find_project
from jobistemer.cli.health_options import health_options
from jobistemer.cli.usage_errors import SafeErrors
from jobistemer.core.errors import Misconfigured
from jobistemer.runtime.logging import FORMATS, LEVELS
from jobistemer.runtime.process import ProcessOptions

R = TypeVar("R")

CONTEXT_SETTINGS = {"auto_envvar_prefix": "JOBISTEMER"}
"""Every option of a process can also be an environment variable: --concurrency is JOBISTEMER_CONCURRENCY."""


class ConfiguredCommand(SafeErrors):
    """A command whose options may also stand in `[tool.jobistemer.worker]` or `[tool.jobistemer.ticker]`.

    The command line takes precedence over the environment, the environment over the file, the file over the default.
    """

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """Read pyproject.toml in the current folder or above, and take its values as defaults."""
        try:
            extra["default_map"] = self._read_project_options()
        except Misconfigured as error:
            raise click.ClickException(str(error)) from error
        return super().make_context(info_name, args, parent, **extra)

    def _read_project_options(self) -> dict[str, Any]:
        section = (self.name or "").removeprefix("jobistemer-")
        given: dict[str, Any] = getattr(find_project(Path.cwd()), section)
        options = [each for each in self.params if isinstance(each, click.Option)]
        known = {name: each.name or "" for each in options for name in _long_names(each)}
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise Misconfigured(f"[tool.jobistemer.{section}] has {unknown[0]!r}; known are {', '.join(sorted(known))}")
        return {known[name]: value for name, value in given.items()}


def _long_names(option: click.Option) -> list[str]:
    if option.hidden or option.name in ("url", "namespace"):
        return []
    return [name.removeprefix("--") for name in option.opts if name.startswith("--")]


def process_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options that every process has; the function receives them as `process`, a ProcessOptions."""

    @functools.wraps(function)
    def wrapped(**given: Any) -> R:
        process = ProcessOptions(**{name: given.pop(name) for name in ProcessOptions._fields})
        return function(process=process, **given)

    version = click.version_option(__version__, message="%(prog)s, version %(version)s")
    return logging_options(health_options(version(wrapped)))


def logging_options(function: Callable[..., R]) -> Callable[..., R]:
    """Add the options of logging, and a hidden one that ends the process when its supervisor ends."""
    level = click.option(
        "--log-level",
        type=click.Choice(LEVELS, case_sensitive=False),
        default="info",
        show_default=True,
        help="Least severe level to log.",
    )
    form = click.option(
        "--log-format",
        type=click.Choice(list(FORMATS), case_sensitive=False),
        default="text",
        show_default=True,
        help="Format of the log: lines for people, or one JSON object a line.",
    )
    tracebacks = click.option(
        "--log-tracebacks/--no-log-tracebacks",
        default=True,
        show_default=True,
        help="Log the end of the trace of each run that has failed for good.",
    )
    until_eof = click.option("--until-eof", is_flag=True, hidden=True, help="End when standard input closes.")
    return level(form(tracebacks(until_eof(function))))
