"""The options of `jobistemer-worker` that set fields of WorkerSettings; `jobistemer dev` has the first of them, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from jobistemer.core.settings import WorkerSettings

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS = WorkerSettings()
_QUEUES = (
    "Queues to serve, such as critical:6,default:3; without weights, in strict order. By default the queues that the "
    "app declares, and `default`, in turn."
)
_SLOTS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("-c", "--concurrency"), "concurrency", "Number of task runs at a time, in each worker."),
    (("--lease",), "lease_s", "Time without a heartbeat after which other workers take over the runs of a worker."),
)
_BOUNDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("--grace",), "grace_s", "Time that runs in flight have to end after SIGTERM."),
    (
        ("--cancel-patience",),
        "cancel_patience_s",
        "Time that a handler in a thread with a context has to end in order after a cancel.",
    ),
    (
        ("--max-suspects",),
        "max_suspects",
        "Number of runs at a time that may have killed a worker, each in a process of its own.",
    ),
    (("--max-log-bytes",), "max_log_bytes", "Log lines and progress that are kept of one attempt."),
)
_RECYCLING = (
    ("--child-max-memory", "child_max_memory_mib", "MIB", "Memory (MiB) that a child process may use."),
    ("--child-max-runs", "child_max_runs", "N", "Replace a child process after N runs."),
    ("--max-memory", "max_memory_mib", "MIB", "End in order when the worker uses so much memory (MiB)."),
    ("--max-runs", "max_runs", "N", "End in order after N runs."),
)


def slot_options(function: F) -> F:
    """Add -c, -Q and --lease: how many runs a worker executes, of which queues, and when others take them over."""
    queues = click.option("-Q", "--queues", default=None, metavar="NAME[:WEIGHT],…", help=_QUEUES)
    concurrency, lease = (_number_option(*each) for each in _SLOTS)
    return concurrency(queues(lease(function)))


def bound_options(function: F) -> F:
    """Add the bounds of a worker in time, processes and bytes."""
    for each in reversed(_BOUNDS):
        function = _number_option(*each)(function)
    return function


def recycling_options(function: F) -> F:
    """Add the limits after which a process ends and a new one takes its place."""
    for flag, field, unit, text in _RECYCLING:
        function = click.option(flag, field, type=int, default=0, metavar=unit, help=f"{text} 0 for no limit.")(
            function
        )
    return function


def _number_option(flags: tuple[str, ...], field: str, text: str) -> Callable[[F], F]:
    """Return the option of one field, with the default, and the type and unit that follow from it.

    Its name, from which that of its environment variable follows, is the field's without the unit.
    """
    default = getattr(_DEFAULTS, field)
    unit = "SECONDS" if field.endswith("_s") else "BYTES" if field.endswith("_bytes") else "N"
    return click.option(
        *flags,
        field.removesuffix("_s"),
        type=type(default),
        default=default,
        show_default=True,
        metavar=unit,
        help=text,
    )
