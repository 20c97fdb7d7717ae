import pytest

from jobistemer.store.calls.durable.steps import StepWrite, record_steps
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish
from tests.support.shard_state import nothing_written, records
from tests.support.steps import record, signal, signals, step, suspend


def test_a_record_is_written_while_its_attempt_goes_on(database):
    enqueue(database)
    delivery = fetch_one(database)
    assert record(database, delivery, {"pay": step(), "mail[7]": step(3, 4)}) == "DONE"
    assert records(database)["steps:run_1"] == {"pay": step().decode(), "mail[7]": step(3, 4).decode()}


def test_records_of_many_runs_go_together_and_one_that_is_refused_holds_up_no_other(database):
    for run in ("run_1", "run_2", "run_3"):
        enqueue(database, run)
    first, second, third = fetch(database)
    finish(database, build_ended(second))
    reply = database.call(
        record_steps(database.keys, [StepWrite(each, {"pay": step()}) for each in (first, second, third)])
    )
    assert reply == Reply("RECORDED", [b"DONE", b"STALE", b"DONE"])
    assert "steps:run_2" not in records(database)
    assert records(database)["steps:run_3"] == {"pay": step().decode()}


def test_a_second_send_of_the_same_call_changes_nothing(database):
    enqueue(database)
    delivery = fetch_one(database)
    record(database, delivery, {"pay": step()})
    with nothing_written(database):
        assert record(database, delivery, {"pay": step()}) == "KNOWN"


@pytest.mark.parametrize("cursor", [b'"\\"done\\":1"', b'{"done":1}', b"7"])
def test_a_step_that_has_ended_keeps_its_record_when_an_older_send_of_its_cursor_arrives(database, cursor):
    enqueue(database)
    delivery = fetch_one(database)
    going_on = b'{"asked":1,"error":"\\"done\\":1","cursor":' + cursor + b"}"
    assert record(database, delivery, {"pay": going_on}) == "DONE"
    assert record(database, delivery, {"pay": step()}) == "DONE"
    with nothing_written(database):
        assert record(database, delivery, {"pay": going_on}) == "KNOWN"


def test_records_that_go_with_the_first_one_are_written_whether_that_is_new_or_not(database):
    enqueue(database)
    delivery = fetch_one(database)
    record(database, delivery, {"pay": b'{"asked":1}', "sleep": step()})
    record(database, delivery, {"pay": step(), "nap": step(3, 4)})
    assert records(database)["steps:run_1"] == {
        "pay": step().decode(), "sleep": step().decode(), "nap": step(3, 4).decode(),
    }  # fmt: skip


@pytest.mark.parametrize("state", ["succeeded", "failed", "lost", "canceled"])
def test_a_zombie_writes_no_step(database, state):
    """I7: its attempt has ended, and the run goes on without it or has ended too."""
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, state))
    with nothing_written(database):
        assert record(database, delivery, {"pay": step()}) == "STALE"


def test_a_zombie_writes_no_step_of_a_run_that_another_worker_has(database):
    enqueue(database)
    zombie = fetch_one(database)
    finish(database, build_ended(zombie, "lost"))
    fetch_one(database, "bob")
    with nothing_written(database):
        assert record(database, zombie, {"pay": step()}) == "STALE"


def test_a_suspended_attempt_writes_no_step(database):
    enqueue(database)
    delivery = fetch_one(database)
    suspend(database, delivery)
    with nothing_written(database):
        assert record(database, delivery, {"pay": step()}) == "STALE"


def test_without_any_record_nothing_is_written(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.flushdb()
    with nothing_written(database):
        assert record(database, delivery, {"pay": step()}) == "STALE"


def test_a_wait_that_ends_takes_its_signal_with_the_same_write(database):
    enqueue(database)
    delivery = fetch_one(database)
    signal(database, "s1")
    signal(database, "s2")
    assert record(database, delivery, {"paid": step(kind="wait", signal="s1")}, take="s1") == "DONE"
    assert [(each.id, each.taken, each.value) for each in signals(database)] == [("s1", 1, "null"), ("s2", 0, "1")]


def test_a_wait_does_not_time_out_when_its_signal_has_come(database):
    enqueue(database)
    delivery = fetch_one(database)
    assert record(database, delivery, {"other": step(kind="wait")}, unless="other") == "DONE"
    signal(database)
    with nothing_written(database):
        assert record(database, delivery, {"paid": step(kind="wait")}, unless="paid") == "SIGNALED"
