from tests.support.fragments import execute
from tests.support.shard_state import expiring_keys, nothing_written, records

CALL = "move_steps(KEYS[1], KEYS[2], ARGV)"


def move(database, *names):
    execute(database, "move_steps", CALL, [database.keys.steps("run_1"), database.keys.steps("run_2")], names)


def test_the_records_go_to_the_new_run_without_those_that_are_done_again(database):
    database.client.hset(database.keys.steps("run_1"), mapping={"a": "1", "b": "2"})
    database.client.pexpire(database.keys.steps("run_1"), 60_000)
    move(database, "b")
    assert records(database) == {"steps:run_2": {"a": "1"}}
    assert expiring_keys(database) == set()


def test_where_nothing_is_left_nothing_goes(database):
    database.client.hset(database.keys.steps("run_1"), "a", "1")
    move(database, "a")
    assert records(database) == {}
    with nothing_written(database):
        move(database)
