"""The parts of the tests lose no test, and a check of many things names those that fail."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.support import parts
from tests.support.for_each import for_each


class Item:
    """A collected test, as far as the parts look at it."""

    def __init__(self, nodeid, *marks, **params):
        self.nodeid = nodeid
        self.marks = {mark.name: mark for mark in marks}
        self.callspec = SimpleNamespace(params=params)

    def get_closest_marker(self, name):
        return self.marks.get(name)


SLOW, THINNED = pytest.mark.slow.mark, pytest.mark.thinned(5).mark
ITEMS = [
    Item("tests/unit/test_a.py::test_a"),
    Item("tests/unit/test_a.py::test_b", SLOW),
    Item("tests/property/test_a.py::test_a"),
    *(
        Item(f"tests/integration/test_a.py::test_{n}[{kind}]", server_url=kind)
        for n in range(40)
        for kind in ("fake", "valkey")
    ),
    *(Item(f"tests/store/test_a.py::test_{n}[fake]", server_url="fake") for n in range(10)),
    *(
        Item(f"tests/integration/test_b.py::test_a[{kind}-{n}]", THINNED, server_url=kind, number=n)
        for n in range(15)
        for kind in ("fake", "valkey", "redis")
    ),
]


def run_in(part, monkeypatch):
    monkeypatch.setattr(parts, "PART", part)
    return [item.nodeid for item in parts.choose(ITEMS)[0]]


def test_both_parts_together_are_all_tests_and_only_property_tests_are_in_both(monkeypatch):
    every, first, rest = (run_in(part, monkeypatch) for part in ("", parts.FIRST, parts.REST))
    assert set(first) | set(rest) == set(every)
    assert set(first) & set(rest) == {"tests/property/test_a.py::test_a"}


def test_the_first_part_has_no_slow_test_and_most_tests_on_one_server(monkeypatch):
    first = run_in(parts.FIRST, monkeypatch)
    assert "tests/unit/test_a.py::test_b" not in first
    assert sum("test_a.py" in each and "valkey" in each for each in first) == 40
    assert 0 < sum("integration/test_a.py" in each and "fake" in each for each in first) < 20
    assert sum("store/test_a.py" in each for each in first) == 10


def test_of_thinned_numbers_each_server_runs_others(monkeypatch):
    numbers = {
        part: {
            kind: [int(each.split("-")[1][:-1]) for each in run_in(part, monkeypatch) if f"[{kind}-" in each]
            for kind in ("fake", "valkey", "redis")
        }
        for part in ("", parts.FIRST)
    }
    assert numbers == {
        "": {"fake": [0, 5, 10], "valkey": [*range(15)], "redis": [1, 6, 11]},
        parts.FIRST: {"fake": [0], "valkey": [4, 9, 14], "redis": [1, 6, 11]},
    }


@pytest.mark.parametrize(
    ("part", "full", "tried"),
    [("first", 200, 50), ("first", 25, 10), ("first", 6, 6), ("rest", 200, 200), ("", 200, 200)],
)
def test_the_first_part_tries_a_quarter_of_the_examples_and_ten_at_least(monkeypatch, part, full, tried):
    monkeypatch.setattr(parts, "PART", part)
    assert parts.examples(full) == tried


def test_a_check_of_many_things_goes_through_all_and_names_those_that_fail():
    seen = []

    @for_each([1, 2, 3, 4])
    def check(number):
        seen.append(number)
        assert number % 2, "it is even"

    with pytest.raises(AssertionError) as failed:
        check()
    assert [line for line in str(failed.value).splitlines() if line.endswith("it is even")] == [
        "2: it is even",
        "4: it is even",
    ]
    assert seen == [1, 2, 3, 4]
    with pytest.raises(AssertionError, match="nothing to check"):
        for_each([])(print)()
