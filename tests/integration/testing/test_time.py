"""Time in the test of an application: it stands still until it is moved, and due jobs run on the way."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from jobistemer import NO_RETRIES, Delays, Retry
from jobistemer.core.errors import InvalidInput, NotConnected, UnknownJob
from jobistemer.testing import under_test

EIGHT = "2027-01-15T08:00:00Z"


def at(text):
    return datetime.fromisoformat(text)


@pytest.mark.slow
def test_a_day_of_cron_is_run_minute_by_minute_with_full_records(app, jobs):
    jobs.at(EIGHT)
    ran_at = []

    @app.job("* * * * *")
    def tick() -> None:
        ran_at.append(datetime.now(UTC))

    assert jobs.advance(days=1) == 1440

    every_minute = [at(EIGHT) + timedelta(minutes=n + 1) for n in range(1440)]
    assert ran_at == every_minute
    found = jobs.occurrences(tick)
    assert [(each.at, each.state, each.reason) for each in found] == [
        (minute, "completed", "fired on time") for minute in every_minute
    ]
    (task,) = app.report(found[-1].id).tasks
    assert (task.state, task.attempts[0].state) == ("succeeded", "succeeded")


def test_the_time_of_the_process_stands_still_and_is_given_back(app):
    with under_test(app, at="2001-01-15T08:00:00Z") as jobs:
        assert jobs.now == datetime.now(UTC) == at("2001-01-15T08:00:00Z")
        jobs.advance(timedelta(hours=2))
        assert jobs.now == datetime.now(UTC) == at("2001-01-15T10:00:00Z")
        assert time.time() == jobs.now.timestamp()

    assert datetime.now(UTC) > at("2026-01-01T00:00:00Z")


def test_a_test_begins_at_a_whole_second_of_the_present(jobs):
    assert jobs.now.microsecond == 0
    assert jobs.now == datetime.now(UTC)


def test_what_is_delayed_runs_when_its_time_has_come(app, jobs):
    done = []

    @app.task
    def remind(what: str) -> None:
        done.append((what, jobs.now))

    began = jobs.now
    remind.options(delay=90).enqueue("later")
    remind.options(at=began + timedelta(hours=2)).enqueue("much later")
    remind.enqueue("now")

    assert jobs.run_until_idle() == 1
    jobs.advance(minutes=1)
    assert done == [("now", began)]
    jobs.advance(until=began + timedelta(hours=3))
    assert done[1:] == [("later", began + timedelta(seconds=90)), ("much later", began + timedelta(hours=2))]


def test_retries_come_with_their_delays(app, jobs):
    tried_at = []
    began = jobs.now

    @app.task(retry=Delays((60.0, 600.0)))
    def flaky() -> str:
        tried_at.append(jobs.now - began)
        if len(tried_at) < 3:
            raise Retry("not yet")
        return "done"

    run = flaky.enqueue()
    assert jobs.run_until_idle() == 1
    assert run.state() == "scheduled"
    assert jobs.advance(hours=1) == 2
    assert tried_at == [timedelta(0), timedelta(seconds=60), timedelta(seconds=660)]
    assert run.result(timeout=0) == "done"


def test_jobs_of_other_intervals_are_run_in_the_order_of_their_instants(app, jobs):
    jobs.at("2027-03-27T23:00:00Z")
    ran = []
    # A week with a change of the clock; the hour that Berlin has lost is made up for.
    app.job("30 2 * * *", name="at_night", timezone="Europe/Berlin")(lambda: ran.append(("at_night", jobs.now)))
    app.job(timedelta(days=2), name="every_other")(lambda: ran.append(("every_other", jobs.now)))

    jobs.advance(days=3)

    assert ran == [
        ("at_night", at("2027-03-28T01:00:00Z")),
        ("at_night", at("2027-03-29T00:30:00Z")),
        ("every_other", at("2027-03-29T23:00:00Z")),
        ("at_night", at("2027-03-30T00:30:00Z")),
    ]


def test_a_job_that_is_due_once_a_year_is_found_far_behind_the_horizon(app, jobs):
    jobs.at(EIGHT)
    app.job("@yearly", name="new_year")(lambda: None)

    assert jobs.advance(until="2030-01-01T12:00:00Z") == 3
    # Earlier ones are no longer on record: a history lasts a week unless its job says otherwise.
    assert [each.at for each in jobs.occurrences("new_year")] == [at("2030-01-01T00:00:00Z")]


def test_an_outage_is_recovered_from_as_the_job_says(app, jobs):
    jobs.at(EIGHT)
    app.job("0 * * * *", name="last_only", recovery="execute_last")(lambda: None)
    app.job("0 * * * *", name="marked", recovery="mark_as_missed")(lambda: None)
    jobs.advance(hours=1)

    jobs.outage(hours=3, minutes=30)
    jobs.run_until_idle()

    states = {name: [each.state for each in jobs.occurrences(name)] for name in ("last_only", "marked")}
    assert states == {
        "last_only": ["completed", "missed", "missed", "completed"],
        "marked": ["completed", "missed", "missed", "missed"],
    }
    jobs.assert_occurred("last_only", at="2027-01-15T12:00:00Z")


def test_records_expire_as_time_goes_on(app, jobs):
    @app.task(retention_s=3600)
    def short_lived() -> None: ...

    run = short_lived.enqueue()
    jobs.run_until_idle()
    jobs.advance(minutes=59)
    assert run.state() == "succeeded"
    jobs.advance(minutes=2)
    assert app.namespace.shards[0].ask("EXISTS", app.namespace.shards[0].keys.run(run.id)) == 0
    # That it was enqueued is still known.
    assert jobs.assert_enqueued(short_lived).state is None


def test_a_job_that_is_declared_in_the_middle_of_a_test_is_deployed_with_the_next_step(app, jobs):
    jobs.at(EIGHT)
    jobs.advance(hours=1)
    app.job("0 * * * *", name="late")(lambda: None)
    jobs.advance(hours=1)
    assert [each.at for each in jobs.occurrences("late")] == [at("2027-01-15T10:00:00Z")]


def test_time_stands_where_an_attempt_has_failed(app, jobs):
    jobs.at(EIGHT)

    @app.job("0 * * * *", retry=NO_RETRIES)
    def broken() -> None:
        raise KeyError("gone")

    with pytest.raises(Exception, match="broken.* failed: KeyError: 'gone'"):
        jobs.advance(days=1)
    assert jobs.now == at("2027-01-15T09:00:00Z")
    jobs.advance(hours=2, raise_on_failure=False)
    assert [each.state for each in jobs.occurrences(broken)] == ["failed"] * 3


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda jobs: jobs.advance(), "say once how long"),
        (lambda jobs: jobs.advance(timedelta(1), days=1), "say once how long"),
        (lambda jobs: jobs.advance(days=-1), "time only goes on"),
        (lambda jobs: jobs.advance(fortnights=1), "is no span of time"),
        (lambda jobs: jobs.advance(until="2001-01-01T00:00:00Z"), "give a later instant"),
        (lambda jobs: jobs.advance(until="2101-01-01T00:00:00"), "has no time zone"),
        (lambda jobs: jobs.advance(until="tomorrow"), "is no instant"),
        (lambda jobs: jobs.at(datetime(2027, 1, 1)), "has no time zone"),
    ],
)
def test_a_time_that_cannot_be_is_refused_with_what_to_write(jobs, call, told):
    with pytest.raises(InvalidInput, match=told):
        call(jobs)


def test_where_a_test_begins_is_said_before_anything_has_happened(app, jobs):
    app.enqueue("anything")
    with pytest.raises(InvalidInput, match=r"the test has begun.*jobs\.at.* comes first"):
        jobs.at(EIGHT)


def test_the_app_is_back_at_its_own_server_afterwards_and_nothing_of_the_test_is_left(app):
    with under_test(app):
        app.enqueue("anything")
        assert app.run(app.enqueue("more").id).state() == "pending"

    assert app.namespace.url == "redis://127.0.0.1:1/0"
    assert app.hooks.enqueued == []
    with pytest.raises(NotConnected):
        app.enqueue("anything")

    with under_test(app) as jobs:
        assert jobs.enqueued() == []
        assert app.queues.list() == []


def test_a_job_that_is_left_out_has_no_instants_until_the_test_ends(app):
    @app.job("* * * * * *")
    def heartbeat() -> None: ...

    @app.job("0 2 * * *")
    def nightly() -> None: ...

    with under_test(app, at="2027-01-15T08:00:00Z") as jobs:
        with pytest.raises(UnknownJob, match="this app has no job 'nigthly'"):
            jobs.leave_out(heartbeat, "nigthly")
        app.control.put("late", task=app.task(lambda: None, name="late"), schedule="0 3 * * *")
        with pytest.raises(UnknownJob, match="job 'late' was put at run time"):
            jobs.leave_out(nightly, "late")
        jobs.leave_out(heartbeat, heartbeat)
        app.control.remove("late")
        assert jobs.advance(days=1) == 1
        with pytest.raises(InvalidInput, match=r"deployed already: jobs.leave_out\(nightly\) comes before a step"):
            jobs.leave_out(nightly)
    assert set(app.declarations) == {"heartbeat", "nightly"}


def test_two_triggers_at_one_instant_are_two_occurrences(app, jobs):
    @app.job("0 2 * * *", overlap="allow")
    def nightly() -> None: ...

    jobs.at("2027-01-15T08:00:00Z")
    app.deploy()
    first, second = (app.control.trigger("nightly")[0] for _ in range(2))
    assert first != second
    jobs.run_until_idle()
    assert len(jobs.occurrences(nightly)) == 2


def test_a_job_that_was_put_at_run_time_is_given_by_its_name(app, jobs):
    @app.task
    def report(tenant: int) -> None: ...

    jobs.at("2027-01-15T08:00:00Z")
    with pytest.raises(UnknownJob, match="this app has no job 'tenant-7'"):
        jobs.occurrences("tenant-7")
    app.control.put("tenant-7", task=report, schedule="0 3 * * *", payload={"tenant": 7})
    jobs.advance(days=1)
    jobs.assert_occurred("tenant-7", at="2027-01-16T03:00:00Z")
    with pytest.raises(UnknownJob, match="'tenant'"):
        jobs.assert_occurred("tenant")
