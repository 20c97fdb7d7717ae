import pytest

from jobistemer.core.unreadable import Unreadable
from jobistemer.store import quarantine
from jobistemer.store.actions.quarantine import put_aside
from jobistemer.store.quarantine import list_quarantined
from jobistemer.store.scripts import Reply
from tests.support.shard_state import nothing_written

NO_TEXT = b"\xff\xfe"


def move(database, found, record=""):
    return database.call(quarantine.quarantine_member(database.keys, found, record))


def odd(database, score=b"1"):
    database.client.zadd(database.keys.delayed, {NO_TEXT: float(score)})
    return Unreadable(database.keys.delayed, "it is no text", NO_TEXT, score)


@pytest.mark.parametrize("score", [b"1", b"-inf", b"inf", b"1785000000000.5"])
def test_a_member_of_a_sorted_set_is_moved_with_its_place_its_score_and_the_reason(database, score):
    assert move(database, odd(database, score)).word == "MOVED"
    assert not database.client.exists(database.keys.delayed)
    (found,) = list_quarantined(database)
    assert found[1:] == (database.keys.delayed, "it is no text", NO_TEXT, score, "")
    assert database.client.pttl(database.keys.quarantine) > 0


def test_a_member_of_a_set_is_moved(database):
    database.client.sadd(database.keys.starts, NO_TEXT, "job_1")
    assert move(database, Unreadable(database.keys.starts, "it is no text", NO_TEXT)).word == "MOVED"
    assert database.client.smembers(database.keys.starts) == {b"job_1"}


def test_a_second_send_of_the_same_call_changes_nothing(database):
    found = odd(database)
    move(database, found)
    assert move(database, found) == Reply("KEPT", [])
    assert len(list_quarantined(database)) == 1


def test_a_member_that_was_written_anew_since_is_kept(database):
    found = odd(database)
    database.client.zadd(database.keys.delayed, {NO_TEXT: 2})
    assert move(database, found) == Reply("KEPT", [])
    assert database.client.zcard(database.keys.delayed) == 1


def test_a_member_whose_record_exists_is_kept(database):
    database.client.hset(database.keys.job("job_1"), "version", 1)
    database.client.zadd(database.keys.due, {"job_1": 1})
    found = Unreadable(database.keys.due, "no such job", b"job_1", b"1")
    with nothing_written(database):
        assert move(database, found, database.keys.job("job_1")) == Reply("KEPT", [])


def test_nothing_is_written_where_nothing_is(database):
    with nothing_written(database):
        assert move(database, Unreadable(database.keys.due, "?", b"x", b"1")) == Reply("KEPT", [])
        assert move(database, Unreadable(database.keys.starts, "?", b"x")) == Reply("KEPT", [])


def test_the_quarantine_keeps_the_latest_thousand(database):
    for start in range(0, 1200, 100):
        members = [b"\xff%d" % number for number in range(start, start + 100)]
        database.client.sadd(database.keys.starts, *members)
        put_aside(database, [Unreadable(database.keys.starts, "it is no text", each) for each in members])
    found = list_quarantined(database, 2_000)
    assert len(found) == 1_000
    assert found[0].member == b"\xff1199"


def test_members_that_were_read_without_their_scores_are_moved_with_them(database):
    database.client.zadd(database.keys.holds, {NO_TEXT: 5})
    assert len(put_aside(database, [Unreadable(database.keys.holds, "it is no text", NO_TEXT)])) == 1
    assert float(list_quarantined(database)[0].score) == 5
