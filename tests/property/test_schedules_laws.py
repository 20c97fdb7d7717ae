"""Laws that hold for every schedule: one fixed set, questioned in different ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import (
    AnySchedule,
    Cron,
    Interval,
    Once,
    anchored,
    describe,
    jitter_ms,
    spread_ms,
)
from tests.property.brute_force import ZONES
from tests.property.expressions import DST, expressions
from tests.property.wall_arithmetic import plus
from tests.support.parts import examples

LAWS = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
DAY = 86400

moments = st.integers(DAY, 47_480 * DAY).map(lambda unix: datetime.fromtimestamp(unix, UTC))
zones = st.sampled_from(ZONES)


def crons(**options):
    @st.composite
    def build(draw):
        expression = draw(expressions(with_seconds=draw(st.booleans())))
        try:
            return Cron(expression.text, timezone=draw(zones), dst=draw(DST), **options)
        except InvalidSchedule:
            assume(False)

    return build()


@st.composite
def durations(draw):
    """A duration as its months, days and seconds, with its ISO 8601 text."""
    years, months = draw(st.sampled_from([(0, 0), (0, 0), (0, 1), (1, 0), (0, 7), (2, 5)]))
    days, hours = draw(st.sampled_from([(0, 1), (0, 36), (1, 0), (1, 5), (10, 0), (400, 1)]))
    text = f"P{years}Y{months}M{days}DT{hours}H"
    return text, years * 12 + months, days, hours * 3600


@st.composite
def intervals(draw):
    text, *_ = draw(durations())
    repeats = draw(st.sampled_from(["", "1", "3", "40"]))
    start = draw(moments).isoformat()
    form = draw(st.sampled_from([f"{start}/{text}", f"{text}/{start}"]))
    return Interval(f"R{repeats}/{form}", timezone=draw(zones))


schedules = st.one_of(crons(), crons(), intervals(), moments.map(Once))


def some_between(schedule, start, end, most=400):
    found = list(islice(schedule.between(start, end), most + 1))
    assume(len(found) <= most)
    return found


@LAWS
@given(schedules, moments, st.integers(0, 40 * DAY))
def test_between_is_next_after_again_and_again(schedule, start, length):
    end = start + timedelta(seconds=length)
    expected, instant = [], schedule.next_after(start)
    found = some_between(schedule, start, end)
    while instant is not None and instant <= end:
        expected.append(instant)
        instant = schedule.next_after(instant)
    assert found == expected


@LAWS
@given(schedules, moments, st.integers(0, 40 * DAY))
def test_previous_before_goes_the_same_way_back(schedule, start, length):
    end = start + timedelta(seconds=length)
    found = some_between(schedule, start, end)
    backwards, instant = [], schedule.previous_before(end + timedelta(seconds=1))
    while instant is not None and instant > start:
        backwards.append(instant)
        instant = schedule.previous_before(instant)
    assert backwards[::-1] == found


@LAWS
@given(schedules, moments)
def test_instants_increase_strictly_and_previous_undoes_next(schedule, moment):
    first = schedule.next_after(moment)
    assume(first is not None)
    assert first > moment
    assert schedule.next_after(first - timedelta(seconds=1)) == first
    assert schedule.previous_before(first + timedelta(seconds=1)) == first
    second = schedule.next_after(first)
    if second is not None:
        assert second > first
        assert schedule.previous_before(second) == first


@LAWS
@given(schedules, moments, st.integers(0, 20 * DAY), st.integers(0, 20 * DAY))
def test_adjacent_questions_add_up(schedule, start, first, second):
    middle = start + timedelta(seconds=first)
    end = middle + timedelta(seconds=second)
    both = some_between(schedule, start, middle) + some_between(schedule, middle, end)
    assert both == some_between(schedule, start, end, 1000)


@LAWS
@given(crons() | intervals(), moments, st.integers(0, 20 * DAY), st.integers(0, 20 * DAY))
def test_a_window_cuts_exactly_and_both_its_ends_belong_to_it(schedule, start, offset, length):
    first = start + timedelta(seconds=offset)
    last = first + timedelta(seconds=length)
    whole = some_between(schedule, start, start + timedelta(days=45), 3000)
    cut = msgspec.structs.replace(schedule, start=first, end=last)
    inside = [instant for instant in whole if first <= instant <= last]
    assert list(cut.between(start, start + timedelta(days=45))) == inside
    assert cut.next_after(start) == (inside[0] if inside else None) or start >= first
    assert cut.previous_before(last + timedelta(days=9)) == (inside[-1] if inside else None) or start >= first
    if inside:
        edges = msgspec.structs.replace(schedule, start=inside[0], end=inside[-1])
        assert list(edges.between(start, start + timedelta(days=45))) == inside


@LAWS
@given(schedules)
def test_what_was_encoded_is_decoded_as_an_equal_value_with_the_same_hash(schedule):
    again = msgspec.json.decode(msgspec.json.encode(schedule), type=AnySchedule)
    assert again == schedule
    assert hash(again) == hash(schedule)


@LAWS
@given(schedules)
def test_every_schedule_has_words_for_people(schedule):
    words = describe(schedule)
    assert words[0].islower() or words[0].isdigit()
    assert "  " not in words
    assert ", ," not in words


@LAWS
@given(schedules, moments, st.integers(1, 999_999))
def test_a_fraction_of_a_second_and_another_zone_change_no_answer(schedule, moment, microseconds):
    later = moment + timedelta(microseconds=microseconds)
    elsewhere = later.astimezone(ZoneInfo("Asia/Kathmandu"))
    assert schedule.next_after(later) == schedule.next_after(moment)
    assert schedule.next_after(elsewhere) == schedule.next_after(later)
    assert schedule.previous_before(elsewhere) == schedule.previous_before(moment + timedelta(seconds=1))


@LAWS
@given(durations(), moments, zones, st.integers(0, 30))
def test_the_nth_instant_is_the_anchor_and_n_durations(duration, anchor, zone, n):
    text, months, days, seconds = duration
    schedule = Interval(text, timezone=zone, anchor=anchor)
    expected = [anchor, *(plus(anchor, zone, k * months, k * days, k * seconds) for k in range(1, n + 1))]
    found = list(islice(schedule.between(anchor - timedelta(seconds=1), datetime(9000, 1, 1, tzinfo=UTC)), n + 1))
    # Where a zone skipped a day, two of them are the same instant, which is due once.
    assert found[: len(set(expected))] == sorted(set(expected))


@LAWS
@given(durations(), moments)
def test_the_first_registration_is_the_anchor_and_is_kept(duration, moment):
    schedule = Interval(duration[0])
    with pytest.raises(InvalidSchedule, match="has no anchor"):
        schedule.next_after(moment)
    first = anchored(schedule, moment)
    assert first.previous_before(moment + timedelta(seconds=1)) == moment
    assert anchored(first, moment + timedelta(days=1)) == first


@LAWS
@given(st.integers(0, 86400), st.text(max_size=60))
def test_delays_are_below_their_bound_and_always_the_same(bound, identity):
    schedule = Cron("* * * * *", jitter=bound, spread=bound)
    for delay_ms in (jitter_ms, spread_ms):
        delay = delay_ms(schedule, identity)
        assert 0 <= delay < max(bound * 1000, 1)
        assert delay == delay_ms(Interval("PT1H", jitter=bound, spread=bound), identity)
