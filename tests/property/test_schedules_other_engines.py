"""Agreement with cronsim and croniter where both apply; where they do not, the reason.

cronsim 2.8 differs, and is left aside, where
- a clock changes by no whole hour, or not on one: it rolls hour by hour and is late (Pyongyang 2015, Casey 2020);
- midnight does not exist, and an interval expression is due on that day: it gives the first instant after
  the gap though its clock does not match (Stanley 1983-05-01);
- six fields are used in a zone: it does not apply Debian's rule to them, the specification does;
- a question begins inside a second pass: it answers with instants before the question;
- a lost time and a regular one fall together after a gap: it gives the instant twice, a set has it once;
- a range of one value has a step: `5-5/2` is read as `5/2`, here it is 5;
- a day of week has a step without a range: `5/1` goes on to 7, Sunday, here to the end of the week, 6;
- `?`, `nW`, the year, the @ names and names with L: it does not know them.

croniter 7.0.0 is asked in UTC only, and differs, and is left aside, where
- it is given a zone: twice in overlaps, once more after gaps, and changes that are no whole hours are missed;
- a range has one value, `5-5`: it is read as the whole field;
- both day fields are restricted and one begins with a star: it takes either, Vixie takes both;
- a step is larger than its range, such as `0-1/5`: it is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron
from tests.property import brute_force
from tests.property.expressions import expressions
from tests.support.parts import examples

SECOND_OPINIONS = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
moments = st.integers(0, brute_force.LAST - brute_force.DAY * 3000).map(
    lambda unix: datetime(1970, 1, 2, tzinfo=UTC) + timedelta(seconds=unix)
)
RANGE_OF_ONE = re.compile(r"(\d+)-\1(?!\d)")
STEPPED_WEEKDAY = re.compile(r"(^|,)\d/\d+$")


def cron(expression, zone="UTC"):
    try:
        return Cron(expression.text, timezone=zone)
    except InvalidSchedule:
        assume(False)


def readable_by_cronsim(text):
    return not RANGE_OF_ONE.search(text) and not any(
        STEPPED_WEEKDAY.search(item) for item in text.split()[-1].split(",")
    )


@SECOND_OPINIONS
@given(st.booleans().flatmap(lambda seconds: expressions(with_seconds=seconds)), moments)
def test_cronsim_agrees_in_utc(expression, moment):
    assume(readable_by_cronsim(expression.text))
    schedule = cron(expression)
    expected = list(islice(CronSim(expression.text, moment), 4))
    found = list(islice(schedule.between(moment, datetime(9999, 1, 1, tzinfo=UTC)), 4))
    assert found == expected


@st.composite
def days_before_a_change(draw):
    zone = draw(st.sampled_from([zone for zone in brute_force.ZONES if brute_force.changes(zone)]))
    change = draw(st.sampled_from(brute_force.changes(zone)))
    return zone, datetime.fromtimestamp(change - brute_force.DAY, UTC)


@SECOND_OPINIONS
@given(expressions(), days_before_a_change())
def test_cronsim_agrees_in_a_zone_across_a_change_of_the_clock(expression, place):
    zone, start = place
    assume(readable_by_cronsim(expression.text))
    schedule = cron(expression, zone)
    end = start + timedelta(days=2)
    changed = [brute_force.offset_at(zone, int(moment.timestamp())) for moment in (start, end)]
    clock = int(start.timestamp()) + changed[0]
    assume((changed[1] - changed[0]) % 3600 == 0 == clock % 3600)
    midnight = clock % brute_force.DAY == 0
    assume(not (expression.follows_elapsed_time and midnight and changed[1] > changed[0]))
    local = start.astimezone(ZoneInfo(zone))
    expected = []
    for moment in islice(CronSim(expression.text, local), 3000):
        if moment.astimezone(UTC) > end:
            break
        expected.append(moment.astimezone(UTC))
    assert list(schedule.between(start, end)) == sorted(set(expected))


def readable_by_croniter(expression):
    _, _, day, _, weekday = expression.text.split()
    starred = day.startswith("*") or weekday.startswith("*")
    return (
        not RANGE_OF_ONE.search(expression.text)
        and not (starred and "*" not in {day, weekday})
        and not any(is_step_too_wide(item) for item in re.split(r"[ ,]", expression.text))
    )


def is_step_too_wide(item):
    match = re.fullmatch(r"(\d+)-(\d+)/(\d+)", item)
    return match is not None and int(match[3]) > int(match[2]) - int(match[1])


@SECOND_OPINIONS
@given(expressions(), moments)
def test_croniter_agrees_in_utc_on_what_it_reads_right(expression, moment):
    assume(readable_by_croniter(expression))
    schedule = cron(expression)
    walker = croniter(expression.text, moment, max_years_between_matches=200)
    expected = [walker.get_next(datetime) for _ in range(4)]
    assert list(islice(schedule.between(moment, datetime(9999, 1, 1, tzinfo=UTC)), 4)) == expected
