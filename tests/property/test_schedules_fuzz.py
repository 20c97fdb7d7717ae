"""Whatever text the parsers are given, they answer or refuse with the declared error, quickly and in little memory.

The bounds of the specification, 5 ms and 10 MB for at most 256 characters, are measured by
benchmarks/bench_schedules.py; here work is counted, which does not depend on the machine: the
calls of Python functions that one text costs, and the memory that stays allocated at its peak.
"""

from __future__ import annotations

import sys
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobistemer.core.errors import InvalidSchedule
from jobistemer.core.schedules import Cron, Interval, Once, parse_calendar, parse_schedule
from jobistemer.core.schedules.zones import zone_of
from tests.support.parts import examples

FUZZ = settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck))
MAX_CALLS = 12_000
MAX_BYTES = 10_000_000

cron_like = st.text("0123456789*,-/?LW# @JANMONsu\t", max_size=256)
iso_like = st.text("0123456789PTYMWDHSR/:.,+-Z W", max_size=256)
mutated = st.builds(
    lambda text, place, piece: text[: place % (len(text) + 1)] + piece + text[place % (len(text) + 1) :],
    st.sampled_from(
        [
            "0 0 29 2 *",
            "*/5 9-17 * * MON-FRI",
            "0 0 0 L * ? 2026",
            "R5/2026-01-31T00:00:00Z/P1M",
            "PT1H30M",
            "2026-01-31",
        ]
    ),
    st.integers(0, 40),
    st.text(max_size=12),
)
country_like = st.text("ABCDEFUSX-", min_size=2, max_size=6)
parse_calendar("DE")  # the package holidays is imported once, and its tables are not the parser's work

texts = st.one_of(st.text(max_size=256), cron_like, iso_like, country_like, mutated)


def work_of(parse, text):
    """Give the calls and the bytes that parsing costs, having required that only the declared error comes."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    tracemalloc.start()
    sys.setprofile(count)
    try:
        parse(text)
    except InvalidSchedule as error:
        assert str(error)
    finally:
        sys.setprofile(None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return calls, peak


@FUZZ
@given(texts, st.sampled_from([Cron, Interval, Once, parse_schedule, parse_calendar]))
def test_a_parser_refuses_with_the_declared_error_or_gives_a_value(text, parse):
    calls, peak = work_of(parse, text)
    assert calls < MAX_CALLS
    assert peak < MAX_BYTES


@FUZZ
@given(texts)
def test_what_is_accepted_can_be_asked(text):
    try:
        schedule = parse_schedule(text)
        if isinstance(schedule, Interval):
            schedule = schedule.anchored(datetime(2026, 1, 1, tzinfo=UTC))
    except InvalidSchedule:
        return
    following = schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC))
    assert following is None or following > datetime(2026, 1, 1, tzinfo=UTC)
    schedule.previous_before(datetime(2026, 1, 1, tzinfo=UTC))


@FUZZ
@given(st.one_of(st.text(max_size=256), st.sampled_from(["..", "/etc/passwd", "Europe", "Europe/", "europe/berlin"])))
def test_a_time_zone_is_known_or_refused(name):
    try:
        assert zone_of(name).name == name
    except InvalidSchedule as error:
        assert str(error)


EXPENSIVE = [
    "0 0 31 2,4,6,9,11 *",
    "0 0 30 2 *",
    "0 0 0 * 2 1#5 2026-2043",
    "* * * * * *",
    ",".join(["*"] * 124) + " * * * *",
    "0-59," * 49 + "0 * * * *",
    "0 0 " + ",".join(f"{day}W" for day in range(1, 32)) + " * *",
    "0 0 * * " + ",".join(f"{day}#{n}" for day in range(8) for n in range(1, 6)),
    "9" * 256,
    "R" + "9" * 9 + "/0001-01-01T00:00:00Z/P999999Y999999M999999W999999DT999999999H",
    "R/9999-12-31T23:59:59Z/PT1S",
    "P" + "9" * 255,
    "@" + "a" * 255,
]


@pytest.mark.parametrize("text", EXPENSIVE)
def test_the_most_expensive_texts_stay_within_the_bounds(text):
    calls, peak = work_of(parse_schedule, text)
    assert calls < MAX_CALLS
    assert peak < MAX_BYTES


@pytest.mark.parametrize("value", [None, 5, 5.0, b"* * * * *", ["* * * * *"], {"a": 1}])
def test_what_is_no_schedule_at_all_is_refused_by_name(value):
    with pytest.raises(InvalidSchedule, match="is not"):
        parse_schedule(value)
