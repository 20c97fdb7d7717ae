import pytest
from redis.exceptions import ResponseError

from tests.support.fragments import execute

CALL = "check_types({KEYS[1]}, {KEYS[2]}, {KEYS[3]}, {KEYS[4]}, {KEYS[5]}, {KEYS[6]}) return redis.call('SET', KEYS[7], 'x')"


def keys_of(database):
    keys = database.keys
    return [
        keys.job("a"),
        keys.due,
        keys.streams,
        keys.audit("a"),
        keys.stream("q:5"),
        keys.unique("u"),
        keys.own("written"),
    ]


@pytest.mark.parametrize("position", range(6))
def test_a_key_of_the_wrong_type_ends_the_script_before_its_first_write(database, position):
    key = keys_of(database)[position]
    database.client.rpush(key, "x") if position == 5 else database.client.set(key, "x")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        execute(database, "check_types", CALL, keys_of(database))
    assert not database.client.exists(database.keys.own("written"))


def test_keys_of_their_type_and_keys_that_are_missing_pass(database):
    assert execute(database, "check_types", CALL, keys_of(database)) in (b"OK", "OK")
    database.client.hset(keys_of(database)[0], "a", 1)
    database.client.zadd(keys_of(database)[1], {"a": 1})
    assert execute(database, "check_types", CALL, keys_of(database)) in (b"OK", "OK")
    assert execute(database, "check_types", "check_types({KEYS[1]}, {}) return 1", keys_of(database)) == 1
