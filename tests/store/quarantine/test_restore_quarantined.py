from jobistemer.core.unreadable import Unreadable
from jobistemer.store import quarantine
from jobistemer.store.actions.quarantine import put_aside, put_keys_aside
from jobistemer.store.quarantine import list_quarantined
from jobistemer.store.scripts import Reply
from tests.support.shard_state import nothing_written


def restore(database, found):
    return database.call(quarantine.restore(database.keys, found))


def quarantined_member(database):
    database.client.zadd(database.keys.delayed, {b"\xff": 7})
    put_aside(database, [Unreadable(database.keys.delayed, "it is no text", b"\xff", b"7")])
    return list_quarantined(database)[0]


def quarantined_key(database):
    database.client.set(database.keys.due, "x")
    put_keys_aside(database, [database.keys.due])
    return list_quarantined(database)[0]


def test_a_member_of_a_sorted_set_comes_back_with_its_score(database):
    assert restore(database, quarantined_member(database)) == Reply("RESTORED", [])
    assert database.client.zrange(database.keys.delayed, 0, -1, withscores=True) == [(b"\xff", 7.0)]
    assert list_quarantined(database) == []


def test_a_member_of_a_set_comes_back(database):
    database.client.sadd(database.keys.starts, b"\xff")
    put_aside(database, [Unreadable(database.keys.starts, "it is no text", b"\xff")])
    assert restore(database, list_quarantined(database)[0]) == Reply("RESTORED", [])
    assert database.client.smembers(database.keys.starts) == {b"\xff"}


def test_a_whole_key_comes_back_without_an_expiry(database):
    assert restore(database, quarantined_key(database)) == Reply("RESTORED", [])
    assert (database.client.get(database.keys.due), database.client.pttl(database.keys.due)) == (b"x", -1)


def test_a_second_send_of_the_same_call_finds_that_it_is_back(database):
    for found in (quarantined_member(database), quarantined_key(database)):
        call = quarantine.restore(database.keys, found)
        assert database.call(call) == Reply("RESTORED", [])
        with nothing_written(database):
            assert database.call(call) == Reply("RESTORED", [])


def test_another_call_after_it_finds_nothing(database):
    for found in (quarantined_member(database), quarantined_key(database)):
        restore(database, found)
        with nothing_written(database):
            assert restore(database, found) == Reply("GONE", [])


def test_the_mark_of_a_call_expires(database):
    call = quarantine.restore(database.keys, quarantined_member(database))
    database.call(call)
    assert 0 < database.client.pttl(call.keys[3]) <= 600_000


def test_a_place_that_holds_something_else_by_now_is_not_overwritten(database):
    member, key = quarantined_member(database), quarantined_key(database)
    database.client.zadd(database.keys.due, {"job_1": 1})
    database.client.set(database.keys.delayed, "x")
    for found in (member, key):
        assert restore(database, found) == Reply("TAKEN", [])
    assert len(list_quarantined(database)) == 2


def test_a_key_that_has_expired_is_gone(database):
    found = quarantined_key(database)
    database.client.delete(found.kept)
    assert restore(database, found) == Reply("GONE", [])
