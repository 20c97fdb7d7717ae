"""Schedules on a virtual clock, as tables."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobistemer.core.jobs.job import Job, Overlap, Task
from jobistemer.core.planning.simulated_job import SimulatedJob
from jobistemer.core.planning.simulation import QUARTERS, simulate
from jobistemer.core.schedules import Cron, Interval, parse_calendar
from jobistemer.core.schedules.instants import DAY

START = int(datetime(2026, 3, 28, tzinfo=UTC).timestamp())
HOUR = 3600


def job(name="report", expression="0 * * * *", timezone="UTC", **changes):
    return Job(**{"name": name, "schedule": Cron(expression, timezone), "tasks": (Task(name, name),), **changes})


def load(definition, duration_s, end=START + DAY):
    (found,) = simulate([definition], {"report": duration_s}, START, end).jobs
    return found


def test_short_runs_do_not_meet():
    found = load(job(), 60)
    assert (found.due, found.ran, found.overlaps, found.most) == (24, 24, 0, 1)


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        # Every run takes an hour and a half: with skip every second instant comes while one is running.
        ("skip", {"ran": 12, "skipped": 12, "queued": 0, "most": 1}),
        ("allow", {"ran": 24, "skipped": 0, "queued": 0, "most": 2}),
        # The last one that is replaced runs for an hour, the others too; none of them to its end.
        ("replace", {"ran": 24, "skipped": 0, "replaced": 23, "most": 1}),
    ],
)
def test_the_overlap_policy_decides_what_meets(overlap, expected):
    found = load(job(overlap=overlap), 90 * 60)
    assert {name: getattr(found, name) for name in expected} == expected


def test_what_is_replaced_ends_where_the_next_one_begins():
    found = simulate([job(expression="0 9,10,14 * * *", overlap="replace")], {"report": 2 * HOUR}, START, START + DAY)
    assert [((each.start - START) // HOUR, (each.end - START) // HOUR) for each in found.spans["report"]] == [
        (9, 10),
        (10, 12),
        (14, 16),
    ]
    assert (found.peak, found.jobs[0].replaced) == (1, 1)


def test_a_queue_is_bounded_and_runs_one_at_a_time():
    found = load(job(overlap="queue", max_queued=2), 90 * 60)
    assert (found.ran + found.skipped, found.most) == (24, 1)
    assert found.queued > 0
    assert found.skipped > 0


def test_what_a_calendar_excludes_does_not_run():
    calendar = parse_calendar("2026-03-28T10:00:00Z/2026-03-28T12:00:00Z")
    found = load(job(calendars=(calendar,)), 60)
    assert (found.due, found.ran, found.excluded) == (24, 22, 2)


def test_the_peak_is_where_most_runs_meet():
    jobs = [job("a", "0 2 * * *"), job("b", "30 2 * * *"), job("c", "0 3 * * *")]
    found = simulate(jobs, {"a": HOUR + 1, "b": HOUR, "c": HOUR}, START, START + DAY)
    assert (found.peak, found.peak_at) == (3, START + 3 * HOUR)
    assert len(found.by_slot) == QUARTERS
    assert found.by_slot[8:17] == (1, 1, 2, 2, 3, 2, 1, 1, 0)
    assert [(each.start, each.end) for each in found.spans["b"]] == [(START + 2 * HOUR + 1800, START + 3 * HOUR + 1800)]


def test_a_run_that_ends_as_another_begins_does_not_meet_it():
    assert simulate([job("a", "0 2 * * *"), job("b", "0 3 * * *")], {"a": HOUR}, START, START + DAY).peak == 1


def test_a_change_of_the_clock_names_what_it_does_to_the_instants():
    berlin = job(expression="30 2 * * *", timezone="Europe/Berlin")
    (event,) = simulate([berlin, job("other")], {}, START, START + 3 * DAY).clock_events
    assert (event.timezone, str(event.change), event.jobs) == (
        "Europe/Berlin",
        "clock goes from 02:00 to 03:00",
        ("report",),
    )
    assert event.notes == ("report at 2026-03-29 01:00:00 UTC: moved: 02:30 does not exist",)


def test_nothing_due_is_a_simulation_too():
    found = simulate([job(expression="0 0 1 1 *")], {}, START, START + DAY)
    assert (found.peak, found.by_slot, found.spans["report"]) == (0, (0,) * QUARTERS, ())
    assert simulate([], {}, START, START + DAY).jobs == ()


def test_what_runs_over_midnight_counts_on_the_next_day_too():
    night, early = job("night", "0 22 * * *"), job("early", "0 3 * * *")
    found = simulate([night, early], {"night": 8 * HOUR, "early": HOUR}, START, START + 2 * DAY)
    assert (found.peak, found.peak_at, found.busiest) == (2, START + DAY + 3 * HOUR, START + DAY)
    assert found.by_slot[::4] == (1, 1, 1, 2, 1, 1, *[0] * 16, 1, 1)


def test_a_simulation_may_begin_and_end_within_a_day():
    found = simulate([job()], {"report": HOUR}, START + 7 * HOUR + 1, START + 10 * HOUR + 1)
    assert (found.jobs[0].due, found.peak, found.busiest) == (3, 1, START + 7 * HOUR + 1)
    assert sum(found.by_slot) == 9


EXPRESSIONS = [
    "* * * * *",
    "*/7 * * * *",
    "0 22 * * *",
    "30 2 * * sun",
    "0 */5 * * mon-fri",
    "15 3 1 * *",
    "0 0 29 2 *",
]
SCHEDULES = st.one_of(
    st.builds(Cron, st.sampled_from(EXPRESSIONS), st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]),
              spread=st.sampled_from([0, 4000])),
    st.builds(Interval, st.sampled_from(["PT7M", "PT90S", "PT36H", "P1D", "P1M"]), anchor=st.sampled_from(
        [datetime(2026, 3, 20, 5, tzinfo=UTC), datetime(2026, 3, 30, 7, 0, 1, tzinfo=UTC)])),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(SCHEDULES, st.sampled_from(list(Overlap)), st.sampled_from([60, 1000, 5 * HOUR, 30 * HOUR]), st.integers(0, 3))
def test_days_that_are_looked_up_are_the_days_that_would_be_played(schedule, overlap, duration, max_queued):
    definition, begin = job(schedule=schedule, overlap=overlap, max_queued=max_queued), START - 5 * DAY
    days, at_once = SimulatedJob(definition, duration), SimulatedJob(definition, duration)
    by_day = [days.simulate(begin + day * DAY, begin + (day + 1) * DAY) for day in range(10)]
    whole = at_once.simulate(begin, begin + 10 * DAY)
    for second in [each for each in {*whole.begins, *whole.ends, *range(0, 10 * DAY, DAY)} if each < 10 * DAY][:400]:
        day, time = divmod(second, DAY)
        assert going_at(by_day[day], time) == going_at(whole, second)
    assert (days.counts, days.most) == (at_once.counts, at_once.most)


def going_at(shape, second):
    """How many runs go on at a second."""
    return bisect_right(sorted(shape.begins), second) - bisect_right(sorted(shape.ends), second)
