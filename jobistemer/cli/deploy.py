"""`jobistemer deploy`: register the jobs of an app."""

from __future__ import annotations

import click
from rich.console import RenderableType

from jobistemer.app.control import Registered
from jobistemer.cli import tables
from jobistemer.cli.project import load_app
from jobistemer.cli.session import Session, one_line_errors, with_server


@click.command("deploy")
@click.argument("app", required=False, envvar="JOBISTEMER_APP", metavar="[MODULE:APP]")
@with_server
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@one_line_errors
def deploy_command(app: str | None, url: str | None, namespace: str | None, *, as_json: bool) -> None:
    """Register the jobs of an app: new ones are created, changed ones get a new version, the others stay."""
    loaded = load_app(app, url, namespace)
    registered = loaded.deploy()
    answer = [each._asdict() for each in registered]
    Session(loaded.namespace, as_json=as_json).answer(answer, lambda: _registered_table(registered))


def _registered_table(registered: list[Registered]) -> RenderableType:
    if not registered:
        return "this app declares no jobs; its tasks can be enqueued all the same"
    rows = [(each.job, tables.state(each.word), each.version) for each in registered]
    return tables.table(("job", "deployed as", "version"), rows)
