import pytest

from jobistemer.core import ids
from jobistemer.core.errors import ServerRefused
from jobistemer.core.jobs.job import Overlap, Task
from jobistemer.store.calls import bulk_commit
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch, finish, job, register, task
from tests.support.shard_state import Stream, find_leaks, nothing_written, records, ttl_ms
from tests.support.wakeups import collect_wakeups

ID = job().id
WEEK = 7 * 86_400_000
INSTANTS = [T0 + number * MINUTE for number in range(1, 4)]
OCCURRENCES = [ids.occurrence_id(ID, instant) for instant in INSTANTS]
RUNS = [ids.run_id(occurrence, ids.task_id(ID, "only")) for occurrence in OCCURRENCES]
ALLOWED = job(overlap=Overlap.ALLOW)


def fired(database, definition=ALLOWED, times=1):
    """The entries of a job's first occurrences, fetched by alice."""
    register(database, definition)
    for instant in INSTANTS[:times]:
        claim(database, definition, decision(instant))
    return fetch(database)


def finish_all(database, *all_ended):
    return database.call(bulk_commit.commit_successes(database.keys, all_ended))


def without_entries(database):
    found = records(database)
    for run in RUNS:
        if f"run:{run}" in found:
            found[f"run:{run}"].pop("entry", None)
    return found


def test_each_occurrence_ends_exactly_as_the_script_for_one_would_end_it(database):
    (delivery,) = fired(database)
    assert finish(database, build_ended(delivery, result=b"42"), ALLOWED) == Reply("DONE", [0])
    one_by_one = without_entries(database)
    database.client.flushdb()

    (delivery,) = fired(database)
    assert finish_all(database, build_ended(delivery, result=b"42")) == Reply("DONE", [])
    assert without_entries(database) == one_by_one
    touched = [f"run:{RUNS[0]}", f"attempt:{ids.attempt_id(RUNS[0], 0)}", f"occurrence:{OCCURRENCES[0]}"]
    assert {ttl_ms(database, key) for key in touched} == {WEEK}
    assert find_leaks(database) == {}


def test_several_occurrences_of_a_job_end_in_one_call(database):
    assert finish_all(database, *map(build_ended, fired(database, times=3))) == Reply("DONE", [])
    state = records(database)
    assert {state[f"occurrence:{each}"]["state"] for each in OCCURRENCES} == {"completed"}
    assert state["stream:default:5"] == Stream({}, {})
    assert f"live:{ID}" not in state


def test_what_comes_after_the_first_hundred_is_left_alone(database):
    deliveries = fired(database, times=2)
    finish_all(database, *map(build_ended, [deliveries[0]] * 100), build_ended(deliveries[1]))
    state = records(database)
    assert [state[f"occurrence:{each}"]["state"] for each in OCCURRENCES[:2]] == ["completed", "pending"]


def test_a_second_send_is_recognised_and_changes_nothing(database):
    over = [build_ended(delivery) for delivery in fired(database, times=2)]
    finish_all(database, *over)
    with nothing_written(database):
        assert finish_all(database, *over) == Reply("DONE", [])


def test_a_zombie_changes_nothing_and_its_neighbours_are_recorded(database):
    deliveries = fired(database, times=3)
    finish(database, build_ended(deliveries[1], "lost", error="its worker alice died"))
    before = records(database)

    assert finish_all(database, *map(build_ended, deliveries)) == Reply("DONE", [2])
    after = records(database)
    for untouched in (f"run:{RUNS[1]}", f"attempt:{ids.attempt_id(RUNS[1], 0)}", f"occurrence:{OCCURRENCES[1]}"):
        assert after[untouched] == before[untouched]
    assert [after[f"occurrence:{each}"]["state"] for each in OCCURRENCES] == ["completed", "pending", "completed"]


def test_the_same_attempt_ended_by_another_worker_is_stale(database):
    (delivery,) = fired(database)
    finish_all(database, build_ended(delivery, worker="alice"))
    with nothing_written(database):
        assert finish_all(database, build_ended(delivery, worker="bob")) == Reply("DONE", [1])


def test_nothing_is_written_when_the_keys_are_missing(database):
    (delivery,) = fired(database)
    database.client.flushdb()
    with nothing_written(database):
        assert finish_all(database, build_ended(delivery)) == Reply("DONE", [1])


def test_the_next_occurrence_in_the_queue_is_asked_to_start_once(database):
    definition = job(overlap=Overlap.QUEUE)
    (delivery,) = fired(database, definition, times=2)
    with collect_wakeups(database) as woken:
        finish_all(database, build_ended(delivery))
    assert woken == ["start"]
    assert records(database)["starts"] == {ID}


def test_an_occurrence_that_was_told_its_verdict_keeps_it(database):
    (delivery,) = fired(database)
    database.client.hset(database.keys.occurrence(OCCURRENCES[0]), "verdict", "canceled")
    finish_all(database, build_ended(delivery))
    assert records(database)[f"occurrence:{OCCURRENCES[0]}"]["state"] == "canceled"


def test_an_occurrence_with_a_deadline_has_it_no_more(database):
    definition = job(overlap=Overlap.ALLOW, occurrence_timeout_s=60.0)
    (delivery,) = fired(database, definition)
    assert "deadlines" in records(database)
    finish_all(database, build_ended(delivery))
    assert "deadlines" not in records(database)


@pytest.mark.parametrize(
    ("definition", "plain"),
    [
        (job(), True),
        (job(task("only"), task("other")), False),
        (job(on_complete=Task("told", handler="report.told")), False),
        (job(pause_on_failure=2), False),
        (job(expect_within_s=60.0, alert="http://127.0.0.1/"), False),
        (job(overlap=Overlap.QUEUE), True),
    ],
)
def test_only_a_task_that_is_alone_ends_with_others(database, definition, plain):
    delivery = fired(database, definition)[0]
    assert (bulk_commit.bundle_key(build_ended(delivery)) is not None) is plain


def test_a_failure_of_it_does_not(database):
    (delivery,) = fired(database)
    assert bulk_commit.bundle_key(build_ended(delivery, "failed")) is None


@pytest.mark.parametrize("kind", ["run", "occurrence"])
def test_a_record_of_the_wrong_type_leaves_its_run_in_flight_and_the_others_end(database, kind):
    over = [build_ended(each) for each in fired(database, times=3)]
    broken = database.keys.run(RUNS[1]) if kind == "run" else database.keys.occurrence(OCCURRENCES[1])
    kept = database.client.hgetall(broken)
    database.client.delete(broken)
    database.client.set(broken, "broken")
    with pytest.raises(ServerRefused, match="WRONGTYPE"):
        finish_all(database, *over)
    entry = over[1].delivery.entry.decode()
    state = records(database)
    assert (list(state["stream:default:5"].entries), state["stream:default:5"].pending) == ([entry], {entry: "alice"})
    assert [state[f"occurrence:{OCCURRENCES[at]}"]["state"] for at in (0, 2)] == ["completed"] * 2
    assert list(state[f"live:{ID}"]) == [OCCURRENCES[1]]
    assert f"attempt:{ids.attempt_id(RUNS[1], 0)}" not in state

    # When the record is as it was, the same call ends it
    database.client.delete(broken)
    database.client.hset(broken, mapping=kept)
    assert finish_all(database, *over) == Reply("DONE", [])
    assert records(database)[f"occurrence:{OCCURRENCES[1]}"]["state"] == "completed"
    assert find_leaks(database) == {}


def test_a_live_set_of_the_wrong_type_does_not_hold_up_the_end(database):
    (delivery,) = fired(database)
    database.client.delete(database.keys.live(ID))
    database.client.set(database.keys.live(ID), "broken")
    assert finish_all(database, build_ended(delivery)) == Reply("DONE", [])
    assert records(database)[f"occurrence:{OCCURRENCES[0]}"]["state"] == "completed"
