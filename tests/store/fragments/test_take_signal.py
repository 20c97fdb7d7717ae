import json

from tests.support.fragments import execute
from tests.support.shard_state import nothing_written

CALL = "take_signal(KEYS[1], ARGV[1] ~= '' and ARGV[1], ARGV[2])"
SIGNALS = '[{"id":"a","name":"paid","value":"[1]"},{"id":"b","name":"paid","value":"2"}]'


def take(database, signals, identity):
    execute(database, "take_signal", CALL, [database.keys.run("run_1")], [signals, identity])


def test_a_taken_signal_is_remembered_without_its_value(database):
    take(database, SIGNALS, "a")
    kept = json.loads(database.client.hget(database.keys.run("run_1"), "signals"))
    assert kept == [{"id": "a", "name": "paid", "taken": 1}, {"id": "b", "name": "paid", "value": "2"}]


def test_without_a_signal_to_take_nothing_is_written(database):
    with nothing_written(database):
        take(database, SIGNALS, "")
        take(database, "", "a")
