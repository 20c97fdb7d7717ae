import pytest

from jobistemer.core import ids
from jobistemer.core.runs.transaction import Transaction
from jobistemer.store.calls import run_ends, runs
from jobistemer.store.calls.transactions import commit_transaction
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    enqueue,
    fetch_one,
    finish,
    job,
    message,
    register,
    task,
)
from tests.support.shard_state import Stream, nothing_written, records


def transaction(database):
    return Transaction(database.keys.own, lambda call: runs.enqueue_run(database.keys, *call))


def commit(database, delivery, collected, definition=None, worker="alice"):
    plain = run_ends.record_end(database.keys, build_ended(delivery, worker=worker), definition)
    call = commit_transaction(delivery, plain, collected.writes, collected.follow_ups)
    return database.call(call)


def own(database):
    return {key: value for key, value in records(database).items() if key.startswith("app:")}


def everything(database):
    """One of each command, on top of what stands there already."""
    client, keys = database.client, database.keys
    client.set(keys.own("old"), "x")
    client.set(keys.own("count"), "40")
    client.hset(keys.own("sums"), mapping={"day": 7, "gone": 1})
    client.sadd(keys.own("names"), "ada", "bob")
    client.zadd(keys.own("best"), {"ada": 1, "bob": 2})
    client.rpush(keys.own("lines"), "b", "c", "d")
    collected = transaction(database)
    for command in (
        ("DEL", "old"),
        ("SET", "text", b"\x00\xff"),
        ("PEXPIRE", "text", 60_000),
        ("INCRBY", "count", 2),
        ("HSET", "more", "a", 1, "b", "zwei"),
        ("HDEL", "sums", "gone"),
        ("HINCRBY", "sums", "day", -3),
        ("SADD", "names", "cyd"),
        ("SREM", "names", "bob"),
        ("ZADD", "best", 3.5, "cyd"),
        ("ZREM", "best", "bob"),
        ("ZINCRBY", "best", 4, "ada"),
        ("LPUSH", "lines", "a"),
        ("RPUSH", "lines", "e"),
        ("LTRIM", "lines", 0, 2),
    ):
        collected.write(*command)
    return collected


def test_every_allowed_command_is_applied_together_with_the_outcome(database):
    enqueue(database)
    delivery = fetch_one(database)
    assert commit(database, delivery, everything(database)) == Reply("DONE", [])

    client, keys = database.client, database.keys
    assert client.get(keys.own("text")) == b"\x00\xff"
    assert client.pttl(keys.own("text")) > 0
    assert not client.exists(keys.own("old"))
    assert client.get(keys.own("count")) == b"42"
    assert client.hgetall(keys.own("more")) == {b"a": b"1", b"b": b"zwei"}
    assert client.hgetall(keys.own("sums")) == {b"day": b"4"}
    assert client.smembers(keys.own("names")) == {b"ada", b"cyd"}
    assert client.zrange(keys.own("best"), 0, -1, withscores=True) == [(b"cyd", 3.5), (b"ada", 5.0)]
    assert client.lrange(keys.own("lines"), 0, -1) == [b"a", b"b", b"c"]
    assert records(database)["run:run_1"]["state"] == "succeeded"


def test_follow_ups_are_enqueued_at_once_or_delayed(database):
    enqueue(database)
    delivery = fetch_one(database)
    collected = transaction(database)
    collected.enqueue((message("run_2"),))
    collected.enqueue((message("run_3"), 1_900_000_000_000))
    collected.enqueue((message("run_4", unique="key"),))
    assert commit(database, delivery, collected) == Reply("DONE", [])
    state = records(database)
    assert {run: state[f"run:{run}"]["state"] for run in ("run_1", "run_2", "run_3", "run_4")} == {
        "run_1": "succeeded",
        "run_2": "pending",
        "run_3": "scheduled",
        "run_4": "pending",
    }
    assert len(state["stream:default:5"].entries) == 2
    assert state["unique:key"] == "run_4"


def test_a_task_of_an_occurrence_releases_what_comes_after_it_in_the_same_step(database):
    definition = job(task("first"), task("second", "first"))
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    delivery = fetch_one(database)
    collected = transaction(database)
    collected.write("INCRBY", "count", 1)
    reply = commit(database, delivery, collected, definition)
    assert (reply.word, reply.values) == ("DONE", [1])
    assert own(database) == {"app:count": "1"}
    assert len(records(database)["stream:default:5"].entries) == 1


def test_a_second_send_of_the_same_call_is_recognised_and_applies_nothing_again(database):
    enqueue(database)
    delivery = fetch_one(database)
    collected = transaction(database)
    collected.write("INCRBY", "count", 1)
    collected.enqueue((message("run_2"),))
    commit(database, delivery, collected)
    with nothing_written(database):
        assert commit(database, delivery, collected) == Reply("DONE", [])


def test_the_transaction_of_a_zombie_is_refused_whole(database):
    enqueue(database)
    zombie = fetch_one(database)
    finish(database, build_ended(zombie, "lost", worker="bob"))
    collected = transaction(database)
    collected.write("INCRBY", "count", 1)
    collected.enqueue((message("run_2"),))
    with nothing_written(database):
        assert commit(database, zombie, collected) == Reply("STALE", [])
    ended = commit(database, fetch_one(database, "bob"), collected, worker="bob")
    assert ended == Reply("DONE", [], (Reply("EXPIRING", [1]),))
    assert own(database) == {"app:count": "1"}


WRONG = [
    ("DEL", None),
    ("SET", "hash"),
    ("INCRBY", "list"),
    ("HSET", "string"),
    ("HDEL", "set"),
    ("SADD", "zset"),
    ("ZADD", "string"),
    ("LPUSH", "hash"),
    ("LTRIM", "set"),
]
ARGUMENTS = {
    "SET": ("x",),
    "INCRBY": (1,),
    "HSET": ("f", "v"),
    "HDEL": ("f",),
    "SADD": ("m",),
    "ZADD": (1, "m"),
    "LPUSH": ("v",),
    "LTRIM": (0, 1),
}
MAKE = {
    "string": ("SET", "text"),
    "hash": ("HSET", "f", "v"),
    "list": ("RPUSH", "v"),
    "set": ("SADD", "m"),
    "zset": ("ZADD", 1, "m"),
}


@pytest.mark.parametrize(("command", "held"), WRONG[1:])
def test_a_key_of_another_type_refuses_the_whole_before_anything_is_written(database, command, held):
    enqueue(database)
    delivery = fetch_one(database)
    made = MAKE[held]
    database.client.execute_command(made[0], database.keys.own("key"), *made[1:])
    collected = transaction(database)
    collected.write("INCRBY", "count", 1)
    collected.enqueue((message("run_2"),))
    collected.write(command, "key", *ARGUMENTS[command])
    with nothing_written(database):
        reply = commit(database, delivery, collected)
    assert reply.word == "REFUSED"
    assert reply.values[0].decode().endswith(f"{database.keys.own('key')} is a {held}")


@pytest.mark.parametrize("held", ["text", "1.5", "+1", "01", "9999999999999999", " 1", "-0", ""])
def test_what_cannot_be_added_to_refuses_the_whole(database, held):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.set(database.keys.own("count"), held)
    database.client.hset(database.keys.own("sums"), "day", held)
    for command in (("INCRBY", "count", 1), ("HINCRBY", "sums", "day", 1)):
        collected = transaction(database)
        collected.write("SET", "other", "x")
        collected.write(*command)
        with nothing_written(database):
            reply = commit(database, delivery, collected)
        assert reply.word == "REFUSED"
        assert "needs a whole number of at most 15 digits" in reply.values[0].decode()


def test_numbers_are_added_to_what_is_absent_and_many_times(database):
    enqueue(database)
    delivery = fetch_one(database)
    collected = transaction(database)
    for _ in range(50):
        collected.write("INCRBY", "count", 10**12)
        collected.write("HINCRBY", "sums", "day", -(10**12))
    commit(database, delivery, collected)
    assert own(database) == {"app:count": str(50 * 10**12), "app:sums": {"day": str(-50 * 10**12)}}


def test_a_follow_up_whose_unique_key_is_taken_leaves_the_rest_in_force(database):
    enqueue(database, "run_9", unique="key", queue="other")
    enqueue(database)
    delivery = fetch_one(database)
    collected = transaction(database)
    collected.enqueue((message("run_2", unique="key"),))
    collected.write("INCRBY", "count", 1)
    assert commit(database, delivery, collected) == Reply("DONE", [])
    state = records(database)
    assert (state["unique:key"], state["app:count"]) == ("run_9", "1")
    assert "run:run_2" not in state


def test_an_outcome_is_recorded_with_its_transaction_though_the_run_hash_was_deleted(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.delete(database.keys.run("run_1"))
    collected = transaction(database)
    collected.write("SET", "key", "x")
    assert commit(database, delivery, collected) == Reply("DONE", [])
    state = records(database)
    assert state["app:key"] == "x"
    assert state["stream:default:5"] == Stream({}, {})
    assert state[f"attempt:{ids.attempt_id('run_1', 0)}"]["state"] == "succeeded"
