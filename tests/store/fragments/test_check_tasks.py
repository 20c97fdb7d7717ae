import pytest
from redis.exceptions import ResponseError

from tests.support.fragments import execute

CALL = "check_tasks(2, read_from(KEYS, 1)) return redis.call('SET', KEYS[5], 'x')"


def keys_of(database):
    keys = database.keys
    return [keys.run("a"), keys.stream("q:5"), keys.run("b"), keys.stream("r:5"), keys.own("written")]


@pytest.mark.parametrize("position", range(4))
def test_a_run_or_stream_of_the_wrong_type_ends_the_script_before_its_first_write(database, position):
    database.client.set(keys_of(database)[position], "x")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        execute(database, "read_from check_tasks", CALL, keys_of(database))
    assert not database.client.exists(database.keys.own("written"))


def test_runs_that_are_new_pass(database):
    assert execute(database, "read_from check_tasks", CALL, keys_of(database)) in (b"OK", "OK")
