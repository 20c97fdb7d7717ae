from jobistemer.core.runs.settle import SUCCEEDED
from jobistemer.store.calls import groups, runs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.groups import add, group_of, hand_over
from tests.support.records import lives_ms, nothing_written, records
from tests.support.stories import ended, enqueue, finish, take, take_one

HOUR = 3_600_000


def reduced(database):
    """The reducer of a group of one is in flight."""
    enqueue(database)
    parent = take_one(database)
    add(database, parent, range(1))
    hand_over(database, parent, retention_ms=HOUR)
    finish(database, ended(take_one(database)))
    return take_one(database)


def test_results_go_with_the_record_of_their_reducer(database):
    reducer = reduced(database)
    assert lives_ms(database, f"results:{group_of()}") > HOUR
    reply = database.call(runs.commit(database.keys, ended(reducer), SUCCEEDED, None))
    assert reply == Reply("DONE", [], (Reply("CLOSED", []),))
    keys = (f"group:{group_of()}", f"results:{group_of()}", f"run:{group_of()}")
    assert {lives_ms(database, key) for key in keys} == {HOUR}


def test_while_the_reducer_goes_on_they_stay(database):
    reducer = reduced(database)
    with nothing_written(database):
        assert close(database) == Reply("OPEN", [])
    finish(database, ended(reducer, "failed"))
    assert lives_ms(database, f"results:{group_of()}") > HOUR


def test_a_zombie_closes_nothing(database):
    reducer = reduced(database)
    finish(database, ended(reducer, "lost", "bob"))
    with nothing_written(database):
        reply = database.call(runs.commit(database.keys, ended(reducer), SUCCEEDED, None))
    assert (reply.word, reply.also[0].word) == ("STALE", "OPEN")


def test_a_second_send_changes_nothing(database):
    reducer = reduced(database)
    finish(database, ended(reducer))
    with nothing_written(database):
        finish(database, ended(reducer))
    assert take(database) == []
    assert records(database)[f"run:{group_of()}"]["state"] == "succeeded"


def close(database):
    return database.call(groups.close(database.keys, group_of(), NOW + 1000, HOUR))
