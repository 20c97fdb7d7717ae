from jobistemer.store import jobs
from jobistemer.store.scripts import Reply
from tests.support.records import nothing_written, records
from tests.support.stories import job, register


def resume(database):
    return database.call(jobs.resume(database.keys, job().id))


def test_a_resumed_job_is_as_it_was_before_its_pause(database):
    register(database, job())
    before = records(database)
    database.call(jobs.pause(database.keys, job().id, "paused", 0))
    assert resume(database) == Reply("RESUMED", [])
    assert records(database) == before


def test_a_second_send_of_the_same_call_changes_nothing(database):
    register(database, job())
    with nothing_written(database):
        assert resume(database) == Reply("RESUMED", [])


def test_a_job_that_nobody_registered_cannot_be_resumed(database):
    with nothing_written(database):
        assert resume(database) == Reply("UNKNOWN", [])
