import msgspec

from jobistemer.core.runs.message import decode_message
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
