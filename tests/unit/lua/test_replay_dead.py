import pytest

from jobistemer.core.messages import encode_message
from jobistemer.core.retries import NO_RETRIES
from jobistemer.store import dead
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.records import Stream, mortal, nothing_written, records
from tests.support.stories import ended, enqueue, finish, take_one

LATER = NOW + 5000


def replay(database, letter, run="run_2"):
    return database.call(dead.replay(database.keys, letter, run, LATER))


@pytest.fixture
def morgue(database):
    """One run is dead; it had a unique key."""
    enqueue(database, "run_1", retry=NO_RETRIES, unique="order-7")
    finish(database, ended(take_one(database), "failed"))
    return database


@pytest.fixture
def letter(morgue):
    return dead.find_dead(morgue, "run_1")


def test_the_work_of_a_dead_run_goes_to_a_new_one_and_the_dead_one_stays_dead(morgue, letter):
    before = records(morgue)
    assert replay(morgue, letter) == Reply("REPLAYED", [])

    state = records(morgue)
    entry = state["run:run_2"]["entry"]
    text = encode_message(dead.replayed(letter.message, "run_2", LATER)).decode()
    assert state["run:run_1"] == before["run:run_1"] | {"note": "replayed as run_2"}
    assert (state["run:run_2"]["state"], state["run:run_2"]["handler"]) == ("pending", "greet")
    assert state["stream:default:5"] == Stream({entry: {"m": text, "n": "0", "c": "0"}}, {})
    assert state["unique:order-7"] == "run_2"
    assert "dead" not in state
    assert "run:run_1" in mortal(morgue)
    again = take_one(morgue)
    assert (again.message.run, again.message.metadata) == ("run_2", {"replay_of": "run_1"})


def test_a_second_send_of_the_same_call_is_recognised_and_writes_nothing(morgue, letter):
    replay(morgue, letter)
    with nothing_written(morgue):
        assert replay(morgue, letter) == Reply("MINE", [])


def test_a_dead_letter_is_replayed_once_whoever_asks(morgue, letter):
    replay(morgue, letter, "run_2")
    with nothing_written(morgue):
        assert replay(morgue, letter, "run_3") == Reply("GONE", [])


def test_what_was_purged_is_not_replayed(morgue, letter):
    morgue.call(dead.purge(morgue.keys, ["run_1"]))
    with nothing_written(morgue):
        assert replay(morgue, letter) == Reply("GONE", [])


def test_what_has_expired_is_not_replayed(morgue, letter):
    morgue.client.delete(morgue.keys.run("run_1"))
    with nothing_written(morgue):
        assert replay(morgue, letter) == Reply("GONE", [])


def test_a_unique_key_that_another_run_holds_by_now_is_respected(morgue, letter):
    enqueue(morgue, "run_9", unique="order-7")
    with nothing_written(morgue):
        assert replay(morgue, letter) == Reply("EXISTS", [b"run_9"])


def test_a_stream_that_is_gone_is_born_again_with_its_group(morgue, letter):
    morgue.client.delete(morgue.keys.stream("default:5"), morgue.keys.streams)
    assert replay(morgue, letter) == Reply("REPLAYED", [])
    assert records(morgue)["streams"] == {"default:5"}
    assert take_one(morgue).message.run == "run_2"
