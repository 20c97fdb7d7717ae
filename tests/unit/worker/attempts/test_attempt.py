"""The race between the slot that runs an attempt and the watchdog that stops it."""

from __future__ import annotations

import threading
import time

import pytest

from jobistemer.core.handlers.handler import Handler
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.message import Delivery
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.store.keys import Keys
from jobistemer.store.scripts import Reply
from jobistemer.worker.attempts.in_flight import PREFETCH_S, RunningAttempts
from jobistemer.worker.attempts.watchdog import Watchdog
from jobistemer.worker.execute.execute import NOTHING_RETURNED, run
from tests.support.clocks import FrozenClock
from tests.support.lifecycle import build_attempt, message

STOPPED = Outcome(AttemptState.TIMED_OUT)


def nothing() -> None: ...


def make_attempt(number=0, function=nothing, stream=b"s", database=None, crashes=0, read_at=None, **changes):
    delivery = Delivery(stream, b"%d-0" % number, message(f"run_{number}", **changes), 0, crashes)
    return build_attempt(database, delivery, Handler("greet", function, Options()), read_at)


def test_only_who_takes_a_flight_out_ends_it():
    attempts, one = RunningAttempts(), make_attempt()
    attempts.begin(one, nothing)
    assert attempts.end(one, STOPPED)
    assert not attempts.end(one, NOTHING_RETURNED)
    assert one.outcome == STOPPED


def test_of_many_that_end_a_flight_at_once_one_wins():
    attempts, barrier, wins = RunningAttempts(), threading.Barrier(8), []
    crowd = [make_attempt(number) for number in range(200)]
    for each in crowd:
        attempts.begin(each, nothing)

    def end_all():
        barrier.wait()
        wins.extend(each for each in crowd if attempts.end(each, NOTHING_RETURNED))

    threads = [threading.Thread(target=end_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == len(set(wins)) == 200


def test_entries_of_two_streams_with_one_id_end_apart():
    attempts, left, right = RunningAttempts(), make_attempt(stream=b"a"), make_attempt(stream=b"b")
    attempts.begin(left, nothing)
    attempts.begin(right, nothing)
    assert set(attempts.running()) == {left, right}
    assert attempts.end(left, NOTHING_RETURNED)
    assert attempts.end(right, NOTHING_RETURNED)


def test_a_run_that_was_cancelled_before_is_not_begun():
    attempts, called = RunningAttempts(), []
    one = make_attempt(function=lambda: called.append(1))
    attempts.cancel({"run_0": ""})
    assert run(one, attempts, nothing)
    assert (one.outcome.state, called) == ("canceled", [])


def test_a_time_out_is_reported_before_the_slot_is_stopped_and_once():
    attempts, told = RunningAttempts(), []
    watchdog = Watchdog(attempts, lambda each: told.append(each.outcome.error))
    late, patient = make_attempt(1, timeout_ms=1), make_attempt(2, timeout_ms=3_600_000)
    for each in (late, patient):
        attempts.begin(each, lambda: told.append("stopped"))
    late.started -= 1.0

    watchdog.step()
    watchdog.step()

    assert told == ["timed out after 0.001 s", "stopped"]
    assert attempts.running() == [patient]


def test_an_attempt_that_comes_near_its_time_out_is_remembered_and_one_that_does_not_is_not():
    attempts = RunningAttempts()
    watchdog = Watchdog(attempts, nothing)
    near, far = make_attempt(1, timeout_ms=100_000), make_attempt(2, timeout_ms=200_000)
    for each in (near, far):
        attempts.begin(each, nothing)
        each.started -= 90.0
    watchdog.step()
    ((task, (ms, limit_ms)),) = attempts.long_attempts.list().items()
    assert (task, limit_ms) == (near.handler.name, 100_000)
    assert ms >= 90_000


class ContextAsked:
    """The tools of an attempt whose handler has a context."""

    used_steps = None


def test_a_handler_that_can_ask_is_stopped_only_after_a_while():
    attempts, told = RunningAttempts(), []
    watchdog = Watchdog(attempts, lambda each: told.append(each.outcome.error), patience_s=3_600)
    asked = make_attempt()
    asked.tools = ContextAsked()
    attempts.begin(asked, lambda: told.append("stopped"))

    watchdog.cancel({"run_0": "enough"})
    stop_at = asked.stop_at
    watchdog.cancel({"run_0": "enough"})
    watchdog.step()
    assert (told, asked.canceled_as.state, asked.stop_at) == ([], "canceled", stop_at)

    asked.stop_at = asked.started
    watchdog.step()
    assert told == ["canceled: enough", "stopped"]


def test_a_handler_that_ends_in_order_after_a_cancel_was_canceled_whatever_it_returns():
    attempts, told = RunningAttempts(), []
    watchdog = Watchdog(attempts, told.append, patience_s=3_600)
    one = make_attempt(function=lambda: watchdog.cancel({"run_0": "enough"}))
    one.tools = ContextAsked()
    assert run(one, attempts, nothing)
    assert (one.outcome.state, one.outcome.error, told) == ("canceled", "canceled: enough", [])


def test_a_handler_without_a_context_is_stopped_at_once():
    attempts, told = RunningAttempts(), []
    watchdog = Watchdog(attempts, lambda each: told.append(each.outcome.error), patience_s=3_600)
    attempts.begin(make_attempt(), lambda: told.append("stopped"))
    watchdog.cancel({"run_0": "enough"})
    assert told == ["canceled: enough", "stopped"]


def test_no_limit_means_no_time_out():
    attempts, told = RunningAttempts(), []
    endless = make_attempt(timeout_ms=0)
    attempts.begin(endless, nothing)
    endless.started -= 1e6
    Watchdog(attempts, told.append).step()
    assert told == []


def test_the_watch_looks_seldom_when_nothing_runs():
    attempts = RunningAttempts()
    watchdog = Watchdog(attempts, nothing)
    idle = watchdog.step()
    attempts.begin(make_attempt(), nothing)
    assert watchdog.step() < idle


class TakenOver:
    """A shard where another worker has all entries by now."""

    keys = Keys("test", 0)
    clock = FrozenClock()

    def call(self, call):
        assert call.script.name == "start_attempt"
        return Reply("STALE", [])


@pytest.mark.parametrize("lease_s", [15.0, 0.5])
def test_what_was_taken_before_the_lease_ran_out_is_begun_only_after_the_server_was_asked(lease_s):
    attempts, shard = RunningAttempts(lease_s), TakenOver()
    first, second, third = (make_attempt(number, database=shard) for number in range(3))
    assert attempts.begin(first, nothing)

    # When the process stands still for longer than its lease
    last_beat_at, doubtful_until = attempts._leases[id(shard)]
    attempts._leases[id(shard)] = (last_beat_at - lease_s - 0.1, doubtful_until)
    assert not attempts.begin(second, nothing)
    attempts.record_beat(shard)

    assert not attempts.begin(third, nothing)
    assert attempts.begin(make_attempt(database=shard), nothing)


def test_what_the_server_handed_out_to_a_worker_that_stood_still_is_begun_only_after_it_was_asked():
    # Given a read that was sent before this process stood still, and whose answer is found after its next beat
    attempts, shard = RunningAttempts(2.0), TakenOver()
    sent_at = time.monotonic()
    last_beat_at, doubtful_until = attempts._leases[id(shard)]
    attempts._leases[id(shard)] = (last_beat_at - 3.0, doubtful_until)
    attempts.record_beat(shard)

    # Then its run may have been cancelled meanwhile, or be somebody else's
    handed_out = make_attempt(1, database=shard, read_at=sent_at)
    assert not attempts.begin(handed_out, nothing)
    assert attempts.begin(make_attempt(2, database=shard), nothing)


def test_runs_count_as_long_when_they_have_lasted_longer_than_work_is_fetched_ahead():
    attempts = RunningAttempts()
    assert attempts.count_long() == 0
    for number in range(5):
        attempts.begin(make_attempt(number), nothing)
    assert attempts.count_long() == 0
    for attempt in attempts.running()[:3]:
        attempt.started -= 2 * PREFETCH_S
    assert attempts.count_long() == 3


def test_what_may_have_killed_a_worker_is_begun_only_after_its_record_says_so():
    attempts, suspect = RunningAttempts(), make_attempt(database=TakenOver(), crashes=1)
    assert not attempts.begin(suspect, nothing)


def test_what_no_slot_has_begun_ends_without_a_race():
    attempts, one = RunningAttempts(), make_attempt()
    attempts.end_unstarted(one, STOPPED)
    assert (one.outcome, one.started, attempts.running()) == (STOPPED, one.ended, [])
