"""The options of `jobistemer-worker` that are about processes: how many, and when a fresh one takes over."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def supervisor_options(function: F) -> F:
    """Add the options that make it a supervisor of several processes."""
    processes = click.option("--processes", type=click.IntRange(0, 256), default=0, show_default=True,
                             help="Supervise so many worker processes; 0: be one.")  # fmt: skip
    watch = click.option("--watch/--no-watch", default=False, help="Start afresh when a file of the app changes.")
    return processes(watch(function))


def recycling_options(function: F) -> F:
    """Add the limits after which a process makes room for a fresh one; their names are those of the settings."""
    for flag, field, unit, text in (
        ("--child-max-memory", "child_max_memory_mib", "MIB", "What a process beside the worker may hold."),
        ("--child-max-runs", "child_max_runs", "N", "Replace a process beside the worker after N runs."),
        ("--max-memory", "max_memory_mib", "MIB", "End in order when the worker holds so much."),
        ("--max-runs", "max_runs", "N", "End in order after N runs."),
    ):
        function = click.option(flag, field, type=int, default=0, metavar=unit, help=f"{text} 0: no limit.")(function)
    return function


def build_process_command(socket: Path | None = None, metrics: str = "off") -> list[str]:
    """The command line of one process under a supervisor: this process's own, with the last word in front of all.

    socket: where the supervisor asks it how it is. metrics: what it is to tell there.
    """
    single_process = ["--processes", "0", "--no-watch", "--until-eof"]
    endpoint = [] if socket is None else ["--health-socket", str(socket), "--metrics", metrics]
    return [sys.executable, "-m", "jobistemer.cli.commands.worker", *sys.argv[1:], *single_process, *endpoint]
