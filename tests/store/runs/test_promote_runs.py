from jobistemer.core.runs.message import encode_message
from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish, message
from tests.support.shard_state import Stream, nothing_written, records

DUE = NOW + 60_000


def delay(database, run="run_1", due_at=DUE, **changes):
    return database.call(runs.enqueue_run(database.keys, message(run, **changes), due_at=due_at))


def promote(database, *members, now=DUE):
    return database.call(runs.promote_runs(database.keys, list(members), now))


def test_a_run_that_is_due_moves_to_its_stream_which_is_born_with_its_group(database):
    delay(database)
    assert promote(database, "default:5:run_1") == Reply("PROMOTED", [1])

    entry = records(database)["run:run_1"]["entry"]
    assert records(database) == {
        "run:run_1": {
            "state": "pending",
            "handler": "greet",
            "place": "default:5",
            "attempt": "0",
            "crashes": "0",
            "entry": entry,
        },
        "stream:default:5": Stream({entry: {"m": encode_message(message()).decode(), "n": "0", "c": "0"}}, {}),
        "streams": {"default:5"},
    }


def test_a_run_that_comes_back_keeps_the_number_of_its_attempt_and_its_crashes(database):
    enqueue(database)
    finish(database, build_ended(fetch_one(database), "lost"))
    finish(database, build_ended(fetch_one(database), "failed", error="oops"))
    assert promote(database, "default:5:run_1") == Reply("PROMOTED", [1])

    again = fetch_one(database)
    assert (again.attempt, again.crashes) == (2, 1)
    assert "note" not in records(database)["run:run_1"]


def test_a_second_send_moves_nothing_twice(database):
    delay(database)
    promote(database, "default:5:run_1")
    with nothing_written(database):
        assert promote(database, "default:5:run_1") == Reply("PROMOTED", [0])


def test_a_run_is_not_promoted_before_its_time(database):
    delay(database)
    with nothing_written(database):
        assert promote(database, "default:5:run_1", now=DUE - 1) == Reply("PROMOTED", [0])


def test_a_run_that_was_put_off_meanwhile_stays(database):
    delay(database)
    database.client.zadd(database.keys.delayed, {"default:5:run_1": DUE + 1})
    with nothing_written(database):
        assert promote(database, "default:5:run_1") == Reply("PROMOTED", [0])


def test_a_member_whose_run_is_gone_is_dropped(database):
    database.client.zadd(database.keys.delayed, {"default:5:run_9": DUE})
    assert promote(database, "default:5:run_9") == Reply("PROMOTED", [0])
    assert records(database) == {}


def test_at_most_a_hundred_runs_move_in_one_call(database):
    members = [f"default:5:run_{n}" for n in range(101)]
    for n in range(101):
        delay(database, f"run_{n}")
    assert promote(database, *members) == Reply("PROMOTED", [100])
    assert records(database)["delayed"] == {"default:5:run_100": DUE}


def test_runs_of_several_queues_move_each_to_its_own(database):
    delay(database, "run_1", queue="mail", priority=9)
    delay(database, "run_2")
    assert promote(database, "mail:9:run_1", "default:5:run_2") == Reply("PROMOTED", [2])
    assert [each.message.run for each in fetch(database, where="mail:9")] == ["run_1"]
    assert [each.message.run for each in fetch(database, where="default:5")] == ["run_2"]


def test_a_run_that_is_named_twice_is_moved_once(database):
    delay(database, "run_1")
    assert promote(database, "default:5:run_1", "default:5:run_1") == Reply("PROMOTED", [1])
    assert len(fetch(database)) == 1
