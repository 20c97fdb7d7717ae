"""The trips stay short: how many functions of ours one plain call enters, and in how many files."""

import runpy

from tests.support.paths import DOCS


def test_a_plain_typed_call_is_enqueued_by_few_functions_in_few_files():
    trip = runpy.run_path(str(DOCS / "draw_trips.py"))["count_enqueue"]()
    assert trip[0] == ("app/handles.py", "TaskHandle.enqueue")
    assert len(trip) <= 22, trip
    assert len({file for file, _ in trip}) <= 7, trip
