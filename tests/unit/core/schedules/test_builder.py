"""Schedules in words end in an ordinary schedule, which `do` hands to the app."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron, EveryBuilder, Interval, Once, at


def register(schedule):
    return lambda task, **options: (schedule, task, options)


def every(count=1, timezone="UTC"):
    return EveryBuilder(register, count, timezone)


@pytest.mark.parametrize(
    ("built", "schedule"),
    [
        (every(30).seconds, Interval("PT30S")),
        (every(5).minutes, Interval("PT5M")),
        (every().minute, Interval("PT1M")),
        (every(6).hours, Interval("PT6H")),
        (every().day, Interval("P1D")),
        (every(3).days, Interval("P3D")),
        (every(2).weeks, Interval("P2W")),
        (every().month, Interval("P1M")),
        (every(2).years, Interval("P2Y")),
        (every(timezone="Asia/Tokyo").day, Interval("P1D", timezone="Asia/Tokyo")),
        (every().day.at("14:30"), Cron("30 14 * * *")),
        (every().day.at("02:30:15"), Cron("15 30 2 * * *")),
        (every().hour.at(":45"), Cron("45 * * * *")),
        (every().monday, Cron("0 0 * * MON")),
        (every().monday.at("09:00"), Cron("0 9 * * MON")),
        (every().sunday.at("9:05"), Cron("5 9 * * SUN")),
        (every().day.at("14:30", "Europe/Berlin"), Cron("30 14 * * *", timezone="Europe/Berlin")),
        (every(timezone="Asia/Tokyo").friday.at("18:00"), Cron("0 18 * * FRI", timezone="Asia/Tokyo")),
        (at(datetime(2026, 1, 1, tzinfo=UTC), register), Once("2026-01-01T00:00:00Z")),
        (at("2026-01-01T00:00:00", register, "Asia/Tokyo"), Once("2026-01-01T00:00:00", "Asia/Tokyo")),
    ],
)
def test_words_build_this_schedule(built, schedule):
    assert built.schedule == schedule


def test_do_hands_schedule_task_and_options_to_the_app():
    assert every(5).minutes.do(print, queue="low") == (Interval("PT5M"), print, {"queue": "low"})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: every(0), r"every\(0\) is not a whole number in 1–999999"),
        (lambda: every(-5), "is not a whole number"),
        (lambda: every(1.5), "is not a whole number"),
        (lambda: every(True), "is not a whole number"),
        (lambda: every(2).monday, "write Interval"),
        (lambda: every(3).days.at("14:30"), "write Interval"),
        (lambda: every().week.at("14:30"), "needs every"),
        (lambda: every().day.at("25:00"), "time of day '25:00' is not HH:MM"),
        (lambda: every().day.at("14.30"), "time of day"),
        (lambda: every().hour.at("30"), "minute of the hour '30' is not :MM"),
        (lambda: every().monday.at(":30"), "time of day"),
        (lambda: every(timezone="Mars/Base").day, "unknown to the tz database"),
        (lambda: at(datetime(2026, 1, 1), register), "no time zone"),
    ],
)
def test_words_that_make_no_sense_are_refused(build, message):
    with pytest.raises(InvalidSchedule, match=message):
        build()
