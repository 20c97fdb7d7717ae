import pytest
from redis.exceptions import ResponseError

from jobistemer.store.keys import TYPES
from tests.support.fragments import execute

CALL = "check_all_types(KEYS) return 'PASSED'"
SET = {"zset": ("ZADD", 1, "a"), "set": ("SADD", "a"), "hash": ("HSET", "a", 1), "list": ("RPUSH", "a")}
SET |= {"stream": ("XADD", "*", "a", 1), "string": ("SET", "a")}


def put(database, key, kind):
    command, *args = SET[kind]
    database.client.execute_command(command, key, *args)


@pytest.mark.parametrize("kind", TYPES)
def test_each_kind_of_key_must_have_its_type_or_be_missing(database, kind):
    key, own = f"{database.keys.tag}:{kind}:one", database.keys.own("text")
    database.client.set(own, "x")
    assert execute(database, "check_all_types", CALL, [own, key]) == b"PASSED"
    put(database, key, TYPES[kind])
    assert execute(database, "check_all_types", CALL, [own, key]) == b"PASSED"
    database.client.delete(key)
    put(database, key, "list" if TYPES[kind] == "string" else "string")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        execute(database, "check_all_types", CALL, [own, key])
