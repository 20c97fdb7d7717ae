"""From what a handler did to an outcome, whatever it did."""

from __future__ import annotations

import pytest

from jobistemer.core.handlers.control_errors import Fail, Retry
from jobistemer.core.handlers.handler import MAX_RESULT_BYTES, Handler
from jobistemer.core.jobs.options import Options
from jobistemer.core.runs.settle import Outcome
from jobistemer.core.states import AttemptState
from jobistemer.worker.execute.execute import MAX_ERROR_CHARS, outcome_of_error, outcome_of_result
from jobistemer.worker.execute.injection import RefusedInput

OK, FAILED = AttemptState.SUCCEEDED, AttemptState.FAILED
UNTYPED = Handler("work", lambda: None, Options())


def returning(kind: object) -> Handler:
    def work(): ...

    work.__annotations__ = {"return": kind}
    return Handler("work", work, Options())


@pytest.mark.parametrize(
    ("value", "result"), [(None, b""), (0, b"0"), ("é", '"é"'.encode()), ({"a": [1]}, b'{"a":[1]}')]
)
def test_what_was_returned_is_stored_as_json(value, result):
    assert outcome_of_result(value, UNTYPED) == Outcome(OK, result=result)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "the work was done, but the result cannot be written as JSON"),
        ("x" * MAX_RESULT_BYTES, f"the work was done, but the result has {MAX_RESULT_BYTES + 2} bytes"),
    ],
)
def test_a_result_that_cannot_be_stored_is_a_failure_that_no_retry_mends(value, words):
    outcome = outcome_of_result(value, UNTYPED)
    assert (outcome.state, outcome.poison) == (FAILED, True)
    assert outcome.error.startswith(words)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (int, "text", "the result of task 'work' does not fit its annotation: Expected `int`, got `str`"),
        (int, None, "the result of task 'work' does not fit its annotation: Expected `int`, got `null`"),
        (dict[str, list[int]], {"a": [1, "b"]}, "Expected `int`, got `str` - at `$[...][1]`"),
        (float, float("nan"), "the result has the number nan, which JSON cannot say"),
        (list[float], [1.0, float("-inf")], "the result has the number -inf, which JSON cannot say"),
    ],
)
def test_a_result_that_is_not_of_the_annotated_type_ends_the_attempt_that_returned_it(kind, value, words):
    outcome = outcome_of_result(value, returning(kind))
    assert (outcome.state, outcome.poison) == (FAILED, True)
    assert outcome.error.startswith("the work was done, but ")
    assert words in outcome.error


@pytest.mark.parametrize("kind", [None, int | None, object])
def test_nothing_is_a_result_where_the_annotation_allows_it(kind):
    assert outcome_of_result(None, returning(kind)) == Outcome(OK)


def test_the_value_of_a_run_that_hands_over_to_a_reducer_is_not_held_against_the_annotation():
    assert outcome_of_result("run_7", returning(int), hands_over=True) == Outcome(OK, result=b'"run_7"')


def test_a_result_that_contains_itself_is_no_crash():
    endless = []
    endless.append(endless)
    assert outcome_of_result(endless, UNTYPED).poison


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
