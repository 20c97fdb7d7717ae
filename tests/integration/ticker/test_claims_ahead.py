"""Instants that are claimed a little before they are due: the same end as on the dot, and no run begins before."""

import time

import msgspec
import pytest

from jobistemer.core.errors import NotConnected
from jobistemer.core.jobs.limits import Rate
from jobistemer.store.calls import heartbeats
from jobistemer.store.database import Database
from jobistemer.store.reads.queues import list_workers
from jobistemer.ticker.upcoming import MIN_LEAD_MS
from jobistemer.ticker.workers_check import WorkersCheck
from tests.support.apps import empty_app, running_ticker, running_worker, shard_of
from tests.support.clocks import NOW
from tests.support.lifecycle import T0
from tests.support.shard_state import find_leaks, records
from tests.support.step_system import StepWorker, break_next, build_ticker, open_app, read_occurrences
from tests.support.worker_processes import wait_until

MINUTE = 60
JUST_BEFORE = MINUTE - MIN_LEAD_MS / 1000


@pytest.fixture
def app(server_url, clock, database):
    app = open_app(server_url, clock)
    app.done = []
    return app


def declared(app, name="report", **options):
    @app.job("* * * * *", name=name, **options)
    def handler() -> None:
        app.done.append((name, app.namespace.shards[0].clock.now_ms() - NOW))

    app.deploy()
    return app.declarations[name].build()


def ticker_ahead(database: Database, name: str = "ticker"):
    one = build_ticker(database, name=name)
    one.upcoming.claims_ahead = True
    return one


def rows(database, definition):
    return {(each.due - T0) // MINUTE: str(each.state) for each in read_occurrences(database, definition)}


def test_an_instant_is_claimed_ahead_and_its_run_begins_when_it_is_due(app, database, clock):
    definition = declared(app)
    one, worker = ticker_ahead(database), StepWorker(database, app)
    clock.advance(JUST_BEFORE)
    assert one.tick() == 1
    # It is on record as on the dot, and its run lies on the stream, but the worker keeps it.
    (found,) = read_occurrences(database, definition)
    assert (found.state, found.late_ms, found.reason) == ("pending", 0, "fired on time")
    assert (worker.work(), app.done) == (0, [])
    clock.advance(MIN_LEAD_MS / 1000)
    worker.work()
    assert app.done == [("report", MINUTE * 1000)]
    assert (one.tick(), rows(database, definition)) == (0, {1: "completed"})
    assert find_leaks(database) == {}


def test_other_tickers_find_the_instant_decided(app, database, clock):
    definition = declared(app)
    tickers = [ticker_ahead(database, f"ticker-{number}") for number in range(3)]
    for each in tickers:
        each.poll(full=True)
    clock.advance(JUST_BEFORE)
    claimed = [each.tick() for each in tickers]
    clock.advance(1)
    claimed += [each.tick() for each in tickers]
    assert (sum(claimed), rows(database, definition)) == (1, {1: "pending"})


def test_a_job_that_is_busy_is_decided_at_the_instant(app, database, clock):
    definition = declared(app, overlap="skip")
    one, worker = ticker_ahead(database), StepWorker(database, app)
    clock.advance(MINUTE)
    one.tick()
    clock.advance(JUST_BEFORE)
    # The run of the first minute goes on a few milliseconds before the second one, and ends in time.
    assert (one.tick(), rows(database, definition)) == (0, {1: "pending"})
    worker.work()
    clock.advance(MIN_LEAD_MS / 1000)
    assert (one.tick(), rows(database, definition)) == (1, {1: "completed", 2: "pending"})
    # Not at the dear price of a single claim from then on.
    worker.work()
    clock.advance(JUST_BEFORE)
    assert one.tick() == 1


def test_a_pause_that_is_in_force_before_the_claim_counts_and_a_later_one_is_for_the_next_instant(app, database, clock):
    definition = declared(app)
    one = ticker_ahead(database)
    clock.advance(JUST_BEFORE)
    one.tick()
    app.control.pause("report")
    clock.advance(MINUTE)
    one.tick()
    clock.advance(MINUTE)
    one.tick()
    assert rows(database, definition) == {1: "pending", 2: "skipped"}


@pytest.mark.parametrize("schedule", ["* * * * *", "*/1 * * * *", "*/2 * * * *"])
def test_a_definition_that_changes_after_the_claim_begins_behind_the_instant(app, database, clock, schedule):
    definition = declared(app)
    one = ticker_ahead(database)
    clock.advance(JUST_BEFORE)
    one.tick()
    app.control.register(
        msgspec.structs.replace(definition, schedule=type(definition.schedule)(schedule), description="new")
    )
    for _ in range(4):
        clock.advance(MINUTE)
        one.tick()
    found = read_occurrences(database, definition)
    assert [each.version for each in found] == [1, *[2] * (len(found) - 1)]
    dues = [(each.due - T0) // MINUTE for each in found]
    assert dues == ([1, 2, 3, 4] if "2" not in schedule else [1, 2, 4])


def test_a_job_that_is_removed_after_the_claim_leaves_no_key_behind(app, database, clock):
    declared(app)
    one, worker = ticker_ahead(database), StepWorker(database, app)
    clock.advance(JUST_BEFORE)
    one.tick()
    app.control.remove("report")
    clock.advance(1)
    worker.work()
    one.tick()
    assert find_leaks(database) == {}


def test_a_claim_whose_answer_is_lost_decides_once(app, database, clock):
    definition = declared(app)
    one = ticker_ahead(database)
    clock.advance(MINUTE - 1)
    one.poll(full=True)
    clock.advance(1 - MIN_LEAD_MS / 1000)
    with break_next(database, "call_all", lambda: NotConnected("gone"), after=True), pytest.raises(NotConnected):
        one.process_due()
    clock.advance(1)
    one.tick()
    one.tick()
    assert rows(database, definition) == {1: "pending"}


def test_a_clock_that_steps_back_after_the_claim_delays_the_run_and_repeats_nothing(app, database, clock):
    definition = declared(app)
    one, worker = ticker_ahead(database), StepWorker(database, app)
    clock.advance(JUST_BEFORE)
    one.tick()
    worker.fetch()
    clock.advance(-0.5)
    one.tick()
    assert worker.work() == 0
    clock.advance(1)
    one.tick()
    worker.work()
    assert (len(app.done), rows(database, definition)) == (1, {1: "completed"})


def test_a_run_under_a_rate_asks_for_its_permit_when_it_is_due(server_url, clock, database):
    app = open_app(server_url, clock)
    app.done = []
    definition = declared(app, limits=[Rate(1, per_s=1)])
    one, worker = ticker_ahead(database), StepWorker(database, app)
    clock.advance(JUST_BEFORE)
    one.tick()
    assert worker.work() == 0
    assert not [key for key in records(database) if key.startswith(("held:", "rate:"))]
    clock.advance(MIN_LEAD_MS / 1000)
    assert worker.work() == 1
    assert [key for key in records(database) if key.startswith("rate:")]
    assert (app.done, rows(database, definition)) == ([("report", MINUTE * 1000)], {1: "completed"})


def beat(database, name, **status):
    text = msgspec.json.encode({"host": "h", **status})
    database.call(heartbeats.beat_worker(database.keys, name, database.clock.now_ms(), 30_000, 0, text))


def test_nothing_is_claimed_ahead_while_a_worker_of_an_earlier_release_lives(database):
    assert WorkersCheck(database).all_wait()
    beat(database, "new", waits_until_due=True)
    assert WorkersCheck(database).all_wait()
    beat(database, "old")
    assert not WorkersCheck(database).all_wait()


def test_what_was_found_about_the_workers_counts_for_five_seconds(database, monkeypatch):
    check = WorkersCheck(database)
    assert check.all_wait()
    beat(database, "old")
    assert check.all_wait()
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + 5)
    assert not check.all_wait()


def test_a_worker_says_that_it_waits(app, database):
    StepWorker(database, app).beat()
    (found,) = list_workers([database])
    assert found.waits_until_due


def test_real_processes_claim_before_the_instant_and_begin_after_it(server_url):
    app = empty_app(server_url)
    database = shard_of(app)
    begun: list[tuple[int, float]] = []

    for number in range(30):

        @app.job("* * * * * *", name=f"job-{number}", overlap="allow")
        def handler() -> None:
            seconds, micros = database.client.time()
            begun.append((seconds, micros / 1000))

    app.deploy()
    with running_worker(app), running_ticker(app):
        wait_until(lambda: len({second for second, _ in begun}) > 3, "three instants")
    # By the time of the server itself: none in the last milliseconds of a second, where a claim ahead is made.
    assert [ms for _, ms in begun if ms > 1000 - MIN_LEAD_MS - 5] == []
    app.close()
