"""`jobistemer deploy`: show what deploying an app changes, and register its jobs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

import click
from rich.console import Group, RenderableType

from jobistemer.app.loading import load_app, paused_collection
from jobistemer.cli import diff_tables
from jobistemer.cli.session import Session, json_option, one_line_errors, with_server
from jobistemer.control.definitions import Registration
from jobistemer.control.deploy import DeployPlan, DeployStep, JobPlan, apply_deploy, plan_deploy
from jobistemer.control.jobs import JobControl
from jobistemer.core.jobs.job import Job
from jobistemer.terminal import tables

EXIT_PENDING: Final = 4
"""The exit code of --dry-run when changes are pending."""
EXIT_OLDER: Final = 3
"""The exit code of --keep-newer when a newer release has registered some of the jobs."""
MOST_SHOWN: Final = 10
"""How many jobs of each kind are shown without --verbose."""
_STEP_WORDS: Final = {
    DeployStep.ADD: "new jobs",
    DeployStep.CHANGE: "that change",
    DeployStep.WAIT: "whose change waits for its time",
    DeployStep.LEAVE: "that stay (--keep-newer)",
    DeployStep.DROP: "whose waiting change is taken back",
    DeployStep.REMOVE: "no longer declared",
}
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
    "--dry-run", is_flag=True, help="Show the plan, and change nothing; exit code 4 when changes are pending."
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation on a terminal.")
@click.option("--remove", is_flag=True, help="Remove the jobs that this app deployed before and no longer declares.")
@click.option(
    "--keep-newer",
    is_flag=True,
    help="Leave jobs that a newer release has registered; for processes that deploy when they start. Then exit code 3.",
)
@click.option("--force", is_flag=True, help="Apply changes now, outside their window too.")
@click.option("--verbose", "-v", is_flag=True, help=f"Show every job, not only the first {MOST_SHOWN} of each kind.")
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
    verbose: bool,
    as_json: bool,
) -> None:
    """Register the jobs of an app: new jobs are created, changed jobs get a new version, the others stay.

    The last word holds: an earlier definition that is deployed again becomes the next version. The plan is shown first:
    fields that change, and fire times that appear or vanish within 30 days. Of many jobs the first are shown and the
    others counted. Exit codes: 0 applied or nothing to do, 1 failed or declined, 2 a wrong value, 3 a newer release
    stays (--keep-newer), 4 changes are pending (--dry-run).
    """
    loaded = load_app(app, url, namespace)
    session = Session(loaded.namespace, as_json=as_json)
    with paused_collection():
        declared = loaded.jobs()
        plan = plan_deploy(loaded.namespace, declared, loaded.owner, force=force, keep_newer=keep_newer)
    changes = (DeployStep.ADD, DeployStep.CHANGE, DeployStep.DROP)
    pending = bool(plan.with_step(*changes, DeployStep.REMOVE) if remove else plan.with_step(*changes))
    if not as_json:
        most = None if verbose else MOST_SHOWN
        tables.print_renderable(render_plan(plan, session.now_ms, remove=remove, most=most))
    if pending and not dry_run and not yes and not as_json and sys.stdin.isatty():
        click.confirm("Apply this?", abort=True)
    applied = [] if dry_run else _apply(loaded.control, plan, declared, remove=remove)
    # The plan has counted the unchanged ones.
    if as_json or (verbose and applied) or any(each.word != "UNCHANGED" for each in applied):
        answer = {"plan": plan.jobs, "applied": [each._asdict() for each in applied]} if as_json else {}
        session.print_answer(answer, lambda: _render_applied(applied, None if verbose else MOST_SHOWN))
    if pending and dry_run:
        raise click.exceptions.Exit(EXIT_PENDING)
    if any(each.word == "OLDER" for each in applied):
        raise click.exceptions.Exit(EXIT_OLDER)


def _apply(control: JobControl, plan: DeployPlan, declared: Sequence[Job], *, remove: bool) -> list[Registration]:
    # Where nothing had to be done a moment ago nobody was asked for a confirmation, so the jobs are not read again.
    return plan.list_unchanged() if plan.is_applied else apply_deploy(control, plan, declared, remove=remove)


def render_plan(plan: DeployPlan, now_ms: int, *, remove: bool, most: int | None = None) -> RenderableType:
    """Build the text of a plan; unchanged jobs are only counted.

    most: how many jobs are shown of each step; the others are counted. None for all.
    """
    if not plan.jobs:
        return "this app declares no jobs; its tasks can be enqueued all the same"
    parts: list[RenderableType] = []
    counts = Counter[DeployStep]()
    for each in plan.jobs:
        counts[each.step] += 1
        if each.step in _STEP_HEADINGS and (most is None or counts[each.step] <= most):
            parts += _render_job(each, now_ms, remove=remove)
    for step, word in _STEP_WORDS.items():
        if most is not None and counts[step] > most:
            parts.append(tables.multiline(f"… and {counts[step] - most:,} more {word}; --verbose shows them"))
    if counts[DeployStep.KEEP]:
        parts.append(tables.multiline(f"{counts[DeployStep.KEEP]:,} unchanged"))
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


def _render_applied(applied: list[Registration], most: int | None) -> RenderableType:
    """Build the table of what was done, and its sum. most: how many jobs are shown of each kind, None for all."""
    counts, rows = Counter[str](), []
    for each in applied:
        counts[each.word] += 1
        if most is None or (each.word != "UNCHANGED" and counts[each.word] <= most):
            rows.append((each.job, tables.style_state(each.word), each.version))
    total = tables.multiline(", ".join(f"{count:,} {word.lower()}" for word, count in sorted(counts.items())))
    return Group(tables.table(("job", "deployed as", "version"), rows), total) if rows else total
