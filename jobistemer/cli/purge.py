"""`jobistemer purge`: delete records by hand, before their retention is over."""

from __future__ import annotations

import re
from typing import Any, Final

import click

from jobistemer.cli.author_option import by_option
from jobistemer.cli.session import Session, with_session
from jobistemer.control.purge_runs import PURGED_STATES, purge_runs
from jobistemer.core.states import TERMINAL_RUNS
from jobistemer.terminal import tables

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Age(click.ParamType[float]):
    """A number and a unit, such as 30d or 90m, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds. Fails for a text that is no number and unit."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"([0-9]{1,9})([smhdw])", str(value))
        if match is None:
            self.fail(f"{value!r} is no age; give a number and a unit (s, m, h, d, w), such as 30d", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.group("purge")
def purge_group() -> None:
    """Delete records of ended runs before their retention is over.

    Queues, dead letters and the quarantine have a purge of their own.
    """


@purge_group.command("runs")
@click.option("--older-than", type=Age(), required=True, metavar="AGE", help="Ended longer ago than this: 30d, 12h.")
@click.option(
    "--state",
    "states",
    type=click.Choice(sorted(map(str, TERMINAL_RUNS))),
    multiple=True,
    help="Only this state; may be repeated. By default all but dead.",
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@by_option
@with_session
def runs_command(
    session: Session, *, older_than: float, states: tuple[str, ...], dry_run: bool, yes: bool, by: str | None
) -> None:
    """Delete the runs that ended long ago, with their attempts, logs, steps and results.

    Dead letters (dead or timed out) are deleted only with --state dead. What has not ended stays, and so does what
    belongs to an occurrence that has not ended. The keys are read 1,000 at a time and deleted 100 at a time.
    """
    chosen = states or PURGED_STATES
    if not (dry_run or yes):
        click.confirm(f"Delete runs that are {', '.join(chosen)} for good?", abort=True, err=True)
    found = purge_runs(session.namespace, older_than, chosen, dry_run=dry_run, by=by)
    answer = {"purged": 0 if dry_run else sum(found.values()), "found": found, "dry_run": dry_run}
    listed = ", ".join(f"{count:,} {state}" for state, count in found.items())
    verb = "would be purged" if dry_run else "purged"
    session.print_answer(answer, lambda: tables.cell(f"{listed or 'no run'} {verb}"))
