from jobistemer.store.calls import runs
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import enqueue, message
from tests.support.shard_state import nothing_written, records


def free(database, run="run_1"):
    return database.call(runs.free_unique(database.keys, message(run, unique="order-7")))


def test_a_key_is_free_again_before_its_run_has_ended(database):
    enqueue(database, "run_1", unique="order-7")
    assert free(database) == Reply("FREED", [])
    assert "unique:order-7" not in records(database)
    assert enqueue(database, "run_2", unique="order-7") == Reply("CREATED", [])


def test_a_second_send_leaves_the_key_to_whom_it_belongs_by_then(database):
    enqueue(database, "run_1", unique="order-7")
    free(database)
    enqueue(database, "run_2", unique="order-7")
    with nothing_written(database):
        assert free(database) == Reply("FREED", [])


def test_a_key_that_is_gone_is_no_fault(database):
    with nothing_written(database):
        assert free(database) == Reply("FREED", [])
