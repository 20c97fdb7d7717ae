"""What becomes of missed instants: each strategy as a table of what each instant becomes."""

from datetime import UTC, datetime, timedelta

import pytest

from jobistemer.core import ids, planning
from jobistemer.core.jobs.job import Recovery
from jobistemer.core.planning.plan import plan
from jobistemer.core.planning.recovery import covered_instants, find_backlog
from jobistemer.core.schedules import Blackout, Cron, Window
from jobistemer.core.schedules.calendars import Dates
from tests.support.lifecycle import MINUTE, T0, job

# Seven instants, T0 + 1 … 7 minutes; at now the last two lie within the grace of 90 s.
NOW_MS = (T0 + 7 * MINUTE + 1) * 1000
F, M, C, S = "pending", "missed", "compressed", "skipped"
FAST = 1000.0


def states(decisions):
    return [str(each.state) for each in decisions]


@pytest.mark.parametrize(
    ("recovery", "policy", "becomes"),
    [
        ("execute_all", {}, [F, F, F, F, F, F, F]),
        ("execute_last", {}, [M, M, M, M, F, F, F]),
        ("mark_as_missed", {}, [M, M, M, M, M, F, F]),
        ("bounded_window", {"recovery_limit": 2}, [M, M, M, F, F, F, F]),
        ("bounded_window", {"recovery_limit": 100}, [F, F, F, F, F, F, F]),
        ("bounded_window", {"recovery_limit": 100, "recovery_back_s": 241}, [M, M, F, F, F, F, F]),
        ("bounded_window", {"recovery_limit": 100, "recovery_back_s": 240.9}, [M, M, M, F, F, F, F]),
        ("bounded_window", {"recovery_limit": 1, "recovery_back_s": 10}, [M, M, M, M, M, F, F]),
        ("compressed", {}, [C, C, C, C, F, F, F]),
    ],
)
def test_each_strategy_makes_a_row_of_every_instant(recovery, policy, becomes):
    definition = job(recovery=Recovery(recovery), grace_s=90, catch_up_per_s=FAST, **policy)
    decisions = plan(definition, T0, NOW_MS, 100)
    assert [each.instant for each in decisions] == [T0 + n * MINUTE for n in range(1, 8)]
    assert [each.expected for each in decisions] == [T0 + n * MINUTE for n in range(7)]
    assert states(decisions) == becomes


@pytest.mark.parametrize(
    ("recovery", "first", "last"),
    [
        ("execute_all", "fired late by 361.0 s (recovery execute_all)", "fired late by 121.0 s (recovery execute_all)"),
        (
            "execute_last",
            f"missed: found 361.0 s late; {ids.occurrence_id(job().id, T0 + 5 * MINUTE)} runs in its place",
            "fired late by 121.0 s (recovery execute_last)",
        ),
        ("mark_as_missed", "missed: found 361.0 s late; no ticker ran", "missed: found 121.0 s late; no ticker ran"),
        (
            "bounded_window",
            "missed: found 361.0 s late; only the last 1 within 300 s are run",
            "fired late by 121.0 s (recovery bounded_window)",
        ),
        (
            "compressed",
            f"compressed into {ids.occurrence_id(job().id, T0 + 5 * MINUTE)}; found 361.0 s late",
            "fired late by 121.0 s (recovery compressed)",
        ),
    ],
)
def test_each_row_says_what_became_of_its_instant_and_why(recovery, first, last):
    definition = job(
        recovery=Recovery(recovery), grace_s=90, catch_up_per_s=FAST, recovery_limit=1, recovery_back_s=300
    )
    decisions = plan(definition, T0, NOW_MS, 100)
    assert (decisions[0].reason, decisions[4].reason) == (first, last)
    assert decisions[6].reason == "fired late by 1.0 s"


@pytest.mark.parametrize(
    ("grace_s", "late_ms", "becomes"),
    [(60, 60_000, F), (60, 60_001, M), (0, 0, F), (0, 1, M), (0.5, 500, F), (0.5, 501, M)],
)
def test_an_instant_is_missed_when_it_is_due_longer_ago_than_the_grace_to_the_millisecond(grace_s, late_ms, becomes):
    definition = job(recovery=Recovery.MARK_AS_MISSED, grace_s=grace_s)
    now_ms = (T0 + MINUTE) * 1000 + late_ms
    assert states(plan(definition, T0, now_ms, 1)) == [becomes]


def holiday(*minutes):
    """The days of these tests are minutes: a calendar of single ones."""
    starts = [datetime.fromtimestamp(T0 + minute * MINUTE, UTC) for minute in minutes]
    return Blackout("stock-taking", tuple(Window(start, start + timedelta(seconds=MINUTE)) for start in starts))


@pytest.mark.parametrize(
    ("recovery", "becomes"),
    [
        ("execute_all", [F, S, F, F, S, F, F]),
        ("execute_last", [M, S, M, F, S, F, F]),
        ("mark_as_missed", [M, S, M, M, S, F, F]),
        ("bounded_window", [M, S, F, F, S, F, F]),
        ("compressed", [C, S, C, F, S, F, F]),
    ],
)
def test_what_a_calendar_excludes_is_skipped_and_is_never_the_one_that_runs_for_the_others(recovery, becomes):
    definition = job(
        recovery=Recovery(recovery), grace_s=90, catch_up_per_s=FAST, recovery_limit=2, calendars=(holiday(2, 5),)
    )
    decisions = plan(definition, T0, NOW_MS, 100)
    assert states(decisions) == becomes
    assert decisions[1].reason == "excluded by calendar stock-taking"


@pytest.mark.parametrize(("recovery", "others"), [("execute_last", M), ("compressed", C)])
@pytest.mark.parametrize("steps", [3, 5, 10_000])
def test_one_instant_runs_for_the_others_however_many_a_calendar_excludes_behind_it(
    monkeypatch, recovery, others, steps
):
    monkeypatch.setattr(planning.recovery, "MAX_STEPS", steps)
    definition = job(recovery=Recovery(recovery), grace_s=1, catch_up_per_s=FAST, calendars=(holiday(*range(6, 16)),))
    cursor, since, rows = T0, None, []
    while decisions := plan(definition, cursor, (T0 + 15 * MINUTE + 2) * 1000, 2, since):
        rows += states(decisions)
        cursor, since = decisions[-1].instant, decisions[-1].since
    assert rows == [others] * 4 + [F] + [S] * 10


def test_a_bounded_window_is_not_searched_beyond_its_end(monkeypatch):
    visited = []
    monkeypatch.setattr(planning.recovery, "is_excluded", lambda _job, instant: visited.append(instant))
    definition = job(recovery=Recovery.BOUNDED_WINDOW, grace_s=90, recovery_limit=1000, recovery_back_s=241)
    find_backlog(definition, T0 - 1000 * MINUTE, T0 + 6 * MINUTE, NOW_MS)
    assert visited == [T0 + n * MINUTE for n in (5, 4, 3, 2)]


def at(*minutes):
    return tuple(datetime.fromtimestamp(T0 + n * MINUTE, UTC) for n in minutes)


def test_a_compressed_run_stands_for_every_instant_since_the_cursor_that_no_calendar_excludes():
    definition = job(recovery=Recovery.COMPRESSED, grace_s=90, calendars=(holiday(2),))
    fired = next(each for each in plan(definition, T0, NOW_MS, 100) if each.state == F)
    assert covered_instants(definition, fired.since, fired.instant) == at(1, 3, 4, 5)


def test_in_several_passes_a_compressed_run_stands_for_the_rows_of_all_of_them():
    definition = job(recovery=Recovery.COMPRESSED, grace_s=90, calendars=(holiday(2),))
    cursor, since, rows, now_ms = T0, None, [], NOW_MS
    while not any(each.state == F for each in rows):
        # Two instants in a pass, and a minute goes by before the next: what is missed last moves on meanwhile.
        for each in plan(definition, cursor, now_ms, 2, since):
            rows.append(each)
            cursor = each.instant
            since = since if each.state == S else each.since
            if each.state == F:
                break
        now_ms += MINUTE * 1000
    assert states(rows) == [C, S, C, C, C, C, C, F]
    fired = rows[-1]
    assert covered_instants(definition, fired.since, fired.instant) == at(1, 3, 4, 5, 6, 7, 8)


def test_when_the_clock_steps_back_the_instant_that_is_on_time_again_still_stands_for_the_compressed_ones():
    definition = job(recovery=Recovery.COMPRESSED, grace_s=90)
    before = plan(definition, T0, NOW_MS, 4)
    assert states(before) == [C, C, C, C]
    (fired,) = plan(definition, before[-1].instant, NOW_MS - 100_000, 1, before[-1].since)
    assert (str(fired.state), fired.reason) == (F, "fired late by 21.0 s")
    assert covered_instants(definition, fired.since, fired.instant) == at(1, 2, 3, 4, 5)


def test_only_the_run_that_others_were_compressed_into_stands_for_them():
    decisions = plan(job(recovery=Recovery.COMPRESSED, grace_s=90, catch_up_per_s=FAST), T0, NOW_MS, 100)
    assert [each.since for each in decisions] == [T0] * 5 + [None, None]


def test_a_backlog_of_years_is_found_by_looking_from_its_end():
    definition = job(
        recovery=Recovery.BOUNDED_WINDOW, recovery_limit=3, recovery_back_s=3600, schedule=Cron("* * * * *")
    )
    ten_years_ago = T0 - 10 * 366 * 86_400
    missed = find_backlog(definition, ten_years_ago, T0 - MINUTE, T0 * 1000)
    assert (missed.last, missed.first_run, missed.since) == (T0 - 2 * MINUTE, T0 - 4 * MINUTE, ten_years_ago)


def test_a_backlog_that_a_calendar_excludes_as_a_whole_runs_nothing():
    today = datetime.fromtimestamp(T0, UTC).date()
    definition = job(recovery=Recovery.EXECUTE_LAST, grace_s=1, calendars=(Dates("closed", (today,)),))
    assert states(plan(definition, T0, (T0 + 3 * MINUTE + 30) * 1000, 10)) == [S, S, S]
