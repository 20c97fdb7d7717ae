from jobistemer.store.calls import jobs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import job, register
from tests.support.shard_state import audits, nothing_written, records

NAME = f"job:{job().id}"


def pause(database, reason="paused: release", until=0, now=NOW):
    return database.call(jobs.pause(database.keys, job().id, reason, until, now, "ana", "release"))


def test_a_job_is_marked_with_the_reason_and_the_end(database):
    register(database, job())
    before = records(database)
    assert pause(database, until=NOW + 5) == Reply("PAUSED", [])
    marks = {"paused": "paused: release", "paused_until": str(NOW + 5), "paused_at": str(NOW)}
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


def test_the_audit_list_is_told_who_paused_the_job_and_why(database):
    register(database, job())
    pause(database)
    pause(database, until=NOW + 5, now=NOW + 1)
    line = {"by": "ana", "what": "paused", "note": "release"}
    assert audits(database)[f"audit:{job().id}"][1:] == [line | {"at": str(NOW)}, line | {"at": str(NOW + 1)}]


def test_the_audit_list_keeps_the_latest_thousand_entries(database):
    register(database, job())
    for number in range(1300):
        pause(database, now=NOW + number)
    assert len(audits(database)[f"audit:{job().id}"]) == 1000
