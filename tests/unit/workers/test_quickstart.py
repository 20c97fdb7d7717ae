"""The quickstart's tasks, called here and now: what they find, and that doing them twice changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from jobistemer import Context, Jobistemer, Retry
from tests.support.lifecycle import fetch
from workers import quickstart

AT = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
LATER = datetime(2027, 1, 15, 8, 0, 10, tzinfo=UTC)


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
    monkeypatch.setattr(quickstart, "app", Jobistemer(f"fake://{uuid4()}"))
    return folder


def context(at, attempt=0):
    return Context(
        run="run_1", attempt=attempt, attempt_id="a", handler="h", due_at=at, started_at=at, fencing_token=attempt
    )


def scan(at):
    """List the files, and do what that has enqueued, as a worker would; the paths."""
    count = quickstart.scan(context(at))
    (shard,) = quickstart.app.namespace.shards
    calls = [quickstart.index_file.handler.decode(each.message.payload) for each in fetch(shard, count=100)]
    assert len(calls) == count
    for call in calls:
        quickstart.index_file(**call)
    return sorted(call["path"] for call in calls)


def index():
    with closing(sqlite3.connect(quickstart.DATABASE)) as database:
        return {name: sorted(database.execute(f"SELECT * FROM {name}")) for name in ("files", "listed", "changes")}


def test_the_first_report_says_what_there_is(tree):
    assert scan(AT) == ["a.py", "b.py"]
    assert quickstart.report(context(AT)) == {
        "files": 2,
        "lines": 3,
        "most_frequent": {"spam": 3, "eggs": 2},
        "added": 2,
        "changed": 0,
        "removed": 0,
    }


def test_the_next_report_says_what_has_changed(tree):
    scan(AT)
    quickstart.report(context(AT))
    (tree / "a.py").write_text("ham = 1\n")
    (tree / "b.py").unlink()
    (tree / "c.py").write_text("\n\n")
    scan(LATER)
    report = quickstart.report(context(LATER))
    assert (report["added"], report["changed"], report["removed"]) == (1, 1, 1)
    assert (report["files"], report["lines"], report["most_frequent"]) == (2, 3, {"ham": 1})


def test_every_task_leaves_the_same_behind_when_it_runs_twice(tree):
    scan(AT)
    first_report, first = quickstart.report(context(AT)), index()
    scan(AT)
    assert quickstart.report(context(AT)) == first_report
    assert index() == first


def test_the_report_asks_to_be_tried_again_while_files_are_missing(tree):
    quickstart.scan(context(AT))
    quickstart.index_file(quickstart.seconds_of(context(AT)), "a.py")
    with pytest.raises(Retry, match="1 files are not indexed yet") as asked:
        quickstart.report(context(AT))
    assert asked.value.after_ms == 1000


def test_a_file_that_vanished_after_it_was_listed_is_not_waited_for(tree):
    quickstart.scan(context(AT))
    (tree / "b.py").unlink()
    for path in ("a.py", "b.py"):
        quickstart.index_file(quickstart.seconds_of(context(AT)), path)
    assert quickstart.report(context(AT))["files"] == 1


def test_the_moody_job_fails_at_its_first_try_twice_a_minute_and_then_succeeds():
    with pytest.raises(RuntimeError, match="on purpose"):
        quickstart.moody(context(AT))
    assert quickstart.moody(context(AT, attempt=1)) == "fine at attempt 1"
    assert quickstart.moody(context(LATER)) == "fine at attempt 0"
