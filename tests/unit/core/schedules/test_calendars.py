"""Calendars exclude instants by the local date, by stretches of time, by a cron expression."""

from __future__ import annotations

import builtins
from datetime import UTC, date, datetime

import msgspec
import pytest

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import (
    AnyCalendar,
    Blackout,
    CronExclusion,
    Dates,
    Holidays,
    Window,
    parse_calendar,
)
from jobistemer.core.schedules.calendars import _holidays


def instant(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


CLOSED = Dates("closed", (date(2026, 12, 31), date(2026, 12, 24)), "Europe/Berlin")
BAVARIA = Holidays("Bavaria", "DE", "BY", "Europe/Berlin")
WEEKEND = Blackout("move", (Window(instant("2026-05-01T18:00"), instant("2026-05-04T06:00")),))
NIGHT = CronExclusion("night", "* 0-5 * * *", "Europe/Berlin")


@pytest.mark.parametrize(
    ("calendar", "moment", "excluded"),
    [
        (CLOSED, "2026-12-23T22:59:59", False),
        (CLOSED, "2026-12-23T23:00:00", True),
        (CLOSED, "2026-12-24T22:59:59", True),
        (CLOSED, "2026-12-24T23:00:00", False),
        (CLOSED, "2026-12-31T12:00:00", True),
        (BAVARIA, "2026-12-25T12:00:00", True),
        (BAVARIA, "2026-01-06T12:00:00", True),
        (BAVARIA, "2026-01-05T22:59:59", False),
        (BAVARIA, "2026-01-07T12:00:00", False),
        (Holidays("Germany", "DE"), "2026-01-06T12:00:00", False),
        (Holidays("Germany", "DE"), "2035-10-03T12:00:00", True),
        (WEEKEND, "2026-05-01T17:59:59", False),
        (WEEKEND, "2026-05-01T18:00:00", True),
        (WEEKEND, "2026-05-04T05:59:59", True),
        (WEEKEND, "2026-05-04T06:00:00", False),
        (NIGHT, "2026-07-01T22:00:00", True),
        (NIGHT, "2026-07-01T03:59:59", True),
        (NIGHT, "2026-07-01T04:00:00", False),
        (NIGHT, "2026-07-01T21:59:59", False),
        (CronExclusion("at once", "30 0 12 * * *"), "2026-07-01T12:00:30", True),
        (CronExclusion("at once", "30 0 12 * * *"), "2026-07-01T12:00:31", False),
        # Both passes of an overlap match: an exclusion looks at the clock, it is not due.
        (CronExclusion("half past two", "30 2 * * *", "Europe/Berlin"), "2026-10-25T00:30:00", True),
        (CronExclusion("half past two", "30 2 * * *", "Europe/Berlin"), "2026-10-25T01:30:00", True),
    ],
)
def test_a_calendar_excludes_this_instant_or_not(calendar, moment, excluded):
    assert calendar.excludes(instant(moment)) is excluded


@pytest.mark.parametrize("calendar", [CLOSED, BAVARIA, WEEKEND, NIGHT])
def test_a_calendar_travels_as_an_equal_value(calendar):
    again = msgspec.json.decode(msgspec.json.encode(calendar), type=AnyCalendar)
    assert again == calendar
    assert hash(again) == hash(calendar)


@pytest.mark.parametrize(
    ("text", "calendar"),
    [
        ("DE", Holidays("DE", "DE")),
        ("US-CA", Holidays("US-CA", "US", "CA")),
        ("2026-12-24", Dates("2026-12-24", (date(2026, 12, 24),))),
        ("2026-12-24,2026-12-31", Dates("2026-12-24,2026-12-31", (date(2026, 12, 24), date(2026, 12, 31)))),
        ("* * * * 0,6", CronExclusion("* * * * 0,6", "* * * * 0,6")),
    ],
)
def test_one_line_reads_as_this_calendar(text, calendar):
    assert parse_calendar(text) == calendar


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Holidays("x", "XX"), "country 'XX' is no ISO 3166-1 code"),
        (lambda: Holidays("x", "JAN"), "country 'JAN' is no ISO 3166-1 code"),
        (lambda: Holidays("x", "DE", "ZZ"), "subdivision 'ZZ' of 'DE' is none of"),
        (lambda: Dates("", ()), "calendar name '' is not text of 1–128 characters"),
        (lambda: Dates("x", ("2026-01-01",)), "are not all dates"),
        (lambda: Dates("x", (), "Mars/Base"), "unknown to the tz database"),
        (lambda: CronExclusion("x", "* * *"), "3 fields given"),
        (lambda: Window(instant("2026-01-02"), instant("2026-01-01")), "is not after its start"),
        (lambda: Window(datetime(2026, 1, 1), instant("2026-01-02")), "has no time zone"),
        (lambda: parse_calendar("2026-13-01"), "'2026-13-01' is neither dates such as .*: month must be in 1..12"),
        (lambda: parse_calendar("2026-02-28,2026-02-29"), "neither dates such as .*: day is out of range for month"),
        (lambda: parse_calendar("2026-05-04T06:00Z/2026-05-01T18:00Z"), "is not after its start"),
        (lambda: parse_calendar("2026-05-01T18:00/2026-05-04T06:00"), "has no time zone"),
        (lambda: parse_calendar("2026-05-01/2026-05-04"), "has no time zone"),
        (lambda: parse_calendar("2026-05-01T18:00Z/2026-05-04T06:00Z/P1D"), "nor a blackout such as"),
        (lambda: parse_calendar("0 0-7 * *"), "4 fields given"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(make, message):
    with pytest.raises(InvalidSchedule, match=message):
        make()


def test_without_the_package_holidays_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def without_holidays(name, *rest):
        if name == "holidays":
            raise ImportError(name)
        return real(name, *rest)

    _holidays.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without_holidays)
    with pytest.raises(InvalidSchedule, match=r"pip install jobistemer\[holidays\]"):
        Holidays("Germany", "DE")
