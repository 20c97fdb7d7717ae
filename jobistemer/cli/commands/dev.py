"""`jobistemer dev`: run an app here, with a server of its own."""

from __future__ import annotations

import click

from jobistemer.app.loading import load_app
from jobistemer.cli.commands.dashboard import DEFAULT_PORT, is_installed
from jobistemer.cli.session import one_line_errors
from jobistemer.core.errors import Misconfigured
from jobistemer.core.settings import WorkerSettings
from jobistemer.dev.session import DevSession, SessionOptions

_DEFAULTS = WorkerSettings()


@click.command("dev")
@click.argument("app", required=False, envvar="JOBISTEMER_APP", metavar="[MODULE:APP]")
@click.option("--workers", type=click.IntRange(0, 64), default=1, show_default=True, help="How many worker processes.")
@click.option("-c", "--concurrency", type=int, default=_DEFAULTS.concurrency, show_default=True,
              help="Task runs of each at a time.")  # fmt: skip
@click.option("-Q", "--queues", default="default", show_default=True, metavar="NAME[:WEIGHT],…",
              help="Queues they serve.")  # fmt: skip
@click.option("--lease", type=float, default=_DEFAULTS.lease_s, show_default=True, metavar="SECONDS",
              help="Without a beat for so long, others take over a worker's work.")  # fmt: skip
@click.option("--seconds", type=float, help="End after so many seconds; without it, at Ctrl-C.")
@click.option("--url", help="Use this server instead of an embedded one.")
@click.option("--namespace", envvar="JOBISTEMER_NAMESPACE", show_envvar=True, help="What all keys begin with.")
@click.option("--kill-worker-after", "kill_after", type=float, metavar="SECONDS",
              help="Kill a worker once with SIGKILL, and follow what becomes of its work.")  # fmt: skip
@click.option("--dashboard-port", "port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True,
              help="Port of the dashboard, if that is installed; another where it is taken, 0 for none.")  # fmt: skip
@one_line_errors
def dev_command(
    *,
    app: str | None,
    workers: int,
    concurrency: int,
    queues: str,
    lease: float,
    seconds: float | None,
    url: str | None,
    namespace: str | None,
    kill_after: float | None,
    port: int,
) -> None:
    """Run an app here: an embedded server, a ticker, workers and a dashboard, with its jobs deployed and on screen."""
    if url and url.startswith("fake:"):
        raise Misconfigured(f"--url {url}: a fake server lives in one process, and here are several: leave --url out")
    arguments = ("-c", str(concurrency), "-Q", queues, "--lease", str(lease), "--grace", "5")
    options = SessionOptions(
        load=lambda server: load_app(app, server, namespace),
        url=url,
        app=app,
        workers=workers,
        worker_arguments=arguments,
        seconds=seconds,
        kill_after=kill_after,
        port=port if is_installed() else 0,
    )
    DevSession(options).run()
