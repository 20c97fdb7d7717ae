"""A producer compares the identity of a shard whenever it corrects its clock along with a call."""

import pytest

from jobistemer.store.database import CLOCK_MAX_AGE_S
from tests.support.lifecycle import enqueue


@pytest.fixture
def lines(caplog):
    return lambda: [each.getMessage() for each in caplog.records if "was emptied" in each.getMessage()]


def call_late(database, monkeypatch, run):
    """A call of a producer whose clock was corrected long ago."""
    monkeypatch.setattr(type(database.clock), "age_s", CLOCK_MAX_AGE_S + 1, raising=False)
    enqueue(database, run)


def test_a_server_that_was_emptied_is_named_once_and_calls_go_on(database, monkeypatch, lines):
    database.client.set(database.keys.identity, "one")
    call_late(database, monkeypatch, "run_1")
    call_late(database, monkeypatch, "run_2")
    assert lines() == []
    database.client.delete(*database.client.keys(f"{database.keys.tag}:*"))
    call_late(database, monkeypatch, "run_3")
    database.client.set(database.keys.identity, "two")
    call_late(database, monkeypatch, "run_4")
    (line,) = lines()
    assert line.startswith(database.keys.tag)
    assert database.read("EXISTS", database.keys.run("run_4")) == 1
