"""`jobistemer stats`: how many runs wait, run, and have ended."""

from __future__ import annotations

import click
from rich.console import RenderableType

from jobistemer.cli.session import Session, with_session
from jobistemer.control.stats import read_stats
from jobistemer.core.reads.stats import Stats
from jobistemer.core.schedules.iso8601 import read_instant
from jobistemer.terminal import tables


@click.command("stats")
@click.option("--queue", default="", metavar="NAME", help="Only runs of this queue.")
@click.option("--task", default="", metavar="NAME", help="Only runs of this task.")
@click.option(
    "--since", metavar="INSTANT", help="Count ends from this day (UTC) on, ISO 8601; by default all that are kept."
)
@with_session
def stats_command(session: Session, *, queue: str, task: str, since: str | None) -> None:
    """Show how many runs are pending, running and delayed, and how many ended how, and since when.

    Ends are counted for each day (UTC), where they are recorded, and kept for 31 days.
    """
    since_ms = 0 if since is None else read_instant(since, "UTC") * 1000
    stats = read_stats(session.namespace.shards, queue, task, since_ms)
    numbers = {"completed": stats.completed, "failed": stats.failed, "dead": stats.dead, "canceled": stats.canceled}
    now = {"pending": stats.pending, "running": stats.running, "delayed": stats.delayed}
    answer = {**now, **numbers, "ended": stats.ended, "since": stats.since, "exact": stats.exact}
    session.print_answer(answer, lambda: _table(stats, now, numbers))


def _table(stats: Stats, now: dict[str, int], numbers: dict[str, int]) -> RenderableType:
    at_least = "" if stats.exact else " at least"
    rows = [(name, f"{count:,}{at_least}") for name, count in now.items()]
    rows += [(name, f"{count:,}") for name, count in numbers.items()]
    return tables.properties([*rows, ("ended since (UTC)", tables.format_utc(int(stats.since.timestamp())))])
