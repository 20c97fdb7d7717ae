import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import FailureStrategy, Overlap
from jobistemer.core.jobs.retries import NO_RETRIES, Delays
from jobistemer.core.planning.plan import build_runs
from jobistemer.core.runs.message import Delivery
from jobistemer.core.schedules import Cron
from jobistemer.store.calls import run_ends
from jobistemer.store.scripts import Reply
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
from tests.support.shard_state import Stream, find_leaks, nothing_written, records, ttl_ms
from tests.support.wakeups import collect_wakeups

ID = job().id
ONE, TWO = T0 + MINUTE, T0 + 2 * MINUTE
OCCURRENCE = ids.occurrence_id(ID, ONE)
CHAIN = job(task("a", retry=NO_RETRIES), task("b", "a"), task("c", "b"))
DIAMOND = (task("a", retry=NO_RETRIES), task("b", "a", retry=NO_RETRIES), task("c", "a"), task("d", "b", "c"))


def run(name, occurrence=OCCURRENCE):
    return ids.run_id(occurrence, ids.task_id(ID, name))


def fired(database, definition):
    register(database, definition)
    claim(database, definition, decision(ONE))


def states(database, definition):
    found = records(database)
    return {each.name: found[f"run:{run(each.name)}"]["state"] for each in definition.tasks}


def occurrence_state(database):
    return records(database)[f"occurrence:{OCCURRENCE}"]["state"]


def test_the_only_task_ends_its_occurrence_and_everything_gets_its_expiry(database):
    fired(database, job())
    before, delivery = records(database), fetch_one(database)
    assert finish(database, build_ended(delivery, result=b'"ok"'), job()) == Reply("DONE", [0])

    key, attempt = f"run:{run('only')}", ids.attempt_id(run("only"), 0)
    over = build_ended(delivery)
    expected = before | {
        key: before[key] | {"state": "succeeded", "ended_at": str(over.ended_at), "result": '"ok"'},
        f"attempt:{attempt}": {
            "state": "succeeded",
            "number": "0",
            "worker": "alice",
            "started_at": str(over.started_at),
            "ended_at": str(over.ended_at),
        },
        f"occurrence:{OCCURRENCE}": before[f"occurrence:{OCCURRENCE}"]
        | {"state": "completed", "open": "0", "ended_at": str(over.ended_at)},
        "stream:default:5": Stream({}, {}),
    }
    del expected[f"live:{ID}"]
    assert records(database) == expected
    week = 7 * 86_400_000
    assert {ttl_ms(database, each) for each in (key, f"attempt:{attempt}", f"occurrence:{OCCURRENCE}")} == {week}
    assert find_leaks(database) == {}


def test_a_success_releases_the_task_that_waited_for_it_alone(database):
    fired(database, CHAIN)
    before, delivery = records(database), fetch_one(database)
    assert finish(database, build_ended(delivery), CHAIN) == Reply("DONE", [2])

    after, b = records(database), run("b")
    message = before[f"run:{b}"]["message"]
    entry = after[f"run:{b}"]["entry"]
    assert after["stream:default:5"] == Stream({entry: {"m": message, "n": "0", "c": "0"}}, {})
    assert after[f"run:{b}"] == {
        field: value for field, value in before[f"run:{b}"].items() if field not in ("message", "waits")
    } | {"entry": entry}
    assert after[f"run:{run('c')}"] == before[f"run:{run('c')}"]
    assert after[f"occurrence:{OCCURRENCE}"] == before[f"occurrence:{OCCURRENCE}"] | {"open": "2"}
    assert after[f"live:{ID}"] == {OCCURRENCE: ONE}


def test_a_task_is_released_only_when_all_it_waits_for_have_succeeded(database):
    definition = job(*DIAMOND)
    fired(database, definition)
    finish(database, build_ended(fetch_one(database)), definition)
    b, c = fetch(database)
    finish(database, build_ended(b), definition)
    assert fetch(database) == []
    finish(database, build_ended(c), definition)
    assert [each.message.task_ref.task for each in fetch(database)] == ["d"]


def test_a_released_task_opens_the_stream_of_its_own_queue(database):
    definition = job(task("a"), task("b", "a", queue="mail", priority=9))
    fired(database, definition)
    finish(database, build_ended(fetch_one(database)), definition)
    assert records(database)["streams"] == {"default:5", "mail:9"}
    assert fetch_one(database, where="mail:9").message.task_ref.task == "b"


def test_fail_fast_skips_all_that_waits_and_the_last_run_in_flight_ends_the_occurrence(database):
    definition = job(task("a", retry=NO_RETRIES), task("b"), task("c", "b"), task("d", "a"))
    fired(database, definition)
    a, b = fetch(database)
    b_run = records(database)[f"run:{run('b')}"]
    assert finish(database, build_ended(a, "failed", error="oops"), definition) == Reply("DONE", [1])
    assert states(database, definition) == {"a": "dead", "b": "pending", "c": "skipped", "d": "skipped"}
    assert records(database)[f"run:{run('b')}"] == b_run

    state = records(database)[f"occurrence:{OCCURRENCE}"]
    assert (state["state"], state["verdict"], state["error"], state["halt"]) == (
        *("pending", "failed", "task a dead: oops", "1"),
    )
    assert finish(database, build_ended(b), definition) == Reply("DONE", [0])
    assert occurrence_state(database) == "failed"
    assert find_leaks(database) == {}


def test_continue_skips_only_what_comes_after_the_failure(database):
    definition = job(*DIAMOND, task("e"), failure=FailureStrategy.CONTINUE)
    fired(database, definition)
    a, e = fetch(database)
    finish(database, build_ended(a), definition)
    b, c = fetch(database)
    assert finish(database, build_ended(b, "failed"), definition) == Reply("DONE", [2])
    assert states(database, definition) == {
        "a": "succeeded",
        "b": "dead",
        "c": "pending",
        "d": "skipped",
        "e": "pending",
    }
    finish(database, build_ended(c), definition)
    assert finish(database, build_ended(e), definition) == Reply("DONE", [0])
    assert occurrence_state(database) == "failed"
    assert "halt" not in records(database)[f"occurrence:{OCCURRENCE}"]
    assert find_leaks(database) == {}


def test_the_first_failure_gives_the_verdict(database):
    definition = job(task("a"), task("b", retry=NO_RETRIES), failure=FailureStrategy.CONTINUE)
    fired(database, definition)
    a, b = fetch(database)
    finish(database, build_ended(a, "canceled", error="asked for"), definition)
    finish(database, build_ended(b, "failed", error="oops"), definition)
    state = records(database)[f"occurrence:{OCCURRENCE}"]
    assert (state["state"], state["error"]) == ("canceled", "task a canceled: asked for")


def test_an_occurrence_whose_workers_died_is_stale(database):
    fired(database, job())
    for worker in ("alice", "bob", "carol"):
        finish(database, build_ended(fetch_one(database, worker), "lost", worker), job())
    assert occurrence_state(database) == "failed_stale"
    assert set(records(database)["dead"]) == {run("only")}
    assert find_leaks(database) == {}


def test_a_second_send_of_the_same_call_is_recognised_and_writes_nothing(database):
    fired(database, CHAIN)
    over = build_ended(fetch_one(database))
    finish(database, over, CHAIN)
    with nothing_written(database):
        assert finish(database, over, CHAIN) == Reply("DONE", [2])


def test_a_second_send_of_a_failure_counts_nothing_twice(database):
    fired(database, CHAIN)
    over = build_ended(fetch_one(database), "failed")
    finish(database, over, CHAIN)
    with nothing_written(database):
        assert finish(database, over, CHAIN) == Reply("DONE", [0])


@pytest.mark.parametrize("zombie_says", ["succeeded", "failed", "canceled"])
def test_a_zombie_releases_and_ends_nothing(database, zombie_says):
    fired(database, CHAIN)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, "lost", "bob"), CHAIN)
    with nothing_written(database):
        assert finish(database, build_ended(delivery, zombie_says), CHAIN) == Reply("STALE", [])
    finish(database, build_ended(fetch_one(database, "bob"), worker="bob"), CHAIN)
    with nothing_written(database):
        assert finish(database, build_ended(delivery, zombie_says), CHAIN) == Reply("STALE", [])


def waiting(database, definition, source):
    """A commit that cancels the first task where it waits: on its stream or in the delayed set."""
    _, message = next(build_runs(definition, 1, ONE, ONE * 1000))
    entry = records(database)[f"run:{message.run}"].get("entry", "")
    over = build_ended(
        Delivery(database.keys.stream(f"{message.queue}:{message.priority}").encode(), entry.encode(), message, 0, 0),
        "canceled",
        "somebody",
        source,
    )
    return database.call(run_ends.record_end(database.keys, over, definition))._replace(extensions=())


@pytest.mark.parametrize(("source", "jitter"), [("stream", 0), ("delayed", 30)])
def test_an_occurrence_is_cancelled_by_its_first_task_where_it_waits(database, source, jitter):
    definition = job(task("a"), task("b", "a"), schedule=Cron("* * * * *", jitter=jitter))
    fired(database, definition)
    assert waiting(database, definition, source) == Reply("DONE", [0])
    assert states(database, definition) == {"a": "canceled", "b": "skipped"}
    assert occurrence_state(database) == "canceled"
    assert find_leaks(database) == {}
    with nothing_written(database):
        assert waiting(database, definition, source) == Reply("DONE", [0])


def test_a_task_in_flight_is_not_cancelled_behind_its_workers_back(database):
    fired(database, CHAIN)
    fetch_one(database)
    with nothing_written(database):
        assert waiting(database, CHAIN, "stream") == Reply("STALE", [])


def test_the_end_of_an_occurrence_asks_for_the_next_in_the_queue_once(database, open_database):
    definition = job(task("a"), task("b"), overlap=Overlap.QUEUE)
    fired(database, definition)
    claim(database, definition, decision(TWO))
    with collect_wakeups(open_database()) as wakes:
        for delivery in fetch(database):
            finish(database, build_ended(delivery), definition)
    assert records(database)["starts"] == {ID}
    assert wakes == ["start"]


def test_a_retried_task_keeps_its_occurrence_open(database):
    definition = job(task("a", retry=Delays((0.0,))))
    fired(database, definition)
    finish(database, build_ended(fetch_one(database), "failed"), definition)
    assert occurrence_state(database) == "pending"
    assert finish(database, build_ended(fetch_one(database)), definition) == Reply("DONE", [0])
    assert occurrence_state(database) == "completed"


def test_the_failure_of_one_of_fifty_tasks_skips_the_other_forty_nine(database):
    definition = job(task("a", retry=NO_RETRIES), *(task(f"t{n}", "a") for n in range(49)))
    fired(database, definition)
    assert finish(database, build_ended(fetch_one(database), "failed"), definition) == Reply("DONE", [0])
    assert set(states(database, definition).values()) == {"dead", "skipped"}
    assert find_leaks(database) == {}


def test_the_success_of_one_of_fifty_tasks_releases_the_other_forty_nine(database):
    definition = job(task("a"), *(task(f"t{n}", "a") for n in range(49)))
    fired(database, definition)
    assert finish(database, build_ended(fetch_one(database)), definition) == Reply("DONE", [49])
    assert len(fetch(database, count=100)) == 49
