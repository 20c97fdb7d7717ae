"""What `jobistemer-worker` and `jobistemer-ticker` share: how they log, and how they are asked to end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from jobistemer.cli.project import find_project
from jobistemer.core.errors import Misconfigured
from jobistemer.runtime.logging import LEVELS, LinesForMachines, LinesForPeople, set_up_logging
from jobistemer.runtime.repeating import start_thread
from jobistemer.runtime.stopping import Stopping

F = TypeVar("F", bound=Callable[..., Any])

ENVIRONMENT = {"auto_envvar_prefix": "JOBISTEMER"}
"""Every option of a process can be given as an environment variable too: -c as JOBISTEMER_CONCURRENCY."""


class Process(click.Command):
    """A command whose options may stand in `[tool.jobistemer.worker]` or `[tool.jobistemer.ticker]` too.

    The command line goes before the environment, the environment before the file, the file before the default.
    """

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """Read the file where the process is started."""
        try:
            extra["default_map"] = self._from_project()
        except Misconfigured as error:
            raise click.ClickException(str(error)) from error
        return super().make_context(info_name, args, parent, **extra)

    def _from_project(self) -> dict[str, Any]:
        section = (self.name or "").removeprefix("jobistemer-")
        given: dict[str, Any] = getattr(find_project(Path.cwd()), section)
        options = [each for each in self.params if isinstance(each, click.Option)]
        known = {name: each.name or "" for each in options for name in _long_names(each)}
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise Misconfigured(
                f"[tool.jobistemer.{section}] has {unknown[0]!r}; known are {', '.join(sorted(known))}"
            )
        return {known[name]: value for name, value in given.items()}


def _long_names(option: click.Option) -> list[str]:
    if option.hidden or option.name in ("url", "namespace"):
        return []
    return [name.removeprefix("--") for name in option.opts if name.startswith("--")]


def process_options(function: F) -> F:
    """Add the options that every process has."""
    level = click.option(
        "--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="What is logged."
    )
    as_json = click.option("--log-json", is_flag=True, help="Log one JSON object per line.")
    until_eof = click.option("--until-eof", is_flag=True, hidden=True, help="End when standard input closes.")
    return level(as_json(until_eof(function)))


def prepare_process(*, log_level: str, log_json: bool, until_eof: bool) -> Stopping:
    """Set up logging and signals; what is returned tells when to end."""
    set_up_logging(log_level, LinesForMachines() if log_json else LinesForPeople())
    stopping = Stopping()
    stopping.listen()
    if until_eof:
        start_thread(lambda: _end_with_input(stopping), "until-eof")
    return stopping


def _end_with_input(stopping: Stopping) -> None:
    # The supervisor holds the other end and never writes: the pipe closes when it ends, however it ends.
    # The file descriptor itself is read: a daemon thread inside sys.stdin would break the interpreter's shutdown.
    while os.read(0, 1):
        pass
    stopping.request()
