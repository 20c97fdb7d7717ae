from jobistemer.store.calls import streams
from jobistemer.store.scripts import Reply, script
from tests.support.lifecycle import enqueue, fetch_one
from tests.support.shard_state import Stream, nothing_written, records


def open_streams(database, *places):
    keys = database.keys
    return database.call(script("open_streams")((keys.streams, *(keys.stream(where) for where in places)), places))


def test_streams_are_created_with_their_group_and_listed(database):
    assert open_streams(database, "mail:9", "mail:5") == Reply("OPEN", [2])
    assert records(database) == {
        "streams": {"mail:9", "mail:5"},
        "stream:mail:9": Stream({}, {}),
        "stream:mail:5": Stream({}, {}),
    }


def test_a_second_send_writes_nothing(database):
    open_streams(database, "mail:9")
    with nothing_written(database):
        assert open_streams(database, "mail:9") == Reply("OPEN", [0])


def test_a_stream_in_use_keeps_its_entries_and_what_is_pending(database):
    enqueue(database, "run_1")
    enqueue(database, "run_2")
    fetch_one(database)
    with nothing_written(database):
        assert open_streams(database, "default:5") == Reply("OPEN", [0])


def test_a_stream_that_lost_its_group_gets_it_back_with_all_that_waits(database):
    enqueue(database, "run_1")
    database.client.xgroup_destroy(database.keys.stream("default:5"), "workers")
    assert open_streams(database, "default:5") == Reply("OPEN", [1])
    assert fetch_one(database).message.run == "run_1"


def test_a_stream_that_is_not_listed_is_listed_again(database):
    enqueue(database)
    database.client.delete(database.keys.streams)
    assert open_streams(database, "default:5") == Reply("OPEN", [0])
    assert records(database)["streams"] == {"default:5"}


def test_more_places_than_a_call_takes_are_opened_in_several(database):
    places = [f"q{n}:5" for n in range(150)]
    streams.open_streams(database, places)
    assert records(database)["streams"] == set(places)
