import pytest

from jobistemer.core.runs.steps import MAX_SIGNALS, MAX_SIGNALS_BYTES, Signal
from jobistemer.store.actions import cancel, hand_back
from jobistemer.store.calls import runs
from jobistemer.store.reads.records import find_run
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish
from tests.support.shard_state import nothing_written, records
from tests.support.steps import LATER, signal, signals, suspend


def waiting(database, **more):
    enqueue(database)
    suspend(database, fetch_one(database), wait="paid", **more)


def test_a_signal_wakes_the_run_that_waits_for_it(database):
    waiting(database, question=b"{}")
    assert signal(database) == Reply("WOKEN", [])
    after = records(database)
    assert after["run:run_1"]["state"] == "pending"
    assert {"wait", "message", "due_at", "note", "question"} & set(after["run:run_1"]) == set()
    assert "delayed" not in after
    assert "questions" not in after
    again = fetch_one(database, "bob")
    assert (again.attempt, again.message.suspended) == (1, 1)
    assert signals(database) == [Signal("s1", "paid", "1", NOW, "ann", call="c1")]


def test_two_signals_wake_it_once(database):
    waiting(database)
    assert signal(database, "s1") == Reply("WOKEN", [])
    assert signal(database, "s2") == Reply("KEPT", [])
    assert len(records(database)["stream:default:5"].entries) == 1


def test_a_signal_that_comes_before_its_wait_is_kept(database):
    enqueue(database)
    assert signal(database) == Reply("KEPT", [])
    fetch_one(database)
    assert signal(database, "s2", "other", '{"a":"ü/\\""}') == Reply("KEPT", [])
    assert [(each.id, each.value) for each in signals(database)] == [("s1", "1"), ("s2", '{"a":"ü/\\""}')]


def test_a_signal_of_another_name_does_not_wake_it(database):
    waiting(database)
    assert signal(database, name="sent") == Reply("KEPT", [])
    assert records(database)["run:run_1"]["state"] == "suspended"


def test_a_signal_that_is_sent_twice_counts_once(database):
    waiting(database)
    signal(database)
    with nothing_written(database):
        assert signal(database, call="c2") == Reply("KNOWN", [])


def test_a_signal_that_was_sent_before_is_known_also_after_the_end(database):
    enqueue(database)
    signal(database)
    finish(database, build_ended(fetch_one(database)))
    with nothing_written(database):
        assert signal(database, call="c2") == Reply("KNOWN", [])


@pytest.mark.parametrize("is_over", [False, True])
def test_a_second_send_of_the_same_call_is_not_taken_for_one_of_another_caller(database, is_over):
    waiting(database)
    assert signal(database) == Reply("WOKEN", [])
    if is_over:
        finish(database, build_ended(fetch_one(database)))
    with nothing_written(database):
        assert signal(database) == Reply("KEPT", [])


@pytest.mark.parametrize("state", ["succeeded", "canceled"])
def test_a_run_that_has_ended_takes_no_signal(database, state):
    enqueue(database)
    finish(database, build_ended(fetch_one(database), state))
    with nothing_written(database):
        assert signal(database) == Reply("ENDED", [state.encode()])


def test_a_run_that_is_not_there_takes_no_signal(database):
    with nothing_written(database):
        assert signal(database) == Reply("UNKNOWN", [])


def test_signals_are_bounded_in_number_and_in_bytes(database):
    enqueue(database)
    assert signal(database, "large", value='"' + "x" * MAX_SIGNALS_BYTES + '"') == Reply("FULL", [])
    for number in range(MAX_SIGNALS):
        assert signal(database, f"s{number}") == Reply("KEPT", [])
    with nothing_written(database):
        assert signal(database, "one too many") == Reply("FULL", [])


def test_a_signal_after_the_time_out_finds_the_run_awake(database):
    """The race of a signal with the time at which the wait ends: whichever is first wakes the run, once."""
    waiting(database)
    database.call(runs.promote_runs(database.keys, ["default:5:run_1"], LATER))
    assert signal(database) == Reply("KEPT", [])
    assert len(records(database)["stream:default:5"].entries) == 1


def test_a_time_out_after_the_signal_wakes_nothing(database):
    waiting(database)
    signal(database)
    with nothing_written(database):
        database.call(runs.promote_runs(database.keys, ["default:5:run_1"], LATER))


def test_a_signal_behind_a_cancel_is_refused_and_one_before_it_does_not_save_the_run(database):
    """The race of a signal with a cancel: the run ends canceled either way, once, and its entry does not stay."""
    waiting(database)
    cancel.cancel_run(database, "run_1", "not wanted")
    with nothing_written(database):
        assert signal(database) == Reply("ENDED", [b"canceled"])
    database.client.flushdb()
    waiting(database)
    assert signal(database) == Reply("WOKEN", [])
    cancel.cancel_run(database, "run_1", "not wanted")
    assert find_run(database, "run_1").state == "canceled"
    assert fetch(database, "bob") == []


def test_a_cancel_reaches_the_attempt_that_a_signal_has_woken(database):
    waiting(database)
    signal(database)
    woken = fetch_one(database, "bob")
    cancel.cancel_run(database, "run_1", "not wanted")
    assert suspend(database, woken, wait="paid").word == "CANCELED"


def test_a_run_that_wakes_while_its_worker_is_replaced_goes_to_the_next_one_as_it_was(database):
    """The race of a wake with a deploy: what the old worker had fetched it gives back, and a signal meanwhile is kept."""
    waiting(database)
    signal(database)
    old = fetch_one(database, "old")
    hand_back.interrupt(database, [old], "old")
    assert signal(database, "s2") == Reply("KEPT", [])
    new = fetch_one(database, "new")
    assert (new.attempt, new.crashes, new.message) == (old.attempt, old.crashes, old.message)
    # The old one wakes up as a zombie.
    with nothing_written(database):
        assert suspend(database, old, wait="paid").word == "STALE"
    suspend(database, new, wait="other")
    assert [each.id for each in signals(database)] == ["s1", "s2"]
