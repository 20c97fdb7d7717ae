from jobistemer.store.calls import heartbeats
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.shard_state import nothing_written, records


def beat(database):
    call = heartbeats.beat_worker(database.keys, "alice", NOW, 15_000, NOW, b"{}", "me")
    return heartbeats.read_beat_reply(database.keys, database.call(call))


def tell(database, command, worker="alice"):
    return database.call(heartbeats.command_worker(database.keys, worker, command))


def test_a_worker_hears_its_command_with_its_next_beat(database):
    beat(database)
    before = records(database)
    assert tell(database, "quiet") == Reply("TOLD", [])
    assert records(database) == before | {"worker:alice": before["worker:alice"] | {"command": "quiet"}}
    assert beat(database).command == "quiet"


def test_the_last_command_counts(database):
    beat(database)
    tell(database, "quiet")
    tell(database, "stop")
    assert beat(database).command == "stop"


def test_nothing_is_left_for_a_worker_that_is_not_there(database):
    with nothing_written(database):
        assert tell(database, "stop", "nobody") == Reply("UNKNOWN", [])
