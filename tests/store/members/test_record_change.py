from jobistemer.core.runs.records import Change
from jobistemer.store.calls import changes
from jobistemer.store.scripts import Reply
from tests.support.clocks import NOW
from tests.support.shard_state import find_leaks


def note(database, target="mail", now=NOW, text="release"):
    return database.call(changes.record_change(database.keys, Change(now, "ana", "pause queue", target, text)))


def test_a_change_is_in_the_list_with_its_author_and_its_target(database):
    assert note(database) == Reply("NOTED", [])
    assert changes.read_changes(database) == [Change(NOW, "ana", "pause queue", "mail", "release")]
    assert find_leaks(database) == {}


def test_a_second_send_of_the_same_call_notes_nothing(database):
    note(database)
    assert note(database) == Reply("NOTED", [])
    assert len(changes.read_changes(database)) == 1


def test_another_target_at_the_same_time_is_noted(database):
    note(database)
    note(database, "slow")
    assert [each.target for each in changes.read_changes(database)] == ["slow", "mail"]


def test_a_note_of_several_lines_is_one_line(database):
    note(database, text="one\ntwo")
    assert changes.read_changes(database)[0].note == "one two"


def test_the_list_keeps_the_latest_thousand_and_is_read_page_by_page(database):
    for number in range(1_005):
        note(database, now=NOW + number)
    assert len(changes.read_changes(database, 0, 2_000)) == 1_000
    assert [each.at - NOW for each in changes.read_changes(database, 2, 2)] == [1_002, 1_001]
    assert changes.read_changes(database, 1_000, 5) == []


def test_a_line_that_cannot_be_read_is_left_out(database):
    note(database)
    database.client.rpush(database.keys.changes, b"\xff", b"x\ny\nz\na\nb", b"1\n2")
    assert len(changes.read_changes(database)) == 1
