"""The race between the slot that runs an attempt and the watch that stops it."""

from __future__ import annotations

import threading

import pytest

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.worker.attempts.attempt import Flight, Flights
from jobistemer.worker.attempts.watchdog import Watch
from jobistemer.worker.execute.execute import run
from jobistemer.worker.execute.outcomes import NOTHING_RETURNED
from tests.support.stories import message

STOPPED = Outcome(AttemptState.TIMED_OUT)


def nothing() -> None: ...


def flight(number=0, function=nothing, stream=b"s", **changes):
    delivery = Delivery(stream, b"%d-0" % number, message(f"run_{number}", **changes), 0, 0)
    return Flight(None, delivery, Handler("greet", function, Options()), "alice", {})


def test_only_who_takes_a_flight_out_ends_it():
    flights, one = Flights(), flight()
    flights.begin(one, nothing)
    assert flights.end(one, STOPPED)
    assert not flights.end(one, NOTHING_RETURNED)
    assert one.outcome == STOPPED


def test_of_many_that_end_a_flight_at_once_one_wins():
    flights, barrier, wins = Flights(), threading.Barrier(8), []
    crowd = [flight(number) for number in range(200)]
    for each in crowd:
        flights.begin(each, nothing)

    def end_all():
        barrier.wait()
        wins.extend(each for each in crowd if flights.end(each, NOTHING_RETURNED))

    threads = [threading.Thread(target=end_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == len(set(wins)) == 200


def test_entries_of_two_streams_with_one_id_end_apart():
    flights, left, right = Flights(), flight(stream=b"a"), flight(stream=b"b")
    flights.begin(left, nothing)
    flights.begin(right, nothing)
    assert set(flights.running()) == {left, right}
    assert flights.end(left, NOTHING_RETURNED)
    assert flights.end(right, NOTHING_RETURNED)


def test_a_run_that_was_cancelled_before_is_not_begun():
    flights, called = Flights(), []
    one = flight(function=lambda: called.append(1))
    flights.cancel({"run_0": ""})
    assert run(one, flights, nothing)
    assert (one.outcome.state, called) == ("canceled", [])


def test_a_time_out_is_reported_before_the_slot_is_stopped_and_once():
    flights, told = Flights(), []
    watch = Watch(flights, lambda each: told.append(each.outcome.error))
    late, patient = flight(1, timeout_ms=1), flight(2, timeout_ms=3_600_000)
    for each in (late, patient):
        flights.begin(each, lambda: told.append("stopped"))
    late.started -= 1.0

    watch.step()
    watch.step()

    assert told == ["timed out after 0.001 s", "stopped"]
    assert flights.running() == [patient]


def test_no_limit_means_no_time_out():
    flights, told = Flights(), []
    endless = flight(timeout_ms=0)
    flights.begin(endless, nothing)
    endless.started -= 1e6
    Watch(flights, told.append).step()
    assert told == []


def test_the_watch_looks_seldom_when_nothing_runs():
    flights = Flights()
    watch = Watch(flights, nothing)
    idle = watch.step()
    flights.begin(flight(), nothing)
    assert watch.step() < idle


@pytest.mark.parametrize("lease_s", [15.0, 0.5])
def test_what_was_taken_before_the_lease_ran_out_is_in_doubt(lease_s):
    flights = Flights(lease_s)
    before = flight()
    assert not flights.in_doubt(before)

    # When the process stands still for longer than its lease
    beaten_at, doubted_until = flights._leases[id(before.database)]
    flights._leases[id(before.database)] = (beaten_at - lease_s - 0.1, doubted_until)
    assert flights.in_doubt(before)
    flights.beaten(before.database)

    assert flights.in_doubt(before)
    assert not flights.in_doubt(flight())
