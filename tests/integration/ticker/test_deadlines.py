"""Occurrences that are cancelled, or whose time is over, wherever their runs are."""

import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import Overlap
from jobistemer.core.settings import TickerSettings
from jobistemer.core.states import OccurrenceState, RunState
from jobistemer.store.actions import cancel
from jobistemer.store.calls import occurrences
from jobistemer.store.reads import records
from jobistemer.ticker.shard_ticker import ShardTicker
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch_one, finish, job, register, task
from tests.support.shard_state import find_leaks

ONE, TWO = T0 + MINUTE, T0 + 2 * MINUTE


def start(database, definition, clock, instant=ONE):
    clock.advance(instant - clock.now_ms() // 1000)
    register(database, definition)
    claim(database, definition, decision(instant))
    return ids.occurrence_id(definition.id, instant)


def ticker(database):
    return ShardTicker(database, TickerSettings(), "t1")


def state(database, occurrence):
    return records.find_occurrences(database, [occurrence])[0].state


def run_of(database, definition, name, occurrence):
    return records.find_run(database, ids.run_id(occurrence, ids.task_id(definition.id, name)))


CHAIN = job(task("a"), task("b", "a"), task("c", "b"), occurrence_timeout_s=30.0)


def test_nothing_happens_before_the_deadline(database, clock):
    occurrence = start(database, CHAIN, clock)
    clock.advance(29.999)
    ticker(database).tick()
    assert state(database, occurrence) is OccurrenceState.PENDING


def test_an_occurrence_of_which_nothing_runs_is_timed_out_at_its_deadline(database, clock):
    occurrence = start(database, CHAIN, clock)
    clock.advance(30)
    ticker(database).tick()
    record = records.find_occurrences(database, [occurrence])[0]
    assert (record.state, record.error) == (OccurrenceState.TIMED_OUT, "timed out after 30 s")
    states = {name: run_of(database, CHAIN, name, occurrence).state for name in "abc"}
    assert states == {"a": RunState.TIMED_OUT, "b": RunState.SKIPPED, "c": RunState.SKIPPED}
    assert "timed out after 30 s" in run_of(database, CHAIN, "a", occurrence).error


def test_a_run_in_flight_is_asked_to_end_and_the_occurrence_ends_with_it(database, clock):
    occurrence = start(database, CHAIN, clock)
    delivery = fetch_one(database)
    clock.advance(30)
    ticker(database).tick()
    assert state(database, occurrence) is OccurrenceState.PENDING
    assert run_of(database, CHAIN, "a", occurrence).cancel == clock.now_ms()
    finish(database, build_ended(delivery, "canceled"), CHAIN)
    assert state(database, occurrence) is OccurrenceState.TIMED_OUT
    record = run_of(database, CHAIN, "a", occurrence)
    assert (record.state, record.error) == (RunState.TIMED_OUT, "its occurrence timed out after 30 s")


def test_a_task_that_ends_well_after_the_deadline_releases_nothing(database, clock):
    occurrence = start(database, CHAIN, clock)
    delivery = fetch_one(database)
    clock.advance(30)
    ticker(database).tick()
    finish(database, build_ended(delivery), CHAIN)
    assert state(database, occurrence) is OccurrenceState.TIMED_OUT
    assert run_of(database, CHAIN, "a", occurrence).state is RunState.SUCCEEDED
    assert run_of(database, CHAIN, "b", occurrence).state is RunState.TIMED_OUT


def test_a_delayed_retry_is_cancelled_at_the_deadline(database, clock):
    occurrence = start(database, CHAIN, clock)
    finish(database, build_ended(fetch_one(database), "failed", retry_after_ms=3_600_000), CHAIN)
    clock.advance(30)
    ticker(database).tick()
    assert state(database, occurrence) is OccurrenceState.TIMED_OUT


def test_two_tickers_time_out_an_occurrence_once(database, clock):
    occurrence = start(database, CHAIN, clock)
    clock.advance(30)
    first, second = ticker(database), ticker(database)
    first.poll(full=True)
    second.poll(full=True)
    first.process_due()
    before = records.find_occurrences(database, [occurrence])
    second.process_due()
    assert records.find_occurrences(database, [occurrence]) == before


def test_a_halt_that_was_left_half_way_is_finished_by_a_ticker(database, clock):
    # Given somebody who marked the occurrence as cancelled and died before its runs were
    occurrence = start(database, job(), clock)
    call = occurrences.halt(
        database.keys, occurrence, OccurrenceState.CANCELED, "canceled: wrong data", clock.now_ms() + 5000
    )
    database.call(call)
    clock.advance(5)
    ticker(database).tick()
    record = records.find_occurrences(database, [occurrence])[0]
    assert (record.state, record.error) == (OccurrenceState.CANCELED, "canceled: wrong data")
    assert "wrong data" in run_of(database, job(), "only", occurrence).error


def test_a_deadline_of_an_occurrence_whose_record_is_gone_is_dropped(database, clock):
    database.client.zadd(database.keys.deadlines, {"occ_gone": clock.now_ms()})
    ticker(database).tick()
    assert database.client.zcard(database.keys.deadlines) == 0


def test_what_waits_in_the_queue_starts_when_the_time_of_the_earlier_one_is_over(database, clock):
    definition = job(overlap=Overlap.QUEUE, occurrence_timeout_s=90.0)
    earlier = start(database, definition, clock)
    clock.advance(MINUTE)
    claim(database, definition, decision(TWO))
    later = ids.occurrence_id(definition.id, TWO)
    assert state(database, later) is OccurrenceState.QUEUED
    clock.advance(30)
    ticker(database).tick()
    ticker(database).poll(full=True)
    assert state(database, earlier) is OccurrenceState.TIMED_OUT
    assert state(database, later) is OccurrenceState.PENDING


@pytest.mark.parametrize("strategy", ["fail_fast", "continue"])
def test_an_occurrence_is_cancelled_with_everything_that_waits(database, clock, strategy):
    definition = job(task("a"), task("b", "a"), task("c"), failure=strategy)
    occurrence = start(database, definition, clock)
    assert cancel.cancel_occurrence(database, occurrence, "not needed") == "CANCELED"
    record = records.find_occurrences(database, [occurrence])[0]
    assert (record.state, record.error) == (OccurrenceState.CANCELED, "canceled: not needed")
    assert cancel.cancel_occurrence(database, occurrence, "again") == "ENDED"
    # What is left is listed until its retention is over; the deadline goes at the ticker's next look.
    clock.advance(5)
    ticker(database).tick()
    database.client.delete(database.keys.tickers)
    assert "deadlines" not in find_leaks(database)


def test_an_occurrence_with_work_in_flight_is_cancelled_by_its_worker(database, clock):
    definition = job(task("a"), task("b"))
    occurrence = start(database, definition, clock)
    fetch_one(database)
    assert cancel.cancel_occurrence(database, occurrence, "not needed") == "REQUESTED"


def test_an_occurrence_that_waits_in_the_queue_is_cancelled_there(database, clock):
    definition = job(overlap=Overlap.QUEUE)
    start(database, definition, clock)
    claim(database, definition, decision(TWO))
    assert cancel.cancel_occurrence(database, ids.occurrence_id(definition.id, TWO), "not needed") == "CANCELED"


def test_an_occurrence_that_is_not_on_record_is_unknown(database):
    assert cancel.cancel_occurrence(database, "occ_nothing", "not needed") == "UNKNOWN"
