from jobistemer.core.planning.backfill import Backfill, BackfillProgress
from jobistemer.store.actions import backfill
from jobistemer.store.calls.chores import list_backfills
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import T0
from tests.support.shard_state import nothing_written, records
from tests.support.wakeups import collect_wakeups

ASKED = Backfill("bf_1", "report", T0 - 3600, T0, started_at=NOW)


def start(database):
    return database.call(backfill.start(database.keys, ASKED))


def test_a_backfill_is_on_record_and_a_chore(database):
    assert start(database) == Reply("STARTED", [])
    assert set(records(database)) == {"backfill:bf_1", "chores"}
    assert records(database)["chores"] == {"backfill:bf_1": NOW}
    assert backfill.find_backfill(database, "bf_1") == (ASKED, BackfillProgress(), "0")
    assert list_backfills(database) == ["bf_1"]


def test_a_second_send_is_told_so(database):
    start(database)
    with nothing_written(database):
        assert start(database) == Reply("EXISTS", [])


def test_tickers_are_woken(database, open_database):
    with collect_wakeups(open_database()) as wakes:
        start(database)
    assert wakes == ["job"]
