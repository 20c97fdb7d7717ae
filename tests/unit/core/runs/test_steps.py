"""Steps are shown in the order in which the code asks for them."""

from jobistemer.core.runs.steps import UNDO, UNDO_MARK, VERSION, StepRecord, view_steps

RECORDS = {
    "second": StepRecord(asked=3, done=4, attempt=0, started_at=20),
    UNDO_MARK: StepRecord(UNDO),
    "added": StepRecord(asked=3, done=8, attempt=1, started_at=61),
    ":version added": StepRecord(VERSION, asked=3, done=7, attempt=1, started_at=60),
    "first": StepRecord(asked=1, done=2, attempt=0, started_at=10),
    "third": StepRecord(asked=5, attempt=0, started_at=30),
}


def test_what_the_code_got_later_is_shown_in_front_of_the_step_that_it_precedes():
    names = [each.name for each in view_steps(RECORDS, now_ms=100)]
    assert names == ["first", ":version added", "added", "second", "third"]


def test_the_attempt_tells_which_of_two_that_began_at_one_moment_was_first_on_record():
    records = {"old": StepRecord(asked=1, done=2, attempt=0), "new": StepRecord(asked=1, done=3, attempt=1)}
    assert [each.name for each in view_steps(records, now_ms=100)] == ["new", "old"]
