import msgspec

from jobistemer.core.runs.message import Delivery, Undoing, decode_message
from jobistemer.store.calls import bulk_commit, runs
from jobistemer.store.calls.durable.steps import expire_steps, mark_durable
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish, message
from tests.support.shard_state import expiring_keys, nothing_written, records, ttl_ms
from tests.support.steps import LATER, record, step, suspend


def expire(database):
    return database.call(expire_steps(database.keys, [("run_1", 1)]))


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


def resume(database, *names):
    """Have runs sleep after a step, wake, and be fetched again."""
    for name in names:
        enqueue(database, name)
    for delivery in fetch(database):
        record(database, delivery, {"pay": step()})
        suspend(database, durable(delivery))
    members = [f"default:5:{name}" for name in names]
    database.call(runs.promote_runs(database.keys, members, LATER))
    return fetch(database)


def test_runs_with_steps_end_together_as_each_would_by_itself(database):
    (delivery,) = resume(database, "run_1")
    finish(database, build_ended(delivery))
    one_by_one = records(database)
    database.client.flushdb()

    (delivery,) = resume(database, "run_1")
    over = build_ended(delivery)
    assert bulk_commit.bundle_key(over)[2] == bulk_commit.DURABLE
    reply = database.call(bulk_commit.commit_successes(database.keys, [over]))
    assert (reply.word, reply.extensions) == ("DONE", (Reply("EXPIRING", [1]),))
    together = records(database)
    for state in (one_by_one, together):
        # Entries were added at different times.
        del state["run:run_1"]["entry"]
    assert together == one_by_one
    assert ttl_ms(database, "steps:run_1") <= message().retention_ms


def test_a_zombie_among_runs_that_end_together_changes_nothing_of_its_run(database):
    first, second = resume(database, "run_1", "run_2")
    finish(database, build_ended(first, "lost"))
    before = records(database)["run:run_1"]
    reply = database.call(bulk_commit.commit_successes(database.keys, [build_ended(first), build_ended(second)]))
    assert reply.values == [1]
    assert records(database)["run:run_1"] == before
    assert "steps:run_1" not in expiring_keys(database)
    assert "steps:run_2" in expiring_keys(database)


def test_a_run_that_undoes_its_steps_ends_by_itself():
    undoing = msgspec.structs.replace(mark_durable(message()), undoing=Undoing("failed", ""))
    delivery = Delivery(b"", b"1-1", undoing, 0, 0)
    assert bulk_commit.bundle_key(build_ended(delivery)) is None


def test_a_message_with_steps_is_of_a_version_that_older_workers_put_off():
    assert decode_message(b'{"run":"r","handler":"h","enqueued_at":1,"wire":2}').wire == 2
    assert mark_durable(message()).wire == 2
