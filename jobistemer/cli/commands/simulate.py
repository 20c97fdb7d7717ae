"""`jobistemer simulate`: play the schedules of an app before they are deployed anywhere. Needs no server."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Group, RenderableType

from jobistemer.app.loading import load_app
from jobistemer.cli import day_chart
from jobistemer.cli.session import json_option, one_line_errors, print_json
from jobistemer.core.errors import InvalidInput, UnknownJob
from jobistemer.core.jobs.job import Job
from jobistemer.core.planning.simulation import LONGEST_S, JobLoad, Simulation, simulate
from jobistemer.core.schedules import anchored
from jobistemer.core.schedules.instants import LAST_UNIX, instant_at
from jobistemer.core.schedules.iso8601 import read_instant
from jobistemer.core.text import format_duration, pluralize
from jobistemer.terminal import tables

_UNITS: Final = {"s": 1, "min": 60, "m": 60, "h": 3600}


@click.command("simulate")
@click.argument("app", required=False, envvar="JOBISTEMER_APP", metavar="[MODULE:APP]")
@click.option(
    "--from", "since", metavar="INSTANT", help="Instant to begin at, ISO 8601; by default today at midnight (UTC)."
)
@click.option(
    "--days", type=click.IntRange(1, LONGEST_S // 86_400), default=30, show_default=True, help="Days to simulate."
)
@click.option(
    "--duration",
    "durations",
    multiple=True,
    metavar="JOB=30s",
    help="Assumed duration of a job, in s, min or h; by default 60s. May be repeated.",
)
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write a chart of the busiest day to this file."
)
@json_option
@one_line_errors
def simulate_command(
    *, app: str | None, since: str | None, days: int, durations: tuple[str, ...], svg: Path | None, as_json: bool
) -> None:
    """Play the schedules of an app: what fires and overlaps, how many run at a time, what clock changes do."""
    start = _midnight() if since is None else read_instant(since, "UTC")
    jobs = [_anchor_job(job, start) for job in load_app(app, None, None).jobs()]
    if start + days * 86_400 > LAST_UNIX:
        raise InvalidInput(f"--from {since} and --days {days} go beyond the year 9999; begin earlier")
    found = simulate(jobs, _parse_durations(durations, jobs), start, start + days * 86_400)
    if svg is not None:
        _write_chart(svg, found)
    if as_json:
        print_json(found)
        return
    tables.print_renderable(_render_report(found))
    if svg is not None:
        click.echo(f"{svg} shows that day")


def _write_chart(svg: Path, found: Simulation) -> None:
    try:
        svg.write_text(day_chart.render_svg(found), encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"the chart cannot be written: {error}", param_hint="--svg") from None


def _midnight() -> int:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(today.timestamp())


def _anchor_job(job: Job, start: int) -> Job:
    # An interval without an anchor counts from its registration: assume that it was registered at the start.
    return msgspec.structs.replace(job, schedule=anchored(job.schedule, instant_at(start)))


def _parse_durations(given: tuple[str, ...], jobs: list[Job]) -> dict[str, int]:
    known, found = {job.name for job in jobs}, {}
    for text in given:
        name, _, length = text.rpartition("=")
        match = re.fullmatch(r"(\d{1,9})(s|min|m|h)?", length, re.ASCII)
        if match is None or int(match[1]) == 0:
            raise InvalidInput(f"--duration {text!r} is not JOB=LENGTH, such as nightly=30s or nightly=2h")
        if name not in known:
            declared = ", ".join(sorted(known))
            raise UnknownJob(f"--duration {text!r}: this app declares no job {name!r}; it has {declared}")
        found[name] = int(match[1]) * _UNITS[match[2] or "s"]
    return found


def _render_report(found: Simulation) -> RenderableType:
    total, overlaps = sum(load.due for load in found.jobs), sum(load.overlaps for load in found.jobs)
    days = timedelta(seconds=found.end - found.start).days
    begin = f"{pluralize(len(found.jobs), 'job')} from {_format_time(found.start)} UTC, {pluralize(days, 'day')}"
    lines = [
        f"{begin}: {total} due instants, {overlaps} while an earlier occurrence was still running",
        f"at most {found.peak} at a time, first at {_format_time(found.peak_at)} UTC; that day by quarters of an hour:",
        *day_chart.render_strip(found).splitlines(),
    ]
    for event in found.clock_events:
        lines.append(f"{event.change.at:%Y-%m-%d %H:%M:%S} UTC, {event.timezone}: {event.change}")
        lines += [f"    {note}" for note in event.notes]
    return Group(_table(found.jobs), tables.multiline("\n".join(lines)))


def _table(loads: tuple[JobLoad, ...]) -> RenderableType:
    headings = ("job", "due", "run", "skipped", "queued", "replaced", "excluded", "at a time", "assumed")
    rows = [
        (
            each.job,
            each.due,
            each.ran,
            each.skipped,
            each.queued,
            each.replaced,
            each.excluded,
            each.most,
            format_duration(each.duration_s * 1000),
        )
        for each in loads
    ]
    return tables.table(headings, rows)


def _format_time(unix: int) -> str:
    return f"{instant_at(unix):%a %Y-%m-%d %H:%M:%S}"
