"""`jobistemer dev`: run an app locally, with a server of its own."""

from __future__ import annotations

import click

from jobistemer.app.loading import load_app
from jobistemer.cli.session import check_namespace, checked_by, one_line_errors
from jobistemer.cli.worker_options import slot_options
from jobistemer.core.errors import Misconfigured
from jobistemer.dev.session import DevSession, SessionOptions
from jobistemer.store.server.urls import check_url
from jobistemer.web.installed import DEFAULT_PORT, is_installed


@click.command("dev")
@click.argument("app", required=False, envvar="JOBISTEMER_APP", metavar="[MODULE:APP]")
@click.option("--workers", type=click.IntRange(0, 64), default=1, show_default=True, help="Number of worker processes.")
@slot_options
@click.option("--seconds", type=float, metavar="SECONDS", help="End after so many seconds; by default at Ctrl-C.")
@click.option("--url", callback=checked_by(check_url), help="URL of the server to use, by default an embedded one.")
@click.option(
    "--namespace",
    callback=checked_by(check_namespace),
    envvar="JOBISTEMER_NAMESPACE",
    show_envvar=True,
    help="Namespace, the prefix of all keys; by default that of the app.",
)
@click.option(
    "--kill-worker-after",
    "kill_after",
    type=float,
    metavar="SECONDS",
    help="Kill one worker with SIGKILL after so long, and report how others take over its runs.",
)
@click.option(
    "--dashboard-port",
    "port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port of the dashboard, if installed; another one when it is taken, 0 for no dashboard.",
)
@one_line_errors
def dev_command(
    *,
    app: str | None,
    workers: int,
    concurrency: int,
    queues: str | None,
    lease: float,
    seconds: float | None,
    url: str | None,
    namespace: str | None,
    kill_after: float | None,
    port: int,
) -> None:
    """Run an app locally: deploy its jobs to an embedded server, start ticker, workers and dashboard, and watch."""
    if url and url.startswith("fake:"):
        raise Misconfigured(
            f"--url {url}: a fake server exists in one process only, and `dev` starts several: leave --url out"
        )
    served = () if queues is None else ("-Q", queues)
    arguments = ("-c", str(concurrency), *served, "--lease", str(lease), "--grace", "5")
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
