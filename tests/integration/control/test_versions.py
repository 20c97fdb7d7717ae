"""A job that changes: each instant is decided by exactly one version, whoever registers, whenever a ticker looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobistemer.core.errors import InvalidDefinition, UnknownVersion
from jobistemer.core.jobs.job import Job, Task, Update
from jobistemer.core.jobs.versions import KEPT_VERSIONS
from jobistemer.core.schedules import Cron, Custom, Once, register_schedule
from jobistemer.core.schedules.custom import _build_due, _factories
from jobistemer.store.calls import jobs
from jobistemer.store.calls.job_versions import find_versions
from tests.support.clocks import NOW
from tests.support.shard_state import find_leaks, records
from tests.support.step_system import StepWorker, build_ticker, open_app, read_occurrences

START = NOW // 1000
MINUTE = 60


def report(expression="* * * * *", **changes):
    return Job(**{"name": "report", "schedule": Cron(expression), "tasks": (Task("report", "report"),), **changes})


ID = report().id


def at_start(app, job):
    """Register a job as an app does when its process starts."""
    return app.control.register_all([job], keep_newer=True)[0]


@pytest.fixture
def app(server_url, database, clock):
    app = open_app(server_url, clock)
    app.task(lambda: None, name="report")
    return app


def at(seconds):
    """So many seconds after the start."""
    return datetime.fromtimestamp(START + seconds, UTC)


def decided(database):
    """Instants in seconds from the start, with the version and the state of each."""
    return [(each.due - START, each.version, each.state) for each in read_occurrences(database, report())]


def intervals(database):
    return [
        (each.number, each.after - START, None if each.until is None else each.until - START)
        for each in find_versions(database, ID)
    ]


def test_what_the_old_schedule_left_is_decided_under_the_old_version(app, database, clock):
    app.control.register(report(overlap="allow"))
    clock.advance(2 * MINUTE + 10)
    assert app.control.register(report("30 * * * *", overlap="allow")).word == "CHANGED"
    assert decided(database) == [(60, 1, "pending"), (120, 1, "pending")]
    assert intervals(database) == [(1, 0, 130), (2, 130, None)]
    clock.advance(28 * MINUTE)
    build_ticker(database).tick()
    assert decided(database)[2:] == [(1800, 2, "pending")]


def test_a_ticker_that_still_plans_with_the_old_version_writes_nothing(app, database, open_database, clock):
    app.control.register(report())
    old = build_ticker(open_database())
    old.tick()
    clock.advance(MINUTE + 1)
    app.control.register(report("30 * * * *"))
    old.process_due()
    assert decided(database) == [(60, 1, "pending")]
    assert int(records(database)[f"job:{ID}"]["cursor"]) == START + 61


def test_a_change_that_leaves_the_schedule_alone_leaves_the_instants_to_the_new_version(app, database, clock):
    app.control.register(report())
    clock.advance(MINUTE + 10)
    app.control.register(report(max_queued=7))
    build_ticker(database).tick()
    assert decided(database) == [(60, 2, "pending")]
    assert intervals(database) == [(1, 0, 0), (2, 0, None)]


def test_a_long_backlog_is_worked_off_at_its_pace_before_the_new_schedule_takes_over(app, database, clock):
    slow = {"recovery": "execute_all", "overlap": "allow", "catch_up_per_s": 1, "grace_s": 30}
    app.control.register(report(**slow))
    clock.advance(5 * MINUTE + 40)
    assert app.control.register(report("30 * * * *", **slow)).word == "POSTPONED"
    assert decided(database) == [(60, 1, "pending")]
    ticking = build_ticker(database)
    for _ in range(10):
        clock.advance(1)
        ticking.tick()
    assert [row[1] for row in decided(database)] == [1] * 5
    assert [number for number, _, _ in intervals(database)] == [1, 2]
    assert find_leaks(database) == {} or "chores" not in find_leaks(database)


def test_an_older_app_that_starts_again_does_not_flip_the_version_back(app, database):
    app.control.register(report())
    app.control.register(report(max_queued=7))
    for _ in range(3):
        assert at_start(app, report()) == ("report", "OLDER", 2)
        assert at_start(app, report(max_queued=7)) == ("report", "UNCHANGED", 2)
    assert app.control.register(report(), force=True) == ("report", "CHANGED", 3)
    assert at_start(app, report(max_queued=7)) == ("report", "OLDER", 3)


def test_who_sets_a_definition_back_has_the_last_word(app, database):
    app.control.register(report())
    app.control.register(report(max_queued=7))
    assert app.control.register(report()) == ("report", "CHANGED", 3)
    assert app.control.register(report(max_queued=7)) == ("report", "CHANGED", 4)
    assert app.control.find("report").job == report(max_queued=7)


def test_an_app_that_deploys_at_its_start_warns_of_what_it_leaves(app, database, caplog):
    app.job("0 * * * *", name="hourly")(lambda: None)
    app.deploy()
    app.control.register(report("30 * * * *", name="hourly"))
    assert [each.word for each in app.deploy()] == ["OLDER"]
    assert "1 of 1 job stay as a newer release has registered them: hourly" in caplog.text


def test_a_rollback_makes_the_old_definition_the_next_version(app, database):
    app.control.register(report())
    app.control.register(report("30 * * * *"))
    assert app.control.rollback("report", 1) == ("report", "CHANGED", 3)
    assert app.control.find("report").job == report()
    assert app.control.register(report()) == ("report", "UNCHANGED", 3)
    assert at_start(app, report("30 * * * *")) == ("report", "OLDER", 3)


def test_a_rollback_of_an_interval_is_known_to_the_app_that_declared_it(app, database):
    app.job("PT6H", name="spaced")(lambda: None)
    app.deploy()
    (declared,) = app.jobs()
    app.control.register(Job("spaced", Cron("0 0 * * *"), declared.tasks))
    app.control.rollback("spaced", 1)
    assert [each.word for each in app.deploy()] == ["UNCHANGED"]


def test_a_version_that_is_not_on_record_is_refused(app):
    app.control.register(report())
    with pytest.raises(UnknownVersion, match="job 'report' has no version 7 on record; there are 1"):
        app.control.rollback("report", 7)


def test_the_difference_of_two_versions_names_the_fields_and_the_fire_times(app):
    app.control.register(report("0 0 * * *"))
    app.control.register(report("0 */12 * * *", overlap="allow"))
    found = app.control.diff("report", 1, 2)
    assert [(each.field, each.old, each.new) for each in found.fields] == [
        ("schedule.expression", "0 0 * * *", "0 */12 * * *"),
        ("overlap", "skip", "allow"),
    ]
    assert (found.fires.appear, found.fires.vanish) == (30, 0)
    assert found.fires.first_to_appear[0] == START + 4 * 3600


def test_an_immediate_update_cancels_what_runs_under_the_old_version(app, database, clock):
    app.control.register(report(overlap="queue"))
    ticking, worker = build_ticker(database), StepWorker(database, app)
    for _ in range(2):
        clock.advance(MINUTE)
        ticking.tick()
    assert [row[2] for row in decided(database)] == ["pending", "queued"]
    app.control.register(report("30 * * * *", update=Update.IMMEDIATE))
    ticking.tick()
    worker.work()
    assert [row[2] for row in decided(database)] == ["canceled", "canceled"]
    clock.advance(6)
    ticking.tick()
    assert find_leaks(database) == {}


def test_a_graceful_update_lets_what_runs_end_under_its_version(app, database, clock):
    app.control.register(report())
    ticking = build_ticker(database)
    clock.advance(MINUTE)
    ticking.tick()
    app.control.register(report(max_queued=7))
    ticking.tick()
    StepWorker(database, app).work()
    assert decided(database) == [(60, 1, "completed")]


def test_a_windowed_update_waits_for_its_time(app, database, clock):
    app.control.register(report())
    new = report("30 * * * *", update=Update.WINDOWED, update_window=Cron("5 * * * *"))
    assert app.control.register(new) == ("report", "POSTPONED", 1)
    assert app.control.register(new) == ("report", "POSTPONED", 1)
    assert at_start(app, report()) == ("report", "UNCHANGED", 1)
    ticking = build_ticker(database)
    for _ in range(6):
        clock.advance(MINUTE)
        ticking.tick()
    stored = app.control.find("report")
    assert (stored.version, stored.job, stored.pending) == (2, new, "")
    assert [row[:2] for row in decided(database)] == [(60 * n, 1) for n in range(1, 6)]
    assert intervals(database) == [(1, 0, 300), (2, 300, None)]


def test_a_windowed_update_can_be_taken_back(app, database):
    app.control.register(report())
    later = Once(datetime(2030, 1, 1, tzinfo=UTC))
    app.control.register(report(max_queued=7, update=Update.WINDOWED, update_window=later))
    assert app.control.rollback("report", 1) == ("report", "UNCHANGED", 1)
    assert app.control.find("report").pending == ""
    assert "chores" not in records(database)


def test_who_says_the_current_definition_again_takes_back_the_one_that_waits(app, database):
    app.control.register(report())
    later = Once(datetime(2030, 1, 1, tzinfo=UTC))
    app.control.register(report(max_queued=7, update=Update.WINDOWED, update_window=later))
    assert app.control.register(report()) == ("report", "UNCHANGED", 1)
    assert app.control.find("report").pending == ""


def test_a_later_deploy_takes_the_place_of_one_that_waits(app, database, clock):
    app.control.register(report())
    hour = {"update": Update.WINDOWED, "update_window": Cron("30 * * * *")}
    app.control.register(report(max_queued=7, **hour))
    app.control.register(report(max_queued=8))
    clock.advance(2 * 3600)
    build_ticker(database).tick()
    assert app.control.find("report").job == report(max_queued=8)
    assert len(find_versions(database, ID)) == 2


def test_an_update_that_another_took_the_place_of_while_it_waited_stays_replaced(app, database, clock):
    hour = {"update": Update.WINDOWED, "update_window": Cron("30 * * * *")}
    app.control.register(report())
    first, second = report(max_queued=7, **hour), report(max_queued=8, **hour)
    app.control.register(first)
    app.control.register(second)
    assert at_start(app, first) == ("report", "OLDER", 1)
    third = report(max_queued=9)
    app.control.register(third)
    assert [at_start(app, each).word for each in (first, second, third)] == ["OLDER", "OLDER", "UNCHANGED"]
    assert app.control.find("report").pending == ""


def test_an_update_that_waited_when_its_job_was_removed_does_not_come_back_with_an_old_process(app, database):
    later = {"update": Update.WINDOWED, "update_window": Once(datetime(2030, 1, 1, tzinfo=UTC))}
    replaced, waited = report(max_queued=7, **later), report(max_queued=8, **later)
    for each in (report(), replaced, waited):
        app.control.register(each)
    app.control.remove("report")
    # Processes of before the removal start once more: the first one brings the job back, and no other one changes it.
    assert at_start(app, report()) == ("report", "CREATED", 2)
    assert [at_start(app, each).word for each in (waited, replaced, report())] == ["OLDER", "OLDER", "UNCHANGED"]
    assert app.control.find("report").pending == ""
    # A person has the last word, and a second removal keeps what is known.
    assert app.control.register(report(max_queued=9)).word == "CHANGED"
    app.control.remove("report")
    assert at_start(app, report(max_queued=9)).word == "CREATED"
    assert [at_start(app, each).word for each in (waited, replaced, report())] == ["OLDER"] * 3


def test_two_tickers_apply_a_windowed_update_once(app, database, open_database, clock):
    app.control.register(report())
    app.control.register(report(max_queued=7, update=Update.WINDOWED, update_window=Cron("5 * * * *")))
    one, other = build_ticker(open_database()), build_ticker(open_database())
    clock.advance(5 * MINUTE)
    for each in (one, other):
        each.poll(full=True)
        each._chores.refresh()
    one.process_due()
    other.process_due()
    assert app.control.find("report").version == 2
    assert "chores" not in records(database)


WINDOW = {"update": Update.WINDOWED, "update_window": Cron("5 * * * *"), "update_window_s": 120}


def test_while_a_window_is_open_an_update_is_applied_at_once(app, clock):
    app.control.register(report())
    clock.advance(6 * MINUTE)
    assert app.control.register(report(max_queued=7, **WINDOW)) == ("report", "CHANGED", 2)
    clock.advance(MINUTE)
    assert app.control.register(report(max_queued=8, **WINDOW)) == ("report", "POSTPONED", 2)


def test_an_update_whose_window_no_ticker_saw_waits_for_the_next_one(app, database, clock):
    app.control.register(report())
    app.control.register(report(max_queued=7, **WINDOW))
    opens_ms = app.control.find("report").pending_at
    ticking = build_ticker(database)
    clock.advance(20 * MINUTE)
    ticking.tick()
    stored = app.control.find("report")
    assert (stored.version, stored.pending_at) == (1, opens_ms + 60 * MINUTE * 1000)
    clock.advance(44 * MINUTE)
    ticking.tick()
    assert app.control.find("report").version == 1
    clock.advance(MINUTE + 119)
    ticking.tick()
    assert (app.control.find("report").version, app.control.find("report").pending) == (2, "")


@pytest.mark.parametrize(
    "window", [Once(at(5 * MINUTE)), Cron("5 * * * *", end=at(6 * MINUTE))], ids=["one moment", "the last window"]
)
def test_an_update_whose_window_will_not_come_again_is_applied_at_the_first_chance(app, database, clock, window):
    app.control.register(report())
    app.control.register(report(max_queued=7, update=Update.WINDOWED, update_window=window))
    clock.advance(20 * MINUTE)
    build_ticker(database).tick()
    assert app.control.find("report").job.max_queued == 7


def test_a_window_that_never_comes_is_refused(app):
    app.control.register(report())
    past = Once(datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidDefinition, match="update_window has no instant to come"):
        app.control.register(report(update=Update.WINDOWED, update_window=past))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"update": "later"}, "update is 'later', allowed are immediate, graceful, windowed"),
        ({"update": "windowed"}, "update is 'windowed' and update_window is None"),
        ({"update_window": Cron("* * * * *")}, "update is 'graceful' and update_window is Cron"),
    ],
)
def test_an_update_policy_that_cannot_be_is_refused(changes, message):
    with pytest.raises(InvalidDefinition, match=message):
        report(**changes)


def test_versions_that_decided_nothing_are_forgotten_and_those_with_rows_are_kept(app, database, clock):
    app.control.register(report())
    clock.advance(MINUTE)
    build_ticker(database).tick()
    for number in range(KEPT_VERSIONS + 10):
        app.control.register(report(max_queued=1000 + number))
    kept = [each.number for each in find_versions(database, ID)]
    # The first one has decided an instant; of the others the last ones stay.
    assert kept == [1, *range(11, KEPT_VERSIONS + 12)]
    assert jobs.find_version(database, ID, 1) == report()


def test_a_version_goes_with_the_last_row_that_it_decided(app, database, clock):
    app.control.register(report(history_s=3600))
    clock.advance(MINUTE)
    build_ticker(database).tick()
    StepWorker(database, app).work()
    app.control.register(report("0 0 1 1 *", history_s=3600))
    clock.advance(2 * 3600)
    for number in range(KEPT_VERSIONS + 1):
        app.control.register(report("0 0 1 1 *", max_queued=1000 + number))
    assert 1 not in [each.number for each in find_versions(database, ID)]


def test_a_removed_job_is_decided_up_to_its_removal(app, database, clock):
    app.control.register(report())
    clock.advance(MINUTE + 10)
    app.control.remove("report")
    assert decided(database) == [(60, 1, "pending")]
    assert intervals(database) == [(1, 0, 60)]


def test_a_job_whose_custom_schedule_fails_can_be_removed_and_be_replaced(app):
    class Failing:
        def next_after(self, instant):
            if failures:
                raise ValueError("no tides")
            return instant + timedelta(days=1)

    failures = []
    register_schedule("failing", lambda _options: Failing())
    jobs = [Job(name, Custom("failing"), (Task("only", "work"),)) for name in ("gone", "kept")]
    app.control.register_all(jobs)
    failures.append("from now on")
    app.control.remove("gone")
    replaced = app.control.register(Job("kept", Cron("0 3 * * *"), (Task("only", "work"),)))
    assert (replaced.word, replaced.version) == ("CHANGED", 2)


def test_a_job_with_many_versions_can_change_when_a_custom_schedule_of_an_early_one_is_no_longer_known(app):
    register_schedule("forgotten", lambda _options: Cron("0 3 * * *"))
    tasks = (Task("only", "work"),)
    app.control.register(Job("report", Custom("forgotten"), tasks))
    _factories.pop("forgotten")
    _build_due.cache_clear()
    words = [app.control.register(Job("report", Cron("0 3 * * *"), tasks, max_queued=n + 1)).word for n in range(25)]
    assert words == ["CHANGED"] * 25
