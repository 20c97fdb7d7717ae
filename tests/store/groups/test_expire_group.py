from jobistemer.store.calls import groups, run_ends
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.groups import add_children, group_of, hand_over
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish
from tests.support.shard_state import nothing_written, records, ttl_ms

HOUR = 3_600_000


def reduced(database):
    """The reducer of a group of one is in flight."""
    enqueue(database)
    parent = fetch_one(database)
    add_children(database, parent, range(1))
    hand_over(database, parent, retention_ms=HOUR)
    finish(database, build_ended(fetch_one(database)))
    return fetch_one(database)


def test_results_go_with_the_record_of_their_reducer(database):
    reducer = reduced(database)
    assert ttl_ms(database, f"results:{group_of()}") > HOUR
    reply = database.call(run_ends.record_end(database.keys, build_ended(reducer), None))
    assert reply == Reply("DONE", [], (Reply("CLOSED", []),))
    keys = (f"group:{group_of()}", f"results:{group_of()}", f"run:{group_of()}")
    assert {ttl_ms(database, key) for key in keys} == {HOUR}


def test_while_the_reducer_goes_on_they_stay(database):
    reducer = reduced(database)
    with nothing_written(database):
        assert close(database) == Reply("OPEN", [])
    finish(database, build_ended(reducer, "failed"))
    assert ttl_ms(database, f"results:{group_of()}") > HOUR


def test_a_zombie_closes_nothing(database):
    reducer = reduced(database)
    finish(database, build_ended(reducer, "lost", "bob"))
    with nothing_written(database):
        reply = database.call(run_ends.record_end(database.keys, build_ended(reducer), None))
    assert (reply.word, reply.extensions[0].word) == ("STALE", "OPEN")


def test_a_second_send_changes_nothing(database):
    reducer = reduced(database)
    finish(database, build_ended(reducer))
    with nothing_written(database):
        finish(database, build_ended(reducer))
    assert fetch(database) == []
    assert records(database)[f"run:{group_of()}"]["state"] == "succeeded"


def close(database):
    return database.call(groups.expire_group(database.keys, group_of(), NOW + 1000, HOUR))
