"""What a report says of times, which different processes have told."""

from __future__ import annotations

from jobistemer.core.runs.report import span_ms
from jobistemer.core.text import duration


def test_what_ended_by_another_clock_before_it_began_took_no_time() -> None:
    assert span_ms(1_042, 1_039) == 0
    assert duration(-3) == "0 ms"


def test_what_goes_on_has_taken_no_time_that_could_be_told() -> None:
    assert span_ms(1_042, 0) is None
