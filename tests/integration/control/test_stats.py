"""The numbers of a namespace: what waits, what runs, and what has ended, counted where the ends are recorded."""

from datetime import UTC, datetime

import msgspec
import pytest

from jobistemer.control.stats import read_stats
from jobistemer.core.jobs.retries import NO_RETRIES
from jobistemer.store.calls import bulk_commit, heartbeats, run_ends, runs
from tests.support.clocks import NOW
from tests.support.lifecycle import build_ended, enqueue, fetch, fetch_one, finish, message
from tests.support.shard_state import nothing_written, outcomes

DAY = 86_400_000


def beat(database, running):
    status = msgspec.json.encode({"queues": {"default": 0}, "running": running})
    database.call(heartbeats.beat_worker(database.keys, "alice", NOW, 15_000, NOW, status))


def end_one(database, run, state="succeeded", **changes):
    enqueue(database, run, retry=NO_RETRIES, **changes)
    finish(database, build_ended(fetch_one(database, where=f"{changes.get('queue', 'default')}:5"), state))


def test_what_is_in_a_slot_runs_and_what_was_fetched_ahead_is_pending(database):
    for number in range(5):
        enqueue(database, f"run_{number}")
    fetch(database, "alice", count=3)
    beat(database, {"default greet": 1})
    database.call(runs.enqueue_run(database.keys, message("run_later"), due_at=NOW + DAY))
    stats = read_stats([database])
    assert (stats.pending, stats.running, stats.delayed, stats.ended, stats.exact) == (4, 1, 1, {}, True)


def test_each_end_is_counted_once_by_its_state(database):
    end_one(database, "run_1")
    end_one(database, "run_2", "failed")
    end_one(database, "run_3", "timed_out")
    end_one(database, "run_4", "failed", dead_letters=False)
    stats = read_stats([database])
    assert stats.ended == {"dead": 1, "failed": 1, "succeeded": 1, "timed_out": 1}
    assert (stats.completed, stats.failed, stats.dead, stats.canceled) == (1, 2, 1, 0)
    assert stats.since == datetime.fromtimestamp(NOW // DAY * 86_400, UTC)


def test_a_bundle_of_successes_is_counted_by_task_and_a_second_send_counts_nothing(database):
    for run, handler in (("run_1", "greet"), ("run_2", "greet"), ("run_3", "part")):
        enqueue(database, run, handler=handler)
    ended = [build_ended(each) for each in fetch(database)]
    call = bulk_commit.commit_successes(database.keys, ended)
    database.call(call)
    assert outcomes(database) == {"succeeded default greet": 2, "succeeded default part": 1}
    with nothing_written(database):
        database.call(call)
    assert outcomes(database) == {"succeeded default greet": 2, "succeeded default part": 1}


def test_an_outcome_that_the_fence_refuses_is_not_counted(database):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery))
    database.call(run_ends.record_end(database.keys, build_ended(delivery, "failed", "zombie"), None))
    assert outcomes(database) == {"succeeded default greet": 1}


@pytest.mark.parametrize(
    ("which", "pending", "ended"),
    [
        ({}, 3, {"succeeded": 2}),
        ({"queue": "mail"}, 2, {"succeeded": 1}),
        ({"task": "part"}, 1, {"succeeded": 1}),
        ({"queue": "mail", "task": "part"}, 0, {}),
        ({"queue": "nowhere"}, 0, {}),
    ],
)
def test_a_queue_and_a_task_have_numbers_of_their_own(database, which, pending, ended):
    end_one(database, "run_1", queue="mail")
    end_one(database, "run_2", handler="part")
    enqueue(database, "run_3", queue="mail")
    enqueue(database, "run_4", queue="mail")
    enqueue(database, "run_5", handler="part")
    stats = read_stats([database], **which)
    assert (stats.pending, stats.ended, stats.exact) == (pending, ended, True)


def test_ends_are_counted_since_a_day(database, clock):
    end_one(database, "run_1")
    clock.advance(2 * 86_400)
    today = database.clock.now_ms()
    enqueue(database, "run_2")
    delivery = fetch_one(database)
    finish(database, build_ended(delivery)._replace(ended_at=today))
    assert read_stats([database]).completed == 2
    recent = read_stats([database], since_ms=today)
    assert (recent.completed, recent.since) == (1, datetime.fromtimestamp(today // DAY * 86_400, UTC))
