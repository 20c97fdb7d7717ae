from jobistemer.store.calls import jobs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import job, register
from tests.support.shard_state import audits, nothing_written, records


def resume(database):
    return database.call(jobs.resume(database.keys, job().id, NOW, "ana"))


def test_a_resumed_job_is_as_it_was_before_its_pause(database):
    register(database, job())
    before = records(database)
    database.call(jobs.pause(database.keys, job().id, "paused", 0, NOW))
    assert resume(database) == Reply("RESUMED", [])
    name = f"job:{job().id}"
    assert records(database) == before | {name: before[name] | {"resumed_at": str(NOW)}}


def test_a_second_send_of_the_same_call_changes_nothing(database):
    register(database, job())
    with nothing_written(database):
        assert resume(database) == Reply("RESUMED", [])


def test_a_job_that_nobody_registered_cannot_be_resumed(database):
    with nothing_written(database):
        assert resume(database) == Reply("UNKNOWN", [])


def test_the_audit_stream_is_told_once_who_resumed_the_job(database):
    register(database, job())
    database.call(jobs.pause(database.keys, job().id, "paused", 0, NOW))
    resume(database)
    resume(database)
    lines = audits(database)[f"audit:{job().id}"]
    assert [each["what"] for each in lines] == ["created", "paused", "resumed"]
    assert lines[-1] == {"at": str(NOW), "by": "ana", "what": "resumed", "note": ""}
