import pytest

from jobistemer.core import ids
from jobistemer.core.errors import ServerRefused
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.store.calls import bulk_commit
from jobistemer.store.calls.groups import UNFINISHED_KEEP_MS
from jobistemer.store.scripts import Reply
from tests.support.groups import add_children, group_of, hand_over
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish
from tests.support.shard_state import nothing_written, records, ttl_ms


def map_to(database, count):
    """Children in flight, whose parent has handed over."""
    enqueue(database)
    parent = fetch_one(database)
    for first in range(0, count, 100):
        add_children(database, parent, range(first, min(first + 100, count)), retry=NO_RETRIES)
    hand_over(database, parent)
    return fetch(database, count=count)


@pytest.fixture
def children(database):
    return map_to(database, 3)


def finish_all(database, *all_ended):
    return database.call(bulk_commit.commit_successes(database.keys, all_ended))


def group(database):
    return records(database)[f"group:{group_of()}"]


def results(database):
    return records(database)[f"results:{group_of()}"]


def without_entries(state):
    """The state without what differs from one time to the next: the ids of entries."""
    return {key: {**value, "entry": ""} if key.startswith("run:") else value for key, value in state.items()
            if not key.startswith("stream:")}  # fmt: skip


def test_the_members_end_exactly_as_the_scripts_for_one_would_end_them(database):
    for each in map_to(database, 3):
        finish(database, build_ended(each, result=b"7"))
    one_by_one = without_entries(records(database))
    (expected,) = fetch(database)
    database.client.flushdb()

    assert finish_all(database, *(build_ended(each, result=b"7") for each in map_to(database, 3))) == Reply("DONE", [])
    at_once = without_entries(records(database))
    assert at_once == one_by_one
    assert fetch_one(database).message == expected.message
    assert ttl_ms(database, f"group:{group_of()}") == ttl_ms(database, f"results:{group_of()}") == UNFINISHED_KEEP_MS


def test_the_reducer_waits_for_the_last_one_and_starts_once(database, children):
    finish_all(database, *map(build_ended, children[:2]))
    assert (group(database)["done"], records(database)[f"run:{group_of()}"]["waits"]) == ("2", "1")
    assert fetch(database) == []
    finish_all(database, build_ended(children[2], result=b"16"))
    assert fetch_one(database).message.run == group_of()
    assert results(database) == {"0": "null", "1": "null", "2": "16"}


def test_a_hundred_members_are_counted_in_one_call_and_the_next_are_left_alone(database):
    children = map_to(database, 101)
    finish_all(database, *map(build_ended, children))
    assert group(database)["done"] == "100"
    assert records(database)[f"run:{children[100].message.run}"]["state"] == "pending"


def test_a_group_that_still_grows_releases_nothing(database):
    enqueue(database)
    parent = fetch_one(database)
    add_children(database, parent, range(2), retry=NO_RETRIES)
    finish_all(database, *map(build_ended, fetch(database)))
    assert group(database)["done"] == "2"
    assert f"run:{group_of()}" not in records(database)
    hand_over(database, parent)
    assert fetch_one(database).message.run == group_of()


def test_a_second_send_is_recognised_and_counts_nothing_twice(database, children):
    over = [build_ended(each) for each in children]
    finish_all(database, *over)
    with nothing_written(database):
        assert finish_all(database, *over) == Reply("DONE", [])


def test_a_zombie_is_not_counted_and_its_neighbours_are(database, children):
    finish(database, build_ended(children[1], "lost", "bob"))
    assert finish_all(database, *map(build_ended, children)) == Reply("DONE", [2])
    assert (group(database)["done"], list(results(database))) == ("2", ["0", "2"])


def test_members_that_end_one_by_one_and_together_are_counted_alike(database, children):
    finish(database, build_ended(children[0], "failed", error="no"))
    finish_all(database, *map(build_ended, children[1:]))
    assert (group(database)["done"], group(database)["failed"]) == ("3", "1")
    assert fetch_one(database).message.run == group_of()


def test_nothing_is_written_when_the_keys_are_missing(database, children):
    database.client.flushdb()
    with nothing_written(database):
        assert finish_all(database, *map(build_ended, children)) == Reply("DONE", [1, 2, 3])


@pytest.mark.parametrize("key", ["group", "results"])
def test_a_record_of_the_wrong_type_ends_the_script_before_an_entry_is_removed(database, children, key):
    name = getattr(database.keys, key)(group_of())
    database.client.delete(name)
    database.client.set(name, "no hash")
    with nothing_written(database), pytest.raises(ServerRefused):
        finish_all(database, *map(build_ended, children))


def test_members_of_two_groups_and_plain_runs_do_not_go_together(children):
    own = bulk_commit.bundle_key(build_ended(children[0]))
    assert own == bulk_commit.bundle_key(build_ended(children[1]))
    assert own is not None
    assert own[2] == ids.reducer_run_id("run_1", 0) == group_of()


def test_a_run_of_the_wrong_type_stays_in_flight_and_its_neighbours_are_counted(database, children):
    over = [build_ended(each) for each in children]
    broken = database.keys.run(children[1].message.run)
    database.client.delete(broken)
    database.client.set(broken, "broken")
    with pytest.raises(ServerRefused, match="WRONGTYPE"):
        finish_all(database, *over)
    entry = children[1].entry.decode()
    stream = records(database)["stream:default:5"]
    assert (list(stream.entries), stream.pending) == ([entry], {entry: "alice"})
    assert (group(database)["done"], list(results(database))) == ("2", ["0", "2"])

    # When the key is out of the way, the same call ends it and releases the reducer
    database.client.delete(broken)
    assert finish_all(database, *over) == Reply("DONE", [])
    assert (group(database)["done"], list(results(database))) == ("3", ["0", "2", "1"])
    assert fetch_one(database).message.run == group_of()
