import pytest

from jobistemer.core import ids
from jobistemer.store.calls.commit_extensions import _expire_attempts
from tests.support.lifecycle import enqueue
from tests.support.shard_state import nothing_written

RUN = "run_1"


@pytest.fixture
def attempts(database):
    """A run with three attempts on record, the first of which has a log."""
    enqueue(database, RUN)
    names = [ids.attempt_id(RUN, number) for number in range(3)]
    for each in names:
        database.client.hset(database.keys.attempt(each), "state", "failed")
        database.client.pexpire(database.keys.attempt(each), 600_000)
    database.client.rpush(database.keys.log(names[0]), "line")
    return names


def expire(database, last=2):
    return database.call(_expire_attempts(database.keys, RUN, last)).word


def test_attempts_and_logs_are_kept_as_long_as_their_ended_run(database, attempts):
    database.client.pexpire(database.keys.run(RUN), 5_000)
    assert expire(database) == "EXPIRING"
    left = [database.client.pttl(database.keys.attempt(each)) for each in attempts]
    left.append(database.client.pttl(database.keys.log(attempts[0])))
    assert all(0 < each <= 5_000 for each in left)


def test_a_second_send_does_the_same(database, attempts):
    database.client.pexpire(database.keys.run(RUN), 5_000)
    assert expire(database) == expire(database) == "EXPIRING"


def test_after_a_commit_that_was_refused_nothing_is_written(database, attempts):
    with nothing_written(database):
        assert expire(database) == "LIVE"


def test_of_a_run_that_is_gone_nothing_is_written(database, attempts):
    database.client.delete(database.keys.run(RUN))
    with nothing_written(database):
        assert expire(database) == "LIVE"


def test_attempts_that_are_gone_are_no_fault(database):
    enqueue(database, RUN)
    database.client.pexpire(database.keys.run(RUN), 5_000)
    with nothing_written(database):
        assert expire(database) == "EXPIRING"


def test_of_many_attempts_the_latest_hundred_are_listed(database):
    assert len(_expire_attempts(database.keys, RUN, 500).keys) == 201
