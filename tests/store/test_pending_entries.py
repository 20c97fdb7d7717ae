"""The entries that are pending for one worker: whoever else has entries between them, and what is gone of them."""

import pytest

from jobistemer.store.calls import streams
from tests.support.lifecycle import enqueue, fetch_one

PLACE = "default:5"


@pytest.fixture
def mixed(database):
    """Ten entries that two workers have read in turn, and what alice has of them."""
    for number in range(10):
        enqueue(database, f"run_{number}")
    deliveries = [fetch_one(database, ("alice", "bob")[number % 2]) for number in range(10)]
    return deliveries[::2]


def pending(database):
    pages = streams.list_pending(database, PLACE, "alice")
    return [(entry, delivery.message.run if delivery else None) for page in pages for entry, delivery in page]


def test_entries_of_others_between_them_are_left_out(database, mixed):
    assert pending(database) == [(each.entry, each.message.run) for each in mixed]


def test_an_entry_that_is_gone_or_cannot_be_read_is_listed_without_its_run(database, mixed):
    gone = mixed[2].entry
    database.ask("XDEL", database.keys.stream(PLACE), gone)
    expected = [(each.entry, None if each.entry == gone else each.message.run) for each in mixed]
    assert pending(database) == expected


def test_more_than_a_page_is_listed_in_pages_each_entry_once(database, monkeypatch, mixed):
    monkeypatch.setattr(streams, "PENDING_PAGE", 2)
    pages = list(streams.list_pending(database, PLACE, "alice"))
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [entry for page in pages for entry, _ in page] == [each.entry for each in mixed]


def test_a_worker_with_nothing_pending_and_a_missing_stream_have_none(database):
    assert pending(database) == []
    enqueue(database)
    fetch_one(database, "bob")
    assert pending(database) == []
