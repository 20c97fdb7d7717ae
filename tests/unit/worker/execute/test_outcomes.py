"""From what a handler did to an outcome, whatever it did."""

from __future__ import annotations

import pytest

from jobistemer.core.handlers.control_errors import Fail, Retry
from jobistemer.core.handlers.handler import MAX_RESULT_BYTES
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.worker.execute.outcomes import MAX_ERROR_CHARS, RefusedInput, outcome_of_error, outcome_of_result

OK, FAILED = AttemptState.SUCCEEDED, AttemptState.FAILED


@pytest.mark.parametrize(("value", "result"), [(None, b""), (0, b"0"), ("é", '"é"'.encode()), ({"a": [1]}, b'{"a":[1]}')])
def test_what_was_returned_is_stored_as_json(value, result):
    assert outcome_of_result(value) == Outcome(OK, result=result)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "the work was done, but the result cannot be written as JSON"),
        ("x" * MAX_RESULT_BYTES, f"the work was done, but the result has {MAX_RESULT_BYTES + 2} bytes"),
    ],
)
def test_a_result_that_cannot_be_stored_is_a_failure_that_no_retry_mends(value, words):
    outcome = outcome_of_result(value)
    assert (outcome.state, outcome.poison) == (FAILED, True)
    assert outcome.error.startswith(words)


def test_a_result_that_contains_itself_is_no_crash():
    endless = []
    endless.append(endless)
    assert outcome_of_result(endless).poison


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Retry(), Outcome(FAILED, error="asked to be tried again")),
        (Retry("later", after=1.5), Outcome(FAILED, error="later", retry_after_ms=1500)),
        (Retry(after=-3), Outcome(FAILED, error="asked to be tried again", retry_after_ms=0)),
        (Fail("no such customer"), Outcome(FAILED, error="no such customer", final=True)),
        (RefusedInput("does not fit"), Outcome(FAILED, error="does not fit", poison=True)),
    ],
)
def test_what_a_handler_says_by_raising(error, outcome):
    assert outcome_of_error(error) == outcome


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_every_error_is_a_failure_with_its_type_and_place(kind):
    try:
        raise kind("broken")
    except BaseException as error:
        outcome = outcome_of_error(error)
    assert outcome.state is FAILED
    assert outcome.error.startswith(f"{kind.__name__}: broken\n")
    assert "test_outcomes.py" in outcome.error


def test_a_long_error_is_cut():
    assert len(outcome_of_error(ValueError("x" * 10 * MAX_ERROR_CHARS)).error) <= MAX_ERROR_CHARS


def test_an_error_that_cannot_be_shown_is_an_error_all_the_same():
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert outcome_of_error(Unspeakable()).error == "Unspeakable: (its text cannot be shown: RuntimeError)"
