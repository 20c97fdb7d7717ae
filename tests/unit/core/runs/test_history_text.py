"""Each slot of a history in words."""

import pytest

from jobistemer.core.runs.history_text import explain_occurrence, find_mentioned
from jobistemer.core.runs.records import OccurrenceRecord
from jobistemer.core.states import OccurrenceState
from tests.support.lifecycle import T0

OTHER = "occ_00000000-0000-5000-8000-000000000001"
NAMED = f"the one of 2027-01-15 08:00:00 ({OTHER})"


def slot(state, reason, error=""):
    return OccurrenceRecord("occ_1", "job_1", 1, T0, OccurrenceState(state), reason, T0 * 1000, error=error)


@pytest.mark.parametrize(
    ("state", "reason", "error", "words"),
    [
        ("completed", "fired on time", "", "fired on time"),
        ("completed", "fired late by 3.2 s", "", "fired late by 3.2 s"),
        (
            "completed",
            "fired late by 361.0 s (recovery execute_all)",
            "",
            "fired late by 361.0 s (recovery execute_all)",
        ),
        ("missed", "missed: found 361.0 s late; no ticker ran", "", "missed: found 361.0 s late; no ticker ran"),
        ("skipped", f"skipped because {OTHER} was still running", "", f"skipped because {NAMED} was still running"),
        ("compressed", f"compressed into {OTHER}; found 9.0 s late", "", f"compressed into {NAMED}; found 9.0 s late"),
        ("skipped", "paused by ana: release", "", "paused by ana: release"),
        ("skipped", "excluded by calendar holidays", "", "excluded by calendar holidays"),
        ("completed", "triggered by ana", "", "triggered by ana"),
        (
            "canceled",
            "fired on time",
            f"canceled: replaced by {OTHER}",
            f"fired on time; canceled: replaced by {NAMED}",
        ),
        ("failed", "fired on time", "task load failed: no\nTraceback", "fired on time; task load failed: no"),
        ("queued", f"fired on time; queued behind {OTHER}", "", f"fired on time; queued behind {NAMED}"),
    ],
)
def test_a_slot_says_what_became_of_it_and_why_naming_others_by_their_instants(state, reason, error, words):
    assert explain_occurrence(slot(state, reason, error), {OTHER: T0}) == words


def test_an_occurrence_that_is_not_on_record_any_more_is_named_by_its_id():
    assert explain_occurrence(slot("skipped", f"skipped because {OTHER} was still running"), {}) == (
        f"skipped because {OTHER} was still running"
    )


def test_what_is_spoken_of_and_not_among_them_can_be_looked_up():
    assert find_mentioned(
        [slot("compressed", f"compressed into {OTHER}"), slot("canceled", "", "replaced by occ_1")]
    ) == {OTHER}
