import pytest

from jobistemer.core import ids
from jobistemer.core.handlers.attempt_log import Progress, decode_progress, encode_progress
from jobistemer.store.calls import attempt_log, runs
from jobistemer.store.scripts import Reply
from tests.support.lifecycle import build_ended, enqueue, fetch_one, finish
from tests.support.shard_state import nothing_written, records, ttl_ms

FIRST = ids.attempt_id("run_1", 0)
LOG = f"log:{FIRST}"
HOUR = 3_600_000


def write(database, delivery, *lines, first=0, keep=1000, progress="", expiry_ms=HOUR):
    call = attempt_log.write_attempt_log(database.keys, delivery, lines, first, keep, progress, expiry_ms)
    return database.call(call)


def kept(database):
    return [line.decode() for line in database.client.lrange(database.keys.log(FIRST), 0, -1)]


def test_lines_and_progress_are_kept_with_the_attempt_before_it_is_shown_as_running(database):
    enqueue(database)
    delivery = fetch_one(database)
    assert write(database, delivery, "a", "b", progress="50 %") == Reply("NOTED", [])
    assert records(database)[f"attempt:{FIRST}"] == {"progress": "50 %", "lines": "2"}
    assert kept(database) == ["a", "b"]
    assert ttl_ms(database, LOG) == HOUR


def test_lines_that_come_later_are_put_behind(database):
    enqueue(database)
    delivery = fetch_one(database)
    write(database, delivery, "a", "b")
    write(database, delivery, "c", first=2)
    assert kept(database) == ["a", "b", "c"]
    assert records(database)[f"attempt:{FIRST}"]["lines"] == "3"


def test_a_second_send_is_recognised_by_the_number_of_its_first_line(database):
    enqueue(database)
    delivery = fetch_one(database)
    write(database, delivery, "a", "b", progress="p")
    with nothing_written(database):
        assert write(database, delivery, "a", "b", progress="p") == Reply("NOTED", [])
    assert write(database, delivery, "b", "c", first=1) == Reply("NOTED", [])
    assert kept(database) == ["a", "b", "c"]


def test_the_lines_of_an_attempt_that_was_interrupted_go_when_it_is_begun_anew_under_its_number(database):
    enqueue(database)
    delivery = fetch_one(database)
    write(database, delivery, "a", "b", "c")
    database.call(runs.interrupt_run(database.keys, delivery))
    write(database, fetch_one(database), "A")
    assert kept(database) == ["A"]
    assert records(database)[f"attempt:{FIRST}"] == {"lines": "1"}


def test_an_earlier_send_that_comes_behind_a_later_one_changes_nothing(database):
    # Given the last lines of a handler, which went with its outcome
    enqueue(database)
    delivery = fetch_one(database)
    write(database, delivery, "a", "b", "c", keep=3, progress="3 of 3", expiry_ms=HOUR)
    # When the sending thread, which read less before that, comes to its turn
    with nothing_written(database):
        assert write(database, delivery, "a", "b", keep=2, progress="2 of 3", expiry_ms=2 * HOUR) == Reply("NOTED", [])
    # Then no line is gone
    assert kept(database) == ["a", "b", "c"]


def test_an_older_progress_does_not_replace_a_newer_one_when_its_lines_are_no_fewer(database):
    enqueue(database)
    delivery = fetch_one(database)
    first, second, tenth = (encode_progress(Progress(n, 10, '"n":99}'), n) for n in (1, 2, 10))
    write(database, delivery, "a", "b", progress=first)
    write(database, delivery, first=2, progress=tenth)
    with nothing_written(database):
        assert write(database, delivery, "a", "b", progress=second) == Reply("NOTED", [])
        assert write(database, delivery, first=2, progress=second) == Reply("NOTED", [])
    stored = records(database)[f"attempt:{FIRST}"]["progress"]
    assert decode_progress(stored) == Progress(10, 10, '"n":99}')


def test_only_the_last_lines_are_kept_and_all_are_counted(database):
    enqueue(database)
    delivery = fetch_one(database)
    for first in range(0, 1000, 100):
        write(database, delivery, *(f"{n}" for n in range(first, first + 100)), first=first, keep=150)
    assert kept(database) == [f"{n}" for n in range(850, 1000)]
    assert records(database)[f"attempt:{FIRST}"]["lines"] == "1000"


def test_after_a_gap_the_lines_before_it_are_dropped(database):
    enqueue(database)
    delivery = fetch_one(database)
    write(database, delivery, "a", "b")
    write(database, delivery, "y", "z", first=5000)
    assert kept(database) == ["y", "z"]
    assert records(database)[f"attempt:{FIRST}"]["lines"] == "5002"


def test_no_lines_only_set_the_expiry_anew(database):
    enqueue(database)
    delivery = fetch_one(database)
    write(database, delivery, "a")
    write(database, delivery, first=1, expiry_ms=2 * HOUR)
    assert kept(database) == ["a"]
    assert ttl_ms(database, LOG) == 2 * HOUR


@pytest.mark.parametrize("state", ["succeeded", "failed", "lost"])
def test_an_attempt_that_has_ended_is_not_written_to(database, state):
    enqueue(database)
    delivery = fetch_one(database)
    finish(database, build_ended(delivery, state))
    with nothing_written(database):
        assert write(database, delivery, "late", progress="late") == Reply("STALE", [])


def test_nothing_is_written_for_a_run_that_is_gone(database):
    enqueue(database)
    delivery = fetch_one(database)
    database.client.delete(database.keys.run("run_1"))
    with nothing_written(database):
        assert write(database, delivery, "a") == Reply("STALE", [])


def test_the_notes_of_an_attempt_stay_when_its_outcome_is_recorded(database):
    enqueue(database)
    delivery = fetch_one(database)
    write(database, delivery, "a", progress="half")
    finish(database, build_ended(delivery))
    attempt = records(database)[f"attempt:{FIRST}"]
    assert (attempt["state"], attempt["progress"], attempt["lines"]) == ("succeeded", "half", "1")
    assert ttl_ms(database, f"attempt:{FIRST}") > 0
