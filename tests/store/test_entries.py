"""What is on streams, on every kind of server: in order, page by page, and who has what in flight."""

import pytest

from jobistemer.store.reads.entries import list_entries
from tests.support.lifecycle import enqueue, fetch


@pytest.fixture
def shards(database):
    return [database]


def test_nothing_is_on_no_stream(shards):
    assert list_entries(shards) == []
    assert list_entries(shards, "mail") == []


def test_runs_are_listed_as_they_came_whatever_their_priority_with_the_worker_that_has_them(database, shards):
    for number in range(4):
        enqueue(database, f"run_{number}", priority=5 - number % 2)
    fetch(database, "alice", "default:5", count=1)
    # What comes within a millisecond is in order only among its own kind.
    assert sorted((each.id, each.place, each.worker) for each in list_entries(shards, "default")) == [
        ("run_0", "default:5", "alice"),
        ("run_1", "default:4", ""),
        ("run_2", "default:5", ""),
        ("run_3", "default:4", ""),
    ]


def test_pages_adjoin_and_what_was_written_together_stays_together(database, shards):
    for number in range(7):
        enqueue(database, f"run_{number}", priority=number % 3)
    seen, after = [], "-"
    while page := list_entries(shards, "default", after, limit=2):
        assert len(page) >= min(2, 7 - len(seen))
        seen += [each.id for each in page]
        after = page[-1].entry
    assert sorted(seen) == [f"run_{number}" for number in range(7)]


def test_without_a_queue_each_place_shows_its_oldest_few(database, shards):
    for queue in ("mail", "reports"):
        for number in range(9):
            enqueue(database, f"run_{queue}_{number}", queue=queue)
    found = [each.id for each in list_entries(shards, limit=8)]
    assert sorted(found) == sorted(f"run_{queue}_{number}" for queue in ("mail", "reports") for number in range(5))


def test_an_entry_that_cannot_be_read_is_passed_over(database, shards):
    enqueue(database)
    database.ask("XADD", database.keys.stream("default:5"), "*", "x", "y")
    assert [each.id for each in list_entries(shards, "default")] == ["run_1"]
