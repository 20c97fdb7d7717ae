from tests.support.fragments import execute
from tests.support.shard_state import Stream, records

CALL = "return enqueue_entry(KEYS[1], KEYS[2], 'mail:9', ARGV[1], 2, 1)"


def enqueue(database, message):
    keys = (database.keys.stream("mail:9"), database.keys.streams)
    return execute(database, "enqueue_entry", CALL, keys, [message]).decode()


def test_the_first_entry_creates_the_stream_with_its_group_and_makes_it_known(database):
    entry = enqueue(database, "hello")
    assert records(database) == {
        "stream:mail:9": Stream({entry: {"m": "hello", "n": "2", "c": "1"}}, {}),
        "streams": {"mail:9"},
    }
    assert [group["name"] for group in database.client.xinfo_groups(database.keys.stream("mail:9"))] == [b"workers"]


def test_a_later_entry_joins_the_stream(database):
    entries = [enqueue(database, "one"), enqueue(database, "two")]
    assert list(records(database)["stream:mail:9"].entries) == entries


def test_an_entry_is_read_by_the_group_also_when_it_created_the_stream(database):
    entry = enqueue(database, "hello")
    ((_, read),) = database.client.xreadgroup("workers", "w", {database.keys.stream("mail:9"): ">"})
    assert [each for each, _ in read] == [entry.encode()]
