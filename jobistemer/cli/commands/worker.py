"""`jobistemer-worker`: run the tasks of an app, in one process or in several under a supervisor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from jobistemer.app.declared_queues import find_declared_queues
from jobistemer.app.loading import find_app_folders, load_app, resolve_app_reference
from jobistemer.cli.health_options import has_metrics, serve_health
from jobistemer.cli.permission_options import permission_options
from jobistemer.cli.process_options import CONTEXT_SETTINGS, ConfiguredCommand, process_options
from jobistemer.cli.session import one_line_errors, options_checked, with_server
from jobistemer.cli.worker_options import bound_options, recycling_options, slot_options
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.errors import StartFailed, WornOut
from jobistemer.core.settings import WorkerSettings, parse_queues
from jobistemer.runtime.exit import exit_process
from jobistemer.runtime.process import ProcessOptions, prepare_process
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.worker import Worker
from jobistemer.worker.attempts.metrics import AttemptMetrics

_DEFAULTS = WorkerSettings()

F = TypeVar("F", bound=Callable[..., Any])


def supervisor_options(function: F) -> F:
    """Add the options of a supervisor: how many processes, and whether to restart them when a file changes."""
    processes = click.option(
        "--processes",
        type=click.IntRange(0, 256),
        default=0,
        show_default=True,
        help="Supervise so many worker processes; 0 to be a single worker.",
    )
    watch = click.option("--watch/--no-watch", default=False, help="Restart the worker when a file of the app changes.")
    return processes(watch(function))


@click.command("jobistemer-worker", cls=ConfiguredCommand, context_settings=CONTEXT_SETTINGS)
@click.argument("app", required=False, envvar="JOBISTEMER_APP", metavar="[MODULE:APP]")
@slot_options
@bound_options
@click.option("--burst", is_flag=True, help="End when the queues are empty.")
@recycling_options
@supervisor_options
@permission_options
@with_server
@process_options
@one_line_errors
def worker_command(
    *,
    app: str | None,
    url: str | None,
    namespace: str | None,
    processes: int,
    watch: bool,
    process: ProcessOptions,
    **settings: Any,
) -> None:
    """Run the tasks of an app: MODULE:APP, else JOBISTEMER_APP, else [tool.jobistemer] in pyproject.toml.

    SIGTERM ends the worker in order, a second SIGTERM at once; SIGTSTP stops fetching, SIGCONT resumes it. The worker
    does not register jobs: `jobistemer deploy` does. Exit codes: 0 ended in order, 1 unhealthy or cannot work, 2 wrong
    usage.
    """
    worker_settings = _build_settings(app=resolve_app_reference(app), **settings)
    if not watch:
        loaded = load_app(app, url, namespace)
    shutdown = prepare_process(process)
    if watch or processes:
        from jobistemer.cli.supervised_workers import supervise_workers  # noqa: PLC0415 - a worker itself has no use for it

        folders = find_app_folders(app) if watch else None
        code = supervise_workers(max(1, processes), folders, process, shutdown, once=worker_settings.burst)
        raise SystemExit(code)
    if settings["queues"] is None:
        worker_settings = msgspec.structs.replace(worker_settings, queues=find_declared_queues(loaded))
    attempt_metrics = AttemptMetrics() if has_metrics(process) else None
    worker = Worker(loaded.namespace, loaded.handlers, worker_settings, loaded.plugins, attempt_metrics)
    serve_health(worker, loaded.namespace, process)
    exit_process(_run_worker(worker, shutdown))


def _run_worker(worker: Worker, shutdown: Shutdown) -> int:
    try:
        worker.run(shutdown)
    except (StartFailed, WornOut) as error:
        logging.getLogger("jobistemer.worker").error("%s", error)
        return 1
    return 0


@options_checked
def _build_settings(
    *,
    app: str,
    queues: str | None,
    lease: float,
    grace: float,
    cancel_patience: float,
    allow_shell: str,
    allow_shell_env: str,
    pass_shell_env: str,
    allow_http_private: bool,
    **other_settings: Any,
) -> WorkerSettings:
    return WorkerSettings(
        app=app,
        queues=_DEFAULTS.queues if queues is None else parse_queues(queues),
        lease_s=lease,
        beat_s=min(_DEFAULTS.beat_s, lease / 3),
        grace_s=grace,
        cancel_patience_s=cancel_patience,
        permissions=Permissions(
            shell=_split(allow_shell),
            shell_env=_split(allow_shell_env),
            shell_pass_env=_split(pass_shell_env),
            http_private=allow_http_private,
        ),
        **other_settings,
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in text.split(","))))


if __name__ == "__main__":
    worker_command()
