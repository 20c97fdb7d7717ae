import pytest

from jobistemer.core.retries import NO_RETRIES
from jobistemer.store import dead
from jobistemer.store.scripts import Reply
from tests.support.records import nothing_written, records
from tests.support.stories import ended, enqueue, finish, take_one


def purge(database, *runs):
    return database.call(dead.purge(database.keys, runs))


@pytest.fixture
def morgue(database):
    """Two runs are dead, a third waits."""
    for run in ("run_1", "run_2"):
        enqueue(database, run, retry=NO_RETRIES)
        finish(database, ended(take_one(database), "failed"))
    enqueue(database, "run_3")
    return database


def test_dead_runs_are_deleted_and_no_others(morgue):
    before = records(morgue)
    assert purge(morgue, "run_1") == Reply("PURGED", [1])
    expected = before | {"dead": {"run_2": before["dead"]["run_2"]}}
    del expected["run:run_1"]
    assert records(morgue) == expected


def test_a_second_send_of_the_same_call_deletes_nothing(morgue):
    purge(morgue, "run_1")
    with nothing_written(morgue):
        assert purge(morgue, "run_1") == Reply("PURGED", [0])


def test_a_run_that_is_not_dead_is_left_alone(morgue):
    with nothing_written(morgue):
        assert purge(morgue, "run_3", "run_unknown") == Reply("PURGED", [0])


def test_a_dead_letter_whose_record_has_expired_leaves_the_list(morgue):
    morgue.client.delete(morgue.keys.run("run_1"))
    assert purge(morgue, "run_1", "run_2") == Reply("PURGED", [2])
    assert "dead" not in records(morgue)


def test_at_most_a_hundred_are_deleted_in_one_call(database):
    runs = [f"run_{n}" for n in range(101)]
    database.client.zadd(database.keys.dead, dict.fromkeys(runs, 1))
    assert purge(database, *runs) == Reply("PURGED", [100])
    assert records(database) == {"dead": {"run_100": 1}}
