import pytest

from tests.support.fragments import execute

CALL = "return find_signal(ARGV[1] ~= '' and ARGV[1], ARGV[2])"
SIGNALS = '[{"id":"a","name":"paid","taken":1},{"id":"b","name":"paid","value":"1"},{"id":"c","name":"sent","taken":1}]'


@pytest.mark.parametrize(
    ("signals", "name", "found"),
    [(SIGNALS, "paid", 1), (SIGNALS, "sent", None), (SIGNALS, "other", None), (SIGNALS, "", None), ("", "paid", None)],
)
def test_a_signal_is_found_by_its_name_until_a_wait_has_taken_it(database, signals, name, found):
    assert execute(database, "find_signal", CALL, [], [signals, name]) == found
