"""Overlap: what becomes of an instant while an earlier occurrence goes on; tickers race, workers finish meanwhile."""

import pytest

from jobistemer import NO_RETRIES
from tests.support.lifecycle import T0
from tests.support.shard_state import find_leaks, records
from tests.support.step_system import StepWorker, break_next, build_ticker, open_app, read_occurrences
from tests.support.wakeups import collect_wakeups

MINUTE = 60


@pytest.fixture
def app(server_url, clock, database):
    app = open_app(server_url, clock)
    app.done = []
    return app


def declared(app, overlap, **policies):
    @app.job("* * * * *", retry=NO_RETRIES, overlap=overlap, **policies)
    def report() -> None:
        app.done.append("report")

    app.deploy()
    return app.declarations["report"].build()


def rows(database, job):
    return {(each.due - T0) // MINUTE: str(each.state) for each in read_occurrences(database, job)}


def why(database, job):
    return [each.error or each.reason for each in read_occurrences(database, job)]


def test_replace_cancels_what_waits_on_its_stream_and_runs_the_new_one(app, database, clock):
    job = declared(app, "replace")
    one = build_ticker(database)
    for _ in range(3):
        clock.advance(MINUTE)
        one.tick()
    one.tick()
    assert rows(database, job) == {1: "canceled", 2: "canceled", 3: "pending"}
    StepWorker(database, app).work()
    clock.advance(10)
    one.tick()
    assert rows(database, job) == {1: "canceled", 2: "canceled", 3: "completed"}
    _, second, third = read_occurrences(database, job)
    assert second.error.endswith(f"replaced by {third.id}")
    assert app.done == ["report"]
    assert find_leaks(database) == {}


def test_replace_waits_until_the_run_in_flight_is_cancelled_by_the_next_beat_of_its_worker(app, database, clock):
    job = declared(app, "replace")
    one, worker, other = build_ticker(database), StepWorker(database, app), StepWorker(database, app, "bob")
    clock.advance(MINUTE)
    one.tick()
    (attempt,) = worker.fetch()
    worker.begin(attempt)
    clock.advance(MINUTE)
    one.tick()
    one.tick()
    other.work()
    assert rows(database, job) == {1: "pending", 2: "queued"}
    assert app.done == []
    worker.beat()
    worker.watchdog.step()
    with collect_wakeups(database) as heard:
        worker.commit()
    assert heard == ["start"]
    one.tick()
    other.work()
    assert rows(database, job) == {1: "canceled", 2: "completed"}
    clock.advance(10)
    one.tick()
    assert find_leaks(database) == {}


def test_of_many_that_come_while_the_first_goes_on_only_the_last_one_runs(app, database, clock):
    job = declared(app, "replace")
    one, worker = build_ticker(database), StepWorker(database, app)
    clock.advance(MINUTE)
    one.tick()
    worker.begin(*worker.fetch())
    for _ in range(3):
        clock.advance(MINUTE)
        one.tick()
    assert rows(database, job) == {1: "pending", 2: "canceled", 3: "canceled", 4: "queued"}
    worker.beat()
    worker.watchdog.step()
    worker.commit()
    clock.advance(6)
    one.tick()
    worker.work()
    assert list(rows(database, job).values()) == ["canceled", "canceled", "canceled", "completed"]
    _, second, third, last = read_occurrences(database, job)
    assert [each.error for each in (second, third)] == [f"replaced by {third.id}", f"replaced by {last.id}"]
    assert find_leaks(database) == {}


def test_the_one_replaced_may_have_died_with_its_worker(app, database, clock):
    job = declared(app, "replace")
    one, dead = build_ticker(database), StepWorker(database, app, "dead")
    dead.beat()
    clock.advance(MINUTE)
    one.tick()
    dead.begin(*dead.fetch())
    clock.advance(MINUTE)
    one.tick()
    assert rows(database, job) == {1: "pending", 2: "queued"}
    worker = StepWorker(database, app)
    for _ in range(2):
        worker.beat()
    one.tick()
    worker.work()
    assert rows(database, job) == {1: "canceled", 2: "completed"}
    dead.commit()
    assert rows(database, job) == {1: "canceled", 2: "completed"}


def test_a_worker_that_finishes_before_it_hears_of_it_has_completed(app, database, clock):
    job = declared(app, "replace")
    one, worker = build_ticker(database), StepWorker(database, app)
    clock.advance(MINUTE)
    one.tick()
    worker.fetch()
    clock.advance(MINUTE)
    one.tick()
    worker.execute()
    worker.commit()
    clock.advance(10)
    one.tick()
    worker.work()
    assert rows(database, job) == {1: "completed", 2: "completed"}
    assert app.done == ["report"] * 2
    assert find_leaks(database) == {}


def test_a_ticker_that_dies_after_the_claim_leaves_the_cancelling_to_the_next(app, open_database, clock):
    database, other = open_database(), open_database()
    job = declared(app, "replace")
    one = build_ticker(database)
    clock.advance(MINUTE)
    one.tick()
    clock.advance(MINUTE)
    with break_next(database, "call_all", lambda: ConnectionError("cut"), after=True), pytest.raises(ConnectionError):
        one.tick()
    assert rows(database, job) == {1: "pending", 2: "queued"}
    for _ in range(2):
        build_ticker(other, name="other").tick()
    assert rows(database, job) == {1: "canceled", 2: "pending"}


def test_two_tickers_replace_once(app, open_database, clock):
    database = open_database()
    job = declared(app, "replace")
    racing = build_ticker(database, name="one"), build_ticker(open_database(), name="other")
    for _ in range(4):
        clock.advance(MINUTE)
        for each in racing:
            each.poll(full=True)
        for each in racing:
            each.process_due()
        for each in racing:
            each.tick()
    assert rows(database, job) == {1: "canceled", 2: "canceled", 3: "canceled", 4: "pending"}
    StepWorker(database, app).work()
    assert app.done == ["report"]


def test_what_still_waited_in_the_queue_when_the_policy_changed_is_replaced_too(app, database, clock):
    declared(app, "queue")
    one = build_ticker(database)
    for _ in range(3):
        clock.advance(MINUTE)
        one.tick()
    app.declarations.clear()
    app.handlers.clear()
    job = declared(app, "replace")
    clock.advance(MINUTE)
    one.tick()
    one.tick()
    assert rows(database, job) == {1: "canceled", 2: "canceled", 3: "canceled", 4: "pending"}
    assert f"queued:{job.id}" not in records(database)


@pytest.mark.parametrize(
    ("overlap", "during", "after"),
    [
        (
            "skip",
            {1: "pending", 2: "skipped", 3: "skipped", 4: "skipped"},
            ["completed", "skipped", "skipped", "skipped"],
        ),
        (
            "queue",
            {1: "pending", 2: "queued", 3: "queued", 4: "skipped"},
            ["completed", "completed", "completed", "skipped"],
        ),
        ("allow", {1: "pending", 2: "pending", 3: "pending", 4: "pending"}, ["completed"] * 4),
        ("replace", {1: "canceled", 2: "canceled", 3: "canceled", 4: "pending"}, ["canceled"] * 3 + ["completed"]),
    ],
)
def test_each_policy_while_an_occurrence_goes_on_and_after_it(app, database, clock, overlap, during, after):
    job = declared(app, overlap, max_queued=2)
    one, worker = build_ticker(database), StepWorker(database, app)
    for _ in range(4):
        clock.advance(MINUTE)
        one.tick()
    one.tick()
    assert rows(database, job) == during
    for _ in range(4):
        worker.work()
        clock.advance(6)
        one.tick()
    assert list(rows(database, job).values()) == after
    assert find_leaks(database) == {}
    assert all(why(database, job))
