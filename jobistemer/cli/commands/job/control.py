"""`jobistemer job pause`, `resume`, `trigger` and `remove`: control a job."""

from __future__ import annotations

import click

from jobistemer.cli.author_option import by_option
from jobistemer.cli.session import Session, with_session
from jobistemer.control.jobs import JobControl
from jobistemer.core.schedules.iso8601 import read_moment
from jobistemer.core.states import OccurrenceState
from jobistemer.core.text import pluralize
from jobistemer.terminal import tables

_FIRED_STATES = (OccurrenceState.PENDING, OccurrenceState.QUEUED)


@click.command("pause")
@click.argument("name")
@by_option
@click.option("--note", default="", help="Reason, shown in the history of the job.")
@click.option(
    "--until",
    metavar="INSTANT",
    help="End the pause at this ISO 8601 instant, UTC unless it has an offset; by default `resume` ends it.",
)
@with_session
def pause_command(session: Session, name: str, note: str, until: str | None, by: str | None) -> None:
    """Pause a job: its due instants are recorded as skipped."""
    ends = read_moment(until, "UTC") if until else None
    JobControl(session.namespace, by).pause(name, note, ends)
    session.print_answer({"job": name, "paused": True, "until": ends}, lambda: tables.cell(f"{name} is paused"))


@click.command("resume")
@click.argument("name")
@by_option
@with_session
def resume_command(session: Session, name: str, by: str | None) -> None:
    """End the pause of a job."""
    JobControl(session.namespace, by).resume(name)
    session.print_answer({"job": name, "paused": False}, lambda: tables.cell(f"{name} is not paused"))


@click.command("trigger")
@click.argument("name")
@by_option
@with_session
def trigger_command(session: Session, name: str, by: str | None) -> None:
    """Fire a job now, in addition to its schedule; its overlap policy applies.

    Exit code 1 when the occurrence was skipped.
    """
    occurrence, state = JobControl(session.namespace, by).trigger(name)
    fired = {"job": name, "occurrence": occurrence, "state": state}
    session.print_answer(fired, lambda: tables.cell(f"{occurrence} is {state}"))
    if state not in _FIRED_STATES:
        raise click.exceptions.Exit(1)


@click.command("remove")
@click.argument("name", required=False)
@click.option("--prefix", default="", help="Remove all jobs whose names begin so.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation of --prefix.")
@by_option
@with_session
def remove_command(session: Session, *, name: str | None, prefix: str, yes: bool, by: str | None) -> None:
    """Remove a job, or all jobs with a prefix: nothing of them fires any more.

    Occurrences that are running come to their end, and the history expires by itself. `deploy` registers the job again.
    """
    if bool(name) == bool(prefix):
        raise click.UsageError("give the NAME of a job, or --prefix for all whose names begin so")
    if name is None:
        _remove_all(session, prefix, by, yes=yes)
        return
    JobControl(session.namespace, by).remove(name)
    session.print_answer({"job": name, "removed": True}, lambda: tables.cell(f"{name} is removed"))


def _remove_all(session: Session, prefix: str, by: str | None, *, yes: bool) -> None:
    control = JobControl(session.namespace, by)
    if not yes:
        total = control.list(prefix, limit=1).total
        click.confirm(f"Remove {pluralize(total, 'job')} whose names begin with {prefix}?", abort=True, err=True)
    removed = control.remove_all(prefix)
    session.print_answer(
        {"prefix": prefix, "removed": removed}, lambda: tables.cell(f"{pluralize(removed, 'job')} removed")
    )
