"""A key of the wrong type ends a script before its first write: a script has no rollback, and its sender sends it anew."""

import pytest

from jobistemer.core.errors import ServerRefused
from jobistemer.core.jobs.job import Overlap, encode_job
from jobistemer.core.runs.settle import NextAttempt
from jobistemer.core.runs.transaction import Transaction
from jobistemer.store.calls import bulk_claim, bulk_commit, bulk_register, jobs, occurrences, run_ends, runs
from jobistemer.store.calls.occurrences import FireRequest
from jobistemer.store.calls.transactions import commit_transaction
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    enqueue,
    fetch_one,
    finish,
    job,
    message,
    register,
    task,
)
from tests.support.shard_state import Stream, records

GRAPH = job(
    task("a"), task("b", "a"), overlap=Overlap.QUEUE, occurrence_timeout_s=600, expect_within_s=600, alert="note"
)
PLAIN = job(overlap=Overlap.SKIP)
ONE, TWO = T0 + MINUTE, T0 + 2 * MINUTE


def claimed(database, definition):
    register(database, definition)
    claim(database, definition, decision(ONE))
    return fetch_one(database)


def end_a_run(database):
    enqueue(database, unique="u")
    return run_ends.record_end(database.keys, build_ended(fetch_one(database)), None)


def end_a_dead_run(database):
    enqueue(database)
    return run_ends.record_end(database.keys, build_ended(fetch_one(database), "failed", error="because"), None)


def retry_a_run(database):
    enqueue(database)
    over = build_ended(fetch_one(database), "failed", error="because")
    return run_ends.record_end(database.keys, over._replace(ending=NextAttempt(5000, 0)), None)


def end_runs_together(database):
    enqueue(database)
    return bulk_commit.commit_successes(database.keys, [build_ended(fetch_one(database))])


def end_occurrences_together(database):
    return bulk_commit.commit_successes(database.keys, [build_ended(claimed(database, PLAIN))])


def end_a_task(database):
    return run_ends.record_end(database.keys, build_ended(claimed(database, GRAPH)), GRAPH)


def end_the_last_task_while_others_wait(database):
    finish(database, build_ended(claimed(database, GRAPH)), GRAPH)
    claim(database, GRAPH, decision(TWO))
    return run_ends.record_end(database.keys, build_ended(fetch_one(database)), GRAPH)


def end_in_a_transaction(database):
    delivery = claimed(database, GRAPH)
    collected = Transaction(database.keys.own, lambda call: runs.enqueue_run(database.keys, *call))
    collected.write("SET", "text", "x")
    collected.enqueue((message("run_2", unique="u"),))
    collected.enqueue((message("run_3"), NOW + 1000))
    plain = run_ends.record_end(database.keys, build_ended(delivery), GRAPH)
    return commit_transaction(delivery, plain, collected.writes, collected.follow_ups)


def claim_an_instant(database):
    register(database, GRAPH)
    return occurrences.claim(database.keys, GRAPH, 1, decision(ONE), ONE * 1000)


def claim_instants_together(database):
    register(database, PLAIN)
    ready = bulk_claim.prepare_claim(database.keys, PLAIN, 1, decision(ONE))
    return bulk_claim.claim_occurrences(database.keys, [ready], ONE * 1000)


def fire_an_instant(database):
    register(database, GRAPH)
    return occurrences.fire(database.keys, GRAPH, 1, FireRequest(ONE, "asked", "backfill bf_1", ""), NOW)


def start_what_waits(database):
    delivery = claimed(database, GRAPH)
    claim(database, GRAPH, decision(TWO))
    finish(database, build_ended(delivery), GRAPH)
    finish(database, build_ended(fetch_one(database)), GRAPH)
    return occurrences.start_queued(database.keys, GRAPH, 1, TWO, TWO * 1000)


def register_a_job(database):
    return jobs.register(database.keys, jobs.JobRegistration(GRAPH, "f1", 0, T0, ONE, NOW))


def register_jobs_together(database):
    new = bulk_register.NewJob(GRAPH.id, encode_job(GRAPH), "f1", ONE, NOW + 600_000)
    return bulk_register.register_new(database.keys, [new], NOW, "alice", "")


def register_a_version(database):
    register(database, PLAIN)
    return jobs.register(database.keys, jobs.JobRegistration(GRAPH, "f2", 1, T0, ONE, NOW, retire=True))


def remove_a_job(database):
    register(database, GRAPH)
    return jobs.remove(database.keys, jobs.find_job(database, GRAPH.name), NOW, "ada")


def pause_a_job(database):
    register(database, GRAPH)
    return jobs.pause(database.keys, GRAPH.id, "because", 0, NOW)


def resume_a_job(database):
    database.call(pause_a_job(database))
    return jobs.resume(database.keys, GRAPH.id, NOW)


STORIES = [
    end_a_run, end_a_dead_run, retry_a_run, end_runs_together, end_occurrences_together, end_a_task,
    end_the_last_task_while_others_wait, end_in_a_transaction, claim_an_instant, claim_instants_together, fire_an_instant,
    start_what_waits,     register_a_job, register_jobs_together, register_a_version, remove_a_job, pause_a_job, resume_a_job,
]  # fmt: skip


def to_text(key):
    return key.decode() if isinstance(key, bytes) else key


def everything(database):
    """All keys as they are; of what is in flight in a stream its worker, not since when."""
    streams = {key: value for key, value in records(database).items() if isinstance(value, Stream)}
    others = [key for key in database.client.keys("*") if database.client.type(key) != b"stream"]
    return {key: database.client.dump(key) for key in others} | streams


@pytest.mark.parametrize("story", STORIES)
def test_a_key_of_the_wrong_type_leaves_nothing_half_written(database, story):
    met = set()
    for position, key in enumerate(map(to_text, story(database).keys)):
        # Given that one of the keys of a call has the wrong type
        if not (expected := database.keys.expected_type(key)):
            continue
        database.client.flushdb()
        call = story(database)._replace(extensions=())
        assert to_text(call.keys[position]) == key
        database.client.delete(key)
        database.client.rpush(key, "x") if expected == "string" else database.client.set(key, "x")
        before = everything(database)

        # When it is sent, and the script meets that key
        try:
            database.call(call)
        except ServerRefused:
            met.add(key)

            # Then it has written nothing, and the same call does all of it when the key is out of the way
            assert everything(database) == before, key
            database.client.delete(key)
            database.call(call)
    assert met, story
