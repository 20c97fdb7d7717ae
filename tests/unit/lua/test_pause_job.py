from jobistemer.store import jobs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.records import nothing_written, records
from tests.support.stories import job, register

NAME = f"job:{job().id}"


def pause(database, reason="paused: release", until=0):
    return database.call(jobs.pause(database.keys, job().id, reason, until))


def test_a_job_is_marked_with_the_reason_and_the_end(database):
    register(database, job())
    before = records(database)
    assert pause(database, until=NOW + 5) == Reply("PAUSED", [])
    marks = {"paused": "paused: release", "paused_until": str(NOW + 5)}
    assert records(database) == before | {NAME: before[NAME] | marks}


def test_a_second_send_of_the_same_call_changes_nothing(database):
    register(database, job())
    pause(database)
    with nothing_written(database):
        assert pause(database) == Reply("PAUSED", [])


def test_a_later_pause_replaces_reason_and_end(database):
    register(database, job())
    pause(database, until=NOW + 5)
    pause(database, "paused: holidays")
    job_record = records(database)[NAME]
    assert (job_record["paused"], job_record["paused_until"]) == ("paused: holidays", "0")


def test_a_job_that_nobody_registered_cannot_be_paused(database):
    with nothing_written(database):
        assert pause(database) == Reply("UNKNOWN", [])
