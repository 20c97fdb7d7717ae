from jobistemer.store.calls import jobs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import job, register
from tests.support.shard_state import audits, find_leaks, nothing_written

ID = job().id


def note(database, what="triggered", now=NOW):
    return database.call(jobs.record_job_change(database.keys, ID, now, "ana", what, "occ_1"))


def test_the_audit_stream_is_told_who_did_what_and_when(database):
    register(database, job())
    assert note(database) == Reply("NOTED", [])
    assert audits(database)[f"audit:{ID}"][-1] == {"at": str(NOW), "by": "ana", "what": "triggered", "note": "occ_1"}
    assert find_leaks(database) == {}


def test_a_second_send_of_the_same_call_notes_nothing(database):
    register(database, job())
    note(database)
    with nothing_written(database):
        assert note(database) == Reply("NOTED", [])


def test_the_same_at_another_time_is_noted_again(database):
    register(database, job())
    note(database)
    note(database, now=NOW + 1)
    assert [each["what"] for each in audits(database)[f"audit:{ID}"]] == ["created", "triggered", "triggered"]


def test_of_a_job_that_nobody_registered_nothing_is_noted(database):
    with nothing_written(database):
        assert note(database) == Reply("UNKNOWN", [])
