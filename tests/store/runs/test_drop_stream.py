from jobistemer.store.calls import streams
from tests.support.lifecycle import enqueue
from tests.support.shard_state import nothing_written, records

PLACE = "default:5"


def emptied(database):
    """The stream of a queue whose only run is gone."""
    enqueue(database, "run_1")
    database.client.xtrim(database.keys.stream(PLACE), maxlen=0)


def test_an_empty_stream_that_no_worker_reads_is_deleted_with_its_place(database):
    emptied(database)
    assert streams.drop_stream(database, PLACE)
    assert records(database).keys() & {"streams", f"stream:{PLACE}"} == set()


def test_a_second_send_finds_nothing_to_do(database):
    emptied(database)
    streams.drop_stream(database, PLACE)
    with nothing_written(database):
        assert streams.drop_stream(database, PLACE)


def test_a_place_without_a_stream_is_forgotten(database):
    database.client.sadd(database.keys.streams, PLACE)
    assert streams.drop_stream(database, PLACE)
    assert streams.list_places(database) == []


def test_a_stream_with_an_entry_stays(database):
    enqueue(database, "run_1")
    with nothing_written(database):
        assert not streams.drop_stream(database, PLACE)


def test_a_stream_that_a_worker_reads_stays(database):
    emptied(database)
    database.client.execute_command("XGROUP", "CREATECONSUMER", database.keys.stream(PLACE), "workers", "w1")
    with nothing_written(database):
        assert not streams.drop_stream(database, PLACE)


def test_a_run_that_is_enqueued_later_finds_a_stream_and_a_group_again(database):
    emptied(database)
    streams.drop_stream(database, PLACE)
    enqueue(database, "run_2")
    assert streams.list_places(database) == [PLACE]
    assert streams.find_consumers(database, PLACE) == {}
    assert database.client.xlen(database.keys.stream(PLACE)) == 1
