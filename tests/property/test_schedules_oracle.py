"""Cron in time zones against a brute-force walk of the clock, at the changes where schedulers go wrong."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron
from tests.property import brute_force
from tests.property.brute_force import DAY, ZONES
from tests.property.expressions import DST, expressions
from tests.support.parts import examples

SLOW = settings(max_examples=examples(120, 12), deadline=None, suppress_health_check=list(HealthCheck))


def cron(expression, zone, dst):
    try:
        return Cron(expression.text, timezone=zone, dst=dst)
    except InvalidSchedule:
        assume(False)  # a date that no year has


def agree(expression, zone, around, dst, *, reach, step):
    """Compare on (around - reach, around + reach], having walked a margin more on both sides."""
    margin = 30 * 3600 if reach > DAY else 3 * 3600
    walked = brute_force.walk(zone, around - reach - margin, around + reach + margin, step)
    expected = [unix for unix in brute_force.due(expression, walked, dst) if around - reach < unix <= around + reach]
    schedule = cron(expression, zone, dst)
    assert list(schedule.unix_between(around - reach, around + reach)) == expected
    forwards, backwards = [], []
    unix = schedule.next_unix(around - reach)
    while unix is not None and unix <= around + reach:
        forwards.append(unix)
        unix = schedule.next_unix(unix)
    unix = schedule.previous_unix(around + reach + 1)
    while unix is not None and unix > around - reach:
        backwards.append(unix)
        unix = schedule.previous_unix(unix)
    assert forwards == expected
    assert backwards[::-1] == expected


@st.composite
def clock_changes(draw):
    zone = draw(st.sampled_from([zone for zone in ZONES if brute_force.changes(zone)]))
    return zone, draw(st.sampled_from(brute_force.changes(zone)))


def whole_minutes(zone, around):
    return all(brute_force.offset_at(zone, around + side) % 60 == 0 for side in (-1, 0)) and around % 60 == 0


@SLOW
@given(clock_changes(), expressions(), DST)
def test_minutes_around_a_clock_change_are_those_of_a_walk_of_the_clock(change, expression, dst):
    zone, around = change
    assume(whole_minutes(zone, around))
    agree(expression, zone, around, dst, reach=36 * 3600, step=60)


@settings(SLOW, max_examples=examples(40))
@given(clock_changes(), expressions(with_seconds=True), DST)
def test_seconds_around_a_clock_change_are_those_of_a_walk_of_the_clock(change, expression, dst):
    zone, around = change
    assume(abs(brute_force.offset_at(zone, around) - brute_force.offset_at(zone, around - 1)) <= 7200)
    agree(expression, zone, around, dst, reach=3600, step=1)


@settings(SLOW, max_examples=examples(40))
@given(st.sampled_from(ZONES), st.integers(brute_force.FIRST, brute_force.LAST // 60), expressions(), DST)
def test_any_day_of_any_zone_is_that_of_a_walk_of_the_clock(zone, minute, expression, dst):
    around = minute * 60
    assume(all(brute_force.offset_at(zone, around + DAY * days) % 60 == 0 for days in (-3, 3)))
    agree(expression, zone, around, dst, reach=36 * 3600, step=60)


TELLING = [
    "30 2 * * *", "0 0 * * *", "*/20 * * * *", "15,45 0-3 * * *", "0 * * * *", "0 12 * * *", "59 23 * * *",
    "*/7 1-4 * * *", "5/10 0,1,2,3 * * *", "0 0 1 * *", "17 */2 * * 1-5",
]  # fmt: skip


# How many changes of each zone are walked; TEST_BUDGET=full walks all, some 9,600 in two and a half minutes.
BUDGET = None if os.environ.get("TEST_BUDGET") == "full" else 8


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("zone", ZONES)
def test_the_clock_changes_of_a_zone_from_1970_to_2100_are_those_of_a_walk_of_the_clock(zone):
    choice = random.Random(zone)
    every = [around for around in brute_force.changes(zone) if whole_minutes(zone, around)]
    for around in choice.sample(every, min(len(every), BUDGET or len(every))):
        text, dst = choice.choice(TELLING), choice.choice(["shift", "shift", "skip", "first", "both"])
        agree(_written(text), zone, around, dst, reach=26 * 3600, step=60)


def _written(text):
    """Give the meaning of one of the few forms above, by reading each field the naive way."""
    minute, hour, day, _, weekday = text.split()
    return brute_force.Expression(
        text=text,
        seconds=frozenset({0}),
        minutes=_naive(minute, range(60)),
        hours=_naive(hour, range(24)),
        days=_naive(day, range(1, 32)),
        months=frozenset(range(1, 13)),
        weekdays=_naive(weekday, range(7)),
        either_day=False,
        follows_elapsed_time=minute[0] == "*" or hour[0] == "*",
    )


def _naive(text, values):
    named = set()
    for item in text.split(","):
        body, _, step = item.partition("/")
        if body == "*":
            low, high = values[0], values[-1]
        elif "-" in body:
            low, high = map(int, body.split("-"))
        else:
            low = int(body)
            high = values[-1] if step else low
        named |= set(range(low, high + 1, int(step or 1)))
    return frozenset(named)
