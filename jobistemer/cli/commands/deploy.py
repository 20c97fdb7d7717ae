"""`jobistemer deploy`: register the jobs of an app, after a look at what that changes."""

from __future__ import annotations

import sys
from typing import Final

import click
from rich.console import Group, RenderableType

from jobistemer.app.loading import load_app
from jobistemer.cli import diff_tables
from jobistemer.cli.session import Session, one_line_errors, with_server
from jobistemer.control.definitions import Registered
from jobistemer.control.deploy import DeployPlan, JobPlan, Step, apply_deploy, plan_deploy
from jobistemer.terminal import tables

PENDING: Final = 2
"""The exit code of --dry-run when there is something to do."""
_SIGNS: Final = {
    Step.ADD: "+ {job}: new",
    Step.CHANGE: "~ {job}: version {version} becomes {next}",
    Step.WAIT: "… {job}: version {version}, the change waits for its time",
    Step.LEAVE: "! {job}: version {version} is newer than this app's; it stays (--force brings this one back)",
    Step.REMOVE: "- {job}: no longer declared",
}


@click.command("deploy")
@click.argument("app", required=False, envvar="JOBISTEMER_APP", metavar="[MODULE:APP]")
@click.option("--dry-run", is_flag=True, help="Only show the plan; exit code 2 when there is something to do.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@click.option("--remove", is_flag=True, help="Remove the jobs that this app deployed and no longer declares.")
@click.option("--force", is_flag=True, help="Apply now, whatever window, also what newer versions have replaced.")
@with_server
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@one_line_errors
def deploy_command(
    *,
    app: str | None,
    url: str | None,
    namespace: str | None,
    dry_run: bool,
    yes: bool,
    remove: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Register the jobs of an app: new ones are created, changed ones get a new version, the others stay.

    The plan is shown first: fields that change, fire times that appear and vanish within 30 days. Exit codes: 0
    nothing to do or applied, 1 failed or declined, 2 changes are pending (--dry-run).
    """
    loaded = load_app(app, url, namespace)
    session = Session(loaded.namespace, as_json=as_json)
    declared = loaded.jobs()
    plan = plan_deploy(loaded.namespace, declared, loaded.owner, force=force)
    pending = bool(plan.of(Step.ADD, Step.CHANGE, *([Step.REMOVE] if remove else [])))
    if not as_json:
        tables.print_for_people(plan_text(plan, session.now_ms, remove=remove))
    if pending and not dry_run and not yes and not as_json and sys.stdin.isatty():
        click.confirm("Apply this?", abort=True)
    done = [] if dry_run else apply_deploy(loaded.control, plan, declared, remove=remove)
    answer = {"plan": plan.jobs, "applied": [each._asdict() for each in done]}
    if as_json or done:
        session.answer(answer, lambda: _done_table(done))
    if pending and dry_run:
        raise click.exceptions.Exit(PENDING)


def plan_text(plan: DeployPlan, now_ms: int, *, remove: bool) -> RenderableType:
    """The plan for people; what stays as it is is only counted."""
    if not plan.jobs:
        return "this app declares no jobs; its tasks can be enqueued all the same"
    parts = [part for each in plan.jobs if each.step in _SIGNS for part in _lines(each, now_ms, remove=remove)]
    kept = len(plan.of(Step.KEEP))
    return Group(*parts, *([tables.lines(f"{kept} unchanged")] if kept else []))


def _lines(plan: JobPlan, now_ms: int, *, remove: bool) -> list[RenderableType]:
    sign = _SIGNS[plan.step].format(job=plan.job, version=plan.version, next=plan.version + 1)
    if plan.apply_at is not None:
        sign += f", applied {tables.instant(plan.apply_at, now_ms)}"
    if plan.step is Step.REMOVE:
        sign += "" if remove else "; it stays (--remove removes it)"
    shown: list[RenderableType] = [tables.lines(sign)]
    if plan.step is Step.CHANGE:
        shown.append(diff_tables.fields_table(plan.difference))
    if plan.step in (Step.ADD, Step.CHANGE, Step.REMOVE):
        shown.append(diff_tables.fires_table(plan.difference.fires))
    return shown


def _done_table(done: list[Registered]) -> RenderableType:
    rows = [(each.job, tables.state(each.word), each.version) for each in done]
    return tables.table(("job", "deployed as", "version"), rows)
