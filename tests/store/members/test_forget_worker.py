from jobistemer.store.calls import heartbeats, runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish
from tests.support.shard_state import nothing_written, records


def beat(database, worker="alice", now=NOW):
    database.call(heartbeats.beat_worker(database.keys, worker, now, 15_000, now, b"{}", "me"))


def forget(database, beat_ms=NOW, places=("default:5",)):
    return heartbeats.forget_worker(database, "alice", beat_ms, list(places))


def consumers(database):
    return {
        each["name"].decode() for each in database.client.xinfo_consumers(database.keys.stream("default:5"), "workers")
    }


def test_a_worker_that_has_ended_is_forgotten_with_its_consumers(database):
    beat(database)
    enqueue(database)
    finish(database, build_ended(fetch_one(database)))
    assert consumers(database) == {"alice"}
    assert forget(database) == Reply("FORGOTTEN", [])
    assert consumers(database) == set()
    assert {"workers", "worker:alice"} & set(records(database)) == set()


def test_a_second_send_of_the_same_call_changes_nothing(database):
    beat(database)
    forget(database)
    with nothing_written(database):
        assert forget(database) == Reply("FORGOTTEN", [])


def test_a_worker_that_has_beaten_since_is_alive(database):
    beat(database, now=NOW + 1)
    with nothing_written(database):
        assert forget(database, NOW) == Reply("ALIVE", [])


def test_a_worker_for_whom_something_is_pending_is_kept_with_it(database):
    beat(database)
    enqueue(database)
    delivery = fetch_one(database)
    with nothing_written(database):
        assert forget(database) == Reply("BUSY", [])
    assert finish(database, build_ended(delivery)) == Reply("DONE", [])


def test_others_keep_their_pending_entries(database):
    beat(database)
    enqueue(database)
    fetch_one(database, "bob")
    assert forget(database) == Reply("FORGOTTEN", [])
    assert list(records(database)["stream:default:5"].pending.values()) == ["bob"]


def test_streams_that_do_not_exist_or_never_saw_the_worker_are_no_obstacle(database):
    beat(database)
    enqueue(database)
    assert forget(database, places=("default:5", "gone:5")) == Reply("FORGOTTEN", [])
    assert "stream:gone:5" not in records(database)


def test_a_stream_that_began_with_a_promoted_run_can_be_looked_into(database):
    beat(database)
    from tests.support.lifecycle import message

    database.call(runs.enqueue_run(database.keys, message(), due_at=NOW + 1))
    database.call(runs.promote_runs(database.keys, ["default:5:run_1"], NOW + 1))
    assert forget(database) == Reply("FORGOTTEN", [])


def test_a_hundred_streams_are_looked_into_in_one_call(database):
    beat(database)
    enqueue(database)
    fetch_one(database)
    places = [f"queue_{n}:5" for n in range(99)] + ["default:5"]
    with nothing_written(database):
        assert forget(database, places=places) == Reply("BUSY", [])


def test_a_worker_with_something_pending_beyond_the_first_hundred_streams_is_kept(database):
    beat(database)
    enqueue(database, queue="last")
    delivery = fetch_one(database, where="last:5")
    places = [f"q{n}:5" for n in range(120)] + ["last:5"]
    with nothing_written(database):
        assert forget(database, places=places) == Reply("BUSY", [])
    finish(database, build_ended(delivery))
    assert forget(database, places=places) == Reply("FORGOTTEN", [])
    assert {"workers", "worker:alice"} & set(records(database)) == set()
