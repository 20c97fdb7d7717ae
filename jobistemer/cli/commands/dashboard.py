"""`jobistemer dashboard`: show and control a namespace in a browser."""

from __future__ import annotations

import os

import click

from jobistemer.app.loading import open_namespace
from jobistemer.cli.process_options import logging_options
from jobistemer.cli.session import one_line_errors, with_server
from jobistemer.core.errors import Misconfigured
from jobistemer.runtime.process import ProcessOptions, prepare_process
from jobistemer.web.installed import DEFAULT_PORT, is_installed
from jobistemer.web.shared.settings import build_settings


@click.command("dashboard")
@with_server
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on, 0 for any free one.",
)
@click.option("--read-only", is_flag=True, help="Refuse all actions; a server user with the role `viewer` is enough.")
@click.option(
    "--by",
    envvar="JOBISTEMER_BY",
    show_envvar=True,
    default="",
    help="Name to record for actions, by default the system user.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Accept this host name too, such as that of a proxy; may be repeated.",
)
@click.option(
    "--user-header",
    metavar="HEADER",
    default="",
    help="Record the user that a proxy names in this header, such as X-Forwarded-User; without it, refuse actions.",
)
@click.option(
    "--root-path",
    metavar="PATH",
    default="",
    help="Path under which a proxy shows the dashboard, such as /admin/jobs; requests have to arrive with it.",
)
@click.option("--no-token", "without_token", is_flag=True, help="Accept other machines without a token.")
@logging_options
@one_line_errors
def dashboard_command(
    *,
    url: str | None,
    namespace: str | None,
    host: str,
    port: int,
    read_only: bool,
    by: str,
    names: tuple[str, ...],
    user_header: str,
    root_path: str,
    without_token: bool,
    log_level: str,
    log_format: str,
    log_tracebacks: bool,
    until_eof: bool,
) -> None:
    """Serve the dashboard of a namespace, by default on the loopback address only.

    If the environment variable JOBISTEMER_DASHBOARD_TOKEN is set, visitors have to give that token. Without a token,
    the dashboard listens on loopback only, unless --no-token allows everybody in.
    """
    if not is_installed():
        raise Misconfigured("the dashboard is not installed: pip install 'jobistemer[dashboard]'")
    from jobistemer.web.server import serve  # noqa: PLC0415 - an extra, checked above

    token = os.environ.get("JOBISTEMER_DASHBOARD_TOKEN", "")
    settings = build_settings(
        host,
        read_only=read_only,
        by=by,
        token=token,
        names=names,
        without_token=without_token,
        user_header=user_header,
        root_path=root_path,
    )
    opened = open_namespace(url, namespace)
    shutdown = prepare_process(ProcessOptions(log_level, log_format, log_tracebacks, until_eof))
    serve(opened, settings, host, port, shutdown)


if __name__ == "__main__":
    dashboard_command()
