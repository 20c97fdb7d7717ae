"""What a cron schedule and an interval take besides their expression."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron, Interval, anchored, jitter_ms, parse_schedule, spread_ms
from jobistemer.core.schedules.clock_changes import describe_shift, find_clock_changes

START = datetime(2026, 1, 1, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1)


@pytest.mark.parametrize("make", [lambda **options: Cron("0 0 * * *", **options), lambda **o: Interval("P1D", **o)])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jitter": -1}, "jitter -1 is not a whole number of seconds in 0–2678400"),
        ({"jitter": 1.5}, "jitter 1.5 is not"),
        ({"spread": True}, "spread True is not"),
        ({"spread": 2678401}, "spread 2678401 is not"),
        ({"start": NAIVE}, "start 2026-01-01T00:00:00 has no time zone"),
        ({"end": NAIVE}, "end 2026-01-01T00:00:00 has no time zone"),
        ({"start": "2026-01-01"}, "start '2026-01-01' is not a datetime"),
        ({"start": START, "end": START - timedelta(days=1)}, "is before start"),
        ({"timezone": "Mars/Base"}, "timezone 'Mars/Base' is unknown"),
    ],
)
def test_an_option_that_cannot_be_is_refused(make, options, message):
    with pytest.raises(InvalidSchedule, match=message):
        make(**options)


def test_an_unknown_dst_rule_is_refused_with_the_known_ones():
    with pytest.raises(InvalidSchedule, match="dst 'twice' is none of shift, skip, first, both"):
        Cron("0 0 * * *", dst="twice")


@pytest.mark.parametrize("expression", [None, 5, ["* * * * *"], b"* * * * *"])
def test_an_expression_that_is_no_text_is_refused(expression):
    with pytest.raises(InvalidSchedule, match="is not text"):
        Cron(expression)


def test_an_expression_of_more_than_256_characters_is_refused():
    with pytest.raises(InvalidSchedule, match="longer than 256"):
        Cron("0," * 128 + "0 * * * *")
    assert Cron("0," * 123 + "0 * * * *").next_unix(0) == 3600


@pytest.mark.parametrize("question", ["next_after", "previous_before"])
def test_a_naive_instant_is_no_question(question):
    with pytest.raises(InvalidSchedule, match="has no time zone"):
        getattr(Cron("0 0 * * *"), question)(NAIVE)


def test_only_what_differs_from_the_defaults_travels():
    assert msgspec.json.encode(Cron("0 2 * * *")) == b'{"kind":"cron","expression":"0 2 * * *"}'
    assert msgspec.json.encode(Interval(timedelta(hours=6))) == b'{"kind":"interval","expression":"PT6H"}'


def test_what_travels_is_validated_where_it_arrives():
    with pytest.raises(msgspec.ValidationError, match="minute 99 is out of 0–59"):
        msgspec.json.decode(b'{"kind":"cron","expression":"99 * * * *"}', type=Cron)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"kind":"cron","expression":"* * * * *","zone":"UTC"}', type=Cron)


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        (timedelta(minutes=5), "PT5M"),
        (timedelta(seconds=90), "PT1M30S"),
        # A timedelta is elapsed time: its days are 24 hours each, whatever the clock does.
        (timedelta(days=1), "PT24H"),
        (timedelta(weeks=1, seconds=1), "PT168H1S"),
    ],
)
def test_a_timedelta_is_elapsed_time(delta, text):
    assert Interval(delta) == Interval(text)


@pytest.mark.parametrize("delta", [timedelta(0), timedelta(seconds=-1), timedelta(milliseconds=1500)])
def test_a_timedelta_below_or_between_seconds_is_refused(delta):
    with pytest.raises(InvalidSchedule, match="is not a whole number of seconds above zero"):
        Interval(delta)


def test_an_anchor_beside_a_start_is_refused():
    with pytest.raises(InvalidSchedule, match="has its own"):
        Interval("R/2026-01-01T00:00:00Z/P1D", anchor=START)


def test_anchoring_cuts_to_whole_seconds_and_leaves_other_kinds_alone():
    late = START + timedelta(microseconds=999_999)
    assert anchored(Interval("PT1H"), late) == Interval("PT1H", anchor=START)
    for schedule in (Cron("0 0 * * *"), Interval("R/2026-01-01T00:00:00Z/P1D"), parse_schedule(START)):
        assert anchored(schedule, late) is schedule


def test_a_period_of_centuries_ends_with_the_calendar():
    schedule = Interval("P3000Y", anchor=START)
    assert [instant.year for instant in schedule.between(START, datetime(9999, 1, 1, tzinfo=UTC))] == [
        5026,
        8026,
    ]
    assert schedule.next_after(datetime(9000, 1, 1, tzinfo=UTC)) is None


BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Manila", "Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("expression", ["* * * * * *", "0 0 * * *", "0 0 1 1 *", "0 0 0 1 1 ? 2020", "30 12 29 2 *"])
def test_at_the_ends_of_the_calendar_questions_are_answered(zone, expression):
    schedule = Cron(expression, timezone=zone)
    assert schedule.previous_before(BEGINNING) is None
    assert schedule.next_after(END) is None
    first, last = schedule.next_after(BEGINNING), schedule.previous_before(END)
    assert schedule.next_after(last) is None
    assert schedule.previous_before(first) is None
    assert list(schedule.between(last - timedelta(seconds=1), END)) == [last]
    assert next(schedule.between(BEGINNING, END)) == first
    assert schedule.next_unix(10**15) is None
    assert schedule.previous_unix(-(10**15)) is None


@pytest.mark.parametrize("text", ["PT1S", "P1D", "P1M1D", "P999999Y"])
def test_an_interval_ends_with_the_calendar(text):
    forwards, backwards = (
        Interval(f"R/2026-01-01T00:00:00Z/{text}"),
        Interval(f"R/{text}/2026-01-01T00:00:00Z"),
    )
    assert forwards.next_after(END) is None
    assert forwards.next_after(BEGINNING) == backwards.previous_before(END) == START
    assert backwards.previous_before(BEGINNING) is None
    assert forwards.next_after(forwards.previous_before(END)) is None
    assert backwards.previous_before(backwards.next_after(BEGINNING)) is None


def test_a_delay_depends_on_what_it_is_for():
    schedule = Cron("0 0 * * *", jitter=3600, spread=3600)
    assert jitter_ms(schedule, "x") != spread_ms(schedule, "x")
    assert jitter_ms(schedule, "occ_1") != jitter_ms(schedule, "occ_2")
    assert jitter_ms(parse_schedule(START), "x") == 0
    # Every node computes the same: a change of these figures would move the executions of running jobs.
    assert (jitter_ms(schedule, "occ_1"), spread_ms(schedule, "job_1")) == (3436486, 512981)


def test_a_change_of_the_clock_is_explained():
    changes = list(find_clock_changes("Europe/Berlin", START, datetime(2027, 1, 1, tzinfo=UTC)))
    assert [str(change) for change in changes] == [
        "clock goes from 02:00 to 03:00",
        "clock goes from 03:00 to 02:00",
    ]
    nightly = Cron("30 2 * * *", timezone="Europe/Berlin", dst="both")
    around = [changes[0].at - timedelta(days=1), changes[0].at + timedelta(days=1)]
    notes = [describe_shift(nightly, instant, "Europe/Berlin") for instant in nightly.between(*around)]
    assert notes == ["", "moved: 02:30 does not exist", ""]
    around = [changes[1].at - timedelta(hours=2), changes[1].at + timedelta(hours=2)]
    notes = [describe_shift(nightly, instant, "Europe/Berlin") for instant in nightly.between(*around)]
    assert notes == ["first pass of 02:30", "second pass of 02:30"]
