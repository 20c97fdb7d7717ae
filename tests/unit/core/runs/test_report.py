"""What a report says of times, which different processes have told."""

from __future__ import annotations

from jobistemer.core.runs.report import elapsed_ms
from jobistemer.core.text import format_duration


def test_what_ended_by_another_clock_before_it_began_took_no_time() -> None:
    assert elapsed_ms(1_042, 1_039) == 0
    assert format_duration(-3) == "0 ms"


def test_what_goes_on_has_taken_no_time_that_could_be_told() -> None:
    assert elapsed_ms(1_042, 0) is None
