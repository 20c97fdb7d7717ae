"""`jobistemer-worker`: run the tasks of an app."""

from __future__ import annotations

import logging
from typing import Any

import click

from jobistemer.app.loading import app_folders, app_reference, load_app
from jobistemer.cli.health_options import counts, observe, observe_together, places_to_ask, share_out
from jobistemer.cli.process_options import ENVIRONMENT, Process, process_options
from jobistemer.cli.session import one_line_errors, with_server
from jobistemer.cli.worker_options import one_of_many, recycling_options, supervising_options
from jobistemer.core.errors import WornOut
from jobistemer.core.permissions import Permissions
from jobistemer.core.settings import WorkerSettings, parse_queues
from jobistemer.runtime.exit import leave
from jobistemer.runtime.file_watcher import Changes
from jobistemer.runtime.process import ProcessOptions, prepare_process
from jobistemer.runtime.shutdown import Stopping
from jobistemer.runtime.supervisor import Supervisor
from jobistemer.worker import Worker
from jobistemer.worker.attempts.metrics import Tallies

_DEFAULTS = WorkerSettings()


@click.command("jobistemer-worker", cls=Process, context_settings=ENVIRONMENT)
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
@supervising_options
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
    checked = _settings(app=app_reference(app), **settings)
    if not watch:
        loaded = load_app(app, url, namespace)
    stopping = prepare_process(process)
    if watch or processes:
        changes = Changes(app_folders(app)) if watch else None
        raise SystemExit(_supervise(max(1, processes), checked, changes, process, stopping))
    tallies = Tallies() if counts(process) else None
    worker = Worker(loaded.namespace, loaded.handlers, checked, loaded.plugins, tallies)
    observe(worker, loaded.namespace, process)
    leave(_work(worker, stopping))


def _supervise(
    count: int, settings: WorkerSettings, changes: Changes | None, process: ProcessOptions, stopping: Stopping
) -> int:
    with places_to_ask(count, process) as sockets:
        commands = [one_of_many(*told) for told in share_out(sockets, process)] or [one_of_many()] * count
        supervisor = Supervisor(commands, once=settings.burst, changed=changes)
        observe_together(supervisor, sockets, process)
        return supervisor.run(stopping)


def _work(worker: Worker, stopping: Stopping) -> int:
    try:
        worker.run(stopping)
    except WornOut as error:
        logging.getLogger("jobistemer.worker").error("%s", error)
        return 1
    return 0


def _settings(
    *,
    app: str,
    queues: str,
    lease: float,
    grace: float,
    allow_shell: str,
    allow_http_private: bool,
    **named_alike: Any,
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
        **named_alike,
    )


if __name__ == "__main__":
    worker_command()
