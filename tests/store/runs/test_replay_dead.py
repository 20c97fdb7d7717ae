import pytest

from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.core.runs.message import TaskRef, encode_message
from jobistemer.store.actions import dead_letters
from jobistemer.store.actions.retry_ended import retry_ended
from jobistemer.store.reads.records import find_record
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import again_records, build_ended, enqueue, fetch_one, finish
from tests.support.shard_state import find_leaks, nothing_written, records

LATER = NOW + 60_000


def die(database, run="run_1", **changes):
    """A run without retries fails."""
    enqueue(database, run, retry=NO_RETRIES, **changes)
    finish(database, build_ended(fetch_one(database), "failed", error="ValueError: no"))
    return dead_letters.find_dead(database, run)


def replay(database, letter, run="run_2"):
    return database.call(dead_letters.replay(database.keys, letter, run, LATER))


@pytest.fixture
def letter(database):
    return die(database, metadata={"who": "ann"})


def test_the_work_of_a_dead_run_waits_again_as_a_new_run_and_the_dead_one_stays_dead(database, letter):
    before = records(database)
    assert replay(database, letter) == Reply("REPLAYED", [])

    again = encode_message(dead_letters.build_replay(letter.message, "run_2", LATER)).decode()
    expected = before | {
        "run:run_1": before["run:run_1"] | {"note": "replayed as run_2", "retried_as": "run_2"},
        **again_records(database, "run_2", again),
    }
    del expected["dead"]
    assert records(database) == expected


def test_the_new_message_says_what_it_replays_and_keeps_what_was_asked_for(database, letter):
    replay(database, letter)
    message = fetch_one(database).message
    assert message.metadata == {"who": "ann", "replay_of": "run_1"}
    assert (message.run, message.enqueued_at, message.retry) == ("run_2", LATER, NO_RETRIES)


def test_a_task_of_an_occurrence_is_replayed_outside_of_it_because_that_has_ended(letter):
    slot = TaskRef("occ_1", "job_1", 3, 1_800_000_000, "send")
    message = dead_letters.build_replay(
        type(letter.message)(run="run_1", handler="h", enqueued_at=NOW, task_ref=slot), "run_2", LATER
    )
    assert message.task_ref is None
    assert message.metadata == {"replay_of": "run_1", "job": "job_1", "occurrence": "occ_1"}


def test_a_second_send_of_the_same_call_is_recognised_and_writes_nothing(database, letter):
    replay(database, letter)
    with nothing_written(database):
        assert replay(database, letter) == Reply("MINE", [])


def test_of_two_who_replay_the_same_letter_one_comes_too_late(database, letter):
    replay(database, letter, "run_2")
    with nothing_written(database):
        assert replay(database, letter, "run_3") == Reply("GONE", [])


def test_what_was_replayed_is_not_retried_besides(database, letter):
    replay(database, letter)
    with nothing_written(database):
        assert database.call(retry_ended(database.keys, letter.message, "run_3", LATER)) == Reply("AGAIN", [b"run_2"])


def test_a_purged_letter_cannot_be_replayed(database, letter):
    database.call(dead_letters.purge(database.keys, ["run_1"]))
    with nothing_written(database):
        assert replay(database, letter) == Reply("GONE", [])


def test_a_letter_whose_record_has_expired_cannot_be_replayed(database, letter):
    database.client.delete(database.keys.run("run_1"))
    with nothing_written(database):
        assert replay(database, letter) == Reply("GONE", [])


def test_the_new_run_holds_the_unique_key_of_the_dead_one(database):
    replay(database, die(database, unique="k"))
    assert records(database)["unique:k"] == "run_2"


def test_while_another_run_holds_the_unique_key_nothing_is_replayed(database):
    letter = die(database, unique="k")
    enqueue(database, "run_9", unique="k")
    with nothing_written(database):
        assert replay(database, letter) == Reply("EXISTS", [b"run_9"])


def test_a_stream_that_is_gone_is_born_again_with_its_group(database, letter):
    database.client.delete(database.keys.stream("default:5"), database.keys.streams)
    replay(database, letter)
    assert fetch_one(database).message.run == "run_2"
    assert records(database)["streams"] == {"default:5"}


def test_once_the_replayed_work_is_done_nothing_stays_for_ever(database, letter):
    replay(database, letter)
    finish(database, build_ended(fetch_one(database)))
    assert find_leaks(database) == {}


def test_a_replay_that_an_earlier_version_recorded_in_the_note_alone_is_known(database, letter):
    replay(database, letter)
    database.client.hdel(database.keys.run("run_1"), "retried_as")
    record = find_record(database, "run_1")
    assert (record.retried_as, record.news) == ("run_2", "replayed as run_2")


def test_a_note_about_something_else_is_no_replay(database, letter):
    database.client.hset(database.keys.run("run_1"), "note", "replayed as run_2, said ann")
    record = find_record(database, "run_1")
    assert (record.retried_as, record.news) == ("", "")
