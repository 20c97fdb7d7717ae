"""The names of chores are read as they are written."""

from __future__ import annotations

import pytest

from jobistemer.store.calls.chores import Chore, ChoreKind, backfill_chore, read_chore, update_chore


@pytest.mark.parametrize(
    ("name", "chore"),
    [
        ("update:job_1", Chore(ChoreKind.UPDATE, "job_1")),
        ("backfill:bf_1", Chore(ChoreKind.BACKFILL, "bf_1")),
        ("retire:3:job_1", Chore(ChoreKind.RETIRE, "job_1", 3)),
        ("replace:1800000060:job_1", Chore(ChoreKind.REPLACE, "job_1", 1_800_000_060)),
    ],
)
def test_a_name_says_the_kind_the_subject_and_the_number(name, chore):
    assert read_chore(name) == chore


def test_names_that_are_written_here_are_read_back():
    assert read_chore(update_chore("job_1")) == Chore(ChoreKind.UPDATE, "job_1")
    assert read_chore(backfill_chore("bf_1")) == Chore(ChoreKind.BACKFILL, "bf_1")


def test_a_kind_that_a_newer_version_has_added_is_no_error():
    assert read_chore("polish:job_1") is None
