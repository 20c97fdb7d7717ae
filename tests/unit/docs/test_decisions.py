"""The records of decisions: each has a number of its own, a title under that number, and a row in the index."""

from __future__ import annotations

from collections import Counter

from tests.support.paths import DOCS

FOLDER = DOCS / "decisions"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))


def test_no_two_decisions_have_one_number():
    assert {number for number, times in Counter(each.name[:4] for each in RECORDS).items() if times > 1} == set()


def test_the_title_of_a_decision_begins_with_its_number():
    wrong = [each.name for each in RECORDS if not each.read_text(encoding="utf-8").startswith(f"# {each.name[:4]}. ")]
    assert wrong == []


def test_each_decision_stands_once_in_the_index():
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [each.name for each in RECORDS if index.count(f"[{each.name[:4]}]({each.name})") != 1] == []
