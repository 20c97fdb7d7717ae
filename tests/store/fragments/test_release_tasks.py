from tests.support.fragments import execute
from tests.support.shard_state import Stream, records

CALL = """
local next_keys, next_args = read_from(KEYS, 3), read_from(ARGV, 2)
release_tasks(2, next_keys, next_args, 'occ', 7000, KEYS[1], {delayed})
"""
BORN = {"state": "pending", "handler": "greet", "place": "mail:9", "enqueued_at": "7000", "occurrence": "occ"}


def release(database, waits, delayed="nil"):
    keys = database.keys
    pairs = [key for run in ("a", "b") for key in (keys.run(run), keys.stream("mail:9"))]
    args = [
        arg for run, count in zip("ab", waits, strict=True) for arg in (run, "greet", "mail:9", f"for {run}", count)
    ]
    fragments = "read_from enqueue_entry release_tasks"
    execute(database, fragments, CALL.format(delayed=delayed), [keys.streams, keys.delayed, *pairs], ["", *args])


def test_a_task_without_predecessors_is_on_its_stream_and_the_others_wait(database):
    release(database, (0, 1))
    state = records(database)
    entry = state["run:a"]["entry"]
    assert state == {
        "run:a": {**BORN, "entry": entry},
        "run:b": {**BORN, "waits": "1", "message": "for b"},
        "stream:mail:9": Stream({entry: {"m": "for a", "n": "0", "c": "0"}}, {}),
        "streams": {"mail:9"},
    }


def test_what_starts_later_is_delayed_and_what_waits_goes_on_waiting(database):
    release(database, (0, 2), "KEYS[2], '9000'")
    assert records(database) == {
        "run:a": {**BORN, "state": "scheduled", "due_at": "9000", "message": "for a", "attempt": "0", "crashes": "0"},
        "run:b": {**BORN, "waits": "2", "message": "for b"},
        "delayed": {"mail:9:a": 9_000},
    }


def test_a_start_at_once_is_no_delay(database):
    release(database, (0, 0), "KEYS[2], '0'")
    state = records(database)
    assert list(state["stream:mail:9"].entries) == [state["run:a"]["entry"], state["run:b"]["entry"]]
    assert "delayed" not in state
