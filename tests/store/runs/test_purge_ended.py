import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import Overlap
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.store.actions.purge_ended import EndedRun, Purge, find_purgeable, purge_ended, purge_page
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, enqueue, fetch_one, finish, job, register
from tests.support.lifecycle import task as named
from tests.support.shard_state import nothing_written, records

ALL_BUT_DEAD = Purge(NOW, frozenset({"succeeded", "failed", "timed_out", "canceled", "skipped"}))
DEAD = ALL_BUT_DEAD._replace(states=frozenset({"dead"}))
LETTER = {"error": "oops"}
"""The end of an attempt whose run becomes a dead letter."""


def end(database, state="succeeded", run="run_1", at=NOW, **more):
    enqueue(database, run, retry=NO_RETRIES)
    over = build_ended(fetch_one(database), state, **more)
    finish(database, over._replace(ended_at=at))
    return run


def found(database, purge=ALL_BUT_DEAD):
    return [run for page in find_purgeable(database, purge) for run in page]


def send(database, *runs, purge=ALL_BUT_DEAD):
    return database.call(purge_ended(database.keys, purge, runs))


def ended_run(run="run_1", state="succeeded"):
    return EndedRun(run, state, "", 0)


def test_an_ended_run_is_gone_with_its_attempt_its_log_and_its_steps_and_nothing_else_is(database):
    end(database, run="run_2", at=NOW + 1)
    others = records(database)
    end(database)
    attempt = ids.attempt_id("run_1", 0)
    database.client.rpush(database.keys.log(attempt), "a line")
    database.client.hset(database.keys.steps("run_1"), "charge", "{}")
    assert f"attempt:{attempt}" in records(database)
    assert found(database) == [ended_run()]
    assert send(database, *found(database)) == Reply("PURGED", [])
    assert records(database) == others


def test_a_second_send_purges_nothing_more(database):
    run = ended_run(end(database))
    send(database, run)
    with nothing_written(database):
        # Gone, whichever send it was: the answer to the first one may be lost.
        assert send(database, run) == Reply("PURGED", [])


@pytest.mark.parametrize("state", ["pending", "running"])
def test_a_run_that_has_not_ended_is_neither_found_nor_purged(database, state):
    enqueue(database)
    if state == "running":
        fetch_one(database)
    assert found(database, ALL_BUT_DEAD._replace(before=NOW * 2)) == []
    with nothing_written(database):
        assert send(database, ended_run()) == Reply("PURGED", [1])


def test_a_run_that_ended_later_stays_even_when_it_is_named(database):
    end(database, at=NOW + 1)
    assert found(database) == []
    with nothing_written(database):
        assert send(database, ended_run()) == Reply("PURGED", [1])


def test_only_runs_in_the_states_that_are_named_go(database):
    end(database, "failed", final=True, error="no")
    end(database, "canceled", "run_2")
    canceled = ALL_BUT_DEAD._replace(states=frozenset({"canceled"}))
    assert [run.id for run in found(database, canceled)] == ["run_2"]
    assert send(database, ended_run(), ended_run("run_2"), purge=canceled) == Reply("PURGED", [1])
    assert "run:run_1" in records(database)


def test_dead_letters_go_only_with_the_state_dead_also_those_that_have_timed_out(database):
    end(database, "failed", **LETTER)
    end(database, "timed_out", "run_2", **LETTER)
    letters = [ended_run(), ended_run("run_2")]
    assert records(database)["run:run_2"]["state"] == "timed_out"
    assert found(database) == []
    with nothing_written(database):
        assert send(database, *letters) == Reply("PURGED", [1, 2])
    assert {run.id for run in found(database, DEAD)} == {"run_1", "run_2"}
    assert send(database, *letters, purge=DEAD) == Reply("PURGED", [])
    assert "dead" not in records(database)


def test_a_run_of_an_occurrence_that_has_not_ended_stays(database):
    two = job(named("first"), named("second", "first"), overlap=Overlap.ALLOW)
    register(database, two)
    claim(database, two, decision(T0 + MINUTE))
    over = build_ended(fetch_one(database))
    finish(database, over._replace(ended_at=NOW), two)
    (run,) = found(database)
    assert run.occurrence
    with nothing_written(database):
        assert send(database, run) == Reply("PURGED", [1])
    finish(database, build_ended(fetch_one(database))._replace(ended_at=NOW + 1), two)
    assert send(database, run) == Reply("PURGED", [])


def test_a_run_that_is_kept_for_ever_or_whose_record_cannot_be_read_stays(database):
    end(database)
    database.client.persist(database.keys.run("run_1"))
    end(database, run="run_2")
    database.client.hset(database.keys.run("run_2"), "ended_at", "yesterday")
    with nothing_written(database):
        assert send(database, ended_run(), ended_run("run_2")) == Reply("PURGED", [1, 2])


def put_ended(database, run, attempts=1):
    key = database.keys.run(run)
    database.client.hset(key, mapping={"state": "succeeded", "ended_at": NOW, "attempt": attempts - 1})
    database.client.pexpire(key, 60_000)


def test_at_most_a_hundred_go_in_one_call_and_pages_are_no_longer(database):
    for number in range(101):
        put_ended(database, f"run_{number}")
    pages = list(find_purgeable(database, ALL_BUT_DEAD))
    assert sorted(map(len, pages)) == [1, 100]
    assert send(database, *(run for page in pages for run in page)) == Reply("PURGED", [])
    assert len(found(database)) == 1


def test_runs_with_many_attempts_make_pages_of_two_hundred_attempts(database):
    for number in range(25):
        put_ended(database, f"run_{number}", attempts=40)
    pages = list(find_purgeable(database, ALL_BUT_DEAD))
    assert [sum(len(run.attempts) for run in page) for page in pages] == [200, 200, 100]
    assert pages[0][0].attempts == range(20, 40)


def test_what_is_gone_of_a_page_is_told_from_what_stays(database):
    for run in ("run_1", "run_2", "run_3"):
        put_ended(database, run)
    (page,) = find_purgeable(database, ALL_BUT_DEAD)
    # Since they were found one has ended anew, and one has expired.
    database.client.hset(database.keys.run(page[0].id), "ended_at", NOW + 1)
    database.client.delete(database.keys.run(page[1].id))
    assert purge_page(database, ALL_BUT_DEAD, page) == page[1:]
    assert [key for key in records(database) if key.startswith("run:")] == [f"run:{page[0].id}"]
