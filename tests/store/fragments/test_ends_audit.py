import pytest

from tests.support.fragments import execute
from tests.support.shard_state import nothing_written

CALL = "append_audit(KEYS[1], ARGV[1], 'ada', 'paused', ARGV[2])"


def ends(database, now, by="ada", what="paused", note="for the night"):
    call = "return ends_audit(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]) and 1 or 0"
    return execute(database, "ends_audit", call, [database.keys.audit("job")], [now, by, what, note]) == 1


def append(database, now, note):
    execute(database, "append_audit", CALL, [database.keys.audit("job")], [now, note])


def test_the_last_line_is_recognized(database):
    append(database, 7, "for the night")
    with nothing_written(database):
        assert ends(database, 7)


@pytest.mark.parametrize("other", [{"by": "bob"}, {"what": "resumed"}, {"note": "again"}, {"now": 8}])
def test_a_line_that_differs_in_anything_is_another(database, other):
    append(database, 7, "for the night")
    assert not ends(database, **{"now": 7, **other})


def test_a_line_with_another_one_behind_it_is_not_the_last(database):
    append(database, 7, "for the night")
    append(database, 8, "again")
    assert not ends(database, 7)


def test_a_job_without_lines_has_no_last_one(database):
    with nothing_written(database):
        assert not ends(database, 7)
