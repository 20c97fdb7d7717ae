"""Runs with steps that end in one call: each as it would by itself."""

import msgspec
import pytest

from jobistemer.core import ids
from jobistemer.core.errors import ServerRefused
from jobistemer.core.runs.message import Delivery, Undoing
from jobistemer.store.calls import bulk_commit, runs
from jobistemer.store.calls.durable.steps import MAX_ATTEMPTS_EACH, mark_durable
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, enqueue, fetch, finish, message
from tests.support.shard_state import expiring_keys, records, ttl_ms
from tests.support.steps import LATER, record, step, suspend


def durable(delivery):
    """The delivery as a worker has it that has recorded a step."""
    return msgspec.structs.replace(delivery, message=mark_durable(delivery.message))


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


def test_a_run_whose_key_has_the_wrong_type_stays_in_flight_and_its_neighbours_are_recorded(database):
    ended = [build_ended(each) for each in resume(database, "run_1", "run_2")]
    database.client.delete(database.keys.run("run_1"))
    database.client.set(database.keys.run("run_1"), "broken")
    with pytest.raises(ServerRefused, match="WRONGTYPE"):
        database.call(bulk_commit.commit_successes(database.keys, ended))
    assert records(database)["run:run_2"]["state"] == "succeeded"
    assert "steps:run_2" in expiring_keys(database)
    assert list(records(database)["stream:default:5"].pending) == [ended[0].delivery.entry.decode()]

    database.client.delete(database.keys.run("run_1"))
    reply = database.call(bulk_commit.commit_successes(database.keys, ended))
    assert (reply.word, reply.values, reply.extensions) == ("DONE", [], (Reply("EXPIRING", [2]),))


def test_a_run_of_many_attempts_ends_by_itself_and_all_of_them_expire(database):
    (delivery,) = resume(database, "run_1")
    late = msgspec.structs.replace(delivery, attempt=MAX_ATTEMPTS_EACH)
    assert bulk_commit.bundle_key(build_ended(late)) is None
    finish(database, build_ended(delivery))
    first = database.keys.attempt(ids.attempt_id("run_1", 0))
    assert database.client.pttl(first) > 0


def test_a_run_that_undoes_its_steps_ends_by_itself():
    undoing = msgspec.structs.replace(mark_durable(message()), undoing=Undoing("failed", ""))
    delivery = Delivery(b"", b"1-1", undoing, 0, 0)
    assert bulk_commit.bundle_key(build_ended(delivery)) is None
