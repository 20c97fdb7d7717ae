"""The views over a namespace, on every kind of server: what they read differs in form between clients and servers."""

import pytest

from jobistemer.core.jobs.job import Overlap
from jobistemer.core.planning.plan import NEVER
from jobistemer.store.reads import jobs, queues
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    enqueue,
    fetch,
    fetch_one,
    finish,
    job,
    register,
)

DEFINITION = job(overlap=Overlap.QUEUE)


@pytest.fixture
def shards(database):
    return [database]


def test_a_job_is_summed_up_with_its_last_occurrence(database, shards):
    register(database, DEFINITION)
    claim(database, DEFINITION, decision(T0 + MINUTE))
    claim(database, DEFINITION, decision(T0 + 2 * MINUTE))
    (summary,) = jobs.list_jobs(shards)
    assert (summary.name, summary.version, summary.live, summary.queued) == ("report", 1, 1, 1)
    assert summary.next_due == (T0 + 3 * MINUTE) * 1000
    assert (summary.last.due, summary.last.state) == (T0 + 2 * MINUTE, "queued")
    assert jobs.find_summary(database, "report") == summary


def test_a_job_with_no_instant_left_comes_last_and_is_due_never(database, shards):
    register(database, DEFINITION)
    over = job(name="over")
    register(database, over)
    database.ask("ZADD", database.keys.due, NEVER * 1000, over.id)
    assert [(each.name, each.next_due is None) for each in jobs.list_jobs(shards)] == [
        ("report", False),
        ("over", True),
    ]


def test_a_job_that_is_not_registered_has_no_summary(database, shards):
    assert jobs.find_summary(database, "report") is None
    assert jobs.list_jobs(shards) == []


def test_the_history_is_paged_from_the_newest(database):
    register(database, DEFINITION)
    for n in range(1, 6):
        claim(database, DEFINITION, decision(T0 + n * MINUTE))
    page = jobs.list_history(database, DEFINITION.id, offset=1, limit=2)
    assert [each.due for each in page] == [T0 + 4 * MINUTE, T0 + 3 * MINUTE]


def test_the_latest_occurrences_of_several_jobs_stand_together(database, shards):
    other = job(name="other")
    for each in (DEFINITION, other):
        register(database, each)
        claim(database, each, decision(T0 + MINUTE))
    claim(database, other, decision(T0 + 2 * MINUTE))
    latest = jobs.list_latest(shards, [DEFINITION.id, other.id], limit=2)
    assert [each.due for each in latest] == [T0 + 2 * MINUTE, T0 + MINUTE]
    assert latest[0].job == other.id


def test_a_run_that_waits_for_its_retry_says_why(database, shards):
    enqueue(database)
    finish(database, build_ended(fetch_one(database), "failed", error="oops"))
    (waiting,) = jobs.list_delayed(shards)
    assert (waiting.id, waiting.handler, waiting.attempt, waiting.note) == ("run_1", "greet", 1, "oops")
    assert waiting.due_at > NOW
    assert jobs.count_delayed(shards) == 1


def test_a_queue_counts_what_waits_apart_from_what_is_in_flight(database, shards):
    for n in range(3):
        enqueue(database, f"run_{n}")
    enqueue(database, "run_urgent", priority=9)
    fetch(database, count=2)
    (queue,) = queues.list_queues(shards)
    assert (queue.waiting, queue.in_flight, queue.priorities) == (2, 2, {9: 1, 5: 1})


def test_a_run_is_found_on_whatever_shard_it_lives(database, shards):
    enqueue(database)
    found, record = jobs.locate_run(shards, "run_1")
    assert (found, record.state) == (database, "pending")
    assert jobs.locate_run(shards, "run_2") is None
