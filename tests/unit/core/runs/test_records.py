"""Records of runs, in words."""

import pytest

from jobistemer.core.runs.records import RunRecord
from jobistemer.core.states import RunState


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"attempt": 2}, "3"),
        ({"attempt": 2, "crashes": 1}, "3, 1 crash"),
        ({"attempt": 3, "crashes": 2, "interruptions": 1}, "4, 2 crashes, 1 interruption"),
        ({"attempt": 0, "interruptions": 2, "snoozes": 1}, "1, 2 interruptions, put off 1 time"),
    ],
)
def test_attempts_are_told_with_what_has_interrupted_them(fields, text):
    assert RunRecord("run_1", RunState.DEAD, "greet", "default:5", 1, **fields).attempts_text == text
