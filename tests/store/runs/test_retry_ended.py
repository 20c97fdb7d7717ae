import pytest

from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.runs.message import GroupMember, TaskRef, encode_message
from jobistemer.store.actions.retry_ended import build_retry, retry_ended
from jobistemer.store.calls.streams import close_queue
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import again_records, build_ended, enqueue, fetch_one, finish, message
from tests.support.shard_state import find_leaks, nothing_written, records

LATER = NOW + 60_000


def end(database, state="canceled", run="run_1", **changes):
    """A run ends without success; its message, as its record keeps it."""
    enqueue(database, run, retry=NO_RETRIES, **changes)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, state, error="no", **({"final": True} if state == "failed" else {})))
    return delivery.message


def retry(database, ended, run="run_2"):
    return database.call(retry_ended(database.keys, ended, run, LATER))


@pytest.mark.parametrize("state", ["canceled", "failed"])
def test_the_work_of_a_run_that_ended_without_success_waits_again_and_the_two_name_each_other(database, state):
    ended = end(database, state)
    before = records(database)
    assert before["run:run_1"]["message"] == encode_message(ended).decode()
    assert retry(database, ended) == Reply("RETRIED", [])

    again = encode_message(build_retry(ended, "run_2", LATER)).decode()
    linked = {"note": "retried as run_2", "retried_as": "run_2"}
    assert records(database) == before | {
        "run:run_1": before["run:run_1"] | linked,
        **again_records(database, "run_2", again),
    }


def test_a_dead_run_leaves_the_dead_letters(database):
    ended = end(database, "lost", max_crashes=1)
    assert "run_1" in records(database)["dead"]
    assert retry(database, ended) == Reply("RETRIED", [])
    assert "dead" not in records(database)


def test_the_new_message_belongs_to_no_occurrence_and_no_group_and_does_not_expire():
    slot = TaskRef("occ_1", "job_1", 3, 1_800_000_000, "send")
    old = message(task_ref=slot, member=GroupMember("run_g", 3), expires_at=NOW, metadata={"who": "ann"})
    new = build_retry(old, "run_2", LATER)
    assert (new.run, new.enqueued_at, new.task_ref, new.member, new.expires_at) == ("run_2", LATER, None, None, 0)
    assert new.metadata == {"who": "ann", "retry_of": "run_1", "job": "job_1", "occurrence": "occ_1"}


def test_a_second_send_of_the_same_call_is_recognised_and_writes_nothing(database):
    ended = end(database)
    retry(database, ended)
    with nothing_written(database):
        assert retry(database, ended) == Reply("MINE", [])


def test_of_two_who_retry_the_same_run_the_second_is_told_which_run_there_is(database):
    ended = end(database)
    retry(database, ended, "run_2")
    with nothing_written(database):
        assert retry(database, ended, "run_3") == Reply("AGAIN", [b"run_2"])


@pytest.mark.parametrize("state", ["succeeded", None])
def test_a_run_that_succeeded_or_has_not_ended_is_not_retried(database, state):
    enqueue(database)
    delivery = fetch_one(database)
    if state:
        finish(database, build_ended(delivery, state))
    with nothing_written(database):
        assert retry(database, delivery.message) == Reply("GONE", [])


def test_a_run_whose_record_has_expired_is_not_retried(database):
    ended = end(database)
    database.client.delete(database.keys.run("run_1"))
    with nothing_written(database):
        assert retry(database, ended) == Reply("GONE", [])


def test_a_queue_that_is_being_drained_takes_no_retry(database):
    ended = end(database)
    close_queue([database], "default")
    with nothing_written(database):
        assert retry(database, ended) == Reply("CLOSED", [])


def test_the_new_run_holds_the_unique_key_unless_another_one_does(database):
    first, other = end(database, unique="k"), end(database, run="run_5", unique="k")
    retry(database, first)
    assert records(database)["unique:k"] == "run_2"
    with nothing_written(database):
        assert retry(database, other, "run_6") == Reply("EXISTS", [b"run_2"])


def test_a_stream_that_is_gone_is_born_again_with_its_group(database):
    ended = end(database)
    database.client.delete(database.keys.stream("default:5"), database.keys.streams)
    retry(database, ended)
    assert fetch_one(database).message.run == "run_2"


def test_once_the_retried_work_is_done_nothing_stays_for_ever(database):
    retry(database, end(database))
    finish(database, build_ended(fetch_one(database)))
    assert find_leaks(database) == {}
