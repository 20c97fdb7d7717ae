from tests.support.fragments import execute


def read(database, statement):
    keys = [database.keys.run(each) for each in "ab"]
    return execute(
        database, "read_from", f"local next_args = read_from(ARGV, 2) {statement}", keys, ["first", "a", "b", "c", "d"]
    )


def test_each_call_gives_the_next_values(database):
    assert read(database, "local one, two = next_args(2) return {one, two, (next_args(1))}") == [b"a", b"b", b"c"]


def test_without_a_number_all_that_is_left_is_given(database):
    assert read(database, "next_args(1) return {next_args()}") == [b"b", b"c", b"d"]


def test_no_value_is_given_where_none_is_asked_for_or_left(database):
    assert read(database, "return {select('#', next_args(0)), select('#', next_args()), select('#', next_args())}") == [
        0,
        4,
        0,
    ]


def test_two_readers_of_one_list_do_not_disturb_each_other(database):
    assert read(database, "local others = read_from(ARGV, 4) next_args(1) return {(others(1)), (next_args(1))}") == [
        b"c",
        b"b",
    ]
