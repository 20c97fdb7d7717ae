from jobistemer.core.jobs.job import encode_job
from jobistemer.store.calls import jobs
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.lifecycle import MINUTE, T0, job, postpone, register
from tests.support.shard_state import find_leaks, nothing_written, records
from tests.support.wakeups import collect_wakeups

NAME = f"job:{job().id}"
CHANGED = job(max_queued=7)
LATER = NOW + 3_600_000


def test_a_version_that_is_put_off_waits_beside_the_current_one(database):
    register(database, job())
    before = records(database)
    assert postpone(database, CHANGED, "f2", LATER, by="ana", owner="shop:app") == Reply("POSTPONED", [1])
    assert records(database) == before | {
        NAME: before[NAME]
        | {
            "pending": encode_job(CHANGED).decode(),
            "pending_mark": "f2",
            "pending_at": str(LATER),
            "pending_owner": "shop:app",
            "pending_by": "ana",
        },
        "chores": {f"update:{job().id}": LATER},
    }
    assert find_leaks(database) == {}


def test_a_second_send_changes_nothing_unless_it_says_a_later_time(database):
    register(database, job())
    postpone(database, CHANGED, "f2", LATER)
    before = records(database)
    with nothing_written(database):
        assert postpone(database, CHANGED, "f2", LATER - 60_000) == Reply("POSTPONED", [1])
    later = LATER + 60_000
    assert postpone(database, CHANGED, "f2", later, seen=7, by="bob") == Reply("POSTPONED", [1])
    moved = {NAME: before[NAME] | {"pending_at": str(later)}, "chores": {f"update:{job().id}": later}}
    assert records(database) == before | moved


def test_who_has_not_seen_what_is_registered_or_pending_is_stale(database):
    register(database, job())
    with nothing_written(database):
        assert postpone(database, CHANGED, "f2", LATER, seen=0) == Reply("STALE", [1])
    postpone(database, CHANGED, "f2", LATER)
    with nothing_written(database):
        assert postpone(database, job(max_queued=8), "f3", LATER) == Reply("STALE", [1])
    assert postpone(database, job(max_queued=8), "f3", LATER, pending="f2") == Reply("POSTPONED", [1])


def test_of_a_job_that_is_gone_nothing_can_be_put_off(database):
    with nothing_written(database):
        assert postpone(database, CHANGED, "f2", LATER) == Reply("STALE", [0])
        drop = jobs.drop_pending(database.keys, job().id, 1, "f2")
        assert database.call(drop) == Reply("STALE", [0])


def test_what_is_pending_can_be_taken_back_by_who_has_seen_it(database):
    register(database, job())
    before = records(database)
    postpone(database, CHANGED, "f2", LATER)
    with nothing_written(database):
        assert database.call(jobs.drop_pending(database.keys, job().id, 1, "")) == Reply("STALE", [1])
    assert database.call(jobs.drop_pending(database.keys, job().id, 1, "f2")) == Reply("DROPPED", [1])
    assert records(database) == before | {NAME: before[NAME] | {"passed": "f2 "}}


def test_the_last_twenty_that_another_took_the_place_of_are_remembered(database):
    register(database, job())
    marks = [f"{n:016x}" for n in range(25)]
    for before, mark in zip(["", *marks], marks, strict=False):
        postpone(database, CHANGED, mark, LATER, pending=before)
    assert jobs.find_job(database, "report").passed == frozenset(marks[4:24])


def test_a_job_that_is_removed_leaves_no_chore(database):
    register(database, job())
    postpone(database, CHANGED, "f2", LATER)
    database.call(jobs.remove(database.keys, jobs.find_job(database, "report"), NOW))
    assert "chores" not in records(database)


def test_tickers_are_woken(database, open_database):
    register(database, job(), cursor=T0 + MINUTE)
    with collect_wakeups(open_database()) as wakes:
        postpone(database, CHANGED, "f2", LATER)
    assert wakes == ["job"]
