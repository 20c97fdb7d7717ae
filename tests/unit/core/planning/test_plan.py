"""What is decided about a job's due instants, as tables; the job is due every minute and has a grace of 90 seconds."""

from __future__ import annotations

import pytest

from jobistemer.core.planning.plan import NEVER, build_runs, first_due, plan
from jobistemer.core.schedules import Cron, Once
from jobistemer.core.schedules.calendars import Dates
from jobistemer.core.schedules.delays import start_delay_ms
from tests.support.clocks import NOW
from tests.support.lifecycle import job, task

T0 = NOW // 1000


def minute_job(**policies):
    return job(**{"grace_s": 90.0, "catch_up_per_s": 1000.0, **policies})


def planned(definition, seconds, limit=100):
    """(instant, state) of everything decided `seconds` after the cursor, relative to it."""
    decisions = plan(definition, T0, NOW + round(seconds * 1000), limit)
    return [(each.instant - T0, each.state.value) for each in decisions]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, []),
        (59.999, []),
        (60, [(60, "pending")]),
        (119.999, [(60, "pending")]),
        (125, [(60, "pending"), (120, "pending")]),
        (150, [(60, "pending"), (120, "pending")]),
    ],
)
def test_what_is_due_within_the_grace_is_fired(seconds, expected):
    assert planned(minute_job(recovery="mark_as_missed"), seconds) == expected


@pytest.mark.parametrize(
    ("recovery", "states"),
    [
        ("execute_all", ["pending"] * 5),
        ("execute_last", ["missed", "missed", "pending", "pending", "pending"]),
        ("mark_as_missed", ["missed", "missed", "missed", "pending", "pending"]),
    ],
)
def test_what_is_older_than_the_grace_goes_through_the_recovery_strategy(recovery, states):
    decided = planned(minute_job(recovery=recovery), 5 * 60 + 5)
    assert decided == list(zip([60, 120, 180, 240, 300], states, strict=True))


def test_an_instant_exactly_as_old_as_the_grace_is_fired_as_a_matter_of_course():
    assert planned(minute_job(recovery="mark_as_missed"), 60 + 90) == [(60, "pending"), (120, "pending")]
    assert planned(minute_job(recovery="mark_as_missed"), 60 + 90.001) == [(60, "missed"), (120, "pending")]


def test_decisions_form_a_chain_from_the_cursor_to_the_next_instant():
    decisions = plan(minute_job(), T0, NOW + 185_000, 100)
    assert [(each.expected - T0, each.instant - T0, each.look_at_ms - NOW) for each in decisions] == [
        (0, 60, 120_000),
        (60, 120, 180_000),
        (120, 180, 240_000),
    ]


def test_no_more_than_the_limit_are_decided_at_once_the_earliest_first():
    definition = minute_job(recovery="mark_as_missed")
    assert planned(definition, 60 * 60, limit=3) == [(60, "missed"), (120, "missed"), (180, "missed")]


def test_the_limit_does_not_change_what_is_decided():
    definition = minute_job(recovery="execute_last")
    whole = plan(definition, T0, NOW + 600_000, 100)
    cursor, parts = T0, []
    while part := plan(definition, cursor, NOW + 600_000, 3):
        parts += part
        cursor = part[-1].instant
    assert [(each.instant, each.state) for each in parts] == [(each.instant, each.state) for each in whole]


def test_an_excluded_instant_is_skipped_with_the_name_of_the_calendar():
    holiday = Dates(name="holidays", dates=(_date(NOW),))
    (decision,) = plan(minute_job(calendars=(holiday,)), T0, NOW + 60_000, 100)
    assert (decision.state, decision.reason) == ("skipped", "excluded by calendar holidays")


def _date(now_ms):
    from datetime import UTC, datetime

    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


def test_a_job_without_a_further_instant_is_never_looked_at_again():
    from datetime import UTC, datetime

    once = minute_job(schedule=Once(datetime.fromtimestamp(T0 + 5, UTC)))
    (decision,) = plan(once, T0, NOW + 5_000, 100)
    assert (decision.instant, decision.look_at_ms) == (T0 + 5, NEVER * 1000)
    assert plan(once, T0 + 5, NOW + 86_400_000, 100) == []
    assert (first_due(once, T0), first_due(once, T0 + 5)) == (T0 + 5, NEVER)


def test_starting_up_is_no_special_case_the_cursor_is_where_the_job_was_registered():
    assert plan(minute_job(), T0, NOW, 100) == []
    assert first_due(minute_job(), T0) == T0 + 60


def test_catching_up_pauses_and_the_pause_stands_in_the_mark():
    definition = minute_job(recovery="execute_all", catch_up_per_s=20.0)
    decisions = plan(definition, T0, NOW + 600_000, 100)
    assert [each.instant - T0 for each in decisions] == [60, 120]
    assert decisions[-1].look_at_ms == NOW + 600_000 + 100


@pytest.mark.parametrize(
    ("late_ms", "reason"),
    [(0, "fired on time"), (999, "fired on time"), (1000, "fired late by 1.0 s"), (3_249, "fired late by 3.2 s")],
)
def test_lateness_is_told_in_the_reason(late_ms, reason):
    (decided,) = plan(minute_job(), T0 - 60, T0 * 1000 + late_ms, 100)
    assert (decided.instant, decided.reason) == (T0, reason)


def test_jitter_and_spread_hold_an_occurrence_back_always_by_the_same():
    definition = minute_job(schedule=Cron("* * * * *", jitter=30, spread=3600))
    delays = {start_delay_ms(definition.schedule, "occ_1", definition.id) for _ in range(3)}
    assert len(delays) == 1
    assert 0 <= delays.pop() < 3_630_000
    assert start_delay_ms(minute_job().schedule, "occ_1", minute_job().id) == 0


def test_each_task_gets_a_run_with_its_own_identity_and_options():
    definition = minute_job(tasks=(task("a", queue="x", priority=9), task("b", "a", timeout_s=5.0)))
    runs = list(build_runs(definition, 3, T0 + 60, NOW))
    assert [(each.name, message.queue, message.priority, message.timeout_ms) for each, message in runs] == [
        ("a", "x", 9, 300_000),
        ("b", "default", 5, 5_000),
    ]
    assert len({message.run for _, message in runs}) == 2
    assert {(message.task_ref.version, message.task_ref.due) for _, message in runs} == {(3, T0 + 60)}
