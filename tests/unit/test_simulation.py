"""Schedules on a virtual clock, as tables."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobistemer.core.models import Job, Task
from jobistemer.core.schedules import Cron, parse_calendar
from jobistemer.core.simulation import DAY, SLOTS, simulate

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
    ],
)
def test_the_overlap_policy_decides_what_meets(overlap, expected):
    found = load(job(overlap=overlap), 90 * 60)
    assert {name: getattr(found, name) for name in expected} == expected


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
    assert len(found.by_slot) == SLOTS
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
    assert (found.peak, found.by_slot, found.spans["report"]) == (0, (0,) * SLOTS, ())
    assert simulate([], {}, START, START + DAY).jobs == ()
