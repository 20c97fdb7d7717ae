import pytest

from jobistemer.store import quarantine
from jobistemer.store.actions.quarantine import put_keys_aside
from jobistemer.store.keys import TYPES
from jobistemer.store.quarantine import list_quarantined
from jobistemer.store.scripts import Reply
from tests.support.shard_state import nothing_written


def test_a_key_of_the_wrong_type_is_put_aside_whole_under_a_name_of_its_own_that_expires(database):
    database.client.set(database.keys.due, b"\xffnonsense")
    reply = database.call(quarantine.quarantine_key(database.keys, database.keys.due, "zset"))
    assert reply.word == "MOVED"
    (found,) = list_quarantined(database)
    assert (found.key, found.reason) == (database.keys.due, "it is a string, not a zset")
    assert database.client.get(found.kept) == b"\xffnonsense"
    assert database.client.pttl(found.kept) > 0
    assert not database.client.exists(database.keys.due)


def test_a_second_send_of_the_same_call_changes_nothing(database):
    database.client.set(database.keys.due, "x")
    call = quarantine.quarantine_key(database.keys, database.keys.due, "zset")
    database.call(call)
    assert database.call(call) == Reply("KEPT", [])
    assert len(list_quarantined(database)) == 1


def test_a_key_of_the_right_type_and_a_key_that_is_not_there_are_left(database):
    database.client.zadd(database.keys.due, {"job_1": 1})
    with nothing_written(database):
        for key in (database.keys.due, database.keys.delayed):
            assert database.call(quarantine.quarantine_key(database.keys, key, "zset")) == Reply("KEPT", [])


def test_a_key_that_cannot_be_read_is_put_aside_whatever_its_type(database):
    database.client.hset(database.keys.job("job_1"), "definition", "{")
    call = quarantine.quarantine_key(database.keys, database.keys.job("job_1"), "", "it is no JSON")
    assert database.call(call).word == "MOVED"
    assert list_quarantined(database)[0].reason == "it is no JSON"


@pytest.mark.parametrize("kind", [kind for kind, of_type in TYPES.items() if of_type != "string"])
def test_each_kind_of_key_has_a_type_that_a_string_is_not(database, kind):
    key = f"{database.keys.tag}:{kind}:name"
    database.client.set(key, "x")
    if kind == "quarantine":
        return
    assert [each.key for each in put_keys_aside(database, [key])] == [key]
    assert put_keys_aside(database, [key]) == []


def test_keys_of_an_application_and_of_others_are_never_touched(database):
    own, strange = database.keys.own("x"), f"{database.keys.tag}:strange"
    database.client.set(own, "x")
    database.client.set(strange, "x")
    with nothing_written(database):
        assert put_keys_aside(database, [own, strange, "elsewhere"]) == []
