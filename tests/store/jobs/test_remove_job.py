import pytest

from jobistemer.core.jobs.job import Overlap
from jobistemer.store.calls import jobs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    fetch_one,
    finish,
    job,
    over_fields,
    register,
    version_fields,
)
from tests.support.shard_state import audits, expiring_keys, find_leaks, nothing_written, records, ttl_ms

ID = job().id


def remove(database, stored):
    return database.call(jobs.remove(database.keys, stored, NOW, "ana"))


def test_a_removed_job_is_due_no_more_and_what_is_known_of_it_expires(database):
    register(database, job())
    claim(database, job(), decision(T0 + MINUTE, "missed"))
    before = records(database)
    assert remove(database, jobs.find_job(database, "report")) == Reply("REMOVED", [])

    occurrence = next(key for key in before if key.startswith("occurrence:"))
    assert records(database) == {
        occurrence: before[occurrence],
        f"history:{ID}": before[f"history:{ID}"],
        f"versions:{ID}": version_fields() | over_fields(job(), until=T0 + MINUTE),
    }
    week = 7 * 86_400_000
    assert ttl_ms(database, f"history:{ID}") == ttl_ms(database, f"versions:{ID}") == week


def test_the_fingerprints_of_what_was_never_in_force_are_kept_with_the_versions_and_come_back(database):
    register(database, job())
    database.client.hset(database.keys.job(ID), mapping={"passed": "one ", "pending": "{}", "pending_mark": "two"})
    remove(database, jobs.find_job(database, "report"))
    assert records(database)[f"versions:{ID}"]["passed"] == "one two "
    register(database, job())
    assert records(database)[f"job:{ID}"]["passed"] == "one two "


def test_a_second_send_of_the_same_call_is_recognised_and_writes_nothing(database):
    register(database, job())
    stored = jobs.find_job(database, "report")
    remove(database, stored)
    with nothing_written(database):
        assert remove(database, stored) == Reply("REMOVED", [])


def test_of_two_who_remove_a_job_the_second_is_told_so(database):
    register(database, job())
    stored = jobs.find_job(database, "report")
    remove(database, stored)
    with nothing_written(database):
        assert database.call(jobs.remove(database.keys, stored, NOW, "bob")) == Reply("STALE", [])


def test_a_job_that_was_changed_meanwhile_is_not_removed(database):
    register(database, job())
    stored = jobs.find_job(database, "report")
    register(database, job(max_queued=7), "f2", seen=1)
    with nothing_written(database):
        assert remove(database, stored) == Reply("STALE", [])


def test_what_waits_in_the_queue_of_a_removed_job_can_still_be_started(database):
    definition = job(overlap=Overlap.QUEUE)
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    claim(database, definition, decision(T0 + 2 * MINUTE))
    finish(database, build_ended(fetch_one(database)), definition)
    remove(database, jobs.find_job(database, "report"))
    assert records(database)["starts"] == {ID}
    assert jobs.find_version(database, ID, 1) == definition


@pytest.mark.parametrize("waiting", [False, True], ids=["live", "queued"])
def test_while_something_of_it_goes_on_its_definition_is_kept_longer_than_its_history(database, waiting):
    # Given a job whose history is short, and an occurrence that may take longer
    definition = job(overlap=Overlap.QUEUE, history_s=60)
    register(database, definition)
    claim(database, definition, decision(T0 + MINUTE))
    if waiting:
        claim(database, definition, decision(T0 + 2 * MINUTE))
        finish(database, build_ended(fetch_one(database)), definition)

    # When it is removed
    remove(database, jobs.find_job(database, "report"))

    # Then whoever ends or starts the occurrence still finds what comes after
    assert ttl_ms(database, f"history:{ID}") == 60_000
    assert ttl_ms(database, f"versions:{ID}") == 30 * 86_400_000


def test_the_audit_stream_says_who_removed_the_job_and_goes_with_its_history(database):
    register(database, job())
    stored = jobs.find_job(database, "report")
    database.call(jobs.remove(database.keys, stored, NOW, "ana"))
    (_, line) = audits(database)[f"audit:{stored.job.id}"]
    assert line == {"at": str(NOW), "by": "ana", "what": "removed", "note": "version 1"}
    assert find_leaks(database) == {}
    register(database, job())
    assert f"audit:{stored.job.id}" not in expiring_keys(database)
    assert [each["what"] for each in audits(database)[f"audit:{stored.job.id}"]] == ["created", "removed", "created"]
