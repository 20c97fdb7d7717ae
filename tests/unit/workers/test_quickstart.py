"""The quickstart on the real roles: what it finds, and that doing work twice changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

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


def test_the_first_report_says_what_there_is(jobs):
    assert next_report(jobs) == {"files": 2, "lines": 3, "removed": 0, "added": 2}


def test_the_next_report_says_what_has_changed(jobs, tree):
    next_report(jobs)
    (tree / "a.py").write_text("ham = 1\n")
    (tree / "b.py").unlink()
    (tree / "c.py").write_text("\n\n")
    assert next_report(jobs) == {"files": 2, "lines": 3, "removed": 1, "added": 1, "changed": 1}
    assert next_report(jobs) == {"files": 2, "lines": 3, "removed": 0, "kept": 2}


def test_a_healthy_scan_has_no_failed_attempt(jobs, caplog):
    next_report(jobs)
    assert "failed" not in caplog.text
    assert jobs.dead() == []


def read_index():
    with closing(sqlite3.connect(quickstart.DATABASE)) as database:
        return database.execute("SELECT * FROM files").fetchall()


def test_a_file_that_is_indexed_twice_leaves_the_same_behind_and_says_the_same(tree):
    assert quickstart.list_files() == ["a.py", "b.py"]
    assert quickstart.index_file(10, "a.py") == "added"
    first = read_index()
    assert quickstart.index_file(10, "a.py") == "added"
    assert read_index() == first
    assert quickstart.index_file(20, "a.py") == "kept"


def test_a_file_that_vanished_after_it_was_listed_is_not_waited_for(tree):
    assert quickstart.index_file(10, "vanished.py") == "gone"
