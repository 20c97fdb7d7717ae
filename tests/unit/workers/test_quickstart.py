"""The quickstart on the real roles: what it finds, and that doing work twice changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from jobistemer import Context
from jobistemer.testing import under_test
from workers import quickstart

AT = datetime(2027, 1, 15, 7, 59, 59, tzinfo=UTC)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder with two files of source, and some that are not ours."""
    folder = tmp_path / "tree"
    (folder / "site-packages").mkdir(parents=True)
    (folder / "site-packages" / "theirs.py").write_text("theirs = 1\n")
    (folder / "a.py").write_text("spam = spam + eggs\nreturn spam\n")
    (folder / "b.py").write_text("eggs = 1\n")
    (folder / "notes.txt").write_text("spam\n")
    monkeypatch.setattr(quickstart, "FOLDER", folder)
    monkeypatch.setattr(quickstart, "DATABASE", str(tmp_path / "index.sqlite3"))
    return folder


@pytest.fixture
def jobs(tree):
    with under_test(quickstart.app, at=AT) as jobs:
        jobs.run_until_idle()
        yield jobs


def next_report(jobs):
    """The report of the next occurrence."""
    jobs.advance(seconds=10)
    occurrence = jobs.occurrences("index")[-1]
    tasks = {task.name: task for task in quickstart.app.report(occurrence.id).tasks}
    return quickstart.app.run(tasks["report"].run).result(0)


def context(at):
    return Context(run="run_1", attempt=0, attempt_id="a", handler="h", due_at=at, started_at=at, fencing_token=0)


def test_the_first_report_says_what_there_is(jobs):
    assert next_report(jobs) == {
        "files": 2,
        "lines": 3,
        "most_frequent": {"spam": 3, "eggs": 2},
        "added": 2,
        "changed": 0,
        "removed": 0,
    }


def test_the_next_report_says_what_has_changed(jobs, tree):
    next_report(jobs)
    (tree / "a.py").write_text("ham = 1\n")
    (tree / "b.py").unlink()
    (tree / "c.py").write_text("\n\n")
    report = next_report(jobs)
    assert (report["added"], report["changed"], report["removed"]) == (1, 1, 1)
    assert (report["files"], report["lines"], report["most_frequent"]) == (2, 3, {"ham": 1})
    again = next_report(jobs)
    assert (again["added"], again["changed"], again["removed"]) == (0, 0, 0)


def test_a_healthy_scan_has_no_failed_attempt(jobs, caplog):
    next_report(jobs)
    assert "failed" not in caplog.text
    assert jobs.dead() == []


def test_a_file_that_is_indexed_twice_leaves_the_same_behind_and_says_the_same(tree):
    scan_id = quickstart.seconds_of(context(AT))
    assert quickstart.list_files(scan_id) == ["a.py", "b.py"]
    assert quickstart.index_file(scan_id, "a.py") == "added"
    with closing(sqlite3.connect(quickstart.DATABASE)) as database:
        first = database.execute("SELECT * FROM files").fetchall()
    assert quickstart.index_file(scan_id, "a.py") == "added"
    with closing(sqlite3.connect(quickstart.DATABASE)) as database:
        assert database.execute("SELECT * FROM files").fetchall() == first
    (tree / "c.py").write_text("new = 1\n")
    assert quickstart.list_files(scan_id) == ["a.py", "b.py"]
    assert quickstart.list_files(scan_id + 10) == ["a.py", "b.py", "c.py"]
    assert quickstart.index_file(scan_id + 10, "a.py") == "kept"


def test_a_file_that_vanished_after_it_was_listed_is_not_waited_for(tree):
    scan_id = quickstart.seconds_of(context(AT + timedelta(seconds=1)))
    assert quickstart.index_file(scan_id, "vanished.py") == "gone"
