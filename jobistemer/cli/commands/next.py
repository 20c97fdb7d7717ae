"""`jobistemer next`: show the next instants of a schedule, before it is deployed anywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Final, get_args
from zoneinfo import ZoneInfo

import click
import msgspec
from rich.console import Console
from rich.table import Table

from jobistemer.cli.beside_croniter import EngineComparison, compare_with_croniter
from jobistemer.cli.session import print_json
from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron, Interval, anchored, describe, parse_calendar, parse_schedule
from jobistemer.core.schedules.clock_changes import ClockChange, describe_shift, find_clock_changes
from jobistemer.core.schedules.instants import instant_at
from jobistemer.core.schedules.iso8601 import read_instant
from jobistemer.core.schedules.walltime import Dst
from jobistemer.core.text import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobistemer.core.schedules import AnyCalendar, AnySchedule

_MAX_COUNT: Final = 10_000
MAX_SHOWN_DIFFERENCES: Final = 20
_LATEST: Final = datetime(9999, 12, 28, tzinfo=UTC)


class NextInstant(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the answer: a due instant, its local time, and a note when it is special."""

    at: datetime
    local: datetime
    note: str = ""
    excluded_by: str | None = None


class NextInstants(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of `--json`."""

    description: str
    timezone: str
    instants: list[NextInstant]
    clock_changes: list[ClockChange]
    beside: EngineComparison | None = None


@click.command("next")
@click.argument("schedule")
@click.option("--timezone", "--tz", "timezone", default="UTC", show_default=True, help="Time zone of the schedule.")
@click.option(
    "-n", "count", type=click.IntRange(1, _MAX_COUNT), default=5, show_default=True, help="How many instants to show."
)
@click.option("--dst", type=click.Choice(get_args(Dst)), help="Policy at a change of the clock, for cron expressions.")
@click.option("--from", "since", metavar="INSTANT", help="Start after this ISO 8601 instant, by default now.")
@click.option(
    "--calendar",
    "calendars",
    multiple=True,
    metavar="CALENDAR",
    help="Mark instants that a calendar excludes: DE, US-CA, dates, a time range, a cron expression; may be repeated.",
)
@click.option(
    "--beside",
    type=click.Choice(["croniter"]),
    help="Compare with another engine over 400 days, and show each instant that only one of the two knows.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def next_command(
    *,
    schedule: str,
    timezone: str,
    count: int,
    dst: Dst | None,
    since: str | None,
    calendars: tuple[str, ...],
    beside: str | None,
    as_json: bool,
) -> None:
    """Show the next instants of SCHEDULE: a cron expression, an ISO 8601 interval or an instant."""
    try:
        start = datetime.now(UTC) if since is None else instant_at(read_instant(since, timezone))
        parsed = _parse_schedule(schedule, timezone, dst, start)
        exclusions = [parse_calendar(text, timezone) for text in calendars]
        answer = find_next_instants(parsed, timezone, start, count, exclusions)
        if beside:
            last = answer.instants[-1].at if answer.instants else start
            answer = msgspec.structs.replace(answer, beside=compare_with_croniter(parsed, start, last))
    except InvalidSchedule as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json(answer)
    else:
        Console().print(_table(answer))
        if answer.beside is not None:
            _print_comparison(answer.beside, ZoneInfo(timezone))


def find_next_instants(
    schedule: AnySchedule, timezone: str, start: datetime, count: int, calendars: list[AnyCalendar]
) -> NextInstants:
    """Find the next `count` instants after `start`, with the clock changes among them."""
    zone = ZoneInfo(timezone)
    instants = [
        NextInstant(
            instant,
            instant.astimezone(zone),
            describe_shift(schedule, instant, timezone),
            next((calendar.name for calendar in calendars if calendar.excludes(instant)), None),
        )
        for instant in islice(schedule.between(start, _LATEST), count)
    ]
    changes = _find_clock_changes([upcoming.at for upcoming in instants], timezone)
    return NextInstants(describe(schedule), timezone, instants, changes)


def _parse_schedule(text: str, timezone: str, dst: Dst | None, start: datetime) -> AnySchedule:
    schedule = parse_schedule(text, timezone)
    if dst is not None:
        if not isinstance(schedule, Cron):
            raise InvalidSchedule(f"--dst is for cron expressions, and {text!r} is not one")
        schedule = msgspec.structs.replace(schedule, dst=dst)
    if isinstance(schedule, Interval):
        schedule = anchored(schedule, start)
    return schedule


def _find_clock_changes(instants: list[datetime], timezone: str) -> list[ClockChange]:
    """Find the clock changes between neighbouring instants that are near enough to be affected."""
    pairs = pairwise(instants)
    return list(chain.from_iterable(find_clock_changes(timezone, first, second) for first, second in pairs))


def _table(answer: NextInstants) -> Table:
    table = Table(title=answer.description, title_justify="left", box=None, pad_edge=False)
    table.add_column(f"local ({answer.timezone})", no_wrap=True)
    table.add_column("UTC", no_wrap=True)
    table.add_column("")
    for row in _rows(answer):
        table.add_row(*row)
    return table


def _print_comparison(found: EngineComparison, zone: ZoneInfo) -> None:
    if found.error:
        click.echo(f"\n{found.error}")
        return
    until = f"{found.compared:,} instants until {found.until:%Y-%m-%d %H:%M:%S} UTC"
    if not found.differences:
        click.echo(f"\ncroniter is due at the same instants: {until} compared")
        return
    click.echo(f"\n{pluralize(len(found.differences), 'difference')} to croniter in {until}:")
    for each in found.differences[:MAX_SHOWN_DIFFERENCES]:
        click.echo(f"  {each.at.astimezone(zone):%a %Y-%m-%d %H:%M:%S %z}  due in {each.only_in} only")
    if len(found.differences) > MAX_SHOWN_DIFFERENCES:
        click.echo(f"  and {len(found.differences) - MAX_SHOWN_DIFFERENCES:,} more; --json lists all")


def _rows(answer: NextInstants) -> Iterator[tuple[str, str, str]]:
    if not answer.instants:
        yield "never", "", "no instant is due after this"
    changes = iter(answer.clock_changes)
    change = next(changes, None)
    for upcoming in answer.instants:
        while change is not None and change.at <= upcoming.at:
            yield "—", f"[yellow]{change.at:%Y-%m-%d %H:%M:%S}[/]", f"[yellow]{change}[/]"
            change = next(changes, None)
        excluded = f"[red]skipped: {upcoming.excluded_by}[/]" if upcoming.excluded_by else ""
        note = f"[yellow]{upcoming.note}[/]" if upcoming.note else ""
        local = f"{upcoming.local:%a %Y-%m-%d %H:%M:%S %z}"
        yield local, f"{upcoming.at:%Y-%m-%d %H:%M:%S}", " ".join(filter(None, (note, excluded)))
