from jobistemer.store.calls.unknown_tasks import announce_worker, join_worker, put_off_unknown
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import enqueue, fetch_one
from tests.support.shard_state import expiring_keys, records
from tests.support.wakeups import collect_wakeups


def put_off(database, run):
    enqueue(database, run)
    database.call(put_off_unknown(database.keys, fetch_one(database), NOW, "no worker knows it"))


def join(database, now=NOW + 1000):
    return database.call(join_worker(database.keys, now))


def test_a_worker_that_starts_makes_the_runs_due_that_may_have_waited_for_it(database, open_database):
    for n in range(2):
        put_off(database, f"run_{n}")
    with collect_wakeups(open_database()) as wakes:
        assert join(database) == Reply("LEFT", [0])
    assert wakes == ["run"]
    state = records(database)
    assert state["delayed"] == {f"default:5:run_{n}": NOW + 1000 for n in range(2)}
    assert "unknown" not in state


def test_its_start_is_on_record_for_a_while(database):
    assert join(database) == Reply("LEFT", [0])
    assert records(database) == {"joined": str(NOW + 1000)}
    assert "joined" in expiring_keys(database)


def test_a_run_that_waits_for_something_else_by_now_is_left_alone(database):
    put_off(database, "run_1")
    database.client.zadd(database.keys.delayed, {"default:5:run_1": NOW + 90_000})
    join(database)
    assert records(database)["delayed"] == {"default:5:run_1": NOW + 90_000}


def test_a_run_that_has_left_the_delayed_set_does_not_come_back(database):
    put_off(database, "run_1")
    database.client.zrem(database.keys.delayed, "default:5:run_1")
    join(database)
    assert "delayed" not in records(database)


def test_a_second_send_changes_nothing_more(database):
    put_off(database, "run_1")
    join(database)
    before = records(database)
    assert join(database) == Reply("LEFT", [0])
    assert records(database) == before


def test_more_than_a_hundred_are_made_due_a_hundred_at_a_time(database):
    for n in range(103):
        put_off(database, f"run_{n}")
    assert join(database) == Reply("LEFT", [3])
    announce_worker(database)
    state = records(database)
    assert "unknown" not in state
    assert max(state["delayed"].values()) < NOW + 5000
