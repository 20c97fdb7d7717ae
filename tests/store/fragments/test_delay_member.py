from tests.support.fragments import execute
from tests.support.shard_state import records
from tests.support.wakeups import collect_wakeups


def delay(database, member, due_at):
    keys = (database.keys.delayed, database.keys.wake)
    execute(database, "delay_member", "delay_member(KEYS[1], KEYS[2], ARGV[1], ARGV[2])", keys, [member, due_at])


def test_a_run_is_delayed_until_it_is_due(database):
    delay(database, "mail:9:run_1", 7_000)
    assert records(database) == {"delayed": {"mail:9:run_1": 7_000}}


def test_tickers_are_woken_only_when_nothing_is_due_earlier(database, open_database):
    with collect_wakeups(open_database()) as wakeups:
        delay(database, "mail:9:run_1", 7_000)
        delay(database, "mail:9:run_2", 8_000)
        delay(database, "mail:9:run_3", 6_000)
    assert wakeups == ["run", "run"]
