"""L, LW, nW, dL and d#n against their definitions, spelt out day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice

from cronsim import CronSim
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron
from tests.support.parts import examples

DEFINED = settings(max_examples=examples(200), deadline=None)
DAY = timedelta(days=1)

months = st.tuples(st.integers(1970, 2099), st.integers(1, 12))
day_letters = st.one_of(st.sampled_from(["L", "LW"]), st.integers(1, 31).map("{}W".format), st.integers(1, 31).map(str))
weekday_letters = st.one_of(
    st.integers(0, 7).map("{}L".format),
    st.builds("{}#{}".format, st.integers(0, 7), st.integers(1, 5)),
    st.integers(0, 6).map(str),
)


def days_of(year, month):
    day = date(year, month, 1)
    while day.month == month:
        yield day
        day += DAY


def is_weekday(day):
    return day.isoweekday() <= 5


def is_last(day):
    return (day + DAY).month != day.month


def matches_date(letters, day):
    if letters == "L":
        return is_last(day)
    if letters == "LW":
        later = [other for other in days_of(day.year, day.month) if other > day]
        return is_weekday(day) and not any(is_weekday(other) for other in later)
    number = int(letters.rstrip("W"))
    if not letters.endswith("W"):
        return day.day == number
    targets = [other for other in days_of(day.year, day.month) if other.day == number]
    candidates = [other for other in days_of(day.year, day.month) if is_weekday(other)]
    return any(day == min(candidates, key=lambda other: abs(other - target)) for target in targets)


def matches_weekday(letters, day):
    weekday = int(letters[0]) % 7
    if day.isoweekday() % 7 != weekday:
        return False
    if letters.endswith("L"):
        return (day + 7 * DAY).month != day.month
    return "#" not in letters or (day.day + 6) // 7 == int(letters[2])


def due_days(expression, year, month):
    start = datetime(year, month, 1, tzinfo=UTC) - timedelta(seconds=1)
    end = start + timedelta(days=sum(1 for _ in days_of(year, month)))
    try:
        return [instant.date() for instant in Cron(expression).between(start, end)]
    except InvalidSchedule:
        return assume(False)


@DEFINED
@given(day_letters, months)
def test_letters_of_the_day_of_month_mean_their_definition(letters, month):
    expected = [day for day in days_of(*month) if matches_date(letters, day)]
    assert due_days(f"0 0 {letters} * *", *month) == expected
    assert due_days(f"0 0 0 {letters} * ? {month[0]}", *month) == expected


@DEFINED
@given(weekday_letters, months)
def test_letters_of_the_day_of_week_mean_their_definition(letters, month):
    expected = [day for day in days_of(*month) if matches_weekday(letters, day)]
    assert due_days(f"0 0 * * {letters}", *month) == expected
    assert due_days(f"0 0 0 ? * {letters} {month[0]}", *month) == expected


@DEFINED
@given(day_letters, weekday_letters, months)
def test_with_both_day_fields_restricted_either_matches(by_date, by_weekday, month):
    expected = [day for day in days_of(*month) if matches_date(by_date, day) or matches_weekday(by_weekday, day)]
    assert due_days(f"0 0 {by_date} * {by_weekday}", *month) == expected


@DEFINED
@given(day_letters.filter(lambda letters: letters == "LW" or "W" not in letters), weekday_letters, months)
def test_cronsim_agrees_on_the_letters_that_it_knows(by_date, by_weekday, month):
    start = datetime(*month, 1, tzinfo=UTC)
    expression = f"0 0 {by_date} * {by_weekday}"
    found = islice(Cron(expression).between(start, datetime(9000, 1, 1, tzinfo=UTC)), 5)
    assert list(found) == list(islice(CronSim(expression, start), 5))
