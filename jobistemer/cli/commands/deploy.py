"""`jobistemer deploy`: show what deploying an app changes, and register its jobs."""

from __future__ import annotations

import sys
from typing import Final

import click
from rich.console import Group, RenderableType

from jobistemer.app.loading import load_app
from jobistemer.cli import diff_tables
from jobistemer.cli.session import Session, json_option, one_line_errors, with_server
from jobistemer.control.definitions import Registration
from jobistemer.control.deploy import DeployPlan, DeployStep, JobPlan, apply_deploy, plan_deploy
from jobistemer.terminal import tables

EXIT_PENDING: Final = 2
"""The exit code of --dry-run when changes are pending."""
EXIT_OLDER: Final = 3
"""The exit code of --keep-newer when a newer release has registered some of the jobs."""
_STEP_HEADINGS: Final = {
    DeployStep.ADD: "+ {job}: new",
    DeployStep.CHANGE: "~ {job}: version {version} becomes {next}",
    DeployStep.WAIT: "… {job}: version {version}, the change waits for its time",
    DeployStep.LEAVE: "! {job}: version {version} is newer than this app's; it stays (--keep-newer)",
    DeployStep.DROP: "~ {job}: version {version} stays; the change that waits is taken back",
    DeployStep.REMOVE: "- {job}: no longer declared",
}


@click.command("deploy")
@click.argument("app", required=False, envvar="JOBISTEMER_APP", metavar="[MODULE:APP]")
@click.option(
    "--dry-run", is_flag=True, help="Show the plan, and change nothing; exit code 2 when changes are pending."
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation on a terminal.")
@click.option("--remove", is_flag=True, help="Remove the jobs that this app deployed before and no longer declares.")
@click.option(
    "--keep-newer",
    is_flag=True,
    help="Leave jobs that a newer release has registered; for processes that deploy when they start. Then exit code 3.",
)
@click.option("--force", is_flag=True, help="Apply changes now, outside their window too.")
@with_server
@json_option
@one_line_errors
def deploy_command(
    *,
    app: str | None,
    url: str | None,
    namespace: str | None,
    dry_run: bool,
    yes: bool,
    remove: bool,
    keep_newer: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Register the jobs of an app: new jobs are created, changed jobs get a new version, the others stay.

    The last word holds: an earlier definition that is deployed again becomes the next version. The plan is shown first:
    fields that change, and fire times that appear or vanish within 30 days. Exit codes: 0 applied or nothing to do, 1
    failed or declined, 2 changes are pending (--dry-run), 3 a newer release stays (--keep-newer).
    """
    loaded = load_app(app, url, namespace)
    session = Session(loaded.namespace, as_json=as_json)
    declared = loaded.jobs()
    plan = plan_deploy(loaded.namespace, declared, loaded.owner, force=force, keep_newer=keep_newer)
    changes = (DeployStep.ADD, DeployStep.CHANGE, DeployStep.DROP)
    pending = bool(plan.with_step(*changes, DeployStep.REMOVE) if remove else plan.with_step(*changes))
    if not as_json:
        tables.print_renderable(render_plan(plan, session.now_ms, remove=remove))
    if pending and not dry_run and not yes and not as_json and sys.stdin.isatty():
        click.confirm("Apply this?", abort=True)
    applied = [] if dry_run else apply_deploy(loaded.control, plan, declared, remove=remove)
    answer = {"plan": plan.jobs, "applied": [each._asdict() for each in applied]}
    if as_json or applied:
        session.print_answer(answer, lambda: _applied_table(applied))
    if pending and dry_run:
        raise click.exceptions.Exit(EXIT_PENDING)
    if any(each.word == "OLDER" for each in applied):
        raise click.exceptions.Exit(EXIT_OLDER)


def render_plan(plan: DeployPlan, now_ms: int, *, remove: bool) -> RenderableType:
    """Build the text of a plan; unchanged jobs are only counted."""
    if not plan.jobs:
        return "this app declares no jobs; its tasks can be enqueued all the same"
    parts = [
        part for each in plan.jobs if each.step in _STEP_HEADINGS for part in _render_job(each, now_ms, remove=remove)
    ]
    kept = len(plan.with_step(DeployStep.KEEP))
    if kept:
        parts.append(tables.multiline(f"{kept} unchanged"))
    return Group(*parts)


def _render_job(plan: JobPlan, now_ms: int, *, remove: bool) -> list[RenderableType]:
    heading = _STEP_HEADINGS[plan.step].format(job=plan.job, version=plan.version, next=plan.version + 1)
    if plan.step is DeployStep.CHANGE and plan.restored:
        heading += f", back to what version {plan.restored} was"
    if plan.unreadable:
        heading += f", in place of a definition that cannot be read: {plan.unreadable}"
    if plan.apply_at is not None:
        heading += f", applied {tables.format_instant(plan.apply_at, now_ms)}"
    if plan.step is DeployStep.REMOVE:
        heading += "" if remove else "; it stays (--remove removes it)"
    parts: list[RenderableType] = [tables.multiline(heading)]
    if plan.step is DeployStep.CHANGE:
        parts.append(diff_tables.fields_table(plan.difference))
    if plan.step in (DeployStep.ADD, DeployStep.CHANGE, DeployStep.REMOVE):
        parts.append(diff_tables.fires_table(plan.difference.fires))
    if plan.is_over and plan.step in (DeployStep.ADD, DeployStep.CHANGE):
        parts.append(tables.multiline("    it will never run: its schedule has no instant to come"))
    return parts


def _applied_table(applied: list[Registration]) -> RenderableType:
    rows = [(each.job, tables.style_state(each.word), each.version) for each in applied]
    return tables.table(("job", "deployed as", "version"), rows)
