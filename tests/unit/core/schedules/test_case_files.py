"""The tables of facts, each line of which is a test; see cases/."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron, Interval, describe, parse_schedule
from jobistemer.core.schedules.cron_parser import read_cron
from tests.unit.core.schedules.case_files import cases

BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)

POSITION = {"minute": 1, "hour": 2, "day of month": 3, "month": 4, "day of week": 5}


def fields_with(field, text):
    """Read an expression in which only one field is not a star; `second` and `year` need more fields."""
    fields = ["*"] * 7
    fields[{"second": 0, "year": 6, **POSITION}[field]] = text
    return read_cron(" ".join(fields))


@pytest.mark.parametrize(("field", "text", "values"), cases("cron_fields"))
def test_a_field_names_these_values(field, text, values):
    read = fields_with(field, text)
    named = {
        "second": read.seconds,
        "minute": read.minutes,
        "hour": read.hours,
        "day of month": read.day_of_month.days,
        "month": read.months,
        "day of week": read.day_of_week.weekdays,
        "year": read.years,
    }[field]
    assert list(named) == [int(value) for value in values.split()]


@pytest.mark.parametrize(("by_date", "by_weekday", "month", "days"), cases("cron_days"))
def test_these_days_of_a_month_match(by_date, by_weekday, month, days):
    first = datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
    following = (
        first.replace(month=first.month + 1) if first.month < 12 else first.replace(year=first.year + 1, month=1)
    )
    due = Cron(f"30 12 {by_date} * {by_weekday}").between(first, following)
    assert [instant.day for instant in due] == [int(day) for day in days.split()]


@pytest.mark.parametrize(("expression", "after", "following"), cases("cron_next"))
def test_these_instants_follow(expression, after, following):
    schedule = Cron(expression)
    instant = datetime.fromisoformat(f"{after}+00:00")
    for expected in following.split(", "):
        instant = schedule.next_after(instant)
        assert str(instant).removesuffix("+00:00").replace("None", "never") == expected


@pytest.mark.parametrize(("expression", "message"), cases("cron_refused"))
def test_this_expression_is_refused_with_this_message(expression, message):
    with pytest.raises(InvalidSchedule) as refusal:
        Cron(expression.strip('"'))
    assert message in str(refusal.value)
    assert expression.strip('"') in str(refusal.value)


@pytest.mark.parametrize(("zone", "dst", "expression", "window", "due"), cases("daylight_saving"))
def test_around_this_change_of_the_clock_these_instants_are_due(zone, dst, expression, window, due):
    start, end = (datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)) for text in window.split(" .. "))
    schedule = Cron(expression, timezone=zone, dst=dst)
    found = [local(instant, zone)[5:] for instant in schedule.between(start, end)]
    assert found == ([] if due == "never" else due.split(", "))


@pytest.mark.parametrize(("zone", "text", "due"), cases("iso8601"))
def test_this_interval_is_due_at_these_instants(zone, text, due):
    expected = due.split(", ")
    instants = Interval(text, timezone=zone).between(BEGINNING, datetime(2100, 1, 1, tzinfo=UTC))
    found = [local(instant, zone) for instant in islice(instants, len(expected))]
    if expected[-1] == "…":
        assert found[:-1] == expected[:-1]
        assert len(found) == len(expected)
    else:
        assert found == expected
        assert next(instants, None) is None or zone == "Pacific/Apia"


@pytest.mark.parametrize(("text", "message"), cases("iso8601_refused"))
def test_this_interval_is_refused_with_this_message(text, message):
    with pytest.raises(InvalidSchedule) as refusal:
        Interval(text.strip('"'))
    assert message in str(refusal.value)


@pytest.mark.parametrize(("text", "words"), cases("describe"))
def test_this_schedule_is_described_in_these_words(text, words):
    assert describe(parse_schedule(text)) == words


def local(instant, zone):
    text = instant.astimezone(ZoneInfo(zone)).isoformat()
    return text if instant.second else text[:16] + text[19:]
