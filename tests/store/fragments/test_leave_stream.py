from tests.support.fragments import execute
from tests.support.lifecycle import enqueue, fetch
from tests.support.shard_state import ended, outcomes, records

USES = "list_ended add_outcomes leave_stream"
CALL = "leave_stream(KEYS[1], {ARGV[1]}, {ARGV[2]}, 'alice', KEYS[2], {KEYS[4]}, KEYS[3], 'default', {'greet'}) return 'LEFT'"
NOTHING = "leave_stream(KEYS[1], {}, {}, 'alice', KEYS[2], {}, KEYS[3], 'default', {}) return 'LEFT'"


def keys_of(database, stream):
    keys = database.keys
    return [stream, keys.succeeded, f"{keys.outcomes_prefix}1", keys.run("run_1")]


def test_what_is_written_leaves_and_is_listed_and_what_is_not_is_in_flight_again(database):
    enqueue(database, "run_1")
    enqueue(database, "run_2")
    one, two = fetch(database, "alice", count=2)
    database.ask("XACK", one.stream, "workers", one.entry, two.entry)
    execute(database, USES, CALL, keys_of(database, one.stream), [one.entry, two.entry])
    stream = records(database)["stream:default:5"]
    assert list(stream.entries) == [two.entry.decode()]
    assert stream.pending == {two.entry.decode(): "alice"}
    assert ended(database)["succeeded"] == ["run_1"]
    assert outcomes(database) == {"succeeded default greet": 1}


def test_where_nothing_was_written_nothing_is_listed(database):
    enqueue(database)
    (delivery,) = fetch(database, "alice")
    before = records(database)
    execute(database, USES, NOTHING, keys_of(database, delivery.stream))
    assert records(database) == before
    assert (ended(database), outcomes(database)) == ({}, {})
