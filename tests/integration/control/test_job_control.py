"""Job control: what is refused, who did what, and that it is kept."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from jobistemer import Cron, Once
from jobistemer.control import jobs as jobs_module
from jobistemer.control.jobs import JobControl
from jobistemer.core.errors import Conflict, InvalidInput, UnknownJob
from tests.support.clocks import NOW
from tests.support.step_system import build_ticker, open_app, read_occurrences

NOON = datetime.fromtimestamp(NOW / 1000, UTC)


@pytest.fixture
def app(server_url, clock, database):
    app = open_app(server_url, clock)

    @app.job("* * * * *", overlap="allow")
    def report() -> None: ...

    app.deploy()
    return app


@pytest.fixture
def ana(app):
    return JobControl(app.namespace, by="ana")


def test_the_log_says_who_did_what_and_when_the_latest_first(app, ana, clock):
    JobControl(app.namespace, by="bo").pause("report", "release", NOON + timedelta(hours=1))
    clock.advance(60)
    ana.resume("report")
    clock.advance(60)
    occurrence, _ = ana.trigger("report")
    clock.advance(60)
    ana.remove("report")
    found = [(each.what, each.by, each.note, (each.at - NOW) / 1000) for each in ana.log("report")]
    assert found[:4] == [
        ("removed", "ana", "version 1", 180),
        ("triggered", "ana", occurrence, 120),
        ("resumed", "ana", "", 60),
        ("paused", "bo", "until 2027-01-15T09:00:00+00:00: release", 0),
    ]
    assert (found[4][0], found[4][2]) == ("created", "version 1")
    assert len(found) == 5


def test_by_default_it_was_the_user_of_the_process(app):
    control = JobControl(app.namespace)
    control.pause("report")
    assert "@" in control.log("report")[0].by


def test_the_history_says_by_whom_a_job_was_paused_and_why(app, ana, database, clock):
    ana.pause("report", "release")
    clock.advance(60)
    build_ticker(database).tick()
    (row,) = read_occurrences(database, app.declarations["report"].build())
    assert (str(row.state), row.reason) == ("skipped", "paused by ana: release")


@pytest.mark.parametrize("until", [NOON, NOON - timedelta(days=1)])
def test_a_pause_that_would_be_over_is_refused_with_the_time_by_the_server(ana, until):
    with pytest.raises(InvalidInput, match=r"is over: it is 2027-01-15T08:00:00Z by the server's clock; name a later"):
        ana.pause("report", until=until)
    assert not ana.is_paused("report")


def test_a_pause_until_an_instant_without_a_time_zone_is_refused(ana):
    with pytest.raises(InvalidInput, match=r"has no time zone; say which, such as 2030-01-01T00:00:00\+00:00"):
        ana.pause("report", until=datetime(2030, 1, 1))


@pytest.mark.parametrize("by", ["", "a" * 101, "two\nlines"])
def test_a_name_that_cannot_stand_in_a_log_is_refused(app, by):
    with pytest.raises(InvalidInput, match="a name has 1–100 printable characters"):
        JobControl(app.namespace, by=by)


@pytest.mark.parametrize(
    ("recovery", "becomes"),
    [("execute_all", ["skipped"] * 30), ("execute_last", ["missed"] * 27 + ["skipped"] * 3)],
)
def test_an_instant_of_a_pause_that_no_ticker_has_decided_before_its_end_does_not_run_after_it(
    server_url, clock, database, recovery, becomes
):
    # Given a job that is paused while no ticker is there
    app = open_app(server_url, clock)

    @app.job("* * * * *", overlap="allow", recovery=recovery, catch_up_per_s=1)
    def report() -> None: ...

    app.deploy()
    JobControl(app.namespace, by="ana").pause("report", "release")
    clock.advance(30 * 60)

    # When it is resumed and a ticker comes
    app.control.resume("report")
    clock.advance(60)
    build_ticker(database).tick()

    # Then only the instant after the pause runs
    rows = read_occurrences(database, app.declarations["report"].build())
    assert [str(each.state) for each in rows] == [*becomes, "pending"]
    assert rows[29].reason == "paused by ana: release"


def paused_for(server_url, clock, seconds):
    app = open_app(server_url, clock)

    @app.job("* * * * * *", overlap="allow", recovery="execute_all", history_s=86_400)
    def report() -> None: ...

    app.deploy()
    app.control.pause("report")
    clock.advance(seconds)
    return app


def test_resume_decides_all_instants_of_a_long_pause(server_url, clock, database):
    app = paused_for(server_url, clock, 2_500)
    app.control.resume("report")
    clock.advance(1)
    build_ticker(database).tick()
    rows = read_occurrences(database, app.declarations["report"].build())
    assert Counter(str(each.state) for each in rows) == {"skipped": 2_500, "pending": 1}


def test_a_pause_with_more_instants_than_resume_decides_goes_on(server_url, clock, database, monkeypatch):
    monkeypatch.setattr(jobs_module, "MAX_PASSES", 1)
    app = paused_for(server_url, clock, 1_500)
    with pytest.raises(Conflict, match="'report' has instants of its pause that no ticker has decided; run one"):
        app.control.resume("report")
    assert app.control.find("report").paused
    # What was done is not done again.
    app.control.resume("report")
    assert not app.control.find("report").paused


def test_what_nobody_registered_cannot_be_paused_resumed_triggered_or_removed(ana):
    for change in (ana.pause, ana.resume, ana.trigger, ana.remove):
        with pytest.raises(UnknownJob, match="no job 'nothing' is registered in namespace 'test'; deploy it first"):
            change("nothing")
    assert ana.log("nothing") == []


@pytest.mark.parametrize(
    ("start_s", "end_s", "active"),
    [(None, None, True), (60, None, False), (-60, 60, True), (-3600, -60, False), (-3600, 1, True)],
)
def test_a_job_is_active_inside_the_window_of_its_schedule(app, ana, start_s, end_s, active):
    # At the minute only, so that the window of the last row is open although no instant is left in it.
    now = datetime.fromtimestamp(NOW // 1000, UTC)
    start, end = (None if each is None else now + timedelta(seconds=each) for each in (start_s, end_s))
    app.job(Cron("0 0 1 1 *" if end_s == 1 else "* * * * *", start=start, end=end), name="windowed")(lambda: None)
    app.deploy()
    assert ana.is_active("windowed") is active


def test_a_one_time_job_is_no_longer_active_when_its_instant_is_over(app, ana, clock):
    app.job(Once(datetime.fromtimestamp(NOW // 1000 + 60, UTC)), name="once")(lambda: None)
    app.deploy()
    assert ana.is_active("once")
    clock.advance(61)
    assert not ana.is_active("once")


def test_the_instants_of_a_job_between_two_instants_are_listed(app, ana):
    app.job("*/20 * * * *", name="thrice")(lambda: None)
    app.deploy()
    start = datetime(2027, 1, 1, tzinfo=UTC)
    found = ana.occurrences_between("thrice", start, start + timedelta(hours=1))
    assert found == [start + timedelta(minutes=each) for each in (20, 40, 60)]
    with pytest.raises(InvalidInput, match="ask for a shorter time"):
        ana.occurrences_between("thrice", start, start + timedelta(days=2000))
    with pytest.raises(InvalidInput, match="which has no time zone"):
        ana.occurrences_between("thrice", datetime(2027, 1, 1), start)
