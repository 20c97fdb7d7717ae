"""The texts that the command line and the dashboard share."""

import pytest

from jobistemer.core.states import AttemptState, OccurrenceState, RunState
from jobistemer.core.text import CANCEL_MESSAGES, TONES, format_distance, format_duration, pluralize


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (-5, "0 ms"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (12_345, "12 s"),
        (59_400, "59 s"),
        (60_000, "1 min"),
        (78_000, "1 min 18 s"),
        (599_900, "10 min"),
        (754_000, "13 min"),
        (7_200_000, "2 h"),
        (7_300_000, "2 h 2 min"),
        (100 * 3_600_000, "4 d 4 h"),
        (864e6, "10 d"),
    ],
)
def test_a_duration_is_written_in_its_largest_fitting_unit_with_the_next_smaller_one(ms, text):
    assert format_duration(ms) == text


def test_an_instant_is_ahead_or_past_and_now_is_past():
    assert [format_distance(at, 5_000) for at in (8_000, 5_000, 2_000)] == ["in 3.0 s", "0 ms ago", "3.0 s ago"]


def test_a_noun_follows_its_number():
    assert [pluralize(number, "run") for number in (0, 1, 1_200)] == ["0 runs", "1 run", "1,200 runs"]


@pytest.mark.parametrize("state", [*OccurrenceState, *RunState, *AttemptState])
def test_every_state_has_a_tone(state):
    assert TONES[state] in {"good", "busy", "wait", "warn", "bad", "mute", "lost"}


def test_every_answer_to_a_cancellation_has_a_message_for_an_id():
    assert CANCEL_MESSAGES.keys() == {"canceled", "requested", "ended"}
    assert all(message.format("run_1").startswith("run_1 ") for message in CANCEL_MESSAGES.values())
