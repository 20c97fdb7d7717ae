import pytest

from jobistemer.core import ids
from jobistemer.core.jobs.job import Overlap
from jobistemer.store.calls import occurrences
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import MINUTE, T0, build_ended, claim, decision, fetch, finish, job, register, task
from tests.support.shard_state import nothing_written, records

DEFINITION = job(task("a"), task("b", "a"), overlap=Overlap.QUEUE)
ID = DEFINITION.id
ONE, TWO, THREE = T0 + MINUTE, T0 + 2 * MINUTE, T0 + 3 * MINUTE
LATER = THREE * 1000


def occurrence(instant):
    return ids.occurrence_id(ID, instant)


def run(instant, name):
    return ids.run_id(occurrence(instant), ids.task_id(ID, name))


def start(database, instant=TWO):
    return database.call(occurrences.start_queued(database.keys, DEFINITION, 1, instant, LATER))


def cancel(database, instant):
    call = occurrences.cancel_queued(database.keys, ID, occurrence(instant), LATER, "not needed", 60_000)
    return database.call(call)


def end_first(database):
    for _ in DEFINITION.tasks:
        (delivery,) = fetch(database)
        finish(database, build_ended(delivery), DEFINITION)


@pytest.fixture
def queue(database):
    """The first occurrence is live, two more wait."""
    register(database, DEFINITION)
    for instant in (ONE, TWO, THREE):
        claim(database, DEFINITION, decision(instant))
    return database


def test_the_next_in_the_queue_starts_when_the_earlier_one_has_ended(queue):
    end_first(queue)
    before = records(queue)
    assert before["starts"] == {ID}
    assert start(queue) == Reply("STARTED", [])

    after, a, b = records(queue), run(TWO, "a"), run(TWO, "b")
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert changed == {
        "starts",
        f"live:{ID}",
        f"queued:{ID}",
        f"occurrence:{occurrence(TWO)}",
        f"run:{a}",
        f"run:{b}",
        "stream:default:5",
    }
    assert "starts" not in after
    assert after[f"live:{ID}"] == {occurrence(TWO): TWO}
    assert after[f"queued:{ID}"] == {occurrence(THREE): THREE}
    assert after[f"occurrence:{occurrence(TWO)}"] == before[f"occurrence:{occurrence(TWO)}"] | {
        "state": "pending",
        "open": "2",
        "started_at": str(LATER),
    }
    assert list(after["stream:default:5"].entries) == [after[f"run:{a}"]["entry"]]
    assert (after[f"run:{b}"]["state"], after[f"run:{b}"]["waits"]) == ("pending", "1")


def test_a_second_send_of_the_same_call_writes_nothing(queue):
    end_first(queue)
    start(queue)
    with nothing_written(queue):
        assert start(queue) == Reply("TAKEN", [])


def test_while_an_earlier_one_is_live_nothing_starts(queue):
    before = records(queue)
    queue.client.sadd(queue.keys.starts, ID)
    assert start(queue) == Reply("BUSY", [])
    assert records(queue) == before


def test_a_head_that_was_cancelled_does_not_strand_what_waits_behind_it(queue):
    end_first(queue)
    cancel(queue, TWO)
    assert start(queue, TWO) == Reply("TAKEN", [])
    assert records(queue)["starts"] == {ID}
    assert start(queue, THREE) == Reply("STARTED", [])


def test_when_all_that_waited_was_cancelled_nobody_asks_any_more(queue):
    end_first(queue)
    cancel(queue, TWO)
    cancel(queue, THREE)
    with nothing_written(queue):
        assert start(queue, TWO) == Reply("TAKEN", [])
    assert "starts" not in records(queue)


def test_an_occurrence_without_a_record_leaves_the_queue(queue):
    end_first(queue)
    queue.client.delete(queue.keys.occurrence(occurrence(TWO)))
    assert start(queue, TWO) == Reply("TAKEN", [])
    assert records(queue)[f"queued:{ID}"] == {occurrence(THREE): THREE}
    assert start(queue, THREE) == Reply("STARTED", [])


def test_when_the_last_that_waited_has_no_record_nobody_asks_any_more(queue):
    end_first(queue)
    queue.client.delete(*(queue.keys.occurrence(occurrence(each)) for each in (TWO, THREE)))
    assert [start(queue, each).word for each in (TWO, THREE)] == ["TAKEN", "TAKEN"]
    assert {"starts", f"queued:{ID}"} & set(records(queue)) == set()


def test_a_stream_that_is_gone_is_born_again_with_its_group(queue):
    end_first(queue)
    queue.client.delete(queue.keys.stream("default:5"), queue.keys.streams)
    assert start(queue) == Reply("STARTED", [])
    assert records(queue)["streams"] == {"default:5"}
    assert len(fetch(queue)) == 1


def test_the_last_of_the_queue_leaves_nothing_to_start(queue):
    for instant in (TWO, THREE):
        end_first(queue)
        start(queue, instant)
    end_first(queue)
    state = records(queue)
    assert {f"live:{ID}", f"queued:{ID}", "starts"} & set(state) == set()
    assert [state[f"occurrence:{occurrence(each)}"]["state"] for each in (ONE, TWO, THREE)] == ["completed"] * 3
