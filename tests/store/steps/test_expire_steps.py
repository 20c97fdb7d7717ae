import msgspec
import pytest

from jobistemer.core import ids
from jobistemer.core.runs.message import decode_message
from jobistemer.store.calls.commit_extensions import find_expiring
from jobistemer.store.calls.durable.steps import expire_steps, mark_durable
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish, message
from tests.support.shard_state import expiring_keys, nothing_written, ttl_ms
from tests.support.steps import record, step


def expire(database):
    return database.call(expire_steps(database.keys, [("run_1", range(1))]))


def durable(delivery):
    """The delivery as a worker has it that has recorded a step."""
    return msgspec.structs.replace(delivery, message=mark_durable(delivery.message))


def test_the_steps_expire_with_the_run_that_they_belong_to(database):
    enqueue(database)
    delivery = durable(fetch_one(database))
    record(database, delivery, {"pay": step()})
    finish(database, build_ended(delivery))
    assert "steps:run_1" in expiring_keys(database)
    assert ttl_ms(database, "steps:run_1") <= message().retention_ms


def test_while_the_run_goes_on_nothing_expires(database):
    enqueue(database)
    record(database, fetch_one(database), {"pay": step()})
    with nothing_written(database):
        assert expire(database) == Reply("EXPIRING", [0])


def test_without_any_record_nothing_is_written(database):
    with nothing_written(database):
        assert expire(database) == Reply("EXPIRING", [0])


def test_a_second_send_of_the_same_call_changes_nothing(database):
    enqueue(database)
    delivery = durable(fetch_one(database))
    record(database, delivery, {"pay": step()})
    finish(database, build_ended(delivery))
    assert expire(database) == Reply("EXPIRING", [1])
    assert "steps:run_1" in expiring_keys(database)


def test_a_message_with_steps_is_of_a_version_that_older_workers_put_off():
    assert decode_message(b'{"run":"r","handler":"h","enqueued_at":1,"wire":2}').wire == 2
    assert mark_durable(message()).wire == 2


@pytest.fixture
def attempts(database):
    """A run without steps and with three attempts on record, the first of which has a log."""
    enqueue(database)
    names = [ids.attempt_id("run_1", number) for number in range(3)]
    for each in names:
        database.client.hset(database.keys.attempt(each), "state", "failed")
        database.client.pexpire(database.keys.attempt(each), 600_000)
    database.client.rpush(database.keys.log(names[0]), "line")
    return names


def expire_three(database):
    return database.call(expire_steps(database.keys, [("run_1", range(3))]))


def test_attempts_and_logs_are_kept_as_long_as_their_ended_run_and_a_second_send_does_the_same(database, attempts):
    database.client.pexpire(database.keys.run("run_1"), 5_000)
    assert expire_three(database) == expire_three(database) == Reply("EXPIRING", [1])
    left = [database.client.pttl(database.keys.attempt(each)) for each in attempts]
    left.append(database.client.pttl(database.keys.log(attempts[0])))
    assert all(0 < each <= 5_000 for each in left)


@pytest.mark.parametrize("run", ["goes on", "is gone"])
def test_the_attempts_of_a_run_that_has_not_ended_or_is_gone_stay_as_they_are(database, attempts, run):
    if run == "is gone":
        database.client.delete(database.keys.run("run_1"))
    with nothing_written(database):
        assert expire_three(database) == Reply("EXPIRING", [0])


def test_of_many_attempts_the_latest_hundred_expire_with_the_run():
    assert find_expiring(2) == range(3)
    assert find_expiring(500) == range(401, 501)
