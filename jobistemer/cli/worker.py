"""`jobistemer-worker`: run the tasks of an app."""

from __future__ import annotations

from typing import Any

import click

from jobistemer.cli.process import ENVIRONMENT, prepare_process, process_options
from jobistemer.cli.project import load_app
from jobistemer.cli.session import one_line_errors, with_server
from jobistemer.core.permissions import Permissions
from jobistemer.core.settings import WorkerSettings, parse_queues
from jobistemer.worker import Worker

_DEFAULTS = WorkerSettings()


@click.command("jobistemer-worker", context_settings=ENVIRONMENT)
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
    concurrency: int,
    queues: str,
    lease: float,
    grace: float,
    burst: bool,
    allow_shell: str,
    allow_http_private: bool,
    **process: Any,
) -> None:
    """Run the tasks of an app: MODULE:APP, else JOBISTEMER_APP, else [tool.jobistemer] in pyproject.toml.

    SIGTERM ends it in order, a second one at once, SIGTSTP stops fetching. It registers no jobs: `jobistemer
    deploy` does.
    """
    settings = WorkerSettings(
        concurrency=concurrency,
        queues=parse_queues(queues),
        lease_s=lease,
        beat_s=min(_DEFAULTS.beat_s, lease / 3),
        grace_s=grace,
        burst=burst,
        permissions=Permissions(
            shell=tuple(filter(None, (each.strip() for each in allow_shell.split(",")))),
            http_private=allow_http_private,
        ),
    )
    loaded = load_app(app, url, namespace)
    stopping = prepare_process(**process)
    Worker(loaded.namespace, loaded.handlers, settings, loaded.plugins).run(stopping)


if __name__ == "__main__":
    worker_command()
