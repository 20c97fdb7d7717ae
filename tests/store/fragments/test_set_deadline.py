from tests.support.fragments import execute
from tests.support.shard_state import nothing_written, records


def set_deadline(database, deadline):
    keys = (database.keys.occurrence("occ"), database.keys.deadlines)
    execute(database, "set_deadline", "set_deadline(KEYS[1], KEYS[2], 'occ', ARGV[1])", keys, [deadline])


def test_the_record_and_the_deadlines_have_it(database):
    set_deadline(database, 7_000)
    assert records(database) == {"occurrence:occ": {"deadline": "7000"}, "deadlines": {"occ": 7_000}}


def test_without_a_deadline_nothing_is_written(database):
    with nothing_written(database):
        set_deadline(database, "")
