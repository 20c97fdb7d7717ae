import pytest

from jobistemer.store.calls import holds, runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish
from tests.support.shard_state import nothing_written, records
from tests.support.wakeups import collect_wakeups

UNTIL = NOW + 600_000
NAME = "task/greet"


@pytest.fixture
def parked(database):
    """Two runs are put off by a hold."""
    database.client.zadd(database.keys.holds, {NAME: UNTIL})
    for run in ("run_1", "run_2"):
        enqueue(database, run)
        database.call(holds.hold_run(database.keys, fetch_one(database), NAME, NOW))
    return database


def release(database, now=NOW + 5):
    return database.call(holds.release_held(database.keys, NAME, now))


def test_what_was_put_off_is_due_now_and_a_ticker_is_woken(parked):
    with collect_wakeups(parked) as heard:
        assert release(parked) == Reply("LEFT", [0])
    assert heard == ["run"]
    assert records(parked)["delayed"] == {"default:5:run_1": NOW + 5, "default:5:run_2": NOW + 5}
    assert f"parked:{NAME}" not in records(parked)


def test_a_second_send_changes_nothing(parked):
    release(parked)
    with nothing_written(parked):
        assert release(parked, NOW + 9) == Reply("LEFT", [0])


def test_a_run_that_was_cancelled_meanwhile_does_not_come_back(parked):
    parked.client.zrem(parked.keys.delayed, "default:5:run_1")
    release(parked)
    assert list(records(parked)["delayed"]) == ["default:5:run_2"]


def test_a_run_that_has_come_back_by_itself_keeps_the_time_of_its_retry(parked):
    parked.call(runs.promote_runs(parked.keys, ["default:5:run_1"], UNTIL))
    finish(parked, build_ended(fetch_one(parked), "failed", error="oops"))
    before = records(parked)["delayed"]["default:5:run_1"]
    release(parked)
    assert records(parked)["delayed"]["default:5:run_1"] == before


def test_at_most_a_hundred_come_back_in_one_call(database):
    database.client.zadd(database.keys.parked(NAME), {f"default:5:run_{n}": UNTIL for n in range(150)})
    assert release(database) == Reply("LEFT", [50])
    assert release(database) == Reply("LEFT", [0])
