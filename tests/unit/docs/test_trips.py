"""The trips stay short: how many functions of the package one call, run and due instant enter, and in how many files."""

import runpy

import pytest

from tests.support.paths import DOCS

# Functions and files at most, and where the trip begins.
TRIPS = {
    "count_enqueue": (22, 7, "app/handles.py"),
    "count_run": (36, 12, "worker/fetch/dispatcher.py"),
    "count_due": (34, 8, "ticker/shard_ticker.py"),
}


@pytest.mark.parametrize("trip", TRIPS)
def test_a_trip_enters_few_functions_in_few_files(trip):
    functions, files, first = TRIPS[trip]
    found = runpy.run_path(str(DOCS / "draw_trips.py"))[trip]()
    assert found[0][0] == first
    assert len(found) <= functions, found
    assert len({file for file, _ in found}) <= files, found


def test_few_functions_carry_a_run_from_its_fetch_to_its_record():
    drawn = runpy.run_path(str(DOCS / "draw_trips.py"))
    entered = [function for _, function in drawn["count_run"]()]
    assert len(drawn["CARRYING"]) <= 14
    assert [each for each in drawn["CARRYING"] if each not in entered] == []


def test_the_page_of_the_trips_is_what_the_code_does():
    assert (DOCS / "reference" / "trips.md").read_text() == runpy.run_path(str(DOCS / "draw_trips.py"))["page"]()
