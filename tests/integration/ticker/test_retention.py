"""Histories stay within their retention, by count and by age, and what goes leaves no orphans."""

import pytest

from jobistemer import NO_RETRIES
from jobistemer.store.actions.trim import trim_step
from tests.support.lifecycle import T0
from tests.support.shard_state import records
from tests.support.step_system import StepWorker, build_ticker, open_app, read_occurrences

MINUTE = 60


@pytest.fixture
def app(server_url, clock, database):
    return open_app(server_url, clock)


def declared(app, **policies):
    app.fails = False

    @app.job("* * * * *", retry=NO_RETRIES, recovery="execute_all", catch_up_per_s=1000, **policies)
    def report() -> None:
        if app.fails:
            raise ValueError("no")

    app.deploy()
    return app.declarations["report"].build()


def minutes(database, job):
    return [(each.due - T0) // MINUTE for each in read_occurrences(database, job)]


def goes_by(count, database, clock, app):
    one, worker = build_ticker(database), StepWorker(database, app)
    for _ in range(count):
        clock.advance(MINUTE)
        one.tick()
        worker.work()
    return one


def kinds(database):
    """How many records of each kind there are."""
    names = [key.partition(":")[0] for key in records(database)]
    return {kind: names.count(kind) for kind in ("occurrence", "run", "attempt")}


def test_the_latest_are_kept_as_many_as_the_job_says_with_their_runs_and_attempts(app, database, clock):
    job = declared(app, history_count=3)
    one = goes_by(8, database, clock, app)
    assert one._trimmer.trim() == 5
    assert minutes(database, job) == [6, 7, 8]
    assert kinds(database) == {"occurrence": 3, "run": 3, "attempt": 3}


def test_what_has_not_ended_stays_however_many_there_are(app, database, clock):
    job = declared(app, history_count=1, overlap="queue")
    one = build_ticker(database)
    for _ in range(4):
        clock.advance(MINUTE)
        one.tick()
    assert one._trimmer.trim() == 0
    assert minutes(database, job) == [1, 2, 3, 4]


def test_a_dead_run_stays_in_the_list_of_the_dead_and_can_be_replayed(app, database, clock):
    job = declared(app, history_count=1)
    app.fails = True
    one = goes_by(2, database, clock, app)
    one._trimmer.trim()
    assert minutes(database, job) == [2]
    assert kinds(database) == {"occurrence": 1, "run": 2, "attempt": 2}


def test_what_has_expired_leaves_the_history(app, database, clock):
    job = declared(app, history_s=120)
    one = goes_by(3, database, clock, app)
    for each in read_occurrences(database, job)[:2]:
        database.client.delete(database.keys.occurrence(each.id))
    assert one._trimmer.trim() == 2
    history = database.client.zrange(database.keys.history(job.id), 0, -1)
    assert len(history) == 1


def test_a_long_history_is_trimmed_in_steps_of_a_hundred(app, database, clock):
    job = declared(app, history_count=10, overlap="allow")
    clock.advance(350 * MINUTE)
    one, worker = build_ticker(database), StepWorker(database, app)
    while len(minutes(database, job)) < 350:
        one.tick()
        clock.advance(0.1)
    worker.work()
    assert [trim_step(database, job) for _ in range(5)] == [100, 100, 100, 40, 0]
    assert minutes(database, job) == list(range(341, 351))
    assert kinds(database) == {"occurrence": 10, "run": 10, "attempt": 10}


def test_two_tickers_may_trim_the_same_history(app, open_database, clock):
    database = open_database()
    job = declared(app, history_count=3)
    one, other = goes_by(8, database, clock, app), build_ticker(open_database())
    other._trimmer.remember({job.id: job})
    assert one._trimmer.trim() + other._trimmer.trim() == 5
    assert minutes(database, job) == [6, 7, 8]


def test_a_ticker_that_claims_nothing_looks_at_no_history(app, database, clock):
    declared(app)
    one = build_ticker(database)
    one.tick()
    assert one._trimmer._grown == {}


def test_what_is_triggered_by_hand_is_trimmed_without_a_ticker(app, database, clock):
    job = declared(app, history_count=2, overlap="allow")
    worker = StepWorker(database, app)
    for _ in range(5):
        clock.advance(1)
        app.control.trigger("report")
        worker.work()
    assert [each.due - T0 for each in read_occurrences(database, job)] == [4, 5]
