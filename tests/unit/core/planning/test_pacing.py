"""What a ticker decides about one job: which instants, at which pace, when it looks again, what a compressed run carries."""

import pytest

from jobistemer.core.jobs.job import Recovery
from jobistemer.core.planning.plan import NEVER, build_runs, plan
from jobistemer.core.schedules import Cron, Once
from jobistemer.core.schedules.instants import instant_at
from tests.support.lifecycle import MINUTE, T0, job, task

ALL = {"recovery": Recovery.EXECUTE_ALL, "grace_s": 0}


def minute(number):
    return T0 + number * MINUTE


def test_before_the_next_instant_nothing_is_decided_and_at_it_one_is():
    assert plan(job(), T0, minute(1) * 1000 - 1, 100) == []
    (decided,) = plan(job(), T0, minute(1) * 1000, 100)
    assert (decided.instant, decided.expected, decided.look_at_ms) == (minute(1), T0, minute(2) * 1000)
    assert (decided.state, decided.reason) == ("pending", "fired on time")


@pytest.mark.parametrize(
    ("late_ms", "reason"),
    [(0, "fired on time"), (999, "fired on time"), (1000, "fired late by 1.0 s"), (3249, "fired late by 3.2 s")],
)
def test_the_reason_says_how_late_an_instant_was_fired(late_ms, reason):
    (decided,) = plan(job(), T0, minute(1) * 1000 + late_ms, 100)
    assert decided.reason == reason


def test_after_the_last_instant_a_job_is_not_looked_at_again():
    definition = job(schedule=Once(instant_at(minute(1))))
    (decided,) = plan(definition, T0, minute(1) * 1000, 100)
    assert decided.look_at_ms == NEVER * 1000
    assert plan(definition, decided.instant, minute(9) * 1000, 100) == []


def test_the_earliest_are_decided_first_as_many_as_one_pass_may():
    decisions = plan(job(recovery=Recovery.MARK_AS_MISSED), T0, minute(50) * 1000, 3)
    assert [each.instant for each in decisions] == [minute(1), minute(2), minute(3)]
    # It is due again at once: its next instant is long over.
    assert decisions[-1].look_at_ms == minute(4) * 1000


@pytest.mark.parametrize(
    ("per_second", "fired", "pause_ms"),
    [(1000, 100, 100), (100, 10, 100), (25, 2, 80), (10, 1, 100), (1, 1, 1000), (0.1, 1, 10_000)],
)
def test_missed_instants_are_fired_at_the_pace_that_the_job_sets(per_second, fired, pause_ms):
    now_ms = minute(5000) * 1000
    decisions = plan(job(catch_up_per_s=per_second, **ALL), T0, now_ms, 1000)
    assert len(decisions) == fired
    assert decisions[-1].look_at_ms == now_ms + pause_ms
    assert fired / (pause_ms / 1000) == per_second


def test_rows_of_what_does_not_run_are_written_without_a_pause():
    now_ms = minute(500) * 1000
    decisions = plan(job(recovery=Recovery.EXECUTE_LAST, grace_s=0), T0, now_ms, 1000)
    assert [str(each.state) for each in decisions] == ["missed"] * 498 + ["pending"]
    assert decisions[-1].look_at_ms == now_ms + 100
    (on_time,) = plan(job(recovery=Recovery.EXECUTE_LAST, grace_s=0), decisions[-1].instant, now_ms, 1000)
    assert (on_time.instant, on_time.reason) == (minute(500), "fired on time")


def test_the_pause_after_the_last_missed_instant_does_not_make_the_next_one_early_or_late():
    definition = job(catch_up_per_s=10, recovery=Recovery.EXECUTE_ALL, grace_s=0)
    (decided,) = plan(definition, T0, minute(1) * 1000 + 1, 100)
    assert decided.look_at_ms == minute(2) * 1000


def test_a_compressed_run_carries_in_its_message_where_the_instants_begin_that_it_stands_for():
    definition = job(task("load"), task("report", "load"))
    slots = {each.name: message.task_ref for each, message in build_runs(definition, 3, minute(5), NEVER, since=T0)}
    assert {name: (slot.since, slot.due, slot.version) for name, slot in slots.items()} == {
        "load": (T0, minute(5), 3),
        "report": (T0, minute(5), 3),
    }


def test_a_schedule_that_is_over_leaves_its_missed_instants_to_be_decided():
    definition = job(schedule=Cron("* * * * *", end=instant_at(minute(2))), recovery=Recovery.MARK_AS_MISSED)
    decisions = plan(definition, T0, minute(90) * 1000, 100)
    assert [(each.instant, str(each.state)) for each in decisions] == [(minute(1), "missed"), (minute(2), "missed")]
    assert decisions[-1].look_at_ms == NEVER * 1000
