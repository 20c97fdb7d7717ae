import msgspec

from jobistemer.core.planning.backfill import Backfill, BackfillProgress, BackfillStatus
from jobistemer.store.actions import backfill
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import T0
from tests.support.shard_state import expiring_keys, find_leaks, nothing_written, records

ASKED = Backfill("bf_1", "report", T0 - 3600, T0, started_at=NOW)
FURTHER = BackfillProgress(position=T0 - 1800, in_flight=("occ_1",), fired=1)


def advance(database, known, progress):
    return database.call(backfill._advance(database.keys, known, progress, NOW + 100))


def started(database):
    database.call(backfill.start(database.keys, ASKED))
    return backfill.find_backfill(database, "bf_1")


def test_progress_is_noted_and_the_chore_comes_back(database):
    known = started(database)
    assert advance(database, known, FURTHER) == Reply("ADVANCED", [])
    assert backfill.find_backfill(database, "bf_1") == (ASKED, FURTHER, "1")
    assert records(database)["chores"] == {"backfill:bf_1": NOW + 100}


def test_a_second_send_and_a_slower_ticker_are_stale(database):
    known = started(database)
    advance(database, known, FURTHER)
    with nothing_written(database):
        assert advance(database, known, FURTHER) == Reply("STALE", [])
        assert advance(database, known, BackfillProgress()) == Reply("STALE", [])


def test_the_end_takes_the_chore_away_and_lets_the_record_expire(database):
    known = started(database)
    over = msgspec.structs.replace(FURTHER, status=BackfillStatus.COMPLETED, ended_at=NOW)
    assert advance(database, known, over) == Reply("ADVANCED", [])
    assert "chores" not in records(database)
    assert "backfill:bf_1" in expiring_keys(database)
    assert find_leaks(database) == {}


def test_what_has_ended_stays_so(database):
    known = started(database)
    advance(database, known, msgspec.structs.replace(FURTHER, status=BackfillStatus.CANCELED))
    with nothing_written(database):
        assert advance(database, known._replace(step="1"), FURTHER) == Reply("STALE", [])
        assert advance(database, known, FURTHER) == Reply("STALE", [])


def test_a_record_that_is_gone_is_stale(database):
    known = started(database)
    database.client.flushall()
    with nothing_written(database):
        assert advance(database, known, FURTHER) == Reply("STALE", [])
