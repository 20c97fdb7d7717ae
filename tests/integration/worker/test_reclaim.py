"""The dead-man's switch: the runs of workers that died are taken over, and zombies that come back change nothing."""

from __future__ import annotations

import pytest

from jobistemer.core import ids
from jobistemer.core.errors import NotConnected
from jobistemer.store.actions import cancel
from jobistemer.store.actions.dead_letters import list_dead
from jobistemer.store.calls import streams
from jobistemer.store.database import Database
from jobistemer.ticker.sweep import Sweeper
from jobistemer.worker.execute.execute import NOTHING_RETURNED
from tests.support.shard_state import find_leaks, nothing_written, records
from tests.support.step_system import StepWorker, break_next, read_attempts

LEASE_S = 15


@pytest.fixture
def app(app):
    app.done = []

    @app.task
    def note(text: str) -> None:
        app.done.append(text)

    return app


def buried(survivor: StepWorker, clock) -> None:
    """The lease of the others is over, and the survivor has looked at them twice."""
    clock.advance(LEASE_S + 1)
    survivor.beat()
    clock.advance(1)
    survivor.beat()


def dies(app, database: Database, name: str, *begun: str) -> StepWorker:
    """A worker that has beaten, fetched all there is and begun some of it; it is not heard of again."""
    worker = StepWorker(database, app, name)
    worker.beat()
    for attempt in worker.fetch():
        if attempt.delivery.message.run in begun:
            worker.begin(attempt)
            database.call(attempt.build_start_call())
    return worker


def test_the_work_of_a_dead_worker_becomes_lost_attempts_and_is_done_by_others(app, database, clock):
    run = app.enqueue("note", {"text": "inherited"})
    dies(app, database, "victim", run.id)
    survivor = StepWorker(database, app, "survivor")

    buried(survivor, clock)
    survivor.work()

    assert app.done == ["inherited"]
    attempts = [(each.state.value, each.worker) for each in read_attempts(database, run.id)]
    assert attempts == [("lost", "victim"), ("succeeded", "survivor")]
    assert read_attempts(database, run.id)[0].error == "its worker victim died"
    assert run.record().crashes == 1
    assert set(records(database)["workers"]) == {"survivor"}
    assert find_leaks(database).keys() <= {"worker:survivor"}


def test_a_worker_that_beats_between_two_looks_is_not_dead(app, database, clock):
    app.enqueue("note", {"text": "mine"})
    slow = dies(app, database, "slow")
    survivor = StepWorker(database, app, "survivor")
    clock.advance(LEASE_S + 1)
    survivor.beat()

    slow.beat()
    survivor.beat()

    assert survivor.work() == 0
    slow.work()
    assert app.done == ["mine"]


def test_a_zombie_changes_nothing_and_does_not_begin_runs_that_it_had_fetched(app, database, clock):
    # Given a worker that had begun one run and fetched another when it was stopped
    first, second = app.enqueue("note", {"text": "first"}), app.enqueue("note", {"text": "second"})
    zombie = dies(app, database, "zombie", first.id)
    survivor = StepWorker(database, app, "survivor")
    buried(survivor, clock)
    survivor.work()
    assert sorted(app.done) == ["first", "second"]
    before = [read_attempts(database, run.id) for run in (first, second)]

    # When it wakes up, ends the one and comes to the other
    (begun,) = zombie.attempts.running()
    zombie.attempts.end(begun, NOTHING_RETURNED)
    zombie.committer.finished.put(begun)
    zombie.attempts._doubt_s = 0.0
    with nothing_written(database):
        zombie.execute()
        zombie.commit()

    # Then nothing has changed, nothing was done again, and it knows
    assert [read_attempts(database, run.id) for run in (first, second)] == before
    assert sorted(app.done) == ["first", "second"]
    assert zombie.committer.counts["stale"] == zombie.committer.counts.total() == 2
    assert zombie.prefetch.in_flight == 0


def test_a_message_that_kills_its_worker_again_and_again_ends_in_the_dead_letters_alone(app, database, clock):
    # Given a poisonous run, and neighbours that were fetched with it each time
    poison = app.enqueue("note", {"text": "poison"})
    neighbours = [app.enqueue("note", {"text": str(number)}) for number in range(3)]
    survivor = StepWorker(database, app, "survivor")

    # When three workers die of it
    for name in ("first", "second", "third"):
        dies(app, database, name, poison.id)
        buried(survivor, clock)

    # Then it is dead, and the neighbours are done
    assert (poison.state(), [each.state.value for each in read_attempts(database, poison.id)]) == ("dead", ["lost"] * 3)
    assert poison.record().crashes == 3
    survivor.work()
    assert sorted(app.done) == ["0", "1", "2"]
    assert {run.state() for run in neighbours} == {"succeeded"}


def test_a_run_whose_worker_died_over_its_cancellation_is_cancelled(app, database, clock):
    # Given a request to cancel that the worker did not live to hear
    run, other = app.enqueue("note", {"text": "x"}), app.enqueue("note", {"text": "y"})
    dies(app, database, "victim", run.id)
    assert cancel.cancel_run(database, run.id, "no") == "REQUESTED"
    survivor = StepWorker(database, app, "survivor")

    # When it is buried
    buried(survivor, clock)
    survivor.work()

    # Then the run has ended, and others went on
    assert (run.state(), other.state()) == ("canceled", "succeeded")
    assert [each.state.value for each in read_attempts(database, run.id)] == ["lost"]
    assert find_leaks(database).keys() <= {"worker:survivor"}


def test_an_unreadable_entry_of_a_dead_worker_ends_as_a_dead_letter_that_has_its_bytes(app, database, clock):
    worker = StepWorker(database, app, "victim")
    worker.beat()
    stream = database.keys.stream("default:5")
    database.client.xadd(stream, {"m": "no message", "n": 0, "c": 0})
    worker.fetcher._reader.fetch(["default:5"], 10, block=False)
    survivor = StepWorker(database, app, "survivor")

    buried(survivor, clock)

    assert set(records(database)["workers"]) == {"survivor"}
    assert database.client.xlen(stream) == 0
    (letter,) = list_dead([database])
    assert letter.raw == b"no message"
    assert "its message cannot be read" in letter.run.error


def test_many_entries_of_a_dead_worker_are_all_taken_over(app, database, clock):
    app.enqueue_many(app.request("note", {"text": str(number)}) for number in range(250))
    victim = StepWorker(database, app, "victim")
    victim.beat()
    while victim.fetcher._reader.fetch(["default:5"], 250, block=False):
        pass
    survivor = StepWorker(database, app, "survivor")

    buried(survivor, clock)
    survivor.work()

    assert sorted(app.done, key=int) == [str(number) for number in range(250)]
    assert find_leaks(database).keys() <= {"worker:survivor"}


def test_a_worker_that_takes_over_many_entries_beats_in_between_and_goes_on(app, database, clock, monkeypatch):
    monkeypatch.setattr(streams, "PENDING_PAGE", 1)
    app.enqueue_many(app.request("note", {"text": str(number)}) for number in range(3))
    dies(app, database, "victim")
    survivor = StepWorker(database, app, "survivor")
    clock.advance(LEASE_S + 1)
    survivor.beat()
    suspects, places = {"victim": int(records(database)["workers"]["victim"])}, survivor.queue_order.all_places()

    # Given no time at all, it takes over one page at a time, and the dead one is remembered until nothing is left
    taken = [survivor.reclaimer.observe(suspects, places, until=0.0) for _ in range(3)]

    assert taken == [1, 1, 1]
    assert set(records(database)["workers"]) == {"victim", "survivor"}
    assert survivor.reclaimer.observe(suspects, places, until=0.0) == 0
    assert set(records(database)["workers"]) == {"survivor"}
    survivor.work()
    assert sorted(app.done) == ["0", "1", "2"]


def test_the_run_with_the_most_crashes_goes_back_first_and_a_bystander_gets_no_further_crash(app, database, clock):
    # Given two runs of a worker that died, of which only the second was begun when the next worker died as well
    app.enqueue("note", {"text": "bystander"})
    culprit = app.enqueue("note", {"text": "culprit"})
    survivor = StepWorker(database, app, "survivor")
    dies(app, database, "first victim")
    buried(survivor, clock)

    dies(app, database, "second victim", culprit.id)
    buried(survivor, clock)

    told = [(each.delivery.message.run == culprit.id, each.delivery.crashes) for each in survivor.fetch()]
    assert told == [(True, 2), (False, 1)]


@pytest.mark.parametrize("after", [False, True])
def test_a_takeover_that_broke_off_is_completed(app, database, clock, after):
    app.enqueue("note", {"text": "x"})
    dies(app, database, "victim")
    survivor = StepWorker(database, app, "survivor")
    clock.advance(LEASE_S + 1)
    survivor.beat()

    with break_next(database, "call_all", lambda: NotConnected("away"), after), pytest.raises(NotConnected):
        survivor.beat()
    survivor.beat()
    survivor.work()

    assert app.done == ["x"]
    assert set(records(database)["workers"]) == {"survivor"}


def test_all_survivors_bury_a_worker_at_once_and_each_entry_is_taken_over_once(app, database, open_database, clock):
    run = app.enqueue("note", {"text": "x"})
    dies(app, database, "victim")
    survivors = [StepWorker(open_database(), app, name) for name in ("left", "right")]
    clock.advance(LEASE_S + 1)
    for survivor in survivors * 2:
        survivor.beat()

    for survivor in survivors:
        survivor.work()

    assert app.done == ["x"]
    assert [each.state.value for each in read_attempts(database, run.id)] == ["lost", "succeeded"]


def test_a_consumer_that_no_worker_stands_behind_is_announced_and_taken_over(app, database, clock):
    # Given entries that are pending for a consumer which has never beaten, or was forgotten too early
    app.enqueue("note", {"text": "orphan"})
    StepWorker(database, app, "nobody").fetch()

    # When a ticker sweeps and a worker beats
    Sweeper(database).sweep()
    survivor = StepWorker(database, app, "survivor")
    buried(survivor, clock)
    survivor.work()

    assert app.done == ["orphan"]
    assert set(records(database)["workers"]) == {"survivor"}


def test_the_work_of_a_dead_worker_is_taken_over_although_a_stream_was_deleted(app, database, clock):
    # Given a dead worker, and a stream of a queue that no other worker serves
    app.enqueue("note", {"text": "elsewhere"}, queue="archive")
    app.enqueue("note", {"text": "inherited"})
    dies(app, database, "victim")
    database.client.delete(database.keys.stream("archive:5"))
    survivor = StepWorker(database, app, "survivor")

    # When it is buried
    buried(survivor, clock)
    survivor.work()

    # Then
    assert app.done == ["inherited"]
    assert set(records(database)["workers"]) == {"survivor"}


def test_a_run_that_cannot_be_taken_over_keeps_no_other_from_being(app, database, clock, caplog):
    # Given a dead worker that had a cancelled run of a job which a newer version of this package has defined anew
    @app.job("0 0 1 1 *", name="sync")
    def sync() -> None: ...

    app.deploy()
    app.control.trigger("sync")
    run = app.enqueue("note", {"text": "inherited"})
    victim = dies(app, database, "victim")
    (canceled,) = (each.delivery.message.run for each in victim.waiting if each.handler.name == "sync")
    database.client.hset(database.keys.run(canceled), "cancel", 1)
    job = database.keys.job(ids.job_id("sync"))
    definition = database.client.hget(job, "definition")
    database.client.hset(job, "definition", "{}")
    survivor = StepWorker(database, app, "survivor")

    # When it is buried by one that cannot read that
    buried(survivor, clock)
    survivor.work()

    # Then the other run is done
    assert run.state() == "succeeded"
    assert "cannot be taken over here" in caplog.text

    # And when it can be read, this one ends as well: until then nobody forgets whose it was
    database.client.hset(job, "definition", definition)
    buried(survivor, clock)
    assert [each["state"] for key, each in records(database).items() if key.startswith("occurrence:")] == ["canceled"]
    assert set(records(database)["workers"]) == {"survivor"}
