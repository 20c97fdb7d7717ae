"""The one reading of streams under lists, snapshots and metrics, on every kind of server."""

from jobistemer.store.calls.streams import close_queue, open_streams, pause_queue
from jobistemer.store.reads.stream_stats import list_places, read_oldest_waiting, read_queue_sets, read_stream_stats
from tests.support.lifecycle import enqueue, fetch


def test_a_namespace_without_a_stream_has_no_stats(database):
    assert list_places(database) == []
    assert read_queue_sets(database) == ([], set(), set())
    assert read_stream_stats(database, []) == []
    assert read_oldest_waiting(database, []) == {}


def test_waiting_entries_are_counted_apart_from_those_in_flight(database):
    for number in range(3):
        enqueue(database, f"run_{number}")
    open_streams(database, ["mail:5"])
    fetch(database, count=2)
    assert list_places(database) == ["default:5", "mail:5"]
    busy, idle = read_stream_stats(database, list_places(database))
    assert (busy.place, busy.queue, busy.waiting, busy.in_flight) == ("default:5", "default", 1, 2)
    assert busy.taken in (2, None)
    assert (idle.place, idle.queue, idle.waiting, idle.in_flight) == ("mail:5", "mail", 0, 0)
    assert idle.taken in (0, None)


def test_the_oldest_waiting_entry_is_the_first_behind_those_in_flight(database):
    for number in range(3):
        enqueue(database, f"run_{number}")
    fetch(database, count=2)
    (_, _, (entry, _)) = database.ask("XRANGE", database.keys.stream("default:5"), "-", "+")
    stats = read_stream_stats(database, ["default:5"])
    assert read_oldest_waiting(database, stats) == {"default:5": int(entry.split(b"-")[0])}
    fetch(database, count=1)
    assert read_oldest_waiting(database, read_stream_stats(database, ["default:5"])) == {}


def test_paused_and_draining_queues_are_named(database):
    pause_queue([database], "mail")
    close_queue([database], "reports")
    enqueue(database)
    assert read_queue_sets(database) == (["default:5"], {"mail"}, {"reports"})


def test_a_place_whose_stream_was_put_aside_is_empty_until_a_worker_makes_it_again(database):
    enqueue(database)
    database.client.sadd(database.keys.streams, "gone:5")
    gone, busy = sorted(read_stream_stats(database, list_places(database)), key=lambda each: each.waiting)
    assert (gone.place, gone.waiting, gone.in_flight) == ("gone:5", 0, 0)
    assert (busy.place, busy.waiting) == ("default:5", 1)
