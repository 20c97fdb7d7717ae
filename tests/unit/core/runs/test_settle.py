import pytest

from jobistemer.core.jobs.retries import NO_RETRIES, Delays, Exponential
from jobistemer.core.runs.message import Message
from jobistemer.core.runs.settle import (
    CANCELED,
    SUCCEEDED,
    FinalState,
    NextAttempt,
    Outcome,
    describe_settlement,
    settle,
)
from jobistemer.core.states import AttemptState, RunState

DEAD, FAILED = FinalState(RunState.DEAD, "failed", spent=True), FinalState(RunState.FAILED, "failed")
TIMED_OUT, STALE = (
    FinalState(RunState.TIMED_OUT, "failed", spent=True),
    FinalState(RunState.DEAD, "failed_stale", spent=True),
)
TWICE = Delays((5.0, 7.0))


@pytest.mark.parametrize(
    ("retry", "attempt", "crashes", "outcome", "ending"),
    [
        # What ends well, or was asked to end, is over.
        (TWICE, 0, 0, {"state": "succeeded"}, SUCCEEDED),
        (TWICE, 2, 0, {"state": "succeeded"}, SUCCEEDED),
        (TWICE, 0, 0, {"state": "canceled"}, CANCELED),
        # A failure and a time-out follow the policy. Where it allows no more, the last attempt names the end.
        (TWICE, 0, 0, {"state": "failed"}, NextAttempt(5000, 0)),
        (TWICE, 1, 0, {"state": "timed_out"}, NextAttempt(7000, 0)),
        (TWICE, 2, 0, {"state": "failed"}, DEAD),
        (NO_RETRIES, 0, 0, {"state": "failed"}, DEAD),
        (NO_RETRIES, 0, 0, {"state": "timed_out"}, TIMED_OUT),
        (TWICE, 2, 0, {"state": "timed_out"}, TIMED_OUT),
        (TWICE, 2, 0, {"state": "timed_out", "final": True}, FinalState(RunState.TIMED_OUT, "failed")),
        (Exponential(max_retries=1, jitter=0), 0, 0, {"state": "failed"}, NextAttempt(1000, 0)),
        # The handler's word goes before the policy, but gives no attempt that the policy does not.
        (TWICE, 0, 0, {"state": "failed", "retry_after_ms": 90}, NextAttempt(90, 0)),
        (TWICE, 0, 0, {"state": "failed", "retry_after_ms": 0}, NextAttempt(0, 0)),
        (TWICE, 2, 0, {"state": "failed", "retry_after_ms": 90}, DEAD),
        (TWICE, 0, 0, {"state": "failed", "final": True}, FAILED),
        (TWICE, 0, 0, {"state": "failed", "poison": True}, DEAD),
        (TWICE, 0, 0, {"state": "failed", "poison": True, "final": True}, DEAD),
        # Lost attempts come back at once, up to a limit of their own ...
        (NO_RETRIES, 0, 0, {"state": "lost"}, NextAttempt(0, 1)),
        (NO_RETRIES, 1, 1, {"state": "lost"}, NextAttempt(0, 2)),
        (NO_RETRIES, 2, 2, {"state": "lost"}, STALE),
        # ... and use up no retries: this is the first failure, at the third attempt.
        (TWICE, 2, 2, {"state": "failed"}, NextAttempt(5000, 2)),
        (TWICE, 4, 2, {"state": "failed"}, DEAD),
    ],
)
def test_an_outcome_means_for_its_run(retry, attempt, crashes, outcome, ending):
    message = Message("run_1", "greet", 0, retry=retry)
    told = Outcome(**outcome | {"state": AttemptState(outcome["state"])})
    assert settle(message, attempt, crashes, told, chance=0.0) == ending


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [
        ({"state": "failed"}, FinalState(RunState.FAILED, "failed", spent=True)),
        ({"state": "failed", "poison": True}, FinalState(RunState.FAILED, "failed", spent=True)),
        ({"state": "lost"}, FinalState(RunState.FAILED, "failed_stale", spent=True)),
        ({"state": "timed_out"}, TIMED_OUT),
    ],
)
def test_a_run_without_dead_letters_that_is_out_of_attempts_has_failed(outcome, ending):
    message = Message("run_1", "greet", 0, retry=NO_RETRIES, max_crashes=1, dead_letters=False)
    told = Outcome(**outcome | {"state": AttemptState(outcome["state"])})
    assert settle(message, 0, 0, told, chance=0.0) == ending


@pytest.mark.parametrize("state", sorted(set(AttemptState) - {AttemptState.RUNNING}))
def test_every_terminal_attempt_has_an_ending(state):
    assert isinstance(settle(Message("run_1", "greet", 0), 0, 0, Outcome(state), 0.5), FinalState | NextAttempt)


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (3, 4)])
def test_a_run_has_one_attempt_and_as_many_more_as_there_are_retries(retries, attempts):
    message = Message("run_1", "greet", 0, retry=Exponential(max_retries=retries))
    endings = [settle(message, number, 0, Outcome(AttemptState.FAILED), 0.0) for number in range(attempts)]
    assert [isinstance(each, FinalState) for each in endings] == [False] * retries + [True]


def test_an_ending_in_words_says_what_becomes_of_the_run():
    assert [describe_settlement(each) for each in (DEAD, CANCELED, NextAttempt(0, 1), NextAttempt(10_250, 0))] == [
        *("the run is dead", "the run is canceled", "it is tried again at once", "it is tried again in 10.2 s"),
    ]
