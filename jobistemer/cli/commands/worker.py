"""`jobistemer-worker`: run the tasks of an app."""

from __future__ import annotations

import logging
from typing import Any

import click

from jobistemer.app.loading import find_app_folders, load_app, resolve_app_reference
from jobistemer.cli.health_options import (
    assign_sockets,
    has_metrics,
    open_health_sockets,
    serve_health,
    serve_supervised_health,
)
from jobistemer.cli.process_options import CONTEXT_SETTINGS, ConfiguredCommand, process_options
from jobistemer.cli.session import one_line_errors, with_server
from jobistemer.cli.worker_options import build_process_command, recycling_options, supervisor_options
from jobistemer.core.builtin_tasks import Permissions
from jobistemer.core.errors import WornOut
from jobistemer.core.settings import WorkerSettings, parse_queues
from jobistemer.runtime.exit import exit_process
from jobistemer.runtime.file_watcher import FileWatcher
from jobistemer.runtime.process import ProcessOptions, prepare_process
from jobistemer.runtime.shutdown import Shutdown
from jobistemer.runtime.supervisor import Supervisor
from jobistemer.worker import Worker
from jobistemer.worker.attempts.metrics import AttemptMetrics

_DEFAULTS = WorkerSettings()


@click.command("jobistemer-worker", cls=ConfiguredCommand, context_settings=CONTEXT_SETTINGS)
@click.argument("app", required=False, envvar="JOBISTEMER_APP", metavar="[MODULE:APP]")
@click.option(
    "-c",
    "--concurrency",
    type=int,
    default=_DEFAULTS.concurrency,
    show_default=True,
    help="Task runs at a time.",
)
@click.option("-Q", "--queues", default="default", show_default=True, metavar="NAME[:WEIGHT],…",
              help="Queues, such as critical:6,default:3; without weights in strict order.")  # fmt: skip
@click.option("--lease", type=float, default=_DEFAULTS.lease_s, show_default=True, metavar="SECONDS",
              help="Without a beat for so long, others take over its work.")  # fmt: skip
@click.option("--grace", type=float, default=_DEFAULTS.grace_s, show_default=True, metavar="SECONDS",
              help="What runs may take so long to end after SIGTERM.")  # fmt: skip
@click.option("--burst", is_flag=True, help="End when the queues are empty.")
@recycling_options
@supervisor_options
@click.option("--allow-shell", default="", metavar="PROGRAM,…",
              help="Programs that the built-in task `shell` may run, * for all; none by default.")  # fmt: skip
@click.option("--allow-http-private", is_flag=True,
              help="Let the built-in task `http` reach private, loopback and link-local addresses.")  # fmt: skip
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

    SIGTERM ends it in order, a second one at once, SIGTSTP stops fetching, SIGCONT lets it fetch again. It
    registers no jobs: `jobistemer deploy` does. Exit codes: 0 ended in order, 1 no longer well or cannot work, 2
    wrong usage.
    """
    worker_settings = _build_settings(app=resolve_app_reference(app), **settings)
    if not watch:
        loaded = load_app(app, url, namespace)
    shutdown = prepare_process(process)
    if watch or processes:
        changes = FileWatcher(find_app_folders(app)) if watch else None
        raise SystemExit(_supervise(max(1, processes), worker_settings, changes, process, shutdown))
    attempt_metrics = AttemptMetrics() if has_metrics(process) else None
    worker = Worker(loaded.namespace, loaded.handlers, worker_settings, loaded.plugins, attempt_metrics)
    serve_health(worker, loaded.namespace, process)
    exit_process(_run_worker(worker, shutdown))


def _supervise(
    count: int, settings: WorkerSettings, changes: FileWatcher | None, process: ProcessOptions, shutdown: Shutdown
) -> int:
    with open_health_sockets(count, process) as sockets:
        commands = [build_process_command(*assigned) for assigned in assign_sockets(sockets, process)] or [
            build_process_command()
        ] * count
        supervisor = Supervisor(commands, once=settings.burst, changed=changes)
        serve_supervised_health(supervisor, sockets, process)
        return supervisor.run(shutdown)


def _run_worker(worker: Worker, shutdown: Shutdown) -> int:
    try:
        worker.run(shutdown)
    except WornOut as error:
        logging.getLogger("jobistemer.worker").error("%s", error)
        return 1
    return 0


def _build_settings(
    *,
    app: str,
    queues: str,
    lease: float,
    grace: float,
    allow_shell: str,
    allow_http_private: bool,
    **other_settings: Any,
) -> WorkerSettings:
    return WorkerSettings(
        app=app,
        queues=parse_queues(queues),
        lease_s=lease,
        beat_s=min(_DEFAULTS.beat_s, lease / 3),
        grace_s=grace,
        permissions=Permissions(
            shell=tuple(filter(None, (each.strip() for each in allow_shell.split(",")))),
            http_private=allow_http_private,
        ),
        **other_settings,
    )


if __name__ == "__main__":
    worker_command()
