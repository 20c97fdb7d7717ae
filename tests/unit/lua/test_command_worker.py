from jobistemer.store import members
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.records import mortal, nothing_written, records


def tell(database, command="quiet"):
    return database.call(members.command_worker(database.keys, "alice", command))


def beat(database):
    database.call(members.beat_worker(database.keys, "alice", NOW, 15_000, NOW, b"{}"))


def test_a_command_waits_for_the_next_beat_and_dies_with_the_record(database):
    beat(database)
    assert tell(database) == Reply("TOLD", [])
    assert records(database)["worker:alice"] == {"status": "{}", "command": "quiet"}
    assert "worker:alice" in mortal(database)


def test_a_second_send_of_the_same_call_changes_nothing(database):
    beat(database)
    tell(database)
    with nothing_written(database):
        assert tell(database) == Reply("TOLD", [])


def test_the_last_command_counts(database):
    beat(database)
    tell(database, "quiet")
    tell(database, "stop")
    assert records(database)["worker:alice"]["command"] == "stop"


def test_a_worker_that_is_not_there_cannot_be_told_anything(database):
    with nothing_written(database):
        assert tell(database) == Reply("UNKNOWN", [])
