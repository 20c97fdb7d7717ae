import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import Overlap
from jobistemer.core.planning.plan import Decision
from jobistemer.core.states import OccurrenceState
from jobistemer.store.calls import bulk_claim, jobs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import (
    MINUTE,
    T0,
    build_ended,
    claim,
    decision,
    fetch,
    fetch_one,
    finish,
    job,
    register,
    task,
)
from tests.support.shard_state import find_leaks, nothing_written, records

ONE, TWO = T0 + MINUTE, T0 + 2 * MINUTE


def firing(database, definition, decided, version=1):
    return bulk_claim.prepare_claim(database.keys, definition, version, decided)


def fire(database, definition, decided, version=1):
    """Claim one instant by the script for many."""
    ready = firing(database, definition, decided, version)
    return database.call(bulk_claim.claim_occurrences(database.keys, [ready], decided.instant * 1000))


def without_entries(state):
    """The records but for the ids of entries, which are times."""
    runs = {
        key: {name: text for name, text in fields.items() if name != "entry"}
        for key, fields in state.items()
        if key.startswith("run:")
    }
    streams = {key: list(found.entries.values()) for key, found in state.items() if key.startswith("stream:")}
    return state | runs | streams


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE, Overlap.ALLOW])
def test_an_instant_is_recorded_exactly_as_the_script_for_one_would(database, overlap):
    definition = job(task("only", queue="etl"), overlap=overlap)
    register(database, definition)
    assert claim(database, definition, decision(ONE)) == Reply("CLAIMED", [b"pending"])
    one_by_one = records(database)
    database.client.flushdb()

    register(database, definition)
    assert fire(database, definition, decision(ONE)) == Reply("CLAIMED", [[], []])
    assert without_entries(records(database)) == without_entries(one_by_one)
    delivery = fetch_one(database, where="etl:5")
    assert delivery.message.run == ids.run_id(ids.occurrence_id(definition.id, ONE), ids.task_id(definition.id, "only"))
    finish(database, build_ended(delivery), definition)
    assert find_leaks(database) == {}


def test_a_hundred_jobs_fire_in_one_call_and_their_due_marks_move(database):
    definitions = [job(name=f"job-{number}") for number in range(100)]
    for each in definitions:
        register(database, each)
    ready = [firing(database, each, decision(ONE)) for each in definitions]
    reply = database.call(bulk_claim.claim_occurrences(database.keys, ready, ONE * 1000))
    assert reply == Reply("CLAIMED", [[], []])
    assert records(database)["due"] == {each.id: TWO * 1000 for each in definitions}
    assert len(fetch(database, count=200)) == 100


def test_a_second_send_finds_every_instant_taken_and_writes_nothing(database):
    register(database, job())
    fire(database, job(), decision(ONE))
    with nothing_written(database):
        assert fire(database, job(), decision(ONE)) == Reply("CLAIMED", [[1], []])


def test_of_an_instant_claimed_by_either_script_the_other_finds_nothing_left(database):
    register(database, job(overlap=Overlap.ALLOW))
    claim(database, job(overlap=Overlap.ALLOW), decision(ONE))
    fire(database, job(overlap=Overlap.ALLOW), decision(TWO))
    with nothing_written(database):
        assert fire(database, job(overlap=Overlap.ALLOW), decision(ONE)) == Reply("CLAIMED", [[1], []])
        assert claim(database, job(overlap=Overlap.ALLOW), decision(TWO)) == Reply("TAKEN", [])


def test_what_is_not_plain_is_left_alone_and_the_others_fire(database):
    register(database, job(name="plain"))
    register(database, job(name="paused"))
    database.call(jobs.pause(database.keys, job(name="paused").id, "maintenance", 0, NOW))
    ready = [firing(database, job(name=name), decision(ONE)) for name in ("gone", "paused", "plain")]
    reply = database.call(bulk_claim.claim_occurrences(database.keys, ready, ONE * 1000))
    assert reply == Reply("CLAIMED", [[], [1, 2]])
    state = records(database)
    assert [state[f"job:{job(name=name).id}"]["cursor"] for name in ("paused", "plain")] == [str(T0), str(ONE)]
    assert len(fetch(database)) == 1


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE])
def test_a_job_that_is_busy_is_left_to_the_script_that_knows_about_overlaps(database, overlap):
    register(database, job(overlap=overlap))
    fire(database, job(overlap=overlap), decision(ONE))
    with nothing_written(database):
        assert fire(database, job(overlap=overlap), decision(TWO)) == Reply("CLAIMED", [[], [1]])


@pytest.mark.parametrize("version", [0, 2])
def test_a_decision_from_another_version_is_left(database, version):
    register(database, job())
    with nothing_written(database):
        assert fire(database, job(), decision(ONE), version) == Reply("CLAIMED", [[], [1]])


def test_an_instant_behind_undecided_ones_is_left(database):
    register(database, job())
    with nothing_written(database):
        assert fire(database, job(), decision(TWO)) == Reply("CLAIMED", [[], [1]])


def test_an_instant_that_was_triggered_by_hand_before_is_left(database):
    register(database, job(overlap=Overlap.ALLOW))
    fire(database, job(overlap=Overlap.ALLOW), decision(ONE))
    database.client.hset(database.keys.job(job().id), "cursor", T0)
    with nothing_written(database):
        assert fire(database, job(overlap=Overlap.ALLOW), decision(ONE)) == Reply("CLAIMED", [[], [1]])


@pytest.mark.parametrize(
    "definition",
    [
        job(task("a"), task("b", "a")),
        job(occurrence_timeout_s=60.0),
        job(overlap=Overlap.REPLACE),
    ],
    ids=["two tasks", "a deadline", "replaces"],
)
def test_a_job_whose_case_is_not_plain_is_not_made_ready(database, definition):
    assert firing(database, definition, decision(ONE)) is None


def test_an_instant_that_does_not_fire_is_not_made_ready(database):
    missed = Decision(ONE, T0, TWO * 1000, OccurrenceState.MISSED, "missed")
    assert firing(database, job(), missed) is None


def test_those_of_one_place_and_reason_go_together_fifty_at_a_time(database):
    places = ["default"] * 70 + ["etl"]
    ready = [
        firing(database, job(task("only", queue=queue), name=f"job-{at}"), decision(ONE))
        for at, queue in enumerate(places)
    ]
    bundles = [[owner for owner, _ in bundle] for bundle in bulk_claim.split_bundles(enumerate(ready))]
    assert sorted(bundles) == [[*range(50)], [*range(50, 70)], [70]]
