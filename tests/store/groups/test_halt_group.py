from jobistemer.store.calls import groups
from jobistemer.store.scripts import Reply
from tests.support.groups import add_children, group_of
from tests.support.lifecycle import enqueue, fetch_one
from tests.support.shard_state import expiring_keys, nothing_written, records


def halt(database, reason="asked for"):
    return database.call(groups.halt_group(database.keys, group_of(), reason))


def test_a_halted_group_says_why(database):
    enqueue(database)
    add_children(database, fetch_one(database), range(3))
    assert halt(database) == Reply("HALTED", [3])
    assert records(database)[f"group:{group_of()}"] == {
        "failure": "fail_fast",
        "added": "3",
        "halt": "1",
        "error": "asked for",
    }
    assert f"group:{group_of()}" in expiring_keys(database)


def test_a_second_send_keeps_the_first_reason(database):
    enqueue(database)
    add_children(database, fetch_one(database), range(3))
    halt(database)
    with nothing_written(database):
        assert halt(database, "something else") == Reply("HALTED", [3])


def test_a_group_that_is_not_there_is_not_made(database):
    with nothing_written(database):
        assert halt(database) == Reply("UNKNOWN", [])
